# SPDX-License-Identifier: Apache-2.0
"""From the database to a view: what is known already is kept, what is new is read.

The writer and the readers come to their views by the same steps, the writer after each commit of
its own, a reader when it sees that there was one.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError
from vectorloom.store.database import State, read_state
from vectorloom.store.rows import FreshRows
from vectorloom.store.schema import Schema
from vectorloom.store.segment import Segment
from vectorloom.store.segment_file import SegmentRecord
from vectorloom.store.stored import of_blobs
from vectorloom.store.view import Part, View

log = logging.getLogger("vectorloom.store")

_SEGMENT = "SELECT number, field, file, n, layout, checksums FROM segments"


@dataclass
class _Living:
    """Rows of a part and which of them belong to a point; `live` is replaced, never written to."""

    rows: NDArray[np.int64]
    live: NDArray[np.uint8]
    n_points: int

    @classmethod
    def of(cls, rows: NDArray[np.int64]) -> _Living:
        return cls(rows, np.ones(len(rows), np.uint8), len(rows))

    def without(self, dead: NDArray[np.int64]) -> _Living:
        """Return the same without the rows that are among the ascending `dead`."""
        if len(dead) == 0 or len(self.rows) == 0:
            return self
        at = np.searchsorted(self.rows, dead)
        at = at[(at < len(self.rows)) & (self.rows[np.minimum(at, len(self.rows) - 1)] == dead)]
        if len(at) == 0:
            return self
        live = self.live.copy()
        live[at] = 0
        return _Living(self.rows, live, int(np.count_nonzero(live)))


class Loader:
    """Makes views, and keeps between them what does not change.

    Parameters
    ----------
    folder : Path
    schema : Schema
    own : bool, default=True
        Whether this is the writer's, which may remove graphs that cannot be used.

    Attributes
    ----------
    fresh : list of FreshRows
        One a field.
    lost : dict of int to str
        Segments that cannot be opened, by number, and why.
    """

    def __init__(self, folder: Path, schema: Schema, own: bool = True) -> None:
        self.folder = folder
        self._own = own
        self.schema = schema
        self.fresh = [FreshRows(field) for field in schema.fields]
        self.lost: dict[int, str] = {}
        self._segments: dict[int, Segment] = {}
        self._awaited: dict[str, Segment] = {}
        self._living: dict[int, _Living] = {}
        self._fresh_living = [_Living.of(np.empty(0, np.int64)) for _ in schema.fields]
        self._version = self._epoch = -1

    def load(self, db: sqlite3.Connection, *, lose_missing: bool = True) -> View:
        """Return the view of the transaction that `db` is in.

        `lose_missing`: go on without segments whose files are missing.

        Raises
        ------
        FileNotFoundError
            A segment went between the list and its opening: the list is an old one.
        """
        state = read_state(db)
        whole = state.epoch != self._epoch
        if whole:
            self._follow_segments(db, state, lose_missing)
        self._follow_fresh(db, state)
        known = -1 if whole else self._version
        dead = np.array(
            db.execute("SELECT row FROM dead WHERE version > ? ORDER BY row", (known,)).fetchall(),
            np.int64,
        ).reshape(-1)
        self._living = {number: each.without(dead) for number, each in self._living.items()}
        self._fresh_living = [each.without(dead) for each in self._fresh_living]
        self._version, self._epoch = state.version, state.epoch
        return self._view(state)

    def await_segments(self, made: Sequence[Segment]) -> None:
        """Take these, opened already, when their files are listed."""
        self._awaited = {segment.record.file: segment for segment in made}

    def remake(self, view: View) -> View:
        """Return the view with graphs and damage as they are now."""
        parts = tuple(self._parts(place) for place in range(len(view.fields)))
        return replace(view, fields=parts)

    @property
    def segments(self) -> list[Segment]:
        """All that are open, in the order of their first rows."""
        return sorted(self._segments.values(), key=lambda segment: int(segment.rows[0]))

    def live_of(self, segment: Segment) -> NDArray[np.uint8]:
        """Return 1 at the positions of a segment that belong to a point."""
        return self._living[segment.record.number].live

    def fresh_live(self, place: int) -> NDArray[np.uint8]:
        """Return 1 at the fresh positions of a field that belong to a point."""
        return self._fresh_living[place].live

    # ---- inside --------------------------------------------------------------------------------

    def _view(self, state: State) -> View:
        parts = tuple(self._parts(place) for place in range(len(self.schema.fields)))
        return View(state.version, state.epoch, state.next_row, parts, state.id_type)

    def _parts(self, place: int) -> tuple[Part, ...]:
        parts = [
            _part(segment, self._living[segment.record.number])
            for segment in self.segments
            if segment.record.field == place
        ]
        living = self._fresh_living[place]
        if len(living.rows):
            fresh = self.fresh[place]
            all_live = living.n_points == len(living.rows)
            live = None if all_live else living.live
            n = living.n_points
            parts.append(
                Part(fresh.store(), fresh.held, living.rows, live, n, n, None, fresh.lists)
            )
        return tuple(parts)

    def _follow_segments(self, db: sqlite3.Connection, state: State, lose_missing: bool) -> None:
        records = [SegmentRecord.from_row(row) for row in db.execute(_SEGMENT)]
        numbers = {record.number for record in records}
        for record in records:
            if record.number in self._segments or record.number in self.lost:
                continue
            field = self.schema.fields[record.field]
            try:
                segment = self._awaited.pop(record.file, None) or Segment(
                    self.folder, field, record, str(state.id_type), self._own
                )
                segment.record = record
            except FileNotFoundError:
                if not lose_missing:
                    raise
                self._lose(record, "is missing")
            except FormatError as error:
                self._lose(record, str(error))
            else:
                self._segments[record.number] = segment
        self._awaited = {}
        for number in set(self._segments) - numbers:
            del self._segments[number]
        self._living = {
            number: self._living.get(number) or _Living.of(segment.rows)
            for number, segment in self._segments.items()
        }

    def _lose(self, record: SegmentRecord, why: str) -> None:
        self.lost[record.number] = f"{record.file}: {why}"
        log.error(
            "segment %s %s; its %d vectors are left out of answers. Restore them with `vectorloom "
            "repair`.", record.file, why, record.n,
        )  # fmt: skip

    def _follow_fresh(self, db: sqlite3.Connection, state: State) -> None:
        for place in range(len(self.schema.fields)):
            first = db.execute("SELECT min(first) FROM fresh WHERE field = ?", (place,)).fetchone()[
                0
            ]
            held = self.fresh[place]
            start = state.next_row if first is None else first
            if held.n and int(held.rows[0]) < start:
                held = self.fresh[place] = held.behind(start - 1)
            last = int(held.rows[-1]) if held.n else -1
            for batch in db.execute(
                "SELECT first, n, vectors, scales FROM fresh WHERE field = ? AND first > ? "
                "ORDER BY first",
                (place, last),
            ).fetchall():
                self._append(db, held, *batch)
            known = self._fresh_living[place]
            self._fresh_living[place] = _carried(known, held.rows)

    def _append(
        self,
        db: sqlite3.Connection,
        held: FreshRows,
        first: int,
        n: int,
        vectors: bytes,
        scales: bytes | None,
    ) -> None:
        try:
            more = of_blobs(held.schema, n, vectors, scales)
        except FormatError as error:
            raise FormatError(
                f"{self.folder}: the batch at row {first} has {error}. Restore a snapshot."
            ) from None
        held.append(np.arange(first, first + n), _ids_of(db, first, n), more)


def _ids_of(db: sqlite3.Connection, first: int, n: int) -> NDArray[Any]:
    """Return the ids of rows that follow each other; dead rows get an id that nothing has."""
    found = db.execute(
        "SELECT row, id FROM points WHERE row >= ? AND row < ?", (first, first + n)
    ).fetchall()
    id_type = db.execute("SELECT id_type FROM state").fetchone()[0]
    ids = np.full(n, "", object) if id_type == "str" else np.full(n, -1, np.int64)
    for row, id_ in found:
        ids[row - first] = id_
    return ids


def _carried(known: _Living, rows: NDArray[np.int64]) -> _Living:
    """Return what is known of rows, carried over to `rows`, which end later and may begin later."""
    if len(rows) == 0:
        return _Living.of(rows)
    start = int(np.searchsorted(known.rows, rows[0]))
    live = np.ones(len(rows), np.uint8)
    kept = known.live[start:]
    live[: len(kept)] = kept
    return _Living(rows, live, int(np.count_nonzero(live)))


def _part(segment: Segment, living: _Living) -> Part:
    bad = segment.damaged_mask()
    if bad is None:
        live = None if living.n_points == len(living.rows) else living.live
        n_live = living.n_points
    else:
        live = living.live * ~bad
        n_live = int(np.count_nonzero(live))
    return Part(
        segment.store, segment.held, segment.rows, live, n_live, living.n_points, segment,
        segment.lists,
    )  # fmt: skip
