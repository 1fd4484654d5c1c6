# SPDX-License-Identifier: Apache-2.0
"""What samples say of more rows: the laws give back what follows them, and bend to no noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vectorloom.tune import laws
from vectorloom.tune.measuring import upper_quantile

SIZES = [5000, 20_000, 80_000]


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        ("scan", lambda n: 2e-5 + 3e-9 * n),
        ("ivf", lambda n: 4e-7 * n**0.6),
        ("graph", lambda n: 1e-5 + 5e-6 * np.log2(n)),
    ],
)
def test_what_follows_a_law_is_foretold(kind: str, law) -> None:
    got = laws.seconds_at(kind, SIZES, [law(n) for n in SIZES], 1_000_000)
    assert got == pytest.approx(law(1_000_000), rel=1e-6)


def test_from_one_size_the_law_alone_decides() -> None:
    assert laws.seconds_at("scan", [1000], [1e-3], 8000) == pytest.approx(8e-3)
    assert laws.seconds_at("ivf", [1000], [1e-3], 9000) == pytest.approx(3e-3)
    assert laws.seconds_at("graph", [1024], [1e-3], 1024**2) == pytest.approx(2e-3)


def test_what_a_call_takes_anyway_does_not_grow() -> None:
    for kind, times in (("scan", 8), ("ivf", 8**0.5), ("graph", 13 / 10)):
        got = laws.seconds_at(kind, [1024], [1e-4], 8192, fixed=4e-5)
        assert got == pytest.approx(4e-5 + 6e-5 * times)


@given(st.lists(st.floats(1e-6, 1e-2), min_size=2, max_size=2), st.sampled_from(["scan", "graph"]))
def test_more_rows_never_take_less_time(seconds: list[float], kind: str) -> None:
    near = laws.seconds_at(kind, SIZES[:2], seconds, 100_000)
    far = laws.seconds_at(kind, SIZES[:2], seconds, 1_000_000)
    assert far >= near > 0


def test_quality_at_one_effort_never_rises_with_rows() -> None:
    assert laws.quality_at(SIZES, [0.9, 0.92, 0.94], 10**6) <= 0.93
    falling = laws.quality_at(SIZES, [0.99, 0.98, 0.96], 10**6)
    assert 0.8 < falling < 0.96


def test_bytes_are_a_line() -> None:
    assert laws.bytes_at([100, 300], [5100, 7100], 1000) == pytest.approx(14_100, abs=1)
    assert laws.bytes_at([100], [5000], 1000) == 50_000


def test_the_upper_end_of_a_quantile_is_above_it() -> None:
    values = np.random.default_rng(0).exponential(size=500)
    got, high = upper_quantile(values)
    assert got == np.sort(values)[474]
    assert high == np.sort(values)[474 + 10]
    assert upper_quantile(np.array([3.0])) == (3.0, 3.0)
