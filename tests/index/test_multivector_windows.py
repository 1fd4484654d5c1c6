# SPDX-License-Identifier: Apache-2.0
"""Candidates by means of neighbouring vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import FormatError, ParameterError
from vectorloom.index.multivector.token_vectors import TokenVectors
from vectorloom.index.multivector.windows import window_means


def texts(n: int, seed: int = 0) -> list[np.ndarray]:
    """Items whose neighbouring vectors resemble each other, of 3 to 40 vectors."""
    rng = np.random.default_rng(seed)
    out = []
    for m in rng.integers(3, 41, n):
        topics = np.repeat(rng.standard_normal((-(-m // 8), 48)), 8, axis=0)[:m]
        out.append((topics + 0.7 * rng.standard_normal((m, 48))).astype(np.float32))
    return out


def near(items: list[np.ndarray], picked: list[int]) -> list[np.ndarray]:
    """Queries of five neighbouring vectors of items, disturbed."""
    rng = np.random.default_rng(9)
    return [items[i][:5] + 0.5 * rng.standard_normal((len(items[i][:5]), 48)) for i in picked]


def test_windows_are_means_of_neighbours_and_the_last_is_shorter() -> None:
    values = np.array([[1, 0], [3, 0], [5, 2], [0, 7], [2, -2], [-2, 2]], np.float32)
    means = window_means(TokenVectors(values, np.array([0, 3, 4, 6])), 2)
    # The last window's mean vanishes: its first vector stands for it.
    assert means.values.tolist() == [[2, 0], [5, 2], [0, 7], [2, -2]]
    assert means.offsets.tolist() == [0, 2, 3, 4]


@pytest.mark.parametrize("metric", ["cosine", "ip"])
def test_candidates_by_windows_hold_the_best_and_scores_are_exact(metric: str) -> None:
    items = texts(600)
    queries = near(items, list(range(0, 600, 25)))
    index = vl.index.MultiVector(metric, encoding="windows").fit(items)
    exact = index.search(queries, k=10, exact=True)
    hits = index.search(queries, k=10, n_candidates=60)
    shared = [len(set(a) & set(b)) / 10 for a, b in zip(hits.ids, exact.ids, strict=True)]
    assert np.mean(shared) > 0.9
    assert (hits.ids[:, 0] == exact.ids[:, 0]).all()
    assert (hits.scores[:, 0] == exact.scores[:, 0]).all()


def test_the_recall_asked_for_is_measured_and_filters_hold() -> None:
    items = texts(800, 3)
    queries = near(items, list(range(0, 800, 20)))
    index = vl.index.MultiVector(encoding="windows").fit(items).calibrate(queries)
    exact = index.search(queries, k=10, exact=True)
    hits = index.search(queries, k=10, recall=0.9)
    shared = [len(set(a) & set(b)) / 10 for a, b in zip(hits.ids, exact.ids, strict=True)]
    assert np.mean(shared) >= 0.88
    allowed = np.arange(0, 800, 3)
    found = index.search(queries, k=5, n_candidates=30, where=allowed)
    assert set(found.ids.ravel().tolist()) <= set(allowed.tolist())


def test_windows_follow_items_that_are_added_and_removed() -> None:
    items = texts(300, 5)
    index = vl.index.MultiVector(encoding="windows").fit(items[:200])
    index.add(items[200:])
    index.remove(np.arange(0, 300, 2))
    queries = near(items, [7, 250, 299])
    hits = index.search(queries, k=3, n_candidates=40)
    assert hits.ids[0, 0] == 7
    assert hits.ids[2, 0] == 299
    assert (hits.ids % 2 == 1).all()
    twin = index.copy()
    twin.remove([7])
    assert 7 not in twin.search(queries, k=3, n_candidates=40).ids
    assert 7 in index.search(queries, k=3, n_candidates=40).ids


def test_a_saved_index_answers_as_before_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    items = texts(300, 6)
    index = vl.index.MultiVector(encoding="windows", dtype="float16").fit(items)
    queries = near(items, [3, 100])
    path = tmp_path / "windows.vl"
    index.save(path)
    opened = vl.open(path)
    assert opened.encoding == "windows"
    a, b = (x.search(queries, k=5, n_candidates=30) for x in (index, opened))
    assert (a.ids == b.ids).all()
    assert (a.scores == b.scores).all()
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FormatError):
        vl.open(path)


def test_an_index_of_encodings_is_refused_beside_windows() -> None:
    dense = vl.index.Exact(metric="ip")
    with pytest.raises(ParameterError, match="index= is for encodings"):
        vl.index.MultiVector(encoding="windows", index=dense).fit(texts(3))
    with pytest.raises(ParameterError, match="encoding must be"):
        vl.index.MultiVector(encoding="panes").fit(texts(3))
