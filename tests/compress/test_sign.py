# SPDX-License-Identifier: Apache-2.0
"""Sign codes: bits by hand, the amplitude of least error, asymmetric scores, differing bits."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(13)


def test_bits_by_hand():
    X = np.array([[1, -1, 5, 0, 0, 0, 0, 0, 9], [-1, 1, 1, 0, 0, 0, 0, 0, -9]], np.float32)
    sign = vl.compress.Sign().fit(X)
    assert sign.mean_.tolist() == [0, 0, 3, 0, 0, 0, 0, 0, 0]
    assert sign.scale_.tolist() == [1, 1, 2, 0, 0, 0, 0, 0, 9]
    assert np.asarray(sign.transform(X)).tolist() == [[0b101, 1], [0b010, 0]]
    assert np.array_equal(sign.inverse_transform(sign.transform(X)), X)
    assert vl.compress.Sign(center=False).fit(X).mean_.tolist() == [0] * 9


def test_bits_are_the_signs_of_centred_values(rng: np.random.Generator):
    X = (rng.standard_normal((200, 77)) * 1e-3 + 1).astype(np.float32)
    sign = vl.compress.Sign().fit(X)
    want = np.packbits(sign.mean_ < X, axis=1, bitorder="little")
    assert np.array_equal(np.asarray(sign.transform(X)), want)


def test_no_other_amplitude_loses_less(rng: np.random.Generator):
    X = rng.standard_normal((400, 12)).astype(np.float32)
    sign = vl.compress.Sign().fit(X)

    def lost(scale: np.ndarray) -> float:
        decoded = sign.mean_ + scale * np.where(sign.mean_ < X, 1, -1)
        return float(((X - decoded) ** 2).sum())

    assert lost(sign.scale_) < min(lost(0.98 * sign.scale_), lost(1.02 * sign.scale_))


def test_float_queries_rank_better_than_bits_against_bits(rng: np.random.Generator):
    X = rng.standard_normal((2000, 64)).astype(np.float32)
    Q = X[:50] + 0.6 * rng.standard_normal((50, 64)).astype(np.float32)
    sign = vl.compress.Sign().fit(X)
    codes = sign.transform(X)
    truth = np.argsort(-(Q @ X.T), axis=1)[:, :10]

    def recall(scores: np.ndarray) -> float:
        found = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        return float(
            np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, truth, strict=True)])
        )

    assert recall(sign.scores(Q, codes)) > recall(-sign.hamming(sign.transform(Q), codes)) + 0.05


def test_hamming_counts_differing_bits(rng: np.random.Generator):
    X = rng.standard_normal((30, 19)).astype(np.float32)
    sign = vl.compress.Sign().fit(X)
    codes = sign.transform(X)
    bits = sign.mean_ < X
    want = (bits[:, None, :] != bits).sum(axis=2)
    assert np.array_equal(sign.hamming(codes, codes), want)
