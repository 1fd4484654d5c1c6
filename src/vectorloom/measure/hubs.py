# SPDX-License-Identifier: Apache-2.0
"""Hubness: whether few rows crowd the answers.

N_k(x) is how many rows have x among their k nearest. Its mean is k whatever the data;
hubness is its skewness,

    S = E[(N_k - k)^3] / E[(N_k - k)^2]^{3/2},

near 0 for data of few dimensions and above 1 where some rows are in very many answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.result import Result
from vectorloom.measure.rows import N_GROUPS, Z95, sampled, unit_rows
from vectorloom.select.neighbours import nearest_rows, nearest_to
from vectorloom.vectors import as_dense


def k_occurrence(neighbours: Any, n: int) -> NDArray[np.int64]:
    """Return how often each of `n` rows is a neighbour.

    Parameters
    ----------
    neighbours : array-like of shape (n_queries, k), int
        Positions of neighbours; negative places are padding.
    n : int
        Rows.

    Returns
    -------
    ndarray of shape (n,), int64

    Examples
    --------
    >>> k_occurrence([[1], [0], [1]], 3)
    array([1, 2, 0])
    """
    n = check_count("n", n)
    places = np.asarray(neighbours)
    if places.dtype.kind not in "iu" or (places.size and int(places.max()) >= n):
        raise ParameterError(
            f"neighbours must be positions below n={n}; got {places.dtype} up to "
            f"{places.max() if places.size else 'nothing'}."
        )
    return np.bincount(places[places >= 0].ravel(), minlength=n).astype(np.int64)


def skewness(occurrences: Any) -> float:
    """Return the skewness of k-occurrences.

    Parameters
    ----------
    occurrences : array-like of shape (n,)
        From `k_occurrence`.

    Returns
    -------
    float
        0 where all are equal.

    Notes
    -----
    Of a sample of the rows it is lower than of all of them, since hubs gather more the more rows
    there are; compare numbers of samples of one size.

    References
    ----------
    .. [1] M. Radovanovic, A. Nanopoulos and M. Ivanovic, "Hubs in space: popular nearest neighbors
       in high-dimensional data", JMLR 11 (2010).

    Examples
    --------
    >>> skewness([1, 1, 1, 1])
    0.0
    >>> round(skewness([0, 0, 0, 4]), 4)
    1.1547
    """
    counts = np.asarray(occurrences, dtype=np.float64)
    if counts.ndim != 1 or len(counts) == 0:
        raise ParameterError(f"occurrences must be 1-d and not empty; got shape {counts.shape}.")
    off = counts - counts.mean()
    spread = float(np.mean(off**2))
    return float(np.mean(off**3)) / spread**1.5 if spread > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Hubness(Result):
    """How unevenly rows are the neighbours of others; ``print`` it.

    Attributes
    ----------
    skewness : float
        Of the k-occurrences; see `skewness`.
    low, high : float
        Ends of its 95 % interval over the draw of rows, by the jackknife; NaN below 100 rows.
    antihub_share : float
        Share of rows that are nobody's neighbour.
    hub_share : float
        Share of rows with more than 2k occurrences.
    hub_occupancy : float
        Share of all places in neighbour lists that such rows hold.
    robin_hood : float
        Share of places that would have to go from rows above k to rows below for all to have k.
    gini : float
        Gini coefficient of the occurrences: 0 where all are equal.
    largest : int
        Occurrences of the largest hub.
    occurrences : ndarray of shape (n,), int64
        How often each of `rows` is among the k nearest.
    rows : ndarray of shape (n,), int64
        Positions of the rows measured.
    k : int
    """

    skewness: float
    low: float
    high: float
    antihub_share: float
    hub_share: float
    hub_occupancy: float
    robin_hood: float
    gini: float
    largest: int
    occurrences: NDArray[np.int64]
    rows: NDArray[np.int64]
    k: int

    def plot(self) -> Chart:
        """Draw how many rows are how often a neighbour.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import distribution_chart

        return distribution_chart(
            f"How often a row is among the {self.k} nearest",
            [("rows", self.occurrences)],
            x_label="lists of neighbours that a row is in",
            guide=(2.0 * self.k, "hubs"),
        )

    def __str__(self) -> str:
        return "\n".join(
            [
                f"skewness of {self.k}-occurrence  {self.skewness:.3f}  "
                f"[{self.low:.3f}, {self.high:.3f}]",
                f"never a neighbour         {self.antihub_share:.1%} of the rows",
                f"hubs (above {2 * self.k})            {self.hub_share:.1%} of the rows, in "
                f"{self.hub_occupancy:.1%} of all places; the largest in {self.largest}",
                f"Robin Hood index          {self.robin_hood:.3f}  (Gini {self.gini:.3f})",
                f"among {len(self.rows):,} rows",
            ]
        )


