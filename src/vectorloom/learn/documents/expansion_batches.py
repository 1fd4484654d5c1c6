# SPDX-License-Identifier: Apache-2.0
"""Batches of queries and texts for weights of terms, and what their scores are to be.

    L = - mean log softmax_d(s / T)(own d), and the same over queries          s = q · d
    L = mean over pairs of texts of a query ((s_a - s_b) - (t_a - t_b))² / T²  with a teacher t

Pairs are made of the texts, known, or come with a teacher's scores.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.learn.documents.ngrams import Tokens, offsets_of
from vectorloom.learn.texts import as_texts

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

SHORTEST, LONGEST = 4, 16  # terms of a piece
_TEXTS_A_QUERY = 8  # of a teacher, in one batch


@dataclass(eq=False)
class Batch:
    """Queries and texts as lists of terms, and what is to come of their scores.

    Attributes
    ----------
    queries, texts : list of ndarray of int
    excluded : ndarray of shape (n_queries, n_texts), bool
        Texts that are right as well, and so no false answers.
    wanted : ndarray of shape (n_queries, n_texts), float32, or None
        A teacher's scores, NaN where it has none. None: text i is the answer to query i.
    """

    queries: list[NDArray[Any]]
    texts: list[NDArray[Any]]
    excluded: NDArray[np.bool_] | None = None
    wanted: Floats | None = None

    def loss(self, scores: Floats, temperature: float) -> tuple[float, Floats]:
        """Return the mean loss of queries and its gradient by the scores."""
        scaled = scores.astype(np.float64) / temperature
        if self.wanted is not None:
            loss, by_scaled = margins(scaled, self.wanted / temperature)
        else:
            if self.excluded is not None:
                scaled[self.excluded] = -np.inf
            loss, by_scaled = contrast(scaled)
        return loss, (by_scaled / temperature).astype(np.float32)


class Batches(Protocol):
    """Where batches come from: n items, each of which brings so many texts into a batch."""

    n: int
    texts_an_item: int

    def draw(self, chosen: Places, rng: np.random.Generator) -> Batch:
        """Return a batch of chosen items."""


def contrast(scores: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return the loss of a square of scores whose diagonal is right, and its gradient.

    Examples
    --------
    >>> loss, gradient = contrast(np.zeros((2, 2)))
    >>> round(loss, 4), gradient.tolist()
    (0.6931, [[-0.25, 0.25], [0.25, -0.25]])
    """
    n = len(scores)
    loss, gradient = 0.0, np.zeros_like(scores)
    for axis in (0, 1):
        shifted = np.exp(scores - scores.max(axis=axis, keepdims=True))
        shares = shifted / shifted.sum(axis=axis, keepdims=True)
        loss -= float(np.log(np.maximum(np.diag(shares), 1e-30)).mean()) / 2
        gradient += (shares - np.eye(n)) / (2 * n)
    return loss, gradient


