# SPDX-License-Identifier: Apache-2.0
"""Expanded queries are Rocchio's, whoever says what is relevant."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.index.forms.expansion import expand

ROWS = np.array([[4.0, 0.0], [0.0, 4.0], [4.0, 4.0], [-8.0, 0.0]])


def l2() -> vl.index.Exact:
    return vl.index.Exact(metric="l2").fit(ROWS, ["a", "b", "c", "d"])


def test_rocchio_by_hand() -> None:
    # (1 (1, 1) + 2 mean((4, 0), (4, 4)) - 0.5 (-8, 0)) / 2.5 = ((1, 1) + (8, 4) + (4, 0)) / 2.5
    got = expand(l2(), [[1.0, 1.0]], [["a", "c"]], alpha=1, beta=2, gamma=0.5, nonrelevant=[["d"]])
    np.testing.assert_allclose(got, [[13 / 2.5, 5 / 2.5]], rtol=1e-6)


def test_pseudo_feedback_is_rocchio_with_the_first_hits(rng) -> None:
    x, queries = rng.standard_normal((60, 5)), rng.standard_normal((7, 5))
    for metric in ("l2", "ip", "cosine"):
        index = vl.index.Exact(metric=metric).fit(x)
        hits = index.search(queries, 4)
        known = [hits.ids[i].tolist() for i in range(7)]
        got = expand(index, queries, 4, beta=0.7)
        np.testing.assert_array_equal(got, expand(index, queries, known, beta=0.7))
        want = (queries + 0.7 * x[hits.ids].mean(axis=1)) / 1.7
        if metric == "cosine":
            q = queries / np.linalg.norm(queries, axis=1, keepdims=True)
            d = x / np.linalg.norm(x, axis=1, keepdims=True)
            want = q + 0.7 * d[hits.ids].mean(axis=1)
            want /= np.linalg.norm(want, axis=1, keepdims=True)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_a_callback_gives_the_mean_of_the_query_and_its_vectors() -> None:
    seen = []

    def imagine(i: int, q: np.ndarray) -> np.ndarray:
        seen.append((i, q.tolist()))
        return np.array([[3.0, 0.0], [0.0, 3.0]])

    got = expand(l2(), [[0.0, 0.0], [3.0, 3.0]], callback=imagine)
    np.testing.assert_allclose(got, [[1, 1], [2, 2]])
    assert seen == [(0, [0.0, 0.0]), (1, [3.0, 3.0])]
    one = expand(l2(), [[0.0, 0.0]], callback=lambda i, q: [2.0, 4.0])
    np.testing.assert_allclose(one, [[1, 2]])
    assert expand(l2(), [[5.0, 6.0]], callback=lambda i, q: []).tolist() == [[5, 6]]


def test_alpha_0_replaces_the_query_and_beta_0_keeps_it() -> None:
    np.testing.assert_allclose(expand(l2(), [[1.0, 1.0]], [["c"]], alpha=0, beta=1), [[4, 4]])
    np.testing.assert_allclose(expand(l2(), [[1.0, 1.0]], beta=0), [[1, 1]])


def test_queries_without_feedback_are_left_alone() -> None:
    got = expand(
        l2(), [[1.0, 1.0], [1.0, 1.0]], [[], ["c"]], beta=1, gamma=0.5, nonrelevant=[[], []]
    )
    np.testing.assert_allclose(got, [[1, 1], [2.5, 2.5]])
    np.testing.assert_allclose(expand(l2(), [[1.0, 1.0]], where=[]), [[1, 1]])


def test_expansion_follows_a_shift_of_everything(rng) -> None:
    x, queries, shift = rng.standard_normal((40, 3)), rng.standard_normal((5, 3)), np.ones(3) * 7
    plain = expand(vl.index.Exact(metric="l2").fit(x), queries)
    moved = expand(vl.index.Exact(metric="l2").fit(x + shift), queries + shift)
    np.testing.assert_allclose(moved, plain + shift, rtol=1e-5)


def test_cosine_does_not_see_lengths(rng) -> None:
    x, queries = rng.standard_normal((40, 3)), rng.standard_normal((5, 3))
    plain = expand(vl.index.Exact().fit(x), queries)
    scaled = expand(vl.index.Exact().fit(x * rng.uniform(1, 9, (40, 1))), queries * 5)
    np.testing.assert_allclose(scaled, plain, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(plain, axis=1), 1, rtol=1e-6)


def test_feedback_finds_the_rest_of_a_planted_group(rng) -> None:
    # Relevant rows lie along a ridge that starts near the query; noise lies all around it.
    ridge = np.column_stack([np.ones(60), np.linspace(0, 3, 60), np.zeros((60, 18))])
    x = np.concatenate([ridge, np.ones((600, 20)) * 0.15 + 0.35 * rng.standard_normal((600, 20))])
    x[60:, 0] += 0.7
    index = vl.index.Exact().fit(x)
    query = np.eye(20)[:1] + 0.05

    def found(queries: np.ndarray) -> int:
        return int((index.search(queries, 60).ids < 60).sum())

    assert found(expand(index, query, 10, beta=1)) > found(query) + 5


def test_it_works_on_an_approximate_index_with_its_options(rng) -> None:
    x = rng.standard_normal((300, 6))
    index = vl.index.IVF(n_lists=10).fit(x)
    exact = expand(vl.index.Exact().fit(x), x[:4] + 0.1)
    np.testing.assert_array_equal(expand(index, x[:4] + 0.1, nprobe=10), exact)


def test_what_cannot_be_expanded_is_refused(rng) -> None:
    index = l2()
    with pytest.raises(vl.ParameterError, match="bits have no mean"):
        expand(vl.index.Exact(metric="hamming").fit(np.eye(8) > 0), np.eye(8)[:1] > 0)
    with pytest.raises(vl.ShapeError, match="2 columns"):
        expand(index, [[1.0, 2.0, 3.0]])
    with pytest.raises(vl.ShapeError, match="one list of ids a query"):
        expand(index, [[1.0, 2.0]], ["a", "b"])
    with pytest.raises(vl.ShapeError, match="there are 1 queries and feedback has 2"):
        expand(index, [[1.0, 2.0]], [["a"], ["b"]])
    with pytest.raises(vl.ParameterError, match="not in this index"):
        expand(index, [[1.0, 2.0]], [["x"]])
    with pytest.raises(vl.ParameterError, match="pass nonrelevant"):
        expand(index, [[1.0, 2.0]], gamma=0.1)
    with pytest.raises(vl.ParameterError, match="must be above 0; for query 0"):
        expand(index, [[1.0, 2.0]], alpha=1, beta=1, gamma=2, nonrelevant=[["a"]])
    for bad in ({"alpha": -1}, {"beta": np.nan}, {"gamma": "1"}, {"feedback": 0}, {"alpha": True}):
        with pytest.raises(vl.ParameterError):
            expand(index, [[1.0, 2.0]], **bad)
    with pytest.raises(vl.ShapeError, match=r"callback\(0, q\) must have 2 columns"):
        expand(index, [[1.0, 2.0]], callback=lambda i, q: [1.0])
    with pytest.raises(vl.ParameterError, match="NaN"):
        expand(index, [[1.0, 2.0]], callback=lambda i, q: [np.nan, 1.0])
    with pytest.raises(vl.ParameterError, match="expanded queries have 1 zero"):
        expand(vl.index.Exact().fit([[-1.0, 0.0]]), [[1.0, 0.0]], beta=1)
    with pytest.raises(ZeroDivisionError):
        expand(index, [[1.0, 2.0]], callback=lambda i, q: 1 / 0)
