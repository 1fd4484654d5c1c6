# SPDX-License-Identifier: Apache-2.0
"""Signs as bits and back: element i of a row is bit i % 8, low first, of byte i // 8."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.products import matmul


def pack_signs(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return one bit a value, set where it is at least zero.

    Parameters
    ----------
    values : ndarray of shape (n, n_bits), float
        Zero counts as positive, so that no value is without a sign.

    Returns
    -------
    ndarray of shape (n, ceil(n_bits / 8)), uint8
        Bits beyond `n_bits` are zero.

    Examples
    --------
    >>> pack_signs(np.array([[1.0, -2.0, 0.0]])).tolist()
    [[5]]
    """
    return np.packbits(values >= 0, axis=1, bitorder="little")


def unpack_signs(codes: NDArray[np.uint8], n_bits: int) -> NDArray[np.float32]:
    """Return the signs that `pack_signs` packed, as -1 and +1.

    Parameters
    ----------
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int

    Returns
    -------
    ndarray of shape (n, n_bits), float32

    Examples
    --------
    >>> unpack_signs(np.array([[5]], dtype=np.uint8), 3).tolist()
    [[1.0, -1.0, 1.0]]
    """
    bits = np.unpackbits(codes, axis=1, count=n_bits, bitorder="little")
    return np.asarray(bits * np.float32(2) - np.float32(1), dtype=np.float32)


def hamming_distances(
    a: NDArray[np.uint8], b: NDArray[np.uint8], n_bits: int, n_jobs: int | None = None
) -> NDArray[np.int32]:
    """Count the bits in which each row of `a` differs from each row of `b`.

    Parameters
    ----------
    a : ndarray of shape (n_a, ceil(n_bits / 8)), uint8
    b : ndarray of shape (n_b, ceil(n_bits / 8)), uint8
    n_bits : int
    n_jobs : int or None, default=None
        Threads; None takes all that are allowed.

    Returns
    -------
    ndarray of shape (n_a, n_b), int32

    Notes
    -----
    As ``(n_bits - a · b) / 2`` on signs: one block product, exact in float32 up to 2**24 bits. For
    the k nearest of many codes, search an index over bits instead of forming all distances.

    Examples
    --------
    >>> hamming_distances(np.array([[5]], np.uint8), np.array([[5], [4], [2]], np.uint8), 3)
    array([[0, 1, 3]], dtype=int32)
    """
    products = matmul(unpack_signs(a, n_bits), unpack_signs(b, n_bits), n_jobs)
    return np.rint((n_bits - products) / 2).astype(np.int32)
