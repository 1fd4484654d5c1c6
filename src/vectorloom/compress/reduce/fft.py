# SPDX-License-Identifier: Apache-2.0
"""The leading coefficients of the real Fourier transform of each vector.

    c = rfft(x) / √dim
    z = (Re c₀, √2 Re c₁, √2 Im c₁, √2 Re c₂, …)     for even dim the last one is Re c_{dim/2}

Each coefficient but the first and the middle one occurs twice in the full transform, as a conjugate
pair; √2 accounts for the twin. So all dim numbers together are a rotation of x (Parseval), any
subset of them is an orthonormal projection, and no other scaling keeps inner products better.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.reduce.linear import LinearReducer
from vectorloom.estimator import check_choice, check_jobs

_BLOCK_ROWS = 4096


class FFT(LinearReducer):
    """Keep Fourier coefficients of the vectors: a baseline that needs no training.

    Coordinates of an embedding have no order, so its low frequencies hold no more than their share,
    and this does what a random rotation does. It is here to be compared with. It earns its place
    where neighbouring coordinates belong together: time series, spectra, image rows. Otherwise take
    `PCA`.

    Parameters
    ----------
    n_components : int
        Numbers kept, at most ``dim``; a coefficient is two numbers, its real and imaginary part.
    select : {"low", "energy"}, default="low"
        ``"low"``: the lowest frequencies. ``"energy"``: those numbers with the largest mean square
        over the fitted vectors, strongest first.
    n_jobs : int or None, default=None

    Attributes
    ----------
    components_ : ndarray of shape (n_components, dim), float32
        The rows of the real Fourier matrix that are kept; orthonormal.
    positions_ : ndarray of shape (n_components,), int64
        Their positions in z.
    kept_ : float
        Share of the squared length of the fitted vectors that is kept.
    mean_ : None

    Raises
    ------
    ParameterError
        `n_components` is below 1 or above the dimension, or another `select`.

    Notes
    -----
    Fit: one transform of the data, n dim log dim. Transform: a product with the kept rows, which
    for the dimensions of embeddings is faster than transforming and cutting. Deterministic.

    References
    ----------
    .. [1] Dimensionality reduction of embeddings by the fast Fourier transform; the abstract gives
       no numbers to compare with.

    Examples
    --------
    >>> wave = np.cos(2 * np.pi * np.arange(8) / 8)[None, :].astype(np.float32)
    >>> FFT(3).fit(wave).transform(wave).round(3) + 0  # √2 · √8 / 2 at Re c₁
    array([[0., 2., 0.]], dtype=float32)
    """

    positions_: NDArray[np.int64]
    kept_: float

    def __init__(
        self, n_components: int, *, select: str = "low", n_jobs: int | None = None
    ) -> None:
        self.n_components = n_components
        self.select = select
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        dim = X.shape[1]
        k = self._check_components(self.n_components, dim)
        check_choice("select", self.select, ("low", "energy"))
        check_jobs(self.n_jobs)
        energy = np.zeros(dim)
        for start in range(0, len(X), _BLOCK_ROWS):
            block = real_fourier(X[start : start + _BLOCK_ROWS])
            energy += np.einsum("ij,ij->j", block, block, dtype=np.float64)
        order = np.arange(dim)
        if self.select == "energy":
            order = np.argsort(-energy, kind="stable")
        self.positions_ = order[:k].astype(np.int64)
        total = energy.sum()
        self.kept_ = float(energy[self.positions_].sum() / total) if total > 0 else k / dim
        basis = real_fourier(np.eye(dim))
        self.components_ = np.ascontiguousarray(basis[:, self.positions_].T, np.float32)
        self.mean_ = None


def real_fourier(X: NDArray[Any]) -> NDArray[np.float64]:
    """Return the orthonormal real Fourier transform of each row.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float

    Returns
    -------
    ndarray of shape (n, dim), float64
        Re c₀, then the scaled real and imaginary parts in turn.
    """
    dim = X.shape[1]
    spectrum = np.fft.rfft(X.astype(np.float64, copy=False), axis=1, norm="ortho")
    out = np.empty((len(X), dim))
    out[:, 0] = spectrum[:, 0].real
    paired = spectrum[:, 1 : (dim + 1) // 2] * np.sqrt(2.0)
    out[:, 1 : 1 + 2 * paired.shape[1] : 2] = paired.real
    out[:, 2 : 2 + 2 * paired.shape[1] : 2] = paired.imag
    if dim % 2 == 0:
        out[:, -1] = spectrum[:, -1].real
    return out
