# SPDX-License-Identifier: Apache-2.0
"""Bulk data in and out: any file that is read here, and Arrow or Parquet."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vectorloom.errors import ParameterError
from vectorloom.index.multivector.token_vectors import run_offsets
from vectorloom.io import read
from vectorloom.progress import progress
from vectorloom.store.database import connect, read_state, translated
from vectorloom.store.engine import Engine
from vectorloom.store.points import Points
from vectorloom.store.reading import Where, compiled, points_of
from vectorloom.store.schema import FieldSchema
from vectorloom.store.view import View
from vectorloom.store.writing import checked_batch, store_batch

TEXT, PAYLOAD = "text", "payload"
_PAGE = 4096


def import_file(
    engine: Engine,
    source: Path,
    ids: str | None,
    vectors: str | None,
    text: str | None,
    batch: int,
    resume: bool,
    quiet: bool | None,
    wrote: Callable[[], None],
) -> int:
    """Upsert the rows of a file, a commit a batch; see `Collection.import_`."""
    found = read(source, ids=ids, vectors=vectors)
    if len(engine.schema.fields) > 1 or engine.schema.fields[0].kind != "dense":
        raise ParameterError(
            "import_ fills collections of one dense vector field; upsert the batches of this one."
        )
    about = source.stat()
    key = json.dumps([str(source.resolve()), about.st_size, about.st_mtime_ns, ids, vectors, text])
    start = _done(engine, key) if resume else 0
    n = len(found)
    names = () if found.metadata is None else found.metadata.column_names
    column = text if text is not None else TEXT if TEXT in names else None
    if column is not None and column not in names:
        raise ParameterError(f"{source} has no column {column!r}; it has {', '.join(names)}.")
    with progress("importing", total=n, unit="rows", quiet=quiet, initial=start) as bar:
        for first in range(start, n, batch):
            last = min(n, first + batch)
            own = np.arange(first, last) if found.ids is None else found.ids[first:last]
            payloads, texts = _contents(found.metadata, first, last, column)
            id_type = engine.current().id_type
            values = np.asarray(found.values[first:last])
            ready = checked_batch(engine.schema, id_type, own, values, payloads, texts)
            store_batch(engine, ready, (key, last))
            wrote()
            bar.advance(last - first)
    with engine.commit() as db:
        db.execute("DELETE FROM imports WHERE source = ?", (key,))
        db.execute("UPDATE state SET version = version + 1")
    return n - start


def _done(engine: Engine, key: str) -> int:
    with engine.lock:
        row = engine.db.execute("SELECT rows FROM imports WHERE source = ?", (key,)).fetchone()
    return 0 if row is None else int(row[0])


def _contents(table: Any, first: int, last: int, text: str | None) -> tuple[Any, Any]:
    """Return payloads and texts of some rows of the metadata."""
    if table is None:
        return None, None
    rows = table.slice(first, last - first).to_pylist()
    texts = None if text is None else [row.pop(text) for row in rows]
    payloads: list[Mapping[str, Any] | None] = []
    for row in rows:
        packed = row.pop(PAYLOAD, None)
        own = {name: value for name, value in row.items() if value is not None}
        if isinstance(packed, str):
            with contextlib.suppress(ValueError):
                packed = json.loads(packed)
        if isinstance(packed, dict):
            own = packed | own
        elif packed is not None:
            own[PAYLOAD] = packed
        payloads.append(own or None)
    return payloads, texts


def export_file(engine: Engine, path: Path, where: Where, quiet: bool | None) -> int:
    """Write points as of one commit; see `Collection.export`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix not in (".parquet", ".arrow", ".feather"):
        raise ParameterError(f"export writes .parquet, .arrow and .feather; got {path.name!r}.")
    temporary = path.with_name(f".{path.name}.tmp")
    written = 0
    with _pages(engine, where) as (total, id_type, pages):
        kind = pa.large_string() if id_type == "str" else pa.int64()
        fields = [pa.field(field.name, _column_type(field)) for field in engine.schema.fields]
        own = [pa.field("id", kind), *fields]
        schema = pa.schema([*own, pa.field(PAYLOAD, pa.string()), pa.field(TEXT, pa.string())])
        make = pq.ParquetWriter if path.suffix == ".parquet" else pa.ipc.new_file
        try:
            with (
                progress("exporting", total=total, unit="points", quiet=quiet) as bar,
                make(str(temporary), schema) as writer,
            ):
                for points in pages:
                    writer.write_table(_table(points, engine.schema.fields, schema))
                    written += len(points)
                    bar.advance(len(points))
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    return written


