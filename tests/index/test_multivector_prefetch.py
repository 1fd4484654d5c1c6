# SPDX-License-Identifier: Apache-2.0
"""Vectors on disk: what is asked for ahead changes no answer, and is what will be scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vectorloom as vl
from vectorloom import _core
from vectorloom.errors import ShapeError
from vectorloom.index.multivector.store import ItemStore


@pytest.fixture
def items(rng: np.random.Generator) -> list[np.ndarray]:
    lengths = rng.integers(1, 30, 900)
    return [rng.standard_normal((m, 24)).astype(np.float32) for m in lengths]


@pytest.fixture
def opened(items: list[np.ndarray], tmp_path: Path) -> Any:
    vl.index.MultiVector().fit(items).save(tmp_path / "items.vl")
    return vl.open(tmp_path / "items.vl")


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 40])
@pytest.mark.parametrize("kind", ["none", "one", "each"])
def test_answers_are_the_same_bits_with_and_without(
    n: int, kind: str, opened: Any, items: list[np.ndarray]
) -> None:
    queries = [items[i][:6] for i in range(n)]
    if not n:
        queries = (np.empty((0, 24), np.float32), np.zeros(1, np.int64))
        with pytest.raises(ShapeError, match="at least one"):
            opened.search(queries, k=3)
        return
    where = {"none": None, "one": list(range(0, 900, 2)), "each": [[i, i + 1] for i in range(n)]}
    without = opened.search(queries, k=3, n_candidates=40, where=where[kind])
    ahead = opened.set_params(prefetch=True).search(
        queries, k=3, n_candidates=40, where=where[kind]
    )
    np.testing.assert_array_equal(ahead.ids, without.ids)
    np.testing.assert_array_equal(ahead.scores, without.scores)
    np.testing.assert_array_equal(ahead.counts, without.counts)


def test_what_is_scored_was_asked_for_before(
    opened: Any, items: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    needed, scored = ItemStore.will_need, ItemStore.rerank

    def noted(self: ItemStore, positions: Any) -> None:
        asked.extend(positions.tolist())
        needed(self, positions)

    def checked(self: ItemStore, queries: Any, candidates: Any, *rest: Any) -> Any:
        assert len(candidates)
        assert set(candidates.tolist()) <= set(asked)
        return scored(self, queries, candidates, *rest)

    monkeypatch.setattr(ItemStore, "will_need", noted)
    monkeypatch.setattr(ItemStore, "rerank", checked)
    opened.prefetch = True
    queries = [items[i][:4] for i in range(20)]
    hits = opened.search(queries, k=2, n_candidates=30)
    assert len(asked) == 20 * 30
    found = opened.rerank(queries, hits, k=1)
    assert (found.ids[:, 0] == hits.ids[:, 0]).all()


def test_items_that_are_not_there_cannot_be_asked_for(opened: Any) -> None:
    rows = opened._store.rows
    with pytest.raises(ValueError, match="outside the items"):
        _core.maxsim_will_need(rows.rows, rows.screen, opened._store.offsets, np.array([900]))


def test_the_setting_is_saved_and_an_index_in_memory_may_have_it(
    items: list[np.ndarray], tmp_path: Path
) -> None:
    index = vl.index.MultiVector(prefetch=True).fit(items)
    assert index.search([items[5]], k=1, n_candidates=20).ids[0, 0] == 5
    index.save(tmp_path / "a.vl")
    assert vl.open(tmp_path / "a.vl").prefetch
