# SPDX-License-Identifier: Apache-2.0
"""LeanVec."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress import PCA, LeanVec
from vectorloom.compress.reduce import leanvec

SOLVERS = ["eigensearch", "frank-wolfe", "sphering"]


def apart(n: int = 3000, m: int = 400, dim: int = 24, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return data, sample queries and other queries whose strong directions are not the data's."""
    rng = np.random.default_rng(seed)
    mix = [np.linalg.qr(rng.standard_normal((dim, dim)))[0] for _ in range(2)]
    scales = 0.8 ** np.arange(dim)
    X = (rng.standard_normal((n, dim)) * scales) @ mix[0]
    Q = (rng.standard_normal((2 * m, dim)) * scales) @ mix[1]
    return X.astype(np.float32), Q[:m].astype(np.float32), Q[m:].astype(np.float32)


def recall(truth: np.ndarray, scores: np.ndarray, k: int = 10) -> float:
    best, got = (np.argsort(-s, axis=1)[:, :k] for s in (truth, scores))
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(best, got, strict=True)]))


def error(reducer: LeanVec, X: np.ndarray, Q: np.ndarray) -> float:
    """Return the loss by definition: over all pairs."""
    truth = Q.astype(np.float64) @ X.T.astype(np.float64)
    scores = reducer.transform_queries(Q).astype(np.float64) @ reducer.transform(X).T
    return float(((scores - truth) ** 2).sum() / (truth**2).sum())


@pytest.mark.parametrize("solver", [*SOLVERS, "pca"])
def test_the_loss_through_moments_is_that_over_all_pairs(solver):
    X, Q, _ = apart()
    reducer = LeanVec(8, solver, shrinkage=0).fit(X, queries=Q)
    assert reducer.loss_ == pytest.approx(error(reducer, X, Q), rel=1e-3)


def test_gradients_agree_with_differences():
    X, Q, _ = apart(dim=6)
    asked, data = (leanvec._moment(rows, 1) for rows in (Q, X))
    rng = np.random.default_rng(1)
    A, B = rng.standard_normal((2, 3, 6))
    gradient = 2 * B @ data @ (B.T @ A - np.eye(6)) @ asked
    for i, j in ((0, 0), (1, 4), (2, 5)):
        step = np.zeros_like(A)
        step[i, j] = 1e-5
        rise = leanvec.loss(A + step, B, asked, data) - leanvec.loss(A - step, B, asked, data)
        assert rise / 2e-5 == pytest.approx(gradient[i, j], rel=1e-5)


@pytest.mark.parametrize("solver", [*SOLVERS, "pca"])
def test_data_of_low_rank_are_recovered_exactly(solver):
    rng = np.random.default_rng(2)
    X = (rng.standard_normal((400, 5)) @ rng.standard_normal((5, 20))).astype(np.float32)
    Q = (rng.standard_normal((300, 5)) @ np.linalg.qr(X.T)[0][:, :5].T).astype(np.float32)
    reducer = LeanVec(5, solver).fit(X, queries=Q)
    assert_at_most(error(reducer, X, Q), 1e-6, "lost of the inner products")


def test_queries_of_low_rank_need_no_more_dimensions_than_that():
    # Data fill all 20 dimensions, queries five: five suffice for every inner product.
    rng = np.random.default_rng(3)
    X = rng.standard_normal((600, 20)).astype(np.float32)
    Q = (rng.standard_normal((300, 5)) @ rng.standard_normal((5, 20))).astype(np.float32)
    reducer = LeanVec(5, shrinkage=0).fit(X, queries=Q)
    assert_at_most(error(reducer, X, Q), 1e-4, "lost of the inner products")
    assert_at_least(LeanVec(5, "pca").fit(X).loss_, 0.5, "lost by PCA")


