# SPDX-License-Identifier: Apache-2.0
"""The items of a multi-vector index: their vectors in a `RowStore`, and which rows are whose.

Every change first prepares all it needs and then commits with a few assignments, as in `RowStore`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import FormatError
from vectorloom.estimator import check_count
from vectorloom.index.dense.encoding import Encoded
from vectorloom.index.dense.store import RowStore
from vectorloom.index.dense.stored import read_ids, read_store, write_store
from vectorloom.index.filters import Mask
from vectorloom.index.multivector.token_vectors import TokenVectors, rows_of_runs, run_offsets
from vectorloom.index.nested import part_of
from vectorloom.index.rowids import IntIds, StrIds, no_ids_like
from vectorloom.io.container import Container

#: MaxSim passes on about one row in two hundred: the head of the screen is chosen for that.
_HEAD_ROWS = 2000
_MOST_DEAD = 1 / 3  # share of rows that may be dead before all are rewritten
_ITEM_IDS = "items"


class ItemStore:
    """Items by position.

    Parameters
    ----------
    kind : str
        Stored dtype.
    metric : {"cosine", "ip"}
    dim : int
    ids : IntIds or StrIds
        Of no items, to fix their type.
    """

    def __init__(self, kind: str, metric: str, dim: int, ids: IntIds | StrIds) -> None:
        no_rows = no_ids_like(np.empty(0, np.int64))
        self.rows = RowStore(kind, metric, dim, no_rows, "auto")
        self.rows.head_rows = _HEAD_ROWS
        self.ids: IntIds | StrIds = ids
        self.offsets: NDArray[np.int64] = np.zeros(1, np.int64)
        self.live_flags: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.n_live = 0
        self.next_id = 0

    @property
    def n(self) -> int:
        """Positions, of items that live and of items that were removed."""
        return len(self.offsets) - 1

    @property
    def live(self) -> Mask:
        """1 where a position holds an item; None where all do."""
        return None if self.n_live == self.n else self.live_flags

    @property
    def live_positions(self) -> NDArray[np.int64]:
        """Positions of the items, in order."""
        return np.flatnonzero(self.live_flags)

    @property
    def nbytes(self) -> int:
        """Bytes held, spare room included."""
        return int(self.rows.nbytes + self.ids.nbytes + self.offsets.nbytes + self.n)

    def find(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """Return the position of each id, -1 where no item has it."""
        positions = self.ids.find(ids)
        found = np.flatnonzero(positions >= 0)
        positions[found[self.live_flags[positions[found]] == 0]] = -1
        return positions

    def tokens(self, positions: NDArray[np.int64]) -> TokenVectors:
        """Return the decoded vectors of items."""
        rows = rows_of_runs(self.offsets, positions)
        lengths = self.offsets[positions + 1] - self.offsets[positions]
        return TokenVectors(self.rows.decoded(rows), run_offsets(lengths))

    # ---- search --------------------------------------------------------------------------------

    def search(
        self,
        queries: TokenVectors,
        k: int,
        mask: Mask,
        n_jobs: int | None,
        *,
        estimate: bool = False,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Return positions, scores and counts of the k best items that the mask leaves.

        With `estimate` by int8 products alone, whose errors the screen bounds: in one sweep, with
        nothing scored again.
        """
        return _core.maxsim_search(
            *self._rows_and_screen(n_jobs),
            self.offsets,
            queries.values,
            queries.offsets,
            k,
            mask,
            self.ids.tie_keys(),
            estimate,
            n_jobs,
        )

    def rerank(
        self,
        queries: TokenVectors,
        candidates: NDArray[np.int64],
        limits: NDArray[np.int64],
        k: int,
        n_jobs: int | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Return the k best of the candidates of each query, in runs with these limits."""
        return _core.maxsim_rerank(
            *self._rows_and_screen(n_jobs),
            self.offsets,
            queries.values,
            queries.offsets,
            candidates,
            limits,
            k,
            self.ids.tie_keys(),
            n_jobs,
        )

    def will_need(self, positions: NDArray[np.int64]) -> None:
        """Begin to read items of a mapped file that `rerank` will score; returns at once."""
        _core.maxsim_will_need(self.rows.rows, self.rows.screen, self.offsets, positions)

    def _rows_and_screen(self, n_jobs: int | None) -> tuple[Any, Any, Any, str]:
        rows = self.rows
        return rows.rows, rows.row_norms, rows.ensure_screen(n_jobs), rows.metric

    # ---- change --------------------------------------------------------------------------------

    def extend(
        self,
        rows: Encoded,
        offsets: NDArray[np.int64],
        ids: NDArray[Any],
        n_jobs: int | None,
    ) -> None:
        """Append items whose ids were checked."""
        n, end = self.n, self.n + len(ids)
        if n == end:
            return
        all_offsets = np.concatenate([self.offsets, self.offsets[-1] + offsets[1:]])
        live_flags = np.concatenate([self.live_flags, np.ones(end - n, np.uint8)])
        all_ids = self.ids.grown(end)
        all_ids[n:end] = ids
        ascending = self.ids.stays_ascending(all_ids, end)
        next_id = int(ids.max()) + 1 if self.ids.dtype == "int64" else 0
        first = self.rows.next_id
        row_ids = np.arange(first, first + len(rows.values), dtype=np.int64)
        self.rows.extend(rows, row_ids, np.empty(0, np.int64), "X", n_jobs)
        # Commit: nothing below fails.
        self.offsets, self.live_flags = all_offsets, live_flags
        self.ids.commit(all_ids, end, ascending)
        self.n_live += end - n
        self.next_id = max(self.next_id, next_id)

    def kill(self, positions: NDArray[np.int64]) -> None:
        """Remove the items at these positions, all of them living."""
        self.rows.kill(rows_of_runs(self.offsets, positions))
        self.live_flags[positions] = 0
        self.n_live -= len(positions)

    def tidy(self, n_jobs: int | None, *, fully: bool = False) -> None:
        """Rewrite everything without dead items where there are many, or `fully` where any are."""
        keep = self.live_positions
        lengths = np.diff(self.offsets)[keep]
        ids = self.ids.compacted(keep) if len(keep) < self.n else self.ids
        kept = self.rows.tidy(n_jobs, most_dead=0.0 if fully else _MOST_DEAD)
        if kept is None:
            return
        self.offsets, self.ids = run_offsets(lengths), ids
        self.live_flags = np.ones(len(keep), np.uint8)
        self.n_live = len(keep)

    def copy(self) -> ItemStore:
        """Return a writable store of the living items, in memory of its own."""
        twin = ItemStore.__new__(ItemStore)
        twin.__setstate__(self.__getstate__())
        return twin

    def __getstate__(self) -> dict[str, Any]:
        keep = self.live_positions
        return self.__dict__ | {
            "rows": self.rows.copy(),
            "ids": self.ids.compacted(keep),
            "offsets": run_offsets(np.diff(self.offsets)[keep]),
            "live_flags": np.ones(len(keep), np.uint8),
            "n_live": len(keep),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def write_items(
    path: str | os.PathLike[str],
    kind: str,
    params: Mapping[str, Any],
    store: ItemStore,
    n_jobs: int | None,
    more_meta: Mapping[str, Any],
    more_arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Write items; `store` has no dead ones. The parameters are those of `write_store`."""
    arrays = {f"{_ITEM_IDS}.{name}": array for name, array in store.ids.to_arrays().items()}
    arrays["offsets"] = store.offsets
    ids = {
        "ids": store.ids.dtype,
        "ascending": store.ids.ascending,
        "n": store.n,
        "next_id": store.next_id,
    }
    meta = {_ITEM_IDS: {"meta": ids}} | dict(more_meta)
    write_store(path, kind, params, store.rows, n_jobs, meta, arrays | dict(more_arrays))


def read_items(file: Container, kind: str, metric: str) -> ItemStore:
    """Return the mapped, read-only items of a file.

    Raises
    ------
    FormatError
        The header and the arrays do not fit together.
    """
    part = part_of(file, file.meta.get(_ITEM_IDS), _ITEM_IDS)
    n = check_count("n", part.meta["n"], at_least=0)
    rows = read_store(file, kind, metric, "auto")
    offsets = file.array("offsets", "<i8", (n + 1,))
    if offsets[0] != 0 or offsets[-1] != rows.n or (n and int(np.diff(offsets).min()) < 1):
        raise FormatError(f"{file.path}: the offsets of the items do not fit to the vectors.")
    store = ItemStore(kind, metric, rows.dim, read_ids(part, n))
    rows.head_rows = _HEAD_ROWS
    store.rows, store.offsets = rows, offsets
    store.live_flags = np.ones(n, np.uint8)
    store.n_live = n
    store.next_id = check_count("next_id", part.meta["next_id"], at_least=0)
    return store
