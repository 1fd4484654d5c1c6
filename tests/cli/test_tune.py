# SPDX-License-Identifier: Apache-2.0
"""Laws of `vectorloom tune`: a recipe, a page, an index, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import vectorloom as vl
from vectorloom.cli.main import app

FEW = ["--recipe", "scan", "--recipe", "int8 | scan", "-j", "1"]


@pytest.fixture
def file(tmp_path: Path, rng: np.random.Generator) -> str:
    centres = rng.standard_normal((20, 16))
    rows = centres[rng.integers(20, size=600)] + 0.2 * rng.standard_normal((600, 16))
    ids = np.array([f"r{i}" for i in range(600)])
    np.savez(tmp_path / "rows.npz", vectors=rows.astype(np.float32), ids=ids)
    np.save(tmp_path / "queries.npy", (rows[:90] + 0.05).astype(np.float32))
    return str(tmp_path / "rows.npz")


def tune(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["tune", *arguments])


def test_it_says_what_to_run_and_builds_it(file: str, tmp_path: Path) -> None:
    page, index = tmp_path / "page.html", tmp_path / "index.vl"
    result = tune(
        file, "--queries", str(tmp_path / "queries.npy"), "--recall", "0.9", "--memory", "1MiB",
        "--p95", "1s", "--report", str(page), "--build", str(index), *FEW,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "chosen" in result.stdout
    assert "the goals" in result.stdout
    assert "const data" in page.read_text(encoding="utf-8")
    opened = vl.open(index)
    assert opened.ids_[0] == "r0"
    searched = CliRunner().invoke(
        app, ["search", str(index), str(tmp_path / "queries.npy"), "-k", "1", "--json"]
    )
    assert json.loads(searched.stdout.splitlines()[0])["hits"][0]["id"].startswith("r")


def test_json_has_the_recipe_the_reasons_and_the_table(file: str, tmp_path: Path) -> None:
    result = tune(file, "--json", "--plan", str(tmp_path / "plan.vl"), *FEW)
    told = json.loads(result.stdout)
    assert told["recipe"] in ("float32 | scan", "int8 | scan")
    assert told["facts"]["queries_from"] == "rows held out"
    assert {row["recipe"] for row in told["table"]} == {"float32 | scan", "int8 | scan"}
    assert str(vl.open(tmp_path / "plan.vl").recipe) == told["recipe"]


def test_judgments_come_from_a_file(file: str, tmp_path: Path) -> None:
    lines = [f"{i}\tr{i}\t1" for i in range(90)]
    text = "\n".join(["query-id\tcorpus-id\tscore", *lines])
    (tmp_path / "qrels.tsv").write_text(text, encoding="utf-8")
    result = tune(
        file, "--queries", str(tmp_path / "queries.npy"), "--qrels", str(tmp_path / "qrels.tsv"),
        "--ndcg-loss", "0.2", "--json", *FEW,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["goals"]["quality"] == "ndcg"


def test_goals_that_contradict_fail_with_what_to_relax(file: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = tune(file, "--recall", "1.0", "--p95", "1us", "--report", str(page), *FEW)
    assert result.exit_code == 1
    assert "Relax one of: p95=" in result.stderr
    assert page.exists()
    result = tune(file, "--memory", "1KiB", *FEW)
    assert result.exit_code == 1
    assert "memory=" in result.stderr
