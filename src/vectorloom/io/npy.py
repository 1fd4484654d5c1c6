# SPDX-License-Identifier: Apache-2.0
"""NumPy files: ``.npy`` (memory-mapped) and ``.npz`` (a zip of them, checked by its CRCs).

The header is parsed here rather than by ``np.load`` so that its size is compared with the file's
before memory is taken, and so that no pickle is ever opened.
"""

from __future__ import annotations

import ast
import math
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.io.arrays import ArrayInfo, choose_arrays, ids_from_array
from vectorloom.io.faults import broken
from vectorloom.io.options import refuse_columns
from vectorloom.io.rows import allocate, row_blocks
from vectorloom.io.vectors_file import Vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vectorloom.io.options import Content, ReadOptions

MAGIC = b"\x93NUMPY"
# NumPy's own limit is 10,000 characters for a header; a larger one is damage.
_MAX_HEADER = 1 << 16
_MEMBER_BUFFER = 1 << 20


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read(path: Path, options: ReadOptions, kind: str) -> Vectors:
    """Read ``.npy`` or ``.npz``."""
    return _read_npz(path, options) if kind == "npz" else _read_npy(path, options)


def write(path: Path, content: Content, kind: str) -> None:
    """Write ``.npy`` or ``.npz``."""
    if kind == "npz":
        _write_npz(path, content)
        return
    refuse_columns(content, "npy", ids=False, remedy="Write npz or parquet")
    with path.open("wb") as file:
        _write_array(file, content)


def describe(path: Path, kind: str) -> dict[str, Any]:
    """Describe the arrays from their headers."""
    if kind == "npz":
        with zipfile.ZipFile(path) as archive:
            return {"arrays": {n: _info(h) for n, h in _members(path, archive).items()}}
    with path.open("rb") as file:
        header = _read_header(path, file, str(path))
    _require_matrix(path, header)
    _require_size(path, header)
    return {"rows": header.shape[0], "dim": header.shape[1], "dtype": str(header.dtype)}


def _read_header(path: Path, file: BinaryIO, where: str) -> _Header:
    """Parse the header that stands at the start of `file`."""
    start = file.read(12)
    if len(start) < 12 or not start.startswith(MAGIC):
        raise broken(path, f"{where}, byte 0", "the npy magic \\x93NUMPY", repr(start))
    major = start[6]
    if major not in (1, 2, 3):
        raise broken(path, f"{where}, byte 6", "npy version 1, 2 or 3", f"version {major}")
    if major == 1:
        length, offset = struct.unpack("<H", start[8:10])[0], 10
    else:
        length, offset = struct.unpack("<I", start[8:12])[0], 12
    if length > _MAX_HEADER:
        raise broken(path, f"{where}, byte 8", f"a header below {_MAX_HEADER} bytes", f"{length}")
    text = start[offset:] + file.read(max(0, length - (12 - offset)))
    if len(text) < length:
        found = f"the file's end after {len(text)}"
        raise broken(path, f"{where}, byte {offset}", f"a header of {length} bytes", found)
    try:
        fields = ast.literal_eval(text.decode("utf-8" if major == 3 else "latin-1").strip())
        shape = tuple(int(n) for n in fields["shape"])
        dtype = np.dtype(fields["descr"])
        fortran = bool(fields["fortran_order"])
    except (SyntaxError, ValueError, TypeError, KeyError, RecursionError) as error:
        message = f"{path}: {where}: the npy header is damaged: {type(error).__name__}: {error}."
        raise FormatError(message) from error
    if any(n < 0 for n in shape):
        raise broken(path, where, "a shape of counts", str(shape))
    return _Header(shape, fortran, dtype, offset + length)


def _require_matrix(path: Path, header: _Header) -> None:
    if header.dtype.hasobject:
        message = (
            f"{path}: expected numbers; found Python objects (a pickle), which are never loaded. "
            "Save the array with a numeric dtype."
        )
        raise FormatError(message)
    if header.dtype.kind not in "fiub":
        raise broken(path, "dtype", "real numbers", str(header.dtype))
    if len(header.shape) != 2 or header.shape[1] == 0:
        hint = " One vector is saved as x[None, :]." if len(header.shape) == 1 else ""
        message = f"{path}: expected a 2-d array (n, dim); found shape {header.shape}.{hint}"
        raise ShapeError(message)


def _require_size(path: Path, header: _Header) -> None:
    size = path.stat().st_size
    need = header.offset + header.nbytes
    if size != need:
        expected = f"{need} bytes for shape {header.shape}, dtype {header.dtype}"
        raise broken(path, "file size", expected, f"{size} bytes")


