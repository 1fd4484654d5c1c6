# SPDX-License-Identifier: Apache-2.0
"""Top2Vec: topics that were planted, words, merging, search, outliers, files, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import FormatError, NotFittedError, ParameterError, ShapeError
from vectorloom.learn import LatentSemantic, Top2Vec
from vectorloom.learn.topics.merging import cut_tree, merge_tree
from vectorloom.learn.topics.top2vec import sharpness_of
from vectorloom.learn.topics.topic_words import coherence

NAMES = ("sea", "sky", "law", "tea")


def planted(n, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(4, size=n)
    common = [f"common{chr(97 + i)}" for i in range(20)]
    texts = []
    for topic in truth:
        own = [f"{NAMES[topic]}{chr(97 + i)}" for i in rng.integers(20, size=12)]
        texts.append(" ".join([*own, *rng.choice(common, 5)]))
    return texts, truth


@pytest.fixture(scope="module")
def texts():
    return planted(400)


@pytest.fixture(scope="module")
def model(texts):
    return Top2Vec().fit(texts[0], ids=[f"t{i}" for i in range(400)])


def test_planted_topics_are_found_with_their_number_and_words(texts, model):
    assert model.n_topics_ == 4
    assert model.topic_sizes_.sum() == 400
    assert (np.diff(model.topic_sizes_) <= 0).all()
    for topic in range(4):
        words = [word for word, _ in model.topic_words(topic, 10)]
        name = words[0][:3]
        assert all(word.startswith(name) for word in words)
        own = texts[1][model.labels_ == topic]
        assert (own == NAMES.index(name)).mean() > 0.99
        ids = [text for text, _ in model.documents(topic, 5)]
        assert all(model.labels_[int(text[1:])] == topic for text in ids)


def test_soft_labels_sum_to_one_and_agree(model, texts):
    soft = model.soft_labels()
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    assert (soft.argmax(axis=1) == model.labels_).mean() > 0.99
    new = model.transform(["seaa seab seac common", "nothing that was seen"])
    assert model.topic_words(int(new[0].argmax()), 1)[0][0].startswith("sea")
    np.testing.assert_allclose(new[1], 0.25)


def test_search_by_words_and_against_words(model):
    for name in NAMES:
        topic, score = model.search_topics([f"{name}a", f"{name}b"], 1)[0]
        assert model.topic_words(topic, 1)[0][0].startswith(name)
        assert score > 0.7
    towards = dict(model.search_topics(["seaa", "skya"], 4))
    away = dict(model.search_topics(["seaa", "skya"], 4, negative="skyb"))
    sky = model.search_topics("skya", 1)[0][0]
    assert away[sky] < towards[sky]
    with pytest.raises(ParameterError, match="'zebra'"):
        model.search_topics("zebra")


def test_merge_tree_takes_the_smallest_first():
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    tree = merge_tree(vectors, np.array([5, 3, 2]))
    assert tree[:, [0, 1, 3]].tolist() == [[2, 1, 5], [0, 3, 10]]
    assert tree[0, 2] == pytest.approx(0.8)
    assert cut_tree(tree, 3).tolist() == [0, 1, 2]
    assert cut_tree(tree, 2).tolist() == [0, 1, 1]
    assert cut_tree(tree, 1).tolist() == [0, 0, 0]


def test_merging_moves_whole_topics_and_leaves_the_model_alone(model, texts):
    before = model.labels_.copy()
    for n in (3, 2, 1):
        fewer = model.merged(n)
        assert fewer.n_topics_ == n
        assert fewer.topic_sizes_.sum() == 400
        for topic in range(4):
            assert len(np.unique(fewer.labels_[before == topic])) == 1
    np.testing.assert_array_equal(model.labels_, before)
    assert model.n_topics_ == 4
    assert Top2Vec(n_topics=2).fit(texts[0]).n_topics_ == 2
    with pytest.raises(ParameterError, match="there are 4 topics"):
        model.merged(5)


def test_outliers_get_a_topic_or_none():
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((3, 30))
    rows = np.concatenate([np.repeat(centres, 60, axis=0), 4 * rng.standard_normal((60, 30))])
    rows[:180] += 0.3 * rng.standard_normal((180, 30))
    all_in = Top2Vec(min_samples=5).fit(vectors=rows)
    kept = Top2Vec(min_samples=5, outliers="keep").fit(vectors=rows)
    assert (all_in.labels_ >= 0).all()
    out = kept.labels_ < 0
    assert 0 < out.sum() < 120
    assert out[180:].mean() > 2 * out[:180].mean()
    np.testing.assert_array_equal(out, all_in.strength_ == 0)
    assert kept.topic_sizes_.sum() == (~out).sum()


def test_one_topic_is_an_answer(texts):
    few = Top2Vec(min_df=1).fit(texts[0][:7])
    assert few.n_topics_ == 1
    assert not few.labels_.any()
    assert few.hierarchy_.shape == (0, 4)
    np.testing.assert_allclose(few.transform(["seaa"]), 1)
    same = Top2Vec().fit(["the very same text"] * 50)
    assert same.n_topics_ == 1
    assert Top2Vec().fit(["one text"]).topic_words(0)[0][0] in ("text", "one")


def test_texts_without_vectors_have_no_topic(texts):
    model = Top2Vec().fit([*texts[0], "", "the of and"])
    assert model.labels_[-2:].tolist() == [-1, -1]
    assert model.topic_sizes_.sum() == 400
    with pytest.raises(ParameterError, match="no term is left"):
        Top2Vec().fit(["", " "])


def test_vectors_from_elsewhere_and_other_learners(texts):
    rows = LatentSemantic(n_components=64, random_state=0).fit(texts[0]).vectors_
    given = Top2Vec().fit(texts[0], vectors=rows)
    learned = Top2Vec(LatentSemantic(n_components=64)).fit(texts[0])
    np.testing.assert_array_equal(given.labels_, learned.labels_)
    silent = Top2Vec().fit(vectors=rows)
    np.testing.assert_array_equal(silent.labels_, given.labels_)
    assert silent.topic_words(0) == []
    assert silent.topics()[0]["words"] == []
    with pytest.raises(ParameterError, match="vectors="):
        silent.transform(["seaa"])

    class Encoder:
        def encode(self, batch):
            return learned._embedder.vectors(list(batch))

    encoded = Top2Vec(Encoder()).fit(texts[0])
    np.testing.assert_array_equal(encoded.labels_, learned.labels_)
    with pytest.raises(ParameterError, match="Encoder"):
        encoded.save("never.vl")


def test_the_number_of_threads_changes_no_bit(texts):
    one, two = (Top2Vec(n_jobs=n).fit(texts[0]) for n in (1, 2))
    np.testing.assert_array_equal(one.labels_, two.labels_)
    np.testing.assert_array_equal(one.topic_vectors_, two.topic_vectors_)


def test_files_hold_the_model_and_its_learner(model, texts, tmp_path):
    path = tmp_path / "topics.vl"
    model.save(path)
    found = vl.open(path, verify=True)
    np.testing.assert_array_equal(found.labels_, model.labels_)
    np.testing.assert_array_equal(found.transform(texts[0][:9]), model.transform(texts[0][:9]))
    assert found.topics() == model.topics()
    assert found.merged(2).topics() == model.merged(2).topics()
    assert found.ids_.tolist() == model.ids_.tolist()
    raw = path.read_bytes()
    (tmp_path / "short.vl").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(FormatError):
        vl.open(tmp_path / "short.vl")
    flipped = bytearray(raw)
    flipped[len(raw) // 2] ^= 1
    (tmp_path / "flipped.vl").write_bytes(flipped)
    with pytest.raises(FormatError):
        vl.open(tmp_path / "flipped.vl", verify=True)


def test_export_is_plain_data(model, tmp_path):
    model.to_json(tmp_path / "topics.json", 3)
    found = json.loads((tmp_path / "topics.json").read_text(encoding="utf-8"))
    assert [len(topic["words"]) for topic in found["topics"]] == [3] * 4
    assert sum(topic["share"] for topic in found["topics"]) == pytest.approx(1)
    assert found["texts"][7] == {"id": "t7", "topic": int(model.labels_[7])}
    assert len(found["hierarchy"]) == 3


def test_coherence_by_hand(texts, model):
    # p(a) = 3/4, p(b) = 1/2, p(a, b) = 1/4.
    found = coherence([["a1", "b1"]], ["a1 b1", "a1", "a1", "b1"])
    assert found[0] == pytest.approx(np.log(0.25 / 0.375) / -np.log(0.25))
    assert coherence([["a1", "zz"], ["a1"]], ["a1"])[0] == -1
    assert np.isnan(coherence([["a1"]], ["a1"])[0])
    assert model.coherence(texts[0]).min() > 0.3


def test_sharpness_is_the_most_likely_one():
    # Half the rows lean by 0.1 to their own topic, a quarter of them are wrong:
    # the logistic regression's slope is log(3) / 0.1.
    scores = np.tile(np.array([[0.1, 0.0]], np.float32), (8, 1))
    assert sharpness_of(scores, np.array([0] * 6 + [1] * 2)) == pytest.approx(
        np.log(3) / 0.1, rel=1e-3
    )


def test_bad_input_is_named(texts):
    for given, message in (
        ({"outliers": "drop"}, "outliers"),
        ({"min_topic_size": 1}, "min_topic_size"),
        ({"n_topics": 0}, "n_topics"),
        ({"n_neighbors": 1}, "n_neighbors"),
        ({"learner": 3}, "fit and transform"),
    ):
        with pytest.raises(ParameterError, match=message):
            Top2Vec(**given).fit(texts[0][:30])
    with pytest.raises(ShapeError, match="neither"):
        Top2Vec().fit()
    with pytest.raises(ShapeError, match="one vector a text"):
        Top2Vec().fit(["a", "b"], vectors=np.ones((3, 2)))
    with pytest.raises(NotFittedError):
        Top2Vec().topic_words(0)
    with pytest.raises(ParameterError, match="topic 9"):
        Top2Vec().fit(texts[0][:9]).topic_words(9)
