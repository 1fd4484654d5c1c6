# SPDX-License-Identifier: Apache-2.0
"""Integer levels in bit planes: exact sums at every CPU level, and the layout they assume."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vectorloom import _core
from vectorloom.errors import ParameterError, ShapeError

kernels = _core.kernels
Array = np.ndarray[Any, Any]

DIMS = (1, 2, 5, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 97, 127, 128, 129, 255, 257, 384, 700, 1030)
BITS = (8, 4, 2, 1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def levels_of(rng: np.random.Generator, n: int, dim: int, bits: int) -> Array:
    return rng.integers(0, 2**bits, (n, dim)).astype(np.uint8)


def test_the_layout_by_hand(level: str) -> None:
    five = np.array([[1, 2, 3, 4, 5]], np.uint8)
    # Three bytes: the first three elements below, the other two above.
    assert kernels.levels_pack(level, five, 4).tolist() == [[0x41, 0x52, 0x03]]
    # Two bytes: elements 0 and 1, then 2 and 3 two bits up, then 4 alone (levels 1 2 3 0 1).
    assert kernels.levels_pack(level, five & 3, 2).tolist() == [[0b01_11_01, 0b00_10]]
    assert kernels.levels_pack(level, five & 1, 1).tolist() == [[0b10101]]
    assert kernels.levels_pack(level, five, 8).tolist() == five.tolist()
    block = np.arange(256, dtype=np.uint8)[None, :] & 15
    packed = kernels.levels_pack(level, block[:, :128], 4)
    assert (packed & 15).tolist() == block[:, :64].tolist()
    assert (packed >> 4).tolist() == block[:, 64:128].tolist()


@pytest.mark.parametrize("bits", BITS)
def test_packing_is_the_same_at_every_level_and_comes_back(
    level: str, bits: int, rng: np.random.Generator
) -> None:
    for dim in DIMS:
        stored = levels_of(rng, 5, dim, bits)
        packed = kernels.levels_pack(level, stored, bits)
        assert packed.shape == (5, -(-dim * bits // 8))
        np.testing.assert_array_equal(packed, kernels.levels_pack("scalar", stored, bits))
        np.testing.assert_array_equal(kernels.levels_unpack(level, packed, bits, dim), stored)


def test_one_bit_is_numpys_little_order(level: str, rng: np.random.Generator) -> None:
    for dim in DIMS:
        stored = levels_of(rng, 3, dim, 1)
        want = np.packbits(stored, axis=1, bitorder="little")
        np.testing.assert_array_equal(kernels.levels_pack(level, stored, 1), want)


@pytest.mark.parametrize("bits", BITS)
def test_sums_are_exact_for_rows_in_order_and_listed(
    level: str, bits: int, rng: np.random.Generator
) -> None:
    for dim in DIMS:
        for n in (1, 3, 4, 9):
            stored = levels_of(rng, n, dim, bits)
            planes = kernels.levels_pack("scalar", stored, bits)
            for n_digits in (1, 2):
                digits = rng.integers(-128, 128, (n_digits, dim)).astype(np.int8)
                want = digits.astype(np.int64) @ stored.T.astype(np.int64)
                got = kernels.levels_dot(level, digits, planes, bits)
                np.testing.assert_array_equal(got, want)
                rows = rng.integers(0, n, 11)
                got = kernels.levels_dot(level, digits, planes, bits, rows)
                np.testing.assert_array_equal(got, want[:, rows])


@pytest.mark.parametrize("bits", BITS)
def test_the_largest_sums_fit(level: str, bits: int) -> None:
    dim = 65_536
    stored = np.full((1, dim), 2**bits - 1, np.uint8)
    planes = kernels.levels_pack(level, stored, bits)
    for value in (127, -127):
        digits = np.full((1, dim), value, np.int8)
        got = kernels.levels_dot(level, digits, planes, bits)
        assert int(got[0, 0]) == value * dim * (2**bits - 1)


@pytest.mark.parametrize("bits", BITS)
def test_a_plane_inside_wider_rows_is_read_alone(
    level: str, bits: int, rng: np.random.Generator
) -> None:
    for dim in (5, 97, 130):
        stored = levels_of(rng, 6, dim, bits)
        planes = kernels.levels_pack("scalar", stored, bits)
        wide = np.concatenate([planes, np.full((6, 9), 255, np.uint8)], axis=1)
        digits = rng.integers(-127, 128, (1, dim)).astype(np.int8)
        want = digits.astype(np.int64) @ stored.T.astype(np.int64)
        np.testing.assert_array_equal(kernels.levels_dot(level, digits, wide, bits), want)


def guarded(array: Array) -> Array:
    """The array moved to where its last byte is followed by memory that faults."""
    flat = kernels.guarded_copy(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    copy: Array = flat.view(array.dtype).reshape(array.shape)
    return copy


@pytest.mark.parametrize("bits", BITS)
def test_no_kernel_reads_past_the_last_row(level: str, bits: int, rng: np.random.Generator) -> None:
    for dim in (*range(1, 20), 33, 63, 65, 127, 129, 193, 257, 300, 520):
        stored = levels_of(rng, 3, dim, bits)
        planes = kernels.levels_pack(level, guarded(stored), bits)
        digits = rng.integers(-127, 128, (2, dim)).astype(np.int8)
        want = digits.astype(np.int64) @ stored.T.astype(np.int64)
        np.testing.assert_array_equal(
            kernels.levels_dot(level, digits, guarded(planes), bits), want
        )
        back = kernels.levels_unpack(level, guarded(planes), bits, dim)
        np.testing.assert_array_equal(back, stored)


def test_levels_are_chosen_with_the_same_bits_at_every_level(
    level: str, rng: np.random.Generator
) -> None:
    for dim in DIMS:
        x, mean = rng.standard_normal((2, dim)).astype(np.float32)
        inverse = rng.uniform(0.5, 2, dim).astype(np.float32)
        arguments = (x, mean, inverse, 3.0, 7.5, 15.0)
        got = kernels.levels_quantize(level, *arguments)
        want = kernels.levels_quantize("scalar", *arguments)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
        values = ((x - mean) * inverse).astype(np.float32)
        np.testing.assert_array_equal(got[0], values)
        chosen = np.clip(np.rint(values * np.float32(3) + np.float32(7.5)), 0, 15)
        np.testing.assert_array_equal(got[1], chosen)
        assert got[3:5] == (chosen.sum(), (chosen**2).sum())
        np.testing.assert_allclose(got[5], (chosen * values).sum(), rtol=1e-5, atol=1e-4)
        assert got[6:8] == (values.min(), values.max())


def test_halves_round_to_even(level: str) -> None:
    x = np.array([0.5, 1.5, 2.5, -3.0, 99.0], np.float32)
    zeros, ones = np.zeros(5, np.float32), np.ones(5, np.float32)
    got = kernels.levels_quantize(level, x, zeros, ones, 1.0, 0.0, 15.0)
    assert got[1].tolist() == [0, 2, 2, 0, 15]


def test_mismatched_arguments_are_refused() -> None:
    digits = np.ones((1, 9), np.int8)
    with pytest.raises(ShapeError, match="shorter"):
        kernels.levels_dot("scalar", digits, np.zeros((2, 4), np.uint8), 4)
    with pytest.raises(ParameterError, match="8, 4, 2 or 1"):
        kernels.levels_dot("scalar", digits, np.zeros((2, 9), np.uint8), 3)
    with pytest.raises(ParameterError, match="not a row"):
        kernels.levels_dot("scalar", digits, np.zeros((2, 9), np.uint8), 8, np.array([2]))
