# SPDX-License-Identifier: Apache-2.0
"""The gradient against finite differences; rankings get better at equal bytes."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least

import vectorloom as vl
from vectorloom.compress.codebook.bottleneck import look_up
from vectorloom.compress.codebook.distill import ranking_loss
from vectorloom.compress.codebook.packing import unpack_codes
from vectorloom.compress.codebook.ranking import (
    CodedSpace,
    candidates,
    part_labels,
    split,
    top_rows,
)
from vectorloom.errors import ParameterError, ShapeError

# Without the two bytes of a length.
SHORT = {"keep_norms": False, "emphasis": 0.0}


def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows on which queries look from a quarter of the directions; queries to learn and to test."""
    X = rng.standard_normal((1500, 16)).astype(np.float32)
    queries = rng.standard_normal((600, 16)) * np.repeat([3.0, 0.3], [4, 12])
    return X, queries[:500].astype(np.float32), queries[500:].astype(np.float32)


def recall(quantizer: vl.compress.Compressor, X: np.ndarray, queries: np.ndarray) -> float:
    truth = np.argsort(-(queries @ X.T), axis=1)[:, :10]
    found = np.argsort(-quantizer.scores(queries, quantizer.transform(X)), axis=1)[:, :10]
    shared = [len(np.intersect1d(a, b)) for a, b in zip(truth, found, strict=True)]
    return float(np.mean(shared)) / 10


def test_the_gradient_is_that_of_finite_differences(rng):
    queries, rows = rng.standard_normal((4, 6)), rng.standard_normal((9, 6))
    books = rng.standard_normal((3, 4, 2))
    labels, factors = rng.integers(0, 4, (9, 3)), rng.uniform(0.5, 2, 9)
    _, gradient = ranking_loss(queries, rows, labels, books, 0.7, 0.3, factors)
    for at in np.ndindex(books.shape):
        keep, sides = books[at], []
        for sign in (1, -1):
            books[at] = keep + sign * 1e-5
            sides.append(ranking_loss(queries, rows, labels, books, 0.7, 0.3, factors)[0])
        books[at] = keep
        # The sums by codeword are float32.
        assert gradient[at] == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4, abs=1e-6)


def test_a_student_that_repeats_the_teacher_has_nothing_to_learn(rng):
    books = rng.standard_normal((2, 5, 3))
    labels = rng.integers(0, 5, (30, 2))
    rows = np.concatenate([books[0, labels[:, 0]], books[1, labels[:, 1]]], axis=1)
    _, gradient = ranking_loss(
        rng.standard_normal((7, 6)), rows, labels, books, 0.5, 0.0, np.ones(30)
    )
    np.testing.assert_allclose(gradient, 0, atol=1e-7)


def test_top_rows_are_the_largest_products(rng):
    X, queries = rng.standard_normal((50, 4)), rng.standard_normal((6, 4))
    found = top_rows(queries.astype(np.float32), X.astype(np.float32), 5)
    truth = np.argsort(-(queries @ X.T), axis=1)[:, :5]
    np.testing.assert_array_equal(found, np.sort(truth, axis=1))


def test_candidates_hold_all_that_is_near_once(rng):
    top = np.array([[3, 5], [5, 7]])
    found = candidates(top, 100, 20, rng)
    assert set(found) >= {3, 5, 7}
    assert (np.diff(found) > 0).all()


def test_judges_and_learners_share_no_query(rng):
    judge, learn = split(100, rng)
    assert sorted([*judge, *learn]) == list(range(100))
    assert len(judge) == 15


