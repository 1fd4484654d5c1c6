# SPDX-License-Identifier: Apache-2.0
"""The k largest entries of each row, and rows of few entries as a sparse matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def top_k(values: NDArray[Any], k: int) -> NDArray[np.intp]:
    """Return the columns of the k largest entries of each row, ascending.

    Parameters
    ----------
    values : ndarray of shape (n, m), float
    k : int
        At most m.

    Returns
    -------
    ndarray of shape (n, k), intp
        Exactly k, whatever the ties.

    Examples
    --------
    >>> top_k(np.array([[0.1, 0.9, 0.5], [3.0, 1.0, 2.0]]), 2).tolist()
    [[1, 2], [0, 2]]
    """
    if k >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    chosen = np.argpartition(-values, k - 1, axis=1)[:, :k]
    return np.sort(chosen, axis=1)


def keep_top_k(values: NDArray[Any], k: int) -> NDArray[Any]:
    """Return the rows with all but their k largest positive entries set to zero.

    Parameters
    ----------
    values : ndarray of shape (n, m), float
    k : int

    Returns
    -------
    ndarray of shape (n, m)

    Examples
    --------
    >>> keep_top_k(np.array([[1.0, -2.0, 3.0], [-1.0, 0.5, -3.0]]), 2).tolist()
    [[1.0, 0.0, 3.0], [0.0, 0.5, 0.0]]
    """
    columns = top_k(values, k)
    kept = np.zeros_like(values)
    chosen = np.take_along_axis(values, columns, axis=1)
    np.put_along_axis(kept, columns, np.maximum(chosen, 0), axis=1)
    return kept


def rows_as_csr(columns: NDArray[Any], values: NDArray[Any], width: int) -> Any:
    """Return a csr_array whose row i has `values[i]` at `columns[i]`; zeros are not stored.

    Parameters
    ----------
    columns : ndarray of shape (n, k), int
        Ascending in each row.
    values : ndarray of shape (n, k), float32
    width : int
        Number of columns of the result.

    Returns
    -------
    scipy.sparse.csr_array of shape (n, width), float32
    """
    from scipy.sparse import csr_array

    stored = values != 0
    ends = np.concatenate([[0], np.cumsum(stored.sum(axis=1))])
    return csr_array(
        (
            values[stored].astype(np.float32),
            columns[stored].astype(np.int32),
            ends.astype(np.int32 if ends[-1] < 2**31 else np.int64),
        ),
        shape=(len(values), width),
    )


def stack_rows(blocks: list[Any]) -> Any:
    """Return sparse blocks of equal width one below the other, as a csr_array.

    Parameters
    ----------
    blocks : list of csr_array
        At least one.

    Returns
    -------
    scipy.sparse.csr_array
    """
    from scipy.sparse import vstack

    return blocks[0] if len(blocks) == 1 else vstack(blocks, format="csr")
