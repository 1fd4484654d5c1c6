# SPDX-License-Identifier: Apache-2.0
"""Random projections: the bound, the distributions, and what other libraries do."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.random_projection import (
    GaussianRandomProjection,
    SparseRandomProjection,
    johnson_lindenstrauss_min_dim,
)
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress import RandomProjection
from vectorloom.compress.reduce.random_projection import johnson_lindenstrauss_dim

KINDS = ["gaussian", "sparse", "hadamard"]


def squared_distances(X: np.ndarray) -> np.ndarray:
    wide = X.astype(np.float64)
    squares = (wide**2).sum(axis=1)
    out = squares[:, None] + squares[None] - 2 * wide @ wide.T
    return out[np.triu_indices(len(X), 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_no_more_distances_leave_the_bound_than_its_proof_allows(kind):
    # The dimension is chosen so that a pair leaves it with probability at most 2 / n².
    n, eps = 40, 0.25
    X = np.random.default_rng(0).standard_normal((n, 1500)).astype(np.float32)
    left = []
    for seed in range(6):
        reducer = RandomProjection(kind=kind, eps=eps, random_state=seed).fit(X)
        assert reducer.n_components_ == johnson_lindenstrauss_dim(n, eps)
        ratios = squared_distances(reducer.transform(X)) / squared_distances(X)
        left.append(np.abs(ratios - 1) > eps)
    assert_at_most(float(np.mean(left)), 2 / n**2, "share of pairs that left the bound")


def test_data_drawn_with_the_same_seed_are_not_the_directions():
    X = np.random.default_rng(0).standard_normal((40, 100)).astype(np.float32)
    W = RandomProjection(40, random_state=0).fit(X).components_
    assert_at_most(float(np.abs(np.corrcoef(W, X)[:40, 40:]).max()), 0.6, "correlation")


@pytest.mark.parametrize("kind", KINDS)
def test_squared_lengths_are_right_on_average_and_spread_as_theory_says(kind):
    # One fixed vector, many draws: E|z|² = |x|², and for Gaussian entries var = 2 / k.
    x = np.random.default_rng(1).standard_normal((1, 48)).astype(np.float32)
    x /= np.linalg.norm(x)
    k = 12
    lengths = np.array(
        [
            (RandomProjection(k, kind, random_state=seed).fit(x).transform(x) ** 2).sum()
            for seed in range(800)
        ]
    )
    error = lengths.std() / np.sqrt(len(lengths))
    assert_at_most(abs(lengths.mean() - 1), 4 * error, "bias of the squared length")
    if kind == "gaussian":
        assert lengths.var() == pytest.approx(2 / k, rel=0.2)
    if kind == "hadamard":  # orthogonal rows spread less
        assert_at_most(lengths.var(), 2 / k, "variance")


def test_hadamard_is_a_rotation_when_nothing_is_left_out():
    W = RandomProjection(16, "hadamard").fit(np.ones((1, 16), np.float32)).components_
    assert np.allclose(W @ W.T, np.eye(16), atol=1e-6)
    assert np.allclose(np.abs(W), 0.25)


def test_hadamard_rows_are_those_of_sylvester():
    from scipy.linalg import hadamard

    W = RandomProjection(8, "hadamard", random_state=3).fit(np.ones((1, 8), np.float32)).components_
    signs = W[0] * np.sqrt(8)  # rows are sorted and all are kept: the first is all ones times signs
    assert np.allclose(W * np.sqrt(8) * signs, hadamard(8))


def test_entries_are_distributed_as_in_scikit_learn():
    from scipy.stats import ks_2samp

    X = np.ones((1, 400), np.float32)
    ours = RandomProjection(100).fit(X).components_.ravel()
    theirs = GaussianRandomProjection(100, random_state=0).fit(X).components_.ravel()
    assert_at_least(ks_2samp(ours, theirs).pvalue, 0.01, "p of one distribution")

    ours = RandomProjection(100, "sparse").fit(X)
    theirs = SparseRandomProjection(100, random_state=0).fit(X)
    assert ours.density_ == pytest.approx(theirs.density_)
    assert np.allclose(
        np.unique(ours.components_), np.unique(theirs.components_.toarray()), rtol=1e-5
    )
    shares = [np.mean(W != 0) for W in (ours.components_, theirs.components_.toarray())]
    assert shares[0] == pytest.approx(0.05, abs=0.005)
    assert shares[1] == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize(("n", "eps"), [(100, 0.1), (10**6, 0.5), (10**4, 0.99), (2, 0.3)])
def test_the_bound_is_scikit_learns_rounded_up(n, eps):
    assert johnson_lindenstrauss_dim(n, eps) - johnson_lindenstrauss_min_dim(n, eps=eps) in (0, 1)


def test_scores_rank_better_than_products_of_projections():
    # The decoder is least squares on the row space; R'R adds the noise of rows that are not
    # orthogonal, which grows with k / dim.
    rng = np.random.default_rng(2)
    X = rng.standard_normal((400, 64)).astype(np.float32)
    Q = X[:60] + rng.standard_normal((60, 64)).astype(np.float32)
    reducer = RandomProjection(32, random_state=1).fit(X)
    Z = reducer.transform(X)
    truth = Q @ X.T

    def correlation(scores: np.ndarray) -> float:
        return float(np.corrcoef(scores.ravel(), truth.ravel())[0, 1])

    ours, plain = reducer.scores(Q, Z), reducer.transform(Q) @ Z.T
    assert_at_least(correlation(ours), correlation(plain) + 0.05, "correlation with the truth")


def test_too_few_dimensions_for_the_bound_are_refused_with_the_remedy():
    with pytest.raises(vl.ParameterError, match="larger eps"):
        RandomProjection(eps=0.1).fit(np.ones((100, 64), np.float32))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components"),
        ({"n_components": 65}, "at most the dimension 64"),
        ({"n_components": "all"}, "'auto'"),
        ({"n_components": 4, "kind": "achlioptas"}, "'gaussian', 'sparse', 'hadamard'"),
        ({"n_components": 4, "kind": "sparse", "density": 0.0}, "density"),
        ({"n_components": 4, "kind": "sparse", "density": 1.5}, "density"),
        ({"n_components": 4, "kind": "sparse", "density": "few"}, "density"),
        ({"eps": 0.0}, "eps"),
        ({"eps": 1.0}, "eps"),
        ({"eps": "small"}, "eps"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(vl.ParameterError, match=message):
        RandomProjection(**parameters).fit(np.ones((3, 64), np.float32))
