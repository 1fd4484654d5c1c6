# SPDX-License-Identifier: Apache-2.0
"""Retrieval metrics: worked by hand, equal to trec_eval's on runs with ties, honest about gaps."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vectorloom as vl
from vectorloom.errors import FormatError, ParameterError
from vectorloom.measure.rankings import read_rankings

evaluate = vl.measure.evaluate_retrieval

TREC = {
    "nDCG": "ndcg", "nDCG@5": "ndcg_cut_5", "nDCG@10": "ndcg_cut_10",
    "P@5": "P_5", "P@100": "P_100", "recall@5": "recall_5", "recall@100": "recall_100",
    "MAP": "map", "MAP@10": "map_cut_10", "MRR": "recip_rank", "success@1": "success_1",
    "success@5": "success_5", "Rprec": "Rprec", "bpref": "bpref",
}  # fmt: skip


def random_case(seed: int, *, levels: int = 4, lowest: int = 0) -> tuple[dict, dict]:
    """Judgments and a run with many ties, unjudged documents, and queries that have only one."""
    rng = np.random.default_rng(seed)
    qrels, run = {}, {}
    for q in range(30):
        docs = [f"d{i}" for i in rng.permutation(300)]
        judged = docs[: rng.integers(1, 60)]
        qrels[f"q{q}"] = {d: int(rng.integers(lowest, levels)) for d in judged}
        found = rng.permutation(docs)[: rng.integers(1, 150)]
        grid = rng.integers(0, 12, len(found)) / 7 + 1e-9 * rng.random(len(found))
        run[f"q{q + 2}"] = {str(d): float(s) for d, s in zip(found, grid, strict=True)}
    return qrels, run


def order(run: dict) -> list[str]:
    """The ranking as judgments of every document see it, in the order of document ids."""
    seen = read_rankings(["q"], [dict.fromkeys(run, 0)], [run], 1, float)
    assert seen.ranks.tolist() == list(range(1, len(run) + 1))
    places = [
        int(read_rankings(["q"], [{document: 0}], [run], 1, float).ranks[0]) for document in run
    ]
    return [document for _, document in sorted(zip(places, run, strict=True))]


# ---- worked by hand ----------------------------------------------------------------------------


@pytest.fixture
def hand() -> tuple[dict, dict]:
    # Ranking: a (unjudged), b (grade 2), c (grade 0), d (grade 1), e (grade 0); f (grade 3) missed.
    qrels = {"q": {"b": 2, "c": 0, "d": 1, "e": 0, "f": 3}}
    return qrels, {"q": {"a": 5.0, "b": 4.0, "c": 3.0, "d": 2.0, "e": 1.0}}


@pytest.mark.parametrize(
    ("metric", "want"),
    [
        ("P@1", 0.0),
        ("P@2", 1 / 2),
        ("P@10", 2 / 10),
        ("P", 2 / 5),
        ("recall@2", 1 / 3),
        ("recall", 2 / 3),
        ("MRR", 1 / 2),
        ("MRR@1", 0.0),
        ("success@1", 0.0),
        ("success@2", 1.0),
        ("MAP", (1 / 2 + 2 / 4) / 3),
        ("MAP@2", (1 / 2) / 3),
        ("Rprec", 1 / 3),
        ("judged@2", 1 / 2),
        # b has no judged non-relevant above it, d has one of min(2, 3) = 2.
        ("bpref", (1 + (1 - 1 / 2)) / 3),
        (
            "nDCG",
            (2 / math.log2(3) + 1 / math.log2(5)) / (3 + 2 / math.log2(3) + 1 / math.log2(4)),
        ),
        ("nDCG@2", (2 / math.log2(3)) / (3 + 2 / math.log2(3))),
    ],
)
def test_metrics_follow_their_formulas_by_hand(hand, metric, want) -> None:
    assert evaluate(*hand, [metric])[metric] == pytest.approx(want, abs=1e-15)


def test_ties_are_broken_by_document_id_descending_in_float32() -> None:
    assert order({"a": 1.0, "b": 1.0, "d": 0.5, "c": 2.0}) == ["c", "b", "a", "d"]
    # 1 + 1e-9 is 1 in float32, so the id decides, as in trec_eval.
    assert order({"a": 1.0 + 1e-9, "b": 1.0}) == ["b", "a"]
    assert order({"9": 1.0, "10": 1.0}) == ["9", "10"]  # ids are text
    assert order({"a": 0.0, "b": -0.0, "c": -math.inf, "d": -1.0, "e": math.inf}) == list("ebadc")


@given(
    rows=st.lists(
        st.dictionaries(
            st.text("abé\U0001f600", min_size=1, max_size=3),
            st.one_of(
                st.sampled_from([0.0, -0.0, 1.0, -1.0]), st.floats(width=32, allow_nan=False)
            ),
        ),
        max_size=5,
    )
)
def test_all_queries_are_ranked_at_once_as_each_is_alone(rows) -> None:
    names = [str(i) for i in range(len(rows))]
    seen = read_rankings(names, [dict.fromkeys(row, 1) for row in rows], rows, 1, float)
    assert seen.queries.tolist() == [i for i, row in enumerate(rows) for _ in row]
    assert seen.ranks.tolist() == [rank for row in rows for rank in range(1, len(row) + 1)]
    half = [{d: 1 for d in row if len(d) == 1} for row in rows]
    seen = read_rankings(names, half, rows, 1, float)
    want = [sorted(row, key=lambda d: (np.float32(row[d]), d), reverse=True) for row in rows]
    assert seen.ranks.tolist() == [i + 1 for row in want for i, d in enumerate(row) if len(d) == 1]


def test_gains_may_be_exponential_or_given(hand) -> None:
    ideal = (7, 3, 1)
    want = (3 / math.log2(3) + 1 / math.log2(5)) / sum(
        g / math.log2(i + 2) for i, g in enumerate(ideal)
    )
    assert evaluate(*hand, ["nDCG"], gains="exponential")["nDCG"] == pytest.approx(want)
    given = evaluate(*hand, ["nDCG"], gains={3: 7.0, 2: 3.0})["nDCG"]
    assert given == pytest.approx(want)


def test_the_level_of_relevance_moves_all_metrics_but_ndcg(hand) -> None:
    at = evaluate(*hand, ["MRR", "recall", "nDCG"], relevance_level=3)
    assert at["MRR"] == at["recall"] == 0.0
    assert at["nDCG"] == evaluate(*hand, ["nDCG"])["nDCG"]


# ---- laws --------------------------------------------------------------------------------------


def test_a_perfect_run_has_one_of_everything() -> None:
    qrels, _ = random_case(1)
    qrels = {q: {d: g + 1 for d, g in judged.items()} for q, judged in qrels.items()}
    names = ["nDCG", "nDCG@10", "MAP", "MRR", "Rprec", "bpref", "recall", "success@1"]
    result = evaluate(qrels, qrels, names)
    np.testing.assert_allclose(result.values, 1.0)


def test_metrics_depend_on_ranks_only() -> None:
    qrels, run = random_case(2)
    scaled = {q: {d: 4 * s for d, s in r.items()} for q, r in run.items()}
    names = list(TREC)
    np.testing.assert_array_equal(
        evaluate(qrels, run, names).values, evaluate(qrels, scaled, names).values
    )


def test_missing_queries_are_stated_and_counted_as_asked() -> None:
    qrels = {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 0}}
    run = {"a": {"x": 1.0}, "c": {"x": 1.0}, "z": {"x": 1.0}}
    zero = evaluate(qrels, run, ["MRR"])
    assert (zero["MRR"], zero.missing, zero.unjudged) == (1 / 3, ("b",), ("z",))
    assert zero.without_relevant == ("c",)
    assert evaluate(qrels, run, ["MRR"], missing="skip")["MRR"] == 1 / 2
    assert "1 judged queries have no answer: counted as 0" in str(zero)


def test_a_querys_own_document_can_be_taken_out() -> None:
    qrels, run = {"d1": {"d2": 1}}, {"d1": {"d1": 1.0, "d2": 0.9}}
    assert evaluate(qrels, run, ["MRR"])["MRR"] == 0.5
    assert evaluate(qrels, run, ["MRR"], ignore_identical_ids=True)["MRR"] == 1.0


def test_hits_and_files_are_runs_too(tmp_path: Path) -> None:
    hits = vl.index.Exact(metric="ip").fit([[1.0, 0.0], [0.0, 1.0]]).search([[2.0, 1.0]], k=2)
    assert evaluate({0: {1: 1}}, hits, ["MRR"])["MRR"] == 0.5
    (tmp_path / "qrels").write_text("q1 0 d1 1\nq1 0 d2 0\n")
    (tmp_path / "beir.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\n")
    (tmp_path / "run").write_text("q1 Q0 d2 1 2.0 me\nq1 Q0 d1 2 1.0 me\n")
    for name in ("qrels", "beir.tsv"):
        assert evaluate(tmp_path / name, str(tmp_path / "run"), ["MRR"])["MRR"] == 0.5


# ---- parity ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "lowest"), [(0, 0), (1, 0), (2, -1), (3, -2)])
def test_metrics_equal_those_of_trec_eval_on_runs_with_ties(seed, lowest) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    qrels, run = random_case(seed, lowest=lowest)
    asked = {"ndcg", "map", "recip_rank", "Rprec", "bpref"}
    asked |= {"ndcg_cut.5,10", "P.5,100", "recall.5,100", "map_cut.10", "success.1,5"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, asked).evaluate(run)
    ours = evaluate(qrels, run, list(TREC), missing="skip").per_query()
    assert ours.keys() == theirs.keys()
    for query in ours:
        for name, trec in TREC.items():
            assert ours[query][name] == pytest.approx(theirs[query][trec], abs=1e-9), (query, name)


def test_metrics_equal_those_of_ir_measures() -> None:
    ir_measures = pytest.importorskip("ir_measures")
    qrels, run = random_case(5)
    names = {
        "nDCG@10": ir_measures.nDCG @ 10,
        "P@5": ir_measures.P @ 5,
        "recall@100": ir_measures.R @ 100,
        "MAP": ir_measures.AP,
        "MRR": ir_measures.RR,
        "judged@10": ir_measures.Judged @ 10,
    }
    theirs = ir_measures.calc_aggregate(list(names.values()), qrels, run)
    ours = evaluate(qrels, run, list(names))
    for name, measure in names.items():
        if name != "judged@10":
            assert ours[name] == pytest.approx(theirs[measure], abs=1e-9), name


# ---- significance ------------------------------------------------------------------------------


def test_few_queries_have_the_exact_p_value() -> None:
    assert vl.measure.randomization_test([1.0] * 5) == 2 / 2**5
    assert vl.measure.randomization_test([1.0, -1.0]) == 1.0
    assert vl.measure.randomization_test([0.0] * 40) == 1.0


def test_p_values_are_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(0)
    found = [
        vl.measure.randomization_test(rng.standard_normal(40), n_resamples=200, random_state=i)
        for i in range(300)
    ]
    assert 0.02 <= np.mean(np.array(found) <= 0.05) <= 0.09


def test_the_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for i in range(200):
        low, high = vl.measure.bootstrap_interval(
            rng.random(60), n_resamples=300, random_state=i, level=0.9
        )
        inside += low <= 0.5 <= high
    assert 0.82 <= inside / 200 <= 0.96


def test_two_runs_are_compared_on_the_same_queries() -> None:
    qrels, run = random_case(4)
    best = {q: {d: float(g) for d, g in judged.items()} for q, judged in qrels.items()}
    a, b = evaluate(qrels, best), evaluate(qrels, run)
    found = a.compare(b, "nDCG@10")
    assert found.mean == pytest.approx(a["nDCG@10"] - b["nDCG@10"])
    assert found.low <= found.mean <= found.high
    assert found.p_value < 0.001
    assert found.better + found.worse + found.equal == len(qrels)
    assert "p = 0.0001" in str(found)
    with pytest.raises(ParameterError, match="different queries"):
        a.compare(evaluate(qrels, run, missing="skip"), "nDCG@10")


# ---- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("qrels", "run", "options", "said"),
    [
        ({"1": {"a": 1}}, {"2": {"a": 1.0}}, {}, "no query in common"),
        ({"1": {"a": 1}}, {}, {}, "the run none"),
        ({"1": {"a": 1}}, {"1": {"a": math.nan}}, {}, "NaN score for document 'a'"),
        ({"1": {"a": 0.5}}, {"1": {"a": 1.0}}, {}, "whole numbers"),
        ({"1": {"a": "1"}}, {"1": {"a": 1.0}}, {}, "whole numbers"),
        ({"1": {"a": math.nan}}, {"1": {"a": 1.0}}, {}, "whole numbers"),
        ({"1": {"a": 1}}, {"1": {"a": "high"}}, {}, "no numbers"),
        ({"1": {"a": 2**70}}, {"1": {"a": 1.0}}, {}, "beyond 64 bits"),
        ({"1": {"a": 1}}, {"1": [1]}, {}, "run must map queries"),
        ([1], {"1": {"a": 1.0}}, {}, "qrels must map queries"),
        ({1: {"a": 1}, "1": {"a": 1}}, {"1": {"a": 1.0}}, {}, "same as text"),
        ({"1": {"a": 1}}, {"1": {"a": 1.0}}, {"metrics": ["nDGC@10"]}, "nDGC@10"),
        ({"1": {"a": 1}}, {"1": {"a": 1.0}}, {"metrics": ["P@0"]}, "at least 1"),
        ({"1": {"a": 1}}, {"1": {"a": 1.0}}, {"metrics": ["success"]}, "needs a cutoff"),
        ({"1": {"a": 1}}, {"1": {"a": 1.0}}, {"metrics": ["bpref@5"]}, "cutoff"),
        ({"1": {"a": 1}}, {"1": {"a": 1.0}}, {"metrics": []}, "at least one"),
        ({"1": {"a": 1}}, {"1": {"a": 1.0}}, {"relevance_level": -1}, "relevance_level"),
        ({"1": {"a": 1}}, {"1": {"a": 1.0}}, {"missing": "drop"}, "'zero', 'skip'"),
        ({"1": {"a": 1}}, {"1": {"a": 1.0}}, {"gains": {1: -1.0}}, "0 or more"),
    ],
)
def test_what_cannot_be_meant_is_refused(qrels, run, options, said) -> None:
    with pytest.raises(ParameterError, match=said):
        evaluate(qrels, run, **options)


@pytest.mark.parametrize(
    ("text", "said"),
    [("q1 0 d1\nq 1\n", "line 1"), ("q1 0 d1 1\nq1 0 d1 2\n", "line 2"), ("q 0 d x\n", "integer")],
)
def test_a_broken_file_of_judgments_names_the_line(tmp_path, text, said) -> None:
    (tmp_path / "q").write_text(text)
    with pytest.raises(FormatError, match=said):
        vl.measure.read_qrels(tmp_path / "q")
    (tmp_path / "r").write_text("q Q0 d 1\n")
    with pytest.raises(FormatError, match="line 1"):
        vl.measure.read_run(tmp_path / "r")
