# SPDX-License-Identifier: Apache-2.0
"""How far a walk of a graph must reach for a recall: measured on rows, read off for a search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.index.dense.store import RowStore

# Rows asked for their neighbours at `calibrate`. In clustered data a query misses all or nothing,
# and then so many tell a recall of 0.95 to 0.01.
TRIALS = 400
RANKS = (10, 100)
# What squared distances may exceed that of the k-th by: 2 % to 160 %.
_EXCESS = 0.02 * 1.4 ** np.arange(14)
_ENOUGH = 0.9995


class Reaches:
    """What walks of some reaches found.

    Parameters
    ----------
    reaches : ndarray of shape (m,), float64
        Of walks that were measured, ascending; none before `measured`.
    recalls : ndarray of shape (m, len(RANKS)), float64
        What they found.
    """

    def __init__(self, reaches: NDArray[np.float64], recalls: NDArray[np.float64]) -> None:
        self.reaches = reaches
        self.recalls = recalls
        self._known: dict[tuple[float, int], float | None] = {}

    @classmethod
    def unknown(cls) -> Reaches:
        """Return the reaches of a graph that was not measured: none finds anything."""
        return cls(np.empty(0), np.empty((0, len(RANKS))))

    def find(self, recall: float, k: int) -> float | None:
        """Return the reach of walks that find this share of the k nearest; None: none did."""
        known = self._known.get((recall, k), -1.0)
        if known != -1.0:
            return known
        self._known[recall, k] = reach = self._find(recall, k)
        return reach

    def for_ranges(self, recall: float) -> float | None:
        """Return the reach that finds this share of 10 and of 100; None: none did."""
        few, many = (self.find(recall, k) for k in RANKS)
        return None if few is None or many is None else max(few, many)

    def _find(self, recall: float, k: int) -> float | None:
        # A tenth of what may be missed is left for the error of the measurement.
        aim = recall + 0.1 * (1.0 - recall)
        columns = [i for i, rank in enumerate(RANKS) if rank >= k][:1] or [len(RANKS) - 1]
        if RANKS[0] < k < RANKS[-1]:
            columns = list(range(len(RANKS)))
        reach = 0.0
        for column in columns:
            recalls = self.recalls[:, column]
            if not len(recalls) or recalls[-1] < aim:
                return None
            at = int(np.searchsorted(recalls, aim))
            if at == 0:
                reach = max(reach, float(self.reaches[0]))
                continue
            low, high = recalls[at - 1], recalls[at]
            share = (aim - low) / (high - low)
            step = self.reaches[at] - self.reaches[at - 1]
            reach = max(reach, float(self.reaches[at - 1] + share * step))
        return reach


def measured(
    walk: Callable[[NDArray[np.float32], int, float, NDArray[np.int64]], NDArray[np.int64]],
    row_of: NDArray[Any],
    twins: NDArray[Any],
    store: RowStore,
    seed: int,
    n_jobs: int | None,
) -> Reaches | None:
    """Measure what walks find of the true neighbours of some rows that they may not meet.

    Parameters
    ----------
    walk : callable
        From queries, k, a reach, and a node a query that is not there, to positions.
    row_of : ndarray of shape (n_nodes,)
        The first row of each node.
    twins : ndarray of shape (n,)
        The next equal row of each row, -1 for none; may be shorter than there are rows.
    store : RowStore
    seed : int
    n_jobs : int or None

    Returns
    -------
    Reaches or None
        None where too few nodes stand for one row.
    """
    alone = np.ones(len(row_of), np.bool_)
    if len(twins):
        inside = row_of < len(twins)
        alone[inside] = twins[row_of[inside]] < 0
    nodes = np.flatnonzero(alone)
    if len(nodes) < RANKS[0] + 2:
        return None
    rng = np.random.default_rng(seed)
    nodes = np.sort(rng.choice(nodes, min(TRIALS, len(nodes)), replace=False)).astype(np.int64)
    own = row_of[nodes].astype(np.int64)
    queries = np.ascontiguousarray(store.decoded(own), np.float32)
    truth = _others(queries, own, min(RANKS[-1], store.n - 1), store, n_jobs)
    reaches: list[float] = []
    recalls: list[list[float]] = []
    for excess in _EXCESS:
        reach = float(np.sqrt(1.0 + excess))
        depths = [min(rank, truth.shape[1]) for rank in RANKS]
        row = [_recall(walk(queries, k, reach, nodes), truth[:, :k]) for k in depths]
        reaches.append(reach)
        recalls.append(row)
        if min(row) >= _ENOUGH:
            break
    # More reach never finds less, so that what falls is chance.
    return Reaches(np.asarray(reaches), np.maximum.accumulate(np.asarray(recalls), axis=0))


def _others(
    queries: NDArray[np.float32],
    own: NDArray[np.int64],
    most: int,
    store: RowStore,
    n_jobs: int | None,
) -> NDArray[np.int64]:
    """Return the positions (n_queries, most) of the nearest rows besides a query's own."""
    truth, _, _ = _core.exact_search(
        store.rows, store.row_norms, None, store.metric, queries, most + 1, None, None, n_jobs
    )
    kept = truth != own[:, None]
    kept[kept.all(axis=1), -1] = False  # its twins under rounding crowded it out
    others: NDArray[np.int64] = truth[kept].reshape(len(own), most)
    return others


def _recall(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    hits = sum(len(np.intersect1d(f, t)) for f, t in zip(found, truth, strict=True))
    return hits / truth.size
