# SPDX-License-Identifier: Apache-2.0
"""The report card is judged: figures worked out by hand, warnings that must and must not come."""

from __future__ import annotations

import dataclasses
import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import vectorloom as vl
from vectorloom.compress.compressor import Compressor
from vectorloom.compress.report_advice import neighbour_contrast
from vectorloom.compress.report_chart import family_of
from vectorloom.compress.report_measuring import best_by_score, worst
from vectorloom.compress.report_methods import (
    budget_of,
    budgets_for,
    default_recipes,
    resolve,
)
from vectorloom.compress.report_page import render
from vectorloom.errors import ParameterError, ShapeError

Floats = NDArray[np.float32]


class Exact(Compressor):
    """Keeps the rows as they are, as bytes."""

    def __init__(self) -> None:
        pass

    def _fit(self, X: Floats, y: Any, queries: Any) -> None:
        self.dim_ = X.shape[1]

    def _bytes(self) -> int:
        return 4 * self.dim_

    def _transform(self, X: Floats) -> NDArray[np.uint8]:
        return X.view(np.uint8)

    def _inverse(self, codes: Any) -> Floats:
        return np.ascontiguousarray(codes).view(np.float32)


class Demoting(Exact):
    """Scores the true best `n_lost` rows of each query below all others."""

    def __init__(self, n_lost: int = 1) -> None:
        self.n_lost = n_lost

    def _scores(self, queries: Floats, codes: Any, metric: str) -> Floats:
        scores = queries @ self._inverse(codes).T
        lost = np.argsort(-scores, axis=1)[:, : self.n_lost]
        np.put_along_axis(scores, lost, -9.0, 1)
        return scores


class Mute(Exact):
    """Has no inverse."""

    def _inverse(self, codes: Any) -> Floats:
        raise NotImplementedError

    def _scores(self, queries: Floats, codes: Any, metric: str) -> Floats:
        return queries @ np.ascontiguousarray(codes).view(np.float32).T


class Refusing(Exact):
    def _fit(self, X: Floats, y: Any, queries: Any) -> None:
        raise ShapeError("too few rows for the codewords; give more.")


def unit(rows: NDArray[Any]) -> Floats:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def rows(rng: np.random.Generator) -> Floats:
    """Unit rows around 30 centres, nearly in 8 of 16 dimensions."""
    centres = rng.standard_normal((30, 16)) * np.repeat([1.0, 0.2], 8)
    return unit(centres[rng.integers(30, size=1200)] + 0.2 * rng.standard_normal((1200, 16)))


@pytest.fixture
def queries(rows: Floats, rng: np.random.Generator) -> Floats:
    chosen = rows[rng.permutation(len(rows))[:250]]
    return unit(chosen + 0.1 * rng.standard_normal(chosen.shape))


def card(X: Any, queries: Any = None, methods: Any = ("pca:8", "pca:4"), **more: Any) -> Any:
    return vl.compress.report(X, queries, methods=list(methods), **more)


# ---------------------------------------------------------------- figures


def test_recall_of_planted_losses_is_what_was_planted(rows: Floats, queries: Floats) -> None:
    row = card(rows, queries, [Demoting(3)], k=10).rows[0]
    # Three of the true ten are never candidates, before or after re-check.
    assert row.recall == row.recall_4k == row.recall_10k == pytest.approx(0.7)
    assert row.recall_interval == pytest.approx((0.7, 0.7))
    assert row.worst_decile == pytest.approx(0.7)


def test_recall_is_numpys(rows: Floats, queries: Floats) -> None:
    truth = np.argsort(-(queries.astype(float) @ rows.T.astype(float)), axis=1)[:, :5]
    pca = vl.compress.PCA(4).fit(rows)
    by_code = np.argsort(-pca.scores(queries, pca.transform(rows), "cosine"), axis=1)
    shares = [
        np.mean([len({*a} & {*b}) / 5 for a, b in zip(truth, by_code[:, :depth], strict=True)])
        for depth in (5, 20, 50)
    ]
    row = card(rows, queries, ["pca:4"], k=5).rows[0]
    assert (row.recall, row.recall_4k, row.recall_10k) == pytest.approx(shares, abs=1e-3)


def test_exact_codes_lose_nothing(rows: Floats, queries: Floats) -> None:
    for metric in ("cosine", "ip", "l2"):
        row = card(rows, queries, [Exact()], metric=metric).rows[0]
        assert row.recall == row.worst_decile == 1.0
        assert row.error == 0.0
        assert row.bytes_per_vector == 64


def test_a_duplicate_of_the_true_row_is_as_good(rows: Floats, queries: Floats) -> None:
    twice = np.concatenate([rows, rows])
    assert card(twice, queries, [Exact()], k=3).rows[0].recall == 1.0


