# SPDX-License-Identifier: Apache-2.0
"""A suite is refused for whatever could make its numbers mean less than they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.suite import known_suites, read_suite

from vectorloom.errors import ParameterError

GOOD = """
title = "t"
task = "search"
baseline = "ours"
[data]
set = "clusters"
rows = 100
[floor]
tied = 1.0
[[method]]
name = "ours"
adapter = "numpy_blas"
"""


def suite_file(folder: Path, text: str) -> Path:
    path = folder / "s.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", known_suites())
def test_every_suite_of_the_checkout_can_be_read(path: str) -> None:
    assert read_suite(path).methods


def test_the_suites_of_exact_search_are_there() -> None:
    expected = {f"suites/index/{name}.toml" for name in ("exact", "exact-single", "knn-graph")}
    assert expected | {"suites/startup.toml"} <= set(known_suites())


@pytest.mark.parametrize(
    ("was", "becomes", "complaint"),
    [
        ("[floor]\ntied = 1.0", "", "has no quality floor"),
        ("tied = 1.0", "tide = 1.0", "unknown key floor.tide"),
        ("tied = 1.0", "tied = 1.5", "expected a share"),
        ("tied = 1.0", "tied = 0", "expected a share"),
        ('task = "search"', 'task = "sort"', "expected one of search"),
        ('task = "search"', 'calls = "twice"', "'batch' or 'single'"),
        ('task = "search"', 'metric = "l1"', "'cosine' or 'ip'"),
        ('title = "t"', "titel = 't'", "unknown key titel"),
        ('baseline = "ours"', 'baseline = "theirs"', "'theirs' is not a method"),
        ("rows = 100", "row = 100", "unknown key data.row"),
        ('adapter = "numpy_blas"', "", "has no 'adapter'"),
        ("[[method]]", "[[method]", "expected a TOML file"),
        ('[[method]]\nname = "ours"\nadapter = "numpy_blas"', "", "distinct names"),
    ],
)
def test_a_doubtful_suite_is_refused(
    tmp_path: Path, was: str, becomes: str, complaint: str
) -> None:
    assert was in GOOD
    with pytest.raises(ParameterError, match=complaint):
        read_suite(suite_file(tmp_path, GOOD.replace(was, becomes)))


def test_a_missing_suite_names_those_there_are() -> None:
    with pytest.raises(ParameterError, match=r"suites/index/exact\.toml"):
        read_suite("suites/none.toml")


def test_a_grid_becomes_one_method_a_point(tmp_path: Path) -> None:
    text = GOOD + "grid = { block = [16, 32] }\n"
    suite = read_suite(suite_file(tmp_path, text.replace('baseline = "ours"', "")))
    assert [(m.name, m.params["block"]) for m in suite.methods] == [
        ("ours block=16", 16),
        ("ours block=32", 32),
    ]


def test_only_keeps_what_matches_and_refuses_what_matches_nothing() -> None:
    suite = read_suite("suites/index/exact.toml")
    kept = [m.name for m in suite.only(["faiss*", "numpy-blas"]).methods]
    assert kept == ["faiss-flat", "faiss-flat-2-threads", "numpy-blas"]
    with pytest.raises(ParameterError, match="matches no method"):
        suite.only(["annoy"])
