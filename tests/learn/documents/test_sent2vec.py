# SPDX-License-Identifier: Apache-2.0
"""Sent2Vec: one step by hand, n-grams, long texts, bad settings."""

from __future__ import annotations

import numpy as np
import pytest

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.learn import Sent2Vec


def rows(values):
    values = np.asarray(values, np.float32)
    matrix = _core.row_matrix(len(values), values.shape[1])
    matrix[:, : values.shape[1]] = values
    return matrix


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("deterministic", [False, True])
def test_one_text_by_hand(deterministic):
    # Words 0 1 with the bigram in row 2, then 0: rows 0, 1, 2, 0. Two words: false ones are fixed.
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 3)), rng.normal(size=(2, 3))
    inputs, outputs = rows(x), rows(y)
    trainer = _core.SentenceTrainer(
        np.array([0, 1, 0, -1], np.int32), np.array([2, 1]), np.array([2, -1, -1, -1], np.int32),
        inputs, outputs, n_orders=1, negative=1, deterministic=deterministic, sample=0.0,
        noise_exponent=0.5, alpha=0.01, min_alpha=0.01, epochs=1, seed=0,
    )  # fmt: skip
    trainer.run(0, trainer.n_steps, 1)
    contexts = [[1, 0], [0, 0], [0, 1, 2]]  # without the word and the bigram that holds it
    after_x, after_y = x.copy(), y.copy()
    for word, context in zip([0, 1, 0], contexts, strict=True):
        h = x[context].mean(axis=0)
        g = 0.01 * (np.eye(2)[word] - sigmoid(y @ h))
        after_y += g[:, None] * h
        for row in context:
            after_x[row] += g @ y / len(context)
    # Words of a text are scored together, and moved one after the other.
    np.testing.assert_allclose(inputs[:, :3], after_x, atol=2e-4)
    np.testing.assert_allclose(outputs[:, :3], after_y, atol=2e-4)
    assert np.abs(after_x - x).max() > 2e-3


def test_bigrams_have_rows_of_their_own():
    texts = ["not good", "good", "good film", "not bad"] * 30
    model = Sent2Vec(8, min_count=5, sample=0, random_state=0).fit(texts)
    assert len(model.buckets_) == 3
    words = Sent2Vec(8, n_grams=1, min_count=5, sample=0, random_state=0).fit(texts)
    assert len(words.buckets_) == 0
    one, other = words.transform(["good not", "not good"])
    np.testing.assert_allclose(one, other, atol=1e-6)
    one, other = model.transform(["good not", "not good"])
    assert one @ other < 0.999


def test_a_vector_is_the_mean_of_the_rows():
    texts = ["a b c", "b c a", "c a b"] * 20
    model = Sent2Vec(4, n_grams=3, min_count=1, sample=0, random_state=1).fit(texts)
    assert len(model.buckets_) == 3 + 3
    place = {word: i for i, word in enumerate(model.words_)}
    tokens = np.array([place[w] for w in "abc"] + [-1], np.int32)
    buckets = model._buckets(tokens)
    named = [*tokens[:3], *model._gram_rows(buckets[buckets >= 0])]
    assert len(named) == 6
    mean = model.row_vectors_[named].mean(axis=0)
    np.testing.assert_allclose(
        model.transform(["a b c"])[0], mean / np.linalg.norm(mean), atol=1e-5
    )


def test_texts_beyond_a_thousand_words_are_trained():
    rng = np.random.default_rng(0)
    text = " ".join(f"w{i}" for i in rng.integers(50, size=3000))
    model = Sent2Vec(8, min_count=1, epochs=3, random_state=0).fit([text, "w1 w2"])
    assert np.isfinite(model.row_vectors_).all()
    assert model.losses_[-1] < model.losses_[0]


def test_bad_settings_are_named():
    for given, message in (
        ({"n_grams": 0}, "n_grams"),
        ({"bucket": 2**31}, "bucket"),
        ({"negative": 0}, "negative"),
        ({"alpha": np.nan}, "alpha"),
    ):
        with pytest.raises(ParameterError, match=message):
            Sent2Vec(**given).fit(["a b"])
    with pytest.raises(ParameterError, match="two words"):
        Sent2Vec(min_count=1).fit(["a", "b"])
