# SPDX-License-Identifier: Apache-2.0
"""Counter-based random numbers, and the half-precision conversions."""

from __future__ import annotations

import numpy as np
import pytest

from vectorloom import _core

kernels = _core.kernels

# kat_vectors of the Random123 distribution, philox4x32 with 10 rounds: counter, key, answer.
KNOWN_ANSWERS = [
    (
        [0x00000000] * 4,
        [0x00000000] * 2,
        [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8],
    ),
    (
        [0xFFFFFFFF] * 4,
        [0xFFFFFFFF] * 2,
        [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
    ),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(
    counter: list[int], key: list[int], answer: list[int]
) -> None:
    assert kernels.philox4x32(counter, key) == answer


def test_draws_are_the_words_of_successive_blocks() -> None:
    seed, stream, item = 0x0123456789ABCDEF, 5, 0x1122334455667788
    key = [seed & 0xFFFFFFFF, seed >> 32]
    want: list[int] = []
    for block in range(3):
        counter = [block, stream, item & 0xFFFFFFFF, item >> 32]
        want += kernels.philox4x32(counter, key)
    assert kernels.random_draws("uint32", seed, stream, item, 12).tolist() == want


def test_same_seed_gives_the_same_bits_at_any_thread_count() -> None:
    one = kernels.random_rows(7, 1, 300, 33, 1)
    for n_jobs in (2, 3, 8):
        np.testing.assert_array_equal(kernels.random_rows(7, 1, 300, 33, n_jobs), one)


def test_seeds_streams_and_items_are_unrelated() -> None:
    draws = [
        kernels.random_draws("uniform64", seed, stream, item, 2000)
        for seed, stream, item in ((1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1), (1, 0, 2**32))
    ]
    correlation = np.corrcoef(draws)
    off_diagonal = correlation[~np.eye(len(draws), dtype=bool)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(2000)


@pytest.mark.parametrize("what", ["uniform", "uniform64"])
def test_uniform_fills_the_half_open_unit_interval_evenly(what: str) -> None:
    x = kernels.random_draws(what, 3, 0, 0, 100_000)
    assert x.min() >= 0.0
    assert x.max() < 1.0
    counts, _ = np.histogram(x, bins=100, range=(0, 1))
    chi2 = ((counts - 1000) ** 2 / 1000).sum()
    assert chi2 < 99 + 5 * np.sqrt(2 * 99)


@pytest.mark.parametrize("bound", [1, 2, 7, 1000, 2**32 - 1, 2**32 + 1, 3 * 2**50])
def test_bounded_integers_are_even_over_the_range(bound: int) -> None:
    x = kernels.random_draws("below", 4, 0, 0, 70_000, bound)
    assert x.min() >= 0
    assert x.max() < bound
    bins = min(bound, 7)
    counts, _ = np.histogram(x, bins=bins, range=(0, bound))
    width = np.diff(np.ceil(np.linspace(0, bound, bins + 1)))
    expected = 70_000 * width / bound
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < bins + 5 * np.sqrt(2 * bins)


def test_a_bound_of_three_quarters_shows_no_modulo_bias() -> None:
    # uint32 modulo 3 * 2**30 would give the first third of the range twice as often.
    x = kernels.random_draws("below", 5, 0, 0, 60_000, 3 * 2**30)
    counts, _ = np.histogram(x, bins=3, range=(0, 3 * 2**30))
    assert np.abs(counts - 20_000).max() < 6 * np.sqrt(20_000)


def test_normals_have_the_moments_of_the_standard_normal() -> None:
    x = kernels.random_rows(11, 0, 1000, 200, 2)
    n = x.size
    assert abs(x.mean()) < 5 / np.sqrt(n)
    assert abs((x**2).mean() - 1) < 5 * np.sqrt(2 / n)
    assert abs((x**3).mean()) < 5 * np.sqrt(15 / n)
    assert abs((x**4).mean() - 3) < 5 * np.sqrt(96 / n)
    assert np.isfinite(x).all()


def test_every_float16_widens_as_numpy_does() -> None:
    every = np.arange(65536, dtype=np.uint16)
    got = kernels.from_float16(every)
    want = every.view(np.float16).astype(np.float32)
    np.testing.assert_array_equal(got, want)
    assert kernels.from_float16(np.array([0x8000], np.uint16)).view(np.uint32)[0] == 0x80000000


def test_float16_narrows_as_numpy_does(rng: np.random.Generator) -> None:
    bits = rng.integers(0, 2**32, 200_000, dtype=np.uint32)
    # Around every half: the half itself, the ties and their neighbours.
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
    around = halves.view(np.uint32)[:, None] + np.array([-1, 0, 1, 0xFFF, 0x1000, 0x1001])
    x = np.concatenate([bits, around.astype(np.uint32).reshape(-1)]).view(np.float32)
    x = x[~np.isnan(x)]
    with np.errstate(over="ignore", under="ignore"):
        want = x.astype(np.float16).view(np.uint16)
    np.testing.assert_array_equal(kernels.to_float16(x), want)


def test_bfloat16_rounds_to_nearest_and_ties_to_even(rng: np.random.Generator) -> None:
    x = rng.integers(0, 2**32, 100_000, dtype=np.uint32)
    ties = (x & np.uint32(0xFFFF0000)) | np.uint32(0x8000)
    x = np.concatenate([x, ties]).view(np.float32)
    x = x[np.isfinite(x)]
    got = kernels.to_bfloat16(x)
    low = (x.view(np.uint32) >> 16).astype(np.uint16)
    rest = x.view(np.uint32) & np.uint32(0xFFFF)
    up = (rest > 0x8000) | ((rest == 0x8000) & (low % 2 == 1))
    np.testing.assert_array_equal(got, low + up.astype(np.uint16))


def test_halves_keep_nan_and_infinity() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 65519.0, 65520.0, 3.4e38], dtype=np.float32)
    wide = kernels.from_float16(kernels.to_float16(x))
    np.testing.assert_array_equal(wide, [np.nan, np.inf, -np.inf, 65504.0, np.inf, np.inf])
    brain = kernels.from_bfloat16(kernels.to_bfloat16(x[:3]))
    np.testing.assert_array_equal(brain, x[:3])
    sneaky = np.array([0x7F800001, 0xFF80FFFF, 0x7FFFFFFF], dtype=np.uint32).view(np.float32)
    assert np.isnan(kernels.from_bfloat16(kernels.to_bfloat16(sneaky))).all()
    assert np.isnan(kernels.from_float16(kernels.to_float16(sneaky))).all()


def test_bfloat16_widening_is_a_shift() -> None:
    every = np.arange(65536, dtype=np.uint16)
    got = kernels.from_bfloat16(every).view(np.uint32)
    np.testing.assert_array_equal(got, every.astype(np.uint32) << np.uint32(16))
