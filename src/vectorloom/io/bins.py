# SPDX-License-Identifier: Apache-2.0
"""fbin, f16bin, u8bin, i8bin, ibin (big-ann-benchmarks): uint32 n, uint32 dim, then the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.errors import ParameterError
from vectorloom.io.faults import broken
from vectorloom.io.options import refuse_columns
from vectorloom.io.rows import row_blocks
from vectorloom.io.vectors_file import Vectors

if TYPE_CHECKING:
    from pathlib import Path

    from vectorloom.io.options import Content, ReadOptions

DTYPES = {"fbin": "<f4", "f16bin": "<f2", "u8bin": "|u1", "i8bin": "|i1", "ibin": "<i4"}
_HEADER = 8
_MAX_COUNT = (1 << 32) - 1


def read(path: Path, options: ReadOptions, kind: str) -> Vectors:
    """Map the matrix that follows the header."""
    if options.vectors is not None or isinstance(options.ids, str):
        message = f"{path}: {kind} files hold one unnamed matrix; leave vectors= and ids= out."
        raise ParameterError(message)
    n, dim = _shape(path, kind)
    if n == 0:
        return Vectors(np.empty((0, dim), DTYPES[kind]))
    table = np.memmap(path, np.dtype(DTYPES[kind]), "r", _HEADER, (n, dim))
    return Vectors(table[: options.rows(n)])


def describe(path: Path, kind: str) -> dict[str, Any]:
    """Describe the matrix from its header."""
    n, dim = _shape(path, kind)
    return {"rows": n, "dim": dim, "dtype": np.dtype(DTYPES[kind]).name}


def write(path: Path, content: Content, kind: str) -> None:
    """Write the header and the matrix."""
    refuse_columns(content, kind, ids=False, remedy="Write parquet or npz")
    if max(content.values.shape) > _MAX_COUNT:
        message = f"{kind} files hold at most {_MAX_COUNT} rows; got {content.values.shape[0]}."
        raise ParameterError(message)
    with path.open("wb") as file:
        file.write(np.array(content.values.shape, "<u4").tobytes())
        for block in row_blocks(content.values, DTYPES[kind]):
            file.write(block.data)


def _shape(path: Path, kind: str) -> tuple[int, int]:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER)
    if len(head) < _HEADER:
        raise broken(path, "byte 0", "two uint32, n and dim", f"{len(head)} bytes")
    n, dim = (int(x) for x in np.frombuffer(head, "<u4"))
    need = _HEADER + n * dim * np.dtype(DTYPES[kind]).itemsize
    if dim == 0:
        raise broken(path, "byte 4", "dim of at least 1", "0")
    if size != need:
        expected = f"{need} bytes, as its header says ({n} x {dim}, {kind})"
        raise broken(path, "file size", expected, f"{size} bytes: truncated, or not {kind}")
    return n, dim
