# SPDX-License-Identifier: Apache-2.0
"""Walks of a graph, and when a scan is chosen in their place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vectorloom.index.answer import (
    FEW,
    Found,
    Ranged,
    all_within,
    one_after_another,
    short_answers,
    top,
)
from vectorloom.index.dense.proximity import ProximityGraph
from vectorloom.index.dense.store import RowStore
from vectorloom.index.filters import Mask

# What things cost, in nanoseconds, to choose between a walk and a scan: a node scored in a walk; a
# row read for all queries, by dimension, and a row scored for one, by dimension.
_NODE, _READ, _SCORED = 15.0, (60.0, 0.4), (3.0, 0.025)
_REACH_IF_FILTERED = 1.07
# A walk for k hits opens about so many nodes more than k.
_OPENED = 80
# Nodes that a walk for a range keeps; one that needs more is a scan's work.
_MOST_IN_RANGE = 4096


def _scan_cost(n: int, dim: int, n_queries: int) -> float:
    """Return the nanoseconds a query that a scan of n rows takes."""
    read = _READ[0] + _READ[1] * dim
    return n * (read / n_queries + _SCORED[0] + _SCORED[1] * dim)


class Walk:
    """One search of a graph: under each mask, a walk or a scan."""

    def __init__(
        self,
        graph: ProximityGraph,
        store: RowStore,
        k: int,
        effort: int,
        reach: float,
        n_jobs: int | None,
        plan: list[str],
    ) -> None:
        self._graph = graph
        self._store = store
        self._k = k
        self._effort = effort
        self._reach = reach
        self._n_jobs = n_jobs
        self._plan = plan

    def search(self, queries: NDArray[np.float32], mask: Mask) -> Found:
        """Return positions, scores and counts, and tell the plan how each query was answered."""
        store = self._store
        matches = store.n if mask is None else int(np.count_nonzero(mask))
        scan = _scan_cost(matches if matches * FEW < store.n else store.n, store.dim, len(queries))
        opened = self._k + _OPENED if self._reach > 0.0 else max(self._effort, self._k)
        nodes = opened * self._graph.core.degree / 2 * store.n / max(1, matches)
        if mask is not None and scan < nodes * _NODE:
            self._plan.extend([f"exact: {matches:,} rows match"] * len(queries))
            return top(store, queries, self._k, mask, self._n_jobs)
        # What matches lies further apart than the rows that reach was measured with.
        reach = self._reach
        if mask is not None and reach > 0.0:
            reach = max(reach, _REACH_IF_FILTERED)
        positions, scores, counts = self._graph.search(
            store,
            queries,
            self._k,
            self._effort,
            reach,
            mask,
            matches,
            int(scan / _NODE) if mask is not None else 0,
            n_jobs=self._n_jobs,
        )
        said = "walk" if mask is None else f"walk: {matches:,} rows match"
        plan = [said] * len(queries)
        short = short_answers(counts, min(self._k, matches))
        if len(short):
            positions[short], scores[short], counts[short] = top(
                store, queries[short], self._k, mask, self._n_jobs
            )
            for i in short.tolist():
                plan[i] = f"exact, after a walk: {matches:,} rows match"
        self._plan.extend(plan)
        return positions, scores, counts

    def within(
        self, queries: NDArray[np.float32], least: NDArray[np.float64], mask: Mask
    ) -> Ranged:
        """Return the rows whose score is at least `least` (n_queries,); as `search`."""
        store = self._store
        matches = store.n if mask is None else int(np.count_nonzero(mask))
        n_queries = max(1, len(queries))
        scan = _scan_cost(matches if matches * FEW < store.n else store.n, store.dim, n_queries)
        nodes = _OPENED * self._graph.core.degree / 2 * store.n / max(1, matches)
        if matches == 0 or len(queries) == 0 or (mask is not None and scan < nodes * _NODE):
            self._plan.extend([f"exact: {matches:,} rows match"] * len(queries))
            return all_within(store, queries, least, mask, self._n_jobs)
        reach = self._reach if mask is None else max(self._reach, _REACH_IF_FILTERED)
        budget = max(1, int(scan / _NODE))
        found, done = self._graph.within(
            store, queries, least, _MOST_IN_RANGE, reach, mask, matches, budget, self._n_jobs
        )
        rest = np.flatnonzero(done == 0)
        said = "" if mask is None else f": {matches:,} rows match"
        ways = np.where(done != 0, f"walk{said}", f"exact, after a walk{said}")
        self._plan.extend(ways.tolist())
        if len(rest) == 0:
            return found
        more = all_within(store, queries[rest], least[rest], mask, self._n_jobs)
        parts = _each(found)
        for i, part in zip(rest.tolist(), _each(more), strict=True):
            parts[i] = part
        return one_after_another(parts)


def _each(found: Ranged) -> list[Ranged]:
    """Return the answer of each query by itself."""
    lims, positions, scores = found
    return [
        (np.array([0, last - first]), positions[first:last], scores[first:last])
        for first, last in zip(lims[:-1].tolist(), lims[1:].tolist(), strict=True)
    ]
