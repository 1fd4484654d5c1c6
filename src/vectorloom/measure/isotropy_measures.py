# SPDX-License-Identifier: Apache-2.0
"""The other measures of isotropy, which say other things than their names do.

average cosine     mean of cos(x_i, x_j) over pairs i != j = (||sum u||^2 - n) / (n (n - 1))
partition ratio    min_c Z(c) / max_c Z(c), Z(c) = sum_i exp(<c, x_i>), c = +- eigenvectors of X^T X
explained share    (lambda_1 + … + lambda_k) / sum lambda
effective rank     exp of the entropy of lambda / sum lambda
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.estimator import check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.iso_score import participation_ratio, score_of
from vectorloom.measure.result import Result
from vectorloom.measure.rows import Z95, grouped_moments, sampled, unit_rows
from vectorloom.vectors import as_dense

_BLOCK = 4096  # rows multiplied at once


@dataclass(frozen=True, eq=False)
class Isotropy(Result):
    """Measures of how evenly vectors use their space; ``print`` it.

    Attributes
    ----------
    isoscore : float
        See `vectorloom.measure.isoscore`; the one that measures evenness.
    isoscore_low, isoscore_high : float
        Ends of its 95 % interval by the jackknife; NaN below 100 rows.
    dimensions_used : float
        isoscore * (dim - 1) + 1: how many equal dimensions would have the same score.
    effective_rank : float
        Exponential of the entropy of the variances; heeds small ones more.
    average_cosine : float
        Of pairs of rows as they are: large where the mean is far from 0.
    average_cosine_centred : float
        After the mean was taken off: about 0 always, whatever the evenness.
    mean_share : float
        Squared length of the mean over the mean squared length: 1 where all rows are the mean.
    partition_ratio : float
        See `vectorloom.measure.partition_ratio`.
    explained : dict of int to float
        Share of the variance in the first 1, 10, … directions.
    directions_90 : int
        Directions that hold 90 % of the variance.
    spectrum : ndarray of shape (dim,), float64
        Share of the variance in the first 1, 2, … directions.
    n_rows, n_sampled, dim : int
    """

    isoscore: float
    isoscore_low: float
    isoscore_high: float
    dimensions_used: float
    effective_rank: float
    average_cosine: float
    average_cosine_centred: float
    mean_share: float
    partition_ratio: float
    explained: dict[int, float]
    directions_90: int
    spectrum: NDArray[np.float64]
    n_rows: int
    n_sampled: int
    dim: int

    def plot(self) -> Chart:
        """Draw the share of the variance in the first directions, beside an even spread.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Line, line_chart

        count = np.arange(1, self.dim + 1)
        step = max(1, self.dim // 200)
        at = np.unique(np.append(np.arange(0, self.dim, step), self.dim - 1))
        return line_chart(
            "Variance in the first directions",
            [
                Line("these vectors", count[at].tolist(), self.spectrum[at].tolist()),
                Line("evenly spread", [1, self.dim], [1 / self.dim, 1.0]),
            ],
            x_label="directions",
            y_range=(0.0, 1.0),
            guide=0.9,
        )

    def __str__(self) -> str:
        explained = ", ".join(f"{k}: {share:.3f}" for k, share in self.explained.items())
        return "\n".join(
            [
                f"IsoScore                {self.isoscore:.4f}  "
                f"[{self.isoscore_low:.4f}, {self.isoscore_high:.4f}]",
                f"dimensions in use       {self.dimensions_used:.1f} of {self.dim}",
                f"effective rank          {self.effective_rank:.1f}",
                f"average cosine          {self.average_cosine:.4f} "
                f"(centred {self.average_cosine_centred:.4f})",
                f"share of the mean       {self.mean_share:.4f}",
                f"partition ratio         {self.partition_ratio:.4f}",
                f"variance in the first   {explained}; 90 % in {self.directions_90}",
                f"from {self.n_sampled:,} of {self.n_rows:,} rows",
            ]
        )


def isotropy(
    X: Any,
    *,
    sample: int | None = 100_000,
    exact: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Isotropy:
    """Measure isotropy in every common way at once.

    Parameters
    ----------
    X : array-like of shape (n, dim), dim >= 2
    sample : int or None, default=100000
        Rows that are drawn where there are more.
    exact : bool, default=False
        Takes all rows.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    Isotropy

    Raises
    ------
    ShapeError, ParameterError
        One dimension or one row; NaN, zero rows, or rows that are all equal.

    Notes
    -----
    Cost: n * dim**2, and eleven passes over dim x dim matrices.

    Examples
    --------
    A ball that is moved is as even as before; its average cosine is not:

    >>> ball = np.random.default_rng(0).standard_normal((5000, 8))
    >>> here, there = isotropy(ball), isotropy(ball + 5.0)
    >>> abs(here.isoscore - there.isoscore) < 1e-6
    True
    >>> abs(here.average_cosine) < 0.01, there.average_cosine > 0.9
    (True, True)
    """
    rows = as_dense(X)
    n_jobs = check_jobs(n_jobs)
    n, dim = rows.shape
    if dim < 2 or n < 2:
        raise ShapeError(f"isotropy needs two rows and two columns; got shape {rows.shape}.")
    if not (exact or sample is None or sample >= n):
        rows = np.ascontiguousarray(rows[sampled(n, sample, random_state)])
    moments = grouped_moments(rows, n_jobs)
    mean, covariance = moments.of(slice(None))
    score, error = moments.jackknife(lambda _, spread: np.array(score_of(spread)))
    low, high = (float(np.clip(score + z * error, 0.0, 1.0)) for z in (-Z95, Z95))
    values = _variances(covariance)
    shares = np.cumsum(values) / values.sum()
    raw = float(np.einsum("ij,ij->", rows, rows, dtype=np.float64)) / len(rows)
    centred = rows - mean.astype(np.float32)
    moving = np.einsum("ij,ij->i", centred, centred) > 0  # a row that is the mean has no direction
    return Isotropy(
        isoscore=float(score),
        isoscore_low=low,
        isoscore_high=high,
        dimensions_used=participation_ratio(covariance),
        effective_rank=_entropy_rank(values),
        average_cosine=average_cosine(rows),
        average_cosine_centred=average_cosine(centred[moving]),
        mean_share=float(mean @ mean) / raw,
        partition_ratio=partition_ratio(rows, n_jobs=n_jobs),
        explained={k: float(shares[k - 1]) for k in (1, 10, 100, 1000) if k < dim},
        directions_90=int(np.searchsorted(shares, 0.9)) + 1,
        spectrum=shares,
        n_rows=n,
        n_sampled=len(rows),
        dim=dim,
    )


def average_cosine(X: Any) -> float:
    """Return the mean cosine of all pairs of different rows, exactly.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 2

    Returns
    -------
    float
        In [-1 / (n - 1), 1].

    Raises
    ------
    ShapeError, ParameterError
        One row; zero rows, NaN.

    Notes
    -----
    Cost: n * dim, not n**2: the sum over pairs is the squared length of the sum of unit vectors.
    It measures how far the mean is from 0, and no evenness: a thin rod through 0 has 0, a ball away
    from 0 has nearly 1 [1]_.

    References
    ----------
    .. [1] W. Rudman et al., "IsoScore", Findings of ACL 2022. Used so since K. Ethayarajh, "How
       contextual are contextualized word representations?", EMNLP 2019.

    Examples
    --------
    >>> average_cosine([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    0.333...
    """
    units = unit_rows(as_dense(X))
    n = len(units)
    if n < 2:
        raise ShapeError("an average over pairs needs two rows; X has one.")
    total = units.sum(axis=0, dtype=np.float64)
    lengths = float(np.einsum("ij,ij->", units, units, dtype=np.float64))
    return float((total @ total - lengths) / (n * (n - 1)))


def partition_ratio(X: Any, *, n_jobs: int | None = None) -> float:
    """Return the least over the largest partition function along the principal directions.

    Parameters
    ----------
    X : array-like of shape (n, dim)
    n_jobs : int or None, default=None

    Returns
    -------
    float
        In (0, 1]; 1 where the sum of exp(<c, x>) is the same in all directions c tried.

    Raises
    ------
    ShapeError, ParameterError
        Not a finite matrix.

    Notes
    -----
    Directions are the eigenvectors of X^T X and their negatives: an eigenvector has no sign, and
    with one chosen by chance the number would be chance. It depends on the scale of the vectors
    (short vectors have 1 whatever their directions): compare only vectors of one scale.
    Cost: n * dim**2.

    References
    ----------
    .. [1] S. Arora et al., "A latent variable model approach to PMI-based word embeddings", TACL
       2016; J. Mu and P. Viswanath, "All-but-the-top", ICLR 2018.

    Examples
    --------
    >>> round(partition_ratio([[1.0, 0.0], [-1.0, 0.0]]), 4)
    0.6481
    """
    rows = as_dense(X)
    moments = grouped_moments(rows, check_jobs(n_jobs))
    mean, covariance = moments.of(slice(None))
    second = covariance * max(len(rows) - 1, 1) + len(rows) * np.outer(mean, mean)
    directions = np.linalg.eigh(second)[1].astype(np.float32)
    largest = np.full(2 * len(second), -np.inf)
    sums = np.zeros(2 * len(second))
    for start in range(0, len(rows), _BLOCK):
        along = np.asarray(rows[start : start + _BLOCK] @ directions, np.float64)
        both = np.concatenate([along, -along], axis=1)
        top = np.maximum(largest, both.max(axis=0))
        sums = sums * np.exp(largest - top) + np.exp(both - top).sum(axis=0)
        largest = top
    logs = largest + np.log(sums)
    return float(np.exp(logs.min() - logs.max()))


def effective_rank(X: Any, *, n_jobs: int | None = None) -> float:
    """Return the exponential of the entropy of the variances along principal directions.

    Parameters
    ----------
    X : array-like of shape (n, dim)
    n_jobs : int or None, default=None

    Returns
    -------
    float
        In [1, min(n - 1, dim)].

    Raises
    ------
    ShapeError, ParameterError
        Not a finite matrix, or all rows equal.

    Notes
    -----
    Of singular values s of the centred rows; shares are s^2 / sum s^2, that is, of the variance.
    (The original takes s / sum s, which counts weak directions for more.) Cost: n * dim**2.

    References
    ----------
    .. [1] O. Roy and M. Vetterli, "The effective rank: a measure of effective dimensionality",
       EUSIPCO 2007.

    Examples
    --------
    >>> round(effective_rank([[1, 1], [1, -1], [-1, 1], [-1, -1]]), 6)
    2.0
    """
    moments = grouped_moments(as_dense(X), check_jobs(n_jobs))
    covariance = moments.of(slice(None))[1]
    participation_ratio(covariance)  # refuses rows that are all equal
    return _entropy_rank(_variances(covariance))


def _variances(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.asarray(np.linalg.eigvalsh(covariance)[::-1], dtype=np.float64)
    return np.maximum(values, 0.0)


def _entropy_rank(values: NDArray[np.float64]) -> float:
    shares = values[values > 0] / values.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))
