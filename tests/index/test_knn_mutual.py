# SPDX-License-Identifier: Apache-2.0
"""The neighbour graph multiplies a pair once for both of its rows; n searches are the truth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from vectorloom import _core
from vectorloom.index.dense.screen import build_screen

LEVELS = [*_core.simd_levels()] + (["amx_model"] if "avx512_bf16" in _core.simd_levels() else [])


@pytest.fixture(params=LEVELS)
def active_level(request: pytest.FixtureRequest) -> Iterator[str]:
    before = _core.simd_level()
    _core.set_simd_level(request.param)
    yield request.param
    _core.set_simd_level(before)


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
@pytest.mark.parametrize(("n", "dim", "k"), [(40, 5, 3), (1000, 17, 10), (1500, 130, 33)])
def test_mutual_products_give_the_graph_of_single_searches(
    active_level: str, metric: str, n: int, dim: int, k: int
) -> None:
    rng = np.random.default_rng([n, dim])
    x = rng.standard_normal((n, dim)) * rng.uniform(0.1, 3.0, dim) + 0.3
    x[n // 2 : n // 2 + n // 4] = x[: n // 4]  # equal rows: ties
    rows = _core.Rows(x.astype(np.float32), "float32")
    norms = _core.norms(rows)
    want = _core.exact_knn_graph(rows, norms, None, metric, k)
    screen = build_screen(rows, norms, metric)
    for n_jobs in (1, 2, 3):
        got = _core.exact_knn_graph(rows, norms, screen, metric, k, n_jobs=n_jobs)
        np.testing.assert_array_equal(got[0], want[0])
        np.testing.assert_array_equal(got[1], want[1])


def test_rows_of_very_different_length_find_their_neighbours() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((1200, 40)) * 10.0 ** rng.uniform(-6, 6, (1200, 1))
    rows = _core.Rows(x.astype(np.float32), "float32")
    norms = _core.norms(rows)
    for metric in ("cosine", "ip", "l2"):
        want = _core.exact_knn_graph(rows, norms, None, metric, 7)
        got = _core.exact_knn_graph(rows, norms, build_screen(rows, norms, metric), metric, 7)
        np.testing.assert_array_equal(got[0], want[0])
