# SPDX-License-Identifier: Apache-2.0
"""Running sums worth a look: a case by hand, and each CPU level against plain comparison."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vectorloom import _core


def test_places_and_maxima_by_hand(level: str) -> None:
    sums = np.zeros(128, np.uint16)
    sums[[3, 63, 64, 100]] = [7, 65535, 8, 32768]  # beyond the sign bit of 16
    places, maxima = _core.kernels.sums(level, sums, 8)
    assert places.tolist() == [63, 64, 100]
    assert maxima.tolist() == [65535, 32768]
    assert len(_core.kernels.sums(level, sums, 0)[0]) == 128
    assert _core.kernels.sums(level, sums[:0], 1)[0].tolist() == []


@pytest.mark.parametrize("n", [64, 128, 8192, 65536])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 1.0])
def test_every_level_gives_what_comparison_gives(level: str, n: int, share: float) -> None:
    sums = np.random.default_rng(n).integers(0, 65536, n).astype(np.uint16)
    least = int(np.quantile(sums, 1 - share)) if share else 65535
    places, maxima = _core.kernels.sums(level, sums, least)
    np.testing.assert_array_equal(places, np.flatnonzero(sums >= least))
    np.testing.assert_array_equal(maxima, sums.reshape(-1, 64).max(axis=1))


@given(st.lists(st.integers(0, 65535), min_size=64, max_size=64), st.integers(0, 65535))
@settings(max_examples=60, deadline=None)
def test_any_group_at_any_level(values: list[int], least: int) -> None:
    sums = np.array(values, np.uint16)
    for level in _core.simd_levels():
        places, maxima = _core.kernels.sums(level, sums, least)
        np.testing.assert_array_equal(places, np.flatnonzero(sums >= least))
        assert maxima[0] == max(values)