@pytest.mark.parametrize("n_parts", [1, 4])
def test_labels_are_those_of_the_nearest_codeword(rng, n_parts):
    rows = rng.standard_normal((20, 8)).astype(np.float32)
    books = rng.standard_normal((n_parts, 16, 8 // n_parts)).astype(np.float32)
    cut = rows.reshape(20, n_parts, 1, -1)
    truth = ((cut - books[None]) ** 2).sum(axis=3).argmin(axis=2)
    np.testing.assert_array_equal(part_labels(rows, books), truth)


def test_recall_rises_above_that_of_reconstruction_at_equal_bytes(rng):
    X, learn, test = data(rng)
    vq = vl.compress.DistillVQ(4, 4, **SHORT, n_nearest=50, n_epochs=6, n_row_queries=0)
    vq.fit(X, queries=learn)
    opq = vl.compress.OPQ(4, 4, **SHORT).fit(X)
    assert vq.bytes_per_vector_ == opq.bytes_per_vector_ == 2
    gain = recall(vq, X, test) - recall(opq, X, test)
    assert_at_least(gain, 0.03, "gain in recall@10 over OPQ")
    assert_at_least(
        recall(opq, X, test) - recall(vl.compress.PQ(4, 4).fit(X), X, test), -0.1, "OPQ"
    )


def test_what_is_kept_is_never_worse_than_the_start_for_the_judges(rng):
    X, learn, _ = data(rng)
    wild = vl.compress.DistillVQ(4, 4, learning_rate=10.0, n_epochs=2, n_row_queries=0).fit(
        X, queries=learn
    )
    opq = vl.compress.OPQ(4, 4).fit(X)
    assert wild.held_out_[0] == wild.held_out_.min()
    np.testing.assert_array_equal(wild.codebooks_, opq.codebooks_)


def test_factors_give_decoded_rows_the_length_of_the_original(rng):
    X, learn, test = data(rng)
    vq = vl.compress.DistillVQ(4, 4, n_epochs=1, n_row_queries=50).fit(X, queries=learn)
    space = CodedSpace(X, vq.rotation_, vq.inverse_, True, None)
    codes = vq.transform(X)
    labels = unpack_codes(np.ascontiguousarray(codes[:, :2]), 4, 4)
    assert (labels == part_labels(space.rows, vq.codebooks_)).mean() > 0.99  # rounded turns
    scores = (
        space.ask(test) @ look_up(labels, vq.codebooks_).T * space.factors(labels, vq.codebooks_)
    )
    np.testing.assert_allclose(scores, vq.scores(test, codes), rtol=5e-3, atol=5e-2)


def test_lists_are_learned_too(rng):
    X, learn, test = data(rng)
    vq = vl.compress.DistillVQ(4, 4, n_lists=12, n_nearest=50, n_row_queries=0).fit(
        X, queries=learn
    )
    lists = vq.lists(X)
    assert vq.centroids_.shape == (12, 16)
    assert 1 < len(np.unique(lists)) <= 12
    # Half of the lists, those whose centroids a query likes best, hold most of what it wants.
    best = np.argsort(-(test @ vq.centroids_.T), axis=1)[:, :6]
    truth = np.argsort(-(test @ X.T), axis=1)[:, :10]
    reached = np.mean([np.isin(lists[t], b).mean() for t, b in zip(truth, best, strict=True)])
    assert_at_least(reached, 0.7, "share of the true ten in half of the lists")


def test_the_same_seed_gives_the_same_bits(rng):
    X, learn, _ = data(rng)
    prints = {
        vl.compress.DistillVQ(4, 4, n_epochs=1, n_row_queries=50, n_jobs=jobs)
        .fit(X, queries=learn)
        .fingerprint_
        for jobs in (1, 2)
    }
    assert len(prints) == 1


def test_without_queries_the_remedy_is_named(rng):
    with pytest.raises(ParameterError, match=r"fit\(X, queries=Q\)"):
        vl.compress.DistillVQ(4).fit(rng.standard_normal((300, 16)).astype(np.float32))


@pytest.mark.parametrize(
    ("settings", "n_queries", "error", "message"),
    [
        ({}, 7, ShapeError, "at least 8 are needed.*OPQ, which needs none"),
        ({"n_parts": 5}, 50, ShapeError, "n_parts must divide"),
        ({"temperature": 0.0}, 50, ParameterError, "temperature must be"),
        ({"n_epochs": 0}, 50, ParameterError, "n_epochs must be"),
        ({"n_lists": 301}, 50, ShapeError, "n_lists=301 needs at least as many"),
        ({"reconstruction": -1.0}, 50, ParameterError, "reconstruction must be"),
    ],
)
def test_what_cannot_be_meant_is_refused(rng, settings, n_queries, error, message):
    X = rng.standard_normal((300, 16)).astype(np.float32)
    with pytest.raises(error, match=message):
        vl.compress.DistillVQ(**{"n_parts": 4, "bits": 4, **settings}).fit(X, queries=X[:n_queries])


def test_queries_with_nan_are_refused(rng):
    X = rng.standard_normal((300, 16)).astype(np.float32)
    queries = X[:50].copy()
    queries[3, 3] = np.nan
    with pytest.raises(ParameterError, match="queries has NaN"):
        vl.compress.DistillVQ(4, 4).fit(X, queries=queries)


def test_a_fit_without_lists_says_how_to_have_them(rng):
    X, learn, _ = data(rng)
    vq = vl.compress.DistillVQ(4, 4, n_epochs=1, n_row_queries=50).fit(X, queries=learn)
    with pytest.raises(ShapeError, match="n_lists"):
        vq.lists(X)
