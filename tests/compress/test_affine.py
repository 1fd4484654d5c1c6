# SPDX-License-Identifier: Apache-2.0
"""Gradients against finite differences; shared mean and scale bring the codebook to the data."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress.codebook.affine import AffineCodebook
from vectorloom.errors import ParameterError, ShapeError

PLAIN = {"affine": False, "codebook_steps": 0, "synchronised": 0.0}


def test_codewords_share_one_scale_and_one_shift():
    book = AffineCodebook(np.array([[[1.0, 2.0], [3.0, 4.0]]], np.float32), rate=10.0)
    book.params["scale"][0, 0] = [0.1, 0.0]
    book.params["shift"][0, 0] = [0.0, -0.5]
    np.testing.assert_allclose(book.codewords()[0], [[2, -3], [6, -1]])


def test_gradients_are_those_of_finite_differences(rng):
    book = AffineCodebook(rng.standard_normal((2, 4, 3)).astype(np.float32), rate=3.0)
    book.params["scale"][:] = 0.2
    weight = rng.standard_normal((2, 4, 3)).astype(np.float32)
    gradients = book.gradients(weight)
    for name, array in book.params.items():
        for at in np.ndindex(array.shape):
            keep, sides = array[at], []
            for value in (keep + np.float32(0.5), keep - np.float32(0.5)):  # linear in each
                array[at] = value
                sides.append(float((book.codewords() * weight).sum(dtype=np.float64)))
            array[at] = keep
            assert gradients[name][at] == pytest.approx(sides[0] - sides[1], rel=1e-3, abs=1e-4)


def planted(rng: np.random.Generator) -> np.ndarray:
    """Clusters far from where Gaussian codewords start."""
    centres = 3 * rng.standard_normal((40, 8)) + 2
    rows = centres[rng.integers(0, 40, 2000)]
    return (rows + 0.2 * rng.standard_normal((2000, 8))).astype(np.float32)


def test_usage_mismatch_and_error_are_better_than_by_plain_straight_through(rng):
    X = planted(rng)
    settings = {"n_epochs": 8, "batch_size": 100, "learning_rate": 5e-3}
    ours = vl.compress.AffineVQ(64, **settings).fit(X)
    plain = vl.compress.AffineVQ(64, **settings, **PLAIN).fit(X)

    def loss(vq: vl.compress.AffineVQ) -> float:
        decoded = vq.inverse_transform(vq.transform(X))
        return float(((X - decoded) ** 2).sum() / ((X - X.mean(axis=0)) ** 2).sum())

    assert ours.utilization_ > plain.utilization_
    assert_at_most(ours.mismatch_, 0.8 * plain.mismatch_, "mismatch of moments")
    assert_at_most(loss(ours), 0.8 * loss(plain), "relative squared error")


def test_without_its_three_changes_it_is_plain_vector_quantization(rng):
    X = rng.standard_normal((300, 6)).astype(np.float32)
    settings = {"n_epochs": 3, "random_state": 5, "learning_rate": 0.01}
    affine = vl.compress.AffineVQ(16, 2, **settings, **PLAIN).fit(X)
    simple = vl.compress.SimVQ(16, 2, **settings, reparam="none").fit(X)
    np.testing.assert_array_equal(affine.codewords_, simple.codewords_)


def test_starting_from_rows_avoids_most_of_a_collapse(rng):
    X = planted(rng)
    used = {
        start: vl.compress.AffineVQ(64, start=start, n_epochs=2, batch_size=100, **PLAIN)
        .fit(X)
        .utilization_
        for start in ("rows", "normal")
    }
    assert_at_least(used["rows"], 1.5 * used["normal"], "share of codewords in use")


def test_the_same_seed_gives_the_same_bits(rng):
    X = rng.standard_normal((200, 6)).astype(np.float32)
    fits = [vl.compress.AffineVQ(8, 3, n_epochs=2).fit(X) for _ in range(2)]
    assert fits[0].fingerprint_ == fits[1].fingerprint_


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_codewords": 41}, ShapeError, "40 rows; n_codewords=41"),
        ({"n_codewords": 4, "start": "kmeans"}, ParameterError, "start must be one of"),
        ({"n_codewords": 4, "codebook_steps": -1}, ParameterError, "codebook_steps must be"),
        ({"n_codewords": 4, "synchronised": -0.1}, ParameterError, "synchronised must be"),
        ({"n_codewords": 4, "affine_rate": 0}, ParameterError, "affine_rate must be"),
    ],
)
def test_what_cannot_be_meant_is_refused(rng, settings, error, message):
    with pytest.raises(error, match=message):
        vl.compress.AffineVQ(**settings).fit(rng.standard_normal((40, 6)).astype(np.float32))
