# SPDX-License-Identifier: Apache-2.0
"""JSON lines: one object a line with a list of numbers in one of its fields.

pyarrow parses a block of lines at a time; a block it refuses is parsed again by the standard
library, which knows NaN and names the line that is at fault.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.errors import FormatError, ParameterError
from vectorloom.io.columns import Choice, Column, choose_columns
from vectorloom.io.compression import open_sink, open_stream
from vectorloom.io.faults import broken, shorten
from vectorloom.io.lines import count_lines, decode, line_blocks, reading
from vectorloom.io.numerals import format_rows, text_dtype
from vectorloom.io.rows import RowSink, row_blocks
from vectorloom.io.tables import check_names, chunk_matrix, ids_from_column
from vectorloom.io.vectors_file import Vectors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from vectorloom.io.options import Content, ReadOptions

_SAMPLE_LINES = 100
_SAMPLE_BYTES = 1 << 20
# The name that the list has when the lines are bare lists.
_BARE = "vector"


def read(path: Path, options: ReadOptions, kind: str) -> Vectors:
    """Read one field of lists, with ids and the other fields."""
    columns = _profile(path)
    choice = choose_columns(path, columns, options.vectors, options.ids)
    if choice.vector is None:
        message = f"{path}: vectors= must name one field that holds lists of numbers."
        raise ParameterError(message)
    texts = [column.name for column in columns if column.kind == "text"]
    parser = _Parser(path, choice, texts, text_dtype(options.dtype), options.errors)
    # One row at least: it tells the dim.
    limit = None if options.limit is None else max(1, options.limit)
    with open_stream(path) as stream, reading(path) as bar:
        for first, lines in line_blocks(stream, bar=bar):
            parser.feed(first, lines, None if limit is None else limit - parser.rows)
            if parser.rows == limit:
                break
    return parser.finish()


def describe(path: Path, kind: str) -> dict[str, Any]:
    """Describe the fields of the first lines; the lines are counted, not parsed."""
    columns = _profile(path)
    with open_stream(path) as stream:
        rows = count_lines(stream)
    return {"rows": rows, "profile": columns}


def _profile(path: Path) -> list[Column]:
    """Say of each field of the first lines what it holds."""
    kinds: dict[str, Column] = {}
    with open_stream(path) as stream:
        first, lines = next(line_blocks(stream, _SAMPLE_BYTES), (1, []))
    sample = [line for line in enumerate(lines, first) if line[1].strip()][:_SAMPLE_LINES]
    for number, line in sample:
        for name, value in _parse_line(path, number, line, "replace").items():
            kind = _value_kind(value)
            before = kinds.get(name)
            if before is None or before.kind in ("other", "codes") or kind.kind == "float":
                kinds[name] = replace(kind, name=name)
    return list(kinds.values())


def _value_kind(value: Any) -> Column:
    if isinstance(value, list) and value and all(_is_number(x) for x in value):
        kind = "codes" if all(isinstance(x, int) for x in value) else "vector"
        return Column("", kind, f"list of {len(value)} numbers", len(value))
    if isinstance(value, str):
        return Column("", "text", "str")
    if _is_number(value):
        return Column("", "int" if isinstance(value, int) else "other", type(value).__name__)
    return Column("", "other", type(value).__name__)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _parse_line(path: Path, number: int, line: bytes, errors: str) -> dict[str, Any]:
    """Parse one line, or say at which character it is no JSON."""
    text = decode(path, line, number, errors)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        found = f"{shorten(text)} ({error.msg})"
        raise broken(
            path, f"line {number}, character {error.pos}", "JSON on one line", found
        ) from None
    except RecursionError as error:
        raise broken(path, f"line {number}", "JSON", "lists nested too deep") from error
    if isinstance(value, list):
        value = {_BARE: value}
    if not isinstance(value, dict):
        raise broken(path, f"line {number}", "a JSON object", shorten(text))
    return value


class _Parser:
    """Turns blocks of lines into rows; the first row fixes the dim."""

    def __init__(
        self, path: Path, choice: Choice, texts: Sequence[str], dtype: np.dtype[Any], errors: str
    ) -> None:
        self._path = path
        self._choice = choice
        self._texts = texts
        self._dtype = dtype
        self._errors = errors
        self._sink: RowSink | None = None
        self._ids: list[NDArray[Any]] = []
        self._tables: list[pa.Table] = []

    @property
    def rows(self) -> int:
        return 0 if self._sink is None else len(self._sink)

    def feed(self, first: int, lines: list[bytes], room: int | None) -> None:
        """Parse the lines, the first `room` of them that are not blank."""
        import pyarrow as pa

        numbered = [(n, line) for n, line in enumerate(lines, first) if line.strip()][:room]
        if not numbered:
            return
        try:
            values, table = self._parse_fast([line for _, line in numbered])
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError, FormatError):
            values, table = self._parse_slowly(numbered)
        if self._sink is None:
            self._sink = RowSink(values.shape[1], self._dtype)
        if self._choice.ids is not None:
            column = table.column(self._choice.ids)
            self._ids.append(ids_from_column(self._path, column, self._choice.ids, self.rows))
            table = table.drop_columns([self._choice.ids])
        self._sink.append(values)
        self._tables.append(table)

    def _parse_fast(self, lines: list[bytes]) -> tuple[NDArray[Any], pa.Table]:
        import pyarrow as pa
        import pyarrow.json as json_reader

        number = pa.float32() if self._dtype == np.float32 else pa.float64()
        name = self._choice.vector
        # Text is named as such: left to itself pyarrow turns dates into timestamps.
        fields = [pa.field(n, pa.string()) for n in self._texts if n != name]
        schema = pa.schema([*fields, pa.field(name, pa.list_(number))])
        block = b"\n".join(lines)
        table = json_reader.read_json(
            pa.BufferReader(block),
            read_options=json_reader.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=json_reader.ParseOptions(explicit_schema=schema),
        )
        inferred = [str(f.type) for f in table.schema if f.name != name]
        ids = self._choice.ids
        unsure = any("timestamp" in kind for kind in inferred) or (
            ids is not None and table.column(ids).null_count
        )
        if table.num_rows != len(lines) or unsure:
            message = "lines that pyarrow reads otherwise than as written"
            raise FormatError(message)
        parts = [
            chunk_matrix(self._path, chunk, str(name), 0) for chunk in table.column(name).chunks
        ]
        if {part.shape[1] for part in parts} != {self._dim(parts[0].shape[1])}:
            message = "ragged"
            raise FormatError(message)
        return np.concatenate(parts), table.drop_columns([name])

    def _dim(self, found: int) -> int:
        return found if self._sink is None else self._sink.dim

    def _parse_slowly(self, numbered: list[tuple[int, bytes]]) -> tuple[NDArray[Any], pa.Table]:
        import pyarrow as pa

        path, name = self._path, str(self._choice.vector)
        rows, others, dim = [], [], None if self._sink is None else self._sink.dim
        for number, line in numbered:
            entry = _parse_line(path, number, line, self._errors)
            where = f"line {number}, field {name!r}"
            vector = entry.pop(name, None)
            if not isinstance(vector, list) or not vector:
                raise broken(path, where, "a list of numbers", shorten(vector))
            if not all(_is_number(x) for x in vector):
                at = next(i for i, x in enumerate(vector) if not _is_number(x))
                raise broken(path, f"{where}, number {at + 1}", "a number", shorten(vector[at]))
            dim = dim or len(vector)
            if len(vector) != dim:
                raise broken(path, where, f"{dim} numbers", f"{len(vector)}")
            ids = self._choice.ids
            if ids is not None and not isinstance(entry.get(ids), (int, str)):
                raise broken(
                    path,
                    f"line {number}, id {ids!r}",
                    "text or an integer",
                    shorten(entry.get(ids)),
                )
            rows.append(np.array(vector, dtype=self._dtype))
            others.append(entry)
        try:
            names = {key: None for entry in others for key in entry}
            columns = {key: pa.array([entry.get(key) for entry in others]) for key in names}
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            where = f"lines {numbered[0][0]} to {numbered[-1][0]}"
            raise broken(path, where, "fields of one type each", str(error)) from error
        return np.stack(rows), pa.table(columns)

    def finish(self) -> Vectors:
        """Join the blocks."""
        import pyarrow as pa

        if self._sink is None:
            if self._choice.vector is None:
                raise broken(self._path, "line 1", "a JSON object", "no lines")
            return Vectors(np.empty((0, 1), self._dtype))
        values = self._sink.finish()
        ids = None
        if self._ids:
            if len({part.dtype for part in self._ids}) > 1:
                where = f"ids {self._choice.ids!r}"
                raise broken(self._path, where, "integers or text", "both")
            ids = np.concatenate(self._ids)
        try:
            table = pa.concat_tables(self._tables, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise broken(self._path, "fields", "one type each", str(error)) from error
        names = [name for name in self._choice.metadata if name in table.column_names]
        names += [name for name in table.column_names if name not in names]
        return Vectors(values, ids, table.select(names) if names else None)


def write(path: Path, content: Content, kind: str) -> None:
    """Write objects with ``id``, ``vector`` and the metadata as fields."""
    check_names(content, ("id", "vector"))
    row = 0
    with open_sink(path, content.compression) as file:
        for block in row_blocks(content.values, content.stored_dtype):
            _refuse_nan(block, row)
            lines = format_rows(block, ",")
            heads = _heads(content, row, row + len(block))
            file.write(
                b"".join(
                    b'{%s"vector": [%s]}\n' % (head, line)
                    for head, line in zip(heads, lines, strict=True)
                )
            )
            row += len(block)


def _refuse_nan(block: NDArray[Any], first_row: int) -> None:
    if block.dtype.kind == "f" and not np.isfinite(block).all():
        row = first_row + int(np.argmin(np.isfinite(block).all(axis=1)))
        message = f"values: row {row} holds NaN or infinity, which JSON has not. Write parquet."
        raise ParameterError(message)


def _heads(content: Content, start: int, stop: int) -> list[bytes]:
    """Write the fields before the vector, each followed by a comma."""
    entries: list[dict[str, Any]] = [{} for _ in range(stop - start)]
    if content.metadata is not None:
        entries = content.metadata.slice(start, stop - start).to_pylist()
    if content.ids is not None:
        ids = content.ids[start:stop].tolist()
        entries = [{"id": one, **entry} for one, entry in zip(ids, entries, strict=True)]
    try:
        texts = [json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in entries]
    except (TypeError, ValueError) as error:
        message = f"metadata: JSON cannot hold it ({error}). Write parquet, or convert the column."
        raise ParameterError(message) from error
    return [text[1:-1].encode() + b", " if text != "{}" else b"" for text in texts]
