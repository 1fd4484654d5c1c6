# SPDX-License-Identifier: Apache-2.0
"""Sums of table entries at every CPU level: the same bits as additions in order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from vectorloom import _core


@pytest.fixture
def at_level(level: str) -> Iterator[str]:
    """Run the test at one level of this host and go back to the best afterwards."""
    before = _core.simd_level()
    _core.set_simd_level(level)
    yield level
    _core.set_simd_level(before)


def packed(codes: np.ndarray, bits: int) -> np.ndarray:
    """Rows of numbers as bits, low bits first."""
    planes = (codes[:, :, None] >> np.arange(bits)) & 1
    return np.packbits(planes.reshape(len(codes), -1).astype(np.uint8), axis=1, bitorder="little")


def in_order(tables: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Add the entries part by part in float32."""
    out = np.zeros((len(tables), len(codes)), np.float32)
    for part in range(codes.shape[1]):
        out += tables[:, part][:, codes[:, part]]
    return out


@pytest.mark.parametrize("bits", [1, 3, 4, 6, 7, 8])
@pytest.mark.parametrize("n_queries", [1, 2, 3, 9, 17])
def test_scores_add_entries_in_order(at_level: str, bits: int, n_queries: int):
    rng = np.random.default_rng(bits)
    codes = rng.integers(0, 1 << bits, (101, 13))
    tables = rng.standard_normal((n_queries, 13, 1 << bits)).astype(np.float32)
    got = _core.pq_scores(tables, packed(codes, bits), bits, 1)
    assert np.array_equal(got, in_order(tables, codes))


@pytest.mark.parametrize("n_parts", [1, 2, 4, 7, 96, 257, 300])
def test_byte_tables_stay_within_their_bound(at_level: str, n_parts: int):
    rng = np.random.default_rng(n_parts)
    codes = rng.integers(0, 16, (75, n_parts))
    tables = rng.standard_normal((6, n_parts, 16)).astype(np.float32)
    blocks = _core.pq_pack4(packed(codes, 4), n_parts)
    got, bound = _core.pq_scan4(tables, blocks, 75, 1)
    exact = tables.astype(np.float64)[:, np.arange(n_parts), codes.reshape(75, n_parts)].sum(-1)
    assert (np.abs(got - exact) <= bound[:, None] * (1 + 1e-3) + 1e-4).all()


def test_the_sum_of_largest_entries_does_not_overflow(at_level: str):
    n_parts = 300
    tables = np.zeros((1, n_parts, 16), np.float32)
    tables[:, :, 15] = 1.0
    codes = np.full((32, n_parts // 2), 0xFF, np.uint8)
    got, _ = _core.pq_scan4(tables, _core.pq_pack4(codes, n_parts), 32, 1)
    assert np.allclose(got, n_parts, rtol=1e-5)


@pytest.mark.parametrize("n", [1, 16, 31, 32, 33, 64, 65])
@pytest.mark.parametrize("n_parts", [1, 2, 5, 8])
def test_blocks_unpack_to_the_rows_they_hold(n: int, n_parts: int):
    rng = np.random.default_rng(n)
    rows = packed(rng.integers(0, 16, (n, n_parts)), 4)
    blocks = _core.pq_pack4(rows, n_parts)
    assert blocks.shape == ((n + 31) // 32, (n_parts + 3) // 4 * 64)
    assert np.array_equal(_core.pq_unpack4(blocks, n, n_parts), rows)


def test_the_layout_of_a_block_is_the_documented_one():
    rows = np.zeros((32, 1), np.uint8)
    rows[3], rows[19] = 0x21, 0x43  # parts 0 and 1: codes 1, 2 of row 3 and 3, 4 of row 19
    block = _core.pq_pack4(rows, 2)[0]
    assert block[3] == 0x31
    assert block[16 + 3] == 0x42


def test_the_number_of_threads_changes_no_bit():
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 256, (5000, 6)).astype(np.uint8)
    tables = rng.standard_normal((20, 6, 256)).astype(np.float32)
    assert np.array_equal(
        _core.pq_scores(tables, codes, 8, 1), _core.pq_scores(tables, codes, 8, 3)
    )


def test_codes_of_another_width_are_refused():
    with pytest.raises(ValueError, match="bytes"):
        _core.pq_scores(np.zeros((1, 4, 256), np.float32), np.zeros((3, 5), np.uint8), 8, 1)
