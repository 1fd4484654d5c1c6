# SPDX-License-Identifier: Apache-2.0
"""The report finds what is planted and says nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError

report = vl.measure.report


@pytest.fixture
def plain(rng) -> np.ndarray:
    """Evenly on a sphere of few dimensions: nothing to repair."""
    x = rng.standard_normal((1200, 6)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def said(found, word: str) -> bool:
    return any(word in line for line in found.advice)


def test_nothing_is_said_of_vectors_that_need_nothing(plain) -> None:
    found = report(plain)
    assert found.advice == (
        "Nothing stands out: no repair is needed before these vectors are indexed.",
    )
    assert "1,200 vectors of 6 dimensions" in str(found)


def test_zero_rows_copies_and_constant_dimensions_are_counted(plain) -> None:
    x = np.column_stack([plain, np.ones((1200, 2))])
    x = np.concatenate([x, x[:100], np.zeros((3, 8))])
    x[:, 6] = 1.0
    found = report(x)
    assert found.n_zero == 0  # the constant column makes them rows like others
    assert found.copies == pytest.approx(102 / 1303)
    assert found.columns.constant.tolist() == [6]
    assert said(found, "copies of another")
    assert said(found, "1 of 8 dimensions is constant (6)")
    assert report(np.concatenate([plain, np.zeros((3, 6))])).n_zero == 3


def test_minus_zero_is_zero_and_order_of_values_matters() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 3)).astype(np.float32)
    x[0], x[1], x[2], x[3] = [0, 1, 2], [-0.0, 1, 2], [2, 1, 0], [1, 0, 2]
    assert report(x).copies == pytest.approx(1 / 50)


def test_a_mean_far_from_zero_asks_for_centring(plain) -> None:
    found = report(plain + 1)
    assert said(found, "vl.measure.Centring")
    assert said(found, "Lengths differ")
    assert not said(report(plain + 1, metric="l2"), "Centring, for documents")


def test_few_strong_directions_ask_for_pca(rng) -> None:
    x = rng.standard_normal((1000, 3)) @ rng.standard_normal((3, 40))
    found = report(x + 0.001 * rng.standard_normal((1000, 40)))
    assert found.isotropy.directions_90 <= 3
    assert said(found, f"vl.compress.PCA({found.isotropy.directions_90})")


def test_hubs_and_high_dimension_are_told(rng) -> None:
    found = report(rng.standard_normal((1200, 150)), metric="l2")
    assert said(found, "never among anyone's 10 nearest")
    assert said(found, "intrinsic dimension is about")


def test_the_same_numbers_at_any_number_of_threads(plain) -> None:
    assert str(report(plain, sample=600, n_jobs=1)) == str(report(plain, sample=600, n_jobs=2))


def test_rows_in_one_direction_are_reported_without_a_dimension() -> None:
    x = np.outer(np.arange(1, 101), [1.0, 2.0, 3.0])
    assert report(x).dimension.value == 0.0


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.ones((100, 4)), ShapeError, "neither zero nor copies"),
        (np.eye(3), ShapeError, "needs 20"),
        (np.ones((100, 1)), ShapeError, "two columns"),
        (np.full((100, 4), np.inf), ParameterError, "NaN or infinity"),
    ],
)
def test_what_cannot_be_reported_is_refused(x, error, words) -> None:
    with pytest.raises(error, match=words):
        report(x)
