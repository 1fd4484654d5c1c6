# SPDX-License-Identifier: Apache-2.0
"""Label sharpness: how near rows of different labels come.

    K_F = max_{y_i != y_j} |y_i - y_j| / |x_i - x_j|

over pairs of a sample, with |y_i - y_j| = 1 for different classes, and rows scaled so that the mean
squared distance of two rows is 1: a set whose labels change sharply is harder, and a classifier on
it easier to attack [1]_.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.measure.dimension import intrinsic_dimension
from vectorloom.measure.probes import class_codes
from vectorloom.measure.result import Estimate
from vectorloom.measure.rows import Z95, sampled
from vectorloom.vectors import as_dense

_FEWEST = 4
_BLOCK = 512
_SHARP = 0.999


def label_sharpness(
    X: Any,
    labels: Any,
    *,
    data: Any = None,
    sample: int | None = 2000,
    random_state: int = 0,
) -> Estimate:
    """Measure how sharply labels change, with the dimension beside it.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 4
        Vectors (representations) of the items.
    labels : array-like of shape (n,)
        Two classes at least.
    data : array-like of shape (n, raw_dim) or None, default=None
        The items before the encoder, such as pixels: their dimension bounds that of X [1]_.
    sample : int or None, default=2000
    random_state : int, default=0

    Returns
    -------
    Estimate
        K_F. ``parts`` hold the 99.9 % quantile over pairs (the maximum is one pair's doing), the
        share of rows ``"disputed"``, whose nearest other is of another class, ``"dimension"`` of X,
        and with data ``"data dimension"`` and ``"bound holds"`` (1 or 0).

    Raises
    ------
    ShapeError, ParameterError
        Not one label a row; one class; NaN; nothing but copies.

    Notes
    -----
    The interval is a bootstrap of the quantile over rows, put around the maximum's place only as
    NaN: a maximum has none. Infinite where rows with different labels are copies. Cost: sample**2 *
    dim.

    References
    ----------
    .. [1] N. Konz and M. Mazurowski, "The effect of intrinsic dataset properties on
       generalization", ICLR 2024.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 100)
    >>> X = rng.standard_normal((200, 3))
    >>> near, far = label_sharpness(X, y), label_sharpness(X + 9 * y[:, None], y)
    >>> near.value > far.value, far.parts["disputed"]
    (True, 0.0)
    """
    rows = as_dense(X)
    codes = class_codes(labels, len(rows))[0]
    if len(rows) < _FEWEST:
        raise ShapeError(f"X has {len(rows)} rows; sharpness needs at least {_FEWEST}.")
    raw = None if data is None else as_dense(data, name="data")
    if raw is not None and len(raw) != len(rows):
        raise ShapeError(f"data and X must hold the same items; got {len(raw)} and {len(rows)}.")
    at = sampled(len(rows), sample, random_state)
    part, own = rows[at].astype(np.float64), codes[at]
    part -= part.mean(axis=0)
    part /= np.sqrt(2 * part.var(axis=0).sum()) or 1.0
    nearest, disputed = _nearest_other(part, own)
    with np.errstate(divide="ignore"):
        sharp = 1.0 / nearest
    mean, half = disputed.mean(), Z95 * np.sqrt(disputed.var() / len(disputed))
    dimension = intrinsic_dimension(rows, random_state=random_state).value
    parts = {
        "quantile": float(np.quantile(sharp, _SHARP)),
        "disputed": float(mean),
        "disputed, half interval": float(half),
        "dimension": dimension,
    }
    if raw is not None:
        bound = intrinsic_dimension(raw, random_state=random_state)
        parts |= {"data dimension": bound.value, "bound holds": float(dimension <= bound.high)}
    nan = float("nan")
    return Estimate("label sharpness", float(sharp.max()), nan, nan, len(part), parts)


def _nearest_other(
    part: NDArray[np.float64], own: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the distance to the nearest row of another class, and whether it is the nearest."""
    n = len(part)
    other, disputed = np.empty(n), np.empty(n, bool)
    squares = np.einsum("ij,ij->i", part, part)
    for start in range(0, n, _BLOCK):
        here = np.arange(start, min(start + _BLOCK, n))
        gaps = np.maximum(squares[here, None] + squares - 2 * part[here] @ part.T, 0.0)
        gaps[np.arange(len(here)), here] = np.inf
        same = own[here, None] == own
        nearest = np.where(same, np.inf, gaps).min(axis=1)
        other[here] = np.sqrt(nearest)
        disputed[here] = nearest < np.where(same, gaps, np.inf).min(axis=1)
    return other, disputed
