# SPDX-License-Identifier: Apache-2.0
"""The true neighbours in float64 by brute force, and how far an answer is from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.base import Answer, Floats, Ids

TIE = 1e-6  # float32 scores of unit rows are uncertain by about this much
BLOCK = 256
# A float64 product of unit rows is right to far better than this; whoever is this near the k-th
# best is scored again row by row, so that equal rows get equal scores whatever BLAS did.
GUARD = 1e-9


@dataclass(frozen=True)
class Quality:
    """How good an answer is; shares are of the queries.

    Parameters
    ----------
    identical : float
        Same ids in the same order as float64 brute force (equal scores: smaller id first).
    tied : float
        At each rank a row whose true score is within 1e-6 of the true one, no row twice.
    recall : float
        Mean share of the true k that was returned.
    score_error : float or None
        Largest difference between a returned score and the true one.
    kept : float or None
        Of codes: 1 - sum |x - decoded|² / sum |x - mean|², the share of the variance kept.
    of_baseline : float or None
        That, as a share of what the suite's baseline keeps; for a run that was not searched.
    """

    identical: float | None = None
    tied: float | None = None
    recall: float | None = None
    score_error: float | None = None
    kept: float | None = None
    of_baseline: float | None = None

    def missed(self, floor: dict[str, float]) -> str:
        """Say which floor is missed, or nothing."""
        got = {name: -1.0 if value is None else value for name, value in asdict(self).items()}
        return "; ".join(
            f"{name} {got[name]:.6f} is below the floor {least:g}"
            for name, least in floor.items()
            if not got[name] >= least
        )


class Truth:
    """True top k of the queries, found once a run and kept for every method."""

    def __init__(self, base: Floats, queries: Floats, k: int, rows: Ids | None = None) -> None:
        self.base = base
        self.queries = queries
        self.rows = rows  # for a graph: the queries are these base rows, each excluded itself
        self.k = min(k, len(base) - (rows is not None))
        self.ids = np.empty((len(queries), self.k), np.int64)
        self.scores = np.empty((len(queries), self.k))
        wide = np.asarray(base, np.float64)
        norms = np.linalg.norm(wide, axis=1)
        wide /= norms[:, None]
        for start in range(0, len(queries), BLOCK):
            self._block(wide, start, queries[start : start + BLOCK].astype(np.float64))

    def _block(self, wide: NDArray[np.float64], start: int, asked: NDArray[np.float64]) -> None:
        asked /= np.linalg.norm(asked, axis=1, keepdims=True)
        scores = asked @ wide.T
        if self.rows is not None:
            scores[np.arange(len(asked)), self.rows[start : start + len(asked)]] = -np.inf
        for i, row in enumerate(scores):
            least = np.partition(row, -self.k)[-self.k]
            near = np.flatnonzero(row >= least - GUARD)
            exact = (wide[near] * asked[i]).sum(axis=1)
            order = np.lexsort((near, -exact))[: self.k]
            self.ids[start + i] = near[order]
            self.scores[start + i] = exact[order]

    def judge(self, answer: Answer) -> Quality:
        """Compare an answer for the same queries with the truth."""
        ids = np.asarray(answer.ids, np.int64)
        if ids.shape != self.ids.shape:
            return Quality(0.0, 0.0, 0.0)
        valid = (ids >= 0) & (ids < len(self.base))
        true_scores = self._scores(np.where(valid, ids, 0))
        true_scores[~valid] = -np.inf
        distinct = np.array([len(set(row)) == len(row) for row in ids.tolist()])
        near = (np.abs(true_scores - self.scores) <= TIE).all(axis=1)
        if self.rows is not None:
            near &= (ids != self.rows[:, None]).all(axis=1)
        return Quality(
            identical=float((ids == self.ids).all(axis=1).mean()),
            tied=float((near & distinct).mean()),
            recall=self._recall(ids),
            score_error=_score_error(answer.scores, true_scores),
        )

    def _recall(self, ids: Ids) -> float:
        pairs = zip(ids.tolist(), self.ids.tolist(), strict=True)
        return sum(len(set(a) & set(b)) for a, b in pairs) / max(1, self.ids.size)

    def _scores(self, ids: Ids) -> NDArray[np.float64]:
        asked = self.queries.astype(np.float64)
        asked /= np.linalg.norm(asked, axis=1, keepdims=True)
        found = np.empty(ids.shape)
        for i, row in enumerate(ids):
            rows = self.base[row].astype(np.float64)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            found[i] = (rows * asked[i]).sum(axis=1)
        return found


def _score_error(scores: NDArray[Any] | None, true: NDArray[np.float64]) -> float | None:
    if scores is None or np.shape(scores) != true.shape:
        return None
    return float(np.abs(np.asarray(scores, np.float64) - true).max(initial=0.0))
