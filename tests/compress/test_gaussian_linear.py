# SPDX-License-Identifier: Apache-2.0
"""Gradients and slopes against finite differences; a curve that PCA folds is unrolled."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress.reduce.gaussian_linear import (
    _gaussian_weights,
    _local_regressions,
    _loss_and_gradients,
    _pairs,
)
from vectorloom.errors import NotFittedError, ParameterError, ShapeError


def arc(rng: np.random.Generator, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Three quarters of a circle in the first two of four dimensions, little noise in the third."""
    angle = rng.uniform(0, 1.5 * np.pi, n)
    noise = 0.02 * rng.standard_normal(n)
    X = np.stack([np.cos(angle), np.sin(angle), noise, np.full(n, 3.0)], axis=1)
    return X.astype(np.float32), angle


def ranks(values: np.ndarray) -> np.ndarray:
    return values.argsort().argsort()


def test_the_gradient_of_the_stress_is_that_of_finite_differences(rng):
    rows, centres = rng.standard_normal((12, 5)), rng.standard_normal((3, 5))
    weights = _gaussian_weights(rows, centres, np.array([0.8, 1.0, 1.5]))
    local = rows[:, None, :] - centres
    pairs = _pairs(rows, 3, rng)
    maps = rng.standard_normal((3, 2, 5)), rng.standard_normal((3, 2))
    _, gradients = _loss_and_gradients(rows, local, weights, pairs, maps)
    step = 1e-6
    for name, array in zip(("maps", "offsets"), maps, strict=True):
        for at in np.ndindex(array.shape):
            keep = array[at]
            sides = []
            for sign in (1, -1):
                array[at] = keep + sign * step
                sides.append(_loss_and_gradients(rows, local, weights, pairs, maps)[0])
            array[at] = keep
            slope = (sides[0] - sides[1]) / (2 * step)
            assert gradients[name][at] == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_one_map_without_training_steps_is_pca(rng):
    X = (rng.standard_normal((200, 6)) * [4, 3, 1, 1, 0.5, 0.5]).astype(np.float32)
    bent = vl.compress.GaussianLinear(2, n_epochs=1, learning_rate=1e-12).fit(X)
    flat = vl.compress.PCA(2).fit(X)
    ours, theirs = bent.transform(X), flat.transform(X)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-3)
    np.testing.assert_allclose(bent.expansion_map(X), 1, atol=1e-3)


def test_an_arc_that_pca_folds_is_unrolled(rng):
    X, angle = arc(rng)
    bent = vl.compress.GaussianLinear(1, batch_size=100, n_epochs=60).fit(X)
    order = np.corrcoef(ranks(bent.transform(X)[:, 0]), ranks(angle))[0, 1]
    folded = np.corrcoef(ranks(vl.compress.PCA(1).fit_transform(X)[:, 0]), ranks(angle))[0, 1]
    assert_at_least(abs(order), 0.99, "rank correlation with the angle")
    assert_at_most(abs(folded), 0.95, "rank correlation of PCA")
    assert_at_most(bent.losses_[-1], 0.6 * bent.first_loss_, "stress")


def test_unseen_rows_land_between_their_neighbours(rng):
    X, angle = arc(rng)
    bent = vl.compress.GaussianLinear(1, batch_size=100).fit(X[:300])
    held = bent.transform(X[300:])[:, 0]
    seen = bent.transform(X[:300])[:, 0]
    nearest = np.abs(angle[300:, None] - angle[:300]).argmin(axis=1)
    assert_at_most(np.abs(held - seen[nearest]).max(), 0.2, "distance to the nearest seen row")


def test_slopes_are_those_of_finite_differences(rng):
    X = rng.standard_normal((150, 4)).astype(np.float32)
    bent = vl.compress.GaussianLinear(2, n_maps=4, n_epochs=5, batch_size=50).fit(X)
    step = np.float32(1e-2)
    slopes = bent._slopes(X[:8])
    for j in range(4):
        aside = np.zeros(4, np.float32)
        aside[j] = step
        slope = (bent.transform(X[:8] + aside) - bent.transform(X[:8] - aside)) / (2 * step)
        np.testing.assert_allclose(slopes[:, :, j], slope, atol=5e-3)


def test_hidden_dimensions_are_named(rng):
    X, _ = arc(rng)
    bent = vl.compress.GaussianLinear(1, batch_size=100).fit(X)
    # The third is noise, the fourth is constant; the arc lies in the first two.
    assert bent.suppressed_dims(0.3).tolist() == [2, 3]
    assert bent.suppressed_dims(0.01).tolist() == [3]
    assert bent.influence(X[:5]).shape == (5, 4)
    assert bent.influence_.mean() == pytest.approx(1)


def test_decoding_comes_close_to_the_curve(rng):
    X, _ = arc(rng)
    bent = vl.compress.GaussianLinear(1, batch_size=100, n_epochs=60).fit(X)
    flat = vl.compress.PCA(1).fit(X)

    def loss(reducer: object) -> float:
        decoded = reducer.inverse_transform(reducer.transform(X))
        return float(((X - decoded) ** 2).sum() / ((X - X.mean(axis=0)) ** 2).sum())

    assert_at_most(loss(bent), 0.05, "relative squared error")
    assert_at_most(loss(bent), 0.2 * loss(flat), "the same, against PCA")


def test_local_regressions_are_exact_for_a_linear_map(rng):
    reduced = rng.standard_normal((50, 2)).astype(np.float32)
    X = (reduced @ rng.standard_normal((2, 5)) + 1.5).astype(np.float32)
    weights = _gaussian_weights(reduced, reduced[:3], np.ones(3, np.float32))
    for decoder in _local_regressions(reduced, X, weights):
        np.testing.assert_allclose(reduced @ decoder[:2] + decoder[2], X, atol=1e-3)


def test_far_from_the_origin_the_map_is_the_same(rng):
    X, _ = arc(rng)
    near = vl.compress.GaussianLinear(1, batch_size=100, n_epochs=5).fit(X)
    far = vl.compress.GaussianLinear(1, batch_size=100, n_epochs=5).fit(X + np.float32(64))
    a, b = near.transform(X)[:, 0], far.transform(X + np.float32(64))[:, 0]
    assert_at_least(abs(np.corrcoef(a, b)[0, 1]), 0.999, "correlation")


def test_explaining_needs_a_fit():
    with pytest.raises(NotFittedError, match="call fit"):
        vl.compress.GaussianLinear().expansion_map(np.ones((2, 3), np.float32))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_components": 4}, ParameterError, "at most the dimension 3"),
        ({"n_maps": 31}, ShapeError, "30 rows; n_maps=31"),
        ({"n_maps": 0}, ParameterError, "n_maps must be"),
        ({"width": 0.0}, ParameterError, "width must be"),
        ({"learning_rate": -1.0}, ParameterError, "learning_rate must be"),
    ],
)
def test_what_cannot_be_meant_is_refused(rng, settings, error, message):
    X = rng.standard_normal((30, 3)).astype(np.float32)
    with pytest.raises(error, match=message):
        vl.compress.GaussianLinear(**settings).fit(X)


def test_rows_that_are_all_equal_are_refused():
    with pytest.raises(ParameterError, match="no variance"):
        vl.compress.GaussianLinear(1, n_maps=2).fit(np.ones((20, 3), np.float32))
