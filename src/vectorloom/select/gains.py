# SPDX-License-Identifier: Apache-2.0
"""The gain of a ranking, discounted by rank: nDCG has its one home here.

DCG@k = sum_{i <= k} g_i / log2(i + 1),      nDCG@k = DCG@k / DCG@k of all gains, largest first
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def dcg(gains: Any) -> float:
    """Return the discounted cumulative gain of a ranking.

    Parameters
    ----------
    gains : array-like of shape (n,)
        By rank, best first.

    Returns
    -------
    float

    Examples
    --------
    >>> dcg([3.0, 0.0, 1.0])
    3.5
    """
    values = np.asarray(gains, np.float64)
    return float(np.sum(values / np.log2(np.arange(2, len(values) + 2))))


def dcg_sums(
    gains: NDArray[np.float64],
    ranks: NDArray[np.int64],
    rankings: NDArray[np.int64],
    n_rankings: int,
) -> NDArray[np.float64]:
    """Return the discounted cumulative gain of many rankings.

    Parameters
    ----------
    gains : ndarray of shape (n,), float64
        Of items in any order; those without a gain may be left out.
    ranks : ndarray of shape (n,), int64
        Of each item in its ranking, from 1.
    rankings : ndarray of shape (n,), int64
        Which ranking an item stands in.
    n_rankings : int

    Returns
    -------
    ndarray of shape (n_rankings,), float64

    Examples
    --------
    >>> dcg_sums(np.array([3.0, 1.0]), np.array([1, 3]), np.array([0, 1]), 2).tolist()
    [3.0, 0.5]
    """
    return np.bincount(rankings, gains / np.log2(ranks + 1.0), n_rankings).astype(np.float64)


def ndcg(gains: Any, ideal: Any, k: int | None = None) -> float:
    """Return the discounted cumulative gain as a share of the best that there is.

    Parameters
    ----------
    gains : array-like of shape (n,)
        Of the ranking, by rank.
    ideal : array-like of shape (m,)
        Of all judged items, largest first.
    k : int or None, default=None
        Ranks that count; None takes all.

    Returns
    -------
    float
        0 where nothing has a gain.

    References
    ----------
    .. [1] K. Järvelin and J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS
       20 (2002).

    Examples
    --------
    >>> ndcg([0.0, 2.0], [2.0, 1.0], k=1), ndcg([2.0, 1.0], [2.0, 1.0])
    (0.0, 1.0)
    """
    best = dcg(np.asarray(ideal, np.float64)[:k])
    return dcg(np.asarray(gains, np.float64)[:k]) / best if best > 0 else 0.0
