# SPDX-License-Identifier: Apache-2.0
"""Exact search: the true nearest rows, always."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.index.answer import top
from vectorloom.index.dense.encoding import resolve_kind
from vectorloom.index.dense.prepared import filled, plain
from vectorloom.index.dense.row_index import RowIndex
from vectorloom.index.dense.store import RowStore
from vectorloom.index.dense.stored import read_store
from vectorloom.index.hits import Hits
from vectorloom.index.rowids import no_ids_like
from vectorloom.io.container import Container, register_loader

KIND = "index.exact"


class Exact(RowIndex):
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

    _kind = KIND

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
        if where is None and hasattr(self, "_store") and plain(self._store, queries, k):
            answer = self._store.answer(queries, k, self.n_jobs)
            hits = filled(answer, self._store.ids, self._store.metric)
            if hits is not None:
                return hits
        return self._answer(queries, k, where, top)

    def _stored_kind(self) -> str:
        kind = resolve_kind(self.metric, self.dtype)
        self._screen_policy(kind)
        return kind

    def _new_store(self, dim: int, ids: NDArray[Any]) -> RowStore:
        kind = self._stored_kind()
        return RowStore(kind, self.metric, dim, no_ids_like(ids), self._screen_policy(kind))

    def _fitted_params(self) -> dict[str, Any]:
        store = self._store
        return {"metric": store.metric, "dtype": store.kind, "screen": store.policy}

    @classmethod
    def _from_container(cls, file: Container) -> Exact:
        index = cls(**file.meta["params"])
        kind = resolve_kind(index.metric, index.dtype)
        index._store = read_store(file, kind, index.metric, index._screen_policy(kind))
        return index

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


register_loader(KIND, Exact._from_container)
