# SPDX-License-Identifier: Apache-2.0
"""Rows that can be searched, of a mapped segment or of memory, as the index below takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.index.encoding import Encoded
from vectorloom.index.rowids import IntIds, StrIds
from vectorloom.index.store import RowStore
from vectorloom.store.schema import FieldSchema

_FIRST_ROOM = 256
_GROWTH = 1.5


def row_store(
    schema: FieldSchema,
    ids: IntIds | StrIds,
    values: NDArray[Any],
    scales: NDArray[np.float32] | None,
    norms: NDArray[np.float64],
) -> RowStore:
    """Return a read-only store that looks at these arrays, none of them copied."""
    store = RowStore(schema.dtype, schema.metric, schema.dim, ids, None)
    store.values, store.scales, store.norms = values, scales, norms
    store.n = store.n_live = len(values)
    store.read_only = True
    return store


def norms_of(schema: FieldSchema, values: NDArray[Any], scales: Any) -> NDArray[np.float64]:
    """Return the float64 norms of stored rows, shape (n,)."""
    if len(values) == 0:
        return np.empty(0, np.float64)
    norms: NDArray[np.float64] = _core.norms(_core.Rows(values, schema.dtype, scales), 1)
    return norms


def ids_holder(ids: NDArray[Any]) -> IntIds | StrIds:
    """Return ids as the index keeps them."""
    return IntIds(ids) if ids.dtype == np.int64 else StrIds(ids)


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
        self._values: NDArray[Any] | None = None
        self._scales: NDArray[np.float32] | None = None
        self._norms = np.empty(0, np.float64)
        self._rows = np.empty(0, np.int64)
        self._ids: NDArray[Any] = np.empty(0, np.int64)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row numbers, ascending."""
        return self._rows[: self.n]

    @property
    def ids(self) -> NDArray[Any]:
        """Ids in the order of rows."""
        return self._ids[: self.n]

    def append(
        self,
        rows: NDArray[np.int64],
        ids: NDArray[Any],
        encoded: Encoded,
        norms: NDArray[np.float64],
    ) -> None:
        """Add rows behind the others."""
        end = self.n + len(rows)
        self._reserve(end, encoded, ids)
        part = slice(self.n, end)
        assert self._values is not None
        self._values[part] = encoded.values
        if self._scales is not None and encoded.scales is not None:
            self._scales[part] = encoded.scales
        self._norms[part], self._rows[part], self._ids[part] = norms, rows, ids
        self.n = end

    def store(self) -> RowStore:
        """Return all rows held now, searchable."""
        values, scales = self.stored(slice(0, self.n))
        return row_store(self.schema, ids_holder(self.ids), values, scales, self._norms[: self.n])

    def stored(self, part: Any) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Return stored vectors and scales of a slice, or of positions."""
        if self._values is None:
            width = self.schema.dim
            return np.empty((0, width), np.float32), None
        return self._values[part], None if self._scales is None else self._scales[part]

    def behind(self, row: int) -> FreshRows:
        """Return a copy of what came behind this row number."""
        rest = FreshRows(self.schema)
        start = int(np.searchsorted(self.rows, row, side="right"))
        if start < self.n:
            part = slice(start, self.n)
            values, scales = self.stored(part)
            encoded = Encoded(values, scales, self.schema.dim)
            rest.append(self._rows[part], self._ids[part], encoded, self._norms[part])
        return rest

    def _reserve(self, end: int, encoded: Encoded, ids: NDArray[Any]) -> None:
        if self._values is not None and end <= len(self._values):
            return
        room = max(end, int(_GROWTH * self.n), _FIRST_ROOM)
        values = _core.aligned_empty((room, encoded.values.shape[1]), encoded.values.dtype.name)
        scales = None if encoded.scales is None else np.empty(room, np.float32)
        if self._values is not None:
            values[: self.n] = self._values[: self.n]
        if scales is not None and self._scales is not None:
            scales[: self.n] = self._scales[: self.n]
        self._values, self._scales = values, scales
        self._norms = _grown(self._norms, self.n, room, np.dtype(np.float64))
        self._rows = _grown(self._rows, self.n, room, np.dtype(np.int64))
        self._ids = _grown(self._ids, self.n, room, ids.dtype)


def _grown(array: NDArray[Any], n: int, room: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    bigger = np.empty(room, dtype)
    bigger[:n] = array[:n]
    return bigger
