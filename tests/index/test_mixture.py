# SPDX-License-Identifier: Apache-2.0
"""A mixture's hits are shared out in proportion to its weights; kNN-Embed makes such mixtures."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import vectorloom as vl
from index_registry import CASES
from vectorloom.index.dense.knn_embed import KNNEmbed
from vectorloom.index.forms.mixture import search_mixture


def line(*places: float, ids=None) -> vl.index.Exact:
    return vl.index.Exact(metric="l2").fit([[float(p)] for p in places], ids)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mixture_of_one_is_a_search(case, rng) -> None:
    index = case.new().fit(case.vectors(rng, 80), [f"r{i:02d}" for i in rng.permutation(80)])
    queries = case.vectors(rng, 6)
    one, mixed = index.search(queries, 7), search_mixture(index, queries[:, None], 7)
    for name in ("ids", "scores", "distances", "counts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(mixed, name))


def test_seats_follow_sainte_lague_by_hand() -> None:
    # Weights 5, 3, 1. Quotients 5, 5/3, 1, 5/7 | 3, 1, 3/5 | 1, 1/3: seats go A, B, A, then to
    # A, B and C, which tie at 1, in that order, then to A at 5/7.
    index = line(*(100 * group + i for group in (0, 1, 2) for i in range(9)))
    queries = [[[0.0], [100.0], [200.0]]]
    groups = []
    for k in range(1, 8):
        ids = search_mixture(index, queries, k, weights=[5, 3, 1]).ids[0]
        groups.append("".join("ABC"[i // 9] for i in sorted(ids.tolist())))
    assert groups == ["A", "AB", "AAB", "AAAB", "AAABB", "AAABBC", "AAAABBC"]


def test_each_component_gives_its_best_rows() -> None:
    hits = search_mixture(line(0, 1, 2, 10, 11, 12), [[[0.1], [10.1]]], 4)
    assert sorted(hits.ids[0].tolist()) == [0, 1, 3, 4]
    np.testing.assert_allclose(hits.distances[0], [0.01, 0.01, 0.81, 0.81], rtol=1e-5)


def test_a_row_is_never_taken_twice_and_answers_are_full(rng) -> None:
    x = rng.standard_normal((30, 4))
    index = vl.index.Exact().fit(x)
    for k in (1, 5, 29, 30, 40):
        hits = search_mixture(index, rng.standard_normal((5, 3, 4)) + 1, k)
        assert hits.counts.tolist() == [min(k, 30)] * 5
        assert hits.ids.shape == (5, k)
        for row in hits.ids.tolist():
            found = [i for i in row if i >= 0]
            assert len(set(found)) == len(found) == min(k, 30)
        assert (np.diff(hits.scores[:, : min(k, 30)], axis=1) <= 0).all()
        assert (hits.scores[:, 30:] == -np.inf).all()


def test_more_seats_take_none_away(rng) -> None:
    index = vl.index.Exact().fit(rng.standard_normal((50, 4)))
    queries, weights = rng.standard_normal((4, 3, 4)), rng.random((4, 3))
    answers = [search_mixture(index, queries, k, weights) for k in range(1, 20)]
    for fewer, more in itertools.pairwise(answers):
        for a, b in zip(fewer.ids.tolist(), more.ids.tolist(), strict=True):
            assert set(a) <= set(b)


def test_a_vector_of_no_weight_is_not_looked_at() -> None:
    hits = search_mixture(line(0, 1, 2), [[[0.0], [2.0]]], 1, weights=[[1, 0]])
    assert hits.ids.tolist() == [[0]]
    index = vl.index.Exact().fit(
        np.eye(3)
    )  # a zero vector has no cosine, but here no weight either
    hits = search_mixture(index, [[[0, 0, 0], [0, 1, 0]]], 1, weights=[0, 2])
    assert hits.ids.tolist() == [[1]]


def test_filters_hold_for_all_vectors_of_a_query() -> None:
    index = line(0, 1, 10, 11)
    queries = [[[0.0], [10.0]], [[0.0], [10.0]]]
    hits = search_mixture(index, queries, 3, where=[[1, 3], [0]])
    assert hits.ids.tolist() == [[1, 3, -1], [0, -1, -1]]
    assert hits.counts.tolist() == [2, 1]


def test_bad_mixtures_are_refused() -> None:
    index = line(0, 1, 2)
    with pytest.raises(vl.ShapeError, match="3-d"):
        search_mixture(index, [[0.0]])
    with pytest.raises(vl.ShapeError, match="1 columns"):
        search_mixture(index, np.zeros((1, 2, 3)))
    with pytest.raises(vl.ShapeError, match=r"weights must be of shape \(1, 2\)"):
        search_mixture(index, np.zeros((1, 2, 1)), weights=[1, 2, 3])
    for bad in ([1, -1], [0, 0], [np.nan, 1]):
        with pytest.raises(vl.ParameterError, match="weights"):
            search_mixture(index, np.zeros((1, 2, 1)), weights=bad)
    with pytest.raises(vl.ParameterError, match="k must be"):
        search_mixture(index, np.zeros((1, 2, 1)), k=0)
    assert search_mixture(index, np.zeros((0, 2, 1)), 4).ids.shape == (0, 4)


# ---- kNN-Embed ---------------------------------------------------------------------------------

ITEMS = np.array([[1, 0, 0], [1, 0.01, 0], [0, 1, 0], [0, 1, 0.01], [0, 0, 1], [0.01, 0, 1]])


def test_mixture_weights_follow_the_formula_by_hand() -> None:
    # Clusters {0, 1}, {2, 3}, {4, 5}. u = {0, 1, 2}; its nearest user is itself, then v = {2, 3}.
    # w = (1 - s) (2/3, 1/3, 0) + s/2 ((2/3, 1/3, 0) + (0, 1, 0)) with s = 1/2.
    embed = KNNEmbed(n_clusters=3, n_neighbors=2, smoothing=0.5, n_components=3)
    embed.fit(ITEMS, [[0, 1, 2], [2, 3], [4, 5]])
    vectors, weights = embed.transform([[0, 1, 2]])
    np.testing.assert_allclose(weights, [[1 / 2, 1 / 2, 0]])
    assert vectors[0, 2].tolist() == [0, 0, 0]
    first = vectors[0, :2][np.argsort(vectors[0, :2, 0])][::-1]
    np.testing.assert_allclose(first, [[1, 0, 0], [0, 1, 0]], atol=0.01)


def test_without_smoothing_a_mixture_is_the_users_own() -> None:
    embed = KNNEmbed(n_clusters=3, smoothing=0.0).fit(ITEMS, [[0, 1, 2], [2, 3], [4, 5]])
    vectors, weights = embed.transform([[0, 0, 0, 2], [5]])
    np.testing.assert_allclose(weights, [[3 / 4, 1 / 4, 0], [1, 0, 0]])
    np.testing.assert_allclose(vectors[0, :2], ITEMS[[0, 2]], atol=1e-6)


def test_the_lightest_interests_are_dropped_and_weights_sum_to_one() -> None:
    embed = KNNEmbed(n_clusters=3, smoothing=0.0, n_components=2).fit(ITEMS, [[0, 0, 0, 2, 2, 4]])
    _, weights = embed.transform([[0, 0, 0, 2, 2, 4]])
    np.testing.assert_allclose(weights, [[3 / 5, 2 / 5]])


def test_a_mixture_finds_both_interests_where_their_mean_finds_neither(rng) -> None:
    # Ten topics. The mean of two interests is nearest to items of neither, which lie between them.
    topics = np.eye(10)
    near = np.repeat(topics, 20, axis=0) + 0.05 * rng.standard_normal((200, 10))
    between = np.array([topics[a] + topics[b] for a in range(10) for b in range(a)])
    items = np.concatenate([near, np.repeat(between, 10, axis=0)])
    items += 0.01 * rng.standard_normal(items.shape)
    users = [[20 * a, 20 * a + 1, 20 * b, 20 * b + 1] for a in range(10) for b in range(a)]
    embed = KNNEmbed(n_clusters=60, n_neighbors=1, smoothing=0.0).fit(items, users)
    index = vl.index.Exact().fit(items)
    mean = index.search(embed.users_, 10)
    vectors, weights = embed.transform(users)
    mixed = search_mixture(index, vectors, 10, weights)
    want = [{u[0] // 20, u[2] // 20} for u in users]

    def found(hits: vl.Hits) -> float:
        return float(
            np.mean(
                [
                    len(w & {i // 20 for i in row if i < 200}) / 2
                    for w, row in zip(want, hits.ids.tolist(), strict=True)
                ]
            )
        )

    assert found(mean) < 0.2
    assert found(mixed) > 0.95


def test_matrices_and_lists_are_the_same_histories() -> None:
    import scipy.sparse

    lists = [[0, 1, 2], [2, 3], [4, 5]]
    matrix = scipy.sparse.csr_array(np.array([[i in h for i in range(6)] for h in lists], float))
    embed = KNNEmbed(n_clusters=3).fit(ITEMS, lists)
    other = KNNEmbed(n_clusters=3).fit(ITEMS, matrix)
    for a, b in zip(embed.transform(lists), other.transform(matrix), strict=True):
        np.testing.assert_array_equal(a, b)


def test_bad_histories_are_refused() -> None:
    embed = KNNEmbed(n_clusters=2)
    with pytest.raises(vl.NotFittedError, match="call fit"):
        embed.transform([[0]])
    with pytest.raises(vl.ParameterError, match="histories are empty, first that of user 1"):
        embed.fit(ITEMS, [[0], []])
    with pytest.raises(vl.ParameterError, match="there are 6"):
        embed.fit(ITEMS, [[6]])
    with pytest.raises(vl.ParameterError, match="positions of items"):
        embed.fit(ITEMS, [["a"]])
    with pytest.raises(vl.ParameterError, match="zero vectors"):
        embed.fit(np.zeros((3, 2)), [[0]])
    for bad in ({"smoothing": 1.5}, {"smoothing": True}, {"n_neighbors": 0}, {"n_clusters": 0}):
        with pytest.raises(vl.ParameterError):
            KNNEmbed(**bad).fit(ITEMS, [[0]])