def test_no_other_maps_have_a_smaller_loss_than_sphering():
    X, Q, _ = apart()
    asked, data = (leanvec._moment(rows, 1) for rows in (Q, X))
    best = leanvec.loss(*leanvec.sphering(asked, data, 6), asked, data)
    # Eckart and Young: the energy of what is left of K_q^1/2 K_x^1/2.
    values, vectors = np.linalg.eigh(asked)
    root = (vectors * np.sqrt(values)) @ vectors.T
    left = np.sort(np.linalg.eigvalsh(root @ data @ root))[:-6].sum()
    assert best == pytest.approx(left, rel=1e-6)
    rng = np.random.default_rng(4)
    A, B = leanvec.sphering(asked, data, 6)
    for size in (1e-3, 1e-2, 1e-1):
        for _ in range(20):
            dA, dB = size * rng.standard_normal((2, *A.shape))
            assert leanvec.loss(A + dA, B + dB, asked, data) >= best


def test_each_solver_loses_no_more_than_the_one_it_starts_from():
    X, Q, _ = apart()
    by = {s: LeanVec(8, s, shrinkage=0).fit(X, queries=Q).loss_ for s in ["pca", *SOLVERS]}
    assert by["sphering"] <= by["frank-wolfe"] <= by["eigensearch"] <= by["pca"] + 1e-9


def test_frank_wolfe_never_rises_and_stays_in_the_hull():
    X, Q, _ = apart()
    asked, data = (leanvec._moment(rows, 1) for rows in (Q, X))
    _, frame = leanvec.eigensearch(asked, data, 6)
    losses = []
    for rounds in (1, 2, 4, 8, 16):
        A, B, _ = leanvec.frank_wolfe(asked, data, frame, rounds, 0.0)
        losses.append(leanvec.loss(A, B, asked, data))
        assert_at_most(np.linalg.svd(A)[1].max(), 1 + 1e-9, "singular value")
        assert_at_most(np.linalg.svd(B)[1].max(), 1 + 1e-9, "singular value")
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize(
    ("solver", "gain"), [("eigensearch", 0.03), ("frank-wolfe", 0.08), ("sphering", 0.1)]
)
def test_unseen_queries_of_another_distribution_find_more_than_with_pca(solver, gain):
    # The published claim: out-of-distribution queries gain at equal dimension.
    X, Q, unseen = apart()
    reducer, pca = LeanVec(8, solver).fit(X, queries=Q), PCA(8).fit(X)
    truth = unseen @ X.T
    ours = recall(truth, reducer.scores(unseen, reducer.transform(X)))
    theirs = recall(truth, pca.scores(unseen, pca.transform(X)))
    assert_at_least(ours, theirs + gain, "recall@10")


def test_without_queries_it_is_uncentred_pca():
    X, _, unseen = apart()
    reducer, pca = LeanVec(8).fit(X), PCA(8, center=False).fit(X)
    ours = reducer.scores(unseen, reducer.transform(X))
    assert np.allclose(ours, pca.scores(unseen, pca.transform(X)), atol=1e-4)


def test_shrinkage_of_one_ignores_the_queries():
    X, Q, _ = apart()
    whole, none = LeanVec(8, shrinkage=1.0).fit(X, queries=Q), LeanVec(8).fit(X)
    assert whole.loss_ == pytest.approx(none.loss_, rel=1e-6)


def test_moments_do_not_care_for_the_scale_of_either_side():
    X, Q, _ = apart()
    one, other = LeanVec(8).fit(X, queries=Q), LeanVec(8).fit(100 * X, queries=Q / 100)
    assert one.loss_ == pytest.approx(other.loss_, rel=1e-4)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_solver_that_needs_queries_says_so(solver):
    with pytest.raises(vl.ParameterError, match=r"fit\(X, queries=Q\)"):
        LeanVec(4, solver).fit(apart()[0])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components"),
        ({"n_components": 25}, "at most the dimension 24"),
        ({"n_components": 4, "solver": "adam"}, "'frank-wolfe'"),
        ({"n_components": 4, "shrinkage": -0.5}, "shrinkage"),
        ({"n_components": 4, "tol": 1.0}, "tol"),
        ({"n_components": 4, "max_iter": 0}, "max_iter"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(vl.ParameterError, match=message):
        LeanVec(**parameters).fit(apart(50, 20)[0])


def test_queries_of_another_dimension_are_refused():
    with pytest.raises(vl.ShapeError, match="queries"):
        LeanVec(4).fit(apart()[0], queries=np.ones((5, 7), np.float32))
