# SPDX-License-Identifier: Apache-2.0
"""safetensors: an 8-byte length, a JSON header, then the tensors' bytes.

Parsed here: the format is these three things, and a map of the file needs the offsets, which the
package does not give. bfloat16, which NumPy has not, is widened to float32 (exact).
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.errors import FormatError, ParameterError
from vectorloom.io.arrays import ArrayInfo, choose_arrays, ids_from_array
from vectorloom.io.faults import broken, shorten
from vectorloom.io.options import refuse_dtype
from vectorloom.io.rows import row_blocks
from vectorloom.io.vectors_file import Vectors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from vectorloom.io.options import Content, ReadOptions

# The limit of the reference implementation.
MAX_HEADER = 100_000_000
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|u1",
}
_CODES = {np.dtype(v).name: k for k, v in _DTYPES.items() if k not in ("BF16", "BOOL")}
_ALIGN = 64


def read(path: Path, options: ReadOptions, kind: str) -> Vectors:
    """Read one tensor as vectors; integer tensors beside it as ids and metadata."""
    tensors, base = _read_header(path)
    infos = {name: _info(entry) for name, entry in tensors.items()}
    choice = choose_arrays(path, infos, options.vectors, options.ids)
    rows = options.rows(infos[choice.vectors].shape[0])
    values = _tensor(path, base, tensors[choice.vectors])[:rows]
    if tensors[choice.vectors]["dtype"] == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    ids = None
    if choice.ids is not None:
        found = np.array(_tensor(path, base, tensors[choice.ids])[:rows])
        ids = ids_from_array(path, choice.ids, found)
    metadata = None
    names = [n for n in choice.metadata if tensors[n]["dtype"] != "BF16"]
    if names:
        import pyarrow as pa

        metadata = pa.table({n: np.array(_tensor(path, base, tensors[n])[:rows]) for n in names})
    return Vectors(values, ids, metadata)


def describe(path: Path, kind: str) -> dict[str, Any]:
    """Describe the tensors from the header."""
    tensors, _ = _read_header(path)
    return {"arrays": {name: _info(entry) for name, entry in tensors.items()}}


def write(path: Path, content: Content, kind: str) -> None:
    """Write tensors ``vectors``, ``ids`` (int64) and the numeric metadata columns."""
    refuse_dtype(content, "safetensors", tuple(_CODES))
    columns: dict[str, NDArray[Any]] = {}
    if content.ids is not None:
        if content.ids.dtype == object:
            message = (
                "safetensors files hold numbers only, so they cannot carry str ids. "
                "Write parquet or npz, or leave ids out."
            )
            raise ParameterError(message)
        columns["ids"] = content.ids
    table = content.metadata
    for name, column in (
        [] if table is None else zip(table.column_names, table.columns, strict=True)
    ):
        if column.null_count or str(column.type) not in (*_CODES, "double", "float", "halffloat"):
            message = (
                f"safetensors files hold numbers only, so they cannot carry the metadata column "
                f"{name!r} ({column.type}). Write parquet, or leave it out."
            )
            raise ParameterError(message)
        columns[name] = column.to_numpy()
    if "vectors" in columns or (content.ids is None and "ids" in columns):
        message = "safetensors files of vectors use the names 'vectors' and 'ids'; rename it."
        raise ParameterError(message)
    dtype = content.stored_dtype
    header: dict[str, Any] = {}
    end = 0
    sizes = [("vectors", dtype, content.values.shape)]
    sizes += [(name, column.dtype, column.shape) for name, column in columns.items()]
    for name, kept, shape in sizes:
        start, end = end, end + math.prod(shape) * kept.itemsize
        header[name] = {
            "dtype": _CODES[kept.name],
            "shape": list(shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGN)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for block in row_blocks(content.values, dtype):
            file.write(block.data)
        for column in columns.values():
            file.write(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data)


def _info(entry: dict[str, Any]) -> ArrayInfo:
    if entry["dtype"] == "BF16":
        return ArrayInfo(tuple(entry["shape"]), "bfloat16", "f")
    code = _DTYPES.get(entry["dtype"])
    if code is None:
        return ArrayInfo(tuple(entry["shape"]), str(entry["dtype"]), "V")
    dtype = np.dtype(code)
    return ArrayInfo(tuple(entry["shape"]), dtype.name, dtype.kind)


def _tensor(path: Path, base: int, entry: dict[str, Any]) -> NDArray[Any]:
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    shape = tuple(entry["shape"])
    if math.prod(shape) == 0:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", base + entry["data_offsets"][0], shape)


def _read_header(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """Parse the header; check each tensor's bytes against its shape and the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise broken(path, "byte 0", "an 8-byte header length", f"{len(start)} bytes")
        (length,) = struct.unpack("<Q", start)
        if length > min(MAX_HEADER, size - 8):
            found = f"{length} in a file of {size} bytes"
            raise broken(path, "byte 0", "a header length within the file", found)
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"{path}: byte 8: expected a JSON header; found {shorten(text)} ({error})."
        raise FormatError(message) from error
    if not isinstance(header, dict):
        raise broken(path, "byte 8", "a JSON object", shorten(text))
    header.pop("__metadata__", None)
    for name, entry in header.items():
        _check_entry(path, name, entry, size - 8 - length)
    return header, 8 + length


def _check_entry(path: Path, name: str, entry: Any, room: int) -> None:
    try:
        shape = [int(n) for n in entry["shape"]]
        start, end = (int(n) for n in entry["data_offsets"])
        dtype = str(entry["dtype"])
    except (KeyError, TypeError, ValueError) as error:
        message = f"{path}: tensor {name!r}: its header is damaged: {shorten(entry)}."
        raise FormatError(message) from error
    if not 0 <= start <= end <= room or min(shape, default=0) < 0:
        expected = f"bytes within the {room} that follow the header"
        raise broken(path, f"tensor {name!r}", expected, f"{start} to {end}, shape {shape}")
    if dtype in _DTYPES and math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize != end - start:
        expected = f"{end - start} bytes as its offsets say"
        raise broken(path, f"tensor {name!r}", expected, f"shape {shape}, dtype {dtype}")
