# SPDX-License-Identifier: Apache-2.0
"""Stein: the subspace through which responses depend on a vector, without knowing how.

    y_j = f_j(B x) + noise                     s(x) = -∇ log p(x)      T(x) = s sᵀ - ∇s
    E[y_j s(x)]  = Bᵀ E[∇f_j]                  first order: span of the responses' mean slopes
    E[y_j T(x)]  = Bᵀ E[∇²f_j] B               second order: of their mean curvatures

Both are Stein's identity (integration by parts), so the links f_j need not be known or even
estimated; several responses add up directions. Only the score s of the data is needed:

    gaussian      s = C⁻¹ (x - m)                                  first order = least squares
    elliptical    s = w S⁻¹ (x - m),   w = (ν + d) / (ν + δ)       Student's t, ν from the kurtosis
    isotropic     s = (x - m) / σ²                                 with Y = X first order is PCA
    kde           s = Σ_i K_i (x - x_i) / (h² Σ_i K_i)             in whitened space, first order
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.products import gram
from vectorloom.compress.reduce.linear import LinearReducer
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_jobs
from vectorloom.vectors import as_array, check_finite

_DENSITIES = ("gaussian", "elliptical", "isotropic", "kde")
# Second order costs n * dim² a response; more are first reduced to so many principal ones.
_MOST_RESPONSES = 16
_KDE_CENTRES = 2000
_BLOCK_ROWS = 4096  # fixed, so that sums have one order


class Stein(LinearReducer):
    """Linear map onto the subspace that responses depend on, by moments of the score function.

    Use it when each vector comes with numbers it should predict (ratings, clicks, labels as 0 and
    1, another model's vectors) and a few directions carry them, also in curved ways that linear
    regression is blind to. Without responses `PCA` keeps more of the geometry: what is found then
    are the directions in which the data is skewed (see Notes).

    Parameters
    ----------
    n_components : int, default=2
        Dimensions to keep. First order finds at most as many as there are responses.
    order : {"auto", 1, 2}, default="auto"
        1 sees slopes and needs few rows; 2 sees curvature, also links with a mean slope of zero
        such as x², and needs many more. "auto": 1 with responses, 2 without.
    density : {"gaussian", "elliptical", "isotropic", "kde"}, default="gaussian"
        How s(x) is estimated. "elliptical" suits heavy tails, "kde" few dimensions (first order
        only), "isotropic" assumes white data.
    shrinkage : float, default=1e-3
        From 0 to 1: share of a multiple of the identity in the covariance. Raise it where there are
        few rows a dimension.
    random_state : int, default=0
        Draws the centres of "kde" from more than 2,000 rows; no other use.
    n_jobs : int or None, default=None

    Attributes
    ----------
    components_ : ndarray of shape (n_components, dim), float32
        Orthonormal rows, strongest first.
    strengths_ : ndarray of shape (n_components,), float64
        Singular values of the moments (order 1), or square roots of the eigenvalues of the sum of
        their squares (order 2).
    mean_ : ndarray of shape (dim,), float32
    degrees_of_freedom_ : float
        ν of "elliptical"; infinite for data no heavier than Gaussian and for the other densities.

    Raises
    ------
    ShapeError
        `y` without one row for each row of X.
    ParameterError
        More components than dimensions, or than responses at first order; "kde" at second order;
        responses that are constant or not finite.

    Notes
    -----
    `y` is (n,) or (n, n_responses); its columns count by their scale. Without it X is its own
    response. First order is then E[x s(x)ᵀ] = I for any density and tells nothing (so it is
    refused) but with the isotropic score, where it is PCA exactly. Second order sees third
    cumulants, which are zero for Gaussian data.

    At second order the moments M_j of the responses are joined as Σ_j M_j M_jᵀ, where curvatures of
    opposite sign do not cancel. From more than 16 responses the 16 principal ones are taken.

    Time O(n dim²) at first order, O(n dim² n_responses) at second. Results do not depend on
    `n_jobs`.

    References
    ----------
    .. [1] Tian, Wu, Feng. Nonlinear multiple response regression and learning of latent spaces.
           2025. arXiv:2503.21608
    .. [2] Janzamin, Sedghi, Anandkumar. Score function features for discriminative learning:
           matrix and tensor framework. 2014. arXiv:1412.2863

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((2000, 5)).astype(np.float32)
    >>> y = np.tanh(X[:, 0] - X[:, 1])
    >>> direction = Stein(n_components=1).fit(X, y).components_[0]
    >>> bool(abs(direction[0] - direction[1]) > 1.4)
    True
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        order: str | int = "auto",
        density: str = "gaussian",
        shrinkage: float = 1e-3,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.order = order
        self.density = density
        self.shrinkage = shrinkage
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        k = self._check_components(self.n_components, X.shape[1])
        check_jobs(self.n_jobs)
        order = self._check_order(y)
        responses = _responses(X, y)
        self.mean_ = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = X.astype(np.float64) - self.mean_
        self.degrees_of_freedom_ = np.inf
        model = self._density(centred)
        if order == 1:
            if y is not None and k > responses.shape[1]:
                raise ParameterError(
                    f"first order finds at most one direction a response: {responses.shape[1]} came"
                    f", n_components={k}. Choose fewer, or order=2."
                )
            moments = model.scores(centred).T @ responses / len(X)
            vectors, values, _ = np.linalg.svd(moments, full_matrices=False)
        else:
            vectors, values = _second_order(centred, _principal(responses), model)
        self.strengths_ = values[:k].copy()
        self.components_ = np.ascontiguousarray(_signed(vectors[:, :k]).T, np.float32)

    def _check_order(self, y: Any) -> int:
        check_choice("density", self.density, _DENSITIES)
        if not 0 <= self.shrinkage <= 1:
            raise ParameterError(f"shrinkage must be from 0 to 1; got {self.shrinkage!r}.")
        if self.order not in ("auto", 1, 2):
            raise ParameterError(f"order must be 'auto', 1 or 2; got {self.order!r}.")
        order = self.order
        if order == "auto":
            order = 1 if y is not None or self.density == "isotropic" else 2
        if order == 2 and self.density == "kde":
            raise ParameterError(
                "density='kde' goes with order=1 and responses; pass fit(X, y), or another density."
            )
        if order == 1 and y is None and self.density != "isotropic":
            raise ParameterError(
                "order=1 without responses is the identity for every density; pass fit(X, y), or "
                "choose order=2, or density='isotropic' (which is PCA)."
            )
        return int(order)

    def _density(self, centred: NDArray[np.float64]) -> _Elliptical | _KernelDensity:
        n, dim = centred.shape
        covariance = gram(centred.astype(np.float32), None, self.n_jobs) / n
        level = float(np.trace(covariance)) / dim
        if not level > 0:
            raise ParameterError("X has no variance: all rows are equal. Pass rows that differ.")
        if self.density == "isotropic":
            return _Elliptical(np.eye(dim) / level, np.inf)
        # The floor keeps constant and duplicate dimensions from a precision without bound.
        share = max(float(self.shrinkage), 1e-9)
        covariance = (1 - share) * covariance + share * level * np.eye(dim)
        precision = np.linalg.inv(covariance)
        if self.density == "kde":
            rng = np.random.default_rng(self.random_state)
            return _KernelDensity(centred, precision, rng)
        if self.density == "elliptical":
            self.degrees_of_freedom_ = _degrees_of_freedom(centred, precision)
        return _Elliptical(precision, self.degrees_of_freedom_)


class _Elliptical:
    """Score of a Gaussian (ν infinite) or of Student's t, given the inverse of its covariance."""

    def __init__(self, precision: NDArray[np.float64], nu: float) -> None:
        self.nu = nu
        self.dim = len(precision)
        # The t density is written with its scatter matrix: covariance = ν / (ν - 2) scatter.
        self.precision = precision if np.isinf(nu) else precision * (nu / (nu - 2))

    def _parts(self, centred: NDArray[np.float64]) -> tuple[NDArray[np.float64], Any, Any]:
        """Return S⁻¹ (x - m), w and the weight of s sᵀ/w² in T."""
        scaled = centred @ self.precision
        if np.isinf(self.nu):
            return scaled, np.ones(len(centred)), np.ones(len(centred))
        below = self.nu + np.einsum("ij,ij->i", scaled, centred)
        weight = (self.nu + self.dim) / below
        # ∇s = w S⁻¹ - 2 w / (ν + δ) u uᵀ, so T = (w² + 2 w / (ν + δ)) u uᵀ - w S⁻¹.
        return scaled, weight, weight**2 + 2 * weight / below

    def scores(self, centred: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return s(x) of each row."""
        scaled, weight, _ = self._parts(centred)
        return np.asarray(scaled * weight[:, None])

    def moment(
        self, centred: NDArray[np.float64], responses: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return mean_i y_i T(x_i) for one response."""
        total = np.zeros((self.dim, self.dim))
        for start in range(0, len(centred), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            scaled, weight, outer = self._parts(centred[rows])
            y = responses[rows]
            total += (scaled * (y * outer)[:, None]).T @ scaled - self.precision * (y @ weight)
        return total / len(centred)


class _KernelDensity:
    """Score of a Gaussian kernel estimate in whitened space; a row does not count for itself."""

    def __init__(
        self,
        centred: NDArray[np.float64],
        precision: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> None:
        self.whitener = np.linalg.cholesky(precision)
        n, dim = centred.shape
        keep = rng.permutation(n)[:_KDE_CENTRES] if n > _KDE_CENTRES else np.arange(n)
        self.centres = centred[np.sort(keep)] @ self.whitener
        # Silverman's rule for unit variance.
        self.width = (4 / ((dim + 2) * len(self.centres))) ** (1 / (dim + 4))

    def scores(self, centred: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return s(x) of each row."""
        out = np.empty_like(centred)
        squares = np.einsum("ij,ij->i", self.centres, self.centres)
        for start in range(0, len(centred), _BLOCK_ROWS // 4):
            white = centred[start : start + _BLOCK_ROWS // 4] @ self.whitener
            own = np.einsum("ij,ij->i", white, white)[:, None]
            distance = np.maximum(own + squares - 2 * white @ self.centres.T, 0)
            logs = -distance / (2 * self.width**2)
            logs[distance <= 1e-9 * (own + squares)] = -np.inf  # the row itself, or its copy
            top = logs.max(axis=1, keepdims=True)
            weights = np.exp(logs - np.where(np.isfinite(top), top, 0))
            total = weights.sum(axis=1, keepdims=True)
            pulled = weights @ self.centres / np.where(total > 0, total, 1)
            score = np.where(total > 0, (white - pulled) / self.width**2, white)
            out[start : start + len(white)] = score @ self.whitener.T
        return out

    def moment(
        self, centred: NDArray[np.float64], responses: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        raise AssertionError("second order is refused before")


def _responses(X: NDArray[np.float32], y: Any) -> NDArray[np.float64]:
    """Return centred responses, float64 (n, n_responses)."""
    if y is None:
        wide = X.astype(np.float64)
        return np.asarray(wide - wide.mean(axis=0))
    array = as_array(y, name="y").astype(np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or len(array) != len(X):
        raise ShapeError(
            f"y must be (n,) or (n, n_responses) with one row a vector; got {array.shape} for "
            f"{len(X)} rows."
        )
    check_finite(array, name="y")
    array = array - array.mean(axis=0)
    if not array.any():
        raise ParameterError(
            "y is constant, so it depends on no direction; pass responses that vary, or none."
        )
    return np.asarray(array)


def _principal(responses: NDArray[np.float64]) -> NDArray[np.float64]:
    if responses.shape[1] <= _MOST_RESPONSES:
        return responses
    _, vectors = np.linalg.eigh(responses.T @ responses)
    return np.asarray(responses @ vectors[:, -_MOST_RESPONSES:])


def _second_order(
    centred: NDArray[np.float64], responses: NDArray[np.float64], model: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    joined = np.zeros((centred.shape[1],) * 2)
    for column in responses.T:
        moment = model.moment(centred, np.ascontiguousarray(column))
        joined += moment @ moment.T
    values, vectors = np.linalg.eigh((joined + joined.T) / 2)
    return vectors[:, ::-1], np.sqrt(np.maximum(values[::-1], 0))


def _degrees_of_freedom(centred: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """Return ν by the kurtosis: E[δ²] / (d (d + 2)) = (ν - 2) / (ν - 4), δ under the covariance."""
    dim = centred.shape[1]
    distance = np.einsum("ij,ij->i", centred @ precision, centred)
    distance *= dim / distance.mean()  # the shrunk covariance gives a little less than dim
    excess = float(np.mean(distance**2)) / (dim * (dim + 2)) - 1
    return 4 + 2 / excess if excess > 1e-3 else np.inf


def _signed(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make the largest entry of each column positive: one answer for every LAPACK."""
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return np.asarray(vectors * np.where(signs == 0, 1, signs))
