# SPDX-License-Identifier: Apache-2.0
"""CMOW: the gradient against differences, order, windows, bad settings."""

from __future__ import annotations

import numpy as np
import pytest

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.learn import CMOW

N, MEAN, RATE = 3, 2, 1e-3


def rows(means, matrices):
    found = _core.row_matrix(len(means), 16 + N * 16)
    found[:, :MEAN] = means
    found[:, 16:].reshape(len(means), N, 16)[:, :, :N] = matrices
    return found


def parts(found):
    return found[:, :MEAN], found[:, 16:].reshape(len(found), N, 16)[:, :, :N]


def hidden(means, matrices, text, left_out):
    others = [w for i, w in enumerate(text) if i != left_out]
    product = np.linalg.multi_dot([np.eye(N), *matrices[others], np.eye(N)])
    return np.concatenate([means[others].mean(axis=0), product.ravel()])


def loss(flat, outputs, text):
    means, matrices = flat[:, :MEAN], flat[:, MEAN:].reshape(-1, N, N)
    total = 0.0
    for place, word in enumerate(text):
        scores = outputs @ hidden(means, matrices, text, place)
        signs = np.where(np.arange(len(outputs)) == word, 1.0, -1.0)
        total += np.log1p(np.exp(-signs * scores)).sum()
    return total


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_window_descends_its_loss(deterministic):
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(4, MEAN + N * N)) * 0.6
    outputs = rng.normal(size=(4, MEAN + N * N)) * 0.5
    text = [2, 0, 1, 2, 3]  # 2 stands twice: both places move its matrix
    inputs = rows(flat[:, :MEAN], flat[:, MEAN:].reshape(-1, N, N))
    given = rows(outputs[:, :MEAN], outputs[:, MEAN:].reshape(-1, N, N))
    trainer = _core.MatrixTrainer(
        np.array([*text, -1], np.int32), np.array([1, 1, 2, 1]), inputs, given, mean_size=MEAN,
        matrix_size=N, window=8, negative=3, deterministic=deterministic, sample=0.0,
        noise_exponent=0.0, alpha=RATE, min_alpha=RATE, epochs=1, seed=0,
    )  # fmt: skip
    trainer.run(0, trainer.n_steps, 1)  # three false words of four: all the others
    expected = np.zeros_like(flat)
    for at in np.ndindex(flat.shape):
        step = np.zeros_like(flat)
        step[at] = 1e-5
        expected[at] = (loss(flat - step, outputs, text) - loss(flat + step, outputs, text)) / 2e-5
    moved_means, moved_matrices = parts(inputs)
    np.testing.assert_allclose((moved_means - flat[:, :MEAN]) / RATE, expected[:, :MEAN], atol=2e-3)
    np.testing.assert_allclose(
        (moved_matrices.reshape(4, -1) - flat[:, MEAN:]) / RATE, expected[:, MEAN:], atol=2e-3
    )
    change = np.zeros_like(outputs)
    for place, word in enumerate(text):
        h = hidden(flat[:, :MEAN], flat[:, MEAN:].reshape(-1, N, N), text, place)
        change += (np.eye(4)[word] - 1 / (1 + np.exp(-(outputs @ h))))[:, None] * h
    after = np.concatenate([parts(given)[0], parts(given)[1].reshape(4, -1)], axis=1)
    np.testing.assert_allclose((after - outputs) / RATE, change, atol=2e-3)


def test_order_is_seen_and_only_by_the_products():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.permutation(["a", "b", "c", "d", "e"])) for _ in range(300)]
    model = CMOW(vector_size=8, min_count=1, sample=0, epochs=3, random_state=0).fit(texts)
    one, other = model.transform(["a b c d e", "e d c b a"])
    np.testing.assert_allclose(one[:8], other[:8], atol=1e-5)
    assert one[8:] @ other[8:] < 0.45  # half the length is theirs: 0.5 if they were equal


def test_a_text_is_the_mean_of_the_products_of_its_windows():
    texts = ["a b c d e"] * 30 + ["e c a"] * 30
    model = CMOW(4, vector_size=0, window=3, min_count=1, sample=0, random_state=0).fit(texts)
    place = {word: i for i, word in enumerate(model.words_)}
    m = {word: model.matrices_[i] for word, i in place.items()}
    product = (m["a"] @ m["b"] @ m["c"] + m["d"] @ m["e"]) / 2
    expected = product.ravel() - model.center_
    np.testing.assert_allclose(
        model.transform(["a b c d e"])[0], expected / np.linalg.norm(expected), atol=1e-4
    )


def test_bad_settings_are_named():
    for given, message in (
        ({"matrix_size": 0}, "matrix_size"),
        ({"vector_size": -1}, "vector_size"),
        ({"window": 1}, "window"),
        ({"init_std": -0.1}, "init_std"),
        ({"epochs": 0}, "epochs"),
    ):
        with pytest.raises(ParameterError, match=message):
            CMOW(**given).fit(["a b"])
    with pytest.raises(ParameterError, match="two words"):
        CMOW(min_count=1).fit(["a", "b"])
