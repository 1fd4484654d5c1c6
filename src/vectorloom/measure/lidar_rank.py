# SPDX-License-Identifier: Apache-2.0
"""Label-free quality of an encoder by the rank of what it tells apart.

With several views (augmentations, paraphrases) of each item, S_b the covariance of the items' means
and S_w the mean covariance within items,

    LiDAR    exp H(lambda / sum lambda),  lambda eigenvalues of S_w^{-1/2} S_b S_w^{-1/2}    [1]_
    RankMe   exp H(s / sum s),  s singular values of the rows                                [2]_
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.measure.result import Estimate
from vectorloom.vectors import as_dense

Doubles = NDArray[np.float64]

_EPSILON = 1e-7


def lidar(views: Any, items: Any, *, delta: float = 1e-4) -> Estimate:
    """Measure in how many directions items differ, by what their own views leave in doubt.

    Parameters
    ----------
    views : array-like of shape (n, dim)
        Vectors of all views of all items.
    items : array-like of shape (n,)
        The item that each is a view of; two items at least, one of them with two views.
    delta : float, default=1e-4
        Added to the variances within items, as a share of their mean.

    Returns
    -------
    Estimate
        ``parts["rankme"]`` is the rank that heeds no views. No interval: resample items for one.

    Raises
    ------
    ShapeError, ParameterError
        Not one item a row; one item; no item with two views; NaN.

    Notes
    -----
    Higher was better by rank correlation with probes, between checkpoints and settings of one
    method [1]_; it is at most the number of items less one, so compare with the same items. Cost:
    n * dim**2.

    References
    ----------
    .. [1] V. Thilak et al., "LiDAR: sensing linear probing performance in joint embedding SSL
       architectures", ICLR 2024.
    .. [2] Q. Garrido et al., "RankMe", ICML 2023.

    Examples
    --------
    Three directions tell the items apart, five more are noise of the views:

    >>> rng = np.random.default_rng(0)
    >>> items = np.repeat(np.arange(200), 5)
    >>> X = 0.1 * rng.standard_normal((1000, 8))
    >>> X[:, :3] += rng.standard_normal((200, 3))[items]
    >>> 2.5 < lidar(X, items).value < 3.5
    True
    """
    rows = as_dense(views, name="views", dtype=np.float64)
    names = np.asarray(items)
    if names.shape != (len(rows),):
        raise ShapeError(f"items must be one a row, {len(rows)}; got shape {names.shape}.")
    _, codes, counts = np.unique(names, return_inverse=True, return_counts=True)
    if len(counts) < 2 or counts.max() < 2:
        raise ParameterError(
            f"{len(counts)} items with at most {counts.max()} views; two items, and two views of "
            "one, are needed."
        )
    means = np.zeros((len(counts), rows.shape[1]))
    np.add.at(means, codes, rows)
    means /= counts[:, None]
    off = rows - means[codes]
    within = off.T @ off / (len(rows) - len(counts))
    between = np.cov(means.T).reshape(within.shape)
    within += delta * (np.trace(within) / len(within) or 1.0) * np.eye(len(within))
    values, directions = np.linalg.eigh(within)
    half = directions / np.sqrt(values)
    spread = np.maximum(np.linalg.eigvalsh(half.T @ between @ half), 0.0)
    nan = float("nan")
    value = entropy_rank(spread)
    return Estimate("lidar", value, nan, nan, len(counts), {"rankme": rankme(rows)})


def rankme(X: Any) -> float:
    """Return the exponential of the entropy of singular values, without taking the mean off.

    Parameters
    ----------
    X : array-like of shape (n, dim)

    Returns
    -------
    float

    References
    ----------
    .. [1] Q. Garrido et al., "RankMe", ICML 2023.

    Examples
    --------
    >>> round(rankme(np.eye(5)), 3)
    5.0
    """
    rows = as_dense(X, dtype=np.float64)
    return entropy_rank(np.sqrt(np.maximum(np.linalg.eigvalsh(rows.T @ rows), 0.0)))


def entropy_rank(values: Doubles) -> float:
    """Return exp of the entropy of values brought to sum 1.

    Parameters
    ----------
    values : ndarray of shape (m,), float64
        Not below 0.

    Returns
    -------
    float
        0 where all are 0.
    """
    total = float(values.sum())
    if total <= 0:
        return 0.0
    shares = values / total + _EPSILON
    return float(np.exp(-np.sum(shares * np.log(shares))))
