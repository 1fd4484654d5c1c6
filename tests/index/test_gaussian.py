# SPDX-License-Identifier: Apache-2.0
"""Scores are KL divergences and log densities, whatever index finds the items."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.index.forms.gaussian import gaussian_queries, gaussian_rows, search_gaussian


def kl(p: np.ndarray, s: np.ndarray, m: np.ndarray, v: np.ndarray) -> np.ndarray:
    """KL of every query to every item, term by term as in its definition."""
    p, s = p[:, None], s[:, None]
    return 0.5 * (np.log(v / s) + (s + (p - m) ** 2) / v - 1).sum(axis=-1)


def planted(rng: np.random.Generator, n: int, n_queries: int = 12, dim: int = 5) -> tuple:
    m, p = rng.standard_normal((n, dim)), rng.standard_normal((n_queries, dim))
    return p, rng.uniform(0.2, 2, (n_queries, dim)), m, rng.uniform(0.1, 3, (n, dim))


def test_kl_of_two_gaussians_by_hand() -> None:
    # KL(N(1, 1) || N(3, 4)) = 1/2 (log 4 + (1 + 4) / 4 - 1) = log 2 + 1/8.
    index = vl.index.Exact(metric="ip").fit(gaussian_rows([[3.0]], [[4.0]]))
    hits = search_gaussian(index, [[1.0]], [[1.0]], k=1)
    assert hits.distances[0, 0] == pytest.approx(np.log(2) + 1 / 8)
    assert hits.scores[0, 0] == -hits.distances[0, 0]
    # rows: -1/2 (log 4 + 9/4), -1/8, 3/4; queries: 1, 1 + 1, 1
    np.testing.assert_allclose(
        gaussian_rows([[3.0]], [[4.0]]), [[-np.log(2) - 9 / 8, -1 / 8, 3 / 4]], rtol=1e-6
    )
    np.testing.assert_allclose(gaussian_queries([[1.0]], [[1.0]]), [[1, 2, 1]])


def test_the_order_is_that_of_all_divergences(rng) -> None:
    p, s, m, v = planted(rng, 300)
    hits = search_gaussian(vl.index.Exact(metric="ip").fit(gaussian_rows(m, v)), p, s, k=20)
    want = kl(p, s, m, v)
    np.testing.assert_array_equal(hits.ids, np.argsort(want, axis=1)[:, :20])
    np.testing.assert_allclose(hits.distances, np.sort(want, axis=1)[:, :20], rtol=1e-5)


def test_points_are_scored_by_log_density(rng) -> None:
    p, _, m, v = planted(rng, 100)
    hits = search_gaussian(vl.index.Exact(metric="ip").fit(gaussian_rows(m, v)), p, k=100)
    want = np.log(np.exp(-((p[:, None] - m) ** 2) / (2 * v)) / np.sqrt(2 * np.pi * v)).sum(axis=-1)
    np.testing.assert_allclose(hits.scores, -np.sort(-want, axis=1), rtol=1e-5, atol=1e-5)


def test_an_item_is_nearest_to_itself_at_divergence_0(rng) -> None:
    _, _, m, v = planted(rng, 50)
    hits = search_gaussian(vl.index.Exact(metric="ip").fit(gaussian_rows(m, v)), m, v, k=1)
    assert hits.ids[:, 0].tolist() == list(range(50))
    assert (np.abs(hits.distances) < 1e-6).all()


def test_divergence_is_not_symmetric_and_the_query_comes_first() -> None:
    # The broad query is far from the narrow item, the narrow query near the broad item.
    rows = gaussian_rows([[0.0], [0.0]], [[1.0], [100.0]])
    index = vl.index.Exact(metric="ip").fit(rows)
    narrow = search_gaussian(index, [[0.0]], [[1.0]], k=2).distances[0]
    broad = search_gaussian(index, [[0.0]], [[100.0]], k=2).distances[0]
    np.testing.assert_allclose(narrow, [0, 0.5 * (np.log(100) - 0.99)], atol=1e-6)
    np.testing.assert_allclose(broad, [0, 0.5 * (99 - np.log(100))], rtol=1e-6, atol=1e-6)


def test_one_variance_for_all_is_euclidean_search(rng) -> None:
    p, _, m, _ = planted(rng, 200)
    gaussians = vl.index.Exact(metric="ip").fit(gaussian_rows(m, 0.5))
    hits = search_gaussian(gaussians, p, 0.5, k=10)
    plain = vl.index.Exact(metric="l2").fit(m).search(p, 10)
    np.testing.assert_array_equal(hits.ids, plain.ids)
    np.testing.assert_allclose(hits.distances, plain.distances, rtol=1e-4)  # |p - m|^2 / 2v


def test_shifting_and_scaling_change_no_score(rng) -> None:
    p, s, m, v = planted(rng, 80)
    shift, scale = rng.standard_normal(5), rng.uniform(0.5, 2, 5)
    plain = search_gaussian(vl.index.Exact(metric="ip").fit(gaussian_rows(m, v)), p, s)
    moved = gaussian_rows((m - shift) / scale, v / scale**2)
    index = vl.index.Exact(metric="ip").fit(moved)
    hits = search_gaussian(index, (p - shift) / scale, s / scale**2)
    np.testing.assert_array_equal(hits.ids, plain.ids)
    np.testing.assert_allclose(hits.scores, plain.scores, rtol=1e-4, atol=1e-5)


def test_scores_do_not_suffer_where_large_terms_cancel(rng) -> None:
    m = 30 + rng.standard_normal((200, 4))  # terms of 4 * 900 / 0.25 nats, for scores of a few
    v = rng.uniform(0.25, 0.5, (200, 4))
    m32 = m.astype(np.float32).astype(np.float64)
    hits = search_gaussian(vl.index.Exact(metric="ip").fit(gaussian_rows(m32, v)), m32, v, k=3)
    want = np.sort(kl(m32, v, m32, v), axis=1)[:, :3]
    np.testing.assert_allclose(hits.distances, want, rtol=1e-3, atol=1e-4)


def test_rounding_that_could_change_answers_is_refused(rng) -> None:
    m = 1000 + rng.standard_normal((5, 4))
    with pytest.raises(vl.ParameterError, match="Subtract the mean"):
        gaussian_rows(m, 0.001)
    assert gaussian_rows(m - m.mean(axis=0), 0.001).shape == (5, 9)


@pytest.mark.parametrize("n_lists", [None, 10])
def test_other_indexes_find_the_same_when_they_look_everywhere(n_lists, rng) -> None:
    p, s, m, v = planted(rng, 400)
    rows = gaussian_rows(m, v)
    exact = search_gaussian(vl.index.Exact(metric="ip").fit(rows), p, s)
    index = vl.index.IVF(metric="ip", n_lists=n_lists).fit(rows)
    hits = search_gaussian(index, p, s, exact=True)
    np.testing.assert_array_equal(hits.ids, exact.ids)
    np.testing.assert_array_equal(hits.scores, exact.scores)


def test_filters_text_ids_ties_and_padding(rng) -> None:
    m, names = np.zeros((4, 2)), ["d", "b", "c", "a"]
    index = vl.index.Exact(metric="ip").fit(gaussian_rows(m, 1.0), names)
    hits = search_gaussian(index, [[0.0, 0.0], [1.0, 1.0]], 1.0, k=3, where=[None, ["c"]])
    assert hits.ids.tolist() == [["a", "b", "c"], ["c", None, None]]
    assert hits.counts.tolist() == [3, 1]
    assert (hits.scores[1, 1:] == -np.inf).all()
    nothing = search_gaussian(index, [[0.0, 0.0]], 1.0, where=[])
    assert nothing.counts.tolist() == [0]
    assert search_gaussian(index, np.zeros((0, 2)), 1.0, k=5).ids.shape == (0, 5)


def test_what_is_no_gaussian_is_refused(rng) -> None:
    for bad in (0.0, -1.0, np.nan, [[1.0, 0.0]]):
        with pytest.raises(vl.ParameterError, match=r"above 0; got .* in row 0, dimension"):
            gaussian_rows([[0.0, 0.0]], bad)
    with pytest.raises(vl.ShapeError, match=r"shape of the means, \(1, 2\)"):
        gaussian_rows([[0.0, 0.0]], [1.0, 2.0, 3.0])
    with pytest.raises(vl.ParameterError, match="NaN"):
        gaussian_queries([[np.nan]])
    index = vl.index.Exact(metric="ip").fit(rng.standard_normal((9, 5)))
    with pytest.raises(vl.ParameterError, match="no Gaussians"):
        search_gaussian(index, [[0.0, 0.0]])
    with pytest.raises(vl.ParameterError, match="metric='ip' of 7 dimensions; this one"):
        search_gaussian(index, [[0.0, 0.0, 0.0]])
    with pytest.raises(vl.ParameterError, match="this one has metric='l2'"):
        search_gaussian(vl.index.Exact(metric="l2").fit(np.ones((2, 5))), [[0.0, 0.0]])
    with pytest.raises(vl.ParameterError, match="k must be"):
        search_gaussian(index, [[0.0, 0.0]], k=0)
