# SPDX-License-Identifier: Apache-2.0
"""Clusters of rows by density on a manifold: as many as there are, and rows that belong to none.

    A      nearest neighbours, row i's weights exp(-(d_ij - d_i1) / s_i) with sum log2 k   (UMAP's)
    W      = A + A' - A * A'
    E      the strongest eigenvectors of D^-1/2 W D^-1/2, rows D^-1/2 E L, the constant taken out
    labels = HDBSCAN of the rows of E at unit length

Distances in hundreds of dimensions are all alike, so density means little there. The eigenvectors
of the neighbour graph (diffusion maps) keep what the neighbours say and few dimensions of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.select.neighbours import nearest_rows

# Halvings of the interval that holds a row's scale.
_SCALE_STEPS = 40
# Rows below which no graph is worth its name.
_FEWEST_ROWS = 10
_EIGEN_TOLERANCE = 1e-4


def unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Return rows scaled to unit length; zero rows stay zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return np.ascontiguousarray(found, dtype=np.float32)


def neighbour_graph(X: NDArray[np.float32], k: int, n_jobs: int | None) -> Any:
    """Return the weighted graph of nearest neighbours by cosine.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
        No zero rows.
    k : int
        Neighbours of a row, from 2 to n - 1.
    n_jobs : int or None

    Returns
    -------
    scipy.sparse.csr_array of shape (n, n), float64
        Symmetric, weights from 0 to 1; each row's nearest neighbour has 1.
    """
    from scipy.sparse import csr_array

    n = len(X)
    positions, scores = nearest_rows(X, k, metric="cosine", n_jobs=n_jobs)
    gaps = np.maximum(scores[:, :1] - scores, 0)
    low, high, scale = np.zeros(n), np.full(n, np.inf), np.ones(n)
    for _ in range(_SCALE_STEPS):
        wide = np.exp(-gaps / scale[:, None]).sum(axis=1) > np.log2(k)
        high = np.where(wide, scale, high)
        low = np.where(wide, low, scale)
        # Rows whose neighbours are all equally near have no scale: it falls to nothing.
        scale = np.maximum(np.where(np.isinf(high), 2 * scale, (low + high) / 2), 1e-12)
    weights = np.exp(-gaps / scale[:, None])
    rows = np.repeat(np.arange(n), k)
    graph = csr_array((weights.ravel(), (rows, positions.ravel())), shape=(n, n))
    return (graph + graph.T - graph * graph.T).tocsr()


def diffusion_rows(graph: Any, dim: int, seed: int) -> NDArray[np.float32]:
    """Return a row of unit length for each node, neighbours near each other.

    Parameters
    ----------
    graph : scipy.sparse.csr_array of shape (n, n)
        Symmetric, no empty row.
    dim : int
        At most n - 2.
    seed : int
        Of the vector that the iteration begins with.

    Returns
    -------
    ndarray of shape (n, dim + 1), float32
        One column more than asked for, since the constant direction, taken out, is spread over all
        of them where the graph has several parts.
    """
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import eigsh
    from threadpoolctl import threadpool_limits

    n = graph.shape[0]
    degrees = np.asarray(graph.sum(axis=1)).ravel()
    root = diags_array(1 / np.sqrt(degrees))
    start = np.random.default_rng(seed).standard_normal(n)
    with threadpool_limits(limits=1):  # the parts of a BLAS sum depend on its number of threads
        values, vectors = eigsh(
            root @ graph @ root, k=dim + 1, which="LA", v0=start, tol=_EIGEN_TOLERANCE
        )
    rows = vectors / np.sqrt(degrees)[:, None] * np.maximum(values, 0)
    rows -= np.average(rows, axis=0, weights=degrees)
    return unit(rows)


def density_clusters(
    X: NDArray[np.float32],
    *,
    n_neighbors: int,
    n_components: int,
    min_size: int,
    min_samples: int,
    seed: int,
    n_jobs: int | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the cluster of each row.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
        Unit rows; equal ones count once, so that copies make no cluster of their own.
    n_neighbors, n_components, min_size, min_samples, seed : int
    n_jobs : int or None

    Returns
    -------
    labels : ndarray of shape (n,), int64
        Each row's cluster; rows between clusters got the nearest one on the manifold. All 0 where
        no two clusters are to be told apart.
    dense : ndarray of shape (n,), int64
        The same, but -1 for the rows between clusters.
    strength : ndarray of shape (n,), float64
        HDBSCAN's: 1 in the core of a cluster, 0 between clusters.
    """
    found, first, copy_of = np.unique(X, axis=0, return_index=True, return_inverse=True)
    copy_of = copy_of.ravel()
    n = len(found)
    alone = (np.zeros(len(X), np.int64), np.zeros(len(X), np.int64), np.ones(len(X)))
    if n < max(_FEWEST_ROWS, 2 * min_size):
        return alone
    # In the order of the data, so that the iteration does not hang on how floats are sorted.
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(n)
    k = min(n_neighbors, n - 1)
    graph = neighbour_graph(np.ascontiguousarray(found[order]), k, n_jobs)
    rows = diffusion_rows(graph, min(n_components, n - 2), seed)
    labels, strength = _hdbscan(rows, min_size, min_samples)
    if labels.max() < 0:
        return alone
    centres = unit(means(rows, labels, int(labels.max()) + 1))
    nearest = (rows @ centres.T).argmax(axis=1)
    at = rank[copy_of]
    return np.where(labels >= 0, labels, nearest)[at], labels[at], strength[at]


def _hdbscan(
    rows: NDArray[np.float32], min_size: int, min_samples: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    from sklearn.cluster import HDBSCAN

    model = HDBSCAN(min_cluster_size=min_size, min_samples=min(min_samples, len(rows)), copy=True)
    labels = model.fit_predict(rows.astype(np.float64))
    return labels.astype(np.int64), np.asarray(model.probabilities_, dtype=np.float64)


def means(rows: NDArray[np.float32], labels: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return the mean row of each label from 0 to k - 1; rows labelled -1 are left out."""
    from scipy.sparse import csr_array

    kept = np.flatnonzero(labels >= 0)
    members = csr_array((np.ones(len(kept)), (labels[kept], kept)), shape=(k, len(rows)))
    sizes = np.maximum(np.asarray(members.sum(axis=1)).ravel(), 1)
    found: NDArray[np.float64] = members @ rows.astype(np.float64) / sizes[:, None]
    return found
