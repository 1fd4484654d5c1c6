# SPDX-License-Identifier: Apache-2.0
"""One byte a value, as an 8-bit floating-point number of the OCP formats.

    code = round_to_nearest_even(clip(x / s, -max, max)),   x' = s value(code)

    e4m3  4 exponent, 3 fraction bits   2^-9 … 448      relative error <= 2^-4 from 2^-6 on
    e5m2  5 exponent, 2 fraction bits   2^-16 … 57344   relative error <= 2^-3 from 2^-14 on

The scale s is a power of two, so that dividing and multiplying round nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.compressor import Compressor
from vectorloom.estimator import check_choice, check_jobs

_LARGEST = {"e4m3": 448.0, "e5m2": 57344.0}
# The sample's largest value lands this far below the format's: vectors that come later may be up to
# twice as large before they are clipped. It costs one of e4m3's fifteen binades at the small end.
_HEADROOM = 2.0
_MAX_EXPONENT = 100  # keeps s and 1 / s normal float32
# From so many queries on, decoding a block once and multiplying matrices is the faster way.
_SCAN_QUERIES = 16


class Float8(Compressor):
    """Store each value as an 8-bit float: a quarter of the bytes, hardly anything to learn.

    The default for 4x when the spread of the values is unknown or differs between dimensions: a
    relative error of a few percent a value whatever its size. `Scalar(bits=8)` spends the same
    bytes on equal steps and is more precise where values fill their range evenly; both lose next to
    nothing in retrieval. Below one byte a value take `MixedBits`, `RaBitQ` or `PQ`; ``PCA(dim // 2)
    | Float8()`` gives 8x.

    Parameters
    ----------
    format : {"e4m3", "e5m2"}, default="e4m3"
        ``"e4m3"`` is twice as precise and spans 2^17 from its smallest to its largest number;
        ``"e5m2"`` spans 2^32 and is the top byte of a float16.
    scale : {"auto", "per_dim", "none"}, default="auto"
        ``"auto"`` learns one power of two for all dimensions, ``"per_dim"`` one for each, such that
        the largest value of the sample fills between a quarter and half of the format's range.
        ``"none"`` takes 1: codes then mean the same everywhere, but entries below 2^-6, which unit
        vectors have many of, fall among e4m3's subnormal numbers and lose bits.
    n_jobs : int or None, default=None

    Attributes
    ----------
    scale_ : ndarray of shape (dim,), float32
        Powers of two.
    n_features_in_ : int
    bytes_per_vector_ : int
        ``dim``.

    Raises
    ------
    ParameterError
        An unknown format or scale.

    Notes
    -----
    Values beyond the largest are clipped to it, so vectors more than twice to four times as large
    as the sample's lose their tips; infinities and NaN codes are never written. Encoding reads 4
    and writes 1 byte a value and is bound by memory. Scores of up to sixteen queries scan the
    codes: e5m2 is widened by a shift, e4m3 by a shift and a factor 2^8 that is applied once a row.
    Deterministic at any `n_jobs`, the same bits at every CPU level.

    References
    ----------
    .. [1] Micikevicius et al. FP8 formats for deep learning, 2022. arXiv:2209.05433
    .. [2] Huerga-Pérez et al. Optimization of embeddings storage for RAG systems using quantization
       and dimensionality reduction techniques, 2025. arXiv:2505.00105

    Examples
    --------
    >>> X = np.array([[0.3, -0.01], [0.2, 0.05]], np.float32)
    >>> compressor = Float8().fit(X)
    >>> float(compressor.scale_[0])
    0.001953125
    >>> compressor.inverse_transform(compressor.transform(X)).tolist()
    [[0.3125, -0.009765625], [0.203125, 0.05078125]]
    """

    def __init__(
        self, format: str = "e4m3", *, scale: str = "auto", n_jobs: int | None = None
    ) -> None:
        self.format = format
        self.scale = scale
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        check_choice("format", self.format, list(_LARGEST))
        check_choice("scale", self.scale, ["auto", "per_dim", "none"])
        check_jobs(self.n_jobs)
        largest = np.maximum(X.max(axis=0), -X.min(axis=0)).astype(np.float64)
        if self.scale == "auto":
            largest[:] = largest.max()
        self.scale_ = np.ones(X.shape[1], np.float32)
        if self.scale != "none":
            # A dimension that is zero throughout says nothing: 1 is as good as any.
            wanted = np.where(largest > 0, largest * (_HEADROOM / _LARGEST[self.format]), 1.0)
            mantissa, exponent = np.frexp(wanted)
            exponent = np.where(mantissa == 0.5, exponent - 1, exponent)
            exponent = np.clip(exponent, -_MAX_EXPONENT, _MAX_EXPONENT)
            self.scale_ = np.ldexp(1.0, exponent).astype(np.float32)

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        inverse = np.divide(1, self.scale_, dtype=np.float32)
        return np.asarray(_core.float8_encode(X, self.format, inverse, self.n_jobs))

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(_core.float8_decode(codes, self.format, self.scale_, self.n_jobs))

    def _bytes(self) -> int:
        return self.n_features_in_

    def _scores(
        self, queries: NDArray[np.float32], codes: NDArray[np.uint8], metric: str
    ) -> NDArray[np.float32] | None:
        if len(queries) > _SCAN_QUERIES:
            return None
        return np.asarray(
            _core.float8_scores(queries, codes, self.format, metric, self.scale_, self.n_jobs)
        )
