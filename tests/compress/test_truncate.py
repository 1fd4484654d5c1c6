# SPDX-License-Identifier: Apache-2.0
"""Prefixes."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.compress import Truncate

X = np.random.default_rng(0).standard_normal((50, 12)).astype(np.float32)


def test_the_prefix_is_kept_as_it_is():
    assert np.array_equal(Truncate(5).fit_transform(X), X[:, :5])


def test_a_renormalized_prefix_has_length_one_and_the_same_direction():
    Z = Truncate(5, renormalize=True).fit_transform(X)
    assert np.allclose(np.linalg.norm(Z, axis=1), 1, atol=1e-6)
    assert np.allclose(Z, X[:, :5] / np.linalg.norm(X[:, :5], axis=1, keepdims=True), atol=1e-6)


def test_a_row_whose_prefix_is_zero_stays_zero():
    rows = np.array([[0, 0, 1], [1, 0, 0]], np.float32)
    assert np.array_equal(Truncate(2, renormalize=True).fit_transform(rows), [[0, 0], [1, 0]])


@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("renormalize", [False, True])
def test_scores_are_those_of_the_decoded_rows(metric, renormalize):
    reducer = Truncate(5, renormalize=renormalize).fit(X)
    codes = reducer.transform(X)
    decoded = reducer.inverse_transform(codes)
    expected = X[:4] @ decoded.T
    if metric == "l2":
        expected = -((X[:4, None] - decoded[None]) ** 2).sum(axis=2)
    assert np.allclose(reducer.scores(X[:4], codes, metric), expected, atol=1e-4)


def test_cosine_is_that_of_both_prefixes_with_or_without_renormalizing():
    plain, scaled = Truncate(5).fit(X), Truncate(5, renormalize=True).fit(X)
    a = plain.scores(X[:4], plain.transform(X), "cosine")
    b = scaled.scores(X[:4], scaled.transform(X), "cosine")
    assert np.allclose(a, b, atol=1e-6)
    assert np.allclose(a[range(4), range(4)], 1, atol=1e-6)


def test_it_tells_how_much_of_the_length_is_kept():
    rows = np.array([[3, 0, 4], [0, 3, 4]], np.float32)
    assert Truncate(2).fit(rows).kept_ == pytest.approx(18 / 50)


def test_all_dimensions_lose_nothing():
    reducer = Truncate(12).fit(X)
    assert np.array_equal(reducer.inverse_transform(reducer.transform(X)), X)
    assert reducer.kept_ == 1


@pytest.mark.parametrize("bad", [0, -1, 13, 2.5, True, "4"])
def test_a_length_that_cannot_be_is_refused(bad):
    with pytest.raises(vl.ParameterError, match="n_components"):
        Truncate(bad).fit(X)
