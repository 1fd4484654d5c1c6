# SPDX-License-Identifier: Apache-2.0
"""Questions to word vectors, under the names that gensim's users know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count

# What 3CosMul adds to its divisor, as gensim has it.
_EPSILON = 1e-6

Word = str | NDArray[Any]
Weighted = tuple[Word, float]
Answers = list[tuple[str, float]]


class UnknownWordError(ParameterError, KeyError):
    """A word has no vector."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class WordQueries:
    """Look-ups, neighbours and analogies of everything that has `ids_` and `vectors_`.

    A word without a vector is refused with `UnknownWordError`, which is a ``KeyError`` too; methods
    that can make a vector for it (`FastText`) override `_make_vector`.
    """

    ids_: NDArray[Any]
    vectors_: NDArray[np.float32]

    def _check_fitted(self, attribute: str) -> None:
        raise NotImplementedError

    @property
    def key_to_index(self) -> dict[str, int]:
        """Row of each word."""
        self._check_fitted("vectors_")
        found: dict[str, int] | None = self.__dict__.get("_rows")
        if found is None or len(found) != len(self.ids_):
            found = {word: row for row, word in enumerate(self.ids_.tolist())}
            self.__dict__["_rows"] = found
        return found

    @property
    def index_to_key(self) -> list[str]:
        """Words in the order of the rows."""
        self._check_fitted("vectors_")
        return list(self.ids_.tolist())

    def _scales(self) -> NDArray[np.float32]:
        """One over the length of each row; 0 for a row of zeros."""
        found: NDArray[np.float32] | None = self.__dict__.get("_inverse_lengths")
        if found is None or len(found) != len(self.vectors_):
            lengths = np.sqrt(np.einsum("ij,ij->i", self.vectors_, self.vectors_))
            found = np.zeros(len(lengths), dtype=np.float32)
            np.divide(1.0, lengths, out=found, where=lengths > 0)
            self.__dict__["_inverse_lengths"] = found
        return found

    def _forget_caches(self) -> None:
        for name in ("_rows", "_inverse_lengths"):
            self.__dict__.pop(name, None)

    def _make_vector(self, word: str) -> NDArray[np.float32] | None:
        """Return a vector for a word that is not in the vocabulary, or None."""
        return None

    def __contains__(self, word: object) -> bool:
        return word in self.key_to_index

    def __len__(self) -> int:
        self._check_fitted("vectors_")
        return len(self.ids_)

    def __iter__(self) -> Iterator[str]:
        return iter(self.index_to_key)

    def __getitem__(self, words: str | Sequence[str]) -> NDArray[np.float32]:
        if isinstance(words, str):
            return self.get_vector(words)
        return np.stack([self.get_vector(word) for word in words])

    def get_index(self, word: str) -> int:
        """Return the row of a word of the vocabulary.

        Raises
        ------
        UnknownWordError
        """
        row = self.key_to_index.get(word)
        if row is None:
            raise _unknown(word, len(self))
        return row

    def get_vector(self, word: str, norm: bool = False) -> NDArray[np.float32]:
        """Return the vector of a word.

        Parameters
        ----------
        word : str
        norm : bool, default=False
            Scale it to length 1.

        Returns
        -------
        ndarray of shape (dim,), float32

        Raises
        ------
        UnknownWordError
        """
        row = self.key_to_index.get(word)
        found = self.vectors_[row] if row is not None else self._make_vector(word)
        if found is None:
            raise _unknown(word, len(self))
        return _unit(found) if norm else found

    def similarity(self, a: str, b: str) -> float:
        """Return the cosine of two words' vectors."""
        return float(self.get_vector(a, norm=True) @ self.get_vector(b, norm=True))

    def distance(self, a: str, b: str) -> float:
        """Return one minus the cosine of two words' vectors."""
        return 1.0 - self.similarity(a, b)

    def n_similarity(self, a: Iterable[str], b: Iterable[str]) -> float:
        """Return the cosine of the mean vectors of two sets of words."""
        return float(self.get_mean_vector(a) @ self.get_mean_vector(b))

    def get_mean_vector(
        self, words: Iterable[Word], weights: Sequence[float] | None = None
    ) -> NDArray[np.float32]:
        """Return the weighted mean of unit vectors, scaled to length 1.

        Parameters
        ----------
        words : iterable of str or ndarray of shape (dim,)
        weights : sequence of float, optional
            All 1 by default.

        Returns
        -------
        ndarray of shape (dim,), float32
        """
        rows = [
            self.get_vector(word, norm=True) if isinstance(word, str) else _unit(word)
            for word in words
        ]
        if not rows:
            raise ShapeError("words must name at least one word; got none.")
        return _unit(np.average(np.stack(rows), axis=0, weights=weights))

    def most_similar(
        self,
        positive: Word | Sequence[Word | Weighted] | None = None,
        negative: Word | Sequence[Word | Weighted] | None = None,
        topn: int = 10,
        *,
        restrict_vocab: int | None = None,
        method: str = "add",
    ) -> Answers:
        """Return the words nearest to some words and far from others: neighbours and analogies.

        Parameters
        ----------
        positive, negative : str, ndarray, or sequence of them or of (word, weight)
            ``positive=["king", "woman"], negative=["man"]`` asks what is to woman as king is to
            man.
        topn : int, default=10
        restrict_vocab : int, optional
            Answer with the so many most frequent words only.
        method : {"add", "mul"}, default="add"
            3CosAdd: cosine with the sum of unit vectors. 3CosMul: product of the (shifted) cosines
            with the positive words over that with the negative, which large terms dominate less.

        Returns
        -------
        list of (str, float)
            Best first; the words of the question are left out.

        Raises
        ------
        UnknownWordError
            A word of the question has no vector.
        ParameterError
            Nothing asked.

        Examples
        --------
        >>> from vectorloom.learn import KeyedVectors
        >>> words = KeyedVectors(["up", "high", "down"], [[1.0, 0.0], [0.9, 0.1], [-1.0, 0.2]])
        >>> words.most_similar("up", topn=1)[0][0]
        'high'
        """
        check_choice("method", method, ("add", "mul"))
        check_count("topn", topn)
        self._check_fitted("vectors_")
        wanted = [*_weighted(positive, 1.0), *_weighted(negative, -1.0)]
        if not wanted:
            raise ParameterError("most_similar needs at least one positive or negative word.")
        limit = len(self) if restrict_vocab is None else check_count("restrict", restrict_vocab)
        units = [
            self.get_vector(word, norm=True) if isinstance(word, str) else _unit(word)
            for word, _ in wanted
        ]
        weights = [weight for _, weight in wanted]
        if method == "add":
            target = np.asarray(weights, dtype=np.float32) @ np.stack(units)
            scores = self._cosines(_unit(target), limit)
        else:
            scores = self._products(units, weights, limit)
        for word, _ in wanted:
            row = self.key_to_index.get(word) if isinstance(word, str) else None
            if row is not None and row < limit:
                scores[row] = -np.inf
        return self._best(scores, topn)

    def most_similar_cosmul(
        self,
        positive: Word | Sequence[Word | Weighted] | None = None,
        negative: Word | Sequence[Word | Weighted] | None = None,
        topn: int = 10,
    ) -> Answers:
        """Return ``most_similar(…, method="mul")``."""
        return self.most_similar(positive, negative, topn, method="mul")

    def similar_by_word(self, word: str, topn: int = 10) -> Answers:
        """Return ``most_similar(word, topn=topn)``."""
        return self.most_similar(word, topn=topn)

    def similar_by_vector(self, vector: Any, topn: int = 10) -> Answers:
        """Return the words nearest to a vector of shape (dim,), none left out."""
        return self.most_similar(np.asarray(vector, dtype=np.float32), topn=topn)

    def doesnt_match(self, words: Sequence[str]) -> str:
        """Return the word that is farthest from the mean of all of them.

        Parameters
        ----------
        words : sequence of str
            Those without a vector are left out.

        Returns
        -------
        str

        Raises
        ------
        ParameterError
            Fewer than two of them have a vector.
        """
        known = [word for word in words if word in self or self._make_vector(word) is not None]
        if len(known) < 2:
            raise ParameterError(
                f"doesnt_match needs two words that have a vector; of {list(words)} "
                f"{len(known)} have."
            )
        units = np.stack([self.get_vector(word, norm=True) for word in known])
        return known[int(np.argmin(units @ _unit(units.mean(axis=0))))]

    def rank(self, a: str, b: str) -> int:
        """Return the place of `b` among the neighbours of `a`, from 1 on."""
        scores = self._cosines(self.get_vector(a, norm=True), len(self))
        target = float(self.similarity(a, b))
        closer = scores > target + 1e-6
        if a in self:
            closer[self.get_index(a)] = False
        return int(closer.sum()) + 1

    def closer_than(self, a: str, b: str) -> list[str]:
        """Return the words that are nearer to `a` than `b` is."""
        scores = self._cosines(self.get_vector(a, norm=True), len(self))
        closer = np.flatnonzero(scores > self.similarity(a, b) + 1e-6)
        return [str(self.ids_[row]) for row in closer if self.ids_[row] != a]

    def transform(self, words: Iterable[str], *, oov: str = "refuse") -> NDArray[np.float32]:
        """Return one vector a word.

        Parameters
        ----------
        words : iterable of str
        oov : {"refuse", "zero"}, default="refuse"
            What becomes of a word that has no vector.

        Returns
        -------
        ndarray of shape (n, dim), float32
        """
        check_choice("oov", oov, ("refuse", "zero"))
        rows = []
        for word in words:
            try:
                rows.append(self.get_vector(word))
            except UnknownWordError:
                if oov == "refuse":
                    raise
                rows.append(np.zeros(self.vectors_.shape[1], dtype=np.float32))
        if not rows:
            raise ShapeError("words must hold at least one word; got none.")
        return np.stack(rows)

    def _cosines(self, unit: NDArray[np.float32], limit: int) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = (self.vectors_[:limit] @ unit) * self._scales()[:limit]
        return scores

    def _products(
        self, units: list[NDArray[np.float32]], weights: list[float], limit: int
    ) -> NDArray[np.float32]:
        total = np.zeros(min(limit, len(self)))
        for unit, weight in zip(units, weights, strict=True):
            shifted = (1.0 + self._cosines(unit, limit)) / 2.0
            total += weight * np.log(shifted + (_EPSILON if weight < 0 else 1e-12))
        return np.exp(total).astype(np.float32)

    def _best(self, scores: NDArray[np.float32], topn: int) -> Answers:
        topn = min(topn, int(np.isfinite(scores).sum()))
        if topn == 0:
            return []
        best = np.argpartition(-scores, topn - 1)[:topn]
        best = best[np.lexsort((best, -scores[best]))]
        return [(str(self.ids_[row]), float(scores[row])) for row in best]


def _unit(vector: Any) -> NDArray[np.float32]:
    found = np.asarray(vector, dtype=np.float32)
    length = float(np.sqrt(found @ found)) if found.ndim == 1 else 0.0
    if found.ndim != 1:
        raise ShapeError(f"a vector of shape (dim,) was expected; got shape {found.shape}.")
    return found / np.float32(length) if length > 0 else found


def _weighted(words: Any, sign: float) -> list[tuple[Any, float]]:
    if words is None:
        return []
    if isinstance(words, str) or (isinstance(words, np.ndarray) and words.ndim == 1):
        words = [words]
    return [
        (word[0], sign * float(word[1])) if isinstance(word, tuple) else (word, sign)
        for word in words
    ]


def _unknown(word: str, n: int) -> UnknownWordError:
    return UnknownWordError(
        f"the word {word!r} has no vector; the vocabulary holds {n} words. Ask `word in vectors` "
        "first, pass transform(…, oov='zero'), or learn subwords with FastText."
    )
