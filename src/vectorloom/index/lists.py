# SPDX-License-Identifier: Apache-2.0
"""Inverted lists: rows grouped around centroids, coded list by list, and probed nearest first.

Rows x belong to the list of their nearest centroid, l(x) = argmin_j |x - c_j|. With r(q, x) the rank
of l(x) among all lists by closeness of their centroids to q, probing p lists finds the neighbour x
of q just when r(q, x) < p. The share of true neighbours found by p probes is therefore

    recall(p) = P(r(q, x) < p),   measured on rows of the index as queries, themselves left out,

which is kept, and read backwards where a recall is asked for. Its standard error is below 0.01 for
`TRIALS` queries.
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
    found : ndarray of shape (n_lists,), float64
        recall(1), recall(2), …; empty before `calibrate`.
    """

    def __init__(
        self,
        metric: str,
        centroids: NDArray[np.float32],
        labels: NDArray[np.int32],
        found: NDArray[np.float64],
    ) -> None:
        self.metric = metric
        self.centroids = centroids
        self.labels = labels
        self.found = found
        self.screen: _core.Screen | None = None
        self.order: NDArray[np.int64] = np.empty(0, np.int64)
        self.starts: NDArray[np.int64] = np.zeros(1, np.int64)
        self._core: _core.Lists | None = None
        self._by_rank: tuple[_core.Rows, NDArray[np.float64]] | None = None

    @classmethod
    def train(
        cls, store: RowStore, n_lists: int, seed: int, n_jobs: int | None
    ) -> InvertedLists:
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
        arrays = (self.centroids, self.labels, self.found, self.order, self.starts)
        screen = 0 if self.screen is None else self.screen.nbytes
        return int(sum(array.nbytes for array in arrays) + screen)

    # ---- change --------------------------------------------------------------------------------

    def compacted(self, keep: NDArray[np.int64]) -> InvertedLists:
        """Return the lists, not coded, of a store that holds these ascending positions alone."""
        labels = self.labels[keep[: np.searchsorted(keep, self.n_listed)]]
        return InvertedLists(self.metric, self.centroids, labels, self.found)

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
        lists = InvertedLists(self.metric, self.centroids, labels, self.found)
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
        self._core = _core.Lists(screen, order, starts)
        self.screen, self.order, self.starts = screen, order, starts

    def calibrate(self, store: RowStore, seed: int, n_jobs: int | None) -> None:
        """Measure recall(p) for every p on a sample of the rows in lists."""
        n = self.n_listed
        rng = np.random.default_rng(seed)
        sample = np.sort(rng.choice(n, min(TRIALS, n), replace=False))
        queries = store.values[sample]
        probes = self.probes(queries, len(self), n_jobs)
        rank = np.empty_like(probes)
        np.put_along_axis(rank, probes, np.arange(len(self))[None, :], axis=1)
        k = min(NEIGHBOURS + 1, n)
        positions, _, _ = self.search(store, queries, probes, k, None, n_jobs)
        own = positions == sample[:, None]
        own[~own.any(axis=1), -1] = True  # duplicates crowded it out; the last one goes instead
        neighbours = positions[~own].reshape(len(sample), k - 1)
        ranks = np.take_along_axis(rank, self.labels[neighbours].astype(np.int64), axis=1)
        counts = np.bincount(ranks.ravel(), minlength=len(self))
        self.found = np.cumsum(counts) / max(1, ranks.size)

    # ---- searching -----------------------------------------------------------------------------

    def probes_for(self, recall: float) -> int:
        """Return how many lists to probe for this recall@10."""
        # A tenth of what may be missed is left for the error of the measurement.
        aim = recall + 0.1 * (1.0 - recall)
        if recall >= 1.0 or not len(self.found):
            return len(self)
        return min(len(self), int(np.searchsorted(self.found, aim)) + 1)

    def probes(
        self, queries: NDArray[np.float32], n_probes: int, n_jobs: int | None
    ) -> NDArray[np.int64]:
        """Return the lists nearest to each query, shape (n_queries, n_probes), nearest first."""
        if self._by_rank is None:
            rows = _core.Rows(self.centroids, "float32")
            self._by_rank = rows, _core.norms(rows, 1)
        rows, norms = self._by_rank
        metric = "l2" if self.metric == "l2" else "ip"
        at: NDArray[np.int64]
        at, _, _ = _core.exact_search(
            rows, norms, None, metric, queries, n_probes, None, None, n_jobs
        )
        return at

    def search(
        self,
        store: RowStore,
        queries: NDArray[np.float32],
        probes: NDArray[np.int64],
        k: int,
        mask: NDArray[np.uint8] | None,
        n_jobs: int | None,
    ) -> Any:
        """Return positions, scores and counts of the k best within the probed lists."""
        assert self._core is not None  # current() saw to it
        return self._core.search(
            store.rows,
            store.row_norms,
            queries,
            probes,
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


def _places(
    labels: NDArray[np.int32], n_lists: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the position at each place, -1 for none, and the first place of each list and beyond."""
    counts = np.bincount(labels, minlength=n_lists)
    starts = np.zeros(n_lists + 1, np.int64)
    np.cumsum(-(-counts // _PLACES) * _PLACES, out=starts[1:])
    by_list = np.argsort(labels, kind="stable")
    first = np.cumsum(counts) - counts
    sorted_labels = labels[by_list]
    order = np.full(int(starts[-1]), -1, np.int64)
    order[starts[sorted_labels] + np.arange(len(labels)) - first[sorted_labels]] = by_list
    return order, starts
