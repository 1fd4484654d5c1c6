# SPDX-License-Identifier: Apache-2.0
"""Inverted against brute force in float64, under changes, filters, files and bad input."""

from __future__ import annotations

import contextlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import vectorloom as vl
from vectorloom import _core
from vectorloom.index.sparse.inverted import MODES
from vectorloom.index.sparse.inverted_calibration import Calibration, heaviest
from vectorloom.index.sparse.sparse_rows import as_sparse


def rows_of(rng, n: int, terms: int = 40, density: float = 0.2) -> sparse.csr_matrix:
    """Small whole weights: no product or sum is rounded, and ties abound."""
    dense = rng.integers(1, 5, (n, terms)) * (rng.random((n, terms)) < density)
    return sparse.csr_matrix(dense.astype(np.float32))


def assert_exact(hits, x, queries, k, ids=None, allowed=None) -> None:
    scores = (queries.astype(np.float64) @ x.astype(np.float64).T).toarray()
    names = np.arange(x.shape[0]) if ids is None else np.asarray(ids)
    for i, row in enumerate(scores):
        if allowed is not None:
            row = np.where(allowed, row, 0.0)
        order = np.lexsort((names, -row))
        order = order[row[order] > 0][:k]
        m = len(order)
        assert hits.counts[i] == m
        assert hits.ids[i, :m].tolist() == names[order].tolist()
        np.testing.assert_array_equal(hits.scores[i, :m], row[order].astype(np.float32))
        np.testing.assert_array_equal(hits.distances[i, :m], -row[order].astype(np.float32))
        assert (hits.ids[i, m:] == -1).all()
        assert (hits.scores[i, m:] == -np.inf).all()


def same(a, b) -> None:
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(a.scores, b.scores)
    np.testing.assert_array_equal(a.counts, b.counts)


def topical(rng, n: int, terms: int = 3000) -> sparse.csr_matrix:
    """Rows of 60 terms, Zipf-like, with log-normal weights."""
    row = np.repeat(np.arange(n), 60)
    term = np.minimum(rng.zipf(1.3, len(row)) * 7 + row % 97, terms - 1)
    weight = rng.lognormal(-1.0, 0.7, len(row)).astype(np.float32)
    return sparse.csr_matrix((weight, (row, term)), (n, terms))


# ---- exactness -----------------------------------------------------------------------------------


def test_scores_are_inner_products_worked_by_hand() -> None:
    x = sparse.csr_matrix([[0, 2, 1], [3, 0, 0.5], [0, 0, 0]])
    hits = vl.index.Inverted().fit(x, ["x", "y", "z"]).search(sparse.csr_matrix([[1, 0, 2]]), k=3)
    assert hits.ids.tolist() == [["y", "x", None]]
    assert hits.scores[0, :2].tolist() == [4.0, 2.0]
    assert hits.counts.tolist() == [2]
    assert hits.metric == "ip"


@pytest.mark.parametrize("n", [1, 63, 500, 20_000])
@pytest.mark.parametrize("k", [1, 10, 300])
def test_exact_search_equals_brute_force_with_ties_by_id(n, k, rng) -> None:
    x, queries = rows_of(rng, n, density=0.05 if n > 500 else 0.2), rows_of(rng, 6)
    ids = rng.permutation(n)
    index = vl.index.Inverted(mode="exact").fit(x, ids)
    assert_exact(index.search(queries, k), x, queries, k, ids)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_bounds_hold_for_weights_of_any_spread(seed) -> None:
    rng = np.random.default_rng(seed)
    n, terms = int(rng.integers(1, 400)), int(rng.integers(1, 30))
    x = sparse.random(n, terms, 0.3, "csr", np.float32, rng)
    x.data = np.minimum(np.exp(rng.normal(0, rng.choice([0.1, 3, 7]), x.nnz)), 1e14).astype(
        np.float32
    )
    queries = sparse.random(4, terms, 0.5, "csr", np.float32, rng)
    queries.data = np.exp(rng.normal(0, 3, queries.nnz)).astype(np.float32)
    k = int(rng.integers(1, 15))
    hits = vl.index.Inverted(mode="exact").fit(x).search(queries, k)
    dense = x.toarray().astype(np.float64)
    for i, query in enumerate(queries.toarray().astype(np.float64)):
        scores = dense @ query
        best = np.sort(scores[scores > 0])[::-1][:k]
        assert hits.counts[i] == len(best)
        np.testing.assert_allclose(hits.scores[i, : len(best)], best, rtol=1e-6)


