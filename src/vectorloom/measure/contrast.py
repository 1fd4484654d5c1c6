# SPDX-License-Identifier: Apache-2.0
"""Structure: whether neighbours are nearer than chance, or the vectors look random.

The same number of rows is drawn from the normal distribution with the mean and covariance of the
vectors, which keeps every direction and forgets every topic. With d_k the distances to the k-th
nearest in both sets,

    contrast = median d_k(vectors) / median d_k(normal):

1 where nothing but the covariance makes neighbours, smaller the more there is to find.
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
from vectorloom.measure.rows import Z95, as_lengths, grouped_moments, sampled, unit_rows
from vectorloom.select.neighbours import nearest_rows
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

#: Contrast from which vectors look random.
RANDOM = 0.98
_FEWEST = 20
_RESAMPLES = 200


@dataclass(frozen=True, eq=False)
class Structure(Result):
    """How much nearer neighbours are than chance; ``float(result)`` is the contrast.

    Attributes
    ----------
    contrast : float
    low, high : float
        Its 95 % interval, by the bootstrap over rows of both sets.
    distances, chance : ndarray of shape (m,), float64
        To the k-th nearest: among the vectors, and among normal rows of their covariance.
    chance_nearest : ndarray of shape (m,), float64
        To the nearest, among normal rows.
    k, n_rows, n_measured : int
    """

    contrast: float
    low: float
    high: float
    distances: Doubles
    chance: Doubles
    chance_nearest: Doubles
    k: int
    n_rows: int
    n_measured: int

    def __float__(self) -> float:
        return self.contrast

    @property
    def is_random(self) -> bool:
        """Whether neighbours are hardly nearer than those of normal rows."""
        return self.low > RANDOM

    def __str__(self) -> str:
        return (
            f"contrast {self.contrast:.3f} [{self.low:.3f}, {self.high:.3f}]: the {self.k}th "
            f"nearest of {self.n_measured:,} rows is {self.contrast:.1%} as far as among normal "
            "rows of the same covariance"
        )

    def plot(self) -> Chart:
        """Draw both distributions of distances.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import distribution_chart

        return distribution_chart(
            "Neighbours against chance",
            [("these vectors", self.distances), ("normal rows", self.chance)],
            x_label=f"distance to the {self.k}th nearest of {self.n_measured:,} rows",
        )


def structure(
    X: Any,
    k: int = 10,
    *,
    metric: str = "cosine",
    sample: int | None = 5000,
    exact: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Structure:
    """Compare distances to neighbours with those of normal rows of the same covariance.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 20
    k : int, default=10
        n - 1 at most.
    metric : {"cosine", "l2"}, default="cosine"
    sample : int or None, default=5000
        Rows drawn where there are more, and measured among themselves.
    exact : bool, default=False
        Takes all rows.
    random_state : int, default=0
        Of the sample and of the normal rows.
    n_jobs : int or None, default=None

    Returns
    -------
    Structure

    Raises
    ------
    ShapeError, ParameterError
        Fewer than 20 rows; NaN; zero rows under cosine.

    Notes
    -----
    Cost: 2 * sample**2 * dim. The contrast falls with more rows, as neighbours come nearer: compare
    samples of one size. With as many dimensions as rows the covariance itself knows the rows, and
    the contrast is nearer to 1. It is the idea of Hopkins' statistic with a null that knows the
    covariance: against evenly spread points everything looks clustered in many dimensions.

    References
    ----------
    .. [1] B. Hopkins and J. Skellam, "A new method for determining the type of distribution of
       plant individuals", Annals of Botany 18 (1954).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.standard_normal((2000, 32))
    >>> topics = np.repeat(rng.standard_normal((50, 32)), 40, axis=0) + 0.4 * noise
    >>> structure(noise).is_random, structure(topics).contrast < 0.8
    (True, True)
    """
    check_choice("metric", metric, ("cosine", "l2"))
    rows = as_dense(X)
    n_jobs = check_jobs(n_jobs)
    if len(rows) < _FEWEST:
        raise ShapeError(f"X has {len(rows)} rows; structure needs at least {_FEWEST}.")
    at = sampled(len(rows), sample, random_state, exact=exact)
    k = min(check_count("k", k), len(at) - 1)
    part = np.ascontiguousarray(rows[at])
    if metric == "cosine":
        part = unit_rows(part)
    rng = np.random.default_rng(random_state)
    normal = _normal_rows(part, rng, n_jobs)
    if metric == "cosine":
        normal = unit_rows(normal)
    distances = as_lengths(nearest_rows(part, k, n_jobs=n_jobs)[1])[:, k - 1]
    by_chance = as_lengths(nearest_rows(normal, k, n_jobs=n_jobs)[1])
    chance = by_chance[:, k - 1]
    below = float(np.median(chance)) or np.finfo(float).tiny
    contrast = float(np.median(distances)) / below
    drawn = [_resampled(values, rng) for values in (distances, chance)]
    error = float(np.std(drawn[0] / np.maximum(drawn[1], np.finfo(float).tiny)))
    return Structure(
        contrast=contrast,
        low=max(0.0, contrast - Z95 * error),
        high=contrast + Z95 * error,
        distances=distances,
        chance=chance,
        chance_nearest=by_chance[:, 0],
        k=k,
        n_rows=len(rows),
        n_measured=len(at),
    )


def _normal_rows(rows: Floats, rng: np.random.Generator, n_jobs: int | None) -> Floats:
    mean, covariance = grouped_moments(rows, n_jobs).of(slice(None))
    values, directions = np.linalg.eigh(covariance)
    spread = (directions * np.sqrt(np.maximum(values, 0.0))).T.astype(np.float32)
    drawn = rng.standard_normal(rows.shape, dtype=np.float32)
    return np.ascontiguousarray(drawn @ spread + mean.astype(np.float32))


def _resampled(values: Doubles, rng: np.random.Generator) -> Doubles:
    return np.array(
        [np.median(values[rng.integers(0, len(values), len(values))]) for _ in range(_RESAMPLES)]
    )
