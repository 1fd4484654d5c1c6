# SPDX-License-Identifier: Apache-2.0
"""An audit tells what is planted: misses, dead places, copies, dimension, hubs, uneven lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vectorloom as vl
from index_registry import CASES
from vectorloom.index.audit_measuring import interval, rank_correlation
from vectorloom.measure.hubs import k_occurrence, skewness
from vectorloom.measure.intrinsic import local_dimension, mean_dimension


def normal(rng: np.random.Generator, n: int, dim: int = 8) -> np.ndarray:
    return rng.standard_normal((n, dim)).astype(np.float32)


class Lossy(vl.index.Exact):
    """Finds all but the nearest row of each query whose first value is below 0."""

    def search(self, queries: Any, k: int = 10, where: Any = None, exact: bool = False) -> vl.Hits:
        hits = super().search(queries, k + 1, where)
        start = np.zeros(len(hits), int) if exact else (np.asarray(queries)[:, 0] < 0).astype(int)
        take = start[:, None] + np.arange(k)
        columns = [np.take_along_axis(a, take, 1) for a in (hits.ids, hits.scores, hits.distances)]
        return vl.Hits(*columns, np.minimum(hits.counts, k), hits.metric)

    def _health(self) -> dict[str, float]:
        return {"unreachable nodes": 3.0}


# ---- estimators, worked by hand ----------------------------------------------------------------


def test_local_dimension_follows_the_formula_by_hand() -> None:
    # (k - 1) / (log(4/1) + log(4/2)) = 2 / log 8; a copy and padding change nothing.
    want = 2 / np.log(8.0)
    got = local_dimension([[1.0, 2.0, 4.0, np.inf], [0.0, 1.0, 2.0, 4.0]])
    np.testing.assert_allclose(got, want)
    assert np.isinf(local_dimension([[1.0, 1.0, 1.0]])).all()
    assert np.isnan(local_dimension([[0.0, 0.0, 1.0]])).all()


def test_local_dimension_does_not_depend_on_units(rng) -> None:
    lengths = np.sort(rng.random((5, 50)), axis=1)
    np.testing.assert_allclose(local_dimension(lengths), local_dimension(1000 * lengths))


@pytest.mark.parametrize("dim", [2, 5])
@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_dimension_of_a_flat_sheet_in_a_wide_space_is_that_of_the_sheet(dim, metric, rng) -> None:
    sheet = rng.random((3000, dim)) - 0.5
    basis = np.linalg.qr(rng.standard_normal((20, dim + 1)))[0].T
    x = np.column_stack([sheet, np.ones(3000)]) @ basis  # away from 0: a sheet of directions too
    report = vl.index.Exact(metric=metric).fit(x).audit(sample=300)
    assert report.dimension == pytest.approx(dim, rel=0.2)


def test_mean_dimension_is_of_inverses() -> None:
    assert mean_dimension(np.array([1.0, 3.0, np.nan])) == pytest.approx(1.5)
    assert np.isnan(mean_dimension(np.array([np.nan])))


@pytest.mark.parametrize(
    "bad", [[[2.0, 1.0]], [[-1.0, 1.0]], [[np.nan, 1.0]], [[1.0]], [1.0, 2.0], [["a", "b"]]]
)
def test_distances_that_are_none_are_refused(bad) -> None:
    with pytest.raises((vl.ParameterError, vl.ShapeError, ValueError)):
        local_dimension(bad)


def test_hubness_is_the_skewness_of_occurrences() -> None:
    # N = 0, 0, 0, 4: mean 1, E[(N-1)^2] = 3, E[(N-1)^3] = 6.
    counts = k_occurrence([[3], [3], [3], [3], [-1]], 4)
    assert counts.tolist() == [0, 0, 0, 4]
    assert skewness(counts) == pytest.approx(6 / 3**1.5)
    with pytest.raises(vl.ParameterError, match="below n=2"):
        k_occurrence([[2]], 2)


def test_interval_is_wilsons_on_trials_that_are_independent() -> None:
    # Half of 4 queries find all, the others nothing: p = 1/2 of 4 trials.
    z2 = 1.959963984540054**2
    half = np.sqrt(z2) / (1 + z2 / 4) * np.sqrt(0.25 / 4 + z2 / 64)
    np.testing.assert_allclose(interval(np.array([1.0, 0, 1, 0]), 10), (0.5 - half, 0.5 + half))
    low, high = interval(np.ones(100), 10)
    assert (low, high) == (pytest.approx(100 / (100 + z2)), 1.0)


def test_interval_covers_the_truth_about_as_often_as_it_says(rng) -> None:
    inside = 0
    for _ in range(400):
        p = rng.beta(8, 1, 200)  # queries differ: hits of one are not independent
        low, high = interval(rng.binomial(10, p) / 10, 10)
        inside += low <= 8 / 9 <= high
    assert 0.92 <= inside / 400 <= 0.98


def test_rank_correlation_shares_ranks_of_equal_values() -> None:
    # Ranks 4.5, 1.5, 4.5, 3, 6, 1.5 at places 1 to 6: products about the means sum to -1.5,
    # squares to 16.5 and 17.5.
    values = np.array([3.0, 1.0, 3.0, np.nan, 2.0, 9.0, 1.0])
    assert rank_correlation(values) == pytest.approx(-1.5 / np.sqrt(16.5 * 17.5))
    assert np.isnan(rank_correlation(np.ones(5)))


# ---- what an audit finds -----------------------------------------------------------------------


def test_recall_is_that_of_the_planted_misses(rng) -> None:
    queries = normal(rng, 40)
    queries[:, 0] = np.where(np.arange(40) < 10, -1.0, 1.0)
    report = Lossy(metric="l2").fit(normal(rng, 500)).audit(queries, k=5)
    assert report.recall == pytest.approx(1 - 10 / 40 / 5)
    assert report.recall_low < report.recall < report.recall_high
    assert report.recall_worst_tenth == pytest.approx(0.8)
    assert report.worst_queries.tolist() == [0, 1, 2, 3]
    assert report.queries == "given"


def test_recall_agrees_with_ids_counted_one_by_one(rng) -> None:
    index = vl.index.IVF(n_lists=40).fit(normal(rng, 2000))
    queries = normal(rng, 60)
    truth, got = index.search(queries, 10, exact=True), index.search(queries, 10, nprobe=3)
    want = np.mean([np.isin(a, b).mean() for a, b in zip(truth.ids, got.ids, strict=True)])
    assert index.audit(queries, nprobe=3).recall == pytest.approx(want)


def test_a_copy_of_the_last_true_hit_is_no_miss() -> None:
    x = np.ones((6, 2), np.float32)
    assert Lossy(metric="l2").fit(x).audit([[-1.0, 1.0]], k=2).recall == 1.0


def test_queries_made_of_rows_do_about_as_held_out_ones(rng) -> None:
    x = normal(rng, 5200, 6) @ normal(rng, 6, 32)
    index = vl.index.IVF(n_lists=100).fit(x[:5000])
    made, held_out = index.audit(nprobe=2), index.audit(x[5000:], nprobe=2)
    assert made.queries == "rows moved"
    assert made.recall == pytest.approx(held_out.recall, abs=0.04)
    assert "queries unlike the rows may do worse" in str(made)


def test_dead_positions_and_bytes_add_up(rng) -> None:
    index = vl.index.IVF(n_lists=20).fit(normal(rng, 1000))
    index.remove(range(250))
    report = index.audit()
    assert report.dead_share == pytest.approx(0.25)
    assert sum(report.bytes_a_row.values()) == pytest.approx(index.nbytes_ / 750)
    assert report.bytes_a_row["rows"] == pytest.approx(8 * 4)
    assert any("25% of the positions" in line for line in report.advice)
    assert index.copy().audit().dead_share == 0.0


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_copies_are_counted(metric, rng) -> None:
    x = normal(rng, 400)
    x[200:300] = x[:100]
    report = vl.index.Exact(metric=metric).fit(x).audit()
    assert report.duplicates == pytest.approx(0.5)
    assert any("50% of the rows have a copy" in line for line in report.advice)


def test_rows_of_largest_dimension_are_named_and_their_order_is_told(rng) -> None:
    line = np.column_stack([np.arange(600) / 60, np.zeros((600, 9))])
    ball = normal(rng, 200, 10) + 50
    ids = np.arange(800) + 1000
    report = Lossy(metric="l2").fit(np.concatenate([line, ball]), ids).audit()
    assert (report.dimension_ids >= 1600).all()
    assert report.dimension_order > 0.4
    assert any("added later have harder" in text for text in report.advice)


def test_uneven_lists_are_told(rng) -> None:
    x = normal(rng, 800)
    even = vl.index.IVF(metric="l2", n_lists=20).fit(x).audit().structure
    assert even["lists"] == 20
    assert even["rows a list"] == pytest.approx(40)
    x[100:] = x[0]  # one list cannot but hold 700 rows: 20 * (7 / 8)^2 = 15.3
    report = vl.index.IVF(metric="l2", n_lists=20).fit(x).audit()
    assert 15 < report.structure["imbalance"] < 16
    assert any("Lists are uneven" in line for line in report.advice)


def test_imbalance_follows_the_formula_by_hand() -> None:
    # Lists of 6 and 2 rows: 2 (36 + 4) / 64 = 1.25.
    x = np.concatenate([np.zeros((6, 1)), np.full((2, 1), 9.0)])
    report = vl.index.IVF(metric="l2", n_lists=2).fit(x).audit()
    assert report.structure["imbalance"] == pytest.approx(1.25)
    assert report.structure["largest list"] == 6


def test_what_a_class_tells_of_itself_is_printed_and_advised_on(rng) -> None:
    report = Lossy().fit(normal(rng, 50)).audit()
    assert "unreachable nodes" in str(report)
    assert any("3 rows cannot be reached" in line for line in report.advice)


def test_an_exact_index_misses_nothing_and_needs_no_advice(rng) -> None:
    report = vl.index.Exact().fit(normal(rng, 300)).audit()
    assert (report.recall, report.recall_high, report.advice) == (1.0, 1.0, ())
    assert "Nothing to change." in str(report)
    assert repr(report) == "Audit(Exact(), 300 rows, recall@10=1.000, 0 advice)"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("n", [1, 2, 60])
def test_every_index_can_be_audited(case, n, rng) -> None:
    index = case.new().fit(case.vectors(rng, n), [f"row {i}" for i in range(n)])
    report = index.audit(sample=50)
    assert report.n_queries == min(n, 50)
    assert 0.0 <= report.recall_low <= report.recall <= report.recall_high <= 1.0
    if case.exhaustive:
        assert report.recall == 1.0
    assert str(report).startswith(f"Audit of {index!r}")


def test_the_same_audit_at_any_number_of_threads(rng) -> None:
    index = vl.index.IVF(n_lists=30).fit(normal(rng, 1500))
    assert str(index.audit(n_jobs=1, nprobe=2)) == str(index.audit(n_jobs=2, nprobe=2))
    assert index.n_jobs is None


def test_an_audit_changes_nothing(rng) -> None:
    index = vl.index.IVF(n_lists=10).fit(normal(rng, 300))
    before = index.search(normal(rng, 5))
    index.audit()
    assert len(index) == 300
    np.testing.assert_array_equal(before.ids.shape, (5, 10))


def test_what_cannot_be_audited_is_refused(rng) -> None:
    with pytest.raises(vl.NotFittedError):
        vl.index.Exact().audit()
    index = vl.index.Exact().fit(normal(rng, 20))
    with pytest.raises(vl.ShapeError, match="8 columns"):
        index.audit(np.ones((3, 4)))
    with pytest.raises(vl.ShapeError, match="at least one row"):
        index.audit(np.ones((0, 8)))
    for bad in ({"k": 0}, {"sample": 0}, {"n_jobs": 0}, {"random_state": -1}):
        with pytest.raises(vl.ParameterError):
            index.audit(**bad)
    index.remove(range(20))
    with pytest.raises(vl.ParameterError, match="holds no rows"):
        index.audit()
