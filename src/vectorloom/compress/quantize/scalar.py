# SPDX-License-Identifier: Apache-2.0
"""Equal steps in each dimension.

    code_i = clip(round((x_i - low_i) / step_i), 0, 2^bits - 1),   x'_i = low_i + step_i code_i

One range a dimension, learned from a sample, and no bytes a row beyond its codes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.compressor import Compressor
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count, check_jobs

_SAMPLE_ROWS = 32768  # ranges are learned from at most so many rows, spread evenly
_LLOYD_STEPS = 12
# Step of the best uniform quantizer of 1 to 8 bits for a normal distribution (Max 1960, table II).
_NORMAL_STEP = (1.5958, 0.9957, 0.5860, 0.3352, 0.1881, 0.1041, 0.0569, 0.0308)


class Scalar(Compressor):
    """Store each value as a whole number of `bits` bits on its dimension's own ruler.

    The plain choice for 4x (``bits=8``) to 8x (``bits=4``): a row is its codes, nothing else, and a
    scan runs at the speed of memory. Use `RaBitQ` below 4 bits, where a rotation pays, `LVQ` if
    rows differ much in size, and `Float8` where the range of later vectors is unknown.

    Parameters
    ----------
    bits : int, default=8
        1 to 8; 8, 4, 2 and 1 are scanned in one pass, the others as the sum of two or three.
    range : {"mse", "minmax", "quantile"}, default="mse"
        How a dimension's range is chosen. ``"mse"``: least squared error on the sample, which
        clips rare large values and gives all others finer steps. ``"minmax"``: nothing of the
        sample is clipped. ``"quantile"``: from the (1 - `quantile`) / 2 quantile to its mirror.
    quantile : float, default=0.995
        Share of the sample inside the range; for ``range="quantile"`` only, in (0, 1].
    n_jobs : int or None, default=None
        Threads; None takes all that are allowed.

    Attributes
    ----------
    low_ : ndarray of shape (dim,), float32
    step_ : ndarray of shape (dim,), float32
        0 where the sample is constant.
    n_features_in_ : int
    bytes_per_vector_ : int
        ``dim * bits / 8``, each power of two in `bits` rounded up on its own.

    Raises
    ------
    ParameterError
        Bits outside 1 to 8, an unknown range, a quantile outside (0, 1].
    CapacityError
        More than 65,536 dimensions.

    Notes
    -----
    Fit costs twelve passes over at most 32,768 rows (``"mse"``), encoding one pass. Scores are
    integer products with a query rounded to 8 bits, or to 15 for codes of more than 4 bits, and
    differ from products with the decoded rows by at most half the query's step times the sum of
    ``step_i |code_i - middle|``; what that rounding adds is far below what the codes lost. The same
    bits at any `n_jobs` and at every CPU level.

    References
    ----------
    .. [1] Max. Quantizing for minimum distortion. IRE Transactions on Information Theory 1960.
       doi:10.1109/TIT.1960.1057548
    .. [2] Lloyd. Least squares quantization in PCM. IEEE Transactions on Information Theory 1982.
       doi:10.1109/TIT.1982.1056489

    Examples
    --------
    >>> X = np.array([[0.0, 1.0], [3.0, 1.0], [1.2, 1.0], [2.0, 1.0]], np.float32)
    >>> scalar = Scalar(bits=2, range="minmax").fit(X)
    >>> scalar.bytes_per_vector_
    1
    >>> scalar.inverse_transform(scalar.transform(X))[:, 0].tolist()
    [0.0, 3.0, 1.0, 2.0]
    """

    def __init__(
        self,
        bits: int = 8,
        *,
        range: str = "mse",
        quantile: float = 0.995,
        n_jobs: int | None = None,
    ) -> None:
        self.bits = bits
        self.range = range
        self.quantile = quantile
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        bits = check_bits("bits", self.bits)
        check_choice("range", self.range, ["mse", "minmax", "quantile"])
        check_jobs(self.n_jobs)
        if not 0 < self.quantile <= 1:
            raise ParameterError(
                f"quantile={self.quantile!r} is not in (0, 1]; pass the share of values to keep "
                "unclipped, such as 0.995."
            )
        stride = -(-len(X) // _SAMPLE_ROWS)
        sample = np.ascontiguousarray(X[::stride].T)
        top = 2**bits - 1
        if self.range == "quantile":
            tail = (1 - self.quantile) / 2
            low, high = np.quantile(sample, [tail, 1 - tail], axis=1)
        else:
            low, high = X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64)
        step = (high - low) / top
        if self.range == "mse":
            low, step = _least_squares(sample, low, step, bits)
        self.low_ = low.astype(np.float32)
        self.step_ = step.astype(np.float32)

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

    def _codec(self) -> Any:
        return _core.LevelCodec(self.low_[None, :], self.step_, self.bits)


def check_bits(name: str, value: Any) -> int:
    """Return a number of bits as int, refusing what is not 1 to 8.

    Parameters
    ----------
    name : str
    value : int

    Returns
    -------
    int

    Raises
    ------
    ParameterError
    """
    bits = check_count(name, value)
    if bits > 8:
        raise ParameterError(f"{name}={value} is more than 8; pass 1 to 8 bits a dimension.")
    return bits


def _least_squares(
    sample: NDArray[np.float32], low: NDArray[Any], step: NDArray[Any], bits: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the ruler of least error for each row of `sample` (dim, n), by Lloyd's two steps.

    Nearest marks for a given ruler, then the least-squares ruler for given marks; started from the
    best ruler for a normal distribution, and never worse than the full range it was given.
    """
    top = np.float32(2**bits - 1)
    best_low, best_step = low.copy(), step.copy()
    for i, values in enumerate(sample):
        if not step[i] > 0:
            continue
        middle = float(values.mean(dtype=np.float64))
        x = ((values - middle) / step[i]).astype(np.float32)  # in steps: no size is too small
        wide = ((low[i] - middle) / step[i], 1.0)
        ruler = _lloyd(x, min(float(x.std()) * _NORMAL_STEP[bits - 1], 1.0), top)
        if ruler is not None and _squared_error(x, ruler, top) < _squared_error(x, wide, top):
            best_low[i], best_step[i] = ruler[0] * step[i] + middle, ruler[1] * step[i]
    return best_low, best_step


def _lloyd(x: NDArray[np.float32], width: float, top: np.float32) -> tuple[float, float] | None:
    ruler = (-width * float(top) / 2, width)
    for _ in range(_LLOYD_STEPS):
        if not ruler[1] > 0:
            return None
        marks = _marks(x, ruler, top)
        spread = marks - marks.mean()
        variance = float(spread @ spread)
        if not variance > 0:
            return None
        slope = float(spread @ x) / variance
        ruler = (float(x.mean()) - slope * float(marks.mean()), slope)
    return ruler if ruler[1] > 0 else None


def _marks(x: NDArray[np.float32], ruler: tuple[float, float], top: np.float32) -> NDArray[Any]:
    marks = np.rint((x - np.float32(ruler[0])) * np.float32(1 / ruler[1]))
    return np.asarray(np.clip(marks, 0, top))


def _squared_error(x: NDArray[np.float32], ruler: tuple[float, float], top: np.float32) -> float:
    rest = x - (np.float32(ruler[0]) + np.float32(ruler[1]) * _marks(x, ruler, top))
    return float(rest @ rest)
