# SPDX-License-Identifier: Apache-2.0
"""Exact search: the true nearest rows, always."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import Estimator, check_choice, check_count, check_jobs
from vectorloom.index.answer import checked_queries, top, within
from vectorloom.index.encoding import encode, resolve_kind
from vectorloom.index.filters import position_masks
from vectorloom.index.hits import Hits, RangeHits, distances_from_scores, narrow_scores, pad_hits
from vectorloom.index.memory import require_memory
from vectorloom.index.rowids import no_ids_like
from vectorloom.index.store import RowStore
from vectorloom.index.stored import read_store, write_store
from vectorloom.io.container import Container, register_loader
from vectorloom.vectors import as_ids

KIND = "index.exact"
# Asking the system for room reads a dozen files, 0.35 ms: more than a small search takes.
_WORTH_ASKING = 8 << 20


class Exact(Estimator):
    """Exact nearest-neighbour index: the true top k of every query, ties by id.

    Use it up to a few million vectors, for ground truth, and wherever an answer must not be missed.
    For more vectors or tighter latency use an approximate index, and measure it against this one.

    Parameters
    ----------
    metric : {"cosine", "ip", "l2", "hamming"}, default="cosine"
        ``"l2"`` is the squared Euclidean distance. ``"hamming"`` counts differing bits.
    dtype : {"float32", "float16", "bfloat16", "int8", "uint8", "bits"}, default="float32"
        How rows are stored: 4, 2, 2, 1, 1 and 1/8 bytes a dimension. Search is exact with respect
        to the stored (rounded) rows. Anything but int8 input is quantised to int8 one row at a time
        (scale max|x| / 127). uint8 takes whole numbers from 0 to 255. Under hamming it is bits.
    screen : {"auto", "int8"} or None, default="auto"
        A second, int8 copy of the rows (1 byte a dimension) that makes batches several times
        faster. It only proposes candidates, under a proven error bound, so answers never depend on
        it. ``"auto"`` builds it for 4,096 float rows or more, ``"int8"`` for any number, None
        never.
    n_jobs : int or None, default=None
        Threads; None and -1 take all that the process is allowed.

    Attributes
    ----------
    ids_ : ndarray of shape (n,), int64 or object (str)
        Ids in the order of rows: that of adding; an upserted row moves to the end.
    dim_ : int
        Dimensions of a vector.
    ntotal : int
        Rows; the same as ``len(index)``.
    nbytes_ : int
        Bytes held in memory (or mapped from a file): rows, ids, norms, screen, spare room.

    Raises
    ------
    ParameterError
        From `fit`, `add` and `upsert`: unknown words, values that are not finite, zero vectors
        under cosine, bad ids. The index is then as it was.
    ShapeError
        Vectors or queries of another shape.
    CapacityError
        Not enough memory; said before it is taken where the system tells what is left.

    Notes
    -----
    Scores are computed in float32 or int8 with an error bound; whatever could still belong to the
    top k is scored again in float64, and rows are ordered by that score, then by id (numbers by
    value, str by code points). The answer is therefore the same bits at any thread count and with
    any screen. Cost: n * dim a query; memory ``n * dim * itemsize``, 8 to 16 bytes a row beside it,
    and ``n * dim`` for the screen. Several threads may search at once; a change needs the index to
    itself.

    Examples
    --------
    >>> import vectorloom as vl
    >>> index = vl.index.Exact(metric="cosine").fit([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    >>> ids, scores = index.search([[1.0, 0.1]], k=2)
    >>> ids
    array([[0, 2]])
    >>> index.remove([0])
    1
    >>> index.search([[1.0, 0.1]], k=2).ids
    array([[2, 1]])
    """

    def __init__(
        self,
        metric: str = "cosine",
        dtype: Any = "float32",
        screen: str | None = "auto",
        n_jobs: int | None = None,
    ) -> None:
        self.metric = metric
        self.dtype = dtype
        self.screen = screen
        self.n_jobs = n_jobs

    # ---- building ------------------------------------------------------------------------------

    def fit(self, X: Any, ids: Any = None) -> Exact:
        """Hold `X`, forgetting what was held before.

        Parameters
        ----------
        X : array-like of shape (n, dim)
            Copied. bool (n, dim) or packed uint8 (n, dim / 8) under hamming. Zero rows are fine.
        ids : array-like of shape (n,), int64 or str, default=None
            None gives 0, 1, …, n - 1.

        Returns
        -------
        self
        """
        kind = resolve_kind(self.metric, self.dtype)
        policy = self._screen_policy(kind)
        n_jobs = check_jobs(self.n_jobs)
        rows = encode(X, kind, n_jobs=n_jobs)
        wanted = as_ids(ids, len(rows.values))
        store = RowStore(kind, self.metric, rows.dim, no_ids_like(wanted), policy)
        store.extend(rows, wanted, np.empty(0, np.int64), "X", n_jobs)
        self._store = store
        return self

    def add(self, X: Any, ids: Any = None) -> Exact:
        """Add rows; on an index that holds nothing yet, the same as `fit`.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        ids : array-like of shape (n,), int64 or str, default=None
            None continues after the largest int64 id ever used, so that an id never comes back as
            another row. An id that is there already is refused; `upsert` replaces it.

        Returns
        -------
        self

        Notes
        -----
        Memory grows by a quarter at a time, and the screen is extended, not rebuilt.
        """
        if not hasattr(self, "_store"):
            return self.fit(X, ids)
        store, n_jobs = self._writable(), check_jobs(self.n_jobs)
        rows = encode(X, store.kind, dim=store.dim, n_jobs=n_jobs)
        wanted = self._new_ids(ids, len(rows.values))
        clash = store.find(wanted) >= 0
        if clash.any():
            first = wanted[clash].tolist()[0]
            raise ParameterError(
                f"ids has {int(clash.sum())} that are in the index already, first {first!r}; add "
                "takes new ids. Use upsert(X, ids) to replace rows."
            )
        store.extend(rows, wanted, np.empty(0, np.int64), "X", n_jobs)
        return self

    def upsert(self, X: Any, ids: Any) -> Exact:
        """Add rows, replacing those whose ids are there already.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        ids : array-like of shape (n,), int64 or str

        Returns
        -------
        self

        Notes
        -----
        A replaced row moves to the end of ``ids_``. When more than a third of the places are dead
        all rows are rewritten, which takes a copy's memory for a moment.
        """
        if ids is None:
            raise ParameterError(
                "upsert needs ids: it replaces rows by id. To append rows use add(X)."
            )
        if not hasattr(self, "_store"):
            return self.fit(X, ids)
        store, n_jobs = self._writable(), check_jobs(self.n_jobs)
        rows = encode(X, store.kind, dim=store.dim, n_jobs=n_jobs)
        wanted = self._new_ids(ids, len(rows.values))
        old = store.find(wanted)
        store.extend(rows, wanted, old[old >= 0], "X", n_jobs)
        store.tidy(n_jobs)
        return self

    def remove(self, ids: Any, missing: str = "raise") -> int:
        """Remove rows by id.

        Parameters
        ----------
        ids : array-like of int64 or str
        missing : {"raise", "ignore"}, default="raise"
            What to do about ids that are not there. ``"raise"`` removes nothing then.

        Returns
        -------
        int
            The number of rows removed.

        Notes
        -----
        Marks the rows, and rewrites all when more than a third are marked; `save` always does.
        """
        check_choice("missing", missing, ("raise", "ignore"))
        store, n_jobs = self._writable(), check_jobs(self.n_jobs)
        wanted = as_ids(ids)
        positions = store.find(wanted)
        absent = positions < 0
        if missing == "raise" and absent.any():
            raise ParameterError(
                self._absent(wanted[absent], "Nothing was removed; ")
                + " Pass missing='ignore' to remove the others."
            )
        found = positions[~absent]
        store.kill(found)
        store.tidy(n_jobs)
        return len(found)

    # ---- reading -------------------------------------------------------------------------------

    def get(self, ids: Any) -> NDArray[Any]:
        """Return vectors by id.

        Parameters
        ----------
        ids : array-like of shape (m,), int64 or str

        Returns
        -------
        ndarray of shape (m, dim)
            In the order asked. float32: the vectors as they came. float16, bfloat16, int8: decoded
            to float32, with the rounding of the storage. uint8: uint8. bits: bool.

        Raises
        ------
        ParameterError
            An id that is not there.
        """
        store = self._fitted()
        wanted = as_ids(ids, unique=False)
        positions = store.find(wanted)
        if (positions < 0).any():
            raise ParameterError(self._absent(wanted[positions < 0]))
        return store.decoded(positions)

    @property
    def ids_(self) -> NDArray[Any]:
        """Ids in the order of rows, shape (n,), int64 or object; a copy."""
        store = self._fitted()
        return store.ids.take(store.live_positions)

    @property
    def dim_(self) -> int:
        """Dimensions of a vector."""
        return self._fitted().dim

    @property
    def ntotal(self) -> int:
        """Rows held."""
        return len(self)

    @property
    def nbytes_(self) -> int:
        """Bytes held in memory or mapped from a file."""
        return self._fitted().nbytes

    def __len__(self) -> int:
        return self._store.n_live if hasattr(self, "_store") else 0

    def __contains__(self, id_: object) -> bool:
        if not hasattr(self, "_store") or isinstance(id_, bool | float):
            return False
        try:
            return bool((self._store.find(as_ids([id_])) >= 0).all())
        except ParameterError:
            return False

    # ---- searching -----------------------------------------------------------------------------

    def search(self, queries: Any, k: int = 10, where: Any = None, exact: bool = True) -> Hits:
        """Return the k nearest rows of each query.

        Parameters
        ----------
        queries : array-like of shape (n_queries, dim)
            float32 (anything numeric is converted), or bool or packed uint8 under hamming. For one
            query pass ``q[None, :]``.
        k : int, default=10
            Hits a query; where fewer rows match the answer is padded.
        where : mask, ids, or a list of one filter a query, default=None
            A boolean array of shape (n,) in the order of ``ids_``, or a list, set or array of ids,
            for all queries; a boolean array of shape (n_queries, n) or a list of n_queries filters,
            one for each. Ids that are not in the index match nothing.
        exact : bool, default=True
            Every index takes it; this one is exact either way.

        Returns
        -------
        Hits
            ``ids, scores = index.search(…)``. Always min(k, matches) hits, best first, ties by id.

        Raises
        ------
        NotFittedError
            Nothing was fitted or added. (An index whose rows were all removed answers with none.)
        ShapeError, ParameterError
            Queries of another dimension, not finite, or zero under cosine; k not a whole number
            above 0; a filter of another length or type.

        Notes
        -----
        Cost: n * dim a query; batches share the reading of the rows, so pass queries together.
        Filters that leave less than one row in 16 cost only the rows that they leave.
        """
        del exact
        store = self._fitted()
        k = check_count("k", k)
        n_jobs = check_jobs(self.n_jobs)
        packed = checked_queries(queries, store)
        masks = position_masks(where, store.ids, store.live, len(packed))
        width = min(k, store.n_live)
        need = len(packed) * (k * 24 + width * 16)
        if need > _WORTH_ASKING:
            require_memory(
                need,
                f"{len(packed):,} answers of k={k:,}",
                "Ask for fewer hits or fewer queries at once.",
            )
        positions, scores, counts = top(store, packed, width, masks, n_jobs)
        ids = store.ids.take(positions[positions >= 0])
        return pad_hits(ids, positions, scores, counts, k, store.metric)

    def range_search(self, queries: Any, radius: Any, where: Any = None) -> RangeHits:
        """Return every row within a distance of each query.

        Parameters
        ----------
        queries : array-like of shape (n_queries, dim)
        radius : float, or array-like of shape (n_queries,)
            The largest distance of a hit, for every metric: cosine 1 - cosine, ip minus the inner
            product (so inner product >= 5 is radius -5), l2 the squared distance, hamming bits.
        where : mask, ids, or a list of one filter a query, default=None
            As for `search`.

        Returns
        -------
        RangeHits
            ``lims, distances, ids = …`` with ``distances <= radius`` (as float32), best first.
        """
        store = self._fitted()
        n_jobs = check_jobs(self.n_jobs)
        packed = checked_queries(queries, store)
        limits = _radii(radius, len(packed))
        masks = position_masks(where, store.ids, store.live, len(packed))
        lims, positions, scores = within(store, packed, limits, masks, n_jobs)
        return RangeHits(
            lims,
            distances_from_scores(scores, store.metric),
            store.ids.take(positions),
            narrow_scores(scores),
            store.metric,
        )

    # ---- saving --------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to one file, which `vl.open` maps again.

        Parameters
        ----------
        path : path-like
            Its folder must exist. An older file there is replaced in one step, at the very end.

        Raises
        ------
        OSError
            No such folder, no permission, disk full: an older file is as it was.

        Notes
        -----
        Removed rows are never written: all rows are rewritten first where some are marked. Takes no
        memory otherwise.
        """
        store, n_jobs = self._fitted(), check_jobs(self.n_jobs)
        if not store.read_only:
            store.tidy(n_jobs, fully=True)
        # As fitted: parameters that were set since then count from the next fit on.
        fitted = {"metric": store.metric, "dtype": store.kind, "screen": store.policy}
        write_store(path, KIND, self.get_params() | fitted, store, n_jobs)

    @classmethod
    def _from_container(cls, file: Container) -> Exact:
        index = cls(**file.meta["params"])
        kind = resolve_kind(index.metric, index.dtype)
        index._store = read_store(file, kind, index.metric, index._screen_policy(kind))
        return index

    def copy(self) -> Exact:
        """Return a writable copy in memory; the way to change an index that `vl.open` opened.

        Returns
        -------
        Exact
        """
        twin = type(self)(**self.get_params(deep=False))
        twin._store = self._fitted().copy()
        return twin

    # ---- inside --------------------------------------------------------------------------------

    def _fitted(self) -> RowStore:
        self._check_fitted("_store")
        return self._store

    def _writable(self) -> RowStore:
        store = self._fitted()
        if store.read_only:
            raise ParameterError(
                "this index was opened from a file and is read-only. Change index.copy(), then "
                "save that."
            )
        return store

    def _screen_policy(self, kind: str) -> str | None:
        if self.screen is not None:
            if self.screen not in ("auto", "int8"):
                raise ParameterError(f"screen must be 'auto', 'int8' or None; got {self.screen!r}.")
            if self.screen == "int8" and kind not in ("float32", "float16", "bfloat16"):
                raise ParameterError(
                    f"screen='int8' is for float rows; these are stored as {kind}, which is as "
                    "fast to scan. Pass screen='auto'."
                )
        return self.screen

    def _new_ids(self, ids: Any, n: int) -> NDArray[Any]:
        store = self._store
        if ids is None:
            if store.ids.dtype == "str":
                raise ParameterError("this index has str ids, which cannot be made up; pass ids.")
            if store.next_id + n > np.iinfo(np.int64).max:
                raise ParameterError("there are no int64 ids left after the largest one; pass ids.")
            return np.arange(store.next_id, store.next_id + n, dtype=np.int64)
        wanted = as_ids(ids, n)
        if store.n == 0 and store.next_id == 0:
            store.ids = no_ids_like(wanted)  # nothing was held yet that could fix their type
        elif len(wanted) and (wanted.dtype == np.int64) != (store.ids.dtype == "int64"):
            got = "int64" if wanted.dtype == np.int64 else "str"
            raise ParameterError(
                f"ids are {got} and this index has {store.ids.dtype} ids; ids must be of one type."
            )
        return wanted

    def _absent(self, ids: NDArray[Any], what: str = "") -> str:
        shown = ", ".join(map(repr, ids[:5].tolist())) + (", …" if len(ids) > 5 else "")
        plural = "ids are" if len(ids) > 1 else "id is"
        return f"{what}{len(ids)} {plural} not in this index: {shown}."


def _radii(radius: Any, n_queries: int) -> NDArray[np.float64]:
    try:
        radii = np.asarray(radius, dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(
            f"radius must be a number or one number a query; got {radius!r}."
        ) from None
    if radii.ndim > 1 or (radii.ndim == 1 and len(radii) != n_queries):
        raise ShapeError(
            f"radius must be a number or one number a query: {n_queries} queries came with shape "
            f"{radii.shape}."
        )
    if np.isnan(radii).any():
        raise ParameterError("radius is NaN; a distance is expected (inf for all rows).")
    return np.broadcast_to(radii, (n_queries,))


register_loader(KIND, Exact._from_container)
