# SPDX-License-Identifier: Apache-2.0
"""Items of many vectors each: one matrix of all vectors, and where each item begins in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.vectors import as_array, as_dense


@dataclass(frozen=True, eq=False)
class TokenVectors:
    """Runs of rows, checked.

    Attributes
    ----------
    values : ndarray of shape (sum of lengths, dim)
        Of the caller's numeric type, and perhaps the caller's array: copy before keeping.
    offsets : ndarray of shape (n + 1,), int64
        Item i is ``values[offsets[i]:offsets[i + 1]]``, never empty.

    Examples
    --------
    >>> tokens = as_token_vectors([[[1.0, 0.0]], [[0.0, 1.0], [1.0, 1.0]]])
    >>> tokens.offsets, tokens.lengths
    (array([0, 1, 3]), array([1, 2]))
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return int(self.values.shape[1])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Vectors of each item, shape (n,), int64."""
        return np.diff(self.offsets)

    def item(self, i: int) -> NDArray[Any]:
        """Return the vectors of one item, shape (m, dim): a view."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def items(self) -> Iterator[NDArray[Any]]:
        """Return the matrices of all items, one after the other."""
        return map(self.item, range(len(self)))

    def part(self, first: int, last: int) -> TokenVectors:
        """Return items first, …, last - 1: a view."""
        start, end = self.offsets[first], self.offsets[last]
        return TokenVectors(self.values[start:end], self.offsets[first : last + 1] - start)

    def blocks(self, n_vectors: int) -> Iterator[tuple[int, int]]:
        """Return ranges of items of about so many vectors, at least one item each."""
        first = 0
        while first < len(self):
            last = int(np.searchsorted(self.offsets, self.offsets[first] + n_vectors, "right")) - 1
            last = min(len(self), max(last, first + 1))
            yield first, last
            first = last

    def take(self, items: NDArray[np.int64]) -> TokenVectors:
        """Return a copy of the items with these numbers, in that order."""
        return TokenVectors(self.values[self.rows_of(items)], run_offsets(self.lengths[items]))

    def rows_of(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of these items, item by item."""
        return rows_of_runs(self.offsets, items)


def rows_of_runs(offsets: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of runs, run by run.

    Parameters
    ----------
    offsets : ndarray of shape (n + 1,), int64
    items : ndarray of shape (m,), int64

    Returns
    -------
    ndarray of int64

    Examples
    --------
    >>> rows_of_runs(np.array([0, 2, 5]), np.array([1, 0]))
    array([2, 3, 4, 0, 1])
    """
    lengths = offsets[items + 1] - offsets[items]
    ends = run_offsets(lengths)
    within = np.arange(ends[-1]) - np.repeat(ends[:-1], lengths)
    rows: NDArray[np.int64] = np.repeat(offsets[items], lengths) + within
    return rows


def run_offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where runs of these lengths begin, and the end of the last; shape (n + 1,), int64."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def as_token_vectors(
    X: Any, *, name: str = "X", dim: int | None = None, allow_empty: bool = False
) -> TokenVectors:
    """Return items of many vectors as one matrix and offsets, or say what is wrong with them.

    Parameters
    ----------
    X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
        ``values`` has shape (sum of lengths, dim) and ``offsets`` (n + 1,): it begins with 0,
        ascends, and ends with the number of rows of ``values``. Item i has the rows
        ``offsets[i]:offsets[i + 1]``. (Lengths become offsets by ``np.cumsum``, after a 0.)
    name : str, default="X"
        What the caller calls it; used in messages.
    dim : int or None, default=None
        What the vectors must have; None takes any.
    allow_empty : bool, default=False
        Whether no items at all are fine. An item without vectors never is.

    Returns
    -------
    TokenVectors
        The vectors keep their type and are not checked for NaN: what stores or converts them does.

    Raises
    ------
    ShapeError
        Offsets that do not fit, an item without vectors, items of different dimensions, other
        shapes.
    ParameterError
        Not numeric.
    """
    if isinstance(X, TokenVectors):
        tokens = X
    elif _is_flat(X):
        tokens = _from_flat(X[0], X[1], name)
    elif getattr(X, "ndim", None) == 3:
        tokens = _from_cube(as_array(X, name=name), name)
    elif isinstance(X, list | tuple):
        tokens = _from_list(X, name, dim)
    else:
        raise ShapeError(
            f"{name} must be (values, offsets), a list of matrices or an array (n, m, dim); got "
            f"{_shape_of(X)}. For one item pass [{name}]."
        )
    if len(tokens) == 0 and not allow_empty:
        raise ShapeError(f"{name} must have at least one item; got none.")
    if dim is not None and tokens.dim != dim and len(tokens):
        raise ShapeError(
            f"{name} must have vectors of {dim} dimensions; got {tokens.dim}. Are these vectors of "
            "another model?"
        )
    empty = np.flatnonzero(tokens.lengths == 0)
    if len(empty):
        shown = ", ".join(map(str, empty[:5].tolist())) + (", …" if len(empty) > 5 else "")
        raise ShapeError(
            f"{name} has {len(empty)} item{'s' if len(empty) > 1 else ''} without vectors "
            f"({shown}); each needs at least one. Drop them and their ids."
        )
    return tokens


