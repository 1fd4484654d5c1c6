# SPDX-License-Identifier: Apache-2.0
"""Word vectors by themselves: read from a file, or made from words and a matrix."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.io.container import Container, write_container
from vectorloom.io.strings import pack_strings, unpack_strings
from vectorloom.learn.words.queries import WordQueries
from vectorloom.vectors import as_dense

_KIND = "learn.keyed_vectors"


class KeyedVectors(WordQueries):
    """Words and their vectors, with gensim's questions.

    Parameters
    ----------
    words : sequence of str
        Unique, most frequent first where that is known.
    vectors : array-like of shape (n, dim)
    counts : array-like of shape (n,), optional
        How often each word was seen.

    Attributes
    ----------
    ids_ : ndarray of shape (n,), object
    vectors_ : ndarray of shape (n, dim), float32
    counts_ : ndarray of shape (n,), int64, or None

    Raises
    ------
    ShapeError
        Not one vector a word.
    ParameterError
        A word that is no str or there twice; NaN.

    Notes
    -----
    A word that is not there is refused with an error that is a ``KeyError`` too, except where a
    method has a parameter that says otherwise.

    Examples
    --------
    >>> animals = KeyedVectors(["cat", "dog", "car"], [[1.0, 0.1], [0.9, 0.2], [0.0, 1.0]])
    >>> animals.doesnt_match(["cat", "dog", "car"])
    'car'
    >>> "cat" in animals, "horse" in animals
    (True, False)
    """

    def __init__(self, words: Sequence[str], vectors: Any, counts: Any = None) -> None:
        self.vectors_ = as_dense(vectors, name="vectors", dtype=np.float32)
        self.ids_ = np.empty(len(words), dtype=object)
        self.ids_[:] = list(words)
        if len(self.ids_) != len(self.vectors_):
            raise ShapeError(
                f"one vector a word is needed; got {len(self.ids_)} words and "
                f"{len(self.vectors_)} vectors."
            )
        odd = [word for word in self.ids_ if not isinstance(word, str)]
        if odd:
            raise ParameterError(f"words must be str; got {odd[0]!r}.")
        if len(self.key_to_index) != len(self.ids_):
            seen: set[str] = set()
            twice = next(w for w in self.ids_ if w in seen or seen.add(w))  # type: ignore[func-returns-value]
            raise ParameterError(f"words must be unique; {twice!r} is there more than once.")
        self.counts_ = None if counts is None else np.asarray(counts, dtype=np.int64)
        if self.counts_ is not None and self.counts_.shape != self.ids_.shape:
            raise ShapeError(f"counts must have shape {self.ids_.shape}; got {self.counts_.shape}.")

    @property
    def vector_size(self) -> int:
        """Dimensions of a vector."""
        return int(self.vectors_.shape[1])

    @classmethod
    def read(cls, path: str | os.PathLike[str], **options: Any) -> KeyedVectors:
        """Read word2vec (text or binary), fastText ``.vec``, GloVe, or any file of words.

        Parameters
        ----------
        path : path-like
        **options : dict
            As `vectorloom.io.read` takes them, such as ``limit=100_000``.

        Returns
        -------
        KeyedVectors
        """
        from vectorloom.io import read

        found = read(path, **options)
        if found.ids is None:
            raise FormatError(f"{path}: holds vectors without words; each row needs an id.")
        return cls([str(word) for word in found.ids], found.values)

    def write(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write a file that others read: word2vec (``.vec``, ``.w2v``), ``.glove``, Parquet.

        Parameters
        ----------
        path : path-like
            The suffix names the format, see `vectorloom.io.write`.
        **options : dict
        """
        write_words(self, path, **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the native file, which `vectorloom.open` maps."""
        arrays = word_arrays(self.ids_, self.vectors_, self.counts_)
        write_container(path, _KIND, {"n": len(self.ids_)}, arrays)

    def _check_fitted(self, attribute: str) -> None:
        """Nothing to do: made whole."""

    def __repr__(self) -> str:
        return f"KeyedVectors({len(self.ids_)} words, dim {self.vector_size})"


def write_words(source: WordQueries, path: str | os.PathLike[str], **options: Any) -> None:
    """Write words and vectors to a file of another format."""
    from vectorloom.io import write

    source._check_fitted("vectors_")
    write(path, source.vectors_, ids=source.ids_, **options)


def word_arrays(
    words: NDArray[Any], vectors: NDArray[np.float32], counts: NDArray[np.int64] | None
) -> dict[str, NDArray[Any]]:
    """Return what a native file stores of a vocabulary and its vectors."""
    data, offsets = pack_strings(words.tolist())
    arrays: dict[str, NDArray[Any]] = {"words": data, "offsets": offsets, "vectors": vectors}
    if counts is not None:
        arrays["counts"] = counts
    return arrays


def stored_words(container: Container, n: int) -> tuple[NDArray[Any], NDArray[Any], Any]:
    """Return the words, vectors and counts of a native file; vectors stay mapped."""
    words = unpack_strings(
        container.array("words", "|u1", (None,)),
        container.array("offsets", "<i8", (n + 1,)),
        where=str(container.path),
    )
    if len(set(words.tolist())) != n:
        raise FormatError(f"{container.path}: a word is there twice; the file is damaged.")
    counts = container.array("counts", "<i8", (n,)) if "counts" in container.arrays else None
    return words, container.array("vectors", "<f4", (n, None)), counts


def load_container(container: Container) -> KeyedVectors:
    """Make the object of a native file; its vectors stay mapped."""
    n = container.meta["n"]
    words, vectors, counts = stored_words(container, n)
    found = KeyedVectors.__new__(KeyedVectors)
    found.ids_, found.vectors_, found.counts_ = words, vectors, counts
    return found
