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


@pytest.mark.parametrize("metric", ["cosine", "ip"])
def test_an_estimate_is_within_the_error_of_bytes_and_keeps_to_filters(metric: str) -> None:
    items = texts(400, 11)
    queries = near(items, list(range(0, 400, 40)))
    index = vl.index.MultiVector(metric, encoding=None).fit(items)
    exact = index.search(queries, k=400)
    tokens = TokenVectors(
        np.concatenate(queries).astype(np.float32),
        np.cumsum([0] + [len(q) for q in queries]),
    )
    rough = index._estimated(tokens, 400, None)
    norm = max(float(np.linalg.norm(item, axis=1).max()) for item in items)
    for q in range(len(queries)):
        lengths = np.linalg.norm(queries[q], axis=1)
        most = 0.01 * (len(lengths) if metric == "cosine" else norm * float(lengths.sum()))
        true = dict(zip(exact.ids[q].tolist(), exact.scores[q].tolist(), strict=True))
        for item, score in zip(rough.ids[q].tolist(), rough.scores[q].tolist(), strict=True):
            assert score == pytest.approx(true[item], abs=most)
        assert (np.diff(rough.scores[q]) <= 0).all()
    assert not np.array_equal(rough.scores, exact.scores)  # or nothing was estimated
    some = index._estimated(tokens, 5, [3, 4, 350])
    assert set(some.ids[:, :3].ravel().tolist()) == {3, 4, 350}
    assert (some.counts == 3).all()


def test_smaller_windows_are_more_and_come_back_from_files(tmp_path: Path) -> None:
    items = texts(300, 12)
    sizes = {}
    for window in (2, 8):
        index = vl.index.MultiVector(encoding="windows", window=window).fit(items)
        index.save(tmp_path / "items.vl")
        opened = vl.open(tmp_path / "items.vl")
        assert opened.window == opened.copy().window == window
        sizes[window] = opened.nbytes_
        queries = near(items, [1, 2])
        first = index.search(queries, k=4, n_candidates=20)
        np.testing.assert_array_equal(opened.search(queries, k=4, n_candidates=20).ids, first.ids)
    assert sizes[2] > sizes[8]
    with pytest.raises(ParameterError, match="window"):
        vl.index.MultiVector(encoding="windows", window=0).fit(items)


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
