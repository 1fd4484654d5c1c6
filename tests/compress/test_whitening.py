# SPDX-License-Identifier: Apache-2.0
"""Whitening."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA as SklearnPCA  # noqa: N811
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress import PCA, Whitening


def crowded(n: int = 600, dim: int = 12, seed: int = 0) -> np.ndarray:
    """Return vectors in a narrow cone: a large mean, and one direction that outweighs the rest."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((dim, dim)) * np.linspace(3, 0.3, dim)[:, None]
    return (rng.standard_normal((n, dim)) @ mix + 5).astype(np.float32)


@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_the_covariance_becomes_the_identity(kind):
    Z = Whitening(kind=kind, eps=0).fit_transform(crowded())
    assert np.allclose(np.cov(Z.T), np.eye(12), atol=5e-3)
    assert np.allclose(Z.mean(axis=0), 0, atol=1e-3)


@pytest.mark.parametrize("kind", ["pca", "zca"])
@pytest.mark.parametrize("power", [0.0, 0.25, 0.5])
def test_decoding_undoes_it(kind, power):
    X = crowded()
    whitening = Whitening(kind=kind, power=power).fit(X)
    assert np.allclose(whitening.inverse_transform(whitening.transform(X)), X, atol=2e-3)


def test_two_dimensions_worked_by_hand():
    X = np.array([[3, 0], [-3, 0], [0, 1], [0, -1]], np.float32)  # variances 6 and 2/3
    Z = Whitening(eps=0).fit_transform(X)
    assert np.allclose(np.abs(Z[0]), [3 / np.sqrt(6), 0], atol=1e-6)
    assert np.allclose(np.abs(Z[2]), [0, 1 / np.sqrt(2 / 3)], atol=1e-6)


def test_it_is_scikit_learns_whitening_up_to_signs():
    X = crowded()
    theirs = SklearnPCA(5, whiten=True).fit_transform(X.astype(np.float64))
    ours = Whitening(5, eps=0).fit_transform(X)
    assert np.allclose(np.abs(ours), np.abs(theirs), atol=2e-3)


def test_no_power_is_pca():
    X = crowded()
    assert np.allclose(Whitening(4, power=0.0).fit_transform(X), PCA(4).fit_transform(X), atol=1e-3)


def test_without_centring_second_moments_become_the_identity():
    X = crowded()
    Z = Whitening(center=False, eps=0).fit_transform(X)
    assert np.allclose(Z.T @ Z / (len(X) - 1), np.eye(12), atol=5e-3)


def test_zca_moves_the_vectors_less_than_pca_whitening():
    X = crowded()
    centred = X - X.mean(axis=0)

    def moved(kind: str) -> float:
        return float(((Whitening(kind=kind).fit_transform(X) - centred) ** 2).sum())

    assert moved("zca") < moved("pca")


def test_crowded_vectors_become_isotropic():
    X = crowded()

    def mean_cosine(rows: np.ndarray) -> float:
        units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return float(np.abs(units.mean(axis=0)).max() + (units @ units.T).mean())

    assert_at_least(mean_cosine(X), 0.3, "mean cosine before")
    assert_at_most(mean_cosine(Whitening().fit_transform(X)), 0.1, "mean cosine after")


def test_whitening_finds_the_neighbours_that_loud_directions_hide():
    # Twins share a weak signal and differ in a strong nuisance: the published benefit, planted.
    rng = np.random.default_rng(3)
    signal = rng.standard_normal((150, 16))
    A, B = (
        np.hstack([signal, 40 * rng.standard_normal((150, 1))]).astype(np.float32) for _ in range(2)
    )
    whitening = Whitening().fit(np.vstack([A, B]))
    hits = whitening.scores(A, whitening.transform(B), "cosine").argmax(axis=1) == np.arange(150)
    units = B / np.linalg.norm(B, axis=1, keepdims=True)
    plain = (A @ units.T).argmax(axis=1) == np.arange(150)
    assert_at_least(hits.mean(), 0.9, "twins found after")
    assert_at_least(hits.mean(), plain.mean() + 0.5, "twins found after, against before")


def test_cosine_scores_are_those_of_the_whitened_vectors():
    X = crowded()
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    whitening = Whitening(6).fit(X)
    Z = whitening.transform(X)
    units = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    assert np.allclose(whitening.scores(X[:5], Z, "cosine"), units[:5] @ units.T, atol=1e-4)


def test_directions_without_variance_are_not_blown_up():
    X = crowded()
    X[:, 3] = 7
    X[:, 5] = X[:, 4]
    for eps in (0.0, 1e-6):
        Z = Whitening(eps=eps).fit_transform(X)
        assert np.isfinite(Z).all()
        assert_at_most(float(np.abs(Z).max()), 100, "largest whitened number")


def test_equal_rows_become_zeros():
    assert not Whitening().fit_transform(np.full((5, 3), 0.25, np.float32)).any()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components"),
        ({"n_components": 13}, "at most the dimension 12"),
        ({"kind": "cholesky"}, "'pca', 'zca'"),
        ({"kind": "zca", "n_components": 3}, "kind='pca' to cut"),
        ({"power": -0.1}, "power"),
        ({"eps": 2.0}, "eps"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(vl.ParameterError, match=message):
        Whitening(**parameters).fit(crowded(20))


def test_one_row_is_refused():
    with pytest.raises(vl.ParameterError, match="2 rows"):
        Whitening().fit(np.ones((1, 3), np.float32))
