# SPDX-License-Identifier: Apache-2.0
"""Verify: every checksum and every promise of a collection's folder."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vectorloom.errors import FormatError
from vectorloom.io.container import open_container
from vectorloom.progress import progress
from vectorloom.store import database
from vectorloom.store.database import connect, read_state, transaction, translated
from vectorloom.store.loading import Loader
from vectorloom.store.schema import Schema
from vectorloom.store.segment import DERIVED, Segment
from vectorloom.store.segment_file import FOLDER


@dataclass(frozen=True)
class Problem:
    """Something wrong with a collection.

    Attributes
    ----------
    kind : {"database", "segment", "block", "graph", "stray", "points"}
        ``"graph"`` and ``"stray"`` cost nothing: the next writer rebuilds or removes them.
    file : str
    what : str
    ids : tuple
        Points whose vectors are concerned.
    """

    kind: str
    file: str
    what: str
    ids: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


@dataclass
class Report:
    """What `verify` found.

    Attributes
    ----------
    path : str
    points, segments, blocks : int
        What was checked.
    problems : list of Problem
    """

    path: str
    points: int = 0
    segments: int = 0
    blocks: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing that was stored is damaged; derived files do not count."""
        return all(problem.kind in ("graph", "stray") for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "path": self.path,
            "sound": self.is_sound,
            "points": self.points,
            "segments": self.segments,
            "blocks": self.blocks,
            "problems": [
                {"kind": p.kind, "file": p.file, "what": p.what, "ids": list(p.ids)}
                for p in self.problems
            ],
        }


def verify(path: str | os.PathLike[str], quiet: bool | None = None) -> Report:
    """Check a collection's folder: database, every block of every segment, derived files.

    Parameters
    ----------
    path : path-like
        May be open for writing elsewhere: one commit is checked.
    quiet : bool, default=None
        See `vectorloom.progress.progress`.

    Returns
    -------
    Report

    Raises
    ------
    OSError, FormatError
        There is no collection, or its database cannot be read at all.

    Notes
    -----
    Reads all bytes once.
    """
    folder = Path(path)
    while True:
        report, epoch = _verified(folder, quiet)
        if not any(problem.kind == "segment" for problem in report.problems):
            return report
        with contextlib.closing(connect(folder / database.NAME, read_only=True)) as db:
            if read_state(db).epoch == epoch:
                return report  # else its segments were merged into others meanwhile


def _verified(folder: Path, quiet: bool | None) -> tuple[Report, int]:
    report = Report(str(folder))
    path_of_database = folder / database.NAME
    with (
        contextlib.closing(connect(path_of_database, read_only=True)) as db,
        translated(path_of_database),
        transaction(db, "DEFERRED"),
    ):
        _check_database(db, report)
        schema = Schema.from_json(read_state(db).schema)
        loader = Loader(folder, schema, own=False)
        epoch = loader.load(db).epoch
        report.problems += [
            Problem("segment", str(folder / FOLDER / why.partition(":")[0]), why)
            for why in loader.lost.values()
        ]
        total = sum(segment.n_blocks for segment in loader.segments)
        with progress("verifying", total=total, unit="blocks", quiet=quiet) as bar:
            for segment in loader.segments:
                _check_segment(segment, loader, report)
                bar.advance(segment.n_blocks)
        _check_points(db, loader, report)
        _check_strays(folder, db, report)
    return report, epoch


def _check_database(db: sqlite3.Connection, report: Report) -> None:
    for (line,) in db.execute("PRAGMA integrity_check(20)"):
        if line != "ok":
            report.problems.append(Problem("database", database.NAME, str(line)))
    report.points = db.execute("SELECT count(*) FROM points").fetchone()[0]


def _check_segment(segment: Segment, loader: Loader, report: Report) -> None:
    report.segments += 1
    report.blocks += segment.n_blocks
    live = loader.live_of(segment)
    for block in range(segment.n_blocks):
        if segment.check_block(block):
            continue
        part = segment.rows_of_block(block)
        positions = np.arange(part.start, part.stop)[live[part] == 1]
        ids = tuple(segment.store.ids.take(positions).tolist())
        what = f"block {block} differs from its checksum: the vectors of {len(ids)} points"
        report.problems.append(Problem("block", str(segment.path), what, ids))
    if segment.graph_path.exists():
        try:
            open_container(segment.graph_path, verify=True)
        except (FormatError, OSError) as error:
            report.problems.append(Problem("graph", str(segment.graph_path), str(error)))


def _check_points(db: sqlite3.Connection, loader: Loader, report: Report) -> None:
    """Whether each point has a vector in each field, and no vector lacks its point."""
    rows = np.array(db.execute("SELECT row FROM points ORDER BY row").fetchall(), np.int64)
    rows = rows.reshape(-1)
    for place, fresh in enumerate(loader.fresh):
        held = [fresh.rows[loader.fresh_live(place)[: fresh.n] == 1]]
        held += [
            segment.rows[loader.live_of(segment) == 1]
            for segment in loader.segments
            if segment.record.field == place
        ]
        there = np.sort(np.concatenate(held))
        name = loader.schema.fields[place].name
        missing = np.setdiff1d(rows, there)
        if len(missing):
            ids = tuple(_ids_at(db, missing.tolist()))
            what = f"{len(missing)} points have no vector in the field {name!r}"
            report.problems.append(Problem("points", database.NAME, what, ids))
        surplus = np.setdiff1d(there, rows)
        if len(surplus) or len(np.unique(there)) != len(there):
            what = f"{len(surplus)} vectors of the field {name!r} belong to no point"
            report.problems.append(Problem("points", database.NAME, what))


def _ids_at(db: sqlite3.Connection, rows: list[int]) -> list[Any]:
    return [db.execute("SELECT id FROM points WHERE row = ?", (row,)).fetchone()[0] for row in rows]


def _check_strays(folder: Path, db: sqlite3.Connection, report: Report) -> None:
    listed = {row[0] for row in db.execute("SELECT file FROM segments")}
    graphs = {f"{Path(name).stem}.graph" for name in listed}
    for name, known in ((FOLDER, listed), (DERIVED, graphs)):
        home = folder / name
        for file in sorted(home.iterdir()) if home.is_dir() else ():
            if file.name not in known:
                report.problems.append(
                    Problem("stray", str(file), "belongs to nothing; the next writer removes it")
                )