def as_float_tokens(X: Any, *, name: str = "X", dim: int | None = None) -> TokenVectors:
    """Return items as float32, finite; the parameters are those of `as_token_vectors`."""
    tokens = as_token_vectors(X, name=name, dim=dim)
    return TokenVectors(as_dense(tokens.values, name=name), tokens.offsets)


def unit_rows(values: NDArray[np.float32], *, name: str = "X") -> NDArray[np.float32]:
    """Return rows scaled to unit length, refusing zero ones."""
    norms = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))
    if not norms.all():
        raise ParameterError(
            f"{name} has a zero vector (row {int(np.argmin(norms))}), which has no cosine. Drop "
            "it, or use metric='ip'."
        )
    unit: NDArray[np.float32] = (values / norms[:, None]).astype(np.float32)
    return unit


def _is_flat(X: Any) -> bool:
    # Two matrices in a tuple are two items; a matrix and one row of numbers are values and offsets.
    return isinstance(X, tuple) and len(X) == 2 and np.ndim(X[1]) == 1 and np.ndim(X[0]) == 2


def _from_flat(values: Any, offsets: Any, name: str) -> TokenVectors:
    array = as_array(values, name=name)
    if array.shape[1] == 0:
        raise ShapeError(f"{name} must have vectors of at least one dimension.")
    ends = np.asarray(offsets.detach().cpu() if hasattr(offsets, "detach") else offsets)
    if ends.dtype.kind not in "iu" or len(ends) == 0:
        raise ShapeError(
            f"the offsets of {name} must be whole numbers, one more than there are items; got "
            f"{len(ends)} of dtype {ends.dtype}."
        )
    at = ends.astype(np.int64)
    if at[0] != 0 or at[-1] != len(array) or (np.diff(at) < 0).any():
        falling = np.flatnonzero(np.diff(at) < 0)
        where = f", and falls at {int(falling[0]) + 1}" if len(falling) else ""
        raise ShapeError(
            f"the offsets of {name} must begin with 0, ascend, and end with the number of vectors, "
            f"{len(array)}; it begins with {int(at[0])} and ends with {int(at[-1])}{where}. From "
            "lengths: np.concatenate([[0], np.cumsum(lengths)])."
        )
    return TokenVectors(array, at)


def _from_cube(array: NDArray[Any], name: str) -> TokenVectors:
    n, m, dim = array.shape
    if dim == 0:
        raise ShapeError(f"{name} must have vectors of at least one dimension.")
    return TokenVectors(array.reshape(n * m, dim), np.arange(n + 1, dtype=np.int64) * m)


def _from_list(items: Any, name: str, dim: int | None) -> TokenVectors:
    matrices = [as_array(item, name=f"{name}[{i}]") for i, item in enumerate(items)]
    if not matrices:
        return TokenVectors(np.empty((0, dim or 1), np.float32), np.zeros(1, np.int64))
    for i, matrix in enumerate(matrices):
        # An empty list says nothing about its dimension; it is refused below as an empty item.
        if matrix.ndim != 2 and matrix.size:
            raise ShapeError(
                f"{name}[{i}] must be a matrix (m, dim); got shape {matrix.shape}. An item of one "
                f"vector is {name}[{i}][None, :]."
            )
    dims = {int(matrix.shape[1]) for matrix in matrices if matrix.size}
    if len(dims) > 1:
        first = next(i for i, m in enumerate(matrices) if m.size and m.shape[1] != min(dims))
        raise ShapeError(
            f"the items of {name} must have vectors of one dimension; got {sorted(dims)} (item "
            f"{first} has {matrices[first].shape[1]}). Are these vectors of two models?"
        )
    width = dims.pop() if dims else (dim or 1)
    full = [m if m.size else np.empty((0, width), np.float32) for m in matrices]
    lengths = np.fromiter((len(m) for m in full), np.int64, len(full))
    return TokenVectors(np.concatenate(full), run_offsets(lengths))


def _shape_of(X: Any) -> str:
    return f"shape {X.shape}" if hasattr(X, "shape") else f"a {type(X).__name__}"
