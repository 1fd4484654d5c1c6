# SPDX-License-Identifier: Apache-2.0
"""Who counts as one of the k nearest: float64 brute force, under any metric.

    score(q, x) = <q, x>  (ip; cosine on unit rows)   |   -|q - x|²  (l2)

A row counts when its score reaches that of the k-th best, up to a tie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.base import Floats

TIE = 1e-6  # of the largest |q| |x|: closer scores cannot be told apart in float32
QUERIES_AT_ONCE = 64


class AnnTruth:
    """The rows that count for each query, found once a run and kept for every method."""

    def __init__(self, base: Any, queries: Any, k: int, metric: str) -> None:
        self.k = min(k, base.shape[0])
        self.n_base = base.shape[0]
        self.counted: list[frozenset[int]] = []
        if not isinstance(base, np.ndarray):
            self._of_sparse(base, queries)
            return
        base, queries = np.asarray(base), np.asarray(queries)
        squares = np.einsum("ij,ij->i", base, base, dtype=np.float64)
        reach = float(np.sqrt(squares.max(initial=0.0)))
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            asked = np.asarray(queries[start : start + QUERIES_AT_ONCE], np.float32)
            proposed = asked @ base.T
            if metric == "l2":
                proposed *= 2.0
                proposed -= squares.astype(np.float32)
            for query, guess in zip(asked, proposed, strict=True):
                self.counted.append(self._of(base, query.astype(np.float64), guess, metric, reach))

    def _of_sparse(self, base: Any, queries: Any) -> None:
        wide = base.T.tocsr().astype(np.float64)
        for start in range(0, queries.shape[0], QUERIES_AT_ONCE):
            asked = queries[start : start + QUERIES_AT_ONCE].astype(np.float64)
            for scores in (asked @ wide).toarray():
                worst = np.partition(scores, -self.k)[-self.k]
                self.counted.append(frozenset(np.flatnonzero(scores >= worst - TIE).tolist()))

    def _of(
        self, base: Floats, query: NDArray[Any], guess: Floats, metric: str, reach: float
    ) -> frozenset[int]:
        size = float(np.linalg.norm(query))
        scale = size * reach + (reach * reach if metric == "l2" else 0.0)
        least = np.partition(guess, -self.k)[-self.k]
        # Twice what a float32 sum of so many products can be off by, in any order of summation.
        guard = 4.0 * (len(query) + 2) * np.finfo(np.float32).eps * scale
        near = np.flatnonzero(guess >= least - guard)
        rows = base[near].astype(np.float64)
        scores = -((rows - query) ** 2).sum(axis=1) if metric == "l2" else rows @ query
        worst = np.partition(scores, -self.k)[-self.k]
        return frozenset(near[scores >= worst - TIE * scale].tolist())

    def recall(self, ids: NDArray[Any], asked: slice) -> float:
        """Mean share of the k nearest that was returned; ``asked`` says which queries these are."""
        wanted = self.counted[asked]
        found = np.asarray(ids, np.int64)[:, : self.k]
        if len(found) != len(wanted):
            raise ValueError(f"{len(found)} answers; expected {len(wanted)}")
        pairs = zip(found.tolist(), wanted, strict=True)
        return sum(min(self.k, len(set(a) & b)) for a, b in pairs) / max(1, self.k * len(wanted))
