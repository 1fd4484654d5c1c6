# SPDX-License-Identifier: Apache-2.0
"""Products of whole matrices by the core: the same bits at any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core


def matmul(A: Any, B: Any, n_jobs: int | None = None) -> NDArray[np.float32]:
    """Return ``A @ B.T`` in float32.

    Parameters
    ----------
    A : ndarray of shape (n, dim)
    B : ndarray of shape (m, dim)
    n_jobs : int or None, default=None

    Returns
    -------
    ndarray of shape (n, m), float32

    Examples
    --------
    >>> matmul(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    left = np.ascontiguousarray(A, np.float32)
    right = np.ascontiguousarray(B, np.float32)
    product: NDArray[np.float32] = _core.matmul(left, right, n_jobs)
    return product


def gram(X: Any, mean: Any = None, n_jobs: int | None = None) -> NDArray[np.float64]:
    """Return ``(X - mean).T @ (X - mean)`` in float64.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    mean : ndarray of shape (dim,) or None, default=None
        None subtracts nothing.
    n_jobs : int or None, default=None

    Returns
    -------
    ndarray of shape (dim, dim), float64

    Examples
    --------
    >>> gram(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[10.0, 14.0], [14.0, 20.0]]
    """
    centre = None if mean is None else np.ascontiguousarray(mean, np.float32)
    sums: NDArray[np.float64] = _core.gram(np.ascontiguousarray(X, np.float32), centre, n_jobs)
    return sums


def moments(X: Any, n_jobs: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and ``(X - mean).T @ (X - mean)``, in one pass over `X`.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    n_jobs : int or None, default=None

    Returns
    -------
    mean : ndarray of shape (dim,), float64
    products : ndarray of shape (dim, dim), float64

    Examples
    --------
    >>> mean, products = moments(np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> mean.tolist(), products.tolist()
    ([2.0, 3.0], [[2.0, 2.0], [2.0, 2.0]])
    """
    mean, products = _core.moments(np.ascontiguousarray(X, np.float32), n_jobs)
    return mean[0], products


def row_norms(X: Any, n_jobs: int | None = None) -> NDArray[np.float64]:
    """Return the length of each row in float64.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    n_jobs : int or None, default=None

    Returns
    -------
    ndarray of shape (n,), float64

    Examples
    --------
    >>> row_norms(np.array([[3.0, 4.0], [0.0, 2.0]])).tolist()
    [5.0, 2.0]
    """
    rows = _core.Rows(np.ascontiguousarray(X, np.float32), "float32")
    norms: NDArray[np.float64] = _core.norms(rows, n_jobs)
    return norms
