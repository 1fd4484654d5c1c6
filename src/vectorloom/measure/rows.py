# SPDX-License-Identifier: Apache-2.0
"""What measurements take of their vectors: checked, sampled, and its second moments by groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.vectors import as_dense

_Float = TypeVar("_Float", np.float32, np.float64)

#: Groups that a jackknife leaves out one by one.
N_GROUPS = 10
Z95 = 1.959963984540054


def sampled(
    n: int, sample: int | None, random_state: int, *, exact: bool = False
) -> NDArray[np.int64]:
    """Return positions of a random sample without repetition, ascending.

    Parameters
    ----------
    n : int
        Rows there are.
    sample : int or None
        Rows wanted; None takes all.
    random_state : int
    exact : bool, default=False
        Takes all whatever `sample` says.

    Returns
    -------
    ndarray of shape (min(n, sample),), int64

    Examples
    --------
    >>> sampled(3, None, 0).tolist()
    [0, 1, 2]
    """
    if sample is not None:
        sample = check_count("sample", sample, at_least=2)
    if exact or sample is None or sample >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng(random_state).permutation(n)[:sample])


def unit_rows(X: NDArray[np.float32], name: str = "X") -> NDArray[np.float32]:
    """Return rows of length 1, refusing rows of length 0.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    name : str, default="X"

    Returns
    -------
    ndarray of shape (n, dim), float32
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64))
    if not lengths.all():
        raise ParameterError(
            f"{name} has {int((lengths == 0).sum())} zero rows, first "
            f"{int(np.argmax(lengths == 0))}; they have no direction. Drop them."
        )
    return np.ascontiguousarray(X / lengths[:, None].astype(np.float32))


def directions(rows: NDArray[_Float]) -> NDArray[_Float]:
    """Return rows at length 1; rows of length 0 stay 0.

    Parameters
    ----------
    rows : ndarray of shape (n, dim), float32 or float64

    Returns
    -------
    ndarray of shape (n, dim), of the same type

    Examples
    --------
    >>> directions(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    scale = np.where(lengths > 0, lengths, 1.0)[:, None]
    return np.ascontiguousarray(rows / scale.astype(rows.dtype))


def as_lengths(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return minus squared distances as distances; rounding below 0 is 0."""
    return np.sqrt(np.maximum(-scores, 0.0))


def as_two(X: Any, Y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two matrices with as many rows, in float64.

    Parameters
    ----------
    X, Y : array-like of shape (n, dim_x), (n, dim_y)
        Row i of both is the same item.

    Returns
    -------
    X, Y : ndarray, float64
    """
    a, b = as_dense(X, dtype=np.float64), as_dense(Y, name="Y", dtype=np.float64)
    if len(a) != len(b):
        from vectorloom.errors import ShapeError

        raise ShapeError(
            f"X and Y must hold the same items row by row; got {len(a)} and {len(b)} rows."
        )
    return a, b


@dataclass(frozen=True, eq=False)
class Moments:
    """Means and centred products of groups of rows, from which those of unions follow.

    Attributes
    ----------
    counts : ndarray of shape (n_groups,), float64
    means : ndarray of shape (n_groups, dim), float64
    products : ndarray of shape (n_groups, dim, dim), float64
        Sums of (x - mean)(x - mean)^T.
    """

    counts: NDArray[np.float64]
    means: NDArray[np.float64]
    products: NDArray[np.float64]

    def of(self, groups: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and covariance (divided by n - 1) of the rows of some groups.

        Parameters
        ----------
        groups : index
            Into the groups.

        Returns
        -------
        mean : ndarray of shape (dim,)
        covariance : ndarray of shape (dim, dim)
        """
        counts, means = self.counts[groups], self.means[groups]
        n = counts.sum()
        mean = counts @ means / n
        off = means - mean
        total = self.products[groups].sum(axis=0) + (off * counts[:, None]).T @ off
        return mean, total / max(n - 1, 1)

    def jackknife(self, statistic: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a statistic of all rows and its standard error.

        Parameters
        ----------
        statistic : callable
            From (mean, covariance) to an array of numbers.

        Returns
        -------
        values, errors : ndarray of the statistic's shape
            Errors are NaN where there are too few rows for groups.
        """
        n = len(self.counts)
        values = np.asarray(statistic(*self.of(slice(None))))
        if n < 2:
            return values, np.full(values.shape, np.nan)
        kept = [np.flatnonzero(np.arange(n) != i) for i in range(n)]
        without = np.array([statistic(*self.of(groups)) for groups in kept])
        spread = np.mean((without - without.mean(axis=0)) ** 2, axis=0)
        return values, np.sqrt((n - 1) * spread)


def grouped_moments(X: NDArray[np.float32], n_jobs: int | None) -> Moments:
    """Return the moments of ten groups of rows (of one group below 100 rows).

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32, C-contiguous
        Rows are dealt out in turn, so that rows in an order do not make unlike groups.
    n_jobs : int or None

    Returns
    -------
    Moments
    """
    n_groups = N_GROUPS if len(X) >= 10 * N_GROUPS else 1
    found = [_core.moments(np.ascontiguousarray(X[i::n_groups]), n_jobs) for i in range(n_groups)]
    return Moments(
        counts=np.array([len(X[i::n_groups]) for i in range(n_groups)], dtype=np.float64),
        means=np.array([mean[0] for mean, _ in found]),
        products=np.array([products for _, products in found]),
    )
