# SPDX-License-Identifier: Apache-2.0
"""UHD: exactly k winners, overlap as nearness, buckets."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least

import vectorloom as vl


def vectors(n: int = 500, dim: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


@pytest.mark.parametrize("lift", ["random", "data"])
def test_exactly_k_units_win_and_all_weigh_one(lift: str):
    codes = vl.compress.UHD(256, 9, lift=lift).fit_transform(vectors())
    assert (np.diff(codes.indptr) == 9).all()
    assert (codes.data == 1).all()


def test_winners_are_the_most_excited_units():
    X = vectors()
    uhd = vl.compress.UHD(128, 5).fit(X)
    excited = (X - X.mean(axis=0)) @ uhd.encoder_.T
    expected = np.sort(np.argsort(-excited, axis=1)[:, :5], axis=1)
    assert np.array_equal(uhd.transform(X).indices.reshape(-1, 5), expected)


def test_overlap_counts_common_units():
    uhd = vl.compress.UHD(128, 6).fit(vectors())
    codes = uhd.transform(vectors(20, seed=1))
    sets = [set(codes[[i]].indices) for i in range(20)]
    expected = [[len(a & b) for b in sets] for a in sets]
    assert uhd.overlap(codes, codes).tolist() == expected


def test_overlap_grows_with_cosine():
    X = vectors(400)
    uhd = vl.compress.UHD(4096, 128).fit(X)
    unit = (X - X.mean(axis=0)) / np.linalg.norm(X - X.mean(axis=0), axis=1, keepdims=True)
    codes = uhd.transform(X)
    pairs = np.triu_indices(400, 1)
    related = np.corrcoef((unit @ unit.T)[pairs], uhd.overlap(codes, codes)[pairs])[0, 1]
    assert_at_least(float(related), 0.7, "correlation of overlap and cosine")


def test_more_winners_keep_more():
    X, queries = vectors(800), vectors(50, seed=1)
    truth = np.argsort(-queries @ X.T, axis=1)[:, :10]
    recalls = []
    for k in (2, 8, 32):
        uhd = vl.compress.UHD(1024, k).fit(X)
        found = np.argsort(-uhd.scores(queries, uhd.transform(X)), axis=1)[:, :10]
        recalls.append(np.mean([np.isin(f, t).mean() for f, t in zip(found, truth, strict=True)]))
    assert recalls[0] < recalls[1] < recalls[2]


def test_buckets_keep_to_their_columns_and_their_share():
    uhd = vl.compress.UHD(120, 6, buckets=[4, 10, 2]).fit(vectors())
    assert not uhd.encoder_[:40, 4:].any()
    assert not uhd.encoder_[40:80, :4].any()
    assert not uhd.encoder_[80:, :14].any()
    codes = uhd.transform(vectors()).toarray()
    assert (codes.reshape(500, 3, 40).sum(axis=2) == 2).all()


def test_bytes_are_those_of_the_columns():
    assert vl.compress.UHD(256, 9).fit(vectors()).bytes_per_vector_ == 36


def test_more_units_than_rows_are_no_trouble():
    uhd = vl.compress.UHD(512, 4, lift="data").fit(vectors(10))
    assert len(np.unique(uhd.encoder_, axis=0)) == 512


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_hidden": 4, "k": 5}, "at most n_hidden=4"),
        ({"lift": "learned"}, "'random', 'data'|'data', 'random'"),
        ({"buckets": [8, 9]}, "sum to the 16 dimensions"),
        ({"buckets": [8, 8], "k": 5}, "multiples of the 2 buckets"),
    ],
)
def test_bad_parameters_are_refused(params: dict, message: str):
    with pytest.raises(vl.ParameterError, match=message):
        vl.compress.UHD(**{"n_hidden": 64, "k": 4} | params).fit(vectors())
