# SPDX-License-Identifier: Apache-2.0
"""FlopsSparse: the penalty by hand, gradients, fewer operations for more weight."""

from __future__ import annotations

import numpy as np
import pytest
from tests.gradients import assert_gradients
from tests.laws import assert_at_least

import vectorloom as vl
from vectorloom.compress.contrastive import neighbour_targets
from vectorloom.compress.sparse.flops import flops_loss


def clusters(n: int = 800, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((20, 16))
    return (centres[rng.integers(0, 20, n)] + 0.4 * rng.standard_normal((n, 16))).astype(np.float32)


def test_the_penalty_is_worked_by_hand():
    # Codes (1, 0) and (0.6, 0.8): means 0.8 and 0.4, squares 0.64 + 0.16.
    X = np.array([[2.0, -1.0], [3.0, 4.0]])
    params = {"E": np.eye(2), "e": np.zeros(2)}
    _, penalty, _ = flops_loss(params, X, 1 - np.eye(2), 1.0, 1.0)
    assert penalty == pytest.approx(0.8)


def test_gradient_is_the_numerical_one():
    rng = np.random.default_rng(0)
    params = {"E": rng.standard_normal((7, 4)), "e": rng.standard_normal(7)}
    X = rng.standard_normal((6, 4))
    targets = neighbour_targets(X, 0.5)

    def whole() -> float:
        loss, penalty, _ = flops_loss(params, X, targets, 0.4, 2.5)
        return loss + 2.5 * penalty

    assert_gradients(whole, params, flops_loss(params, X, targets, 0.4, 2.5)[2])


def test_more_weight_costs_fewer_operations():
    flops = []
    for weight in (0.0, 3.0, 30.0):
        model = vl.compress.FlopsSparse(64, weight, n_epochs=15).fit(clusters())
        flops.append(model.flops_)
    assert flops[0] > flops[1] > flops[2]


def test_reported_operations_are_those_of_the_codes():
    X = clusters()
    model = vl.compress.FlopsSparse(64, 3.0, n_epochs=5).fit(X)
    codes = model.transform(X)
    active = (codes.toarray() > 0).mean(axis=0)
    assert model.mean_active_ == pytest.approx(np.diff(codes.indptr).mean())
    assert model.flops_ == pytest.approx(np.square(active).sum())
    # The mean number of common units of two rows drawn apart is the same thing.
    pairs = (codes.toarray() > 0).astype(float)
    assert model.flops_ == pytest.approx((pairs @ pairs.T).mean(), rel=1e-6)
    assert model.bytes_per_vector_ == int(np.ceil(8 * model.mean_active_))


def test_units_are_used_more_evenly_than_at_the_start():
    # Half of the units look away from all data: a penalty on p² spreads the work again.
    model = vl.compress.FlopsSparse(64, 3.0, n_epochs=15).fit(clusters())
    assert_at_least(model.uniformity_, 0.6, "uniformity")
    assert model.uniformity_ <= 1


def test_codes_have_length_one_or_are_zero():
    codes = vl.compress.FlopsSparse(64, 3.0, n_epochs=3).fit_transform(clusters())
    lengths = np.sqrt(np.asarray(codes.multiply(codes).sum(axis=1)).ravel())
    assert np.allclose(lengths[lengths > 0], 1, atol=1e-5)


def test_neighbours_stay_neighbours():
    X, queries = clusters(), clusters(60, seed=1)
    truth = np.argsort(-queries @ X.T, axis=1)[:, :10]
    model = vl.compress.FlopsSparse(64, 3.0, n_epochs=20).fit(X)
    found = np.argsort(-model.scores(queries, model.transform(X), "cosine"), axis=1)[:, :10]
    recall = np.mean([np.isin(f, t).mean() for f, t in zip(found, truth, strict=True)])
    assert_at_least(float(recall), 0.4, "recall at 10")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"flops_weight": -1.0}, "flops_weight at least 0"),
        ({"n_hidden": 0}, "at least 1"),
        ({"temperature": 0}, "above 0"),
    ],
)
def test_bad_parameters_are_refused(params: dict, message: str):
    with pytest.raises(vl.ParameterError, match=message):
        vl.compress.FlopsSparse(**params).fit(clusters(50))
