# SPDX-License-Identifier: Apache-2.0
"""Weighted sums of the rows that each text names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vectorloom.progress import progress

_BLOCK = 8192  # texts; fixed, so that sums do not depend on anything else


def text_sums(
    rows: NDArray[np.int32],
    starts: NDArray[np.int64],
    weights: NDArray[np.float32],
    vectors: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the sum of ``weights * vectors[rows]`` of each text.

    Parameters
    ----------
    rows : ndarray of shape (n,), int32
    starts : ndarray of shape (n_texts + 1,), int64
        Text i has the rows ``starts[i]`` to ``starts[i + 1]``.
    weights : ndarray of shape (n,), float32
    vectors : ndarray of shape (n_vectors, dim), float32

    Returns
    -------
    ndarray of shape (n_texts, dim), float32

    Examples
    --------
    >>> vectors = np.eye(2, dtype=np.float32)
    >>> text_sums(np.array([0, 1, 1]), np.array([0, 2, 2, 3]), np.ones(3, np.float32), vectors)
    array([[1., 1.],
           [0., 0.],
           [0., 1.]], dtype=float32)
    """
    from scipy.sparse import csr_matrix

    n_texts = len(starts) - 1
    matrix = csr_matrix((weights, rows, starts), shape=(n_texts, len(vectors)))
    sums = np.empty((n_texts, vectors.shape[1]), dtype=np.float32)
    with progress("summing words", total=n_texts, unit="texts") as bar:
        for start in range(0, n_texts, _BLOCK):
            stop = min(n_texts, start + _BLOCK)
            sums[start:stop] = matrix[start:stop] @ vectors
            bar.advance(stop - start)
    return sums
