# SPDX-License-Identifier: Apache-2.0
"""NonUniform: optimal levels by hand, packing of every width, outliers, Q-norm."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.laws import assert_at_most

import vectorloom as vl
from vectorloom import _core
from vectorloom.compress.quantize.nonuniform import lloyd


def heavy(n: int = 2000, dim: int = 24, seed: int = 0) -> np.ndarray:
    """Laplace values, of unequal scale and place in each dimension."""
    rng = np.random.default_rng(seed)
    X = rng.laplace(size=(n, dim)) * np.logspace(-2, 2, dim) + np.linspace(-5, 5, dim)
    return X.astype(np.float32)


def roundtrip(compressor: vl.compress.Compressor, X: np.ndarray) -> np.ndarray:
    return compressor.inverse_transform(compressor.transform(X))


def relative_error(compressor: vl.compress.Compressor, X: np.ndarray) -> float:
    return float((((roundtrip(compressor, X) - X) ** 2).mean(axis=0) / X.var(axis=0)).mean())


def best_split(values: np.ndarray, k: int) -> float:
    """Least squared error of any k intervals of the sorted values, by trying them all."""
    values = np.sort(values)
    cuts = itertools.combinations(range(1, len(values)), k - 1)
    return min(
        sum(float(((part - part.mean()) ** 2).sum()) for part in np.split(values, cut))
        for cut in cuts
    )


def test_levels_are_the_best_of_all_on_well_separated_values() -> None:
    values = np.array([0.0, 0.1, 0.2, 4.0, 4.1, 9.0, 9.3, 9.6, 20.0])
    levels = lloyd(values, 4)
    assert np.allclose(levels, [0.1, 4.05, 9.3, 20.0])
    error = float(((values[:, None] - levels) ** 2).min(axis=1).sum())
    assert error == pytest.approx(best_split(values, 4))


def test_a_weight_counts_like_repeated_values() -> None:
    values = np.array([0.0, 1.0, 2.0, 10.0, 12.0])
    weights = np.array([1.0, 5.0, 1.0, 3.0, 1.0])
    repeated = np.repeat(values, weights.astype(int))
    assert np.allclose(lloyd(values, 2, weights), lloyd(repeated, 2))


def test_two_gaussian_levels_are_those_of_the_textbook() -> None:
    values = np.random.default_rng(0).standard_normal(400_000)
    assert np.allclose(lloyd(values, 4), [-1.510, -0.4528, 0.4528, 1.510], atol=0.02)


@pytest.mark.parametrize("bits", range(1, 9))
def test_every_width_decodes_to_the_nearest_level_of_its_dimension(bits: int) -> None:
    X = heavy(300, 13)
    compressor = vl.compress.NonUniform(bits).fit(X)
    codes = compressor.transform(X)
    assert codes.shape[1] == compressor.bytes_per_vector_ == -(-13 * bits // 8)
    levels = compressor.levels_.reshape(13, 1 << bits)
    nearest = np.abs(X[:, :, None] - levels[None]).min(axis=2)
    assert np.allclose(np.abs(roundtrip(compressor, X) - X), nearest, rtol=1e-4, atol=1e-6)
    first = np.asarray(codes)[:, 0] & ((1 << min(bits, 8)) - 1)  # low bits first
    assert np.allclose(levels[0][first], roundtrip(compressor, X)[:, 0])


def test_mixed_widths_pack_into_one_stream() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 9, 61).astype(np.uint8)
    tables = [np.sort(rng.standard_normal(1 << int(b))).astype(np.float32) for b in bits]
    middles = np.concatenate([(t[1:] + t[:-1]) / 2 for t in tables]).astype(np.float32)
    x = rng.standard_normal((200, 61)).astype(np.float32)
    codes = _core.nonuniform_encode(x, bits, middles)
    assert codes.shape == (200, -(-int(bits.sum()) // 8))
    decoded = _core.nonuniform_decode(codes, bits, np.concatenate(tables))
    for i, table in enumerate(tables):
        rank = np.searchsorted((table[1:] + table[:-1]) / 2, x[:, i])
        assert np.array_equal(decoded[:, i], table[rank])


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_learned_levels_beat_equal_steps_on_heavy_tails(bits: int) -> None:
    X = heavy()
    low, high = X.min(axis=0), X.max(axis=0)
    step = (high - low) / ((1 << bits) - 1)
    equal = low + np.round((X - low) / step) * step
    error = float((((equal - X) ** 2).mean(axis=0) / X.var(axis=0)).mean())
    learned = relative_error(vl.compress.NonUniform(bits).fit(X), X)
    assert_at_most(learned, 0.5 * error, "relative error")


def test_shared_levels_come_close_where_dimensions_have_one_shape() -> None:
    X = heavy()
    own = relative_error(vl.compress.NonUniform(3).fit(X), X)
    for weighted in (False, True):
        shared = vl.compress.NonUniform(3, levels="shared", weighted=weighted).fit(X)
        assert_at_most(relative_error(shared, X), 1.3 * own, "relative error")


def test_outliers_come_back_as_float16_and_the_rest_as_before() -> None:
    X = heavy(500)
    X[np.arange(500), np.arange(500) % 24] += 300
    plain = vl.compress.NonUniform(2).fit(X)
    sparse = vl.compress.NonUniform(2, n_outliers=3).fit(X)
    assert sparse.bytes_per_vector_ == plain.bytes_per_vector_ + 12
    before, after = roundtrip(plain, X), roundtrip(sparse, X)
    changed = before != after
    assert (changed.sum(axis=1) <= 3).all()
    assert np.array_equal(after[changed], X.astype(np.float16).astype(np.float32)[changed])
    error = np.abs(before - X)
    worst = np.sort(error, axis=1)[:, -3]
    assert (error[changed] >= np.broadcast_to(worst[:, None], X.shape)[changed]).all()


def test_qnorm_keeps_mean_and_variance_of_each_dimension() -> None:
    X = heavy()
    matched = roundtrip(vl.compress.NonUniform(2, qnorm=True).fit(X), X).astype(np.float64)
    plain = roundtrip(vl.compress.NonUniform(2).fit(X), X).astype(np.float64)
    assert np.allclose(matched.std(axis=0), X.std(axis=0, dtype=np.float64), rtol=1e-3)
    assert (plain.std(axis=0) < 0.99 * X.std(axis=0)).all()  # centroids shrink


def test_decoding_then_encoding_gives_the_same_codes() -> None:
    X = heavy()
    compressor = vl.compress.NonUniform(4).fit(X)
    codes = compressor.transform(X)
    assert np.array_equal(compressor.transform(compressor.inverse_transform(codes)), codes)


def test_foreign_bytes_are_refused_not_followed() -> None:
    X = heavy(50)
    compressor = vl.compress.NonUniform(2, n_outliers=1).fit(X)
    codes = np.full((2, compressor.bytes_per_vector_), 0xFF, np.uint8)
    with pytest.raises(vl.ParameterError, match="were not made by transform"):
        compressor.inverse_transform(codes)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bits": 9}, "between 1 and 8"),
        ({"bits": 0}, "bits"),
        ({"levels": "all"}, "per_dim"),
        ({"n_outliers": 25}, "more than the 24"),
        ({"n_outliers": -1}, "n_outliers"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_bad_parameters_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(vl.ParameterError, match=message):
        vl.compress.NonUniform(**wrong).fit(heavy(50))


def test_the_core_refuses_tables_that_do_not_fit() -> None:
    x = np.ones((2, 3), np.float32)
    bits = np.array([1, 2, 1], np.uint8)
    with pytest.raises(vl.ShapeError, match="thresholds"):
        _core.nonuniform_encode(x, bits, np.ones(4, np.float32))
    with pytest.raises(vl.ShapeError, match="levels"):
        _core.nonuniform_decode(np.ones((2, 1), np.uint8), bits, np.ones(9, np.float32))
    with pytest.raises(vl.ParameterError, match="at most 8"):
        _core.nonuniform_encode(x, bits + np.uint8(8), np.ones(4, np.float32))
