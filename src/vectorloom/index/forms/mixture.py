# SPDX-License-Identifier: Apache-2.0
"""Mixtures of query vectors: answers in proportion to several interests, and not to one mean.

A query is m vectors z_c with weights w_c >= 0. Of its k hits, component c is due k w_c / sum w;
seats go one by one to the component with the largest

    w_c / (2 s_c + 1)            s_c: seats it has         (Sainte-Laguë)

which takes its best row that is not taken yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count
from vectorloom.index.hits import Hits
from vectorloom.vectors import PAD_ID, as_dense

if TYPE_CHECKING:
    from vectorloom.index.dense.row_index import RowIndex


def search_mixture(
    index: RowIndex,
    queries: Any,
    k: int = 10,
    weights: Any = None,
    where: Any = None,
    **search: Any,
) -> Hits:
    """Return k rows a query that are near its several vectors, in proportion to their weights.

    Use it where one query means several things: a user's interests (`KNNEmbed` makes mixtures of
    them), the aspects of a question. Where it means one thing, `search` with that vector.

    Parameters
    ----------
    index : RowIndex
        Any index.
    queries : array-like of shape (n_queries, m, dim)
        m vectors a query.
    k : int, default=10
    weights : array-like of shape (n_queries, m) or (m,), default=None
        0 or more, not all 0 for a query; None is all alike. A vector of weight 0 is not looked at
        and may be anything finite: pad shorter mixtures so.
    where : mask, ids, or a list of one filter a query, default=None
        As for `search`.
    **search
        Other options of the index's `search`, such as ``recall=0.99``.

    Returns
    -------
    Hits
        min(k, matches) different rows a query, best first, ties by id; a row's score is that for
        the vector that took it.

    Raises
    ------
    ShapeError, ParameterError
        Queries or weights of another shape, negative or without a sum; what `search` refuses.

    Notes
    -----
    Seats follow Sainte-Laguë: ties go to the first vector, and with k + 1 seats none has fewer than
    with k. A component that has no rows left gives its seats to the others.

    Cost: m searches of n_queries with the same k. Deterministic.

    References
    ----------
    .. [1] A. El-Kishky et al., "kNN-Embed: locally smoothed embedding mixtures for multi-interest
       candidate retrieval", PAKDD 2023, arXiv:2205.06205.

    Examples
    --------
    >>> import vectorloom as vl
    >>> index = vl.index.Exact(metric="l2").fit([[0.0], [1.0], [2.0], [10.0], [11.0]])
    >>> search_mixture(index, [[[0.0], [10.0]]], k=3, weights=[2, 1]).ids
    array([[0, 3, 1]])
    """
    k = check_count("k", k)
    vectors = _checked_mixtures(queries, index.dim_, index.metric == "hamming")
    shares = _checked_weights(weights, vectors.shape[0], vectors.shape[1])
    n_queries, m = shares.shape
    heaviest = shares.argmax(axis=1) if n_queries else np.zeros(0, np.int64)
    stand_in = vectors[np.arange(n_queries), heaviest]
    find: Any = index  # search's options differ from class to class
    answers = []
    for component in range(m):
        used = shares[:, component] > 0
        asked = np.where(used[:, None], vectors[:, component], stand_in)
        answers.append(find.search(asked, k, where=where, **search))
    return _seated(answers, shares, k)


def _seated(answers: list[Hits], shares: NDArray[np.float64], k: int) -> Hits:
    """Give the seats of each query and return them best first."""
    first = answers[0]
    ids = np.full(first.ids.shape, None if first.ids.dtype == object else PAD_ID, first.ids.dtype)
    scores = np.full(first.scores.shape, -np.inf, np.float32)
    distances = np.full(first.distances.shape, np.inf, np.float32)
    counts = np.zeros(len(first), np.int64)
    for query in range(len(first)):
        seats = _seats([answer[query].ids.tolist() for answer in answers], shares[query], k)
        taken = [
            (-float(answers[c].scores[query, at]), answers[c].ids[query, at], c, at)
            for c, at in seats
        ]
        for place, (_, id_, c, at) in enumerate(sorted(taken, key=lambda seat: seat[:2])):
            ids[query, place] = id_
            scores[query, place] = answers[c].scores[query, at]
            distances[query, place] = answers[c].distances[query, at]
        counts[query] = len(taken)
    return Hits(ids, scores, distances, counts, first.metric)


def _seats(lists: list[list[Any]], shares: NDArray[np.float64], k: int) -> list[tuple[int, int]]:
    """Return (component, place in its list) of at most k different ids."""
    given = np.zeros(len(lists))
    nexts = [0] * len(lists)
    open_ = shares > 0
    seen: set[Any] = set()
    seats: list[tuple[int, int]] = []
    while len(seats) < k and open_.any():
        c = int(np.argmax(np.where(open_, shares / (2 * given + 1), -1.0)))
        while nexts[c] < len(lists[c]) and lists[c][nexts[c]] in seen:
            nexts[c] += 1
        if nexts[c] == len(lists[c]):
            open_[c] = False
            continue
        seen.add(lists[c][nexts[c]])
        seats.append((c, nexts[c]))
        given[c] += 1
    return seats


def _checked_mixtures(queries: Any, dim: int, bits: bool) -> NDArray[Any]:
    array = np.asarray(queries)
    if array.ndim != 3 or array.shape[1] == 0:
        raise ShapeError(
            f"queries must be 3-d (n_queries, m, dim), m vectors a query; got shape {array.shape}. "
            "For one mixture pass vectors[None, :, :]."
        )
    flat = array.reshape(-1, array.shape[2])
    if not bits:
        flat = as_dense(flat, name="queries", dim=dim, allow_empty=True)
    return flat.reshape(array.shape)


def _checked_weights(weights: Any, n_queries: int, m: int) -> NDArray[np.float64]:
    if weights is None:
        return np.ones((n_queries, m))
    array = np.asarray(weights)
    if array.ndim == 1:
        array = np.broadcast_to(array, (n_queries, len(array)))
    if array.shape != (n_queries, m):
        raise ShapeError(
            f"weights must be of shape ({n_queries}, {m}) or ({m},), one a vector; got "
            f"{np.shape(weights)}."
        )
    shares = as_dense(array, name="weights", dtype=np.float64, allow_empty=True)
    if (shares < 0).any() or (shares.sum(axis=1) <= 0).any():
        bad = int(np.argmax((shares < 0).any(axis=1) | (shares.sum(axis=1) <= 0)))
        raise ParameterError(
            f"weights must be 0 or more with a positive sum; query {bad} has "
            f"{shares[bad].tolist()}."
        )
    return shares
