# SPDX-License-Identifier: Apache-2.0
"""Iterative quantization: the rotation of the principal components that signs hurt least.

V = (X - mean) Pᵀ                                P: the n_bits strongest principal directions
repeat   B = sign(V R)                           R fixed: the nearest corners of the cube
         R = U Wᵀ  from  Vᵀ B = U S Wᵀ           B fixed: orthogonal Procrustes
minimises the quantization loss  |B - V R|²      neither step can raise it
code = sign((x - mean) Pᵀ R)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.binary.linear_hash import LinearHash, training_rows
from vectorloom.compress.products import gram, matmul
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count, check_jobs

# Rows the rotation is learned from; more move it by less than the bits can tell.
_TRAINING_ROWS = 50_000


class ITQ(LinearHash):
    """Binary codes from principal components, rotated so that signs lose least.

    Use it for short binary codes without labels: it is the baseline to beat. For more bits than
    dimensions use `RaBitQ(bits=…)` or `BEBR`; with labels use `ContrastiveHash`; where
    reconstruction matters more than speed, `PQ` at the same bytes is better.

    Parameters
    ----------
    n_bits : int or None, default=None
        Bits of a code, at most the number of dimensions; None is one a dimension. Bytes of a code
        are ``ceil(n_bits / 8)``.
    n_iter : int, default=50
        Rounds of the alternation, as in the paper; the loss flattens after 20 or so.
    random_state : int, default=0
        Seeds the first rotation. The same integer gives the same bits.
    n_jobs : int or None, default=None
        Threads; None takes all that are allowed.

    Attributes
    ----------
    components_ : ndarray of shape (n_bits, dim), float32
        Orthonormal rows: rotated principal directions.
    offset_ : ndarray of shape (n_bits,), float32
        Minus the projected mean.
    losses_ : ndarray of shape (n_iter,), float64
        Quantization loss after each round, a training row and bit; it never rises.
    decoder_ : ndarray of shape (n_bits, dim), float32
    center_ : ndarray of shape (dim,), float32
        A code b decodes to ``center_ + b @ decoder_``, by least squares on the training rows.

    Raises
    ------
    ParameterError
        More bits than dimensions, or a parameter out of range.

    Notes
    -----
    Fit takes O(n dim² + n_iter n n_bits²) time, on at most 50,000 rows evenly spaced; transform
    O(dim n_bits) a row. Differs from the paper in `scores`: float queries meet a least-squares
    decoding of the bits, where the paper counts differing bits (`hamming`).

    References
    ----------
    .. [1] Gong, Lazebnik, Gordo, Perronnin. Iterative quantization: a Procrustean approach to
           learning binary codes for large-scale image retrieval. TPAMI 2013.
           doi:10.1109/TPAMI.2012.193

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((500, 32), dtype=np.float32)
    >>> itq = ITQ(n_bits=16).fit(X)
    >>> codes = itq.transform(X)
    >>> codes.shape, itq.bytes_per_vector_
    ((500, 2), 2)
    >>> int(itq.hamming(codes[:1], codes[:1])[0, 0])
    0
    """

    def __init__(
        self,
        n_bits: int | None = None,
        *,
        n_iter: int = 50,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_bits = n_bits
        self.n_iter = n_iter
        self.random_state = random_state
        self.n_jobs = n_jobs

    losses_: NDArray[np.float64]

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        n_bits = X.shape[1] if self.n_bits is None else check_count("n_bits", self.n_bits)
        n_iter = check_count("n_iter", self.n_iter)
        check_jobs(self.n_jobs)
        if n_bits > X.shape[1]:
            raise ParameterError(
                f"n_bits must be at most the {X.shape[1]} dimensions of X; got {n_bits}. For more "
                "bits than dimensions use RaBitQ(bits=…) or BEBR(bits_per_dim=…)."
            )
        sample = training_rows(X, _TRAINING_ROWS)
        mean = sample.mean(axis=0, dtype=np.float64)
        directions = principal_directions(sample, mean, n_bits)
        centered = sample - mean.astype(np.float32)
        rotation, self.losses_ = procrustes_rotation(
            matmul(centered, directions, self.n_jobs),
            n_iter,
            np.random.default_rng(self.random_state),
        )
        self.components_ = np.ascontiguousarray(rotation.T @ directions)
        self.offset_ = -(self.components_ @ mean).astype(np.float32)
        self._fit_decoder((self._values(self._project(sample)), sample))


def principal_directions(
    X: NDArray[np.float32], mean: NDArray[np.float64], n_components: int
) -> NDArray[np.float32]:
    """Return the strongest eigenvectors of the covariance as rows, the sign of each fixed.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    mean : ndarray of shape (dim,), float64
    n_components : int
        At most `dim`.

    Returns
    -------
    ndarray of shape (n_components, dim), float32
        Orthonormal, strongest first; the largest entry of each is positive.
    """
    _, vectors = np.linalg.eigh(gram(X, mean.astype(np.float32)))
    strongest = vectors[:, ::-1][:, :n_components].T
    largest = np.take_along_axis(strongest, np.abs(strongest).argmax(axis=1)[:, None], axis=1)
    return np.ascontiguousarray(strongest * np.where(largest < 0, -1.0, 1.0), dtype=np.float32)


def procrustes_rotation(
    V: NDArray[np.float32], n_iter: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Alternate between the signs of V R and the rotation R that is best for them.

    Parameters
    ----------
    V : ndarray of shape (n, n_bits), float32
        Centred projections.
    n_iter : int
    rng : numpy.random.Generator
        Draws the first rotation.

    Returns
    -------
    rotation : ndarray of shape (n_bits, n_bits), float32
    losses : ndarray of shape (n_iter,), float64
        |sign(V R) - V R|² a row and bit, after each round.
    """
    # The loss is not free of scale, and signs are of size one. The paper leaves V as it is; one
    # common factor changes neither the signs nor the rotation that is best for them.
    n_bits = V.shape[1]
    size = float(np.abs(V).mean(dtype=np.float64)) or 1.0
    V = V / np.float32(size)
    rotation = np.linalg.qr(rng.standard_normal((n_bits, n_bits)))[0].astype(np.float32)
    squares = float(np.einsum("ij,ij->", V, V, dtype=np.float64)) / V.size
    losses = np.empty(n_iter)
    projected = V @ rotation
    for i in range(n_iter):
        signs = np.where(projected >= 0, np.float32(1), np.float32(-1))
        left, _, right = np.linalg.svd((V.T @ signs).astype(np.float64))
        rotation = (left @ right).astype(np.float32)
        projected = V @ rotation
        # |B - V R|² = |B|² + |V|² - 2 |V R|₁ once B is the sign of V R.
        losses[i] = 1 + squares - 2 * float(np.abs(projected).mean(dtype=np.float64))
    return rotation, losses