def test_any_number_of_threads_gives_the_same_bits(rng) -> None:
    x, queries = topical(rng, 2500), topical(rng, 40)
    for mode in MODES:
        answers = [
            vl.index.Inverted(mode=mode, n_jobs=jobs).fit(x).search(queries, 9)
            for jobs in (1, 2, 5)
        ]
        same(answers[0], answers[1])
        same(answers[0], answers[2])


def test_levels_of_the_cpu_agree(rng) -> None:
    x, queries = topical(rng, 9000), topical(rng, 20)
    index = vl.index.Inverted(n_jobs=1).fit(x)
    want = [index.search(queries, 10, exact=True), index.search(queries, 10, skip=0.02)]
    before = _core.simd_level()
    try:
        for level in _core.simd_levels():
            _core.set_simd_level(level)
            same(index.search(queries, 10, exact=True), want[0])
            same(index.search(queries, 10, skip=0.02), want[1])
    finally:
        _core.set_simd_level(before)


# ---- approximate ---------------------------------------------------------------------------------


def test_approximate_scores_are_true_and_recall_is_reached(rng) -> None:
    x = topical(rng, 6000)
    queries = sparse.csr_matrix(topical(rng, 100))
    index = vl.index.Inverted().fit(x, queries=topical(rng, 200))
    truth = index.search(queries, 10, exact=True)
    scores = (queries @ x.T).toarray()
    for recall in (0.8, 0.9, 0.99):
        hits = index.search(queries, 10, recall=recall)
        found = [np.isin(t, h).mean() for t, h in zip(truth.ids, hits.ids, strict=True)]
        assert np.mean(found) >= recall - 0.03
        got = np.take_along_axis(scores, hits.ids, axis=1)
        np.testing.assert_allclose(hits.scores, got, rtol=1e-5)
    same(index.search(queries, 10, recall=1.0), truth)


def test_more_skipping_never_gives_fewer_than_k_hits(rng) -> None:
    x, queries = topical(rng, 4000), topical(rng, 30)
    index = vl.index.Inverted().fit(x)
    full = index.search(queries, 500, exact=True).counts
    np.testing.assert_array_equal(index.search(queries, 500, skip=0.3).counts, full)


def test_small_collections_are_searched_exactly(rng) -> None:
    x, queries = rows_of(rng, 300), rows_of(rng, 5)
    assert_exact(vl.index.Inverted().fit(x).search(queries, 10), x, queries, 10)


def test_the_heaviest_terms_are_kept() -> None:
    rows = as_sparse(np.array([[3, 1, 2, 0], [1, 1, 1, 1], [0, 0, 0, 5]], np.float32))
    cut = heaviest(rows, 2)
    assert cut.starts.tolist() == [0, 2, 4, 5]
    assert cut.terms.tolist() == [0, 2, 0, 1, 3]


def test_a_recall_that_no_skip_reached_is_answered_exactly() -> None:
    known = Calibration(10, np.full((12, 2), 0.97))
    assert known.skip_for(0.9, 10) == 0.08
    assert known.skip_for(0.99, 10) is None


# ---- filters and changes -------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.004, 0.05, 0.6])
def test_filters_return_all_that_match(share, rng) -> None:
    n = 1200
    x, queries = rows_of(rng, n), rows_of(rng, 5)
    ids = rng.permutation(n)
    mask = rng.random(n) < share
    index = vl.index.Inverted().fit(x, ids)
    by_mask = index.search(queries, 20, where=mask, exact=True)
    assert_exact(by_mask, x, queries, 20, ids, mask)
    same(by_mask, index.search(queries, 20, where=ids[mask], exact=True))
    same(by_mask, index.search(queries, 20, where=[mask] * 5, exact=True))
    assert index.search(queries, 20, where=mask).counts.tolist() == by_mask.counts.tolist()
    assert index.search(queries, 20, where=[]).counts.tolist() == [0] * 5


def test_add_in_pieces_equals_fit_at_once(rng) -> None:
    x, queries = rows_of(rng, 4000), rows_of(rng, 5)
    pieces = vl.index.Inverted(mode="exact")
    for start, end in ((0, 1), (1, 17), (17, 17), (17, 2500), (2500, 2600), (2600, 4000)):
        pieces.add(x[start:end])
        pieces.search(queries[:1], 3)
    assert_exact(pieces.search(queries, 30), x, queries, 30)
    np.testing.assert_array_equal(pieces.get([3999, 0]).toarray(), x[[3999, 0]].toarray())


