# SPDX-License-Identifier: Apache-2.0
"""Planted subspaces come back; scores of densities are those of finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress.reduce.stein import _Elliptical, _KernelDensity
from vectorloom.errors import ParameterError, ShapeError

DIM = 12


def recovered(reducer: vl.compress.Stein, planted: np.ndarray) -> float:
    """Return the smallest cosine between the planted subspace and the one found."""
    basis = np.linalg.qr(planted.T)[0]
    return float(np.linalg.svd(reducer.components_ @ basis, compute_uv=False).min())


def index_model(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlated Gaussian rows whose leading variance is not in the planted plane."""
    X = rng.standard_normal((n, DIM)) * np.linspace(3, 0.5, DIM)
    X = X @ np.linalg.qr(rng.standard_normal((DIM, DIM)))[0]
    X += 0.7
    return X.astype(np.float32), rng.standard_normal((2, DIM))


def test_one_linear_response_gives_the_direction_of_least_squares(rng):
    X, planted = index_model(rng, 500)
    y = X @ planted[0] + 0.5 * rng.standard_normal(500)
    found = vl.compress.Stein(1, shrinkage=0).fit(X, y).components_[0]
    slope = np.linalg.lstsq(X - X.mean(0), y - y.mean(), rcond=None)[0]
    assert_at_least(abs(found @ slope) / np.linalg.norm(slope), 1 - 1e-5, "cosine")


def test_first_order_finds_the_plane_of_unknown_monotone_links_and_pca_does_not(rng):
    X, planted = index_model(rng, 4000)
    u, v = ((X - X.mean(0)) @ planted.T / np.linalg.norm(planted, axis=1)).T
    noise = 0.1 * rng.standard_normal((3, 4000))
    Y = np.stack([np.tanh(u), np.exp(v / 2), u**3 + v]).T + noise.T
    assert_at_least(recovered(vl.compress.Stein(2).fit(X, Y), planted), 0.95, "cosine")
    assert_at_most(recovered(vl.compress.PCA(2).fit(X), planted), 0.7, "cosine of PCA")


def test_second_order_sees_even_links_that_first_order_cannot(rng):
    X, planted = index_model(rng, 20000)
    u, v = ((X - X.mean(0)) @ planted.T / np.linalg.norm(planted, axis=1)).T
    # The curvatures of the two responses cancel in their sum, but not in the sum of squares.
    Y = np.stack([u**2 - v**2, v**2 - u**2 + u * v]).T
    second = vl.compress.Stein(2, order=2).fit(X, Y)
    assert_at_least(recovered(second, planted), 0.95, "cosine at second order")
    assert_at_most(recovered(vl.compress.Stein(2, order=1).fit(X, Y), planted), 0.9, "at first")


def test_heavy_tails_want_the_elliptical_score(rng):
    X, planted = index_model(rng, 6000)
    X = X / np.sqrt(rng.chisquare(5, 6000) / 5)[:, None].astype(np.float32)
    u = (X - X.mean(0)) @ planted[0] / np.linalg.norm(planted[0])
    y = np.sign(u) * u**2
    plain = vl.compress.Stein(1).fit(X, y)
    heavy = vl.compress.Stein(1, density="elliptical").fit(X, y)
    assert np.isinf(plain.degrees_of_freedom_)
    assert 4 < heavy.degrees_of_freedom_ < 12
    assert recovered(heavy, planted[:1]) > recovered(plain, planted[:1])


def test_a_kernel_density_is_good_enough_in_few_dimensions(rng):
    X = rng.exponential(1.0, (2000, 3)).astype(np.float32)
    planted = np.array([[1.0, -2.0, 0.0]])
    y = np.sin(X @ planted[0])
    fitted = vl.compress.Stein(1, density="kde").fit(X, y)
    assert_at_least(recovered(fitted, planted), 0.9, "cosine")


def test_isotropic_first_order_without_responses_is_pca(rng):
    X, _ = index_model(rng, 300)
    stein = vl.compress.Stein(3, order=1, density="isotropic").fit(X)
    pca = vl.compress.PCA(3).fit(X)
    overlap = np.linalg.svd(stein.components_ @ pca.components_.T, compute_uv=False)
    np.testing.assert_allclose(overlap, 1, atol=1e-5)


