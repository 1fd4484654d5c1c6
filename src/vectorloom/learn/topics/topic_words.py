# SPDX-License-Identifier: Apache-2.0
"""The words of texts, and how well the words of a topic go together.

    NPMI(a, b) = log( p(a, b) / (p(a) p(b)) ) / -log p(a, b)          p: shares of texts

A topic's coherence is the mean over the pairs of its first words: 1 where they always come
together, 0 by chance, -1 where they never do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.learn.terms import Terms
from vectorloom.learn.texts import as_texts


def count_words(texts: list[str], stop_words: Any, min_df: int | str) -> tuple[Any, list[str]]:
    """Count the words of texts.

    Parameters
    ----------
    texts : list of str
    stop_words : "english", iterable of str or None
    min_df : int or "auto"
        Words in fewer texts are left out. "auto": one text of 500, at least 2 from 20 texts on.

    Returns
    -------
    counts : scipy.sparse.csr_array of shape (n_texts, n_words), float64
    words : list of str

    Raises
    ------
    ParameterError
        No word is left.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

    if min_df == "auto":
        least = max(2 if len(texts) >= 20 else 1, len(texts) // 500)
    else:
        least = check_count("min_df", min_df)
    listed = ENGLISH_STOP_WORDS if stop_words == "english" else stop_words
    counter = CountVectorizer(
        tokenizer=Terms(stop_words=listed, stem=False),
        lowercase=False,
        token_pattern=None,
        min_df=least,
        dtype=np.float64,
    )
    try:
        counts = counter.fit_transform(texts)
    except ValueError as error:
        raise ParameterError(
            f"no word is left of {len(texts)} texts ({error}). Lower min_df, or pass "
            "stop_words=None."
        ) from None
    return counts, counter.get_feature_names_out().tolist()


def known_counts(texts: list[str], words: list[str], stop_words: Any) -> Any:
    """Count the words of a vocabulary in texts, cut as `count_words` does.

    Parameters
    ----------
    texts : list of str
    words : list of str
        The columns.
    stop_words : "english", iterable of str or None

    Returns
    -------
    scipy.sparse.csr_array of shape (n_texts, n_words), float32
    """
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    column = {word: place for place, word in enumerate(words)}
    listed = ENGLISH_STOP_WORDS if stop_words == "english" else stop_words
    cut = Terms(stop_words=listed, stem=False)
    found = [[column[word] for word in cut(text) if word in column] for text in texts]
    lengths = [len(row) for row in found]
    rows = np.repeat(np.arange(len(texts)), lengths)
    columns = np.array([place for row in found for place in row], dtype=np.int64)
    counts = csr_array((np.ones(len(rows), np.float32), (rows, columns)), (len(texts), len(words)))
    counts.sum_duplicates()
    return counts


def coherence(topics: Sequence[Sequence[str]], texts: Any) -> NDArray[np.float64]:
    """Return how well the words of each topic go together in texts.

    Parameters
    ----------
    topics : sequence of sequences of str
        The first words of each topic, usually ten.
    texts : iterable of str
        Where they are looked for: those that the topics were learned from, or others.

    Returns
    -------
    ndarray of shape (n_topics,), float64
        From -1 to 1; words that occur in no text count -1 with each other word. NaN for fewer than
        two words.

    References
    ----------
    .. [1] Bouma. Normalized (Pointwise) Mutual Information in Collocation Extraction. GSCL 2009.
    .. [2] Roeder, Both, Hinneburg. Exploring the Space of Topic Coherence Measures. WSDM 2015.
           doi:10.1145/2684822.2685324

    Examples
    --------
    >>> texts = ["sun moon", "sun moon", "tea cup", "tea"]
    >>> coherence([["sun", "moon"], ["sun", "tea"]], texts).tolist()
    [1.0, -1.0]
    """
    listed = sorted({word for words in topics for word in words})
    column = {word: place for place, word in enumerate(listed)}
    found = as_texts(texts)
    inside = _occurrences(found, column)
    scores = np.full(len(topics), np.nan)
    for place, words in enumerate(topics):
        if len(words) > 1:
            scores[place] = _npmi(inside[:, [column[word] for word in words]], len(found))
    return scores


def _occurrences(texts: list[str], column: dict[str, int]) -> Any:
    from scipy.sparse import csc_array

    cut = Terms(stem=False)
    pairs = [
        (row, place)
        for row, text in enumerate(texts)
        for place in {column[word] for word in cut(text) if word in column}
    ]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    shape = (len(texts), len(column))
    return csc_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def _npmi(inside: Any, n: int) -> float:
    joint = (inside.T @ inside).toarray() / n
    alone = joint.diagonal()
    a, b = np.triu_indices(len(alone), 1)
    together, chance = joint[a, b], alone[a] * alone[b]
    scores = np.full(len(a), -1.0)
    seen = (together > 0) & (together < 1)
    scores[seen] = np.log(together[seen] / chance[seen]) / -np.log(together[seen])
    scores[together == 1] = 1.0
    return float(scores.mean())
