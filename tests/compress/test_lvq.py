# SPDX-License-Identifier: Apache-2.0
"""LVQ: the paper's formula by hand, its error bounds, two levels, factors in two bytes."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom import _core


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(12)


def rows(rng: np.random.Generator, n: int = 300, dim: int = 70) -> np.ndarray:
    X = rng.standard_normal((n, dim)) * rng.lognormal(0, 1, (n, 1)) + rng.standard_normal(dim)
    return X.astype(np.float32)


def errors(lvq: vl.compress.LVQ, X: np.ndarray) -> np.ndarray:
    return X.astype(np.float64) - lvq.inverse_transform(lvq.transform(X))


def test_two_levels_by_hand():
    # Mean zero by symmetry; entries 0..15 and their negatives: a = 1, b = 0 or -15, nothing lost.
    X = np.stack([np.arange(16), -np.arange(16)]).astype(np.float32)
    lvq = vl.compress.LVQ(4, residual_bits=4).fit(X)
    codes = np.asarray(lvq.transform(X))
    assert codes.shape == (2, 8 + 4 + 8)
    # Sixteen elements: byte j has element j below and 8 + j above.
    assert codes[0, :8].tolist() == [j | (8 + j) << 4 for j in range(8)]
    assert (codes[:, :8] == 0xFF - codes[::-1, :8]).all()
    factors = codes[:, 8:12].copy().view(np.float16).astype(np.float32) * lvq.unit_
    assert factors.tolist() == [[1, 0], [1, -15]]
    # The rest is zero: the middle of the second level, 7.5, rounds to the even 8.
    assert (codes[:, 12:] == 0x88).all()
    decoded = lvq.inverse_transform(codes=lvq.transform(X))
    np.testing.assert_allclose(decoded, X + (8 / 15 - 0.5), atol=1e-6)


@pytest.mark.parametrize(("bits", "residual_bits"), [(4, 4), (4, 8), (8, 8), (3, 5)])
def test_two_levels_err_by_half_a_fine_step_at_most(
    bits: int, residual_bits: int, rng: np.random.Generator
):
    X = rows(rng)
    lvq = vl.compress.LVQ(bits, residual_bits=residual_bits).fit(X)
    centred = X - lvq.mean_
    spread = np.ptp(centred, axis=1, keepdims=True)
    # float16 factors: the range may begin and end 2^-11 of its edges further out.
    wide = spread + 2**-10 * np.abs(centred).max(axis=1, keepdims=True)
    step = wide / (2**bits - 1) * 1.002 / (2**residual_bits - 1)
    slack = 2**-10 * np.abs(centred).max(axis=1, keepdims=True) / (2**bits - 1)
    assert (np.abs(errors(lvq, X)) <= 0.5 * step + slack + 1e-5).all()


def test_least_squares_beats_the_range_of_the_row(rng: np.random.Generator):
    X = rows(rng)
    for bits, share in ((1, 0.3), (2, 0.6), (3, 0.95), (4, 1.0)):
        centred = X - X.mean(axis=0)
        low, high = centred.min(axis=1, keepdims=True), centred.max(axis=1, keepdims=True)
        step = (high - low) / (2**bits - 1)
        plain = ((centred - low - step * np.rint((centred - low) / step)) ** 2).sum()
        assert (errors(vl.compress.LVQ(bits).fit(X), X) ** 2).sum() < share * plain


def test_more_bits_never_lose_more(rng: np.random.Generator):
    X = rows(rng)
    lost = [(errors(vl.compress.LVQ(b).fit(X), X) ** 2).sum() for b in range(1, 9)]
    assert lost == sorted(lost, reverse=True)


@pytest.mark.parametrize("setting", [(1, None), (4, None), (6, None), (8, None), (4, 8), (2, 3)])
def test_scores_are_those_of_the_decoded_rows(
    setting: tuple[int, int | None], rng: np.random.Generator
):
    X, Q = rows(rng), rows(rng, 4)
    lvq = vl.compress.LVQ(setting[0], residual_bits=setting[1]).fit(X)
    codes = lvq.transform(X)
    decoded = lvq.inverse_transform(codes).astype(np.float64)
    fine = setting[0] > 4 or setting[1] is not None
    step = np.abs(Q).max(axis=1, keepdims=True) / (16319 if fine else 127)
    bound = step / 2 * np.abs(decoded - lvq.mean_).sum(axis=1)  # |a| |l - middle| <= about that
    bound = 1.5 * bound + 1e-4 * np.linalg.norm(Q, axis=1)[:, None]
    exact = Q.astype(np.float64) @ decoded.T
    assert (np.abs(lvq.scores(Q, codes) - exact) <= bound).all()
    squared = ((Q[:, None, :].astype(np.float64) - decoded) ** 2).sum(axis=2)
    assert (np.abs(lvq.scores(Q, codes, "l2") + squared) <= 2 * bound + 1e-4 * squared).all()


def test_the_first_level_alone_is_a_coarser_score(rng: np.random.Generator):
    X, Q = rows(rng), rows(rng, 6)
    lvq = vl.compress.LVQ(4, residual_bits=8).fit(X)
    codes = lvq.transform(X)
    exact = Q @ X.T
    first, both = lvq.first_level_scores(Q, codes), lvq.scores(Q, codes)
    assert np.abs(both - exact).mean() < 0.02 * np.abs(first - exact).mean()
    assert np.corrcoef(first.ravel(), exact.ravel())[0, 1] > 0.99


def test_listed_rows_score_as_all_rows_do(rng: np.random.Generator):
    X, Q = rows(rng), rows(rng, 1)
    lvq = vl.compress.LVQ(4, residual_bits=8).fit(X)
    codes = np.asarray(lvq.transform(X))
    picked = rng.integers(0, len(X), 200)
    codec = lvq._codec()
    for first_only in (False, True):
        every = codec.scores(Q, codes, "ip", first_only)[0]
        np.testing.assert_array_equal(
            codec.score_rows(Q[0], codes, picked, first_only), every[picked]
        )


def test_rows_of_very_different_sizes_keep_their_precision(rng: np.random.Generator):
    X = rows(rng) - rows(rng).mean(axis=0)
    X[:100] *= 1e-4
    X[100:200] *= 1e4
    lvq = vl.compress.LVQ(8).fit(X - X.mean(axis=0))
    shifted = X - X.mean(axis=0)
    relative = np.linalg.norm(errors(lvq, shifted), axis=1) / np.linalg.norm(shifted, axis=1)
    assert (relative < 0.02).all()


def test_constant_rows_dimensions_and_single_rows(rng: np.random.Generator):
    X = rows(rng, 40, 8)
    X[:, 2] = 3
    X[5] = X.mean(axis=0) + 0.5
    for residual_bits in (None, 8):
        lvq = vl.compress.LVQ(4, residual_bits=residual_bits).fit(X)
        assert np.isfinite(lvq.inverse_transform(lvq.transform(X))).all()
        flat = np.tile(lvq.mean_ + np.float32(0.5), (2, 1))
        np.testing.assert_allclose(
            lvq.inverse_transform(lvq.transform(flat)), flat, atol=1e-3 * np.abs(flat).max()
        )
    one = vl.compress.LVQ(4).fit(X[:1])
    np.testing.assert_allclose(one.inverse_transform(one.transform(X[:1])), X[:1], atol=1e-6)


def test_codes_are_the_same_bits_at_every_level_and_thread_count(rng: np.random.Generator):
    X = rows(rng, 1200, 83)
    before = _core.simd_level()
    for setting in ((1, None), (4, None), (5, None), (4, 8), (7, 3)):
        lvq = vl.compress.LVQ(setting[0], residual_bits=setting[1], n_jobs=1).fit(X)
        codes = lvq.transform(X)
        for jobs in (2, 3):
            assert np.array_equal(lvq.set_params(n_jobs=jobs).transform(X), codes)
        try:
            for level in _core.simd_levels():
                _core.set_simd_level(level)
                assert np.array_equal(lvq.transform(X), codes)
        finally:
            _core.set_simd_level(before)


def test_bad_parameters_are_refused():
    X = np.ones((4, 3), np.float32)
    with pytest.raises(vl.ParameterError, match="1 to 8 bits"):
        vl.compress.LVQ(12).fit(X)
    with pytest.raises(vl.ParameterError, match="residual_bits"):
        vl.compress.LVQ(4, residual_bits=9).fit(X)
