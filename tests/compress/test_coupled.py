# SPDX-License-Identifier: Apache-2.0
"""Coupled channels: which share a codebook, and what that gains."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.compress.test_pq import error

import vectorloom as vl
from vectorloom.compress import CoupledChannels
from vectorloom.compress.codebook.coupled import correlated_groups, coupling_gain


def twins(n: int = 3000, pairs: int = 6, noise: float = 0.1) -> np.ndarray:
    """Channel i and channel i + pairs nearly the same."""
    rng = np.random.default_rng(0)
    half = rng.standard_normal((n, pairs))
    other = half + noise * rng.standard_normal((n, pairs))
    return np.concatenate([half, other], axis=1).astype(np.float32)


def test_correlated_channels_share_a_codebook():
    groups = correlated_groups(twins(), 2).reshape(-1, 2)
    assert all(b == a + 6 for a, b in groups)


def test_the_gain_is_the_mutual_information_of_the_bins():
    uniform = np.tile(np.arange(16, dtype=np.float32), 100)
    same = np.stack([uniform, uniform], axis=1)  # 4 bits each, 4 together: 4 shared, 2 a channel
    assert coupling_gain(same, 2, 0) == pytest.approx(2.0)
    grid = np.stack(np.meshgrid(np.arange(16), np.arange(16)), -1).reshape(-1, 2)
    assert coupling_gain(grid.astype(np.float32), 2, 0) == pytest.approx(0.0, abs=1e-9)


def test_the_error_falls_as_more_channels_are_coupled_at_the_same_bits():
    X = twins(noise=0.3)
    errors = [error(CoupledChannels(c, bits=2).fit(X), X) for c in (1, 2, 4)]
    assert all(b < a for a, b in itertools.pairwise(errors))
    assert len({CoupledChannels(c, bits=2).fit(X).bytes_per_vector_ for c in (1, 2, 4)}) == 1


def test_coupling_by_correlation_beats_coupling_neighbours():
    X = twins()
    likes = error(CoupledChannels(2, bits=2).fit(X), X)
    neighbours = error(CoupledChannels(2, bits=2, grouping="adjacent").fit(X), X)
    assert likes < 0.7 * neighbours


def test_the_diagnostic_tells_when_coupling_pays():
    rng = np.random.default_rng(1)
    alone = CoupledChannels(2, bits=2).fit(rng.standard_normal((3000, 8)).astype(np.float32))
    assert CoupledChannels(2, bits=2).fit(twins()).coupling_gain_ > alone.coupling_gain_ + 0.5


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_scores_are_those_of_decoded_rows(metric: str):
    X = twins(500)
    quantizer = CoupledChannels(4, bits=1).fit(X)
    codes = quantizer.transform(X)
    expected = vl.compress.compressor.dense_scores(
        X[:5], quantizer.inverse_transform(codes), metric
    )
    assert np.allclose(quantizer.scores(X[:5], codes, metric), expected, rtol=1e-4, atol=1e-4)


def test_more_than_a_byte_a_group_is_refused():
    with pytest.raises(vl.ParameterError, match="coupled \\* bits must be at most 8"):
        CoupledChannels(4, bits=3).fit(twins(300))


def test_a_group_that_does_not_divide_is_refused():
    with pytest.raises(vl.ShapeError, match="divide the dimension 12; got 5"):
        CoupledChannels(5).fit(twins(300))
