# SPDX-License-Identifier: Apache-2.0
"""ITQ: the published alternation, its laws, and what it must refuse."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress.binary.bits import hamming_distances, pack_signs, unpack_signs
from vectorloom.compress.binary.itq import principal_directions, procrustes_rotation


def clusters(n: int = 1000, dim: int = 32, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, dim))
    X = centres[rng.integers(0, 20, n)] + 0.5 * rng.standard_normal((n, dim))
    return X.astype(np.float32)


def test_bits_are_low_first_and_zero_counts_as_positive():
    values = np.array([[1.0, -1, -1, 1, -1, -1, -1, -1, 0.0, -1]])
    codes = pack_signs(values)
    assert codes.tolist() == [[0b1001, 0b1]]
    assert unpack_signs(codes, 10).tolist() == [[1, -1, -1, 1, -1, -1, -1, -1, 1, -1]]


@pytest.mark.parametrize("n_bits", [1, 7, 8, 15, 17, 65])
def test_hamming_counts_differing_bits(n_bits: int):
    rng = np.random.default_rng(n_bits)
    a, b = rng.standard_normal((5, n_bits)), rng.standard_normal((7, n_bits))
    expected = ((a[:, None, :] >= 0) != (b[None, :, :] >= 0)).sum(axis=2)
    assert np.array_equal(hamming_distances(pack_signs(a), pack_signs(b), n_bits), expected)


def test_corners_of_a_rotated_square_are_told_apart_without_loss():
    # By hand: four points are the corners of a square, turned by 30 degrees. Signs of the right
    # rotation lose nothing; signs of the axes as given would put two corners on one code.
    turn = np.deg2rad(30)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) @ rotation.T
    V = np.repeat(corners, 5, axis=0).astype(np.float32)
    _, losses = procrustes_rotation(V, 30, np.random.default_rng(0))
    # The common factor makes the mean |v| one, which it is not before the rotation is right.
    size = np.abs(V).mean()
    assert losses[-1] == pytest.approx((1 - 1 / size) ** 2, abs=1e-5)
    codes = vl.compress.ITQ(2).fit(V).transform(V)
    assert len(np.unique(np.asarray(codes))) == 4


def test_the_loss_never_rises():
    losses = vl.compress.ITQ(16, n_iter=30).fit(clusters()).losses_
    assert (np.diff(losses) <= 1e-6).all()
    assert losses[-1] < losses[0]


def test_directions_are_those_of_the_covariance():
    X = clusters()
    mean = X.mean(axis=0, dtype=np.float64)
    directions = principal_directions(X, mean, 5)
    vectors = np.linalg.eigh(np.cov(X.T))[1]
    assert np.abs(np.abs(directions @ vectors[:, ::-1][:, :5]) - np.eye(5)).max() < 1e-3


def test_components_are_orthonormal():
    itq = vl.compress.ITQ(12).fit(clusters())
    assert np.abs(itq.components_ @ itq.components_.T - np.eye(12)).max() < 1e-5


def test_more_bits_never_reconstruct_worse():
    X = clusters()
    errors = []
    for n_bits in (4, 8, 16, 32):
        itq = vl.compress.ITQ(n_bits).fit(X)
        errors.append(np.square(itq.inverse_transform(itq.transform(X)) - X).mean())
    assert (np.diff(errors) < 0).all()


def test_the_learned_rotation_beats_signs_of_plain_components():
    X = clusters(dim=16)
    itq = vl.compress.ITQ(16).fit(X)
    plain = vl.compress.ITQ(16).fit(X)
    plain.components_ = principal_directions(X, X.mean(axis=0, dtype=np.float64), 16)
    plain.offset_ = -(plain.components_ @ X.mean(axis=0))
    plain._fit_decoder((plain._values(plain._project(X)), X))
    error = [np.square(c._inverse(c._transform(X)) - X).mean() for c in (itq, plain)]
    assert_at_most(error[0], 0.95 * error[1], "error of ITQ against that of unrotated signs")


def test_float_queries_find_more_than_bits_do():
    X = clusters(2000)
    queries = clusters(2100)[2000:] + 0.01
    truth = np.argsort(-queries @ X.T, axis=1)[:, :10]
    itq = vl.compress.ITQ(32).fit(X)
    codes = itq.transform(X)

    def recall(scores: np.ndarray) -> float:
        found = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        return float(np.mean([np.isin(f, t).mean() for f, t in zip(found, truth, strict=True)]))

    by_bits = recall(-itq.hamming(itq.transform(queries), codes))
    assert_at_least(recall(itq.scores(queries, codes)), by_bits, "recall of float queries")


def test_scores_are_those_of_the_decoded_rows():
    X = clusters(200)
    itq = vl.compress.ITQ(20).fit(X)
    codes = itq.transform(X)
    expected = X[:5] @ itq.inverse_transform(codes).T
    assert np.abs(itq.scores(X[:5], codes) - expected).max() < 1e-4


def test_more_bits_than_dimensions_are_refused_with_what_to_use():
    with pytest.raises(vl.ParameterError, match=r"at most the 32 dimensions.*RaBitQ"):
        vl.compress.ITQ(33).fit(clusters())


def test_bits_of_another_fit_are_refused():
    a, b = vl.compress.ITQ(8).fit(clusters()), vl.compress.ITQ(8).fit(clusters(seed=1))
    with pytest.raises(vl.ParameterError, match="another calibration"):
        a.hamming(a.transform(clusters()), b.transform(clusters()))
