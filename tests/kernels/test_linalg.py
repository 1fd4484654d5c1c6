# SPDX-License-Identifier: Apache-2.0
"""Whole-matrix products: right against float64, and the same for a row in any company."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom import _core

SHAPES = [(1, 1, 1), (5, 3, 7), (33, 65, 130), (200, 1030, 384), (193, 31, 129)]


@pytest.fixture
def matrices(rng):
    def make(n, m, dim):
        return (
            rng.standard_normal((n, dim)).astype(np.float32),
            rng.standard_normal((m, dim)).astype(np.float32),
        )

    return make


@pytest.mark.parametrize("shape", SHAPES)
def test_matmul_is_within_its_bound_of_float64(matrices, shape):
    A, B = matrices(*shape)
    wide = A.astype(np.float64) @ B.T.astype(np.float64)
    bound = (shape[2] + 2) * 2.0**-24 * (np.abs(A) @ np.abs(B).T)
    assert (np.abs(_core.matmul(A, B) - wide) <= bound).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_multiplies_the_same_alone_and_among_others(matrices, shape):
    A, B = matrices(*shape)
    whole = _core.matmul(A, B, 3)
    assert np.array_equal(_core.matmul(A[:1], B, 1)[0], whole[0])
    assert np.array_equal(_core.matmul(A, B[-1:], 1)[:, 0], whole[:, -1])


def test_matmul_of_nothing_is_empty():
    assert _core.matmul(np.empty((0, 4), np.float32), np.ones((3, 4), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_gram_is_symmetric_and_right(matrices, shape):
    A, _ = matrices(*shape)
    mean = A.mean(axis=0)
    wide = A.astype(np.float64) - mean
    G = _core.gram(A, mean)
    assert np.array_equal(G, G.T)
    np.testing.assert_allclose(G, wide.T @ wide, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(
        _core.gram(A), A.T.astype(np.float64) @ A.astype(np.float64), rtol=1e-5, atol=2e-4
    )


def test_moments_far_from_the_origin_keep_their_digits(rng):
    A = (rng.standard_normal((3000, 20)) + 1000).astype(np.float32)
    wide = A.astype(np.float64)
    mean, G = _core.moments(A)
    np.testing.assert_allclose(mean[0], wide.mean(axis=0), rtol=1e-7)
    wide -= wide.mean(axis=0)
    np.testing.assert_allclose(G, wide.T @ wide, rtol=1e-4, atol=1e-4 * len(A))


def test_many_rows_rounded_at_random_give_unbiased_moments(rng):
    """Whole numbers, whose nearest bfloat16 is always off in the same direction."""
    A = rng.integers(257, 260, (70_000, 8)).astype(np.float32)
    A[:, 0] += 0.7 * A[:, 1]
    wide = A.astype(np.float64)
    G = _core.gram(A)
    scale = np.sqrt(np.outer(np.diag(wide.T @ wide), np.diag(wide.T @ wide)))
    error = np.abs(G - wide.T @ wide) / scale
    assert error.max() < 6 * 2.0**-8 / np.sqrt(len(A))


def test_moments_are_the_same_bits_at_any_number_of_threads(rng):
    A = rng.standard_normal((70_000, 33)).astype(np.float32)
    one, three = _core.moments(A, 1), _core.moments(A, 3)
    assert np.array_equal(one[0], three[0])
    assert np.array_equal(one[1], three[1])


@pytest.mark.parametrize("dim", [1, 2, 3, 8, 24, 100, 384])
def test_hadamard_is_a_rotation_that_the_inverse_undoes(rng, dim):
    A = rng.standard_normal((9, dim)).astype(np.float32)
    signs = np.where(rng.random((4, dim)) < 0.5, -1, 1).astype(np.int8)
    turned = _core.hadamard(A, signs)
    np.testing.assert_allclose(turned @ turned.T, A @ A.T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(_core.hadamard(turned, signs, True), A, rtol=1e-4, atol=1e-5)


def test_one_round_of_hadamard_by_hand():
    x = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
    signs = np.array([[1, 1, 1, -1]], np.int8)
    assert _core.hadamard(x, signs).tolist() == [[1.0, 3.0, 2.0, -4.0]]


def test_rows_of_unequal_length_are_refused():
    from vectorloom import ShapeError

    with pytest.raises(ShapeError, match="entries"):
        _core.matmul(np.ones((2, 3), np.float32), np.ones((2, 4), np.float32))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 5, 16, 4095, 4096, 9998])
def test_one_bad_value_anywhere_is_not_finite(kind, bad, place):
    values = np.ones((3, 3333), kind)
    values[0] = np.finfo(kind).max
    values[1] = np.finfo(kind).smallest_subnormal
    assert _core.all_finite(values)
    values.ravel()[place] = bad
    assert not _core.all_finite(values)


@pytest.mark.parametrize(("dim", "parts"), [(12, 3), (33, 3), (100, 10)])
def test_codes_of_turned_rows_are_nearly_those_of_exact_turns(rng, dim, parts):
    """The products are rounded relative to the distance from the origin that is given."""
    far = 1000 * rng.standard_normal(dim)
    X = (rng.standard_normal((300, dim)) + far).astype(np.float32)
    rotation = np.linalg.qr(rng.standard_normal((dim, dim)))[0].astype(np.float32)
    turned = (X.astype(np.float64) @ rotation.T.astype(np.float64)).astype(np.float32)
    books = np.stack([part[:16] for part in np.split(turned, parts, axis=1)])
    codes = _core.pq_encode(X, books, 1, rotation, far.astype(np.float32))

    def error(codes):
        return ((_core.pq_decode(codes, books) - turned) ** 2).sum()

    assert error(codes) <= 1.001 * error(_core.pq_encode(turned, books))
    assert np.array_equal(codes[7:9], _core.pq_encode(X[7:9], books, 2, rotation, far.astype("f4")))


def test_a_rotation_of_another_size_is_refused(rng):
    X, books = np.ones((4, 6), np.float32), np.ones((2, 16, 3), np.float32)
    square, origin = np.eye(6, dtype=np.float32), np.zeros(6, np.float32)
    for rotation, given in ((square[:5], origin), (square, origin[:5]), (square, None)):
        with pytest.raises(vl.ShapeError):
            _core.pq_encode(X, books, 1, rotation, given)
