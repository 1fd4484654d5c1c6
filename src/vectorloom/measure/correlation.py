# SPDX-License-Identifier: Apache-2.0
"""Correlations with their intervals.

Pearson r; Spearman rho, the same of ranks, equal ones sharing the middle. Intervals are by Fisher:
atanh(r) has a standard error of 1 / sqrt(n - 3), and for ranks of
sqrt((1 + rho^2 / 2) / (n - 3)) [1]_.

.. [1] D. Bonett and T. Wright, "Sample size requirements for estimating Pearson, Kendall and
   Spearman correlations", Psychometrika 65 (2000).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.measure.result import Estimate
from vectorloom.measure.rows import Z95

_FEWEST = 3


def correlation(x: Any, y: Any, kind: str = "spearman", name: str = "") -> Estimate:
    """Return the correlation of two lists of numbers.

    Parameters
    ----------
    x, y : array-like of shape (n,), n >= 3
    kind : {"spearman", "pearson"}, default="spearman"
    name : str, default=""
        What it is called; empty: its kind.

    Returns
    -------
    Estimate
        NaN where one of the lists is constant; the interval is NaN below 4 items.

    Raises
    ------
    ShapeError, ParameterError
        Not two lists of one length, fewer than 3 items, NaN, another kind.

    Notes
    -----
    Cost: n * log(n).

    Examples
    --------
    >>> round(correlation([1, 2, 3, 4], [1, 4, 9, 100]).value, 6)
    1.0
    """
    if kind not in ("spearman", "pearson"):
        raise ParameterError(f"kind is {kind!r}; choose 'spearman' or 'pearson'.")
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ShapeError(f"two lists of one length are expected; got {a.shape} and {b.shape}.")
    n = len(a)
    if n < _FEWEST:
        raise ShapeError(f"a correlation needs at least {_FEWEST} items; got {n}.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ParameterError("a correlation of NaN or infinity means nothing. Drop those items.")
    if kind == "spearman":
        from scipy.stats import rankdata

        a, b = rankdata(a), rankdata(b)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    value = float(np.clip(a @ b / scale, -1, 1)) if scale > 0 else float("nan")
    low = high = float("nan")
    if n > _FEWEST and scale > 0:
        spread = 1 + value**2 / 2 if kind == "spearman" else 1.0
        half = Z95 * np.sqrt(spread / (n - 3))
        middle = np.arctanh(np.clip(value, -1 + 1e-15, 1 - 1e-15))
        low, high = float(np.tanh(middle - half)), float(np.tanh(middle + half))
    return Estimate(name or kind, value, low, high, n)
