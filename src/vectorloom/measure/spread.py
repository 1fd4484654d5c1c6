# SPDX-License-Identifier: Apache-2.0
"""Uniformity and alignment: rows spread over the sphere, and pairs that stay together.

uniformity   log mean_{i != j} exp(-t |u_i - u_j|^2),   u rows of length 1: lower is more even
alignment    mean_i |a_i - b_i|^alpha:                  lower is nearer
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.measure.result import Estimate
from vectorloom.measure.rows import Z95, as_two, sampled, unit_rows
from vectorloom.vectors import as_dense

_BLOCK = 1024


def uniformity(
    X: Any, *, t: float = 2.0, sample: int | None = 5000, random_state: int = 0
) -> Estimate:
    """Measure how evenly rows spread over the sphere.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 2
    t : float, default=2.0
        Sharpness of the kernel.
    sample : int or None, default=5000
        Rows whose pairs are taken; None takes all.
    random_state : int, default=0

    Returns
    -------
    Estimate
        0 where all rows are one; ``parts["even"]`` is the value of rows evenly on a sphere of as
        many dimensions, in the limit.

    Raises
    ------
    ShapeError, ParameterError
        One row, zero rows, NaN, a `t` that is not above 0.

    Notes
    -----
    Cost: sample**2 * dim. The limit of even rows is close to -2t for many dimensions.

    References
    ----------
    .. [1] T. Wang and P. Isola, "Understanding contrastive representation learning through
       alignment and uniformity on the hypersphere", ICML 2020.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((500, 32))
    >>> uniformity(X + 3).value > uniformity(X).value
    True
    """
    if not t > 0:
        raise ParameterError(f"t is {t}; a number above 0 is expected.")
    rows = as_dense(X)
    if len(rows) < 2:
        raise ShapeError("uniformity is of pairs; X has one row.")
    part = unit_rows(np.ascontiguousarray(rows[sampled(len(rows), sample, random_state)]))
    n, dim = part.shape
    means = np.empty(n)
    for start in range(0, n, _BLOCK):
        cosines = np.asarray(part[start : start + _BLOCK] @ part.T, np.float64)
        kernel = np.exp(-2 * t * np.maximum(1 - cosines, 0))
        own = np.arange(len(kernel))
        means[start : start + _BLOCK] = (kernel.sum(axis=1) - kernel[own, start + own]) / (n - 1)
    mean = float(means.mean())
    error = 2 * float(means.std()) / np.sqrt(n) / mean  # of a mean over pairs, then of its log
    value = float(np.log(mean))
    half = Z95 * error
    return Estimate("uniformity", value, value - half, value + half, n, {"even": _even(t, dim)})


def alignment(A: Any, B: Any, *, alpha: float = 2.0) -> Estimate:
    """Measure how near the two rows of each pair are, at length 1.

    Parameters
    ----------
    A, B : array-like of shape (n, dim)
        Row i of both is a pair that should be near.
    alpha : float, default=2.0
        Power of the distance.

    Returns
    -------
    Estimate
        0 where pairs are the same, up to ``2 ** alpha``.

    Raises
    ------
    ShapeError, ParameterError
        Other shapes, zero rows, NaN.

    References
    ----------
    .. [1] T. Wang and P. Isola, ICML 2020.

    Examples
    --------
    >>> alignment([[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [0.0, 1.0]]).value
    0.0
    """
    a, b = as_two(A, B)
    b = as_dense(b, name="B", dim=a.shape[1], dtype=np.float64)
    gaps = unit_rows(a.astype(np.float32), "A") - unit_rows(b.astype(np.float32), "B")
    values = np.linalg.norm(gaps.astype(np.float64), axis=1) ** alpha
    value, half = float(values.mean()), Z95 * float(values.std()) / np.sqrt(len(values))
    return Estimate("alignment", value, max(0.0, value - half), value + half, len(values))


def _even(t: float, dim: int) -> float:
    """Return the limit for rows evenly on the sphere: log 0F1(; dim/2; t^2) - 2t."""
    from scipy.special import gammaln, ive

    if dim < 2:
        return float(np.log((1 + np.exp(-4 * t)) / 2))
    order = dim / 2 - 1
    scaled = float(ive(order, 2 * t))  # I_order(2t) exp(-2t)
    if scaled == 0.0:  # below the smallest number: many dimensions, where cosines are about 0
        return -2 * t + 2 * t**2 / dim
    return float(np.log(scaled) + gammaln(dim / 2) - order * np.log(t))
