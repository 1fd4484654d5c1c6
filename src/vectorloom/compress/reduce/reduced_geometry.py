# SPDX-License-Identifier: Apache-2.0
"""Linear reducers whose point is a new geometry: rows are compared after the map, not decoded.

    ip      <W q, z>                     z = W (x - m)
    l2      -|W (q - m) - z|²
    cosine  <W (q - m), z> / (|W (q - m)| |z|)

Decoding with the pseudo-inverse, as the other reducers do, would undo any stretching that W does
within the directions it keeps, and the stretching is what these methods learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.compressor import dense_scores
from vectorloom.compress.products import matmul
from vectorloom.compress.reduce.linear import LinearReducer

_BLOCK_ROWS = 16384


class ReducedGeometry(LinearReducer):
    """Base of reducers that score in the reduced space; a method sets the three attributes.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, dim), float32
        W, of any scale.
    mean_ : ndarray of shape (dim,), float32, or None
        m; None stands for zero.
    length_ : float
        Typical length of a row: under cosine a query is brought to it before m is subtracted.
    """

    length_: float

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        # The mean goes first: where W stretches, W x - W m would cancel most of its digits.
        reduced = np.empty((len(X), len(self.components_)), np.float32)
        for start in range(0, len(X), _BLOCK_ROWS):
            block = X[start : start + _BLOCK_ROWS]
            if self.mean_ is not None:
                block = block - self.mean_
            jobs = getattr(self, "n_jobs", None)
            reduced[start : start + len(block)] = matmul(block, self.components_, jobs)
        return reduced

    def _scores(
        self, queries: NDArray[np.float32], codes: Any, metric: str
    ) -> NDArray[np.float32] | None:
        if metric == "cosine":
            queries, metric_map = queries * np.float32(self.length_), "l2"
        else:
            metric_map = metric
        mapped = self._map_queries(queries, metric_map)
        return dense_scores(mapped[0], codes, metric, getattr(self, "n_jobs", None))

    def _map_queries(
        self, queries: NDArray[np.float32], metric: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        nothing = np.zeros(len(queries), np.float32)
        if metric == "ip":
            jobs = getattr(self, "n_jobs", None)
            return matmul(queries, self.components_, jobs), nothing
        return self._transform(queries), nothing


def typical_length(X: NDArray[np.float32]) -> float:
    """Return the root mean square of the row lengths, 1 where all rows are zero.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32

    Returns
    -------
    float
    """
    squares = np.einsum("ij,ij->", X, X, dtype=np.float64) / len(X)
    return float(np.sqrt(squares)) or 1.0
