# SPDX-License-Identifier: Apache-2.0
"""Principal component analysis by the covariance matrix.

    m = mean(x),  C = Σ (x - m)(x - m)ᵀ / (n - 1) = V diag(λ) Vᵀ,  z = V_kᵀ (x - m)

C is one symmetric block product over the data, n dim² multiply-adds; its eigenvectors are found in
float64. Nothing of the size of the data is kept or copied.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.products import gram, moments
from vectorloom.compress.reduce.linear import LinearReducer
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_jobs


class PCA(LinearReducer):
    """Keep the directions in which the vectors vary most.

    The reducer to start with: no other linear map loses less squared error. Use `LeanVec` when
    queries differ from the data, `Truncate` when the model was trained for prefixes.

    Parameters
    ----------
    n_components : int, float or None, default=None
        A whole number of dimensions; a fraction in (0, 1): as few as explain that share of the
        variance; None: all of them (a rotation).
    center : bool, default=True
        Subtract the mean. Scores account for it: inner products of uncentred queries stay right.
    n_jobs : int or None, default=None

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, dim), float32
        Orthonormal, strongest first; the largest entry of each by magnitude is positive.
    mean_ : ndarray of shape (dim,), float32, or None
    explained_variance_ : ndarray of shape (n_components_,), float64
    explained_variance_ratio_ : ndarray of shape (n_components_,), float64
    n_components_ : int
    bytes_per_vector_ : int
        ``4 * n_components_``.

    Raises
    ------
    ParameterError
        More components than dimensions, or one row only.

    Notes
    -----
    Fit: n dim² multiply-adds and dim³ for the eigenvectors; transform: n dim n_components.
    Deterministic at any `n_jobs`. Fewer rows than components are fine: the surplus directions
    explain nothing.

    References
    ----------
    .. [1] Pearson. On lines and planes of closest fit to systems of points in space. Philosophical
       Magazine, 1901. doi:10.1080/14786440109462720
    .. [2] PCA-RAG: Principal Component Analysis for Efficient Retrieval-Augmented Generation, 2025.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    >>> X[:, 3] *= 10
    >>> int(PCA(n_components=1).fit(X).components_.argmax())
    3
    """

    def __init__(
        self,
        n_components: int | float | None = None,
        *,
        center: bool = True,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.center = center
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        jobs = check_jobs(self.n_jobs)
        n, dim = X.shape
        if n < 2:
            raise ParameterError(
                f"PCA needs at least 2 rows to see how they vary; got n_samples = {n}."
            )
        wanted = self._checked(dim)
        if self.center:
            mean, products = moments(X, jobs)
            self.mean_ = mean.astype(np.float32)
        else:
            self.mean_, products = None, gram(X, None, jobs)
        variances, directions = np.linalg.eigh(products / (n - 1 if self.center else n))
        variances = np.maximum(variances[::-1], 0)
        total = variances.sum()
        ratios = variances / total if total > 0 else np.zeros(dim)
        k = wanted if isinstance(wanted, int) else _enough(ratios, wanted)
        components = directions[:, ::-1][:, :k].T
        largest = np.take_along_axis(components, np.abs(components).argmax(1)[:, None], 1)
        self.components_ = np.ascontiguousarray(components * np.sign(largest), np.float32)
        self.explained_variance_ = variances[:k].copy()
        self.explained_variance_ratio_ = ratios[:k].copy()
        self.n_components_ = k

    def _checked(self, dim: int) -> int | float:
        wanted = self.n_components
        if wanted is None:
            return dim
        if isinstance(wanted, float):
            if not 0 < wanted < 1:
                raise ParameterError(
                    "n_components as a share of the variance lies between 0 and 1; got "
                    f"{wanted!r}. Pass a whole number for a number of dimensions."
                )
            return wanted
        return self._check_components(wanted, dim)


def _enough(ratios: NDArray[np.float64], share: float) -> int:
    return min(len(ratios), int(np.searchsorted(np.cumsum(ratios), share)) + 1)
