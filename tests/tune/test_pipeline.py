# SPDX-License-Identifier: Apache-2.0
"""The index of a recipe: its answers, its filters, and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import vectorloom as vl
from vectorloom.errors import FormatError, NotFittedError, ParameterError, ShapeError
from vectorloom.tune.pipeline import Pipeline

RECIPES = [
    "scan",
    "int8 | scan",
    "int4 | ivf:20,recall=0.99",
    "float16 | graph:24,recall=0.99",
    "rabitq:4 | scan",
    "rabitq:2 | scan | rerank:float32,depth=8",
    "pca:28 | float16 | scan",
    "pca:24 | int8 | graph:16 | rerank:float16,depth=8",
    "leanvec:24 | lvq:4x4 | scan | rerank:float16",
]
METRICS = ["cosine", "ip", "l2"]


@pytest.fixture(scope="module")
def rows() -> NDArray[np.float32]:
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((40, 32)) * np.geomspace(2, 0.2, 32)
    found = centres[rng.integers(40, size=1200)] + 0.15 * rng.standard_normal((1200, 32))
    return found.astype(np.float32)


@pytest.fixture(scope="module")
def queries(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    noise = np.random.default_rng(6).standard_normal((30, 32))
    return (rows[::40] + 0.1 * noise).astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_answers_are_near_the_exact_ones_and_the_file_answers_alike(
    recipe: str,
    metric: str,
    rows: NDArray[np.float32],
    queries: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    names = [f"r{i}" for i in range(len(rows))]
    index = Pipeline(recipe, metric, n_jobs=1).fit(rows, names, queries=queries)
    truth = vl.index.Exact(metric).fit(rows, names).search(queries, 10)
    hits = index.search(queries, 10)
    shares = [len(set(a) & set(b)) / 10 for a, b in zip(hits.ids, truth.ids, strict=True)]
    assert np.mean(shares) >= 0.75
    assert (np.diff(hits.scores, axis=1) <= 1e-6).all()
    assert all(len(set(row)) == 10 for row in hits.ids)
    assert len(index) == 1200
    assert index.dim_ == 32
    index.save(tmp_path / "index.vl")
    again = vl.open(tmp_path / "index.vl")
    assert str(again.recipe_) == str(index.recipe_)
    np.testing.assert_array_equal(again.search(queries, 10).ids, hits.ids)
    assert list(again.ids_) == names


@pytest.mark.parametrize("recipe", ["rabitq:4 | scan", RECIPES[7]])
def test_filters_leave_only_what_matches(
    recipe: str, rows: NDArray[np.float32], queries: NDArray[np.float32]
) -> None:
    index = Pipeline(recipe, "l2", n_jobs=1).fit(rows, queries=queries)
    mask = np.arange(len(rows)) % 7 == 3
    assert set((index.search(queries, 5, where=mask).ids % 7).ravel()) == {3}
    each = [[i, i + 1] for i in range(len(queries))]
    hits = index.search(queries, 5, where=each)
    assert hits.counts.tolist() == [2] * len(queries)
    assert all(set(hits[i].ids) == set(each[i]) for i in range(len(queries)))


def test_scores_after_a_recheck_are_the_true_ones(
    rows: NDArray[np.float32], queries: NDArray[np.float32]
) -> None:
    index = Pipeline("pca:8 | int8 | scan | rerank:float32", "cosine", n_jobs=1).fit(rows)
    hits = index.search(queries, 3, depth=400)
    truth = vl.index.Exact().fit(rows).search(queries, 3)
    np.testing.assert_array_equal(hits.ids, truth.ids)
    np.testing.assert_array_equal(hits.scores, truth.scores)
    np.testing.assert_array_equal(index.search(queries, 3, exact=True).ids, truth.ids)


def test_an_index_is_searched_by_any_recipe_that_it_was_built_by(
    rows: NDArray[np.float32], queries: NDArray[np.float32]
) -> None:
    index = Pipeline("ivf:30,nprobe=1", n_jobs=1).fit(rows)
    few = index.search(queries).ids
    assert str(index.searched_by("ivf:30,nprobe=30").recipe_) == "float32 | ivf:30,nprobe=30"
    np.testing.assert_array_equal(
        index.search(queries).ids, vl.index.Exact().fit(rows).search(queries).ids
    )
    np.testing.assert_array_equal(index.search(queries, nprobe=1).ids, few)
    with pytest.raises(ParameterError, match="built otherwise"):
        index.searched_by("ivf:31")


def test_a_graph_recipe_walks_however_few_the_rows(
    rows: NDArray[np.float32], queries: NDArray[np.float32]
) -> None:
    made = Pipeline("float32 | graph:16", "l2").fit(rows[:600])
    plan = made.inner_.search(queries, k=5, explain=True).plan
    assert plan is not None
    assert not any("exact" in way for way in plan)


def test_bytes_are_those_of_all_parts(rows: NDArray[np.float32]) -> None:
    index = Pipeline("pca:8 | int8 | scan | rerank:float16", n_jobs=1).fit(rows)
    assert index.rows_ is not None
    assert index.nbytes_ >= index.inner_.nbytes_ + index.rows_.nbytes_ >= 1200 * (8 + 64)


def test_damage_is_found(rows: NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / "index.vl"
    Pipeline("rabitq:4 | scan | rerank:int8", n_jobs=1).fit(rows).save(path)
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError):
        vl.open(path)
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError):
        vl.open(path, verify=True)
    data[40] ^= 255
    path.write_bytes(data)
    with pytest.raises(FormatError):
        vl.open(path)


def test_bad_input_is_refused(rows: NDArray[np.float32]) -> None:
    with pytest.raises(NotFittedError):
        Pipeline("scan").search(rows)
    with pytest.raises(ParameterError, match="metric"):
        Pipeline("scan", "hamming").fit(rows)
    index = Pipeline("pca:8 | int8 | scan", n_jobs=1).fit(rows)
    with pytest.raises(ShapeError):
        index.search(rows[:, :5])
    with pytest.raises(ParameterError):
        index.search(rows[:2], 0)
    with pytest.raises(ParameterError, match="NaN"):
        index.search(np.full((1, 32), np.nan))
