# SPDX-License-Identifier: Apache-2.0
"""Which lists hold the rows within a range: a line, and what is left over, measured on rows.

Nearness n(q, j), its mean of five N(q) and scores s(q, x) are taken in one unit,

    cosine: n / |q|, s      ip: n / |q|, s / |q|      l2: n - |q|^2, s.

Rows of the index as queries and their 10, 100 and 1,000 nearest as x, each rank of the same weight
a decade, give by least squares

    n(q, x) = level + slope s(q, x) + along N(q) - r,      n(q, x) of the nearer list of x.

A row within the range has a score of at least s_0, and slope > 0, so that the lists with

    n(q, j) >= level + slope s_0 + along N(q) - quantile_recall(r)

hold it with the recall asked for. The quantile is that of the 10, 100 or 1,000 nearest, whichever
is largest. Ranges of more rows than that are extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_QUANTILES = 512  # kept of each scale
_LEAST_PAIRS = 64
# Of what a recall may miss, left for the error of the measurement; as for nearest neighbours.
_SPARE = 0.1


@dataclass(frozen=True, eq=False)
class Pairs:
    """Queries and their neighbours at one scale, in the unit above.

    Attributes
    ----------
    nearness : ndarray of shape (m, k), float64
        Of the nearer list of each neighbour.
    scores : ndarray of shape (m, k), float64
    reference : ndarray of shape (m,), float64
        N(q).
    """

    nearness: NDArray[np.float64]
    scores: NDArray[np.float64]
    reference: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranging:
    """The line, and quantiles of what is left over.

    Attributes
    ----------
    line : ndarray of shape (3,), float64
        Level, slope and along.
    remainders : ndarray of shape (n_scales, m), float64
        Ascending along the last axis.
    """

    line: NDArray[np.float64]
    remainders: NDArray[np.float64]

    @classmethod
    def fit(cls, scales: list[Pairs]) -> Ranging | None:
        """Return what was measured; None where pairs are too few, or tell nothing."""
        scales = [one for one in scales if one.scores.size]
        if sum(one.scores.size for one in scales) < _LEAST_PAIRS:
            return None
        sides, targets, weights = [], [], []
        for one in scales:
            m, k = one.scores.shape
            reference = np.broadcast_to(one.reference[:, None], (m, k))
            side = np.stack([np.ones((m, k)), one.scores, reference], axis=-1)
            sides.append(side.reshape(-1, 3))
            targets.append(one.nearness.ravel())
            weights.append(np.tile(1.0 / (m * np.arange(1, k + 1)), m))
        root = np.sqrt(np.concatenate(weights))
        line, *_ = np.linalg.lstsq(
            np.concatenate(sides) * root[:, None], np.concatenate(targets) * root, rcond=None
        )
        if not np.isfinite(line).all() or line[1] <= 0.0:
            return None
        left = [side @ line - target for side, target in zip(sides, targets, strict=True)]
        shares = (np.arange(_QUANTILES) + 1.0) / _QUANTILES
        quantiles = [np.quantile(one, shares, method="higher") for one in left]
        return cls(line, np.stack(quantiles))

    @property
    def along(self) -> float:
        """The share of N(q) in the nearness that a list needs."""
        return float(self.line[2])

    def floors(self, least: NDArray[np.float64], recall: float) -> NDArray[np.float64]:
        """Return level + slope s_0 - quantile(r) for least scores s_0, in the unit above."""
        share = recall + _SPARE * (1.0 - recall)
        at = min(_QUANTILES - 1, max(0, int(np.ceil(share * _QUANTILES)) - 1))
        level, slope, _ = (float(part) for part in self.line)
        return np.asarray(level + slope * least - self.remainders[:, at].max())
