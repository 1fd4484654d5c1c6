# SPDX-License-Identifier: Apache-2.0
"""The nearest kernels, seen through `assign`: each level gives the float64 answer on ugly sizes.

Kernels only propose; what they must not do is lose the nearest centroid. Sizes straddle the 16
lanes of a line, the 32 rows of a block, the 480 rows of a task, the 256 positions of a chunk and
the 12 rows of a register block; dimensions a group of four and the limit between the kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from vectorloom import _core

Array = np.ndarray[Any, Any]

ROWS = (1, 3, 13, 33, 481)
CENTROIDS = (1, 5, 31, 33, 65, 257, 515)
DIMS = (1, 4, 7, 16, 17, 65)


@pytest.fixture
def at_level(level: str) -> Iterator[str]:
    active = _core.simd_level()
    _core.set_simd_level(level)
    yield level
    _core.set_simd_level(active)


def nearest(X: Array, C: Array) -> tuple[Array, Array]:
    squared = ((X[:, None].astype(np.float64) - C[None].astype(np.float64)) ** 2).sum(axis=2)
    return squared.argmin(axis=1), squared.min(axis=1)


@pytest.mark.usefixtures("at_level")
@pytest.mark.parametrize("dim", DIMS)
def test_assign_is_exact_at_each_level_on_ugly_sizes(dim: int, rng: np.random.Generator) -> None:
    for n in ROWS:
        for k in CENTROIDS:
            X = rng.standard_normal((n, dim)).astype(np.float32)
            C = rng.standard_normal((k, dim)).astype(np.float32)
            labels, squared = _core.assign(X, C, 1)
            expected, distances = nearest(X, C)
            np.testing.assert_array_equal(labels, expected)
            np.testing.assert_allclose(squared, distances, rtol=1e-6)


@pytest.mark.usefixtures("at_level")
@pytest.mark.parametrize("dim", [3, 8, 24])
def test_near_ties_are_settled_in_float64(dim: int, rng: np.random.Generator) -> None:
    """Centroids closer to one another than int8 codes or float32 products can tell."""
    C = np.repeat(rng.standard_normal((20, dim)), 4, axis=0)
    C = (C + 1e-6 * rng.standard_normal(C.shape)).astype(np.float32)
    X = rng.standard_normal((300, dim)).astype(np.float32)
    np.testing.assert_array_equal(_core.assign(X, C)[0], nearest(X, C)[0])
    exact: Array = np.concatenate([C, C])  # equal centroids: the lower number
    np.testing.assert_array_equal(_core.assign(X, exact)[0], nearest(X, C)[0])


@pytest.mark.usefixtures("at_level")
@pytest.mark.parametrize("dim", [8, 24])
@pytest.mark.parametrize("spread", [1e-4, 1e4, 1e9])
def test_centroids_far_from_the_rows_or_on_them_lose_nothing(
    dim: int, spread: float, rng: np.random.Generator
) -> None:
    X = (rng.standard_normal((200, dim)) + 3).astype(np.float32)
    X[:5] = 3
    C = (spread * rng.standard_normal((70, dim)) + 3).astype(np.float32)
    np.testing.assert_array_equal(_core.assign(X, C)[0], nearest(X, C)[0])


@pytest.mark.usefixtures("at_level")
@pytest.mark.parametrize(("dim", "k"), [(3, 40), (8, 300), (40, 100)])
def test_bounds_kept_over_iterations_lose_nothing(dim: int, k: int) -> None:
    X = np.random.default_rng(8).standard_normal((1500, dim)).astype(np.float32)
    for iterations in (2, 5, 9):
        centers, labels, *_ = _core.kmeans(X, k, "random", iterations)
        np.testing.assert_array_equal(labels, nearest(X, centers)[0])
