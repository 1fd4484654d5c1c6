# SPDX-License-Identifier: Apache-2.0
"""Hashed n-grams of words or bytes: from texts to rows of a table, without a vocabulary.

    h(t_1 … t_n) = sum over j of (t_j + 1) K^(n - j)  mod 2^64, mixed
    bucket = floor(h n_buckets / 2^64)

Equal n-grams share a bucket, others by chance: of m different n-grams about m² / (2 n_buckets) do.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIXER = np.uint64(0xBF58476D1CE4E5B9)
_MOST_BUCKETS = 1 << 30


@dataclass(frozen=True, eq=False)
class Tokens:
    """Texts as numbers, one after the other.

    Attributes
    ----------
    values : ndarray of shape (n_tokens,), uint8 or uint32
    offsets : ndarray of shape (n_texts + 1,), int64
        Text t has the tokens ``offsets[t]`` to ``offsets[t + 1]``.
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1


def offsets_of(lengths: Iterable[int], n: int) -> NDArray[np.int64]:
    """Return where each of n pieces begins, and where the last one ends.

    Parameters
    ----------
    lengths : iterable of int
    n : int

    Returns
    -------
    ndarray of shape (n + 1,), int64
    """
    offsets = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.fromiter(lengths, dtype=np.int64, count=n), out=offsets[1:])
    return offsets


def word_tokens(texts: Sequence[Sequence[str]]) -> Tokens:
    """Return words as 32-bit hashes (CRC-32 of their UTF-8), which need no vocabulary.

    Parameters
    ----------
    texts : sequence of sequences of str
        The words of each text.

    Returns
    -------
    Tokens
    """
    known: dict[str, int] = {}
    values: list[int] = []
    for words in texts:
        for word in words:
            found = known.get(word)
            if found is None:
                found = known[word] = zlib.crc32(word.encode("utf-8", "surrogatepass"))
            values.append(found)
    return Tokens(np.array(values, dtype=np.uint32), offsets_of(map(len, texts), len(texts)))


def byte_tokens(items: Sequence[bytes]) -> Tokens:
    """Return bytes as tokens.

    Parameters
    ----------
    items : sequence of bytes

    Returns
    -------
    Tokens
    """
    values = np.frombuffer(b"".join(items), dtype=np.uint8)
    return Tokens(values, offsets_of(map(len, items), len(items)))


def ngram_buckets(tokens: Tokens, sizes: NDArray[np.int64], n_buckets: int) -> NDArray[np.int32]:
    """Return the bucket of the n-gram of each size that begins at each token.

    Parameters
    ----------
    tokens : Tokens
    sizes : ndarray of shape (n_sizes,), int64
    n_buckets : int

    Returns
    -------
    ndarray of shape (n_tokens, n_sizes), int32
        -1 where the text ends before the n-gram does.
    """
    values, n = tokens.values, len(tokens.values)
    left = np.repeat(tokens.offsets[1:], np.diff(tokens.offsets)) - np.arange(n)
    found = np.full((n, len(sizes)), -1, dtype=np.int32)
    one = np.uint64(1)
    for column, size in enumerate(sizes.tolist()):
        count = n - size + 1
        if count <= 0:
            continue
        hashes = np.zeros(count, dtype=np.uint64)
        for start in range(size):
            hashes *= _MULTIPLIER
            hashes += values[start : start + count].astype(np.uint64) + one
        hashes ^= hashes >> np.uint64(30)
        hashes *= _MIXER
        hashes >>= np.uint64(32)
        hashes *= np.uint64(n_buckets)
        hashes >>= np.uint64(32)
        found[:count, column] = hashes.astype(np.int32)
        found[left < size, column] = -1
    return found


class NgramTable:
    """Which buckets have a row: those that at least `min_df` texts have an n-gram in.

    Parameters
    ----------
    sizes : sequence of int
        Tokens of an n-gram.
    n_buckets : int
    buckets : ndarray of shape (n_rows,), int32
        Rising; row r is of ``buckets[r]``.
    """

    def __init__(self, sizes: Sequence[int], n_buckets: int, buckets: NDArray[np.int32]) -> None:
        self.sizes = np.array(sizes, dtype=np.int64)
        self.n_buckets = n_buckets
        self.buckets = buckets
        self._row_of = np.full(n_buckets + 1, -1, dtype=np.int32)  # the last: no bucket, -1
        self._row_of[buckets] = np.arange(len(buckets), dtype=np.int32)

    @classmethod
    def of(
        cls, tokens: Tokens, sizes: Sequence[int], n_buckets: int, min_df: int
    ) -> tuple[NgramTable, NDArray[np.int64]]:
        """Return the table of these texts, and in how many of them each row's n-grams occur.

        Parameters
        ----------
        tokens : Tokens
        sizes : sequence of int
        n_buckets : int
        min_df : int

        Returns
        -------
        table : NgramTable
        df : ndarray of shape (n_rows,), int64
        """
        found = ngram_buckets(tokens, np.array(sizes, dtype=np.int64), n_buckets)
        texts = np.repeat(np.arange(len(tokens)), np.diff(tokens.offsets))
        df = np.zeros(n_buckets, dtype=np.int64)
        keys = (texts[:, None] * np.int64(n_buckets) + found)[found >= 0]
        keys = np.unique(keys)
        np.add.at(df, keys % n_buckets, 1)
        kept = np.flatnonzero(df >= min_df)
        return cls(sizes, n_buckets, kept.astype(np.int32)), df[kept]

    def __len__(self) -> int:
        return len(self.buckets)

    def rows(self, tokens: Tokens) -> NDArray[np.int32]:
        """Return the row of the n-gram of each size at each token; -1: it has none.

        Parameters
        ----------
        tokens : Tokens

        Returns
        -------
        ndarray of shape (n_tokens, n_sizes), int32
        """
        return self._row_of[ngram_buckets(tokens, self.sizes, self.n_buckets)]

    def ngrams(self, tokens: Tokens) -> Any:
        """Return the n-grams of texts as the core takes them.

        Parameters
        ----------
        tokens : Tokens

        Returns
        -------
        _core.Ngrams
        """
        return _core.Ngrams(self.rows(tokens), tokens.offsets, self.sizes)


def encode_texts(
    table: NgramTable,
    vectors: NDArray[np.float32],
    tokens: Tokens,
    *,
    mean: bool,
    power: float,
    n_jobs: int | None,
) -> NDArray[np.float32]:
    """Return the sums of the rows of texts.

    Parameters
    ----------
    table : NgramTable
    vectors : ndarray of shape (n_rows, dim), float32
    tokens : Tokens
    mean : bool
        True: the mean over all n-grams. False: rows that come tf times count 1 + log tf.
    power : float
        Divide by the length to this power.
    n_jobs : int or None

    Returns
    -------
    ndarray of shape (n_texts, dim), float32
        Zero where a text has no known n-gram.
    """
    out = np.empty((len(tokens), vectors.shape[1]), dtype=np.float32)
    rows = np.ascontiguousarray(vectors)
    _core.encode_bags(table.ngrams(tokens), rows, mean=mean, power=power, out=out, n_jobs=n_jobs)
    return out


def check_buckets(n_buckets: Any) -> int:
    """Return the number of buckets, or refuse it."""
    found = check_count("n_buckets", n_buckets)
    if found > _MOST_BUCKETS:
        raise ParameterError(f"n_buckets must be at most 2^30; got {n_buckets!r}.")
    return found
