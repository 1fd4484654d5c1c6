# SPDX-License-Identifier: Apache-2.0
"""Graph reconstruction: whether the nearest vectors of a node give its neighbours back.

For each hop h, mAP over nodes: other nodes are ranked by similarity, those at h steps are relevant
(nodes nearer than h are left out of the ranking), and AP is the mean of precision at their ranks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count
from vectorloom.measure.result import Estimate
from vectorloom.measure.rows import Z95, sampled, unit_rows
from vectorloom.vectors import as_dense

Doubles = NDArray[np.float64]


def reconstruct_graph(
    graph: Any,
    X: Any,
    *,
    hops: int = 3,
    metric: str = "cosine",
    sample: int | None = 500,
    random_state: int = 0,
) -> tuple[Estimate, ...]:
    """Measure how well a graph's neighbours at 1, 2, … steps are the nearest vectors.

    Parameters
    ----------
    graph : array-like or scipy sparse matrix of shape (n, n), or array-like of shape (e, 2)
        Adjacency (not 0 is an edge), or edges as pairs of positions. Directions are dropped.
    X : array-like of shape (n, dim)
        Vectors of the nodes.
    hops : int, default=3
    metric : {"cosine", "ip", "l2"}, default="cosine"
    sample : int or None, default=500
        Nodes from which is looked; None takes all.
    random_state : int, default=0

    Returns
    -------
    tuple of Estimate
        mAP for each hop, over nodes that have any at it; ``parts["chance"]`` is the mean share of
        relevant nodes, which a random order reaches.

    Raises
    ------
    ShapeError, ParameterError
        A graph of other nodes than X has rows; no edges; zero rows under cosine; NaN.

    Notes
    -----
    Cost: sample * n * dim, and a breadth-first search from each node looked from.

    References
    ----------
    .. [1] D. Goyal et al., "RESTORE: graph embedding assessment through reconstruction", 2023,
       arXiv:2308.14659.

    Examples
    --------
    >>> path = np.stack([np.arange(9), np.arange(1, 10)], axis=1)
    >>> reconstruct_graph(path, np.arange(10.0)[:, None], hops=1, metric="l2")[0].value
    1.0
    """
    check_choice("metric", metric, ("cosine", "ip", "l2"))
    rows, hops = as_dense(X), check_count("hops", hops)
    links = _adjacency(graph, len(rows))
    at = sampled(len(rows), sample, random_state)
    steps = _steps(links, at, hops)
    scores = _scores(unit_rows(rows) if metric == "cosine" else rows, at, metric)
    found = []
    for hop in range(1, hops + 1):
        values, chance = [], []
        for i, node in enumerate(at):
            candidates = (steps[i] >= hop) | (steps[i] < 0)
            candidates[node] = False
            relevant = steps[i][candidates] == hop
            if relevant.any():
                values.append(average_precision(scores[i][candidates], relevant))
                chance.append(float(relevant.mean()))
        mean = float(np.mean(values)) if values else float("nan")
        half = Z95 * float(np.std(values)) / np.sqrt(len(values)) if values else float("nan")
        part = {"chance": float(np.mean(chance)) if chance else float("nan")}
        found.append(
            Estimate(f"mAP, {hop} hops", mean, mean - half, mean + half, len(values), part)
        )
    return tuple(found)


def average_precision(scores: Any, relevant: Any) -> float:
    """Return the mean of precision at the ranks of relevant items.

    Parameters
    ----------
    scores : array-like of shape (n,)
        Of equal ones those that are not relevant come first.
    relevant : array-like of shape (n,), bool
        One at least.

    Returns
    -------
    float

    Examples
    --------
    >>> average_precision([3.0, 2.0, 1.0], [True, False, True])
    0.8333333333333333
    """
    good = np.asarray(relevant, bool)
    order = np.lexsort((good, -np.asarray(scores, np.float64)))
    ranks = np.flatnonzero(good[order]) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def _adjacency(graph: Any, n: int) -> Any:
    from scipy.sparse import csr_array, issparse

    table = graph if issparse(graph) else np.asarray(graph)
    is_pairs = table.ndim == 2 and table.shape[1] == 2 and table.shape != (n, n)
    if is_pairs and not issparse(table):
        if table.dtype.kind not in "iu" or table.size == 0 or table.min() < 0 or table.max() >= n:
            raise ParameterError(
                f"edges must be pairs of positions below {n}, one at least; got {table.dtype}."
            )
        table = csr_array((np.ones(len(table)), (table[:, 0], table[:, 1])), shape=(n, n))
    if table.shape != (n, n):
        raise ShapeError(f"the graph must be of {n} nodes, one a row of X; got {table.shape}.")
    links = csr_array(table)
    links = csr_array(links + links.T)
    links.setdiag(0)
    links.eliminate_zeros()
    if links.nnz == 0:
        raise ParameterError("the graph has no edges.")
    return links


def _steps(links: Any, at: NDArray[np.int64], hops: int) -> NDArray[np.int64]:
    """Return the number of steps to each node; -1 beyond `hops`."""
    n = links.shape[0]
    steps = np.full((len(at), n), -1, np.int64)
    for i, node in enumerate(at):
        steps[i, node] = 0
        front = np.array([node])
        for hop in range(1, hops + 1):
            near = np.concatenate(
                [links.indices[links.indptr[v] : links.indptr[v + 1]] for v in front]
            )
            front = np.unique(near[steps[i, near] < 0])
            steps[i, front] = hop
            if not len(front):
                break
    return steps


def _scores(rows: NDArray[np.float32], at: NDArray[np.int64], metric: str) -> Doubles:
    wide = rows.astype(np.float64)
    scores = wide[at] @ wide.T
    if metric == "l2":
        squares = np.einsum("ij,ij->i", wide, wide)
        scores = 2 * scores - squares - squares[at, None]
    return np.asarray(scores)
