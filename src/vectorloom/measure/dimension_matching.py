# SPDX-License-Identifier: Apache-2.0
"""Matched dimensions: whether a second space holds the same single features.

r_ij is the correlation of dimension i of X with dimension j of Y over the items. Two matchings:

    bipartite   one to one, with the largest sum of |r|
    semi        each i takes its best j, several may share one

What chance gives is measured with the rows of Y in another order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.io.pages import Chart
from vectorloom.measure.result import Result
from vectorloom.measure.rows import as_two, directions

Doubles = NDArray[np.float64]

_FEWEST = 3


@dataclass(frozen=True, eq=False)
class MatchedDimensions(Result):
    """Which dimensions of two spaces are one; ``float(result)`` is the mean of the matching.

    Attributes
    ----------
    mean : float
        Mean |r| of the one-to-one matching.
    semi : float
        Mean of the largest |r| of each dimension of X.
    chance : float
        Mean |r| of the one-to-one matching with items in another order.
    pairs : ndarray of shape (m, 2), int64
        Dimensions of X and Y that were matched, best first.
    correlations : ndarray of shape (m,), float64
        With their sign.
    n_items : int
    """

    mean: float
    semi: float
    chance: float
    pairs: NDArray[np.int64]
    correlations: Doubles
    n_items: int

    def __float__(self) -> float:
        return self.mean

    def __str__(self) -> str:
        return (
            f"matched dimensions: mean |r| {self.mean:.3f} one to one, {self.semi:.3f} best each "
            f"(chance {self.chance:.3f}), {len(self.pairs)} pairs, {self.n_items:,} items"
        )

    def plot(self) -> Chart:
        """Draw |r| of the matched pairs.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import distribution_chart

        return distribution_chart(
            "Matched dimensions",
            [("pairs", np.abs(self.correlations))],
            x_label="|correlation|",
            guide=(self.chance, "chance"),
        )


def match_dimensions(X: Any, Y: Any, *, random_state: int = 0) -> MatchedDimensions:
    """Match the dimensions of two spaces of the same items.

    Parameters
    ----------
    X : array-like of shape (n, dim_x), n >= 3
    Y : array-like of shape (n, dim_y)
        Row i of both is the same item.
    random_state : int, default=0
        Of the order that shows chance.

    Returns
    -------
    MatchedDimensions

    Raises
    ------
    ShapeError, ParameterError
        Other numbers of rows, fewer than 3, NaN.

    Notes
    -----
    Constant dimensions correlate with nothing. Spaces may span the same directions and share no
    dimension: see `svcca` and `procrustes`, which turn. Cost: n * dim_x * dim_y, and dim**3 for the
    matching.

    References
    ----------
    .. [1] Y. Li et al., "Convergent learning: do different neural networks learn the same
       representations?", ICLR 2016.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((300, 5))
    >>> found = match_dimensions(X, -X[:, [3, 0, 1, 4, 2]])
    >>> round(found.mean, 6), sorted(map(tuple, found.pairs.tolist()))[0]
    (1.0, (0, 1))
    """
    from scipy.optimize import linear_sum_assignment

    a, b = as_two(X, Y)
    if len(a) < _FEWEST:
        raise ShapeError(f"a correlation needs {_FEWEST} items; got {len(a)}.")
    found = _correlations(a, b)
    rows, columns = linear_sum_assignment(-np.abs(found))
    values = found[rows, columns]
    order = np.argsort(-np.abs(values), kind="stable")
    mixed = _correlations(a, b[np.random.default_rng(random_state).permutation(len(b))])
    chance = np.abs(mixed[linear_sum_assignment(-np.abs(mixed))])
    return MatchedDimensions(
        mean=float(np.abs(values).mean()),
        semi=float(np.abs(found).max(axis=1).mean()),
        chance=float(chance.mean()),
        pairs=np.stack([rows, columns], axis=1)[order],
        correlations=values[order],
        n_items=len(a),
    )


def _correlations(a: Doubles, b: Doubles) -> Doubles:
    columns = (directions(np.ascontiguousarray((x - x.mean(axis=0)).T)) for x in (a, b))
    first, second = columns
    return np.asarray(first @ second.T)