def test_remove_and_upsert_follow_the_rows(rng) -> None:
    n = 300
    x, y, queries = rows_of(rng, n), rows_of(rng, 60), rows_of(rng, 5)
    index = vl.index.Inverted(mode="exact").fit(x)
    alive = np.ones(n, bool)
    for part in np.array_split(rng.permutation(n), 6)[:5]:
        assert index.remove(part) == len(part)
        alive[part] = False
        assert index.ids_.tolist() == np.flatnonzero(alive).tolist()
        assert_exact(index.search(queries, 20), x, queries, 20, allowed=alive)
    index = vl.index.Inverted(mode="exact").fit(x)
    index.upsert(y, range(270, 330))
    final = sparse.vstack([x[:270], y]).tocsr()
    assert (len(index), 329 in index, 330 in index) == (330, True, False)
    assert_exact(index.search(queries, 20), final, queries, 20)
    with pytest.raises(vl.ParameterError, match=r"in the index already, first 5.*upsert"):
        index.add(y[:1], [5])
    with pytest.raises(vl.ParameterError, match="Nothing was removed"):
        index.remove([999])


# ---- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [60, 2500])
def test_save_then_open_gives_equal_answers(n, rng, tmp_path: Path) -> None:
    x, queries = topical(rng, n), topical(rng, 12)
    index = vl.index.Inverted(recall=0.9).fit(x, [f"é{i}" for i in range(n)])
    index.remove(["é3"])
    index.add(x[:2], ["a", "b"])
    index.save(tmp_path / "a.vl")
    opened = vl.open(tmp_path / "a.vl", verify=True)
    assert type(opened) is vl.index.Inverted
    assert opened.get_params() == index.get_params()
    same(opened.search(queries, 9), index.search(queries, 9))
    same(opened.search(queries, 9, exact=True), index.search(queries, 9, exact=True))
    with pytest.raises(vl.ParameterError, match=r"read-only.*copy\(\)"):
        opened.add(x[:1], ["new"])
    copy = opened.copy()
    copy.remove(["a"])
    assert (len(copy), len(opened)) == (n, n + 1)
    same(pickle.loads(pickle.dumps(opened)).search(queries, 5), opened.search(queries, 5))


def test_damaged_files_are_refused(rng, tmp_path: Path) -> None:
    path = tmp_path / "a.vl"
    vl.index.Inverted().fit(rows_of(rng, 400)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(vl.FormatError, match="truncated"):
        vl.open(path)
    for at in rng.integers(len(whole) // 4, len(whole), 40).tolist():
        broken = bytearray(whole)
        broken[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(broken))
        with pytest.raises(vl.FormatError):
            vl.open(path, verify=True)
        # Unverified, an answer may be wrong; it never leaves its arrays.
        with contextlib.suppress(vl.VectorloomError):
            vl.open(path).search(rows_of(rng, 3), 5)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1.0, "negative weights in 1 row, first in row 1"),
        (np.nan, "NaN or infinity in 1 row, first in row 1"),
        (np.inf, "NaN or infinity in 1 row, first in row 1"),
        (1e20, "weights above 1e"),
    ],
)
def test_bad_weights_are_refused_and_change_nothing(value, message, rng) -> None:
    x = rows_of(rng, 30)
    index = vl.index.Inverted().fit(x)
    bad = x[:3].copy()
    bad.data[bad.indptr[1]] = value
    for call in (
        lambda: index.add(bad),
        lambda: index.upsert(bad, [0, 1, 2]),
        lambda: index.search(bad),
        lambda: index.fit(bad),
    ):
        with pytest.raises(vl.ParameterError, match=message):
            call()
    assert index.ids_.tolist() == list(range(30))
    assert_exact(index.search(x[:3], 5), x, x[:3], 5)


def test_shapes_counts_and_parameters_are_checked(rng) -> None:
    x = rows_of(rng, 10)
    index = vl.index.Inverted().fit(x)
    with pytest.raises(vl.ShapeError, match="must have 40 columns"):
        index.search(x[:, :7])
    with pytest.raises(vl.ShapeError, match="2-d"):
        index.search(np.ones(40))
    with pytest.raises(vl.ShapeError, match="no rows"):
        vl.index.Inverted().fit(x[:0])
    for k in (0, -1, 2.5, True):
        with pytest.raises(vl.ParameterError, match="k must be a whole number"):
            index.search(x, k)
    for wrong in ({"recall": 2}, {"skip": -1}, {"exact": "yes"}, {"recall": 0.9, "skip": 0.1}):
        with pytest.raises(vl.ParameterError):
            index.search(x, **wrong)
    for wrong in ({"mode": "fast"}, {"metric": "l2"}, {"recall": -1}):
        with pytest.raises(vl.ParameterError):
            vl.index.Inverted(**wrong).fit(x)
    with pytest.raises(vl.NotFittedError, match="call fit"):
        vl.index.Inverted().search(x)
    with pytest.raises(vl.ParameterError, match="dense indexes"):
        index.range_search(x, 1.0)
    with pytest.raises(vl.ParameterError, match="dense indexes"):
        index.audit()


