# SPDX-License-Identifier: Apache-2.0
"""Ollivier-Ricci curvature of the neighbour graph: where groups are, and where bridges.

For an edge from x to its neighbour y, with m_x even on the k nearest of x,

    curvature(x, y) = 1 - W1(m_x, m_y) / d(x, y),

W1 the least mean distance over which m_x is carried into m_y: by an assignment, since both sides
have k places. Above 0 neighbours of x are nearer to those of y than x is to y (inside a group),
below 0 the edge is a bridge between groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.correlation import correlation
from vectorloom.measure.nearby import nearby
from vectorloom.measure.result import Estimate, Result
from vectorloom.measure.rows import Z95, sampled, unit_rows
from vectorloom.progress import progress
from vectorloom.vectors import as_dense

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curvature(Result):
    """Curvature of edges and rows; ``float(result)`` is the mean.

    Attributes
    ----------
    mean : float
    low, high : float
        Its 95 % interval over rows.
    bridges : float
        Share of edges below 0.
    edges : ndarray of shape (m, k), float64
        Of each measured row's edges; NaN to a copy.
    of_rows : ndarray of shape (m,), float64
        Mean over the edges of a row.
    rows : ndarray of shape (m,), int64
    k : int
    """

    mean: float
    low: float
    high: float
    bridges: float
    edges: Doubles
    of_rows: Doubles
    rows: NDArray[np.int64]
    k: int

    def __float__(self) -> float:
        return self.mean

    def __str__(self) -> str:
        return (
            f"Ricci curvature {self.mean:.3f} [{self.low:.3f}, {self.high:.3f}], "
            f"{self.bridges:.1%} of the edges are bridges; k={self.k}, {len(self.rows):,} rows"
        )

    def plot(self) -> Chart:
        """Draw the curvature of edges.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import distribution_chart

        return distribution_chart(
            "Curvature of the neighbour graph",
            [("edges", self.edges.ravel())],
            x_label="Ollivier-Ricci curvature",
            guide=(0.0, "bridges left"),
        )


def ricci(
    X: Any,
    k: int = 10,
    *,
    metric: str = "cosine",
    sample: int | None = 300,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Curvature:
    """Measure the Ollivier-Ricci curvature of the neighbour graph.

    Parameters
    ----------
    X : array-like of shape (n, dim), n > k
    k : int, default=10
    metric : {"cosine", "l2"}, default="cosine"
        Distances are lengths: for cosine of rows of length 1.
    sample : int or None, default=300
        Rows whose edges are measured, in the graph of all.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    Curvature

    Raises
    ------
    ShapeError, ParameterError
        k rows or fewer; zero rows under cosine; NaN.

    Notes
    -----
    Distances are those of the vectors, not hops, so that no shortest paths are needed. Cost:
    sample * k * (n * dim + k**3). Of two models on the same items, compare ``of_rows`` by
    `compare_curvature`.

    References
    ----------
    .. [1] Y. Ollivier, "Ricci curvature of Markov chains on metric spaces", J. Functional Analysis
       256 (2009).
    .. [2] N. Torbati et al., "Exploring geometric representational alignment through
       Ollivier-Ricci curvature and Ricci flow", 2025, arXiv:2501.00919.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> centres = np.repeat(np.eye(4) * 5, 50, axis=0)
    >>> groups = ricci(centres + rng.standard_normal((200, 4)), metric="l2", sample=50)
    >>> -1 < groups.mean < 1
    True
    """
    check_choice("metric", metric, ("cosine", "l2"))
    rows, n_jobs = as_dense(X), check_jobs(n_jobs)
    k = check_count("k", k)
    if len(rows) <= k:
        raise ShapeError(f"X has {len(rows)} rows; curvature with k={k} needs more.")
    at = sampled(len(rows), sample, random_state)
    first = nearby(rows, at, k, metric=metric, n_jobs=n_jobs)
    wanted = np.unique(first.positions)
    second = nearby(rows, wanted, k, metric=metric, n_jobs=n_jobs)
    place = {int(row): i for i, row in enumerate(wanted)}
    units = (unit_rows(rows) if metric == "cosine" else rows).astype(np.float64)
    edges = np.empty(first.positions.shape)
    with progress("curvature", total=len(at), unit="rows") as bar:
        for i, others in enumerate(first.positions):
            for j, other in enumerate(others):
                there = second.positions[place[int(other)]]
                length = first.lengths[i, j]
                cost = _carried(units[others], units[there])
                edges[i, j] = 1 - cost / length if length > 0 else np.nan
            bar.advance()
    known = np.isfinite(edges)
    counts = np.maximum(known.sum(axis=1), 1)
    of_rows = np.where(known, edges, 0.0).sum(axis=1) / counts
    half = Z95 * float(of_rows.std()) / np.sqrt(len(of_rows))
    mean = float(of_rows.mean())
    return Curvature(
        mean=mean,
        low=mean - half,
        high=mean + half,
        bridges=float((edges[known] < 0).mean()) if known.any() else 0.0,
        edges=edges,
        of_rows=of_rows,
        rows=at,
        k=k,
    )


def compare_curvature(X: Any, Y: Any, k: int = 10, **options: Any) -> Estimate:
    """Correlate the curvature around the same items in two spaces.

    Parameters
    ----------
    X, Y : array-like of shape (n, dim_x), (n, dim_y)
        Row i of both is the same item.
    k : int, default=10
    **options
        As `ricci`.

    Returns
    -------
    Estimate
        Spearman's correlation over the measured items.

    Raises
    ------
    ShapeError, ParameterError
        As `ricci`; other numbers of rows.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((100, 5))
    >>> round(compare_curvature(X, 2 * X, k=5).value, 6)
    1.0
    """
    first, second = ricci(X, k, **options), ricci(Y, k, **options)
    if not np.array_equal(first.rows, second.rows):
        raise ShapeError("X and Y must hold the same items; got other numbers of rows.")
    return correlation(first.of_rows, second.of_rows, name="curvature")


def _carried(a: Doubles, b: Doubles) -> float:
    from scipy.optimize import linear_sum_assignment

    gaps = np.linalg.norm(a[:, None] - b[None], axis=2)
    rows, columns = linear_sum_assignment(gaps)
    return float(gaps[rows, columns].mean())
