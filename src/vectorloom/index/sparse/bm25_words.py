# SPDX-License-Identifier: Apache-2.0
"""From texts to counts of terms: words of any script, stop words, stems, or a function."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.index.sparse.sparse_rows import SparseRows
from vectorloom.learn.terms import stem as light_stem

#: Lucene's English stop words.
ENGLISH = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then "
    "there these they this to was will with".split()
)

_LEFT_OUT = -1
_MOST_ASKED = 1 << 18  # words of queries that are remembered
_SCANNED = 0x110000


@lru_cache(maxsize=1)
def word_ranges() -> NDArray[np.uint32]:
    r"""Return the ranges of code points that ``\w`` has in this Python, as pairs."""
    points = "".join(map(chr, (*range(0xD800), *range(0xE000, _SCANNED))))
    shift = 0x800  # the surrogates, which are no characters

    def point(at: int) -> int:
        return at if at < 0xD800 else at + shift

    spans = [(point(m.start()), point(m.end() - 1) + 1) for m in re.finditer(r"\w+", points)]
    return np.array(spans, np.uint32).ravel()


class TermCounter:
    """Words of texts, numbered as they come, and the terms that they stand for.

    Parameters
    ----------
    stop_words : frozenset of str
    stem : callable or None
        From a word to its stem; asked once a word.
    analyzer : callable or None
        From a text to its terms, in place of all the others.
    """

    def __init__(
        self,
        stop_words: frozenset[str],
        stem: Callable[[str], str] | None,
        analyzer: Callable[[str], Iterable[str]] | None,
    ) -> None:
        self.stop_words = stop_words
        self.stem = stem
        self.analyzer = analyzer
        self.words = _core.Words(word_ranges())
        self.term_of: NDArray[np.int32] = np.empty(0, np.int32)
        self._terms: dict[str, int] = {}
        self._asked: _core.Words | None = None
        self._asked_terms: NDArray[np.int32] = np.empty(0, np.int32)
        self._asked_of = 0  # terms that were known then

    @property
    def is_plain(self) -> bool:
        """Whether words are terms as they come."""
        return self.analyzer is not None or not (self.stop_words or self.stem)

    @property
    def n_terms(self) -> int:
        """Terms known."""
        return len(self.words) if self.is_plain else len(self._terms)

    def known_words(self) -> list[str]:
        """Return all words, in the order of their numbers."""
        words: list[str] = self.words.listed(0)
        return words

    def known_terms(self) -> list[str]:
        """Return all terms, in the order of their numbers."""
        return self.known_words() if self.is_plain else list(self._terms)

    def learn(self, words: list[str]) -> None:
        """Take words in as they are, in this order."""
        self.words.take(words)
        self._follow()

    def count(self, texts: list[str], grow: bool) -> tuple[SparseRows, NDArray[np.int64]]:
        """Return how often each text has each term, and the terms of each text in all.

        Parameters
        ----------
        texts : list of str
        grow : bool
            Whether new words are taken in; else they are left out.
        """
        term_of: NDArray[np.int32] | None = None
        if self.analyzer is not None:
            starts, numbers = self._analyzed(self.analyzer, texts, grow)
        elif self.stem is not None and not grow:
            starts, numbers, term_of = self._stemmed([text.lower() for text in texts], self.stem)
        else:
            starts, numbers = self.words.cut([text.lower() for text in texts], grow)
            self._follow()
            term_of = None if self.is_plain else self.term_of
        n_terms = max(1, self.n_terms)
        starts, terms, counts, lengths = _core.count_terms(starts, numbers, term_of, n_terms)
        return SparseRows(starts, terms, counts, n_terms), lengths

    def _stemmed(
        self, texts: list[str], stem: Callable[[str], str]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
        """Cut queries: a word that no text has may have a stem that some have."""
        asked = self._asked
        if asked is None or len(asked) > _MOST_ASKED or self._asked_of != len(self._terms):
            asked = self._asked = _core.Words(word_ranges())
            self._asked_terms, self._asked_of = np.empty(0, np.int32), len(self._terms)
        starts, numbers = asked.cut(texts, True)
        fresh = asked.listed(len(self._asked_terms))
        if fresh:
            terms = [
                _LEFT_OUT if word in self.stop_words else self._terms.get(stem(word), _LEFT_OUT)
                for word in fresh
            ]
            self._asked_terms = np.append(self._asked_terms, np.array(terms, np.int32))
        return starts, numbers, self._asked_terms

    def _analyzed(
        self, analyzer: Callable[[str], Iterable[str]], texts: list[str], grow: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        lists = [list(analyzer(text)) for text in texts]
        flat = [term for terms in lists for term in terms]
        if not all(isinstance(term, str) for term in flat):
            raise ParameterError("analyzer must return an iterable of str for each text.")
        lengths = np.array([len(terms) for terms in lists], np.int64)
        if grow:
            numbers = self.words.take(flat)
        else:
            if len(self._terms) != len(self.words):
                self._terms = {word: i for i, word in enumerate(self.words.listed(0))}
            numbers = np.array([self._terms.get(term, -1) for term in flat], np.int32)
            row = np.repeat(np.arange(len(texts)), lengths)[numbers >= 0]
            lengths = np.bincount(row, minlength=len(texts))
            numbers = numbers[numbers >= 0]
        starts = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(lengths, out=starts[1:])
        return starts, numbers

    def _follow(self) -> None:
        """Give terms to the words that came since the last time."""
        if self.is_plain:
            return
        seen = len(self.term_of)
        fresh = self.words.listed(seen)
        if not fresh:
            return
        terms, stem = self._terms, self.stem
        numbers = np.empty(len(fresh), np.int32)
        for i, word in enumerate(fresh):
            if word in self.stop_words:
                numbers[i] = _LEFT_OUT
            else:
                numbers[i] = terms.setdefault(stem(word) if stem else word, len(terms))
        self.term_of = np.concatenate([self.term_of, numbers])

    def __getstate__(self) -> dict[str, Any]:
        forgotten = {"_asked": None, "_asked_terms": np.empty(0, np.int32)}
        return self.__dict__ | forgotten | {"words": self.known_words()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        words = state["words"]
        self.__dict__.update(state | {"words": _core.Words(word_ranges())})
        self.words.take(words)


def stop_words_of(given: Any) -> frozenset[str]:
    """Return stop words as a set: None, ``"english"`` or words."""
    if given is None:
        return frozenset()
    if isinstance(given, str):
        if given == "english":
            return ENGLISH
        raise ParameterError(
            f"stop_words must be None, 'english' or a collection of words; got {given!r}."
        )
    words = list(given)
    if not all(isinstance(word, str) for word in words):
        raise ParameterError("stop_words must be words, as str.")
    return frozenset(word.lower() for word in words)


def stemmer_of(given: Any) -> Callable[[str], str] | None:
    """Return the function of a stemmer: None, ``"light"`` or a callable."""
    if given is None or (callable(given) and not isinstance(given, str)):
        return given
    if given == "light":
        return light_stem
    raise ParameterError(
        f"stemmer must be None, 'light' or a function from a word to its stem; got {given!r}."
    )
