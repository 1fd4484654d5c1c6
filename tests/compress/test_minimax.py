# SPDX-License-Identifier: Apache-2.0
"""The representation game."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress import PCA, LeanVec, Minimax
from vectorloom.compress.reduce.minimax import mixed_strategy, systematic_sets, worst_regret

DIM = 8


def game(seed: int = 0, n: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return data, their covariance, and a prior whose axes are not those of the data."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, DIM)) @ (rng.standard_normal((DIM, DIM)) / np.sqrt(DIM)) + 1
    X = X.astype(np.float32)
    F = rng.standard_normal((DIM, DIM)) * 0.7 ** np.arange(DIM)[:, None]
    return X, np.cov(X.T, bias=True), F.T @ F


def left_of(R: np.ndarray, C: np.ndarray) -> np.ndarray:
    """Return the matrix whose quadratic form in a task is its regret."""
    return C - C @ R.T @ np.linalg.inv(R @ C @ R.T) @ R @ C


def test_three_directions_worked_by_hand():
    # λ = 4, 2, 1 and k = 1. Pure: 2. Mixed over two: (2-1) / (1/4 + 1/2) = 4/3 > λ₃ = 1, so the
    # third is not needed; chances 1 - (4/3)/4 = 2/3 and 1 - (4/3)/2 = 1/3.
    regret, chances = mixed_strategy(np.array([4.0, 2.0, 1.0]), 1)
    assert regret == pytest.approx(4 / 3)
    assert np.allclose(chances, [2 / 3, 1 / 3, 0])


def test_equal_directions_are_drawn_alike():
    # Pure leaves the whole of one direction, 1; mixed leaves each with chance (d - k) / d.
    regret, chances = mixed_strategy(np.ones(5), 2)
    assert regret == pytest.approx(3 / 5)
    assert np.allclose(chances, 2 / 5)


def test_regret_is_the_excess_error_of_the_best_predictor():
    X, C, _ = game()
    R = np.random.default_rng(1).standard_normal((3, DIM))
    f = np.random.default_rng(2).standard_normal(DIM)
    centred = X.astype(np.float64) - X.mean(axis=0)
    predictor = np.linalg.lstsq(centred @ R.T, centred @ f, rcond=None)[0]
    excess = ((centred @ f - centred @ R.T @ predictor) ** 2).mean()
    assert excess == pytest.approx(f @ left_of(R, C) @ f, rel=1e-4)


def test_no_representation_has_a_smaller_worst_regret():
    X, C, S = game()
    pure = Minimax(3, task_prior=S, ridge=0).fit(X)
    own = worst_regret(pure.components_.astype(np.float64), C, S)
    assert own == pytest.approx(pure.regret_, rel=1e-3)
    rng = np.random.default_rng(3)
    for _ in range(300):
        rival = rng.standard_normal((3, DIM))
        assert worst_regret(rival, C, S) >= pure.regret_ * (1 - 1e-6)
    for size in (0.01, 0.1):  # and none near the optimum
        for _ in range(100):
            rival = pure.components_ + size * rng.standard_normal((3, DIM))
            assert worst_regret(rival, C, S) >= pure.regret_ * (1 - 1e-6)


def test_pca_has_a_larger_worst_regret_unless_all_tasks_are_alike():
    X, _, S = game()
    told = Minimax(3, task_prior=S).fit(X)
    assert_at_least(told.pca_regret_, 1.2 * told.regret_, "worst regret of PCA")
    untold = Minimax(3).fit(X)
    assert untold.pca_regret_ == pytest.approx(untold.regret_, rel=1e-6)


def test_without_examples_the_space_is_that_of_pca():
    X, _, _ = game()
    ours, pca = Minimax(3).fit(X), PCA(3).fit(X)
    assert np.linalg.matrix_rank(np.vstack([ours.components_, pca.components_]), tol=1e-3) == 3


def test_the_mixture_meets_its_regret_on_the_worst_task():
    X, C, S = game()
    mixed = Minimax(3, task_prior=S, ridge=0).fit(X)
    expected = sum(
        chance * left_of(mixed.directions_[rows], C)
        for rows, chance in zip(mixed.mixture_, mixed.chances_, strict=True)
    )
    values, vectors = np.linalg.eigh(S)
    root = (vectors * np.sqrt(values)) @ vectors.T
    worst = np.linalg.eigvalsh(root @ expected @ root)[-1]
    assert worst == pytest.approx(mixed.mixed_regret_, rel=1e-4)
    assert_at_most(mixed.mixed_regret_, 0.999 * mixed.regret_, "regret of the mixture")


def test_an_adversary_holds_every_representation_to_the_mixed_regret():
    # The other half of the saddle point: one distribution of tasks costs any R at least that.
    X, C, S = game()
    mixed = Minimax(3, task_prior=S, ridge=0).fit(X)
    values, size = mixed.eigenvalues_, int((mixed.mixture_.max()) + 1)
    weights = 1 / values[:size]
    axes = mixed.directions_[:size] * np.sqrt(values[:size])[:, None]
    tasks = (axes.T * (weights / weights.sum())) @ axes
    rng = np.random.default_rng(4)
    for _ in range(200):
        regret = float(np.sum(tasks * left_of(rng.standard_normal((3, DIM)), C)))
        assert regret >= mixed.mixed_regret_ * (1 - 1e-6)


@pytest.mark.parametrize(("dim", "k"), [(2, 1), (5, 2), (9, 4), (16, 15), (7, 7)])
def test_sets_have_the_chances_and_are_few(dim, k):
    values = np.sort(np.random.default_rng(dim).random(dim))[::-1] + 0.1
    _, chances = mixed_strategy(values, k)
    sets, probabilities = systematic_sets(chances, k)
    assert sets.shape[1] == k
    assert len(sets) <= dim
    assert all(len(set(rows)) == k for rows in sets.tolist())
    got = np.zeros(dim)
    for rows, probability in zip(sets, probabilities, strict=True):
        got[rows] += probability
    assert np.allclose(got, chances, atol=1e-9)


def test_samples_come_as_often_as_they_should():
    X, _, S = game()
    mixed = Minimax(2, task_prior=S).fit(X)
    drawn = [mixed.sample(seed).components_.tobytes() for seed in range(400)]
    counts = sorted((drawn.count(one) / 400 for one in set(drawn)), reverse=True)
    assert np.allclose(counts, sorted(mixed.chances_, reverse=True)[: len(counts)], atol=0.08)
    assert mixed.sample(7).components_.tobytes() == drawn[7]


def test_sample_queries_make_the_class_and_span_the_space_of_leanvec():
    X, _, _ = game()
    X -= X.mean(axis=0)
    Q = np.random.default_rng(5).standard_normal((200, DIM)).astype(np.float32)
    Q *= 0.6 ** np.arange(DIM, dtype=np.float32)
    ours = Minimax(3, ridge=0).fit(X, queries=Q)
    lean = LeanVec(3, shrinkage=0).fit(X, queries=Q)
    both = np.vstack([ours.components_, lean.components_]).astype(np.float64)
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    assert_at_most(np.linalg.svd(both)[1][3], 1e-3, "what is not shared")


def test_responses_of_earlier_tasks_make_the_class():
    X, _, _ = game()
    f = np.eye(DIM)[:, [2, 5]]
    told = Minimax(2, ridge=1e-4).fit(X, y=X @ f + 0.01)
    worst = [float(t @ left_of(told.components_.astype(np.float64), np.cov(X.T)) @ t) for t in f.T]
    assert_at_most(max(worst), 0.01 * X.var(axis=0).min(), "regret on the tasks themselves")


def test_decoded_rows_keep_the_inner_products_that_predictors_give():
    X, _, S = game()
    reducer = Minimax(3, task_prior=S).fit(X)
    Z = reducer.transform(X)
    expected = X[:4] @ reducer.inverse_transform(Z).T
    assert np.allclose(reducer.scores(X[:4], Z), expected, atol=1e-3)
    assert np.allclose(np.cov(Z.T, bias=True), np.eye(3), atol=1e-3)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components"),
        ({"n_components": DIM + 1}, f"at most the dimension {DIM}"),
        ({"n_components": 2, "ridge": 1.5}, "ridge"),
        ({"n_components": 2, "task_prior": np.triu(np.ones((DIM, DIM)))}, "symmetric"),
        ({"n_components": 2, "task_prior": -np.eye(DIM)}, "negative"),
        ({"n_components": 2, "task_prior": np.zeros((DIM, DIM))}, "not zero"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(vl.ParameterError, match=message):
        Minimax(**parameters).fit(game(n=50)[0])


def test_a_prior_or_responses_of_another_size_are_refused():
    X = game(n=50)[0]
    with pytest.raises(vl.ShapeError, match="task_prior"):
        Minimax(2, task_prior=np.eye(3)).fit(X)
    with pytest.raises(vl.ShapeError, match="one row of responses"):
        Minimax(2).fit(X, y=np.ones(7))
    with pytest.raises(vl.ParameterError, match="numbers"):
        Minimax(2).fit(X, y=["a"] * 50)


def test_directions_without_variance_are_no_trouble():
    X, _, _ = game(n=50)
    X[:, 1] = 3
    X[:, 2] = X[:, 3]
    reducer = Minimax(DIM).fit(X)
    assert reducer.regret_ == 0
    assert np.isfinite(reducer.scores(X[:3], reducer.transform(X))).all()
