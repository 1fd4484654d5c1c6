# SPDX-License-Identifier: Apache-2.0
"""Inverted lists: search the few groups of rows whose centroids are nearest.

    L(q) = the p lists whose centroids are nearest to q,   answer = top k of { x : l(x) in L(q) },

within which codes propose and float64 scores decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import FormatError, ParameterError, VectorloomError
from vectorloom.estimator import check_choice, check_count
from vectorloom.index.answer import Found, best_first, few_positions, for_each_mask, top
from vectorloom.index.coded_store import CodedStore, read_coded
from vectorloom.index.effort import checked_effort
from vectorloom.index.filters import Mask, QueryMasks
from vectorloom.index.hits import Hits
from vectorloom.index.lists import InvertedLists, Layout, Probing
from vectorloom.index.lists_calibration import SCALES, Calibration
from vectorloom.index.row_index import RowIndex
from vectorloom.index.rowids import no_ids_like
from vectorloom.index.store import RowStore
from vectorloom.index.stored import read_params, read_store
from vectorloom.io.container import Container, register_loader

if TYPE_CHECKING:
    from vectorloom.compress.compressor import Compressor

KIND = "index.ivf"
#: Fewer rows than this are searched whole as fast.
MIN_ROWS = 4096
_LISTS = 1.4  # times sqrt(n); more are slower to build, and no faster in batches
_LARGEST = 1e15  # norm of a row
_CODES = "lists.codes."


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
        rows, and the codes twice the memory. None does so where rows are kept, and codes are not a
        compressor's.
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
        Not enough memory; said before it is taken where the system tells what is left.

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
    Without `rerank` h + (dim - h) / 2 + 40. Building holds all rows as float32.

    Added rows are scanned by every query until they are an eighth of the index, then they join
    their lists; centroids stay, so call `fit` again when the data has moved. `range_search` goes
    through all rows, which without `rerank` are decoded for it.

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
    ) -> None:
        self.metric = metric
        self.n_lists = n_lists
        self.dtype = dtype
        self.rerank = rerank
        self.code = code
        self.spill = spill
        self.n_jobs = n_jobs
        self.random_state = random_state

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
                found, ways = _probed(store, lists, packed[part], probing, width, mask, n_jobs)
                plan.extend(said if way == "" else way for way in ways)
                return found

            return for_each_mask(one, len(packed), width, masks)

        hits = self._answer(queries, k, where, find)
        return hits.explained(plan) if explain else hits

    # ---- inside --------------------------------------------------------------------------------

    def _stored_kind(self) -> str:
        check_choice("metric", self.metric, ("cosine", "ip", "l2"))
        if self.n_lists is not None:
            check_count("n_lists", self.n_lists)
        check_count("random_state", self.random_state, at_least=0)
        check_choice("dtype", self.dtype, ("float32", "float16", "bfloat16", "int8"))
        if self.code not in (None, "int8", "int4"):
            self._codec()
        for name in ("rerank", "spill"):
            value = getattr(self, name)
            if not isinstance(value, bool) and not (name == "spill" and value is None):
                raise ParameterError(f"{name} must be True or False; got {value!r}.")
        return self.dtype if self.rerank else "float32"

    def _new_store(self, dim: int, ids: NDArray[Any]) -> RowStore:
        if not self.rerank:
            return CodedStore(self.metric, dim, no_ids_like(ids))
        return RowStore(self.dtype, self.metric, dim, no_ids_like(ids), None)

    def _codec(self) -> Compressor | None:
        """Return the compressor that `code` asks for, if it does."""
        if self.code is None or self.code in ("int8", "int4"):
            return None
        from vectorloom.compress.compressor import Compressor
        from vectorloom.compress.recipe import from_text

        codec = self.code
        if isinstance(codec, str):
            try:
                codec = from_text(codec)
            except ParameterError as error:
                raise ParameterError(f"code must be 'int8', 'int4' or a recipe: {error}") from error
        if not isinstance(codec, Compressor) or codec.output != "codes":
            raise ParameterError(
                "code must be 'int8', 'int4', a quantizer of vectorloom.compress such as PQ(48), "
                f"or its recipe 'pq:48'; got {self.code!r}."
            )
        if self.spill:
            raise ParameterError(
                "spill=True is not for codes of a compressor: rows stand in one list; leave it out."
            )
        if hasattr(codec, "n_jobs"):
            codec = type(codec)(**{**codec.get_params(deep=False), "n_jobs": self.n_jobs})
        return codec

    @property
    def _layout(self) -> Layout:
        code = self.code or ("int8" if self.rerank else "int4")
        spill = self.rerank if self.spill is None else self.spill
        return Layout(spill, 8 if code == "int8" else 4, not self.rerank)

    def _adopt(self, store: RowStore, n_jobs: int | None) -> None:
        lists = self._trained(store, n_jobs)
        _settle(store, lists)
        self._store, self._lists = store, lists

    def _trained(self, store: RowStore, n_jobs: int | None) -> InvertedLists | None:
        n_lists = self.n_lists
        if n_lists is None:
            n_lists = 0 if store.n < MIN_ROWS else round(_LISTS * float(np.sqrt(store.n)))
        if n_lists == 0 or store.n < 4 * n_lists:
            return None
        norms = store.row_norms
        if norms is not None and norms.max() > _LARGEST:  # squares would leave float32
            return None
        codec = self._codec()
        if codec is None:
            return InvertedLists.train(store, n_lists, self._layout, self.random_state, n_jobs)
        from vectorloom.index.lists_codec import CodecLists

        final = not self.rerank
        return CodecLists.learn(store, n_lists, codec, final, self.random_state, n_jobs)

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
        arrays: dict[str, NDArray[Any]] = {
            "lists.centroids": lists.centroids,
        }
        for one in lists.calibrations:
            arrays |= {f"lists.at {one.k}.{name}": array for name, array in one.arrays.items()}
        meta, coded = lists.to_file(_CODES)
        return {"listed": True} | meta, arrays | coded

    @classmethod
    def _from_container(cls, file: Container) -> IVF:
        index = cls(**read_params(file))
        kind = index._stored_kind()
        if index.rerank:
            store = read_store(file, kind, index.metric, None)
        else:
            store = read_coded(file, index.metric)
        index._store = store
        index._lists = _read_lists(file, store, not index.rerank) if file.meta["listed"] else None
        _settle(store, index._lists)
        return index


def _settle(store: RowStore, lists: InvertedLists | None) -> None:
    if isinstance(store, CodedStore) and lists is not None:
        store.settle(lists)


def _probed(
    store: RowStore,
    lists: InvertedLists,
    queries: NDArray[Any],
    probing: Probing,
    k: int,
    mask: Mask,
    n_jobs: int | None,
) -> tuple[Found, list[str]]:
    """Search the probed lists and the rows behind them; all rows where these hold too few.

    With the answer comes what was done for each query, "" where lists had it.
    """
    matches = store.n if mask is None else int(np.count_nonzero(mask))
    if few_positions(store, mask) is not None:
        ways = [f"exact: {matches:,} rows match"] * len(queries)
        return top(store, queries, k, mask, n_jobs), ways
    positions, scores, counts = lists.search(store, queries, probing, k, mask, n_jobs)
    if lists.n_listed < store.n:
        positions, scores, counts = _with_tail(
            store, lists.n_listed, queries, (positions, scores, counts), mask, n_jobs
        )
    ways = [""] * len(queries)
    short = np.flatnonzero(counts < min(k, matches))
    if len(short):
        positions[short], scores[short], counts[short] = top(store, queries[short], k, mask, n_jobs)
        for i in short.tolist():
            ways[i] = f"exact, after lists that held too few: {matches:,} rows match"
    return (positions, scores, counts), ways


def _with_tail(
    store: RowStore,
    start: int,
    queries: NDArray[Any],
    found: Found,
    mask: Mask,
    n_jobs: int | None,
) -> Found:
    """Merge an answer with the rows from `start` on, which are in no list yet."""
    keys = store.ids.tie_keys()
    norms = store.row_norms
    k = found[0].shape[1]
    at, more, _ = _core.exact_search(
        _tail_rows(store, start),
        None if norms is None else norms[start:],
        None,
        store.metric,
        queries,
        min(k, store.n - start),
        None if mask is None else mask[start:],
        None if keys is None else keys[start : store.n],
        n_jobs,
    )
    positions = np.concatenate([found[0], np.where(at < 0, -1, at + start)], axis=1)
    scores = np.concatenate([found[1], more], axis=1)
    return best_first(store, positions, scores, k)


def _tail_rows(store: RowStore, start: int) -> _core.Rows:
    """Return the view of the positions from `start` on."""
    offset = store.n_coded if isinstance(store, CodedStore) else 0
    part = slice(start - offset, store.n - offset)
    scales = None if store.scales is None else store.scales[part]
    return _core.Rows(store.values[part], store.kind, scales)


def _read_lists(file: Container, store: RowStore, final: bool) -> InvertedLists:
    centroids = file.array("lists.centroids", "<f4", (None, store.dim))
    calibrations = tuple(
        Calibration(
            k,
            file.array(f"lists.at {k}.gaps", "<f8", (None,)),
            file.array(f"lists.at {k}.reaches", "<f8", (2, None)),
            float(file.array(f"lists.at {k}.guess", "<f8", (1,))[0]),
        )
        for k in SCALES
        if f"lists.at {k}.gaps" in file.arrays
    )
    arrays = {
        name[len(_CODES) :]: array for name, array in file.arrays.items() if name.startswith(_CODES)
    }
    try:
        if "codec" in file.meta:
            from vectorloom.index.lists_codec import read_codec_lists

            lists: InvertedLists = read_codec_lists(
                file, _CODES, store.metric, centroids, calibrations, final
            )
        else:
            lists = InvertedLists.stored(store.metric, centroids, calibrations, arrays)
    except (VectorloomError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{file.path}: the lists cannot be used ({error}).") from error
    measured = all(len(one.gaps) > 0 for one in calibrations)
    if len(centroids) == 0 or lists.n_listed > store.n or not measured:
        raise FormatError(f"{file.path}: the lists do not fit the rows.")
    return lists


register_loader(KIND, IVF._from_container)
