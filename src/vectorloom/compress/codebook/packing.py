# SPDX-License-Identifier: Apache-2.0
"""Numbers of few bits side by side in bytes, low bits first: the layout of the core's codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack_codes(labels: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Pack whole numbers into rows of bytes, low bits first.

    Parameters
    ----------
    labels : ndarray of shape (n, n_parts), integer
        Below 2 ** bits.
    bits : int

    Returns
    -------
    ndarray of shape (n, ceil(n_parts * bits / 8)), uint8
    """
    if bits == 8:
        return labels.astype(np.uint8)
    spread = (labels[:, :, None] >> np.arange(bits)) & 1
    flat = spread.reshape(len(labels), -1).astype(np.uint8)
    return np.packbits(flat, axis=1, bitorder="little")


def unpack_codes(codes: NDArray[np.uint8], n_parts: int, bits: int) -> NDArray[np.int32]:
    """Return what `pack_codes` packed.

    Parameters
    ----------
    codes : ndarray of shape (n, ceil(n_parts * bits / 8)), uint8
    n_parts : int
    bits : int

    Returns
    -------
    ndarray of shape (n, n_parts), int32
    """
    if bits == 8:
        return np.asarray(codes).astype(np.int32)
    plain = np.asarray(codes)
    flat = np.unpackbits(plain, axis=1, count=n_parts * bits, bitorder="little")
    weights = (1 << np.arange(bits)).astype(np.int32)
    shaped = flat.reshape(len(plain), n_parts, bits)
    return np.asarray((shaped * weights).sum(axis=2, dtype=np.int32))
