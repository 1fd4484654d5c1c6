# SPDX-License-Identifier: Apache-2.0
"""Gradients against finite differences; Givens steps stay rotations and descend."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress.codebook.bottleneck import look_up
from vectorloom.compress.codebook.poeem import (
    Batch,
    Weights,
    disjoint_pairs,
    joint_loss,
    turned_by_givens,
)
from vectorloom.compress.contrastive import cross_entropy
from vectorloom.errors import ParameterError, ShapeError


def rotation(rng: np.random.Generator, dim: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((dim, dim)))[0]


def batch(rng: np.random.Generator) -> Batch:
    targets = rng.random((4, 9))
    targets /= targets.sum(axis=1, keepdims=True)
    return Batch(rng.standard_normal((4, 6)), rng.standard_normal((9, 6)), targets)


def test_gradients_are_those_of_the_straight_through_loss(rng):
    """Finite differences with the codes held and y moving with R x, as the estimator says."""
    given, weights = batch(rng), Weights(0.8, 0.3)
    R, books = rotation(rng, 6), rng.standard_normal((3, 4, 2))
    labels = rng.integers(0, 4, (9, 3))
    loss, got = joint_loss(given, R, books, weights, labels)
    turned = given.rows @ R.T

    def surrogate(R1: np.ndarray, books1: np.ndarray) -> float:
        decoded = look_up(labels, books1)
        now = given.rows @ R1.T
        scores = given.queries @ R1.T @ (decoded + now - turned).T
        gap = now - decoded
        ranking = cross_entropy(scores, given.targets, weights.temperature)[0]
        return ranking + weights.distortion * float((gap**2).sum()) / len(gap)

    assert surrogate(R, books) == pytest.approx(loss)
    for name, array in (("rotation", R), ("codebooks", books)):
        for at in np.ndindex(array.shape):
            keep, sides = array[at], []
            for sign in (1, -1):
                array[at] = keep + sign * 1e-5
                sides.append(surrogate(R, books))
            array[at] = keep
            slope = (sides[0] - sides[1]) / 2e-5
            assert got[name][at] == pytest.approx(slope, rel=1e-4, abs=1e-5)


def test_a_step_in_the_plane_of_two_rows_is_the_one_by_hand():
    # L(R) = -R[0, 1]: turning row 0 of the identity towards the second axis descends.
    gradient = np.array([[0.0, -1.0], [0.0, 0.0]])
    turned = turned_by_givens(np.eye(2), gradient, 0.1)
    np.testing.assert_allclose(
        turned, [[np.cos(0.1), np.sin(0.1)], [-np.sin(0.1), np.cos(0.1)]], atol=1e-12
    )


@pytest.mark.parametrize("dim", [1, 2, 7, 16, 33])
def test_steps_keep_a_rotation_a_rotation(rng, dim):
    R = rotation(rng, dim)
    for _ in range(20):
        R = turned_by_givens(R, rng.standard_normal((dim, dim)), 0.3)
    np.testing.assert_allclose(R @ R.T, np.eye(dim), atol=1e-12)


def test_steps_find_a_planted_rotation(rng):
    """Of the loss |R - P|², whose gradient is 2 (R - P)."""
    planted = rotation(rng, 8)
    planted[0] *= np.linalg.det(planted)
    R = np.eye(8)
    start = float(np.square(R - planted).sum())
    for step in range(400):
        R = turned_by_givens(R, 2 * (R - planted), 0.05 * (1 - step / 400))
    assert_at_most(float(np.square(R - planted).sum()) / start, 0.02, "share of the distance")


def test_pairs_are_disjoint_and_the_steepest_comes_first(rng):
    weights = rng.random((9, 9))
    weights = weights + weights.T
    np.fill_diagonal(weights, 0)
    first, second = disjoint_pairs(weights)
    both = np.concatenate([first, second])
    assert len(np.unique(both)) == len(both) == 8
    assert weights[first[0], second[0]] == weights.max()


def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    X = rng.standard_normal((1500, 16)).astype(np.float32)
    queries = rng.standard_normal((600, 16)) * np.repeat([3.0, 0.3], [4, 12])
    return X, queries[:500].astype(np.float32), queries[500:].astype(np.float32)


def recall(quantizer: vl.compress.Compressor, X: np.ndarray, queries: np.ndarray) -> float:
    truth = np.argsort(-(queries @ X.T), axis=1)[:, :10]
    found = np.argsort(-quantizer.scores(queries, quantizer.transform(X)), axis=1)[:, :10]
    shared = [len(np.intersect1d(a, b)) for a, b in zip(truth, found, strict=True)]
    return float(np.mean(shared)) / 10


def test_recall_rises_above_that_of_opq_at_equal_bytes(rng):
    X, learn, test = data(rng)
    short = {"keep_norms": False, "emphasis": 0.0}
    vq = vl.compress.Poeem(4, 4, n_epochs=8, distortion=0.3, angle=0.02, **short)
    vq.fit(X, queries=learn)
    opq = vl.compress.OPQ(4, 4, **short).fit(X)
    assert vq.bytes_per_vector_ == opq.bytes_per_vector_ == 2
    assert_at_least(recall(vq, X, test) - recall(opq, X, test), 0.02, "gain in recall@10")
    np.testing.assert_allclose(vq.rotation_ @ vq.rotation_.T, np.eye(16), atol=1e-5)


def test_pairs_teach_what_queries_want(rng):
    """Queries want a row by half of its dimensions and are silent about the others."""
    taught, untaught = [], []
    for _ in range(3):
        X = rng.standard_normal((800, 16)).astype(np.float32)
        wanted = rng.integers(0, len(X), 400)
        queries = X[wanted] * np.repeat([1.0, 0.0], [8, 8])
        queries = (queries + 0.1 * rng.standard_normal((400, 16))).astype(np.float32)
        settings = {"n_epochs": 16, "batch_size": 16, "learning_rate": 0.03, "angle": 0.03}
        vq = vl.compress.Poeem(
            4, 4, start="pq", keep_norms=False, n_sampled=200, distortion=0, **settings
        )
        vq.fit(X, wanted[:300], queries=queries[:300])
        for quantizer, ranks in ((vq, taught), (vl.compress.PQ(4, 4).fit(X), untaught)):
            scores = quantizer.scores(queries[300:], quantizer.transform(X))
            own = scores[np.arange(100), wanted[300:]]
            ranks.append(np.log1p((scores > own[:, None]).sum(axis=1)).mean())
    assert_at_most(np.mean(taught), 0.92 * np.mean(untaught), "mean logarithm of the wanted rank")


def test_the_same_seed_gives_the_same_bits(rng):
    X, learn, _ = data(rng)
    prints = {
        vl.compress.Poeem(4, 4, n_epochs=1, n_jobs=jobs).fit(X, queries=learn).fingerprint_
        for jobs in (1, 2)
    }
    assert len(prints) == 1


def test_without_queries_the_remedy_is_named(rng):
    with pytest.raises(ParameterError, match=r"fit\(X, queries=Q\)"):
        vl.compress.Poeem(4).fit(rng.standard_normal((300, 16)).astype(np.float32))


@pytest.mark.parametrize(
    ("settings", "y", "error", "message"),
    [
        ({}, np.arange(49), ShapeError, "one row of X for each of the 50 queries"),
        ({}, np.linspace(0, 1, 50), ShapeError, "as integers"),
        ({}, np.arange(50) + 280, ParameterError, "y names row 329; rows of X are 0 to 299"),
        ({"start": "random"}, None, ParameterError, "start must be one of"),
        ({"angle": -0.1}, None, ParameterError, "angle must be"),
        ({"n_parts": 5}, None, ShapeError, "n_parts must divide"),
    ],
)
def test_what_cannot_be_meant_is_refused(rng, settings, y, error, message):
    X = rng.standard_normal((300, 16)).astype(np.float32)
    with pytest.raises(error, match=message):
        vl.compress.Poeem(**{"n_parts": 4, "bits": 4, **settings}).fit(X, y, queries=X[:50])
