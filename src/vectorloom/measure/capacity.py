# SPDX-License-Identifier: Apache-2.0
"""Capacity: in how few dimensions vectors can rank what is relevant first.

Free vectors, one a query and one a document, of length 1, are moved to minimise

    mean_{q, p relevant} log(1 + sum_{n not relevant} exp((<q, n> - <q, p>) / t))

by Adam. A relevance matrix is solved when each query scores each of its relevant documents above
all others. What free vectors cannot do, no encoder can [1]_; what they can do, an encoder may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count
from vectorloom.io.pages import Chart
from vectorloom.measure.result import Result
from vectorloom.measure.rows import directions
from vectorloom.progress import progress

Doubles = NDArray[np.float64]
Matrix = NDArray[np.bool_]

_TEMPERATURE = 0.1
_RATE = 0.03
_LOOK_EVERY = 25
_MANY = 200_000  # subsets beyond which a sweep is refused


@dataclass(frozen=True, eq=False)
class FreeVectors(Result):
    """Vectors that were moved to rank what is relevant first.

    Attributes
    ----------
    solved : float
        Share of the queries whose relevant documents all score above the others.
    margin : float
        Least gap between a relevant and another document, over queries; below 0 where one fails.
    queries, documents : ndarray of shape (m, dim), (n, dim), float64
    steps : int
        Steps taken.
    """

    solved: float
    margin: float
    queries: Doubles
    documents: Doubles
    steps: int


@dataclass(frozen=True, eq=False)
class Capacity(Result):
    """The least dimension found for a relevance matrix; ``int(result)`` is it.

    Attributes
    ----------
    dim : int
        The least in which all queries were solved; 2 at least.
    tried : dict of int to float
        Dimension to the share of queries solved, of all dimensions tried.
    n_queries, n_documents : int
    k : int
        Most relevant documents of a query.
    enough : int
        Dimensions that are enough whatever the matrix, 2k + 1 by the moment curve.
    """

    dim: int
    tried: dict[int, float]
    n_queries: int
    n_documents: int
    k: int
    enough: int

    def __int__(self) -> int:
        return self.dim

    def __float__(self) -> float:
        return float(self.dim)

    def __str__(self) -> str:
        tried = ", ".join(f"{d}: {share:.1%}" for d, share in sorted(self.tried.items()))
        return (
            f"{self.dim} dimensions solve {self.n_queries:,} queries over {self.n_documents:,} "
            f"documents by free vectors (solved in {tried})"
        )

    def plot(self) -> Chart:
        """Draw the share of solved queries over dimensions.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        bars = [Bar(f"{d}", share) for d, share in sorted(self.tried.items())]
        return bar_chart("Queries solved by free vectors", bars, x_label="share, by dimensions")


def critical_dimension(
    relevance: Any,
    *,
    max_dim: int = 512,
    steps: int = 2000,
    restarts: int = 2,
    random_state: int = 0,
) -> Capacity:
    """Find the least dimension in which free vectors solve a relevance matrix.

    Parameters
    ----------
    relevance : array-like of shape (m, n), bool, or mapping of query to documents
        Row i says which documents are relevant to query i. A mapping is as qrels: of documents to
        grades, where those above 0 count; documents are then those that are named.
    max_dim : int, default=512
        Where the search gives up.
    steps : int, default=2000
        Of the optimisation, in each dimension.
    restarts : int, default=2
        Starts tried before a dimension counts as too few.
    random_state : int, default=0

    Returns
    -------
    Capacity

    Raises
    ------
    ShapeError, ParameterError
        Not a matrix; a query with no relevant document, or with all; `max_dim` is not enough.

    Notes
    -----
    It is an upper bound: another start or more steps may solve a smaller dimension. Doubled until
    solved, then halved between. Cost: about 10 * restarts * steps * m * n. Queries that share no
    document with others need no room; those over all pairs of documents need the most.

    References
    ----------
    .. [1] O. Weller et al., "On the theoretical limitations of embedding-based retrieval", 2025,
       arXiv:2508.21038.

    Examples
    --------
    One relevant document each is solved in the plane:

    >>> critical_dimension(np.eye(6, dtype=bool)).dim
    2
    """
    matrix = as_relevance(relevance)
    max_dim = check_count("max_dim", max_dim, at_least=2)
    tried: dict[int, float] = {}

    def solves(dim: int) -> bool:
        best = 0.0
        with progress(f"free vectors of {dim} dimensions", total=restarts, unit="starts") as bar:
            for start in range(check_count("restarts", restarts)):
                found = free_vectors(matrix, dim, steps=steps, random_state=random_state + start)
                best = max(best, found.solved)
                bar.advance(solved=best)
                if best == 1.0:
                    break
        tried[dim] = best
        return best == 1.0

    high = 2  # in one dimension a vector of length 1 cannot move
    while not solves(high):
        if high >= max_dim:
            raise ParameterError(
                f"{tried[high]:.1%} of the queries were solved in {high} dimensions, the most "
                "allowed. Allow more by max_dim, or more steps."
            )
        high = min(2 * high, max_dim)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if solves(middle) else (middle, high)
    k = int(matrix.sum(axis=1).max())
    return Capacity(high, tried, len(matrix), matrix.shape[1], k, 2 * k + 1)


