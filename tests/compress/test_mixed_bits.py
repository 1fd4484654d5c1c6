# SPDX-License-Identifier: Apache-2.0
"""MixedBits: who gets the bits, budgets in bytes, lengths, and recall against equal bits."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress.quantize.mixed_bits import share_bits


def spectrum(n: int = 3000, dim: int = 64, seed: int = 0, unit: bool = True) -> np.ndarray:
    """Vectors whose principal variances fall fast, in a random basis, with a mean."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(99).standard_normal((dim, dim)))[0]
    X = (rng.standard_normal((n, dim)) * np.logspace(0, -1.5, dim)) @ turn + 0.1
    if unit:
        X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X.astype(np.float32)


def roundtrip(compressor: vl.compress.Compressor, X: np.ndarray) -> np.ndarray:
    return compressor.inverse_transform(compressor.transform(X))


def recall(compressor: vl.compress.Compressor, X: np.ndarray, Q: np.ndarray) -> float:
    best = np.argsort(-(Q @ X.T), axis=1)[:, :10]
    found = np.argsort(-compressor.scores(Q, compressor.transform(X)), axis=1)[:, :10]
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(best, found, strict=True)]))


def test_each_bit_goes_where_it_lowers_the_distortion_most() -> None:
    # Gains of the first three bits: 0.6366, 0.2459, 0.08296 of the importance.
    assert share_bits(np.array([10.0, 1.0]), 3).tolist() == [3, 0]
    assert share_bits(np.array([7.0, 1.0]), 3).tolist() == [2, 1]
    assert share_bits(np.array([3.0, 3.0, 0.0]), 4).tolist() == [2, 2, 0]
    assert share_bits(np.ones(3), 24).tolist() == [8, 8, 8]


def test_sharing_is_no_worse_than_any_other_split() -> None:
    from vectorloom.compress.quantize.mixed_bits import _DISTORTION

    importance = np.array([5.0, 2.0, 0.3])
    table = np.array(_DISTORTION)
    got = float((importance * table[share_bits(importance, 6)]).sum())
    for a in range(7):
        for b in range(7 - a):
            assert got <= float((importance * table[[a, b, 6 - a - b]]).sum()) + 1e-12


def test_two_groups_get_their_bits_and_the_strong_axes_are_first() -> None:
    X = spectrum()
    compressor = vl.compress.MixedBits(high_fraction=1 / 4, high_bits=6, low_bits=2).fit(X)
    assert compressor.bits_.tolist() == [6] * 16 + [2] * 48
    assert compressor.bytes_per_vector_ == (6 * 16 + 2 * 48) // 8
    variance = ((X - X.mean(axis=0)) @ compressor.components_.T).var(axis=0)
    assert variance[:16].min() > variance[16:].max()
    assert np.allclose(compressor.components_ @ compressor.components_.T, np.eye(64), atol=1e-5)


def test_the_rotation_makes_the_axes_of_a_group_alike() -> None:
    X = spectrum()
    plain, turned = (
        vl.compress.MixedBits(rotate=rotate, high_fraction=1 / 2).fit(X) for rotate in (False, True)
    )
    spread = [np.ptp(((X - c.mean_) @ c.components_[:32].T).std(axis=0)) for c in (plain, turned)]
    assert spread[1] < 0.6 * spread[0]


@pytest.mark.parametrize("bits_per_dim", [0.5, 1, 2, 4, 7.5])
def test_the_budget_holds_everything(bits_per_dim: float) -> None:
    for unit in (True, False):
        X = spectrum(800, unit=unit)
        compressor = vl.compress.MixedBits(bits_per_dim).fit(X)
        assert compressor.stores_length_ is not unit
        assert compressor.bytes_per_vector_ == int(bits_per_dim * 64 / 8)
        assert compressor.transform(X).shape == (800, compressor.bytes_per_vector_)


@pytest.mark.parametrize("unit", [True, False])
def test_decoded_vectors_have_the_length_of_the_original(unit: bool) -> None:
    X = spectrum(800, unit=unit)
    decoded = roundtrip(vl.compress.MixedBits(1).fit(X), X)
    lengths = np.linalg.norm(X, axis=1)
    assert np.allclose(np.linalg.norm(decoded, axis=1), lengths, rtol=1e-3)
    loose = roundtrip(vl.compress.MixedBits(1, keep_length="never").fit(X), X)
    assert np.linalg.norm(loose, axis=1).mean() < 0.98 * lengths.mean()  # centroids shrink


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_mixed_bits_find_more_neighbours_than_equal_bits(bits: int) -> None:
    X, Q = spectrum(), spectrum(100, seed=1)
    mixed = recall(vl.compress.MixedBits(bits).fit(X), X, Q)
    equal = recall(vl.compress.NonUniform(bits).fit(X), X, Q)
    assert_at_least(mixed, equal + 0.05, "recall@10")


def test_queries_move_bits_to_the_axes_they_use() -> None:
    X = spectrum()
    axes = vl.compress.PCA().fit(X).components_
    Q = np.random.default_rng(0).standard_normal((200, 1)).astype(np.float32) * axes[40]
    blind = vl.compress.MixedBits(2, rotate=False).fit(X)
    told = vl.compress.MixedBits(2, rotate=False).fit(X, queries=Q)

    def error(compressor: vl.compress.MixedBits) -> float:
        return float((((roundtrip(compressor, X) - X) @ axes[40]) ** 2).mean())

    assert_at_most(error(told), 0.1 * error(blind), "error along the queries")


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("keep_length", ["auto", "always", "never"])
def test_scores_are_those_of_decoded_rows(metric: str, keep_length: str) -> None:
    X, Q = spectrum(300), 3 * spectrum(7, seed=1)
    compressor = vl.compress.MixedBits(2, keep_length=keep_length).fit(X)
    codes = compressor.transform(X)
    decoded = compressor.inverse_transform(codes).astype(np.float64)
    wanted = Q.astype(np.float64) @ decoded.T
    if metric == "l2":
        wanted = -((Q[:, None].astype(np.float64) - decoded[None]) ** 2).sum(-1)
    if metric == "cosine":
        wanted /= np.linalg.norm(Q, axis=1)[:, None] * np.linalg.norm(decoded, axis=1)
    assert np.abs(compressor.scores(Q, codes, metric) - wanted).max() < 2e-5


def test_another_length_is_refused_where_lengths_are_not_stored() -> None:
    X = spectrum()
    compressor = vl.compress.MixedBits(2).fit(X)
    with pytest.raises(vl.ParameterError, match=r"row 5 has length 2.*keep_length='always'"):
        compressor.transform(np.concatenate([X[:5], 2 * X[5:7]]))
    always = vl.compress.MixedBits(2, keep_length="always").fit(X)
    assert np.allclose(np.linalg.norm(roundtrip(always, 2 * X[:9]), axis=1), 2, rtol=1e-3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bits_per_dim": 9}, "at most 8"),
        ({"bits_per_dim": 0.01}, "at least one byte"),
        ({"bits_per_dim": "2"}, "number"),
        ({"high_bits": 9}, "high_bits"),
        ({"high_bits": 2, "low_bits": 3}, "at least as many"),
        ({"high_fraction": 0}, "share"),
        ({"keep_length": True}, "auto"),
    ],
)
def test_bad_parameters_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(vl.ParameterError, match=message):
        vl.compress.MixedBits(**wrong).fit(spectrum(100))
