# SPDX-License-Identifier: Apache-2.0
"""BEIR folders, plain and compressed, whole and broken."""

from __future__ import annotations

import gzip
import lzma
import os
from pathlib import Path

import pytest

from vectorloom.errors import FormatError, ParameterError
from vectorloom.io import describe, read, read_beir

CORPUS = '{"_id": "d1", "title": "Cats", "text": "purr"}\n{"_id": "d2", "text": "bark"}\n'
QUERIES = '{"_id": "q1", "text": "feline"}\n{"_id": "q2", "text": "unjudged"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text(CORPUS)
    (tmp_path / "queries.jsonl").write_text(QUERIES)
    (tmp_path / "qrels" / "test.tsv").write_text(QRELS)
    return tmp_path


def test_a_collection_is_read_with_the_queries_of_its_split(folder):
    found = read_beir(folder)
    assert found.corpus.ids.tolist() == ["d1", "d2"]
    assert found.corpus.full_texts() == ["Cats purr", "bark"]
    assert found.queries.ids.tolist() == ["q1"]
    assert found.qrels == {"q1": {"d1": 2, "d2": 0}}
    assert len(read_beir(folder, split=None).queries) == 2


def test_compressed_parts_read_the_same(folder):
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.xz").write_bytes(lzma.compress(CORPUS.encode()))
    (folder / "queries.jsonl").unlink()
    (folder / "queries.jsonl.gz").write_bytes(gzip.compress(QUERIES.encode()))
    (folder / "qrels" / "train.tsv.gz").write_bytes(gzip.compress(QRELS.encode()))
    found = read_beir(folder, split="train")
    assert len(found.corpus) == 2
    assert found.qrels["q1"]["d1"] == 2
    assert describe(folder)["splits"] == ["test", "train"]


def test_read_and_describe_know_the_folder(folder):
    with pytest.raises(FormatError, match=r"found a BEIR folder.*vl\.io\.read_beir"):
        read(folder)
    told = describe(folder)
    assert told["format"] == "beir"
    assert told["files"] == ["corpus.jsonl", "qrels/test.tsv", "queries.jsonl"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("corpus.jsonl", CORPUS + "{", "line 3: expected JSON"),
        ("corpus.jsonl", CORPUS + CORPUS, "line 3: expected a new _id; found 'd1' of line 1"),
        ("corpus.jsonl", '{"_id": "x"}\n', "line 1: expected an object with _id and text"),
        ("queries.jsonl", '{"text": "x"}\n', "line 1: expected _id, a str"),
        ("qrels/test.tsv", QRELS + "q1 d1 1\n", "line 4: expected query-id, corpus-id, score"),
        ("qrels/test.tsv", QRELS + "q1\td1\tx\n", "line 4: expected an integer score; found 'x'"),
    ],
)
def test_broken_parts_name_file_and_line(folder, name, text, message):
    (folder / name).write_text(text)
    with pytest.raises(FormatError, match=message) as caught:
        read_beir(folder)
    assert str(folder / name) in str(caught.value)


def test_missing_parts_are_named(folder):
    with pytest.raises(
        ParameterError, match=r"no qrels/dev\.tsv; the folder has the splits \['test'"
    ):
        read_beir(folder, split="dev")
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(FormatError, match=r"expected corpus\.jsonl .*; found none"):
        read_beir(folder)
    with pytest.raises(FileNotFoundError):
        read_beir(folder / "nonesuch")
    with pytest.raises(FormatError, match="found a file"):
        read_beir(folder / "queries.jsonl")


REAL = Path(os.environ.get("VECTORLOOM_DATA", "../shared/data"))


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL} (set VECTORLOOM_DATA)")
def test_real_files_are_read():
    found = read_beir(REAL / "text/ir/adi")
    assert (len(found.corpus), len(found.queries)) == (82, 35)
    assert sum(map(len, found.qrels.values())) == 170
    corpus = read(REAL / "vectors/minilm-scifact/vectors.npz", vectors="corpus")
    assert corpus.values.shape == (5183, 384)
    assert corpus.ids[0] == "4983"
    words = read(REAL / "text/vectors/glove.twitter.27B.25d.top12k.txt.xz")
    assert words.values.shape == (11925, 25)
    assert words.ids[0] == "the"
