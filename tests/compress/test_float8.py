# SPDX-License-Identifier: Apache-2.0
"""Float8: the learned scale, the stated error bound, and the published claim on planted data."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl


def rows(n: int = 800, dim: int = 64, seed: int = 0) -> np.ndarray:
    X = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def roundtrip(compressor: vl.compress.Compressor, X: np.ndarray) -> np.ndarray:
    return compressor.inverse_transform(compressor.transform(X))


def test_the_largest_value_lands_between_a_quarter_and_half_of_the_range() -> None:
    for largest in (1e-6, 0.3, 1.0, 7.0, 448.0, 1e8):
        X = np.array([[largest, -largest / 3]], np.float32)
        scale = vl.compress.Float8().fit(X).scale_
        assert np.frexp(scale)[0].tolist() == [0.5, 0.5]
        assert 112 < largest / scale[0] <= 224


def test_each_dimension_has_its_own_scale_where_asked() -> None:
    X = rows() * np.logspace(-8, 8, 64).astype(np.float32)
    per_dim = vl.compress.Float8(scale="per_dim").fit(X)
    assert (np.abs(X).max(axis=0) / per_dim.scale_ <= 224).all()
    error = ((roundtrip(per_dim, X) - X) ** 2).mean(axis=0) / X.var(axis=0)
    assert_at_most(float(error.max()), 0.001, "relative error of any dimension")
    common = vl.compress.Float8().fit(X)
    assert (roundtrip(common, X)[:, 0] == 0).all()  # 1e-16 of the largest: below the format


def test_a_scale_of_one_means_the_plain_format() -> None:
    X = np.array([[0.3, 448.0, -1e6, 2.0**-9, 2.0**-11]], np.float32)
    compressor = vl.compress.Float8(scale="none").fit(X)
    assert roundtrip(compressor, X).tolist() == [[0.3125, 448.0, -448.0, 2.0**-9, 0.0]]


@pytest.mark.parametrize(("format", "bound"), [("e4m3", 2.0**-4), ("e5m2", 2.0**-3)])
def test_the_relative_error_keeps_its_bound(format: str, bound: float) -> None:
    X = rows()
    compressor = vl.compress.Float8(format).fit(X)
    normal = np.abs(X) > compressor.scale_ * 2.0**-6
    error = np.abs(roundtrip(compressor, X) - X)[normal] / np.abs(X)[normal]
    assert_at_most(float(error.max()), bound, "relative error")


def test_decoding_then_encoding_gives_the_same_codes() -> None:
    for seed, scale in ((0, "auto"), (1, "per_dim"), (2, "none")):
        X = rows(seed=seed)
        compressor = vl.compress.Float8(scale=scale).fit(X)
        codes = compressor.transform(X)
        assert np.array_equal(compressor.transform(compressor.inverse_transform(codes)), codes)


def test_vectors_larger_than_the_sample_are_clipped_not_lost() -> None:
    X = rows()
    compressor = vl.compress.Float8().fit(X)
    assert np.abs(roundtrip(compressor, 2 * X) / (2 * X)).min() > 0.9
    far = roundtrip(compressor, 1e6 * X)
    assert np.isfinite(far).all()
    assert (np.sign(far) == np.sign(X)).all()


def test_neighbours_survive_a_quarter_of_the_bytes() -> None:
    rng = np.random.default_rng(0)
    centres = rows(100, 64)
    X = centres[rng.integers(0, 100, 4000)] + 0.1 * rng.standard_normal((4000, 64))
    X = X.astype(np.float32)
    compressor = vl.compress.Float8().fit(X)
    codes = compressor.transform(X)
    assert compressor.bytes_per_vector_ * 4 == X[0].nbytes
    Q = X[:100] + 0.05 * rng.standard_normal((100, 64)).astype(np.float32)
    exact = -((Q[:, None] - X[None]) ** 2).sum(-1)
    best = np.argsort(-exact, axis=1)[:, :10]
    found = np.argsort(-compressor.scores(Q, codes, "l2"), axis=1)[:, :10]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(best, found, strict=True)])
    assert_at_least(float(recall), 0.9, "recall@10")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"format": "e3m4"}, "e4m3"), ({"scale": "tensor"}, "per_dim"), ({"n_jobs": 0}, "n_jobs")],
)
def test_unknown_words_are_refused_with_what_is_known(wrong: dict, message: str) -> None:
    with pytest.raises(vl.ParameterError, match=message):
        vl.compress.Float8(**wrong).fit(rows())


def test_nan_is_refused() -> None:
    X = rows()
    compressor = vl.compress.Float8().fit(X)
    X[3, 3] = np.nan
    with pytest.raises(vl.ParameterError, match="NaN"):
        compressor.transform(X)
