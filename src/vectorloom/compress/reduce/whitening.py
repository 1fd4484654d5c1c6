# SPDX-License-Identifier: Apache-2.0
"""Whitening: make all directions equally strong, so that no few of them decide every cosine.

    C = cov(x) = V diag(λ) Vᵀ        λ' = (1 - s) λ + s mean(λ)

    pca   z = diag(λ')^(-p) V_kᵀ (x - m)              x ≈ V_k diag(λ')^p z + m
    zca   z = V diag(λ')^(-p) Vᵀ (x - m)              stays as near to x as whitening can

p = 1/2 whitens in full: cov(z) = I. A smaller power goes part of the way; 0 is PCA.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.products import gram
from vectorloom.compress.reduce.reduced_geometry import ReducedGeometry, typical_length
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_jobs


class Whitening(ReducedGeometry):
    """Centre, rotate and scale so that all directions have the same variance.

    For sentence and word vectors that crowd in a narrow cone: cosines become telling after it.
    Vectors of a model trained with a contrastive loss are spread already, and full whitening hurts
    them by raising directions of noise; ``power=0.1, center=False`` is often better there.

    Parameters
    ----------
    n_components : int or None, default=None
        Strongest directions kept; None keeps all. Cutting them is what keeps noise out.
    kind : {"pca", "zca"}, default="pca"
        ``"zca"`` turns back to the original axes, so coordinates keep their meaning; then all of
        them are kept and `n_components` must be None.
    power : float, default=0.5
        p above: 0.5 whitens in full, 0 only centres and rotates.
    center : bool, default=True
        Subtract the mean. Without, second moments are whitened and the mean is one direction among
        others, made as weak as they are: right for queries whose mean is not that of the data, as
        questions against passages, which centring on the data would move apart.
    eps : float, default=1e-6
        s above: mixes this share of the mean variance into each direction, so that those without
        variance (constant or duplicate dimensions) are not blown up.
    n_jobs : int or None, default=None

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, dim), float32
    mean_ : ndarray of shape (dim,), float32, or None
    inverse_components_ : ndarray of shape (n_components_, dim), float32
        Rows of the decoder.
    variances_ : ndarray of shape (dim,), float64
        λ, strongest first: how far from isotropic the vectors were.
    n_components_ : int
    length_ : float

    Raises
    ------
    ParameterError
        Parameters out of range, more components than dimensions, one row only.

    Notes
    -----
    Fit: n dim² multiply-adds and dim³. With all components it is invertible to float32 accuracy.
    Scores are taken in the whitened space, which is the point; decode to compare in the original
    one. Deterministic at any `n_jobs`.

    Whitening magnifies the weakest directions, so it needs many more rows than dimensions; with
    fewer, set `n_components` well below the number of rows.

    References
    ----------
    .. [1] Su, Cao, Liu, Ou. Whitening sentence representations for better semantics and faster
       retrieval. 2021. arXiv:2103.15316
    .. [2] Huang et al. WhiteningBERT: an easy unsupervised sentence embedding approach. Findings of
       EMNLP 2021. arXiv:2104.01767
    .. [3] Kessy, Lewin, Strimmer. Optimal whitening and decorrelation. American Statistician, 2018.
       arXiv:1512.00809

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = (rng.standard_normal((500, 3)) * [5, 1, 0.2]).astype(np.float32)
    >>> np.cov(Whitening().fit_transform(X).T).round(2) + 0
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """

    inverse_components_: NDArray[np.float32]
    variances_: NDArray[np.float64]
    n_components_: int

    def __init__(
        self,
        n_components: int | None = None,
        *,
        kind: str = "pca",
        power: float = 0.5,
        center: bool = True,
        eps: float = 1e-6,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.kind = kind
        self.power = power
        self.center = center
        self.eps = eps
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        jobs = check_jobs(self.n_jobs)
        n, dim = X.shape
        k = self._checked(n, dim)
        mean = X.mean(axis=0, dtype=np.float64).astype(np.float32) if self.center else None
        variances, directions = np.linalg.eigh(gram(X, mean, jobs) / (n - 1))
        variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1]
        widths = whitening_widths(variances, self.power, self.eps)[:k]
        basis = directions[:, :k] * _signs(directions[:, :k])
        forward, backward = basis / widths, basis * widths
        if self.kind == "zca":
            forward, backward = forward @ basis.T, backward @ basis.T
        self.components_ = np.ascontiguousarray(forward.T, np.float32)
        self.inverse_components_ = np.ascontiguousarray(backward.T, np.float32)
        self.mean_ = mean
        self.variances_ = variances.copy()
        self.n_components_ = k
        self.length_ = typical_length(X)

    def _checked(self, n: int, dim: int) -> int:
        check_choice("kind", self.kind, ("pca", "zca"))
        if n < 2:
            raise ParameterError(
                f"Whitening needs at least 2 rows to see how they vary; got n_samples = {n}."
            )
        for name, value, most in (("power", self.power, 1.0), ("eps", self.eps, 1.0)):
            if isinstance(value, bool) or not 0 <= value <= most:
                raise ParameterError(
                    f"{name} must be a number from 0 to {most:g}; got {value!r}. Leave it out for "
                    "the usual value."
                )
        if self.n_components is None:
            return dim
        if self.kind == "zca":
            raise ParameterError(
                f"kind='zca' keeps all {dim} dimensions; got n_components={self.n_components!r}. "
                "Use kind='pca' to cut some."
            )
        return self._check_components(self.n_components, dim)

    def _decoder(self) -> NDArray[np.float32]:
        return self.inverse_components_


def whitening_widths(
    variances: NDArray[np.float64], power: float, eps: float
) -> NDArray[np.float64]:
    """Return what each direction is divided by: its damped variance to a power, never zero.

    Parameters
    ----------
    variances : ndarray of shape (dim,), float64
        Not negative.
    power : float
    eps : float
        Share of the mean variance mixed in.

    Returns
    -------
    ndarray of shape (dim,), float64
    """
    damped = (1 - eps) * variances + eps * variances.mean()
    # Without any variance there is nothing to scale; with eps = 0 a direction may have none.
    floor = np.finfo(np.float32).eps ** 2 * variances.max()
    return np.asarray(np.where(damped > floor, damped, 1.0) ** power)


def _signs(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return signs that make the largest entry of each column positive: one answer for all."""
    rows = np.abs(directions).argmax(axis=0)
    return np.asarray(np.sign(directions[rows, np.arange(directions.shape[1])]))
