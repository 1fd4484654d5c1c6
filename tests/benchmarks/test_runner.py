# SPDX-License-Identifier: Apache-2.0
"""The whole pipeline on tiny generated vectors: workers, turns, floors, files, exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from benchmarks.__main__ import main
from benchmarks.page import END, START

SUITE = """
title = "Made for the tests"
task = "search"
k = 5
baseline = "numpy"
[data]
set = "clusters"
rows = 400
dim = 32
queries = 20
[repeat]
warmup = 1
rounds = 2
pause_s = 0.0
limit_s = 30
[floor]
tied = 1.0
[[method]]
name = "numpy"
adapter = "numpy_blas"
params = { block = 64 }
"""

PEER = """
import time
from benchmarks.peers.numpy_blas import Peer as Right
class Peer(Right):
    def search(self, queries, k):
        answer = super().search(queries, k)
        {body}
        return answer
"""


def run(folder: Path, text: str, *options: str, code: int = 0) -> tuple[dict[str, Any], str]:
    (folder / "made.toml").write_text(text, encoding="utf-8")
    assert main(["run", str(folder / "made.toml"), "--out", str(folder), *options]) == code
    saved = sorted(folder.glob("made.*.json"))
    assert len(saved) == 1
    return json.loads(saved[0].read_text()), saved[0].with_suffix(".md").read_text()


def with_peer(folder: Path, body: str) -> str:
    """The suite with one more method, whose answers go through ``body`` first."""
    (folder / "odd_peer.py").touch()
    package = folder / "odd"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "peer.py").write_text(PEER.format(body=body), encoding="utf-8")
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return SUITE + (
        '[[method]]\nname = "odd"\nadapter = "odd.peer"\n'
        f"env = {{ PYTHONPATH = {json.dumps(paths)} }}\n"
    )


def test_a_result_states_quality_timings_memory_and_machine(tmp_path: Path) -> None:
    result, table = run(tmp_path, SUITE)
    (row,) = result["rows"]
    assert row["quality"]["tied"] == row["quality"]["recall"] == 1.0
    assert len(row["runs"]) == 2
    assert row["ratio"] == 1.0
    assert row["held_mib"] >= 0
    assert row["peak_mib"] >= 0
    assert row["versions"]["numpy"]
    assert result["data"]["rows"] == 400
    assert len(result["data"]["sha256"]) == 64
    assert result["machine"]["cpu"]
    assert "| numpy |" in table


def test_the_generated_data_are_the_same_each_time(tmp_path: Path) -> None:
    hashes = {run(tmp_path, SUITE)[0]["data"]["sha256"] for _ in range(2)}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("answer.ids[0, 0] = 7", "below the floor"),
        ("answer.ids[:] = answer.ids[:, ::-1]", "below the floor"),
        ("raise ValueError('no')", "ValueError: no"),
        ("import os; os._exit(3)", "worker ended with code 3"),
    ],
)
def test_a_wrong_or_broken_method_is_an_error_and_never_a_number(
    tmp_path: Path, body: str, complaint: str
) -> None:
    result, table = run(tmp_path, with_peer(tmp_path, body), code=1)
    right, odd = result["rows"]
    assert complaint in odd["error"]
    assert not {"best", "median", "ratio", "runs"} & set(odd)
    assert "**ERROR**" in table
    assert right["runs"], "one broken method must not take the others with it"


def test_a_method_that_turns_wrong_after_the_warm_up_is_caught(tmp_path: Path) -> None:
    body = "self.n = getattr(self, 'n', 0) + 1; answer.ids[0, 0] -= self.n > 2"
    result, _ = run(tmp_path, with_peer(tmp_path, body), code=1)
    assert "below the floor" in result["rows"][1]["error"]


def test_a_method_over_its_time_is_stopped(tmp_path: Path) -> None:
    text = with_peer(tmp_path, "time.sleep(60)").replace("limit_s = 30", "limit_s = 2")
    result, _ = run(tmp_path, text, code=1)
    assert "took more than 2 s" in result["rows"][1]["error"]


def test_a_missing_library_or_cpu_level_is_skipped_by_name(tmp_path: Path) -> None:
    text = with_peer(tmp_path, "import no_such_library") + (
        '[[method]]\nname = "tiles"\nadapter = "numpy_blas"\n'
        'env = { VECTORLOOM_SIMD = "quantum" }\n'
    )
    # The import fails only once the search runs, as lazy libraries do; both ways must be seen.
    result, table = run(tmp_path, text, code=0)
    assert "no_such_library is not installed" in result["rows"][1]["skipped"]
    assert "has no quantum" in result["rows"][2]["skipped"]
    assert table.count("skipped:") == 2


def test_a_smoke_run_says_that_its_numbers_mean_nothing(tmp_path: Path) -> None:
    result, table = run(tmp_path, SUITE.replace("rows = 400", "rows = 99_999_999"), "--smoke")
    assert result["smoke"]
    assert "mean nothing" in table


def test_one_query_a_call_gives_latencies_and_a_share_of_the_bandwidth(tmp_path: Path) -> None:
    text = SUITE.replace("k = 5", 'k = 5\ncalls = "single"\nbandwidth = "sum"') + (
        '[[method]]\nname = "sum"\nadapter = "bandwidth"\n'
    )
    result, table = run(tmp_path, text)
    row, reference = result["rows"]
    assert row["runs"][0]["p50_ms"] <= row["runs"][0]["p99_ms"]
    assert row["gb_per_s"] > 0
    assert reference["of_bandwidth"] == 1.0
    assert "of a plain sum" in table


def test_wrong_use_ends_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "none.toml"]) == 2
    assert "ParameterError" in capsys.readouterr().err


def test_list_names_every_suite(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "suites/index/exact.toml" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["exact", "exact-single", "knn-graph"])
def test_our_own_methods_hold_their_floors_on_generated_data(tmp_path: Path, name: str) -> None:
    suite = f"suites/index/{name}.toml"
    options = ["--smoke", "--only", "vectorloom*", "--out", str(tmp_path)]
    assert main(["run", suite, *options]) == 0
    (saved,) = tmp_path.glob("*.json")
    rows = json.loads(saved.read_text())["rows"]
    assert any(row.get("runs") for row in rows)


def test_an_idle_process_and_an_import_are_measured(tmp_path: Path) -> None:
    options = ["--smoke", "--only", "*vectorloom", "--out", str(tmp_path)]
    assert main(["run", "suites/startup.toml", *options]) == 0


def test_the_page_holds_the_saved_tables_and_leaves_its_own_words(tmp_path: Path) -> None:
    run(tmp_path, SUITE)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{START}\nold\n{END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        assert main(["page", "--results", str(tmp_path), "--page", str(page)]) == 0
        text = page.read_text(encoding="utf-8")
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "| numpy | 1 |" in text
        assert "old" not in text
        assert text.count("## Made for the tests") == 1


def test_a_slow_method_may_stop_after_fewer_rounds(tmp_path: Path) -> None:
    result, _ = run(tmp_path, SUITE + "max_rounds = 1\n")
    assert len(result["rows"][0]["runs"]) == 1
