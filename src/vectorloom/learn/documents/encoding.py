# SPDX-License-Identifier: Apache-2.0
"""Texts as numbers: the words of a corpus with the ends of its texts, and of texts to come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.learn.corpus import Corpus, EncodedCorpus, nothing_left
from vectorloom.learn.corpus_files import Piece
from vectorloom.learn.texts import as_texts
from vectorloom.progress import progress

_END = -1  # after each text, as the trainers take it
_BLOCK = 1 << 20  # words between two looks at the progress bar
_LIMIT = 10_000_000  # different words that are ever held at once
_STRANGERS = 1_000_000  # words outside the vocabulary that a coder may remember
# What a coder needs to know of a corpus to cut later texts alike.
_RULES = ("tokenizer", "lowercase", "digits", "min_length", "max_length", "errors")


@dataclass(frozen=True, eq=False)
class EncodedTexts(EncodedCorpus):
    """Texts as numbers: a corpus whose tokens hold -1 after each text, empty ones included.

    Attributes
    ----------
    n_texts : int
    """

    n_texts: int


def corpus_of(texts: Any) -> Corpus:
    """Return the corpus of what a learner of texts was given.

    Parameters
    ----------
    texts : Corpus, iterable of str, or iterable of lists of str
        Of a `Corpus` each line of a plain file, each record and each item is a text.

    Returns
    -------
    Corpus
    """
    if isinstance(texts, Corpus):
        return texts
    if isinstance(texts, (list, tuple)) and texts and isinstance(texts[0], (list, tuple)):
        return Corpus(texts)
    return Corpus(as_texts(texts))


def encode_texts(corpus: Corpus, min_count: int, max_vocab: int | None) -> EncodedTexts:
    """Count the words of all texts and write the texts down as numbers.

    Parameters
    ----------
    corpus : Corpus
    min_count : int
        Rarer words are left out.
    max_vocab : int or None
        Keep the most frequent words only.

    Returns
    -------
    EncodedTexts

    Raises
    ------
    ShapeError
        No words at all.
    ParameterError
        None that is frequent enough.
    """
    check_count("min_count", min_count)
    most = np.iinfo("i8").max if max_vocab is None else check_count("max_vocab", max_vocab)
    core = corpus._core(_LIMIT)
    with progress("reading", unit="words") as bar:
        raw, lengths = _take(corpus, core, corpus._pieces(whole_lines=True), bar.advance)
    words, counts, numbers = core.finish(min_count, most)
    if not words:
        raise nothing_left(core, min_count)
    tokens = _with_ends(numbers[raw], lengths)
    return EncodedTexts(words, counts, tokens, int(core.n_tokens), int(core.lost), len(lengths))


class TextCoder:
    """Turns texts into the numbers of a vocabulary, cut as the corpus was that it is of.

    Parameters
    ----------
    words : list of str
    rules : dict
        As `rules_of` returns them.
    """

    def __init__(self, words: list[str], rules: dict[str, Any]) -> None:
        self._words = words
        self._rules = rules
        self._core: Any = None
        self._lock = threading.Lock()  # the core counts what it cuts

    def encode(self, texts: Any) -> tuple[NDArray[np.int32], int]:
        """Return the words of texts as numbers, -1 after each text, and how many texts there are.

        Parameters
        ----------
        texts : iterable of str, or iterable of lists of str

        Returns
        -------
        tokens : ndarray of shape (n,), int32
        n_texts : int
        """
        given = corpus_of(texts)
        corpus = Corpus(given.source, field=given.field, **self._rules)
        with self._lock:
            core = self._seeded(corpus)
            raw, lengths = _take(corpus, core, corpus._pieces(whole_lines=True), lambda _: None)
        # Words of the vocabulary were seen first, so that their numbers are those of their rows.
        return _with_ends(np.where(raw < len(self._words), raw, _END), lengths), len(lengths)

    def _seeded(self, corpus: Corpus) -> Any:
        n = len(self._words)
        if self._core is None or self._core.n_words > n + _STRANGERS:
            self._core = corpus._core(np.iinfo(np.int32).max)
            self._core.add_words(self._words)
            self._core.take_tokens()
        return self._core


def rules_of(corpus: Corpus) -> dict[str, Any]:
    """Return how a corpus cuts its texts."""
    return {name: getattr(corpus, name) for name in _RULES}


def check_storable(rules: dict[str, Any]) -> None:
    """Refuse rules that a file cannot hold."""
    if callable(rules["tokenizer"]):
        raise ParameterError(
            "a model whose corpus was cut by a callable cannot be saved, since a file holds data "
            "only. Cut the texts yourself and pass lists of words to fit and transform."
        )


def _take(
    corpus: Corpus, core: Any, pieces: Iterator[Piece], advance: Any
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return provisional numbers of all words, and how many words each text has."""
    parts, lengths = [], []
    seen = told = int(core.n_tokens)
    for piece in pieces:
        corpus._add(core, piece)
        now = int(core.n_tokens)
        lengths.append(now - seen)
        seen = now
        if core.pending >= _BLOCK:
            parts.append(_words_only(core.take_tokens()))
            advance(seen - told)
            told = seen
    parts.append(_words_only(core.take_tokens()))
    advance(seen - told)
    return np.concatenate(parts), np.array(lengths, dtype=np.int64)


def _words_only(tokens: NDArray[np.int32]) -> NDArray[np.int32]:
    return tokens[tokens >= 0]


def _with_ends(numbers: NDArray[np.int32], lengths: NDArray[np.int64]) -> NDArray[np.int32]:
    """Drop the negative numbers and put -1 after each text."""
    known = numbers >= 0
    text = np.repeat(np.arange(len(lengths)), lengths)[known]
    tokens = np.full(len(text) + len(lengths), _END, dtype=np.int32)
    tokens[np.arange(len(text)) + text] = numbers[known]
    return tokens


def text_starts(tokens: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return where each text begins, and one past the end of the last, without counting ends.

    Parameters
    ----------
    tokens : ndarray of shape (n,), int32
        With -1 after each text.

    Returns
    -------
    ndarray of shape (n_texts + 1,), int64
        Places in ``tokens[tokens >= 0]``.

    Examples
    --------
    >>> text_starts(np.array([4, 2, -1, -1, 7, -1], np.int32))
    array([0, 2, 2, 3])
    """
    ends = np.flatnonzero(tokens == _END)
    return np.concatenate([[0], ends - np.arange(len(ends))]).astype(np.int64)