def _read_npy(path: Path, options: ReadOptions) -> Vectors:
    if options.vectors is not None or isinstance(options.ids, str):
        message = f"{path}: a npy file holds one unnamed array; leave vectors= and ids= out."
        raise ParameterError(message)
    with path.open("rb") as file:
        header = _read_header(path, file, "header")
        _require_matrix(path, header)
        _require_size(path, header)
        rows = options.rows(header.shape[0])
        if options.mmap and header.nbytes:
            order: Any = "F" if header.fortran else "C"
            mapped = np.memmap(path, header.dtype, "r", header.offset, header.shape, order)
            return Vectors(_plain(mapped[:rows]))
        shape = header.shape if header.fortran else (rows, header.shape[1])
        values = _fill(path, file, shape, header, "values")[:rows]
    return Vectors(_plain(values))


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Bring foreign byte order and bool to what the rest of the house works with."""
    if values.dtype.kind == "b":
        return values.view(np.uint8)
    if not values.dtype.isnative:
        return values.astype(values.dtype.newbyteorder("="))
    return values


def _fill(
    path: Path, file: BinaryIO, shape: tuple[int, ...], header: _Header, where: str
) -> NDArray[Any]:
    """Read the numbers that follow the header into fresh memory."""
    if header.dtype.hasobject:
        message = f"{path}: {where}: expected numbers or text; found a pickle, never loaded."
        raise FormatError(message)
    count = math.prod(shape)
    values = allocate(path, (count, 1), header.dtype)
    # Text arrays have no buffer of their own; bytes do.
    raw = memoryview(values.view(np.uint8).reshape(-1)) if count else memoryview(b"")
    done = 0
    while done < len(raw):
        got = cast("Any", file).readinto(raw[done : done + _MEMBER_BUFFER])
        if not got:
            raise broken(path, where, f"{len(raw)} bytes of numbers", f"the end after {done}")
        done += got
    if header.fortran:
        return values.reshape(shape[::-1]).T
    return values.reshape(shape)


def _info(header: _Header) -> ArrayInfo:
    return ArrayInfo(header.shape, str(header.dtype), header.dtype.kind)


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, _Header]:
    """Read the header of each array in the zip; check it against the size of the member."""
    headers = {}
    for entry in archive.infolist():
        if not entry.filename.endswith(".npy"):
            continue
        with archive.open(entry) as file:
            header = _read_header(path, cast("BinaryIO", file), f"member {entry.filename}")
        need = header.offset + header.nbytes
        if not header.dtype.hasobject and entry.file_size != need:
            expected = f"{need} bytes for shape {header.shape}, dtype {header.dtype}"
            raise broken(path, f"member {entry.filename}", expected, f"{entry.file_size} bytes")
        headers[entry.filename.removesuffix(".npy")] = header
    return headers


def _read_npz(path: Path, options: ReadOptions) -> Vectors:
    with zipfile.ZipFile(path) as archive:
        headers = _members(path, archive)
        infos = {name: _info(header) for name, header in headers.items()}
        choice = choose_arrays(path, infos, options.vectors, options.ids)

        def load(name: str) -> NDArray[Any]:
            with archive.open(f"{name}.npy") as file:
                header = _read_header(path, cast("BinaryIO", file), f"member {name}.npy")
                values = _fill(
                    path, cast("BinaryIO", file), header.shape, header, f"member {name}.npy"
                )
                file.read(1)  # the CRC is compared when the end is reached
            return _plain(values)

        values = load(choice.vectors)
        ids = None if choice.ids is None else ids_from_array(path, choice.ids, load(choice.ids))
        others = {name: load(name) for name in choice.metadata}
    metadata = None
    if others:
        import pyarrow as pa

        metadata = pa.table({name: pa.array(column) for name, column in others.items()})
    return Vectors(values, ids, metadata)


def _write_array(file: BinaryIO, content: Content) -> None:
    """Write the header and the rows, block by block: the values may be larger than memory."""
    dtype = content.stored_dtype.newbyteorder("<")
    fields = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": content.values.shape,
    }
    np.lib.format.write_array_header_1_0(file, fields)
    for block in row_blocks(content.values, dtype):
        file.write(block.data)


def _write_npz(path: Path, content: Content) -> None:
    columns: dict[str, NDArray[Any]] = {}
    if content.ids is not None:
        columns["ids"] = _as_fixed_text(content.ids, "ids")
    if content.metadata is not None:
        for name in content.metadata.column_names:
            columns[name] = _as_column(content.metadata.column(name), name)
    if "vectors" in columns or (content.ids is None and "ids" in columns):
        message = "npz files of vectors use the names 'vectors' and 'ids'; rename that column."
        raise ParameterError(message)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open(zipfile.ZipInfo("vectors.npy"), "w", force_zip64=True) as file:
            _write_array(cast("BinaryIO", file), content)
        for name, column in columns.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(cast("Any", file), column, allow_pickle=False)


def _as_fixed_text(column: NDArray[Any], name: str) -> NDArray[Any]:
    """Turn str objects into fixed-width text, the only text that npz holds without pickle."""
    if column.dtype != object:
        return column
    if any(text.endswith("\0") for text in column):
        message = f"npz cannot keep the NUL at the end of an entry of {name!r}; write parquet."
        raise ParameterError(message)
    return column.astype(np.str_)


def _as_column(column: Any, name: str) -> NDArray[Any]:
    import pyarrow.types as types

    kind = column.type
    plain = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    text = types.is_string(kind) or types.is_large_string(kind)
    if column.null_count or not (plain or text):
        what = "missing entries" if column.null_count else f"type {kind}"
        message = f"npz cannot hold the metadata column {name!r} ({what}); write parquet."
        raise ParameterError(message)
    return _as_fixed_text(column.to_numpy(), name)
