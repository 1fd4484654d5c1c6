# SPDX-License-Identifier: Apache-2.0
"""The promise of a tuning, what it warns of, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import vectorloom as vl
from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.tune import UnmetGoalsError
from vectorloom.tune.candidates import candidates, family, least_bytes
from vectorloom.tune.goals import read_goals
from vectorloom.tune.measuring import Trial, ladder
from vectorloom.tune.pipeline import Pipeline
from vectorloom.tune.problem import read_problem
from vectorloom.tune.race import rungs_of
from vectorloom.tune.recipe import Recipe
from vectorloom.tune.suspects import suspicions

Floats = NDArray[np.float32]


def gathered(n: int, dim: int = 32, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((60, dim)) * np.geomspace(2, 0.2, dim)
    found = centres[rng.integers(60, size=n)] + 0.25 * rng.standard_normal((n, dim))
    return found.astype(np.float32)


@pytest.fixture(scope="module")
def rows() -> Floats:
    return gathered(3000)


@pytest.fixture(scope="module")
def queries() -> Floats:
    return gathered(300, seed=1)


FEW = ["scan", "int8 | scan", "rabitq:4 | scan", "rabitq:2 | scan | rerank:int8"]


@pytest.fixture(scope="module")
def plan(rows: Floats, queries: Floats) -> Any:
    return vl.tune(rows, queries, recall=0.9, recipes=FEW, n_jobs=1, quiet=True)


def share(index: Any, rows: Floats, asked: Floats, k: int = 10, metric: str = "cosine") -> float:
    truth = vl.index.Exact(metric).fit(rows).search(asked, k).ids
    got = index.search(asked, k).ids
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(got, truth, strict=True)]))


# ---- the promise ---------------------------------------------------------------------------------


def test_the_promise_holds_on_queries_that_nobody_saw(plan: Any, rows: Floats) -> None:
    assert plan.is_met
    assert plan.point.low >= 0.9
    assert share(plan.build(rows), rows, gathered(1000, seed=7)) >= 0.9


def test_what_is_built_is_the_recipe_and_can_be_built_without_the_tuner(
    plan: Any, rows: Floats, queries: Floats, tmp_path: Path
) -> None:
    index = plan.build(rows)
    assert isinstance(index, Pipeline)
    index.save(tmp_path / "index.vl")
    text = vl.open(tmp_path / "index.vl").recipe_
    again = vl.Recipe.parse(str(text)).build(rows, metric="cosine")
    np.testing.assert_array_equal(again.search(queries).ids, plan.build(rows).search(queries).ids)


def test_the_pick_is_the_cheapest_that_meets_the_goals(plan: Any) -> None:
    table = plan.table()
    assert sum(row["chosen"] for row in table) == 1
    first = {row["recipe"]: row for row in table if row["meets_goals"]}
    assert str(plan.recipe) in first
    exact = next(row for row in table if row["recipe"] == "float32 | scan")
    assert exact["quality"] == 1.0
    assert exact["low"] == 1.0
    assert plan.point.seconds <= exact["seconds"]


def test_no_point_of_the_front_is_beaten(plan: Any) -> None:
    front = plan.pareto
    for a in front:
        assert not any(
            b.quality >= a.quality and b.bytes < a.bytes and b.seconds < a.seconds for b in front
        )


def test_memory_and_p95_are_kept(rows: Floats, queries: Floats) -> None:
    plan = vl.tune(
        rows, queries, recall=0.9, memory=200_000, p95="20ms", recipes=FEW, n_jobs=1, quiet=True
    )
    assert plan.point.bytes <= 200_000
    assert plan.build(rows).nbytes_ <= 200_000
    assert plan.point.p95_high <= 0.02


def test_with_p95_alone_the_smallest_is_chosen(rows: Floats, queries: Floats) -> None:
    plan = vl.tune(rows, queries, recall=0.8, p95=1.0, recipes=FEW, n_jobs=1, quiet=True)
    assert plan.goals.minimise == "memory"
    met = [row["bytes"] for row in plan.table() if row["meets_goals"]]
    assert plan.point.bytes == min(met)


def test_judgments_set_the_goal_where_there_are_some(rows: Floats, queries: Floats) -> None:
    nearest = vl.index.Exact().fit(rows).search(queries, 12).ids
    qrels = {
        f"q{i}": {f"r{row}": 1 + (j % 3) for j, row in enumerate(found.tolist()[::4])}
        for i, found in enumerate(nearest)
    }
    plan = vl.tune(
        rows, queries, qrels, ndcg_loss=0.05, recipes=FEW, n_jobs=1, quiet=True,
        ids=[f"r{i}" for i in range(len(rows))],
        query_ids=[f"q{i}" for i in range(len(queries))],
    )  # fmt: skip
    assert plan.goals.quality == "ndcg"
    assert plan.point.low >= 0.95


def test_a_recipe_raced_on_some_queries_is_measured_on_all_of_them() -> None:
    rows, queries = gathered(1500, 16), gathered(900, 16, seed=1)
    nearest = vl.index.Exact().fit(rows).search(queries, 4).ids.tolist()
    qrels = {i: {row: 1 for row in found} for i, found in enumerate(nearest)}
    plan = vl.tune(
        rows, queries, qrels, ndcg_loss=0.1, recipes=["scan", "graph:16"], n_jobs=1, quiet=True
    )
    assert plan.point.n_queries == 600  # a third tunes, which is more than a race asks
    assert plan.point.low >= 0.9


def test_recalls_that_no_walk_reaches_are_not_tried_as_scans() -> None:
    rng = np.random.default_rng(0)
    rows, queries = rng.standard_normal((2, 2000, 64)).astype(np.float32)
    problem = read_problem(
        rows, queries[:100], None, None,
        ids=None, query_ids=None, k=10, metric="l2", n_jobs=1, random_state=0,
    )  # fmt: skip
    trial = Trial(Recipe.parse("graph:16"), problem.whole(), problem)
    assert len(trial.steps) < len(ladder(trial.recipe))
    for step in trial.steps:
        assert trial.pipeline.inner_.search(queries[:1], 10, explain=True, **step.effort).plan == (
            "walk",
        )


def test_filters_are_measured_with(rows: Floats, queries: Floats) -> None:
    mask = np.arange(len(rows)) % 10 == 0
    plan = vl.tune(rows, queries, recall=0.9, filters=mask, recipes=FEW[:3], n_jobs=1, quiet=True)
    assert "10.0 % of the rows match" in plan.why
    each = [np.flatnonzero(np.arange(len(rows)) % 5 == i % 5) for i in range(len(queries))]
    plan = vl.tune(rows, queries, recall=0.9, filters=each, recipes=FEW[:2], n_jobs=1, quiet=True)
    assert "20.0 % of the rows match" in plan.why


def test_a_race_on_samples_finds_a_recipe_that_holds_on_all_rows() -> None:
    rows, queries = gathered(19_000, 16), gathered(400, 16, seed=1)
    recipes = ["scan", "int8 | scan", "int8 | ivf", "graph:16", "float16 | graph:24"]
    assert rungs_of(len(rows)) == [4608]
    plan = vl.tune(rows, queries, recall=0.9, recipes=recipes, n_finalists=1, n_jobs=1, quiet=True)
    handed = plan.build(rows)
    assert share(handed, rows, gathered(500, 16, seed=8)) >= 0.9
    assert handed.recipe_ == plan.recipe
    assert any(row["predicted"] for row in plan.table())
    assert "raced on samples of 4,608 rows" in plan.why


# ---- said plainly --------------------------------------------------------------------------------


def test_without_queries_rows_serve_and_it_says_so(rows: Floats) -> None:
    plan = vl.tune(rows, recall=0.9, recipes=FEW[:2], n_jobs=1, quiet=True)
    assert any("no queries" in text for text in plan.warnings)
    assert plan.facts["n"] < plan.facts["n_given"] == 3000
    assert len(plan.build(rows)) == 3000


def problem_of(rows: Floats, queries: Floats | None) -> Any:
    return read_problem(
        rows, queries, None, None, ids=None, query_ids=None, k=10, metric="l2", n_jobs=1,
        random_state=0,
    )  # fmt: skip


def test_it_warns_of_random_rows_of_copies_and_of_other_queries(
    rows: Floats, queries: Floats, rng: np.random.Generator
) -> None:
    assert suspicions(problem_of(rows, queries)) == []
    noise = rng.standard_normal((3000, 32)).astype(np.float32)
    said = suspicions(problem_of(noise, noise[:300] + np.float32(0.5)))
    assert any("look like random vectors" in text for text in said)
    said = suspicions(problem_of(rows, rows[:300]))
    assert any("are rows of X" in text for text in said)
    said = suspicions(problem_of(rows, queries + np.float32(1.5)))
    assert any("lie further from the rows" in text for text in said)
    said = suspicions(problem_of(rows, queries[:20]))
    assert any("Only 13 queries judge" in text for text in said)


def test_brute_force_wins_where_it_does(queries: Floats) -> None:
    plan = vl.tune(
        gathered(40), queries, recall=1.0, recipes=["scan", "rabitq:2 | scan"], quiet=True
    )
    assert str(plan.recipe) == "float32 | scan"
    assert "Brute force wins" in plan.why


# ---- goals that cannot be ------------------------------------------------------------------------


def test_contradicting_goals_say_what_to_relax_and_by_how_much(
    rows: Floats, queries: Floats, tmp_path: Path
) -> None:
    with pytest.raises(UnmetGoalsError, match="Relax one of: memory=") as caught:
        vl.tune(rows, queries, recall=0.999, memory=130_000, recipes=FEW, n_jobs=1, quiet=True)
    assert 130_000 < caught.value.relax["memory"] < 1_000_000
    assert caught.value.relax["recall"] < 0.999
    assert caught.value.plan is not None
    assert not caught.value.plan.is_met
    caught.value.plan.report(tmp_path / "page.html")
    assert "No recipe reaches" in (tmp_path / "page.html").read_text(encoding="utf-8")
    with pytest.raises(UnmetGoalsError, match="p95="):
        vl.tune(rows, queries, recall=0.9, p95=1e-7, recipes=FEW, n_jobs=1, quiet=True)


def test_goals_of_which_no_single_one_is_to_blame_are_relaxed_together(
    rows: Floats, queries: Floats
) -> None:
    with pytest.raises(UnmetGoalsError, match=r"relax all of these: memory=.*p95=") as caught:
        vl.tune(
            rows, queries, recall=0.9, p95=1e-7, memory=90_000, recipes=FEW, n_jobs=1, quiet=True
        )
    relax = caught.value.relax
    assert caught.value.together
    assert caught.value.plan is not None
    good = [p for p in caught.value.plan.points if p.low >= 0.9]
    assert any(p.bytes <= relax["memory"] and p.p95_high <= relax["p95"] for p in good)
    # What was asked for is out of reach in both.
    assert relax["memory"] > 90_000
    assert relax["p95"] > 1e-7


def test_ids_of_judgments_that_are_no_rows_are_told(rows: Floats, queries: Floats) -> None:
    near = vl.index.Exact().fit(rows).search(queries, 2).ids
    qrels = {i: {int(a): 2, int(b): 1} for i, (a, b) in enumerate(near)}
    qrels[0][10**9] = 1
    plan = vl.tune(rows, queries, qrels, recipes=["scan"], n_jobs=1, quiet=True)
    assert any("1 ids that qrels call relevant are no rows" in text for text in plan.warnings)
    for bad, said in [
        ([1, 2], "must map queries"),
        ({0: [1]}, "must map queries"),
        ({0: {1: "high"}}, "grade 'high'"),
        ({0: {1: float("nan")}}, "grade nan"),
    ]:
        with pytest.raises(ParameterError, match=said):
            vl.tune(rows, queries, bad, quiet=True)


def test_less_memory_than_any_recipe_takes_is_refused_before_measuring(rows: Floats) -> None:
    with pytest.raises(UnmetGoalsError, match="memory=") as caught:
        vl.tune(rows, memory=100, recipes=["scan"], quiet=True)
    assert caught.value.plan is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"recall": 1.2}, "recall must be a share"),
        ({"recall": "high"}, "recall must be a share"),
        ({"recall": 0.9, "ndcg_loss": 0.1}, "pass one"),
        ({"ndcg_loss": 0.1}, "needs qrels"),
        ({"memory": "much"}, "memory must be"),
        ({"memory": 0}, "memory must be above 0"),
        ({"p95": -1}, "p95 must be"),
        ({"p95": "5 parsecs"}, "p95 must be"),
        ({"k": 0}, "k must be"),
        ({"batch": 0}, "batch must be"),
        ({"metric": "hamming"}, "metric must be"),
        ({"minimise": "fun"}, "minimise must be"),
        ({"recipes": []}, "recipes must be"),
        ({"recipes": ["lvq:4 | graph:9"]}, "graph does not search"),
        ({"n_finalists": 0}, "n_finalists"),
        ({"time_limit": 1e-9}, "too short for one measurement"),
        ({"random_state": -1}, "random_state"),
        ({"qrels": {0: {0: 1}}}, "pass queries too"),
    ],
)
def test_bad_settings_are_refused(rows: Floats, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        vl.tune(rows, **options)


def test_bad_vectors_are_refused(rows: Floats, queries: Floats) -> None:
    broken = rows.copy()
    broken[7, 3] = np.nan
    for X, Q, error, said in [
        (broken, None, ParameterError, "NaN"),
        (np.ones((500, 8)), None, ParameterError, "all 500 rows of X are equal"),
        (rows[:1], None, ShapeError, "at least 20"),
        (rows, queries[:, :9], ShapeError, "9"),
        (rows, queries[:3], ShapeError, "at least 4"),
        (np.vstack([rows, np.zeros((1, 32))]), None, ParameterError, "zero rows"),
    ]:
        with pytest.raises(error, match=said):
            vl.tune(X, Q, quiet=True)
    with pytest.raises(ParameterError, match="judge none"):
        vl.tune(rows, queries, {"nobody": {"r1": 1}}, quiet=True)
    with pytest.raises(ParameterError, match="name no row"):
        vl.tune(rows, queries, {0: {"r1": 1}}, quiet=True)
    with pytest.raises(ParameterError, match="match no row"):
        vl.tune(rows, queries, filters=np.zeros(len(rows), bool), quiet=True)
    with pytest.raises(ShapeError, match="one mask"):
        vl.tune(rows, filters=[[1], [2]], quiet=True)


# ---- estimates, journal, files -------------------------------------------------------------------


def test_estimates_are_no_more_than_what_is_held(rows: Floats) -> None:
    problem = problem_of(gathered(5000), gathered(20, seed=1))
    for recipe in {family(recipe): recipe for recipe in candidates(problem)}.values():
        index = Pipeline(recipe, "l2", n_jobs=1).fit(problem.base, queries=problem.tuned.queries)
        n, dim = problem.base.shape
        assert least_bytes(recipe, n, dim, "l2") <= index.nbytes_, str(recipe)


def test_each_family_has_a_first_and_few_rows_have_no_lists(rows: Floats) -> None:
    found = candidates(problem_of(rows, None))
    assert {recipe.kind for recipe in found} == {"scan", "graph"}
    assert {recipe.kind for recipe in candidates(problem_of(rows[:900], None))} == {"scan"}
    assert len({family(recipe) for recipe in found}) < len(found)
    whole = np.random.default_rng(0).integers(0, 255, (500, 8))
    assert any(r.code == "uint8" for r in candidates(problem_of(whole, None)))


def test_what_was_built_on_all_rows_in_the_race_is_not_built_again(
    rows: Floats, queries: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    fit = Pipeline.fit

    def counted(self: Pipeline, X: Any, *args: Any, **options: Any) -> Pipeline:
        if len(X) == len(rows):
            built.append(str(self.recipe))
        return fit(self, X, *args, **options)

    monkeypatch.setattr(Pipeline, "fit", counted)
    vl.tune(rows, queries, recipes=FEW, n_jobs=1, quiet=True)
    assert len(built) == len(set(built)) <= len(FEW) + 1


def test_answers_without_a_miss_are_no_less_sure_than_those_with_one() -> None:
    rows = gathered(400)
    problem = read_problem(
        rows, rows[:60], None, None, ids=None, query_ids=None, k=10, metric="cosine",
        n_jobs=1, random_state=0,
    )  # fmt: skip
    answers = problem.whole().answers(problem.held)
    perfect = np.ones(len(problem.held))
    missed = np.concatenate([perfect[1:], [0.9]])
    assert answers.summary(perfect)[1] >= answers.summary(missed)[1]
    assert answers.summary(perfect)[1:] < (1.0, 1.1)


def test_a_stopped_tuning_goes_on_where_it_was(
    rows: Floats, queries: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = vl.tune(rows, queries, recipes=FEW, cache=tmp_path, n_jobs=1, quiet=True)
    (journal,) = tmp_path.glob("tune-*.jsonl")
    lines = journal.read_text(encoding="utf-8").splitlines()
    assert len(lines) > len(FEW)  # each in the race, the best again before other queries
    journal.write_text("\n".join(lines)[:-20], encoding="utf-8")  # as a stop leaves it
    built: list[str] = []
    fit = Pipeline.fit

    def counted(self: Pipeline, X: Any, *args: Any, **options: Any) -> Pipeline:
        if len(X) == len(rows):
            built.append(str(self.recipe))
        return fit(self, X, *args, **options)

    monkeypatch.setattr(Pipeline, "fit", counted)
    again = vl.tune(rows, queries, recipes=FEW, cache=tmp_path, n_jobs=1, quiet=True)
    assert len(built) == 1
    assert again.point.quality == first.point.quality
    vl.tune(rows + np.float32(0.1), queries, recipes=FEW[:1], cache=tmp_path, quiet=True)
    assert len(list(tmp_path.glob("tune-*.jsonl"))) == 2


def test_a_plan_comes_back_from_its_file(plan: Any, rows: Floats, tmp_path: Path) -> None:
    plan.save(tmp_path / "plan.vl")
    again = vl.open(tmp_path / "plan.vl")
    assert repr(again) == repr(plan)
    code = "import sys, vectorloom as vl; print(vl.open(sys.argv[1]).recipe)"
    command = [sys.executable, "-c", code, str(tmp_path / "plan.vl")]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    assert told.stdout.strip() == str(plan.recipe)
    assert again.table() == plan.table()
    assert len(again.build(rows)) == len(rows)
    with pytest.raises(ShapeError, match="tune again"):
        again.build(rows[:, :4])
    data = (tmp_path / "plan.vl").read_bytes()
    (tmp_path / "plan.vl").write_bytes(data[:-30])
    with pytest.raises(FormatError):
        vl.open(tmp_path / "plan.vl")


def test_the_page_needs_no_network_and_holds_the_points(plan: Any, tmp_path: Path) -> None:
    plan.report(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=|url\(|fetch\(", page)
    assert not re.search(r"https?:", page.replace("http://www.w3.org/2000/svg", ""))
    (text,) = re.findall(r"const data = (.*);\n", page)
    data = json.loads(text)
    assert len(data["points"]) == len(plan.points)
    assert sum(point["chosen"] for point in data["points"]) == 1


def test_goals_are_said_as_a_person_would() -> None:
    goals = read_goals(
        recall=None, ndcg_loss=None, k=5, memory="1MiB", p95="5ms", batch=1, minimise=None,
        is_judged=False,
    )  # fmt: skip
    assert goals.words == (
        "recall@5 of at least 0.95, at most 1.0 MiB, 95 % of calls within 5.0 ms; "
        "of these the fastest"
    )


def test_a_time_limit_is_kept_and_said_where_it_cut(rows: Floats, queries: Floats) -> None:
    big = gathered(6000)
    plan = vl.tune(big, queries, recall=0.9, time_limit=1.5, n_jobs=1, quiet=True)
    assert plan.facts["seconds"] < 20
    assert "The time limit ended it" in plan.why
    assert "Brute force wins" not in plan.why
    assert any("no time left" in text for text in plan.failed)


def test_rows_that_are_nearly_as_near_do_not_count_and_equal_ones_do() -> None:
    rows = np.zeros((30, 2), np.float32)
    rows[:, 0] = np.arange(30) * 1e-3 + 100.0  # far from the origin, close to each other
    rows[5] = rows[4]
    queries = rows[[0, 10, 20, 29]]
    problem = read_problem(
        rows, queries, None, None, ids=None, query_ids=None, k=3, metric="l2", n_jobs=1,
        random_state=0,
    )  # fmt: skip
    answers = problem.whole().answers(problem.held)
    assert answers.quality(answers.ids).tolist() == [1.0] * len(problem.held)
    moved = answers.ids.copy()
    moved[:, 2] = np.where(moved[:, 2] > 15, 0, 29)
    np.testing.assert_allclose(answers.quality(moved), 2 / 3)
