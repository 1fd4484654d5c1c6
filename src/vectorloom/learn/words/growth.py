# SPDX-License-Identifier: Apache-2.0
"""A vocabulary that grows: the words of more text beside those that are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.learn.corpus import EncodedCorpus

_DROPPED = -2


def grow(
    corpus: EncodedCorpus,
    words: list[str],
    counts: NDArray[np.int64],
    min_count: int,
    max_vocab: int | None,
) -> tuple[EncodedCorpus, NDArray[np.int64]]:
    """Write more text down in the numbers of a vocabulary that takes up its new words.

    Parameters
    ----------
    corpus : EncodedCorpus
        More text, in numbers of its own.
    words : list of str
        Known; all of them stay.
    counts : ndarray of shape (n_words,), int64
    min_count : int
        New words that occur less often in `corpus` are left out.
    max_vocab : int or None
        How many words there may be; the most frequent new ones fill up what is left.

    Returns
    -------
    corpus : EncodedCorpus
        Of all words, most frequent first, known ones first where counts are equal.
    places : ndarray of shape (n_words,), int64
        Where the known words went.

    Examples
    --------
    >>> more = EncodedCorpus(["b", "c"], np.array([5, 3]), np.array([0, 1, -1], np.int32), 8, 0)
    >>> found, places = grow(more, ["a", "b"], np.array([4, 2]), 1, None)
    >>> found.words, found.counts.tolist(), places.tolist(), found.tokens.tolist()
    (['b', 'a', 'c'], [7, 4, 3], [1, 0], [0, 2, -1])
    """
    known = {word: place for place, word in enumerate(words)}
    number = np.array([known.get(word, -1) for word in corpus.words], dtype=np.int64)
    new = np.flatnonzero((number < 0) & (corpus.counts >= min_count))
    if max_vocab is not None:
        new = new[: max(0, max_vocab - len(words))]  # most frequent first
    number[number < 0] = _DROPPED
    number[new] = len(words) + np.arange(len(new))
    totals = np.concatenate([counts, corpus.counts[new]])
    seen = (number >= 0) & (number < len(words))
    totals[number[seen]] += corpus.counts[seen]
    order = np.argsort(-totals, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    final = np.where(number >= 0, rank[number], _DROPPED).astype(np.int32)
    tokens = np.array(corpus.tokens, dtype=np.int32)
    left, _ = _core.renumber(tokens, final, False)
    names = [*words, *(corpus.words[place] for place in new.tolist())]
    joined = EncodedCorpus(
        [names[place] for place in order.tolist()],
        totals[order],
        tokens[:left],
        corpus.n_tokens,
        corpus.n_lost,
    )
    return joined, rank[: len(words)]
