# SPDX-License-Identifier: Apache-2.0
"""IsoScore: how evenly the variance of vectors is spread over the dimensions they are given.

Let lambda be the eigenvalues of the covariance in d dimensions, scaled to the length sqrt(d):
l = sqrt(d) lambda / ||lambda||. The isotropy defect is the distance from all ones,

    delta = ||l - 1|| / sqrt(2 (d - sqrt(d))),

the share of dimensions in use phi = (d - delta^2 (d - sqrt(d)))^2 / d^2, and

    IsoScore = (d phi - 1) / (d - 1):      1 where all eigenvalues are equal, 0 where one is not 0.

Since ||l - 1||^2 = 2 d - 2 sum(l), d phi is the participation ratio (sum lambda)^2 / sum lambda^2:
IsoScore is that number of dimensions, brought from [1, d] to [0, 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_jobs
from vectorloom.measure.rows import grouped_moments, sampled
from vectorloom.vectors import as_dense


def isoscore(
    X: Any,
    *,
    sample: int | None = 100_000,
    exact: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> float:
    """Return the IsoScore of a set of vectors.

    Parameters
    ----------
    X : array-like of shape (n, dim), dim >= 2
    sample : int or None, default=100000
        Rows that are drawn where there are more; None takes all.
    exact : bool, default=False
        Takes all rows whatever `sample` says.
    random_state : int, default=0
        Of the sample.
    n_jobs : int or None, default=None

    Returns
    -------
    float
        In [0, 1]. IsoScore * (dim - 1) + 1 dimensions are in use.

    Raises
    ------
    ShapeError
        One dimension: then there is nothing to be uneven.
    ParameterError
        NaN, or rows that are all equal.

    Notes
    -----
    It does not change when vectors are moved, turned or scaled as a whole, and of k equal and d - k
    empty dimensions it is (k - 1) / (d - 1). It does change when one dimension is scaled.
    Cost: n * dim**2; traces are enough, no eigenvalue is computed. From few rows it falls short: of
    D dimensions in use, n rows show about D / (1 + D / n). Take ten rows a dimension.
    `isotropy` adds its standard error and the measures it was compared with.

    References
    ----------
    .. [1] W. Rudman, N. Gillman, T. Rayne and C. Eickhoff, "IsoScore: measuring the uniformity of
       embedding space utilization", Findings of ACL 2022, doi:10.18653/v1/2022.findings-acl.262.

    Examples
    --------
    The corners of a square use both dimensions, points on a line one:

    >>> isoscore([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    1.0
    >>> isoscore([[1, 1], [2, 2], [3, 3]])
    0.0
    """
    rows = as_dense(X)
    n_jobs = check_jobs(n_jobs)
    if rows.shape[1] < 2:
        raise ShapeError("X must have at least two columns for an IsoScore; got one.")
    if not (exact or sample is None or sample >= len(rows)):
        rows = np.ascontiguousarray(rows[sampled(len(rows), sample, random_state)])
    return score_of(grouped_moments(rows, n_jobs).of(slice(None))[1])


def score_of(covariance: NDArray[np.float64]) -> float:
    """Return the IsoScore of a covariance.

    Parameters
    ----------
    covariance : ndarray of shape (dim, dim), float64

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        It is 0.

    Examples
    --------
    Three equal and one empty dimension:

    >>> round(score_of(np.diag([2.0, 2.0, 2.0, 0.0])), 4)
    0.6667
    """
    dim = len(covariance)
    used = participation_ratio(covariance)
    return float(np.clip((used - 1.0) / (dim - 1.0), 0.0, 1.0))


def participation_ratio(covariance: NDArray[np.float64]) -> float:
    """Return (sum lambda)^2 / sum lambda^2 of a covariance's eigenvalues, from traces.

    Parameters
    ----------
    covariance : ndarray of shape (dim, dim), float64

    Returns
    -------
    float
        In [1, dim].

    Raises
    ------
    ParameterError
        The covariance is 0.

    Examples
    --------
    >>> participation_ratio(np.diag([2.0, 2.0, 2.0, 0.0]))
    3.0
    """
    largest = float(np.abs(covariance).max())
    if largest == 0.0:
        raise ParameterError("all rows of X are equal; vectors without variance have no isotropy.")
    scaled = covariance / largest
    return float(np.trace(scaled)) ** 2 / float(np.sum(scaled**2))
