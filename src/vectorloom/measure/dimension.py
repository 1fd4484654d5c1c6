# SPDX-License-Identifier: Apache-2.0
"""Intrinsic dimension: how many numbers would tell the vectors apart, globally and around each row.

Let T_1 <= … <= T_k be the distances of a row to its k nearest others.

    mle     m(x) = (k - 1) / sum_{j<k} log(T_k / T_j);   m = 1 / mean(1 / m(x))
    mom     m(x) = a / (T_k - a), a the mean of T_1 … T_k;   m = mean
    mada    m(x) = log 2 / log(T_k / T_{k/2});   m = mean
    lpca    m(x) = directions of the neighbours with variance above 5 % of the largest;   m = mean
    twonn   log(T_2 / T_1) is exponential with rate m: the slope of -log(1 - F) through 0, the
            largest tenth left out
    knn     the total length of the neighbour graph of p rows grows as p^{1 - 1/m}: the slope over p
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.intrinsic import local_dimension, mean_dimension
from vectorloom.measure.result import Result
from vectorloom.measure.rows import Z95, as_lengths, sampled, unit_rows
from vectorloom.select.neighbours import nearest_others, nearest_rows
from vectorloom.vectors import as_dense

Doubles = NDArray[np.float64]

#: Method -> neighbours it takes unless told, as the papers and other libraries do.
METHODS = {"mle": 20, "mom": 20, "mada": 20, "lpca": 100, "twonn": 2, "knn": 5}
_GLOBAL = ("twonn", "knn")
_LPCA_SHARE = 0.05
_TWONN_LEFT_OUT = 0.1
_GRAPH_ROWS = 4000  # of which graphs are built by "knn": the work is the square
_GRAPH_SIZES = 6
_GRAPH_DRAWS = 4
_BLOCK = 256


@dataclass(frozen=True, eq=False)
class Dimension(Result):
    """An estimate of intrinsic dimension; ``float(result)`` is its value.

    Attributes
    ----------
    value : float
        Of the whole set.
    low, high : float
        Its 95 % interval over the draw of rows; what a method gets wrong is not in it.
    method : str
    k : int
        Neighbours.
    local : ndarray of shape (n_measured,), float64, or None
        Around each measured row; None for methods that have no local value. NaN or +inf where all
        neighbours are copies or equally far.
    rows : ndarray of shape (n_measured,), int64
        Positions of the measured rows.
    n_copies : int
        Measured rows whose nearest row is a copy; what copies hide is left out.
    """

    value: float
    low: float
    high: float
    method: str
    k: int
    local: Doubles | None
    rows: NDArray[np.int64]
    n_copies: int

    def __float__(self) -> float:
        return self.value

    def plot(self) -> Chart:
        """Draw the local values; for methods without, the value alone.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart, distribution_chart

        if self.local is None:
            bars = [Bar(self.method, self.value, self.low, self.high)]
            return bar_chart("Intrinsic dimension", bars, x_label="dimension", digits=1)
        return distribution_chart(
            "Local intrinsic dimension",
            [("rows", self.local)],
            x_label=f"dimension around a row, from {self.k} neighbours",
            guide=(self.value, f"{self.value:.1f}"),
        )

    def __str__(self) -> str:
        copies = f"; {self.n_copies} have copies" if self.n_copies else ""
        return (
            f"intrinsic dimension {self.value:.2f} [{self.low:.2f}, {self.high:.2f}] by "
            f"{self.method}, k={self.k}, at {len(self.rows):,} rows{copies}"
        )


