# SPDX-License-Identifier: Apache-2.0
"""Proximity graph: walk from neighbour to neighbour towards the query.

    open the nearest node that was not opened yet, score its neighbours, and end when it is
    further than  reach * d_k,  d_k the distance of the k-th nearest so far,

on short codes; what was found is scored again from the rows in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.index.answer import FindWithin, Found, for_each_mask, top
from vectorloom.index.dense.encoding import resolve_kind
from vectorloom.index.dense.graph_code import check_code, head_for, most_code_bytes
from vectorloom.index.dense.graph_memory import least_bytes, require_whole
from vectorloom.index.dense.graph_walk import Walk
from vectorloom.index.dense.prepared import filled, plain
from vectorloom.index.dense.proximity import ProximityGraph, kept_for
from vectorloom.index.dense.row_index import RowIndex
from vectorloom.index.dense.store import RowStore
from vectorloom.index.dense.stored import read_params, read_store
from vectorloom.index.effort import DEFAULT_RECALL, checked_effort, known_recall
from vectorloom.index.filters import Mask, QueryMasks
from vectorloom.index.hits import Hits
from vectorloom.index.memory import parse_bytes
from vectorloom.index.rowids import no_ids_like
from vectorloom.io.container import Container, register_loader

KIND = "index.graph"
# More new rows than this share of the graph's are not linked one by one: all is built anew.
_LARGEST_GROWTH = 0.25
# With fewer rows left than this share of those it was built of a graph is built anew.
_SMALLEST_REST = 0.5


class Graph(RowIndex):
    """Approximate index of a proximity graph: the fastest answer to one query at a time.

    Use it from some 50,000 rows on, where answers are to take microseconds; `IVF` is built faster
    and answers batches faster, and `Exact` is right always.

    Parameters
    ----------
    metric : {"cosine", "ip", "l2"}, default="cosine"
        ``"l2"`` is the squared Euclidean distance.
    degree : int, default=48
        Links of a row at most, 4 to 96, of 4 bytes each. More find more of what is hard to find,
        and cost memory and time.
    dtype : {"float32", "float16", "bfloat16", "int8", "uint8"}, default="float32"
        How rows are stored: answers are scored by the stored (rounded) rows.
    exact_below : int, default=4096
        Fewer rows than this have no graph and are searched whole.
    code : {"int4", "int8", "float32"} or None, default=None
        Of the elements that a walk scores nodes by. None takes "int4" above 120 dimensions, "int8"
        from 32 on, floats below.
    reduce : int, linear reducer, or its recipe, default=None
        What a walk sees of a row: so many principal directions, or what the components of a reducer
        span (``"pca:160"``, ``vl.compress.LeanVec(160)``). One that is fitted is used as it is, so
        fit `LeanVec` to sample queries where these are unlike the rows; another is fitted to rows.
        None takes as many principal directions as hold 90 % of the variance.
    memory_limit : int or str, default=None
        Bytes that the index and its build may hold, ``"4GB"`` or a number; None takes what there
        is. See Notes for what is then left in files.
    n_jobs : int or None, default=None
        Threads; None and -1 take all that the process is allowed.
    random_state : int, default=0
        Of the lists that neighbours are looked for in, and of the rows that calibrate; the same
        bits at any `n_jobs`.

    Attributes
    ----------
    ids_ : ndarray of shape (n,), int64 or object (str)
        Ids in the order of adding; an upserted row moves to the end.
    dim_ : int
        Dimensions of a vector.
    ntotal : int
        Rows; the same as ``len(index)``.
    nbytes_ : int
        Bytes held: rows, ids, norms, codes, links.

    Raises
    ------
    ParameterError
        From `fit`, `add` and `upsert`: unknown words, values that are not finite, zero vectors
        under cosine, bad ids. The index is then as it was.
    ShapeError
        Vectors or queries of another shape.
    CapacityError
        Not enough memory, or `memory_limit` less than links, codes and rows that are no file's
        take; said before it is taken where the system tells what is left.
    OSError
        From a build under `memory_limit`: no room in the folder of temporary files. The index is
        as it was.
    FormatError
        `fit` was given rows of a mapped file that became shorter since.

    See Also
    --------
    vectorloom.index.IVF : Quicker to build, and for batches of queries.
    vectorloom.index.Exact : The true nearest rows; faster than it looks.

    Notes
    -----
    Scores are those of `Exact`, in float64, and ties are in the order of ids: only which rows are
    looked at is approximate. How far a walk must reach for a recall is measured at `fit` with rows
    of the index as queries, each kept out of the walk; queries unlike the rows reach less, so
    measure on yours (`audit`). A recall that no walk reached is answered exactly.

    Equal rows are one node. Codes are of four bits over the leading principal directions, as many
    as hold 90 % of the variance; up to 120 dimensions they are of eight bits, up to 31 floats.

    Cost: to build, about n * 48 * 256 * dim int8 multiply-adds for candidates and as much again for
    pruning and a second round, and 17 * degree + 2 * dim bytes a row beside what stays, 4 * dim
    more where rows are no points as they lie (ip, other dtypes, lengths other than 1 under
    cosine). To search, a few hundred to a few thousand codes. Memory: 4 * degree + 64 to 256 bytes
    of code + 4 a row, beside the rows themselves, 16 bytes and their ids. Added rows are linked at
    once, or, where they are more than a quarter of the graph, with all others at the next search.
    Removed rows stay in the way until an eighth of the places is dead, or the index is saved,
    copied or pickled. Several threads may search at once; a change needs the index to itself.

    Under `memory_limit` the same graph is built. Rows that `fit` gets mapped from a file in the
    stored dtype (``np.load(path, mmap_mode="r")``, `vectorloom.read`) stay there where they and the
    build would take more: the file must then neither change nor go while the index is used, and
    the index is read-only until copied; `save` writes rows from file to file. Arrays of the build
    that do not fit are files without a name in the folder TMPDIR, about 17 * degree + 6 * dim bytes
    a row; that folder should be on a disk, not in memory. Pages of files do not count: the system
    drops them when it needs them. ``vectorloom.estimate(n, dim, task="graph")`` tells the least
    limit. Changes of the index and searches take what they need.

    References
    ----------
    .. [1] S. J. Subramanya et al., "DiskANN: fast accurate billion-point nearest neighbor search on
       a single node", NeurIPS 2019.
    .. [2] Y. Al-Jazzazi et al., "Distance adaptive beam search for provably accurate graph-based
       nearest neighbor search", 2025, arXiv:2505.15636.

    Examples
    --------
    >>> import numpy as np
    >>> import vectorloom as vl
    >>> x = np.random.default_rng(0).standard_normal((5000, 16), dtype=np.float32)
    >>> index = vl.index.Graph().fit(x)
    >>> index.search(x[:2], k=1).ids
    array([[0],
           [1]])
    """

    _kind = KIND
    _most_dead = 0.125

    def __init__(
        self,
        metric: str = "cosine",
        degree: int = 48,
        dtype: Any = "float32",
        exact_below: int = 4096,
        n_jobs: int | None = None,
        random_state: int = 0,
        memory_limit: int | str | None = None,
        code: str | None = None,
        reduce: Any = None,
    ) -> None:
        self.metric = metric
        self.degree = degree
        self.dtype = dtype
        self.exact_below = exact_below
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.memory_limit = memory_limit
        self.code = code
        self.reduce = reduce

    def fit(self, X: Any, ids: Any = None) -> Graph:
        """Hold `X`, forgetting what was held before, and build the graph.

        Parameters
        ----------
        X : array-like of shape (n, dim)
            Copied, or left in its file where it is mapped and `memory_limit` is too small for it.
        ids : array-like of shape (n,), int64 or str, default=None
            None gives 0, 1, …, n - 1.

        Returns
        -------
        self
        """
        require_whole(X)
        return super().fit(X, ids)

    @property
    def nbytes_(self) -> int:
        """Bytes held in memory or mapped from a file."""
        return self._fitted().nbytes + (0 if self._graph is None else self._graph.nbytes)

    def search(
        self,
        queries: Any,
        k: int = 10,
        ef: int | None = None,
        recall: float | None = None,
        where: Any = None,
        exact: bool = False,
        explain: bool = False,
    ) -> Hits:
        """Return the k nearest rows of each query among those that a walk meets.

        Parameters
        ----------
        queries : array-like of shape (n_queries, dim)
            float32 (anything numeric is converted). For one query pass ``q[None, :]``.
        k : int, default=10
            Hits a query; where fewer rows match the answer is padded.
        ef : int, default=None
            Nodes that a walk keeps and opens, the same for every query; at least k are. The usual
            knob of graphs.
        recall : float, default=None
            In place of `ef`: the share of true nearest neighbours to find, above 0 and up to 1, as
            measured at `fit`; each query then walks as far as it needs. With neither it is 0.95.
        where : mask, ids, or a list of one filter a query, default=None
            A boolean array of shape (n,) in the order of ``ids_``, or a list, set or array of ids,
            for all queries; a boolean array of shape (n_queries, n) or a list of n_queries filters,
            one for each. Ids that are not in the index match nothing.
        exact : bool, default=False
            Look at all rows.
        explain : bool, default=False
            Say in ``hits.plan`` how each query was answered.

        Returns
        -------
        Hits
            ``ids, scores = index.search(…)``. Always min(k, matches) hits, best first, ties by id:
            where a walk finds fewer, all rows are searched.

        Raises
        ------
        NotFittedError
            Nothing was fitted or added. (An index whose rows were all removed answers with none.)
        ShapeError, ParameterError
            Queries of another dimension, not finite, or zero under cosine; k or ef not a whole
            number above 0; recall outside its range; a filter of another length or type.

        Notes
        -----
        With a filter a walk goes through all rows and keeps those that match. It is chosen where it
        should cost less than a scan of the matching rows, and given up for that scan when it has
        cost as much: so a filter far from the query costs twice a scan at most.
        """
        if where is None and not exact and not explain:
            hits = self._at_once(queries, k, ef, recall)
            if hits is not None:
                return hits
        self._fitted()
        ef, wanted = checked_effort("ef", ef, recall)
        plan: list[str] = []

        def find(
            store: RowStore,
            packed: NDArray[Any],
            width: int,
            masks: Mask | QueryMasks,
            n_jobs: int | None,
        ) -> Found:
            graph = self._ready(n_jobs)
            reach = 0.0 if graph is None or ef is not None else graph.reaches.find(wanted, width)
            why = "exact: no graph"
            if exact or wanted == 1.0:
                why = "exact: as asked"
            elif reach is None:
                why = f"exact: no walk reached a recall of {wanted:g}"
            if graph is None or width == 0 or len(packed) == 0 or reach is None or exact:
                plan.extend([why] * len(packed))
                return top(store, packed, width, masks, n_jobs)
            walk = Walk(graph, store, width, ef or kept_for(width), reach, n_jobs, plan)
            return for_each_mask(
                lambda part, mask: walk.search(packed[part], mask), len(packed), width, masks
            )

        hits = self._answer(queries, k, where, find)
        return hits.explained(plan) if explain else hits

    # ---- inside --------------------------------------------------------------------------------

    def _at_once(self, queries: Any, k: int, ef: Any, recall: Any) -> Hits | None:
        """Return what one call of the core answers; None where there is more to check or to do."""
        graph = getattr(self, "_graph", None)
        if graph is None or not plain(self._store, queries, k):
            return None
        if known_recall(recall, ef):
            reach, ef = graph.reaches.find(recall or DEFAULT_RECALL, k), kept_for(k)
        else:
            reach = 0.0 if recall is None and type(ef) is int and ef > 0 else None
        if reach is None:
            return None
        answer = graph.answer(self._store, queries, k, ef, reach, self.n_jobs)
        return filled(answer, self._store.ids, self._store.metric)

    def _finder(self, recall: float | None, plan: list[str], n_jobs: int | None) -> FindWithin:
        graph = self._ready(n_jobs)
        reach = None if graph is None or recall is None else graph.reaches.for_ranges(recall)
        if graph is None or reach is None:
            return super()._finder(recall, plan, n_jobs)
        return Walk(graph, self._store, 0, 0, reach, n_jobs, plan).within

    def _stored_kind(self) -> str:
        check_choice("metric", self.metric, ("cosine", "ip", "l2"))
        kind = resolve_kind(self.metric, self.dtype)
        if not 4 <= check_count("degree", self.degree) <= 96:
            raise ParameterError(f"degree must be 4 to 96; got {self.degree}.")
        check_count("exact_below", self.exact_below, at_least=0)
        check_count("random_state", self.random_state, at_least=0)
        check_code(self.code, self.reduce)
        self._limit()
        return kind

    def _limit(self) -> int | None:
        return None if self.memory_limit is None else parse_bytes(self.memory_limit)

    def _new_store(self, dim: int, ids: NDArray[Any]) -> RowStore:
        store = RowStore(self._stored_kind(), self.metric, dim, no_ids_like(ids), None)
        limit, n = self._limit(), len(ids)
        if limit is not None:
            space = dim + (self.metric == "ip")
            n_threads = _core.resolve_jobs(check_jobs(self.n_jobs))
            code = most_code_bytes(self.code, self.reduce, space)
            least = least_bytes(n, space, self.degree, code, n_threads)
            store.most_bytes = max(0, limit - least - 32 * n)
        return store

    def _adopt(self, store: RowStore, n_jobs: int | None) -> None:
        graph = self._built(store, n_jobs)
        self._store, self._graph = store, graph

    def _built(self, store: RowStore, n_jobs: int | None) -> ProximityGraph | None:
        if store.n < max(1, self.exact_below):
            return None
        limit = self._limit()
        room = None if limit is None else max(0, limit - store.nbytes_in_memory)
        head = head_for(self.code, self.reduce, store)
        return ProximityGraph.build(store, self.degree, self.random_state, n_jobs, room, head)

    def _extended(self, n_jobs: int | None) -> None:
        graph, store = self._graph, self._store
        if graph is None:
            return
        if store.n - graph.n_rows > _LARGEST_GROWTH * graph.n_rows:
            self._graph = None
            return
        self._graph = None  # half extended, it must not be asked
        graph.extend(store, n_jobs)
        self._graph = graph

    def _compacted(self, keep: NDArray[np.int64]) -> None:
        graph, self._graph = self._graph, None
        few = graph is not None and len(keep) < _SMALLEST_REST * graph.n_built
        if graph is None or few or len(keep) < self.exact_below:
            return
        n_jobs = check_jobs(self.n_jobs)
        if graph.compact(keep, n_jobs):
            self._graph = graph
            # Walks pass fewer nodes now: what they find at a reach is measured anew.
            if graph.n_rows == self._store.n:
                graph.calibrate(self._store, self.random_state, n_jobs)

    def _ready(self, n_jobs: int | None) -> ProximityGraph | None:
        """Return the graph, built where it is missing; None where there is to be none."""
        if self._graph is None:
            self._graph = self._built(self._store, n_jobs)
        return self._graph

    def _health(self) -> dict[str, float]:
        return {} if self._graph is None else self._graph.health()

    def __getstate__(self) -> dict[str, Any]:
        # What a copy holds are the living rows; rewritten first, both answer alike.
        if hasattr(self, "_store") and not self._store.read_only:
            self._tidy(check_jobs(self.n_jobs), fully=True)
        return dict(self.__dict__)

    def copy(self) -> Graph:
        """Return a writable copy in memory; the way to change an index that `vl.open` opened.

        Returns
        -------
        Graph
        """
        if not self._fitted().read_only:
            self._tidy(check_jobs(self.n_jobs), fully=True)
        twin = super().copy()
        twin._graph = None if self._graph is None else self._graph.copy()
        return twin

    def _fitted_params(self) -> dict[str, Any]:
        return {"metric": self._store.metric, "dtype": self._store.kind}

    def _more(self) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]:
        graph = self._ready(None)
        if graph is None or self._store.n != self._store.n_live:
            return {"graph": None}, {}
        meta, arrays = graph.to_file()
        return {"graph": dict(meta)}, arrays

    @classmethod
    def _from_container(cls, file: Container) -> Graph:
        index = cls(**read_params(file))
        store = read_store(file, index._stored_kind(), index.metric, None)
        meta = file.meta["graph"]
        index._store = store
        index._graph = (
            None if meta is None else ProximityGraph.from_file(file, meta, store, index._limit())
        )
        return index


register_loader(KIND, Graph._from_container)
