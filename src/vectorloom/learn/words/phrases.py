# SPDX-License-Identifier: Apache-2.0
"""Phrases: neighbours that meet more often than chance become one word, ``new_york``.

default:  score(a, b) = (n_ab - min_count) * number of different words / (n_a n_b)
npmi:     score(a, b) = log(p_ab / (p_a p_b)) / -log p_ab        from -1 to 1
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import NotFittedError, ParameterError
from vectorloom.estimator import Estimator, check_choice, check_count
from vectorloom.learn.corpus import EncodedCorpus, as_corpus


class Phrases(Estimator):
    """Find terms of several words, and join them before words are learned.

    Use it for names and terms of a field. Later passes join phrases to phrases: two passes find
    terms of up to four words.

    Parameters
    ----------
    min_count : int, default=5
        Pairs and words that are rarer make no phrase.
    threshold : float, default=10.0
        Least score; higher: fewer phrases. For "npmi" a number from -1 to 1, such as 0.5.
    scoring : {"default", "npmi"}, default="default"
    n_passes : int, default=1
    delimiter : str, default="_"
        Between the words of a phrase.

    Attributes
    ----------
    phrases_ : dict of (str, str) to float
        The score of each pair, best first within a pass; a part may be a phrase of an earlier pass.

    Raises
    ------
    ParameterError, ShapeError
        A parameter out of range; an empty corpus.

    Notes
    -----
    Of phrases that overlap in a sentence the first, from the left, is taken. The whole vocabulary
    is counted, so memory is 60 bytes a different word and 20 bytes a token.

    References
    ----------
    .. [1] Mikolov, Sutskever, Chen, Corrado, Dean. Distributed Representations of Words and Phrases
           and their Compositionality. NIPS 2013. arXiv:1310.4546
    .. [2] Bouma. Normalized (Pointwise) Mutual Information in Collocation Extraction. GSCL 2009.

    Examples
    --------
    >>> texts = ["new york is large", "he left new york", "a new car", "york is old"] * 5
    >>> phrases = Phrases(min_count=2, threshold=0.3).fit(texts)
    >>> phrases.transform([["in", "new", "york"]])
    [['in', 'new_york']]
    >>> "new_york" in phrases.encode(texts, min_count=5).words
    True
    """

    def __init__(
        self,
        *,
        min_count: int = 5,
        threshold: float = 10.0,
        scoring: str = "default",
        n_passes: int = 1,
        delimiter: str = "_",
    ) -> None:
        self.min_count = min_count
        self.threshold = threshold
        self.scoring = scoring
        self.n_passes = n_passes
        self.delimiter = delimiter

    def fit(self, corpus: Any, y: Any = None) -> Phrases:
        """Find the phrases of a corpus.

        Parameters
        ----------
        corpus : Corpus, path, iterable of str, or iterable of lists of str
        y : ignored

        Returns
        -------
        self
        """
        check_count("min_count", self.min_count)
        check_count("n_passes", self.n_passes)
        check_choice("scoring", self.scoring, ("default", "npmi"))
        if not -np.inf < self.threshold < np.inf:
            raise ParameterError(f"threshold must be a finite number; got {self.threshold!r}.")
        encoded = as_corpus(corpus).encode(min_count=1)
        words, tokens = list(encoded.words), np.array(encoded.tokens)
        found: dict[tuple[str, str], float] = {}
        for _ in range(self.n_passes):
            pairs, scores = self._score(words, tokens)
            if len(pairs) == 0:
                break
            named = [(words[a], words[b]) for a, b in pairs.tolist()]
            found.update(zip(named, scores.tolist(), strict=True))
            words, tokens = _join(words, tokens, pairs, self.delimiter)
        self.phrases_ = found
        return self

    def _score(
        self, words: list[str], tokens: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the pairs that are phrases, best first, and their scores."""
        n = len(words)
        counts = np.bincount(tokens[tokens >= 0], minlength=n).astype(np.float64)
        both = (tokens[:-1] >= 0) & (tokens[1:] >= 0)
        keys = tokens[:-1][both].astype(np.int64) * n + tokens[1:][both]
        pairs, n_pairs = np.unique(keys, return_counts=True)
        often = n_pairs >= self.min_count
        pairs, n_pairs = pairs[often], n_pairs[often].astype(np.float64)
        first, second = counts[pairs // n], counts[pairs % n]
        if self.scoring == "default":
            scores = (n_pairs - self.min_count) * n / (first * second)
        else:
            total = counts.sum()
            share = n_pairs / total
            with np.errstate(divide="ignore", invalid="ignore"):
                scores = np.log(n_pairs * total / (first * second)) / -np.log(share)
            scores = np.where(share >= 1.0, 1.0, scores)
        good = np.flatnonzero(scores > self.threshold)
        good = good[np.lexsort((pairs[good], -scores[good]))]
        return np.stack([pairs[good] // n, pairs[good] % n], axis=1), scores[good]

    def transform(self, sentences: Iterable[Iterable[str]]) -> list[list[str]]:
        """Join the phrases of sentences.

        Parameters
        ----------
        sentences : iterable of lists of str

        Returns
        -------
        list of lists of str
        """
        self._check_found()
        done = []
        for sentence in sentences:
            words = list(sentence)
            for _ in range(self.n_passes):
                words = self._join_once(words)
            done.append(words)
        return done

    def _join_once(self, words: list[str]) -> list[str]:
        joined: list[str] = []
        at = 0
        while at < len(words):
            if at + 1 < len(words) and (words[at], words[at + 1]) in self.phrases_:
                joined.append(words[at] + self.delimiter + words[at + 1])
                at += 2
            else:
                joined.append(words[at])
                at += 1
        return joined

    def encode(self, corpus: Any, *, min_count: int = 5) -> EncodedCorpus:
        """Return a corpus with its phrases joined, as every word learner's `fit` takes it.

        Parameters
        ----------
        corpus : Corpus, path, iterable of str, or iterable of lists of str
        min_count : int, default=5
            Rarer words and phrases are left out.

        Returns
        -------
        EncodedCorpus
        """
        self._check_found()
        source = as_corpus(corpus)
        joined = as_corpus(words for sentence in source for words in self.transform([sentence]))
        return joined.encode(min_count=min_count)

    def _check_found(self) -> None:
        if not hasattr(self, "phrases_"):
            raise NotFittedError("these Phrases have seen no corpus yet; call fit(corpus) first.")


def _join(
    words: list[str], tokens: NDArray[np.int32], pairs: NDArray[np.int64], delimiter: str
) -> tuple[list[str], NDArray[np.int32]]:
    """Put a new number in place of each phrase, from the left."""
    n = len(words)
    keys = np.sort(pairs[:, 0] * n + pairs[:, 1])
    here = tokens[:-1].astype(np.int64) * n + tokens[1:]
    places = np.minimum(np.searchsorted(keys, here), len(keys) - 1)
    starts = (keys[places] == here) & (tokens[:-1] >= 0) & (tokens[1:] >= 0)
    # Of a run of overlapping phrases every second one is taken.
    at = np.flatnonzero(starts)
    fresh = np.ones(len(at), dtype=bool)
    fresh[1:] = np.diff(at) > 1
    first = np.maximum.accumulate(np.where(fresh, np.arange(len(at)), 0))
    taken = at[(np.arange(len(at)) - first) % 2 == 0]
    joined = tokens.copy()
    used, numbers = np.unique(here[taken], return_inverse=True)
    joined[taken] = n + numbers
    left = np.ones(len(tokens), dtype=bool)
    left[taken + 1] = False
    names = [words[int(key) // n] + delimiter + words[int(key) % n] for key in used]
    return [*words, *names], joined[left]