def critical_size(
    dim: int,
    k: int = 2,
    *,
    start: int | None = None,
    steps: int = 2000,
    restarts: int = 1,
    random_state: int = 0,
) -> int:
    """Find how many documents can have all their k-subsets returned in `dim` dimensions.

    Parameters
    ----------
    dim : int
    k : int, default=2
    start : int or None, default=None
        Documents to begin with; None: k + 1. All fewer are taken as solved.
    steps, restarts, random_state
        As `critical_dimension`.

    Returns
    -------
    int
        The most documents before the first number that was not solved; ``start - 1`` where that is
        the first.

    Raises
    ------
    ParameterError
        More than 200,000 subsets.

    Notes
    -----
    It is the published "critical n" by free vectors [1]_. Cost: the sum over n of
    restarts * steps * C(n, k) * n * dim.

    Examples
    --------
    In the plane the pairs of four documents on a circle that lie across cannot be returned:

    >>> critical_size(2, steps=500)
    3
    """
    dim, k = check_count("dim", dim), check_count("k", k)
    n = check_count("start", k + 1 if start is None else start, at_least=k + 1)
    with progress(f"critical size of {dim} dimensions", unit="documents") as bar:
        while True:
            matrix = all_subsets(n, k)
            if not any(
                free_vectors(matrix, dim, steps=steps, random_state=random_state + i).solved == 1.0
                for i in range(restarts)
            ):
                return n - 1
            n += 1
            bar.advance()


def free_vectors(
    relevance: Any, dim: int, *, steps: int = 2000, random_state: int = 0
) -> FreeVectors:
    """Move free vectors until each query scores its relevant documents above the others.

    Parameters
    ----------
    relevance : array-like of shape (m, n), bool, or mapping
        As `critical_dimension`.
    dim : int
    steps : int, default=2000
        Most steps; it ends when all queries are solved.
    random_state : int, default=0

    Returns
    -------
    FreeVectors

    Raises
    ------
    ShapeError, ParameterError
        As `critical_dimension`.

    Examples
    --------
    >>> free_vectors(np.eye(4, dtype=bool), 2).solved
    1.0
    """
    matrix = as_relevance(relevance)
    dim, steps = check_count("dim", dim), check_count("steps", steps)
    rng = np.random.default_rng(random_state)
    m, n = matrix.shape
    vectors = directions(rng.standard_normal((m + n, dim)))
    mean, square = np.zeros_like(vectors), np.zeros_like(vectors)
    weight = 1.0 / matrix.sum()
    best, best_margin, step = vectors, -np.inf, 0
    for step in range(1, steps + 1):
        scores = vectors[:m] @ vectors[m:].T
        if step % _LOOK_EVERY == 1 or step == steps:
            margin = _margins(scores, matrix)
            if (margin > 0).mean() >= _solved(best, matrix) or best_margin == -np.inf:
                best, best_margin = vectors.copy(), float(margin.min())
            if best_margin > 0:
                break
        pull = _pull(scores, matrix) * weight
        slope = np.concatenate([pull @ vectors[m:], pull.T @ vectors[:m]])
        slope -= vectors * np.einsum("ij,ij->i", slope, vectors)[:, None]
        mean = 0.9 * mean + 0.1 * slope
        square = 0.999 * square + 0.001 * slope**2
        rate = _RATE * (1 - 0.9 * step / steps)
        size = np.sqrt(square / (1 - 0.999**step)) + 1e-12
        vectors = directions(vectors - rate * (mean / (1 - 0.9**step)) / size)
    return FreeVectors(_solved(best, matrix), best_margin, best[:m], best[m:], step)


def all_subsets(n: int, k: int = 2) -> Matrix:
    """Return the relevance matrix of all k-subsets of n documents.

    Parameters
    ----------
    n : int
    k : int, default=2

    Returns
    -------
    ndarray of shape (C(n, k), n), bool

    Raises
    ------
    ParameterError
        More than 200,000 subsets.

    Examples
    --------
    >>> all_subsets(3, 2).astype(int).tolist()
    [[1, 1, 0], [1, 0, 1], [0, 1, 1]]
    """
    n, k = check_count("n", n), check_count("k", k)
    if k > n or comb(n, k) > _MANY:
        raise ParameterError(
            f"{n} documents have {comb(n, k):,} subsets of {k}; from 1 to {_MANY:,} are possible."
        )
    subsets = np.array(list(combinations(range(n), k)))
    matrix = np.zeros((len(subsets), n), bool)
    np.put_along_axis(matrix, subsets, True, axis=1)
    return matrix


