# SPDX-License-Identifier: Apache-2.0
"""Laws of `vectorloom search`: NumPy's answers, in the order and the form that were asked for."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

import vectorloom as vl
from vectorloom.cli.main import app
from vectorloom.cli.search import read_json_lines
from vectorloom.errors import FormatError, ShapeError


@pytest.fixture
def rows(rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.standard_normal((200, 17)).astype(np.float32)


@pytest.fixture
def files(tmp_path: Path, rows: NDArray[np.float32]) -> tuple[str, str]:
    """A file of vectors and one of queries, the first three vectors themselves."""
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "queries.npy", rows[:3])
    return str(tmp_path / "rows.npy"), str(tmp_path / "queries.npy")


def search(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["search", *arguments], input=stdin)


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def read_terminal(terminal: int) -> str:
    """Read what is written to a terminal until its last writer has closed it."""
    parts = []
    with contextlib.suppress(OSError):  # Linux ends a pseudo-terminal with EIO, others with b""
        while part := os.read(terminal, 1 << 16):
            parts.append(part)
    os.close(terminal)
    return b"".join(parts).decode()


def truth(rows: NDArray[np.float32], queries: NDArray[np.float32], metric: str, k: int) -> Any:
    a, b = queries.astype(float), rows.astype(float)
    scores = a @ b.T
    if metric == "cosine":
        scores /= np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    if metric == "l2":
        scores = -((a[:, None] - b[None]) ** 2).sum(axis=-1)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_answers_are_those_of_numpy(
    metric: str, files: tuple[str, str], rows: NDArray[np.float32]
) -> None:
    result = search(*files, "-k", "5", "--metric", metric, "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    found = records(result.stdout)
    ids = [[hit["id"] for hit in record["hits"]] for record in found]
    assert ids == truth(rows, rows[:3], metric, 5).tolist()
    assert [record["query"] for record in found] == [0, 1, 2]
    for record in found:
        scores = [hit["score"] for hit in record["hits"]]
        assert scores == sorted(scores, reverse=True)


def test_metric_of_a_file_is_cosine_unless_said(files: tuple[str, str]) -> None:
    assert search(*files, "--json").stdout == search(*files, "--metric", "cosine", "--json").stdout


def test_off_terminal_the_answer_is_json_lines_without_asking(files: tuple[str, str]) -> None:
    assert search(*files).stdout == search(*files, "--json").stdout


def test_on_a_terminal_the_answer_is_a_table_of_the_first_queries(
    tmp_path: Path, rows: NDArray[np.float32]
) -> None:
    np.save(tmp_path / "rows.npy", rows[:25])
    name = str(tmp_path / "rows.npy")
    terminal, slave = os.openpty()
    command = [sys.executable, "-m", "vectorloom", "search", name, name, "-k", "1"]
    with subprocess.Popen(command, stdout=slave, stderr=subprocess.PIPE, text=True) as process:
        os.close(slave)
        shown = read_terminal(terminal)
        assert process.stderr is not None
        errors = process.stderr.read()
    assert process.returncode == 0
    assert "rank" in shown
    assert "{" not in shown
    assert shown.count("1.00000") == 20
    assert errors == "5 more queries are not shown; --out FILE writes them all.\n"


def test_more_hits_than_vectors_gives_all_vectors(files: tuple[str, str]) -> None:
    result = search(*files, "-k", "1000", "--json")
    assert [len(record["hits"]) for record in records(result.stdout)] == [200, 200, 200]


def test_ids_of_both_files_are_kept(tmp_path: Path, rows: NDArray[np.float32]) -> None:
    vl.write(tmp_path / "rows.parquet", rows, ids=[f"row{i}" for i in range(200)])
    vl.write(tmp_path / "queries.parquet", rows[5:6], ids=["five"])
    result = search(str(tmp_path / "rows.parquet"), str(tmp_path / "queries.parquet"), "-k1")
    (record,) = records(result.stdout)
    assert (record["query"], record["hits"][0]["id"]) == ("five", "row5")


def test_blocks_of_queries_change_no_answer(
    files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(files[0], files[0], "--json").stdout
    monkeypatch.setattr("vectorloom.cli.search.QUERIES_A_BLOCK", 7)
    monkeypatch.setenv("VECTORLOOM_PROGRESS", "json")
    result = search(files[0], files[0], "--json")
    assert result.stdout == whole
    events = records(result.stderr)
    assert {event["progress"] for event in events} == {"loading rows.npy", "searching"}
    assert (events[-1]["status"], events[-1]["done"], events[-1]["total"]) == ("done", 200, 200)


def test_queries_come_from_standard_input_as_json_lines(
    files: tuple[str, str], rows: NDArray[np.float32]
) -> None:
    lines = json.dumps(rows[7].tolist()) + "\n\n" + json.dumps({"id": "q", "vector": [1.0] * 17})
    result = search(files[0], "-", "-k", "1", "--json", stdin=lines)
    first, second = records(result.stdout)
    assert (first["query"], first["hits"][0]["id"]) == (0, 7)
    assert second["query"] == "q"


def test_saved_index_answers_as_its_vectors_do(
    tmp_path: Path, files: tuple[str, str], rows: NDArray[np.float32]
) -> None:
    path = tmp_path / "rows.vloom"
    vl.index.Exact(metric="l2").fit(rows).save(path)
    saved = search(str(path), files[1], "--json")
    assert saved.exit_code == 0
    assert saved.stdout == search(*files, "--metric", "l2", "--json").stdout
    refused = search(str(path), files[1], "--metric", "ip")
    assert refused.exit_code == 1
    assert "was built for metric 'l2'" in refused.stderr


def test_hamming_counts_the_bits_that_differ(tmp_path: Path, rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (50, 9), dtype=np.uint8)
    np.save(tmp_path / "bits.npy", rows)
    name = str(tmp_path / "bits.npy")
    result = search(name, name, "--metric", "hamming", "-k", "50", "--json")
    assert result.exit_code == 0
    bits = np.unpackbits(rows, axis=1).astype(int)
    for record in records(result.stdout):
        for hit in record["hits"]:
            assert hit["distance"] == np.abs(bits[record["query"]] - bits[hit["id"]]).sum()


def test_out_holds_the_same_lines_and_standard_output_stays_empty(
    tmp_path: Path, files: tuple[str, str]
) -> None:
    path = tmp_path / "hits.jsonl"
    result = search(*files, "--out", str(path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "3 queries, 30 hits written" in result.stderr
    assert path.read_text() == search(*files).stdout


def test_run_has_a_line_a_hit_in_trec_form(tmp_path: Path, files: tuple[str, str]) -> None:
    path = tmp_path / "run.txt"
    assert search(*files, "-k", "4", "--run", str(path)).exit_code == 0
    lines = [line.split() for line in path.read_text().splitlines()]
    assert len(lines) == 12
    assert [(line[0], line[1], line[3], line[5]) for line in lines[:2]] == [
        ("0", "Q0", "1", "vectorloom"),
        ("0", "Q0", "2", "vectorloom"),
    ]
    assert lines[0][2] == "0"
    assert float(lines[0][4]) == pytest.approx(1.0)


def test_run_refuses_ids_that_its_form_cannot_hold_and_writes_nothing(
    tmp_path: Path, files: tuple[str, str], rows: NDArray[np.float32]
) -> None:
    source, run = tmp_path / "rows.parquet", tmp_path / "run.txt"
    vl.write(source, rows, ids=[f"row {i}" for i in range(200)])
    result = search(str(source), files[1], "--run", str(run))
    assert result.exit_code == 1
    assert "has a space" in result.stderr
    assert [path.name for path in tmp_path.iterdir() if "run" in path.name] == []


def test_any_number_of_threads_gives_the_same_answer(files: tuple[str, str]) -> None:
    assert search(*files, "-j", "1").stdout == search(*files, "--jobs", "2").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--metric", "dot"], "'dot'"), (["--ids", "name"], "ids"), (["--out", "no/dir/x"], "no/dir")],
)
def test_what_cannot_be_done_is_1_with_the_reason(
    arguments: list[str], words: str, files: tuple[str, str]
) -> None:
    result = search(*files, *arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stdout == ""


def test_one_file_may_hold_both_under_names(tmp_path: Path, rows: NDArray[np.float32]) -> None:
    path = str(tmp_path / "both.npz")
    np.savez(path, train=rows, test=rows[4:6])
    result = search(path, path, "--vectors", "train", "--query-vectors", "test", "-k1", "--json")
    assert [record["hits"][0]["id"] for record in records(result.stdout)] == [4, 5]


def test_queries_of_another_dimension_are_refused(files: tuple[str, str]) -> None:
    result = search(files[0], "-", stdin="[1, 2, 3]\n")
    assert result.exit_code == 1
    assert "17" in result.stderr


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", ShapeError, "held no query"),
        ("[1, 2]\n[1]\n", ShapeError, "line 2: a vector of 1 numbers"),
        ("[1, 2\n", FormatError, "line 1: not JSON"),
        ("\n\n[1, true]\n", FormatError, "line 3: expected a list of numbers"),
        ("[]\n", FormatError, "line 1: expected"),
        ('{"id": "a"}\n', FormatError, "line 1: expected"),
        ("3\n", FormatError, "line 1: expected"),
    ],
)
def test_broken_json_lines_name_the_line(text: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        read_json_lines(io.StringIO(text))


def test_interrupt_while_waiting_for_queries_is_130_with_one_line(files: tuple[str, str]) -> None:
    terminal, slave = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "vectorloom", "search", files[0], "-"],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        # The note comes when the vectors have been read, just before the wait.
        assert "reading queries from the terminal" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    os.close(slave)
    os.close(terminal)
    assert process.returncode == 130
    assert (out, errors) == ("", "vectorloom: interrupted\n")
