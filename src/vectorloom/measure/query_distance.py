# SPDX-License-Identifier: Apache-2.0
"""Query shift: whether queries lie where the rows are.

Let d be the distance to the nearest other row, of queries and of rows drawn at random:

    auc = P(d of a query > d of a row),   beyond = P(d of a query > 99 % of the d of rows).

auc is 1/2 where queries are like rows. Indexes are laid out for rows: queries that are further off
(text to image, questions to passages) need more effort for the same recall [1]_.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.estimator import check_choice, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.nearby import Nearby, nearby, nearby_to, share_interval
from vectorloom.measure.result import Result
from vectorloom.measure.rows import Z95, sampled, unit_rows
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_SAME = 1e-3  # distance below which float32 cannot tell a query from a row
_QUANTILE = 0.99
_FEWEST = 20


@dataclass(frozen=True, eq=False)
class QueryShift(Result):
    """How far queries are from the rows; ``float(result)`` is the auc.

    Attributes
    ----------
    auc : float
        0.5 where queries are as near to rows as rows are; 1 where each is further than any row.
    low, high : float
        Its 95 % interval.
    beyond : float
        Share of queries further from their nearest row than 99 % of the rows are.
    beyond_low, beyond_high : float
    in_rows : float
        Share of queries that are rows: drawn from the collection, they make search look easy.
    length_ratio : float
        Mean length of queries over that of rows.
    distances, of_rows : ndarray, float64
        To the nearest row, of each measured query and row.
    n_queries, n_rows : int
    metric : {"cosine", "l2"}
    """

    auc: float
    low: float
    high: float
    beyond: float
    beyond_low: float
    beyond_high: float
    in_rows: float
    length_ratio: float
    distances: Doubles
    of_rows: Doubles
    n_queries: int
    n_rows: int
    metric: str

    def __float__(self) -> float:
        return self.auc

    def __str__(self) -> str:
        return (
            f"query shift: auc {self.auc:.3f} [{self.low:.3f}, {self.high:.3f}]; {self.beyond:.1%} "
            f"of {len(self.distances):,} queries are further from the rows than 99 % of the rows "
            f"are; {self.in_rows:.1%} are rows"
        )

    def plot(self) -> Chart:
        """Draw distances to the nearest row, of queries and rows.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import distribution_chart

        return distribution_chart(
            "Distance to the nearest row",
            [("rows", self.of_rows), ("queries", self.distances)],
            x_label="distance",
        )


def query_shift(
    X: Any,
    queries: Any,
    *,
    metric: str = "cosine",
    sample: int | None = 1000,
    exact: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> QueryShift:
    """Compare how near queries and rows are to the rows.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 20
    queries : array-like of shape (m, dim)
    metric : {"cosine", "l2"}, default="cosine"
    sample : int or None, default=1000
        Queries and rows measured, of each; their nearest is sought among all rows.
    exact : bool, default=False
        Takes all of both.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    QueryShift

    Raises
    ------
    ShapeError, ParameterError
        Fewer than 20 rows; queries of another dimension; NaN; zero rows under cosine.

    Notes
    -----
    Cost: 2 * sample * n * dim. Rows with copies are nearer to others than any query: drop copies
    first.

    References
    ----------
    .. [1] S. Jaiswal et al., "OOD-DiskANN: efficient and scalable graph ANNS for
       out-of-distribution queries", 2022, arXiv:2211.12850.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> like, unlike = rng.standard_normal((100, 8)), rng.standard_normal((100, 8)) + 4
    >>> query_shift(X, like, metric="l2").auc < 0.6, query_shift(X, unlike, metric="l2").auc > 0.99
    (True, True)
    """
    check_choice("metric", metric, ("cosine", "l2"))
    rows = as_dense(X)
    asked = as_dense(queries, name="queries", dim=rows.shape[1])
    if len(rows) < _FEWEST:
        raise ShapeError(f"X has {len(rows)} rows; query shift needs at least {_FEWEST}.")
    n_jobs = check_jobs(n_jobs)
    at = sampled(len(rows), sample, random_state, exact=exact)
    found = nearby(rows, at, 1, metric=metric, n_jobs=n_jobs)
    return query_shift_of(
        found, rows, asked, sample=sample, exact=exact, random_state=random_state, n_jobs=n_jobs
    )


def query_shift_of(
    found: Nearby,
    rows: Floats,
    queries: Floats,
    *,
    among: NDArray[np.int64] | None = None,
    sample: int | None = 1000,
    exact: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> QueryShift:
    """Return the shift of queries against rows whose neighbours are known.

    Parameters
    ----------
    found : Nearby
    rows, queries : ndarray, float32
    among, sample, exact, random_state, n_jobs
        As `nearby` and `query_shift`.

    Returns
    -------
    QueryShift
    """
    at = sampled(len(queries), sample, random_state, exact=exact)
    part = np.ascontiguousarray(queries[at])
    lengths = np.linalg.norm(part.astype(np.float64), axis=1).mean()
    of_rows = np.linalg.norm(rows[found.rows].astype(np.float64), axis=1).mean()
    if found.metric == "cosine":
        part = unit_rows(part, "queries")
    nearest = nearby_to(part, rows, 1, metric=found.metric, among=among, n_jobs=n_jobs)[1][:, 0]
    own = found.lengths[:, 0]
    auc, error = above(nearest, own)
    far = nearest > np.quantile(own, _QUANTILE)
    low, high = share_interval(int(far.sum()), len(far))
    scale = 1.0 if found.metric == "cosine" else float(of_rows) or 1.0
    return QueryShift(
        auc=auc,
        low=max(0.0, auc - Z95 * error),
        high=min(1.0, auc + Z95 * error),
        beyond=float(far.mean()),
        beyond_low=low,
        beyond_high=high,
        in_rows=float((nearest <= _SAME * scale).mean()),
        length_ratio=float(lengths / of_rows),
        distances=nearest,
        of_rows=own,
        n_queries=len(queries),
        n_rows=found.n,
        metric=found.metric,
    )


def above(a: Doubles, b: Doubles) -> tuple[float, float]:
    """Return P(a > b), equal ones by half, and its standard error.

    Parameters
    ----------
    a, b : ndarray of shape (m,), (n,), float64

    Returns
    -------
    auc, error : float
        The error by DeLong's formula.

    References
    ----------
    .. [1] E. DeLong, D. DeLong and D. Clarke-Pearson, "Comparing the areas under two or more
       correlated receiver operating characteristic curves", Biometrics 44 (1988).

    Examples
    --------
    >>> above(np.array([2.0, 3.0]), np.array([1.0, 2.0]))[0]
    0.875
    """
    sorted_b, sorted_a = np.sort(b), np.sort(a)
    of_a = (np.searchsorted(sorted_b, a, "left") + np.searchsorted(sorted_b, a, "right")) / 2
    of_b = (np.searchsorted(sorted_a, b, "left") + np.searchsorted(sorted_a, b, "right")) / 2
    of_a, of_b = of_a / len(b), 1.0 - of_b / len(a)
    error = np.sqrt(np.var(of_a) / len(a) + np.var(of_b) / len(b))
    return float(of_a.mean()), float(error)
