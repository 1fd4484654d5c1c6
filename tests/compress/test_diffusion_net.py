# SPDX-License-Identifier: Apache-2.0
"""DiffusionNet: right gradients, a circle found and extended, outliers named."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress import DiffusionNet
from vectorloom.compress.reduce import diffusion_net
from vectorloom.compress.reduce.diffusion import affinities, leading_eigenvectors, symmetric_walk


@pytest.fixture(scope="module")
def circle():
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 400)
    X = np.stack([np.cos(angle), np.sin(angle), 0.1 * np.cos(3 * angle)], 1)
    return X.astype(np.float32), angle


@pytest.fixture(scope="module")
def net(circle):
    return DiffusionNet(2, epochs=150).fit(circle[0])


def test_gradients_agree_with_finite_differences():
    rng = np.random.default_rng(1)
    layers = {k: v.astype(np.float64) for k, v in diffusion_net._new_net(3, 5, 2, rng).items()}
    X, Y = rng.standard_normal((7, 3)), rng.standard_normal((7, 2))

    def plain(weights):
        first = np.tanh(X @ weights["w0"] + weights["b0"])
        second = np.tanh(first @ weights["w1"] + weights["b1"])
        return [X, first, second, second @ weights["w2"] + weights["b2"]]

    def loss(weights):
        decay = sum((weights[f"w{i}"] ** 2).sum() for i in range(3))
        return 0.5 * ((plain(weights)[-1] - Y) ** 2).sum() / 7 + 0.05 * decay

    activations = plain(layers)
    gradients = diffusion_net._backward(layers, activations, (activations[-1] - Y) / 7, 0.1)
    for name, weights in layers.items():
        for index in [(0,) * weights.ndim, (-1,) * weights.ndim]:
            moved = {k: v.copy() for k, v in layers.items()}
            moved[name][index] += 1e-6
            slope = (loss(moved) - loss(layers)) / 1e-6
            assert gradients[name][index] == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_the_first_two_coordinates_of_a_circle_are_its_sine_and_cosine(circle, net):
    X, angle = circle
    places = net.transform(X)
    wave = np.stack([np.cos(angle), np.sin(angle)], 1)
    fit, *_ = np.linalg.lstsq(places - places.mean(0), wave, rcond=None)
    left = ((places - places.mean(0)) @ fit - wave).var() / wave.var()
    assert_at_most(left, 0.15, "variance not explained")


def test_the_eigenvectors_of_a_walk_are_those_of_its_matrix(circle):
    X, _ = circle
    M, _ = symmetric_walk(affinities(X, 8, None), 1.0)
    values, vectors = leading_eigenvectors(M, 3, np.random.default_rng(0))
    assert values[0] == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(M @ vectors, vectors * values, atol=1e-8)


def test_new_rows_between_old_ones_decode_to_themselves(net):
    angle = np.linspace(0.05, 6.2, 50)
    X = np.stack([np.cos(angle), np.sin(angle), 0.1 * np.cos(3 * angle)], 1).astype(np.float32)
    error = np.abs(net.inverse_transform(net.transform(X)) - X).mean()
    assert_at_most(float(error), 0.1, "mean error of decoded rows")


def test_rows_off_the_manifold_score_higher_than_all_on_it(circle, net):
    off = np.array([[2.0, 2.0, 0.0], [0.0, 1.0, 1.0]], np.float32)
    on = net.outlier_score(circle[0])
    assert_at_least(float(net.outlier_score(off).min()), float(on.max()), "outlier score")


def test_any_map_can_be_extended(circle):
    X, angle = circle
    given = np.stack([np.cos(2 * angle), np.sin(2 * angle)], 1).astype(np.float32)
    net = DiffusionNet(epochs=120).fit(X, given)
    left = ((net.transform(X) - given) ** 2).mean() / given.var()
    assert_at_most(float(left), 0.05, "squared error of the extended map")


def test_a_map_of_other_rows_is_refused(circle):
    with pytest.raises(vl.ShapeError, match="map of the rows"):
        DiffusionNet().fit(circle[0], np.zeros((5, 2)))


def test_too_few_rows_are_refused():
    with pytest.raises(vl.ParameterError, match="more than 3 rows"):
        DiffusionNet(2).fit(np.eye(3, dtype=np.float32))
