# SPDX-License-Identifier: Apache-2.0
"""Locally-adaptive vector quantization: equal steps, a range for each vector, one or two levels.

    x' = mean + a c + b,   c_i = clip(round((x_i - mean_i - b) / a), 0, 2^bits - 1)
    x'' = x' + a (d / (2^residual_bits - 1) - 1/2),   d = what is left of x, in those finer steps

a and b are the row's own, two float16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.compressor import Compressor
from vectorloom.compress.quantize.scalar import check_bits
from vectorloom.estimator import check_jobs

# The sample's largest factor becomes 16 units: rows up to 4,000 times larger still fit a float16,
# and rows 200,000 times smaller keep its full precision.
_LARGEST_IN_UNITS = 16.0


class LVQ(Compressor):
    """Centre the vectors and give each row a range of its own.

    The code of choice for graph search, where single rows are fetched in random order: all that a
    score needs lies side by side. With `residual_bits` the first level is small enough to fetch for
    every candidate, and the second re-checks the few that matter. For flat scans at 4 bits or
    less `RaBitQ`, which rotates first, keeps more of the ranking; `Scalar` saves the four bytes of
    factors where rows are alike.

    Parameters
    ----------
    bits : int, default=4
        Of the first level, 1 to 8.
    residual_bits : int or None, default=None
        Of the second level, 1 to 8; None for a single level. ``LVQ(4, residual_bits=8)`` is the
        paper's LVQ-4x8.
    n_jobs : int or None, default=None
        Threads; None takes all that are allowed.

    Attributes
    ----------
    mean_ : ndarray of shape (dim,), float32
    unit_ : ndarray of shape (2,), float32
        Powers of two; the float16 factors of a row count in them.
    n_features_in_ : int
    bytes_per_vector_ : int
        ``dim * (bits + residual_bits) / 8 + 4``.

    Raises
    ------
    ParameterError
        Bits outside 1 to 8.
    CapacityError
        More than 65,536 dimensions.

    Notes
    -----
    Differs from [1]_ in three ways. A single level fits a and b to the row by least squares (three
    rounds of Lloyd's algorithm) where the paper takes its smallest and largest entry: on 384
    dimensions that removes a good part of the squared error at 4 bits and most at 2. With a second
    level the paper's range is kept, since
    what the first level clips the second could not mend. The factors are rounded to float16 before
    the levels are chosen, so the levels absorb the rounding. A row whose offset from the mean is
    thousands of times its own spread keeps 11 bits of that offset.

    Encoding reads a row five times from cache. Scores: as `Scalar`. The same bits at any `n_jobs`
    and at every CPU level.

    References
    ----------
    .. [1] Aguerrebere, Bhati, Hildebrand, Tepper, Willke. Similarity search in the blink of an eye
       with compressed indices. PVLDB 2023. doi:10.14778/3611479.3611537

    Examples
    --------
    >>> X = np.array([[1.0, 2.0, 4.0, 16.0], [-1.0, -2.0, -4.0, -16.0]], np.float32)
    >>> lvq = LVQ(bits=4).fit(X)
    >>> lvq.bytes_per_vector_
    6
    >>> lvq.inverse_transform(lvq.transform(X))[0].round(1).tolist()
    [1.0, 2.0, 4.0, 16.0]
    """

    def __init__(
        self, bits: int = 4, *, residual_bits: int | None = None, n_jobs: int | None = None
    ) -> None:
        self.bits = bits
        self.residual_bits = residual_bits
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        bits = check_bits("bits", self.bits)
        if self.residual_bits is not None:
            check_bits("residual_bits", self.residual_bits)
        check_jobs(self.n_jobs)
        self.mean_ = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        largest = max(
            float(np.max(X.max(axis=0) - self.mean_)), float(np.max(self.mean_ - X.min(axis=0)))
        )
        self.unit_ = np.array(
            [power_of_two(2 * largest / (2**bits - 1)), power_of_two(largest)], np.float32
        )

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        return np.asarray(self._codec().encode(X, n_jobs=self.n_jobs))

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(self._codec().decode(codes, n_jobs=self.n_jobs))

    def _bytes(self) -> int:
        return int(self._codec().row_bytes)

    def _scores(
        self, queries: NDArray[np.float32], codes: NDArray[np.uint8], metric: str
    ) -> NDArray[np.float32] | None:
        return np.asarray(self._codec().scores(queries, codes, metric, n_jobs=self.n_jobs))

    def first_level_scores(self, queries: Any, codes: Any) -> NDArray[np.float32]:
        """Return inner products with the first level alone: the cheap screen of two.

        Parameters
        ----------
        queries : array-like of shape (m, dim)
        codes : Codes of shape (n, bytes_per_vector_)

        Returns
        -------
        ndarray of shape (m, n), float32

        Raises
        ------
        NotFittedError, ShapeError, ParameterError
        """
        from vectorloom.vectors import as_dense

        self._check_fitted("bytes_per_vector_")
        queries = as_dense(queries, name="queries", dim=self.n_features_in_)
        checked = self._check(codes)
        return np.asarray(
            self._codec().scores(queries, checked, first_only=True, n_jobs=self.n_jobs)
        )

    def _codec(self) -> Any:
        return _core.LevelCodec(
            self.mean_[None, :],
            None,
            self.bits,
            self.residual_bits or 0,
            "affine",
            float(self.unit_[0]),
            float(self.unit_[1]),
        )


def power_of_two(largest: float) -> float:
    """Return the unit in which `largest` is between 8 and 16, a power of two in float32's range.

    Parameters
    ----------
    largest : float
        Not negative; 0 gives 1.

    Returns
    -------
    float

    Examples
    --------
    >>> power_of_two(16.0), power_of_two(0.1)
    (1.0, 0.0078125)
    """
    if not largest > 0:
        return 1.0
    exponent = int(np.ceil(np.log2(largest / _LARGEST_IN_UNITS)))
    return float(2.0 ** min(max(exponent, -100), 100))
