# SPDX-License-Identifier: Apache-2.0
"""Suites of codes: equal bytes are enforced, quality is held to floors, each set has its result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.__main__ import main
from benchmarks.data import FILES, gather
from benchmarks.page import END, START
from benchmarks.peers.base import UnfitError, filled
from benchmarks.suite import DataSpec, known_suites, read_suite

from vectorloom.errors import ParameterError

SUITE = """
title = "Made for the tests"
task = "code-recall"
k = 5
baseline = "half"
bits = 16.0
train = 300
[data]
set = "clusters"
rows = 600
dim = 16
queries = 20
[repeat]
warmup = 0
rounds = 1
pause_s = 0.0
limit_s = 30
[floor]
recall = 0.1
[[method]]
name = "half"
adapter = "vectorloom_codes"
params = { recipe = "pca:{dims} | float16" }
"""
QUARTER = """
[[method]]
name = "quarter"
adapter = "vectorloom_codes"
params = { recipe = "pca:4 | float16", distance = "ip" }
"""


def run(folder: Path, text: str, *options: str, code: int = 0) -> dict[str, Any]:
    (folder / "made.toml").write_text(text, encoding="utf-8")
    assert main(["run", str(folder / "made.toml"), "--out", str(folder), *options]) == code
    (saved,) = folder.glob("made.*.json")
    found: dict[str, Any] = json.loads(saved.read_text())
    found["table"] = saved.with_suffix(".md").read_text()
    return found


def test_codes_are_searched_and_their_bytes_told(tmp_path: Path) -> None:
    found = run(tmp_path, SUITE + QUARTER)
    half, quarter = found["rows"]
    # 16 dimensions at 16 bits: 32 bytes hold all of them in float16.
    assert (half["row_bytes"], quarter["row_bytes"]) == (32, 8)
    assert half["detail"]["recipe"] == "pca:16 | float16"
    assert half["quality"]["recall"] > 0.99 > quarter["quality"]["recall"]
    assert half["fit_s"] > 0
    assert half["encode_s"] > 0
    assert "At most 32 bytes a row: 16 bits a dimension." in found["table"]
    assert "Fitted on 300 rows" in found["table"]


def test_a_code_beyond_the_bytes_of_the_suite_is_an_error(tmp_path: Path) -> None:
    text = SUITE.replace("bits = 16.0", "bits = 4.0").replace('"pca:{dims} | float16"', '"float16"')
    found = run(tmp_path, text, code=1)
    assert "32 bytes a row; the suite allows 8" in found["rows"][0]["error"]


def test_a_method_without_a_setting_is_skipped(tmp_path: Path) -> None:
    found = run(tmp_path, SUITE.replace("bits = 16.0", "bits = 0.5"))
    assert "fits into 1 bytes" in found["rows"][0]["skipped"]


def test_encoding_and_fitting_are_held_to_what_the_baseline_keeps(tmp_path: Path) -> None:
    for task in ("encode", "fit"):
        text = SUITE.replace("code-recall", task).replace("recall = 0.1", "of_baseline = 0.999")
        found = run(tmp_path, text + QUARTER, code=1)
        half, quarter = found["rows"]
        assert half["quality"]["kept"] == pytest.approx(1.0, abs=1e-4)
        assert half["quality"]["of_baseline"] == 1.0
        assert half["ratio"] == 1.0
        assert "of_baseline" in quarter["error"], "fewer dimensions keep less and may not be faster"
        assert "variance kept" in found["table"]


def test_a_goal_compares_the_best_of_both_sides(tmp_path: Path) -> None:
    goal = (
        '\n[[goal]]\nmethod = "half*"\nagainst = "quart*"\nof = "recall"\nat_least = 1.0\n'
        '\n[[goal]]\nmethod = "quart*"\nagainst = "half*"\nof = "recall"\nat_least = 1.0\n'
    )
    first, second = run(tmp_path, SUITE + QUARTER + goal)["goals"]
    assert (first["verdict"], second["verdict"]) == ("met", "missed")
    assert first["got"] == pytest.approx(1 / second["got"])


def test_each_data_set_has_a_result_of_its_own(tmp_path: Path) -> None:
    text = SUITE + '\n[[also]]\nset = "sift-5k"\n'
    (tmp_path / "made.toml").write_text(text, encoding="utf-8")
    names = [suite.name for suite in read_suite(tmp_path / "made.toml").on_each_set()]
    assert names == ["made.clusters", "made.sift-5k"]
    run(tmp_path, text, "--data", "clusters")


def test_a_set_without_queries_has_rows_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setenv("VECTORLOOM_DATA", str(tmp_path))
    file = tmp_path / FILES["sift-5k"][0]
    spec = DataSpec("sift-5k", queries=0)
    with pytest.raises(ParameterError, match="VECTORLOOM_DATA"):
        gather(spec, tmp_path)
    file.parent.mkdir(parents=True)
    rows = rng.integers(1, 255, (1200, 8)).astype(np.uint8)
    np.savez(file, X=rows)
    data = gather(spec, tmp_path)
    assert (data.rows, data.n_queries) == (700, 500)
    both = np.concatenate([np.load(data.base), np.load(data.queries)])
    unit = rows / np.linalg.norm(rows.astype(float), axis=1, keepdims=True)
    np.testing.assert_allclose(
        np.sort(both.sum(axis=1)), np.sort(unit.sum(axis=1).astype(np.float32)), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("template", "dim", "bits", "made"),
    [
        ("PQ{parts}x8", 384, 1.0, "PQ48x8"),
        ("PQ{parts}x8", 25, 2.0, "PQ5x8"),
        ("OPQ{bytes}_{width},PQ{bytes}x8", 25, 1.0, "OPQ4_24,PQ4x8"),
        ("itq:{bits}", 25, 1.0, "itq:24"),
        ("PCAR{dims},RaBitQ", 384, 1.0, "PCAR320,RaBitQ"),
        ("SQ8", 384, 0.0, "SQ8"),
    ],
)
def test_places_of_a_recipe_are_filled(template: str, dim: int, bits: float, made: str) -> None:
    def size(text: str) -> int:  # RaBitQ: a bit a dimension and 8 bytes
        return int(text.removeprefix("PCAR").split(",")[0]) // 8 + 8

    assert filled(template, dim, bits, size) == made


def test_what_cannot_be_filled_says_so() -> None:
    with pytest.raises(UnfitError, match="fits into 8 bytes"):
        filled("PCAR{dims},RaBitQ", 128, 0.5, lambda _: 9)
    with pytest.raises(UnfitError, match="at most 64 bytes"):
        filled("RQ{bytes}x8", 784, 1.0, lambda _: 0, most_bytes=64)


def test_the_suites_of_compression_are_there() -> None:
    names = ["encode", "kmeans-1024", "kmeans-4096", "pca-fit", "pca-transform", "train"]
    names += [f"quality-{rate}bit" for rate in ("05", "1", "2", "4")]
    assert {f"suites/compress/{name}.toml" for name in names} <= set(known_suites())
    for rate in ("05", "1", "2", "4"):
        assert len(read_suite(f"suites/compress/quality-{rate}bit.toml").on_each_set()) >= 4


@pytest.mark.parametrize("name", ["pca-fit", "pca-transform"])
def test_our_reducers_hold_their_floors_on_generated_data(tmp_path: Path, name: str) -> None:
    options = ["--smoke", "--only", "vectorloom*", "--out", str(tmp_path)]
    assert main(["run", f"suites/compress/{name}.toml", *options]) == 0


def test_the_page_shows_codes(tmp_path: Path) -> None:
    run(tmp_path, SUITE)
    page = tmp_path / "page.md"
    page.write_text(f"{START}\n{END}\n", encoding="utf-8")
    assert main(["page", "--results", str(tmp_path), "--page", str(page)]) == 0
    assert "| half | 32 | 1.0000 |" in page.read_text(encoding="utf-8")