def _column_type(field: FieldSchema) -> Any:
    import pyarrow as pa

    if field.kind == "sparse":
        return pa.list_(pa.struct([("term", pa.int32()), ("weight", pa.float32())]))
    row = pa.list_(pa.float32(), field.dim)
    return row if field.kind == "dense" else pa.list_(row)


def _table(points: Points, fields: Sequence[FieldSchema], schema: Any) -> Any:
    import pyarrow as pa

    vectors = points.vectors
    named = vectors if isinstance(vectors, dict) else {fields[0].name: vectors}
    columns = [pa.array(points.ids, schema.types[0])]
    columns += [vector_column(field, named[field.name]) for field in fields]
    packed = [None if p is None else json.dumps(p, ensure_ascii=False) for p in points.payloads]
    columns += [pa.array(packed, pa.string()), pa.array(points.texts, pa.string())]
    return pa.Table.from_arrays(columns, schema=schema)


def vector_column(field: FieldSchema, rows: Any) -> Any:
    """Return the vectors of one field, as `Points` has them, as a column of Arrow."""
    import pyarrow as pa

    if field.kind == "sparse":
        pairs = pa.StructArray.from_arrays(
            [pa.array(rows.indices, pa.int32()), pa.array(rows.data, pa.float32())],
            ["term", "weight"],
        )
        return pa.ListArray.from_arrays(pa.array(rows.indptr, pa.int32()), pairs)
    values = np.concatenate(rows) if field.kind == "multi" and rows else rows
    flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
    vectors = pa.FixedSizeListArray.from_arrays(flat, field.dim)
    if field.kind == "dense":
        return vectors
    starts = run_offsets(np.array([len(row) for row in rows], np.int64))
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), vectors)


@contextlib.contextmanager
def _pages(engine: Engine, where: Where) -> Iterator[tuple[int, str, Iterator[Points]]]:
    """Give the number of points, the type of their ids, and pages of them as of one commit."""
    wanted = compiled(engine, where)
    condition = "1" if wanted is None else wanted.sql
    parameters = () if wanted is None else wanted.parameters
    db = connect(engine.path, read_only=True)
    try:
        with translated(engine.path):
            view = _pinned(engine, db)
            total = db.execute(
                f"SELECT count(*) FROM points WHERE {condition}", parameters
            ).fetchone()[0]
            yield total, view.id_type or "int64", _read(engine, view, db, condition, parameters)
    finally:
        db.close()


def _pinned(engine: Engine, db: sqlite3.Connection) -> View:
    """Begin to read at a commit that there is a view of; the transaction stays open."""
    while True:
        db.execute("BEGIN")
        version = read_state(db).version
        view = engine.current()
        if view.version != version:
            view = engine.sync()
        if view.version == version:
            return view
        db.execute("ROLLBACK")


def _read(
    engine: Engine, view: View, db: sqlite3.Connection, condition: str, parameters: Any
) -> Iterator[Points]:
    cursor = db.execute(
        f"SELECT id, row, payload, text FROM points WHERE {condition} ORDER BY row", parameters
    )
    while found := cursor.fetchmany(_PAGE):
        yield points_of(engine, view, found, True)
