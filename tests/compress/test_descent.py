# SPDX-License-Identifier: Apache-2.0
"""Adam by hand, its invariances, and minibatches that visit every row once."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vectorloom.compress.descent import Adam, cosine_rate, minibatches
from vectorloom.errors import ParameterError, ShapeError


def test_two_steps_are_those_computed_by_hand() -> None:
    # Step 1: m̂ = g = 2, v̂ = g² = 4, so the change is 0.1 * 2 / 2 whatever the gradient's size.
    # Step 2 with g = 0.5: m = 0.9 * 0.2 + 0.05 = 0.23, m̂ = 0.23 / 0.19;
    #         v = 0.999 * 0.004 + 0.001 * 0.25 = 0.004246, v̂ = 0.004246 / 0.001999.
    params = {"w": np.array([1.0], dtype=np.float64)}
    adam = Adam(learning_rate=0.1)
    adam.step(params, {"w": np.array([2.0])})
    assert params["w"][0] == pytest.approx(0.9, abs=1e-8)
    adam.step(params, {"w": np.array([0.5])})
    second = 0.1 * (0.23 / 0.19) / math.sqrt(0.004246 / 0.001999)
    assert params["w"][0] == pytest.approx(0.9 - second, abs=1e-8)


def test_weight_decay_is_apart_from_the_gradient() -> None:
    params = {"w": np.array([2.0], dtype=np.float64)}
    Adam(learning_rate=0.1, weight_decay=0.5).step(params, {"w": np.array([1e6])})
    # 2 shrinks by 0.1 * 0.5 of itself, and moves by 0.1 as any first step does.
    assert params["w"][0] == pytest.approx(2 * 0.95 - 0.1, abs=1e-9)


def test_steps_do_not_change_when_the_loss_is_scaled(rng: np.random.Generator) -> None:
    start = rng.standard_normal((3, 4)).astype(np.float32)
    gradients = rng.standard_normal((5, 3, 4)).astype(np.float32)
    ends = []
    for scale in (1.0, 64.0):
        params = {"w": start.copy()}
        adam = Adam(learning_rate=0.01, eps=1e-12)
        for gradient in gradients:
            adam.step(params, {"w": gradient * np.float32(scale)})
        ends.append(params["w"])
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-5, atol=1e-6)


def test_parameters_move_in_place_keep_their_type_and_stay_without_a_gradient() -> None:
    moved = np.ones(3, dtype=np.float32)
    kept = np.ones(3, dtype=np.float32)
    Adam(learning_rate=0.5).step({"a": moved, "b": kept}, {"a": np.ones(3)})
    np.testing.assert_allclose(moved, 0.5, rtol=1e-6)
    np.testing.assert_array_equal(kept, 1.0)
    assert moved.dtype == np.float32


def test_a_given_rate_counts_for_its_step_only() -> None:
    params = {"w": np.zeros(1, dtype=np.float32)}
    adam = Adam(learning_rate=0.1)
    adam.step(params, {"w": np.ones(1, dtype=np.float32)}, learning_rate=0.01)
    assert params["w"][0] == pytest.approx(-0.01, rel=1e-5)
    adam.step(params, {"w": np.ones(1, dtype=np.float32)})
    assert params["w"][0] == pytest.approx(-0.11, rel=1e-5)


def test_a_quadratic_is_solved(rng: np.random.Generator) -> None:
    target = rng.standard_normal(6).astype(np.float32)
    params = {"w": np.zeros(6, dtype=np.float32)}
    adam = Adam(learning_rate=0.2)
    for step in range(300):
        rate = cosine_rate(step, 300, first=0.2)
        adam.step(params, {"w": 2 * (params["w"] - target)}, rate)
    np.testing.assert_allclose(params["w"], target, atol=1e-3)


def test_gradients_that_fit_no_parameter_move_nothing() -> None:
    params = {"w": np.zeros(2, dtype=np.float32)}
    adam = Adam()
    with pytest.raises(ParameterError, match="gradient of 'v'; parameters are w"):
        adam.step(params, {"w": np.ones(2), "v": np.ones(2)})
    with pytest.raises(ShapeError, match=r"shape \(3,\); its parameter has \(2,\)"):
        adam.step(params, {"w": np.ones(3)})
    np.testing.assert_array_equal(params["w"], 0)
    assert adam.n_steps == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0"),
        ({"learning_rate": math.nan}, "learning_rate must be a number above 0"),
        ({"betas": (0.9, 1.0)}, "betas must be two numbers"),
        ({"eps": 0.0}, "eps must be"),
        ({"weight_decay": -1.0}, "weight_decay must be"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Adam(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [0, 1, 7, 15, 16, 17, 31, 33, 63, 65, 97])
@pytest.mark.parametrize("size", [1, 4, 16, 100])
def test_an_epoch_visits_every_row_once(rng: np.random.Generator, n: int, size: int) -> None:
    batches = list(minibatches(n, size, rng))
    assert sorted(int(i) for batch in batches for i in batch) == list(range(n))
    assert all(len(batch) == size for batch in batches[:-1])
    if n >= size:
        assert all(size / 2 <= len(batch) < 1.5 * size for batch in batches)


def test_the_same_seed_gives_the_same_batches_and_epochs_differ() -> None:
    first = np.concatenate(list(minibatches(50, 8, np.random.default_rng(3))))
    rng = np.random.default_rng(3)
    again = np.concatenate(list(minibatches(50, 8, rng)))
    other = np.concatenate(list(minibatches(50, 8, rng)))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
