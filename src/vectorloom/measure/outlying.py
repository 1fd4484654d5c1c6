# SPDX-License-Identifier: Apache-2.0
"""Outliers: rows that are far from their own nearest.

A row's distance is that to its k-th nearest other row [1]_; it is an outlier beyond
Q3 + 3 (Q3 - Q1) of those distances, Tukey's outer fence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.nearby import Nearby, nearby, share_interval
from vectorloom.measure.result import Result
from vectorloom.measure.rows import sampled
from vectorloom.vectors import as_dense

_FENCE = 3.0
_SHOWN = 20
_FEWEST = 10


@dataclass(frozen=True, eq=False)
class Outliers(Result):
    """How many rows are far from all others; ``float(result)`` is the share.

    Attributes
    ----------
    share : float
    low, high : float
        Its 95 % interval (Wilson) over the draw of rows.
    limit : float
        Distance to the k-th nearest beyond which a row is an outlier.
    worst : ndarray of shape (w,), int64
        The outliers among the measured rows, furthest first; 20 at most.
    distances : ndarray of shape (m,), float64
        To the k-th nearest, of each measured row.
    k, n_rows, n_measured : int
    """

    share: float
    low: float
    high: float
    limit: float
    worst: NDArray[np.int64]
    distances: NDArray[np.float64]
    k: int
    n_rows: int
    n_measured: int

    def __float__(self) -> float:
        return self.share

    def __str__(self) -> str:
        return (
            f"outliers {self.share:.2%} [{self.low:.2%}, {self.high:.2%}] of the rows (further "
            f"than {self.limit:.3g} from their {self.k}th nearest), measured at {self.n_measured:,}"
        )

    def plot(self) -> Chart:
        """Draw the distances to the k-th nearest.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import distribution_chart

        return distribution_chart(
            f"Distance to the {self.k}th nearest",
            [("rows", self.distances)],
            x_label="distance",
            guide=(self.limit, "outliers"),
        )


def outliers(
    X: Any,
    k: int = 10,
    *,
    metric: str = "cosine",
    sample: int | None = 2000,
    exact: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Outliers:
    """Estimate the share of rows that are far from all others.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 10
    k : int, default=10
        Which neighbour is looked at: groups of up to k rows by themselves count as outliers.
    metric : {"cosine", "l2"}, default="cosine"
    sample : int or None, default=2000
        Rows measured; their neighbours are sought among all.
    exact : bool, default=False
        Takes all rows, and names the worst of all.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    Outliers

    Raises
    ------
    ShapeError, ParameterError
        Fewer than 10 rows; NaN; zero rows under cosine.

    Notes
    -----
    Cost: sample * n * dim. Of normal distances 2 in a million are beyond the fence. It looks at one
    density: where regions differ in density, see the local dimension and `local_topology`.

    References
    ----------
    .. [1] S. Ramaswamy, R. Rastogi and K. Shim, "Efficient algorithms for mining outliers from
       large data sets", SIGMOD 2000.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((300, 5))
    >>> X[7] = 100.0
    >>> outliers(X, metric="l2").worst.tolist()[0]
    7
    """
    check_choice("metric", metric, ("cosine", "l2"))
    rows = as_dense(X)
    if len(rows) < _FEWEST:
        raise ShapeError(f"X has {len(rows)} rows; outliers need at least {_FEWEST}.")
    k = min(check_count("k", k), len(rows) - 1)
    at = sampled(len(rows), sample, random_state, exact=exact)
    return outliers_of(nearby(rows, at, k, metric=metric, n_jobs=check_jobs(n_jobs)), k)


def outliers_of(found: Nearby, k: int) -> Outliers:
    """Return outliers of neighbours that are known.

    Parameters
    ----------
    found : Nearby
        With k neighbours at least.
    k : int

    Returns
    -------
    Outliers
    """
    k = min(k, found.lengths.shape[1])
    distances = found.lengths[:, k - 1]
    low_quarter, high_quarter = np.quantile(distances, [0.25, 0.75])
    limit = float(high_quarter + _FENCE * (high_quarter - low_quarter))
    far = distances > limit
    order = np.argsort(-distances, kind="stable")[: min(_SHOWN, int(far.sum()))]
    low, high = share_interval(int(far.sum()), len(far))
    return Outliers(
        share=float(far.mean()),
        low=low,
        high=high,
        limit=limit,
        worst=found.rows[order],
        distances=distances,
        k=k,
        n_rows=found.n,
        n_measured=len(distances),
    )