def hubness(
    X: Any,
    k: int = 10,
    *,
    metric: str = "cosine",
    queries: Any = None,
    sample: int | None = 20_000,
    exact: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Hubness:
    """Measure how unevenly rows are the neighbours of others.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 2
    k : int, default=10
        Neighbours of each row (or query); n - 1 at most.
    metric : {"cosine", "l2", "ip"}, default="cosine"
    queries : array-like of shape (n_queries, dim) or None, default=None
        Whose neighbours are counted; None takes the rows themselves, each without itself.
    sample : int or None, default=20000
        Rows that are drawn where there are more, and measured among themselves.
    exact : bool, default=False
        Takes all rows.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    Hubness

    Raises
    ------
    ShapeError, ParameterError
        One row; NaN; zero rows under cosine; rows that are all equal; queries of another dimension.

    Notes
    -----
    Cost: sample**2 * dim. Hubs gather more the more rows there are, so numbers of samples are those
    of sets of that size: compare like with like. Ties between equal distances go to the row that
    comes first, which makes copies uneven.

    References
    ----------
    .. [1] M. Radovanović, A. Nanopoulos and M. Ivanović, "Hubs in space", JMLR 11 (2010).
    .. [2] R. Feldbauer et al., "Fast approximate hubness reduction for large high-dimensional
       data", ICBK 2018 (Robin Hood index).

    Examples
    --------
    Gaussian rows have hubs where there are many dimensions:

    >>> rng = np.random.default_rng(0)
    >>> few, many = (hubness(rng.standard_normal((1000, dim)), metric="l2") for dim in (3, 100))
    >>> few.skewness < 0.5 < 2 < many.skewness
    True
    """
    k = check_count("k", k)
    check_choice("metric", metric, ("cosine", "l2", "ip"))
    n_jobs = check_jobs(n_jobs)
    rows = as_dense(X)
    if len(rows) < 2:
        raise ShapeError("hubness needs at least two rows; X has one.")
    asked = None if queries is None else as_dense(queries, name="queries", dim=rows.shape[1])
    at = sampled(len(rows), sample, random_state, exact=exact)
    part = rows if len(at) == len(rows) else np.ascontiguousarray(rows[at])
    if metric == "cosine":
        part = unit_rows(part)
        asked = None if asked is None else unit_rows(asked, "queries")
    if (part == part[0]).all():
        raise ParameterError("all rows of X are equal; which of them are neighbours says nothing.")
    if asked is None:
        k = min(k, len(part) - 1)
        found = nearest_rows(part, k, metric=metric, n_jobs=n_jobs)[0]
    else:
        k = min(k, len(part))
        found = nearest_to(asked, part, k, metric=metric, n_jobs=n_jobs)[0]
    return hubness_of(k_occurrence(found, len(part)), k, at)


def hubness_of(
    occurrences: NDArray[np.int64], k: int, rows: NDArray[np.int64] | None = None
) -> Hubness:
    """Return all measures of given occurrences, of any neighbour lists.

    Parameters
    ----------
    occurrences : ndarray of shape (n,), int64
        From `k_occurrence`.
    k : int
        The mean below which an occurrence is small: neighbours of each row.
    rows : ndarray of shape (n,), int64, or None
        Which rows they are; None: 0, 1, ….

    Returns
    -------
    Hubness

    Examples
    --------
    >>> found = hubness_of(np.array([0, 0, 0, 4]), 1)
    >>> found.antihub_share, found.hub_occupancy, found.robin_hood, found.gini
    (0.75, 1.0, 0.75, 0.75)
    """
    n, total = len(occurrences), max(int(occurrences.sum()), 1)
    value = skewness(occurrences)
    error = _jackknife_error(occurrences)
    hubs = occurrences > 2 * k
    ranks = np.arange(1, n + 1)
    gini = float(2 * (ranks @ np.sort(occurrences)) / (n * total) - (n + 1) / n)
    return Hubness(
        skewness=value,
        low=value - Z95 * error,
        high=value + Z95 * error,
        antihub_share=float((occurrences == 0).mean()),
        hub_share=float(hubs.mean()),
        hub_occupancy=float(occurrences[hubs].sum()) / total,
        robin_hood=float(np.abs(occurrences - occurrences.mean()).sum()) / (2 * total),
        gini=gini,
        largest=int(occurrences.max()),
        occurrences=occurrences,
        rows=np.arange(n) if rows is None else rows,
        k=k,
    )


def _jackknife_error(occurrences: NDArray[np.int64]) -> float:
    if len(occurrences) < 10 * N_GROUPS:
        return float("nan")
    keep = [np.arange(len(occurrences)) % N_GROUPS != i for i in range(N_GROUPS)]
    without = np.array([skewness(occurrences[mask]) for mask in keep])
    return float(np.sqrt((N_GROUPS - 1) * np.mean((without - without.mean()) ** 2)))
