# SPDX-License-Identifier: Apache-2.0
"""TLDR."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress import PCA, TLDR
from vectorloom.compress.reduce import tldr

FAST = {"n_hidden": 64, "n_outputs": 64, "n_steps": 60, "batch_size": 256, "learning_rate": 1e-2}


def twins(n: int = 900, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors of 30 groups, and the groups: a few loud directions say nothing of them."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 30, n)
    signal = rng.standard_normal((30, 12))[groups] + 0.3 * rng.standard_normal((n, 12))
    loud = 1.6 * rng.standard_normal((n, 4))
    mix = np.linalg.qr(rng.standard_normal((16, 16)))[0]
    return (np.hstack([signal, loud]) @ mix).astype(np.float32), groups


def same_group(reducer: object, X: np.ndarray, groups: np.ndarray) -> float:
    scores = reducer.scores(X[:300], reducer.transform(X), "cosine")
    scores[np.arange(300), np.arange(300)] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :10]
    return float((groups[best] == groups[:300, None]).mean())


def test_gradients_agree_with_differences():
    rng = np.random.default_rng(1)
    params = {
        "encoder": rng.standard_normal((5, 3)),
        "hidden": rng.standard_normal((3, 7)),
        "output": rng.standard_normal((7, 4)),
    }
    first = rng.standard_normal((20, 5))
    second = first + 0.5 * rng.standard_normal((20, 5))
    _, gradients = tldr.twin_loss(params, first, second, 0.1)
    for name, place in (
        ("encoder", (0, 1)),
        ("encoder", (4, 2)),
        ("hidden", (1, 5)),
        ("output", (3, 0)),
    ):
        losses = []
        for step in (1e-6, -1e-6):
            moved = {key: value.copy() for key, value in params.items()}
            moved[name][place] += step
            losses.append(tldr.twin_loss(moved, first, second, 0.1)[0])
        assert gradients[name][place] == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4)


def test_the_loss_worked_by_hand():
    # c = [[1, 0], [0, -1]]: nothing off the diagonal, (1 - 1)² + (1 + 1)².
    a = np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    loss, by_a, by_b = tldr.barlow(a, a * [1, -1], 0.5)
    assert loss == pytest.approx(4)
    assert by_a[0, 1] == pytest.approx(2 * (-1 - 1) / 4 * -1)
    assert by_b[0, 1] == pytest.approx(2 * (-1 - 1) / 4)
    # Two outputs that tell the same are redundant: c is all ones.
    loss, _, _ = tldr.barlow(a[:, [0, 0]], a[:, [0, 0]], 0.5)
    assert loss == pytest.approx(0.5 * 2)


def test_the_neighbours_are_the_nearest():
    X, _ = twins(200)
    distances = ((X[:, None] - X[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    assert np.array_equal(np.sort(tldr.neighbours(X, 3)), np.sort(distances.argsort(axis=1)[:, :3]))


def test_training_lowers_the_loss():
    X, _ = twins()
    history = TLDR(6, **FAST).fit(X).loss_history_
    assert_at_most(history[-10:].mean(), 0.8 * history[:3].mean(), "loss after training")


def test_where_loud_directions_hide_the_groups_it_finds_more_than_pca():
    # The published claim, planted: PCA spends its dimensions on what varies most.
    X, groups = twins()
    ours = same_group(TLDR(6, power=0.5, **FAST).fit(X), X, groups)
    assert_at_least(ours, same_group(PCA(6).fit(X), X, groups) + 0.1, "share of the same group")


def test_training_adds_to_where_it_starts():
    X, groups = twins()
    start = TLDR(6, **{**FAST, "n_steps": 1, "learning_rate": 1e-12}).fit(X)
    trained = TLDR(6, **FAST).fit(X)
    assert same_group(trained, X, groups) > same_group(start, X, groups)


def test_many_rows_are_sampled():
    X, groups = twins()
    reducer = TLDR(6, max_rows=300, **FAST).fit(X)
    assert reducer.transform(X).shape == (900, 6)
    assert_at_least(same_group(reducer, X, groups), 0.3, "share of the same group")


def test_another_seed_gives_another_map_of_about_the_same_worth():
    X, groups = twins()
    one, other = (TLDR(6, random_state=seed, **FAST).fit(X) for seed in (0, 1))
    assert not np.array_equal(one.components_, other.components_)
    assert abs(same_group(one, X, groups) - same_group(other, X, groups)) < 0.1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components"),
        ({"n_components": 17}, "at most the dimension 16"),
        ({"n_components": 4, "n_neighbors": 0}, "n_neighbors"),
        ({"n_components": 4, "n_hidden": 0}, "n_hidden"),
        ({"n_components": 4, "batch_size": 1}, "batch_size"),
        ({"n_components": 4, "redundancy": -1.0}, "redundancy"),
        ({"n_components": 4, "power": 2.0}, "power"),
        ({"n_components": 4, "learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(vl.ParameterError, match=message):
        TLDR(**parameters).fit(twins(50)[0])


def test_two_rows_are_too_few():
    with pytest.raises(vl.ParameterError, match="3 rows"):
        TLDR(2).fit(twins()[0][:2])


def test_equal_rows_and_constant_dimensions_are_no_trouble():
    X, _ = twins(60)
    X[:, 1] = 2
    X[:20] = X[0]
    reducer = TLDR(4, **{**FAST, "n_steps": 10}).fit(X)
    assert np.isfinite(reducer.components_).all()
