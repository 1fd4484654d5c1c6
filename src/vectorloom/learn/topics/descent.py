# SPDX-License-Identifier: Apache-2.0
"""Adam, and the softmax: what topic models that are trained in NumPy share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

# Adam's constants, and what keeps its steps finite.
_DECAYS, _EPSILON = (0.9, 0.99), 1e-8


def softmax(logits: Matrix) -> Matrix:
    """Return shares of each row, from its logits."""
    found: Matrix = np.exp(logits - logits.max(axis=1, keepdims=True))
    found /= found.sum(axis=1, keepdims=True)
    return found


class Adam:
    """Adam of one array, in place."""

    def __init__(self, target: Matrix) -> None:
        self._target = target
        self._mean = np.zeros_like(target)
        self._square = np.zeros_like(target)
        self._steps = 0

    def step(self, gradient: Matrix, rate: float) -> None:
        """Move the array down its gradient."""
        first, second = _DECAYS
        self._steps += 1
        self._mean += (1 - first) * (gradient - self._mean)
        self._square += (1 - second) * (gradient * gradient - self._square)
        size = np.sqrt(self._square / (1 - second**self._steps)) + _EPSILON
        self._target -= np.float32(rate / (1 - first**self._steps)) * self._mean / size
