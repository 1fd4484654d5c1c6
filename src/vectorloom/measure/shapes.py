# SPDX-License-Identifier: Apache-2.0
"""Two spaces compared by distances between items, and by the best rotation.

RSA          correlation between the distances of all pairs in X and in Y
Procrustes   min over rotations, scale and offset of ||X - s Y R||^2 / ||X||^2
             = 1 - (sum of singular values of X^T Y)^2 / (||X||^2 ||Y||^2), both centred
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice
from vectorloom.measure.rows import as_two, sampled

Doubles = NDArray[np.float64]


def rsa(
    X: Any,
    Y: Any,
    *,
    metric: str = "cosine",
    correlation: str = "spearman",
    sample: int | None = 2000,
    exact: bool = False,
    random_state: int = 0,
) -> float:
    """Return the correlation between two spaces' distances of pairs.

    Parameters
    ----------
    X : array-like of shape (n, dim_x), n >= 3
    Y : array-like of shape (n, dim_y)
        Row i of both is the same item.
    metric : {"cosine", "l2"}, default="cosine"
    correlation : {"spearman", "pearson"}, default="spearman"
        Of ranks, which asks for the same order only, or of values.
    sample : int or None, default=2000
        Items that are drawn where there are more; all their pairs are taken.
    exact : bool, default=False
        Takes all items.
    random_state : int, default=0

    Returns
    -------
    float
        In [-1, 1].

    Raises
    ------
    ShapeError, ParameterError
        Not as many rows, fewer than 3; NaN, zero rows under cosine; distances that are all equal.

    Notes
    -----
    Cost: sample**2 * (dim_x + dim_y), and memory 32 * sample**2 bytes. Most pairs are far apart, so
    that most of what is correlated is the order of the far: `neighbour_overlap` asks for the near.

    References
    ----------
    .. [1] N. Kriegeskorte, M. Mur and P. Bandettini, "Representational similarity analysis",
       Frontiers in Systems Neuroscience 2 (2008).

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((50, 3))
    >>> round(rsa(X, 2 * X + 1, metric="l2"), 6)
    1.0
    """
    from scipy.stats import rankdata

    check_choice("metric", metric, ("cosine", "l2"))
    check_choice("correlation", correlation, ("spearman", "pearson"))
    a, b = as_two(X, Y)
    if len(a) < 3:
        raise ShapeError(f"X and Y have {len(a)} rows; pairs of at least 3 are compared.")
    at = sampled(len(a), sample, random_state, exact=exact)
    values = [_pairs(rows[at], metric, name) for rows, name in ((a, "X"), (b, "Y"))]
    if correlation == "spearman":
        values = [rankdata(v) for v in values]
    off = [v - v.mean() for v in values]
    spread = np.sqrt(off[0] @ off[0]) * np.sqrt(off[1] @ off[1])
    if spread == 0:
        raise ParameterError("all pairs of X or of Y are equally far; nothing is left to compare.")
    return float(np.clip(off[0] @ off[1] / spread, -1.0, 1.0))


def procrustes(X: Any, Y: Any) -> float:
    """Return what is left of one space after the best rotation, scale and offset of the other.

    Parameters
    ----------
    X : array-like of shape (n, dim_x)
    Y : array-like of shape (n, dim_y)
        Row i of both is the same item. The narrower is thought to be padded with zeros.

    Returns
    -------
    float
        0: the same shape. 1: nothing in common. Symmetric.

    Raises
    ------
    ShapeError, ParameterError
        Not as many rows; NaN; rows that are all equal.

    Notes
    -----
    Cost: n * dim_x * dim_y. It is the disparity of `scipy.spatial.procrustes`. With unit norms the
    Procrustes distance of [1]_ is 2 (1 - sqrt(1 - disparity)).

    References
    ----------
    .. [1] F. Ding, J. Denain and J. Steinhardt, "Grounding representation similarity through
       statistical testing", NeurIPS 2021; P. Schönemann, Psychometrika 31 (1966).

    Examples
    --------
    >>> X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> round(abs(procrustes(X, 3 * X @ [[0.0, 1.0], [-1.0, 0.0]] + 5)), 9)
    0.0
    """
    a, b = (rows - rows.mean(axis=0) for rows in as_two(X, Y))
    sizes = np.linalg.norm(a), np.linalg.norm(b)
    for size, name in zip(sizes, "XY", strict=True):
        if size == 0:
            raise ParameterError(f"all rows of {name} are equal; they have no shape.")
    shared = np.linalg.svd((a / sizes[0]).T @ (b / sizes[1]), compute_uv=False).sum()
    return float(np.clip(1.0 - shared**2, 0.0, 1.0))


def _pairs(rows: Doubles, metric: str, name: str) -> Doubles:
    """Return the distances of all pairs, each once."""
    if metric == "cosine":
        lengths = np.linalg.norm(rows, axis=1)
        if not lengths.all():
            raise ParameterError(f"{name} has zero rows; they have no cosine. Drop them from both.")
        rows = rows / lengths[:, None]
    else:
        rows = rows - rows.mean(axis=0)
    squares = np.einsum("ij,ij->i", rows, rows)
    far = squares[:, None] + squares[None] - 2 * (rows @ rows.T)
    pairs = np.maximum(far[np.triu_indices(len(rows), 1)], 0.0)
    return np.asarray(pairs / 2 if metric == "cosine" else np.sqrt(pairs))
