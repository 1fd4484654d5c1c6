# SPDX-License-Identifier: Apache-2.0
"""Optimized product quantization: the rotation, the weights and the lengths."""

from __future__ import annotations

import numpy as np
import pytest
from tests.compress.test_pq import error, planted
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress import OPQ, PQ
from vectorloom.compress.codebook.rotated import deal
from vectorloom.errors import ParameterError


def unit(X: np.ndarray) -> np.ndarray:
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def test_variances_are_dealt_to_equal_products():
    assert deal(np.array([16.0, 8.0, 4.0, 1.0, 0.5, 0.5]), 2).tolist() == [0, 3, 4, 1, 2, 5]
    parts = deal(np.geomspace(1000, 0.001, 64), 8).reshape(8, 8)
    logs = np.log(np.geomspace(1000, 0.001, 64))[parts].sum(axis=1)
    assert np.ptp(logs) < 1.0
    assert sorted(parts.ravel().tolist()) == list(range(64))


def test_the_plain_rotation_is_orthonormal_and_undone_by_its_inverse():
    quantizer = OPQ(4, bits=4, emphasis=0.0).fit(planted())
    assert np.allclose(quantizer.rotation_ @ quantizer.rotation_.T, np.eye(24), atol=1e-5)
    assert np.allclose(quantizer.rotation_, quantizer.inverse_.T, atol=1e-5)


def test_an_emphasis_is_undone_by_the_inverse():
    quantizer = OPQ(4, bits=4, emphasis=1.0).fit(planted())
    assert np.allclose(quantizer.inverse_ @ quantizer.rotation_, np.eye(24), atol=1e-3)


def test_the_error_is_below_that_of_product_codes_and_that_of_faiss():
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(1)
    X = planted(3000, 24)
    ours = error(OPQ(4, bits=6, emphasis=0.0, keep_norms=False).fit(X), X)
    assert_at_most(ours / error(PQ(4, bits=6).fit(X), X), 0.9, "error relative to PQ")
    turn = faiss.OPQMatrix(24, 4)
    turn.pq = peer = faiss.ProductQuantizer(24, 4, 6)
    turn.niter = 10
    turn.train(X)
    turned = turn.apply(X)
    peer.train(turned)
    theirs = float(((peer.decode(peer.compute_codes(turned)) - turned) ** 2).sum(1).mean())
    assert_at_most(ours / theirs, 1.03, "error relative to faiss")


def test_rotating_further_does_not_raise_the_error():
    X = planted(4096)
    start = error(OPQ(4, bits=5, n_rotations=0, emphasis=0.0, keep_norms=False).fit(X), X)
    end = error(OPQ(4, bits=5, n_rotations=8, emphasis=0.0, keep_norms=False).fit(X), X)
    assert_at_most(end / start, 1.01, "error after rotating")


def test_normalized_rows_decode_to_length_one_at_no_byte():
    X = unit(planted())
    quantizer = OPQ(4, bits=5).fit(X)
    assert quantizer.bytes_per_vector_ == 3
    decoded = quantizer.inverse_transform(quantizer.transform(X))
    assert np.allclose(np.linalg.norm(decoded, axis=1), 1, atol=2e-3)


def test_a_row_that_would_decode_to_another_length_is_refused():
    X = unit(planted())
    rows = X[:3].copy()
    rows[1] *= 2
    with pytest.raises(ParameterError, match=r"row 1 has length 2, .*keep_norms=False"):
        OPQ(4, bits=5).fit(X).transform(rows)
    plain = OPQ(4, bits=5, keep_norms=False).fit(X)
    assert plain.transform(rows).shape == (3, 3)


def test_other_rows_keep_their_length_for_two_bytes():
    X = planted() * np.float32(1e-8)  # the unit of lengths follows the data
    quantizer = OPQ(4, bits=5).fit(X)
    assert quantizer.bytes_per_vector_ == 5
    decoded = quantizer.inverse_transform(quantizer.transform(X))
    lengths = np.linalg.norm(X, axis=1)
    assert np.allclose(np.linalg.norm(decoded, axis=1), lengths, rtol=1e-3)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("keep_norms", [False, True])
@pytest.mark.parametrize("emphasis", [0.0, 0.5])
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_scores_are_those_of_decoded_rows(
    normalized: bool, keep_norms: bool, emphasis: float, metric: str
):
    X = unit(planted(600)) if normalized else planted(600)
    quantizer = OPQ(4, bits=4, emphasis=emphasis, keep_norms=keep_norms, n_rotations=2).fit(X)
    codes = quantizer.transform(X[:200])
    decoded = quantizer.inverse_transform(codes)
    expected = vl.compress.compressor.dense_scores(X[:5], decoded, metric)
    assert np.allclose(quantizer.scores(X[:5], codes, metric), expected, rtol=1e-3, atol=1e-3)


def test_kept_lengths_and_emphasis_raise_recall_on_normalized_rows():
    X = unit(planted(6000, 48) - 0.5)
    Q = unit(planted(150, 48, seed=9) - 0.5)
    truth = np.argsort(-(Q @ X.T), axis=1)[:, :10]

    def recall(quantizer: OPQ) -> float:
        scores = quantizer.fit(X).scores(Q, quantizer.transform(X))
        found = np.argpartition(-scores, 10, axis=1)[:, :10]
        return (
            float(np.mean([len(set(a) & set(b)) for a, b in zip(found, truth, strict=True)])) / 10
        )

    plain = recall(OPQ(6, bits=4, emphasis=0.0, keep_norms=False, n_rotations=0))
    assert_at_least(recall(OPQ(6, bits=4, n_rotations=0)), plain + 0.02, "recall@10")


def test_an_emphasis_outside_its_range_is_refused():
    with pytest.raises(vl.ParameterError, match="emphasis must be a number from 0 to 1; got 2"):
        OPQ(4, emphasis=2).fit(planted(300))


def test_a_count_that_does_not_divide_is_refused():
    with pytest.raises(vl.ShapeError, match="Divisors are"):
        OPQ(5).fit(planted(300))


def test_rows_without_variance_are_coded():
    X = np.full((100, 8), 2.0, np.float32)
    quantizer = OPQ(2, bits=2).fit(X)
    assert np.allclose(quantizer.inverse_transform(quantizer.transform(X)), X, atol=1e-3)
