# SPDX-License-Identifier: Apache-2.0
"""What the report is made of finds what is planted, and counts it right."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.measure.chart import (
    HEIGHT,
    WIDTH,
    Bar,
    Line,
    bar_chart,
    distribution_chart,
    line_chart,
)
from vectorloom.measure.hub_experiments import vote_error
from vectorloom.measure.nearby import nearby, share_interval
from vectorloom.measure.query_distance import above

measure = vl.measure


@pytest.fixture
def topics(rng) -> np.ndarray:
    """Forty topics of thirty rows each, in 24 dimensions."""
    centres = np.repeat(rng.standard_normal((40, 24)), 30, axis=0)
    return (centres + 0.4 * rng.standard_normal((1200, 24))).astype(np.float32)


def test_neighbours_in_blocks_are_those_of_one_search(topics, monkeypatch) -> None:
    at = np.array([3, 500, 1199])
    whole = nearby(topics, at, 5, metric="cosine")
    monkeypatch.setattr("vectorloom.measure.nearby._BLOCK", 37)
    parts = nearby(topics, at, 5, metric="cosine")
    np.testing.assert_array_equal(whole.positions, parts.positions)
    np.testing.assert_allclose(whole.lengths, parts.lengths, atol=1e-6)
    units = topics / np.linalg.norm(topics, axis=1, keepdims=True)
    true = np.linalg.norm(units[at][:, None] - units[None], axis=2)
    true[np.arange(3), at] = np.inf
    np.testing.assert_allclose(whole.lengths, np.sort(true, axis=1)[:, :5], atol=1e-5)


def test_neighbours_are_sought_among_the_rows_named(topics) -> None:
    among = np.arange(0, 1200, 2)
    found = nearby(topics, np.array([10, 20]), 3, metric="l2", among=among)
    assert np.isin(found.positions, among).all()
    assert found.n == 600


def test_near_copies_are_counted_with_an_interval_that_holds_the_truth(topics) -> None:
    x = topics.copy()
    x[:60] = x[60:120] * 3 + 0.001
    found = measure.near_copies(x, limit=0.999, exact=True)
    assert found.share == pytest.approx(0.1)
    part = measure.near_copies(x, limit=0.999, sample=300)
    assert part.low < 0.1 < part.high
    assert {abs(a - b) for a, b in found.pairs} == {60}
    assert measure.near_copies(x, metric="l2").share == 0.0


def test_wilson_intervals_are_the_published_ones() -> None:
    # Brown, Cai and DasGupta's worked numbers: 0 of 10, 5 of 10.
    assert share_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert share_interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert share_interval(0, 0) == (0.0, 1.0)


def test_outliers_are_those_planted(topics) -> None:
    x = topics.copy()
    x[[5, 700]] = [[50.0] * 24, [-70.0] * 24]
    found = measure.outliers(x, metric="l2", exact=True)
    assert set(found.worst[:2].tolist()) == {5, 700}
    assert found.share < 0.02


def test_structure_tells_topics_from_noise(topics, rng) -> None:
    noise = rng.standard_normal((1200, 24))
    assert measure.structure(noise).is_random
    assert measure.structure(noise * np.linspace(0.1, 3, 24)).is_random
    found = measure.structure(topics)
    assert not found.is_random
    assert found.low < found.contrast < found.high < 0.9


def test_reduced_dimensions_keep_at_least_what_prefixes_keep(topics, rng) -> None:
    turned = topics @ np.linalg.qr(rng.standard_normal((24, 24)))[0].astype(np.float32)
    found = measure.redundancy(turned, exact=True)
    assert found.dims[-1] == 24
    for way in ("prefix", "random", "reduced"):
        assert found.quality[way][-1] == 1.0
    assert (found.quality["reduced"] >= found.quality["prefix"] - 0.02).all()


def test_redundancy_of_a_task_asks_the_task(topics) -> None:
    found = measure.redundancy(topics, dims=[3, 8], task=lambda rows: float(rows.shape[1]))
    assert found.dims.tolist() == [3, 8, 24]
    assert found.quality["prefix"].tolist() == [3.0, 8.0, 24.0]
    assert found.safe["random"] == 24


def test_votes_of_equal_number_go_to_the_nearest() -> None:
    near = np.array([[1, 2], [2, 0], [0, 1]])
    assert vote_error(near, np.array([0, 1, 0])) == pytest.approx(2 / 3)


def test_trials_say_what_reductions_did(topics) -> None:
    labels = np.repeat(np.arange(40), 30)
    found = measure.hub_trials(topics + 1, labels=labels, tries=["Centring", "FNorm + CSLS"])
    assert [trial.name for trial in found.trials] == ["none", "Centring", "FNorm + CSLS"]
    assert found.trials[1].any_index
    assert not found.trials[2].any_index
    assert found.best().error <= found.none.error


def test_auc_counts_pairs_with_ties_by_half(rng) -> None:
    a, b = rng.integers(0, 9, 40).astype(float), rng.integers(0, 9, 30).astype(float)
    pairs = (a[:, None] > b) + 0.5 * (a[:, None] == b)
    auc, error = above(a, b)
    assert auc == pytest.approx(pairs.mean())
    assert 0 < error < 0.1


def test_queries_from_elsewhere_and_queries_that_are_rows_are_told(topics, rng) -> None:
    like = topics[::7] + 0.4 * rng.standard_normal((172, 24)).astype(np.float32)
    assert measure.query_shift(topics, topics[:50]).in_rows == 1.0
    assert measure.query_shift(topics, like, metric="l2").in_rows == 0.0
    found = measure.query_shift(topics, like + 5, metric="l2")
    assert found.auc > 0.99
    assert found.beyond > 0.9


def test_drift_has_its_level_and_its_power(rng) -> None:
    x = rng.standard_normal((4000, 12))
    values = [
        measure.drift(x[i : i + 100], x[i + 100 : i + 200], n_resamples=99).p_value
        for i in range(0, 4000, 200)
    ]
    assert np.mean(np.array(values) <= 0.1) <= 0.35  # 20 draws of a level of 0.1
    found = measure.drift(x[:300], x[300:600] * 1.6, metric="l2")
    assert found.drifted  # the spread alone
    assert found.mean_shift < 0.5
    moved = x[300:600].copy()
    moved[:, 4] += 1.5
    assert measure.drift(x[:300], moved).dims[0] == 4


def test_results_are_plain_data_and_draw_themselves(topics, rng) -> None:
    report = measure.report(topics, topics[:40] + 1, before=topics[:300])
    text = json.dumps(report.to_dict())
    assert '"n_rows": 1200' in text
    assert len(text) < 40_000
    assert len(report.to_dict(arrays=True)["lengths"]) == 1200
    for chart in report.plots():
        assert chart.svg.startswith("<svg")
        assert "nan" not in chart.svg
    assert len(report.plots()) >= 9
    assert report._repr_html_().count("<svg") == len(report.plots())


def test_a_page_is_written_whole_and_needs_no_network(topics, tmp_path) -> None:
    measure.report(topics).save(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "{{" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert page.rstrip().endswith("</html>")


def test_the_report_names_what_was_planted(topics, rng) -> None:
    x = topics.copy()
    x[:, 2] = 1e-5 * rng.standard_normal(1200)
    x[200:400] = x[:200] * 1.0001
    report = measure.report(x, x[:50], before=x + 3)
    kinds = {finding.kind for finding in report.findings if finding.level != "fine"}
    assert {"dead dimensions", "near-copies", "queries", "drift"} <= kinds
    assert report.findings[0].level == "repair"
    heavy = measure.report(topics * np.where(np.arange(24) == 9, 30, 1))
    assert any("(9) holds" in line for line in heavy.advice)
    noise = measure.report(rng.standard_normal((1500, 40)))
    assert any("look random" in line for line in noise.advice)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: measure.near_copies(x[:2]), ShapeError, "at least 3"),
        (lambda x: measure.near_copies(x, limit=2.0), ParameterError, "cosine from -1 to 1"),
        (lambda x: measure.outliers(x[:5]), ShapeError, "at least 10"),
        (lambda x: measure.structure(x[:5]), ShapeError, "at least 20"),
        (lambda x: measure.redundancy(x, dims=[99]), ParameterError, "from 1 to 24"),
        (lambda x: measure.redundancy(x, floor=0), ParameterError, "floor is 0"),
        (lambda x: measure.hub_trials(x, tries=["PCA"]), ParameterError, "is no trial"),
        (lambda x: measure.hub_trials(x, labels=[1, 2]), ShapeError, "one a row"),
        (lambda x: measure.query_shift(x, x[:, :3]), ShapeError, "24"),
        (lambda x: measure.drift(x[:5], x), ShapeError, "A has 5 rows"),
        (lambda x: measure.drift(x, x * np.nan), ParameterError, "NaN"),
        (lambda x: measure.report(x, x[:, :3]), ShapeError, "24"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_words(topics, call, error, words) -> None:
    with pytest.raises(error, match=words):
        call(topics)


def test_reductions_are_judged_by_queries_and_the_best_is_advised(rng) -> None:
    # Each document is found by its direction around its own topic's loud neighbour, a hub.
    X = rng.standard_normal((300, 30)) + 1.5 * rng.standard_normal(30)
    queries = X[:80] + 0.6 * rng.standard_normal((80, 30))
    ids, query_ids = [f"d{i}" for i in range(300)], [f"q{i}" for i in range(80)]
    qrels = {f"q{i}": {f"d{i}": 1} for i in range(80)}
    found = measure.judged_trials(X, queries, qrels, ids=ids, query_ids=query_ids)
    plain = measure.judged_trials(X, queries, {i: {i: 2} for i in range(80)}, tries=["CSLS"])
    assert found.before == plain.before  # positions are ids where none are given
    for trial in found.trials:
        assert trial.gain.low <= trial.gain.mean <= trial.gain.high
        assert trial.ndcg == pytest.approx(found.before + trial.gain.mean)
    best = found.best()
    assert best is None or best.gain.low > 0
    report = measure.report(X, queries, qrels=qrels, ids=ids, query_ids=query_ids)
    assert any(finding.kind == "reductions" for finding in report.findings)
    assert "nDCG@10" in str(report.judged)


def test_a_document_is_not_its_own_answer(rng) -> None:
    X = rng.standard_normal((40, 6))
    ids = [f"d{i}" for i in range(40)]
    nearest = ((X[0] - X[1:]) ** 2).sum(axis=1).argmin() + 1
    found = measure.judged_trials(
        X, X[:1], {"d0": {f"d{nearest}": 1}}, ids=ids, query_ids=["d0"], tries=[], metric="l2"
    )
    assert found.before == 1.0


def test_judged_documents_are_in_the_sample(rng) -> None:
    X = rng.standard_normal((500, 6))
    qrels = {i: {499 - i: 1} for i in range(10)}
    found = measure.judged_trials(X, X[::-1][:10], qrels, tries=["Centring"], sample=50)
    assert (found.n_rows, found.before) == (50, 1.0)
    with pytest.raises(ParameterError, match="judge none of the 10 queries"):
        measure.judged_trials(X, X[:10], {"other": {"x": 1}})
    with pytest.raises(ParameterError, match="none were given"):
        measure.report(X, qrels=qrels)


def test_exact_measures_at_all_rows_and_the_sample_holds_it(topics) -> None:
    x = topics.copy()
    x[:150] = x[150:300] * 2 + 1e-4
    whole = measure.report(x, exact=True)
    assert whole.near.n_measured == len(whole.near.nearest) == 1200
    assert len(whole.hubness.rows) == 1200
    part = measure.near_copies(x, sample=400)
    assert part.low <= whole.near.share <= part.high


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5000), st.floats(0, 1))
def test_intervals_of_shares_hold_the_share_and_shrink(n: int, part: float) -> None:
    hits = round(part * n)
    low, high = share_interval(hits, n)
    assert 0.0 <= low <= hits / n <= high <= 1.0
    narrower = share_interval(10 * hits, 10 * n)
    assert narrower[1] - narrower[0] < high - low


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=30), st.lists(st.integers(-5, 5), min_size=1)
)
def test_auc_of_two_lists_and_of_the_lists_exchanged_sum_to_one(a: list[int], b: list[int]) -> None:
    there = above(np.array(a, float), np.array(b, float))[0]
    back = above(np.array(b, float), np.array(a, float))[0]
    assert there + back == pytest.approx(1.0)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 400), st.integers(0, 10**6))
def test_pictures_stay_within_their_frame_whatever_the_numbers(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.standard_cauchy(n) * 10.0 ** rng.integers(-8, 9)
    svg = distribution_chart("t", [("a", values), ("b", values[:1])], x_label="x").svg
    svg += line_chart("t", [Line("a", range(1, n + 1), values)], x_label="x", log_x=True).svg
    svg += bar_chart("t", [Bar("a", abs(float(v))) for v in values[:9]], x_label="x").svg
    assert "nan" not in svg
    assert "inf" not in svg
    for path in re.findall(r' d="M([^"]*)"', svg):
        for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path):
            assert -1 <= float(x) <= WIDTH + 1
            assert -1 <= float(y) <= HEIGHT + 1