def test_the_error_is_the_share_of_the_variance_that_is_lost(rows: Floats) -> None:
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
    kept = card(rows, rows[:50], ["pca:8"]).rows[0]
    assert kept.error == pytest.approx(values[8:].sum() / values.sum(), rel=1e-3)
    assert math.isnan(card(rows, rows[:50], [Mute()]).rows[0].error)


def test_ndcg_by_hand() -> None:
    base = np.concatenate([np.eye(4), -np.eye(4), unit(np.ones((6, 4)) - 2 * np.eye(6, 4))])
    asked = unit(np.array([[4.0, 3.0, 2.0, 1.0]]))
    # The exact order begins 0, 1 among the judged: gains 1 at its rank and 2 at its own.
    qrels = {"q": {"r1": 2, "r0": 1, "gone": 1}}
    found = card(
        base, asked, [Exact()], k=2, qrels=qrels, ids=[f"r{i}" for i in range(14)], query_ids=["q"]
    )
    order = np.argsort(-(asked @ base.T)[0], kind="stable").tolist()
    discount = lambda place: 1 / math.log2(place + 2)  # noqa: E731
    ideal = 2 * discount(0) + discount(1) + discount(2)
    expected = (2 * discount(order.index(1)) + discount(order.index(0))) / ideal
    assert found.exact_ndcg == pytest.approx(expected)
    assert found.rows[0].ndcg == pytest.approx(expected)
    assert found.rows[0].ndcg_loss == pytest.approx(0.0)
    assert found.n_judged == 1


def test_a_query_that_is_a_document_is_not_its_own_answer(rows: Floats) -> None:
    ids = [f"d{i}" for i in range(len(rows))]
    nearest = np.argsort(-(rows[:40] @ rows.T), axis=1)[:, 1]
    qrels = {ids[i]: {ids[nearest[i]]: 1} for i in range(40)}
    found = card(rows, rows[:40], [Exact()], qrels=qrels, ids=ids, query_ids=ids[:40])
    assert found.exact_ndcg == pytest.approx(1.0)


def test_only_judged_queries_are_asked_and_judged_rows_stay_in_a_sample(
    rows: Floats, queries: Floats
) -> None:
    nearest = (queries @ rows.T).argmax(axis=1)
    qrels = {i: {int(nearest[i]): 1} for i in range(0, 250, 5)}
    found = card(rows, queries, [Exact()], qrels=qrels, sample=100)
    assert (found.n_rows, found.n_queries, found.n_judged) == (100, 50, 50)
    assert found.exact_ndcg == 1.0


def test_the_worst_tenth_by_hand() -> None:
    assert worst(np.array([0.0, 0.5] + [1.0] * 18)) == 0.25
    assert worst(np.array([0.4, 0.6])) == 0.4


def test_best_by_score_breaks_ties_by_position() -> None:
    scores = np.array([[1, 2, 2, 0, 2, 1]], np.float32)
    assert best_by_score(scores, 4).tolist() == [[1, 2, 4, 0]]
    assert best_by_score(scores, 6).tolist() == [[1, 2, 4, 0, 5, 3]]


def test_held_out_rows_are_not_searched_and_the_report_says_so(rows: Floats) -> None:
    found = card(rows)
    assert (found.n_rows, found.n_queries) == (1080, 120)
    assert "held out" in found.queries_from
    assert any("No queries were given: 120 rows" in text for text in found.warnings)
    assert not any("exact copy" in text for text in found.warnings)


def test_the_same_random_state_gives_the_same_figures(rows: Floats) -> None:
    def figures(state: int, jobs: int) -> list[tuple[float, ...]]:
        found = card(rows, random_state=state, n_jobs=jobs)
        return [
            (row.recall, *row.recall_interval, row.recall_4k, row.worst_decile)
            for row in found.rows
        ]

    assert figures(3, 1) == figures(3, 2)
    assert figures(3, 1) != figures(4, 1)


def test_a_given_compressor_is_copied_and_stays_unfitted(rows: Floats, queries: Floats) -> None:
    mine = vl.compress.PCA(6)
    found = card(rows, queries, [mine, "pca:6|float16"])
    assert not hasattr(mine, "components_")
    assert [row.name for row in found.rows] == ["pca:6 | float16", "pca:6"]


# ---------------------------------------------------------------- methods and budgets


def test_default_recipes_fill_the_budget_and_never_pass_it() -> None:
    recipes = default_recipes(384, [48])
    assert {"pq:48", "opq:48", "rq:48", "sign", "itq:384", "pca:48 | float8"} <= set(recipes)
    assert "float8" not in recipes
    assert "float16" in default_recipes(384, budgets_for(None, 384))
    assert all(resolve(text, 0)[1] for text in recipes if text.startswith("pca:48"))


