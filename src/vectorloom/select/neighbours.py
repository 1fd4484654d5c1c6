# SPDX-License-Identifier: Apache-2.0
"""Exact nearest neighbours for the methods that learn from them, by the core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core


def nearest_rows(
    X: NDArray[np.float32], k: int, *, metric: str = "l2", n_jobs: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the k nearest other rows of each row.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32, C-contiguous
    k : int
        At most n - 1 are found; missing places hold -1 and minus infinity.
    metric : {"l2", "ip", "cosine"}, default="l2"
    n_jobs : int or None, default=None

    Returns
    -------
    positions : ndarray of shape (n, k), int64
        Best first.
    scores : ndarray of shape (n, k), float64
        Larger is closer; minus the squared distance for ``"l2"``.

    Examples
    --------
    >>> positions, _ = nearest_rows(np.array([[0.0], [1.0], [3.0]], np.float32), 1)
    >>> positions[:, 0].tolist()
    [1, 0, 1]
    """
    rows = _core.Rows(X, "float32", None)
    return _core.exact_knn_graph(rows, _core.norms(rows, n_jobs), None, metric, k, n_jobs)


def nearest_to(
    queries: NDArray[np.float32],
    X: NDArray[np.float32],
    k: int,
    *,
    metric: str = "l2",
    n_jobs: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the k rows of `X` nearest to each query.

    Parameters
    ----------
    queries : ndarray of shape (m, dim), float32, C-contiguous
    X : ndarray of shape (n, dim), float32, C-contiguous
    k : int
    metric : {"l2", "ip", "cosine"}, default="l2"
    n_jobs : int or None, default=None

    Returns
    -------
    positions : ndarray of shape (m, k), int64
    scores : ndarray of shape (m, k), float64
        As `nearest_rows`.

    Examples
    --------
    >>> keys = np.array([[0.0], [3.0]], np.float32)
    >>> nearest_to(np.array([[2.2]], np.float32), keys, 1)[0].tolist()
    [[1]]
    """
    rows = _core.Rows(X, "float32", None)
    positions, scores, _ = _core.exact_search(
        rows, _core.norms(rows, n_jobs), None, metric, queries, k, None, None, n_jobs
    )
    return positions, scores


def nearest_others(
    X: NDArray[np.float32],
    rows: NDArray[np.int64],
    k: int,
    *,
    metric: str = "l2",
    n_jobs: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the k nearest other rows of some rows.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32, C-contiguous
    rows : ndarray of shape (m,), int64
        Positions in `X`.
    k : int
        At most n - 1.
    metric : {"l2", "ip", "cosine"}, default="l2"
    n_jobs : int or None, default=None

    Returns
    -------
    positions : ndarray of shape (m, k), int64
    scores : ndarray of shape (m, k), float64
        As `nearest_rows`.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [3.0]], np.float32)
    >>> nearest_others(X, np.array([2, 0]), 1)[0].ravel().tolist()
    [1, 1]
    """
    found, scores = nearest_to(X[rows], X, k + 1, metric=metric, n_jobs=n_jobs)
    own = found == rows[:, None]
    # Where more than k copies of a row come before it, it is not among those found.
    own[~own.any(axis=1), -1] = True
    return found[~own].reshape(len(rows), k), scores[~own].reshape(len(rows), k)
