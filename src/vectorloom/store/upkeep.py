# SPDX-License-Identifier: Apache-2.0
"""Sealing, compaction and graphs: what keeps searches fast and the folder small.

Each step writes new files beside the old ones, then commits one transaction that lists the new and
forgets the old, then removes what no list names. Killed anywhere, it leaves the old state and at
most files that no list names, which the next writer removes. Memory is bounded: vectors go from
file to file in pieces.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import VectorloomError
from vectorloom.store.engine import Engine
from vectorloom.store.schema import FieldSchema
from vectorloom.store.segment import DERIVED, GRAPH_MIN_ROWS, Segment
from vectorloom.store.segment_file import FOLDER, SegmentRecord, moved, write_segment
from vectorloom.store.stored import Stored, gathered

log = logging.getLogger("vectorloom.store")

#: Fresh rows are sealed when they are so many, or take so many bytes.
SEAL_ROWS = 16_384
SEAL_BYTES = 32 << 20
#: Fewer are worth no file.
SEAL_AT_LEAST = 256
# A segment with more than this share of dead rows is rewritten.
_MOST_DEAD = 0.2
# A run of younger segments is merged with the next older one when that is at most so many times
# their size: each row is then rewritten log(n) times.
_RATIO = 2.0
_MOST_ROWS = 8_000_000
_MOST_UNINDEXED = 65_536
_UNINDEXED_SHARE = 0.5
_IDLE_S = 1.0
_ASKED_S = 5.0
_TICK_S = 0.25


def is_full(field: FieldSchema, held: Stored) -> bool:
    """Return whether so many fresh vectors of a field are sealed."""
    return len(held) >= max(SEAL_AT_LEAST, SEAL_ROWS) or held.nbytes >= SEAL_BYTES


def seal(engine: Engine) -> bool:
    """Move all fresh vectors into segments; False where there were none."""
    with engine.upkeep:
        written: list[SegmentRecord] = []
        with engine.lock:
            engine.require_writable()
            loader = engine.loader
            held = list(loader.fresh)
            lives = [loader.fresh_live(place) for place in range(len(held))]
            counts = [fresh.n for fresh in held]
        if not counts[0]:
            return False
        last = int(held[0].rows[counts[0] - 1])
        for place, fresh in enumerate(held):
            keep = np.flatnonzero(lives[place][: counts[place]])
            if len(keep):
                rows, ids = fresh.rows[keep], fresh.ids[keep]
                content = moved([fresh.held], np.zeros(len(keep), np.int64), keep)
                written.append(
                    write_segment(engine.folder, fresh.schema, place, rows, ids, content)
                )
        gone = held[0].rows[: counts[0]][lives[0][: counts[0]] == 0]
        with engine.commit() as db:
            list_segments(db, written)
            db.execute("DELETE FROM fresh WHERE first <= ?", (last,))
            _bury(db, gone)
        _give_back(engine)
        return True


def list_segments(db: sqlite3.Connection, records: Sequence[SegmentRecord]) -> None:
    """List new segments, inside a transaction."""
    db.executemany(
        "INSERT INTO segments (field, file, n, layout, checksums) VALUES (?, ?, ?, ?, ?)",
        [each.to_row() for each in records],
    )
    db.execute("UPDATE state SET version = version + 1, epoch = epoch + 1")


def _bury(db: sqlite3.Connection, rows: NDArray[np.int64]) -> None:
    """Forget dead rows that nothing holds any more."""
    db.executemany("DELETE FROM dead WHERE row = ?", [(row,) for row in rows.tolist()])


def _give_back(engine: Engine) -> None:
    """Return the pages of the database that moved into segments to the file system."""
    with engine.lock, contextlib.suppress(sqlite3.Error):
        # A script, for it frees a page a step and `execute` takes one step of what has no columns.
        engine.db.executescript("PRAGMA incremental_vacuum")
        engine.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


# ---- compaction --------------------------------------------------------------------------------


def compact(engine: Engine, *, fully: bool = False) -> int:
    """Merge segments, leave dead rows out; return how many were replaced.

    `fully`: merge all, up to 8 million rows each, whatever their sizes.
    """
    replaced = 0
    with engine.building, engine.upkeep:
        for place in range(len(engine.schema.fields)):
            while True:
                run = _choose(engine, place, fully)
                if not run:
                    break
                merge(engine, place, run)
                replaced += len(run)
                if fully:
                    break
    return replaced


def _choose(engine: Engine, place: int, fully: bool) -> list[Segment]:
    """Return the segments to be merged next, none when all is well."""
    with engine.lock:
        all_ = [s for s in engine.loader.segments if s.record.field == place and not s.damaged]
        alive = [int(np.count_nonzero(engine.loader.live_of(s))) for s in all_]
    if fully:
        dead = sum(len(s) for s in all_) > sum(alive)
        return all_ if (len(all_) > 1 or dead) and sum(alive) <= _MOST_ROWS else []
    for segment, n in zip(all_, alive, strict=True):
        if len(segment) - n > _MOST_DEAD * len(segment):
            return [segment]
    run: list[Segment] = []
    total = 0
    for segment, n in sorted(zip(all_, alive, strict=True), key=lambda pair: pair[1]):
        if run and (n > _RATIO * total or total + n > _MOST_ROWS):
            break
        run.append(segment)
        total += n
    return run if len(run) > 1 else []


def merge(engine: Engine, place: int, run: Sequence[Segment]) -> None:
    """Write the living rows of some segments of a field into one, in their place."""
    schema = engine.schema.fields[place]
    with engine.lock:
        lives = [engine.loader.live_of(segment) for segment in run]
    keep = [np.flatnonzero(live) for live in lives]
    rows = np.concatenate([s.rows[at] for s, at in zip(run, keep, strict=True)])
    source = np.repeat(np.arange(len(run)), [len(at) for at in keep])
    positions = np.concatenate(keep)
    order = np.argsort(rows, kind="stable")
    rows, source, positions = rows[order], source[order], positions[order]
    written: list[SegmentRecord] = []
    if len(rows):
        alone = [Stored((_ids(segment),)) for segment in run]
        ids = gathered(alone, source, positions).runs[0]
        for segment, own in zip(run, keep, strict=True):
            segment.require_sound(own)
        content = moved([segment.held for segment in run], source, positions)
        written.append(write_segment(engine.folder, schema, place, rows, ids, content))
    gone = [s.rows[live == 0] for s, live in zip(run, lives, strict=True)]
    with engine.commit() as db:
        numbers = [(segment.record.number,) for segment in run]
        db.executemany("DELETE FROM segments WHERE number = ?", numbers)
        list_segments(db, written)
        if len(engine.schema.fields) == 1:
            _bury(db, np.concatenate(gone))
        else:
            _bury_unheld(engine, db, np.concatenate(gone), place, run)
    for segment in run:
        for path in (segment.path, segment.graph_path):
            with contextlib.suppress(OSError):
                path.unlink()
    _give_back(engine)


def _bury_unheld(
    engine: Engine,
    db: sqlite3.Connection,
    rows: NDArray[np.int64],
    place: int,
    run: Sequence[Segment],
) -> None:
    """Forget dead rows that no segment of another field holds."""
    for segment in engine.loader.segments:
        if segment not in run and segment.record.field != place:
            rows = rows[~np.isin(rows, segment.rows)]
    _bury(db, rows)


def _ids(segment: Segment) -> NDArray[Any]:
    values: NDArray[Any] = segment.store.ids.values
    return values


# ---- graphs ------------------------------------------------------------------------------------


def build_graphs(engine: Engine, n_jobs: int | None, room: int | None) -> int:
    """Build the graphs that are missing; return how many."""
    built = 0
    with engine.building:
        with engine.lock:
            wanting = [segment for segment in engine.loader.segments if segment.wants_graph]
        for segment in wanting:
            segment.build_graph(n_jobs, room)
            engine.remake()
            built += 1
    return built


def unindexed(engine: Engine) -> tuple[int, int]:
    """Return how many sealed rows have no graph though they should, and how many have one."""
    with engine.lock:
        segments = engine.loader.segments
    small = sum(len(s) for s in segments if not s.is_indexed)
    return small, sum(len(s) for s in segments if s.is_indexed)


# ---- the folder --------------------------------------------------------------------------------


def remove_strays(folder: Path, db: sqlite3.Connection) -> list[str]:
    """Remove files that no list names: what a killed writer left. Return their names."""
    listed = {row[0] for row in db.execute("SELECT file FROM segments")}
    graphs = {f"{Path(name).stem}.graph" for name in listed}
    removed = []
    for home, known in ((folder / FOLDER, listed), (folder / DERIVED, graphs)):
        if not home.is_dir():
            continue
        for path in home.iterdir():
            if path.name not in known and path.is_file():
                with contextlib.suppress(OSError):
                    path.unlink()
                    removed.append(path.name)
    return removed


class Keeper(threading.Thread):
    """The background thread: seals, merges and builds when there is need, or nothing else to do.

    Parameters
    ----------
    engine : Engine
    n_jobs : int or None
    room : int or None
    """

    def __init__(self, engine: Engine, n_jobs: int | None, room: int | None) -> None:
        super().__init__(name="vectorloom-keeper", daemon=True)
        self._engine = engine
        self._n_jobs = n_jobs
        self._room = room
        self._wake = threading.Event()
        self._stop_asked = False
        self._last_write = time.monotonic()
        self._unscrubbed: Iterator[None] | None = None
        self.building = False
        self.last_error: str | None = None

    def wrote(self) -> None:
        """Tell that there was a commit."""
        self._last_write = time.monotonic()
        self._wake.set()

    def stop(self) -> None:
        """Ask the thread to end and wait, but not for a graph that is being built."""
        self._stop_asked = True
        self._wake.set()
        while self.is_alive() and not self.building:
            self.join(0.05)

    def run(self) -> None:
        """Work until `stop`."""
        while not self._stop_asked:
            idle = time.monotonic() - self._last_write > _IDLE_S
            try:
                busy = self._step(idle)
                self.last_error = None
            except Exception as error:
                if self._engine.closed:
                    return  # what it was working on was let go
                if not isinstance(error, VectorloomError | OSError | MemoryError):
                    log.exception("upkeep of %s failed", self._engine.folder)
                elif self.last_error != str(error):
                    log.warning("upkeep of %s stopped: %s", self._engine.folder, error)
                self.last_error = str(error)
                busy = False
            if not busy:
                self._wake.wait(_TICK_S if not idle else 5.0)
                self._wake.clear()

    def _step(self, idle: bool) -> bool:
        """Do one thing that is due; False when there is none."""
        engine = self._engine
        with engine.lock:
            full = [is_full(each.schema, each.held) for each in engine.loader.fresh]
        if any(full) and engine.loader.fresh[0].n >= SEAL_AT_LEAST:
            return seal(engine)
        bare, walked = unindexed(engine)
        # While rows stream in and no one asks, a graph would only be built again.
        asked = time.monotonic() - engine.searched < _ASKED_S
        if idle or (asked and bare >= max(_MOST_UNINDEXED, _UNINDEXED_SHARE * walked)):
            self.building = True
            try:
                if compact(engine) or self._stop_asked:
                    return True
                if build_graphs(engine, self._n_jobs, self._room):
                    return True
            finally:
                self.building = False
        return idle and self._scrub()

    def _scrub(self) -> bool:
        """Verify one more run of blocks; damage is known before it is asked for."""
        with self._engine.lock:
            segments = self._engine.loader.segments
        for segment in segments:
            found = segment.scrub(64)
            if found is None:
                continue
            if found:
                self._engine.remake()
            return True
        return False


__all__ = ["GRAPH_MIN_ROWS", "Keeper", "build_graphs", "compact", "remove_strays", "seal"]
