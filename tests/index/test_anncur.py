# SPDX-License-Identifier: Apache-2.0
"""ANNCUR is exact where scores have low rank, close where they nearly do, and counts its calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vectorloom as vl
from laws import assert_at_least
from vectorloom.index.forms.anncur import ANNCUR


class Matrix:
    """A scorer of query and item numbers that counts what it is asked."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores
        self.calls = 0

    def __call__(self, query: int, items: Any) -> np.ndarray:
        self.calls += len(items)
        return self.scores[query, np.asarray(items)]


def low_rank(rng: np.random.Generator, n_queries: int, n: int, rank: int) -> np.ndarray:
    return rng.standard_normal((n_queries, rank)) @ rng.standard_normal((rank, n))


def found(index: ANNCUR, scores: np.ndarray, queries: range, k: int, budget: int) -> float:
    hits = index.top(list(queries), k, budget)
    truth = np.argsort(-scores[queries.start : queries.stop], axis=1, kind="stable")[:, :k]
    return float(np.mean([np.isin(t, h).mean() for t, h in zip(truth, hits.ids, strict=True)]))


@pytest.mark.parametrize("anchors", ["pivoted", "random"])
@pytest.mark.parametrize("ridge", [None, 0.0])
def test_scores_of_low_rank_are_ranked_without_a_miss(anchors, ridge, rng) -> None:
    # Rank 6 and 6 anchors: the estimate is exact, so a budget of 6 + 10 finds all 10.
    scores = low_rank(rng, 60, 800, 6)
    index = ANNCUR(Matrix(scores), 6, anchors=anchors, ridge=ridge).fit(range(800), range(30))
    assert found(index, scores, range(30, 60), 10, budget=16) == 1.0
    assert index.error_ < 1e-12


def test_estimate_follows_the_formula_by_hand() -> None:
    # Anchor queries (2, 1, 1) and (0, 1, 0); item 0 has the longest column, A = (2, 0), s_1^2 = 4.
    # With lambda = 1/4 scores there are multiplied by A'R / (4 + 1) = (4, 2, 2) / 5.
    index = ANNCUR(Matrix(np.array([[2.0, 1, 1], [0, 1, 0]])), 1, ridge=0.25)
    index.fit(range(3), range(2))
    assert index.anchor_items_.tolist() == [0]
    np.testing.assert_allclose(index._predictor, [[0.8, 0.4, 0.4]])


def test_pivots_are_those_of_qr_with_pivoting(rng) -> None:
    from scipy.linalg import qr

    scores = low_rank(rng, 20, 100, 20)
    index = ANNCUR(Matrix(scores), 12).fit(range(100), range(20))
    want = qr(scores, pivoting=True, mode="r")[1][:12]
    np.testing.assert_array_equal(index.anchor_items_, want)


def test_left_out_error_is_that_of_fitting_without_each_query(rng) -> None:
    scores = low_rank(rng, 12, 60, 4) + 0.3 * rng.standard_normal((12, 60))
    index = ANNCUR(Matrix(scores), 5, ridge=0.01).fit(range(60), range(12))
    at = index.anchor_items_
    top = np.linalg.svd(scores[:, at], compute_uv=False)[0] ** 2
    missed = 0.0
    for i in range(12):
        others = np.delete(scores, i, axis=0)
        a = others[:, at]
        w = np.linalg.solve(a.T @ a + 0.01 * top * np.eye(5), a.T @ others)
        missed += float(((scores[i] - scores[i, at] @ w) ** 2).sum())
    assert index.error_ == pytest.approx(missed / (scores**2).sum())


def test_noisy_scores_are_mostly_found_and_better_than_by_chance(rng) -> None:
    # Decaying spectrum and noise: no rank is exact. Random items of the same budget would find 0.1.
    left, right = rng.standard_normal((260, 40)), rng.standard_normal((40, 1000))
    scores = (left * 0.9 ** np.arange(40)) @ right + 0.3 * rng.standard_normal((260, 1000))
    index = ANNCUR(Matrix(scores), 40).fit(range(1000), range(200))
    assert_at_least(found(index, scores, range(200, 260), 10, 100), 0.75, "recall@10 of 100 calls")
    more = found(index, scores, range(200, 260), 10, 400)
    assert_at_least(more, 0.97, "recall@10 of 400 calls")


def test_the_ridge_keeps_the_estimate_when_anchors_are_as_many_as_queries(rng) -> None:
    scores = low_rank(rng, 100, 500, 8) + 0.5 * rng.standard_normal((100, 500))
    reached = []
    for ridge in (None, 0.0):
        index = ANNCUR(Matrix(scores), 40, anchors="random", ridge=ridge)
        index.fit(range(500), range(40))
        reached.append(found(index, scores, range(40, 100), 10, 60))
    assert_at_least(reached[0], reached[1] + 0.2, "recall@10 with a ridge, above that without")


def test_calls_are_counted_honestly(rng) -> None:
    matrix = Matrix(low_rank(rng, 50, 300, 5))
    index = ANNCUR(matrix, 10, n_anchor_queries=20).fit(range(300), range(40))
    assert matrix.calls == index.fit_calls_ == 20 * 300
    for budget, want in ((11, 11), (60, 60), (299, 299), (300, 300), (5000, 300), (None, 40)):
        matrix.calls = 0
        index.top([41, 42, 43], k=5, budget=budget)
        assert matrix.calls == 3 * want