def test_a_prime_dimension_has_recipes_without_product_quantizers() -> None:
    recipes = default_recipes(17, budgets_for(None, 17))
    assert recipes
    assert not any(text.startswith(("pq", "opq")) for text in recipes)


def test_budgets() -> None:
    assert budgets_for(48, 384) == (48,)
    assert budgets_for([96, 48, 48], 384) == (48, 96)
    assert budgets_for(None, 384) == (32, 56, 104, 200, 392, 776)
    assert [budget_of(size, (48, 96)) for size in (1, 48, 49, 97)] == [48, 48, 96, None]
    for wrong in ([], [0], [4.5], True):
        with pytest.raises((ParameterError, TypeError)):
            budgets_for(wrong, 384)


def test_a_method_that_fails_is_listed_and_the_others_measured(
    rows: Floats, queries: Floats
) -> None:
    found = card(rows, queries, [Refusing(), "pca:4"])
    assert [row.name for row in found.rows] == ["pca:4"]
    assert found.failed == (("Refusing()", "too few rows for the codewords; give more."),)
    assert "too few rows" in render(found)


@pytest.mark.parametrize(
    ("methods", "complaint"),
    [
        (["sqish:4"], "no step of a recipe"),
        ([3], "a compressor or a recipe"),
        ([], "at least one compressor"),
        ("pca:4", "must be a list"),
        (["report"], "no step of a recipe|is no compressor"),
    ],
)
def test_unknown_methods_are_refused_before_anything_is_measured(
    rows: Floats, methods: Any, complaint: str
) -> None:
    with pytest.raises(ParameterError, match=complaint):
        vl.compress.report(rows, methods=methods)


# ---------------------------------------------------------------- warnings


def said(found: Any, words: str) -> bool:
    return any(words in text for text in found.warnings)


def test_nothing_is_warned_of_on_real_like_rows_with_queries_of_their_own(
    rows: Floats, queries: Floats
) -> None:
    assert card(rows, queries).warnings == ()


def test_random_rows_are_called_random(rng: np.random.Generator, queries: Floats) -> None:
    noise = rng.standard_normal((1500, 16)).astype(np.float32)
    assert said(card(noise, queries, metric="l2"), "look random")
    assert said(card(unit(noise), queries), "look random")


def test_shuffled_columns_lose_what_made_neighbours(rows: Floats, rng: np.random.Generator) -> None:
    own, shuffled = neighbour_contrast(rows, rng)
    assert own < 0.9 * shuffled
    # Independent columns have nothing to lose.
    alone, again = neighbour_contrast(rng.standard_normal((1500, 32)).astype(np.float32), rng)
    assert alone == pytest.approx(again, rel=0.02)


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_queries_out_of_the_corpus_are_noticed(rows: Floats, metric: str) -> None:
    assert said(card(rows, rows[:300], metric=metric), "drawn from the corpus: 100%")


def test_few_queries_lengths_and_duplicates_are_noticed(
    rows: Floats, queries: Floats, rng: np.random.Generator
) -> None:
    assert said(card(rows, queries[:30]), "Only 30 queries")
    stretched = rows * rng.uniform(0.5, 2, (len(rows), 1)).astype(np.float32)
    assert said(card(stretched, queries), "differ in length")
    assert not said(card(stretched, queries, metric="ip"), "differ in length")
    assert said(card(np.concatenate([rows, rows[:30]]), queries), "exact copies")
    assert said(card(rows, queries, sample=500), "A random 500 of 1,200 rows")


def test_codebooks_that_know_their_rows_by_heart_are_noticed(rows: Floats, queries: Floats) -> None:
    found = card(rows, queries, ["pq:8", "pca:8"])
    assert said(found, "1,200 rows that they encode, 4 a codeword")


# ---------------------------------------------------------------- advice


def test_the_advice_names_the_smallest_that_is_good_enough(rows: Floats, queries: Floats) -> None:
    found = card(rows, queries, ["pca:1", "pca:12", "pca:14", Exact()])
    first, second = found.advice[:2]
    smallest = next(row for row in found.rows if row.recall_4k >= 0.95)
    assert f"is {smallest.name}: {smallest.bytes_per_vector} bytes" in first
    assert f"{64 / smallest.bytes_per_vector:.1f}× smaller" in first
    assert "from the codes alone" in second


def test_the_advice_says_when_none_is_good_enough(rows: Floats, queries: Floats) -> None:
    found = card(rows, queries, [Demoting(5)])
    assert "None keeps recall@10 ≥ 0.95" in found.advice[0]
    assert "0.500" in found.advice[0]


