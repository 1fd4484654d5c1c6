# SPDX-License-Identifier: Apache-2.0
"""Fewer hubs by changing the vectors, so that any index can search them.

centring   u = x - mean;                                          then to length 1
f-norm     u_j = Phi^-1(rank of x_j in its dimension / n);        then to length 1
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.estimator import Estimator, check_count
from vectorloom.measure.rows import directions
from vectorloom.vectors import as_dense


class HubVectors(Estimator):
    """Base of reductions that change vectors."""

    @abstractmethod
    def fit(self, X: Any, y: Any = None) -> HubVectors:
        """Learn from the rows."""

    @abstractmethod
    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the changed vectors."""

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.float32]:
        """Learn from the rows and return them changed.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n, dim), float32
        """
        return self.fit(X).transform(X)


class Centring(HubVectors):
    """Take the mean off, and bring rows to length 1.

    Parameters
    ----------
    unit : bool, default=True
        Whether rows are brought to length 1, after which ip and cosine are the same.

    Attributes
    ----------
    mean_ : ndarray of shape (dim,), float64

    Notes
    -----
    Hubs under inner products and cosine are the rows on the side of the mean; without it no side
    is nearer to all. Under l2 it changes nothing but for the lengths. Cost: n * dim. Use the same
    fitted object for documents and queries.

    References
    ----------
    .. [1] I. Suzuki et al., "Centering similarity measures to reduce hubs", EMNLP 2013.

    Examples
    --------
    >>> Centring().fit_transform([[1.0, 3.0], [1.0, 5.0], [1.0, 4.0]]).tolist()
    [[0.0, -1.0], [0.0, 1.0], [0.0, 0.0]]
    """

    def __init__(self, *, unit: bool = True) -> None:
        self.unit = unit

    def fit(self, X: Any, y: Any = None) -> Centring:
        """Learn the mean.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        y : None
            Ignored.

        Returns
        -------
        self
        """
        self.mean_ = as_dense(X).mean(axis=0, dtype=np.float64)
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the changed vectors.

        Parameters
        ----------
        X : array-like of shape (n, dim)

        Returns
        -------
        ndarray of shape (n, dim), float32
            A row that is the mean stays 0.
        """
        self._check_fitted("mean_")
        off = as_dense(X, dim=len(self.mean_)) - self.mean_.astype(np.float32)
        return directions(off) if self.unit else off


class FNorm(HubVectors):
    """Give each dimension a normal distribution by ranks, and bring rows to length 1.

    Parameters
    ----------
    n_quantiles : int, default=2000
        Of each dimension, between which new values are interpolated; n where there are fewer rows.

    Attributes
    ----------
    quantiles_ : ndarray of shape (n_quantiles, dim), float32

    Notes
    -----
    Rows of independent normal values lie evenly on the sphere, where no point is nearer to all; the
    dimensions of a model are not independent, so that some hubness stays. The paper pairs sorted
    values with sorted random normal draws of documents and queries together; quantiles do without
    chance, and queries go through the map of the documents. Cost: n * log(n) * dim.

    References
    ----------
    .. [1] B. Nielsen and L. Hansen, "Hubness reduction improves Sentence-BERT semantic spaces",
       NLDL 2024, arXiv:2311.18364.

    Examples
    --------
    >>> x = FNorm().fit_transform([[1.0, 9.0], [2.0, 0.0], [30.0, 0.1]])
    >>> np.linalg.norm(x, axis=1).round(6).tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, *, n_quantiles: int = 2000) -> None:
        self.n_quantiles = n_quantiles

    def fit(self, X: Any, y: Any = None) -> FNorm:
        """Learn the quantiles of each dimension.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        y : None
            Ignored.

        Returns
        -------
        self
        """
        rows = as_dense(X)
        n = min(check_count("n_quantiles", self.n_quantiles, at_least=2), len(rows))
        levels = (np.arange(n) + 0.5) / n
        # method="hazen" puts the i-th of n values at (i + 0.5) / n: with n quantiles, itself.
        found = [np.quantile(column, levels, method="hazen") for column in rows.T]
        self.quantiles_ = np.ascontiguousarray(np.array(found, np.float32).T)
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the changed vectors.

        Parameters
        ----------
        X : array-like of shape (n, dim)

        Returns
        -------
        ndarray of shape (n, dim), float32
            Values beyond those of the fit get the outermost level.
        """
        from scipy.special import ndtri

        self._check_fitted("quantiles_")
        rows = as_dense(X, dim=self.quantiles_.shape[1])
        n = len(self.quantiles_)
        levels = ndtri((np.arange(n) + 0.5) / n)
        result = np.empty_like(rows)
        for j, known in enumerate(self.quantiles_.T):
            # From below and from above: equal values get the middle of their levels.
            up = np.interp(rows[:, j], known, levels)
            down = np.interp(-rows[:, j], -known[::-1], -levels[::-1])
            result[:, j] = (up - down) / 2
        return directions(result)
