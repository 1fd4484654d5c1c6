# SPDX-License-Identifier: Apache-2.0
"""Residual quantization: sums of codewords, the beam and the joint refit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.compress.test_pq import error, planted
from tests.laws import assert_at_most

import vectorloom as vl
from vectorloom import _core
from vectorloom.compress import ResidualQuantizer
from vectorloom.compress.codebook.packing import pack_codes, unpack_codes

PLAIN = {"emphasis": 0.0, "keep_norms": False}


def squared(X: np.ndarray, codes: np.ndarray, books: np.ndarray) -> np.ndarray:
    return ((X - _core.additive_decode(codes, books, 1)) ** 2).sum(axis=1)


def test_a_case_worked_by_hand():
    books = np.array([[[0, 0], [10, 0]], [[0, 0], [0, 1]]], np.float32)
    X = np.array([[10, 1], [0, 1], [10, 0], [0.4, 0.6]], np.float32)
    codes = _core.additive_encode(X, books, 2, 0, 1)
    assert codes.tolist() == [[1, 1], [0, 1], [1, 0], [0, 1]]
    assert _core.additive_decode(codes, books, 1)[0].tolist() == [10, 1]


def test_a_wide_beam_finds_the_best_of_all_sums():
    rng = np.random.default_rng(0)
    books = rng.standard_normal((3, 4, 6)).astype(np.float32)
    X = rng.standard_normal((50, 6)).astype(np.float32)
    codes = _core.additive_encode(X, books, 16, 0, 1)
    every = np.array(list(itertools.product(range(4), repeat=3)))
    sums = sum(books[m][every[:, m]] for m in range(3))
    best = ((X[:, None] - sums[None]) ** 2).sum(-1).min(axis=1)
    assert np.allclose(squared(X, codes, books), best, rtol=0.02, atol=0.02)  # bfloat16 products


def test_a_wider_beam_and_sweeps_lower_the_error():
    X = planted(1500)
    books = _core.additive_train(X, 4, 32, 2, 5, 1, 1)
    errors = [
        squared(X, _core.additive_encode(X, books, beam, sweeps, 1), books).mean()
        for beam, sweeps in ((1, 0), (4, 0), (16, 0))
    ]
    assert errors[0] > errors[1] > errors[2]
    swept = squared(X, _core.additive_encode(X, books, 1, 2, 1), books).mean()
    assert swept < errors[0]


def test_the_refit_reaches_the_least_squares_codebooks():
    rng = np.random.default_rng(1)
    X = planted(800, 16)
    codes = rng.integers(0, 4, (800, 3)).astype(np.uint8)
    chosen = np.concatenate([np.eye(4)[codes[:, m]] for m in range(3)], axis=1)
    solution = np.linalg.lstsq(chosen, X.astype(np.float64), rcond=None)[0]
    best = ((X - chosen @ solution) ** 2).sum()
    books = _core.additive_refit(X, codes, np.zeros((3, 4, 16), np.float32), 30, 1)
    assert_at_most(float(squared(X, codes, books).sum() / best), 1.0001, "error of the refit")


def test_rounds_of_refitting_lower_the_error():
    X = planted(4000)
    first = error(ResidualQuantizer(4, bits=5, n_splits=1, n_rounds=0, **PLAIN).fit(X), X)
    last = error(ResidualQuantizer(4, bits=5, n_splits=1, n_rounds=4, **PLAIN).fit(X), X)
    assert_at_most(last / first, 0.99, "error after refitting")  # learning refits too


def test_the_error_is_below_that_of_faiss():
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(1)
    X = planted(4096, 24)
    peer = faiss.ResidualQuantizer(24, 4, 6)
    peer.train(X)
    theirs = float(((peer.decode(peer.compute_codes(X)) - X) ** 2).sum(1).mean())
    ours = error(ResidualQuantizer(4, bits=6, n_splits=1, beam=8, **PLAIN).fit(X), X)
    assert_at_most(ours / theirs, 1.02, "error relative to faiss")


def test_the_error_falls_with_bytes():
    X = planted(2000)
    errors = [
        error(ResidualQuantizer(n, bits=5, n_splits=2, **PLAIN).fit(X), X) for n in (2, 4, 6, 8)
    ]
    assert all(b < a for a, b in itertools.pairwise(errors))


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("bits", [3, 4, 8])
def test_scores_are_those_of_decoded_rows(metric: str, bits: int):
    X = planted(600)
    quantizer = ResidualQuantizer(4, bits=bits, n_splits=2, n_rounds=1).fit(X)
    codes = quantizer.transform(X[:200])
    decoded = quantizer.inverse_transform(codes)
    expected = vl.compress.compressor.dense_scores(X[:5], decoded, metric)
    assert np.allclose(quantizer.scores(X[:5], codes, metric), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bits", range(1, 9))
def test_packed_codes_unpack(bits: int):
    numbers = np.random.default_rng(bits).integers(0, 1 << bits, (9, 5)).astype(np.uint8)
    packed = pack_codes(numbers, bits)
    assert packed.shape == (9, (5 * bits + 7) // 8)
    assert np.array_equal(unpack_codes(packed, 5, bits), numbers)


def test_the_same_bits_at_any_number_of_threads():
    X = planted(1500)
    codes = [
        np.asarray(ResidualQuantizer(4, bits=5, n_jobs=jobs).fit_transform(X)) for jobs in (1, 2, 3)
    ]
    assert np.array_equal(codes[0], codes[1])
    assert np.array_equal(codes[0], codes[2])


def test_splits_must_divide():
    with pytest.raises(vl.ParameterError, match=r"got 5\. Take one of 1, 2, 4"):
        ResidualQuantizer(4, bits=4, n_splits=5).fit(planted(300))


def test_fewer_rows_than_codewords_warn():
    X = planted(40, 8)
    with pytest.warns(UserWarning, match="cannot fill 256"):
        quantizer = ResidualQuantizer(2, keep_norms=False).fit(X)
    assert error(quantizer, X) < 1e-3


def test_nan_is_refused():
    X = planted(300)
    X[0, 0] = np.nan
    with pytest.raises(vl.ParameterError, match="NaN"):
        ResidualQuantizer(2, bits=4).fit(X)
