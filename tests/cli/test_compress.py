# SPDX-License-Identifier: Apache-2.0
"""Laws of `vectorloom compress`: codes that carry their calibration, a report, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

import vectorloom as vl
from vectorloom.cli.compress import read_qrels
from vectorloom.cli.main import app
from vectorloom.errors import FormatError


@pytest.fixture
def rows(rng: np.random.Generator) -> NDArray[np.float32]:
    centres = rng.standard_normal((20, 16))
    found = centres[rng.integers(20, size=500)] + 0.2 * rng.standard_normal((500, 16))
    return found.astype(np.float32)


@pytest.fixture
def file(tmp_path: Path, rows: NDArray[np.float32]) -> str:
    ids = np.array([f"r{i}" for i in range(len(rows))])
    np.savez(tmp_path / "rows.npz", vectors=rows, ids=ids)
    return str(tmp_path / "rows.npz")


@pytest.fixture
def queries(tmp_path: Path, rows: NDArray[np.float32]) -> str:
    np.save(tmp_path / "queries.npy", rows[:40] + np.float32(0.01))
    return str(tmp_path / "queries.npy")


def compress(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compress", *arguments])


def test_codes_come_back_with_ids_and_the_calibration_that_made_them(
    file: str, rows: NDArray[np.float32], tmp_path: Path
) -> None:
    target = tmp_path / "codes.vloom"
    result = compress(file, "--recipe", "pca:8 | float16", "--out", str(target))
    assert result.exit_code == 0, result.output
    assert "16 bytes each (4.0× smaller" in result.output
    coded = vl.open(target)
    mine = vl.compress.from_text("pca:8 | float16").fit(rows)
    np.testing.assert_array_equal(np.asarray(coded.codes), np.asarray(mine.transform(rows)))
    assert coded.ids.tolist()[:2] == ["r0", "r1"]
    np.testing.assert_array_equal(
        coded.scores(rows[:3]), mine.scores(rows[:3], mine.transform(rows))
    )


def test_json_tells_what_was_written(file: str, tmp_path: Path) -> None:
    target = tmp_path / "codes.vloom"
    result = compress(file, "--recipe", "float16", "--out", str(target), "--json")
    told = json.loads(result.stdout)
    assert (told["rows"], told["dim"], told["bytes_per_vector"]) == (500, 16, 32)
    assert told["bytes"] == target.stat().st_size
    assert told["fingerprint"] == vl.open(target).codes.fingerprint


def test_the_report_is_a_table_a_page_and_json(file: str, queries: str, tmp_path: Path) -> None:
    page = tmp_path / "card.html"
    arguments = [file, "--recipe", "pca:8", "--recipe", "pca:4", "--queries", queries, "-k", "5"]
    result = compress(*arguments, "--report", str(page))
    assert result.exit_code == 0, result.output
    assert "recall@5" in result.stdout
    assert "Only 40 queries" in result.stdout
    assert "pca:8" in page.read_text(encoding="utf-8")
    told = json.loads(compress(*arguments, "--json").stdout)
    assert [row["name"] for row in told["rows"]] == ["pca:4", "pca:8"]
    assert told["queries_from"] == "given"


@pytest.mark.parametrize("named", [True, False])
def test_judgments_add_ndcg_by_ids_or_by_positions(
    file: str, rows: NDArray[np.float32], tmp_path: Path, named: bool
) -> None:
    asked = rows[:40] + np.float32(0.01)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    nearest = (asked @ unit.T).argmax(axis=1)
    queries, qrels, source = tmp_path / "q.npz", tmp_path / "qrels.tsv", file
    lines = [f"{i}\t{f'r{row}' if named else row}\t1" for i, row in enumerate(nearest)]
    if not named:
        source = str(tmp_path / "plain.npy")
        np.save(source, rows)
    np.savez(queries, vectors=asked)
    qrels.write_text("\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n", encoding="utf-8")
    options = ["--recipe", "float16", "--queries", str(queries), "--qrels", str(qrels), "--json"]
    result = compress(source, *options)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["n_judged"] == 40
    assert told["exact_ndcg"] == pytest.approx(1.0)
    assert told["rows"][0]["ndcg_loss"] == pytest.approx(0.0, abs=0.01)


def test_qrels_of_beir_and_of_trec_are_read_and_others_refused(tmp_path: Path) -> None:
    path = tmp_path / "qrels"
    path.write_text("query-id\tcorpus-id\tscore\nq 1\td1\t2\n", encoding="utf-8")
    assert read_qrels(path) == {"q 1": {"d1": 2.0}}
    path.write_text("q1 0 d1 1\nq1 0 d2 0\n\n", encoding="utf-8")
    assert read_qrels(path) == {"q1": {"d1": 1.0, "d2": 0.0}}
    path.write_text("q1 0 d1 1\nq1 d2 often\n", encoding="utf-8")
    with pytest.raises(FormatError, match="line 2"):
        read_qrels(path)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--out", "c.vloom"], 2, "takes one --recipe"),
        (["--out", "c.vloom", "--recipe", "float16", "--recipe", "pca:4"], 2, "one --recipe"),
        (["--out", "c.vloom", "--recipe", "float16", "--report", "c.html"], 2, "not --report"),
        (["--bytes", "many"], 2, "whole numbers"),
        (["--out", "c.vloom", "--recipe", "pca:4"], 1, "no codes; end it with one"),
        (["--out", "c.vloom", "--recipe", "sqish:4"], 1, "no step of a recipe"),
        (["--recipe", "float16", "--metric", "dot"], 1, "metric must be one of"),
        (["--recipe", "float16", "--qrels", "none.tsv"], 1, "none.tsv"),
    ],
)
def test_wrong_use_ends_with_2_and_a_failed_job_with_1(
    file: str, options: list[str], code: int, words: str, tmp_path: Path
) -> None:
    result = compress(file, *[str(tmp_path / o) if o.endswith(".vloom") else o for o in options])
    assert result.exit_code == code
    assert words in " ".join(result.output.split()).replace("│ ", "")
    assert not (tmp_path / "c.vloom").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    result = compress(str(tmp_path / "none.npy"), "--recipe", "float16")
    assert result.exit_code == 1
    assert "none.npy" in result.output
