# SPDX-License-Identifier: Apache-2.0
"""BEBR: the ladder of signs, integer products over its planes, gradients, versions."""

from __future__ import annotations

import numpy as np
import pytest
from tests.gradients import assert_gradients, numerical_gradient
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress.binary.bebr import best_step, compatible_loss, ladder
from vectorloom.compress.binary.bits import hamming_distances
from vectorloom.compress.contrastive import contrast, cross_contrast, neighbour_targets


def vectors(n: int = 800, dim: int = 24, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, dim))
    X = centres[rng.integers(0, 20, n)] + 0.5 * rng.standard_normal((n, dim))
    return X.astype(np.float32)


def test_the_ladder_is_worked_by_hand():
    # 0.6: +1, rest -0.4: -1/2, rest 0.1: +1/4.   1 - 1/2 + 1/4 = 3/4
    assert ladder(np.array([0.6, -0.6, 3.0, 0.0]), 3).tolist() == [0.75, -0.75, 1.75, 0.25]


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8])
def test_signs_of_the_residuals_add_up_to_the_ladder(bits: int):
    bebr = vl.compress.BEBR(bits, n_components=13).fit(vectors())
    projected = bebr._project(vectors(seed=1))
    codes = bebr._pack(projected)
    assert codes.shape == (800, bits * 2)
    assert np.array_equal(bebr._unpack(codes), bebr._values(projected))


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_symmetric_products_are_the_sums_over_bit_planes(bits: int):
    bebr = vl.compress.BEBR(bits, n_components=20).fit(vectors())
    a, b = bebr.transform(vectors(30)), bebr.transform(vectors(40, seed=2))
    expected = np.zeros((30, 40), dtype=np.int64)
    for t in range(bits):
        for u in range(bits):
            planes = [np.asarray(c)[:, r * 3 : r * 3 + 3] for c, r in ((a, t), (b, u))]
            differ = hamming_distances(*(np.ascontiguousarray(p) for p in planes), 20)
            expected += 2 ** (2 * (bits - 1) - t - u) * (20 - 2 * differ.astype(np.int64))
    assert np.array_equal(bebr.symmetric_products(a, b), expected)


def test_one_bit_products_are_hamming_distances():
    bebr = vl.compress.BEBR(1).fit(vectors())
    codes = bebr.transform(vectors(50))
    products = bebr.symmetric_products(codes, codes)
    assert np.array_equal(products, 24 - 2 * bebr.hamming(codes, codes))


def test_symmetric_scores_are_cosines_of_the_values():
    bebr = vl.compress.BEBR(2).fit(vectors())
    codes = bebr.transform(vectors(30))
    values = bebr._unpack(np.asarray(codes))
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    assert np.abs(bebr.symmetric_scores(codes, codes) - unit @ unit.T).max() < 1e-5


def test_each_bit_cuts_the_error():
    X = vectors()
    errors = []
    for bits in (1, 2, 3, 4, 6):
        bebr = vl.compress.BEBR(bits).fit(X)
        errors.append(float(np.square(bebr.inverse_transform(bebr.transform(X)) - X).mean()))
    ratios = np.array(errors[1:]) / errors[:-1]
    # A finer uniform ladder of one bit more has about a quarter to a third of the error.
    assert_at_most(float(ratios.max()), 0.5, "error after another bit, against before")


def test_the_step_is_the_one_of_a_gaussian():
    # Max (1960): the best uniform quantizer of N(0, 1) with 4 levels has step 0.9957. Levels here
    # are s (-1.5, -0.5, 0.5, 1.5), so s is that step.
    normal = np.random.default_rng(0).standard_normal((2000, 50)).astype(np.float32)
    assert best_step(normal, 2) == pytest.approx(0.9957, rel=0.04)


def test_gradient_of_the_contrast_is_the_numerical_one():
    rng = np.random.default_rng(0)
    codes, fixed = rng.standard_normal((2, 6, 4))
    targets = neighbour_targets(rng.standard_normal((6, 5)), 0.5)
    _, gradient = contrast(codes, targets, 0.3)
    expected = numerical_gradient(lambda: contrast(codes, targets, 0.3)[0], codes)
    assert np.abs(gradient - expected).max() < 1e-6
    _, gradient = cross_contrast(codes, fixed, targets, 0.3)
    expected = numerical_gradient(lambda: cross_contrast(codes, fixed, targets, 0.3)[0], codes)
    assert np.abs(gradient - expected).max() < 1e-6


