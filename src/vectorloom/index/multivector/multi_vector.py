# SPDX-License-Identifier: Apache-2.0
"""Late interaction: items of many vectors, ranked by MaxSim.

    score(Q, P) = sum over q in Q of max over p in P of s(q, p)

with s the cosine or the inner product of two vectors. (Also called Chamfer similarity.) Exactly,
or in two stages: MUVERA's encodings (`vectorloom.index.FDE`) in a dense index, or MaxSim over means
of neighbouring vectors, find candidates, and these are scored exactly.

Khattab, Zaharia. "ColBERT: Efficient and Effective Passage Search via Contextualized Late
Interaction over BERT", SIGIR 2020, doi:10.1145/3397271.3401075.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.index.answer import Found, for_each_mask
from vectorloom.index.dense.encoding import Encoded, encode, resolve_kind
from vectorloom.index.filters import Mask, position_masks
from vectorloom.index.hits import Hits
from vectorloom.index.id_rules import name_absent, new_ids, refuse_held
from vectorloom.index.multivector.candidates import CandidateStage, encoded_stage
from vectorloom.index.multivector.item_index import ItemIndex
from vectorloom.index.multivector.prefetch import two_stages
from vectorloom.index.multivector.prefix import Prefixes
from vectorloom.index.multivector.store import ItemStore, read_items, write_items
from vectorloom.index.multivector.token_vectors import (
    TokenVectors,
    as_float_tokens,
    as_token_vectors,
    unit_rows,
)
from vectorloom.index.multivector.windows import SIZE, WindowStage
from vectorloom.index.nested import packed, unpacked
from vectorloom.index.rowids import no_ids_like
from vectorloom.io.container import Container, register_loader
from vectorloom.vectors import as_ids

KIND = "index.multivector"

_DTYPES = ("float32", "float16", "bfloat16")
#: Where so large a share of the items would be candidates, all are searched exactly instead.
_EXACT_SHARE = 0.25


class MultiVector(ItemIndex):
    """Index of items of many vectors: the best by MaxSim, exactly or by MUVERA and exact scores.

    Use it for the token vectors of late-interaction models (ColBERT, ColPali), for passages of a
    document, or for several views of one thing. Where an item has one vector, `Exact`, `IVF` and
    `Graph` are the same and faster.

    Parameters
    ----------
    metric : {"cosine", "ip"}, default="cosine"
        Of two vectors. For vectors of unit length both are the same.
    encoding : "muvera", "windows", FDE or None, default="muvera"
        How candidates are found: ``"muvera"`` makes an `FDE` of default size; ``"windows"`` ranks
        by MaxSim over the means of neighbouring vectors, which needs fewer candidates where the
        vectors of an item come in the order of a text; None scores all items at every search (and
        any search with ``exact=True`` does).
    index : index or None, default=None
        Dense index of inner products for the encodings, such as
        ``vl.index.Graph(metric="ip")``; it is fitted here. None takes ``Exact(metric="ip",
        dtype="int8")``: one byte an entry.
    dtype : {"float32", "float16", "bfloat16"}, default="float32"
        How vectors are stored. Scores are exact with respect to the stored vectors; float16 halves
        the memory and turns the sixth digit of a score.
    window : int, default=3
        Vectors of a window: more need less memory and more candidates.
    prefetch : bool, default=False
        For an index that `vl.open` mapped and that memory does not hold: the vectors of candidates
        are asked of the disk while the first stage looks for those of the next queries. Changes no
        answer. On vectors that are in memory it costs a little.
    memory_limit : int, str or None, default=None
        Bytes that the encodings may take; None asks the system.
    random_state : int, default=0
        Of the encodings and of the items that depth is measured with.
    n_jobs : int or None, default=None
        Threads; None and -1 take all that the process is allowed.

    Attributes
    ----------
    ids_ : ndarray of shape (n,), int64 or object (str)
        Ids in the order of adding.
    dim_ : int
        Dimensions of a vector.
    ntotal : int
        Items; the same as ``len(index)``.
    n_vectors_ : int
        Vectors of all items.
    nbytes_ : int
        Bytes held in memory or mapped: vectors, ids, int8 copy, encodings.

    Raises
    ------
    ShapeError
        Items without vectors, offsets that do not fit, vectors of another dimension.
    ParameterError
        NaN, zero vectors under cosine, bad ids, unknown words. The index is then as it was.
    CapacityError
        Vectors or encodings would not fit; said before any is made.

    Notes
    -----
    Items go in as ``(values, offsets)``, one matrix of all vectors and where each item begins and
    the last one ends, or as a list of matrices, or as an array (n, m, dim); queries too. A score is
    a sum of float64 maxima of float64 products: the same bits at any thread count, equal scores in
    the order of ids. Exact search multiplies int8 copies of the vectors under a proven bound and
    scores in float64 what could be among the best; its cost is about ``n_vectors * m * dim``
    byte products for a query of m vectors, with about half of the dimensions left out. Memory:
    ``dim * itemsize + dim + 32`` bytes a vector, and the encodings, 10,240 bytes an item.

    References
    ----------
    .. [1] Khattab, Zaharia. "ColBERT", SIGIR 2020, doi:10.1145/3397271.3401075.
    .. [2] Jayaram et al. "MUVERA", NeurIPS 2024, arXiv:2405.19504.

    Examples
    --------
    >>> import vectorloom as vl
    >>> items = [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]], [[0.6, 0.8]]]
    >>> index = vl.index.MultiVector(encoding=None).fit(items, ids=["both", "x", "between"])
    >>> index.search([[[1.0, 0.0], [0.0, 1.0]]], k=2)
    Hits(1 query, k=2, metric='maxsim')
      0: both 2.0000 · between 1.4000
    """

    _stage: CandidateStage | None

    def __init__(
        self,
        metric: str = "cosine",
        encoding: Any = "muvera",
        index: Any = None,
        dtype: Any = "float32",
        window: int = SIZE,
        prefetch: bool = False,
        memory_limit: int | str | None = None,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.metric = metric
        self.encoding = encoding
        self.index = index
        self.dtype = dtype
        self.window = window
        self.prefetch = prefetch
        self.memory_limit = memory_limit
        self.random_state = random_state
        self.n_jobs = n_jobs

    # ---- building ------------------------------------------------------------------------------

    def fit(self, X: Any, ids: Any = None) -> MultiVector:
        """Hold items, forgetting what was held before.

        Parameters
        ----------
        X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
            Copied. Every item needs a vector.
        ids : array-like of shape (n,), int64 or str, default=None
            None gives 0, 1, …, n - 1.

        Returns
        -------
        self
        """
        kind, n_jobs = self._kind(), check_jobs(self.n_jobs)
        tokens = as_token_vectors(X)
        wanted = as_ids(ids, len(tokens))
        store = ItemStore(kind, self.metric, tokens.dim, no_ids_like(wanted))
        stage = self._new_stage(tokens.dim)
        _extend(store, stage, tokens, wanted, n_jobs)
        if stage is not None:
            stage.calibrate(store, None, self.random_state, n_jobs)
        self._store, self._stage = store, stage
        return self

    def add(self, X: Any, ids: Any = None) -> MultiVector:
        """Add items; on an index that holds nothing yet, the same as `fit`.

        Parameters
        ----------
        X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
        ids : array-like of shape (n,), int64 or str, default=None
            None continues after the largest int64 id ever used. An id that is there is refused.

        Returns
        -------
        self
        """
        if not hasattr(self, "_store"):
            return self.fit(X, ids)
        store = self._writable()
        tokens = as_token_vectors(X, dim=store.rows.dim, allow_empty=True)
        wanted = new_ids(store, ids, len(tokens))
        refuse_held(wanted, store.find(wanted) >= 0, "items")
        if len(tokens):
            n_jobs = check_jobs(self.n_jobs)
            _extend(store, self._stage, tokens, wanted, n_jobs)
            self._recalibrate(n_jobs)
        return self

    def upsert(self, X: Any, ids: Any) -> MultiVector:
        """Add items, replacing those whose ids are there already.

        Parameters
        ----------
        X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
        ids : array-like of shape (n,), int64 or str

        Returns
        -------
        self
        """
        if ids is None:
            raise ParameterError("upsert needs ids: it replaces items by id. To append use add(X).")
        if not hasattr(self, "_store"):
            return self.fit(X, ids)
        store, n_jobs = self._writable(), check_jobs(self.n_jobs)
        tokens = as_token_vectors(X, dim=store.rows.dim, allow_empty=True)
        wanted = new_ids(store, ids, len(tokens))
        # All that can be refused is refused before anything is taken away.
        encoded = encode(tokens.values, store.rows.kind, n_jobs=n_jobs)
        if store.rows.metric == "cosine":
            unit_rows(np.asarray(tokens.values, np.float32), name="X")
        del encoded
        there = store.find(wanted) >= 0
        if there.any():
            self.remove(wanted[there])
            store = self._store
        _extend(store, self._stage, tokens, wanted, n_jobs)
        self._recalibrate(n_jobs)
        return self

    def remove(self, ids: Any, missing: str = "raise") -> int:
        """Remove items by id.

        Parameters
        ----------
        ids : array-like of int64 or str
        missing : {"raise", "ignore"}, default="raise"
            What to do about ids that are not there. ``"raise"`` removes nothing then.

        Returns
        -------
        int
            The number of items removed.
        """
        check_choice("missing", missing, ("raise", "ignore"))
        store = self._writable()
        wanted = as_ids(ids)
        positions = store.find(wanted)
        absent = positions < 0
        if missing == "raise" and absent.any():
            raise ParameterError(
                name_absent(wanted[absent], "Nothing was removed; ")
                + " Pass missing='ignore' to remove the others."
            )
        if self._stage is not None and not absent.all():
            self._stage.index.remove(wanted[~absent])
        store.kill(positions[~absent])
        store.tidy(check_jobs(self.n_jobs))
        return int((~absent).sum())

    def calibrate(self, queries: Any) -> MultiVector:
        """Measure, with queries as they will come, how many candidates a recall needs.

        Parameters
        ----------
        queries : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
            A hundred or so. `fit` measured with items in the place of queries, of which queries of
            another kind may need more.

        Returns
        -------
        self

        Notes
        -----
        Cost: an exact search of the queries.
        """
        store = self._fitted()
        if self._stage is None:
            raise ParameterError("encoding=None has no candidates to measure: search is exact.")
        tokens = as_float_tokens(queries, name="queries", dim=store.rows.dim)
        self._stage.calibrate(store, tokens, self.random_state, check_jobs(self.n_jobs))
        return self

    # ---- searching -----------------------------------------------------------------------------

    def search(
        self,
        queries: Any,
        k: int = 10,
        where: Any = None,
        recall: float = 0.95,
        n_candidates: int | None = None,
        exact: bool = False,
        budget: int | None = None,
    ) -> Hits:
        """Return the k best items of each query.

        Parameters
        ----------
        queries : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
            For one query of m vectors pass ``[q]``.
        k : int, default=10
            Hits a query; where fewer items match the answer is padded.
        where : mask, ids, or a list of one filter a query, default=None
            As for `vectorloom.index.Exact.search`, of items.
        recall : float, default=0.95
            Share of the true best k that candidates are to hold, on average, by what was measured
            with items as queries (see `calibrate`). Counts where `n_candidates` is None.
        n_candidates : int or None, default=None
            Items that are scored exactly, instead.
        exact : bool, default=False
            Score all items.
        budget : int or None, default=None
            Score all items by their first `budget` vectors alone: for vectors that come in the
            order of their worth (`NestedMultiVector`, `nest_tokens`). What a budget reads is
            gathered at its first search and kept, so that it costs what so few vectors cost.

        Returns
        -------
        Hits
            ``metric`` is ``"maxsim"``, ``scores`` are MaxSim and ``distances`` minus that.

        Raises
        ------
        NotFittedError, ShapeError, ParameterError
        """
        store = self._fitted()
        k, n_jobs = check_count("k", k), check_jobs(self.n_jobs)
        tokens = as_float_tokens(queries, name="queries", dim=store.rows.dim)
        if store.rows.metric == "cosine":
            unit_rows(tokens.values, name="queries")
        width = min(k, store.n_live)
        cut = None if budget is None else self._cut(budget, n_candidates, n_jobs)
        depth = None if cut else self._depth(width, recall, n_candidates, exact)
        masks = position_masks(where, store.ids, store.live, len(tokens))
        if depth is None:

            def one(part: slice, mask: Mask) -> Found:
                some = tokens.part(part.start, part.stop)
                return (cut or store).search(some, width, mask, n_jobs)

            found = for_each_mask(one, len(tokens), width, masks)
        else:
            assert self._stage is not None
            found = two_stages(
                self._stage, store, tokens, depth, width, where, n_jobs, prefetch=self.prefetch
            )
        return self._hits(found, k)

    def _cut(self, budget: int, n_candidates: int | None, n_jobs: int | None) -> ItemStore:
        """Return the store of the first vectors of all items."""
        if n_candidates is not None:
            raise ParameterError(
                "budget= scores all items by few vectors and n_candidates= few items by all of "
                "theirs; pass one of the two, or rerank() the hits of a budget."
            )
        kept: Prefixes = self.__dict__.setdefault("_prefixes", Prefixes())
        return kept.store(self._store, check_count("budget", budget), n_jobs)

    def _estimated(self, tokens: TokenVectors, k: int, where: Any) -> Hits:
        """Return the k best items by int8 products alone: candidates for somebody else."""
        store, n_jobs = self._fitted(), check_jobs(self.n_jobs)
        width = min(k, store.n_live)
        masks = position_masks(where, store.ids, store.live, len(tokens))

        def one(part: slice, mask: Mask) -> Found:
            some = tokens.part(part.start, part.stop)
            return store.search(some, width, mask, n_jobs, estimate=True)

        return self._hits(for_each_mask(one, len(tokens), width, masks), k)

    def _depth(
        self, width: int, recall: float, n_candidates: int | None, exact: bool
    ) -> int | None:
        """Return how many candidates are scored; None for all items."""
        n = self._store.n_live
        if self._stage is None or exact or width == 0:
            return None
        if n_candidates is not None:
            return min(n, max(width, check_count("n_candidates", n_candidates)))
        depth = self._stage.depth(recall, width, n)
        return None if depth > _EXACT_SHARE * n else depth

    @property
    def nbytes_(self) -> int:
        """Bytes held in memory or mapped from a file."""
        stage, prefixes = self._stage, self.__dict__.get("_prefixes")
        more = 0 if stage is None else int(stage.index.nbytes_)
        return self._fitted().nbytes + more + (0 if prefixes is None else prefixes.nbytes)

    # ---- saving --------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to one file, which `vl.open` maps again: vectors stay on disk.

        Parameters
        ----------
        path : path-like
            Its folder must exist, and have room for the encodings twice for a while.
        """
        store, n_jobs = self._fitted(), check_jobs(self.n_jobs)
        if not store.rows.read_only:
            store.tidy(n_jobs, fully=True)
        params = {
            "metric": store.rows.metric,
            "encoding": None if self._stage is None else self._stage.name,
            "dtype": store.rows.kind,
            "window": self.window,
            "prefetch": self.prefetch,
            "memory_limit": self.memory_limit,
            "random_state": self.random_state,
            "n_jobs": self.n_jobs,
        }
        if self._stage is None:
            write_items(path, KIND, params, store, n_jobs, {}, {})
            return
        with packed(self._stage.index, "encodings", path) as (entry, arrays):
            meta = {"encodings": entry, "stage": self._stage.to_meta()}
            more = arrays | {"places": self._stage.places}
            write_items(path, KIND, params, store, n_jobs, meta, more)

    def copy(self) -> MultiVector:
        """Return a writable copy in memory; the way to change an index that `vl.open` opened."""
        twin = MultiVector(**self.get_params(deep=False))
        twin._store = self._fitted().copy()
        twin._stage = None if self._stage is None else self._stage.copy()
        return twin

    @classmethod
    def _from_container(cls, file: Container) -> MultiVector:
        index = cls(**file.meta["params"])
        index._store = read_items(file, index._kind(), index.metric)
        index._stage = None
        if index.encoding is not None:
            dense = unpacked(file, file.meta.get("encodings"), "encodings")
            places = file.array("places", "<i8", (None,))
            kind = WindowStage if index.encoding == WindowStage.name else CandidateStage
            stage = kind.opened(file.meta["stage"], dense, places, index.metric)
            index._stage, index.encoding = stage, stage.encoding
            index.window = getattr(stage, "size", index.window)
        return index

    # ---- inside --------------------------------------------------------------------------------

    def _kind(self) -> str:
        check_choice("metric", self.metric, ("cosine", "ip"))
        kind = resolve_kind(self.metric, self.dtype)
        check_choice("dtype", kind, _DTYPES)
        return kind

    def _new_stage(self, dim: int) -> CandidateStage | None:
        if self.encoding is None:
            return None
        if isinstance(self.encoding, str) and self.encoding == WindowStage.name:
            if self.index is not None:
                raise ParameterError(
                    "index= is for encodings; windows are kept in a MultiVector of their own. "
                    "Leave it out, or pass encoding='muvera'."
                )
            means = MultiVector(self.metric, encoding=None, dtype=self.dtype, n_jobs=self.n_jobs)
            return WindowStage(means, self.metric, check_count("window", self.window))
        return encoded_stage(self, dim)

    def _recalibrate(self, n_jobs: int | None) -> None:
        """Measure depth again when the index has doubled."""
        stage, store = self._stage, self._store
        if stage is not None and store.n_live > 2 * stage.n_calibrated:
            stage.calibrate(store, None, self.random_state, n_jobs)


def _extend(
    store: ItemStore,
    stage: CandidateStage | None,
    tokens: TokenVectors,
    ids: NDArray[Any],
    n_jobs: int | None,
) -> None:
    """Add items to both stages, or to none."""
    rows: Encoded = encode(tokens.values, store.rows.kind, n_jobs=n_jobs)
    if stage is not None:
        stage.extend(store, tokens, ids)
    try:
        store.extend(rows, tokens.offsets, ids, n_jobs)
    except BaseException:  # Ctrl-C as well: nothing half applied
        if stage is not None:
            stage.index.remove(ids)
        raise


register_loader(KIND, MultiVector._from_container)
