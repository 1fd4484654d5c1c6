# SPDX-License-Identifier: Apache-2.0
"""Low-rank vector quantization: bases, the rank it picks, its limits."""

from __future__ import annotations

import numpy as np
import pytest
from tests.compress.test_pq import error, planted

import vectorloom as vl
from vectorloom.compress import PQ, LowRankVQ


def lines(n: int = 1000, parts: int = 3, m: int = 4, rank: int = 1) -> np.ndarray:
    """Each sub-vector in a subspace of `rank` dimensions, off the origin."""
    rng = np.random.default_rng(0)
    blocks = [rng.standard_normal((n, rank)) @ rng.standard_normal((rank, m)) for _ in range(parts)]
    return (np.concatenate(blocks, axis=1) + 2).astype(np.float32)


def test_a_case_worked_by_hand():
    X = np.array([[-2, -2], [-2, -2], [2, 2], [2, 2]], np.float32) + 1
    quantizer = LowRankVQ(k=2, m=2, d=1).fit(X)
    assert np.allclose(np.abs(quantizer.bases_[0, :, 0]), np.sqrt(0.5), atol=1e-6)
    assert np.allclose(np.sort(quantizer.codebooks_[0, :, 0]), [-np.sqrt(8), np.sqrt(8)])
    assert np.allclose(quantizer.inverse_transform(quantizer.transform(X)), X, atol=1e-6)


@pytest.mark.parametrize("rank", [1, 2])
def test_the_rank_of_the_data_is_found(rank: int):
    assert LowRankVQ(k=64, m=4).fit(lines(rank=rank)).d_ == rank


def test_the_rank_is_judged_by_rows_that_the_codebooks_were_not_fitted_to():
    """300 rows, 256 codewords: more dimensions fit these rows better, and others worse."""
    spread = np.geomspace(1, 0.3, 16)
    X = (np.random.default_rng(0).standard_normal((3300, 16)) * spread).astype(np.float32)
    ours = LowRankVQ(k=256, m=16).fit(X[:300])
    full = LowRankVQ(k=256, m=16, d=16).fit(X[:300])
    assert ours.d_ < 16
    assert error(ours, X[300:]) < 0.95 * error(full, X[300:])


def test_a_full_rank_is_product_quantization():
    X = planted(4000)
    ours = error(LowRankVQ(k=64, m=8, d=8).fit(X), X)
    assert ours == pytest.approx(error(PQ(3, bits=6).fit(X), X), rel=0.03)


def test_bases_are_orthonormal():
    bases = LowRankVQ(k=16, m=8, d=3).fit(planted(500)).bases_
    assert np.allclose(np.einsum("pmd,pme->pde", bases, bases), np.eye(3), atol=1e-5)


def test_bytes_are_set_by_m_and_not_by_d():
    X = planted(500)
    sizes = {LowRankVQ(k=16, m=4, d=d).fit(X).bytes_per_vector_ for d in (1, 2, 4)}
    assert sizes == {3}


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_scores_are_those_of_decoded_rows(metric: str):
    X = planted(500)
    quantizer = LowRankVQ(k=16, m=4, d=2).fit(X)
    codes = quantizer.transform(X)
    expected = vl.compress.compressor.dense_scores(
        X[:5], quantizer.inverse_transform(codes), metric
    )
    assert np.allclose(quantizer.scores(X[:5], codes, metric), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("k", [1, 3, 512])
def test_other_counts_of_codewords_are_refused(k: int):
    with pytest.raises(vl.ParameterError, match="k must be"):
        LowRankVQ(k=k, m=4).fit(planted(600))


def test_more_dimensions_than_a_part_has_are_refused():
    with pytest.raises(vl.ParameterError, match="d must be at most m = 4; got 5"):
        LowRankVQ(k=16, m=4, d=5).fit(planted(300))
