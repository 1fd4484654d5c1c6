# SPDX-License-Identifier: Apache-2.0
"""Neighbours of a sample of rows among all rows: one pass, in blocks, over what may be a file.

Distances are lengths: for cosine those of rows of length 1, sqrt(2 - 2 cos). Rows of length 0 have
no direction and are refused then; `among` leaves them out, and copies too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.measure.rows import Z95, as_lengths, unit_rows
from vectorloom.progress import progress
from vectorloom.select.neighbours import nearest_to

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Positions = NDArray[np.int64]

_BLOCK = 65_536


@dataclass(frozen=True, eq=False)
class Nearby:
    """Neighbours of measured rows.

    Attributes
    ----------
    rows : ndarray of shape (m,), int64
        Positions of the measured rows.
    positions : ndarray of shape (m, k), int64
        Of their neighbours, nearest first.
    lengths : ndarray of shape (m, k), float64
        Distances, ascending.
    n : int
        Rows among which neighbours were sought.
    metric : {"cosine", "l2"}
    """

    rows: Positions
    positions: Positions
    lengths: Doubles
    n: int
    metric: str


def nearby(
    X: Floats,
    at: Positions,
    k: int,
    *,
    metric: str,
    among: Positions | None = None,
    n_jobs: int | None = None,
) -> Nearby:
    """Find the k nearest other rows of some rows.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
        May be memory-mapped: it is read once, in blocks.
    at : ndarray of shape (m,), int64
        Rows whose neighbours are sought; of `among`.
    k : int
        At most ``len(among) - 1``.
    metric : {"cosine", "l2"}
    among : ndarray of int64, ascending, or None, default=None
        Rows that may be neighbours; None takes all.
    n_jobs : int or None, default=None

    Returns
    -------
    Nearby
    """
    n = len(X) if among is None else len(among)
    asked = np.ascontiguousarray(X[at])
    positions, lengths = nearby_to(
        unit_rows(asked) if metric == "cosine" else asked,
        X,
        min(k + 1, n),
        metric=metric,
        among=among,
        n_jobs=n_jobs,
    )
    own = positions == at[:, None]
    own[~own.any(axis=1), -1] = True  # more rows as near as itself than there are places
    shape = (len(at), positions.shape[1] - 1)
    return Nearby(at, positions[~own].reshape(shape), lengths[~own].reshape(shape), n, metric)


def nearby_to(
    queries: Floats,
    X: Floats,
    k: int,
    *,
    metric: str,
    among: Positions | None = None,
    n_jobs: int | None = None,
) -> tuple[Positions, Doubles]:
    """Find the k nearest rows of queries, which have length 1 under cosine.

    Parameters
    ----------
    queries : ndarray of shape (m, dim), float32, C-contiguous
    X, k, metric, among, n_jobs
        As `nearby`.

    Returns
    -------
    positions : ndarray of shape (m, k), int64
    lengths : ndarray of shape (m, k), float64
    """
    n = len(X) if among is None else len(among)
    if n < k:
        raise ShapeError(f"{k} neighbours were asked for among {n} rows. Ask for fewer.")
    best = np.full((len(queries), k), -1, np.int64)
    scores = np.full((len(queries), k), -np.inf)
    with progress("neighbours among all rows", total=n, unit="rows") as bar:
        for start in range(0, n, _BLOCK):
            part = slice(start, min(start + _BLOCK, n))
            block = np.ascontiguousarray(X[part] if among is None else X[among[part]])
            if metric == "cosine":
                block = unit_rows(block)
            found, new = nearest_to(queries, block, min(k, len(block)), n_jobs=n_jobs)
            found = found + start if among is None else among[part][found]
            both, places = np.concatenate([scores, new], 1), np.concatenate([best, found], 1)
            order = np.argsort(-both, axis=1, kind="stable")[:, :k]
            scores, best = np.take_along_axis(both, order, 1), np.take_along_axis(places, order, 1)
            bar.advance(len(block))
    return best, as_lengths(scores)


def similarity(lengths: Any) -> Doubles:
    """Return cosines for distances of rows of length 1.

    Parameters
    ----------
    lengths : array-like

    Returns
    -------
    ndarray, float64

    Examples
    --------
    >>> similarity([0.0, 2.0**0.5]).round(6).tolist()
    [1.0, 0.0]
    """
    return np.asarray(1.0 - np.square(np.asarray(lengths, np.float64)) / 2.0)


def share_interval(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, by Wilson's formula.

    Parameters
    ----------
    hits, n : int
        So many of so many.

    Returns
    -------
    low, high : float
        (0, 1) where n is 0.

    References
    ----------
    .. [1] E. Wilson, "Probable inference, the law of succession, and statistical inference",
       JASA 22 (1927).

    Examples
    --------
    >>> low, high = share_interval(0, 100)
    >>> round(low, 4), round(high, 4)
    (0.0, 0.037)
    """
    if n == 0:
        return 0.0, 1.0
    if hits in (0, n):  # rounding would leave ends of -1e-19
        edge = Z95**2 / (n + Z95**2)
        return (0.0, float(edge)) if hits == 0 else (float(1 - edge), 1.0)
    p, z = hits / n, Z95
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
