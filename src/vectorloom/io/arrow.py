# SPDX-License-Identifier: Apache-2.0
"""Parquet, Arrow IPC files (Feather version 2 is the same) and Arrow IPC streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.io.columns import Choice, choose_columns
from vectorloom.io.faults import broken
from vectorloom.io.rows import BLOCK_BYTES, allocate
from vectorloom.io.tables import (
    chunk_matrix,
    ids_from_column,
    matrix_of,
    profile,
    require_dim,
    stack_components,
    table_blocks,
)
from vectorloom.io.vectors_file import Vectors

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from vectorloom.io.options import Content, ReadOptions

_GROUP_ROWS = 1 << 16
_MIN_GROUP_ROWS = 1 << 10


def read(path: Path, options: ReadOptions, kind: str) -> Vectors:
    """Read one column of lists, or columns of numbers, with ids and the other columns."""
    if kind == "parquet":
        return _read_parquet(path, options)
    return _read_ipc(path, options, kind)


def describe(path: Path, kind: str) -> dict[str, Any]:
    """Describe the columns from the footer or the schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: int | None
    if kind == "parquet":
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            chunk = _first_rows(file)
    else:
        with pa.memory_map(str(path)) as source:
            reader = _open_ipc(source, kind)
            table = reader.read_all()  # a map: only the metadata of the batches is touched
            table.slice(0, 1).validate(full=True)
            schema, rows, chunk = table.schema, table.num_rows, table.slice(0, 1)
    return {"rows": rows, "profile": profile(schema), "sample": chunk}


def _first_rows(file: Any) -> Any:
    """Read the first row: its lists tell the dim where the type does not."""
    import pyarrow as pa

    batch = next(file.iter_batches(batch_size=1), None)
    return None if batch is None else pa.Table.from_batches([batch])


def write(path: Path, content: Content, kind: str) -> None:
    """Write columns ``id``, ``vector`` (fixed-size list) and the metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if kind == "parquet":
        width = content.values.shape[1] * content.stored_dtype.itemsize
        rows = max(_MIN_GROUP_ROWS, min(_GROUP_ROWS, 8 * BLOCK_BYTES // width))
        writer = None
        try:
            for table in table_blocks(content, rows):
                if writer is None:
                    # A dictionary of floats doubles the file; the other columns gain from one.
                    other = [n for n in table.column_names if n != "vector"]
                    writer = pq.ParquetWriter(
                        path,
                        table.schema,
                        compression="zstd",
                        use_dictionary=other,
                        write_page_checksum=True,
                    )
                writer.write_table(table, row_group_size=rows)
        finally:
            if writer is not None:
                writer.close()
        return
    # One batch: a map of the file is then one matrix, without a copy.
    for table in table_blocks(content, max(1, len(content.values))):
        make = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as sink, make(sink, table.schema) as writer:
            writer.write_table(table)


def _open_ipc(source: Any, kind: str) -> Any:
    import pyarrow as pa

    return pa.ipc.open_file(source) if kind == "arrow" else pa.ipc.open_stream(source)


def _read_ipc(path: Path, options: ReadOptions, kind: str) -> Vectors:
    import pyarrow as pa

    source = pa.memory_map(str(path)) if options.mmap else pa.OSFile(str(path))
    reader = _open_ipc(source, kind)
    choice = choose_columns(path, profile(reader.schema), options.vectors, options.ids)
    table = reader.read_all()
    # Offsets of damaged text would be followed blindly. Floats cost nothing here.
    table.validate(full=True)
    if options.limit is not None:
        table = table.slice(0, options.limit)
    if choice.vector is not None:
        values = matrix_of(path, table.column(choice.vector), choice.vector)
    else:
        values = stack_components(path, table, choice.components, 0)
    ids = (
        None if choice.ids is None else ids_from_column(path, table.column(choice.ids), choice.ids)
    )
    return Vectors(values, ids, _metadata(table, choice))


def _metadata(table: pa.Table, choice: Choice) -> pa.Table | None:
    return table.select(list(choice.metadata)) if choice.metadata else None


def _read_parquet(path: Path, options: ReadOptions) -> Vectors:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=options.mmap, page_checksum_verification=True) as file:
        choice = choose_columns(path, profile(file.schema_arrow), options.vectors, options.ids)
        n = options.rows(file.metadata.num_rows)
        values = _parquet_values(path, file, choice, n)
        others = [*choice.metadata, *([choice.ids] if choice.ids is not None else [])]
        if not others:
            return Vectors(values)
        table = _parquet_table(file, others, n)
    table.validate(full=True)  # text that is not UTF-8 would fail later, without the file's name
    ids = (
        None if choice.ids is None else ids_from_column(path, table.column(choice.ids), choice.ids)
    )
    return Vectors(values, ids, _metadata(table, choice))


def _parquet_values(path: Path, file: Any, choice: Choice, n: int) -> NDArray[Any]:
    """Decode the vectors batch by batch into their place: the peak is one batch over the result."""
    names = [choice.vector] if choice.vector is not None else list(choice.components)
    values: NDArray[Any] | None = None
    row = 0
    for batch in file.iter_batches(batch_size=_MIN_GROUP_ROWS * 8, columns=names):
        batch = batch.slice(0, n - row) if row + len(batch) > n else batch
        if len(batch) == 0:
            continue
        if choice.vector is not None:
            block = chunk_matrix(path, batch.column(0), choice.vector, row)
        else:
            block = stack_components(path, batch, names, row)
        if values is None:
            values = allocate(path, (n, block.shape[1]), block.dtype)
        require_dim(path, str(names[0]), values.shape[1], block.shape[1], row)
        values[row : row + len(block)] = block
        row += len(block)
        if row == n:
            break
    if values is None:
        empty = file.schema_arrow.empty_table()
        if choice.vector is not None:
            return matrix_of(path, empty.column(choice.vector), choice.vector)
        return np.empty((0, len(names)), np.float32)
    if row != n:
        raise broken(path, "footer", f"{n} rows, as it says", f"{row}")
    return values


def _parquet_table(file: Any, names: list[str], n: int) -> pa.Table:
    import pyarrow as pa

    if n == file.metadata.num_rows:
        return file.read(columns=names)
    batches, row = [], 0
    for batch in file.iter_batches(batch_size=_MIN_GROUP_ROWS * 8, columns=names):
        batches.append(batch.slice(0, n - row))
        row += len(batches[-1])
        if row >= n:
            break
    schema = pa.schema([file.schema_arrow.field(name) for name in names])
    return pa.Table.from_batches(batches, schema=schema)
