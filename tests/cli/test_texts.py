# SPDX-License-Identifier: Apache-2.0
"""Laws of `vectorloom index`: texts in, BM25 out, and `vectorloom search` answers with texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import vectorloom as vl
from vectorloom.cli.main import app
from vectorloom.cli.texts import read_texts
from vectorloom.errors import FormatError, ShapeError

TEXTS = ["the wing of a plane", "lift of a wing in slow flow", "heat flow in a pipe"]


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    rows = [{"_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(TEXTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_texts_are_found_by_their_words_as_the_library_finds_them(
    corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "words.vl"
    made = run("index", str(corpus), str(out), "--stop-words", "english", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.output)["items"] == 3
    found = run("search", str(out), "-", "-k", "2", "--json", stdin="flow in pipes\nwing flow\n")
    assert found.exit_code == 0, found.output
    records = [json.loads(line) for line in found.output.splitlines()]
    wanted = vl.index.BM25(stop_words="english").fit(TEXTS, ["d0", "d1", "d2"])
    hits = wanted.search(["flow in pipes", "wing flow"], k=2)
    for q, record in enumerate(records):
        assert record["query"] == q
        assert [hit["id"] for hit in record["hits"]] == hits.ids[q, : hits.counts[q]].tolist()
        assert record["hits"][0]["score"] == pytest.approx(float(hits.scores[q, 0]))


def test_queries_with_ids_make_a_run(corpus: Path, tmp_path: Path) -> None:
    out, queries, lines = (tmp_path / name for name in ("words.vl", "queries.jsonl", "run.txt"))
    run("index", str(corpus), str(out))
    queries.write_text('{"_id": "q7", "text": "heat of a pipe"}\n')
    assert run("search", str(out), str(queries), "--run", str(lines)).exit_code == 0
    assert lines.read_text().splitlines()[0].split()[:4] == ["q7", "Q0", "d2", "1"]


def test_lines_and_objects_are_read_and_titles_come_first(tmp_path: Path) -> None:
    plain = tmp_path / "a.txt"
    plain.write_text("one\n\n two words \n")
    assert read_texts(str(plain)) == ([0, 1], ["one", "two words"])
    objects = tmp_path / "b.jsonl"
    objects.write_text('{"id": 5, "title": "T", "text": "x"}\n{"id": 9, "text": "y"}\n')
    assert read_texts(str(objects)) == ([5, 9], ["T x", "y"])


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("", ShapeError, "no text"),
        ('{"id": 1, "text": "a"}\n{"text": "b"}\n', FormatError, "ids must be"),
        ('{"id": 1, "text": 4}\n', FormatError, "line 1: expected"),
        ('{"id": 1, "text": "a"}\n{nonsense\n', FormatError, "line 2: not JSON"),
    ],
)
def test_what_is_no_text_is_refused_with_its_line(
    content: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(error, match=message):
        read_texts(str(path))


def test_bad_settings_and_wrong_options_are_told(corpus: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "words.vl")
    bad = run("index", str(corpus), out, "--method", "bm26")
    assert bad.exit_code == 1
    assert "method" in bad.output
    assert run("index", str(tmp_path / "none.txt"), out).exit_code == 1
    run("index", str(corpus), out)
    refused = run("search", out, "-", "--query-vectors", "v", stdin="wing\n")
    assert refused.exit_code == 1
    assert "holds texts, not vectors" in " ".join(refused.output.split())
