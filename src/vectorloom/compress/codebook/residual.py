# SPDX-License-Identifier: Apache-2.0
"""Residual quantization: a vector is a sum of codewords, one of each codebook.

x' = sum_m C[m, code_m],   codes by a beam search over m,   C refitted by least squares:
min over C of sum_x |x - sum_m C[m, code_m(x)]|^2, then new codes, by turns: after each codebook
that k-means adds, and in rounds once all are there.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.codebook.packing import pack_codes, unpack_codes
from vectorloom.compress.codebook.pq import check_bits, seed_of
from vectorloom.compress.codebook.rotated import RotatedCodes
from vectorloom.compress.products import matmul
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count, check_jobs

_CODEBOOKS_A_SPLIT = 3  # preferred where n_splits is not given
_GREEDY_ITERATIONS = 8
_TABLE_BYTES = 1 << 26


class ResidualQuantizer(RotatedCodes):
    """Sums of codewords: better than `OPQ` at the same few bytes, slower to encode.

    Take it at half a bit to one bit a dimension, where it gains most. The space is turned to its
    principal directions and cut into `n_splits` parts; each part is a sum of
    ``n_codebooks / n_splits`` codewords. One split is the classical method; its codebooks are so
    large that they fit the training rows rather than the data, unless there are very many.

    Parameters
    ----------
    n_codebooks : int, default=8
        Codewords added up for a vector; ``n_codebooks * bits / 8`` bytes.
    bits : int, default=8
        Bits of a code, 1 to 8.
    n_splits : int or None, default=None
        Parts of the dimensions, a divisor of dim and of `n_codebooks`. None takes the divisor
        that leaves about three codebooks a part.
    beam : int, default=4
        Partial sums kept by the encoder. Cost grows with it, error falls slowly.
    n_sweeps : int, default=1
        Times each code is replaced by the best given the others, after the beam search.
    n_rounds : int, default=3
        Rounds of encoding the sample and refitting all codebooks together, after the last came.
    emphasis : float, default=0.5
        Power of the covariance that weights errors; 0 minimises the squared error. See `OPQ`.
    keep_norms : bool, default=True
        Whether decoded rows get the length of the original: 2 bytes a row, or none when all
        training rows have one length. See `OPQ`.
    max_rows : int or None, default=65536
        Rows that training uses, chosen at random; None uses all.
    n_jobs : int or None, default=None
    random_state : int, default=0

    Attributes
    ----------
    codebooks_ : ndarray of shape (n_splits, n_codebooks / n_splits, 2**bits, dim / n_splits)
        float32.
    rotation_, inverse_ : ndarray of shape (dim, dim), float32
        See `OPQ`.
    length_ : float or None
        The one length of all training rows; None when lengths differ.
    length_unit_ : float
        Unit of stored lengths.
    n_features_in_ : int
    bytes_per_vector_ : int
        ``ceil(n_codebooks * bits / 8)``, and 2 where lengths are stored.

    Raises
    ------
    ParameterError
        `n_splits` does not divide dim and `n_codebooks`; `transform`: a row whose length is off by
        more than 1 % where lengths are not stored.

    Warns
    -----
    UserWarning
        Fewer rows than codewords.

    Notes
    -----
    Encoding: ``n_codebooks * 2**bits * dim / n_splits * beam`` products of bfloat16 pairs a row,
    and ``dim**2`` for the rotation. A score is `n_codebooks` additions of table entries; with
    `keep_norms`, or metrics other than "ip", each call of `scores` also decodes the rows once for
    their lengths. Learning encodes the sample once a codebook and once a round. Where all rows are
    few and there to be learned from, ``n_splits=1`` remembers them best. Differs from [1]_ in the
    joint refit (after [2]_), the splits and the lengths.

    The same bits at any `n_jobs`.

    References
    ----------
    .. [1] Chen, Guan, Wang. Approximate Nearest Neighbor Search by Residual Vector Quantization.
       Sensors 2010. doi:10.3390/s101211259
    .. [2] Babenko, Lempitsky. Additive Quantization for Extreme Vector Compression. CVPR 2014.
       doi:10.1109/CVPR.2014.124

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((400, 8)).astype(np.float32)
    >>> quantizer = ResidualQuantizer(4, bits=4).fit(X)
    >>> quantizer.transform(X).shape  # two bytes of codes, two of the length
    (400, 4)
    """

    def __init__(
        self,
        n_codebooks: int = 8,
        bits: int = 8,
        *,
        n_splits: int | None = None,
        beam: int = 4,
        n_sweeps: int = 1,
        n_rounds: int = 3,
        emphasis: float = 0.5,
        keep_norms: bool = True,
        max_rows: int | None = 65536,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.n_codebooks = n_codebooks
        self.bits = bits
        self.n_splits = n_splits
        self.beam = beam
        self.n_sweeps = n_sweeps
        self.n_rounds = n_rounds
        self.emphasis = emphasis
        self.keep_norms = keep_norms
        self.max_rows = max_rows
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        n_splits = self._check_parameters(X.shape[1])
        n_codewords = 1 << self.bits
        if len(X) < n_codewords:
            warnings.warn(
                f"{len(X)} rows cannot fill {n_codewords} codewords: each row becomes a codeword. "
                "Fit on more rows or take fewer bits.",
                UserWarning,
                stacklevel=3,
            )
        self._learn_axes(X, n_splits, self.emphasis)
        order = np.random.default_rng(seed_of(self.random_state)).permutation(len(X))
        sample = self._coded(X[order[: self.max_rows]])
        per_split = self.n_codebooks // n_splits
        self.codebooks_ = np.stack(
            [
                _core.additive_train(
                    np.ascontiguousarray(part),
                    per_split,
                    n_codewords,
                    self.beam,
                    _GREEDY_ITERATIONS,
                    self.n_rounds,
                    self.n_jobs,
                )
                for part in np.split(sample, n_splits, axis=1)
            ]
        )

    def _check_parameters(self, dim: int) -> int:
        n_codebooks = check_count("n_codebooks", self.n_codebooks)
        check_bits(self.bits)
        check_jobs(self.n_jobs)
        check_count("beam", self.beam)
        check_count("n_sweeps", self.n_sweeps, at_least=0)
        check_count("n_rounds", self.n_rounds, at_least=0)
        if self.max_rows is not None:
            check_count("max_rows", self.max_rows)
        common = math.gcd(dim, n_codebooks)
        divisors = [p for p in range(1, common + 1) if common % p == 0]
        if self.n_splits is None:
            return min(divisors, key=lambda p: abs(math.log(n_codebooks / p / _CODEBOOKS_A_SPLIT)))
        n_splits = check_count("n_splits", self.n_splits)
        if n_splits not in divisors:
            raise ParameterError(
                f"n_splits must divide the dimension {dim} and n_codebooks {n_codebooks}; got "
                f"{n_splits}. Take one of {', '.join(map(str, divisors))}."
            )
        return n_splits

    def _encode(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        rows = self._coded(X)
        codes = [
            _core.additive_encode(
                np.ascontiguousarray(part), books, self.beam, self.n_sweeps, self.n_jobs
            )
            for part, books in zip(
                np.split(rows, len(self.codebooks_), axis=1), self.codebooks_, strict=True
            )
        ]
        return pack_codes(np.concatenate(codes, axis=1), self.bits)

    def _decode_rows(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        n_splits, per_split, _, _ = self.codebooks_.shape
        numbers = unpack_codes(codes, n_splits * per_split, self.bits).astype(np.uint8)
        parts = [
            _core.additive_decode(
                np.ascontiguousarray(numbers[:, s * per_split : (s + 1) * per_split]),
                self.codebooks_[s],
                self.n_jobs,
            )
            for s in range(n_splits)
        ]
        return np.concatenate(parts, axis=1)

    def _products(
        self, queries: NDArray[np.float32], codes: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        n_splits, per_split, n_codewords, width = self.codebooks_.shape
        out = np.empty((len(queries), len(codes)), np.float32)
        step = max(16, _TABLE_BYTES // (4 * n_splits * per_split * n_codewords))
        for start in range(0, len(queries), step):
            some = queries[start : start + step]
            tables = np.empty((len(some), n_splits, per_split, n_codewords), np.float32)
            for s in range(n_splits):
                book = self.codebooks_[s].reshape(-1, width)
                dots = matmul(some[:, s * width : (s + 1) * width], book, self.n_jobs)
                tables[:, s] = dots.reshape(len(some), per_split, n_codewords)
            flat = tables.reshape(len(some), n_splits * per_split, n_codewords)
            out[start : start + step] = _core.pq_scores(flat, codes, self.bits, self.n_jobs)
        return out

    def _row_bytes(self) -> int:
        return int(self.codebooks_.shape[0] * self.codebooks_.shape[1] * self.bits + 7) // 8
