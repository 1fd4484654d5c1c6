# SPDX-License-Identifier: Apache-2.0
"""DocNADE: gradients, cuts, planted topics, likelihoods, files, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

import vectorloom as vl
from vectorloom.errors import NotFittedError, ParameterError
from vectorloom.learn import DocNADE
from vectorloom.learn.topics.doc_nade import Network, cut

NAMES = ("sea", "law", "tea")


def network(seed=0, n=5, k=3, activation="softmax"):
    rng = np.random.default_rng(seed)
    weights = (rng.standard_normal(shape) for shape in ((n, k), (n, k), k, n))
    return Network(*weights, activation)


@pytest.mark.parametrize("activation", ["softmax", "logistic"])
def test_gradients_are_those_of_the_loss(activation):
    model = network(activation=activation)
    before = csr_array(np.array([[1.0, 0, 2, 0, 0], [0, 0, 0, 0, 0]]))
    behind = csr_array(np.array([[0.0, 1, 0, 0, 3], [2, 0, 0, 1, 0]]))
    weights = np.array([1.5, 0.5])
    _, found = model.gradients(before, behind, weights)
    for name, gradient in found.items():
        array = getattr(model, name)
        for place in np.ndindex(array.shape):
            losses = []
            for change in (1e-5, -2e-5):
                array[place] += change
                losses.append(model.gradients(before, behind, weights)[0])
            array[place] += 1e-5
            assert gradient[place] == pytest.approx((losses[0] - losses[1]) / 2e-5, abs=1e-5)


def test_the_loss_by_hand():
    model = network(n=4)
    for name in ("inputs", "outputs", "word_bias"):
        getattr(model, name)[:] = 0
    empty, two = csr_array((1, 4)), csr_array(np.array([[1.0, 1, 0, 0]]))
    assert model.gradients(empty, two, np.array([2.0]))[0] == pytest.approx(4 * np.log(4))
    np.testing.assert_allclose(model.log_likelihood(two, 0), -np.log(4))


def test_cuts_keep_all_words_and_weigh_what_is_behind():
    rng = np.random.default_rng(0)
    counts = csr_array(rng.integers(0, 3, (40, 6)) + np.eye(40, 6, dtype=np.int64)[:, ::-1])
    counts = counts[np.asarray(counts.sum(axis=1)).ravel() > 0]
    at = []
    for _ in range(50):
        before, behind, weights = cut(counts, rng)
        np.testing.assert_array_equal((before + behind).toarray(), counts.toarray())
        left = np.asarray(behind.sum(axis=1)).ravel()
        assert (left > 0).all()
        np.testing.assert_allclose(weights * left, counts.sum(axis=1), rtol=1e-6)
        at.append(np.asarray(before.sum(axis=1)).ravel() / counts.sum(axis=1))
    assert 0.3 < np.mean(at) < 0.5  # from 0 to n - 1 words are before


def test_the_cut_estimates_the_whole_likelihood():
    # The mean over cuts of the weighted loss is the loss of all words in all orders.
    model, rng = network(2), np.random.default_rng(0)
    text = csr_array(np.array([[1.0, 2, 0, 1, 0]]))
    cuts = [cut(text, rng) for _ in range(1500)]
    mean = np.mean([model.gradients(before, behind, w)[0] for before, behind, w in cuts])
    words = np.array([0, 1, 1, 3])
    orders = [model._likelihood(rng.permutation(words)) for _ in range(1500)]
    assert mean == pytest.approx(-4 * np.mean(orders), rel=0.03)


def planted(n, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(3, size=n)
    texts = [" ".join(f"{NAMES[k]}{chr(97 + rng.integers(12))}" for _ in range(20)) for k in truth]
    return texts, truth


@pytest.fixture(scope="module")
def model():
    return DocNADE(3, epochs=40, min_df=1).fit(planted(240)[0], ids=range(240))


def test_planted_topics_are_found_in_old_and_new_texts(model):
    truth = planted(240)[1]
    names = [record["words"][0][:3] for record in model.topics(1)]
    assert sorted(names) == sorted(NAMES)
    for topic in range(3):
        assert all(word.startswith(names[topic]) for word, _ in model.topic_words(topic, 8))
    order = np.argsort([NAMES.index(name) for name in names])
    assert (model.labels_ == order[truth]).mean() > 0.98
    new, answers = planted(60, seed=5)
    assert (model.transform(new).argmax(axis=1) == order[answers]).mean() > 0.95
    assert model.search_topics("lawa", 1)[0][0] == names.index("law")
    np.testing.assert_allclose(model.soft_labels().sum(axis=1), 1, rtol=1e-5)
    assert model.losses_[-1] < 0.8 * model.losses_[0]


def test_likely_texts_are_told_from_unlikely_ones(model):
    rng = np.random.default_rng(0)
    mixed = [" ".join(f"{NAMES[i % 3]}{chr(97 + rng.integers(12))}" for i in range(20))]
    found = model.log_likelihood([*planted(5, seed=9)[0], *mixed, "nothing known"])
    assert found[:5].min() > found[5]
    assert np.isnan(found[6])
    assert found[0] == model.log_likelihood([planted(5, seed=9)[0][0]])[0]


def test_files_and_bits(model, tmp_path):
    model.save(tmp_path / "m.vl")
    found = vl.open(tmp_path / "m.vl", verify=True)
    texts = planted(20)[0]
    assert found.topics() == model.topics()
    np.testing.assert_array_equal(found.transform(texts), model.transform(texts))
    again = DocNADE(3, epochs=40, min_df=1).fit(planted(240)[0])
    np.testing.assert_array_equal(again.outputs_, model.outputs_)


def test_units_that_do_not_compete_foretell_too():
    texts = planted(240)[0]
    model = DocNADE(3, epochs=40, min_df=1, activation="logistic").fit(texts)
    assert model.losses_[-1] < model.losses_[0]


def test_bad_input_is_named():
    texts = planted(20)[0]
    for given, message in (
        ({"n_topics": 0}, "n_topics"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"activation": "tanh"}, "activation"),
        ({"n_topics": 30}, "too few for n_topics=30"),
    ):
        with pytest.raises(ParameterError, match=message):
            DocNADE(**given).fit(texts)
    with pytest.raises(ParameterError, match="one word only, 'word'"):
        DocNADE(1).fit(["word word"] * 9)
    with pytest.raises(NotFittedError):
        DocNADE().transform(texts)
    assert DocNADE(1, epochs=1).fit([*texts, "the of"]).labels_.tolist() == [0] * 20 + [-1]
