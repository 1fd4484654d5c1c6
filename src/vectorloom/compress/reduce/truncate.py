# SPDX-License-Identifier: Apache-2.0
"""The leading coordinates, for models trained so that prefixes are vectors themselves.

z = x[:k]            renormalized:  z = x[:k] / |x[:k]|
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.compressor import Compressor, dense_scores, unit
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count


class Truncate(Compressor):
    """Keep the first coordinates of each vector.

    Right for models trained with a Matryoshka loss, whose makers name the prefixes that work. Any
    other vectors lose far more than with `PCA`; re-nest them with `Matryoshka` first.

    Parameters
    ----------
    n_components : int
        Coordinates kept, at most ``dim``.
    renormalize : bool, default=False
        Scale each prefix to length one, as such models are used: an inner product is then the
        cosine of the prefixes. The length is lost. Cosine scores are the same either way.
    n_jobs : int or None, default=None
        Threads of `scores`.

    Attributes
    ----------
    kept_ : float
        Share of the squared length of the fitted vectors that lies in the prefix; of vectors that
        are not nested about ``n_components / dim``.
    bytes_per_vector_ : int
        ``4 * n_components``.

    Raises
    ------
    ParameterError
        `n_components` is below 1 or above the dimension.

    Notes
    -----
    Nothing is learned; `fit` only looks at the dimension and at `kept_`. Cost: one copy. Decoding
    fills with zeros, so ``l2`` scores count what was cut off. Under cosine the prefixes are
    compared, both at their own length.

    References
    ----------
    .. [1] Kusupati et al. Matryoshka representation learning. NeurIPS 2022. arXiv:2205.13147

    Examples
    --------
    >>> X = np.array([[3.0, 4.0, 0.1], [1.0, 0.0, 9.0]], dtype=np.float32)
    >>> Truncate(2, renormalize=True).fit_transform(X)
    array([[0.6, 0.8],
           [1. , 0. ]], dtype=float32)
    """

    output: ClassVar[str] = "dense"

    kept_: float

    def __init__(
        self, n_components: int, *, renormalize: bool = False, n_jobs: int | None = None
    ) -> None:
        self.n_components = n_components
        self.renormalize = renormalize
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        k, dim = check_count("n_components", self.n_components), X.shape[1]
        if k > dim:
            raise ParameterError(
                f"n_components must be at most the dimension {dim}; got {k}. Choose fewer."
            )
        squares = np.einsum("ij,ij->j", X, X, dtype=np.float64)
        total = squares.sum()
        self.kept_ = float(squares[:k].sum() / total) if total > 0 else k / dim

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        prefix = np.ascontiguousarray(X[:, : self.n_components])
        return unit(prefix) if self.renormalize else prefix

    def _inverse(self, codes: NDArray[np.float32]) -> NDArray[np.float32]:
        decoded = np.zeros((len(codes), self.n_features_in_), np.float32)
        decoded[:, : codes.shape[1]] = codes
        return decoded

    def _bytes(self) -> int:
        return 4 * int(self.n_components)

    def _map_queries(
        self, queries: NDArray[np.float32], metric: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        prefix = np.ascontiguousarray(queries[:, : self.n_components])
        beyond = np.zeros(len(queries), np.float32)
        if metric == "l2":
            rest = queries[:, self.n_components :]
            beyond = -np.einsum("ij,ij->i", rest, rest)
        return prefix, beyond

    def _scores(self, queries: NDArray[np.float32], codes: Any, metric: str) -> NDArray[np.float32]:
        prefix, beyond = self._map_queries(queries, metric)
        return dense_scores(prefix, codes, metric, self.n_jobs) + beyond[:, None]