def test_without_responses_second_order_finds_the_skewed_direction(rng):
    X = rng.standard_normal((8000, 6)).astype(np.float32)
    X[:, 4] = rng.exponential(1.0, 8000) - 1
    found = vl.compress.Stein(1).fit(X).components_[0]
    assert_at_least(abs(found[4]), 0.95, "cosine")


@pytest.mark.parametrize("nu", [np.inf, 7.0])
def test_scores_are_those_of_the_density_by_finite_differences(rng, nu):
    root = rng.standard_normal((4, 4))
    covariance = root @ root.T + np.eye(4)
    model = _Elliptical(np.linalg.inv(covariance), nu)

    def density(x: np.ndarray) -> float:
        if np.isinf(nu):
            return float(np.exp(-0.5 * x @ np.linalg.inv(covariance) @ x))
        scatter = covariance * (nu - 2) / nu
        return float((1 + x @ np.linalg.inv(scatter) @ x / nu) ** (-(nu + 4) / 2))

    x, step = rng.standard_normal(4), 1e-4
    axes = step * np.eye(4)
    slope = np.array([density(x + a) - density(x - a) for a in axes]) / (2 * step)
    np.testing.assert_allclose(model.scores(x[None])[0], -slope / density(x), rtol=1e-5)
    # T = ∇²p / p; a response of one row is T at that row.
    curve = np.array(
        [
            [
                density(x + a + b) - density(x + a - b) - density(x - a + b) + density(x - a - b)
                for b in axes
            ]
            for a in axes
        ]
    ) / (4 * step**2)
    got = model.moment(x[None], np.ones(1))
    np.testing.assert_allclose(got, curve / density(x), rtol=1e-4, atol=1e-5)


def test_the_kernel_score_is_that_of_its_own_density(rng):
    centred = rng.standard_normal((40, 3))
    precision = np.linalg.inv(np.diag([1.0, 2.0, 0.5]))
    model = _KernelDensity(centred, precision, rng)
    x, step = np.array([0.3, -0.2, 0.5]), 1e-5

    def density(point: np.ndarray) -> float:
        gap = (point - centred) @ model.whitener
        return float(np.exp(-np.square(gap).sum(axis=1) / (2 * model.width**2)).sum())

    slope = [(density(x + a) - density(x - a)) / (2 * step) for a in step * np.eye(3)]
    np.testing.assert_allclose(model.scores(x[None])[0], -np.array(slope) / density(x), rtol=1e-5)


def test_constant_and_duplicate_dimensions_do_no_harm(rng):
    X = rng.standard_normal((300, 6)).astype(np.float32)
    X[:, 1], X[:, 2] = 5.0, X[:, 0]
    fitted = vl.compress.Stein(1).fit(X, X[:, 3] + X[:, 4])
    assert np.isfinite(fitted.components_).all()
    assert_at_least(abs(fitted.components_[0, 3:5].sum()) / np.sqrt(2), 0.95, "cosine")


@pytest.mark.parametrize(
    ("settings", "y", "error", "message"),
    [
        ({}, np.zeros(50), ParameterError, "y is constant"),
        ({}, np.ones(49), ShapeError, "one row a vector"),
        ({}, np.full(50, np.nan), ParameterError, "NaN"),
        ({"n_components": 2}, np.arange(50), ParameterError, "at most one direction a response"),
        ({"n_components": 9}, np.arange(50), ParameterError, "at most the dimension 5"),
        ({"order": 3}, None, ParameterError, "order must be"),
        ({"order": 1}, None, ParameterError, "identity for every density"),
        ({"order": 2, "density": "kde"}, None, ParameterError, "order=1"),
        ({"density": "normal"}, None, ParameterError, "density must be one of"),
        ({"shrinkage": 2}, None, ParameterError, "shrinkage must be"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_remedy(rng, settings, y, error, message):
    X = rng.standard_normal((50, 5)).astype(np.float32)
    reducer = vl.compress.Stein(**{"n_components": 1, **settings})
    with pytest.raises(error, match=message):
        reducer.fit(X, y)
    assert not hasattr(reducer, "components_")


def test_rows_that_are_all_equal_are_refused():
    with pytest.raises(ParameterError, match="no variance"):
        vl.compress.Stein(1).fit(np.ones((20, 3), np.float32))
