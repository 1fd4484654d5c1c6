# SPDX-License-Identifier: Apache-2.0
"""Inverted lists: which rows are looked at, and that those are answered exactly."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.index import IVF, Exact

METRICS = ("cosine", "ip", "l2")


def planted(seed: int, n: int = 3000, dim: int = 40, k: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Rows around k far centres, and the number of each row's centre."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((k, dim)) * 4
    label = rng.integers(0, k, n)
    return (centres[label] + rng.standard_normal((n, dim))).astype(np.float32), label


def same(a: vl.index.Hits, b: vl.index.Hits) -> None:
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(a.scores, b.scores)
    np.testing.assert_array_equal(a.counts, b.counts)


def recall(a: vl.index.Hits, truth: vl.index.Hits) -> float:
    pairs = zip(a.ids.tolist(), truth.ids.tolist(), strict=True)
    return float(np.mean([len(set(x) & set(y)) / len(y) for x, y in pairs]))


@pytest.mark.parametrize("metric", METRICS)
def test_all_lists_probed_equal_exact(metric: str) -> None:
    x, _ = planted(1)
    queries = planted(2)[0][:50]
    index, truth = IVF(metric, n_lists=30).fit(x), Exact(metric).fit(x)
    expected = truth.search(queries, 12)
    same(index.search(queries, 12, nprobe=30), expected)
    same(index.search(queries, 12, nprobe=10**6), expected)
    same(index.search(queries, 12, recall=1.0), expected)
    same(index.search(queries, 12, nprobe=1, exact=True), expected)


@pytest.mark.parametrize("metric", METRICS)
def test_one_probe_finds_the_planted_cluster_and_nothing_else(metric: str) -> None:
    x, label = planted(3)
    index = IVF(metric, n_lists=20).fit(x)
    truth = Exact(metric).fit(x)
    hits = index.search(x[:200], 10, nprobe=1)
    assert recall(hits, truth.search(x[:200], 10)) > 0.97
    if metric != "ip":
        assert (label[hits.ids] == label[:200, None]).mean() > 0.99


@pytest.mark.parametrize("metric", METRICS)
def test_the_asked_recall_is_reached_on_queries_like_the_rows(metric: str) -> None:
    rng = np.random.default_rng(4)
    basis = rng.standard_normal((12, 48))
    x = (rng.standard_normal((9000, 12)) @ basis).astype(np.float32)
    x, queries = x[:8700], x[8700:]
    index, truth = IVF(metric).fit(x), Exact(metric).fit(x)
    expected = truth.search(queries, 10)
    assert index.n_lists_ == round(1.4 * 8700**0.5)
    assert recall(index.search(queries, 10), expected) > 0.94
    assert recall(index.search(queries, 10, recall=0.8), expected) > 0.78
    assert recall(index.search(queries, 10, recall=0.99), expected) > 0.98
    hundred = truth.search(queries, 100)
    assert recall(index.search(queries, 100, recall=0.9), hundred) > 0.88
    few, more = (recall(index.search(queries, 10, nprobe=p), expected) for p in (2, 40))
    assert few < more


def test_any_number_of_threads_gives_the_same_bits() -> None:
    x, queries = planted(5, 6000)[0], planted(6)[0][:300]
    one, two, many = (IVF("l2", n_jobs=j).fit(x) for j in (1, 2, 8))
    for other in (two, many):
        same(one.search(queries, 10), other.search(queries, 10))
        same(one.search(queries, 10, nprobe=3), other.search(queries, 10, nprobe=3))


def test_a_query_is_answered_alike_alone_and_in_a_batch() -> None:
    x, queries = planted(7, 6000)[0], planted(8)[0][:40]
    index = IVF().fit(x)
    batch = index.search(queries, 10, nprobe=4)
    for i in range(40):
        np.testing.assert_array_equal(
            index.search(queries[i : i + 1], 10, nprobe=4).ids[0], batch.ids[i]
        )


def test_duplicates_and_empty_lists_are_fine() -> None:
    x = np.repeat(planted(9, 4)[0], 100, axis=0)  # 4 distinct rows, 50 lists: most are empty
    index = IVF("l2", n_lists=50).fit(x)
    hits = index.search(x[:1], 100, nprobe=50)
    assert hits.ids[0].tolist() == list(range(100))
    assert index.search(x[:1], 400, nprobe=1).counts.tolist() == [400]


def test_filters_and_large_k_return_all_that_match() -> None:
    x, label = planted(10)
    index = IVF("l2", n_lists=20, spill=False).fit(x)
    other = label != label[0]  # nothing of the query's own list
    for where in (other, np.flatnonzero(label == 3), np.arange(3000) < 300):
        matches = int(where.sum()) if where.dtype == bool else len(where)
        hits = index.search(x[:1], 50, nprobe=1, where=where)
        assert hits.counts.tolist() == [min(50, matches)]
    same(
        index.search(x[:1], 10, nprobe=1, where=other),
        Exact("l2").fit(x).search(x[:1], 10, where=other),
    )
    assert index.search(x[:3], 2900, nprobe=1).counts.tolist() == [2900] * 3


def test_added_rows_are_found_before_and_after_they_join_their_lists() -> None:
    x = planted(11, 12000)[0]
    index = IVF("l2").fit(x[:6000])
    index.add(x[6000:6100])  # few: scanned by every query
    assert index.search(x[6000:6100], 1).ids[:, 0].tolist() == list(range(6000, 6100))
    index.add(x[6100:])  # many: coded into lists
    assert recall(index.search(x[:300], 10), Exact("l2").fit(x).search(x[:300], 10)) > 0.9
    assert index.search(x[11000:11100], 1).ids[:, 0].tolist() == list(range(11000, 11100))
    index.upsert(x[:10] + 50, range(10))
    assert index.search(x[:10] + 50, 1).ids[:, 0].tolist() == list(range(10))


def test_removed_rows_stay_away_through_rewriting() -> None:
    x = planted(12, 6000)[0]
    index = IVF("l2").fit(x)
    for first in range(0, 4000, 500):
        index.remove(range(first, first + 500))
        hits = index.search(x[:4500:100], 10)
        assert hits.ids.min() >= first + 500
        assert hits.counts.tolist() == [10] * 45
    truth = Exact("l2").fit(x[4000:], range(4000, 6000))
    same(index.search(x[:50], 10, exact=True), truth.search(x[:50], 10))


def test_save_open_pickle_and_copy_answer_alike(tmp_path) -> None:
    x, queries = planted(13, 6000)[0], planted(14)[0][:30]
    index = IVF().fit(x, [f"r{i}" for i in range(6000)])
    index.remove(["r7", "r70"])
    index.save(tmp_path / "a.vl")
    expected = index.search(queries, 10, nprobe=3)
    opened = vl.open(tmp_path / "a.vl", verify=True)
    assert opened.n_lists_ == index.n_lists_
    for twin in (opened, opened.copy(), index.copy(), pickle.loads(pickle.dumps(index))):
        same(twin.search(queries, 10, nprobe=3), expected)
        same(twin.search(queries, 10), index.search(queries, 10))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("spill", [True, False])
def test_answers_are_the_best_of_the_probed_lists(metric: str, spill: bool) -> None:
    rng = np.random.default_rng(17)
    scale = 1.3 ** -np.arange(160)  # a head of 64 dimensions, and a rest that matters little
    x = (rng.standard_normal((6000, 160)) * scale * 10 + 1).astype(np.float32)
    queries = np.concatenate([x[:100] + 0.1, -x[:20]])  # the last ones are like no row
    index = IVF(metric, n_lists=40, spill=spill).fit(x)
    lists = index._ready(None)
    assert lists is not None
    labels, others = lists.standing()
    assert (others is not None) == spill
    nearness = queries @ lists.centroids.T
    if metric == "l2":
        nearness = 2 * nearness - (lists.centroids**2).sum(axis=1)
    probed = nearness >= -np.sort(-nearness, axis=1)[:, 3:4]
    hits = index.search(queries, 10, nprobe=4)
    whole = Exact(metric).fit(x)
    wrong = 0
    for i, row in enumerate(probed):
        there = row[labels] if others is None else row[labels] | (row[others] & (others >= 0))
        truth = whole.search(queries[i : i + 1], 10, where=there)
        wrong += 10 - len(set(hits.ids[i].tolist()) & set(truth.ids[0].tolist()))
        assert len(set(hits.ids[i].tolist())) == 10  # a row of two lists comes once
    assert wrong <= 12  # of 1,200: nearness is rounded to bfloat16, and reach is a quantile


def test_the_second_list_errs_in_another_direction() -> None:
    rng = np.random.default_rng(18)
    x = rng.standard_normal((500, 24)).astype(np.float32)
    centroids = rng.standard_normal((30, 24)).astype(np.float32)
    labels, others = vl._core.assign_lists(x, centroids, True, 1.0)
    squares = ((x[:, None] - centroids) ** 2).sum(axis=2)
    nearest = squares.argmin(axis=1)
    r = x - centroids[nearest]
    r /= np.linalg.norm(r, axis=1, keepdims=True)
    loss = squares + np.einsum("nd,njd->nj", r, x[:, None] - centroids) ** 2
    loss[np.arange(500), nearest] = np.inf
    assert (labels == nearest).mean() > 0.97  # products are rounded to bfloat16
    same_list = labels == nearest
    assert (others == loss.argmin(axis=1))[same_list].mean() > 0.95
    assert (labels != others).all()
    alone, none = vl._core.assign_lists(x, centroids, False)
    np.testing.assert_array_equal(alone, labels)
    assert none is None
    twice = vl._core.assign_lists(centroids, centroids, True)[1]
    assert (twice == -1).all()  # a row that is its centroid errs in no direction


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
def test_rows_of_another_dtype_are_answered_as_exact_stores_them(metric: str, dtype: str) -> None:
    x, queries = planted(19)[0], planted(20)[0][:30]
    index = IVF(metric, n_lists=25, dtype=dtype, code="int4").fit(x)
    expected = Exact(metric, dtype=dtype).fit(x).search(queries, 10)
    same(index.search(queries, 10, exact=True), expected)
    assert recall(index.search(queries, 10, recall=0.99), expected) > 0.93  # unlike the rows


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("code", ["int8", "int4"])
def test_codes_alone_are_searched_as_the_rows_that_they_decode_to(metric: str, code: str) -> None:
    rng = np.random.default_rng(21)
    scale = 1.3 ** -np.arange(160)
    x = (rng.standard_normal((3000, 160)) * scale * 10 + 1).astype(np.float32)
    index = IVF(metric, n_lists=20, rerank=False, code=code).fit(x)
    assert index.nbytes_ < 0.6 * x.nbytes  # of so few rows: a rotation and the calibration too
    rows = index.get(np.arange(3000))
    off = np.linalg.norm(rows - x, axis=1) / np.linalg.norm(x, axis=1)
    assert off.max() < 0.05
    truth = Exact(metric).fit(rows).search(x[:50] + 0.1, 10)
    hits = index.search(x[:50] + 0.1, 10, exact=True)
    assert recall(hits, truth) > 0.995
    np.testing.assert_allclose(hits.scores, truth.scores, rtol=1e-4, atol=1e-5)
    few = np.arange(0, 3000, 100)
    some = index.search(x[:5], 10, where=few)
    assert np.isin(some.ids, few).all()
    assert index.search(x[:2], 2900).counts.tolist() == [2900] * 2


def test_codes_alone_follow_every_change(tmp_path) -> None:
    x = planted(22, 7000)[0]
    index = IVF("cosine", n_lists=30, rerank=False).fit(x[:3000])
    index.add(x[3000:3100])
    assert index.search(x[3000:3100], 1).ids[:, 0].tolist() == list(range(3000, 3100))
    np.testing.assert_array_equal(index.get([3050])[0], x[3050])  # not in a list yet
    index.add(x[3100:])
    found = index.search(x[:7000:50], 1).ids[:, 0]
    assert (found == np.arange(0, 7000, 50)).mean() > 0.98
    index.upsert(-x[:5], range(5))
    assert index.search(-x[:5], 1).ids[:, 0].tolist() == list(range(5))
    index.remove(range(4000, 7000))
    assert len(index) == 4000
    hits = index.search(x[:4000:40], 5)
    assert hits.ids.max() < 4000
    index.save(tmp_path / "codes.vl")
    saved = index.search(x[:4000:40], 5)
    opened = vl.open(tmp_path / "codes.vl", verify=True)
    assert opened.nbytes_ < 0.8 * x[:4000].nbytes  # few dimensions: a head is 64 at least
    for twin in (opened, opened.copy(), pickle.loads(pickle.dumps(opened))):
        again = twin.search(x[:4000:40], 5)
        assert recall(again, saved) > 0.99  # coding the decoded rows again may turn a last bit
        np.testing.assert_allclose(again.scores, saved.scores, rtol=1e-4)
    one, two = (IVF(rerank=False, n_jobs=j).fit(x) for j in (1, 2))
    same(one.search(x[:100], 10), two.search(x[:100], 10))


def test_an_exact_range_search_is_exhaustive() -> None:
    x = planted(15, 5000)[0]
    a = IVF("l2").fit(x).range_search(x[:5], 60.0, exact=True)
    b = Exact("l2").fit(x).range_search(x[:5], 60.0)
    np.testing.assert_array_equal(a.lims, b.lims)
    np.testing.assert_array_equal(a.ids, b.ids)


def test_bad_parameters_are_named() -> None:
    x = planted(16, 200)[0]
    index = IVF(n_lists=10).fit(x)
    with pytest.raises(vl.ParameterError, match="pass one of them"):
        index.search(x[:1], nprobe=2, recall=0.9)
    for bad in (0, -0.1, 1.1, "0.9", True, np.nan):
        with pytest.raises(vl.ParameterError, match="recall must be"):
            index.search(x[:1], recall=bad)
    with pytest.raises(vl.ParameterError, match="nprobe must be a whole number"):
        index.search(x[:1], nprobe=0)
    with pytest.raises(vl.ParameterError, match="metric"):
        IVF("hamming").fit(x)
    with pytest.raises(vl.ParameterError, match="n_lists"):
        IVF(n_lists=0).fit(x)
    with pytest.raises(vl.ParameterError, match="dtype"):
        IVF(dtype="float8").fit(x)
    with pytest.raises(vl.ParameterError, match="code"):
        IVF(code="int2").fit(x)
    with pytest.raises(vl.ParameterError, match="spill must be True or False"):
        IVF(spill="yes").fit(x)
    with pytest.raises(vl.ParameterError, match="rerank must be True or False"):
        IVF(rerank=None).fit(x)
    assert IVF(n_lists=100).fit(x).n_lists_ == 0  # too few rows: all are searched


def test_a_plan_says_how_each_query_was_answered() -> None:
    x = np.random.default_rng(5).standard_normal((4200, 8), dtype=np.float32)
    index = IVF().fit(x)
    queries = x[:3]

    def plan(**how):
        hits = index.search(queries, 10, explain=True, **how)
        assert hits.plan is not None
        return hits.plan

    assert index.search(queries, 10).plan is None
    assert plan() == ("lists for a recall of 0.95",) * 3
    assert plan(nprobe=7) == ("7 lists",) * 3
    assert plan(exact=True) == ("exact: all lists",) * 3
    assert plan(where=np.arange(20)) == ("exact: 20 rows match",) * 3
    assert IVF().fit(x[:50]).search(queries, 2, explain=True).plan == ("exact: no lists",) * 3
    most = index.search(queries, 4000, nprobe=1, explain=True).plan
    assert most == ("exact, after lists that held too few: 4,200 rows match",) * 3
    masks = [np.arange(4200) < 9, np.ones(4200, bool), np.arange(4200) < 3000]
    assert index.search(queries, 5, where=masks, explain=True).plan == (
        "exact: 9 rows match",
        "lists for a recall of 0.95",
        "lists for a recall of 0.95",
    )