def margins(scores: NDArray[np.float64], wanted: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
    """Return the mean squared error of margins, and its gradient.

    Over the m texts of a query the mean over pairs of (r_a - r_b)², r = score - wanted, is
    2 / (m - 1) times the sum of (r - mean r)².

    Examples
    --------
    >>> loss, gradient = margins(np.array([[3.0, 1.0, 9.0]]), np.array([[1.0, 0.0, np.nan]]))
    >>> loss, gradient.tolist()
    (1.0, [[2.0, -2.0, 0.0]])
    """
    there = np.isfinite(wanted)
    counts = there.sum(axis=1, keepdims=True)
    errors = np.where(there, scores - np.where(there, wanted, 0), 0)
    means = errors.sum(axis=1, keepdims=True) / np.maximum(counts, 1)
    errors = np.where(there, errors - means, 0)
    factors = np.where(counts > 1, 2 / np.maximum(counts - 1, 1), 0) / len(scores)
    return float((factors * errors**2).sum()), 2 * factors * errors


class Pieces:
    """Titles, or pieces of texts, and the rest of the text that each is from.

    Parameters
    ----------
    tokens : Tokens
        Terms of texts.
    head_ends : ndarray of shape (n_texts,), int64
        Where their titles end.
    items : ndarray of int64
        Texts long enough.
    alike : ndarray of shape (len(items), k), int32
        Places in `items` of texts that are like each.
    group : int
        How many of a batch are alike.
    head_share : float
    """

    def __init__(
        self,
        tokens: Tokens,
        head_ends: Places,
        items: Places,
        alike: NDArray[np.int32],
        group: int,
        head_share: float,
    ) -> None:
        self._tokens, self._head_ends, self._items = tokens, head_ends, items
        self._alike, self._group, self._head_share = alike, group, head_share
        self.n, self.texts_an_item = len(items), 1

    def draw(self, chosen: Places, rng: np.random.Generator) -> Batch:
        """Return pieces of texts, and of texts that are like them, without the pieces."""
        if self._group > 1 and self._alike.shape[1]:
            first = chosen[: max(1, len(chosen) // self._group)]
            near = rng.permuted(self._alike[first], axis=1)[:, : self._group - 1]
            chosen = np.unique(np.concatenate([first, near.ravel()]))
        batch = Batch([], [])
        for text in self._items[chosen].tolist():
            piece, rest = self._cut(text, rng)
            batch.queries.append(piece)
            batch.texts.append(rest)
        return batch

    def _cut(self, text: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
        start, end = self._tokens.offsets[text : text + 2].tolist()
        terms = self._tokens.values[start:end]
        head = int(self._head_ends[text]) - start
        if 0 < head < len(terms) and rng.random() < self._head_share:
            return terms[:head], terms[head:]
        size = min(int(rng.integers(SHORTEST, LONGEST + 1)), len(terms) // 2)
        low = int(rng.integers(0, len(terms) - size + 1))
        rest = np.concatenate([terms[:low], terms[low + size :]])
        return terms[low : low + size], rest


class Pairs:
    """Queries and texts that are known to belong together.

    Parameters
    ----------
    queries, tokens : Tokens
        Terms of queries and of texts.
    pairs : ndarray of shape (n_pairs, 2), int64
        Query and text.
    """

    def __init__(self, queries: Tokens, tokens: Tokens, pairs: Places) -> None:
        from scipy.sparse import csr_matrix

        self._queries, self._tokens, self._pairs = queries, tokens, pairs
        ones = np.ones(len(pairs), dtype=np.int8)
        self._known = csr_matrix((ones, pairs.T), shape=(len(queries), len(tokens)))
        self.n, self.texts_an_item = len(pairs), 1

    def draw(self, chosen: Places, rng: np.random.Generator) -> Batch:
        """Return pairs; other right texts of a query are no false answers to it."""
        queries, texts = self._pairs[chosen].T
        known = self._known[queries][:, texts].toarray() > 0
        np.fill_diagonal(known, False)
        return Batch(
            [terms_of(self._queries, query) for query in queries.tolist()],
            [terms_of(self._tokens, text) for text in texts.tolist()],
            known,
        )


class Judged:
    """Queries and texts with a teacher's scores.

    Parameters
    ----------
    queries, tokens : Tokens
    pairs : ndarray of shape (n_pairs, 2), int64
    scores : ndarray of shape (n_pairs,), float32
    """

    def __init__(self, queries: Tokens, tokens: Tokens, pairs: Places, scores: Floats) -> None:
        self._queries, self._tokens = queries, tokens
        order = np.argsort(pairs[:, 0], kind="stable")
        self._pairs, self._scores = pairs[order], scores[order]
        asked, starts, counts = np.unique(self._pairs[:, 0], return_index=True, return_counts=True)
        self._asked = asked[counts > 1]
        self._starts, self._counts = starts[counts > 1], counts[counts > 1]
        self.n, self.texts_an_item = len(self._asked), _TEXTS_A_QUERY

    def draw(self, chosen: Places, rng: np.random.Generator) -> Batch:
        """Return queries, each with some of the texts that it has scores of."""
        places = [
            self._starts[item]
            + rng.permutation(self._counts[item])[: min(_TEXTS_A_QUERY, self._counts[item])]
            for item in chosen.tolist()
        ]
        texts, columns = np.unique(self._pairs[np.concatenate(places), 1], return_inverse=True)
        wanted = np.full((len(chosen), len(texts)), np.nan, dtype=np.float32)
        rows = np.repeat(np.arange(len(chosen)), [len(place) for place in places])
        wanted[rows, columns.ravel()] = self._scores[np.concatenate(places)]
        return Batch(
            [terms_of(self._queries, query) for query in self._asked[chosen].tolist()],
            [terms_of(self._tokens, text) for text in texts.tolist()],
            wanted=wanted,
        )

    def rescale(self, factor: float) -> None:
        """Multiply the teacher's scores."""
        self._scores = (self._scores * factor).astype(np.float32)


def terms_of(tokens: Tokens, text: int) -> NDArray[Any]:
    """Return the terms of one text."""
    return tokens.values[tokens.offsets[text] : tokens.offsets[text + 1]]


def counts_of(texts: list[NDArray[Any]] | Tokens, n_terms: int) -> Any:
    """Return how often each text has each term, a csr matrix of float32."""
    from scipy.sparse import csr_matrix

    if isinstance(texts, Tokens):
        values, offsets = texts.values, texts.offsets
    else:
        values = np.concatenate(texts) if texts else np.empty(0, np.int32)
        offsets = offsets_of(map(len, texts), len(texts))
    ones = np.ones(len(values), dtype=np.float32)
    counts = csr_matrix((ones, values, offsets), shape=(len(offsets) - 1, n_terms), copy=True)
    counts.sum_duplicates()
    return counts


@dataclass(frozen=True, eq=False)
class Asked:
    """Queries, which of them go with which text, and perhaps how well.

    Attributes
    ----------
    queries : list of str
    pairs : ndarray of shape (n_pairs, 2), int64
    scores : ndarray of shape (n_pairs,), float32, or None
    """

    queries: list[str]
    pairs: Places
    scores: Floats | None

    def batches(self, queries: Tokens, tokens: Tokens) -> Batches:
        """Return the batches of these pairs; those without words on a side are left out.

        Parameters
        ----------
        queries, tokens : Tokens
            Of the queries, and of the texts.
        """
        asked, told = np.diff(queries.offsets), np.diff(tokens.offsets)
        whole = (asked[self.pairs[:, 0]] > 0) & (told[self.pairs[:, 1]] > 0)
        if not whole.any():
            raise ParameterError(
                "no pair has words of the texts on both sides; there is nothing to learn."
            )
        if self.scores is None:
            return Pairs(queries, tokens, self.pairs[whole])
        judged = Judged(queries, tokens, self.pairs[whole], self.scores[whole])
        if not judged.n:
            raise ParameterError("no query has scores of two texts; there is nothing to compare.")
        return judged


def as_asked(
    heads: list[str] | None, queries: Any, pairs: Any, scores: Any, n: int
) -> Asked | None:
    """Return what a caller knows of queries, or refuse it; None where that is nothing.

    Parameters
    ----------
    heads : list of str or None
        First halves of texts that came as pairs.
    queries, pairs, scores
        As in `vectorloom.learn.ExpansionEncoder.fit`.
    n : int
        Texts.
    """
    if heads is not None:
        if queries is not None or pairs is not None:
            raise ParameterError(
                "texts that are pairs bring their queries; leave queries and pairs out."
            )
        queries, pairs = heads, np.column_stack([np.arange(n)] * 2)
    if (queries is None) != (pairs is None) or (scores is not None and pairs is None):
        raise ParameterError(
            "queries, pairs (and scores) belong together; pass queries= and pairs=."
        )
    if queries is None:
        return None
    found = as_texts(queries, name="queries")
    checked = _checked_pairs(pairs, len(found), n)
    return Asked(found, checked, None if scores is None else _checked(scores, len(checked)))


def _checked_pairs(pairs: Any, n_queries: int, n: int) -> Places:
    found = np.asarray(pairs)
    if found.ndim != 2 or found.shape[1] != 2 or not len(found):
        raise ShapeError(f"pairs must have shape (n_pairs, 2), n_pairs > 0; got {found.shape}.")
    if found.dtype.kind not in "iu":
        raise ParameterError(f"pairs must be positions, int; got {found.dtype}.")
    for column, (name, count) in enumerate((("queries", n_queries), ("texts", n))):
        low, high = found[:, column].min(), found[:, column].max()
        if low < 0 or high >= count:
            raise ParameterError(
                f"column {column} of pairs must be positions of {name}, from 0 to {count - 1}; got "
                f"{low} to {high}."
            )
    return found.astype(np.int64)


def _checked(scores: Any, n: int) -> Floats:
    values = np.asarray(scores, dtype=np.float32)
    if values.shape != (n,):
        raise ShapeError(f"scores must have one entry a pair, {n}; got shape {values.shape}.")
    if not np.isfinite(values).all():
        raise ParameterError("scores have NaN or infinity; drop those pairs.")
    return values


def fingerprint(tokens: Tokens, head_ends: NDArray[np.int64], asked: Asked | None) -> int:
    """Return a checksum of what is learned from."""
    arrays = [tokens.values, tokens.offsets, head_ends]
    crc = 0
    if asked is not None:
        crc = zlib.crc32("\0".join(asked.queries).encode("utf-8", "surrogatepass"))
        arrays += [asked.pairs] if asked.scores is None else [asked.pairs, asked.scores]
    for array in arrays:
        crc = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, crc)
    return crc
