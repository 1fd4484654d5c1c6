# SPDX-License-Identifier: Apache-2.0
"""One bit a dimension: on which side of the mean a value lies.

bit_i = [x_i > mean_i],   x'_i = mean_i + scale_i (2 bit_i - 1),   scale_i = mean of |x_i - mean_i|
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.binary.bits import hamming_distances
from vectorloom.compress.compressor import Compressor
from vectorloom.estimator import check_jobs


class Sign(Compressor):
    """Keep the sign of each centred dimension: 32x smaller, nothing kept a row beyond its bits.

    The simplest binary code and the honest baseline of the others. Scores take the query as it is,
    which ranks far better than counting differing bits on both sides; `hamming` is there for that.
    `RaBitQ(bits=1)` rotates first and keeps four bytes a row more: take it where ranking matters;
    `ITQ` learns a rotation and can have fewer bits than dimensions.

    Parameters
    ----------
    center : bool, default=True
        Compare with each dimension's mean; False compares with zero, for vectors whose signs are
        already meant (encoders trained for binary output).
    n_jobs : int or None, default=None
        Threads; None takes all that are allowed.

    Attributes
    ----------
    mean_ : ndarray of shape (dim,), float32
    scale_ : ndarray of shape (dim,), float32
        What one bit decodes to on either side of the mean: the amplitude of least squared error.
    n_features_in_ : int
    bytes_per_vector_ : int
        ``ceil(dim / 8)``; the order of `numpy.packbits` with ``bitorder="little"``.

    Raises
    ------
    CapacityError
        More than 65,536 dimensions.

    Notes
    -----
    A value equal to the mean counts as below it. Fit and encoding read the vectors once or twice.
    Scores round the query to 8 bits a dimension; see `Scalar` for the bound. The same bits at any
    `n_jobs` and at every CPU level.

    References
    ----------
    .. [1] Charikar. Similarity estimation techniques from rounding algorithms. STOC 2002.
       doi:10.1145/509907.509965
    .. [2] Gordo, Perronnin, Gong, Lazebnik. Asymmetric distances for binary embeddings. TPAMI 2014.
       doi:10.1109/TPAMI.2013.101

    Examples
    --------
    >>> X = np.array([[1.0, -2.0], [3.0, 2.0]], np.float32)
    >>> sign = Sign().fit(X)
    >>> sign.transform(X).tolist()
    [[0], [3]]
    >>> sign.inverse_transform(sign.transform(X)).tolist()
    [[1.0, -2.0], [3.0, 2.0]]
    """

    def __init__(self, *, center: bool = True, n_jobs: int | None = None) -> None:
        self.center = center
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        check_jobs(self.n_jobs)
        self.mean_ = np.zeros(X.shape[1], np.float32)
        if self.center:
            self.mean_ = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        self.scale_ = np.abs(X - self.mean_).mean(axis=0, dtype=np.float64).astype(np.float32)

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        # The bit is the sign of the difference alone, whatever the scale decodes it to.
        width = np.full(X.shape[1], 1e-30, np.float32)
        codec = _core.LevelCodec(self.mean_[None, :], width, 1)
        return np.asarray(codec.encode(X, n_jobs=self.n_jobs))

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(self._codec().decode(codes, n_jobs=self.n_jobs))

    def _bytes(self) -> int:
        return int(self._codec().row_bytes)

    def _scores(
        self, queries: NDArray[np.float32], codes: NDArray[np.uint8], metric: str
    ) -> NDArray[np.float32] | None:
        return np.asarray(self._codec().scores(queries, codes, metric, n_jobs=self.n_jobs))

    def _codec(self) -> Any:
        low = self.mean_ - self.scale_
        return _core.LevelCodec(low[None, :], 2 * self.scale_, 1)

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
        """
        self._check_fitted("bytes_per_vector_")
        left, right = self._check(a), self._check(b)
        return hamming_distances(left, right, 8 * self.bytes_per_vector_, self.n_jobs)
