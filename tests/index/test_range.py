# SPDX-License-Identifier: Apache-2.0
"""Range search of approximate indexes: no false hit, the recall asked for, and all with exact."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError
from vectorloom.index import IVF, Exact, Graph
from vectorloom.index.dense.lists_range import Pairs, Ranging

METRICS = ("cosine", "ip", "l2")


def spread(seed: int, n: int, dim: int = 32, rank: int = 10) -> np.ndarray:
    """Rows of a low rank, of lengths that differ a little."""
    rng = np.random.default_rng(seed)
    basis = np.random.default_rng(99).standard_normal((rank, dim))
    x = rng.standard_normal((n, rank)) @ basis + 0.2 * rng.standard_normal((n, dim))
    return x.astype(np.float32)


def made(kind: str, metric: str, x: np.ndarray) -> Any:
    if kind == "ivf":
        return IVF(metric, n_jobs=1).fit(x)
    if kind == "ivf of PQ":
        return IVF(metric, code="pq:8", n_jobs=1).fit(x)
    return Graph(metric, degree=24, n_jobs=1).fit(x)


def radius_of(truth: Exact, queries: np.ndarray, rank: int) -> np.ndarray:
    return truth.search(queries, rank).distances[:, -1].astype(np.float64)


def share_found(found: vl.index.RangeHits, all_: vl.index.RangeHits) -> float:
    shares = []
    for i in range(len(found)):
        assert np.isin(found[i].ids, all_[i].ids).all()  # no false hit
        if len(all_[i]):
            shares.append(len(found[i]) / len(all_[i]))
    return float(np.mean(shares))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["ivf", "ivf of PQ", "graph"])
def test_ranges_are_found_as_asked_and_never_wrong(kind: str, metric: str) -> None:
    x, queries = spread(0, 6000), spread(1, 120)
    index, truth = made(kind, metric, x), Exact(metric).fit(x)
    for rank in (3, 40, 300):
        radius = radius_of(truth, queries, rank)
        expected = truth.range_search(queries, radius)
        assert expected.counts.min() >= rank
        found = index.range_search(queries, radius, explain=True)
        assert share_found(found, expected) > 0.93, rank
        assert found.plan is not None
        assert not any(way.startswith("exact:") for way in found.plan)
        order = np.concatenate([np.diff(found[i].distances) for i in range(len(found))])
        assert (order >= 0).all()
        same = index.range_search(queries, radius, exact=True)
        np.testing.assert_array_equal(same.lims, expected.lims)
        np.testing.assert_array_equal(same.ids, expected.ids)
        np.testing.assert_array_equal(same.distances, expected.distances)
    loose = share_found(index.range_search(queries, radius, recall=0.5), expected)
    tight = share_found(index.range_search(queries, radius, recall=0.99), expected)
    assert loose <= tight
    assert tight > 0.975


@pytest.mark.parametrize("kind", ["ivf", "graph"])
def test_a_radius_of_nothing_and_of_everything(kind: str) -> None:
    x = spread(2, 5000)
    index = made(kind, "l2", x)
    assert index.range_search(x[:3], -np.inf).counts.tolist() == [0, 0, 0]
    assert index.range_search(x[:3], -1.0).counts.tolist() == [0, 0, 0]
    assert index.range_search(x[:3], np.inf).counts.tolist() == [5000] * 3
    assert index.range_search(x[:3], 0.0).ids.tolist() == [0, 1, 2]
    assert index.range_search(x[:0], 1.0).lims.tolist() == [0]


@pytest.mark.parametrize("kind", ["ivf", "graph"])
def test_filters_and_changes(kind: str) -> None:
    x, queries = spread(3, 7000), spread(4, 40)
    index = made(kind, "l2", x[:6000])
    index.add(x[6000:])
    index.remove(np.arange(0, 300))
    truth = Exact("l2").fit(x[300:], ids=np.arange(300, 7000))
    radius = radius_of(truth, queries, 30)
    assert (
        share_found(index.range_search(queries, radius), truth.range_search(queries, radius)) > 0.93
    )
    for where in (np.arange(6900, 7000), np.arange(300, 7000) % 2 == 0):
        got = index.range_search(queries, radius, where=where)
        assert share_found(got, truth.range_search(queries, radius, where=where)) > 0.93
        same = index.range_search(queries, radius, where=where, exact=True)
        np.testing.assert_array_equal(
            same.ids, truth.range_search(queries, radius, where=where).ids
        )
    one_each = [None, [6950], np.arange(300, 7000) % 3 == 0]
    got = index.range_search(queries[:3], radius[:3], where=one_each, exact=True)
    expected = truth.range_search(queries[:3], radius[:3], where=one_each)
    np.testing.assert_array_equal(got.lims, expected.lims)
    np.testing.assert_array_equal(got.ids, expected.ids)


def test_a_walk_that_meets_too_much_is_a_scan() -> None:
    x = spread(5, 9000)
    index = made("graph", "l2", x)
    radius = radius_of(Exact("l2").fit(x), x[:2], 7000)
    found = index.range_search(x[:2], radius, explain=True)
    assert found.plan == ("exact, after a walk",) * 2
    assert found.counts.tolist() == [7000, 7000]
    assert index.range_search(x[:1], 0.1, exact=True, explain=True).plan == ("exact",)


def test_codes_alone_answer_for_what_they_decode_to() -> None:
    x, queries = spread(6, 6000), spread(7, 60)
    for code in (None, "pq:8"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that codes lose neighbours
            index = IVF("l2", rerank=False, code=code, n_jobs=1).fit(x)
        truth = Exact("l2").fit(index.get(np.arange(6000)))
        radius = radius_of(truth, queries, 40) * (1 + 1e-5)  # decoding rounds in float32
        whole = index.range_search(queries, radius, exact=True)
        expected = truth.range_search(queries, radius)
        np.testing.assert_array_equal(whole.counts, expected.counts)
        assert share_found(index.range_search(queries, radius), whole) > 0.93


@pytest.mark.parametrize("kind", ["ivf", "graph"])
def test_files_and_threads_answer_alike(kind: str, tmp_path: Path) -> None:
    x, queries = spread(8, 6000), spread(9, 50)
    index = made(kind, "cosine", x)
    radius = radius_of(Exact().fit(x), queries, 50)
    expected = index.range_search(queries, radius)
    index.save(tmp_path / "a.vl")
    opened = vl.open(tmp_path / "a.vl")
    for twin in (opened, index.copy(), index.set_params(n_jobs=3)):
        found = twin.range_search(queries, radius)
        np.testing.assert_array_equal(found.lims, expected.lims)
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.distances, expected.distances)


def test_what_cannot_be_asked_is_refused() -> None:
    index = made("graph", "l2", spread(10, 5000))
    for recall in (0.0, 1.5, "much"):
        with pytest.raises(ParameterError, match="recall must be"):
            index.range_search(spread(1, 1), 1.0, recall=recall)


def test_the_line_of_ranging_is_that_of_the_data() -> None:
    """Nearness 2 + 0.5 s + 0.25 N - r with r of three known values."""
    rng = np.random.default_rng(0)
    scores, reference = rng.standard_normal((50, 100)), rng.standard_normal(50)
    remainder = rng.choice([-1.0, 0.0, 1.0], scores.shape)
    nearness = 2.0 + 0.5 * scores + 0.25 * reference[:, None] - remainder
    ranging = Ranging.fit([Pairs(nearness, scores, reference)])
    assert ranging is not None
    np.testing.assert_allclose(ranging.line, [2.0, 0.5, 0.25], atol=0.1)
    floors = ranging.floors(np.array([0.0, 2.0]), 0.95)
    np.testing.assert_allclose(np.diff(floors), 2.0 * ranging.line[1])
    np.testing.assert_allclose(floors[0], ranging.line[0] - 1.0, atol=0.15)  # a third is above 0
    assert Ranging.fit([Pairs(nearness[:2, :5], scores[:2, :5], reference[:2])]) is None
    falling = Ranging.fit([Pairs(-scores, scores, reference)])
    assert falling is None
