# SPDX-License-Identifier: Apache-2.0
"""What all learners of texts share: the corpus, the vectors of texts, the file."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, NotFittedError, ParameterError
from vectorloom.estimator import Estimator, check_count
from vectorloom.io.container import Container, write_container
from vectorloom.io.strings import pack_strings, unpack_strings
from vectorloom.learn.documents.encoding import (
    EncodedTexts,
    TextCoder,
    check_storable,
    corpus_of,
    encode_texts,
    rules_of,
)
from vectorloom.vectors import as_ids


class DocumentLearner(Estimator):
    """Base of learners that make one vector a text from the words of a vocabulary.

    A subclass names its file kind in `_KIND`, learns in `_learn` and makes vectors of numbered
    words in `_infer`. What it learned goes to and from files by `_extra_arrays` and `_take_extra`.
    """

    _KIND = ""
    _MIN_WORDS = 2

    min_count: int
    max_vocab: int | None
    ids_: NDArray[Any]
    vectors_: NDArray[Any]
    words_: NDArray[Any]
    counts_: NDArray[np.int64]
    n_tokens_: int

    def fit(self, texts: Any, ids: Any = None, y: Any = None) -> Any:
        """Learn from `texts`; leaves their vectors in `vectors_`.

        Parameters
        ----------
        texts : Corpus, iterable of str, or iterable of lists of str
            Of a `Corpus` each line of a plain file, each record and each item is a text.
        ids : array-like of shape (n,), optional
            int64 or str, unique; 0, 1, … when omitted.
        y : ignored
            Pipelines pass it.

        Returns
        -------
        self
        """
        self._check()
        corpus = corpus_of(texts)
        encoded = encode_texts(corpus, self._counted_from(), self.max_vocab)
        found_ids = as_ids(ids, encoded.n_texts)
        if len(encoded.words) < self._MIN_WORDS:
            raise ParameterError(
                f"the vocabulary holds one word only, {encoded.words[0]!r}; nothing can be learned "
                "from it. Lower min_count, or bring more text."
            )
        self._coder = TextCoder(encoded.words, rules_of(corpus))
        self._rules = rules_of(corpus)
        self.words_ = np.empty(len(encoded.words), dtype=object)
        self.words_[:] = encoded.words
        self.counts_ = encoded.counts
        self.n_tokens_ = encoded.n_tokens
        self.ids_ = found_ids
        self._learn(encoded)
        return self

    def fit_transform(self, texts: Any, y: Any = None, *, ids: Any = None) -> NDArray[Any]:
        """Learn from `texts` and return their vectors; the same as ``fit(texts, ids).vectors_``."""
        found: NDArray[Any] = self.fit(texts, ids).vectors_
        return found

    def transform(self, texts: Any) -> NDArray[Any]:
        """Return vectors of any texts, unseen ones included.

        Parameters
        ----------
        texts : iterable of str, or iterable of lists of str

        Returns
        -------
        ndarray of shape (n, dim), float32
            Unit length; zero where a text has no word of the vocabulary.
        """
        self._check_fitted("vectors_")
        tokens, n_texts = self._coder.encode(texts)
        return self._infer(tokens, n_texts)

    def _check_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise NotFittedError(
                f"this {type(self).__name__} has not seen texts yet; call fit(texts) first."
            )

    def _counted_from(self) -> int:
        """How often a word must occur to be read at all."""
        return self.min_count

    def _check(self) -> None:
        """Refuse parameters that cannot be learned with."""
        raise NotImplementedError

    def _learn(self, encoded: EncodedTexts) -> None:
        """Set `vectors_` and whatever `_infer` needs."""
        raise NotImplementedError

    def _infer(self, tokens: NDArray[np.int32], n_texts: int) -> NDArray[Any]:
        """Return the vectors of texts; ``tokens`` has -1 after each of them."""
        raise NotImplementedError

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        return {}

    def _extra_meta(self) -> dict[str, Any]:
        return {}

    def _take_extra(self, container: Container) -> None:
        """Set what `_extra_arrays` and `_extra_meta` stored."""

    def _params_to_store(self) -> dict[str, Any]:
        return self.get_params(deep=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted learner to one file; `vectorloom.open` maps it.

        Parameters
        ----------
        path : path-like
            Replaced in one step if it exists.

        Raises
        ------
        NotFittedError
        ParameterError
            The corpus was cut by a callable, or a parameter is no plain value.
        """
        self._check_fitted("vectors_")
        check_storable(self._rules)
        params = {}
        for name, value in self._params_to_store().items():
            plain = value.item() if isinstance(value, np.generic) else value
            if not (plain is None or isinstance(plain, (bool, int, float, str))):
                raise ParameterError(f"{name}={value!r} cannot be saved; use a plain value.")
            params[name] = plain
        words, offsets = pack_strings(self.words_.tolist())
        arrays: dict[str, NDArray[Any]] = {
            "words": words,
            "offsets": offsets,
            "counts": self.counts_,
            "vectors": self.vectors_,
        }
        if self.ids_.dtype == np.int64:
            arrays["ids"] = self.ids_
        else:
            arrays["ids"], arrays["id_offsets"] = pack_strings(self.ids_.tolist())
        meta = {
            "params": params,
            "rules": self._rules,
            "n": len(self.vectors_),
            "n_words": len(self.words_),
            "n_tokens": self.n_tokens_,
        }
        write_container(path, self._KIND, meta | self._extra_meta(), arrays | self._extra_arrays())

    @classmethod
    def _load(cls, container: Container) -> Any:
        meta, where = container.meta, str(container.path)
        found = cls(**meta["params"])
        n, n_words = meta["n"], meta["n_words"]
        words = container.array("words", "|u1", (None,))
        offsets = container.array("offsets", "<i8", (n_words + 1,))
        found.words_ = unpack_strings(words, offsets, where=where)
        if len(set(found.words_.tolist())) != n_words:
            raise FormatError(f"{where}: a word is there twice; the file is damaged.")
        found.counts_ = container.array("counts", "<i8", (n_words,))
        found.n_tokens_ = int(meta["n_tokens"])
        ids = container.array("ids", "|u1" if "id_offsets" in container.arrays else "<i8", (None,))
        if "id_offsets" in container.arrays:
            id_offsets = container.array("id_offsets", "<i8", (n + 1,))
            ids = unpack_strings(ids, id_offsets, where=where)
        found.ids_ = as_ids(ids, n)
        found.vectors_ = container.array("vectors", cls._vectors_dtype(found), (n, None))
        found._rules = dict(meta["rules"])
        found._coder = TextCoder(found.words_.tolist(), found._rules)
        found._take_extra(container)
        return found

    def _vectors_dtype(self) -> str:
        return "<f4"


def check_texts(params: dict[str, Any]) -> None:
    """Check the parameters that learners of texts have in common beside those of words."""
    for name in ("infer_epochs", "n_grams", "bucket"):
        if name in params:
            check_count(name, params[name])