def moment_curve(n: int, k: int = 2) -> tuple[Doubles, Doubles]:
    """Return vectors of 2k + 1 dimensions that return every k-subset of n documents.

    Document i is (1, t, t^2, …, t^{2k}) at its own t, to length 1; the query of a subset S holds
    the coefficients of -prod_{i in S} (t - t_i)^2, which is 0 at S and below 0 elsewhere.

    Parameters
    ----------
    n : int
    k : int, default=2

    Returns
    -------
    queries : ndarray of shape (C(n, k), 2k + 1), float64
        In the order of `all_subsets`.
    documents : ndarray of shape (n, 2k + 1), float64

    Notes
    -----
    So 2k + 1 dimensions are enough for any number of documents, in exact arithmetic (points of the
    moment curve are the corners of a neighbourly polytope [1]_). Its margins fall as n^-2k: what
    limits learnt vectors is the margin, not the dimension alone. Cost: C(n, k) * k**2.

    References
    ----------
    .. [1] D. Gale, "Neighborly and cyclic polytopes", Proc. Symp. Pure Math. 7 (1963).

    Examples
    --------
    >>> queries, documents = moment_curve(9, 2)
    >>> scores, wanted = queries @ documents.T, all_subsets(9, 2)
    >>> bool((scores[wanted].min() > scores[~wanted].max()))
    True
    """
    wanted = all_subsets(n, k)
    t = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    documents = directions(np.vander(t, 2 * k + 1, increasing=True))
    queries = np.empty((len(wanted), 2 * k + 1))
    for row, chosen in enumerate(wanted):
        roots = np.repeat(t[chosen], 2)
        queries[row] = -np.poly(roots)[::-1]
    return directions(queries), documents


def as_relevance(relevance: Any) -> Matrix:
    """Return a relevance matrix, from an array or from qrels.

    Parameters
    ----------
    relevance : array-like of shape (m, n) or mapping
        As `critical_dimension`.

    Returns
    -------
    ndarray of shape (m, n), bool

    Raises
    ------
    ShapeError, ParameterError
        Not a matrix; a query with no relevant document, or with all.
    """
    if isinstance(relevance, Mapping):
        wanted = [
            {d for d, grade in row.items() if grade > 0} if isinstance(row, Mapping) else set(row)
            for row in relevance.values()
        ]
        named = set().union(*map(set, relevance.values()))
        place = {d: i for i, d in enumerate(sorted(named, key=str))}
        matrix = np.zeros((len(wanted), len(place)), bool)
        for i, row in enumerate(wanted):
            matrix[i, [place[d] for d in row]] = True
    else:
        matrix = np.asarray(relevance) > 0
    if matrix.ndim != 2 or not matrix.size:
        raise ShapeError(f"relevance must be a matrix of queries by documents; got {matrix.shape}.")
    counts = matrix.sum(axis=1)
    if not counts.all() or (counts == matrix.shape[1]).any():
        bad = int(np.argmax((counts == 0) | (counts == matrix.shape[1])))
        raise ParameterError(
            f"query {bad} has {counts[bad]} of {matrix.shape[1]} documents relevant; one at least, "
            "and not all, is expected. Drop it."
        )
    return matrix


def _margins(scores: Doubles, matrix: Matrix) -> Doubles:
    worst = np.where(matrix, scores, np.inf).min(axis=1)
    return np.asarray(worst - np.where(matrix, -np.inf, scores).max(axis=1))


def _solved(vectors: Doubles, matrix: Matrix) -> float:
    m = len(matrix)
    return float((_margins(vectors[:m] @ vectors[m:].T, matrix) > 0).mean())


def _pull(scores: Doubles, matrix: Matrix) -> Doubles:
    """Return the slope of the loss by scores, times the number of relevant pairs."""
    others = np.where(matrix, -np.inf, scores / _TEMPERATURE)
    top = others.max(axis=1, keepdims=True)
    raised = np.exp(others - top)
    total = raised.sum(axis=1, keepdims=True)
    # Of each relevant document: the share p that the others hold against it.
    own = np.exp(np.minimum(scores / _TEMPERATURE - top, 700))
    held = np.where(matrix, total / (total + own), 0.0)
    return np.asarray((raised / total * held.sum(axis=1, keepdims=True) - held) / _TEMPERATURE)
