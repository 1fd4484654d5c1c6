# SPDX-License-Identifier: Apache-2.0
"""Windows of a text around its words, and which of them are of one kind.

    r   = mean of r_c over the words c of a window,     r_c = (x_c - mean x) a / (a + share of c)
    d_k = sum of r / |r| over the windows nearest to d_k, at length 1

for the windows of each word by itself: spherical k-means, the best of some beginnings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.learn.corpus import EncodedCorpus
from vectorloom.progress import progress

Matrix = NDArray[np.float32]

_RARE = 1e-3  # a: share of the text at which a word counts half
_BEGINNINGS = 4
_ROUNDS = 8
_MOST_PLACES = 4096  # of one word
_TOGETHER = 1 << 15  # places of several words, more by one word at most


@dataclass
class Windows:
    """Places of a text: the word, and the others of its window; -1 fills up."""

    centre: NDArray[np.int32]
    context: NDArray[np.int32]


@dataclass
class Text:
    """Words kept of a corpus, and the number of the sentence of each."""

    tokens: NDArray[np.int32]
    sentence: NDArray[Any]
    n: int


def thinned(corpus: EncodedCorpus, sample: float, rng: np.random.Generator) -> Text:
    """Pass over places of frequent words at random, as `Word2Vec` does."""
    tokens = np.asarray(corpus.tokens)
    sentence = np.cumsum(tokens < 0)
    keep: NDArray[np.bool_] = np.greater_equal(tokens, 0)
    if sample > 0:
        ratio = sample * corpus.counts.sum() / corpus.counts
        chance = np.append(np.minimum(np.sqrt(ratio) + ratio, 1), 0)
        keep &= rng.random(len(tokens)) < chance[tokens]
    kept = tokens[keep]
    return Text(kept, sentence[keep], len(kept))


def batches(
    text: Text, window: int, size: int, rng: np.random.Generator
) -> Iterator[tuple[float, int, Windows]]:
    """Yield (share done, number, windows) in a random order, without windows of no words."""
    order = rng.permutation(text.n)
    for start in range(0, text.n, size):
        places = order[start : start + size]
        found = windows_at(text, places, rng.integers(1, window + 1, size=len(places)), window)
        if len(found.centre):
            yield start / text.n, len(found.centre), found


def windows_at(
    text: Text, places: NDArray[np.int64], reach: NDArray[np.int64], most: int
) -> Windows:
    """Return the windows of places, without those of no words.

    Parameters
    ----------
    text : Text
    places : ndarray of shape (n,), int64
    reach : ndarray of shape (n,) or (1,), int64
        Words to each side, at most `most`.
    most : int
    """
    offsets = np.concatenate([np.arange(-most, 0), np.arange(1, most + 1)])
    at = places[:, None] + offsets
    inside = (at >= 0) & (at < text.n) & (np.abs(offsets) <= reach[:, None])
    at = np.where(inside, at, 0)
    inside &= text.sentence[at] == text.sentence[places][:, None]
    full = inside.any(axis=1)
    context = np.where(inside, text.tokens[at], -1)[full]
    return Windows(text.tokens[places[full]], context.astype(np.int32))


def first_contexts(words: Matrix, counts: NDArray[np.int64]) -> Matrix:
    """Return the r of words: without what all words share, frequent words shorter.

    Parameters
    ----------
    words : ndarray of shape (n_words, dim), float32
    counts : ndarray of shape (n_words,), int64

    Returns
    -------
    ndarray of shape (n_words, dim), float32
    """
    share = counts / counts.sum()
    found: Matrix = words - words.mean(axis=0)
    found *= (_RARE / (_RARE + share)).astype(np.float32)[:, None]
    return found


def cluster_contexts(
    corpus: EncodedCorpus, contexts: Matrix, k: int, window: int, rng: np.random.Generator
) -> Matrix:
    """Return the d of k clusters of each word's windows.

    Parameters
    ----------
    corpus : EncodedCorpus
    contexts : ndarray of shape (n_words, dim), float32
        Scaled, so that windows have length 1 on average.
    k, window : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_words, k, dim), float32
        Of length 1; zeros where no window was nearest.
    """
    text = thinned(corpus, 0, rng)
    order = np.argsort(text.tokens, kind="stable")
    starts = np.searchsorted(text.tokens[order], np.arange(len(contexts) + 1))
    found = np.zeros((len(contexts), k, contexts.shape[1]), np.float32)
    lengths, n = 0.0, 0
    with progress("clustering contexts", total=len(contexts), unit="words") as bar:
        first = 0
        while first < len(contexts):
            last, held = first, 0
            parts: list[NDArray[np.int64]] = []
            while last < len(contexts) and held < _TOGETHER:
                own = order[starts[last] : starts[last + 1]]
                parts.append(rng.permutation(own)[:_MOST_PLACES])
                held += len(parts[-1])
                last += 1
            windows = windows_at(text, np.concatenate(parts), np.full(1, window), window)
            means = _means(windows, contexts)
            norms: Matrix = np.linalg.norm(means, axis=1, keepdims=True)
            lengths, n = lengths + float(norms.sum()), n + len(norms)
            means /= np.maximum(norms, np.finfo(np.float32).tiny)
            found[first:last] = _best(means, windows.centre - first, last - first, k, rng)
            bar.advance(last - first)
            first = last
    contexts /= np.float32(lengths / n if lengths > 0 else 1.0)
    return found


def _best(
    means: Matrix, word: NDArray[np.int32], n_words: int, k: int, rng: np.random.Generator
) -> Matrix:
    """Return the clusters of each word, from those beginnings that end best for it."""
    shape = (n_words, k, means.shape[1])
    best, reached = np.zeros(shape, np.float32), np.full(n_words, -1.0, np.float32)
    for _ in range(_BEGINNINGS if k > 1 else 1):
        # Each cluster begins as a window of its word, drawn at random.
        nearest = rng.permutation(len(word)) % k
        centres = np.zeros((n_words * k, shape[2]), np.float32)
        seeds = rng.permutation(len(word))
        centres[word[seeds] * k + nearest[seeds]] = means[seeds]
        for _ in range(_ROUNDS):
            scores = np.einsum("bkd,bd->bk", centres.reshape(shape)[word], means)
            sums = row_sums(word * k + scores.argmax(axis=1), means, n_words * k)
            norms: Matrix = np.linalg.norm(sums, axis=1)
            centres = (sums / np.where(norms > 0, norms, 1)[:, None]).astype(np.float32)
        total = norms.reshape(n_words, k).sum(axis=1)
        better = total > reached
        best[better], reached[better] = centres.reshape(shape)[better], total[better]
    return best


def _means(windows: Windows, contexts: Matrix) -> Matrix:
    there = windows.context >= 0
    weights = (there / there.sum(axis=1, keepdims=True)).astype(np.float32)
    words = np.where(there, windows.context, 0)
    found: Matrix = np.einsum("bj,bjd->bd", weights, contexts[words])
    return found


def row_sums(rows: NDArray[np.int64], values: Matrix, n: int) -> Matrix:
    """Return the sum of the values of each of n rows.

    Parameters
    ----------
    rows : ndarray of shape (n_values,), int64
    values : ndarray of shape (n_values, dim), float32
    n : int
    """
    from scipy.sparse import csr_array

    ones = np.ones(len(rows), np.float32)
    found: Matrix = csr_array((ones, (rows, np.arange(len(rows)))), (n, len(rows))) @ values
    return found
