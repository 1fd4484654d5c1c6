# SPDX-License-Identifier: Apache-2.0
"""Laws of `vectorloom learn topics`: what texts are about, with one command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import vectorloom as vl
from vectorloom.cli.main import app


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    names = ("ship", "court", "bread")
    own = [[f"{name}{chr(97 + i)}" for i in range(15)] for name in names]
    lines = [" ".join(rng.choice(own[rng.integers(3)], size=10)) for _ in range(200)]
    (tmp_path / "text.txt").write_text("\n\n".join(lines))
    return str(tmp_path / "text.txt")


def topics(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["learn", "topics", *arguments])


def test_topics_are_printed_found_and_saved(corpus: str, tmp_path: Path) -> None:
    path = tmp_path / "topics.vl"
    result = topics(corpus, "--out", str(path), "--json", "--words", "4", "--search", "shipa")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["texts"], data["without_topic"], len(data["topics"])) == (200, 0, 3)
    assert {record["words"][0][:4] for record in data["topics"]} == {"ship", "cour", "brea"}
    nearest = data["search"]["shipa"][0][0]
    assert data["topics"][nearest]["words"][0].startswith("ship")
    assert vl.open(path).n_topics_ == 3
    shown = topics(corpus, "--topics", "2")
    assert "2 topics of 200 texts" in shown.stdout


def test_export_as_json(corpus: str, tmp_path: Path) -> None:
    path = tmp_path / "topics.json"
    assert topics(corpus, "--out", str(path)).exit_code == 0
    assert len(json.loads(path.read_text())["texts"]) == 200


def test_wrong_usage(corpus: str, tmp_path: Path) -> None:
    assert topics(corpus, "--method", "magic").exit_code == 2
    assert topics(corpus, "--out", str(tmp_path / "t.csv")).exit_code == 2
    assert topics(corpus, "--outliers", "drop").exit_code != 0
    assert topics(str(tmp_path / "none")).exit_code == 1
    (tmp_path / "b.txt").write_bytes(b"a\xff\n")
    assert topics(str(tmp_path / "b.txt")).exit_code == 1


def test_methods_that_are_told_a_number(corpus: str, tmp_path: Path) -> None:
    path = tmp_path / "topics.vl"
    result = topics(corpus, "--out", str(path), "--method", "doc-nade", "--topics", "3", "--json")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["topics"]) == 3
    assert vl.open(path).n_topics_ == 3
