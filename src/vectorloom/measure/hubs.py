# SPDX-License-Identifier: Apache-2.0
"""Hubness: whether few rows crowd the answers.

N_k(x) is how many rows have x among their k nearest. Its mean is k whatever the data;
hubness is its skewness,

    S = E[(N_k - k)^3] / E[(N_k - k)^2]^{3/2},

near 0 for data of few dimensions and above 1 where some rows are in very many answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count


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
