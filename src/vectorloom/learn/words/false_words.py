# SPDX-License-Identifier: Apache-2.0
"""False words for learners that draw them in NumPy: in proportion to count^0.75."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_EXPONENT = 0.75


def noise_of(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what `false_words` draws by: the sums of shares up to each word, the last is 1.

    Parameters
    ----------
    counts : ndarray of shape (n_words,), int64

    Examples
    --------
    >>> noise_of(np.array([16, 16]))
    array([0.5, 1. ])
    """
    noise: NDArray[np.float64] = np.cumsum(counts.astype(np.float64) ** _EXPONENT)
    noise /= noise[-1]
    return noise


def false_words(
    noise: NDArray[np.float64], shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return words drawn at random.

    Parameters
    ----------
    noise : ndarray of shape (n_words,), float64
    shape : tuple of int
    rng : numpy.random.Generator
    """
    return np.minimum(np.searchsorted(noise, rng.random(shape)), len(noise) - 1)
