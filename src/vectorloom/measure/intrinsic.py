# SPDX-License-Identifier: Apache-2.0
"""Local intrinsic dimension: in how many directions the neighbours of a point spread.

Around x let the number of points within a radius r grow as r^m. Given the distances T_1 <= … <= T_k
to its k nearest neighbours, the maximum-likelihood estimate of m is

    m(x) = (k - 1) / sum_{j < k} log(T_k / T_j),

which [1]_ derives from a Poisson process and [2]_ from extreme values of distances. Averages are of
1 / m, whose estimate is unbiased, not of m, whose is not [3]_.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.vectors import as_dense

#: Neighbours that an estimate takes where there are so many; its relative error is 1 / sqrt(k - 2).
NEIGHBOURS = 100
#: Below so many an estimate says nothing.
FEWEST = 10


def local_dimension(distances: Any) -> NDArray[np.float64]:
    """Return the local intrinsic dimension at each point, from distances to its neighbours.

    Parameters
    ----------
    distances : array-like of shape (n, k), k >= 2
        To the k nearest *other* points, ascending, as lengths: for ``metric="l2"`` the roots of
        `Hits.distances`, for cosine ``sqrt(2 * distances)``. Places that are 0 are copies of the
        point and left out; +inf pads rows that have fewer.

    Returns
    -------
    ndarray of shape (n,), float64
        Larger where more directions are taken. NaN where fewer than 2 distances are left, +inf
        where all that are left are equal.

    Raises
    ------
    ShapeError, ParameterError
        Not a matrix of numbers; negative, NaN or descending distances; one column.

    Notes
    -----
    Cost: n * k logarithms. The estimate of one point has a relative standard error of about
    1 / sqrt(k - 2), and falls short in high dimensions, where no sample is dense enough: read it as
    an order, and compare it between points and data sets.

    References
    ----------
    .. [1] E. Levina and P. Bickel, "Maximum likelihood estimation of intrinsic dimension", NIPS
       2004.
    .. [2] L. Amsaleg et al., "Estimating local intrinsic dimensionality", KDD 2015,
       doi:10.1145/2783258.2783405.
    .. [3] D. MacKay and Z. Ghahramani, "Comments on 'Maximum likelihood estimation of intrinsic
       dimension' by E. Levina and P. Bickel", 2005.

    Examples
    --------
    On a line the j-th neighbour is at distance about j, in a plane at about sqrt(j):

    >>> j = np.arange(1, 101.0)
    >>> local_dimension([j, np.sqrt(j)]).round(2)
    array([1.02, 2.05])
    """
    lengths = np.array(distances, dtype=np.float64, ndmin=1)
    padding = np.isposinf(lengths)
    as_dense(np.where(padding, 0.0, lengths), name="distances", dtype=np.float64)
    if lengths.shape[1] < 2:
        raise ParameterError("distances must have at least two columns; got one. Ask for more.")
    with np.errstate(invalid="ignore"):
        if (lengths < 0).any() or (np.diff(lengths, axis=1) < 0).any():
            raise ParameterError(
                "distances must be 0 or more and ascend along each row. Pass them as a search "
                "returns them."
            )
    used = (lengths > 0) & ~padding
    n_used = used.sum(axis=1)
    furthest = np.where(used, lengths, 0.0).max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(furthest[:, None] / np.where(used, lengths, 1.0))
        total = np.where(used, logs, 0.0).sum(axis=1)
        return np.where(n_used >= 2, (n_used - 1) / total, np.nan)


def mean_dimension(dimensions: NDArray[np.float64]) -> float:
    """Return the mean of local dimensions, that of their inverses inverted; NaN are left out.

    Parameters
    ----------
    dimensions : ndarray of shape (n,), float64
        From `local_dimension`.

    Returns
    -------
    float
        NaN where no estimate is left.
    """
    known = dimensions[~np.isnan(dimensions)]
    if len(known) == 0:
        return float("nan")
    inverse = float(np.mean(1.0 / known))
    return 1.0 / inverse if inverse > 0 else float("inf")
