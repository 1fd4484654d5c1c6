# SPDX-License-Identifier: Apache-2.0
"""What linear reducers share: z = W (x - m), decoded as x ≈ Dᵀ z + m with D the dual of W."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.compressor import Compressor, dense_scores
from vectorloom.compress.products import matmul
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count

_ORTHONORMAL = 1e-4  # largest |W Wᵀ - I| that float32 rows of a rotation may show


class LinearReducer(Compressor):
    """Base of reducers that are one linear map; a method sets `components_` and `mean_`.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, dim), float32
        W. Where its rows are orthonormal the decoder is W itself, otherwise its pseudo-inverse.
    mean_ : ndarray of shape (dim,), float32, or None
        m; None stands for zero.
    query_components_ : ndarray of shape (n_components, dim), float32, optional
        D, where a method learns a map of its own for queries.
    """

    output: ClassVar[str] = "dense"

    components_: NDArray[np.float32]
    mean_: NDArray[np.float32] | None

    def _bytes(self) -> int:
        return 4 * len(self.components_)

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        reduced = matmul(X, self.components_, getattr(self, "n_jobs", None))
        if self.mean_ is not None:
            reduced -= self.components_ @ self.mean_
        return reduced

    def _inverse(self, codes: NDArray[np.float32]) -> NDArray[np.float32]:
        decoded = matmul(codes, self._decoder().T, getattr(self, "n_jobs", None))
        if self.mean_ is not None:
            decoded += self.mean_
        return decoded

    def _scores(
        self, queries: NDArray[np.float32], codes: Any, metric: str
    ) -> NDArray[np.float32] | None:
        mapped = None if metric == "cosine" else self._map_queries(queries, metric)
        if mapped is None:
            return None
        scores = dense_scores(mapped[0], codes, metric, getattr(self, "n_jobs", None))
        return scores + mapped[1][:, None]

    def _map_queries(
        self, queries: NDArray[np.float32], metric: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        decoder = self._decoder()
        mean = self.mean_
        jobs = getattr(self, "n_jobs", None)
        if metric == "ip":
            offset = np.zeros(len(queries), np.float32) if mean is None else queries @ mean
            return matmul(queries, decoder, jobs), offset
        if metric == "l2" and self._is_orthonormal():
            centred = queries if mean is None else queries - mean
            mapped = matmul(centred, decoder, jobs)
            outside = np.einsum("ij,ij->i", mapped, mapped)
            outside -= np.einsum("ij,ij->i", centred, centred)
            return mapped, np.minimum(outside, 0)
        return None

    def _decoder(self) -> NDArray[np.float32]:
        """Return D, (n_components, dim)."""
        learned: NDArray[np.float32] | None = getattr(self, "query_components_", None)
        if learned is not None:
            return learned
        if self._is_orthonormal():
            return self.components_
        cached: NDArray[np.float32] | None = getattr(self, "_dual", None)
        if cached is None or cached.shape != self.components_.shape:
            wide = self.components_.astype(np.float64)
            cached = np.ascontiguousarray(np.linalg.pinv(wide).T, np.float32)
            self._dual = cached
        return cached

    def _is_orthonormal(self) -> bool:
        if getattr(self, "query_components_", None) is not None:
            return False
        W = self.components_
        if len(W) > W.shape[1]:
            return False
        known: tuple[Any, bool] | None = getattr(self, "_orthonormal", None)
        if known is None or known[0] is not W:  # a query alone should not pay for it
            flat = np.abs(W @ W.T - np.eye(len(W), dtype=np.float32)).max() < _ORTHONORMAL
            self._orthonormal = known = (W, bool(flat))
        return known[1]

    def _check_components(self, n_components: Any, dim: int) -> int:
        """Return the number of components, refusing what is not in [1, dim]."""
        k = check_count("n_components", n_components)
        if k > dim:
            raise ParameterError(
                f"n_components must be at most the dimension {dim}; got {k}. Choose fewer."
            )
        return k
