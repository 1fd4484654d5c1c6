# SPDX-License-Identifier: Apache-2.0
"""How time, bytes and quality go on to more rows than were measured.

    scan:   t = a + b n          every row is looked at
    ivf:    t = a n^g            lists and what they hold grow as sqrt(n): g = 1/2 unless measured
    graph:  t = a + b log2 n     a walk crosses so many links
    bytes = a + b n,   build = a n^g with g from 1 to 1.5,   logit(quality) = a + b log2 n, b <= 0

Lines are fitted to two sizes or more by least squares; from one size the exponents are those of the
law alone, above what a call takes among no rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_IVF = (0.3, 0.8, 0.5)
_BUILD = (1.0, 1.5, 1.15)
#: A quality of 1 is known to be above this only.
_SURE = 1e-4


def seconds_at(
    kind: str, sizes: Sequence[int], seconds: Sequence[float], n: int, fixed: float = 0.0
) -> float:
    """Return the seconds of a call among `n` rows.

    Parameters
    ----------
    kind : {"scan", "ivf", "graph"}
    sizes : sequence of int
        Rows that were searched.
    seconds : sequence of float
    n : int
    fixed : float, default=0.0
        Seconds that a call takes among no rows; counts where there is one size alone.

    Returns
    -------
    float

    Examples
    --------
    >>> seconds_at("scan", [1000, 2000], [0.002, 0.003], 10_000)
    0.011
    >>> seconds_at("ivf", [1000], [0.001], 4000)
    0.002
    >>> seconds_at("ivf", [1000], [0.001], 4000, fixed=0.0002)
    0.0018
    >>> round(seconds_at("graph", [1024, 4096], [0.010, 0.012], 16384), 6)
    0.014
    """
    if len(sizes) == 1 and fixed > 0.0:
        grown = max(seconds[0] - fixed, 0.1 * seconds[0])
        return min(fixed, 0.9 * seconds[0]) + seconds_at(kind, sizes, [grown], n)
    if kind == "ivf":
        return _power(sizes, seconds, n, _IVF)
    grows = np.asarray(sizes, float) if kind == "scan" else np.log2(np.asarray(sizes, float))
    target = float(n) if kind == "scan" else float(np.log2(n))
    if len(sizes) == 1:
        share = target / float(grows[0])
        return float(seconds[0] * share)
    return _line(grows, np.asarray(seconds), target)


def bytes_at(sizes: Sequence[int], held: Sequence[int], n: int) -> int:
    """Return the bytes of an index of `n` rows.

    Examples
    --------
    >>> bytes_at([10, 20], [150, 250], 100)
    1050
    """
    if len(sizes) == 1:
        return int(held[0] * n / sizes[0])
    return round(_line(np.asarray(sizes, float), np.asarray(held, float), float(n)))


def build_at(sizes: Sequence[int], seconds: Sequence[float], n: int) -> float:
    """Return the seconds of building an index of `n` rows."""
    return _power(sizes, seconds, n, _BUILD)


def quality_at(sizes: Sequence[int], qualities: Sequence[float], n: int) -> float:
    """Return the quality at the same effort among `n` rows; it never rises.

    Examples
    --------
    >>> round(quality_at([1000, 4000], [0.99, 0.98], 16000), 3)
    0.96
    """
    shares = np.clip(np.asarray(qualities, float), _SURE, 1 - _SURE)
    if len(sizes) == 1:
        return float(qualities[0])
    x, y = np.log2(np.asarray(sizes, float)), np.log(shares / (1 - shares))
    slope = min(0.0, float(np.polyfit(x, y, 1)[0]))
    at = float(y.mean() + slope * (np.log2(n) - x.mean()))
    return 1.0 / (1.0 + float(np.exp(-at)))


def _line(x: np.ndarray[tuple[int, ...], np.dtype[np.float64]], y: object, at: float) -> float:
    values = np.asarray(y, np.float64)
    slope, start = np.polyfit(x, values, 1)
    if slope < 0:  # noise: what is larger takes no less
        return float(values[-1])
    return float(start + slope * at)


def _power(
    sizes: Sequence[int], values: Sequence[float], n: int, law: tuple[float, float, float]
) -> float:
    low, high, alone = law
    gamma = alone
    x, y = np.log(np.asarray(sizes, float)), np.log(np.maximum(np.asarray(values, float), 1e-9))
    if len(sizes) > 1:
        gamma = float(np.clip(np.polyfit(x, y, 1)[0], low, high))
    # Through the largest size, which is the nearest.
    return float(np.exp(y[-1] + gamma * (np.log(n) - x[-1])))
