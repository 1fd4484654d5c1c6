# SPDX-License-Identifier: Apache-2.0
"""Upserts and deletes: checked whole, then one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.store.database import read_state
from vectorloom.store.engine import Engine
from vectorloom.store.points import checked_ids, checked_texts, packed_payloads
from vectorloom.store.schema import Schema
from vectorloom.store.segment_file import whole, write_segment
from vectorloom.store.stored import Stored, encoded
from vectorloom.store.upkeep import SEAL_AT_LEAST, is_full, list_segments


class Batch(NamedTuple):
    """Points that passed all checks."""

    ids: NDArray[Any]
    fields: list[Stored]
    payloads: list[str | None]
    texts: list[str | None]


def checked_batch(
    schema: Schema, id_type: str | None, ids: Any, vectors: Any, payloads: Any, texts: Any
) -> Batch:
    """Return points ready to be stored, or say what is wrong with them.

    Raises
    ------
    ParameterError, ShapeError
    """
    named = _by_field(schema, vectors)
    fields = [encoded(field, named[field.name], "vectors") for field in schema.fields]
    n = len(fields[0])
    for field, held in zip(schema.fields, fields, strict=True):
        if len(held) != n:
            raise ShapeError(
                f"the field {field.name!r} has {len(held)} vectors and {schema.fields[0].name!r} "
                f"has {n}; give one of each a point."
            )
    if ids is None:
        raise ParameterError("ids must be given: they are what points are found by.")
    wanted = checked_ids(ids, n, id_type)
    return Batch(wanted, fields, packed_payloads(payloads, n), checked_texts(texts, n))


def _by_field(schema: Schema, vectors: Any) -> Mapping[str, Any]:
    names = [field.name for field in schema.fields]
    if isinstance(vectors, Mapping):
        if set(vectors) != set(names):
            raise ParameterError(
                f"vectors has the fields {sorted(map(str, vectors))}; this collection has {names}, "
                "and a point needs all of them."
            )
        return vectors
    if len(names) > 1:
        raise ParameterError(
            f"this collection has the fields {names}; pass vectors={{name: array, …}}."
        )
    return {names[0]: vectors}


def store_batch(engine: Engine, batch: Batch, source: tuple[str, int] | None = None) -> None:
    """Store points, replacing those whose ids are there; durable when it returns.

    Parameters
    ----------
    engine : Engine
    batch : Batch
    source : (name, rows), default=None
        What import this is part of and how far it has come with it.
    """
    n = len(batch.ids)
    with engine.commit() as db:
        state = read_state(db)
        own = "int64" if batch.ids.dtype == np.int64 else "str"
        if n and state.id_type not in (None, own):
            raise ParameterError(
                f"ids are {own} and this collection has {state.id_type} ids; ids must be of one "
                "type."
            )
        _remove(db, batch.ids, state.version + 1)
        first = state.next_row
        ids = batch.ids.tolist()
        db.executemany(
            "INSERT INTO points (row, id, payload, text) VALUES (?, ?, ?, ?)",
            zip(range(first, first + n), ids, batch.payloads, batch.texts, strict=True),
        )
        if n:
            db.execute("UPDATE state SET id_type = ?", (own,))
            _store_vectors(engine, db, batch, first)
        if source is not None:
            db.execute("INSERT OR REPLACE INTO imports VALUES (?, ?)", source)
        db.execute("UPDATE state SET version = version + 1, next_row = next_row + ?", (n,))


def _store_vectors(engine: Engine, db: sqlite3.Connection, batch: Batch, first: int) -> None:
    n = len(batch.ids)
    schema = engine.schema
    if n >= SEAL_AT_LEAST and any(map(is_full, schema.fields, batch.fields)):
        # So many are sealed at once; the commit lists the files.
        rows = np.arange(first, first + n)
        records = [
            write_segment(engine.folder, field, place, rows, batch.ids, whole(held))
            for place, (field, held) in enumerate(zip(schema.fields, batch.fields, strict=True))
        ]
        list_segments(db, records)
        return
    for place, held in enumerate(batch.fields):
        db.execute("INSERT INTO fresh VALUES (?, ?, ?, ?, ?)", (place, first, n, *held.blobs()))


def replace_payloads(engine: Engine, ids: NDArray[Any], packed: list[str | None]) -> None:
    """Give points other payloads; their rows, and so their vectors, stay.

    Raises
    ------
    ParameterError
        Some are not there; nothing is changed.
    """
    with engine.commit() as db:
        pairs = list(zip(packed, ids.tolist(), strict=True))
        changed = db.executemany("UPDATE points SET payload = ? WHERE id = ?", pairs).rowcount
        if changed < len(pairs):
            raise ParameterError(
                f"{len(pairs) - changed} of {len(pairs)} ids are not in this collection; nothing "
                "was changed. Use upsert to store new points."
            )
        db.execute("UPDATE state SET version = version + 1")


def delete_ids(engine: Engine, ids: NDArray[Any], missing: str) -> int:
    """Remove points; return how many.

    Raises
    ------
    ParameterError
        Some are not there and `missing` is "raise"; nothing is removed.
    """
    with engine.commit() as db:
        state = read_state(db)
        removed = _remove(db, ids, state.version + 1)
        if missing == "raise" and removed < len(ids):
            raise ParameterError(
                f"{len(ids) - removed} of {len(ids)} ids are not in this collection; nothing was "
                "removed. Pass missing='ignore' to remove the others."
            )
        db.execute("UPDATE state SET version = version + 1")
    return removed


def delete_rows(engine: Engine, condition: str, parameters: tuple[Any, ...]) -> int:
    """Remove the points that a compiled filter leaves; return how many."""
    with engine.commit() as db:
        version = read_state(db).version + 1
        found = db.execute(f"SELECT row FROM points WHERE {condition}", parameters).fetchall()
        bury(db, [row for (row,) in found], version)
        db.execute("UPDATE state SET version = version + 1")
    return len(found)


def _remove(db: sqlite3.Connection, ids: NDArray[Any], version: int) -> int:
    listed = json.dumps(ids.tolist(), ensure_ascii=False)
    found = db.execute(
        "SELECT p.row FROM json_each(?) AS j CROSS JOIN points AS p ON p.id = j.value", (listed,)
    ).fetchall()
    bury(db, [row for (row,) in found], version)
    return len(found)


def bury(db: sqlite3.Connection, rows: list[int], version: int) -> None:
    """Let points go by their rows, inside the transaction that makes this version."""
    db.executemany("DELETE FROM points WHERE row = ?", [(row,) for row in rows])
    db.executemany("INSERT INTO dead VALUES (?, ?)", [(row, version) for row in rows])
