# SPDX-License-Identifier: Apache-2.0
"""Coupled quantization: groups of channels share one codebook at fixed bits a channel.

code_g(x) = argmin_k |x_g - C[g, k]|^2,   2^(c * bits) codewords for a group g of c channels
gain      = mean over groups of (sum of the channels' entropies - their joint entropy) / c
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.codebook.pq import (
    PartCodes,
    seed_of,
    train_parts,
)
from vectorloom.compress.products import gram
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs

_ENTROPY_BINS = 16  # of each channel, as in the paper
_ENTROPY_ROWS = 20_000


class CoupledChannels(PartCodes):
    """Quantize channels in groups of `coupled`, at the same bits a channel whatever the group.

    Channels that depend on each other need fewer bits together than one by one. The cost is the
    codebook: ``2**(coupled * bits)`` codewords, at most 256. `PQ` is the same code with the group
    size as its only choice; take this one to see what coupling buys (`coupling_gain_`) and to
    couple the channels that belong together rather than those that stand side by side.

    Parameters
    ----------
    coupled : int, default=4
        Channels a group, a divisor of dim.
    bits : int, default=1
        Bits a channel; ``coupled * bits`` is at most 8.
    grouping : {"correlation", "adjacent"}, default="correlation"
        Which channels share a codebook: greedily those with the largest absolute correlation, or
        neighbours as in the paper.
    max_iter : int, default=25
    rows_per_codeword : int or None, default=256
    n_jobs : int or None, default=None
    random_state : int, default=0

    Attributes
    ----------
    order_ : ndarray of shape (dim,), int64
        Channels in the order of their groups.
    codebooks_ : ndarray of shape (dim / coupled, 2**(coupled * bits), coupled), float32
    coupling_gain_ : float
        Bits a channel by which the joint entropy of two coupled channels (16 bins each, the
        first two of each group) stays below the sum of their own: 0 where coupling cannot help.
    n_features_in_ : int
    bytes_per_vector_ : int
        ``ceil(dim * bits / 8)``.

    Raises
    ------
    ShapeError
        `coupled` does not divide dim.
    ParameterError
        More than 8 bits a group.

    Notes
    -----
    Fit, encoding and scores cost as those of `PQ` with ``dim / coupled`` parts. The paper couples
    channels of key and value caches and weights errors by gradients; here all count the same. The
    gain is measured on pairs because a histogram of more channels needs more rows than there are.

    The same bits at any `n_jobs`.

    References
    ----------
    .. [1] Zhang, Yi, Xu, Shrivastava. KV Cache is 1 Bit Per Channel: Efficient Large Language
       Model Inference with Coupled Quantization. NeurIPS 2024. arXiv:2405.03917

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> half = rng.standard_normal((1000, 4)).astype(np.float32)
    >>> X = np.concatenate([half, half], axis=1)  # channels i and i + 4 are the same
    >>> quantizer = CoupledChannels(coupled=2, bits=2).fit(X)
    >>> bool(quantizer.coupling_gain_ > 1)
    True
    >>> quantizer.order_[:2].tolist()
    [0, 4]
    """

    def __init__(
        self,
        coupled: int = 4,
        bits: int = 1,
        *,
        grouping: str = "correlation",
        max_iter: int = 25,
        rows_per_codeword: int | None = 256,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.coupled = coupled
        self.bits = bits
        self.grouping = grouping
        self.max_iter = max_iter
        self.rows_per_codeword = rows_per_codeword
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        coupled = check_count("coupled", self.coupled)
        bits = check_count("bits", self.bits)
        check_choice("grouping", self.grouping, ("correlation", "adjacent"))
        check_jobs(self.n_jobs)
        dim = X.shape[1]
        if coupled * bits > 8:
            raise ParameterError(
                f"coupled * bits must be at most 8 (256 codewords a group); got {coupled} * {bits}."
                " Couple fewer channels or take fewer bits."
            )
        if dim % coupled:
            divisors = [c for c in range(1, 8 // bits + 1) if dim % c == 0]
            raise ShapeError(
                f"coupled must divide the dimension {dim}; got {coupled}. Take one of "
                f"{', '.join(map(str, divisors))}."
            )
        by_correlation = self.grouping == "correlation" and coupled > 1
        order = correlated_groups(X, coupled, self.n_jobs) if by_correlation else np.arange(dim)
        self.order_ = order.astype(np.int64)
        rows = np.ascontiguousarray(X[:, self.order_])
        self.codebooks_ = train_parts(
            rows,
            dim // coupled,
            coupled * bits,
            max_iter=self.max_iter,
            rows_per_codeword=self.rows_per_codeword,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )
        self.coupling_gain_ = coupling_gain(rows, coupled, seed_of(self.random_state))

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        rows = np.ascontiguousarray(X[:, self.order_])
        return np.asarray(_core.pq_encode(rows, self.codebooks_, self.n_jobs))

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = np.asarray(_core.pq_decode(codes, self.codebooks_, self.n_jobs))
        out = np.empty_like(rows)
        out[:, self.order_] = rows
        return out

    def _asked(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.ascontiguousarray(queries[:, self.order_])


def correlated_groups(
    X: NDArray[np.float32], size: int, n_jobs: int | None = None
) -> NDArray[np.intp]:
    """Group channels greedily: each group starts with the first free one and takes its like.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    size : int
        Channels a group, a divisor of dim.
    n_jobs : int or None, default=None

    Returns
    -------
    ndarray of shape (dim,)
        Channels, the first group's first.
    """
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
    covariance = gram(X, mean, n_jobs)
    scale = np.sqrt(np.maximum(np.diag(covariance), 0))
    scale[scale == 0] = 1
    likeness = np.abs(covariance / np.outer(scale, scale))
    free = np.ones(len(likeness), bool)
    order: list[int] = []
    while len(order) < len(likeness):
        group = [int(np.argmax(free))]
        free[group[0]] = False
        while len(group) < size:
            total = np.where(free, likeness[group].sum(axis=0), -1.0)
            group.append(int(np.argmax(total)))
            free[group[-1]] = False
        order += group
    return np.asarray(order, np.intp)


def coupling_gain(rows: NDArray[np.float32], coupled: int, seed: int) -> float:
    """Return the mean bits a channel that pairs of coupled channels share.

    Parameters
    ----------
    rows : ndarray of shape (n, dim), float32
        Channels in the order of their groups.
    coupled : int
    seed : int

    Returns
    -------
    float
        0 where channels are not coupled.
    """
    if coupled == 1:
        return 0.0
    chosen = rows
    if len(rows) > _ENTROPY_ROWS:
        picked = np.random.default_rng(seed).choice(len(rows), _ENTROPY_ROWS, replace=False)
        chosen = rows[picked]
    low = chosen.min(axis=0)
    width = np.maximum(chosen.max(axis=0) - low, np.finfo(np.float32).tiny)
    bins = np.minimum((chosen - low) / width * _ENTROPY_BINS, _ENTROPY_BINS - 1).astype(np.int64)
    gains = []
    for first in range(0, rows.shape[1], coupled):
        a, b = bins[:, first], bins[:, first + 1]
        gains.append((_entropy(a) + _entropy(b) - _entropy(a * _ENTROPY_BINS + b)) / 2)
    return max(0.0, float(np.mean(gains)))


def _entropy(numbers: NDArray[np.int64]) -> float:
    counts = np.bincount(numbers)
    shares = counts[counts > 0] / len(numbers)
    return float(-(shares * np.log2(shares)).sum())
