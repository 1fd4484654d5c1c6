# SPDX-License-Identifier: Apache-2.0
"""`vectorloom demo` hands its arguments on and prints what comes back; tests/demo runs the demo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vectorloom import demo
from vectorloom.cli.main import app


class Outcome:
    def to_dict(self) -> dict[str, object]:
        return {"report": "x/report.html", "questions": []}

    def __str__(self) -> str:
        return "three answers"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Record the calls instead of running the demo."""
    made: list[tuple[Any, ...]] = []

    def run_demo(
        out: Path, *, questions: list[str] | None, n_jobs: int | None, random_state: int
    ) -> Outcome:
        made.append((out, questions, n_jobs, random_state))
        return Outcome()

    monkeypatch.setattr(demo, "run_demo", run_demo)
    return made


def test_without_arguments_the_demo_chooses_questions_and_threads(
    calls: list[tuple[Any, ...]],
) -> None:
    result = CliRunner().invoke(app, ["demo"])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "three answers\n", "")
    assert calls == [(Path("vectorloom-demo"), None, None, 0)]


def test_arguments_reach_the_demo(calls: list[tuple[Any, ...]]) -> None:
    arguments = ["demo", "sort a list", "open a file", "--out", "d", "-j", "2", "--seed", "7"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"report": "x/report.html", "questions": []}
    assert calls == [(Path("d"), ["sort a list", "open a file"], 2, 7)]
