# SPDX-License-Identifier: Apache-2.0
"""Which row holds which id: int64 or str, at millions of rows without a Python object a row.

A position is the place of a row in storage. Ids are only ever appended or compacted; an id that was
removed or replaced leaves its old position behind, dead, so `find` returns the *latest* position of
an id and its caller asks whether that row still lives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.io.strings import pack_strings, unpack_strings

# Ids appended since the last sort are kept in a dict (about 100 bytes each) up to this many; beyond
# it they are sorted in, so that the dict stays small against the vectors themselves.
_TAIL_LIMIT = 65_536


class IntIds:
    """int64 ids; where they ascend with position, as default ones do, they need no lookup."""

    dtype = "int64"

    def __init__(self, values: NDArray[np.int64], ascending: bool | None = None) -> None:
        self.values = values
        self.n = len(values)
        self.ascending = _ascend(values) if ascending is None else ascending
        self._forget()

    def _forget(self) -> None:
        self._sorted: NDArray[np.int64] | None = None
        self._order: NDArray[np.int64] | None = None
        self._tail: dict[int, int] = {}
        self._seen = 0

    @property
    def nbytes(self) -> int:
        """Bytes held, lookup included."""
        lookup = 0 if self._sorted is None else 2 * self._sorted.nbytes
        return int(self.values.nbytes) + lookup + 100 * len(self._tail)

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Return the ids at these positions."""
        return self.values[positions]

    def numbers(self) -> NDArray[np.int64] | None:
        """Return the ids of all positions; None where they are no numbers."""
        return self.values[: self.n]

    def tie_keys(self) -> NDArray[np.int64] | None:
        """Return a number a position that sorts as the ids do; None where positions do already."""
        return None if self.ascending else self.values[: self.n]

    def find(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """Return the latest position of each id, -1 where there never was one."""
        if ids.dtype != np.int64 or self.n == 0:
            return np.full(len(ids), -1, dtype=np.int64)
        if self.ascending:
            at = np.minimum(np.searchsorted(self.values[: self.n], ids), self.n - 1)
            return np.where(self.values[at] == ids, at, -1)
        self._index_new()
        found = np.full(len(ids), -1, dtype=np.int64)
        if self._sorted is not None and self._order is not None and len(self._sorted):
            # "right": of equal ids the last in the stable order is the latest position.
            at = np.maximum(np.searchsorted(self._sorted, ids, side="right") - 1, 0)
            found = np.where(self._sorted[at] == ids, self._order[at], -1)
        if self._tail:
            for i, id_ in enumerate(ids.tolist()):
                found[i] = self._tail.get(id_, found[i])
        return found

    def _index_new(self) -> None:
        new = self.n - self._seen
        if len(self._tail) + new > _TAIL_LIMIT:
            values = self.values[: self.n]
            self._order = np.argsort(values, kind="stable")
            self._sorted = values[self._order]
            self._tail = {}
        elif new:
            tail = self.values[self._seen : self.n].tolist()
            self._tail.update(zip(tail, range(self._seen, self.n), strict=True))
        self._seen = self.n

    def grown(self, capacity: int) -> NDArray[np.int64]:
        """Return the values in an array of `capacity`: this one where it suffices, else a copy."""
        if capacity <= len(self.values):
            return self.values
        values = np.empty(capacity, dtype=np.int64)
        values[: self.n] = self.values[: self.n]
        return values

    def stays_ascending(self, values: NDArray[Any], n: int) -> bool:
        """Whether the first `n` of `values`, which begin with those held, all ascend."""
        return self.ascending and _ascend(values[max(self.n - 1, 0) : n])

    def commit(self, values: NDArray[Any], n: int, ascending: bool) -> None:
        """Adopt `values`, of which the first `n` now count."""
        self.values, self.n = values, n
        self.ascending = ascending

    def compacted(self, keep: NDArray[np.int64]) -> IntIds:
        """Return the ids of these positions alone."""
        return IntIds(self.values[keep], self.ascending or None)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a file holds."""
        return {"ids": self.values[: self.n]}


class CountedIds(IntIds):
    """The ids 0, 1, … n - 1 of rows that do not change: nothing is held for them."""

    def __init__(self, n: int) -> None:
        super().__init__(np.empty(0, np.int64))
        self.n = n

    @property
    def nbytes(self) -> int:
        """Bytes held: none."""
        return 0

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Return the positions."""
        return positions

    def numbers(self) -> NDArray[np.int64] | None:
        """Return None: no array holds them."""
        return None

    def find(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """Return the ids that there are, and -1 for others."""
        if ids.dtype != np.int64:
            return np.full(len(ids), -1, dtype=np.int64)
        return np.where((ids >= 0) & (ids < self.n), ids, -1)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return nothing."""
        return {}


class StrIds:
    """str ids: an object array, or a file's one run of UTF-8 that is decoded when asked."""

    dtype = "str"

    def __init__(
        self,
        values: NDArray[Any] | None,
        ascending: bool | None = None,
        packed: tuple[NDArray[np.uint8], NDArray[np.int64]] | None = None,
        ranks: NDArray[np.int64] | None = None,
        where: str = "ids",
    ) -> None:
        self._values = values
        self._packed = packed
        self._where = where
        self.n = len(values) if values is not None else len(packed[1]) - 1 if packed else 0
        self._ranks = ranks
        self._map: dict[str, int] = {}
        self._seen = 0
        self.ascending = _ascend(self.values) if ascending is None else ascending

    @property
    def values(self) -> NDArray[Any]:
        """All ids, decoded at the first call."""
        if self._values is None and self._packed is not None:
            self._values = unpack_strings(*self._packed, where=self._where)
        return np.empty(0, object) if self._values is None else self._values

    @property
    def nbytes(self) -> int:
        """Bytes held, lookup included; a str object counts as 60 and a dict entry as 100."""
        packed = sum(array.nbytes for array in self._packed) if self._packed else 0
        ranks = 0 if self._ranks is None else self._ranks.nbytes
        decoded = 0 if self._values is None else self._values.nbytes + 60 * self.n
        return int(packed + ranks + decoded + 100 * len(self._map))

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Return the ids at these positions, decoding no others."""
        if self._values is not None or self._packed is None:
            return self.values[positions]
        data, offsets = self._packed
        unique, back = np.unique(positions, return_inverse=True)
        starts, ends = offsets[unique], offsets[unique + 1]
        # Each is checked, because the file's checksums are not on opening.
        lengths = np.maximum(ends - starts, 0)
        good = (starts >= 0) & (ends >= starts) & (ends <= len(data))
        if not good.all():
            unpack_strings(data, offsets, where=self._where)  # says what is wrong
        bounds = np.zeros(len(unique) + 1, dtype=np.int64)
        np.cumsum(lengths, out=bounds[1:])
        pieces = [data[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        text = np.concatenate(pieces) if pieces else np.empty(0, np.uint8)
        return unpack_strings(text, bounds, where=self._where)[back.reshape(positions.shape)]

    def numbers(self) -> NDArray[np.int64] | None:
        """Return None: these are no numbers."""
        return None

    def tie_keys(self) -> NDArray[np.int64] | None:
        """Return each id's rank by code points; None where the positions are that already."""
        if self.ascending:
            return None
        if self._ranks is None or len(self._ranks) != self.n:
            values = self.values[: self.n].tolist()
            order = np.array(sorted(range(self.n), key=values.__getitem__), dtype=np.int64)
            ranks = np.empty(self.n, dtype=np.int64)
            ranks[order] = np.arange(self.n)
            self._ranks = ranks
        return self._ranks

    def find(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """Return the latest position of each id, -1 where there never was one."""
        if self._seen < self.n:
            new = self.values[self._seen : self.n].tolist()
            self._map.update(zip(new, range(self._seen, self.n), strict=True))
            self._seen = self.n
        return np.fromiter((self._map.get(i, -1) for i in ids.tolist()), np.int64, len(ids))

    def grown(self, capacity: int) -> NDArray[Any]:
        """Return the values in an array of `capacity`: this one where it suffices, else a copy."""
        if capacity <= len(self.values):
            return self.values
        values = np.empty(capacity, dtype=object)
        values[: self.n] = self.values[: self.n]
        return values

    def stays_ascending(self, values: NDArray[Any], n: int) -> bool:
        """Whether the first `n` of `values`, which begin with those held, all ascend."""
        return self.ascending and _ascend(values[max(self.n - 1, 0) : n])

    def commit(self, values: NDArray[Any], n: int, ascending: bool) -> None:
        """Adopt `values`, of which the first `n` now count."""
        self._values, self._packed, self.n = values, None, n
        self.ascending = ascending

    def compacted(self, keep: NDArray[np.int64]) -> StrIds:
        """Return the ids of these positions alone."""
        return StrIds(self.values[keep], self.ascending or None)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a file holds: the text, and the ranks where the order is not that of rows."""
        data, offsets = self._packed or pack_strings(self.values[: self.n].tolist())
        ranks = self.tie_keys()
        arrays: dict[str, NDArray[Any]] = {"ids.text": data, "ids.offsets": offsets}
        if ranks is not None:
            arrays["ids.ranks"] = ranks
        return arrays


def no_ids_like(ids: NDArray[Any]) -> IntIds | StrIds:
    """Return the holder of no ids, for ids of this type."""
    if ids.dtype == np.int64:
        return IntIds(np.empty(0, np.int64))
    return StrIds(np.empty(0, object))


def _ascend(values: NDArray[Any]) -> bool:
    return bool((values[1:] > values[:-1]).all())
