# SPDX-License-Identifier: Apache-2.0
"""What every gradient written by hand is checked against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def numerical_gradient(
    loss: Callable[[], float], array: np.ndarray, step: float = 1e-6
) -> np.ndarray:
    """Return central differences of `loss` in each entry of `array`, which it reads."""
    gradient = np.zeros_like(array)
    for at in np.ndindex(array.shape):
        kept = array[at]
        array[at] = kept + step
        above = loss()
        array[at] = kept - step
        gradient[at] = (above - loss()) / (2 * step)
        array[at] = kept
    return gradient


def assert_gradients(
    loss: Callable[[], float], params: dict[str, np.ndarray], grads: dict[str, np.ndarray]
) -> None:
    """Fail unless each gradient is the numerical one of its parameter."""
    assert grads.keys() == params.keys()
    for name, gradient in grads.items():
        expected = numerical_gradient(loss, params[name])
        assert np.abs(expected).max() > 1e-4, f"{name}: nothing to compare"
        worst = np.abs(gradient - expected).max() / np.abs(expected).max()
        assert worst < 1e-5, f"{name}: off by {worst:.2g} of its largest entry"
