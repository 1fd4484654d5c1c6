# SPDX-License-Identifier: Apache-2.0
"""Nearest codewords at every CPU level, through encoding and training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from vectorloom import _core


@pytest.fixture
def at_level(level: str) -> Iterator[str]:
    """Run the test at one level of this host and go back to the best afterwards."""
    before = _core.simd_level()
    _core.set_simd_level(level)
    yield level
    _core.set_simd_level(before)


def brute_force(X: np.ndarray, books: np.ndarray) -> np.ndarray:
    """Squared distances (n, n_parts, n_codewords) in float64."""
    n_parts, _, width = books.shape
    parts = X.reshape(len(X), n_parts, 1, width).astype(np.float64)
    return ((parts - books[None]) ** 2).sum(axis=-1)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 7, 8, 16, 31, 33])
@pytest.mark.parametrize("bits", [1, 2, 4, 5, 8])
def test_encoding_finds_the_nearest_codeword(at_level: str, width: int, bits: int):
    rng = np.random.default_rng(width * 10 + bits)
    books = rng.standard_normal((3, 1 << bits, width)).astype(np.float32)
    X = rng.standard_normal((97, 3 * width)).astype(np.float32)
    decoded = _core.pq_decode(_core.pq_encode(X, books, 1), books, 1)
    distances = brute_force(X, books)
    got = ((X - decoded).reshape(97, 3, width).astype(np.float64) ** 2).sum(axis=-1)
    assert np.allclose(got, distances.min(axis=-1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 31, 32, 33, 63, 64, 65])
def test_every_number_of_rows_is_encoded_alike(at_level: str, n: int):
    rng = np.random.default_rng(n)
    books = rng.standard_normal((4, 256, 5)).astype(np.float32)
    X = rng.standard_normal((65, 20)).astype(np.float32)
    assert np.array_equal(_core.pq_encode(X[:n], books, 1), _core.pq_encode(X, books, 1)[:n])


@pytest.mark.parametrize("n_codewords", [16, 64, 256])
def test_among_equal_codewords_the_lowest_number_wins(at_level: str, n_codewords: int):
    books = np.zeros((1, n_codewords, 4), np.float32)
    books[0, n_codewords // 2 :] = 1.0
    X = np.array([[0.1, 0, 0, 0], [0.9, 1, 1, 1]], np.float32)
    bits = (n_codewords - 1).bit_length()
    codes = _core.pq_encode(X, books, 1).astype(int)
    low = codes[:, 0] & ((1 << bits) - 1)
    assert low.tolist() == [0, n_codewords // 2]


def test_data_far_from_the_origin_keeps_its_digits(at_level: str):
    rng = np.random.default_rng(3)
    X = (rng.integers(0, 50, (500, 8)) + 100_000).astype(np.float32)
    books = _core.pq_train(X, 2, 256, 10, 0, 0, 1)
    decoded = _core.pq_decode(_core.pq_encode(X, books, 1), books, 1)
    got = ((X - decoded).reshape(500, 2, 4).astype(np.float64) ** 2).sum(axis=-1)
    assert np.allclose(got, brute_force(X, books).min(axis=-1), rtol=1e-3, atol=0.05)


def test_values_that_overflow_name_some_codeword(at_level: str):
    books = np.full((1, 256, 4), 1e30, np.float32)
    books[0, ::2] = -1e30
    codes = _core.pq_encode(np.full((5, 4), 3e38, np.float32), books, 1)
    assert codes.shape == (5, 1)


def test_levels_train_to_the_same_error():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 12)).astype(np.float32)
    errors = []
    before = _core.simd_level()
    for level in _core.simd_levels():
        _core.set_simd_level(level)
        books = _core.pq_train(X, 3, 32, 15, 1, 0, 1)
        decoded = _core.pq_decode(_core.pq_encode(X, books, 1), books, 1)
        errors.append(float(((X - decoded) ** 2).mean()))
    _core.set_simd_level(before)
    assert max(errors) < 1.02 * min(errors)
