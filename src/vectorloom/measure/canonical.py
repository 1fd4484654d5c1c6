# SPDX-License-Identifier: Apache-2.0
"""Canonical correlations: what two spaces share up to any linear map.

With U_x, U_y orthonormal bases of the centred columns, the canonical correlations rho_1 >= rho_2 …
are the singular values of U_x^T U_y.

    SVCCA   first keep the principal directions of each that hold 99 % of its variance;
            then mean(rho)
    PWCCA   sum alpha_i rho_i / sum alpha_i, alpha_i = sum_j |<h_i, x_j>|: canonical variables h_i
            count by how much of the columns x_j of X they tell
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.io.pages import Chart
from vectorloom.measure.result import Result
from vectorloom.measure.rows import as_two

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Canonical(Result):
    """Canonical correlations of two spaces; ``float(result)`` is their summary.

    Attributes
    ----------
    value : float
        SVCCA: the mean; PWCCA: the weighted mean.
    correlations : ndarray of shape (min(kept_x, kept_y),), float64
        Largest first.
    kept_x, kept_y : int
        Directions of each space that took part: of those asked for by variance, or its rank.
    """

    value: float
    correlations: Doubles
    kept_x: int
    kept_y: int

    def __float__(self) -> float:
        return self.value

    def plot(self) -> Chart:
        """Draw the correlations, largest first.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Line, line_chart

        # A single one is drawn as a level line.
        shown = self.correlations if len(self.correlations) > 1 else self.correlations.repeat(2)
        line = Line("correlation", range(1, len(shown) + 1), shown)
        return line_chart(
            "Canonical correlations", [line], x_label="canonical direction", y_range=(0.0, 1.0)
        )


def svcca(X: Any, Y: Any, *, variance: float = 0.99) -> Canonical:
    """Compare two spaces by the correlations of their strong directions.

    Parameters
    ----------
    X : array-like of shape (n, dim_x)
    Y : array-like of shape (n, dim_y)
        Row i of both is the same item.
    variance : float in (0, 1], default=0.99
        Share of the variance that the kept directions of each hold; 1 keeps all.

    Returns
    -------
    Canonical
        ``kept_x`` and ``kept_y`` are the method's measure of dimension.

    Raises
    ------
    ShapeError
        Not as many rows; or no more rows than directions in both together, where some correlations
        are 1 whatever the data.
    ParameterError
        NaN, rows that are all equal, a `variance` outside (0, 1].

    Notes
    -----
    Cost: n * dim**2. Unlike CKA it does not change under any invertible map of the kept directions,
    and so counts a direction of little variance as much as one of much. Of unrelated spaces with k
    directions it is not 0 but about sqrt(k / n): take ten rows a direction and more.

    References
    ----------
    .. [1] M. Raghu, J. Gilmer, J. Yosinski and J. Sohl-Dickstein, "SVCCA: singular vector canonical
       correlation analysis for deep learning dynamics and interpretability", NIPS 2017.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 4))
    >>> round(float(svcca(X, X @ rng.standard_normal((4, 4)), variance=1.0)), 6)
    1.0
    """
    if isinstance(variance, bool) or not 0 < variance <= 1:
        raise ParameterError(f"variance must be above 0 and at most 1; got {variance!r}.")
    a, b = as_two(X, Y)
    return _correlate(_basis(a, "X", variance), _basis(b, "Y", variance), len(a))[0]


def pwcca(X: Any, Y: Any) -> Canonical:
    """Compare two spaces by their correlations, weighted by what they tell of X.

    Parameters
    ----------
    X : array-like of shape (n, dim_x)
        The space whose directions give the weights: the measure is not symmetric.
    Y : array-like of shape (n, dim_y)

    Returns
    -------
    Canonical

    Raises
    ------
    ShapeError, ParameterError
        As `svcca`.

    Notes
    -----
    Directions that X hardly uses count little, so that noise in many weak directions does not drown
    what is shared in few strong ones. The weights are sums over the columns of X, so that turning X
    changes them a little; turning, or any invertible map of Y, does not. Cost: as `svcca`.

    References
    ----------
    .. [1] A. Morcos, M. Raghu and S. Bengio, "Insights on representational similarity in neural
       networks with canonical correlation", NeurIPS 2018.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 4))
    >>> Y = np.column_stack([X[:, :2], rng.standard_normal((500, 2))])
    >>> 0.5 < float(pwcca(X * [9, 9, 1, 1], Y)) < 1.0
    True
    """
    a, b = as_two(X, Y)
    found, variables = _correlate(_basis(a, "X", 1.0), _basis(b, "Y", 1.0), len(a))
    told = np.abs(variables.T @ (a - a.mean(axis=0))).sum(axis=1)
    value = float(told @ found.correlations / told.sum())
    return Canonical(value, found.correlations, found.kept_x, found.kept_y)


def _basis(X: Doubles, name: str, variance: float) -> Doubles:
    """Orthonormal columns that span the strongest directions of centred rows."""
    left, values, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    scale = float(np.abs(X).max())
    rank = int((values > max(values[0], scale) * max(X.shape) * np.finfo(np.float64).eps).sum())
    if rank == 0:
        raise ParameterError(f"all rows of {name} are equal; they correlate with nothing.")
    shares = np.cumsum(values[:rank] ** 2) / np.sum(values[:rank] ** 2)
    kept = rank if variance == 1.0 else int(np.searchsorted(shares, variance)) + 1
    return np.asarray(left[:, : min(kept, rank)])


def _correlate(of_x: Doubles, of_y: Doubles, n: int) -> tuple[Canonical, Doubles]:
    """Canonical correlations, and the canonical variables of x as columns."""
    kept_x, kept_y = of_x.shape[1], of_y.shape[1]
    if kept_x + kept_y > n - 1:
        raise ShapeError(
            f"{n} rows are too few for {kept_x} and {kept_y} directions: some correlations are 1 "
            "whatever the data. Give more rows, reduce both spaces, or use cka."
        )
    turn, correlations, _ = np.linalg.svd(of_x.T @ of_y, full_matrices=False)
    correlations = np.minimum(correlations, 1.0)
    return Canonical(float(correlations.mean()), correlations, kept_x, kept_y), of_x @ turn
