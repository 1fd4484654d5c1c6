# SPDX-License-Identifier: Apache-2.0
"""CSV and TSV: vectors spread over columns, or one column whose cells hold a list.

pyarrow reads; when it refuses, a slow reader walks the file to name the line and the column.
"""

from __future__ import annotations

import csv
import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.errors import FormatError, ParameterError
from vectorloom.io.columns import Choice, Column, choose_columns, listing
from vectorloom.io.compression import open_sink, open_stream
from vectorloom.io.faults import broken, shorten
from vectorloom.io.lines import count_lines, decode, line_blocks
from vectorloom.io.numerals import parse_numbers, parse_token, text_dtype
from vectorloom.io.rows import RowSink, row_blocks
from vectorloom.io.tables import check_names, ids_from_column, stack_components
from vectorloom.io.vectors_file import Vectors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from vectorloom.io.options import Content, ReadOptions

_DELIMITERS = ("\t", ",", ";", "|", " ")
_SAMPLE_BYTES = 1 << 20
_SAMPLE_ROWS = 100
_BLOCK = 8 << 20
_INTEGER = re.compile(r"[+-]?\d+")
_MAX_CELL = 1 << 28


@dataclass(frozen=True)
class Dialect:
    """How the table is written: delimiter, whether line 1 names the columns, the columns."""

    delimiter: str
    has_header: bool
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns, made up where the file has none."""
        return [column.name for column in self.columns]


def sniff(sample: str) -> Dialect | None:
    """Find the dialect of the first lines; None when they are no table of numbers or lists."""
    for delimiter in _DELIMITERS:
        rows = _split(sample, delimiter)
        if len(rows[0] if rows else []) > 1 and len({len(row) for row in rows}) == 1:
            return _dialect(delimiter, rows)
    # A damaged row must not hide the table: the error will name it.
    for delimiter in _DELIMITERS[:4]:
        rows = _split(sample, delimiter)
        if rows and len(rows[0]) > 1:
            return _dialect(delimiter, [row for row in rows if len(row) == len(rows[0])])
    rows = _split(sample, ",")
    if rows and all(len(row) == 1 for row in rows):
        return _dialect(",", rows)
    return None


def _split(sample: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    with _long_cells():
        reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
        try:
            for row in reader:
                if row:
                    rows.append(row)
                if len(rows) == _SAMPLE_ROWS:
                    break
        except csv.Error:
            return rows
    return rows


@contextmanager
def _long_cells() -> Iterator[None]:
    """Lift the limit of the csv module, 128 KiB a cell, which a list of numbers may pass."""
    before = csv.field_size_limit(_MAX_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _dialect(delimiter: str, rows: list[list[str]]) -> Dialect:
    has_header = _has_header(rows)
    names = rows[0] if has_header else [f"column_{i}" for i in range(len(rows[0]))]
    body = rows[1:] if has_header else rows
    cells = list(zip(*body, strict=True)) if body else [()] * len(names)
    columns = []
    for name, column in zip(names, cells, strict=True):
        # Nothing below the names: a number in one makes it a component, as in "v0".
        kind = _cell_kind(column) if body else ("mixed" if name[-1:].isdigit() else "text")
        length = len(_tokens(column[0])) if kind == "vector" else None
        columns.append(Column(name, kind, kind, length))
    return Dialect(delimiter, has_header, tuple(columns))


def _tokens(cell: str) -> list[str]:
    """Split a cell such as "[0.1, 0.2]", or "[0.1 0.2]" as NumPy prints."""
    text = cell.strip().removeprefix("[").removesuffix("]").replace("\n", " ")
    return text.split(",") if "," in text else text.split()


def _cell_kind(cells: tuple[str, ...]) -> str:
    filled = [cell.strip() for cell in cells if cell.strip()]
    if not filled:
        return "text"
    if all(_INTEGER.fullmatch(cell) for cell in filled):
        return "int"
    numbers = sum(parse_token(cell) is not None for cell in filled)
    if numbers == len(filled):
        return "float"
    if all(cell[0] == "[" and cell[-1] == "]" for cell in filled):
        return "vector"
    return "mixed" if 2 * numbers >= len(filled) else "text"


def _has_header(rows: list[list[str]]) -> bool:
    """Decide whether the first row names the columns.

    It does when a cell is text above numbers or lists, or when the cells count 0, 1, 2 … above
    numbers that are not integers, as pandas writes unnamed columns.
    """
    kinds = [_cell_kind((cell,)) for cell in rows[0]]
    if len(rows) == 1:
        return all(kind == "text" for kind in kinds)
    below = [_cell_kind(cells) for cells in zip(*rows[1:], strict=True)]
    if any(
        k == "text" and b != "text" and c.strip()
        for k, b, c in zip(kinds, below, rows[0], strict=True)
    ):
        return True
    counted = [cell for cell, kind in zip(rows[0], kinds, strict=True) if kind == "int"]
    if len(counted) > 1 and counted == [str(i) for i in range(len(counted))]:
        return "float" in below and "float" not in kinds
    return all(kind == "text" for kind in kinds)


def read_dialect(path: Path) -> Dialect:
    """Sniff the dialect of a file, or say that it is no table."""
    with open_stream(path) as stream:
        head = stream.read(_SAMPLE_BYTES)
    if len(head) == _SAMPLE_BYTES and b"\n" in head:
        head = head[: head.rfind(b"\n")]
    dialect = sniff(head.decode("utf-8-sig", "replace"))
    if dialect is None:
        raise broken(path, "line 1", "columns of numbers", shorten(head[:80]))
    if len(set(dialect.names)) != len(dialect.names):
        twice = sorted({n for n in dialect.names if dialect.names.count(n) > 1})
        raise broken(path, "line 1", "unique column names", f"{listing(twice)} repeated")
    return dialect


def read(path: Path, options: ReadOptions, kind: str) -> Vectors:
    """Read the columns of numbers, or the column of lists, with ids and the other columns."""
    dialect = read_dialect(path)
    choice = _choose(path, dialect, options)
    import pyarrow as pa

    try:
        values, ids = _read_vectors(path, dialect, choice, options)
        metadata = _read_metadata(path, dialect, choice, options) if choice.metadata else None
    except (pa.ArrowInvalid, FormatError) as error:
        _locate_fault(path, dialect, choice)
        if isinstance(error, FormatError):
            raise
        raise broken(path, "table", "rows of equal length", " ".join(str(error).split())) from error
    if metadata is not None and metadata.num_rows != len(values):
        raise broken(path, "table", f"{len(values)} rows of metadata", f"{metadata.num_rows}")
    return Vectors(values, ids, metadata)


def describe(path: Path, kind: str) -> dict[str, Any]:
    """Describe the columns from the first rows; the rows are counted, not parsed."""
    dialect = read_dialect(path)
    with open_stream(path) as stream:
        rows = count_lines(stream, quoted=True) - dialect.has_header
    return {"rows": rows, "profile": list(dialect.columns), "delimiter": dialect.delimiter}


def _choose(path: Path, dialect: Dialect, options: ReadOptions) -> Choice:
    """Choose the columns; without a header, a first column of text is the ids."""
    ids, kinds = options.ids, [column.kind for column in dialect.columns]
    if not dialect.has_header and ids is None and options.vectors is None:
        if kinds[0] == "text" and len(kinds) > 1:
            ids = dialect.names[0]
        elif kinds[0] == "int" and set(kinds[1:]) == {"float"}:
            message = (
                f"{path}: the file has no header and its first column holds integers, the others "
                "fractions: ids or components? Say ids='column_0', or ids=False to read all "
                "columns as the vector."
            )
            raise ParameterError(message)
    if options.ids is False and not dialect.has_header and options.vectors is None:
        names = [c.name for c in dialect.columns if c.kind in ("int", "float", "mixed")]
        if len(names) == len(kinds):
            return choose_columns(path, dialect.columns, names, False)
    return choose_columns(path, dialect.columns, options.vectors, ids)


def _csv_options(dialect: Dialect, types: dict[str, Any], include: list[str]) -> dict[str, Any]:
    import pyarrow.csv as csv_reader

    names = None if dialect.has_header else dialect.names
    return {
        "read_options": csv_reader.ReadOptions(
            use_threads=False, block_size=_BLOCK, column_names=names
        ),
        "parse_options": csv_reader.ParseOptions(
            delimiter=dialect.delimiter, newlines_in_values=True
        ),
        # An empty cell is missing; "NA" and "null" are not numbers, and say so in the error.
        "convert_options": csv_reader.ConvertOptions(
            column_types=types,
            include_columns=include,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    }


def _read_vectors(
    path: Path, dialect: Dialect, choice: Choice, options: ReadOptions
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    import pyarrow as pa
    import pyarrow.csv as csv_reader

    dtype = text_dtype(options.dtype)
    arrow_type = pa.float32() if dtype == np.float32 else pa.float64()
    types: dict[str, Any] = dict.fromkeys(choice.components, arrow_type)
    if choice.vector is not None:
        types[choice.vector] = pa.string()
    if choice.ids is not None:
        types[choice.ids] = pa.string()
    sink: RowSink | None = None
    ids: list[Any] = []
    with open_stream(path) as stream:
        reader = csv_reader.open_csv(stream, **_csv_options(dialect, types, list(types)))
        for batch, row in _limited(reader, options.limit):
            if choice.vector is not None:
                block = _parse_lists(path, batch.column(choice.vector), row, dtype)
            else:
                block = stack_components(path, batch, choice.components, row)
            if sink is None:
                sink = RowSink(block.shape[1], dtype)
            if len(block) and block.shape[1] != sink.dim:
                raise broken(path, f"row {row}", f"{sink.dim} numbers", f"{block.shape[1]}")
            sink.append(block.reshape(len(block), sink.dim))
            if choice.ids is not None:
                ids.append(batch.column(choice.ids))
    if sink is None:
        sink = RowSink(max(1, len(choice.components)), dtype)
    found = None
    if choice.ids is not None:
        found = _exact_ids(path, pa.chunked_array(ids, type=pa.string()), choice.ids)
    return sink.finish(), found


def _limited(reader: Any, limit: int | None) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yield the batches with the number of their first row, and stop at the limit."""
    row = 0
    for batch in reader:
        part = batch if limit is None else batch.slice(0, limit - row)
        yield part, row
        row += len(part)
        if row == limit:
            return


