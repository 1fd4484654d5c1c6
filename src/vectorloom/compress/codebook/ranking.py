# SPDX-License-Identifier: Apache-2.0
"""What codebooks that learn from queries share: the teacher's ranking, and batches of candidates.

The teacher is the inner product of a query with the full vectors. A batch of queries is scored
against the union of their own nearest rows, which must be ranked among each other, and of rows at
random, which must stay behind them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.codebook.bottleneck import look_up
from vectorloom.compress.codebook.packing import unpack_codes
from vectorloom.compress.products import matmul
from vectorloom.errors import ShapeError

_BLOCK = 1 << 23  # scores of one block: 8 Mi floats are 32 MB
_ROWS = 8192  # decoded at a time
_FEWEST_QUERIES = 8
_HELD_OUT = 0.15  # share of the queries that only judge
_MOST_HELD_OUT = 300


class CodedSpace:
    """Rows in the space of the codebooks, with what turns a product there into a score.

    With coded = A x and x̂ = a A⁻¹ y, a query scores q · x̂ = a (A⁻ᵀ q) · y, so queries are mapped
    once by `ask` and products with A x are those of the full vectors.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    rotation, inverse : ndarray of shape (dim, dim), float32, or None
        A and its inverse; None leaves the rows as they are.
    keep_norms : bool
        Whether decoded rows get the length of the original (a), or none (a = 1).
    n_jobs : int or None
    """

    def __init__(
        self,
        X: NDArray[np.float32],
        rotation: NDArray[np.float32] | None,
        inverse: NDArray[np.float32] | None,
        keep_norms: bool,
        n_jobs: int | None,
    ) -> None:
        self.rows = X if rotation is None else matmul(X, rotation, n_jobs)
        self.inverse = inverse
        self.n_jobs = n_jobs
        self.lengths = np.sqrt(np.einsum("ij,ij->i", X, X)) if keep_norms else None

    def ask(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return queries as they are multiplied with coded rows."""
        if self.inverse is None:
            return queries
        return matmul(queries, np.ascontiguousarray(self.inverse.T), self.n_jobs)

    def factors(
        self,
        labels: NDArray[Any],
        codebooks: NDArray[np.float32],
        places: NDArray[np.intp] | None = None,
    ) -> NDArray[np.float32]:
        """Return a of the rows, or of those at `places`, whose labels are given."""
        out = np.ones(len(labels), np.float32)
        if self.lengths is None:
            return out
        lengths = self.lengths if places is None else self.lengths[places]
        for start in range(0, len(labels), _ROWS):
            block = slice(start, start + _ROWS)
            decoded = look_up(labels[block], codebooks)
            if self.inverse is not None:
                decoded = matmul(decoded, self.inverse, self.n_jobs)
            norms = np.sqrt(np.einsum("ij,ij->i", decoded, decoded))
            norms[norms == 0] = 1
            out[block] = lengths[block] / norms
        return out


def score_spread(
    queries: NDArray[np.float32],
    rows: NDArray[np.float32],
    rng: np.random.Generator,
    n_jobs: int | None = None,
) -> float:
    """Return the standard deviation of the products with 2,000 rows at random; 1 where it is 0.

    Parameters
    ----------
    queries : ndarray of shape (m, dim), float32
    rows : ndarray of shape (n, dim), float32
    rng : numpy.random.Generator
    n_jobs : int or None, default=None

    Returns
    -------
    float
    """
    sample = rows[np.sort(rng.permutation(len(rows))[:2000])]
    spread = float(matmul(queries, sample, n_jobs).std(dtype=np.float64))
    return spread if spread > 0 else 1.0


def dimension_units(rows: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the root mean square of each dimension, at least a thousandth of the largest.

    Parameters
    ----------
    rows : ndarray of shape (n, n_parts * width), float32
    shape : tuple of (n_parts, n_codewords, width)

    Returns
    -------
    ndarray of shape (n_parts, 1, width), float32
        All 1 for rows of zeros.
    """
    squares = np.einsum("ij,ij->j", rows, rows, dtype=np.float64) / len(rows)
    units = np.sqrt(np.maximum(squares, 1e-6 * squares.max()))
    units = units if units.any() else np.ones_like(units)
    return np.asarray(units.reshape(shape[0], 1, shape[2]), np.float32)


def split(n_queries: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which queries judge and which are learned from.

    Parameters
    ----------
    n_queries : int
    rng : numpy.random.Generator

    Returns
    -------
    judge : ndarray of shape (h,), intp
        15 % of them, at most 300; ascending.
    learn : ndarray of shape (n_queries - h,), intp

    Raises
    ------
    ShapeError
        Fewer than eight queries.
    """
    if n_queries < _FEWEST_QUERIES:
        raise ShapeError(
            f"{n_queries} queries came; at least {_FEWEST_QUERIES} are needed, and some hundreds "
            "are wanted. Pass more sample queries, or use OPQ, which needs none."
        )
    order = rng.permutation(n_queries)
    held = min(_MOST_HELD_OUT, max(2, int(_HELD_OUT * n_queries)))
    return np.sort(order[:held]), np.sort(order[held:])


def top_rows(
    queries: NDArray[np.float32], X: NDArray[np.float32], k: int, n_jobs: int | None = None
) -> NDArray[np.intp]:
    """Return the rows with the largest inner products, exactly; in no order.

    Parameters
    ----------
    queries : ndarray of shape (m, dim), float32
    X : ndarray of shape (n, dim), float32
    k : int
        At most n.
    n_jobs : int or None, default=None

    Returns
    -------
    ndarray of shape (m, k), intp
    """
    out = np.empty((len(queries), k), np.intp)
    step = max(1, _BLOCK // len(X))
    for start in range(0, len(queries), step):
        scores = matmul(queries[start : start + step], X, n_jobs)
        order = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        out[start : start + step] = np.sort(order, axis=1)
    return out


def candidates(
    top: NDArray[np.intp], n_rows: int, n_sampled: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return the rows that a batch is scored against: all of its nearest, and some at random.

    Parameters
    ----------
    top : ndarray of shape (batch, k), intp
    n_rows : int
    n_sampled : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_candidates,), intp
        Ascending, each once.
    """
    sampled = rng.integers(0, n_rows, min(n_sampled, n_rows))
    return np.unique(np.concatenate([top.ravel(), sampled]))


def part_labels(
    rows: NDArray[np.float32], codebooks: NDArray[np.float32], n_jobs: int | None = None
) -> NDArray[np.int32]:
    """Return the nearest codeword of each part.

    Parameters
    ----------
    rows : ndarray of shape (n, n_parts * width), float32
    codebooks : ndarray of shape (n_parts, n_codewords, width), float32
    n_jobs : int or None, default=None

    Returns
    -------
    ndarray of shape (n, n_parts), int32
    """
    if len(codebooks) == 1:
        nearest: NDArray[Any] = _core.assign(rows, codebooks[0], n_jobs)[0]
        return np.asarray(nearest, np.int32)[:, None]
    codes = np.asarray(_core.pq_encode(rows, codebooks, n_jobs))
    return unpack_codes(codes, len(codebooks), (codebooks.shape[1] - 1).bit_length())
