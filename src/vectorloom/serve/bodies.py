# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests: JSON, one npy array, or an Arrow IPC stream; none is trusted.

An npy or Arrow body brings the vectors; what JSON would say beside them stands in the query string,
as ``?args={"k": 5}``. All limits hold for what a body unpacks to: nothing in it can take more
memory than its own bytes and the float32 of its vectors, and those are counted first. So Arrow
buffers must not be compressed, and text columns are plain ones, where no entry is stored once and
meant a thousand times.
"""

from __future__ import annotations

import ast
import base64
import binascii
import itertools
import json
import math
import struct
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.serve.calls import ARROW, NPY
from vectorloom.serve.refusals import Refusal, too_large
from vectorloom.store.schema import FieldSchema

_NPY_MAGIC = b"\x93NUMPY"
_MOST_HEADER = 10_000
_MOST_COLUMNS = 200
VECTORS = "vectors"


def parsed(body: bytes) -> Any:
    """Return the value of a JSON text."""

    def refuse(token: str) -> Any:
        raise ValueError(f"{token} is not JSON")

    try:
        return json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"JSON ({error})") from None


def arguments(query: bytes) -> Mapping[str, Any]:
    """Return the object in ``args`` of a query string; nothing else may be in one."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=8)
    except ValueError:
        raise _unreadable("a query string of args={…}") from None
    unknown = sorted({name for name, _ in pairs} - {"args"})
    if unknown or len(pairs) > 1:
        raise ParameterError("the query string takes one args={…}, beside an npy or Arrow body.")
    found = parsed(pairs[0][1].encode("utf-8", "replace")) if pairs else {}
    if not isinstance(found, Mapping):
        raise ParameterError("args must be a JSON object.")
    return found


def unpacked(kind: str, body: bytes, query: bytes, most_rows: int, most: int) -> Mapping[str, Any]:
    """Return the fields of an npy or Arrow body and of the query string beside it.

    Parameters
    ----------
    kind : str
        Media type.
    body, query : bytes
    most_rows : int
    most : int
        Bytes of all vectors as float32.

    Returns
    -------
    mapping
        ``vectors`` (ndarray, or dict of name to such), and from Arrow ``ids``, ``texts`` and
        ``payloads`` where the stream has them.

    Raises
    ------
    Refusal, ParameterError, ShapeError
    """
    args = dict(arguments(query))
    found = {NPY: _npy, ARROW: _arrow}[kind](body, most_rows, most)
    twice = sorted(set(args) & set(found))
    if twice:
        raise ParameterError(f"{', '.join(twice)} came in the body and in args; give it once.")
    return args | found


