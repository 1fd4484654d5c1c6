# SPDX-License-Identifier: Apache-2.0
"""lda2vec: gradients, the prior, planted mixtures, files, bad input."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError
from vectorloom.learn import Lda2Vec
from vectorloom.learn.corpus import EncodedCorpus
from vectorloom.learn.topics.descent import Adam, softmax
from vectorloom.learn.topics.lda2vec import Mixture, Pairs, _encoded

NAMES = ("sea", "law", "tea")


def small(seed=0):
    rng = np.random.default_rng(seed)
    corpus = EncodedCorpus(list("abcd"), np.ones(4, np.int64), np.arange(4, dtype=np.int32), 4, 0)
    return Mixture(
        corpus, np.zeros(4, np.int64), *(rng.standard_normal(s) for s in ((4, 3), (4, 3))),
        rng.standard_normal((2, 3)), rng.standard_normal((3, 2)),
    )  # fmt: skip


def test_gradients_are_those_of_the_loss():
    mixture, rng = small(), np.random.default_rng(1)
    pairs = Pairs(
        np.array([0, 2, 0, 2]),
        np.array([0, 1, 2, 3], np.int32),
        np.array([1, 2, 3, 0], np.int32),
        rng.integers(0, 4, (4, 2)),
    )
    _, found = mixture.gradients(pairs)
    assert found["logits"][0].tolist() == [0, 2]
    for name, (at, gradient) in found.items():
        array = getattr(mixture, name)
        for i, row in enumerate(np.arange(len(array))[at]):
            for column in range(array.shape[1]):
                losses = []
                for change in (1e-5, -2e-5):
                    array[row, column] += change
                    losses.append(mixture.gradients(pairs)[0])
                array[row, column] += 1e-5
                slope = (losses[0] - losses[1]) / 2e-5
                assert gradient[i, column] == pytest.approx(slope, rel=1e-3, abs=1e-4)


def test_the_loss_by_hand():
    mixture = small()
    mixture.outputs[:] = 0
    pairs = Pairs(*(np.zeros(2, np.int32) for _ in range(3)), np.zeros((2, 5), int))
    assert mixture.gradients(pairs)[0] == pytest.approx(2 * 6 * np.log(2))


def test_the_prior_pulls_towards_few_topics():
    mixture = small()
    mixture.logits[:] = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    gradient = mixture.prior(np.arange(3), 0.5)
    shares = softmax(mixture.logits)
    np.testing.assert_allclose(gradient, 0.5 * (1 - 2 * shares))
    assert gradient[0, 0] < 0 < gradient[0, 1]  # the larger share grows
    np.testing.assert_allclose(mixture.prior(np.arange(3), 1.0), 0)


def test_adam_first_steps_by_hand():
    target = np.array([1.0, -1.0], np.float32)
    adam = Adam(target)
    adam.step(np.array([10.0, -0.1], np.float32), 0.5)
    np.testing.assert_allclose(target, [0.5, -0.5], atol=1e-5)


def test_each_token_knows_its_text():
    corpus, text_of = _encoded(["bb aa", "", "aa cc"], None, 1)
    words = [corpus.words[t] if t >= 0 else "." for t in corpus.tokens]
    assert words == ["bb", "aa", ".", ".", "aa", "cc", "."]
    assert text_of.tolist() == [0, 0, -1, -1, 2, 2, -1]


def planted(n, seed=0):
    rng = np.random.default_rng(seed)
    texts, truth = [], rng.dirichlet([0.15] * 3, size=n)
    for shares in truth:
        topics = rng.choice(3, size=30, p=shares)
        texts.append(" ".join(f"{NAMES[k]}{chr(97 + rng.integers(12))}" for k in np.sort(topics)))
    return texts, truth


@pytest.fixture(scope="module")
def model():
    texts, _ = planted(240)
    return Lda2Vec(3, vector_size=16, epochs=6, min_df=1).fit(texts, ids=range(240))


def test_planted_topics_and_mixtures_are_found(model):
    _, truth = planted(240)
    names = [words["words"][0][:3] for words in model.topics(1)]
    assert sorted(names) == sorted(NAMES)
    for topic in range(3):
        words = [word for word, _ in model.topic_words(topic, 8)]
        assert all(word.startswith(names[topic]) for word in words)
    order = [NAMES.index(name) for name in names]
    clear = truth.max(axis=1) > 0.7
    assert (model.labels_[clear] == np.argsort(order)[truth.argmax(axis=1)][clear]).mean() > 0.95
    found, given = model.shares_.ravel(), truth[:, order].ravel()
    assert np.corrcoef(found, given)[0, 1] > 0.8
    np.testing.assert_allclose(model.shares_.sum(axis=1), 1, rtol=1e-4)
    assert model.search_topics("lawa", 1)[0][0] == names.index("law")


def test_new_texts_get_the_mixtures_they_were_made_of(model):
    texts, truth = planted(60, seed=9)
    found = model.transform(texts)
    names = [words["words"][0][:3] for words in model.topics(1)]
    order = [NAMES.index(name) for name in names]
    clear = truth.max(axis=1) > 0.7
    assert (found.argmax(axis=1) == truth[:, order].argmax(axis=1))[clear].mean() > 0.9
    assert np.corrcoef(found.ravel(), truth[:, order].ravel())[0, 1] > 0.7
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.transform(texts[3:4])[0], found[3])
    np.testing.assert_allclose(model.transform(["", "seaa"])[0], 1 / 3)
    # Texts of the training come near the mixture that was learned with them.
    again = model.transform(planted(240)[0])
    assert (again.argmax(axis=1) == model.labels_).mean() > 0.85


def test_files_and_bits(model, tmp_path):
    model.save(tmp_path / "m.vl")
    found = vl.open(tmp_path / "m.vl", verify=True)
    assert found.topics() == model.topics()
    assert found.documents(1, 3) == model.documents(1, 3)
    np.testing.assert_array_equal(found.shares_, model.shares_)
    new = planted(5, seed=3)[0]
    np.testing.assert_array_equal(found.transform(new), model.transform(new))
    again = Lda2Vec(3, vector_size=16, epochs=6, min_df=1, n_jobs=2).fit(planted(240)[0])
    np.testing.assert_array_equal(again.shares_, model.shares_)


def test_bad_input_is_named(model):
    texts = planted(20)[0]
    for given, message in (
        ({"n_topics": 0}, "n_topics"),
        ({"alpha": 2.0}, "alpha"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"n_topics": 30}, "too few for n_topics=30"),
    ):
        with pytest.raises(ParameterError, match=message):
            Lda2Vec(**given).fit(texts)
    found = Lda2Vec(1, vector_size=4, epochs=1).fit([*texts, "the of"])
    assert found.labels_.tolist() == [0] * 20 + [-1]