def test_a_full_budget_is_exact_with_ties_by_id(rng) -> None:
    scores = rng.integers(0, 4, (20, 50)).astype(float)
    ids = rng.permutation(50)
    index = ANNCUR(Matrix(scores), 5).fit(range(50), range(10), ids)
    hits = index.top([15], k=50, budget=50)
    want = sorted(range(50), key=lambda i: (-scores[15, i], ids[i]))
    assert hits.ids[0].tolist() == ids[want].tolist()
    np.testing.assert_array_equal(hits.scores[0], scores[15, want])
    assert (hits.metric, hits.counts.tolist()) == ("scorer", [50])


def test_scores_are_the_scorers_and_sorted(rng) -> None:
    scores = low_rank(rng, 40, 200, 10)
    hits = ANNCUR(Matrix(scores), 8).fit(range(200), range(30)).top([35, 36], 20, 60)
    for row, query in enumerate((35, 36)):
        np.testing.assert_allclose(hits.scores[row], scores[query, hits.ids[row]], rtol=1e-6)
    assert (np.diff(hits.scores, axis=1) <= 0).all()
    np.testing.assert_array_equal(hits.distances, -hits.scores)


def test_items_and_queries_may_be_anything_the_scorer_takes() -> None:
    words = [f"{a}{b}{c}" for a in "abcdef" for b in "abcdef" for c in "abcdef"]

    def alike(query: str, items: list[str]) -> list[int]:
        return [sum(x == y for x, y in zip(query, item, strict=True)) for item in items]

    index = ANNCUR(alike, n_anchor_items=20).fit(words, words[::4], ids=words)
    hits = index.top(["fed", "bad"], k=1, budget=40)
    assert hits.ids.tolist() == [["fed"], ["bad"]]
    assert index.top([], k=3).ids.shape == (0, 3)


def test_fewer_items_than_hits_or_anchors_are_padded(rng) -> None:
    index = ANNCUR(Matrix(low_rank(rng, 9, 4, 2)), 50).fit(range(4), range(9))
    hits = index.top([0], k=6)
    assert hits.counts.tolist() == [4]
    assert hits.ids[0, 4:].tolist() == [-1, -1]
    assert index.top([0], k=6, budget=4).counts.tolist() == [4]


def test_scores_that_are_all_zero_or_of_less_rank_than_anchors_do_no_harm(rng) -> None:
    flat = ANNCUR(Matrix(np.zeros((5, 30))), 3).fit(range(30), range(5))
    assert flat.top([0], k=4, budget=10).ids.tolist() == [[0, 1, 2, 3]]
    scores = low_rank(rng, 30, 200, 2)
    index = ANNCUR(Matrix(scores), 10).fit(range(200), range(20))
    assert len(set(index.anchor_items_.tolist())) == 10
    assert found(index, scores, range(20, 30), 5, 15) == 1.0


def test_the_same_seed_is_the_same_index(rng) -> None:
    matrix = Matrix(low_rank(rng, 40, 100, 9))
    make = [
        ANNCUR(matrix, 9, 20, anchors="random", random_state=s).fit(range(100), range(40))
        for s in (1, 1, 2)
    ]
    np.testing.assert_array_equal(make[0].anchor_items_, make[1].anchor_items_)
    assert make[0].anchor_items_.tolist() != make[2].anchor_items_.tolist()


def test_bad_calls_are_refused(rng) -> None:
    matrix = Matrix(low_rank(rng, 20, 50, 3))
    with pytest.raises(vl.NotFittedError, match="call fit"):
        ANNCUR(matrix).top([0])
    with pytest.raises(vl.ParameterError, match="8 anchor items cannot be told apart by 4"):
        ANNCUR(matrix, 8).fit(range(50), range(4))
    with pytest.raises(vl.ParameterError, match="n_anchor_queries=30 were asked for and 20 given"):
        ANNCUR(matrix, 8, 30).fit(range(50), range(20))
    with pytest.raises(vl.ShapeError, match="anchor_queries must hold at least one"):
        ANNCUR(matrix, 8).fit(range(50), [])
    with pytest.raises(vl.ParameterError, match="must be a sequence"):
        ANNCUR(matrix, 8).fit("text", range(20))
    for bad in ({"anchors": "best"}, {"ridge": -1}, {"ridge": "x"}, {"n_anchor_items": 0}):
        with pytest.raises(vl.ParameterError):
            ANNCUR(matrix, **bad).fit(range(50), range(20))
    index = ANNCUR(matrix, 8).fit(range(50), range(20))
    with pytest.raises(vl.ParameterError, match="budget=8 is spent on the 8 anchor items"):
        index.top([0], budget=8)
    with pytest.raises(vl.ParameterError, match="k=20 hits need a budget"):
        index.top([0], k=20, budget=10)
    with pytest.raises(vl.ParameterError, match="must be a sequence"):
        index.top("0")
    for returned, error, said in (
        ([1.0], vl.ShapeError, "one score an item"),
        ([np.nan] * 50, vl.ParameterError, "finite"),
        (["a"] * 50, vl.ParameterError, "finite"),
    ):
        with pytest.raises(error, match=said):
            ANNCUR(lambda q, items, r=returned: r, 2).fit(range(50), range(3))
    with pytest.raises(ZeroDivisionError):
        ANNCUR(lambda q, items: 1 / 0, 2).fit(range(50), range(3))
