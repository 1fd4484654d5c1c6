# SPDX-License-Identifier: Apache-2.0
"""The pair kernels: each level against exact arithmetic, and against the scalar level.

The error budget, which core/simd/pair/README.md derives; u = 2**-24, gamma(m) = m u / (1 - m u):

=====================  ==========================================================================
fast ip                gamma(ceil(dim / 32) + 6) * sum |q_i x_i|
fast l2                gamma(ceil(dim / 32) + 8) * sum (q_i - x_i)**2
exact ip               the same with u = 2**-53 and 16 lanes: gamma(ceil(dim / 16) + 4)
exact l2               gamma(ceil(dim / 16) + 7)
int8 by int8, Hamming  0
between levels         exact kernels, int8 by int8 and Hamming: equal bits
=====================  ==========================================================================
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from vectorloom import _core
from vectorloom.errors import ParameterError, ShapeError

kernels = _core.kernels

DIMS = (1, 7, 15, 16, 17, 31, 33, 63, 65, 97, 384, 1000)
KINDS = ("float32", "float16", "bfloat16", "int8", "uint8")
OPS = ("ip", "l2")
N_ROWS = 11
FAST_EXTRA = {"ip": 6, "l2": 8}
EXACT_EXTRA = {"ip": 4, "l2": 7}

Array = np.ndarray[Any, Any]


def gamma(m: int, u: float) -> float:
    return m * u / (1 - m * u)


def stored_and_values(
    kind: str, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[Array, Array]:
    """Rows as they are stored, and the float64 numbers they stand for."""
    if kind == "int8":
        stored = rng.integers(-128, 128, shape, dtype=np.int8)
        return stored, stored.astype(np.float64)
    if kind == "uint8":
        stored = rng.integers(0, 256, shape, dtype=np.uint8)
        return stored, stored.astype(np.float64)
    x = (rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(np.float32)
    if kind == "float32":
        return x, x.astype(np.float64)
    if kind == "float16":
        half = x.astype(np.float16)
        return half.view(np.uint16), half.astype(np.float64)
    brain = (x.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    values = (brain.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return brain, values.astype(np.float64)


def terms(op: str, query: Array, values: Array) -> Array:
    q = query.astype(np.float64)
    # Exact in float64 for ip; for l2 rounded once or twice, which EXACT_EXTRA counts.
    return q * values if op == "ip" else (q - values) ** 2


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("kind", KINDS)
def test_fast_kernels_stay_within_their_error_budget(
    level: str, kind: str, op: str, rng: np.random.Generator
) -> None:
    for dim in DIMS:
        query = rng.standard_normal(dim).astype(np.float32)
        stored, values = stored_and_values(kind, (N_ROWS, dim), rng)
        got = kernels.pair(level, op, kind, query, stored)
        each = terms(op, query, values)
        budget = gamma(math.ceil(dim / 32) + FAST_EXTRA[op], 2.0**-24)
        for j in range(N_ROWS):
            allowed = budget * math.fsum(np.abs(each[j]))
            assert abs(float(got[j]) - math.fsum(each[j])) <= allowed, (dim, j)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("kind", KINDS)
def test_exact_kernels_have_the_same_bits_at_every_level(
    level: str, kind: str, op: str, rng: np.random.Generator
) -> None:
    for dim in DIMS:
        query = rng.standard_normal(dim).astype(np.float32)
        stored, values = stored_and_values(kind, (N_ROWS, dim), rng)
        got = kernels.pair_exact(level, op, kind, query, stored)
        scalar = kernels.pair_exact("scalar", op, kind, query, stored)
        np.testing.assert_array_equal(got.view(np.uint64), scalar.view(np.uint64))
        each = terms(op, query, values)
        budget = gamma(math.ceil(dim / 16) + EXACT_EXTRA[op], 2.0**-53)
        for j in range(N_ROWS):
            allowed = budget * math.fsum(np.abs(each[j]))
            assert abs(float(got[j]) - math.fsum(each[j])) <= allowed, (dim, j)


def test_exact_kernel_adds_sixteen_lanes_in_the_documented_tree(
    level: str, rng: np.random.Generator
) -> None:
    for dim in DIMS:
        query = rng.standard_normal(dim).astype(np.float32)
        row = rng.standard_normal((1, dim)).astype(np.float32)
        lanes = np.zeros(16)
        products = query.astype(np.float64) * row[0].astype(np.float64)
        for i, product in enumerate(products):
            lanes[i % 16] += product
        for half in (8, 4, 2, 1):
            lanes[:half] += lanes[half : 2 * half]
        got = kernels.pair_exact(level, "ip", "float32", query, row)
        assert float(got[0]) == float(lanes[0]), dim


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_rows_gives_the_same_bits_as_the_rows_in_order(
    level: str, kind: str, rng: np.random.Generator
) -> None:
    for dim in (1, 17, 97, 384):
        query = rng.standard_normal(dim).astype(np.float32)
        stored, _ = stored_and_values(kind, (50, dim), rng)
        rows = rng.integers(0, 50, 133)
        for op in OPS:
            fast = kernels.pair(level, op, kind, query, stored)
            listed = kernels.pair(level, op, kind, query, stored, rows)
            np.testing.assert_array_equal(listed, fast[rows])
            exact = kernels.pair_exact(level, op, kind, query, stored)
            listed = kernels.pair_exact(level, op, kind, query, stored, rows)
            np.testing.assert_array_equal(listed, exact[rows])


@pytest.mark.parametrize("op", OPS)
def test_int8_by_int8_is_exact(level: str, op: str, rng: np.random.Generator) -> None:
    for dim in (*DIMS, 4096):
        query = rng.integers(-128, 128, dim, dtype=np.int8)
        rows = rng.integers(-128, 128, (N_ROWS, dim), dtype=np.int8)
        each = terms(op, query, rows.astype(np.float64)).sum(axis=1)
        np.testing.assert_array_equal(kernels.pair_int8(level, op, query, rows), each)
        picked = rng.integers(0, N_ROWS, 40)
        np.testing.assert_array_equal(
            kernels.pair_int8(level, op, query, rows, picked), each[picked]
        )


def test_int8_by_int8_is_exact_at_the_largest_sums(level: str) -> None:
    for value, other, dim in ((127, 127, 131_071), (-128, -128, 131_071), (-128, 127, 131_071)):
        query = np.full(dim, value, dtype=np.int8)
        rows = np.full((2, dim), other, dtype=np.int8)
        got = kernels.pair_int8(level, "ip", query, rows)
        np.testing.assert_array_equal(got, np.full(2, value * other * dim))
    query = np.full(33_025, -128, dtype=np.int8)
    rows = np.full((2, 33_025), 127, dtype=np.int8)
    got = kernels.pair_int8(level, "l2", query, rows)
    np.testing.assert_array_equal(got, np.full(2, 255 * 255 * 33_025))


def test_hamming_counts_the_differing_bits(level: str, rng: np.random.Generator) -> None:
    for n_bytes in (*DIMS, 2, 3, 8, 9, 24, 32, 40, 48, 64, 96, 104, 128, 129, 192):
        query = rng.integers(0, 256, n_bytes, dtype=np.uint8)
        rows = rng.integers(0, 256, (N_ROWS, n_bytes), dtype=np.uint8)
        want = np.unpackbits(rows ^ query, axis=1).sum(axis=1)
        np.testing.assert_array_equal(kernels.hamming(level, query, rows), want)
        picked = rng.integers(0, N_ROWS, 40)
        np.testing.assert_array_equal(kernels.hamming(level, query, rows, picked), want[picked])


def guarded(array: Array) -> Array:
    """The array moved to where its last byte is followed by memory that faults."""
    flat = kernels.guarded_copy(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    copy: Array = flat.view(array.dtype).reshape(array.shape)
    return copy


def test_no_kernel_reads_past_the_last_row_or_the_query(
    level: str, rng: np.random.Generator
) -> None:
    rows = np.array([2, 0, 1, 2], dtype=np.int64)
    for dim in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 97):
        query = rng.standard_normal(dim).astype(np.float32)
        for kind in KINDS:
            stored, _ = stored_and_values(kind, (3, dim), rng)
            for op in OPS:
                for kernel in (kernels.pair, kernels.pair_exact):
                    for positions in (None, rows):
                        want = kernel(level, op, kind, query, stored, positions)
                        got = kernel(level, op, kind, guarded(query), guarded(stored), positions)
                        np.testing.assert_array_equal(got, want)
        small = rng.integers(-128, 128, (4, dim), dtype=np.int8)
        for op in OPS:
            got = kernels.pair_int8(level, op, guarded(small[3]), guarded(small[:3]))
            np.testing.assert_array_equal(got, kernels.pair_int8("scalar", op, small[3], small[:3]))
        bits = small.view(np.uint8)
        got = kernels.hamming(level, guarded(bits[3]), guarded(bits[:3]))
        np.testing.assert_array_equal(got, kernels.hamming("scalar", bits[3], bits[:3]))


def test_rows_of_any_alignment_give_the_same_bits(level: str, rng: np.random.Generator) -> None:
    dim = 97
    query = rng.standard_normal(dim).astype(np.float32)
    rows = rng.standard_normal((5, dim)).astype(np.float32)
    want = kernels.pair(level, "ip", "float32", query, rows)
    for shift in (4, 8, 20, 60):
        memory = np.zeros(rows.nbytes + 128, dtype=np.uint8)
        moved = memory[shift : shift + rows.nbytes].view(np.float32).reshape(rows.shape)
        moved[:] = rows
        np.testing.assert_array_equal(kernels.pair(level, "ip", "float32", query, moved), want)


def test_no_rows_give_no_answers(level: str) -> None:
    query = np.ones(5, dtype=np.float32)
    rows = np.empty((0, 5), dtype=np.float32)
    assert kernels.pair(level, "l2", "float32", query, rows).shape == (0,)
    none = np.empty(0, dtype=np.int64)
    ones = np.ones((2, 5), dtype=np.float32)
    assert kernels.pair_exact(level, "ip", "float32", query, ones, none).shape == (0,)


def test_mismatched_arguments_are_refused() -> None:
    query = np.ones(5, dtype=np.float32)
    rows = np.ones((3, 6), dtype=np.float32)
    with pytest.raises(ShapeError, match="5 elements but rows have 6"):
        kernels.pair("scalar", "ip", "float32", query, rows)
    with pytest.raises(ParameterError, match="position 3"):
        kernels.pair("scalar", "ip", "float32", np.ones(6, np.float32), rows, np.array([0, 3]))
    with pytest.raises(ParameterError, match="not the size"):
        kernels.pair("scalar", "ip", "float16", np.ones(6, np.float32), rows)
    with pytest.raises(ParameterError, match="expected one of"):
        kernels.pair("sse9", "ip", "float32", query, rows)
