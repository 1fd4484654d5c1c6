# SPDX-License-Identifier: Apache-2.0
"""Text as arrays: the UTF-8 bytes of all values in one, and the offsets where each begins."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError


def pack_strings(values: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return str values as one UTF-8 array and the offsets where each begins.

    Parameters
    ----------
    values : sequence of str, length n

    Returns
    -------
    data : ndarray of shape (n_bytes,), uint8
    offsets : ndarray of shape (n + 1,), int64

    Examples
    --------
    >>> data, offsets = pack_strings(["ab", "", "c"])
    >>> unpack_strings(data, offsets).tolist()
    ['ab', '', 'c']
    """
    # "surrogatepass": Python's str may hold lone surrogates (undecodable file names are the usual
    # source), and an id must come back as it went in.
    encoded = [value.encode("utf-8", "surrogatepass") for value in values]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(piece) for piece in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets


def unpack_strings(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], *, where: str = "strings"
) -> NDArray[Any]:
    """Return the str values that `pack_strings` packed, as an object array of shape (n,).

    Parameters
    ----------
    data : ndarray of shape (n_bytes,), uint8
    offsets : ndarray of shape (n + 1,), int64
    where : str, default="strings"
        The file, for messages.

    Raises
    ------
    FormatError
        The offsets do not fit the data, or the bytes are not UTF-8.
    """
    fits = len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == len(data)
    if not fits or (np.diff(offsets) < 0).any():
        raise FormatError(
            f"{where}: the offsets of the strings do not fit their {len(data)} bytes."
        )
    text = data.tobytes()
    bounds = offsets.tolist()
    out = np.empty(len(offsets) - 1, dtype=object)
    try:
        out[:] = [text[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(bounds)]
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: a string is not UTF-8 ({error}).") from None
    return out
