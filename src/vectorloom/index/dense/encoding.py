# SPDX-License-Identifier: Apache-2.0
"""How vectors are stored: to each dtype and back.

float32 is kept as it is. float16 and bfloat16 are rounded to nearest even (error at most 2^-11 and
2^-8 of each value). int8 keeps int8 input as it is and quantises everything else a row at a time,
``x ~ scale * code`` with ``scale = max|x| / 127``. uint8 takes whole numbers from 0 to 255. bits
packs eight dimensions into a byte, the first in the highest bit, as `numpy.packbits` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice
from vectorloom.vectors import METRICS, as_array, as_dense

DTYPES = ("float32", "float16", "bfloat16", "int8", "uint8", "bits")

#: NumPy type of the stored matrix; the halves are kept as their bits.
STORED: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.uint16),
    "bfloat16": np.dtype(np.uint16),
    "int8": np.dtype(np.int8),
    "uint8": np.dtype(np.uint8),
    "bits": np.dtype(np.uint8),
}


# Elements converted at a time where the conversion needs wide temporaries.
_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class Encoded:
    """Rows ready to be stored.

    Attributes
    ----------
    values : ndarray of shape (n, width), the kind's stored type
        May be the caller's own array: copy before keeping.
    scales : ndarray of shape (n,), float32, or None
        For int8 alone.
    dim : int
        Dimensions of a vector; ``width`` is less where bits are packed.
    """

    values: NDArray[Any]
    scales: NDArray[np.float32] | None
    dim: int


def resolve_kind(metric: Any, dtype: Any) -> str:
    """Check `metric` and `dtype` and return the kind of the stored rows.

    Parameters
    ----------
    metric : {"cosine", "ip", "l2", "hamming"}
    dtype : {"float32", "float16", "bfloat16", "int8", "uint8", "bits"} or NumPy dtype

    Returns
    -------
    str
        The dtype's name; ``"bits"`` under hamming, whose default dtype counts as not given.

    Raises
    ------
    ParameterError
        An unknown word, or a pair that has no meaning.
    """
    check_choice("metric", metric, METRICS)
    if not isinstance(dtype, str):
        try:
            dtype = np.dtype(dtype).name
        except TypeError:
            dtype = repr(dtype)
    check_choice("dtype", dtype, DTYPES)
    if metric == "hamming":
        if dtype not in ("bits", "float32"):
            raise ParameterError(
                f"metric='hamming' compares bits; got dtype={dtype!r}. Pass dtype='bits' and "
                "boolean or packed uint8 vectors, e.g. X > 0."
            )
        return "bits"
    if dtype == "bits":
        raise ParameterError(
            f"dtype='bits' goes with metric='hamming'; got metric={metric!r}. Pass "
            "metric='hamming', or a numeric dtype."
        )
    return str(dtype)


def encode(
    X: Any, kind: str, *, name: str = "X", dim: int | None = None, n_jobs: int | None = None
) -> Encoded:
    """Check vectors and bring them into the stored form of `kind`; zero rows are fine.

    Parameters
    ----------
    X : array-like of shape (n, dim), or (n, dim / 8) where packed
    kind : str
        One of `DTYPES`.
    name : str, default="X"
        What the caller calls it; used in messages.
    dim : int or None, default=None
        What the index holds; None takes it from X.
    n_jobs : int or None, default=None

    Returns
    -------
    Encoded

    Raises
    ------
    ShapeError, ParameterError
        See `vectorloom.vectors.as_dense`.
    """
    if kind == "bits":
        return _encode_bits(X, name, dim)
    array = as_array(X, name=name)
    if kind == "float16":
        values = as_dense(array, name=name, dim=dim, dtype=np.float16, allow_empty=True)
        return Encoded(values.view(np.uint16), None, values.shape[1])
    if kind == "bfloat16":
        values = _encode_bfloat16(array, name, dim)
        return Encoded(values, None, values.shape[1])
    if kind == "uint8":
        values = as_dense(array, name=name, dim=dim, dtype=np.uint8, allow_empty=True)
        return Encoded(values, None, values.shape[1])
    if kind == "int8" and array.dtype == np.int8:
        values = as_dense(array, name=name, dim=dim, dtype=np.int8, allow_empty=True)
        return Encoded(values, np.ones(len(values), np.float32), values.shape[1])
    values = as_dense(array, name=name, dim=dim, allow_empty=True)
    if kind == "float32":
        return Encoded(values, None, values.shape[1])
    codes, scales = _core.quantize_int8(values, n_jobs)
    with np.errstate(over="ignore"):
        rounded_up = np.isinf(
            scales * np.float32(127)
        )  # decoding float32's largest must not overflow
    scales[rounded_up] = np.nextafter(scales[rounded_up], np.float32(0))
    return Encoded(codes, scales, values.shape[1])


def encode_queries(queries: Any, kind: str, dim: int) -> NDArray[Any]:
    """Return queries as the core takes them: packed uint8 for bits, else float32.

    Parameters
    ----------
    queries : array-like of shape (n_queries, dim)
    kind : str
        Of the stored rows.
    dim : int

    Returns
    -------
    ndarray of shape (n_queries, dim), float32, or (n_queries, dim / 8), uint8
    """
    if kind == "bits":
        return _encode_bits(queries, "queries", dim).values
    return as_dense(queries, name="queries", dim=dim, allow_empty=True)


def decode(
    values: NDArray[Any], scales: NDArray[np.float32] | None, kind: str, dim: int
) -> NDArray[Any]:
    """Return stored rows as vectors.

    Parameters
    ----------
    values : ndarray of shape (n, width)
    scales : ndarray of shape (n,), float32, or None
    kind : str
    dim : int

    Returns
    -------
    ndarray of shape (n, dim)
        bool for bits, uint8 for uint8, else float32.
    """
    if kind == "bits":
        return np.unpackbits(values, axis=1, count=dim).view(np.bool_)
    if kind == "bfloat16":
        return _widen_bfloat16(values)
    if kind == "float16":
        return values.view(np.float16).astype(np.float32)
    if scales is not None:
        return values.astype(np.float32) * scales[:, None]
    return values


def _widen_bfloat16(bits: NDArray[Any]) -> NDArray[np.float32]:
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _encode_bfloat16(array: NDArray[Any], name: str, dim: int | None) -> NDArray[Any]:
    if array.dtype == np.uint16:  # bfloat16 already, as its bits
        values = as_dense(array, name=name, dim=dim, dtype=np.uint16, allow_empty=True)
        as_dense(_widen_bfloat16(values), name=name, allow_empty=True)
        return values
    wide = as_dense(array, name=name, dim=dim, allow_empty=True)
    values = np.empty(wide.shape, np.uint16)
    step = max(1, _BLOCK // wide.shape[1])
    for start in range(0, len(wide), step):
        block = values[start : start + step]
        block[...] = _narrow_bfloat16(wide[start : start + step])
        overflowed = ((block & np.uint16(0x7FFF)) >= np.uint16(0x7F80)).any(axis=1)
        if overflowed.any():
            raise ParameterError(
                f"{name} has a value in row {start + int(np.argmax(overflowed))} that is beyond "
                "bfloat16 (largest 3.38953e+38). Scale the vectors first."
            )
    return values


def _narrow_bfloat16(wide: NDArray[np.float32]) -> NDArray[np.uint16]:
    bits = wide.view(np.uint32)
    # To nearest, ties to even: add half of the dropped part, less one where the kept part is even.
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + (odd + np.uint32(0x7FFF))) >> np.uint32(16)).astype(np.uint16)


def _encode_bits(X: Any, name: str, dim: int | None) -> Encoded:
    array = as_array(X, name=name)
    if array.dtype == np.bool_:
        flags = as_dense(array, name=name, dim=dim, dtype=np.uint8, allow_empty=True)
        return Encoded(np.packbits(flags, axis=1), None, flags.shape[1])
    if array.dtype != np.uint8:
        raise ParameterError(
            f"{name} has dtype {array.dtype}; metric='hamming' takes bool (n, dim) or packed uint8 "
            f"(n, dim / 8). Binarise it first, e.g. {name} > 0."
        )
    packed = as_dense(array, name=name, dtype=np.uint8, allow_empty=True)
    width = packed.shape[1]
    if dim is None:
        dim = 8 * width
    elif width != -(-dim // 8):
        raise ShapeError(
            f"{name} must have {-(-dim // 8)} packed bytes ({dim} bits) a row; got shape "
            f"{array.shape}. Pass bool vectors, or pack them with np.packbits(X, axis=1)."
        )
    spare = 8 * width - dim
    if spare and (packed[:, -1] & ((1 << spare) - 1)).any():
        raise ParameterError(f"{name} has bits set beyond its {dim} dimensions; pack zeros there.")
    return Encoded(packed, None, dim)
