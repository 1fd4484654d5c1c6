# SPDX-License-Identifier: Apache-2.0
"""Recall against speed: the truth counts ties, one half of the queries chooses, tables are true."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.__main__ import main
from benchmarks.ann.chart import best_of
from benchmarks.ann.goals import judged, speed_ratio
from benchmarks.ann.ladder import Point, between, calibrate, climb, frontier, refine
from benchmarks.ann.run import AnnRow, shares_builds
from benchmarks.ann.truth import AnnTruth
from benchmarks.page import END, START
from benchmarks.peers.base import efforts
from benchmarks.peers.faiss_ann import filled_for
from benchmarks.runner import Result
from benchmarks.suite import Goal, Method, read_suite

SUITE = """
title = "Made for the tests"
task = "ann"
k = 5
calls = "{calls}"
targets = [0.5, 0.99]
[data]
set = "clusters"
rows = 400
dim = 16
queries = 40
[repeat]
warmup = 0
rounds = 2
pause_s = 0.0
limit_s = 30
[[method]]
name = "rows"
adapter = "odd_ann.peer"
env = {{ PYTHONPATH = {path} }}
"""

# Searches the first rows only; with all of them it is exact. It notes how it was called.
PEER = """
import numpy as np
from benchmarks.peers.base import AnnPeer, Facts
class Peer(AnnPeer):
    has_defaults = True
    def __init__(self, *, threads, metric):
        self.calls = []
    def build(self, base):
        self.base = np.array(base)
    def ladders(self, k):
        return [[{"rows": 40}, {"rows": 200}, {"rows": 400}, {"rows": 800}]]
    def apply(self, setting):
        self.rows = setting.get("rows", 400)
    def search(self, queries, k):
        self.calls.append(len(queries))
        return np.argsort(-(queries @ self.base[:self.rows].T), axis=1, kind="stable")[:, :k]
    def save(self, folder):
        (folder / "index").write_bytes(bytes(1000))
    def facts(self):
        return Facts(detail={"calls": sorted(set(self.calls))})
