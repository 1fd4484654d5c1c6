# SPDX-License-Identifier: Apache-2.0
"""BM25 on a scipy sparse matrix: the yardstick of the demo's quality table.

    score(q, d) = sum over terms t of q of
                  idf(t) * tf(t, d) * (k1 + 1) / (tf(t, d) + k1 * (1 - b + b * |d| / mean |d|))
    idf(t) = log(1 + (n - df(t) + 0.5) / (df(t) + 0.5))        the form of Lucene, never negative

Only the demo uses it: it is exact and compact, and makes no claim to be a search engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_BLOCK_QUERIES = 128  # a block of scores is 128 * n float32: 10 MB at 20,000 passages


class BM25:
    """Rank texts by BM25 (Robertson and Zaragoza, 2009).

    Parameters
    ----------
    analyzer : callable
        Text to list of terms; documents and queries go through the same one.
    k1 : float, default=1.2
        Saturation of repeated terms.
    b : float, default=0.75
        Share of the length normalisation. Both defaults are Lucene's.
    """

    def __init__(
        self, analyzer: Callable[[str], list[str]], *, k1: float = 1.2, b: float = 0.75
    ) -> None:
        self.analyzer = analyzer
        self.k1 = k1
        self.b = b

    def fit(self, texts: Sequence[str]) -> BM25:
        """Weigh every (text, term) pair once, so that a query is one sparse product."""
        from sklearn.feature_extraction.text import CountVectorizer

        self._counter = CountVectorizer(analyzer=self.analyzer, dtype=np.float32)
        weights = self._counter.fit_transform(texts).tocsr()
        n = weights.shape[0]
        df = np.bincount(weights.indices, minlength=weights.shape[1])
        idf = np.log1p((n - df + 0.5) / (df + 0.5)).astype(np.float32)
        lengths = np.asarray(weights.sum(axis=1)).ravel()
        norm = self.k1 * (1 - self.b + self.b * lengths / max(lengths.mean(), 1e-9))
        tf = weights.data
        row_norm = np.repeat(norm, np.diff(weights.indptr)).astype(np.float32)
        weights.data = idf[weights.indices] * tf * (self.k1 + 1) / (tf + row_norm)
        self._weights = weights.T.tocsr()  # terms x texts: a query reads the rows of its terms
        return self

    def search(
        self, queries: Sequence[str], k: int = 10
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return (positions, scores), both (n_queries, k), best first, ties by position.

        Places that no text with a common term fills hold -1 and 0.
        """
        terms = self._counter.transform(queries).tocsr()
        n = self._weights.shape[1]
        k_found = min(k, n)
        positions = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.zeros((len(queries), k), dtype=np.float32)
        for start in range(0, len(queries), _BLOCK_QUERIES):
            block = sparse.csr_matrix(terms[start : start + _BLOCK_QUERIES]) @ self._weights
            for row, dense in enumerate(block.toarray(), start=start):
                best = top_k(dense, k_found)
                best = best[dense[best] > 0]
                positions[row, : len(best)] = best
                scores[row, : len(best)] = dense[best]
        return positions, scores


def top_k(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Positions of the k largest of one row, best first, ties by position."""
    if k < len(scores):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        above = np.flatnonzero(scores > threshold)
        tied = np.flatnonzero(scores == threshold)[: k - len(above)]
        candidates = np.concatenate([above, tied])
    else:
        candidates = np.arange(len(scores))
    return candidates[np.lexsort((candidates, -scores[candidates]))]
