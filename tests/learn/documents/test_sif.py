# SPDX-License-Identifier: Apache-2.0
"""SIF and uSIF: the formulas by hand, given vectors, given learners, bad settings."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError
from vectorloom.learn import PMISVD, SIF, KeyedVectors

TEXTS = ["a a b", "a c", "b c c d", "a d"]
WORDS = KeyedVectors(["d", "c", "b", "a", "z"], np.random.default_rng(0).normal(size=(5, 4)))
# a: 4, b: 2, c: 3, d: 2 of 11 words.
SHARES = {"a": 4 / 11, "b": 2 / 11, "c": 3 / 11, "d": 2 / 11, "z": 0.0}


def units(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def means(weights):
    found = []
    for text in TEXTS:
        rows = [weights[word] * WORDS.get_vector(word).astype(float) for word in text.split()]
        found.append(np.mean(rows, axis=0))
    return np.array(found)


def test_sif_is_its_formula():
    model = SIF(WORDS, weighting="sif", a=0.1).fit(TEXTS)
    found = means({word: 0.1 / (0.1 + share) for word, share in SHARES.items()})
    u = np.linalg.svd(found, full_matrices=False)[2][0]
    np.testing.assert_allclose(model.vectors_, units(found - np.outer(found @ u, u)), atol=2e-5)
    np.testing.assert_allclose(model.word_weights_[4], 1.0)


def test_usif_is_its_formula():
    model = SIF(WORDS, weighting="usif", n_components=2).fit(TEXTS)
    limit = 1 - (1 - 1 / 4) ** (11 / 4)  # 0.547: no word is that frequent, so one in four counts
    assert max(SHARES.values()) < limit
    a = (1 - 1 / 4) / (1 / 4 * 4 / 2)
    found = means({word: a / (a / 2 + share) for word, share in SHARES.items()})
    _, s, v = np.linalg.svd(found, full_matrices=False)
    share = s[:2] ** 2 / (s[:2] ** 2).sum()
    np.testing.assert_allclose(model.component_weights_, share, rtol=1e-4)
    np.testing.assert_allclose(
        model.vectors_, units(found - (found @ v[:2].T * share) @ v[:2]), atol=2e-5
    )


def test_given_vectors_know_words_that_the_texts_lack():
    model = SIF(WORDS, n_components=0).fit(TEXTS)
    np.testing.assert_allclose(model.transform(["z"])[0], units(WORDS.vectors_)[4], atol=1e-6)
    assert model.counts_.tolist() == [2, 3, 2, 4, 0]
    assert model.words_.tolist() == ["d", "c", "b", "a", "z"]


def test_given_vectors_are_in_the_file(tmp_path):
    model = SIF(WORDS, n_components=1).fit(TEXTS)
    model.save(tmp_path / "m.vl")
    found = vl.open(tmp_path / "m.vl", verify=True)
    np.testing.assert_array_equal(found.transform(["z a"]), model.transform(["z a"]))
    np.testing.assert_array_equal(found.vectors.get_vector("z"), WORDS.get_vector("z"))


def test_a_learner_that_is_not_fitted_gets_the_texts(texts):
    learner = PMISVD(8, min_count=1)
    model = SIF(learner, min_count=1).fit(texts[0])
    assert not hasattr(learner, "vectors_")
    np.testing.assert_array_equal(
        model.word_vectors_, PMISVD(8, min_count=1).fit(texts[0]).vectors_
    )


def test_words_of_another_language_are_named():
    with pytest.raises(ParameterError, match="none of the 2 words"):
        SIF(WORDS).fit(["été été", "hiver"])


def test_bad_settings_are_named():
    for given, message in (
        ({"vectors": np.eye(3)}, "KeyedVectors"),
        ({"weighting": "idf"}, "weighting"),
        ({"a": 0}, "a must"),
        ({"n_components": -1}, "n_components"),
    ):
        with pytest.raises(ParameterError, match=message):
            SIF(**given).fit(TEXTS)
