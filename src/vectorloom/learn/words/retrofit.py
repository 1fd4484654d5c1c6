# SPDX-License-Identifier: Apache-2.0
"""Retrofitting: vectors of words moved towards those of their synonyms.

minimise  sum_i alpha |q_i - x_i|^2 + sum_(i,j) |q_i - q_j|^2 / degree(i)
q_i <- (alpha x_i + mean of the neighbours' q) / (alpha + 1)         repeated; x: as they came
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.io.compression import open_stream
from vectorloom.io.lines import decode, line_blocks
from vectorloom.learn.words.keyed_vectors import KeyedVectors
from vectorloom.learn.words.queries import WordQueries

Lexicon = Mapping[str, Iterable[str]] | Iterable[tuple[str, str]]


def retrofit(
    vectors: WordQueries,
    lexicon: Lexicon | str | os.PathLike[str],
    *,
    n_iter: int = 10,
    alpha: float = 1.0,
    lowercase: bool = True,
) -> KeyedVectors:
    """Move vectors of words towards those of the words that a lexicon relates them to.

    Use it when similarity shall mean synonymy, not sharing a topic. It takes any vectors; words
    that the lexicon lacks stay where they are. It adds nothing for analogies.

    Parameters
    ----------
    vectors : KeyedVectors or fitted word learner
        Left as they are.
    lexicon : path, mapping of word to words, or iterable of (word, word)
        A file has a word and its neighbours on each line, between blanks; it may be compressed.
        Relations count both ways.
    n_iter : int, default=10
        Rounds; ten are enough to converge.
    alpha : float, default=1.0
        Weight of where a word was against all its neighbours together.
    lowercase : bool, default=True
        Lower-case the lexicon's words.

    Returns
    -------
    KeyedVectors
        The same words, of unit length before they are moved.

    Raises
    ------
    ParameterError
        The lexicon relates no two words that have vectors.

    Notes
    -----
    All words are moved at once in a round, from where the round before left them (the paper: one
    after the other); the fixed point is the same. Time O(n_iter * relations * dim), memory three
    times the vectors.

    References
    ----------
    .. [1] Faruqui, Dodge, Jauhar, Dyer, Hovy, Smith. Retrofitting Word Vectors to Semantic
           Lexicons. NAACL 2015. doi:10.3115/v1/N15-1184

    Examples
    --------
    >>> words = KeyedVectors(["glad", "happy", "sad"], [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> moved = retrofit(words, {"glad": ["happy"]})
    >>> words.similarity("glad", "happy") < moved.similarity("glad", "happy")
    True
    """
    check_count("n_iter", n_iter)
    if not 0 < alpha < np.inf:
        raise ParameterError(f"alpha must be a positive number; got {alpha!r}.")
    vectors._check_fitted("vectors_")
    means, related = _neighbour_means(vectors, _pairs(lexicon, lowercase))
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors.vectors_, vectors.vectors_))[:, None]
    start = np.divide(vectors.vectors_, lengths, where=lengths > 0, out=vectors.vectors_.copy())
    moved = start.copy()
    for _ in range(n_iter):
        moved[related] = (alpha * start[related] + means @ moved) / np.float32(alpha + 1)
    return KeyedVectors(vectors.index_to_key, moved, getattr(vectors, "counts_", None))


def _pairs(lexicon: Any, lowercase: bool) -> Iterable[tuple[str, str]]:
    if isinstance(lexicon, (str, os.PathLike)):
        lexicon = _lines(Path(os.fspath(lexicon)))
    elif isinstance(lexicon, Mapping):
        lexicon = ((word, other) for word, others in lexicon.items() for other in others)
    for word, other in lexicon:
        yield (word.lower(), other.lower()) if lowercase else (word, other)


def _lines(path: Path) -> Iterable[tuple[str, str]]:
    with open_stream(path) as stream:
        for first, lines in line_blocks(stream):
            for number, line in enumerate(lines, first):
                word, *others = decode(path, line, number).split() or [""]
                yield from ((word, other) for other in others)


def _neighbour_means(vectors: WordQueries, pairs: Iterable[tuple[str, str]]) -> tuple[Any, Any]:
    """Return the matrix that averages neighbours, one row for each word that has some."""
    from scipy.sparse import csr_array

    rows = vectors.key_to_index
    edges = {
        edge
        for word, other in pairs
        if word != other and word in rows and other in rows
        for edge in ((rows[word], rows[other]), (rows[other], rows[word]))
    }
    if not edges:
        raise ParameterError(
            "the lexicon relates no two words that have vectors. Are they of another language or "
            "case? See lowercase=."
        )
    found = np.array(sorted(edges), dtype=np.int64)
    related, degrees = np.unique(found[:, 0], return_counts=True)
    places = np.searchsorted(related, found[:, 0])
    weights = (1.0 / degrees[places]).astype(np.float32)
    return csr_array((weights, (places, found[:, 1])), shape=(len(related), len(rows))), related