def test_empty_rows_and_queries_have_no_hits(rng) -> None:
    x = rows_of(rng, 20).tolil()
    x[3] = 0
    x = x.tocsr()
    index = vl.index.Inverted().fit(x)
    queries = sparse.csr_matrix((2, 40), dtype=np.float32)
    hits = index.search(queries, 5)
    assert hits.counts.tolist() == [0, 0]
    assert (hits.ids == -1).all()
    assert 3 not in index.search(x, 20).ids
    assert index.search(x[:0], 4).ids.shape == (0, 4)
    assert len(index) == 20


def test_dense_arrays_other_formats_and_repeated_values_are_fine(rng) -> None:
    x, queries = rows_of(rng, 50), rows_of(rng, 4)
    want = vl.index.Inverted().fit(x).search(queries, 7)
    for form in (x.toarray(), x.tocoo(), x.tocsc(), sparse.csr_array(x)):
        same(vl.index.Inverted().fit(form).search(queries, 7), want)
    twice = sparse.csr_matrix(
        (np.repeat(x.data / 2, 2), np.repeat(x.indices, 2), 2 * x.indptr), x.shape
    )
    same(vl.index.Inverted().fit(twice).search(queries, 7), want)
    assert twice.nnz == 2 * x.nnz  # the caller's


def test_more_terms_than_units_are_scored_one_by_one(rng) -> None:
    x = sparse.csr_matrix(rng.integers(1, 4, (5, 20_000)).astype(np.float32))
    assert_exact(vl.index.Inverted().fit(x).search(x[:2], 3), x, x[:2], 3)


def test_a_million_postings_of_one_term_across_windows(rng) -> None:
    n = 70_000  # beyond 2^16 rows
    weights = rng.integers(1, 1000, n).astype(np.float32)
    x = sparse.csr_matrix(weights[:, None])
    hits = vl.index.Inverted(mode="exact").fit(x).search(sparse.csr_matrix([[1.0]]), 50)
    assert_exact(hits, x, sparse.csr_matrix([[1.0]]), 50)


# ---- terms by name -------------------------------------------------------------------------------


def test_rows_of_named_terms_are_those_of_their_columns(rng) -> None:
    x = rows_of(rng, 30, terms=9)
    named = [{f"t{t}": float(w) for t, w in zip(r.indices, r.data, strict=True)} for r in x]
    index = vl.index.Inverted().fit(named)
    order = [int(name[1:]) for name in index.terms_]
    same(index.search(named[:5], k=4), vl.index.Inverted().fit(x[:, order]).search(x[:5, order], 4))
    same(index.search(named[:5], k=4), index.search(x[:5, order], k=4))


def test_new_terms_become_columns_and_refused_rows_leave_none(tmp_path) -> None:
    index = vl.index.Inverted().fit([{"a": 1.0}, {"b": 2.0}], ids=["x", "y"])
    with pytest.raises(vl.errors.ParameterError, match="already"):
        index.add([{"never": 1.0}], ids=["x"])
    assert index.terms_ == ["a", "b"]
    assert index.search([{"never": 1.0}], k=1).counts[0] == 0
    index.add([{"c": 3.0, "a": 1.0}], ids=["z"])
    assert index.dim_ == len(index.terms_)
    assert index.search([{"c": 1.0}], k=2).ids[0, 0] == "z"
    index.upsert([{"d": 1.0}], ids=["x"])
    assert index.search([{"a": 1.0}], k=2).ids[0].tolist() == ["z", None]
    index.save(tmp_path / "named.vl")
    opened = vl.open(tmp_path / "named.vl")
    assert opened.terms_ == index.terms_
    asked = [{"c": 1.0, "d": 0.5}]
    same(opened.search(asked, k=3), index.search(asked, k=3))
    twin = opened.copy().add([{"e": 1.0}], ids=["w"])
    assert twin.search([{"e": 1.0}], k=1).ids[0, 0] == "w"
    assert opened.terms_ == index.terms_


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"a": -1.0}], "negative"),
        ([{"a": float("nan")}], "NaN"),
        ([{"a": "1"}], "number"),
        ([{1: 1.0}], "no str"),
        ([{}], "no columns"),
    ],
)
def test_mappings_that_are_no_weights_are_refused(rows, message) -> None:
    with pytest.raises(vl.errors.VectorloomError, match=message):
        vl.index.Inverted().fit(rows)


def test_mappings_are_refused_where_columns_have_no_names(rng) -> None:
    index = vl.index.Inverted().fit(rows_of(rng, 5))
    with pytest.raises(vl.errors.ParameterError, match="without names"):
        index.search([{"a": 1.0}])
    assert index.terms_ is None
