# SPDX-License-Identifier: Apache-2.0
"""How far from the nearest lists true neighbours are, measured on rows of the index.

With nearness(q, j) and its mean of five N(q) as in the core (core/index/lists.h) a query q finds
its true neighbour x just when one of x's lists j has

    g(q, x) = (N(q) - nearness(q, j)) / |q|  <=  gap                      (l2: without |q|)

and the share of true neighbours found is the distribution function of g. Its quantiles are measured
with rows of the index as queries, themselves left out, and kept: gap = quantile(recall). Their
standard error is that of a share of the queries, below 0.01 at a recall of 0.95.

In the same way the reach of core/index/lists_codes.h is a quantile: that of the smallest reach
under which the head of a true neighbour's code keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.index.dense.lists_range import Pairs, Ranging

if TYPE_CHECKING:
    from vectorloom.index.dense.lists import InvertedLists
    from vectorloom.index.dense.store import RowStore

#: Neighbours that recall is promised for, and queries of the calibration.
SCALES = {10: 512, 100: 64, 1000: 24}
_POINTS = 2048  # quantiles kept
REFERENCE = 5  #: centroids of N(q)
# Shares of what a recall may miss: left for the error of the measurement; lost to the reach.
_SPARE = 0.1
_REACH_SHARE = 0.1
# What a search of so many lists may lose to the reach.
_REACH_LOSS = 1e-3
# Share of queries that are searched again because the guess of their k-th score was too high.
_WRONG_GUESSES = 0.02


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was measured on the k nearest neighbours of some rows.

    Attributes
    ----------
    k : int
    gaps : ndarray of float64
        g of true neighbours, ascending.
    reaches : ndarray of shape (2, m), float64
        Smallest reaches of true neighbours, ascending: to be kept as the k-th, and as the first.
    guess : float
        Of the k-th score; see core/index/lists.h.
    """

    k: int
    gaps: NDArray[np.float64]
    reaches: NDArray[np.float64]
    guess: float

    def gap_for(self, recall: float) -> float:
        """Return the gap within which lists are to be probed for this recall at k."""
        return _quantile(self.gaps, recall + _SPARE * (1.0 - recall))

    def reach_for(self, recall: float | None, k: int) -> float:
        """Return the reach that loses next to nothing of this recall, or at all."""
        loss = _REACH_LOSS if recall is None else _REACH_SHARE * (1.0 - recall)
        reaches = self.reaches[0 if k >= self.k else 1]
        return _quantile(reaches, 1.0 - loss) if len(reaches) else 1.0

    @property
    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Arrays of a file."""
        return {"gaps": self.gaps, "reaches": self.reaches, "guess": np.array([self.guess])}


def calibrate(
    lists: InvertedLists, store: RowStore, seed: int, n_jobs: int | None
) -> tuple[tuple[Calibration, ...], Ranging | None]:
    """Measure on a sample of the rows where their true neighbours are, for each of `SCALES`.

    Parameters
    ----------
    lists : InvertedLists
        Coded.
    store : RowStore
        Of the rows as they came.
    seed : int
    n_jobs : int or None
    """
    n = lists.n_listed
    if n < 2:
        return (), None
    rng = np.random.default_rng(seed)
    found: list[Calibration] = []
    pairs: list[Pairs] = []
    for k, trials in SCALES.items():
        if found and k // 10 >= n:  # no row has so many others
            break
        sample = np.sort(rng.choice(n, min(trials, n), replace=False))
        calibration, own = _measured(lists, store, sample, k, n_jobs)
        found.append(calibration)
        pairs.append(own)
    return tuple(found), Ranging.fit(pairs)


def _measured(
    lists: InvertedLists, store: RowStore, sample: NDArray[np.int64], k: int, n_jobs: int | None
) -> tuple[Calibration, Pairs]:
    queries = store.decoded(sample)
    width = min(k + 1, lists.n_listed)
    positions, scores, _ = lists.search_all(store, queries, width, n_jobs)
    own = positions == sample[:, None]
    own[~own.any(axis=1), -1] = True  # duplicates crowded it out; the last one goes instead
    neighbours = positions[~own].reshape(len(sample), width - 1)
    nearness = _core.matmul(queries, lists.centroids, n_jobs).astype(np.float64)
    if lists.metric == "l2":
        nearness = 2.0 * nearness - np.einsum("ij,ij->i", lists.centroids, lists.centroids)
    there = _nearer_list(lists, nearness, neighbours)
    best = -np.sort(-nearness, axis=1)[:, :REFERENCE]
    gaps = best.mean(axis=1)[:, None] - there
    gaps[there >= best[:, :1]] = 0.0  # the nearest list is always probed
    norms = np.linalg.norm(queries.astype(np.float64), axis=1)
    norms = np.maximum(norms, np.finfo(np.float64).tiny)
    own_scores = scores[~own].reshape(neighbours.shape)
    pairs = _in_one_unit(lists.metric, there, own_scores, best.mean(axis=1), norms)
    if lists.metric != "l2":
        gaps /= norms[:, None]
    gaps = np.maximum(gaps, 0.0)
    if lists.final:
        among = _among_the_nearest(store, sample, queries, neighbours, n_jobs)
        gaps = lists.lost(gaps, among)
    guess = -np.inf
    if width > k:
        guess = _low_guess(lists.metric, own_scores[:, -1], best.mean(axis=1), norms)
    reaches = lists.reaches(store, sample, neighbours, n_jobs)
    return Calibration(k, _thinned(np.sort(gaps, axis=None)), _thinned(reaches), guess), pairs


def _in_one_unit(
    metric: str,
    nearness: NDArray[Any],
    scores: NDArray[np.float64],
    reference: NDArray[Any],
    norms: NDArray[np.float64],
) -> Pairs:
    """Return pairs in the unit of lists_range.py."""
    if metric == "l2":
        return Pairs(nearness - norms[:, None] ** 2, scores, reference - norms**2)
    own = scores if metric == "cosine" else scores / norms[:, None]
    return Pairs(nearness / norms[:, None], own, reference / norms)


def _nearer_list(
    lists: InvertedLists, nearness: NDArray[np.float64], neighbours: NDArray[np.int64]
) -> NDArray[Any]:
    """Return the nearness of that list of each neighbour which is the nearer one."""
    labels, others = lists.standing()
    there = np.take_along_axis(nearness, labels[neighbours].astype(np.int64), axis=1)
    if others is None:
        return there
    second = others[neighbours].astype(np.int64)
    more = np.take_along_axis(nearness, np.maximum(second, 0), axis=1)
    return np.where(second < 0, there, np.maximum(there, more))


def _among_the_nearest(
    store: RowStore,
    sample: NDArray[np.int64],
    queries: NDArray[np.float32],
    neighbours: NDArray[np.int64],
    n_jobs: int | None,
) -> NDArray[np.bool_]:
    """Return which neighbours by codes are so by the rows that came: others no gap can find."""
    k = neighbours.shape[1] + 1
    args = (store.metric, queries, k, None, None, n_jobs)
    truth, _, _ = _core.exact_search(store.rows, store.row_norms, None, *args)
    truth = np.where(truth == sample[:, None], -1, truth)
    return np.array([np.isin(a, b) for a, b in zip(neighbours, truth, strict=True)])


def _low_guess(
    metric: str, last: NDArray[Any], reference: NDArray[Any], norms: NDArray[np.float64]
) -> float:
    """Return what the score of a k-th neighbour is rarely below, in the terms of the core."""
    if metric == "cosine":
        above = last - reference / norms
    elif metric == "ip":
        above = (last - reference) / norms
    else:
        above = last - (reference - norms**2)
    return float(np.quantile(above, _WRONG_GUESSES))


def _thinned(ascending: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return no more than `_POINTS` quantiles of what ascends along the last axis."""
    m = ascending.shape[-1]
    if m <= _POINTS:
        return ascending
    at = np.ceil(np.arange(1, _POINTS + 1) * (m / _POINTS)).astype(np.int64) - 1
    return np.ascontiguousarray(ascending[..., np.minimum(at, m - 1)])


def _quantile(ascending: NDArray[np.float64], share: float) -> float:
    m = len(ascending)
    return float(ascending[min(m, max(1, int(np.ceil(share * m)))) - 1])
