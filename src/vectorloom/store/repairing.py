# SPDX-License-Identifier: Apache-2.0
"""Repair: damaged vectors come from a snapshot, or their points go, by name and when told to.

A row number is never given twice, so a snapshot's vector of the same row is the same vector.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, ParameterError
from vectorloom.store.engine import Engine
from vectorloom.store.reading import stored_of
from vectorloom.store.segment import Segment
from vectorloom.store.segment_file import FOLDER
from vectorloom.store.stored import Stored, gathered
from vectorloom.store.upkeep import merge, remove_strays
from vectorloom.store.view import View
from vectorloom.store.writing import Batch, bury, store_batch

_BATCH = 4096


def repair(
    path: str | os.PathLike[str],
    snapshot: str | os.PathLike[str] | None = None,
    *,
    drop: bool = False,
) -> dict[str, Any]:
    """Put right what `verify` finds in segments and derived files.

    Parameters
    ----------
    path : path-like
        A collection that no one writes to.
    snapshot : path-like, default=None
        A snapshot of it, from which damaged vectors are taken; payloads and texts stay those of
        now.
    drop : bool, default=False
        Remove the points whose vectors are nowhere. Without it nothing is changed when there are
        some.

    Returns
    -------
    dict
        ``restored``: points whose vectors came from the snapshot; ``dropped``: ids of points that
        were removed; ``strays``: files that belonged to nothing.

    Raises
    ------
    ParameterError
        Some vectors are nowhere and `drop` is False; the message counts them and names the first.
    LockedError, FormatError, OSError
        It is being written; its database is damaged (restore the snapshot); no permission.

    Notes
    -----
    Damaged graphs are removed, and built again by the next writer.
    """
    engine = Engine(Path(path).resolve(), read_only=False)
    try:
        _check_all(engine)
        bad = _damaged_rows(engine)
        restored, dropped = 0, []
        if len(bad):
            with contextlib.ExitStack() as stack:
                source = None
                if snapshot is not None:
                    source = Engine(Path(snapshot).resolve(), read_only=True)
                    stack.callback(source.close)
                saved = _saved(engine, source, bad)
            lost = np.setdiff1d(bad, saved.rows)
            dropped = [id_ for id_, _, _ in _contents(engine.db, lost)]
            if dropped and not drop:
                raise ParameterError(
                    f"the vectors of {len(dropped)} points are lost, first {dropped[0]!r}; nothing "
                    "was changed. Pass a snapshot that has them, or drop=True to remove these "
                    "points."
                )
            _restore(engine, saved)
            restored = len(saved.rows)
            _drop(engine, lost)
        _rewrite(engine)
        strays = remove_strays(engine.folder, engine.db)
    finally:
        engine.close()
    return {"restored": restored, "dropped": dropped, "strays": strays}


class _Saved:
    """Vectors of damaged rows that were found, by field."""

    def __init__(self, rows: NDArray[np.int64], vectors: list[Stored]) -> None:
        self.rows = rows
        self.vectors = vectors


def _check_all(engine: Engine) -> None:
    for segment in engine.loader.segments:
        while segment.scrub(4096) is not None:
            pass
    engine.remake()


def _damaged_rows(engine: Engine) -> NDArray[np.int64]:
    """Return the rows of points that lack a sound vector in some field, ascending."""
    rows = np.array(
        engine.db.execute("SELECT row FROM points ORDER BY row").fetchall(), np.int64
    ).reshape(-1)
    bad = [np.setdiff1d(rows, _sound_rows(parts)) for parts in engine.current().fields]
    return np.unique(np.concatenate(bad))


def _sound_rows(parts: Any) -> NDArray[np.int64]:
    held = [part.rows if part.live is None else part.rows[part.live == 1] for part in parts]
    return np.concatenate([np.empty(0, np.int64), *held])


def _saved(engine: Engine, source: Engine | None, bad: NDArray[np.int64]) -> _Saved:
    """Take vectors from the collection where they are sound, else from the snapshot."""
    views: list[tuple[Engine, View]] = [(engine, engine.current())]
    if source is not None:
        if _kinds(source) != _kinds(engine):
            raise FormatError(f"{source.folder}: is no snapshot of {engine.folder}.")
        _check_all(source)
        views.append((source, source.current()))
    known = {id_ for id_, _, _ in _contents(engine.db, bad)}
    found = bad
    sources: list[list[NDArray[np.int64]]] = []
    for place in range(len(engine.schema.fields)):
        there = [np.intersect1d(bad, _sound_rows(view.fields[place])) for _, view in views]
        sources.append(there)
        found = np.intersect1d(found, np.concatenate(there))
    if source is not None and len(found):
        same = {id_ for id_, _, _ in _contents(source.db, found)}
        if not same <= known:
            raise FormatError(f"{source.folder}: is no snapshot of {engine.folder}.")
    vectors = []
    for place, there in enumerate(sources):
        parts: list[Stored] = []
        source_of, at = np.zeros((2, len(found)), np.int64)
        for (owner, view), rows in zip(views, there, strict=True):
            wanted = np.intersect1d(found, rows)
            here = np.searchsorted(found, wanted)
            source_of[here], at[here] = len(parts), np.arange(len(wanted))
            parts.append(stored_of(owner, view, place, wanted))
        vectors.append(gathered(parts, source_of, at))
    return _Saved(found, vectors)


def _kinds(engine: Engine) -> list[Any]:
    return [(f.kind, f.dim, f.dtype) for f in engine.schema.fields]


def _contents(db: sqlite3.Connection, rows: NDArray[np.int64]) -> list[tuple[Any, Any, Any]]:
    """Return (id, payload, text) of rows that are there."""
    found = []
    for row in rows.tolist():
        one = db.execute("SELECT id, payload, text FROM points WHERE row = ?", (row,)).fetchone()
        if one is not None:
            found.append(one)
    return found


def _restore(engine: Engine, saved: _Saved) -> None:
    for start in range(0, len(saved.rows), _BATCH):
        part = slice(start, start + _BATCH)
        contents = _contents(engine.db, saved.rows[part])
        ids = [id_ for id_, _, _ in contents]
        at = np.arange(len(saved.rows))[part]
        fields = [vectors.take(at) for vectors in saved.vectors]
        batch = Batch(
            np.array(ids, object if isinstance(ids[0], str) else np.int64),
            fields,
            [payload for _, payload, _ in contents],
            [text for _, _, text in contents],
        )
        store_batch(engine, batch)


def _drop(engine: Engine, rows: NDArray[np.int64]) -> None:
    if len(rows) == 0:
        return
    with engine.commit() as db:
        version = db.execute("SELECT version FROM state").fetchone()[0] + 1
        bury(db, rows.tolist(), version)
        db.execute("UPDATE state SET version = version + 1")


def _rewrite(engine: Engine) -> None:
    """Write damaged segments anew without their damaged blocks, and forget those that are lost."""
    damaged: list[Segment] = [each for each in engine.loader.segments if each.damaged]
    for segment in damaged:
        merge(engine, segment.record.field, [segment])
    lost = list(engine.loader.lost)
    if not lost:
        return
    files = [
        row[0]
        for number in lost
        for row in engine.db.execute("SELECT file FROM segments WHERE number = ?", (number,))
    ]
    with engine.commit() as db:
        db.executemany("DELETE FROM segments WHERE number = ?", [(number,) for number in lost])
        db.execute("UPDATE state SET version = version + 1, epoch = epoch + 1")
        engine.loader.lost.clear()
    for name in files:
        with contextlib.suppress(OSError):
            (engine.folder / FOLDER / name).unlink()