def test_the_advice_says_who_dominates_and_who_cannot_be_told_apart(
    rows: Floats, queries: Floats
) -> None:
    found = card(rows, queries, [Demoting(4), Exact(), Mute()], bytes=[64])
    text = " ".join(found.advice)
    assert "dominates Demoting(n_lost=4)" in text
    assert "Exact() finds the most" in text or "Mute() finds the most" in text
    assert "cannot be told from it" in text


# ---------------------------------------------------------------- the result


def test_the_result_is_frozen_and_plain(rows: Floats, queries: Floats) -> None:
    found = card(rows, queries)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.k = 3
    plain = json.loads(json.dumps(found.to_dict()))
    assert [row["name"] for row in plain["rows"]] == ["pca:4", "pca:8"]
    assert plain["recheck"] == [40, 100]
    assert "found" not in plain["rows"][0]
    assert found["pca:8"].recall > found["pca:4"].recall
    with pytest.raises(ParameterError, match="there are pca:4, pca:8"):
        found["pq:8"]


def test_the_table_is_markdown_with_one_line_a_method(rows: Floats, queries: Floats) -> None:
    lines = card(rows, queries, ["pca:4 | float16", "pca:8"]).table().splitlines()
    assert len(lines) == 4
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "`pca:4 \\| float16`" in lines[2]


def test_the_page_needs_no_network_and_escapes_names(
    rows: Floats, queries: Floats, tmp_path: Path
) -> None:
    found = card(rows, queries, ["pca:4", Exact()], qrels={i: {i: 1} for i in range(60)})
    row = dataclasses.replace(found.rows[0], name="<script>alert(1)</script>")
    found = dataclasses.replace(found, rows=(row, *found.rows[1:]))
    found.save(tmp_path / "card.html")
    page = (tmp_path / "card.html").read_text(encoding="utf-8")
    outside = page.replace("http://www.w3.org/2000/svg", "")
    assert not any(word in outside for word in ("http:", "https:", "<link", "@import", " src="))
    assert "<script>alert" not in page
    assert "{{" not in page
    assert "nDCG@10" in page
    assert page.count("<svg") == 5, "the sign and four pictures"


def test_the_picture_is_xml_with_a_point_a_method(
    rows: Floats, queries: Floats, tmp_path: Path
) -> None:
    found = card(rows, queries, ["pca:4", "pca:8", "pca:4 | float16"])
    chart = found.plot()
    chart.save(tmp_path / "card.svg")
    root = ElementTree.fromstring((tmp_path / "card.svg").read_text(encoding="utf-8"))
    assert chart._repr_svg_().startswith("<svg")
    titles = [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}title")]
    assert sum("pca:4 | float16: 8 bytes" in text for text in titles) == 2
    assert found._repr_html_().count("<table>") == 1


def test_a_report_of_one_method_can_be_drawn(rows: Floats, queries: Floats) -> None:
    assert "pca:8" in card(rows, queries, ["pca:8"]).plot().svg
    nothing = card(rows, queries, [Refusing()])
    assert "<svg" in nothing.plot().svg
    assert "No method could be measured" in nothing.advice[0]
    assert render(nothing)


def test_families_go_by_the_last_step() -> None:
    names = ["float8", "pca:8 | lvq:4", "rabitq:1", "opq:8", "PQ(n_parts=8)", "itq:8", "pca:4"]
    assert [family_of(name) for name in names] == [0, 1, 2, 3, 3, 4, 5]
    assert family_of("pca:8 | float8") == 5, "narrow floats after a reducer are fewer dimensions"


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "error", "complaint"),
    [
        ({"metric": "hamming"}, ParameterError, "metric must be one of"),
        ({"k": 0}, ParameterError, "k must be"),
        ({"sample": 0}, ParameterError, "sample must be"),
        ({"qrels": {0: {0: 1}}}, ParameterError, "no queries were given"),
        ({"queries": np.ones((3, 5))}, ShapeError, "16 columns"),
        ({"queries": np.zeros((3, 16))}, ParameterError, "zero rows"),
        ({"queries": np.ones((3, 16)), "qrels": {"a": {0: 1}}}, ParameterError, "judge none"),
        ({"queries": np.ones((3, 16)), "qrels": {0: {"a": 1}}}, ParameterError, "name no row"),
        ({"X": np.full((50, 16), np.nan)}, ParameterError, "NaN"),
        ({"X": np.ones((8, 16))}, ShapeError, "held out|more than"),
        ({"X": np.ones(16)}, ShapeError, "2-d"),
        ({"X": np.zeros((200, 16))}, ParameterError, "zero rows"),
        ({"k": 1200}, ShapeError, "recall@1200 needs more"),
    ],
)
def test_bad_input_is_refused_with_the_remedy(
    rows: Floats, change: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    arguments: dict[str, Any] = {"X": rows, "methods": ["pca:4"], **change}
    with pytest.raises(error, match=complaint):
        vl.compress.report(**arguments)
