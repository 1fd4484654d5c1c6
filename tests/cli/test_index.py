# SPDX-License-Identifier: Apache-2.0
"""Laws of `vectorloom index` beyond texts: sparse, ragged, dense vectors and several at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from typer.testing import CliRunner, Result

import vectorloom as vl
from vectorloom.cli.main import app

TEXTS = ["the wing of a plane", "lift of a wing in slow flow", "heat flow in a pipe"]
IDS = ["d0", "d1", "d2"]
WEIGHTS = [{"wing": 1.5, "plane": 1.0}, {"lift": 2.0, "wing": 0.5}, {"heat": 1.0, "pipe": 3.0}]


def run(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)


def done(*arguments: object, stdin: str | None = None) -> list[dict[str, Any]]:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ids_of(record: dict[str, Any]) -> list[Any]:
    return [hit["id"] for hit in record["hits"]]


def same(records: list[dict[str, Any]], hits: vl.index.Hits) -> None:
    assert len(records) == len(hits)
    for q, record in enumerate(records):
        assert ids_of(record) == hits.ids[q, : hits.counts[q]].tolist()
        scores = [hit["score"] for hit in record["hits"]]
        assert scores == pytest.approx(hits.scores[q, : hits.counts[q]].tolist())


# ---- sparse vectors ------------------------------------------------------------------------------


def test_weights_of_terms_are_found_as_the_library_finds_them(tmp_path: Path) -> None:
    out = tmp_path / "sparse.vl"
    rows = [{"_id": id_, "vector": row} for id_, row in zip(IDS, WEIGHTS, strict=True)]
    done("index", lines(tmp_path / "rows.jsonl", rows), out)
    asked = lines(tmp_path / "asked.jsonl", [{"id": "q", "vector": {"wing": 2.0, "unheard": 1.0}}])
    found = done("search", out, asked, "-k", 3, "--json")
    assert found[0]["query"] == "q"
    same(found, vl.index.Inverted().fit(WEIGHTS, IDS).search([{"wing": 2.0}], k=3))
    bare = done("search", out, "-", "--json", stdin='{"lift": 1.0}\n')
    assert ids_of(bare[0]) == ["d1"]
    assert vl.open(out).terms_ == ["wing", "plane", "lift", "heat", "pipe"]


def test_a_matrix_of_scipy_with_ids_is_an_inverted_index(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = sparse.random(40, 12, 0.4, "csr", np.float32, random_state=rng)
    asked = sparse.random(3, 12, 0.5, "csr", np.float32, random_state=rng)
    sparse.save_npz(tmp_path / "asked.npz", asked)
    ids = np.array([f"r{i}" for i in range(40)])
    np.savez(
        tmp_path / "rows.npz", data=rows.data, indices=rows.indices, indptr=rows.indptr,
        shape=rows.shape, format=b"csr", ids=ids,
    )  # fmt: skip
    out = tmp_path / "sparse.vl"
    done("index", tmp_path / "rows.npz", out)
    found = done("search", out, tmp_path / "asked.npz", "--recall", 1, "--json")
    same(found, vl.index.Inverted().fit(rows, ids).search(asked, exact=True))


# ---- token vectors -------------------------------------------------------------------------------


def ragged(rng: np.random.Generator, n: int, dim: int = 8) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 6, n))])
    return rng.standard_normal((offsets[-1], dim)).astype(np.float32), offsets


@pytest.mark.parametrize("encoding", ["muvera", "windows", "none"])
def test_values_and_offsets_are_a_multi_vector_index(encoding: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    items, asked = ragged(rng, 30), ragged(rng, 4)
    np.savez(tmp_path / "items.npz", values=items[0], offsets=items[1], ids=np.arange(30) + 100)
    np.savez(tmp_path / "asked.npz", values=asked[0], offsets=asked[1])
    out = tmp_path / "tokens.vl"
    done("index", tmp_path / "items.npz", out, "--encoding", encoding)
    found = done("search", out, tmp_path / "asked.npz", "-k", 5, "--json")
    wanted = vl.index.MultiVector(encoding=None).fit(items, np.arange(30) + 100)
    same(found, wanted.search(asked, k=5))  # so few items are all scored


# ---- dense vectors -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["exact", "graph", "ivf"])
def test_dense_vectors_make_the_index_that_is_named(kind: str, tmp_path: Path) -> None:
    rows = np.random.default_rng(2).standard_normal((300, 8)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    out = tmp_path / "dense.vl"
    made = run("index", tmp_path / "rows.npy", out, "--kind", kind, "--metric", "l2", "--json")
    assert json.loads(made.stdout)["index"] == kind
    np.save(tmp_path / "asked.npy", rows[:5])
    found = done("search", out, tmp_path / "asked.npy", "-k", 1, "--json")
    assert [ids_of(record) for record in found] == [[i] for i in range(5)]
    assert vl.open(out).metric == "l2"


# ---- several -------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    rng = np.random.default_rng(3)
    rows = [{"_id": id_, "text": text} for id_, text in zip(IDS, TEXTS, strict=True)]
    paths = {"texts": lines(tmp_path / "corpus.jsonl", rows)}
    asked = [{"_id": "q1", "text": "wing"}, {"_id": "q2", "text": "heat flow"}]
    paths["queries"] = lines(tmp_path / "queries.jsonl", asked)
    for name, n in (("rows", 3), ("asked", 2)):
        paths[name] = tmp_path / f"{name}.npy"
        np.save(paths[name], rng.standard_normal((n, 4)).astype(np.float32))
        paths[f"{name} tokens"] = tmp_path / f"{name}.npz"
        values, offsets = ragged(rng, n)
        np.savez(paths[f"{name} tokens"], values=values, offsets=offsets)
    return paths


def test_several_files_are_one_hybrid_that_tells_what_each_leg_said(
    files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "all.vl"
    legs = [f"words={files['texts']}", f"rows={files['rows']}", f"tokens={files['rows tokens']}"]
    done("index", *legs, out)
    asked = [f"words={files['queries']}", f"rows={files['asked']}"]
    found = done("search", out, *asked, "-k", 3, "--json")
    assert [record["query"] for record in found] == ["q1", "q2"]
    hybrid = vl.index.Hybrid(
        {
            "words": vl.index.BM25().fit(TEXTS, IDS),
            "rows": vl.index.Exact().fit(np.load(files["rows"]), IDS),
        }
    )
    hits = hybrid.search({"words": ["wing", "heat flow"], "rows": np.load(files["asked"])}, k=3)
    same(found, hits)
    for q, record in enumerate(found):
        for place, hit in enumerate(record["hits"]):
            ranks = {leg: of[q, place] for leg, of in hits.leg_ranks.items() if of[q, place]}
            assert {leg: said["rank"] for leg, said in hit["legs"].items()} == ranks
    shown = run("search", out, *asked, f"tokens={files['asked tokens']}", "-k", "1")
    assert shown.exit_code == 0, shown.output


def test_hits_are_ranked_again_by_a_second_index(files: dict[str, Path], tmp_path: Path) -> None:
    words, rows = tmp_path / "words.vl", tmp_path / "rows.vl"
    done("index", files["texts"], words)
    dense = vl.index.Exact().fit(np.load(files["rows"]), IDS)
    dense.save(rows)
    again = ["--rerank", f"{rows}={files['asked']}", "--candidates", "2"]
    found = done("search", words, files["queries"], "--json", *again)
    stages = vl.index.TwoStage(vl.index.BM25().fit(TEXTS, IDS), dense, 2)
    asked = {"first": ["wing", "heat flow"], "second": np.load(files["asked"])}
    same(found, stages.search(asked, k=2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["index", "words={texts}", "{rows}", "out.vl"], "NAME=FILE"),
        (["index", "a={texts}", "a={rows}", "out.vl"], "each name once"),
        (["index", "a={texts}", "b={rows}", "out.vl", "--kind", "bm25"], "one source"),
        (["index", "{rows}", "out.vl", "--kind", "bm52"], "must be one of"),
        (["index", "{rows tokens}", "out.vl", "--kind", "inverted"], "save_npz"),
        (["index", "{rows}", "out.vl", "--kind", "multivector"], "token vectors come as"),
        (["index", "-", "out.vl"], "Give a file"),
        (["search", "{hybrid}", "{queries}"], "NAME=FILE"),
        (["search", "{hybrid}", "none={queries}"], "has no leg"),
        (["search", "{hybrid}", "words={queries}", "--recall", "0.9"], "no recall"),
        (["search", "{hybrid}", "words={queries}", "rows={rows}"], "the same queries"),
        (["search", "{words}", "{queries}", "{queries}"], "one file"),
        (["search", "{words}", "{queries}", "--rerank", "{words}"], "INDEX=QUERIES"),
        (["search", "{words}", "{queries}", "--query-vectors", "v"], "leave"),
    ],
)
def test_what_does_not_fit_is_told(
    arguments: list[str], message: str, files: dict[str, Path], tmp_path: Path
) -> None:
    paths = {name: str(path) for name, path in files.items()}
    paths |= {"hybrid": str(tmp_path / "h.vl"), "words": str(tmp_path / "w.vl")}
    words = vl.index.BM25().fit(TEXTS, IDS)
    words.save(paths["words"])
    rows = vl.index.Exact().fit(np.load(files["rows"]), IDS)
    vl.index.Hybrid({"words": words, "rows": rows}).save(paths["hybrid"])
    out = str(tmp_path / "out.vl")
    given = [each.format(**paths) if each != "out.vl" else out for each in arguments]
    result = run(*given, stdin="[1.0, 2.0]\n")
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize("damage", ["cut", "ids", "offsets"])
def test_damaged_archives_are_refused_by_name(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "items.npz"
    arrays = {"values": np.ones((3, 2), np.float32), "offsets": np.array([0, 1, 3])}
    if damage == "ids":
        arrays["ids"] = np.arange(5)
    if damage == "offsets":
        arrays["offsets"] = np.array([0, 1, 4])
    np.savez(path, **arrays)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    result = run("index", path, tmp_path / "out.vl")
    assert result.exit_code == 1
    assert "items.npz" in result.output
    assert "bug" not in result.output
