# SPDX-License-Identifier: Apache-2.0
"""The answer that every index is held against: float64, one pair at a time, sorted whole."""

from __future__ import annotations

from typing import Any

import numpy as np


def scores_of(rows: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    """Scores of one query; on small whole numbers no product or sum here is rounded."""
    x, q = rows.astype(np.float64), query.astype(np.float64)
    if metric == "hamming":
        return -(rows != query).sum(axis=1).astype(np.float64)
    if metric == "l2":
        return -((x - q) ** 2).sum(axis=1)
    products = (x * q).sum(axis=1)
    if metric == "ip":
        return products
    return np.clip(products / (np.sqrt(q @ q) * np.sqrt((x * x).sum(axis=1))), -1.0, 1.0)


def ranked(
    rows: np.ndarray,
    ids: Any,
    query: np.ndarray,
    metric: str,
    allowed: np.ndarray | None = None,
) -> list[tuple[Any, float]]:
    """All (id, score) that are allowed, best first, ties by id."""
    scores = scores_of(rows, query, metric).tolist()
    pairs = [
        (-score, id_)
        for i, (score, id_) in enumerate(zip(scores, list(ids), strict=True))
        if allowed is None or allowed[i]
    ]
    return [(id_, -minus) for minus, id_ in sorted(pairs)]


def expected(
    rows: np.ndarray,
    ids: Any,
    queries: np.ndarray,
    metric: str,
    k: int,
    allowed: np.ndarray | None = None,
) -> tuple[list[list[Any]], list[list[float]]]:
    """The k best ids and scores of each query, without padding."""
    best = [ranked(rows, ids, query, metric, allowed)[:k] for query in queries]
    return [[i for i, _ in row] for row in best], [[s for _, s in row] for row in best]


def assert_answers(
    hits: Any,
    rows: np.ndarray,
    ids: Any,
    queries: np.ndarray,
    k: int,
    allowed: np.ndarray | None = None,
) -> None:
    """The hits are the oracle's: ids, order, scores, distances, counts and padding."""
    want_ids, want_scores = expected(rows, ids, queries, hits.metric, k, allowed)
    pad = None if hits.ids.dtype == object else -1
    assert hits.ids.shape == hits.scores.shape == hits.distances.shape == (len(queries), k)
    assert hits.counts.tolist() == [len(row) for row in want_ids]
    for q, (id_row, score_row) in enumerate(zip(want_ids, want_scores, strict=True)):
        m = len(id_row)
        assert hits.ids[q].tolist() == id_row + [pad] * (k - m)
        np.testing.assert_array_equal(hits.scores[q, :m], np.array(score_row, np.float32))
        one = 1.0 if hits.metric == "cosine" else 0.0
        np.testing.assert_allclose(
            hits.distances[q, :m], one - np.array(score_row), rtol=1e-6, atol=1e-14
        )
        assert (hits.scores[q, m:] == -np.inf).all()
        assert (hits.distances[q, m:] == np.inf).all()
