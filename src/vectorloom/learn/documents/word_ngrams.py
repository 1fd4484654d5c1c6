# SPDX-License-Identifier: Apache-2.0
"""Learners that cut texts into words by `Terms` and hash them."""

from __future__ import annotations

from typing import Any

from vectorloom.errors import NotFittedError, ParameterError
from vectorloom.estimator import Estimator
from vectorloom.learn.documents.ngrams import Tokens, word_tokens
from vectorloom.learn.terms import Terms
from vectorloom.learn.texts import as_texts


class WordCutter(Estimator):
    """Base of learners with the parameters `stop_words` and `stem`."""

    stop_words: Any
    stem: bool

    def _check_cutting(self) -> None:
        words = self.stop_words
        if isinstance(words, str) and words != "english":
            raise ParameterError(
                f"stop_words must be 'english', a list of words or None; got {words!r}."
            )

    def _check_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise NotFittedError(
                f"this {type(self).__name__} has not seen texts yet; call fit(texts) first."
            )

    def _words(self, texts: list[str]) -> list[list[str]]:
        stop_words = self.stop_words
        if stop_words == "english":
            from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

            stop_words = ENGLISH_STOP_WORDS
        terms = Terms(stop_words=stop_words, stem=self.stem)
        return [terms(text) for text in texts]

    def _hashed(self, words: list[list[str]]) -> Tokens:
        return word_tokens(words)

    def _tokens(self, texts: list[str]) -> Tokens:
        return word_tokens(self._words(texts))

    def _cut(self, texts: Any) -> Tokens:
        return self._tokens(as_texts(texts))
