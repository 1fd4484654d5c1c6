# SPDX-License-Identifier: Apache-2.0
"""fvecs, bvecs, ivecs (TEXMEX): each row is its dim as int32, then its components."""

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

DTYPES = {"fvecs": "<f4", "bvecs": "|u1", "ivecs": "<i4"}
# No vector set has more components; larger numbers at the head of a row are damage.
MAX_DIM = 1 << 20
# Up to this size every row's dim is compared; beyond, evenly spread rows: reading each would page
# in the whole file, which a map is there to avoid.
_CHECK_ALL_BYTES = 1 << 30
_CHECK_ROWS = 100_000


def read(path: Path, options: ReadOptions, kind: str) -> Vectors:
    """Map the rows; the dims between them are skipped by the stride."""
    if options.vectors is not None or isinstance(options.ids, str):
        message = f"{path}: {kind} files hold one unnamed matrix; leave vectors= and ids= out."
        raise ParameterError(message)
    n, dim = _shape(path, kind)
    dtype = np.dtype(DTYPES[kind])
    lead = 4 // dtype.itemsize
    table = np.memmap(path, dtype, "r", 0, (n, lead + dim))
    _check_dims(path, n, dim, kind)
    return Vectors(table[: options.rows(n), lead:])


def describe(path: Path, kind: str) -> dict[str, Any]:
    """Describe the rows from the first dim and the file size."""
    n, dim = _shape(path, kind)
    return {"rows": n, "dim": dim, "dtype": np.dtype(DTYPES[kind]).name}


def write(path: Path, content: Content, kind: str) -> None:
    """Write rows with their dims between them."""
    refuse_columns(content, kind, ids=False, remedy="Write parquet or npz")
    if len(content.values) == 0:
        message = f"{kind} files say their dim in each row, so they cannot hold no rows at all."
        raise ParameterError(message)
    dtype = np.dtype(DTYPES[kind])
    dim = content.values.shape[1]
    with path.open("wb") as file:
        for block in row_blocks(content.values, dtype):
            table = np.empty((len(block), 4 + dim * dtype.itemsize), np.uint8)
            table[:, :4] = np.frombuffer(np.int32(dim).astype("<i4").tobytes(), np.uint8)
            table[:, 4:] = block.view(np.uint8).reshape(len(block), -1)
            file.write(table.data)


def _shape(path: Path, kind: str) -> tuple[int, int]:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
    dim = int.from_bytes(head, "little", signed=True)
    if len(head) < 4 or not 1 <= dim <= MAX_DIM:
        expected = f"the dim of the first row, 1 to {MAX_DIM}"
        raise broken(path, "byte 0", expected, f"{dim}" if len(head) == 4 else f"{head!r}")
    stride = 4 + dim * np.dtype(DTYPES[kind]).itemsize
    if size % stride:
        whole = size - size % stride
        expected = f"rows of {stride} bytes (dim {dim})"
        found = f"{size % stride} bytes after row {size // stride - 1}: truncated, or not {kind}"
        raise broken(path, f"byte {whole}", expected, found)
    return size // stride, dim


def _check_dims(path: Path, n: int, dim: int, kind: str) -> None:
    stride = 4 + dim * np.dtype(DTYPES[kind]).itemsize
    heads = np.ndarray((n,), "<i4", np.memmap(path, np.uint8, "r"), 0, (stride,))
    step = 1 if n * stride <= _CHECK_ALL_BYTES else max(1, n // _CHECK_ROWS)
    checked = heads[::step]
    bad = np.flatnonzero(checked != dim)
    if len(bad):
        row = int(bad[0]) * step
        found = f"{int(heads[row])}: ragged rows, damage, or not {kind}"
        raise broken(path, f"row {row} (byte {row * stride})", f"dim {dim}", found)
