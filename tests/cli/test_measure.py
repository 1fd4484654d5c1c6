# SPDX-License-Identifier: Apache-2.0
"""Laws of `vectorloom measure`: findings in words, a page, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from vectorloom.cli.main import app


@pytest.fixture
def file(tmp_path: Path, rng: np.random.Generator) -> str:
    rows = rng.standard_normal((400, 12)).astype(np.float32)
    rows[:, 3] = 7.0
    rows[:50] = rows[50:100]
    np.save(tmp_path / "rows.npy", rows)
    return str(tmp_path / "rows.npy")


def measure(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["measure", *arguments])


def test_findings_come_with_advice_and_figures_with_intervals(file: str) -> None:
    result = measure(file)
    assert result.exit_code == 0, result.output
    assert "400 vectors of 12 dimensions" in result.output
    assert "1 of 12 dimensions is constant (3): drop it" in result.output
    assert "12.5% of the rows are copies of another" in result.output
    assert "95 % interval" in result.output


def test_a_page_is_written_where_asked(file: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = measure(file, "--report", str(page), "--queries", file, "--before", file)
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "of the queries are rows themselves" in text


def test_json_holds_the_findings_and_nothing_else(file: str) -> None:
    result = measure(file, "--json", "--metric", "l2")
    told = json.loads(result.stdout)
    assert told["n_rows"] == 400
    assert told["findings"][0]["level"] == "repair"
    assert told["hubness"]["k"] == 10


def test_one_vector_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.ones((1, 4), np.float32))
    result = measure(str(tmp_path / "one.npy"))
    assert result.exit_code == 1
    assert "needs 20" in result.output
