# SPDX-License-Identifier: Apache-2.0
"""SDC: quantiles that are matched, the gradient, the spread it promises."""

from __future__ import annotations

import numpy as np
import pytest
from tests.gradients import assert_gradients
from tests.laws import assert_at_least

import vectorloom as vl
from vectorloom.compress.binary.sdc import calibrated_similarities, similarity_loss


def labelled(n: int = 800, dim: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return classes that are near each other: a common direction makes all cosines alike."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 8, n)
    centres = np.random.default_rng(99).standard_normal((8, dim))
    X = centres[y] + 1.2 * rng.standard_normal((n, dim))
    return X.astype(np.float32), y


def test_targets_keep_the_order_and_take_the_quantiles():
    # By hand: three pairs, cosines in the order (0,1) > (0,2) > (1,2); uniform quantiles of
    # [-1, 1] at 1/6, 3/6, 5/6 are -2/3, 0, 2/3.
    X = np.array([[1.0, 0.0], [0.9, 0.4], [0.1, -1.0]])
    targets = calibrated_similarities(X, 1.0)
    expected = np.array([[0, 2, 0], [2, 0, -2], [0, -2, 0]]) / 3
    assert np.allclose(targets, expected)


def test_a_beta_target_has_the_moments_of_the_distribution():
    X = np.random.default_rng(0).standard_normal((80, 16))
    targets = calibrated_similarities(X, 5.0)[np.triu_indices(80, 1)]
    # Beta(5, 5) on [-1, 1]: mean 0, variance 4 · 25 / (10² · 11) = 1 / 11.
    assert abs(targets.mean()) < 1e-9
    assert targets.var() == pytest.approx(1 / 11, rel=0.01)


def test_without_calibration_targets_are_the_cosines():
    X = np.random.default_rng(0).standard_normal((6, 4))
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    expected = unit @ unit.T - np.eye(6)
    assert np.allclose(calibrated_similarities(X, None), expected)


def test_gradient_is_the_numerical_one():
    rng = np.random.default_rng(0)
    params = {"W": rng.standard_normal((3, 4)), "c": rng.standard_normal(3)}
    X = rng.standard_normal((5, 4))
    targets = calibrated_similarities(X, 2.0)
    _, grads = similarity_loss(params, X, targets)
    assert_gradients(lambda: similarity_loss(params, X, targets)[0], params, grads)


def test_calibration_widens_the_range_of_code_similarities():
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((600, 48)) / np.sqrt(np.arange(1, 49))).astype(np.float32)
    ranges = {}
    for calibration in ("none", "uniform"):
        sdc = vl.compress.SDC(48, calibration=calibration, n_epochs=20, learning_rate=0.02).fit(X)
        ranges[calibration] = float(np.ptp(sdc.code_similarity_range_))
    assert_at_least(ranges["uniform"], ranges["none"] + 0.2, "range of code similarities")


def test_training_lowers_the_loss():
    losses = vl.compress.SDC(16).fit(labelled()[0]).losses_
    assert losses[-1] < losses[0]


def mean_precision(scores: np.ndarray, relevant: np.ndarray) -> float:
    hits = np.take_along_axis(relevant, np.argsort(-scores, axis=1, kind="stable"), axis=1)
    precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return float(((precision * hits).sum(axis=1) / hits.sum(axis=1)).mean())


def test_categories_are_found_better_than_by_random_projections():
    X, y = labelled()
    Q, z = labelled(100, seed=1)
    relevant = z[:, None] == y
    sdc = vl.compress.SDC(16).fit(X)
    random = np.random.default_rng(0).standard_normal((32, 16))
    bits, query_bits = (np.where((v - X.mean(axis=0)) @ random > 0, 1, -1) for v in (X, Q))
    learned = mean_precision(-sdc.hamming(sdc.transform(Q), sdc.transform(X)), relevant)
    drawn = mean_precision(query_bits @ bits.T, relevant)
    assert_at_least(learned, drawn + 0.1, "mean average precision, against random hyperplanes")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_bits": 33}, "at most the 32 dimensions"),
        ({"calibration": "normal"}, "'beta', 'uniform', 'none'"),
        ({"concentration": 0.0}, "above 0"),
        ({"n_epochs": -1}, "at least 0"),
    ],
)
def test_bad_parameters_are_refused(params: dict, message: str):
    with pytest.raises(vl.ParameterError, match=message):
        vl.compress.SDC(**params).fit(labelled()[0])


def test_one_row_is_refused():
    with pytest.raises(vl.ParameterError, match="pairs of rows"):
        vl.compress.SDC(4).fit(np.ones((1, 8), np.float32))
