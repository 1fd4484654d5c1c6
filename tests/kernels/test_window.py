# SPDX-License-Identifier: Apache-2.0
"""Training windows: a case by hand, and each CPU level against float64."""

from __future__ import annotations

import numpy as np
import pytest

from vectorloom import _core


def rows(n, dim, seed=None):
    matrix = _core.row_matrix(n, dim)
    if seed is not None:
        matrix[:, :dim] = np.random.default_rng(seed).normal(size=(n, dim)) / dim**0.5
    return matrix


def expected(x, y, labels, rates):
    x, y = x.astype(np.float64), y.astype(np.float64)
    g = rates[:, None] * (labels[None] - 1 / (1 + np.exp(-(x @ y.T))))
    return g, x + g @ y, y + g.T @ x


def test_one_pair_by_hand(level: str):
    x, y = rows(1, 2), rows(1, 2)
    x[0, :2], y[0, :2] = [1.0, 0.0], [0.0, 2.0]  # dot 0, sigmoid 1/2
    g = _core.kernels.window_step(level, x, y, None, np.array([0.5], np.float32))
    np.testing.assert_allclose(g, [0.25], rtol=1e-6)
    np.testing.assert_allclose(x[0, :2], [1.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(y[0, :2], [0.25, 2.0], rtol=1e-6)


@pytest.mark.parametrize("m", [1, 2, 3, 5, 6, 7, 8])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 13])
@pytest.mark.parametrize("given", [False, True])
def test_a_window_is_the_formula(level, m, n, given):
    rng = np.random.default_rng(m * 100 + n)
    x, y = rows(m, 100, seed=1), rows(n, 100, seed=2)
    rates = rng.uniform(0.01, 0.05, size=m).astype(np.float32)
    labels = rng.integers(0, 2, size=n).astype(np.float32) if given else None
    truth = labels if given else np.arange(n) == 0
    g, after_x, after_y = expected(x, y, np.asarray(truth, float), rates)
    got = _core.kernels.window_step(level, x, y, labels, rates).reshape(m, n)
    np.testing.assert_allclose(got, g, atol=1e-7, rtol=1e-4)
    # Inputs beyond a block see outputs that the block before moved, by the square of the rate.
    np.testing.assert_allclose(x, after_x, atol=3e-3)
    np.testing.assert_allclose(y, after_y, atol=3e-6)
    if m <= 5:
        np.testing.assert_allclose(x, after_x, atol=3e-6)


@pytest.mark.parametrize("dim", [1, 15, 16, 17, 33, 300])
def test_padding_stays_zero(level, dim):
    x, y = rows(3, dim, seed=1), rows(6, dim, seed=2)
    _core.kernels.window_step(level, x, y, None, np.full(3, 0.1, np.float32))
    assert not x[:, dim:].any()
    assert not y[:, dim:].any()


def test_large_scores_saturate_without_nan(level):
    x, y = rows(1, 16), rows(2, 16)
    x[:], y[0], y[1] = 100.0, 100.0, -100.0
    g = _core.kernels.window_step(level, x, y, None, np.ones(1, np.float32))
    np.testing.assert_allclose(g, [0.0, 0.0], atol=1e-6)


def test_bags_move_each_row_by_its_weight(level):
    x = rows(3, 20, seed=4)
    before = x.astype(np.float64)
    _core.kernels.window_bag(level, x, 0.5, np.array([1, 2, 0], np.float32))
    total = 0.5 * before.sum(axis=0)
    np.testing.assert_allclose(x, before + np.array([[1], [2], [0]]) * total, atol=1e-6)


@pytest.mark.parametrize("n", [1, 6, 11])
@pytest.mark.parametrize("dim", [1, 16, 33, 100])
def test_a_pull_moves_the_input_alone(level, n, dim):
    x, y = rows(1, dim, seed=1), rows(n, dim, seed=2)
    g = np.random.default_rng(3).normal(size=n).astype(np.float32)
    before, others = x.astype(np.float64), y.copy()
    _core.kernels.window_pull(level, x, y, g)
    np.testing.assert_allclose(x, before + g.astype(np.float64) @ others, atol=1e-5)
    np.testing.assert_array_equal(y, others)
    assert not x[:, dim:].any()
