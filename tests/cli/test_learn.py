# SPDX-License-Identifier: Apache-2.0
"""Laws of `vectorloom learn words`: a corpus becomes vectors with one command."""

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
    topics = [["ship", "sea", "sail", "wave"], ["law", "court", "judge", "trial"]]
    lines = [" ".join(rng.choice(topics[rng.integers(2)], size=8)) for _ in range(300)]
    (tmp_path / "text.txt").write_text("\n".join(lines))
    return str(tmp_path / "text.txt")


def words(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["learn", "words", *arguments])


@pytest.mark.parametrize(
    "method", ["skipgram", "cbow", "fasttext", "glove", "swivel", "pmi-svd", "bit-cipher"]
)
def test_each_method_writes_vectors_that_open(corpus: str, tmp_path: Path, method: str) -> None:
    path = tmp_path / "words.vl"
    result = words(
        corpus,
        "--out",
        str(path),
        "--method",
        method,
        "--dim",
        "8",
        "--seed",
        "1",
        "--json",
        "--similar",
        "ship",
    )
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["words"], data["dim"], data["tokens"]) == (8, 8, 2400)
    assert len(data["similar"]["ship"]) == 7
    assert len(vl.open(path)) == 8


def test_other_formats_and_text_for_people(corpus: str, tmp_path: Path) -> None:
    path = tmp_path / "words.vec"
    result = words(corpus, "--out", str(path), "--epochs", "2", "--dim", "4")
    assert result.exit_code == 0, result.output
    assert "8 words, 4 dimensions" in result.stdout
    assert len(vl.read(path)) == 8


def test_wrong_usage_and_wrong_corpora(corpus: str, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "w.vl")]
    assert words(corpus, *out, "--method", "lsa").exit_code == 2
    assert words(corpus, *out, "--resume").exit_code == 2
    assert words(corpus, *out, "--method", "pmi-svd", "--epochs", "3").exit_code == 2
    assert words(str(tmp_path / "none"), *out).exit_code == 1
    (tmp_path / "b.txt").write_bytes(b"\x00\xff")
    result = words(str(tmp_path / "b.txt"), *out, "--json")
    assert result.exit_code == 1
    assert "byte 0" in json.loads(result.stdout)["error"]["message"]
    assert not (tmp_path / "w.vl").exists()


def test_training_stops_early_and_goes_on_with_more_text(corpus: str, tmp_path: Path) -> None:
    path = tmp_path / "words.vl"
    given = ["--out", str(path), "--seed", "1", "--json"]
    stop = ["--held-out", "0.1", "--patience", "1", "--epochs", "40", "--dim", "4"]
    result = words(corpus, *given, *stop)
    assert result.exit_code == 0, result.output
    losses = json.loads(result.stdout)["held_out_losses"]
    assert 1 < len(losses) < 40
    (tmp_path / "more.txt").write_text("ship and tide\n" * 50)
    result = words(str(tmp_path / "more.txt"), *given, "--onto", str(path), "--epochs", "2")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["losses"]) == 2
    assert set(vl.open(path).ids_) >= {"ship", "court", "tide"}
    plain = ["--method", "pmi-svd", "--patience", "2"]
    assert words(corpus, "--out", str(path), *plain).exit_code == 2
