# SPDX-License-Identifier: Apache-2.0
"""Inverted lists with the codes of any compressor."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vectorloom as vl
from vectorloom import _core
from vectorloom.compress import PCA, PQ, RaBitQ
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.index import IVF, Exact


def rows_of(seed: int, n: int, dim: int = 32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((40, dim))
    x = centres[rng.integers(0, 40, n)] + 0.5 * rng.standard_normal((n, dim))
    return (x * rng.uniform(0.8, 1.2, (n, 1))).astype(np.float32)


X, QUERIES = rows_of(1, 4500), rows_of(2, 80)


def recall(ids: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(ids, truth, strict=True)]))


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
@pytest.mark.parametrize("code", ["pq:8", PCA(24) | RaBitQ(bits=2)])
def test_rows_decide_what_codes_proposed(metric: str, code: Any) -> None:
    index, truth = IVF(metric, code=code).fit(X), Exact(metric).fit(X).search(QUERIES, 10)
    hits = index.search(QUERIES, 10)
    assert recall(hits.ids, truth.ids) >= 0.9
    everything = index.search(QUERIES, 10, exact=True)
    np.testing.assert_array_equal(everything.ids, truth.ids)
    np.testing.assert_array_equal(everything.scores, truth.scores)
    shared = hits.ids == truth.ids
    np.testing.assert_array_equal(hits.scores[shared], truth.scores[shared])
    assert index.search(QUERIES, 10, nprobe=1).counts.min() == 10


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_without_rows_a_row_is_what_its_code_stands_for(metric: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"codes of 4 bytes are all that is kept .* rerank=True"):
        index = IVF(metric, code="pq:4", rerank=False).fit(X)
    assert index.nbytes_ < 90 * len(X)
    held = index.get(np.arange(len(X)))
    assert 0 < np.abs(held - X).max() < 5
    truth = Exact(metric).fit(held).search(QUERIES, 10)
    found = index.search(QUERIES, 10, exact=True)
    np.testing.assert_allclose(found.scores, truth.scores, rtol=2e-5, atol=2e-5)
    assert recall(index.search(QUERIES, 10).ids, truth.ids) >= 0.9
    index.save(tmp_path / "a.vl")
    opened = vl.open(tmp_path / "a.vl")
    np.testing.assert_array_equal(opened.search(QUERIES, 10).ids, index.search(QUERIES, 10).ids)
    np.testing.assert_array_equal(opened.get([3, 1]), held[[3, 1]])


def test_changes_copies_and_files(tmp_path: Path) -> None:
    index = IVF("l2", code=PQ(8)).fit(X)
    index.remove(np.arange(0, 4500, 3))
    index.add(rows_of(3, 900), ids=np.arange(10_000, 10_900))
    live = index.ids_
    truth = Exact("l2").fit(index.get(live), live).search(QUERIES, 10)
    assert recall(index.search(QUERIES, 10).ids, truth.ids) >= 0.9
    np.testing.assert_array_equal(index.search(QUERIES, 10, exact=True).ids, truth.ids)
    some = live[::2]
    only = index.search(QUERIES, 10, where=some)
    assert np.isin(only.ids, some).all()
    assert only.counts.min() == 10
    index.save(tmp_path / "a.vl")
    hits = index.search(QUERIES, 10)
    for again in (vl.open(tmp_path / "a.vl"), pickle.loads(pickle.dumps(index)), index.copy()):
        np.testing.assert_array_equal(again.search(QUERIES, 10).ids, hits.ids)
        assert repr(again) == repr(index)


def test_threads_do_not_change_an_answer() -> None:
    one = IVF(code="rabitq:1", n_jobs=1).fit(X).search(QUERIES, 10)
    two = IVF(code="rabitq:1", n_jobs=2).fit(X).search(QUERIES, 10)
    np.testing.assert_array_equal(one.ids, two.ids)
    np.testing.assert_array_equal(one.scores, two.scores)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    index = IVF(code="pq:4").fit(X)
    for name, bad in {"order": np.zeros(4500, np.int64), "starts": np.zeros(95, np.int64)}.items():
        lists = index._lists
        held = lists.arrays[name]
        lists.arrays[name] = bad
        index.save(tmp_path / "a.vl")
        lists.arrays[name] = held
        with pytest.raises(vl.FormatError, match="lists cannot be used"):
            vl.open(tmp_path / "a.vl")


def test_few_rows_need_no_codes_and_bad_codes_are_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert IVF(code="pq:8", rerank=False).fit(X[:50]).n_lists_ == 0
    for code, message in (
        ("pca:8", "code must be 'int8', 'int4', a quantizer"),
        (3, "code must be 'int8', 'int4', a quantizer"),
        ("nothing:8", "nothing"),
        ("pq:7", "7"),
    ):
        with pytest.raises(vl.VectorloomError, match=message):
            IVF(code=code).fit(X)
    with pytest.raises(vl.ParameterError, match="spill=True is not for codes of a compressor"):
        IVF(code="pq:8", spill=True).fit(X)


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_a_sweep_proposes_the_best_of_the_probed_lists(metric: str) -> None:
    rng = np.random.default_rng(7)
    n, n_lists, parts, width = 1300, 6, 5, 17
    sizes = np.array([700, 0, 40, 200, 359, 1])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    codes = rng.integers(0, 256, (n, parts)).astype(np.uint8)
    order = rng.permutation(n)
    squares = rng.uniform(0.5, 2.0, n).astype(np.float32)
    # Whole numbers, so that many values are equal.
    words = rng.integers(-3, 4, (parts, 256, 2)).astype(np.float32)
    queries = rng.integers(-3, 4, (3, 2 * parts)).astype(np.float32)
    tables = np.einsum("qpw,pcw->qpc", queries.reshape(3, parts, 2), words)
    columns = np.ascontiguousarray(words.transpose(0, 2, 1))
    products = np.round(rng.standard_normal((3, n_lists)), 1).astype(np.float32)
    centre_squares = rng.uniform(0.5, 2.0, n_lists).astype(np.float32)
    mask = rng.integers(0, 2, n).astype(np.uint8)
    for probes, allowed in ((2, None), (n_lists, None), (n_lists, mask)):
        out = _core.propose_by_lookup(
            queries, columns, products, centre_squares, np.zeros(3, np.float32), probes, codes,
            starts, order, squares, metric, width, allowed, 1,
        )  # fmt: skip
        for q in range(3):
            near = 2 * products[q] - centre_squares if metric == "l2" else products[q]
            least = np.sort(near)[-probes]
            value = np.zeros(n, np.float32)
            for part in range(parts):
                value += tables[q, part, codes[:, part]]
            value += np.repeat(products[q], sizes)
            if metric == "l2":
                value = 2 * value - squares
            elif metric == "cosine":
                value /= np.sqrt(squares)
            there = np.repeat(near >= least, sizes)
            if allowed is not None:
                there &= allowed[order] != 0
            best = np.lexsort((order[there], -value[there]))[:width]
            expected = np.sort(order[there][best])
            found = np.sort(out[q][out[q] >= 0])
            np.testing.assert_array_equal(found, expected)


def test_a_sweep_refuses_arrays_that_do_not_fit() -> None:
    good: dict[str, Any] = {
        "queries": np.zeros((1, 6), np.float32),
        "columns": np.zeros((2, 3, 256), np.float32),
        "products": np.zeros((1, 1), np.float32),
        "centre_squares": np.zeros(1, np.float32),
        "gaps": np.zeros(1, np.float32),
        "n_probes": 1,
        "codes": np.zeros((4, 2), np.uint8),
        "starts": np.array([0, 4]),
        "order": np.arange(4),
        "squares": np.zeros(4, np.float32),
        "metric": "l2",
        "width": 3,
    }
    assert _core.propose_by_lookup(**good).tolist() == [[0, 1, 2]]
    for name, wrong in (
        ("columns", np.zeros((3, 3, 256), np.float32)),
        ("columns", np.zeros((2, 3, 16), np.float32)),
        ("queries", np.zeros((1, 5), np.float32)),
        ("products", np.zeros((2, 1), np.float32)),
        ("starts", np.array([0, 5])),
        ("order", np.arange(3)),
        ("squares", np.zeros(3, np.float32)),
        ("gaps", np.zeros(2, np.float32)),
        ("width", -1),
    ):
        with pytest.raises((ParameterError, ShapeError)):
            _core.propose_by_lookup(**(good | {name: wrong}))
    with pytest.raises((ParameterError, ShapeError)):
        _core.propose_by_lookup(**good, mask=np.ones(3, np.uint8))
