# SPDX-License-Identifier: Apache-2.0
"""Inverted lists: rows grouped around centroids, coded list by list, and probed nearest first.

A row x belongs to the list l(x) of its nearest centroid. With nearness(q, j) as in the core
(core/index/lists.h) a query q finds its true neighbour x just when

    g(q, x) = (max_j nearness(q, j) - nearness(q, l(x))) / |q|  <=  gap        (l2: without |q|)

and the share of true neighbours found is the distribution function of g. Its quantiles are measured
with rows of the index as queries, themselves left out, and kept: gap = quantile(recall). Their
standard error is that of a share of `TRIALS` queries, below 0.01 at a recall of 0.95.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.index.screen import build_screen
from vectorloom.index.store import RowStore

#: Queries of the calibration, and neighbours of each.
TRIALS = 512
NEIGHBOURS = 10
_PLACES = 32  # rows of two panels, which kernels take together
_POINTS = 64  # training rows a centroid
_ITERATIONS = 10
# Of the error of codes, that lists are searched under; see core/index/lists.h.
_DEVIATIONS = 7.0
# Rows that came after the lists were coded are scanned by every query until they are this many, or
# this share of the others: coding all again costs about as much as 2,000 scans of so many.
_TAIL_ROWS = 4096
_TAIL_SHARE = 0.125


class InvertedLists:
    """Centroids, the list of each position, and the codes of the rows in the order of lists.

    Parameters
    ----------
    metric : {"cosine", "ip", "l2"}
    centroids : ndarray of shape (n_lists, dim), float32
    labels : ndarray of shape (n_listed,), int32
        Of the store's first positions; rows behind them are not in lists yet.
    gaps : ndarray of float64
        g of true neighbours, ascending; empty before `calibrate`.
    """

    def __init__(
        self,
        metric: str,
        centroids: NDArray[np.float32],
        labels: NDArray[np.int32],
        gaps: NDArray[np.float64],
    ) -> None:
        self.metric = metric
        self.centroids = centroids
        self.labels = labels
        self.gaps = gaps
        self.screen: _core.Screen | None = None
        self.order: NDArray[np.int64] = np.empty(0, np.int64)
        self.starts: NDArray[np.int64] = np.zeros(1, np.int64)
        self._core: _core.Lists | None = None

    @classmethod
    def train(cls, store: RowStore, n_lists: int, seed: int, n_jobs: int | None) -> InvertedLists:
        """Return lists of all positions of a store, calibrated.

        Parameters
        ----------
        store : RowStore
            Of float32 rows.
        n_lists : int
        seed : int
        n_jobs : int or None
        """
        rows = directions(store, slice(0, store.n))
        centroids, labels, *_ = _core.kmeans(
            rows,
            n_lists,
            "k-means++",
            _ITERATIONS,
            1e-4,
            seed,
            spherical=store.metric == "cosine",
            max_points_per_centroid=_POINTS,
            n_jobs=n_jobs,
        )
        lists = cls(store.metric, centroids, labels.astype(np.int32), np.empty(0, np.float64))
        lists.code(store, n_jobs)
        lists.calibrate(store, seed, n_jobs)
        return lists

    def __len__(self) -> int:
        return len(self.centroids)

    @property
    def n_listed(self) -> int:
        """Positions that are in lists."""
        return len(self.labels)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        arrays = (self.centroids, self.labels, self.gaps, self.order, self.starts)
        screen = 0 if self.screen is None else self.screen.nbytes
        return int(sum(array.nbytes for array in arrays) + screen)

    # ---- change --------------------------------------------------------------------------------

    def compacted(self, keep: NDArray[np.int64]) -> InvertedLists:
        """Return the lists, not coded, of a store that holds these ascending positions alone."""
        labels = self.labels[keep[: np.searchsorted(keep, self.n_listed)]]
        return InvertedLists(self.metric, self.centroids, labels, self.gaps)

    def current(self, store: RowStore, n_jobs: int | None) -> InvertedLists:
        """Return lists fit to search the store: these, or new ones with its last rows in them."""
        tail = store.n - self.n_listed
        few = tail <= max(_TAIL_ROWS, _TAIL_SHARE * self.n_listed)
        if self._core is not None and few:
            return self
        labels = self.labels
        if tail:
            new, _ = _core.assign(
                directions(store, slice(self.n_listed, store.n)), self.centroids, n_jobs
            )
            labels = np.concatenate([labels, new.astype(np.int32)])
        lists = InvertedLists(self.metric, self.centroids, labels, self.gaps)
        lists.code(store, n_jobs)
        return lists

    def code(self, store: RowStore, n_jobs: int | None) -> None:
        """Code the rows in lists, list by list."""
        order, starts = _places(self.labels, len(self))
        norms = store.row_norms
        assert norms is not None  # rows are floats
        screen = build_screen(
            store.rows_before(self.n_listed),
            norms[: self.n_listed],
            self.metric,
            n_jobs,
            order=order,
        )
        self.attach(screen, order, starts)

    def attach(
        self, screen: _core.Screen, order: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> None:
        """Adopt codes that were made before."""
        self._core = _core.Lists(screen, order, starts, self.centroids)
        self.screen, self.order, self.starts = screen, order, starts

    def calibrate(self, store: RowStore, seed: int, n_jobs: int | None) -> None:
        """Measure how far from the nearest list true neighbours are, on a sample of the rows."""
        n = self.n_listed
        sample = np.sort(np.random.default_rng(seed).choice(n, min(TRIALS, n), replace=False))
        queries = store.values[sample]
        k = min(NEIGHBOURS + 1, n)
        positions, _, _ = self.search(store, queries, len(self), 0.0, k, None, n_jobs)
        own = positions == sample[:, None]
        own[~own.any(axis=1), -1] = True  # duplicates crowded it out; the last one goes instead
        neighbours = positions[~own].reshape(len(sample), k - 1)
        nearness = _core.matmul(queries, self.centroids, n_jobs).astype(np.float64)
        if self.metric == "l2":
            nearness = 2.0 * nearness - np.einsum("ij,ij->i", self.centroids, self.centroids)
        there = np.take_along_axis(nearness, self.labels[neighbours].astype(np.int64), axis=1)
        gaps = nearness.max(axis=1)[:, None] - there
        norms = store.norms
        if self.metric != "l2" and norms is not None:
            gaps /= np.maximum(norms[sample], np.finfo(np.float64).tiny)[:, None]
        self.gaps = np.sort(gaps, axis=None)

    # ---- searching -----------------------------------------------------------------------------

    def gap_for(self, recall: float) -> float:
        """Return the gap within which lists are to be probed for this recall@10."""
        if not len(self.gaps):
            return 0.0
        # A tenth of what may be missed is left for the error of the measurement.
        aim = recall + 0.1 * (1.0 - recall)
        return float(self.gaps[min(len(self.gaps), int(np.ceil(aim * len(self.gaps)))) - 1])

    def search(
        self,
        store: RowStore,
        queries: NDArray[np.float32],
        n_probes: int,
        gap: float,
        k: int,
        mask: NDArray[np.uint8] | None,
        n_jobs: int | None,
    ) -> Any:
        """Return positions, scores and counts of the k best within the probed lists.

        `n_probes` lists are probed, or those within `gap` where it is 0. With all of them the
        answer is proven exact.
        """
        assert self._core is not None  # current() saw to it
        whole = n_probes >= len(self)
        return self._core.search(
            store.rows,
            store.row_norms,
            queries,
            n_probes,
            gap,
            1.0 if whole else min(1.0, _DEVIATIONS / float(np.sqrt(store.dim))),
            k,
            mask,
            store.ids.tie_keys(),
            n_jobs,
        )


def directions(store: RowStore, part: slice) -> NDArray[np.float32]:
    """Return rows as centroids see them: of unit length under cosine."""
    rows: NDArray[np.float32] = store.values[part]
    norms = store.norms
    if store.metric != "cosine" or norms is None or len(rows) == 0:
        return rows
    own = norms[part]
    if np.abs(own - 1.0).max() < 1e-5:
        return rows
    return (rows / own[:, None]).astype(np.float32)


def _places(labels: NDArray[np.int32], n_lists: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the position at each place, -1 for none, and the first place of each list."""
    counts = np.bincount(labels, minlength=n_lists)
    starts = np.zeros(n_lists + 1, np.int64)
    np.cumsum(-(-counts // _PLACES) * _PLACES, out=starts[1:])
    by_list = np.argsort(labels, kind="stable")
    first = np.cumsum(counts) - counts
    sorted_labels = labels[by_list]
    order = np.full(int(starts[-1]), -1, np.int64)
    order[starts[sorted_labels] + np.arange(len(labels)) - first[sorted_labels]] = by_list
    return order, starts
