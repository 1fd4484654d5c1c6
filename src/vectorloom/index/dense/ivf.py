# SPDX-License-Identifier: Apache-2.0
"""Inverted lists: search the few groups of rows whose centroids are nearest.

    L(q) = the p lists whose centroids are nearest to q,   answer = top k of { x : l(x) in L(q) },

within which codes propose and float64 scores decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count
from vectorloom.index.answer import FindWithin, Found, Ranged, for_each_mask, top
from vectorloom.index.dense.coded_store import CodedStore, read_coded
from vectorloom.index.dense.graph_memory import require_whole
from vectorloom.index.dense.ivf_code import codec_of
from vectorloom.index.dense.ivf_probing import probed, ranged
from vectorloom.index.dense.lists import InvertedLists, Layout
from vectorloom.index.dense.lists_file import read_lists, to_file
from vectorloom.index.dense.lists_memory import (
    ROW_BYTES,
    build_bytes,
    default_lists,
    list_bytes,
    place_bytes,
    widest_head,
)
from vectorloom.index.dense.prepared import filled, plain
from vectorloom.index.dense.row_index import RowIndex
from vectorloom.index.dense.store import RowStore
from vectorloom.index.dense.stored import read_params, read_store
from vectorloom.index.effort import DEFAULT_RECALL, checked_effort, known_recall
from vectorloom.index.filters import Mask, QueryMasks
from vectorloom.index.hits import Hits
from vectorloom.index.memory import beyond_memory, parse_bytes, require_memory
from vectorloom.index.rowids import no_ids_like
from vectorloom.io.container import Container, register_loader

KIND = "index.ivf"
#: Fewer rows than this are searched whole as fast.
MIN_ROWS = 4096
_LARGEST = 1e15  # norm of a row


class IVF(RowIndex):
    """Approximate index of inverted lists (IVF): fast to build, fast for batches of queries.

    Use it from some 50,000 rows on when a recall of 0.9 to 0.99 will do; below that, or where no
    answer may be missed, `Exact` is as fast or right.

    Parameters
    ----------
    metric : {"cosine", "ip", "l2"}, default="cosine"
        ``"l2"`` is the squared Euclidean distance.
    n_lists : int or None, default=None
        Groups of rows. None takes 1.4 sqrt(n), and none below 4,096 rows, which are searched whole.
        A number needs four rows a list; until there are so many, all are searched whole.
    dtype : {"float32", "float16", "bfloat16", "int8"}, default="float32"
        How rows are kept for the final scores; see `Exact` for what each rounds.
    rerank : bool, default=True
        False keeps the codes alone: a quarter of the memory or less. A row is then what its code
        decodes to, in scores and in `get`; `dtype` is not used.
    code : {"int8", "int4"}, compressor, or its recipe, default=None
        Of a row. "int8" is a byte a dimension; "int4" is half a byte for all but the leading
        directions. None takes "int8" where rows are kept as well and "int4" where they are not.
        Any quantizer of `vectorloom.compress` makes codes smaller than these, such as
        ``"pq:48"`` or ``PCA(96) | RaBitQ(bits=2)``: a copy of it is fitted to what rows leave
        beside their centroid. It is slower.
    spill : bool or None, default=None
        Put each row into a second list too. The same recall then takes a third to a half fewer
        rows, and the codes twice the memory. None does so where rows are kept, codes are not a
        compressor's, and `memory_limit` leaves room.
    memory_limit : int or str, default=None
        Bytes that the index and its build may hold, ``"4GB"`` or a number; None takes what there
        is. See Notes for what is then left in files.
    n_jobs : int or None, default=None
        Threads; None and -1 take all that the process is allowed.
    random_state : int, default=0
        Of the centroids and of the sample that calibrates; the same bits at any `n_jobs`.

    Attributes
    ----------
    ids_ : ndarray of shape (n,), int64 or object (str)
        Ids in the order of adding; an upserted row moves to the end.
    dim_ : int
        Dimensions of a vector.
    ntotal : int
        Rows; the same as ``len(index)``.
    n_lists_ : int
        Lists in use; 0 while rows are searched whole.
    nbytes_ : int
        Bytes held: rows, ids, norms, codes, centroids.

    Raises
    ------
    ParameterError
        From `fit`, `add` and `upsert`: unknown words, values that are not finite, zero vectors
        under cosine, bad ids. The index is then as it was.
    ShapeError
        Vectors or queries of another shape.
    CapacityError
        Not enough memory, or `memory_limit` less than codes and rows that are no file's take; said
        before it is taken where the system tells what is left.
    FormatError
        `fit` was given rows of a mapped file that became shorter since.

    See Also
    --------
    vectorloom.index.Exact : The true nearest rows; faster than it looks.

    Notes
    -----
    Scores are those of `Exact` for the rows as they are kept, in float64 (without `rerank`: of what
    codes decode to, within float32 rounding), and ties are in the order of ids. What is approximate
    is which lists are looked at, and a bound on codes that loses a tenth of what the recall may
    miss; with ``nprobe=n_lists`` nothing is. How many lists reach a recall is measured at `fit`
    with rows of the index as queries; queries unlike the rows reach less, so measure on yours.

    Cost: to build, 10 iterations of k-means on at most 48 rows a list, n * n_lists * dim bfloat16
    multiply-adds to assign and n * dim**2 to code; to search, (n_lists + dim) * dim, and of the
    rows of the probed lists the leading directions of the code for most.

    Memory a row, where h leading directions were found worth a byte (about dim / 2): 4 * dim + 18
    for the row and its id, and dim + 20 for the code at each place it stands, two by default.
    Without `rerank` h + (dim - h) / 2 + 40. Building takes some 60 bytes a row beside that.

    Under `memory_limit`, rows that `fit` gets mapped from a file in the stored dtype
    (``np.load(path, mmap_mode="r")``, `vectorloom.read`) stay there where they and the build would
    take more: codes are in memory, and a search reads the rows of some 15 to 30 places for 10 hits,
    all at once. The file must then neither change nor go while the index is used, and the index is
    read-only until copied; `save` writes rows from file to file. Without `rerank` the file is read
    by `fit` alone. An opened file larger than the limit, or than half of the memory left, is
    searched in the same way. Pages of files do not count: the system drops them when it needs
    them. ``vectorloom.estimate(n, dim, task="ivf")`` tells what is needed.

    Added rows are scanned by every query until they are an eighth of the index, then they join
    their lists; centroids stay, so call `fit` again when the data has moved.

    References
    ----------
    .. [1] H. Jegou, M. Douze and C. Schmid, "Product quantization for nearest neighbor search",
       IEEE TPAMI 33 (2011), doi:10.1109/TPAMI.2010.57.
    .. [2] J. Sivic and A. Zisserman, "Video Google: a text retrieval approach to object matching
       in videos", ICCV 2003.
    .. [3] P. Sun et al., "SOAR: Improved Indexing for Approximate Nearest Neighbor Search",
       NeurIPS 2023, arXiv:2404.00774.

    Examples
    --------
    >>> import numpy as np
    >>> import vectorloom as vl
    >>> x = np.random.default_rng(0).standard_normal((5000, 16), dtype=np.float32)
    >>> index = vl.index.IVF().fit(x)
    >>> index.n_lists_
    99
    >>> index.search(x[:2], k=1).ids
    array([[0],
           [1]])
    """

    _kind = KIND

    def __init__(
        self,
        metric: str = "cosine",
        n_lists: int | None = None,
        dtype: str = "float32",
        rerank: bool = True,
        code: Any = None,
        spill: bool | None = None,
        n_jobs: int | None = None,
        random_state: int = 0,
        memory_limit: int | str | None = None,
    ) -> None:
        self.metric = metric
        self.n_lists = n_lists
        self.dtype = dtype
        self.rerank = rerank
        self.code = code
        self.spill = spill
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.memory_limit = memory_limit

    def fit(self, X: Any, ids: Any = None) -> IVF:
        """Hold `X`, forgetting what was held before, and build the lists.

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
    def n_lists_(self) -> int:
        """Lists in use; 0 while rows are searched whole."""
        self._fitted()
        return 0 if self._lists is None else len(self._lists)

    @property
    def nbytes_(self) -> int:
        """Bytes held in memory or mapped from a file."""
        return self._fitted().nbytes + (0 if self._lists is None else self._lists.nbytes)

    def search(
        self,
        queries: Any,
        k: int = 10,
        nprobe: int | None = None,
        recall: float | None = None,
        where: Any = None,
        exact: bool = False,
        explain: bool = False,
    ) -> Hits:
        """Return the k nearest rows of each query among those of the nearest lists.

        Parameters
        ----------
        queries : array-like of shape (n_queries, dim)
            float32 (anything numeric is converted). For one query pass ``q[None, :]``.
        k : int, default=10
            Hits a query; where fewer rows match the answer is padded.
        nprobe : int, default=None
            Lists to look at, at least 1; more than there are is all.
        recall : float, default=None
            In place of `nprobe`: the share of true nearest neighbours to find, above 0 and up to 1,
            as measured at `fit` on the 10 nearest, or on 100 where k is above 10. With neither it
            is 0.95.
        where : mask, ids, or a list of one filter a query, default=None
            A boolean array of shape (n,) in the order of ``ids_``, or a list, set or array of ids,
            for all queries; a boolean array of shape (n_queries, n) or a list of n_queries filters,
            one for each. Ids that are not in the index match nothing.
        exact : bool, default=False
            Look at all lists.
        explain : bool, default=False
            Say in ``hits.plan`` how each query was answered.

        Returns
        -------
        Hits
            ``ids, scores = index.search(…)``. Always min(k, matches) hits, best first, ties by id:
            where the probed lists hold fewer, all rows are searched.

        Raises
        ------
        NotFittedError
            Nothing was fitted or added. (An index whose rows were all removed answers with none.)
        ShapeError, ParameterError
            Queries of another dimension, not finite, or zero under cosine; k or nprobe not a whole
            number above 0; recall outside its range; a filter of another length or type.

        Notes
        -----
        Batches share the reading of lists, so pass queries together. Filters that leave less than
        one row in 16 are answered exactly from the rows that they leave.
        """
        if where is None and not exact and not explain:
            hits = self._at_once(queries, k, nprobe, recall)
            if hits is not None:
                return hits
        self._fitted()
        nprobe, wanted = checked_effort("nprobe", nprobe, recall)
        plan: list[str] = []

        def find(
            store: RowStore,
            packed: NDArray[Any],
            width: int,
            masks: Mask | QueryMasks,
            n_jobs: int | None,
        ) -> Found:
            lists = self._ready(n_jobs)
            if lists is None or width == 0 or len(packed) == 0:
                plan.extend(["exact: no lists"] * len(packed))
                return top(store, packed, width, masks, n_jobs)
            n_probes = 0 if nprobe is None else min(nprobe, len(lists))
            if exact or wanted == 1.0:
                n_probes = len(lists)
            probing = lists.probing(n_probes, wanted, k)
            said = f"{n_probes} lists" if n_probes else f"lists for a recall of {wanted:g}"
            if n_probes == len(lists):
                said = "exact: all lists"

            def one(part: slice, mask: Mask) -> Found:
                found, ways = probed(store, lists, packed[part], probing, width, mask, n_jobs)
                plan.extend(said if way == "" else way for way in ways)
                return found

            return for_each_mask(one, len(packed), width, masks)

        hits = self._answer(queries, k, where, find)
        return hits.explained(plan) if explain else hits

    # ---- inside --------------------------------------------------------------------------------

    def _at_once(self, queries: Any, k: int, nprobe: Any, recall: Any) -> Hits | None:
        """Return what one call of the core answers; None where there is more to check or to do."""
        lists = getattr(self, "_lists", None)
        if lists is None or not plain(self._store, queries, k):
            return None
        if known_recall(recall, nprobe):
            probing = lists.probing(0, recall or DEFAULT_RECALL, k)
        elif recall is None and type(nprobe) is int and nprobe > 0:
            probing = lists.probing(min(nprobe, len(lists)), DEFAULT_RECALL, k)
        else:
            return None
        answer = lists.answer(self._store, queries, probing, k, self.n_jobs)
        return filled(answer, self._store.ids, self._store.metric)

    def _finder(self, recall: float | None, plan: list[str], n_jobs: int | None) -> FindWithin:
        lists = self._ready(n_jobs)

        def find(queries: NDArray[Any], least: NDArray[np.float64], mask: Mask) -> Ranged:
            found, way = ranged(self._store, lists, queries, least, recall, mask, n_jobs)
            plan.extend([way] * len(queries))
            return found

        return find

    def _stored_kind(self) -> str:
        check_choice("metric", self.metric, ("cosine", "ip", "l2"))
        if self.n_lists is not None:
            check_count("n_lists", self.n_lists)
        check_count("random_state", self.random_state, at_least=0)
        self._limit()
        check_choice("dtype", self.dtype, ("float32", "float16", "bfloat16", "int8"))
        codec_of(self.code, self.spill, self.n_jobs)
        for name in ("rerank", "spill"):
            value = getattr(self, name)
            if not isinstance(value, bool) and not (name == "spill" and value is None):
                raise ParameterError(f"{name} must be True or False; got {value!r}.")
        return self.dtype if self.rerank else "float32"

    def _new_store(self, dim: int, ids: NDArray[Any]) -> RowStore:
        store: RowStore
        if self.rerank:
            store = RowStore(self.dtype, self.metric, dim, no_ids_like(ids), None)
        else:
            store = CodedStore(self.metric, dim, no_ids_like(ids))
        limit = self._limit()
        if limit is not None:
            store.most_bytes = max(0, limit - self._least_bytes(len(ids), dim, spill=False))
        return store

    def _limit(self) -> int | None:
        return None if self.memory_limit is None else parse_bytes(self.memory_limit)

    def _least_bytes(self, n: int, dim: int, *, spill: bool) -> int:
        """Return what lists, their build, ids and norms take at most: all but the rows."""
        n_lists = self.n_lists or default_lists(n)
        place = place_bytes(dim, widest_head(dim), self._bits, spill, self.metric == "l2")
        lists = list_bytes(n, dim, n_lists, place, spill)
        return build_bytes(n, dim, n_lists, spill, lists) + ROW_BYTES * n

    def _layout(self, n: int, dim: int) -> Layout:
        spill, limit = self.spill, self._limit()
        if spill is None:
            fits = limit is None or self._least_bytes(n, dim, spill=True) <= limit
            spill = self.rerank and fits
        return Layout(spill, self._bits, not self.rerank)

    @property
    def _bits(self) -> int:
        code = self.code or ("int8" if self.rerank else "int4")
        return 8 if code == "int8" else 4

    def _adopt(self, store: RowStore, n_jobs: int | None) -> None:
        lists = self._trained(store, n_jobs)
        _settle(store, lists)
        self._store, self._lists = store, lists

    def _trained(self, store: RowStore, n_jobs: int | None) -> InvertedLists | None:
        n_lists = self.n_lists
        if n_lists is None:
            n_lists = 0 if store.n < MIN_ROWS else default_lists(store.n)
        if n_lists == 0 or store.n < 4 * n_lists:
            return None
        norms = store.row_norms
        if norms is not None and norms.max() > _LARGEST:  # squares would leave float32
            return None
        codec = codec_of(self.code, self.spill, self.n_jobs)
        if codec is None:
            layout = self._layout(store.n, store.dim)
            self._require_room(store, layout.spill)
            return InvertedLists.train(store, n_lists, layout, self.random_state, n_jobs)
        from vectorloom.index.dense.lists_codec import CodecLists

        final = not self.rerank
        return CodecLists.learn(store, n_lists, codec, final, self.random_state, n_jobs)

    def _require_room(self, store: RowStore, spill: bool) -> None:
        limit = self._limit()
        if limit is not None:
            rows = 0 if store.on_disk else store.values.nbytes
            require_memory(
                self._least_bytes(store.n, store.dim, spill=spill) + rows,
                f"building the lists of {store.n:,} rows",
                "Map the rows from a file (vl.read, or np.load with mmap_mode='r'), which leaves "
                "them there; pass rerank=False or code='int4', or raise memory_limit.",
                limit=limit,
            )

    def _ready(self, n_jobs: int | None, *, everything: bool = False) -> InvertedLists | None:
        """Return lists that are fit to be searched, None where all rows are better searched."""
        if self._lists is None:
            self._lists = self._trained(self._store, n_jobs)
        if self._lists is not None:
            self._lists = self._lists.current(self._store, n_jobs, everything=everything)
            _settle(self._store, self._lists)
        return self._lists

    def _compacted(self, keep: NDArray[np.int64]) -> None:
        if self._lists is not None:
            self._lists = self._lists.compacted(keep)

    def _health(self) -> dict[str, float]:
        """Return what an audit tells of the lists: how many, how even, and what is in none."""
        lists = self._lists
        if lists is None:
            return {"lists": 0.0}
        sizes = lists.sizes().astype(np.float64)
        return {
            "lists": float(len(lists)),
            "rows a list": float(sizes.mean()),
            "largest list": float(sizes.max()),
            "imbalance": float(len(lists) * (sizes**2).sum() / max(sizes.sum(), 1.0) ** 2),
            "empty lists": float((sizes == 0).sum()),
            "rows in no list": float(self._store.n - lists.n_listed),
        }

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        lists = state.get("_lists")
        if lists is not None:  # the store's pickle holds living rows alone
            state["_lists"] = lists.compacted(self._store.live_positions)
        return state

    def copy(self) -> IVF:
        """Return a writable copy in memory; the way to change an index that `vl.open` opened.

        Returns
        -------
        IVF
        """
        lists = self._lists if hasattr(self, "_lists") else None
        twin = super().copy()
        keep = self._store.live_positions
        twin._lists = None if lists is None else lists.compacted(keep)
        return twin

    def _more(self) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]:
        lists = self._ready(None, everything=not self.rerank)
        if lists is None or not lists.coded or self._store.n != self._store.n_live:
            return {"listed": False}, {}
        meta, arrays = to_file(lists)
        return {"listed": True} | meta, arrays

    @classmethod
    def _from_container(cls, file: Container) -> IVF:
        index = cls(**read_params(file))
        kind = index._stored_kind()
        if index.rerank:
            store = read_store(file, kind, index.metric, None)
            held = sum(array.nbytes for array in file.arrays.values())
            store.on_disk = beyond_memory(held, index._limit())
        else:
            store = read_coded(file, index.metric)
        index._store = store
        index._lists = read_lists(file, store, not index.rerank) if file.meta["listed"] else None
        _settle(store, index._lists)
        return index


def _settle(store: RowStore, lists: InvertedLists | None) -> None:
    if isinstance(store, CodedStore) and lists is not None:
        store.settle(lists)


register_loader(KIND, IVF._from_container)
