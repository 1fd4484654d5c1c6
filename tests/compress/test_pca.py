# SPDX-License-Identifier: Apache-2.0
"""PCA: the directions of a planted plane, parity with scikit-learn, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import decomposition
from sklearn.datasets import load_digits

import vectorloom as vl
from vectorloom.compress import PCA


@pytest.fixture(scope="module")
def digits():
    return load_digits().data.astype(np.float32)


def test_four_points_on_a_line_by_hand():
    X = np.array([[0, 0], [3, 4], [6, 8], [9, 12]], np.float32)
    pca = PCA(1).fit(X)
    np.testing.assert_allclose(pca.components_, [[0.6, 0.8]], atol=1e-6)
    np.testing.assert_allclose(pca.transform(X)[:, 0], [-7.5, -2.5, 2.5, 7.5], atol=1e-5)
    np.testing.assert_allclose(pca.explained_variance_, [125 / 3], rtol=1e-6)
    np.testing.assert_allclose(pca.inverse_transform(pca.transform(X)), X, atol=1e-5)


@pytest.mark.parametrize("k", [1, 10, 64])
def test_it_agrees_with_scikit_learn(digits, k):
    ours, theirs = PCA(k).fit(digits), decomposition.PCA(k, svd_solver="full").fit(digits)
    np.testing.assert_allclose(
        ours.explained_variance_, theirs.explained_variance_, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(ours.mean_, theirs.mean_, rtol=1e-6)
    if k == 10:  # beyond, eigenvalues are close and directions free to turn
        cosines = np.abs(np.einsum("ij,ij->i", ours.components_, theirs.components_))
        np.testing.assert_allclose(cosines, 1, atol=1e-4)


def test_a_share_of_the_variance_takes_as_few_components_as_reach_it(digits):
    pca = PCA(0.9).fit(digits)
    assert pca.explained_variance_ratio_.sum() >= 0.9
    assert pca.explained_variance_ratio_[:-1].sum() < 0.9


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_scores_are_those_of_the_decoded_rows(digits, metric):
    pca = PCA(20).fit(digits)
    Z = pca.transform(digits)
    decoded = pca.inverse_transform(Z).astype(np.float64)
    Q = digits[:7].astype(np.float64) + 0.5
    want = Q @ decoded.T
    if metric == "l2":
        want = -((Q[:, None, :] - decoded[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(pca.scores(Q, Z, metric), want, rtol=1e-3, atol=0.05)


def test_all_components_keep_all_distances(digits):
    Z = PCA().fit_transform(digits)
    np.testing.assert_allclose(
        np.linalg.norm(Z[:-1] - Z[1:], axis=1),
        np.linalg.norm(digits[:-1] - digits[1:], axis=1),
        rtol=1e-4,
    )


def test_without_centring_it_is_the_second_moment_that_counts():
    X = np.full((50, 3), [5.0, 0.0, 0.0], np.float32)
    X[:, 1] = np.linspace(-1, 1, 50)
    assert PCA(1, center=False).fit(X).components_[0, 0] > 0.99
    assert PCA(1).fit(X).components_[0, 1] > 0.99


@pytest.mark.parametrize("k", [0, -1, 65, 1.5, True, "all"])
def test_a_number_of_components_that_makes_no_sense_is_refused(digits, k):
    with pytest.raises(vl.ParameterError, match="n_components"):
        PCA(k).fit(digits)


def test_one_row_is_refused():
    with pytest.raises(vl.ParameterError, match="at least 2 rows"):
        PCA(1).fit(np.ones((1, 4), np.float32))


def test_rows_that_are_all_equal_explain_nothing():
    pca = PCA(2).fit(np.ones((10, 4), np.float32))
    assert pca.explained_variance_ratio_.tolist() == [0, 0]
    assert np.allclose(pca.transform(np.ones((10, 4))), 0, atol=1e-6)
