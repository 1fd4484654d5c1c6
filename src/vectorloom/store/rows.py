# SPDX-License-Identifier: Apache-2.0
"""Rows that can be searched, of a mapped segment or of memory, as the indexes below take them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.index.dense.store import RowStore
from vectorloom.index.multivector.store import ItemStore
from vectorloom.index.rowids import IntIds, StrIds
from vectorloom.index.sparse.sparse_rows import SparseStore
from vectorloom.store.schema import FieldSchema
from vectorloom.store.stored import Stored, norms_of, run_types

_FIRST_ROOM = 256
_GROWTH = 1.5
# Rows behind the lists of a sparse field are scored one by one; more are worth new lists.
_MOST_LOOSE = 1000
_LOOSE_SHARE = 20

#: What a part is searched by: of a dense field, a sparse one, one of several vectors.
Store = RowStore | SparseStore | ItemStore


def searchable(
    field: FieldSchema, ids: IntIds | StrIds, held: Stored, norms: NDArray[np.float64]
) -> Store:
    """Return a read-only store that looks at these arrays, none of them copied."""
    n = len(held)
    if field.kind == "sparse":
        sparse = SparseStore(field.dim, ids)
        assert held.starts is not None
        sparse.starts, (sparse.terms, sparse.weights) = held.starts, held.runs
        sparse.n = sparse.n_live = n
        sparse.read_only = True
        return sparse
    vectors = RowStore(field.dtype, field.metric, field.dim, ids, None)
    vectors.values, vectors.scales, vectors.norms = held.runs[0], held.scales, norms
    vectors.n = vectors.n_live = len(held.runs[0])
    vectors.read_only = True
    if held.starts is None:
        return vectors
    items = ItemStore(field.dtype, field.metric, field.dim, ids)
    items.rows, items.offsets, items.n_live = vectors, held.starts, n
    return items


def ids_holder(ids: NDArray[Any]) -> IntIds | StrIds:
    """Return ids as the index keeps them."""
    return IntIds(ids) if ids.dtype == np.int64 else StrIds(ids)


class Lists:
    """Inverted lists over rows of a sparse field that are only ever appended to.

    One holder serves all views of the same rows: lists that were built for the first of them do
    for more, and those behind are scored one by one until they are worth new lists.
    """

    def __init__(self, postings: _core.Postings | None = None) -> None:
        self._lock = threading.Lock()
        self._postings = postings

    def ready(self, store: SparseStore, n_jobs: int | None) -> _core.Postings:
        """Return lists for the rows of a store."""
        known = self._postings
        if known is not None and 0 <= store.n - len(known) <= _allowed(len(known)):
            return known
        with self._lock:
            known = self._postings
            if known is not None and 0 <= store.n - len(known) <= _allowed(len(known)):
                return known
            made = _core.Postings.build(store.core, store.dim, n_jobs)
            if known is None or len(made) > len(known):  # a view of fewer rows keeps its own
                self._postings = made
            return made


def _allowed(n: int) -> int:
    return max(_MOST_LOOSE, n // _LOOSE_SHARE)


class FreshRows:
    """Vectors of one field that are not sealed yet, in memory; only ever appended to.

    What was handed out before an append stays as it was: a search goes on with what it began with.

    Parameters
    ----------
    schema : FieldSchema
    """

    def __init__(self, schema: FieldSchema) -> None:
        self.schema = schema
        self.n = 0
        self.lists = Lists()
        self._runs = [_Growing(kind, width) for kind, width in run_types(schema)]
        self._scales = _Growing(np.dtype(np.float32)) if schema.dtype == "int8" else None
        self._starts: _Growing | None = None
        if schema.kind != "dense":
            self._starts = _Growing(np.dtype(np.int64))
            self._starts.append(np.zeros(1, np.int64))
        self._norms = _Growing(np.dtype(np.float64))
        self._rows = _Growing(np.dtype(np.int64))
        self._ids: _Growing | None = None
        self._order = _TextOrder()

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row numbers, ascending."""
        return self._rows.held

    @property
    def ids(self) -> NDArray[Any]:
        """Ids in the order of rows."""
        return np.empty(0, np.int64) if self._ids is None else self._ids.held

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors."""
        return self.held.nbytes

    @property
    def held(self) -> Stored:
        """All rows."""
        runs = tuple(run.held for run in self._runs)
        if self.schema.kind == "sparse":
            runs = tuple(run.reshape(-1) for run in runs)
        return Stored(
            runs,
            None if self._scales is None else self._scales.held,
            None if self._starts is None else self._starts.held,
        )

    def append(self, rows: NDArray[np.int64], ids: NDArray[Any], more: Stored) -> None:
        """Add rows behind the others."""
        if self._ids is None:
            self._ids = _Growing(ids.dtype)
        if self._starts is not None and more.starts is not None:
            self._starts.append(more.starts[1:] + int(self._starts.held[-1]))
        for run, own in zip(self._runs, more.runs, strict=True):
            run.append(own.reshape(-1, run.width))
        if self._scales is not None and more.scales is not None:
            self._scales.append(more.scales)
        self._norms.append(norms_of(self.schema, more))
        self._ids.append(ids)
        if ids.dtype == object:
            self._order.append(ids)
        self._rows.append(rows)
        self.n = len(self._rows.held)

    def store(self) -> Store:
        """Return all rows held now, searchable."""
        ids = self.ids
        holder: IntIds | StrIds = self._order.holder(ids) if ids.dtype == object else IntIds(ids)
        return searchable(self.schema, holder, self.held, self._norms.held)

    def behind(self, row: int) -> FreshRows:
        """Return a copy of what came behind this row number."""
        rest = FreshRows(self.schema)
        start = int(np.searchsorted(self.rows, row, side="right"))
        if start < self.n:
            at = np.arange(start, self.n)
            rest.append(self.rows[start:], self.ids[start:], self.held.take(at))
        return rest


class _TextOrder:
    """The order of text ids that are appended to; to sort all anew would hold threads up."""

    def __init__(self) -> None:
        self._sorted = np.empty(0, object)
        self._places = np.empty(0, np.int64)
        self._ascending = True

    def append(self, ids: NDArray[Any]) -> None:
        n = len(self._sorted)
        order = np.array(sorted(range(len(ids)), key=ids.tolist().__getitem__), np.int64)
        new = ids[order]
        at = np.searchsorted(self._sorted, new)
        self._ascending &= bool((at == n).all() and (order[1:] > order[:-1]).all())
        self._sorted = np.insert(self._sorted, at, new)
        self._places = np.insert(self._places, at, order + n)

    def holder(self, ids: NDArray[Any]) -> StrIds:
        """Return the ids, all that were appended, with their ranks."""
        if self._ascending:
            return StrIds(ids, True)
        ranks = np.empty(len(ids), np.int64)
        ranks[self._places] = np.arange(len(ids))
        return StrIds(ids, False, ranks=ranks)


class _Growing:
    """An array that is appended to; views of it that were given out stay as they are."""

    def __init__(self, kind: np.dtype[Any], width: int = 0) -> None:
        self._kind, self.width = kind, width
        self._n = 0
        self._room = self._made(0)

    def _made(self, n: int) -> NDArray[Any]:
        if self.width == 0 or n == 0:
            return np.empty((n, self.width) if self.width else n, self._kind)
        made: NDArray[Any] = _core.aligned_empty((n, self.width), self._kind.name)
        return made

    @property
    def held(self) -> NDArray[Any]:
        return self._room[: self._n]

    def append(self, more: NDArray[Any]) -> None:
        end = self._n + len(more)
        if end > len(self._room):
            bigger = self._made(max(end, int(_GROWTH * self._n), _FIRST_ROOM))
            bigger[: self._n] = self.held
            self._room = bigger
        self._room[self._n : end] = more
        self._n = end