def _exact_ids(path: Path, column: pa.ChunkedArray, name: str) -> NDArray[Any]:
    """Read ids as int64 only when all are written as integers are: "007" stays text."""
    import pyarrow as pa
    import pyarrow.compute as compute

    try:
        numbers = column.cast(pa.int64())
    except pa.ArrowInvalid:
        return ids_from_column(path, column, name)
    same = compute.all(compute.equal(numbers.cast(pa.string()), column)).as_py()
    return ids_from_column(path, numbers if same in (True, None) else column, name)


def _parse_lists(path: Path, column: Any, row: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Parse cells that hold a list each."""
    parts, dim = [], 0
    for number, cell in enumerate(column.to_pylist(), row):
        tokens = _tokens(cell or "")
        dim = dim or len(tokens)
        if len(tokens) != dim or dim == 0:
            raise broken(path, f"row {number}", f"{dim or 'some'} numbers", f"{len(tokens)}")
        parts.append("\n".join(tokens))
    numbers = parse_numbers("\n".join(parts).encode(), len(parts) * dim, dtype)
    if numbers is None:
        raise broken(path, f"rows {row} to {row + len(parts) - 1}", "lists of numbers", "others")
    return numbers.reshape(len(parts), dim or 1)


def _read_metadata(path: Path, dialect: Dialect, choice: Choice, options: ReadOptions) -> pa.Table:
    """Read the other columns, their types inferred over the whole file (with limit=, its start)."""
    import pyarrow as pa
    import pyarrow.csv as csv_reader

    arguments = _csv_options(dialect, {}, list(choice.metadata))
    with open_stream(path) as stream:
        if options.limit is None:
            table = csv_reader.read_csv(stream, **arguments)
        else:
            reader = csv_reader.open_csv(stream, **arguments)
            batches = [batch for batch, _ in _limited(reader, options.limit)]
            table = pa.Table.from_batches(batches, schema=reader.schema)
    # What is not UTF-8 comes as binary.
    bad = [field.name for field in table.schema if pa.types.is_binary(field.type)]
    if bad:
        raise broken(path, f"column {bad[0]!r}", "UTF-8 text", "other bytes")
    return table


def _locate_fault(path: Path, dialect: Dialect, choice: Choice) -> None:
    """Walk the file to raise the error that names the line and the column, if one is found."""
    with open_stream(path) as stream, _long_cells():
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        reader = csv.reader(text, delimiter=dialect.delimiter)
        dim = None
        try:
            for index, row in enumerate(reader):
                if not row or (index == 0 and dialect.has_header):
                    continue
                dim = _check_row(path, dialect, choice, row, reader.line_num, dim)
        except UnicodeDecodeError:
            _locate_bad_text(path)
        except csv.Error as error:
            raise broken(path, f"line {reader.line_num}", "a table", str(error)) from None


def _locate_bad_text(path: Path) -> None:
    with open_stream(path) as stream:
        for first, lines in line_blocks(stream):
            for number, line in enumerate(lines, first):
                decode(path, line, number)


def _check_row(
    path: Path, dialect: Dialect, choice: Choice, row: list[str], line: int, dim: int | None
) -> int | None:
    if len(row) != len(dialect.names):
        raise broken(path, f"line {line}", f"{len(dialect.names)} columns", f"{len(row)}")
    cells = dict(zip(dialect.names, row, strict=True))
    for name in choice.components:
        if parse_token(cells[name].strip()) is None:
            found = shorten(cells[name]) if cells[name] else "an empty cell"
            raise broken(path, f"line {line}, column {name!r}", "a number", found)
    if choice.vector is None:
        return dim
    where = f"line {line}, column {choice.vector!r}"
    tokens = [token.strip() for token in _tokens(cells[choice.vector])]
    bad = next((token for token in tokens if parse_token(token) is None), None)
    if bad is not None or not tokens:
        remedy = (
            "The '...' are NumPy's when it prints: the numbers are lost." if bad == "..." else ""
        )
        raise broken(path, where, "a list of numbers", shorten(bad or cells[choice.vector]), remedy)
    if dim is not None and len(tokens) != dim:
        raise broken(path, where, f"{dim} numbers, as above", f"{len(tokens)}")
    return len(tokens)


def write(path: Path, content: Content, kind: str) -> None:
    """Write columns ``id``, ``v0`` … and the metadata."""
    import pyarrow as pa
    import pyarrow.csv as csv_writer

    names = [f"v{i}" for i in range(content.values.shape[1])]
    check_names(content, ("id", *names))
    dtype = content.stored_dtype
    row, header = 0, True
    with open_sink(path, content.compression) as file:
        for block in _at_least_one(content.values, dtype):
            stop = row + len(block)
            columns: dict[str, Any] = {}
            if content.ids is not None:
                columns["id"] = pa.array(content.ids[row:stop])
            shown = block.astype(np.float32) if block.dtype == np.float16 else block
            columns.update({n: np.ascontiguousarray(shown[:, i]) for i, n in enumerate(names)})
            if content.metadata is not None:
                part = content.metadata.slice(row, len(block))
                columns.update({n: part.column(n) for n in part.column_names})
            options = csv_writer.WriteOptions(
                include_header=header, delimiter="\t" if kind == "tsv" else ","
            )
            csv_writer.write_csv(pa.table(columns), file, options)
            row, header = stop, False


def _at_least_one(values: NDArray[Any], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """Yield one empty block for no rows: the header is written all the same."""
    if len(values) == 0:
        yield np.empty((0, values.shape[1]), dtype)
    yield from row_blocks(values, dtype)
