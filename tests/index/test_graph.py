# SPDX-License-Identifier: Apache-2.0
"""The graph index: what it finds by default, under filters, after changes, and from files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.index import Exact, Graph

METRICS = ("cosine", "ip", "l2")


def rows_of(seed: int, n: int, dim: int = 32, k: int = 60) -> np.ndarray:
    """Rows around k centres of several sizes, of lengths that differ a little."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((k, dim))
    spread = np.random.default_rng(98).uniform(0.3, 0.9, k)
    label = rng.integers(0, k, n)
    x = centres[label] + spread[label, None] * rng.standard_normal((n, dim))
    return (x * rng.uniform(0.9, 1.1, (n, 1))).astype(np.float32)


def same(a: vl.index.Hits, b: vl.index.Hits) -> None:
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(a.scores, b.scores)
    np.testing.assert_array_equal(a.counts, b.counts)


def recall(a: vl.index.Hits, truth: vl.index.Hits) -> float:
    pairs = zip(a.ids.tolist(), truth.ids.tolist(), strict=True)
    return float(np.mean([len(set(x) & set(y)) / max(1, len(set(y))) for x, y in pairs]))


@pytest.fixture(scope="module")
def cosine() -> Graph:
    return Graph().fit(rows_of(1, 6000))


@pytest.mark.parametrize("metric", METRICS)
def test_defaults_find_ninety_five_percent(metric: str) -> None:
    x, queries = rows_of(1, 6000), rows_of(2, 300)
    index, truth = Graph(metric).fit(x), Exact(metric).fit(x)
    for k in (1, 10, 40):
        hits = index.search(queries, k, explain=True)
        assert recall(hits, truth.search(queries, k)) >= 0.94
        assert hits.plan == ("walk",) * 300


