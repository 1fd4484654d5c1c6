# SPDX-License-Identifier: Apache-2.0
"""What all topic models share: words of topics, questions, export, the file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, NotFittedError, ParameterError
from vectorloom.estimator import Estimator, check_count
from vectorloom.io.container import Container, write_container
from vectorloom.io.strings import pack_strings, unpack_strings
from vectorloom.learn.topics.density import unit
from vectorloom.learn.topics.topic_words import coherence


class TopicModel(Estimator):
    """Base of models whose result is topics, each with a vector in the space of the words.

    A subclass names its file kind in `_KIND`, sets `topic_vectors_`, `topic_sizes_`, `words_`,
    `word_vectors_`, `hierarchy_`, `sharpness_`, `labels_` and `ids_`, and stores what else it has.
    """

    _KIND = ""

    ids_: NDArray[Any]
    labels_: NDArray[np.int64]
    topic_vectors_: NDArray[np.float32]
    topic_sizes_: NDArray[np.int64]
    hierarchy_: NDArray[np.float64]
    words_: NDArray[Any]
    word_vectors_: NDArray[np.float32]
    sharpness_: float

    def _check_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise NotFittedError(
                f"this {type(self).__name__} has not seen texts yet; call fit(texts) first."
            )

    def _forget(self) -> None:
        self.__dict__.pop("_columns", None)

    @property
    def n_topics_(self) -> int:
        """How many topics there are."""
        self._check_fitted("topic_vectors_")
        return len(self.topic_vectors_)

    def _topic(self, topic: int) -> int:
        self._check_fitted("topic_vectors_")
        if not 0 <= topic < self.n_topics_:
            raise ParameterError(
                f"topic {topic} does not exist; there are {self.n_topics_}, from 0 to "
                f"{self.n_topics_ - 1}."
            )
        return int(topic)

    def _word_scores(self, topic: int) -> NDArray[np.float32]:
        """Return how well each word describes a topic, from -1 to 1."""
        scores: NDArray[np.float32] = self.word_vectors_ @ self.topic_vectors_[topic]
        return scores

    def topic_words(self, topic: int, n: int = 10) -> list[tuple[str, float]]:
        """Return the words that describe a topic.

        Parameters
        ----------
        topic : int
        n : int, default=10

        Returns
        -------
        list of (word, score)
            Best first; none where the model was fitted without texts.
        """
        scores = self._word_scores(self._topic(topic))
        best = np.argsort(-scores, kind="stable")[: check_count("n", n)]
        return [(self.words_[place], float(scores[place])) for place in best]

    def topics(self, n_words: int = 10) -> list[dict[str, Any]]:
        """Return a record a topic, as `pandas.DataFrame` takes them.

        Parameters
        ----------
        n_words : int, default=10

        Returns
        -------
        list of dict
            ``topic``, ``size`` (texts), ``share`` of all texts, ``words``.
        """
        self._check_fitted("topic_vectors_")
        n = len(self.labels_)
        return [
            {
                "topic": topic,
                "size": int(size),
                "share": round(int(size) / n, 6),
                "words": [word for word, _ in self.topic_words(topic, n_words)],
            }
            for topic, size in enumerate(self.topic_sizes_.tolist())
        ]

    def search_topics(self, words: Any, n: int = 5, *, negative: Any = ()) -> list[Any]:
        """Return the topics nearest to words.

        Parameters
        ----------
        words : str or iterable of str
            What the topic is about.
        n : int, default=5
        negative : str or iterable of str, default=()
            What it is not about.

        Returns
        -------
        list of (topic, cosine)
            Nearest first.

        Raises
        ------
        ParameterError
            No word at all, or one that is not among `words_`.
        """
        self._check_fitted("topic_vectors_")
        check_count("n", n)
        away = sum((self._word_vector(word) for word in _listed(negative)), np.float32(0))
        towards = [self._word_vector(word) for word in _listed(words)]
        if not towards:
            raise ParameterError("words must name at least one word; got none.")
        query = unit((np.sum(towards, axis=0) - away)[None])[0]
        scores = self.topic_vectors_ @ query
        return [(int(k), float(scores[k])) for k in np.argsort(-scores, kind="stable")[:n]]

    def _word_vector(self, word: str) -> NDArray[np.float32]:
        columns: dict[str, int] | None = self.__dict__.get("_columns")
        if columns is None:
            columns = {known: place for place, known in enumerate(self.words_.tolist())}
            self.__dict__["_columns"] = columns
        place = columns.get(word, columns.get(word.lower()))
        if place is None:
            raise ParameterError(
                f"no topic knows the word {word!r}: it is a stop word, or in fewer texts than "
                f"min_df. There are {len(columns)} words, see words_."
            )
        found: NDArray[np.float32] = self.word_vectors_[place]
        return found

    def coherence(self, texts: Any, n_words: int = 10) -> NDArray[np.float64]:
        """Return how well the first words of each topic go together in texts, from -1 to 1.

        Parameters
        ----------
        texts : iterable of str
            Those of the fit, or others.
        n_words : int, default=10

        Returns
        -------
        ndarray of shape (n_topics_,), float64
            See `vectorloom.learn.topics.topic_words.coherence`.
        """
        return coherence([record["words"] for record in self.topics(n_words)], texts)

    def to_dict(self, n_words: int = 10) -> dict[str, Any]:
        """Return topics, their tree and each text's topic as plain data."""
        return {
            "topics": self.topics(n_words),
            "hierarchy": [
                {"from": int(a), "into": int(b), "similarity": round(float(score), 6)}
                | {"size": int(size)}
                for a, b, score, size in self.hierarchy_
            ],
            "texts": [
                {"id": name, "topic": topic}
                for name, topic in zip(self.ids_.tolist(), self.labels_.tolist(), strict=True)
            ],
        }

    def to_json(self, path: str | os.PathLike[str], n_words: int = 10) -> None:
        """Write `to_dict` to a JSON file."""
        document = json.dumps(self.to_dict(n_words), ensure_ascii=False, indent=1)
        Path(path).write_text(document + "\n", encoding="utf-8")

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Return what else there is to store."""
        return {}

    def _take(self, container: Container, n_texts: int) -> None:
        """Set what `_arrays` stored."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file; `vectorloom.open` reads it.

        Parameters
        ----------
        path : path-like
        """
        self._check_fitted("topic_vectors_")
        arrays: dict[str, NDArray[Any]] = {
            "topic_vectors": self.topic_vectors_,
            "topic_sizes": self.topic_sizes_,
            "hierarchy": self.hierarchy_,
            "word_vectors": self.word_vectors_,
            **self._arrays(),
        }
        arrays["words"], arrays["word_offsets"] = pack_strings(self.words_.tolist())
        if self.ids_.dtype == np.int64:
            arrays["ids"] = self.ids_
        else:
            arrays["ids"], arrays["id_offsets"] = pack_strings(self.ids_.tolist())
        meta = {
            "params": self._plain_params(),
            "n": len(self.ids_),
            "n_words": len(self.words_),
            "sharpness": self.sharpness_,
        }
        write_container(path, self._KIND, meta, arrays)

    def _plain_params(self) -> dict[str, Any]:
        params = self.get_params(deep=False)
        for name, value in params.items():
            if isinstance(value, (np.integer, np.floating)):
                params[name] = value.item()
            elif name == "learner":
                params[name] = None  # the fitted one is stored beside
            elif name == "stop_words" and value is not None and not isinstance(value, str):
                params[name] = sorted(value)
        return params

    @classmethod
    def _load(cls, container: Container) -> Any:
        found = cls(**container.meta["params"])
        n, n_words = int(container.meta["n"]), int(container.meta["n_words"])
        found.topic_vectors_ = container.array("topic_vectors", "<f4", (None, None))
        k, dim = found.topic_vectors_.shape
        found.topic_sizes_ = container.array("topic_sizes", "<i8", (k,))
        found.hierarchy_ = container.array("hierarchy", "<f8", (k - 1, 4))
        found.word_vectors_ = container.array("word_vectors", "<f4", (n_words, dim))
        found.sharpness_ = float(container.meta["sharpness"])
        found.words_ = _strings(container, "words", "word_offsets", n_words)
        if "id_offsets" in container.arrays:
            found.ids_ = _strings(container, "ids", "id_offsets", n)
        else:
            found.ids_ = container.array("ids", "<i8", (n,))
        found._take(container, n)
        if len(found.labels_) and not -1 <= found.labels_.min() <= found.labels_.max() < k:
            raise FormatError(f"{container.path}: a text has a topic that is not there.")
        return found


def _strings(container: Container, name: str, offsets: str, n: int) -> NDArray[Any]:
    return unpack_strings(
        container.array(name, "|u1", (None,)),
        container.array(offsets, "<i8", (n + 1,)),
        where=str(container.path),
    )


def _listed(words: Any) -> list[str]:
    return [words] if isinstance(words, str) else list(words)
