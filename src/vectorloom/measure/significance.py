# SPDX-License-Identifier: Apache-2.0
"""Whether a difference between two systems is more than the luck of the queries.

Paired differences d_i, one a query. Under the hypothesis that the systems are alike each d_i might
as well have the other sign, so with random signs s

    p = P( |mean(s_i d_i)| >= |mean(d_i)| ),

over all 2^n signs where they can be counted, else over random ones, (1 + hits) / (1 + draws) [1]_.
Intervals are of the bootstrap: means of queries drawn with replacement.

.. [1] M. Smucker, J. Allan and B. Carterette, "A comparison of statistical significance tests for
   information retrieval evaluation", CIKM 2007, doi:10.1145/1321440.1321528.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count

# Signs or counts drawn at once: bounded memory, and the same draws whatever the number of queries.
_AT_ONCE = 500


def randomization_test(
    differences: Any, *, n_resamples: int = 10_000, random_state: int = 0
) -> float:
    """Return the two-sided p-value of the paired randomization test.

    Parameters
    ----------
    differences : array-like of shape (n_queries,)
        Of the two systems, query by query.
    n_resamples : int, default=10000
        Random signs tried; all 2^n are where they are no more than this, and the p-value is exact.
    random_state : int, default=0

    Returns
    -------
    float
        In (0, 1]; small where chance would hardly make such a difference.

    Raises
    ------
    ParameterError
        No differences, or NaN.

    Notes
    -----
    Cost: n_resamples * n_queries. The same bits for the same `random_state`. It says nothing of how
    large the difference is: give the interval with it.

    Examples
    --------
    Of the 8 patterns of signs only +++ and --- are as far from 0:

    >>> randomization_test([1.0, 2.0, 3.0])
    0.25
    """
    d = _checked(differences, "differences")
    n_resamples = check_count("n_resamples", n_resamples)
    observed = abs(float(d.mean()))
    # Sums of the same numbers in another order differ in the last bits and are the same mean.
    edge = observed - 1e-12 * float(np.abs(d).mean())
    n = len(d)
    hits = 0
    if n < 63 and 2**n <= n_resamples:
        for start in range(0, 2**n, _AT_ONCE):
            codes = np.arange(start, min(start + _AT_ONCE, 2**n))[:, None]
            signs = 1.0 - 2.0 * ((codes >> np.arange(n)) & 1)
            hits += int((np.abs(signs @ d / n) >= edge).sum())
        return hits / float(2**n)
    rng = np.random.default_rng(random_state)
    for start in range(0, n_resamples, _AT_ONCE):
        signs = 1.0 - 2.0 * rng.integers(0, 2, (min(_AT_ONCE, n_resamples - start), n))
        hits += int((np.abs(signs @ d / n) >= edge).sum())
    return (1 + hits) / (1 + n_resamples)


def bootstrap_interval(
    values: Any, *, level: float = 0.95, n_resamples: int = 10_000, random_state: int = 0
) -> tuple[float, float]:
    """Return the percentile interval of a mean over queries.

    Parameters
    ----------
    values : array-like of shape (n_queries,)
    level : float in (0, 1), default=0.95
        Share of resampled means inside.
    n_resamples : int, default=10000
    random_state : int, default=0

    Returns
    -------
    low, high : float
        Both the value itself where there is one query: nothing is known then.

    Raises
    ------
    ParameterError
        No values, NaN, or a `level` outside (0, 1).

    Examples
    --------
    >>> low, high = bootstrap_interval([0.0, 1.0] * 50)
    >>> round(low, 2), round(high, 2)
    (0.4, 0.6)
    """
    v = _checked(values, "values")
    check_share("level", level)
    n_resamples = check_count("n_resamples", n_resamples)
    rng = np.random.default_rng(random_state)
    n = len(v)
    means = np.empty(n_resamples)
    for start in range(0, n_resamples, _AT_ONCE):
        rows = min(_AT_ONCE, n_resamples - start)
        means[start : start + rows] = v[rng.integers(0, n, (rows, n))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def check_share(name: str, value: float) -> None:
    """Refuse a number that is not strictly between 0 and 1.

    Parameters
    ----------
    name : str
    value : float

    Raises
    ------
    ParameterError
    """
    if not 0 < value < 1:
        raise ParameterError(f"{name} must be between 0 and 1; got {value!r}.")


def _checked(values: Any, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise ParameterError(
            f"{name} must be finite numbers, one a query; got an array of shape {array.shape}"
            f"{' with NaN or infinity' if array.size and not np.isfinite(array).all() else ''}."
        )
    return array
