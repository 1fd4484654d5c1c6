# SPDX-License-Identifier: Apache-2.0
"""What a graph takes while it is built and after, and rows that stay in the file they came from."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError

#: Lists of the build: rows each has on average, and lists it meets.
LIST_ROWS, PROBES = 256, 48
#: Elements of a point up to which its codes are floats, or of eight bits; above they are of four.
MOST_FLOATS, MOST_BYTES = 31, 120
#: Codes fill whole cache lines: 64 bytes hold 8 of factors and 112 elements of four bits.
LINE, FACTORS = 128, 16
MOST_LINES = 8
#: What a head is to hold of the variance; the rest of a distance is left to the check of rows.
VARIANCE = 0.9
#: Rows that directions are fitted to.
SAMPLE = 16_384

_ENTRIES = 256
_PER_CLUSTER = 64  # rows a cluster that lists are trained on
_PER_THREAD = 1 << 20
_FIXED = 8 << 20


def code_bytes(dim: int, head_bits: int = 0, head_dim: int = 0) -> int:
    """Return the bytes of a code of points of `dim`: of this head, else the most they may take."""
    if head_bits == 0:
        head_bits = 32 if dim <= MOST_FLOATS else 8 if dim <= MOST_BYTES else 4
        head_dim = dim
        if head_bits == 4:  # with as much spread in all directions
            lines = min(MOST_LINES, -(-int(VARIANCE * dim + FACTORS + 1) // LINE))
            head_dim = min(dim, lines * LINE - FACTORS)
    own = head_dim * 4 + 4 if head_bits == 32 else head_dim * head_bits / 8 + 8
    return int(-(-own // 64) * 64)


def held_bytes(n: int, dim: int, degree: int, code: int) -> int:
    """Return the bytes of a graph of `n` points of `dim`, none of them equal."""
    return n * (4 * degree + code + 4) + min(_ENTRIES, n // 16 + 1) * code + 4 * dim * (dim + 2)


def least_bytes(n: int, dim: int, degree: int, code: int, n_threads: int) -> int:
    """Return the bytes at the peak of a build whose large arrays are all in files.

    The graph itself is counted; rows, norms and ids are not.
    """
    n_lists = max(1, n // LIST_ROWS)
    lists = n_lists * (4 * dim + 4 * PROBES + 32 + 16 * n_threads)
    fitting = min(n, SAMPLE) * dim * 8 * 4 + 8 * 4 * dim * dim
    # Beside the sample its codes, and sums in float64.
    sampled = min(n, _PER_CLUSTER * n_lists)
    clustering = 20 * n + sampled * (4 * dim + 2 * (dim + 64) + 40) + n_lists * 24 * dim
    # First twins, four numbers a node and two a place in panels, then ends of edges turned round.
    pruning = held_bytes(n, dim, degree, code) + 52 * n
    return max(fitting, clustering, pruning) + lists + n_threads * _PER_THREAD + _FIXED


def scratch_bytes(n: int, dim: int, degree: int, copied: bool) -> int:
    """Return the bytes of the large arrays of a build: what may be in files."""
    row = -(-dim // 64) * 64
    padded = int(1.07 * n) + 64
    candidates = max(min(128, max(32, degree)), min(128, degree + degree // 3))
    turned = int(0.8 * degree)  # edges that pruning leaves, most often
    return n * 8 * (candidates + turned) + (n + padded) * row + (4 * n * dim if copied else 0)


def mapping_of(array: NDArray[Any]) -> mmap.mmap | None:
    """Return the mapped file that an array looks at, or None."""
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    return base


def require_whole(array: Any) -> None:
    """Refuse rows mapped from a file that lost its end since: to touch them would end the process.

    Raises
    ------
    FormatError
    """
    if not isinstance(array, np.ndarray):  # vectors that were read, with their ids
        array = getattr(array, "values", None)
    mapping = mapping_of(array) if isinstance(array, np.ndarray) else None
    if mapping is None:
        return
    size = mapping.size()
    if size < len(mapping):
        path = getattr(array, "filename", None) or "X"
        raise FormatError(
            f"{path}: is truncated: it has {size} bytes, and {len(mapping)} were mapped. Copy the "
            "file again, then map it again."
        )


def scratch_folder() -> str:
    """Return the folder of temporary files: TMPDIR as it is set now, else the system's."""
    return os.environ.get("TMPDIR") or tempfile.gettempdir()
