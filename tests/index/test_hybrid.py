# SPDX-License-Identifier: Apache-2.0
"""Hybrid and TwoStage: fusions by hand, missing legs, filters, weights, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.index.combined.fusion import normal_scores, pooled
from vectorloom.index.hits import pad_hits


def made(ids: list[list[Any]], scores: list[list[float]], metric: str = "ip") -> vl.index.Hits:
    """Hits as written."""
    width = max(map(len, ids))
    flat = np.array([i for row in ids for i in row], object if _text(ids) else np.int64)
    positions = np.full((len(ids), width), -1, np.int64)
    values = np.full((len(ids), width), -np.inf)
    for q, row in enumerate(scores):
        positions[q, : len(row)] = range(len(row))
        values[q, : len(row)] = row
    counts = np.array(list(map(len, ids)), np.int64)
    return pad_hits(flat, positions, values, counts, width, metric)


def _text(ids: list[list[Any]]) -> bool:
    return any(isinstance(i, str) for row in ids for i in row)


class Canned:
    """An index that answers what it was given."""

    def __init__(self, hits: vl.index.Hits) -> None:
        self.hits = hits
        self.asked: list[Any] = []

    def search(self, queries: Any, k: int, where: Any = None) -> vl.index.Hits:
        self.asked.append((queries, k, where))
        return self.hits


def legs() -> dict[str, Any]:
    return {
        "x": Canned(made([["a", "b", "c"]], [[9.0, 6.0, 3.0]])),
        "y": Canned(made([["c", "d"]], [[0.8, 0.2]], "cosine")),
    }


# ---- the formulas ----


def test_reciprocal_ranks_by_hand() -> None:
    hits = vl.index.Hybrid(legs()).search({"x": [0], "y": [0]}, k=5)
    # c: 1/63 + 1/61; a: 1/61; b and d: 1/62, in the order of ids.
    assert hits.ids.tolist() == [["c", "a", "b", "d", None]]
    np.testing.assert_allclose(
        hits.scores[0, :4], [1 / 63 + 1 / 61, 1 / 61, 1 / 62, 1 / 62], rtol=1e-6
    )
    assert hits.counts.tolist() == [4]
    assert hits.leg_ranks["x"].tolist() == [[3, 1, 2, 0, 0]]
    np.testing.assert_allclose(hits.leg_scores["y"][0], [0.8, np.nan, np.nan, 0.2, np.nan])
    heavy = vl.index.Hybrid(legs(), weights={"x": 3.0, "y": 1.0}, constant=1.0)
    hits = heavy.search({"x": [0], "y": [0]}, k=2)
    np.testing.assert_allclose(hits.scores, [[3 / 2, 3 / 4 + 1 / 2]], rtol=1e-6)


@pytest.mark.parametrize(
    ("normalise", "x", "y"),
    [
        ("min-max", {"a": 1.0, "b": 0.5, "c": 0.0}, {"c": 1.0, "d": 0.0}),
        ("theoretical", {"a": 1.0, "b": 6 / 9, "c": 3 / 9}, {"c": 1.0, "d": 1.2 / 1.8}),
        (
            "z-score",
            {"a": 3 / np.sqrt(6), "b": 0.0, "c": -3 / np.sqrt(6), "d": -3 / np.sqrt(6)},
            {"c": 1.0, "d": -1.0, "a": -1.0, "b": -1.0},
        ),
    ],
)
def test_weighted_sums_by_hand(normalise: str, x: dict[str, float], y: dict[str, float]) -> None:
    hybrid = vl.index.Hybrid(
        legs(), fusion="weighted", normalise=normalise, weights={"x": 0.25, "y": 0.75}
    )
    hits = hybrid.search({"x": [0], "y": [0]}, k=4)
    want = {d: 0.25 * x.get(d, 0.0) + 0.75 * y.get(d, 0.0) for d in "abcd"}
    got = dict(zip(hits.ids[0].tolist(), hits.scores[0].tolist(), strict=True))
    assert got == pytest.approx(want, rel=1e-5, abs=1e-6)
    assert hits.ids[0].tolist() == sorted(want, key=lambda d: (-want[d], d))


def test_equal_scores_of_a_leg_do_not_divide_by_nothing() -> None:
    pool = pooled({"x": made([[1, 2]], [[5.0, 5.0]])}, 1)
    for how, value in (("min-max", 1.0), ("z-score", 0.0), ("theoretical", 1.0)):
        normal = normal_scores(pool, how, {"x": "ip"}, {})
        np.testing.assert_array_equal(normal["x"], [value, value])


def test_a_document_that_a_leg_returns_twice_counts_where_it_is_first() -> None:
    twice = made([["a", "b", "a"]], [[3.0, 2.0, 1.0]])
    hits = vl.index.Hybrid({"x": Canned(twice)}).search({"x": [0]}, k=3)
    assert hits.ids.tolist() == [["a", "b", None]]
    assert hits.leg_ranks["x"].tolist() == [[1, 2, 0]]
    np.testing.assert_array_equal(hits.leg_scores["x"][0, :2], [3.0, 2.0])


# ---- real legs ----


@pytest.fixture(scope="module")
def world() -> dict[str, Any]:
    """Documents of which each leg sees one half of the dimensions."""
    rng = np.random.default_rng(0)
    X, topics = rng.standard_normal((400, 16)), rng.integers(0, 400, 60)
    q = X[topics] + 0.9 * rng.standard_normal((60, 16))
    names = [f"d{i:03d}" for i in range(400)]
    left = vl.index.Exact().fit(X[:, :8], ids=names)
    right = vl.index.MultiVector(encoding=None).fit(X[:, None, 8:], ids=names)
    queries = {"left": q[:, :8], "right": q[:, None, 8:]}
    qrels = {str(i): {names[t]: 1} for i, t in enumerate(topics)}
    return {"legs": {"left": left, "right": right}, "queries": queries, "qrels": qrels}


def ndcg(hits: vl.index.Hits, qrels: Any) -> float:
    from vectorloom.measure import evaluate_retrieval

    return float(evaluate_retrieval(qrels, hits, ["nDCG@10"])["nDCG@10"])


def test_two_halves_together_beat_each(world: dict[str, Any]) -> None:
    legs, queries, qrels = world["legs"], world["queries"], world["qrels"]
    alone = [ndcg(legs[name].search(queries[name], k=10), qrels) for name in legs]
    for fusion in ("rrf", "weighted"):
        hybrid = vl.index.Hybrid(legs, fusion=fusion)
        assert ndcg(hybrid.search(queries, k=10), qrels) > max(alone)


def test_fitted_weights_are_about_as_good_as_any_of_the_grid(world: dict[str, Any]) -> None:
    legs, queries, qrels = world["legs"], world["queries"], world["qrels"]
    hybrid = vl.index.Hybrid(legs, fusion="weighted").fit_weights(queries, qrels)
    assert sum(hybrid.weights.values()) == pytest.approx(1.0)
    best = ndcg(hybrid.search(queries, k=100), qrels)
    for share in (0.0, 0.3, 0.5, 0.8, 1.0):
        weights = {"left": 1.0 - share, "right": share}
        other = vl.index.Hybrid(legs, fusion="weighted", weights=weights)
        # Within one standard error of the best, 60 queries.
        assert best >= ndcg(other.search(queries, k=100), qrels) - 0.03
    three = vl.index.Hybrid(legs | {"again": legs["left"]}, fusion="weighted")
    three.fit_weights(queries | {"again": queries["left"]}, qrels)
    assert ndcg(three.search(queries | {"again": queries["left"]}, k=100), qrels) >= best - 0.04


def test_a_leg_that_knows_nothing_gets_little_and_one_query_decides_nothing(
    world: dict[str, Any],
) -> None:
    legs, queries, qrels = world["legs"], world["queries"], world["qrels"]
    noise = np.random.default_rng(1).standard_normal((400, 8))
    blind = vl.index.Exact().fit(noise, ids=legs["left"].ids_)
    asked = {"left": queries["left"], "blind": noise[:60]}
    hybrid = vl.index.Hybrid({"left": legs["left"], "blind": blind}, fusion="weighted")
    assert hybrid.fit_weights(asked, qrels).weights["blind"] < 0.3
    one = {name: what[:1] for name, what in asked.items()}
    assert hybrid.fit_weights(one, {"0": qrels["0"]}).weights == {"left": 0.5, "blind": 0.5}


def test_missing_legs_leave_the_others(world: dict[str, Any]) -> None:
    legs, queries = world["legs"], world["queries"]
    hybrid = vl.index.Hybrid(legs)
    only = hybrid.search({"left": queries["left"]}, k=5)
    np.testing.assert_array_equal(only.ids, legs["left"].search(queries["left"], k=5).ids)
    assert list(only.leg_ranks) == ["left"]
    some: list[Any] = list(queries["right"])
    some[1] = None
    mixed = hybrid.search({"left": queries["left"], "right": some}, k=5)
    both = hybrid.search(queries, k=5)
    np.testing.assert_array_equal(mixed.ids[1], only.ids[1])
    np.testing.assert_array_equal(np.delete(mixed.ids, 1, 0), np.delete(both.ids, 1, 0))
    gone = hybrid.search({"left": queries["left"], "right": [None] * 60}, k=5)
    np.testing.assert_array_equal(gone.ids, only.ids)


def test_filters_reach_every_leg(world: dict[str, Any]) -> None:
    hybrid, queries = vl.index.Hybrid(world["legs"]), world["queries"]
    names = world["legs"]["left"].ids_
    hits = hybrid.search(queries, k=5, where=names[:20].tolist())
    assert set(hits.ids.ravel()) <= set(names[:20])
    mask = np.arange(400) < 20
    np.testing.assert_array_equal(hybrid.search(queries, k=5, where=mask).ids, hits.ids)
    each = [[name] for name in names[:60]]
    assert hybrid.search(queries, k=1, where=each).ids[:, 0].tolist() == names[:60].tolist()
    other = vl.index.Exact().fit(np.eye(8), ids=list("abcdefgh"))
    uneven = vl.index.Hybrid(world["legs"] | {"other": other})
    with pytest.raises(ParameterError, match="mask"):
        uneven.search(queries | {"other": np.ones((60, 8))}, where=mask)


def test_a_saved_hybrid_answers_alike(world: dict[str, Any], tmp_path: Path) -> None:
    hybrid = vl.index.Hybrid(world["legs"], fusion="weighted", weights={"left": 0.3, "right": 0.7})
    hybrid.save(tmp_path / "both.vl")
    opened = vl.open(tmp_path / "both.vl", verify=True)
    mine, theirs = (h.search(world["queries"], k=7) for h in (hybrid, opened))
    np.testing.assert_array_equal(mine.ids, theirs.ids)
    np.testing.assert_array_equal(mine.scores, theirs.scores)
    assert [p.name for p in tmp_path.iterdir()] == ["both.vl"]


def test_bad_input_is_refused(world: dict[str, Any]) -> None:
    legs, queries = world["legs"], world["queries"]
    for params in (
        {"fusion": "vote"},
        {"normalise": "log"},
        {"weights": {"left": 1.0}},
        {"weights": {"left": 1.0, "right": -1.0}},
        {"weights": {"left": 0.0, "right": 0.0}},
        {"weights": {"left": np.nan, "right": 1.0}},
        {"constant": -1.0},
        {"depth": 0},
    ):
        with pytest.raises(ParameterError):
            vl.index.Hybrid(legs, **params).search(queries)
    hybrid = vl.index.Hybrid(legs)
    for bad in ({}, {"middle": queries["left"]}, queries["left"], {"left": None}):
        with pytest.raises(ParameterError):
            hybrid.search(bad)
    with pytest.raises(ParameterError):
        hybrid.search(queries, k=0)
    with pytest.raises(ShapeError, match="same queries"):
        hybrid.search({"left": queries["left"][:3], "right": queries["right"]})
    with pytest.raises(ParameterError):
        vl.index.Hybrid({}).search(queries)
    mixed = {"x": Canned(made([["a"]], [[1.0]])), "y": Canned(made([[1]], [[1.0]]))}
    with pytest.raises(ParameterError, match="ids of one type"):
        vl.index.Hybrid(mixed).search({"x": [0], "y": [0]})
    far = {"x": Canned(made([["a"]], [[-3.0]], "l2"))}
    with pytest.raises(ParameterError, match="least"):
        vl.index.Hybrid(far, fusion="weighted", normalise="theoretical").search({"x": [0]})


# ---- two stages ----


def test_the_second_stage_ranks_what_the_first_found(world: dict[str, Any]) -> None:
    left, right = world["legs"]["left"], world["legs"]["right"]
    q = world["queries"]
    first = left.search(q["left"], k=50)
    for one, other, a, b in ((left, right, "left", "right"), (right, left, "right", "left")):
        stages = vl.index.TwoStage(one, other, n_candidates=50)
        hits = stages.search({"first": q[a], "second": q[b]}, k=5)
        found = one.search(q[a], k=50)
        allowed = [found[i].ids.tolist() for i in range(60)]
        np.testing.assert_array_equal(hits.ids, other.search(q[b], k=5, where=allowed).ids)
    assert len(first) == 60
    with pytest.raises(ParameterError, match="'first' and 'second'"):
        stages.search(q["left"])
