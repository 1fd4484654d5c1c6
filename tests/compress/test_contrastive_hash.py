# SPDX-License-Identifier: Apache-2.0
"""ContrastiveHash: which pairs pull, the gradient, labels found by code."""

from __future__ import annotations

import numpy as np
import pytest
from tests.gradients import assert_gradients
from tests.laws import assert_at_least

import vectorloom as vl
from vectorloom.compress.binary.contrastive_hash import (
    encode_labels,
    hashing_loss,
    select_pairs,
    starting_params,
)


def noisy(n: int = 900, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels told by 3 dimensions of 24; the others are noise of larger size."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, n)
    X = 2.0 * rng.standard_normal((n, 24))
    X[:, :3] = 1.5 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])[y]
    X[:, :3] += 0.5 * rng.standard_normal((n, 3))
    return X.astype(np.float32), y


def test_only_the_nearest_friends_pull_and_other_friends_take_no_part():
    labels = np.array([0, 0, 0, 1])
    similar = np.array([[1, 0.9, 0.2, 0.5], [0.9, 1, 0.3, 0], [0.2, 0.3, 1, 0], [0.5, 0, 0, 1]])
    positives, left_out = select_pairs(similar, labels, 1)
    assert positives.tolist() == [
        [False, True, False, False],
        [True, False, False, False],
        [False, True, False, False],
        [False, False, False, False],
    ]
    assert left_out[0].tolist() == [True, False, True, False]
    everyone, only_itself = select_pairs(similar, labels, 0)
    assert everyone[0].tolist() == [False, True, True, False]
    assert np.array_equal(only_itself, np.eye(4, dtype=bool))


@pytest.mark.parametrize("n_hidden", [0, 5])
def test_gradient_is_the_numerical_one(n_hidden: int):
    rng = np.random.default_rng(0)
    start = starting_params(4, 3, n_hidden, rng)
    params = {name: array.astype(np.float64) for name, array in start.items()}
    params["c"] += rng.standard_normal(3)  # else a row without active hidden units is zero
    X, labels = rng.standard_normal((8, 4)), np.array([0, 0, 0, 1, 1, 1, 2, 3])
    _, grads = hashing_loss(params, X, labels, 2, 0.5)
    assert_gradients(lambda: hashing_loss(params, X, labels, 2, 0.5)[0], params, grads)


def test_the_loss_by_its_definition():
    rng = np.random.default_rng(3)
    params = {"W": rng.standard_normal((3, 4)), "c": np.zeros(3)}
    X, labels = rng.standard_normal((6, 4)), np.array([0, 0, 1, 1, 0, 2])
    h = np.tanh(X @ params["W"].T)
    unit = h / np.linalg.norm(h, axis=1, keepdims=True)
    total = 0.0
    for i in range(6):
        friends = [j for j in range(6) if j != i and labels[j] == labels[i]]
        among = [j for j in range(6) if j != i]
        bottom = sum(np.exp(unit[i] @ unit[j] / 0.5) for j in among)
        for j in friends:
            total -= np.log(np.exp(unit[i] @ unit[j] / 0.5) / bottom) / len(friends)
    assert hashing_loss(params, X, labels, 0, 0.5)[0] == pytest.approx(total / 6)


def test_codes_find_labels_that_distances_do_not():
    X, y = noisy()
    Q, z = noisy(300, seed=1)
    model = vl.compress.ContrastiveHash(16, n_hidden=64, n_epochs=20).fit(X, y)
    by_code = float(np.mean(model.predict_labels(Q) == z))
    distances = np.square(Q).sum(axis=1)[:, None] - 2 * Q @ X.T + np.square(X).sum(axis=1)
    nearest = np.argsort(distances, axis=1)[:, :10]
    votes = np.array([np.bincount(y[row]).argmax() for row in nearest])
    dense = float(np.mean(votes == z))
    assert_at_least(by_code, 0.9, "accuracy by codes of 2 bytes")
    assert_at_least(by_code, dense + 0.02, "accuracy by codes, against dense neighbours")


def test_labels_may_be_text_and_come_back_as_they_were(tmp_path):
    X, y = noisy(200)
    names = np.array(["ash", "birch", "cedar", "dogwood"])[y]
    model = vl.compress.ContrastiveHash(8, n_hidden=0).fit(X, names)
    found = model.predict_labels(X[:20])
    assert set(found.tolist()) <= set(names.tolist())
    model.save(tmp_path / "m.vloom")
    assert np.array_equal(vl.open(tmp_path / "m.vloom").predict_labels(X[:20]), found)


def test_equal_votes_go_to_the_first_label_and_k_may_exceed_the_rows():
    X = np.array([[1.0, 0], [1, 0.1], [-1, 0], [-1, 0.1]], np.float32)
    model = vl.compress.ContrastiveHash(8, n_hidden=0).fit(X, [5, 5, 3, 3])
    assert model.classes_ == [3, 5]
    assert model.predict_labels(X, k=100).tolist() == [3, 3, 3, 3]
    assert model.predict_labels(X, k=2).tolist() == [5, 5, 3, 3]


def test_training_lowers_the_loss():
    losses = vl.compress.ContrastiveHash(8, n_hidden=16, n_epochs=5).fit(*noisy()).losses_
    assert losses[-1] < losses[0]


def test_labels_that_cannot_be_meant_are_refused():
    X, y = noisy(50)
    with pytest.raises(vl.ParameterError, match=r"call fit\(X, y\)"):
        vl.compress.ContrastiveHash(8).fit(X)
    with pytest.raises(vl.ShapeError, match="one label a row"):
        vl.compress.ContrastiveHash(8).fit(X, y[:-1])
    with pytest.raises(vl.ParameterError, match="whole number or text"):
        vl.compress.ContrastiveHash(8).fit(X, np.linspace(0, 1, 50))
    with pytest.raises(vl.ParameterError, match="shape"):
        encode_labels(np.zeros((3, 2), int))
