# SPDX-License-Identifier: Apache-2.0
"""Weights of terms, of those that a text has and of those that suit it; and their gradients.

    h = Σ (1 + log tf_i) E_i,   x = h / |h|^p           i: the learned terms of a text
    z_j = x · O_j + b_j                                 j: any learned term
    w_j = log(1 + relu(z_j + e^{a_j} - 1))              a_j: own weight, 0 for terms it has not

Without z a term keeps exactly its own weight. Columns are in the order of frequency: the first m
are learned, the others only ever have their own weight.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom._core import resolve_jobs

Floats = NDArray[np.float32]

_BLOCK = 256  # texts at a time; fixed, so that the number of threads never changes a sum
_MOST_OWN = np.float32(20)  # e^20 leaves room in float32, and no term is worth more


@dataclass(eq=False)
class Head:
    """All that is learned.

    Attributes
    ----------
    reading, writing : ndarray of shape (m, dim), float32
        E and O.
    bias, query_bias : ndarray of shape (m,), float32
        b of texts, and of queries.
    gains : ndarray of shape (n_terms,), float32
        Logarithm of what own weights of texts are multiplied by.
    power : float
    """

    reading: Floats
    writing: Floats
    bias: Floats
    query_bias: Floats
    gains: Floats
    power: float

    def arrays(self) -> dict[str, Floats]:
        """Return what a training moves."""
        names = ("reading", "writing", "bias", "query_bias", "gains")
        return {name: getattr(self, name) for name in names}

    def read(self, counts: Any) -> Reading:
        """Return x of texts.

        Parameters
        ----------
        counts : csr matrix of shape (n, n_terms), float32
        """
        bags = counts[:, : len(self.reading)].tocsr()
        bags.data = 1 + np.log(bags.data)
        sums = np.asarray(bags @ self.reading, dtype=np.float32)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True).astype(np.float32)
        lengths[lengths == 0] = 1
        return Reading(bags, sums, lengths, sums / lengths ** np.float32(self.power))


@dataclass(eq=False)
class Reading:
    """What texts were read as: their bags of 1 + log tf, h, |h| and x."""

    bags: Any
    sums: Floats
    lengths: Floats
    x: Floats


@dataclass(eq=False)
class Weighed:
    """Weights of some texts at some columns, with what a gradient needs.

    Attributes
    ----------
    weights : ndarray of shape (n, len(columns)), float32
    """

    head: Head
    reading: Reading
    columns: NDArray[np.int64]
    n_learned: int
    own: Floats
    query: bool
    logits: Floats  # relu(z + e^a - 1)
    weights: Floats

    @classmethod
    def of(
        cls, head: Head, reading: Reading, own: Any, columns: NDArray[np.int64], *, query: bool
    ) -> Weighed:
        """Weigh texts at rising columns.

        Parameters
        ----------
        head : Head
        reading : Reading
        own : csr matrix of shape (n, n_terms), float32
            Own weights, before gains.
        columns : ndarray of int64
        query : bool
            Queries have a bias of their own and no gains.
        """
        n_learned = int(np.searchsorted(columns, len(head.bias)))
        learned = columns[:n_learned]
        a = own[:, columns].toarray()
        if not query:
            a *= np.exp(head.gains[columns])
        np.minimum(a, _MOST_OWN, out=a)
        logits = np.expm1(a)
        logits[:, :n_learned] += reading.x @ head.writing[learned].T
        logits[:, :n_learned] += (head.query_bias if query else head.bias)[learned]
        np.maximum(logits, 0, out=logits)
        return cls(head, reading, columns, n_learned, a, query, logits, np.log1p(logits))

    def gradients(self, by_weights: Floats) -> list[tuple[str, NDArray[Any], Floats]]:
        """Return name, rows and gradient of what moves, from the gradient of the weights."""
        head, read, n = self.head, self.reading, self.n_learned
        by_logits = by_weights * (self.logits > 0) / (1 + self.logits)
        found = []
        if not self.query:
            by_gains = (by_logits * np.exp(self.own) * self.own).sum(axis=0)
            found.append(("gains", self.columns, by_gains))
        by_logits = by_logits[:, :n]
        learned = self.columns[:n]
        found.append(("writing", learned, by_logits.T @ read.x))
        found.append(("query_bias" if self.query else "bias", learned, by_logits.sum(axis=0)))
        by_x = by_logits @ head.writing[learned]
        along = (by_x * read.sums).sum(axis=1, keepdims=True)
        power = np.float32(head.power)
        by_sums = (by_x - power * along * read.sums / read.lengths**2) / read.lengths**power
        rows = np.unique(read.bags.indices)
        by_reading = np.asarray(read.bags[:, rows].T @ by_sums, dtype=np.float32)
        return [*found, ("reading", rows, by_reading)]


@dataclass(frozen=True, eq=False)
class OwnWeights:
    """What terms weigh in the texts that have them, before anything is learned: BM25's part.

    Attributes
    ----------
    k1, b, mean_length : float
    """

    k1: float
    b: float
    mean_length: float

    def of_texts(self, counts: Any) -> Any:
        """Return tf / (tf + k1 (1 - b + b |d| / mean |d|)) of counts, csr."""
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        mean = self.mean_length or 1.0
        share = (self.k1 * (1 - self.b + self.b * lengths / mean)).astype(np.float32)
        own = counts.copy()
        own.data = own.data / (own.data + np.repeat(share, np.diff(own.indptr)))
        return own


def expanded_columns(head: Head, reading: Reading) -> NDArray[np.int64]:
    """Return the learned columns that any of these queries is expanded to."""
    logits = reading.x @ head.writing.T
    logits += head.query_bias
    return np.flatnonzero((logits > 0).any(axis=0)).astype(np.int64)


def weigh(head: Head, counts: Any, own: Any, *, query: bool, n_jobs: int | None) -> Any:
    """Return all weights above zero.

    Parameters
    ----------
    head : Head
    counts, own : csr matrix of shape (n, n_terms), float32
        How often texts have each term, and own weights before gains.
    query : bool
    n_jobs : int or None

    Returns
    -------
    csr_matrix of shape (n, n_terms), float32
    """
    from scipy.sparse import csr_matrix, vstack
    from threadpoolctl import threadpool_limits

    gains = None if query else np.exp(head.gains)

    def block(start: int) -> Any:
        part = slice(start, start + _BLOCK)
        mine = own[part].copy()
        if gains is not None:
            mine.data *= gains[mine.indices]
        mine.data = np.expm1(np.minimum(mine.data, _MOST_OWN))
        return _positive(head, counts[part], mine, query)

    starts = range(0, counts.shape[0], _BLOCK)
    jobs = min(resolve_jobs(n_jobs), len(starts))
    # The parts of a BLAS sum depend on its number of threads, and so do the last bits.
    with threadpool_limits(limits=1), ThreadPoolExecutor(jobs) as pool:
        return csr_matrix(vstack(list(pool.map(block, starts)), format="csr", dtype=np.float32))


def _positive(head: Head, counts: Any, own: Any, query: bool) -> Any:
    """Return log(1 + relu(z + own)) of a block; own alone where a text has no learned term."""
    from scipy.sparse import csr_matrix

    n, m = counts.shape[0], len(head.bias)
    reading = head.read(counts)
    logits = reading.x @ head.writing.T
    logits += head.query_bias if query else head.bias
    logits[np.diff(reading.bags.indptr) == 0] = 0
    owners = np.repeat(np.arange(n), np.diff(own.indptr))
    is_learned = own.indices < m
    logits[owners[is_learned], own.indices[is_learned]] += own.data[is_learned]
    rows, columns = np.nonzero(logits > 0)
    rows = np.concatenate([rows, owners[~is_learned]])
    values = np.concatenate([logits[rows[: len(columns)], columns], own.data[~is_learned]])
    columns = np.concatenate([columns, own.indices[~is_learned]])
    found = csr_matrix((np.log1p(values), (rows, columns)), own.shape, dtype=np.float32)
    found.sort_indices()
    return found
