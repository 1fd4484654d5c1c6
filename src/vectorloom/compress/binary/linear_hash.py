# SPDX-License-Identifier: Apache-2.0
"""What codes of the form Q(W x + c) share: bits out, a least-squares decoder, float queries.

    projected z = W x + c             values v = Q(z), packed: signs here, a ladder of signs in BEBR
    decoded   x̂ = a + D v             D, a: least squares on the training rows
    score of a float query  q · x̂ = q · a + (Dᵀ q) · v

The query is never turned into bits, so nothing is lost on its side. Codes can also be compared with
codes, by `hamming`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.binary.bits import hamming_distances, pack_signs, unpack_signs
from vectorloom.compress.compressor import Compressor
from vectorloom.compress.products import matmul

# Ridge on the decoder, in shares of the number of training rows: bits that never change, or that
# always agree, leave the plain normal equations singular.
_RIDGE = 1e-4
_BLOCK_ROWS = 8192


class LinearHash(Compressor):
    """Base of the hashes: a subclass sets `components_` and `offset_`, then calls `_fit_decoder`.

    Attributes
    ----------
    components_ : ndarray of shape (n_bits, dim), float32
    offset_ : ndarray of shape (n_bits,), float32
    decoder_ : ndarray of shape (n_bits, dim), float32
    center_ : ndarray of shape (dim,), float32
    """

    n_jobs: int | None

    components_: NDArray[np.float32]
    offset_: NDArray[np.float32]
    decoder_: NDArray[np.float32]
    center_: NDArray[np.float32]

    def hamming(self, a: Any, b: Any) -> NDArray[np.int32]:
        """Count the bits in which each code of `a` differs from each code of `b`.

        Parameters
        ----------
        a : Codes of shape (n_a, bytes_per_vector_)
            As `transform` returns them.
        b : Codes of shape (n_b, bytes_per_vector_)

        Returns
        -------
        ndarray of shape (n_a, n_b), int32

        Raises
        ------
        NotFittedError
            Not fitted.
        ParameterError, ShapeError
            Codes of another calibration, type or width.

        Notes
        -----
        Bits against bits is coarser than `scores`, which takes the query as it is.
        """
        self._check_fitted("bytes_per_vector_")
        left, right = self._check(a), self._check(b)
        return hamming_distances(left, right, 8 * self.bytes_per_vector_, self.n_jobs)

    def _fit_decoder(self, *pairs: tuple[NDArray[np.float32], NDArray[np.float32]]) -> None:
        """Fit x ≈ a + D v by ridge regression over pairs of (values v, rows x)."""
        n_values, dim = len(self.components_), pairs[0][1].shape[1]
        gram = np.zeros((n_values + 1, n_values + 1))
        right = np.zeros((n_values + 1, dim))
        for values, rows in pairs:
            for start in range(0, len(rows), _BLOCK_ROWS):
                block = slice(start, start + _BLOCK_ROWS)
                inputs = np.ones((n_values + 1, len(rows[block])), dtype=np.float32)
                inputs[:n_values] = values[block].T
                gram += matmul(inputs, inputs, self.n_jobs)
                right += matmul(inputs, np.ascontiguousarray(rows[block].T), self.n_jobs)
        # The constant column is not penalised: it carries the mean.
        penalty = np.append(np.full(n_values, _RIDGE * gram[-1, -1]), 0.0)
        solved = np.linalg.solve(gram + np.diag(penalty), right)
        self.decoder_ = solved[:n_values].astype(np.float32)
        self.center_ = solved[n_values].astype(np.float32)

    def _project(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        return matmul(X, self.components_, self.n_jobs) + self.offset_

    def _values(self, projected: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the numbers that the code of each projected row stands for."""
        return np.where(projected >= 0, np.float32(1), np.float32(-1))

    def _pack(self, projected: NDArray[np.float32]) -> NDArray[np.uint8]:
        return pack_signs(projected)

    def _unpack(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        return unpack_signs(codes, len(self.components_))

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        codes = np.empty((len(X), self._bytes()), dtype=np.uint8)
        for start in range(0, len(X), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            codes[rows] = self._pack(self._project(X[rows]))
        return codes

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        turned = np.ascontiguousarray(self.decoder_.T)
        return matmul(self._unpack(codes), turned, self.n_jobs) + self.center_

    def _bytes(self) -> int:
        return -(-len(self.components_) // 8)

    def _scores(
        self, queries: NDArray[np.float32], codes: NDArray[np.uint8], metric: str
    ) -> NDArray[np.float32] | None:
        if metric != "ip":
            return None  # needs the decoded lengths: the base finds them
        # In as many numbers as the code has: cheaper than decoding where they are fewer than dim.
        turned = matmul(queries, self.decoder_, self.n_jobs)
        scores = np.empty((len(queries), len(codes)), dtype=np.float32)
        for start in range(0, len(codes), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            scores[:, rows] = matmul(turned, self._unpack(codes[rows]), self.n_jobs)
        scores += matmul(queries, self.center_[None, :], self.n_jobs)
        return scores


def training_rows(X: NDArray[np.float32], at_most: int) -> NDArray[np.float32]:
    """Return `X`, or evenly spaced rows of it where there are more than are needed to learn from.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    at_most : int

    Returns
    -------
    ndarray of shape (at most `at_most`, dim), float32
    """
    return np.ascontiguousarray(X[:: -(-len(X) // at_most)])
