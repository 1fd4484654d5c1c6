# SPDX-License-Identifier: Apache-2.0
"""HDF5, with the keys of ann-benchmarks: train, test, neighbors, distances."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.errors import ParameterError
from vectorloom.io.arrays import ArrayInfo, choose_arrays, ids_from_array
from vectorloom.io.faults import missing_package
from vectorloom.io.rows import allocate, row_blocks
from vectorloom.io.tables import check_names
from vectorloom.io.vectors_file import Vectors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from vectorloom.io.options import Content, ReadOptions


def read(path: Path, options: ReadOptions, kind: str) -> Vectors:
    """Read one data set as vectors; 1-d ones of the same length as ids and metadata."""
    h5py = _require_h5py(path)
    with h5py.File(path, "r") as file:
        sets = _datasets(h5py, file)
        infos = {name: _info(h5py, data) for name, data in sets.items()}
        choice = choose_arrays(path, infos, options.vectors, options.ids)
        rows = options.rows(infos[choice.vectors].shape[0])
        values = _matrix(path, sets[choice.vectors], rows, options.mmap)
        ids = None
        if choice.ids is not None:
            ids = ids_from_array(path, choice.ids, _column(h5py, sets[choice.ids], rows))
        others = {name: _column(h5py, sets[name], rows) for name in choice.metadata}
    metadata = None
    if others:
        import pyarrow as pa

        metadata = pa.table({name: pa.array(column) for name, column in others.items()})
    return Vectors(values, ids, metadata)


def describe(path: Path, kind: str) -> dict[str, Any]:
    """Describe the data sets from their headers."""
    h5py = _require_h5py(path)
    with h5py.File(path, "r") as file:
        sets = _datasets(h5py, file)
        return {"arrays": {name: _info(h5py, data) for name, data in sets.items()}}


def write(path: Path, content: Content, kind: str) -> None:
    """Write data sets ``vectors``, ``ids`` and one for each metadata column."""
    h5py = _require_h5py(path)
    check_names(content, ("ids", "vectors"))
    try:
        _write_file(h5py, path, content)
    except (RuntimeError, OSError) as error:
        # A full disk comes as text, from the write or from the close.
        number = re.search(r"errno = (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def _write_file(h5py: Any, path: Path, content: Content) -> None:
    dtype = content.stored_dtype
    with h5py.File(path, "w") as file:
        # Contiguous and uncompressed: readers can map it.
        data = file.create_dataset("vectors", content.values.shape, dtype)
        row = 0
        for block in row_blocks(content.values, dtype):
            data[row : row + len(block)] = block
            row += len(block)
        if content.ids is not None:
            _write_column(h5py, file, "ids", content.ids)
        if content.metadata is not None:
            for name in content.metadata.column_names:
                column = content.metadata.column(name)
                if column.null_count:
                    message = (
                        f"HDF5 files have no missing entries, so they cannot carry the metadata "
                        f"column {name!r}. Fill them, or write parquet."
                    )
                    raise ParameterError(message)
                _write_column(h5py, file, name, column.to_numpy())


def _write_column(h5py: Any, file: Any, name: str, column: NDArray[Any]) -> None:
    if column.dtype == object and all(isinstance(entry, str) for entry in column):
        file.create_dataset(name, data=column, dtype=h5py.string_dtype())
    elif column.dtype.kind in "fiub":
        file.create_dataset(name, data=column)
    else:
        message = (
            f"HDF5 files carry metadata of numbers and text; {name!r} is neither. Write parquet."
        )
        raise ParameterError(message)


def _require_h5py(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        why = f"{path}: reading and writing HDF5"
        raise missing_package("h5py", "hdf5", why) from error
    return h5py


def _datasets(h5py: Any, file: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def visit(name: str, entry: Any) -> None:
        if isinstance(entry, h5py.Dataset) and entry.shape is not None:
            found[name] = entry

    file.visititems(visit)
    return found


def _info(h5py: Any, data: Any) -> ArrayInfo:
    kind = "T" if h5py.check_string_dtype(data.dtype) else data.dtype.kind
    return ArrayInfo(tuple(data.shape), "str" if kind == "T" else str(data.dtype), kind)


def _matrix(path: Path, data: Any, rows: int, mmap: bool) -> NDArray[Any]:
    """Map a contiguous data set at its offset in the file; read a chunked one."""
    offset = data.id.get_offset()
    plain = data.chunks is None and data.dtype.kind in "fiu" and data.dtype.isnative
    size = data.size * data.dtype.itemsize
    if mmap and plain and offset is not None and data.size and offset + size <= _size(path):
        whole: NDArray[Any] = np.memmap(path, data.dtype, "r", offset, data.shape)
        return whole[:rows]
    if data.dtype.kind == "b":
        return np.asarray(data[:rows]).view(np.uint8)
    native = data.dtype.newbyteorder("=")
    values = allocate(path, (rows, data.shape[1]), native)
    if values.size:
        data.read_direct(values, np.s_[:rows])
    return values


def _size(path: Path) -> int:
    return path.stat().st_size


def _column(h5py: Any, data: Any, rows: int) -> NDArray[Any]:
    if h5py.check_string_dtype(data.dtype):
        return np.asarray(data.asstr()[:rows], dtype=object)
    found: NDArray[Any] = data[:rows]
    return found
