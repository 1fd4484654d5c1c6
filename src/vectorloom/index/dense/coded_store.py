# SPDX-License-Identifier: Apache-2.0
"""Rows of which only their codes in inverted lists are kept.

The first `n_coded` positions are what their codes decode to, x = P' y + c as in
core/index/lists_codes.h, under cosine times the norm that came in. Rows behind them are held as
float32 until they join the lists. Rewriting (after many removals, in a copy, for a pickle) decodes
all for a moment, and coding them again may turn a last bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import FormatError
from vectorloom.estimator import check_count
from vectorloom.index.dense.encoding import Encoded
from vectorloom.index.dense.store import RowStore, refuse_zero
from vectorloom.index.dense.stored import read_ids
from vectorloom.index.rowids import IntIds, StrIds
from vectorloom.io.container import Container

if TYPE_CHECKING:
    from vectorloom.index.dense.lists import InvertedLists

_BLOCK = 65_536  # rows decoded at a time


class CodedStore(RowStore):
    """A `RowStore` of float32 rows, most of which stand in the codes of inverted lists alone.

    Parameters
    ----------
    metric : {"cosine", "ip", "l2"}
    dim : int
    ids : IntIds or StrIds
        Of zero rows, to fix their type.
    """

    def __init__(self, metric: str, dim: int, ids: IntIds | StrIds) -> None:
        super().__init__("float32", metric, dim, ids, None)
        self.n_coded = 0
        self._lists: InvertedLists | None = None

    # ---- what a search needs -------------------------------------------------------------------

    @property
    def rows(self) -> _core.Rows:
        """The view of all positions, decoded: for what lists cannot answer."""
        return self.rows_before(self.n) if self.n_coded else super().rows

    def rows_before(self, n: int) -> _core.Rows:
        """Return the first `n` positions, decoded."""
        if not self.n_coded:
            return super().rows_before(n)
        return _core.Rows(self.decoded(np.arange(n)), "float32")

    def gathered(
        self, positions: NDArray[np.int64]
    ) -> tuple[_core.Rows, NDArray[np.float64] | None, NDArray[np.int64] | None]:
        """Return a copy of the rows at these ascending positions: view, norms, tie keys."""
        if not self.n_coded:
            return super().gathered(positions)
        keys = self.ids.tie_keys()
        norms = None if self.norms is None else self.norms[positions]
        rows = _core.Rows(self.decoded(positions), "float32")
        return rows, norms, None if keys is None else keys[positions]

    def decoded(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Return the vectors at these positions."""
        out = np.empty((len(positions), self.dim), np.float32)
        coded = positions < self.n_coded
        out[~coded] = self.values[positions[~coded] - self.n_coded]
        at = np.flatnonzero(coded)
        for first in range(0, len(at), _BLOCK):
            part = at[first : first + _BLOCK]
            out[part] = self._decoded_codes(positions[part])
        return out

    def _decoded_codes(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        assert self._lists is not None  # rows are coded
        rows = self._lists.decoded(positions)
        if self.metric == "cosine" and self.norms is not None:
            rows *= self.norms[positions, None].astype(np.float32)
        return rows

    # ---- change --------------------------------------------------------------------------------

    def settle(self, lists: InvertedLists) -> None:
        """Let go of the rows that stand in these lists now."""
        if lists is self._lists:
            return
        behind = self.values[lists.n_listed - self.n_coded : self.n - self.n_coded].copy()
        self._lists, self._rows = lists, None
        self.n_coded, self.values = lists.n_listed, behind
        if self.on_disk:  # the rows were a file's, and are not needed any more
            self.on_disk = self.read_only = False
        if self.metric != "cosine" and self.norms is not None and not self.read_only:
            norms = np.empty(len(self.norms))  # bounds need those of the rows as they are now
            norms[self.n_coded :] = self.norms[self.n_coded :]
            for first in range(0, self.n_coded, _BLOCK):
                part = np.arange(first, min(self.n_coded, first + _BLOCK))
                norms[part] = _core.norms(_core.Rows(self.decoded(part), "float32"), 1)
            self.norms = norms
            lists.forget_places()

    def inflate(self) -> None:
        """Hold all rows as float32 again."""
        if self.n_coded:
            self.values = self.decoded(np.arange(self.n))
            self.n_coded, self._lists = 0, None

    def extend(
        self,
        rows: Encoded,
        ids: NDArray[Any],
        replaced: NDArray[np.int64],
        name: str,
        n_jobs: int | None,
    ) -> None:
        """Append rows whose ids were checked; as `RowStore.extend`."""
        start, end = self.n, self.n + len(rows.values)
        if self.n_coded == 0 or start == end:
            super().extend(rows, ids, replaced, name, n_jobs)
            return
        norms = _core.norms(_core.Rows(rows.values, "float32"), n_jobs)
        if self.metric == "cosine":
            refuse_zero(norms, name)
        values = np.concatenate([self.values[: start - self.n_coded], rows.values])
        old_norms = self.norms
        assert old_norms is not None  # rows are floats
        all_norms = np.concatenate([old_norms[:start], norms])
        live_flags = np.concatenate([self.live_flags[:start], np.ones(end - start, np.uint8)])
        all_ids = self.ids.grown(end)
        all_ids[start:end] = ids
        ascending = self.ids.stays_ascending(all_ids, end)
        next_id = int(ids.max()) + 1 if self.ids.dtype == "int64" else 0
        # Commit: nothing below fails.
        live_flags[replaced] = 0
        self.values, self.norms, self.live_flags = values, all_norms, live_flags
        self.ids.commit(all_ids, end, ascending)
        self.n, self.n_live = end, self.n_live + end - start - len(replaced)
        self.next_id = max(self.next_id, next_id)

    def tidy(self, n_jobs: int | None, *, most_dead: float) -> NDArray[np.int64] | None:
        """Rewrite the rows without the dead ones where these are too many; as `RowStore.tidy`."""
        if self.n - self.n_live > most_dead * self.n:
            self.inflate()
        return super().tidy(n_jobs, most_dead=most_dead)

    def copy(self) -> CodedStore:
        """Return a writable store of the living rows, not coded, in memory of its own."""
        twin = CodedStore.__new__(CodedStore)
        twin.__setstate__(self.__getstate__())
        return twin

    def __getstate__(self) -> dict[str, Any]:
        keep = self.live_positions
        values, self.values = self.values, np.empty((self.n, 0), np.float32)
        try:
            state = super().__getstate__()
        finally:
            self.values = values
        decoded = self.decoded(keep)
        return state | {"values": decoded, "n_coded": 0, "_lists": None}


def read_coded(file: Container, metric: str) -> CodedStore:
    """Return the mapped, read-only store of a file; its lists are to be settled with it.

    Raises
    ------
    FormatError
        The header and the arrays do not fit together.
    """
    meta = file.meta
    n = check_count("n", meta["n"], at_least=0)
    dim = check_count("dim", meta["dim"])
    store = CodedStore(metric, dim, read_ids(file, n))
    store.values = file.array("values", "<f4", (None, dim))
    store.norms = file.array("norms", "<f8", (n,))
    store.n = store.n_live = n
    store.next_id = check_count("next_id", meta["next_id"], at_least=0)
    store.read_only = True
    if len(store.values) != (0 if meta["listed"] else n):
        raise FormatError(f"{file.path}: rows are missing.")
    return store