def matrix(value: Any, dim: int, most_rows: int) -> Any:
    """Return rows of vectors: an array, rows of numbers, or {"base64": little-endian float32}."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Mapping):
        if set(value) != {"base64"} or not isinstance(value["base64"], str):
            raise ParameterError("vectors must be a list of rows, or {'base64': …} of float32.")
        try:
            raw = base64.b64decode(value["base64"], validate=True)
        except (ValueError, binascii.Error):
            raise ParameterError("base64 is not base64.") from None
        if len(raw) % (4 * dim):
            raise ParameterError(
                f"base64 holds {len(raw)} bytes; rows of {dim} float32 are {4 * dim} bytes each."
            )
        check_rows(len(raw) // (4 * dim), most_rows)
        return np.frombuffer(raw, "<f4").reshape(-1, dim).astype(np.float32)
    if not isinstance(value, list):
        raise ParameterError("vectors must be a list of rows, or {'base64': …} of float32.")
    check_rows(len(value), most_rows)
    for i, row in enumerate(value):
        if (
            row is None
            or isinstance(row, str | Mapping)
            or (row and isinstance(row, list) and isinstance(row[0], list))
        ):
            raise ParameterError(
                f"a vector is a list of {dim} numbers; number {i} is {row!r:.40}. Text goes into "
                "text or texts."
            )
    return value


def rows_of(field: FieldSchema, value: Any, most_rows: int) -> Any:
    """Return the vectors of a field, one entry a point or query.

    dense: see `matrix`. sparse: ``{"indices": …, "values": …}`` each. multi: a matrix each, in the
    forms of `matrix`.
    """
    if field.kind == "dense":
        return matrix(value, field.dim, most_rows)
    if isinstance(value, np.ndarray):  # of an npy body: rows as they are, or one matrix
        return value if field.kind == "sparse" else [value]
    if not isinstance(value, list):
        raise _of_kind(field)
    check_rows(len(value), most_rows)
    if field.kind == "sparse":
        return value
    if any(isinstance(each, list) and not all(isinstance(r, list) for r in each) for each in value):
        raise _of_kind(field)  # a row where a matrix is meant
    return [matrix(each, field.dim, most_rows) for each in value]


def _of_kind(field: FieldSchema) -> ParameterError:
    form = "{'indices', 'values'}" if field.kind == "sparse" else "matrices"
    return ParameterError(f"the field {field.name!r} is {field.kind} and takes a list of {form}.")


def check_rows(n: int, most: int) -> None:
    """Refuse more vectors than are taken at once."""
    if n > most:
        raise ParameterError(f"{n:,} vectors came; {most:,} at most are taken at once.")


def _unreadable(what: str) -> Refusal:
    return Refusal(400, "BadRequest", f"the body is not {what}.")


# ---- npy ----------------------------------------------------------------------------------------


def _npy(body: bytes, most_rows: int, most: int) -> dict[str, Any]:
    try:
        dtype, fortran, shape, start = _npy_header(body)
    except (ValueError, TypeError, KeyError, SyntaxError, RecursionError, struct.error):
        raise _unreadable("an npy array") from None
    if dtype.hasobject or dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise ParameterError(f"the npy array holds {dtype}; numbers are taken, float32 best.")
    if len(shape) != 2:
        raise ShapeError(f"the npy array has shape {shape}; (rows, dim) is taken.")
    check_rows(shape[0], most_rows)
    if math.prod(shape) * 4 > most:
        raise too_large(most)
    if len(body) - start != math.prod(shape) * dtype.itemsize:
        raise _unreadable(f"an npy array: its header says {shape} of {dtype}")
    flat = np.frombuffer(body, dtype, offset=start)
    values = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
    return {VECTORS: _narrow(values)}


def _npy_header(body: bytes) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    if not body.startswith(_NPY_MAGIC) or body[6:7] not in (b"\1", b"\2", b"\3"):
        raise ValueError
    wide = body[6] > 1
    (length,) = struct.unpack_from("<I" if wide else "<H", body, 8)
    start = (12 if wide else 10) + length
    if length > _MOST_HEADER or start > len(body):
        raise ValueError
    fields = ast.literal_eval(body[start - length : start].decode("latin-1").strip())
    shape = tuple(fields["shape"])
    if not all(type(n) is int and n >= 0 for n in shape) or not isinstance(fields["descr"], str):
        raise ValueError
    return np.dtype(fields["descr"]), bool(fields["fortran_order"]), shape, start


# ---- Arrow --------------------------------------------------------------------------------------


def _arrow(body: bytes, most_rows: int, most: int) -> dict[str, Any]:
    import pyarrow as pa

    try:
        _refuse_compressed(body)
        with pa.ipc.open_stream(body) as reader:
            if len(reader.schema) > _MOST_COLUMNS:
                raise ParameterError(f"the stream has more than {_MOST_COLUMNS} columns.")
            batches: list[Any] = []
            rows = 0
            for batch in reader:
                rows += batch.num_rows
                check_rows(rows, most_rows)
                if len(batches) > 1000:
                    raise ParameterError("the stream has more than 1,000 batches; send fewer.")
                batch.validate(full=True)
                batches.append(batch)
            table = pa.Table.from_batches(batches, reader.schema)
    except (pa.ArrowException, OSError, EOFError, struct.error, IndexError) as error:
        raise _unreadable(f"an Arrow IPC stream ({str(error).splitlines()[0]:.100})") from None
    return _columns(table, most)


def _columns(table: Any, most: int) -> dict[str, Any]:
    """Return what the columns of a table mean: ids, vectors by name, texts, the rest payloads."""
    import pyarrow as pa

    try:
        names = table.column_names
    except UnicodeDecodeError:
        raise _unreadable("an Arrow IPC stream (a column's name is no UTF-8)") from None
    if len(set(names)) < len(names):
        raise ParameterError("two columns of the stream have one name.")
    found: dict[str, Any] = {}
    vectors: dict[str, Any] = {}
    others: list[str] = []
    room = most
    for name in names:
        column = table.column(name)
        kind = column.type
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or _is_fixed(kind):
            vectors[name], used = _rows_in(name, column, room)
            room -= used
        elif name == "id":
            found["ids"] = _ids_of(column)
        elif name == "text":
            found["texts"] = _plain(name, column, text_only=True)
        else:
            others.append(name)
    if vectors:
        found[VECTORS] = vectors
    if others:
        found["payloads"] = _payloads(table, others)
    return found


def _rows_in(name: str, column: Any, room: int) -> tuple[Any, int]:
    """Return the vectors of a list column, one entry a row, and the bytes that they take."""
    import pyarrow as pa

    inner = column.type.value_type
    if pa.types.is_struct(inner) or pa.types.is_list(inner) or _is_fixed(inner):
        if column.null_count:
            raise ParameterError(f"the column {name!r} has {column.null_count} null vectors.")
        pieces = [_lists_in(name, chunk, room) for chunk in column.chunks if len(chunk)]
        found = [row for rows, _ in pieces for row in rows]
        return found, sum(used for _, used in pieces)
    values = _matrix_of(name, column, room)
    return values, values.nbytes


def _lists_in(name: str, chunk: Any, room: int) -> tuple[list[Any], int]:
    """Return the sparse rows, or the matrices, of one chunk; each as its own arrays."""
    import pyarrow as pa

    if _is_fixed(chunk.type):
        raise ParameterError(f"the column {name!r} must hold plain lists of its rows.")
    starts = np.asarray(chunk.offsets)
    ends = list(itertools.pairwise((starts - starts[0]).tolist()))
    inside = chunk.flatten()
    if inside.null_count:
        raise ParameterError(f"the column {name!r} has vectors with nulls in them.")
    if not pa.types.is_struct(inside.type):
        whole = _matrix_of(name, pa.chunked_array([inside]), room)
        return [whole[a:b] for a, b in ends], whole.nbytes
    if {field.name for field in inside.type} != {"term", "weight"}:
        raise ParameterError(f"the column {name!r} has {inside.type}; term and weight are taken.")
    if len(inside) * 8 > room:
        raise too_large(room)
    terms, weights = inside.field("term"), inside.field("weight")
    plain = pa.types.is_integer(terms.type) and pa.types.is_floating(weights.type)
    if not plain or terms.null_count or weights.null_count:
        raise ParameterError(f"the column {name!r} must have whole terms and weights, none null.")
    numbers, values = terms.to_numpy(), _narrow(weights.to_numpy(zero_copy_only=False))
    rows = [{"indices": numbers[a:b], "values": values[a:b]} for a, b in ends]
    return rows, len(inside) * 8


def _matrix_of(name: str, column: Any, room: int) -> NDArray[np.float32]:
    """Return a list column as rows of float32, counted before it is made."""
    import pyarrow as pa

    inner = column.type.value_type
    if not (pa.types.is_floating(inner) or pa.types.is_integer(inner)):
        raise ParameterError(f"the column {name!r} holds lists of {inner}; numbers are taken.")
    if column.null_count:
        raise ParameterError(f"the column {name!r} has {column.null_count} null vectors.")
    n = len(column)
    pieces = []
    dim = None
    for chunk in column.chunks:
        if len(chunk) == 0:
            continue
        if _is_fixed(chunk.type):
            widths = {chunk.type.list_size}
        else:
            widths = set(np.diff(np.asarray(chunk.offsets)).tolist())
        if len(widths | ({dim} if dim is not None else set())) != 1:
            raise ShapeError(f"the vectors of the column {name!r} differ in length.")
        (dim,) = widths
        if n * dim * 4 > room:
            raise too_large(room)
        flat = chunk.flatten()
        if flat.null_count:
            raise ParameterError(f"the column {name!r} has vectors with nulls in them.")
        values = flat.to_numpy(zero_copy_only=False)
        pieces.append(_narrow(values).reshape(len(chunk), dim))
    if not pieces:
        size = column.type.list_size if _is_fixed(column.type) else 0
        return np.empty((0, size), np.float32)
    return np.concatenate(pieces)


def _is_fixed(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_fixed_size_list(kind))


def _narrow(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return float32; what is beyond it becomes infinite, which no collection takes."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, np.float32)


def _ids_of(column: Any) -> Any:
    import pyarrow as pa

    if column.null_count:
        raise ParameterError("the column 'id' has nulls.")
    if pa.types.is_integer(column.type):
        try:
            return column.cast(pa.int64()).to_numpy()
        except pa.ArrowInvalid:
            raise ParameterError("the column 'id' has numbers beyond int64.") from None
    return _plain("id", column, text_only=True)


def _payloads(table: Any, names: list[str]) -> list[dict[str, Any] | None]:
    """Return one mapping a row, that in the JSON of ``payload`` and the other columns, or None."""
    rows: list[dict[str, Any] | None] = [None] * len(table)
    for name in names:
        for i, value in enumerate(_plain(name, table.column(name), text_only=False)):
            if value is None:
                continue
            row = rows[i] = rows[i] or {}
            if name != "payload":
                row[name] = value
                continue
            own = parsed(value.encode()) if isinstance(value, str) else value
            if not isinstance(own, Mapping):
                raise ParameterError("the column 'payload' must hold JSON objects.")
            row.update(own)
    return rows


def _plain(name: str, column: Any, text_only: bool) -> list[Any]:
    """Return the entries of a column whose entries are stored one by one."""
    from pyarrow import types

    kind = column.type
    is_text = types.is_string(kind) or types.is_large_string(kind)
    is_plain = is_text or types.is_null(kind) or types.is_boolean(kind)
    if not text_only and not is_plain:
        is_plain = types.is_integer(kind) or types.is_floating(kind)
        is_plain |= types.is_date(kind) or types.is_timestamp(kind)
    if not is_plain or (text_only and not (is_text or types.is_null(kind))):
        wanted = "text" if text_only else "text, numbers, booleans and times"
        raise ParameterError(f"the column {name!r} is {kind}; {wanted} are taken, each plain.")
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        raise ParameterError(f"the column {name!r} has times beyond the year 9999.") from None
    return values


def _refuse_compressed(body: bytes) -> None:
    """Refuse a stream with compressed buffers, before anything is unpacked.

    A message is ``0xFFFFFFFF, length, flatbuffer, body``. Of the flatbuffer ``Message`` field 1 is
    the type of its header and field 2 the header, of which field 3 (``RecordBatch.compression``)
    says that buffers are compressed; a ``DictionaryBatch`` holds its ``RecordBatch`` in field 1.
    """
    at = 0
    while at + 8 <= len(body):
        mark, length = struct.unpack_from("<Ii", body, at)
        at += 8
        if mark != 0xFFFFFFFF:
            raise struct.error("a message does not begin with its mark")
        if length == 0:
            return
        if not 0 < length <= len(body) - at:
            raise struct.error("a message is cut off")
        head = body[at : at + length]
        message = struct.unpack_from("<I", head)[0]
        batch = _table_in(head, message, 2)
        kind_at = _field(head, message, 1)
        kind = 0 if kind_at is None else head[kind_at]
        if kind == 2 and batch is not None:  # a dictionary
            batch = _table_in(head, batch, 1)
        if kind in (2, 3) and batch is not None and _field(head, batch, 3) is not None:
            raise Refusal(
                415, "UnsupportedMediaType",
                "the stream has compressed buffers; send it uncompressed.",
            )  # fmt: skip
        size_at = _field(head, message, 3)
        size = 0 if size_at is None else struct.unpack_from("<q", head, size_at)[0]
        if not 0 <= size <= len(body) - at - length:
            raise struct.error("the body of a message is cut off")
        at += length + size


def _field(head: bytes, table: int, number: int) -> int | None:
    """Return where a field of a flatbuffer's table lies."""
    vtable = table - struct.unpack_from("<i", head, table)[0]
    if vtable < 0:
        raise struct.error("a table lies outside")
    (size,) = struct.unpack_from("<H", head, vtable)
    if 4 + 2 * number + 2 > size:
        return None
    (offset,) = struct.unpack_from("<H", head, vtable + 4 + 2 * number)
    return table + offset if offset else None


def _table_in(head: bytes, table: int, number: int) -> int | None:
    """Return where the table lies that a field points to."""
    at = _field(head, table, number)
    return None if at is None else at + int(struct.unpack_from("<I", head, at)[0])
