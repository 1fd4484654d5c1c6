# SPDX-License-Identifier: Apache-2.0
"""Levels where the values are: per-dimension normalisation, 1-d k-means, outliers kept apart.

    z_i = (x_i - μ_i) / σ_i,   levels C minimise Σ w (z - C[code(z)])²,   x'_i = μ_i + σ_i C[code]

and the `n_outliers` entries of a row that quantize worst are stored as float16 beside their
positions. Q-norm moves and stretches the decoding levels so that mean and variance survive:

    Ĉ = (C - μ') σ / σ' + μ     with (μ, σ) of the values and (μ', σ') of their quantized copies
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.compressor import Compressor
from vectorloom.errors import CapacityError, ParameterError
from vectorloom.estimator import check_choice, check_count, check_jobs

_OUTLIER_BYTES = 4  # uint16 position, float16 value
_MAX_ITERATIONS = 100
_MAX_SHARED = 1 << 20  # values looked at where all dimensions share their levels


class NonUniform(Compressor):
    """Quantize each value to the nearest of 2^bits learned levels, after normalising dimensions.

    For 2 to 4 bits where distributions have heavy tails or differ between dimensions; equal steps
    (`Scalar`) waste levels on the tails there. From 6 bits on the difference is small. `MixedBits`
    gives better recall per byte on most embeddings, because it also decorrelates the dimensions.

    Parameters
    ----------
    bits : int, default=4
        1 to 8 a value.
    levels : {"per_dim", "shared"}, default="per_dim"
        A table for each dimension, or one for all after normalisation, as in the paper.
    weighted : bool, default=True
        Only for shared levels: errors count by what they do to scores, σ_i² E[q_i²], where the
        second moment of queries is that of the data unless `fit` gets `queries`.
    n_outliers : int, default=0
        Entries a row kept as float16, 4 bytes each: a fixed number, so that rows have equal bytes.
    qnorm : bool, default=False
        Match moments after quantization. It helps statistics of a whole row, not its squared error.
    n_jobs : int or None, default=None

    Attributes
    ----------
    levels_ : ndarray of shape (dim * 2^bits,), float32
        What codes decode to, in the units of the data, dimension after dimension.
    thresholds_ : ndarray of shape (dim * (2^bits - 1),), float32
    bytes_per_vector_ : int
        ``ceil(dim * bits / 8) + 4 * n_outliers``.

    Raises
    ------
    ParameterError
        Bits outside 1..8, more outliers than dimensions, unknown words.
    CapacityError
        Outliers of vectors with more than 65,536 dimensions.

    Notes
    -----
    Fit sorts each dimension once and runs Lloyd's iteration on prefix sums: n dim log n, then
    2^bits log n an iteration and dimension. Lloyd starts at quantiles, so it is deterministic and
    finds a local optimum; for log-concave densities that is the global one. Encoding is a binary
    search a value in the core. A value on a threshold takes the lower level.

    Differs from the paper: sensitivities come from queries instead of a model's gradients; outliers
    are the entries with the largest error after quantization, not the largest values; a fixed
    number a row.

    References
    ----------
    .. [1] Hooper et al. KVQuant: towards 10 million context length LLM inference with KV cache
       quantization. NeurIPS 2024. arXiv:2401.18079
    .. [2] Lloyd. Least squares quantization in PCM. IEEE Transactions on Information Theory, 1982.
       doi:10.1109/TIT.1982.1056489

    Examples
    --------
    >>> X = np.random.default_rng(0).laplace(size=(1000, 16)).astype(np.float32)
    >>> compressor = NonUniform(bits=3).fit(X)
    >>> compressor.bytes_per_vector_
    6
    >>> error = X - compressor.inverse_transform(compressor.transform(X))
    >>> bool((error**2).mean() < 0.06 * X.var())
    True
    """

    _uses_queries = True

    def __init__(
        self,
        bits: int = 4,
        *,
        levels: str = "per_dim",
        weighted: bool = True,
        n_outliers: int = 0,
        qnorm: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.bits = bits
        self.levels = levels
        self.weighted = weighted
        self.n_outliers = n_outliers
        self.qnorm = qnorm
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        self._check_parameters(X.shape[1])
        centre = X.mean(axis=0, dtype=np.float64)
        spread = X.std(axis=0, dtype=np.float64)
        spread[spread == 0] = 1
        k = 1 << self.bits
        if self.levels == "shared":
            weights = np.ones(X.shape[1])
            if self.weighted:
                moment = np.mean(np.square(X if queries is None else queries, dtype=np.float64), 0)
                weights = spread**2 * moment
            table = _shared_levels((X - centre) / spread, weights, k)
            tables = centre[:, None] + spread[:, None] * table
        else:
            tables = np.stack([lloyd(column, k) for column in X.T])
        middles = ((tables[:, 1:] + tables[:, :-1]) / 2).astype(np.float32)
        if self.qnorm:
            tables = _match_moments(X, tables, middles)
        self.bits_ = np.full(X.shape[1], self.bits, np.uint8)
        self.thresholds_ = middles.ravel()
        self.levels_ = tables.astype(np.float32).ravel()

    def _check_parameters(self, dim: int) -> None:
        if check_count("bits", self.bits) > 8:
            raise ParameterError(
                f"bits must be between 1 and 8; got {self.bits}. Take Float16 for more."
            )
        check_choice("levels", self.levels, ["per_dim", "shared"])
        check_jobs(self.n_jobs)
        if check_count("n_outliers", self.n_outliers, at_least=0) > dim:
            raise ParameterError(
                f"n_outliers={self.n_outliers} is more than the {dim} values of a row; take less."
            )
        if self.n_outliers and dim > 1 << 16:
            raise CapacityError(
                f"positions of outliers have 16 bits and the vectors {dim} dimensions; reduce the "
                "dimension first, or take n_outliers=0."
            )

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        packed = np.asarray(_core.nonuniform_encode(X, self.bits_, self.thresholds_, self.n_jobs))
        if not self.n_outliers:
            return packed
        error = np.abs(X - self._decode_levels(packed))
        # A stable order: equal errors must not depend on the neighbours in a block.
        worst = np.argsort(-error, axis=1, kind="stable")[:, : self.n_outliers]
        worst = np.sort(worst, axis=1)
        limit = np.finfo(np.float16).max
        kept = np.clip(np.take_along_axis(X, worst, axis=1), -limit, limit).astype(np.float16)
        places = np.ascontiguousarray(worst.astype("<u2")).view(np.uint8)
        values = np.ascontiguousarray(kept.astype("<f2")).view(np.uint8)
        return np.concatenate([packed, places, values], axis=1)

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not self.n_outliers:
            return self._decode_levels(codes)
        ends = np.cumsum([self._packed_bytes(), 2 * self.n_outliers])
        packed, places, values = np.split(codes, ends, axis=1)
        rows = self._decode_levels(np.ascontiguousarray(packed))
        where = np.ascontiguousarray(places).view("<u2").astype(np.int64)
        if where.size and int(where.max()) >= self.n_features_in_:
            raise ParameterError(
                f"a code names dimension {int(where.max())} of {self.n_features_in_}; these bytes "
                "were not made by transform. Transform the vectors again."
            )
        kept = np.ascontiguousarray(values).view("<f2").astype(np.float32)
        np.put_along_axis(rows, where, kept, axis=1)
        return rows

    def _decode_levels(self, packed: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(_core.nonuniform_decode(packed, self.bits_, self.levels_, self.n_jobs))

    def _packed_bytes(self) -> int:
        return -(-self.n_features_in_ * self.bits // 8)

    def _bytes(self) -> int:
        return self._packed_bytes() + _OUTLIER_BYTES * self.n_outliers


def lloyd(
    values: NDArray[Any], k: int, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return k rising levels that minimise the weighted squared distance to the nearest.

    Parameters
    ----------
    values : ndarray of shape (n,)
    k : int
    weights : ndarray of shape (n,) or None, default=None

    Returns
    -------
    ndarray of shape (k,), float64
        Some may be equal where there are fewer distinct values than levels.

    Notes
    -----
    Exact assignment and means by prefix sums over the sorted values; stops when nothing moves.

    Examples
    --------
    >>> lloyd(np.array([0.0, 0.1, 5.0, 5.1]), 2).tolist()
    [0.05, 5.05]
    """
    order = np.argsort(values, kind="stable")
    rising = values[order].astype(np.float64)
    mass = np.ones(len(rising)) if weights is None else weights[order]
    below = np.concatenate([[0.0], np.cumsum(mass)])
    sums = np.concatenate([[0.0], np.cumsum(mass * rising)])
    quantiles = (np.arange(k) + 0.5) / k * below[-1]
    levels: NDArray[np.float64] = rising[
        np.minimum(np.searchsorted(below[1:], quantiles), len(rising) - 1)
    ]
    edges = np.zeros(0, np.int64)
    for _ in range(_MAX_ITERATIONS):
        inner = np.searchsorted(rising, (levels[1:] + levels[:-1]) / 2, side="right")
        moved = np.concatenate([[0], inner, [len(rising)]])
        if np.array_equal(moved, edges):
            break
        edges = moved
        held = np.diff(below[edges])
        means = np.diff(sums[edges]) / np.where(held > 0, held, 1)
        levels = np.sort(np.where(held > 0, means, levels))
    return levels


def _shared_levels(
    normal: NDArray[np.float64], weights: NDArray[np.float64], k: int
) -> NDArray[np.float64]:
    rows = max(1, min(len(normal), _MAX_SHARED // normal.shape[1]))
    some = normal[:: max(1, len(normal) // rows)][:rows]
    return lloyd(some.ravel(), k, np.broadcast_to(weights, some.shape).ravel())


def _match_moments(
    X: NDArray[np.float32], tables: NDArray[np.float64], middles: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the levels stretched so that each dimension keeps its mean and variance."""
    matched = tables.copy()
    for i, column in enumerate(X.T):
        coded = tables[i][np.searchsorted(middles[i], column)]
        spread = coded.std()
        stretch = column.std(dtype=np.float64) / spread if spread > 0 else 1.0
        matched[i] = (tables[i] - coded.mean()) * stretch + column.mean(dtype=np.float64)
    return matched
