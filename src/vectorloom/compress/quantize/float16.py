# SPDX-License-Identifier: Apache-2.0
"""Two bytes a value: IEEE float16 and bfloat16, rounded to the nearest number, ties to even.

float16   1 sign, 5 exponent, 10 fraction bits: |x - x'| <= 2^-11 |x| for 2^-14 <= |x| <= 65504
bfloat16  1 sign, 8 exponent,  7 fraction bits: |x - x'| <= 2^-8  |x| for all normal float32
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.compressor import Compressor
from vectorloom.estimator import check_jobs

# From so many queries on, decoding a block once and multiplying matrices is the faster way.
_SCAN_QUERIES = 16


class _Narrow(Compressor):
    """What both kinds share: codes are the bytes of the values in the machine's order."""

    _kind: ClassVar[str]

    def __init__(self, *, n_jobs: int | None = None) -> None:
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        check_jobs(self.n_jobs)

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        return np.asarray(_core.float16_encode(X, self._kind, self.n_jobs)).view(np.uint8)

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(_core.float16_decode(codes.view(np.uint16), self._kind, self.n_jobs))

    def _bytes(self) -> int:
        return 2 * self.n_features_in_

    def _scores(
        self, queries: NDArray[np.float32], codes: NDArray[np.uint8], metric: str
    ) -> NDArray[np.float32] | None:
        if len(queries) > _SCAN_QUERIES:
            return None
        rows = codes.view(np.uint16)
        return np.asarray(_core.float16_scores(queries, rows, self._kind, metric, self.n_jobs))


class Float16(_Narrow):
    """Store each value as an IEEE float16: half the bytes, eleven significant bits.

    Lossless for every practical purpose on unit vectors. Take `Float8` or `Scalar` for half of
    that again, `BFloat16` where values may pass 65504.

    Parameters
    ----------
    n_jobs : int or None, default=None

    Attributes
    ----------
    n_features_in_ : int
    bytes_per_vector_ : int
        ``2 * dim``.

    Raises
    ------
    ParameterError
        In `transform`: a value of 65520 or more by magnitude, which would become infinite. It is
        refused with its row, not clipped: two bytes that are silently wrong help nobody.

    Notes
    -----
    Nothing is learned; `fit` records the dimension. Encoding reads 4 and writes 2 bytes a value and
    is bound by memory; scores of up to sixteen queries scan the codes themselves. Numbers below
    2^-14 = 6.1e-5 keep fewer bits, those below 2^-25 become zero. The same bits at any `n_jobs` and
    CPU level.

    References
    ----------
    .. [1] IEEE Standard for Floating-Point Arithmetic, IEEE 754-2019, binary16.
       doi:10.1109/IEEESTD.2019.8766229

    Examples
    --------
    >>> X = np.array([[1.0, 0.1], [0.0, -2.0]], np.float32)
    >>> codes = Float16().fit(X).transform(X)
    >>> codes.shape
    (2, 4)
    >>> np.asarray(codes).view(np.float16).tolist()
    [[1.0, 0.0999755859375], [0.0, -2.0]]
    """

    _kind = "float16"


class BFloat16(_Narrow):
    """Store each value as a bfloat16: float32 without its last sixteen bits, rounded.

    The range of float32 with eight significant bits. For unit vectors `Float16` is eight times as
    precise at the same size; take this for values beyond 65504 or below 1e-5.

    Parameters
    ----------
    n_jobs : int or None, default=None

    Attributes
    ----------
    n_features_in_ : int
    bytes_per_vector_ : int
        ``2 * dim``.

    Raises
    ------
    ParameterError
        In `transform`: a value of 3.3961e38 or more by magnitude, which would become infinite.

    Notes
    -----
    Nothing is learned; `fit` records the dimension. Encoding is bound by memory. Subnormal numbers
    are kept. The same bits at any `n_jobs` and CPU level.

    References
    ----------
    .. [1] Kalamkar et al. A study of BFLOAT16 for deep learning training, 2019. arXiv:1905.12322

    Examples
    --------
    >>> X = np.array([[1.0, 0.1], [0.0, -2.0]], np.float32)
    >>> compressor = BFloat16().fit(X)
    >>> compressor.inverse_transform(compressor.transform(X)).tolist()
    [[1.0, 0.10009765625], [0.0, -2.0]]
    """

    _kind = "bfloat16"