def intrinsic_dimension(
    X: Any,
    method: str = "mle",
    *,
    k: int | None = None,
    metric: str = "l2",
    sample: int | None = 2000,
    exact: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Dimension:
    """Estimate the intrinsic dimension of a set of vectors, globally and around rows.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 4
    method : {"mle", "mom", "mada", "lpca", "twonn", "knn"}, default="mle"
        Which estimator; formulas are in the module. ``"twonn"`` and ``"knn"`` are global only.
    k : int or None, default=None
        Neighbours: 20; 100 for lpca, 2 for twonn (always), 5 for knn. Fewer where there are fewer
        rows.
    metric : {"l2", "cosine"}, default="l2"
        ``"cosine"`` measures directions: rows are brought to length 1.
    sample : int or None, default=2000
        Rows at which it is measured; their neighbours are sought among all rows.
    exact : bool, default=False
        Measures at every row.
    random_state : int, default=0
        Of the sample, and of the graphs of ``"knn"``.
    n_jobs : int or None, default=None

    Returns
    -------
    Dimension

    Raises
    ------
    ShapeError
        Fewer than 4 rows.
    ParameterError
        NaN, an unknown method or metric, zero rows under cosine, or nothing but copies.

    Notes
    -----
    Cost: sample * n * dim for the neighbours; lpca adds sample * k**2 * dim, knn is of at most
    4,000 rows. The same bits at any `n_jobs`.

    All estimators fall short in high dimensions, where no sample is dense enough: of 5,000 rows
    evenly in a cube of 20 dimensions they say 15 to 17 (lpca 20), of 100 they say 45 to 55 (lpca
    72). Read the numbers as an order between data sets of about as
    many rows, and prefer two methods that agree. twonn looks at the smallest scale and takes noise
    and near-copies for dimension; lpca at the largest and takes curvature for it.

    References
    ----------
    .. [1] E. Levina and P. Bickel, NIPS 2004; D. MacKay and Z. Ghahramani, 2005 (mle).
    .. [2] L. Amsaleg et al., "Estimating local intrinsic dimensionality", KDD 2015 (mom).
    .. [3] A. Farahmand, C. Szepesvári and J. Audibert, "Manifold-adaptive dimension estimation",
       ICML 2007 (mada).
    .. [4] K. Fukunaga and D. Olsen, "An algorithm for finding intrinsic dimensionality of data",
       IEEE Trans. Computers 1971 (lpca).
    .. [5] E. Facco et al., "Estimating the intrinsic dimension of datasets by a minimal
       neighborhood information", Scientific Reports 2017 (twonn).
    .. [6] J. Costa and A. Hero, "Geodesic entropic graphs for dimension and entropy estimation in
       manifold learning", IEEE Trans. Signal Processing 2004 (knn).

    Examples
    --------
    A sheet in 50 dimensions:

    >>> rng = np.random.default_rng(0)
    >>> sheet = rng.random((2000, 2)) @ rng.standard_normal((2, 50))
    >>> found = intrinsic_dimension(sheet, "twonn")
    >>> 1.8 < found.value < 2.2
    True
    """
    check_choice("method", method, METHODS)
    check_choice("metric", metric, ("l2", "cosine"))
    rows = as_dense(X)
    n_jobs = check_jobs(n_jobs)
    n = len(rows)
    if n < 4:
        raise ShapeError(f"X has {n} rows; an intrinsic dimension needs at least 4.")
    if metric == "cosine":
        rows = unit_rows(rows)
    k = METHODS[method] if k is None else check_count("k", k, at_least=2)
    k = min(2 if method == "twonn" else k, n - 1)
    if method == "knn":
        return _graph_growth(rows, k, random_state, n_jobs)
    at = sampled(n, sample, random_state, exact=exact)
    found, scores = nearest_others(rows, at, k, n_jobs=n_jobs)
    local = _lpca(rows, found) if method == "lpca" else None
    return dimension_of(as_lengths(scores), at, method, local=local)


def dimension_of(
    lengths: Doubles, rows: NDArray[np.int64], method: str = "mle", *, local: Doubles | None = None
) -> Dimension:
    """Return the estimate from distances that are known.

    Parameters
    ----------
    lengths : ndarray of shape (m, k), float64
        Distances of each measured row to its k nearest others, ascending.
    rows : ndarray of shape (m,), int64
        Positions of the measured rows.
    method : {"mle", "mom", "mada", "twonn", "lpca"}, default="mle"
    local : ndarray of shape (m,), float64, or None, default=None
        Local values where they are not of distances, as those of ``"lpca"``.

    Returns
    -------
    Dimension

    Raises
    ------
    ParameterError
        Nothing but copies.

    Examples
    --------
    >>> j = np.sqrt(np.arange(1.0, 21))[None, :]  # as in a plane
    >>> round(dimension_of(np.repeat(j, 5, axis=0), np.arange(5)).value, 1)
    2.2
    """
    if method == "twonn":
        value, error = _two_nearest(lengths)
    else:
        local = _from_distances(lengths, method) if local is None else local
        value, error = _average(local, method)
    return Dimension(
        value=value,
        low=max(0.0, value - Z95 * error),
        high=value + Z95 * error,
        method=method,
        k=lengths.shape[1],
        local=local,
        rows=rows,
        n_copies=int((lengths[:, 0] == 0).sum()),
    )


def _from_distances(lengths: Doubles, method: str) -> Doubles:
    if method == "mle":
        return local_dimension(lengths)
    k = lengths.shape[1]
    last = lengths[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        if method == "mada":
            return np.asarray(np.log(2) / np.log(last / lengths[:, k // 2 - 1]))
        used = lengths > 0
        mean = lengths.sum(axis=1) / used.sum(axis=1)
        return np.asarray(mean / (last - mean))


def _average(local: Doubles, method: str) -> tuple[float, float]:
    """Average local values, with the standard error of the average."""
    known = local[np.isfinite(local) & (local > 0)]
    if len(known) == 0:
        raise ParameterError(
            "X has no row with neighbours at different distances: its rows are copies, or a grid. "
            "Drop copies first, or take a larger k."
        )
    if method == "mle":  # 1 / m is what the estimate is unbiased for
        value = mean_dimension(known)
        spread = float(np.std(1.0 / known)) * value**2
    else:
        value, spread = float(known.mean()), float(known.std())
    return value, spread / np.sqrt(len(known))


def _lpca(rows: NDArray[np.float32], neighbours: NDArray[np.int64]) -> Doubles:
    """Count the directions of each neighbourhood whose variance is above a share of the largest."""
    m, k = neighbours.shape
    counts = np.empty(m)
    for start in range(0, m, _BLOCK):
        near = rows[neighbours[start : start + _BLOCK]].astype(np.float64)
        near -= near.mean(axis=1, keepdims=True)
        small = near if near.shape[2] < k else near.transpose(0, 2, 1)
        values = np.linalg.eigvalsh(small.transpose(0, 2, 1) @ small)
        counts[start : start + _BLOCK] = (values > _LPCA_SHARE * values[:, -1:]).sum(axis=1)
    return counts


def _two_nearest(lengths: Doubles) -> tuple[float, float]:
    first, second = lengths[:, 0], lengths[:, 1]
    logs = np.sort(np.log(second[first > 0] / first[first > 0]))
    n = len(logs)
    kept = int(n * (1 - _TWONN_LEFT_OUT))
    x = logs[:kept]
    if kept < 2 or not x.any():
        raise ParameterError(
            "X has too few rows whose two nearest are at different distances above 0. Drop copies "
            "first, or choose method='mle'."
        )
    y = -np.log1p(-np.arange(1, kept + 1) / n)
    value = float(x @ y / (x @ x))
    return value, value / np.sqrt(kept)


def _graph_growth(
    rows: NDArray[np.float32], k: int, random_state: int, n_jobs: int | None
) -> Dimension:
    """Fit the growth of the neighbour graph's total length over the number of rows."""
    n = min(len(rows), _GRAPH_ROWS)
    at = sampled(len(rows), n, random_state)
    rng = np.random.default_rng(random_state)
    sizes = np.unique(np.geomspace(max(n // 8, k + 2), n, _GRAPH_SIZES).astype(int))
    if len(sizes) < 2:
        raise ShapeError(f"X has {len(rows)} rows; method='knn' with k={k} needs more.")
    logs = np.empty((_GRAPH_DRAWS, len(sizes)))
    copies = 0
    for draw in range(_GRAPH_DRAWS):
        order = at[rng.permutation(n)]
        for column, size in enumerate(sizes):
            part = np.ascontiguousarray(rows[order[:size]])
            lengths = as_lengths(nearest_rows(part, min(k, size - 1), n_jobs=n_jobs)[1])
            copies = int((lengths[:, 0] == 0).sum())
            with np.errstate(divide="ignore"):
                logs[draw, column] = np.log(lengths.sum())
    if not np.isfinite(logs).all():
        raise ParameterError("X holds nothing but copies; they have no dimension.")
    x = np.log(sizes) - np.log(sizes).mean()
    slopes = logs @ x / (x @ x)
    slope = float(slopes.mean())
    if slope >= 1.0:
        raise ParameterError(
            "the neighbour graph grows faster than its rows: X is no sample of one density. Choose "
            "method='mle'."
        )
    value = 1.0 / (1.0 - slope)
    error = float(slopes.std(ddof=1)) / np.sqrt(_GRAPH_DRAWS) * value**2
    return Dimension(
        value, max(0.0, value - Z95 * error), value + Z95 * error, "knn", k, None, at, copies
    )