"""


@pytest.fixture(autouse=True)
def _one_pass_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.ann.run.TIMED_S", 0.0)
    monkeypatch.setattr("benchmarks.ann.run.TRIED_S", 0.0)


def run(folder: Path, calls: str = "single", text: str = SUITE, peer: str = PEER) -> dict[str, Any]:
    package = folder / "odd_ann"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "peer.py").write_text(peer, encoding="utf-8")
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    suite = text.format(calls=calls, path=json.dumps(path))
    (folder / "made.toml").write_text(suite, encoding="utf-8")
    code = main(["run", str(folder / "made.toml"), "--out", str(folder)])
    (saved,) = folder.glob("ann-made.*.json")
    found: dict[str, Any] = json.loads(saved.read_text(encoding="utf-8"))
    found["code"], found["page"] = code, saved.with_suffix(".md").read_text(encoding="utf-8")
    return found


# ---- the truth ---------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_the_truth_is_brute_force_in_float64(metric: str) -> None:
    rng = np.random.default_rng(0)
    base = (rng.standard_normal((200, 12)) * rng.uniform(1, 30, (200, 1))).astype(np.float32)
    queries = rng.standard_normal((30, 12)).astype(np.float32)
    wide, asked = base.astype(np.float64), queries.astype(np.float64)
    scores = asked @ wide.T
    if metric == "l2":
        scores = -((asked[:, None, :] - wide[None]) ** 2).sum(axis=2)
    best = np.argsort(-scores, axis=1)[:, :7]
    truth = AnnTruth(base, queries, 7, metric)
    assert [sorted(rows) for rows in truth.counted] == [sorted(row) for row in best.tolist()]
    assert truth.recall(best, slice(None)) == 1.0


def test_rows_that_are_as_near_count_as_well() -> None:
    base = np.eye(4, dtype=np.float32)[[0, 0, 0, 1]]
    truth = AnnTruth(base, base[:1], 2, "ip")
    assert truth.counted == [frozenset({0, 1, 2})]
    assert truth.recall(np.array([[2, 1]]), slice(None)) == 1.0


def test_a_row_named_twice_or_none_counts_once_or_not() -> None:
    truth = AnnTruth(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), 1, "ip")
    assert truth.recall(np.array([[0], [-1], [2]]), slice(None)) == pytest.approx(2 / 3)
    pair = AnnTruth(np.eye(3, dtype=np.float32), np.ones((1, 3), np.float32), 2, "ip")
    assert pair.recall(np.array([[1, 1]]), slice(None)) == 0.5


def test_each_half_is_judged_by_its_own_queries() -> None:
    truth = AnnTruth(np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32), 1, "ip")
    assert truth.recall(np.array([[1], [3]]), slice(1, None, 2)) == 1.0
    assert truth.recall(np.array([[1], [3]]), slice(0, None, 2)) == 0.0
    with pytest.raises(ValueError, match="1 answers; expected 2"):
        truth.recall(np.array([[1]]), slice(0, None, 2))


# ---- choosing settings -------------------------------------------------------------------------


def by_width(setting: dict[str, Any]) -> Point:
    """A method whose recall is 1 - 1 / width and whose time is the width."""
    return Point(setting, 1.0 - 1.0 / setting["ef"], float(setting["ef"]))


def test_the_ladder_ends_when_nothing_is_gained() -> None:
    tried = climb(by_width, [{"ef": n} for n in (2, 10, 100, 10_000, 20_000)])
    assert [p.setting["ef"] for p in tried] == [2, 10, 100, 10_000]
    flat = climb(lambda s: Point(s, 0.7, s["ef"]), [{"ef": n} for n in range(1, 9)])
    assert len(flat) == 3
    free = climb(lambda s: Point(s, 0.7, 1.0), [{"recall": 0.1 * n} for n in range(1, 9)])
    assert len(free) == 8, "steps that cost nothing may be too short to show"


def test_the_step_over_a_target_is_halved() -> None:
    tried = climb(by_width, [{"ef": 4}, {"ef": 64}])
    widths = [p.setting["ef"] for p in refine(by_width, tried, 0.9)]
    assert widths == [16, 8, 11]  # 10 is the least that reaches .9
    assert refine(by_width, tried, 0.999) == []


@pytest.mark.parametrize(
    ("low", "high", "middle"),
    [
        ({"ef": 16}, {"ef": 64}, {"ef": 32}),
        ({"p": 4, "r": 9}, {"p": 16, "r": 9}, {"p": 8, "r": 9}),
        ({"ef": 7}, {"ef": 8}, None),
        ({"ef": 100}, {"ef": 104}, None),
        ({"recall": 0.8}, {"recall": 0.9}, None),
        ({"p": 4, "r": 9}, {"p": 16, "r": 10}, None),
    ],
)
def test_the_middle_of_two_settings(low: Any, high: Any, middle: Any) -> None:
    assert between(low, high) == middle


def test_what_is_clearly_beaten_is_not_measured_again() -> None:
    slow = Point({"ef": 99}, 0.9, 10.0)
    near = Point({"ef": 21}, 0.9, 1.1)
    good = Point({"ef": 20}, 0.9, 1.0)
    poor = Point({"ef": 1}, 0.3, 0.1)
    assert frontier([slow, near, good, poor]) == [good, near]


def test_each_target_is_looked_at_closely() -> None:
    tried = calibrate(by_width, [[{"ef": 4}, {"ef": 64}, {"ef": 1024}]], [0.9, 0.99])
    widths = {p.setting["ef"] for p in tried}
    assert {4, 16, 64, 256, 1024} <= widths
    assert any(90 < width < 140 for width in widths)


def test_beam_widths_start_at_k() -> None:
    assert efforts(10)[:3] == [10, 12, 16]
    assert efforts(100)[:3] == [100, 128, 160]


def test_factory_strings_are_filled_for_the_data() -> None:
    assert filled_for("IVF{lists},PQ{half}x4fs", 10_000, 384) == "IVF400,PQ192x4fs"
    assert filled_for("{pad}PQ{half},PQ{quarter}", 100, 25) == "Pad28,PQ14,PQ7"


# ---- the whole run -----------------------------------------------------------------------------


def test_a_run_states_speed_beside_the_recall_it_reached(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert found["code"] == 0
    (row,) = found["rows"]
    assert row["disk_bytes"] == 1000
    assert row["bytes_a_row"] == 2.5
    assert row["at"]["0.99"]["setting"] in ({"rows": 400}, {})  # which are the same
    assert row["at"]["0.99"]["recall"] == row["defaults"]["recall"] == 1.0
    assert row["at"]["0.5"]["recall"] >= 0.5
    assert all(len(point["us"]) == 2 for point in row["curve"])
    assert {"rows": 800} not in [setting for setting, *_ in row["tried"]]
    assert row["detail"]["calls"] == [1, 20]
    assert "| rows 400: 1 |" in found["page"] or "| no setting: 1 |" in found["page"]


def test_a_batch_is_all_queries_in_one_call(tmp_path: Path) -> None:
    (row,) = run(tmp_path, "batch")["rows"]
    assert row["detail"]["calls"] == [20, 40]
    assert row["at"]["0.99"]["recall"] == 1.0


def test_a_recall_that_nobody_reached_is_a_dash(tmp_path: Path) -> None:
    peer = PEER.replace("[:self.rows]", "[:min(self.rows, 390)]")
    found = run(tmp_path, peer=peer)
    assert found["rows"][0]["at"]["0.99"] is None
    assert "| – |" in found["page"]


def test_a_broken_method_is_an_error_and_no_number(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        peer=PEER.replace(
            "        self.rows =", "        raise ValueError('no')\n        self.rows ="
        ),
    )
    assert found["code"] == 1
    assert "ValueError: no" in found["rows"][0]["error"]
    assert "at" not in found["rows"][0]
    assert "**ERROR**" in found["page"]


def test_the_page_of_results_takes_an_approximate_one(tmp_path: Path) -> None:
    run(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(f"{START}\n{END}\n", encoding="utf-8")
    assert main(["page", "--results", str(tmp_path), "--page", str(page)]) == 0
    assert "## Made for the tests" in page.read_text(encoding="utf-8")
    assert "queries/s at recall 0.99" in page.read_text(encoding="utf-8")


def test_our_own_methods_run_in_suites_of_either_call(tmp_path: Path) -> None:
    names = ("sentences", "sentences-batch", "small-l2")
    paths = [f"suites/ann/{name}.toml" for name in names]
    options = ["--smoke", "--only", "vectorloom*", "--out", str(tmp_path)]
    assert main(["run", *paths, *options]) == 0
    saved = sorted(tmp_path.glob("*.json"))
    assert len(saved) == len(paths)
    for file in saved:
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
        assert any(row.get("curve") for row in rows)


def test_suites_on_the_same_data_share_their_indexes() -> None:
    one, batch, l2 = (
        read_suite(f"suites/ann/{name}.toml")
        for name in ("sentences", "sentences-batch", "small-l2")
    )
    assert shares_builds(one, batch)
    assert not shares_builds(one, l2)
    assert not shares_builds(one, dataclasses.replace(batch, metric="ip"))


# ---- goals -------------------------------------------------------------------------------------


def row_of(name: str, recall: float, times: list[float], build_s: float, size: int) -> AnnRow:
    point = Point({"ef": 1}, recall, times[0], recall, [{"seconds": t, "cpu_s": t} for t in times])
    built = {"build_s": build_s, "disk_bytes": size}
    return AnnRow(Method(name, "-"), built=built, points=[point], defaults=point)


def test_goals_compare_with_the_best_peer_that_reaches_the_recall() -> None:
    rows = [
        row_of("vectorloom-graph", 0.96, [1.0, 2.0, 4.0], 10.0, 60),
        row_of("good", 0.97, [2.0, 4.0, 8.0], 50.0, 100),
        row_of("hasty", 0.80, [0.1, 0.1, 0.1], 1.0, 1),
    ]
    goals = [
        Goal("vectorloom*", at_least=1.5, of="speed@0.95"),
        Goal("vectorloom*", at_least=4.0, of="build@0.95"),
        Goal("vectorloom*", at_most=0.5, of="bytes@0.95"),
        Goal("vectorloom*", at_least=0.95, of="default-recall"),
        Goal("vectorloom*", at_least=1.0, of="speed@0.99"),
    ]
    suite = dataclasses.replace(read_suite("suites/ann/sentences.toml"), goals=goals)
    found = judged(Result(suite, {}, {}, list(rows), 0.0))
    assert [(g["got"], g["verdict"]) for g in found] == [
        (2.0, "met"),
        (5.0, "met"),
        (0.6, "missed"),
        (0.96, "met"),
        (None, "no result"),
    ]


def test_speeds_are_compared_round_by_round() -> None:
    ours = row_of("ours", 1.0, [1.0, 10.0, 1.0], 1.0, 1)
    theirs = row_of("theirs", 1.0, [2.0, 20.0, 2.0], 1.0, 1)
    assert speed_ratio([ours], [theirs], 0.9) == 2.0


def test_the_chart_draws_what_nothing_beats() -> None:
    curve = [(0.9, 100.0), (0.95, 120.0), (0.8, 500.0), (0.99, 10.0)]
    points = [{"recall": recall, "queries_s": speed} for recall, speed in curve]
    assert best_of(points) == [(0.8, 500.0), (0.95, 120.0), (0.99, 10.0)]
