# SPDX-License-Identifier: Apache-2.0
"""Bit-cipher: a code of few bits for each word, and for its vector the bits of its company.

    code(r)        the r-th of the bit sets in the order of their size: frequent words, few bits
    n(w, b)        = sum_c n(w, c) [b in code(c)] / |code(c)|
    x_w[b]         = log( (n(w, b) + s p(b)) / ((n(w) + s) p(b)) )          p(b) = n(., b) / N

"sum" counts n(w, c) over the whole window; "concat" has one block of bits for each place in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice
from vectorloom.io.container import Container
from vectorloom.learn.corpus import EncodedCorpus
from vectorloom.learn.words.learner import WordLearner, check_learner
from vectorloom.learn.words.pmi_svd import pair_counts

Matrix = NDArray[np.float32]


class BitCipher(WordLearner):
    """Learn vectors of words by counting, each context word as a few bits.

    Use it for a start in seconds, for bits with a meaning (which context words share a bit is
    known), or for first rows of another model's embedding layer. Its similarities are far behind
    `PMISVD`'s and `Word2Vec`'s at the same dimension.

    Parameters
    ----------
    vector_size : int, default=100
        Bits; for "concat" the bits of all places together, ``2 * window`` times those of a code.
    window : int, default=5
        Words to each side.
    min_count : int, default=5
    mode : {"sum", "concat"}, default="sum"
        "sum": one block of bits for the whole window. "concat": one a place, nearest to the left
        first, then to the right: word order, and so syntax, is kept.
    smoothing : float, default=100.0
        s: so many context words of average company are added to each word's own.
    max_vocab : int or None, default=None
    n_jobs : int or None, default=None
        Threads that count.

    Attributes
    ----------
    ids_ : ndarray of shape (n_words,), object
    counts_ : ndarray of shape (n_words,), int64
    vectors_ : ndarray of shape (n_words, dim), float32
        dim is `vector_size`, rounded down to a multiple of ``2 * window`` for "concat".
    codes_ : ndarray of shape (n_words, bits), float32
        The code of each word, scaled to sum 1.
    n_tokens_ : int

    Raises
    ------
    ParameterError
        Fewer than 2^bits - 1 codes for the words; a parameter out of range.

    Notes
    -----
    Time O(tokens * window + pairs * bits), memory 12 bytes a pair that occurs. No randomness.

    The paper's own codes are mixed with a share that grows with the frequency; here all codes are
    scaled to sum 1, and what is taken the logarithm of is the ratio to chance, since of the
    variants measured (counts, logarithms of counts, mutual information before the codes) this one
    was the best by far.

    References
    ----------
    .. [1] Zhao, Williams. Bit Cipher: A Simple yet Powerful Word Representation System that
           Integrates Efficiently with Language Models. 2023. arXiv:2311.11012

    Examples
    --------
    >>> texts = ["the cat sat on the mat", "the dog sat on the rug"] * 20
    >>> model = BitCipher(vector_size=4, min_count=1).fit(texts)
    >>> model.codes_[:5].tolist()[3:]  # four words have a bit, the fifth has two
    [[0.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.0, 0.0]]
    """

    _KIND = "learn.bit_cipher"

    def __init__(
        self,
        vector_size: int = 100,
        *,
        window: int = 5,
        min_count: int = 5,
        mode: str = "sum",
        smoothing: float = 100.0,
        max_vocab: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.vector_size = vector_size
        self.window = window
        self.min_count = min_count
        self.mode = mode
        self.smoothing = smoothing
        self.max_vocab = max_vocab
        self.n_jobs = n_jobs

    def fit(self, corpus: Any, y: Any = None) -> BitCipher:
        """Learn the words of a corpus.

        Parameters
        ----------
        corpus : Corpus, path, iterable of str, or iterable of lists of str
        y : ignored

        Returns
        -------
        self
        """
        check_learner(self.get_params())
        check_choice("mode", self.mode, ("sum", "concat"))
        if not 0 < self.smoothing < np.inf:
            raise ParameterError(f"smoothing must be positive; got {self.smoothing!r}.")
        encoded = self._encode(corpus, self.min_count, self.max_vocab)
        codes = word_codes(len(encoded.words), self._bits())
        if self.mode == "sum":
            pairs = pair_counts(encoded, self.window, "flat", self.n_jobs)
            vectors = company(pairs @ codes, self.smoothing)
        else:
            distances = range(1, self.window + 1)
            blocks = [
                company(_at(encoded, side * d) @ codes, self.smoothing)
                for side in (-1, 1)
                for d in distances
            ]
            vectors = np.hstack(blocks)
        self._set_words(encoded)
        self.vectors_ = np.ascontiguousarray(vectors, dtype=np.float32)
        self.codes_ = codes
        return self

    def _bits(self) -> int:
        if self.mode == "sum":
            return self.vector_size
        bits = self.vector_size // (2 * self.window)
        if bits < 1:
            raise ParameterError(
                f"mode='concat' needs a vector_size of at least 2 * window = {2 * self.window}; "
                f"got {self.vector_size}."
            )
        return bits

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        return {"codes": self.codes_}

    def _take_extra(self, container: Container, n: int) -> None:
        self.codes_ = container.array("codes", "<f4", (n, None))


def word_codes(n_words: int, bits: int) -> Matrix:
    """Return the codes of words by rank: all single bits, all pairs, all triples and so on.

    Parameters
    ----------
    n_words, bits : int

    Returns
    -------
    ndarray of shape (n_words, bits), float32
        Rows differ and sum to 1. Sets are turned around the circle of bits one after the other, so
        that at any length of the list each bit is used about equally often.

    Raises
    ------
    ParameterError
        There are only 2^bits - 1 sets.
    """
    if bits < 31 and n_words >= 1 << bits:
        raise ParameterError(
            f"{bits} bits have {(1 << bits) - 1} codes, too few for {n_words} words. Raise "
            "vector_size, or keep fewer words by max_vocab."
        )
    codes = np.zeros((n_words, bits), np.float32)
    row = 0
    for size, places, period in _necklaces(bits):
        for turn in range(min(period, n_words - row)):
            codes[row, (places + turn) % bits] = 1.0 / size
            row += 1
        if row == n_words:
            break
    return codes


def _necklaces(bits: int) -> Iterator[tuple[int, NDArray[np.int64], int]]:
    """Yield (size, places, turns that differ) of one set of each circle.

    Of the sets that are turns of each other that is the one whose gaps come first in order.
    """
    for size in range(1, bits + 1):
        for rest in combinations(range(1, bits), size - 1):
            gaps = tuple(np.diff((0, *rest, bits)).tolist())
            turned = [gaps[i:] + gaps[:i] for i in range(1, size + 1)]
            if gaps == min(turned):
                yield size, np.array((0, *rest)), sum(gaps[: turned.index(gaps) + 1])


def _at(corpus: EncodedCorpus, distance: int) -> Any:
    """Return how often word j stands `distance` places after word i, in the same sentence."""
    from scipy.sparse import coo_array

    tokens = np.asarray(corpus.tokens)
    d = abs(distance)
    sentence = np.cumsum(tokens < 0)
    inside = (tokens[d:] >= 0) & (tokens[:-d] >= 0) & (sentence[d:] == sentence[:-d])
    left, right = tokens[:-d][inside], tokens[d:][inside]
    at = (left, right) if distance > 0 else (right, left)
    n = len(corpus.words)
    return coo_array((np.ones(len(left), np.float32), at), shape=(n, n)).tocsr()


def company(sums: Matrix, smoothing: float) -> Matrix:
    """Return the logarithm of how much more often than by chance each word meets each bit.

    Parameters
    ----------
    sums : ndarray of shape (n, bits), float32
        n(w, b); not negative.
    smoothing : float

    Returns
    -------
    ndarray of shape (n, bits), float32
        0 where a bit is met as often as by chance, or nothing is met at all.
    """
    shares = sums.sum(axis=0, dtype=np.float64)
    shares /= max(shares.sum(), 1.0)
    own = sums.sum(axis=1, keepdims=True, dtype=np.float64)
    shares = np.maximum(shares, np.finfo(np.float32).tiny)
    found: Matrix = np.log((sums + smoothing * shares) / ((own + smoothing) * shares)).astype(
        np.float32
    )
    return found


def load_container(container: Container) -> WordLearner:
    """Make the learner of a native file; its vectors stay mapped."""
    return BitCipher._load(container)