def test_gradient_of_the_map_is_the_numerical_one_where_signs_are_left_out():
    rng = np.random.default_rng(1)
    params = {"W": rng.standard_normal((4, 5)), "c": rng.standard_normal(4)}
    X, old = rng.standard_normal((6, 5)), rng.standard_normal((6, 4))
    _, grads = compatible_loss(params, X, old, 0, 0.4)
    assert_gradients(lambda: compatible_loss(params, X, old, 0, 0.4)[0], params, grads)


def test_signs_pass_the_gradient_through_within_reach_only():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((6, 5))
    params = {"W": np.eye(5)[:3], "c": np.array([0.0, 0.0, 100.0])}
    _, grads = compatible_loss(params, X, None, 2, 0.4)
    assert not grads["W"][2].any()  # far outside of the ladder
    assert grads["W"][0].any()


def test_training_lowers_the_contrastive_loss():
    losses = vl.compress.BEBR(1, n_epochs=6, learning_rate=1e-3).fit(vectors()).losses_
    assert losses[-1] < losses[0]


def recall(scores: np.ndarray, truth: np.ndarray) -> float:
    found = np.argsort(-scores, axis=1, kind="stable")[:, : truth.shape[1]]
    return float(np.mean([np.isin(f, t).mean() for f, t in zip(found, truth, strict=True)]))


def test_a_new_version_searches_the_old_versions_codes():
    rng = np.random.default_rng(0)
    new = vectors(1500)
    turn = np.linalg.qr(rng.standard_normal((24, 24)))[0]
    old = (new @ turn + 0.2 * rng.standard_normal(new.shape)).astype(np.float32)
    queries = new[1400:]
    truth = np.argsort(-queries @ new[:1400].T, axis=1)[:, :10]
    first = vl.compress.BEBR(3).fit(old[:700])
    stored = first.transform(old[:1400])  # never encoded again
    second = vl.compress.BEBR(3).fit_compatible(new[:700], first, old[:700])
    across = recall(second.scores(queries, stored, "cosine"), truth)
    without = recall(first.scores(queries, stored, "cosine"), truth)
    assert_at_least(across, without + 0.3, "recall of old codes, against queries as they are")
    # Old and new codes in one index: half of each.
    half = second.transform(new[700:1400])
    both = [second.scores(queries, part, "cosine") for part in (stored[:700], half)]
    assert_at_least(recall(np.concatenate(both, axis=1), truth), across - 0.1, "recall of a mix")
    assert vl.compress.BEBR(3).fit(new).compatible_with_ == ""


def test_a_compatible_fit_keeps_its_word_after_saving(tmp_path):
    old = vl.compress.BEBR(2).fit(vectors())
    new = vl.compress.BEBR(2).fit_compatible(vectors(), old, vectors())
    new.save(tmp_path / "new.vloom")
    codes = old.transform(vectors(20))
    opened = vl.open(tmp_path / "new.vloom")
    assert np.array_equal(opened.scores(vectors(3), codes), new.scores(vectors(3), codes))


def test_versions_that_do_not_fit_are_refused():
    old = vl.compress.BEBR(2).fit(vectors())
    with pytest.raises(vl.ParameterError, match="bits_per_dim=2"):
        vl.compress.BEBR(3).fit_compatible(vectors(), old, vectors())
    with pytest.raises(vl.ShapeError, match="same items"):
        vl.compress.BEBR(2).fit_compatible(vectors(10), old, vectors(11))
    other = vl.compress.BEBR(2).fit(vectors(seed=3))
    with pytest.raises(vl.ParameterError, match="another calibration"):
        old.scores(vectors(3), other.transform(vectors()))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bits_per_dim": 9}, "from 1 to 8"),
        ({"bits_per_dim": 0}, "at least 1"),
        ({"n_components": 25}, "at most the 24 dimensions"),
        ({"temperature": 0}, "above 0"),
    ],
)
def test_bad_parameters_are_refused(params: dict, message: str):
    with pytest.raises(vl.ParameterError, match=message):
        vl.compress.BEBR(**params).fit(vectors())
