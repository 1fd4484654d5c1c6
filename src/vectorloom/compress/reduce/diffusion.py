# SPDX-License-Identifier: Apache-2.0
"""Diffusion on the neighbour graph of the rows: the geometry that manifold reducers share.

w_ij = exp(-|x_i - x_j|² / (s_i s_j))  over k nearest neighbours, symmetric;  s_i: distance to
the k-th neighbour
W ← W / (d_i d_j)ᵅ   with d = W 1     α = 1 takes the density of the sample out (Coifman, Lafon)
M = D^-1/2 W D^-1/2 = U Λ Uᵀ          eigenvectors of the random walk D^-1 W are D^-1/2 U
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import CapacityError
from vectorloom.select.neighbours import nearest_rows

_LARGEST_DENSE = 8192  # an n x n float64 matrix of 512 MiB


def affinities(X: NDArray[np.float32], n_neighbors: int, n_jobs: int | None) -> Any:
    """Return the symmetric kernel on the neighbour graph.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    n_neighbors : int
    n_jobs : int or None

    Returns
    -------
    csr_array of shape (n, n), float64
        With ones on the diagonal.
    """
    from scipy.sparse import csr_array, eye_array

    n = len(X)
    k = min(n_neighbors, n - 1)
    positions, scores = nearest_rows(X, k, n_jobs=n_jobs)
    squared = np.maximum(-scores, 0)
    width = np.sqrt(squared[:, -1])
    positive = width[width > 0]
    width[width == 0] = positive.min() if len(positive) else 1.0  # duplicates beyond k
    values = np.exp(-squared / (width[:, None] * width[positions]))
    indptr = np.arange(0, n * k + 1, k)
    W = csr_array((values.ravel(), positions.ravel(), indptr), shape=(n, n))
    return csr_array(W.maximum(W.T) + eye_array(n))


def symmetric_walk(W: Any, alpha: float) -> tuple[Any, NDArray[np.float64]]:
    """Return M = D^-1/2 W D^-1/2 after taking out the density, and the degrees d.

    Parameters
    ----------
    W : csr_array of shape (n, n)
    alpha : float
        0 leaves the density in, 1 takes it out.

    Returns
    -------
    M : csr_array of shape (n, n)
    degrees : ndarray of shape (n,)
    """
    from scipy.sparse import csr_array, diags_array

    density = np.asarray(W.sum(axis=1)).ravel() ** -alpha
    W = diags_array(density) @ W @ diags_array(density)
    degrees = np.asarray(W.sum(axis=1)).ravel()
    root = diags_array(1 / np.sqrt(degrees))
    return csr_array(root @ W @ root), degrees


def leading_eigenvectors(
    M: Any, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest eigenvalues of a symmetric matrix and their vectors, largest first.

    Parameters
    ----------
    M : csr_array of shape (n, n)
    count : int
    rng : numpy Generator
        Starts the iteration.

    Returns
    -------
    values : ndarray of shape (count,)
    vectors : ndarray of shape (n, count)
        The largest entry of each by magnitude is positive.
    """
    n = M.shape[0]
    if n <= 512 or count >= n - 1:
        values, vectors = np.linalg.eigh(M.toarray())
        values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    else:
        from scipy.sparse.linalg import eigsh

        values, vectors = eigsh(M, count, which="LA", v0=rng.standard_normal(n))
        values, vectors = values[::-1], vectors[:, ::-1]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(0)[None], 0)
    return values, vectors * np.where(largest < 0, -1, 1)


def check_dense(n: int, method: str) -> None:
    """Refuse a fit whose n x n matrices would not fit.

    Parameters
    ----------
    n : int
        Rows.
    method : str
        For the message.

    Raises
    ------
    CapacityError
    """
    if n > _LARGEST_DENSE:
        raise CapacityError(
            f"{method} works on all pairs of rows: {n} rows need {8 * n * n / 2**30:.1f} GiB a "
            f"matrix; at most {_LARGEST_DENSE} are taken. Fit it to a random sample and transform "
            "the rest."
        )
