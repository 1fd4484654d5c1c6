# SPDX-License-Identifier: Apache-2.0
"""What all word learners share: the corpus, the questions, the file."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, NotFittedError, ParameterError
from vectorloom.estimator import Estimator, check_count, check_jobs
from vectorloom.io.container import Container, write_container
from vectorloom.learn.corpus import EncodedCorpus, as_corpus
from vectorloom.learn.words.keyed_vectors import (
    KeyedVectors,
    stored_words,
    word_arrays,
    write_words,
)
from vectorloom.learn.words.queries import WordQueries


class WordLearner(WordQueries, Estimator):
    """Base of learners whose result is one vector a word.

    A subclass names its file kind in `_KIND` and sets `ids_`, `counts_` and `vectors_` in `fit`.
    """

    _KIND = ""

    ids_: NDArray[Any]
    counts_: NDArray[np.int64]
    vectors_: NDArray[np.float32]

    def _check_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise NotFittedError(
                f"this {type(self).__name__} has not seen a corpus yet; call fit(corpus) first."
            )

    def _encode(self, corpus: Any, min_count: int, max_words: int | None) -> EncodedCorpus:
        """Turn what `fit` was given into numbers."""
        if isinstance(corpus, EncodedCorpus):
            found = corpus
        else:
            found = as_corpus(corpus).encode(min_count=min_count, max_words=max_words)
        if len(found.words) < 2:
            raise ParameterError(
                f"the vocabulary holds one word only, {found.words[0]!r}; nothing can be learned "
                "from it. Lower min_count, or bring more text."
            )
        check_neighbours(found)
        return found

    def _set_words(self, corpus: EncodedCorpus) -> None:
        self._forget_caches()
        self.ids_ = np.empty(len(corpus.words), dtype=object)
        self.ids_[:] = corpus.words
        self.counts_ = corpus.counts
        self.n_tokens_ = corpus.n_tokens

    @property
    def wv(self) -> WordQueries:
        """The learner itself, which answers what gensim's ``model.wv`` does."""
        return self

    def keyed_vectors(self) -> KeyedVectors:
        """Return words, counts and vectors without the learner."""
        self._check_fitted("vectors_")
        return KeyedVectors(self.ids_.tolist(), self.vectors_, self.counts_)

    def write(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write words and vectors in the format that the suffix names, see `vectorloom.io.write`.

        Parameters
        ----------
        path : path-like
            ``.vec``, ``.w2v``, ``.glove``, ``.parquet`` …
        **options : dict
        """
        write_words(self, path, **options)

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        return {}

    def _take_extra(self, container: Container, n: int) -> None:
        """Set what `_extra_arrays` stored."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted learner to one file; `vectorloom.open` maps it.

        Parameters
        ----------
        path : path-like
            Replaced in one step if it exists.
        """
        self._check_fitted("vectors_")
        arrays = word_arrays(self.ids_, self.vectors_, self.counts_) | self._extra_arrays()
        meta = {"params": self._plain_params(), "n": len(self.ids_), "n_tokens": self.n_tokens_}
        write_container(path, self._KIND, meta, arrays)

    def _plain_params(self) -> dict[str, Any]:
        params = self.get_params(deep=False)
        for name, value in params.items():
            if isinstance(value, (np.integer, np.floating)):
                params[name] = value.item()
            elif not (value is None or isinstance(value, (bool, int, float, str))):
                raise ParameterError(f"{name}={value!r} cannot be saved; use a plain number.")
        return params

    @classmethod
    def _load(cls, container: Container) -> WordLearner:
        found = cls(**container.meta["params"])
        n = container.meta["n"]
        found.ids_, found.vectors_, counts = stored_words(container, n)
        if counts is None:
            raise FormatError(f"{container.path}: the counts are missing from this file.")
        found.counts_ = counts
        found.n_tokens_ = int(container.meta["n_tokens"])
        found._take_extra(container, n)
        return found


def check_learner(params: dict[str, Any]) -> None:
    """Check the parameters that all learners have in common.

    Parameters
    ----------
    params : dict
        As `get_params` returns them; names that are not there are passed over.

    Raises
    ------
    ParameterError
    """
    for name in ("vector_size", "window", "min_count", "epochs"):
        if name in params:
            check_count(name, params[name])
    if params.get("max_vocab") is not None:
        check_count("max_vocab", params["max_vocab"])
    if "n_jobs" in params:
        check_jobs(params["n_jobs"])
    seed = params.get("random_state")
    if seed is not None:
        check_count("random_state", seed, at_least=0)


def check_neighbours(corpus: EncodedCorpus) -> None:
    """Refuse a corpus in which no word of the vocabulary stands beside another."""
    tokens = corpus.tokens
    if not np.any((tokens[1:] >= 0) & (tokens[:-1] >= 0)):
        raise ParameterError(
            "no two words of the vocabulary are neighbours in a sentence: there is no context "
            "to learn from. Lower min_count, or pass longer texts."
        )
