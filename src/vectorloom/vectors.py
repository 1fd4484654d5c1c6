# SPDX-License-Identifier: Apache-2.0
"""Vectors and ids as they enter the house: accept what people have, refuse what cannot be meant.

Everything public that takes vectors calls `as_dense`, everything that takes ids calls `as_ids`, so
that the same mistake gets the same message everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError, ShapeError

#: The metrics, with no silent alias. ``"l2"`` is the squared distance; ``"hamming"`` counts bits.
METRICS = ("cosine", "ip", "l2", "hamming")

#: The id that pads answers with fewer than k hits, and therefore no row may have.
PAD_ID = -1

# Checks run on blocks of this many elements: a boolean copy of the whole array would cost a quarter
# of its memory again, and blocks that stay in the L2 cache are faster besides.
_BLOCK = 1 << 18


def as_dense(
    X: Any,
    *,
    name: str = "X",
    dim: int | None = None,
    dtype: DTypeLike = np.float32,
    allow_empty: bool = False,
) -> NDArray[Any]:
    """Return `X` as a C-contiguous, finite matrix, or say what is wrong with it.

    Parameters
    ----------
    X : array-like of shape (n, dim)
        NumPy arrays and memory maps, nested lists, data frames, torch tensors (moved to the CPU),
        pyarrow list and fixed-size-list columns.
    name : str, default="X"
        What the caller calls it; used in messages.
    dim : int or None, default=None
        The number of columns it must have; None allows any (at least one).
    dtype : dtype, default=float32
        Type of the result. Wider floats and integers are rounded to it silently, but a value that
        would overflow to infinity is refused. An integer `dtype` takes integral values in its
        range.
    allow_empty : bool, default=False
        Whether zero rows are fine.

    Returns
    -------
    ndarray of shape (n, dim), `dtype`
        `X` itself where it already fits (no copy), else a new array.

    Raises
    ------
    ShapeError
        Not two-dimensional, ragged, no rows, no columns, or not `dim` columns.
    ParameterError
        Not numeric, masked, sparse, NaN or infinity (the first bad row is named), or out of range.

    Notes
    -----
    One pass over the data, and one copy where the type or layout differs.

    Examples
    --------
    >>> as_dense([[1, 2], [3, 4]]).dtype
    dtype('float32')
    >>> as_dense([1.0, 2.0])
    Traceback (most recent call last):
        ...
    vectorloom.errors.ShapeError: X must be 2-d (n, dim); got shape (2,). For one vector pass
    X[None, :].
    """
    array = as_array(X, name=name)
    if array.ndim == 1:
        raise ShapeError(
            f"{name} must be 2-d (n, dim); got shape {array.shape}. For one vector pass "
            f"{name}[None, :]."
        )
    if array.ndim != 2:
        raise ShapeError(f"{name} must be 2-d (n, dim); got shape {array.shape}. Reshape it first.")
    _check_size(array, name, dim, allow_empty)
    target = np.dtype(dtype)
    if target.kind in "iu":
        return _as_integral(array, name, target)
    return _as_floating(array, name, target)


def as_array(X: Any, *, name: str = "X") -> NDArray[Any]:
    """Return `X` as a numeric ndarray of its own type: no copy, no check of shape or values.

    Parameters
    ----------
    X : array-like
        See `as_dense`.
    name : str, default="X"
        What the caller calls it; used in messages.

    Returns
    -------
    ndarray
        Boolean, integer or floating; bfloat16 arrays of other libraries come back as float32.

    Raises
    ------
    ShapeError
        Rows of unequal length.
    ParameterError
        Sparse, masked, text, complex or object values.
    """
    if type(X) is np.ndarray and X.dtype.kind in "biuf":
        return X
    module = type(X).__module__.partition(".")[0]
    if module == "torch":
        X = _from_torch(X)
    elif module == "pyarrow":
        X = _from_arrow(X, name)
    elif module == "scipy" and hasattr(X, "toarray"):
        raise ParameterError(
            f"{name} is a sparse matrix; dense vectors are expected. Pass {name}.toarray(), or "
            "reduce it first (vl.learn.LatentSemantic, a truncated SVD)."
        )
    if isinstance(X, np.ma.MaskedArray):
        raise ParameterError(
            f"{name} is a masked array and masked values have no meaning here. Drop those rows, or "
            f"pass {name}.filled(value)."
        )
    try:
        array = np.asarray(X)
    except ValueError as error:  # NumPy's word for ragged nested sequences
        raise ShapeError(
            f"{name} must be 2-d (n, dim) with rows of equal length; NumPy says: {error}."
        ) from None
    if array.dtype.name == "bfloat16":  # the ml_dtypes extension type, also used by JAX
        return array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        raise ParameterError(_not_numeric(array, name))
    return array


def _not_numeric(array: NDArray[Any], name: str) -> str:
    if array.dtype.kind == "O" and array.ndim and array.size and hasattr(array.flat[0], "__len__"):
        return (
            f"{name} is an object array of rows; a numeric matrix is expected. If all rows have "
            f"the same length pass np.stack({name})."
        )
    kind = "Complex data not supported: " if array.dtype.kind == "c" else ""
    return (
        f"{kind}{name} has dtype {array.dtype}; numbers are expected (float32, float64, float16, "
        f"integers). Convert it first, e.g. {name}.astype(np.float32)."
    )


def _from_torch(tensor: Any) -> Any:
    if not hasattr(tensor, "detach"):
        return tensor
    tensor = tensor.detach().cpu()
    # NumPy has no bfloat16; float32 holds every bfloat16 value exactly.
    return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor


def _from_arrow(column: Any, name: str) -> Any:
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not isinstance(column, pa.Array):
        return column
    is_fixed = pa.types.is_fixed_size_list(column.type)
    if not (is_fixed or pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return column.to_numpy(zero_copy_only=False)
    if column.null_count:
        raise ParameterError(
            f"{name} has {column.null_count} null rows; every row must be a vector. Pass "
            f"{name}.drop_null() and drop the same ids."
        )
    if len(column) == 0:
        return np.empty((0, column.type.list_size if is_fixed else 0), np.float32)
    lengths = np.asarray(column.value_lengths())
    if (lengths != lengths[0]).any():
        bad = int(np.argmax(lengths != lengths[0]))
        raise ShapeError(
            f"{name} must have rows of equal length; row 0 has {lengths[0]} values and row {bad} "
            f"has {lengths[bad]}."
        )
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), int(lengths[0]))


def _check_size(array: NDArray[Any], name: str, dim: int | None, allow_empty: bool) -> None:
    n, columns = array.shape
    if columns == 0:
        raise ShapeError(f"{name} must have at least one column; got shape {array.shape}.")
    if n == 0 and not allow_empty:
        raise ShapeError(f"{name} must have at least one row; got shape {array.shape}.")
    if dim is not None and columns != dim:
        raise ShapeError(
            f"{name} must have {dim} columns; got shape {array.shape}. Are these vectors of "
            "another model?"
        )


def _blocks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    step = max(1, _BLOCK // array.shape[1])
    for start in range(0, array.shape[0], step):
        yield start, array[start : start + step]


def _as_floating(array: NDArray[Any], name: str, target: np.dtype[Any]) -> NDArray[Any]:
    if array.dtype.kind == "f":
        check_finite(array, name=name)
    if array.dtype == target and array.dtype.isnative:
        if array.flags.c_contiguous and array.flags.aligned:
            return array
        return np.require(array, requirements=["C", "A"])
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(array.astype(target))
    narrowed = array.dtype.kind == "f" and array.dtype.itemsize > target.itemsize
    if narrowed or target.itemsize < 4:
        for start, block in _blocks(result):
            if not np.isfinite(block).all():
                row, column = np.argwhere(~np.isfinite(block))[0]
                raise ParameterError(
                    f"{name} has the value {array[start + row, column]} in row {start + row}; that "
                    f"is beyond {target.name} (largest {np.finfo(target).max:.6g}). Scale the "
                    "vectors first."
                )
    return result


def check_finite(array: NDArray[Any], *, name: str = "X") -> None:
    """Refuse NaN and infinity in a floating matrix; the message names the first bad row.

    Parameters
    ----------
    array : ndarray of shape (n, dim), floating
    name : str, default="X"

    Raises
    ------
    ParameterError
        Some value is NaN or infinite.
    """
    native = array.dtype.char in "fd" and array.dtype.isnative
    if native and array.flags.c_contiguous and array.flags.aligned and _core.all_finite(array):
        return
    for start, block in _blocks(array):
        if np.isfinite(block).all():
            continue
        row, column = (int(i) for i in np.argwhere(~np.isfinite(block))[0])
        n_bad = sum(int((~np.isfinite(b)).any(axis=1).sum()) for _, b in _blocks(array[start:]))
        raise ParameterError(
            f"{name} has NaN or infinity in {n_bad} row{'s' if n_bad > 1 else ''}, first in row "
            f"{start + row} (column {column}: {block[row, column]}); vectors must be finite. Drop "
            f"or repair them, e.g. keep = np.isfinite({name}).all(axis=1)."
        )


def _as_integral(array: NDArray[Any], name: str, target: np.dtype[Any]) -> NDArray[Any]:
    if array.dtype == target:
        return np.require(array, requirements=["C", "A"])
    if array.dtype.kind == "f":
        check_finite(array, name=name)
    low, high = np.iinfo(target).min, np.iinfo(target).max
    for start, block in _blocks(array):
        wrong = (block < low) | (block > high)
        if block.dtype.kind == "f":
            wrong |= block != np.rint(block)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise ParameterError(
                f"{name} has the value {block[row, column]} in row {start + row}; {target.name} "
                f"takes whole numbers from {low} to {high}. Round or scale the vectors first, or "
                "choose another dtype."
            )
    return np.ascontiguousarray(array.astype(target))


def as_ids(
    ids: Any, n: int | None = None, *, name: str = "ids", unique: bool = True
) -> NDArray[Any]:
    """Return `ids` as int64 or as an object array of str, or say what is wrong with them.

    Parameters
    ----------
    ids : array-like of shape (n,), or None
        All integers or all str. None gives 0, 1, …, n - 1.
    n : int or None, default=None
        How many there must be; None allows any number.
    name : str, default="ids"
        What the caller calls them; used in messages.
    unique : bool, default=True
        Whether an id given twice is refused.

    Returns
    -------
    ndarray of shape (n,), int64 or object
        An empty list gives int64.

    Raises
    ------
    ShapeError
        Not one-dimensional, or not `n` of them.
    ParameterError
        Mixed or other types, given twice, or -1 (which pads short answers).

    Examples
    --------
    >>> as_ids(["b", "a"], 2)
    array(['b', 'a'], dtype=object)
    >>> as_ids([7, 8, 7], 3)
    Traceback (most recent call last):
        ...
    vectorloom.errors.ParameterError: ids must be unique; 7 is at 0 and at 2. Drop or rename one of
    them.
    """
    if ids is None:
        if n is None:
            raise ParameterError(f"{name} must be given.")
        return np.arange(n, dtype=np.int64)
    array = _typed_ids(ids, name)
    if n is not None and len(array) != n:
        raise ShapeError(
            f"{name} must have one entry a row: {n} rows came with {len(array)} {name}."
        )
    if array.dtype == np.int64 and (array == PAD_ID).any():
        raise ParameterError(
            f"{name} has -1 at {int(np.argmax(array == PAD_ID))}; -1 marks the empty places of an "
            "answer and cannot be an id. Choose another number."
        )
    if unique:
        _check_unique(array, name)
    return array


def _typed_ids(ids: Any, name: str) -> NDArray[Any]:
    array = _ids_as_array(ids, name)
    if array.ndim != 1:
        raise ShapeError(f"{name} must be 1-d; got shape {array.shape}. Pass {name}.ravel().")
    kind = array.dtype.kind
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if kind == "O":
        return _object_ids(array, name)
    if kind in "UT":
        return array.astype(object)
    if kind in "iu":
        if array.dtype == np.uint64 and array.max() > np.iinfo(np.int64).max:
            raise ParameterError(
                f"{name} has {array.max()}; integer ids must fit in int64. Pass them as str "
                "instead."
            )
        return np.ascontiguousarray(array, dtype=np.int64)
    remedy = {
        "b": "A mask goes to `where`.",
        "f": f"Pass {name}.astype(np.int64).",
        "S": "Decode them.",
    }
    raise ParameterError(
        f"{name} have dtype {array.dtype}; all int64 or all str is expected. "
        f"{remedy.get(kind, 'Convert them first.')}"
    )


def _ids_as_array(ids: Any, name: str) -> NDArray[Any]:
    if isinstance(ids, str | bytes) or not hasattr(ids, "__iter__"):
        raise ShapeError(f"{name} must be a sequence; got {ids!r}. For one id pass [{ids!r}].")
    if hasattr(ids, "detach"):
        return np.asarray(ids.detach().cpu())
    if isinstance(ids, range):
        return np.arange(ids.start, ids.stop, ids.step, dtype=np.int64)
    if hasattr(ids, "__array__") or hasattr(ids, "dtype"):
        return np.asarray(ids)
    # np.asarray would turn [1, "a"] into text and [1, 2.5] into floats without a word.
    values = [value.item() if isinstance(value, np.generic) else value for value in ids]
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _object_ids(array: NDArray[Any], name: str) -> NDArray[Any]:
    kinds = set(map(type, array))
    if kinds == {int}:
        try:
            return array.astype(np.int64)
        except OverflowError:
            raise ParameterError(
                f"{name} has an integer beyond int64. Pass such ids as str instead."
            ) from None
    if kinds == {str}:
        return array
    if all(issubclass(kind, str) for kind in kinds):
        return np.array([str(value) for value in array], dtype=object)
    if all(issubclass(kind, int | np.integer) and kind is not bool for kind in kinds):
        return np.array([int(value) for value in array], dtype=np.int64)
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise ParameterError(
        f"{name} must be all integers or all str; got {names}. Convert them, e.g. [str(i) for i in "
        f"{name}]."
    )


def _check_unique(array: NDArray[Any], name: str) -> None:
    if array.dtype == np.int64:
        if len(array) < 2 or bool((array[1:] > array[:-1]).all()):
            return
        order = np.argsort(array, kind="stable")
        same = array[order[1:]] == array[order[:-1]]
        if not same.any():
            return
        at = int(np.argmax(same))
        first, second = int(order[at]), int(order[at + 1])
    else:
        if len(set(array)) == len(array):
            return
        seen: dict[str, int] = {}
        first, second = next(
            (seen[value], i) for i, value in enumerate(array) if seen.setdefault(value, i) != i
        )
    value = array.tolist()[first]
    raise ParameterError(
        f"{name} must be unique; {value!r} is at {first} and at {second}. Drop or rename one of "
        "them."
    )
