# SPDX-License-Identifier: Apache-2.0
"""Budgets: a search of the first vectors of all items is that of an index of these alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import vectorloom as vl
from vectorloom.errors import ParameterError

DIM = 24


@pytest.fixture
def items() -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(3)
    return [rng.standard_normal((int(m), DIM)).astype(np.float32) for m in rng.integers(1, 9, 60)]


@pytest.fixture
def queries() -> NDArray[np.float32]:
    return np.random.default_rng(4).standard_normal((7, 5, DIM)).astype(np.float32)


def same(a: Any, b: Any) -> None:
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(a.scores, b.scores)


def cut(items: list[NDArray[np.float32]], budget: int) -> list[NDArray[np.float32]]:
    return [item[:budget] for item in items]


@pytest.mark.parametrize("metric", ["cosine", "ip"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("budget", [1, 3, 8, 100])
def test_a_budget_is_an_index_of_the_first_vectors(
    items, queries, metric: str, dtype: str, budget: int
) -> None:
    whole = vl.index.MultiVector(metric, encoding=None, dtype=dtype).fit(items)
    short = vl.index.MultiVector(metric, encoding=None, dtype=dtype).fit(cut(items, budget))
    same(whole.search(queries, k=9, budget=budget), short.search(queries, k=9))


def test_a_budget_by_hand() -> None:
    index = vl.index.MultiVector(encoding=None).fit(
        [[[1.0, 0.0], [0.0, 1.0]], [[0.8, 0.6], [0.6, -0.8]]]
    )
    asked = [[[1.0, 0.0], [0.0, 1.0]]]
    assert index.search(asked, k=2, budget=2).ids.tolist() == [[0, 1]]
    first = index.search(asked, k=2, budget=1)
    assert first.ids.tolist() == [[1, 0]]
    np.testing.assert_allclose(first.scores, [[1.4, 1.0]], rtol=1e-6)


def test_budgets_follow_what_comes_and_goes(items, queries) -> None:
    index = vl.index.MultiVector(encoding=None).fit(items[:40])
    index.search(queries, k=5, budget=2)
    index.add(items[40:])
    same(
        index.search(queries, k=5, budget=2),
        vl.index.MultiVector(encoding=None).fit(cut(items, 2)).search(queries, k=5),
    )
    best = index.search(queries, k=1, budget=2).ids[0, 0]
    index.remove([best])
    left = index.search(queries, k=59, budget=2)
    assert best not in left.ids
    assert (left.counts == 59).all()
    index.remove(np.setdiff1d(np.arange(30), [best]))  # enough that rows are rewritten
    kept = index.ids_
    assert set(index.search(queries, k=100, budget=2).ids[0, : len(kept)]) == set(kept.tolist())
    index.upsert([items[0]], [int(kept[0])])
    assert index.search([items[0][:1]], k=1, budget=1).ids[0, 0] == kept[0]


def test_budgets_obey_filters_and_encodings_and_files(items, queries, tmp_path: Path) -> None:
    index = vl.index.MultiVector(n_jobs=1).fit(items)
    expected = index.search(queries, k=4, budget=2)
    assert set(index.search(queries, k=4, budget=2, where=[3, 5]).ids.ravel()) == {3, 5, -1}
    index.save(tmp_path / "a.vl")
    opened = vl.open(tmp_path / "a.vl")
    same(opened.search(queries, k=4, budget=2), expected)
    same(opened.copy().search(queries, k=4, budget=2), expected)
    assert opened.nbytes_ > vl.open(tmp_path / "a.vl").nbytes_


def test_a_coarse_search_is_ranked_again_by_all_vectors(items, queries) -> None:
    index = vl.index.MultiVector(encoding=None).fit(items)
    coarse = index.search(queries, k=60, budget=1)
    same(index.rerank(queries, coarse, k=5), index.search(queries, k=5))


def test_bad_budgets_are_refused(items, queries) -> None:
    index = vl.index.MultiVector().fit(items)
    for bad in (0, -1, 1.5, True):
        with pytest.raises(ParameterError, match="budget"):
            index.search(queries, budget=bad)
    with pytest.raises(ParameterError, match="n_candidates"):
        index.search(queries, budget=2, n_candidates=5)
