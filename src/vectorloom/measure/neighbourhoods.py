# SPDX-License-Identifier: Apache-2.0
"""Whether two spaces give the same answers: shared neighbours, and their order.

Of one item let A and B be its k nearest in both spaces, C what they share, r and s the ranks.

    overlap   |C| / k                 Jaccard   |C| / |A or B|
    rank      sum_{c in C} 2 / ((1 + |r_c - s_c|) (r_c + s_c))  /  (1 + 1/2 + … + 1/|C|)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.result import Result
from vectorloom.measure.rows import Z95, sampled, unit_rows
from vectorloom.select.neighbours import nearest_others, nearest_to
from vectorloom.vectors import as_dense

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Agreement(Result):
    """How far two spaces agree about neighbours; ``float(result)`` is the overlap.

    Attributes
    ----------
    overlap : float
        Mean share of the k nearest that are the same.
    low, high : float
        Its 95 % interval over the draw of items.
    jaccard : float
        Mean of shared over all different neighbours.
    rank : float
        Mean agreement of the order of shared neighbours, 1 where it is the same; items that share
        none count 0.
    chance : float
        Overlap of unrelated spaces, k / n.
    per_item : ndarray of shape (n_items,), float64
        Overlap of each.
    items : ndarray of shape (n_items,), int64
        Positions of the rows, or queries, that were compared.
    k : int
    """

    overlap: float
    low: float
    high: float
    jaccard: float
    rank: float
    chance: float
    per_item: Doubles
    items: NDArray[np.int64]
    k: int

    def __float__(self) -> float:
        return self.overlap

    def plot(self) -> Chart:
        """Draw how the overlap is spread over items.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import distribution_chart

        return distribution_chart(
            f"Shared neighbours of {self.k}",
            [("items", self.per_item)],
            x_label="share that both spaces have",
            guide=(self.chance, "chance"),
        )

    def __str__(self) -> str:
        return (
            f"overlap@{self.k} {self.overlap:.3f} [{self.low:.3f}, {self.high:.3f}] (chance "
            f"{self.chance:.4f}), Jaccard {self.jaccard:.3f}, rank {self.rank:.3f}, "
            f"{len(self.items):,} items"
        )


def neighbour_overlap(
    X: Any,
    Y: Any,
    k: int = 10,
    *,
    queries: tuple[Any, Any] | None = None,
    metric: str = "cosine",
    sample: int | None = 2000,
    exact: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Agreement:
    """Compare the k nearest neighbours of items in two spaces.

    Parameters
    ----------
    X : array-like of shape (n, dim_x), n >= 2
    Y : array-like of shape (n, dim_y)
        Row i of both is the same item.
    k : int, default=10
        At most n - 1 (n for queries).
    queries : pair of array-like, of shapes (m, dim_x) and (m, dim_y), or None, default=None
        The same queries in both spaces, whose answers among the rows are compared. None compares
        the neighbours of the rows themselves.
    metric : {"cosine", "l2", "ip"}, default="cosine"
    sample : int or None, default=2000
        Items (rows or queries) that are drawn where there are more; their neighbours are sought
        among all rows.
    exact : bool, default=False
        Takes all items.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    Agreement

    Raises
    ------
    ShapeError, ParameterError
        Not as many rows or queries; NaN; zero rows under cosine.

    Notes
    -----
    Cost: sample * n * (dim_x + dim_y). At small k the numbers of single items vary much: give the
    interval. Where many rows are equally near, the first of them counts as nearer in both spaces.

    References
    ----------
    .. [1] L. Caspari et al., "Beyond benchmarks: evaluating embedding model similarity for
       retrieval augmented generation systems", 2024, arXiv:2407.08275 (Jaccard and rank similarity
       of answers).
    .. [2] C. Wang et al., "Towards understanding the instability of network embedding", TKDE 2020
       (rank similarity).

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((300, 8))
    >>> same = neighbour_overlap(X, 2 * X)
    >>> same.overlap, same.rank
    (1.0, 1.0)
    """
    k = check_count("k", k)
    check_choice("metric", metric, ("cosine", "l2", "ip"))
    n_jobs = check_jobs(n_jobs)
    spaces = [_ready(X, "X", metric), _ready(Y, "Y", metric)]
    n = len(spaces[0])
    if len(spaces[1]) != n or n < 2:
        raise ShapeError(
            f"X and Y must hold the same items, two at least; got {n} and {len(spaces[1])} rows."
        )
    if queries is None:
        k = min(k, n - 1)
        at = sampled(n, sample, random_state, exact=exact)
        found = [nearest_others(s, at, k, metric=metric, n_jobs=n_jobs)[0] for s in spaces]
    else:
        k = min(k, n)
        asked = [
            _ready(q, "queries", metric, s.shape[1]) for q, s in zip(queries, spaces, strict=True)
        ]
        if len(asked[0]) != len(asked[1]):
            raise ShapeError(
                f"queries must be the same in both spaces; got {len(asked[0])} and {len(asked[1])}."
            )
        at = sampled(len(asked[0]), sample, random_state, exact=exact)
        found = [
            nearest_to(np.ascontiguousarray(q[at]), s, k, metric=metric, n_jobs=n_jobs)[0]
            for q, s in zip(asked, spaces, strict=True)
        ]
    shared, rank = agreement_of(*found)
    overlap = shared / k
    error = float(overlap.std()) / np.sqrt(len(at))
    mean = float(overlap.mean())
    return Agreement(
        overlap=mean,
        low=max(0.0, mean - Z95 * error),
        high=min(1.0, mean + Z95 * error),
        jaccard=float((shared / (2 * k - shared)).mean()),
        rank=float(rank.mean()),
        chance=k / (n - (queries is None)),
        per_item=overlap,
        items=at,
        k=k,
    )


def agreement_of(
    first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Doubles]:
    """Return, of two neighbour lists each, how many are shared and how alike their ranks are.

    Parameters
    ----------
    first, second : ndarray of shape (m, k), int64
        Best first.

    Returns
    -------
    shared : ndarray of shape (m,), int64
    rank : ndarray of shape (m,), float64
        In [0, 1]; 0 where none is shared.

    Examples
    --------
    >>> shared, rank = agreement_of(np.array([[7, 8, 9]]), np.array([[7, 9, 5]]))
    >>> int(shared[0]), round(float(rank[0]), 4)
    (2, 0.8)
    """
    m, k = first.shape
    shared = np.zeros(m, np.int64)
    rank = np.zeros(m)
    for place in range(k):
        same = first == second[:, place : place + 1]
        at, where = np.nonzero(same)
        shared[at] += 1
        r, s = where + 1, place + 1
        rank[at] += 2.0 / ((1 + np.abs(r - s)) * (r + s))
    harmonic = np.concatenate([[1.0], np.cumsum(1.0 / np.arange(1, k + 1))])
    return shared, rank / harmonic[shared]


def _ready(X: Any, name: str, metric: str, dim: int | None = None) -> NDArray[np.float32]:
    rows = as_dense(X, name=name, dim=dim)
    return unit_rows(rows, name) if metric == "cosine" else rows
