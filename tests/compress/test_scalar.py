# SPDX-License-Identifier: Apache-2.0
"""Scalar codes: rulers worked by hand, error bounds, scores against decoded rows."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom import _core


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def correlated(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    mixing = rng.standard_normal((dim, dim)) / np.sqrt(dim)
    return (rng.standard_normal((n, dim)) @ mixing + 0.2).astype(np.float32)


def squared_error(compressor: vl.compress.Compressor, X: np.ndarray) -> float:
    rest = X - compressor.inverse_transform(compressor.transform(X))
    return float((rest.astype(np.float64) ** 2).sum())


def test_codes_by_hand():
    X = np.array([[0.0, 10.0], [15.0, 40.0], [7.4, 12.1], [3.0, 33.9]], np.float32)
    scalar = vl.compress.Scalar(bits=4, range="minmax").fit(X)
    assert scalar.low_.tolist() == [0, 10]
    assert scalar.step_.tolist() == [1, 2]
    # One byte a row: the first dimension below, the second above.
    assert np.asarray(scalar.transform(X)).tolist() == [[0x00], [0xFF], [0x17], [0xC3]]
    decoded = scalar.inverse_transform(scalar.transform(X))
    assert decoded.tolist() == [[0, 10], [15, 40], [7, 12], [3, 34]]


@pytest.mark.parametrize("bits", range(1, 9))
def test_minmax_errs_by_half_a_step_at_most(bits: int, rng: np.random.Generator):
    X = correlated(rng, 200, 37)
    scalar = vl.compress.Scalar(bits, range="minmax").fit(X)
    error = np.abs(scalar.inverse_transform(scalar.transform(X)) - X)
    assert (error <= 0.5001 * scalar.step_ + 1e-6).all()


def test_more_bits_never_lose_more(rng: np.random.Generator):
    X = correlated(rng, 500, 48)
    for choice in ("mse", "minmax", "quantile"):
        errors = [squared_error(vl.compress.Scalar(b, range=choice).fit(X), X) for b in range(1, 9)]
        assert errors == sorted(errors, reverse=True)


def test_the_fitted_range_never_loses_more_than_the_full_one(rng: np.random.Generator):
    X = correlated(rng, 500, 24) ** 3  # heavy tails
    for bits in (1, 2, 4, 8):
        fitted = squared_error(vl.compress.Scalar(bits).fit(X), X)
        full = squared_error(vl.compress.Scalar(bits, range="minmax").fit(X), X)
        assert fitted <= 1.0001 * full
    assert squared_error(vl.compress.Scalar(4).fit(X), X) < 0.5 * squared_error(
        vl.compress.Scalar(4, range="minmax").fit(X), X
    )


def test_the_fitted_range_of_a_normal_dimension_has_the_step_of_the_table(
    rng: np.random.Generator,
):
    X = rng.standard_normal((20000, 1)).astype(np.float32)
    assert float(vl.compress.Scalar(4).fit(X).step_[0]) == pytest.approx(0.3352, rel=0.03)
    assert float(vl.compress.Scalar(2).fit(X).step_[0]) == pytest.approx(0.9957, rel=0.03)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_scores_are_those_of_the_decoded_rows_within_the_bound(
    bits: int, metric: str, rng: np.random.Generator
):
    X = correlated(rng, 131, 75)
    Q = correlated(rng, 5, 75)
    scalar = vl.compress.Scalar(bits).fit(X)
    codes = scalar.transform(X)
    decoded = scalar.inverse_transform(codes).astype(np.float64)
    if metric == "cosine":
        Q = Q / np.linalg.norm(Q, axis=1, keepdims=True)
    scaled = np.abs(Q * scalar.step_)
    step = scaled.max(axis=1) / (127 if bits <= 4 else 16319)
    levels = np.where(scalar.step_ > 0, (decoded - scalar.low_) / scalar.step_, 0)
    bound = step[:, None] / 2 * np.abs(levels - (2**bits - 1) / 2).sum(axis=1)
    bound = bound + 1e-5 * (np.abs(Q) @ np.abs(decoded).T.astype(np.float64) + 1)
    exact = Q.astype(np.float64) @ decoded.T
    norms = (decoded**2).sum(axis=1)
    if metric == "l2":
        exact = 2 * exact - norms - (Q.astype(np.float64) ** 2).sum(axis=1)[:, None]
        bound = 2 * bound + 1e-5 * norms
    if metric == "cosine":
        exact, bound = exact / np.sqrt(norms), bound / np.sqrt(norms)
    assert (np.abs(scalar.scores(Q, codes, metric) - exact) <= bound).all()


def test_codes_and_scores_are_the_same_bits_at_every_level_and_thread_count(
    rng: np.random.Generator,
):
    X, Q = correlated(rng, 2500, 67), correlated(rng, 3, 67)
    before = _core.simd_level()
    for bits in (1, 3, 6, 8):
        scalar = vl.compress.Scalar(bits, n_jobs=1).fit(X)
        codes = scalar.transform(X)
        scores = scalar.scores(Q, codes)
        for jobs in (2, 3):
            scalar.set_params(n_jobs=jobs)
            assert np.array_equal(scalar.transform(X), codes)
            assert np.array_equal(scalar.scores(Q, codes), scores)
        try:
            for level in _core.simd_levels():
                _core.set_simd_level(level)
                assert np.array_equal(scalar.transform(X), codes)
                assert np.array_equal(scalar.scores(Q, codes), scores)
        finally:
            _core.set_simd_level(before)


def test_constant_dimensions_single_rows_and_extreme_sizes_are_no_trouble(
    rng: np.random.Generator,
):
    X = correlated(rng, 64, 9)
    X[:, 3] = 7.25
    X[:, 4] *= 1e-33
    X[:, 5] *= 1e30
    for bits in (1, 4, 8):
        scalar = vl.compress.Scalar(bits).fit(X)
        decoded = scalar.inverse_transform(scalar.transform(X))
        assert np.isfinite(decoded).all()
        assert (decoded[:, 3] == 7.25).all()
        one = vl.compress.Scalar(bits).fit(X[:1])
        assert np.array_equal(one.inverse_transform(one.transform(X[:1])), X[:1])


def test_rows_beyond_the_range_are_clipped():
    X = np.array([[0.0], [1.0]], np.float32)
    scalar = vl.compress.Scalar(2, range="minmax").fit(X)
    far = np.array([[-100.0], [1e30]], np.float32)
    assert scalar.inverse_transform(scalar.transform(far))[:, 0].tolist() == [0, 1]


def test_bad_parameters_are_refused_with_the_remedy():
    X = np.ones((4, 3), np.float32)
    with pytest.raises(vl.ParameterError, match="1 to 8 bits"):
        vl.compress.Scalar(9).fit(X)
    with pytest.raises(vl.ParameterError, match="bits"):
        vl.compress.Scalar(0).fit(X)
    with pytest.raises(vl.ParameterError, match="range"):
        vl.compress.Scalar(4, range="best").fit(X)
    with pytest.raises(vl.ParameterError, match="quantile"):
        vl.compress.Scalar(4, range="quantile", quantile=1.5).fit(X)
    with pytest.raises(vl.VectorloomError, match="65536"):
        vl.compress.Scalar(8, range="minmax").fit(np.ones((1, 65_537), np.float32))
