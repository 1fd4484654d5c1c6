# SPDX-License-Identifier: Apache-2.0
"""Fewer vectors an item, by leaving out those that matter least to it.

Adaptive (DocPruner): with an importance w_j of each vector of an item, keep

    w_j >= mean(w) + k * std(w)        mean and standard deviation over the item,

and at least the most important one: an item whose importances are uneven loses more. Importances
are the model's (the attention that the item's [CLS] or last token pays); without them, a stand-in
from the vectors alone,

    w_j = -<x_j, mean of the item's vectors>     of unit length,

how far the vector is from what the item says anyway.

Yan et al. "DocPruner: a storage-efficient framework for multi-vector visual document retrieval via
adaptive patch-level embedding pruning", 2025, arXiv:2509.23883.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.index.multivector.token_vectors import TokenVectors, as_float_tokens, run_offsets


def prune_tokens(
    X: Any, importance: Any = None, k: float = 0.0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Drop the vectors of each document that matter least, before it is indexed.

    Use it where importances come with the vectors. Without them it is hardly better than dropping
    vectors at random; `pool_tokens`, which merges instead of dropping, loses far less.

    Parameters
    ----------
    X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
        Documents, as `MultiVector` takes them.
    importance : array-like of shape (n_vectors,), or list of one array an item, default=None
        Larger is more important. None takes how far a vector is from the mean of its item.
    k : float, default=0.0
        Standard deviations above the item's mean that are needed: 0 keeps those above the mean, -1
        most of all, 1 few.

    Returns
    -------
    values : ndarray of shape (sum of new lengths, dim), float32
    offsets : ndarray of shape (n + 1,), int64

    Raises
    ------
    ShapeError, ParameterError
        What `MultiVector` refuses; importances that are not one a vector, or NaN.

    Notes
    -----
    Deterministic. Cost: a pass over the vectors.

    References
    ----------
    .. [1] Yan et al. 2025, arXiv:2509.23883.

    Examples
    --------
    >>> values, offsets = prune_tokens([[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]], [0.9, 0.2, 0.7])
    >>> values.tolist(), offsets.tolist()
    ([[1.0, 0.0], [0.6000000238418579, 0.800000011920929]], [0, 2])
    """
    tokens = as_float_tokens(X)
    if not np.isfinite(k):
        raise ParameterError(f"k must be a number; got {k!r}.")
    weights = _own(tokens) if importance is None else _given(importance, tokens)
    kept = np.zeros(len(tokens.values), bool)
    for i in range(len(tokens)):
        part = slice(int(tokens.offsets[i]), int(tokens.offsets[i + 1]))
        own = weights[part]
        # A hair below, so that the rounding of a mean of equal values drops none of them.
        enough = own >= own.mean() + k * own.std() - 1e-12 * np.abs(own).max()
        if not enough.any():
            enough[int(np.argmax(own))] = True
        kept[part] = enough
    lengths = np.add.reduceat(kept.astype(np.int64), tokens.offsets[:-1])
    return tokens.values[kept], run_offsets(lengths)


def _own(tokens: TokenVectors) -> NDArray[np.float64]:
    out = np.empty(len(tokens.values))
    for i, item in enumerate(tokens.items()):
        lengths = np.linalg.norm(item, axis=1, keepdims=True)
        unit = item / np.where(lengths > 0, lengths, 1.0)
        out[tokens.offsets[i] : tokens.offsets[i + 1]] = -(unit @ unit.mean(axis=0))
    return out


def _given(importance: Any, tokens: TokenVectors) -> NDArray[np.float64]:
    if isinstance(importance, list | tuple) and len(importance) and np.ndim(importance[0]) == 1:
        importance = np.concatenate([np.asarray(part, np.float64) for part in importance])
    weights = np.asarray(importance, np.float64)
    if weights.shape != (len(tokens.values),):
        raise ShapeError(
            f"importance must be one number a vector, {len(tokens.values)}; got shape "
            f"{weights.shape}."
        )
    if not np.isfinite(weights).all():
        raise ParameterError("importance has NaN or infinity; numbers are expected.")
    return weights
