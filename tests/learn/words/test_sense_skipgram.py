# SPDX-License-Identifier: Apache-2.0
"""Senses: gradients, windows, a planted ambiguity, files, bad input."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError
from vectorloom.learn import Corpus, SenseSkipGram, UnknownWordError
from vectorloom.learn.words.sense_contexts import Windows, batches, cluster_contexts, thinned
from vectorloom.learn.words.sense_skipgram import SenseRows, Step


def test_gradients_are_those_of_the_loss():
    rng = np.random.default_rng(0)
    rows = SenseRows.begin(np.eye(6, 4), np.eye(6, 4), np.eye(6, 4), np.ones((6, 3, 4)), rng)
    for name in ("senses", "selectors", "contexts", "outputs"):
        array = getattr(rows, name)
        setattr(rows, name, rng.standard_normal(array.shape))
    windows = Windows(
        np.array([0, 1, 0], np.int32), np.array([[1, 2, -1], [3, 3, 0], [5, -1, -1]], np.int32)
    )
    step = Step(
        windows,
        rng.integers(0, 6, (3, 4)),
        rng.gumbel(size=(3, 3)),
        SenseSkipGram(4, negative=2, temperature=0.7),
    )
    _, pairs, _, found = rows.gradients(step)
    assert pairs == 6
    for name, (at, weights, values) in found.items():
        whole = np.zeros_like(getattr(rows, name))
        scale = np.ones(len(at)) if weights is None else weights
        np.add.at(whole, at, scale.reshape(-1, *[1] * (values.ndim - 1)) * values)
        array = getattr(rows, name)
        for place in rng.choice(array.size, 12, replace=False):
            before = array.flat[place]
            losses = []
            for change in (1e-4, -1e-4):
                array.flat[place] = before + change
                losses.append(rows.gradients(step)[0])
            array.flat[place] = before
            assert whole.flat[place] == pytest.approx(
                (losses[0] - losses[1]) / 2e-4, rel=2e-3, abs=2e-4
            )


def test_the_loss_by_hand():
    # One sense, zero outputs: each pair and its false words cost log 2.
    words = np.ones((3, 2)) * np.arange(3)[:, None]
    rows = SenseRows.begin(
        words, np.zeros((3, 2)), words, np.ones((3, 1, 2)), np.random.default_rng(0)
    )
    windows = Windows(np.array([0], np.int32), np.array([[1, 2]], np.int32))
    step = Step(windows, np.zeros((1, 6), int), np.zeros((1, 1)), SenseSkipGram(2, negative=3))
    loss, pairs, chosen, _ = rows.gradients(step)
    assert pairs == 2
    assert loss == pytest.approx(2 * (1 + 3) * np.log(2))
    assert chosen.tolist() == [[1.0]]


def test_windows_stay_in_their_sentence_and_each_place_comes_once():
    corpus = Corpus(["a b c d", "e f", "g"]).encode(min_count=1)
    rng = np.random.default_rng(0)
    text = thinned(corpus, 0, rng)
    seen = []
    for _, n, windows in batches(text, 2, 3, rng):
        assert n == len(windows.centre)
        for centre, context in zip(windows.centre, windows.context, strict=True):
            word = corpus.words[centre]
            seen.append(word)
            near = {corpus.words[c] for c in context if c >= 0}
            assert near <= (set("abcd") if word in "abcd" else set("ef")) - {word}
            assert near
    assert sorted(seen) == list("abcdef")


def test_clusters_are_those_of_the_windows_of_each_word():
    # x stands beside a or beside b, y beside a alone; contexts of a and b are orthogonal.
    corpus = Corpus(["x a", "x b"] * 30 + ["y a"] * 30).encode(min_count=1)
    contexts = np.zeros((4, 2), np.float32)
    contexts[corpus.words.index("a")] = (3, 0)
    contexts[corpus.words.index("b")] = (0, 3)
    found = cluster_contexts(corpus, contexts, 2, 1, np.random.default_rng(0))
    both = found[corpus.words.index("x")]
    np.testing.assert_allclose(both[np.argsort(-both[:, 0])], np.eye(2), atol=1e-6)
    np.testing.assert_allclose(np.abs(found[corpus.words.index("y")]).max(axis=0), (1, 0))
    # 90 windows of x and y have length 3, 90 of a and b length 0.
    assert contexts.max() == pytest.approx(3 / 1.5)


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    own = [[f"{name}{chr(97 + i)}" for i in range(12)] for name in ("sea", "law", "tea")]
    lines = []
    for _ in range(500):
        topic = int(rng.integers(3))
        words = rng.choice(own[topic], 8).tolist()
        if topic < 2:
            words[int(rng.integers(8))] = "bar"
        lines.append(words)
    return SenseSkipGram(12, n_senses=3, min_count=1, sample=0, epochs=10, alpha=0.05).fit(lines)


def test_a_planted_ambiguity_is_found_and_told_by_context(model):
    near = [words[0][:3] for _, _, words in model.senses("bar")]
    assert {"sea", "law"} <= set(near)
    sea = model.disambiguate("bar", "seaa seab seac")
    law = model.disambiguate("bar", ["lawa", "lawb", "lawc", "bar", "unknown"])
    assert near[int(sea.argmax())] == "sea"
    assert near[int(law.argmax())] == "law"
    assert sea.sum() == pytest.approx(1, rel=1e-5)
    empty = model.disambiguate("bar", "nothing known")
    np.testing.assert_allclose(empty, 1 / len(empty))
    assert model.losses_[-1] < 0.95 * model.losses_[0]


def test_rows_name_senses_and_the_first_is_the_most_frequent(model):
    assert "bar" in model
    assert "bar#2" in model
    own = [row for row, name in enumerate(model.ids_) if name.split("#")[0] == "bar"]
    assert (np.diff(model.counts_[own]) <= 0).all()
    assert (np.diff(model.sense_words_) >= 0).all()
    with pytest.raises(UnknownWordError):
        model.senses("bar#2")


def test_files_and_bits(model, tmp_path):
    model.save(tmp_path / "s.vl")
    found = vl.open(tmp_path / "s.vl", verify=True)
    assert found.senses("bar") == model.senses("bar")
    np.testing.assert_array_equal(
        found.disambiguate("bar", "seaa"), model.disambiguate("bar", "seaa")
    )
    texts = ["a b c", "a d e"] * 20
    one, two = (SenseSkipGram(4, min_count=1, random_state=5).fit(texts) for _ in range(2))
    np.testing.assert_array_equal(one.vectors_, two.vectors_)


def test_bad_settings_are_named():
    for given, message in (
        ({"n_senses": 0}, "n_senses"),
        ({"min_share": 1.0}, "min_share"),
        ({"temperature": 0}, "temperature"),
        ({"negative": 0}, "negative"),
    ):
        with pytest.raises(ParameterError, match=message):
            SenseSkipGram(**given).fit(["a b"] * 30)
