# SPDX-License-Identifier: Apache-2.0
"""What inverted lists of an index's own codes take, while they are built and after, in bytes."""

from __future__ import annotations

import numpy as np

from vectorloom.index.dense.screen import STEP

#: Lists where no number is asked for: so many times the root of the rows.
LISTS = 1.4
#: Rows a centroid that k-means is trained on.
POINTS = 48
#: Of rows assigned at a time, as float32.
BLOCK_BYTES = 1 << 25
#: Of a row beside its vector and codes while it is built in: norm, id twice, a flag.
ROW_BYTES = 25

_PAD = 32  # places of a list are a multiple of this
_FIXED = 24 << 20  # blocks of queries at the calibration, buffers


def default_lists(n: int) -> int:
    """Return the lists of `n` rows where no number is asked for."""
    return round(LISTS * float(np.sqrt(n)))


def widest_head(dim: int) -> int:
    """Return the head of codes of rows that are spread evenly: all dimensions."""
    return -(-dim // STEP) * STEP


def usual_head(dim: int) -> int:
    """Return about what is found to be the head: half of the dimensions."""
    return min(widest_head(dim), STEP * max(1, round(dim / 2 / STEP)))


def place_bytes(dim: int, head: int, rest_bits: int, spill: bool, l2: bool) -> int:
    """Return the bytes of a place in a list: codes, three factors, its row; other list, bias."""
    rest = -(-max(0, dim - head) * rest_bits // 8)
    return head + rest + 16 + (4 if spill else 0) + (4 if l2 else 0)


def list_bytes(n: int, dim: int, n_lists: int, place: int, spill: bool) -> int:
    """Return the bytes of coded lists, centroids included."""
    places = n * (2 if spill else 1) + n_lists * _PAD // 2
    return places * place + n_lists * (4 * dim + 24) + 4 * dim * widest_head(dim)


def build_bytes(n: int, dim: int, n_lists: int, spill: bool, lists: int) -> int:
    """Return the most that a build holds, `lists` bytes of it to stay: of its three phases."""
    sample = min(n, POINTS * n_lists) * dim * 4
    square = 4 * n_lists * n_lists if spill else 0
    places = 8 * n if spill else 4 * n
    training = 3 * sample + 24 * n_lists * dim
    assigning = places + square + 8 * n_lists * dim + min(4 * n * dim, BLOCK_BYTES)
    coding = lists + 2 * places + 16 * n  # places of rows, and bounds of their codes
    return max(training, assigning, coding) + _FIXED
