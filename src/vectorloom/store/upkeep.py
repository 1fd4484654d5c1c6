# SPDX-License-Identifier: Apache-2.0
"""Sealing, compaction and graphs: what keeps searches fast and the folder small.

Each step writes new files beside the old ones, then commits one transaction that lists the new and
forgets the old, then removes what no list names. Killed anywhere, it leaves the old state and at
most files that no list names, which the next writer removes. Memory is bounded: vectors go from
file to file in pieces.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.store.engine import Engine
from vectorloom.store.schema import FieldSchema
from vectorloom.store.segment import DERIVED, GRAPH_MIN_ROWS, Segment
from vectorloom.store.segment_file import (
    FOLDER,
    Content,
    SegmentRecord,
    moved,
    write_segment,
)
from vectorloom.store.stored import Stored, gathered

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
# While rows stream in and are asked for, indexed segments are merged when there are so many.
_MOST_WALKS = 8


def is_full(field: FieldSchema, held: Stored) -> bool:
    """Return whether so many fresh vectors of a field are sealed."""
    return len(held) >= max(SEAL_AT_LEAST, SEAL_ROWS) or held.nbytes >= SEAL_BYTES


def seal(engine: Engine) -> bool:
    """Move all fresh vectors into segments; False where there were none."""
    with engine.upkeep:
        with engine.lock:
            engine.require_writable()
            loader = engine.loader
            held = list(loader.fresh)
            lives = [loader.fresh_live(place) for place in range(len(held))]
            counts = [fresh.n for fresh in held]
        if not counts[0]:
            return False
        last = int(held[0].rows[counts[0] - 1])
        made: list[Segment] = []
        for place, fresh in enumerate(held):
            keep = np.flatnonzero(lives[place][: counts[place]])
            if len(keep):
                rows, ids = fresh.rows[keep], fresh.ids[keep]
                content = moved([fresh.held], np.zeros(len(keep), np.int64), keep)
                made.append(_written(engine, place, rows, ids, content))
        gone = held[0].rows[: counts[0]][lives[0][: counts[0]] == 0]
        with _kept_if_listed(engine, made), engine.commit() as db:
            engine.loader.await_segments(made)
            list_segments(db, [segment.record for segment in made])
            db.execute("DELETE FROM fresh WHERE first <= ?", (last,))
            _bury(db, gone)
    engine.checkpoint()
    return True


def _written(
    engine: Engine, place: int, rows: NDArray[np.int64], ids: NDArray[Any], content: Content
) -> Segment:
    """Write a segment and open it, so that the commit that lists it has little to do."""
    schema = engine.schema.fields[place]
    record = write_segment(engine.folder, schema, place, rows, ids, content)
    id_type = "str" if ids.dtype == object else "int64"
    return Segment(engine.folder, schema, record, id_type)


@contextlib.contextmanager
def _kept_if_listed(engine: Engine, made: Sequence[Segment]) -> Iterator[None]:
    """Remove the files of new segments where something went wrong before they were listed."""
    try:
        yield
    except BaseException:
        for segment in made:
            if not _may_be_listed(engine, segment):
                segment.remove()
        raise


def _may_be_listed(engine: Engine, segment: Segment) -> bool:
    try:
        with engine.lock:
            found = engine.db.execute(
                "SELECT 1 FROM segments WHERE file = ?", (segment.record.file,)
            )
            return found.fetchone() is not None
    except sqlite3.Error:
        return True  # the next writer knows


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


# ---- compaction --------------------------------------------------------------------------------


#: What builds the graph of a segment.
Build = Callable[[Segment], None]
#: Called now and then; raises where work is to end.
Stop = Callable[[], None]


def _go_on() -> None:
    pass


def compact(
    engine: Engine, build: Build | None = None, *, fully: bool = False, stop: Stop = _go_on
) -> int:
    """Merge segments, leave dead rows out; return how many were replaced.

    Parameters
    ----------
    engine : Engine
    build : callable, default=None
        Called with a new segment before it is listed, so that no search has to scan what was
        walked through before.
    fully : bool, default=False
        Merge all, up to 8 million rows each, whatever their sizes.
    stop : callable, default=none
        Raises where this is to end; nothing is changed then.
    """
    replaced = 0
    with engine.building:
        for place in range(len(engine.schema.fields)):
            while True:
                run = _choose(engine, place, fully)
                if not run:
                    break
                merge(engine, place, run, build, stop)
                replaced += len(run)
                if fully:
                    break
    return replaced


def index_streaming(engine: Engine, build: Build, stop: Stop = _go_on) -> bool:
    """Do one thing for searches while rows stream in; False when there is none.

    Segments without a graph are merged into one that gets it. The slower that is against the
    writer, the more come together for the next. Indexed ones are merged when there are many, for
    each is a walk.
    """
    with engine.building:
        for place in range(len(engine.schema.fields)):
            with engine.lock:
                own = [s for s in engine.loader.segments if s.record.field == place]
            bare = [s for s in own if s.wants_graph and not s.damaged]
            if len(bare) == 1:
                build(bare[0])
                engine.remake()
                return True
            if len(bare) > 1:
                merge(engine, place, bare, build, stop)
                return True
            run = _choose(engine, place, fully=False, at_least=_MOST_WALKS)
            if run:
                merge(engine, place, run, build, stop)
                return True
    return False


def _choose(engine: Engine, place: int, fully: bool, at_least: int = 2) -> list[Segment]:
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
    return run if len(run) >= at_least else []


def merge(
    engine: Engine,
    place: int,
    run: Sequence[Segment],
    build: Build | None = None,
    stop: Stop = _go_on,
) -> None:
    """Write the living rows of some segments of a field into one, in their place.

    Called with `building` held where others may do the same. Seals and snapshots go on meanwhile.
    """
    with engine.lock:
        engine.require_writable()
        lives = [engine.loader.live_of(segment) for segment in run]
    keep = [np.flatnonzero(live) for live in lives]
    rows = np.concatenate([s.rows[at] for s, at in zip(run, keep, strict=True)])
    source = np.repeat(np.arange(len(run)), [len(at) for at in keep])
    positions = np.concatenate(keep)
    order = np.argsort(rows, kind="stable")
    rows, source, positions = rows[order], source[order], positions[order]
    made: list[Segment] = []
    if len(rows):
        alone = [Stored((_ids(segment),)) for segment in run]
        ids = gathered(alone, source, positions).runs[0]
        for segment, own in zip(run, keep, strict=True):
            segment.require_sound(own)
        content = moved([segment.held for segment in run], source, positions, stop)
        made.append(_written(engine, place, rows, ids, content))
    gone = np.concatenate([s.rows[live == 0] for s, live in zip(run, lives, strict=True)])
    with _kept_if_listed(engine, made):
        for segment in made:
            if build is not None and segment.wants_graph:
                build(segment)
        with engine.upkeep:
            with engine.commit() as db:
                engine.loader.await_segments(made)
                numbers = [(segment.record.number,) for segment in run]
                db.executemany("DELETE FROM segments WHERE number = ?", numbers)
                list_segments(db, [segment.record for segment in made])
                if len(engine.schema.fields) > 1:
                    gone = _unheld(engine, gone, place, run)
                _bury(db, gone)
            for segment in run:
                segment.remove()
    engine.checkpoint()


def _unheld(
    engine: Engine, rows: NDArray[np.int64], place: int, run: Sequence[Segment]
) -> NDArray[np.int64]:
    """Return the dead rows that no segment of another field holds."""
    for segment in engine.loader.segments:
        if segment not in run and segment.record.field != place:
            rows = rows[~np.isin(rows, segment.rows)]
    return rows


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


__all__ = ["GRAPH_MIN_ROWS", "build_graphs", "compact", "index_streaming", "remove_strays", "seal"]
