# SPDX-License-Identifier: Apache-2.0
"""The rows of an exact index: growable, with tombstones, never half changed.

Every change first prepares all it needs beside the old state (checks, memory, the new rows written
beyond the end, where nobody looks) and then commits with a few assignments. An error, Ctrl-C or
memory running out before that leaves the rows as they were.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import CapacityError, InternalError, ParameterError
from vectorloom.estimator import check_jobs
from vectorloom.index.dense.encoding import STORED, Encoded, decode
from vectorloom.index.dense.graph_memory import mapping_of
from vectorloom.index.dense.prepared import Prepared
from vectorloom.index.dense.screen import build_screen
from vectorloom.index.memory import require_memory
from vectorloom.index.rowids import IntIds, StrIds

#: Fewer rows than this are scanned as fast as a screen could be asked.
SCREEN_MIN_ROWS = 4096
#: Sums of uint8 x int8 products over more dimensions could leave int32.
SCREEN_MAX_DIM = 65_536

# At most 15 % of the memory lies idle, and each row is copied 7 times on average.
_GROWTH = 1.15
SCREENED = ("float32", "float16", "bfloat16")


class RowStore:
    """Vectors, norms, ids and the screen of one index, by position.

    Parameters
    ----------
    kind : str
        Stored dtype.
    metric : str
    dim : int
    ids : IntIds or StrIds
        Of zero rows, to fix their type.
    screen : {"auto", "int8"} or None
        The policy; see `vectorloom.index.Exact`.
    """

    def __init__(
        self, kind: str, metric: str, dim: int, ids: IntIds | StrIds, screen: str | None
    ) -> None:
        self.kind = kind
        self.metric = metric
        self.dim = dim
        self.ids: IntIds | StrIds = ids
        self.policy = screen
        self.read_only = False
        # Rows are a file's that memory may not hold: those to be scored are asked for together.
        self.on_disk = False
        # First rows that take more than this and are mapped from a file are left there.
        self.most_bytes: int | None = None
        # Searches look for ten of so many rows; None: of all.
        self.head_rows: int | None = None
        self.n = 0
        self.n_live = 0
        self.next_id = 0
        width = -(-dim // 8) if kind == "bits" else dim
        stored: np.dtype[Any] = STORED[kind]
        self.values: NDArray[Any] = np.empty((0, width), stored)
        self.scales: NDArray[np.float32] | None = (
            np.empty(0, np.float32) if kind == "int8" else None
        )
        self.norms: NDArray[np.float64] | None = None if kind == "bits" else np.empty(0, np.float64)
        self.live_flags: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.screen: _core.Screen | None = None
        self._rows: _core.Rows | None = None
        self._prepared = Prepared()

    # ---- what a search needs -------------------------------------------------------------------

    @property
    def rows(self) -> _core.Rows:
        """The view of all positions that the core works on."""
        if self._rows is None:
            self._rows = _view(self.values, self.scales, self.kind, self.n)
        return self._rows

    def rows_before(self, n: int) -> _core.Rows:
        """Return the view of the first `n` positions."""
        return _view(self.values, self.scales, self.kind, n)

    @property
    def row_norms(self) -> NDArray[np.float64] | None:
        """Norms of all positions; None for bits."""
        return None if self.norms is None else self.norms[: self.n]

    @property
    def live(self) -> NDArray[np.uint8] | None:
        """1 where a position holds a row that is not removed; None where all do."""
        return None if self.n_live == self.n else self.live_flags[: self.n]

    @property
    def live_positions(self) -> NDArray[np.int64]:
        """Positions of the rows, in order."""
        if self.n_live == self.n:
            return np.arange(self.n, dtype=np.int64)
        return np.flatnonzero(self.live_flags[: self.n])

    @property
    def wants_screen(self) -> bool:
        """Whether the policy asks for a screen at the present number of rows."""
        return self._wants_screen(self.n)

    def _wants_screen(self, n: int) -> bool:
        if self.policy is None or self.kind not in SCREENED or n == 0:
            return False
        if self.dim > SCREEN_MAX_DIM:
            return False
        return self.policy == "int8" or n >= SCREEN_MIN_ROWS

    def ensure_screen(self, n_jobs: int | None) -> _core.Screen | None:
        """Return the screen, building it where it is wanted and missing (after an interruption)."""
        if not self.wants_screen:
            return None
        if self.screen is None or len(self.screen) != self.n:
            self.screen = self._built_screen(self.rows, self.row_norms, n_jobs)
        return self.screen

    def answer(self, queries: NDArray[Any], k: int, n_jobs: Any) -> Any:
        """Return ids, scores, distances and counts of a scan by one call; None: not possible.

        All rows must live; `n_jobs` as the user set it.
        """

        def prepare() -> _core.ExactSearch:
            jobs = check_jobs(n_jobs)
            return _core.ExactSearch(
                self.rows,
                self.row_norms,
                self.ensure_screen(jobs),
                self.metric,
                self.ids.tie_keys(),
                self.ids.numbers(),
                jobs,
            )

        if self.kind == "bits" or self.n == 0:
            return None
        return self._prepared.search(self.rows, n_jobs, prepare)(queries, k)

    def find(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """Return the position of each id, -1 where no living row has it."""
        positions = self.ids.find(ids)
        if self.n_live < self.n:
            found = positions >= 0
            dead = self.live_flags[positions[found]] == 0
            positions[np.flatnonzero(found)[dead]] = -1
        return positions

    def gathered(
        self, positions: NDArray[np.int64]
    ) -> tuple[_core.Rows, NDArray[np.float64] | None, NDArray[np.int64] | None]:
        """Return a copy of the rows at these ascending positions: view, norms, tie keys."""
        scales = None if self.scales is None else self.scales[positions]
        norms = None if self.norms is None else self.norms[positions]
        keys = self.ids.tie_keys()
        rows = _view(self.values[positions], scales, self.kind, len(positions))
        return rows, norms, None if keys is None else keys[positions]

    def decoded(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Return the vectors at these positions."""
        scales = None if self.scales is None else self.scales[positions]
        return decode(self.values[positions], scales, self.kind, self.dim)

    @property
    def nbytes(self) -> int:
        """Bytes held, spare room included."""
        arrays = [self.values, self.scales, self.norms, self.live_flags]
        own = sum(array.nbytes for array in arrays if array is not None)
        return int(own + self.ids.nbytes + (0 if self.screen is None else self.screen.nbytes))

    @property
    def nbytes_in_memory(self) -> int:
        """Bytes held that are no file's."""
        return self.nbytes - (self.values.nbytes if self.read_only else 0)

    # ---- change --------------------------------------------------------------------------------

    def extend(
        self,
        rows: Encoded,
        ids: NDArray[Any],
        replaced: NDArray[np.int64],
        name: str,
        n_jobs: int | None,
    ) -> None:
        """Append rows whose ids were checked, and let the positions `replaced` die with it.

        Parameters
        ----------
        rows : Encoded
        ids : ndarray of shape (n,), int64 or object
        replaced : ndarray of int64
            Positions of the same ids until now (upsert); empty for add.
        name : str
            What the caller calls the vectors; used in messages.
        n_jobs : int or None
        """
        start, end = self.n, self.n + len(rows.values)
        if start == end:
            return
        added = _view(rows.values, rows.scales, self.kind, end - start)
        norms = None if self.norms is None else _core.norms(added, n_jobs)
        if norms is not None and self.metric == "cosine":
            refuse_zero(norms, name)
        if start == 0 and self._leaves_in_file(rows):
            self._refer(rows, norms, ids)
            return
        values, scales, all_norms, live_flags, all_ids = self._room_for(end)
        values[start:end] = rows.values
        live_flags[start:end] = 1
        all_ids[start:end] = ids
        if scales is not None and rows.scales is not None:
            scales[start:end] = rows.scales
        if all_norms is not None and norms is not None:
            all_norms[start:end] = norms
        view = _view(values, scales, self.kind, end)
        screen = self._extended_screen(view, all_norms, start, end, n_jobs)
        ascending = self.ids.stays_ascending(all_ids, end)
        next_id = int(ids.max()) + 1 if self.ids.dtype == "int64" else 0
        # Commit: nothing below fails.
        live_flags[replaced] = 0
        self.values, self.scales, self.norms, self.live_flags = (
            values,
            scales,
            all_norms,
            live_flags,
        )
        self.screen, self._rows = screen, view
        self.ids.commit(all_ids, end, ascending)
        self.n, self.n_live = end, self.n_live + end - start - len(replaced)
        self.next_id = max(self.next_id, next_id)

    def _leaves_in_file(self, rows: Encoded) -> bool:
        most = self.most_bytes
        return (
            most is not None and rows.values.nbytes > most and mapping_of(rows.values) is not None
        )

    def _refer(self, rows: Encoded, norms: NDArray[np.float64] | None, ids: NDArray[Any]) -> None:
        n = len(rows.values)
        view = _view(rows.values, rows.scales, self.kind, n)
        live_flags = np.ones(n, np.uint8)
        kept = np.array(ids)  # which is the caller's
        ascending = self.ids.stays_ascending(kept, n)
        next_id = int(ids.max()) + 1 if self.ids.dtype == "int64" else 0
        # Commit: nothing below fails.
        self.values, self.scales, self.norms = rows.values, rows.scales, norms
        self.live_flags, self._rows, self.read_only = live_flags, view, True
        self.on_disk = True
        self.ids.commit(kept, n, ascending)
        self.n = self.n_live = n
        self.next_id = next_id

    def kill(self, positions: NDArray[np.int64]) -> None:
        """Remove the rows at these positions, all of them living."""
        self.live_flags[positions] = 0
        self.n_live -= len(positions)

    def tidy(self, n_jobs: int | None, *, most_dead: float) -> NDArray[np.int64] | None:
        """Rewrite the rows without the dead ones where these are more than a share of all.

        Returns the positions that were kept, which are now 0, 1, …; None where nothing moved.
        Answers do not depend on it, so that where memory is too short for the copy it is put off.
        """
        n_dead = self.n - self.n_live
        if n_dead <= most_dead * self.n:
            return None
        keep = self.live_positions
        try:
            values = _core.aligned_empty((len(keep), self.values.shape[1]), self.values.dtype.name)
            np.take(self.values, keep, axis=0, out=values, mode="clip")
            scales = None if self.scales is None else self.scales[keep]
            norms = None if self.norms is None else self.norms[keep]
            ids = self.ids.compacted(keep)
            live_flags = np.ones(len(keep), np.uint8)
            view = _view(values, scales, self.kind, len(keep))
            screen = (
                self._built_screen(view, norms, n_jobs) if self._wants_screen(len(keep)) else None
            )
        except MemoryError:
            return None
        self.values, self.scales, self.norms, self.live_flags = values, scales, norms, live_flags
        self.ids, self.screen, self._rows = ids, screen, view
        self.n = self.n_live = len(keep)
        return keep

    def copy(self) -> RowStore:
        """Return a writable store of the living rows, in memory of its own."""
        twin = RowStore.__new__(RowStore)
        twin.__setstate__(self.__getstate__())
        return twin

    def __getstate__(self) -> dict[str, Any]:
        # What a pickle holds: the living rows. The screen is built again when it is asked for.
        keep = self.live_positions
        return self.__dict__ | {
            "values": self.values[keep],
            "scales": None if self.scales is None else self.scales[keep],
            "norms": None if self.norms is None else self.norms[keep],
            "live_flags": np.ones(len(keep), np.uint8),
            "ids": self.ids.compacted(keep),
            "n": len(keep),
            "n_live": len(keep),
            "screen": None,
            "_rows": None,
            "read_only": False,
            "on_disk": False,
            "most_bytes": None,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.values = _aligned(self.values)

    def _room_for(
        self, end: int
    ) -> tuple[
        NDArray[Any],
        NDArray[np.float32] | None,
        NDArray[np.float64] | None,
        NDArray[np.uint8],
        NDArray[Any],
    ]:
        capacity = len(self.values)
        if end > capacity:
            capacity = end if self.n == 0 else max(end, int(capacity * _GROWTH))
        width = self.values.shape[1]
        if capacity > len(self.values):
            require_memory(
                capacity * (width * self.values.itemsize + 24) + self._screen_bytes(capacity),
                f"holding {end:,} rows of {self.dim} dimensions as {self.kind}",
                "Use a smaller dtype ('float16', 'int8'), or screen=None.",
            )
        try:
            return (
                _grown(self.values, self.n, capacity),
                None if self.scales is None else _grown(self.scales, self.n, capacity),
                None if self.norms is None else _grown(self.norms, self.n, capacity),
                _grown(self.live_flags, self.n, capacity),
                self.ids.grown(capacity),
            )
        except CapacityError:
            raise
        except MemoryError as error:
            raise CapacityError(
                f"no memory for {end:,} rows of {self.dim} dimensions as {self.kind}; the index is "
                "as it was. Use a smaller dtype ('float16', 'int8'), or screen=None."
            ) from error

    def _screen_bytes(self, n: int) -> int:
        return screen_bytes(n, self.dim) if self._wants_screen(n) else 0

    def _extended_screen(
        self,
        view: _core.Rows,
        norms: NDArray[np.float64] | None,
        start: int,
        end: int,
        n_jobs: int | None,
    ) -> _core.Screen | None:
        if not self._wants_screen(end):
            return None
        all_norms = None if norms is None else norms[:end]
        if self.screen is None or len(self.screen) != start:
            return self._built_screen(view, all_norms, n_jobs)
        screen, self.screen = self.screen, None  # half extended, it must not be asked again
        screen.append(view, all_norms, n_jobs)
        return screen

    def _built_screen(
        self, view: _core.Rows, norms: NDArray[np.float64] | None, n_jobs: int | None
    ) -> _core.Screen:
        if norms is None:
            raise InternalError("a screen was asked for rows that have no norms")
        return build_screen(view, norms, self.metric, n_jobs, head_rows=self.head_rows)


def screen_bytes(n: int, dim: int) -> int:
    """Return the bytes of a screen of `n` rows: one a dimension, padded to 64, and its bounds."""
    return n * (-(-dim // 64) * 64 + 16)


def refuse_zero(norms: NDArray[np.float64], name: str) -> None:
    """Refuse zero vectors, which have no direction and so no cosine, naming their rows."""
    zero = np.flatnonzero(norms == 0)
    if len(zero):
        rows = ", ".join(map(str, zero[:5].tolist())) + (", …" if len(zero) > 5 else "")
        raise ParameterError(
            f"{name} has {len(zero)} zero vector{'s' if len(zero) > 1 else ''} (row {rows}), which "
            "have no cosine. Drop them, or use metric='ip' or 'l2'."
        )


def _view(
    values: NDArray[Any], scales: NDArray[np.float32] | None, kind: str, n: int
) -> _core.Rows:
    return _core.Rows(values[:n], kind, None if scales is None else scales[:n])


def _grown(array: NDArray[Any], n: int, capacity: int) -> NDArray[Any]:
    if capacity <= len(array):
        return array
    bigger = _core.aligned_empty((capacity, *array.shape[1:]), array.dtype.name)
    bigger[:n] = array[:n]
    return bigger


def _aligned(array: NDArray[Any]) -> NDArray[Any]:
    if array.ctypes.data % 64 == 0:
        return array
    moved = _core.aligned_empty(array.shape, array.dtype.name)
    moved[...] = array
    return moved
