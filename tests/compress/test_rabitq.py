# SPDX-License-Identifier: Apache-2.0
"""RaBitQ: codes by hand, optimal codes, unbiased scores, the coverage of the error bound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import vectorloom as vl
from vectorloom import _core


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(17)


def clustered(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    centres = rng.standard_normal((20, dim))
    X = centres[rng.integers(0, 20, n)] + 0.7 * rng.standard_normal((n, dim))
    return (X * np.linspace(2, 0.3, dim)).astype(np.float32)


def test_one_bit_by_hand():
    # Mean zero by symmetry. |o|^2 / <y, o> = 14 / (0.5 * 6) for y = ±1/2.
    X = np.array([[1, -2, 3, 0], [-1, 2, -3, 0]], np.float32)
    coder = vl.compress.RaBitQ(1, rotation=None).fit(X)
    codes = coder.transform(X)
    assert np.asarray(codes)[:, 0].tolist() == [0b0101, 0b0010]
    assert coder.bytes_per_vector_ == 1 + 4
    a, length, size = np.asarray(coder._codec().row_factors(np.asarray(codes)))[0]
    assert a == pytest.approx(14 / 3, rel=1e-3)
    assert length == pytest.approx(np.sqrt(14), rel=1e-3)
    assert size == 1
    q = np.array([[1, 1, 1, 1]], np.float32)
    assert coder.scores(q, codes)[0, 0] == pytest.approx(14 / 3 * (0.5 - 0.5 + 0.5 - 0.5), abs=1e-3)
    q = np.array([[1, 0, 1, 0]], np.float32)
    assert coder.scores(q, codes)[0, 0] == pytest.approx(14 / 3, rel=1e-2)
    # The score of a row with itself is its squared length, the definition of the factor.
    assert coder.scores(X, codes)[0, 0] == pytest.approx(14, rel=1e-2)


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_codes_have_nearly_the_largest_cosine_of_all_codes(bits: int, rng: np.random.Generator):
    X = rng.standard_normal((60, 4)).astype(np.float32)
    coder = vl.compress.RaBitQ(bits, rotation=None).fit(X)
    decoded = coder.inverse_transform(coder.transform(X)) - coder.centroids_[0]
    rest = X - coder.centroids_[0]
    length = np.linalg.norm(rest, axis=1)
    got = (decoded * rest).sum(axis=1) / np.linalg.norm(decoded, axis=1) / length
    marks = np.arange(2**bits) - (2**bits - 1) / 2
    every = np.array(list(itertools.product(marks, repeat=4)))
    every /= np.linalg.norm(every, axis=1, keepdims=True)
    best = (rest @ every.T).max(axis=1) / length
    assert (got <= best + 1e-5).all()
    lost, least = 1 - got**2, 1 - best**2
    assert lost.sum() <= {1: 1.0001, 2: 1.15, 3: 1.7}[bits] * least.sum()


def test_codes_of_many_dimensions_are_within_percents_of_a_fine_sweep(rng: np.random.Generator):
    X = rng.standard_normal((200, 256)).astype(np.float32)
    X -= X.mean(axis=0)
    deviation = np.linalg.norm(X, axis=1, keepdims=True) / 16
    for bits, step, allowed in ((2, 0.9957, 1.005), (4, 0.3352, 1.02), (6, 0.1041, 1.1)):
        top = 2**bits - 1
        best = np.zeros(len(X))
        for t in np.linspace(0.7, 1.3, 61):
            y = np.clip(np.rint(X / (deviation * step * t) + top / 2), 0, top) - top / 2
            best = np.maximum(best, (y * X).sum(axis=1) / np.linalg.norm(y, axis=1))
        least = 1 - (best / np.linalg.norm(X, axis=1)) ** 2
        coder = vl.compress.RaBitQ(bits, rotation=None).fit(X)
        decoded = coder.inverse_transform(coder.transform(X))
        lost = ((X - decoded) ** 2).sum(axis=1) / (X**2).sum(axis=1)
        assert lost.mean() <= allowed * least.mean()


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("rotation", ["hadamard", "dense"])
def test_scores_are_unbiased_over_random_rotations(
    bits: int, rotation: str, rng: np.random.Generator
):
    X = clustered(rng, 40, 48)
    Q = clustered(rng, 5, 48)
    exact = Q @ X.T
    runs = []
    for seed in range(60):
        coder = vl.compress.RaBitQ(bits, rotation=rotation, random_state=seed).fit(X)
        runs.append(coder.scores(Q, coder.transform(X)) - exact)
    error = np.array(runs)
    z = error.mean(axis=0) / (error.std(axis=0) / np.sqrt(len(runs)))
    assert abs(z.mean()) < 0.5  # 200 pairs that share rotations: nearly standard normal
    assert 0.6 < z.std() < 1.5
    # Shrinking, the natural bias, would show as error falling with the score.
    slope = (error.mean(axis=0) * exact).sum() / (exact**2).sum()
    assert abs(slope) < 0.02


@pytest.mark.parametrize("bits", [1, 2, 4, 7])
@pytest.mark.parametrize("n_centroids", [1, 8])
def test_the_bound_covers_what_it_says(bits: int, n_centroids: int, rng: np.random.Generator):
    X, Q = clustered(rng, 600, 96), clustered(rng, 30, 96)
    coder = vl.compress.RaBitQ(bits, n_centroids=n_centroids).fit(X)
    codes = coder.transform(X)
    error = np.abs(coder.scores(Q, codes) - Q @ X.T)
    for z, at_least, at_most in ((1.0, 0.60, 0.97), (1.9, 0.91, 1.0), (3.0, 0.985, 1.0)):
        covered = (error <= coder.bounds(Q, codes, z)).mean()
        assert at_least <= covered <= at_most, (z, covered)


def test_the_fast_rotation_is_that_of_the_linear_algebra(rng: np.random.Generator):
    for dim in (1, 2, 3, 8, 16, 24, 31, 64, 96, 100, 384, 513):
        X = clustered(rng, 30, dim)
        coder = vl.compress.RaBitQ(8).fit(X)
        codes = coder.transform(X)
        plain = vl.compress.RaBitQ(8, rotation=None)
        plain.fit(np.asarray(_core.hadamard(X, coder.signs_)))
        plain.centroids_ = np.asarray(_core.hadamard(coder.centroids_, coder.signs_))
        plain.unit_ = coder.unit_
        by_hand = plain._codec().decode(plain._codec().encode(_core.hadamard(X, coder.signs_)))
        back = np.asarray(_core.hadamard(by_hand, coder.signs_, inverse=True))
        scale = np.abs(X).max()
        np.testing.assert_allclose(coder.inverse_transform(codes), back, atol=0.02 * scale)
        assert np.abs(coder.inverse_transform(codes) - X).max() < 0.1 * scale


def test_more_bits_and_more_centroids_lose_less(rng: np.random.Generator):
    X = clustered(rng, 400, 64)

    def lost(**settings: int) -> float:
        coder = vl.compress.RaBitQ(**settings).fit(X)
        return float(((coder.inverse_transform(coder.transform(X)) - X) ** 2).sum())

    losses = [lost(bits=bits) for bits in range(1, 9)]
    assert losses == sorted(losses, reverse=True)
    assert lost(bits=2, n_centroids=20) < 0.5 * losses[1]
    assert lost(bits=2, n_centroids=300) < lost(bits=2, n_centroids=20)  # two bytes of centroid


def test_decoding_is_the_nearest_point_of_the_ray(rng: np.random.Generator):
    X = clustered(rng, 100, 64)
    coder = vl.compress.RaBitQ(1).fit(X)
    decoded = coder.inverse_transform(coder.transform(X)) - coder.centroids_[0]
    rest = X - coder.centroids_[0]
    share = (decoded * rest).sum(axis=1) / (decoded**2).sum(axis=1)
    np.testing.assert_allclose(share, 1, atol=5e-3)


@pytest.mark.parametrize("n_centroids", [1, 5])
def test_distances_and_cosines_use_the_stored_length(n_centroids: int, rng: np.random.Generator):
    X, Q = clustered(rng, 300, 96), clustered(rng, 20, 96)
    coder = vl.compress.RaBitQ(3, n_centroids=n_centroids).fit(X)
    codes = coder.transform(X)
    slack = 5 * coder.bounds(Q, codes, 1.0)
    squared = ((Q[:, None, :] - X) ** 2).sum(axis=2)
    norms = np.linalg.norm(X, axis=1)
    # <c, o>, once more estimated, enters the row's length.
    own = 5 * coder.bounds(coder.centroids_, codes, 1.0).max(axis=0) + 2e-3 * norms**2
    assert (np.abs(coder.scores(Q, codes, "l2") + squared) <= 2 * slack + 2 * own).all()
    cosine = coder.scores(Q, codes, "cosine")
    exact = (Q @ X.T) / norms / np.linalg.norm(Q, axis=1)[:, None]
    assert np.corrcoef(cosine.ravel(), exact.ravel())[0, 1] > 0.98
    assert abs((cosine - exact).mean()) < 0.01


def test_codes_are_the_same_bits_at_every_level_and_thread_count(rng: np.random.Generator):
    X, Q = clustered(rng, 1300, 77), clustered(rng, 3, 77)
    before = _core.simd_level()
    for bits in (1, 2, 3, 4, 6, 8):
        coder = vl.compress.RaBitQ(bits, n_jobs=1).fit(X)
        codes = coder.transform(X)
        scores = coder.scores(Q, codes)
        for jobs in (2, 3):
            coder.set_params(n_jobs=jobs)
            assert np.array_equal(coder.transform(X), codes)
            assert np.array_equal(coder.scores(Q, codes), scores)
        try:
            for level in _core.simd_levels():
                _core.set_simd_level(level)
                assert np.array_equal(coder.transform(X), codes)
                assert np.array_equal(coder.scores(Q, codes), scores)
        finally:
            _core.set_simd_level(before)


def test_rows_at_their_centroid_constant_dimensions_and_extreme_sizes(rng: np.random.Generator):
    X = clustered(rng, 60, 24)
    X[:, 3] = 2.5
    X[:30] *= 1e-3
    for bits in (1, 4, 8):
        coder = vl.compress.RaBitQ(bits).fit(X)
        centre = coder.centroids_.copy()
        decoded = coder.inverse_transform(coder.transform(centre))
        np.testing.assert_allclose(decoded, centre, atol=1e-3 * np.abs(X).max())
        one = vl.compress.RaBitQ(bits).fit(X[:1])
        codes = one.transform(X[:1])
        np.testing.assert_allclose(one.inverse_transform(codes), X[:1], rtol=1e-5, atol=1e-6)
        large = vl.compress.RaBitQ(bits).fit(X * np.float32(1e15))
        relative = np.abs(large.inverse_transform(large.transform(X * np.float32(1e15))) / 1e15 - X)
        assert relative.max() < 3 * np.abs(X).max()


def test_bad_parameters_are_refused():
    X = np.ones((4, 3), np.float32)
    with pytest.raises(vl.ParameterError, match="1 to 8 bits"):
        vl.compress.RaBitQ(9).fit(X)
    with pytest.raises(vl.ParameterError, match="rotation"):
        vl.compress.RaBitQ(1, rotation="fft").fit(X)
    with pytest.raises(vl.ShapeError, match="4 rows cannot have 5 centroids"):
        vl.compress.RaBitQ(1, n_centroids=5).fit(X)
    with pytest.raises(vl.ParameterError, match="65536"):
        vl.compress.RaBitQ(1, n_centroids=70_000).fit(X)