@pytest.mark.parametrize("dim", [2, 15, 16, 31, 32, 63, 121, 250])
def test_every_kind_of_code_finds_neighbours(dim: int) -> None:
    x = np.random.default_rng(3).standard_normal((3000, dim), dtype=np.float32)
    x[:, dim // 2 :] *= 0.3
    queries = x[:150] + np.float32(0.01)
    index = Graph("l2", exact_below=1, degree=24).fit(x)
    hits = index.search(queries, 5, ef=200)
    assert recall(hits, Exact("l2").fit(x).search(queries, 5)) > 0.97


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
def test_scores_are_those_of_the_stored_rows(dtype: str) -> None:
    x, queries = rows_of(1, 4500), rows_of(2, 50)
    index, truth = Graph(dtype=dtype).fit(x), Exact(dtype=dtype).fit(x)
    hits, expected = index.search(queries, 10, ef=400), truth.search(queries, 10)
    assert recall(hits, expected) > 0.99
    shared = (hits.ids == expected.ids).all(axis=1)
    np.testing.assert_array_equal(hits.scores[shared], expected.scores[shared])


def test_exact_and_a_recall_of_one_are_exact(cosine: Graph) -> None:
    queries = rows_of(4, 40)
    expected = Exact().fit(rows_of(1, 6000)).search(queries, 12)
    same(cosine.search(queries, 12, exact=True), expected)
    same(cosine.search(queries, 12, recall=1.0), expected)


def test_more_recall_is_found_and_reaches_further(cosine: Graph) -> None:
    queries = rows_of(5, 400)
    truth = cosine.search(queries, 10, exact=True)
    found = [recall(cosine.search(queries, 10, recall=r), truth) for r in (0.5, 0.9, 0.99)]
    assert found == sorted(found)
    assert found[1] > 0.88
    assert found[2] > 0.98
    effort = [recall(cosine.search(queries, 10, ef=ef), truth) for ef in (10, 40, 200)]
    assert effort == sorted(effort)


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("kind", ["random", "near", "far"])
def test_filters_keep_recall_and_give_every_match(
    cosine: Graph, share: float, kind: str, forced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, queries = rows_of(1, 6000), rows_of(6, 40)
    rng = np.random.default_rng(7)
    if kind == "random":
        mask = rng.random(6000) < share
    else:  # of the rows the nearest to the queries' middle, or the furthest
        score = x @ queries.mean(axis=0)
        mask = np.argsort(np.argsort(-score if kind == "near" else score)) < share * 6000
    if forced:  # to walk, whatever it costs
        monkeypatch.setattr("vectorloom.index.dense.graph_walk._NODE", 1e-3)
    hits = cosine.search(queries, 10, where=mask, explain=True)
    truth = Exact().fit(x).search(queries, 10, where=mask)
    assert (hits.counts == min(10, mask.sum())).all()
    assert mask[hits.ids[hits.ids >= 0]].all()
    assert recall(hits, truth) >= 0.95
    assert hits.plan is not None
    assert all(line.endswith(f"{mask.sum():,} rows match") for line in hits.plan)
    assert not forced or mask.sum() < 20 or all("walk" in line for line in hits.plan)


def test_a_filter_that_matches_nothing_and_more_hits_than_rows(cosine: Graph) -> None:
    queries = rows_of(6, 3)
    none = cosine.search(queries, 5, where=np.zeros(6000, bool))
    assert (none.counts == 0).all()
    all_of = cosine.search(queries, 7000)
    assert (all_of.counts == 6000).all()
    assert (np.sort(all_of.ids[0, :6000]) == np.arange(6000)).all()


def test_copies_of_a_row_are_one_node_and_all_found() -> None:
    x = rows_of(1, 5000)
    x[500:] = x[np.random.default_rng(1).integers(0, 500, 4500)]
    x[2000:4000] = x[7]
    index = Graph("l2", random_state=3).fit(x)
    assert index._graph is not None
    assert len(index._graph) == len(np.unique(x, axis=0))
    hits = index.search(x[7:8], 2000)
    assert hits.ids[0].tolist() == np.flatnonzero((x == x[7]).all(axis=1))[:2000].tolist()
    truth = Exact("l2").fit(x)
    assert recall(index.search(x[:200], 10), truth.search(x[:200], 10)) > 0.97


def test_added_rows_are_found_and_the_rest_stays_found() -> None:
    x, more = rows_of(1, 5000), rows_of(8, 900)
    more[:50] = x[:50]
    more[50:60] = more[60:70]
    index = Graph().fit(x)
    graph = index._graph
    for part in np.array_split(more, 3):
        index.add(part)
    assert index._graph is graph  # linked, not built anew
    everything = np.concatenate([x, more])
    truth = Exact().fit(everything)
    queries = np.concatenate([rows_of(9, 200), more[:200]])
    assert recall(index.search(queries, 10), truth.search(queries, 10)) >= 0.94
    assert index._health()["unreachable nodes"] == 0
    index.add(rows_of(10, 3000))
    assert index._graph is None  # so many that all is built anew, at the next search
    assert index.search(queries, 1, explain=True).plan == ("walk",) * 400


def test_a_hundred_rounds_of_change_keep_recall_and_size() -> None:
    n, step = 5000, 50
    stream = rows_of(11, n + 100 * step)
    index = Graph().fit(stream[:n])
    for i in range(100):
        index.remove(np.arange(i * step, (i + 1) * step))
        index.add(stream[n + i * step : n + (i + 1) * step])
    fresh = Graph().fit(stream[100 * step :], ids=np.arange(100 * step, n + 100 * step))
    queries = rows_of(12, 500)
    truth = fresh.search(queries, 10, exact=True)
    changed, new = (recall(g.search(queries, 10, ef=48), truth) for g in (index, fresh))
    assert changed > new - 0.01
    assert index.nbytes_ < 1.2 * fresh.nbytes_
    assert index._health()["unreachable nodes"] <= 2


def test_removed_rows_never_come_back() -> None:
    x = rows_of(1, 5000)
    index = Graph().fit(x)
    rng = np.random.default_rng(13)
    alive = np.ones(5000, bool)
    for part in np.array_split(rng.permutation(5000), 12)[:11]:
        index.remove(part)
        alive[part] = False
        hits = index.search(x[part[:20]], 10)
        assert alive[hits.ids].all()
        assert (hits.counts == 10).all()
    truth = Exact().fit(x[alive], np.flatnonzero(alive))
    queries = rows_of(14, 100)
    assert recall(index.search(queries, 10), truth.search(queries, 10)) >= 0.94


@pytest.mark.parametrize("metric", METRICS)
def test_the_same_bits_at_any_number_of_threads(metric: str) -> None:
    x, more, queries = rows_of(1, 4200), rows_of(15, 300), rows_of(16, 60)
    answers = []
    for n_jobs in (1, 2, 8):
        index = Graph(metric, exact_below=1, n_jobs=n_jobs).fit(x)
        before = index.search(queries, 10)
        index.add(more)
        index.remove(np.arange(0, 700))
        answers.append((before, index.search(queries, 10), index._graph))
    for other in answers[1:]:
        same(answers[0][0], other[0])
        same(answers[0][1], other[1])
        for name, array in answers[0][2].core.arrays().items():
            np.testing.assert_array_equal(array, other[2].core.arrays()[name])


def test_files_copies_and_pickles_answer_alike(tmp_path: Path) -> None:
    x, queries = rows_of(1, 4500), rows_of(17, 30)
    x[100:140] = x[0]
    index = Graph("ip").fit(x, ids=[f"row {i}" for i in range(4500)])
    index.remove(["row 3", "row 104"])
    index.add(rows_of(18, 20), ids=[f"new {i}" for i in range(20)])
    for other in (index.copy(), pickle.loads(pickle.dumps(index))):
        assert other._graph is not None
        assert recall(other.search(queries, 10, ef=300), index.search(queries, 10, ef=300)) > 0.99
    index.save(tmp_path / "a.vl")
    opened = vl.open(tmp_path / "a.vl", verify=True)
    same(opened.search(queries, 10), index.search(queries, 10))
    again = opened.copy()
    again.add(rows_of(19, 40), ids=[f"more {i}" for i in range(40)])
    assert again.search(rows_of(19, 40)[:1], 1, where=["more 0", "more 1"]).counts.tolist() == [1]
    assert "more 39" in again.search(rows_of(19, 40), 4540, exact=True).ids[0]


def test_rows_left_on_disk_give_the_same_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, queries = rows_of(1, 4200), rows_of(17, 30)
    index = Graph("l2", exact_below=1).fit(x)
    index.save(tmp_path / "a.vl")
    monkeypatch.setattr("vectorloom.index.memory.available_memory", lambda: x.nbytes)
    opened = vl.open(tmp_path / "a.vl")
    assert opened._graph.on_disk
    same(opened.search(queries, 10), index.search(queries, 10))
    same(opened.search(queries, 10, exact=True), index.search(queries, 10, exact=True))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("links", lambda a: a.fill(5_000_000)),
        ("row_of", lambda a: a.fill(4_400)),
        ("twins", lambda a: a.fill(2)),
        ("entries", lambda a: a.fill(70_000)),
    ],
)
def test_arrays_that_lead_outside_are_refused(name: str, change: Any) -> None:
    x = rows_of(1, 4200)
    x[40:60] = x[0]
    graph = Graph().fit(x)._graph
    assert graph is not None
    arrays = {key: np.array(value) for key, value in graph.core.arrays().items()}
    change(arrays[name])
    with pytest.raises(vl.FormatError, match="graph"):
        graph._opened(arrays, graph.space, 4200)


def test_what_cannot_be_asked_is_refused(cosine: Graph) -> None:
    queries = rows_of(4, 2)
    with pytest.raises(vl.ParameterError, match="ef and recall were both given"):
        cosine.search(queries, ef=10, recall=0.9)
    with pytest.raises(vl.ParameterError, match="recall must be above 0"):
        cosine.search(queries, recall=0.0)
    with pytest.raises(vl.ParameterError, match="ef must be a whole number"):
        cosine.search(queries, ef=0)
    with pytest.raises(vl.ParameterError, match="degree must be 4 to 96"):
        Graph(degree=2).fit(queries)
    with pytest.raises(vl.ParameterError, match="metric"):
        Graph("hamming").fit(queries > 0)


def test_health_counts_nodes_and_links(cosine: Graph) -> None:
    health = cosine._health()
    assert health["nodes"] == 6000
    assert health["unreachable nodes"] == 0
    assert 4 < health["mean out-degree"] <= 48
    assert health["mean in-degree"] == health["mean out-degree"]
    assert cosine.audit(sample=50).recall > 0.9
