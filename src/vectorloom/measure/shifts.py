# SPDX-License-Identifier: Apache-2.0
"""Concept shift: which items moved between two spaces of the same items.

The second space is turned onto the first (both centred, to length 1, orthogonal Q by the singular
value decomposition of X^T Y); of item i

    shift_i    1 - cos(x_i, Q y_i)
    change_i   share of its k nearest that are not the same

Items are ranked by shift; where the spaces agree otherwise, the first are those whose meaning or
use changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.io.pages import Chart
from vectorloom.measure.correlation import correlation
from vectorloom.measure.neighbourhoods import neighbour_overlap
from vectorloom.measure.result import Result
from vectorloom.measure.rows import as_two, directions

Doubles = NDArray[np.float64]

_FEWEST = 4


@dataclass(frozen=True, eq=False)
class ConceptShift(Result):
    """How far each item moved.

    Attributes
    ----------
    shift : ndarray of shape (n,), float64
        0 to 2.
    change : ndarray of shape (n,), float64
        0 to 1.
    order : ndarray of shape (n,), int64
        Items, furthest first.
    agreement : float
        Spearman's correlation of both numbers: low where they tell different things.
    k : int
    """

    shift: Doubles
    change: Doubles
    order: NDArray[np.int64]
    agreement: float
    k: int

    def __str__(self) -> str:
        return (
            f"median shift {np.median(self.shift):.3f}, neighbours changed "
            f"{self.change.mean():.1%}; shift and change agree by rho {self.agreement:.3f}; "
            f"furthest: {', '.join(map(str, self.order[:5]))}"
        )

    def plot(self) -> Chart:
        """Draw the shifts.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import distribution_chart

        return distribution_chart(
            "How far items moved", [("items", self.shift)], x_label="1 - cosine after turning"
        )


def concept_shift(X: Any, Y: Any, k: int = 10) -> ConceptShift:
    """Rank items by how far they moved between two spaces.

    Parameters
    ----------
    X, Y : array-like of shape (n, dim_x), (n, dim_y), n >= 4
        Row i of both is the same item, say a word in two decades. The narrower space is filled up
        with zeros.
    k : int, default=10

    Returns
    -------
    ConceptShift

    Raises
    ------
    ShapeError, ParameterError
        Other numbers of rows, fewer than 4; zero rows; NaN.

    Notes
    -----
    The turn is fitted to all items, those that moved too: with many of them it follows them. Rare
    items move by noise; compare with a second fit of the same data. Cost: n * dim**2 + n**2 * dim.

    References
    ----------
    .. [1] W. Hamilton, J. Leskovec and D. Jurafsky, "Diachronic word embeddings reveal statistical
       laws of semantic change", ACL 2016.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 8))
    >>> Y = X @ np.linalg.qr(rng.standard_normal((8, 8)))[0]
    >>> Y[17] *= -1
    >>> int(concept_shift(X, Y).order[0])
    17
    """
    a, b = as_two(X, Y)
    if len(a) < _FEWEST:
        raise ShapeError(f"X has {len(a)} rows; a shift needs at least {_FEWEST}.")
    near = neighbour_overlap(a, b, k, sample=None)
    dim = max(a.shape[1], b.shape[1])
    first, second = _ready(a, dim), _ready(b, dim)
    u, _, vt = np.linalg.svd(first.T @ second)
    shift = 1 - np.einsum("ij,ij->i", first, second @ (u @ vt).T)
    change = 1 - near.per_item
    return ConceptShift(
        shift=shift,
        change=change,
        order=np.argsort(-shift, kind="stable"),
        agreement=correlation(shift, change).value,
        k=near.k,
    )


def _ready(rows: Doubles, dim: int) -> Doubles:
    return np.pad(directions(rows - rows.mean(axis=0)), ((0, 0), (0, dim - rows.shape[1])))
