# SPDX-License-Identifier: Apache-2.0
"""BM25 and its variants: what a term weighs in a text, and in a query.

    score(q, d) = sum over terms t of q, as often as it comes, of idf(t) * part(tf(t, d), |d|)
    c = tf / (1 - b + b |d| / mean |d|),   K = k1 (1 - b + b |d| / mean |d|)

    method      idf                                     part
    lucene      ln(1 + (n - df + .5) / (df + .5))       tf / (tf + K)
    robertson   ln((n - df + .5) / (df + .5)), >= 0     tf / (tf + K)
    atire       ln(n / df)                              tf (k1 + 1) / (tf + K)
    okapi       ln((n - df + .5) / (df + .5)); what     tf (k1 + 1) / (tf + K)
                is negative: epsilon * the mean
    bm25l       ln((n + 1) / (df + .5))                 (k1 + 1)(c + delta) / (k1 + c + delta)
    bm25+       ln((n + 1) / df)                        tf (k1 + 1) / (tf + K) + delta
    tfidf       ln((1 + n) / (1 + df)) + 1              tf, texts and queries at unit length

Under bm25l and bm25+ a term that a text lacks has a part as well, the same for all such texts. It
is taken off here, which leaves sparse weights, and added again to the scores of hits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

METHODS = ("lucene", "robertson", "atire", "okapi", "bm25l", "bm25+", "tfidf")

_SATURATED = ("atire", "okapi", "bm25l", "bm25+")  # with the factor k1 + 1
_EPSILON = 0.25


@dataclass(frozen=True)
class Weighing:
    """A method and its parameters.

    Attributes
    ----------
    method : str
    k1, b, delta : float
    """

    method: str
    k1: float
    b: float
    delta: float

    @property
    def part_of_absent(self) -> float:
        """The part of a term that a text lacks."""
        if self.method == "bm25+":
            return self.delta
        if self.method == "bm25l":
            return (self.k1 + 1) * self.delta / (self.k1 + self.delta)
        return 0.0

    def idf(self, df: NDArray[np.int64], n: int) -> NDArray[np.float64]:
        """Return a weight a term from the texts that have it; 0 where none has."""
        out = np.zeros(len(df))
        there = df > 0
        d = df[there].astype(np.float64)
        if self.method == "lucene":
            out[there] = np.log1p((n - d + 0.5) / (d + 0.5))
        elif self.method == "robertson":
            out[there] = np.maximum(np.log((n - d + 0.5) / (d + 0.5)), 0.0)
        elif self.method == "okapi":
            plain = np.log((n - d + 0.5) / (d + 0.5))
            floor = _EPSILON * plain.mean() if len(plain) else 0.0
            out[there] = np.maximum(np.where(plain < 0, floor, plain), 0.0)
        elif self.method == "atire":
            out[there] = np.log(n / d)
        elif self.method == "bm25l":
            out[there] = np.log((n + 1) / (d + 0.5))
        elif self.method == "bm25+":
            out[there] = np.log((n + 1) / d)
        else:
            out[there] = np.log((1 + n) / (1 + d)) + 1
        return out

    def parts(
        self,
        tf: NDArray[np.float32],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        mean_length: float,
    ) -> NDArray[np.float32]:
        """Return the part of each value of rows, less that of an absent term.

        Parameters
        ----------
        tf : ndarray of shape (n_values,), float32
        starts : ndarray of shape (n + 1,), int64
        lengths : ndarray of shape (n,), int64
        mean_length : float
        """
        share = 1 - self.b + self.b * lengths / max(mean_length, 1e-9)
        out = np.empty(len(tf), np.float32)
        step = 1 << 16  # rows at a time: float64 in a cache, not beside all values
        for first in range(0, len(lengths), step):
            last = min(first + step, len(lengths))
            values = slice(int(starts[first]), int(starts[last]))
            per_value = np.repeat(share[first:last], np.diff(starts[first : last + 1]))
            out[values] = self._parts(tf[values].astype(np.float64), per_value)
        return out

    def _parts(self, tf: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.method == "bm25l":
            c = tf / share + self.delta
            return (self.k1 + 1) * c / (self.k1 + c) - self.part_of_absent
        scale = self.k1 + 1 if self.method in _SATURATED else 1.0
        return scale * tf / (tf + self.k1 * share)
