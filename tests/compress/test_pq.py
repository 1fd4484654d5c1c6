# SPDX-License-Identifier: Apache-2.0
"""Product quantization: codes, tables and training."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from tests.laws import assert_at_most

import vectorloom as vl
from vectorloom import _core
from vectorloom.compress import PQ


def planted(n: int = 3000, dim: int = 24, seed: int = 0) -> np.ndarray:
    """Vectors of a spectrum that falls, so that parts differ."""
    rng = np.random.default_rng(seed)
    mixing = np.linalg.qr(rng.standard_normal((dim, dim)))[0] * np.geomspace(3, 0.3, dim)
    return (rng.standard_normal((n, dim)) @ mixing.T + 0.5).astype(np.float32)


def error(quantizer: vl.compress.Compressor, X: np.ndarray) -> float:
    """Mean squared error of decoding."""
    return float(((quantizer.inverse_transform(quantizer.transform(X)) - X) ** 2).sum(1).mean())


def test_a_case_worked_by_hand():
    quantizer = PQ(n_parts=2, bits=1, rows_per_codeword=None)
    X = np.array([[0, 0, 5], [0, 2, 7], [10, 0, 5], [10, 2, 7]], np.float32)[:, [0, 2]]
    quantizer.fit(X)
    books = np.sort(quantizer.codebooks_[..., 0], axis=1)
    assert books.tolist() == [[0, 10], [5, 7]]
    codes = np.asarray(quantizer.transform(X))
    low = [quantizer.codebooks_[0, code & 1, 0] for code in codes[:, 0]]
    high = [quantizer.codebooks_[1, code >> 1 & 1, 0] for code in codes[:, 0]]
    assert low == [0, 0, 10, 10]
    assert high == [5, 7, 5, 7]
    scores = quantizer.scores(np.array([[1, 2]], np.float32), quantizer.transform(X), "l2")
    assert scores.tolist() == [[-10, -26, -90, -106]]


@pytest.mark.parametrize("bits", [1, 3, 4, 5, 8])
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_scores_are_those_of_decoded_rows(bits: int, metric: str):
    X = planted()
    quantizer = PQ(6, bits=bits, max_iter=5).fit(X)
    codes = quantizer.transform(X[:500])
    decoded = quantizer.inverse_transform(codes).astype(np.float64)
    Q = X[:7].astype(np.float64)
    distances = ((Q[:, None] - decoded[None]) ** 2).sum(-1)
    expected = -distances if metric == "l2" else Q @ decoded.T
    if metric == "cosine":
        lengths = np.linalg.norm(Q, axis=1)[:, None] * np.linalg.norm(decoded, axis=1)
        expected /= np.where(lengths == 0, 1, lengths)
    assert np.allclose(quantizer.scores(X[:7], codes, metric), expected, rtol=1e-4, atol=1e-4)


def test_the_error_falls_with_bytes():
    X = planted()
    errors = [error(PQ(parts, bits=6, max_iter=8).fit(X), X) for parts in (2, 4, 8, 24)]
    assert all(b < a for a, b in itertools.pairwise(errors))


def test_the_error_is_that_of_faiss():
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(1)
    X = planted(8192, 32)
    peer = faiss.ProductQuantizer(32, 8, 7)
    peer.train(X)
    theirs = float(((peer.decode(peer.compute_codes(X)) - X) ** 2).sum(1).mean())
    assert_at_most(error(PQ(8, bits=7).fit(X), X) / theirs, 1.02, "error relative to faiss")


def test_training_has_the_same_bits_at_any_number_of_threads():
    X = planted()
    first = PQ(6, bits=5, n_jobs=1).fit(X)
    for jobs in (2, 3):
        again = PQ(6, bits=5, n_jobs=jobs).fit(X)
        assert np.array_equal(again.codebooks_, first.codebooks_)
        assert np.array_equal(again.transform(X), first.transform(X))


def test_another_seed_gives_other_codebooks():
    X = planted()
    assert not np.array_equal(
        PQ(6, bits=5).fit(X).codebooks_, PQ(6, bits=5, random_state=1).fit(X).codebooks_
    )


def test_every_codeword_is_in_use_after_training():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(0, 0.01, (900, 2)), rng.normal(50, 0.01, (100, 2))])
    quantizer = PQ(1, bits=5).fit(X.astype(np.float32))
    assert len(np.unique(np.asarray(quantizer.transform(X.astype(np.float32))))) == 32


def test_fewer_rows_than_codewords_are_kept_exactly_with_a_warning():
    X = planted(40, 8)
    with pytest.warns(UserWarning, match="40 rows cannot fill 256 codewords"):
        quantizer = PQ(2).fit(X)
    assert error(quantizer, X) < 1e-10


def test_constant_rows_cost_nothing_and_give_no_nan():
    X = np.full((300, 8), 3.25, np.float32)
    quantizer = PQ(2, bits=4).fit(X)
    assert np.array_equal(quantizer.inverse_transform(quantizer.transform(X)), X)


def test_a_count_that_does_not_divide_is_refused_with_the_divisors():
    with pytest.raises(vl.ShapeError, match=r"divide the dimension 24; got 7.*1, 2, 3, 4, 6, 8"):
        PQ(7).fit(planted())


@pytest.mark.parametrize("bits", [0, 9, 2.5, True, "8"])
def test_bits_beyond_a_byte_are_refused(bits: object):
    with pytest.raises(vl.ParameterError, match="bits must be"):
        PQ(4, bits=bits).fit(planted())


def test_nan_is_refused():
    X = planted()
    X[3, 3] = np.nan
    with pytest.raises(vl.ParameterError, match="NaN"):
        PQ(4).fit(X)


def test_the_default_takes_about_eight_dimensions_a_part():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert PQ(bits=4).fit(planted()).codebooks_.shape == (3, 16, 8)


def test_codebooks_of_another_width_are_refused_by_the_core():
    with pytest.raises(vl.ShapeError, match="width"):
        _core.pq_encode(planted(10), np.zeros((6, 16, 5), np.float32), 1)
