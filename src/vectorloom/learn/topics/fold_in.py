# SPDX-License-Identifier: Apache-2.0
"""The mixture of a new text, topics and words as they are: the logits of its topics alone descend.

    L(a) = sum over pairs (w, c) of the text
             -log s((x_w + d) . y_c) - sum_n log s(-(x_w + d) . y_n)
           + strength (1 - alpha) sum_k log p_k,          p = softmax(a), d = sum_k p_k t_k

A pair at distance r counts for its chance to be within a window drawn from 1 to `window`.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vectorloom.learn.words.false_words import false_words

Matrix = NDArray[np.float32]

_STEPS_AN_EPOCH = 5


class Fixed(NamedTuple):
    """What was learned, and how.

    Attributes
    ----------
    inputs, outputs : ndarray of shape (n_words, dim), float32
    topics : ndarray of shape (n_topics, dim), float32
    noise : ndarray of shape (n_words,), float64
        Rising to 1: false words are drawn by it.
    window, negative, epochs : int
    rate, alpha, strength : float
    seed : int
    """

    inputs: Matrix
    outputs: Matrix
    topics: Matrix
    noise: NDArray[np.float64]
    window: int
    negative: int
    epochs: int
    rate: float
    alpha: float
    strength: float
    seed: int


def fold_in(words: NDArray[np.int64], first: Matrix, fixed: Fixed) -> Matrix:
    """Return the mixture of one text.

    Parameters
    ----------
    words : ndarray of shape (n,), int64
        Its known words, in order.
    first : ndarray of shape (n_topics,), float32
        The logits to begin with.
    fixed : Fixed

    Returns
    -------
    ndarray of shape (n_topics,), float32
        Of the words and the seed alone.
    """
    centre, other, weights = _pairs(words, fixed.window)
    rng = np.random.default_rng([fixed.seed, zlib.crc32(np.ascontiguousarray(words))])
    false = false_words(fixed.noise, (len(centre), fixed.negative), rng)
    targets = np.concatenate([other[:, None], false], axis=1)
    # Scores of words and of topics do not change: x . y and t . y.
    outputs = fixed.outputs[targets]
    by_word = np.einsum("bjd,bd->bj", outputs, fixed.inputs[centre])
    by_topic = outputs @ fixed.topics.T
    labels = np.zeros(targets.shape, np.float32)
    labels[:, 0] = 1
    logits = first.astype(np.float64)
    k, steps = len(logits), fixed.epochs * _STEPS_AN_EPOCH
    for step in range(steps):
        shares = _softmax(logits)
        scores = by_word + by_topic @ shares
        errors = (1 / (1 + np.exp(-np.clip(scores, -30, 30))) - labels) * weights[:, None]
        to_shares = np.einsum("bj,bjk->k", errors, by_topic)
        gradient = shares * (to_shares - shares @ to_shares)
        gradient += fixed.strength * (1 - fixed.alpha) * (1 - k * shares) / fixed.epochs
        logits -= fixed.rate * (1 - step / steps) / _STEPS_AN_EPOCH * gradient
    return _softmax(logits).astype(np.float32)


def _pairs(
    words: NDArray[np.int64], window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Matrix]:
    """Return words, their neighbours, and the chance that a window holds the pair."""
    centre, other, weights = [], [], []
    for r in range(1, min(window, len(words) - 1) + 1):
        centre += [words[r:], words[:-r]]
        other += [words[:-r], words[r:]]
        weights += [np.full(2 * (len(words) - r), (window + 1 - r) / window, np.float32)]
    if not centre:
        none = np.empty(0, np.int64)
        return none, none, np.empty(0, np.float32)
    return np.concatenate(centre), np.concatenate(other), np.concatenate(weights)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.exp(logits - logits.max())
    found /= found.sum()
    return found
