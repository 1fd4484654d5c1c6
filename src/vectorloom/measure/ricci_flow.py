# SPDX-License-Identifier: Apache-2.0
"""Communities by Ricci flow: bridges of the neighbour graph grow until they can be cut.

Each edge of the (symmetric) graph of k nearest has a length w, at first its distance. In turns,

    kappa(x, y) = 1 - W1(m_x, m_y) / d(x, y)
    w(x, y) <- d(x, y) (1 - kappa(x, y)) = W1(m_x, m_y)

with d the shortest paths by w, m_x half on x and half even on its neighbours; then lengths are
brought to their first sum. Inside a group they shrink, between groups they grow. Edges longer than
a cut are dropped, at the cut whose components have the largest modularity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import CapacityError, ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.nearby import nearby
from vectorloom.measure.result import Result
from vectorloom.progress import progress
from vectorloom.vectors import as_dense

Doubles = NDArray[np.float64]
Positions = NDArray[np.int64]

_MOST = 2000  # rows: all shortest paths are held
_CUTS = 30


@dataclass(frozen=True, eq=False)
class Communities(Result):
    """Groups of rows.

    Attributes
    ----------
    labels : ndarray of shape (n,), int64
        Of each row, the largest group first.
    modularity : float
        Of the groups, in the graph before the flow; above about 0.3 groups are real.
    edges : ndarray of shape (e, 2), int64
    lengths : ndarray of shape (e,), float64
        After the flow.
    cut : float
        Edges that are longer were dropped.
    """

    labels: Positions
    modularity: float
    edges: Positions
    lengths: Doubles
    cut: float

    def __str__(self) -> str:
        sizes = np.bincount(self.labels)
        told = ", ".join(map(str, sizes[:8])) + (", …" if len(sizes) > 8 else "")
        return f"{len(sizes)} groups of {told} rows, modularity {self.modularity:.3f}"

    def plot(self) -> Chart:
        """Draw the lengths of edges after the flow, and the cut.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import distribution_chart

        return distribution_chart(
            "Edges after Ricci flow",
            [("edges", self.lengths)],
            x_label="length",
            guide=(self.cut, "cut"),
        )


def ricci_communities(
    X: Any,
    k: int = 8,
    *,
    iterations: int = 8,
    metric: str = "cosine",
    n_jobs: int | None = None,
) -> Communities:
    """Group rows by discrete Ricci flow on the neighbour graph.

    Parameters
    ----------
    X : array-like of shape (n, dim), k < n <= 2000
    k : int, default=8
    iterations : int, default=8
    metric : {"cosine", "l2"}, default="cosine"
    n_jobs : int or None, default=None

    Returns
    -------
    Communities

    Raises
    ------
    CapacityError
        More than 2,000 rows; take a sample.
    ShapeError, ParameterError
        k rows or fewer; zero rows under cosine; NaN.

    Notes
    -----
    For pictures of small sets, and to compare models on the same items; k-means is faster where
    groups are round. Cost: iterations * (n**2 * log(n) + n * k * k**3).

    References
    ----------
    .. [1] C. Ni et al., "Community detection on networks with Ricci flow", Scientific Reports 9
       (2019).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.repeat([[0.0, 0.0], [6.0, 0.0]], 40, axis=0) + rng.standard_normal((80, 2))
    >>> found = ricci_communities(X, 6, metric="l2")
    >>> len(set(found.labels[:40]) & set(found.labels[40:]))
    0
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import shortest_path

    check_choice("metric", metric, ("cosine", "l2"))
    rows = as_dense(X)
    k, iterations = check_count("k", k), check_count("iterations", iterations)
    n = len(rows)
    if n > _MOST:
        raise CapacityError(f"X has {n:,} rows; Ricci flow takes {_MOST:,}. Pass a sample.")
    if n <= k:
        raise ShapeError(f"X has {n} rows; a graph with k={k} needs more.")
    found = nearby(rows, np.arange(n), k, metric=metric, n_jobs=check_jobs(n_jobs))
    edges, lengths = _edges(found.positions, found.lengths)
    near = _neighbour_lists(edges, n)
    first = float(lengths.sum())
    with progress("Ricci flow", total=iterations, unit="turns") as bar:
        for _ in range(iterations):
            table = coo_array((lengths, (edges[:, 0], edges[:, 1])), shape=(n, n)).tocsr()
            paths = np.asarray(shortest_path(table, directed=False))
            lengths = np.array([_moved(paths, near, x, y) for x, y in edges])
            lengths = np.maximum(lengths, 1e-9 * first) * (first / lengths.sum())
            bar.advance()
    labels, modularity, cut = _best_cut(edges, lengths, n)
    return Communities(labels, modularity, edges, lengths, cut)


def _edges(positions: Positions, lengths: Doubles) -> tuple[Positions, Doubles]:
    n, k = positions.shape
    pairs = np.stack([np.repeat(np.arange(n), k), positions.ravel()], axis=1)
    edges, at = np.unique(np.sort(pairs, axis=1), axis=0, return_index=True)
    kept = lengths.ravel()[at]
    smallest = float(kept[kept > 0].min()) if (kept > 0).any() else 1.0
    return edges, np.maximum(kept, 1e-6 * smallest)  # an edge of length 0 would be no edge


def _neighbour_lists(edges: Positions, n: int) -> list[Positions]:
    both = np.concatenate([edges, edges[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    bounds = np.searchsorted(both[:, 0], np.arange(n + 1))
    return [both[bounds[i] : bounds[i + 1], 1] for i in range(n)]


def _moved(paths: Doubles, near: list[Positions], x: int, y: int) -> float:
    """Return the least cost of carrying m_x into m_y, by an assignment of equal places.

    As many places are on a row as on its neighbours together: half of the mass each.
    """
    from scipy.optimize import linear_sum_assignment

    a, b = near[x], near[y]
    size = int(np.lcm(len(a), len(b))) if len(a) != len(b) else len(a)
    if size > 4 * max(len(a), len(b)):  # shares are rounded: a plan of few places is enough
        size = 4 * max(len(a), len(b))
    heads = np.concatenate([a[np.arange(size) * len(a) // size], np.full(size, x)])
    tails = np.concatenate([b[np.arange(size) * len(b) // size], np.full(size, y)])
    gaps = paths[np.ix_(heads, tails)]
    rows, columns = linear_sum_assignment(gaps)
    return float(gaps[rows, columns].mean())


def _best_cut(edges: Positions, lengths: Doubles, n: int) -> tuple[Positions, float, float]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    degrees = np.bincount(edges.ravel(), minlength=n)
    best = np.zeros(n, np.int64), -np.inf, float(lengths.max())
    for cut in np.quantile(lengths, np.linspace(1.0, 0.3, _CUTS)):
        kept = edges[lengths <= cut]
        table = coo_array((np.ones(len(kept)), (kept[:, 0], kept[:, 1])), shape=(n, n))
        labels = np.asarray(connected_components(table, directed=False)[1], np.int64)
        inside = (labels[edges[:, 0]] == labels[edges[:, 1]]).sum() / len(edges)
        shares = np.bincount(labels, degrees) / degrees.sum()
        modularity = float(inside - (shares**2).sum())
        if modularity > best[1] + 1e-12:
            best = labels, modularity, float(cut)
    order = np.argsort(-np.bincount(best[0]), kind="stable")
    return np.argsort(order, kind="stable")[best[0]], best[1], best[2]
