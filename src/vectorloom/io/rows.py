# SPDX-License-Identifier: Apache-2.0
"""Rows in bounded memory: collect them as they come, cast them, walk over them in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.errors import CapacityError, ParameterError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

# Bytes handled at a time: large enough to hide the cost of a call, small beside any vector set.
BLOCK_BYTES = 16 << 20

# Limit of the floating types used to tell "rounded" from "became infinite".
_KINDS = "fiub"


class RowSink:
    """Collects blocks of rows whose number is not known before the end.

    The array grows by half each time with ``resize``, which moves pages instead of copying them
    for large arrays, so the peak stays near the final size; a count claimed by a header is never
    trusted with an allocation.
    """

    def __init__(self, dim: int, dtype: DTypeLike) -> None:
        self.dim = dim
        self._rows = np.empty((0, dim), dtype=dtype)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def append(self, block: NDArray[Any]) -> None:
        """Add rows of shape (m, dim)."""
        need = self._used + len(block)
        if need > len(self._rows):
            self._rows.resize((max(need, len(self._rows) * 3 // 2), self.dim), refcheck=False)
        self._rows[self._used : need] = block
        self._used = need

    def finish(self) -> NDArray[Any]:
        """Return all rows; the sink is empty afterwards."""
        rows = self._rows
        rows.resize((self._used, self.dim), refcheck=False)
        self._rows = np.empty((0, self.dim), dtype=rows.dtype)
        self._used = 0
        return rows


def allocate(path: Path, shape: tuple[int, int], dtype: DTypeLike) -> NDArray[Any]:
    """Take memory for (n, dim), or say that the file asks for more than there is."""
    try:
        return np.empty(shape, dtype=dtype)
    except (MemoryError, ValueError) as error:
        message = (
            f"{path}: {shape[0]} x {shape[1]} {np.dtype(dtype)} do not fit in memory. "
            "Read part of it with limit=."
        )
        raise CapacityError(message) from error


def row_blocks(
    values: NDArray[Any], dtype: DTypeLike, size: int = BLOCK_BYTES
) -> Iterator[NDArray[Any]]:
    """Walk over the rows as C-contiguous little-endian blocks of `dtype`."""
    target = np.dtype(dtype).newbyteorder("<")
    step = max(1, size // max(1, values.shape[1] * target.itemsize))
    for start in range(0, len(values), step):
        block = cast_rows(values[start : start + step], target, first_row=start)
        yield np.ascontiguousarray(block)


def cast_rows(values: NDArray[Any], dtype: DTypeLike, first_row: int = 0) -> NDArray[Any]:
    """Change the dtype; refuse the change that would alter the numbers.

    Between floating types rounding is accepted and overflow to infinity is refused. Every other
    change must be exact.
    """
    target = np.dtype(dtype)
    if values.dtype == target:
        return values
    with np.errstate(all="ignore"):
        cast = values.astype(target)
        if np.can_cast(values.dtype, target, "safe") or values.size == 0:
            return cast
        if values.dtype.kind == "f" and target.kind == "f":
            bad = np.isinf(cast) & np.isfinite(values)
        else:
            # Compared both ways round: float(2**63) would match a wrapped integer.
            bad = (cast.astype(values.dtype) != values) | ((cast < 0) != (values < 0))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        message = (
            f"row {first_row + row}, component {column} is {values[row, column]}, which "
            f"{target} cannot hold; the values are {values.dtype}. Choose another dtype, or "
            "scale or round the values first."
        )
        raise ParameterError(message)
    return cast


def as_rows(values: object, name: str = "values") -> NDArray[Any]:
    """Accept any 2-d array-like of real numbers, memory-mapped ones without reading them."""
    try:
        array = np.asanyarray(values)
    except ValueError as error:
        message = f"{name} must be rows of equal length; got ragged rows ({error})."
        raise ShapeError(message) from error
    if array.dtype.kind not in _KINDS:
        message = (
            f"{name} must hold real numbers; got dtype {array.dtype}. "
            "Convert them with np.asarray(..., dtype='float32')."
        )
        raise ParameterError(message)
    if array.ndim != 2:
        hint = f" For one vector pass {name}[None, :]." if array.ndim == 1 else ""
        message = f"{name} must be 2-d (n, dim); got shape {array.shape}.{hint}"
        raise ShapeError(message)
    if array.shape[1] == 0:
        message = f"{name} must have at least one component; got shape {array.shape}."
        raise ShapeError(message)
    if array.dtype.kind == "b":
        array = array.view(np.uint8)
    return array
