# SPDX-License-Identifier: Apache-2.0
"""More bits where the variance is: principal axes, groups of equal bits, rotations inside.

    z = R Vᵀ (x - m),   code_i = nearest of 2^b_i levels of z_i
    u = m + V Rᵀ z',    x' = |x| u / |u|

V are the principal axes, strongest first; axes with equal b_i form a group, and R rotates each
group by a random orthogonal matrix, so that no axis of a group is larger or heavier-tailed than
another. Bits are `high_bits` for the first axes and `low_bits` for the rest, or shared out to a
budget: each bit goes to the axis where it lowers Σ λ_i sqrt(E q_i²) D(b_i) most, where λ_i is the
variance, q the queries and D(b) the distortion of the best b-bit quantizer of a Gaussian.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.compressor import Compressor, unit
from vectorloom.compress.products import gram, matmul
from vectorloom.compress.quantize.nonuniform import lloyd
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count, check_jobs

# Mean squared error of the best quantizer with 2^b levels of a standard Gaussian: Max 1960, table
# I, to b = 5; from there the high-rate law sqrt(3) pi / 2 * 4^-b.
_DISTORTION = (1.0, 0.3634, 0.1175, 0.03454, 0.009497, 0.002499, 6.6e-4, 1.66e-4, 4.15e-5)
_MAX_BITS = 8
# Lengths count as equal, and are not stored, when they differ by less than this share.
_EQUAL_LENGTHS = 1e-3
_LENGTH_BYTES = 2
_LEVEL_SAMPLE = 1 << 18  # values from which a group learns its levels
_BLOCK_VALUES = 1 << 23


class MixedBits(Compressor):
    """Spend bits by variance in the principal basis, and keep the length of each vector.

    The scalar code with the best recall per byte from half a bit to four bits a dimension on the
    embeddings measured here; it encodes at the price of one matrix product. Take `Float8` or
    `Scalar` where a product is too much, `OPQ` or `ResidualQuantizer` where codes must be scanned
    by tables.

    Parameters
    ----------
    bits_per_dim : float or None, default=None
        A budget: rows take ``floor(bits_per_dim * dim / 8)`` bytes, everything included, and the
        bits are shared out by importance. None takes the two groups that follow.
    high_fraction : float, default=0.125
        Share of the axes, strongest first, with `high_bits`.
    high_bits, low_bits : int, default=8, 4
        0 to 8; `low_bits` of 0 drops the weak axes.
    rotate : bool, default=True
        Rotate inside groups.
    keep_length : {"auto", "always", "never"}, default="auto"
        Rescale decoded vectors to their original length: quantization shrinks them, each by another
        factor, and that reorders neighbours. ``"auto"`` stores nothing when all lengths of the
        sample are equal to 0.1 % (unit vectors) and two bytes a row otherwise.
    random_state : int, default=0
        Of the rotations.
    n_jobs : int or None, default=None

    Attributes
    ----------
    mean_ : ndarray of shape (dim,), float32
    components_ : ndarray of shape (k, dim), float32
        Orthonormal rows: the rotated axes that have bits.
    bits_ : ndarray of shape (k,), uint8
        Not rising.
    levels_, thresholds_ : ndarray, float32
        Of each axis in turn.
    length_ : float
        The unit of stored lengths, or the length of all vectors.
    stores_length_ : bool

    Raises
    ------
    ParameterError
        Bits outside 0..8 or a budget without a whole bit; in `transform`, a vector whose length is
        off by more than 1 % where lengths are not stored.

    Notes
    -----
    Fit: n dim² multiply-adds for the covariance, dim³ for its axes and for the rotations. Encode
    and decode: n dim k multiply-adds and a binary search a value. Scores multiply queries by the
    axes once and never decode to `dim`. Deterministic at any `n_jobs`.

    Differs from the paper: levels are learned by Lloyd's iteration on each group instead of equal
    steps; bits can follow a budget; lengths are kept. `fit(X, queries=Q)` weights the axes by the
    queries' second moments; without queries the data's variances stand in.

    References
    ----------
    .. [1] Saxena et al. ResQ: mixed-precision quantization of large language models with low-rank
       residuals. ICML 2025. arXiv:2412.14363
    .. [2] Max. Quantizing for minimum distortion. IRE Transactions on Information Theory, 1960.
       doi:10.1109/TIT.1960.1057548

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = (rng.standard_normal((1000, 32)) * np.linspace(3, 0.1, 32)).astype(np.float32)
    >>> compressor = MixedBits(bits_per_dim=2).fit(X)
    >>> compressor.bytes_per_vector_, int(compressor.bits_.max())
    (8, 3)
    """

    _uses_queries = True

    def __init__(
        self,
        bits_per_dim: float | None = None,
        *,
        high_fraction: float = 0.125,
        high_bits: int = 8,
        low_bits: int = 4,
        rotate: bool = True,
        keep_length: str = "auto",
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.bits_per_dim = bits_per_dim
        self.high_fraction = high_fraction
        self.high_bits = high_bits
        self.low_bits = low_bits
        self.rotate = rotate
        self.keep_length = keep_length
        self.random_state = random_state
        self.n_jobs = n_jobs

    # ------------------------------------------------------------------ fit

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        check_choice("keep_length", self.keep_length, ["auto", "always", "never"])
        check_jobs(self.n_jobs)
        self._fit_length(X)
        self.mean_ = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        variance, axes = np.linalg.eigh(gram(X, self.mean_, self.n_jobs) / len(X))
        variance, axes = np.maximum(variance[::-1], 0), axes[:, ::-1].T
        # An axis has no sign of its own; without this, one more row could flip it.
        signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
        axes = axes * signs[:, None]
        moment = variance
        if queries is not None:
            moment = np.mean(np.square(queries.astype(np.float64) @ axes.T), axis=0)
        bits = self._shares(X.shape[1], variance * np.sqrt(moment))
        order = np.argsort(-bits.astype(np.int64), kind="stable")
        order = order[bits[order] > 0]
        self.bits_ = np.ascontiguousarray(bits[order])
        self.components_ = self._rotated(axes[order])
        self._fit_levels(X)

    def _fit_length(self, X: NDArray[np.float32]) -> None:
        lengths = np.linalg.norm(X.astype(np.float64), axis=1)
        self.length_ = float(lengths.max()) or 1.0
        equal = lengths.min() > self.length_ * (1 - _EQUAL_LENGTHS)
        self.stores_length_ = self.keep_length == "always" or (
            self.keep_length == "auto" and not bool(equal)
        )

    def _shares(self, dim: int, importance: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the bits of each axis."""
        if self.bits_per_dim is None:
            for name in ("high_bits", "low_bits"):
                value = getattr(self, name)
                if check_count(name, value, at_least=0) > _MAX_BITS:
                    raise ParameterError(f"{name} must be between 0 and 8; got {value}.")
            if not 0 < self.high_fraction <= 1 or self.high_bits < max(1, self.low_bits):
                raise ParameterError(
                    "the strong axes need a share in (0, 1] and at least as many bits as the weak "
                    f"ones; got high_fraction={self.high_fraction!r}, high_bits={self.high_bits}, "
                    f"low_bits={self.low_bits}."
                )
            n_high = max(1, round(self.high_fraction * dim))
            bits = np.full(dim, self.low_bits, np.uint8)
            bits[:n_high] = self.high_bits
            return bits
        budget = self.bits_per_dim
        if isinstance(budget, bool) or not isinstance(budget, int | float | np.number):
            raise ParameterError(f"bits_per_dim must be a number or None; got {budget!r}.")
        total = 8 * int(np.floor(float(budget) * dim / 8 + 1e-9))
        total -= 8 * _LENGTH_BYTES * self.stores_length_
        if not 0 < total <= _MAX_BITS * dim:
            raise ParameterError(
                f"bits_per_dim={budget!r} leaves {total} bits for the {dim} values of a row; it "
                f"must leave at least one byte and at most {_MAX_BITS} bits a value."
            )
        return share_bits(importance, total)

    def _rotated(self, axes: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the axes with each group of equal bits rotated at random."""
        if self.rotate:
            rng = np.random.default_rng(self.random_state)
            for width in np.unique(self.bits_):
                group = np.flatnonzero(self.bits_ == width)
                turn, upper = np.linalg.qr(rng.standard_normal((len(group), len(group))))
                axes[group] = (turn * np.sign(np.diag(upper))) @ axes[group]
        return np.ascontiguousarray(axes, np.float32)

    def _fit_levels(self, X: NDArray[np.float32]) -> None:
        Z = self._project(X[:: max(1, len(X) * len(self.bits_) // (1 << 23))])
        tables = []
        for width in np.unique(self.bits_)[::-1]:
            group = Z[:, self.bits_ == width]
            k = 1 << int(width)
            if self.rotate:  # the axes of a group are alike: one table for all
                some = group.ravel()
                table = lloyd(some[:: max(1, len(some) // _LEVEL_SAMPLE)], k)
                tables += [table] * group.shape[1]
            else:
                tables += [lloyd(column, k) for column in group.T]
        self.levels_ = np.concatenate(tables).astype(np.float32)
        self.thresholds_ = np.concatenate([(t[1:] + t[:-1]) / 2 for t in tables]).astype(np.float32)

    # ------------------------------------------------------------------ codes

    def _project(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        return matmul(X - self.mean_, self.components_, self.n_jobs)

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        lengths = np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64)) / self.length_
        Z = self._project(X)
        packed = np.asarray(_core.nonuniform_encode(Z, self.bits_, self.thresholds_, self.n_jobs))
        if self.stores_length_:
            limit = float(np.finfo(np.float16).max)
            stored = np.minimum(lengths, limit).astype("<f2")[:, None]
            return np.concatenate([packed, stored.view(np.uint8)], axis=1)
        if self.keep_length == "auto" and (np.abs(lengths - 1) > 0.01).any():
            row = int(np.argmax(np.abs(lengths - 1) > 0.01))
            raise ParameterError(
                f"row {row} has length {lengths[row] * self.length_:.6g}, but all vectors of the "
                f"sample had length {self.length_:.6g}, so lengths are not stored. Scale the "
                "vectors alike, or fit with keep_length='always' or 'never'."
            )
        return packed

    def _unpack(
        self, codes: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return z' (n, k) and the lengths to restore, or None."""
        lengths = None
        if self.stores_length_:
            stored = np.ascontiguousarray(codes[:, -_LENGTH_BYTES:]).view("<f2")[:, 0]
            lengths = stored.astype(np.float32) * np.float32(self.length_)
            codes = np.ascontiguousarray(codes[:, :-_LENGTH_BYTES])
        elif self.keep_length == "auto":
            lengths = np.full(len(codes), self.length_, np.float32)
        return (
            np.asarray(_core.nonuniform_decode(codes, self.bits_, self.levels_, self.n_jobs)),
            lengths,
        )

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        Z, lengths = self._unpack(codes)
        rows = matmul(Z, np.ascontiguousarray(self.components_.T), self.n_jobs) + self.mean_
        if lengths is not None:
            rows = unit(rows) * lengths[:, None]
        return np.asarray(rows)

    def _bytes(self) -> int:
        packed = -(-int(self.bits_.sum()) // 8)
        return packed + _LENGTH_BYTES * bool(self.stores_length_)

    def _scores(
        self, queries: NDArray[np.float32], codes: NDArray[np.uint8], metric: str
    ) -> NDArray[np.float32]:
        """Score in the space of the codes, with C the components.

        q·u = (C q)·z' + q·m and |u|² = |z'|² + 2 z'·(C m) + |m|², so nothing is decoded to `dim`.
        """
        mapped = matmul(queries, self.components_, self.n_jobs)
        offset = queries @ self.mean_
        centre = self.components_ @ self.mean_
        square = float(self.mean_.astype(np.float64) @ self.mean_)
        out = np.empty((len(queries), len(codes)), np.float32)
        step = max(1, _BLOCK_VALUES // len(self.bits_))
        for start in range(0, len(codes), step):
            Z, lengths = self._unpack(codes[start : start + step])
            norms = np.sqrt(np.maximum(np.einsum("ij,ij->i", Z, Z) + 2 * Z @ centre + square, 0))
            products = matmul(mapped, Z, self.n_jobs) + offset[:, None]
            if lengths is not None and metric != "cosine":
                products *= lengths / np.where(norms > 0, norms, 1)
                norms = np.where(norms > 0, lengths, 0)
            if metric == "l2":
                products = 2 * products - norms**2 - np.sum(queries**2, axis=1)[:, None]
            if metric == "cosine":
                products /= np.where(norms > 0, norms, 1)
            out[:, start : start + step] = products
        return out


def share_bits(importance: NDArray[np.float64], total: int) -> NDArray[np.uint8]:
    """Share out `total` bits so that the importance-weighted distortion is least.

    Parameters
    ----------
    importance : ndarray of shape (dim,)
        Not negative.
    total : int
        At most ``8 * dim``.

    Returns
    -------
    ndarray of shape (dim,), uint8

    Notes
    -----
    Greedy, which is optimal: the distortion of a Gaussian falls by less with each bit.

    Examples
    --------
    >>> share_bits(np.array([16.0, 1.0, 1.0]), 4).tolist()
    [3, 1, 0]
    """
    gains = -np.diff(_DISTORTION)
    bits = np.zeros(len(importance), np.uint8)
    heap = [(-value * gains[0], i) for i, value in enumerate(importance.tolist())]
    heapq.heapify(heap)
    for _ in range(total):
        _, i = heap[0]
        bits[i] += 1
        if bits[i] < _MAX_BITS:
            heapq.heapreplace(heap, (-importance[i] * gains[bits[i]], i))
        else:
            heapq.heappop(heap)
    return bits
