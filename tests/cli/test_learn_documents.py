# SPDX-License-Identifier: Apache-2.0
"""Laws of `vectorloom learn documents`: a corpus becomes searchable vectors with one command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import vectorloom as vl
from vectorloom.cli.learn_documents import METHODS
from vectorloom.cli.main import app


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    topics = [["ship", "sea", "sail", "wave"], ["law", "court", "judge", "trial"]]
    lines = [" ".join(rng.choice(topics[i % 2], size=10)) for i in range(120)]
    (tmp_path / "text.txt").write_text("\n".join(lines))
    return str(tmp_path / "text.txt")


def documents(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["learn", "documents", *arguments])


@pytest.mark.parametrize("method", METHODS)
def test_each_method_makes_texts_searchable(corpus: str, tmp_path: Path, method: str) -> None:
    path = tmp_path / "texts.vl"
    result = documents(
        corpus, "--out", str(path), "--method", method, "--dim", "8", "--json", "--search", "court"
    )
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["texts"] == 120
    model = vl.open(path)
    assert model.vectors_.shape == (120, data["dim"])
    if method in ("dual-encoder", "latent-semantic"):
        assert {row % 2 for row, *_ in data["search"]["court"]} == {1}


def test_vectors_alone_and_text_for_people(corpus: str, tmp_path: Path) -> None:
    path = tmp_path / "texts.npz"
    result = documents(corpus, "--out", str(path), "--dim", "4", "--epochs", "2", "--search", "sea")
    assert result.exit_code == 0, result.output
    assert "120 texts, 4 dimensions" in result.stdout
    assert "near sea" in result.stdout
    assert vl.read(path).values.shape == (120, 4)


def test_checkpoint_is_gone_on_from(corpus: str, tmp_path: Path) -> None:
    state, path = str(tmp_path / "state.vl"), tmp_path / "texts.vl"
    given = [corpus, "--out", str(path), "--dim", "4", "--held-out", "0.1", "--patience", "3"]
    result = documents(*given, "--checkpoint", state, "--json")
    assert result.exit_code == 0, result.output
    first = vl.open(path).table_.copy()
    assert len(json.loads(result.stdout)["held_out_losses"]) > 1
    assert documents(*given, "--checkpoint", state, "--resume").exit_code == 0
    np.testing.assert_array_equal(vl.open(path).table_, first)
    other = documents(*given, "--checkpoint", state, "--resume", "--seed", "5")
    assert other.exit_code != 0
    assert "random_state" in other.output


def test_texts_held_out_stop_a_training(corpus: str, tmp_path: Path) -> None:
    given = [corpus, "--out", str(tmp_path / "t.vl"), "--dim", "4", "--held-out", "0.2", "--json"]
    result = documents(*given, "--method", "dbow", "--epochs", "30")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert 1 < len(found["held_out_losses"]) == len(found["losses"]) < 30


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--method", "magic"], "--method"),
        (["--resume"], "--checkpoint"),
        (["--method", "latent-semantic", "--epochs", "2"], "--epochs"),
        (["--method", "sif", "--checkpoint", "x.vl"], "checkpoints"),
    ],
)
def test_what_a_method_does_not_take_is_said(
    corpus: str, tmp_path: Path, arguments: list[str], said: str
) -> None:
    result = documents(corpus, "--out", str(tmp_path / "texts.vl"), *arguments)
    assert result.exit_code != 0
    assert said in result.output
