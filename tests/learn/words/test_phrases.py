# SPDX-License-Identifier: Apache-2.0
"""Phrases: scores by hand, overlaps, passes, parity with gensim."""

from __future__ import annotations

import numpy as np
import pytest

from vectorloom.errors import NotFittedError, ParameterError
from vectorloom.learn import Phrases
from vectorloom.learn.words.phrases import _join

CORPUS = [["new", "york", "city"], ["new", "york"], ["a", "new", "car"], ["york", "town"]] * 4


def test_scores_by_hand():
    found = Phrases(min_count=2, threshold=0.0).fit(CORPUS).phrases_
    # new: 12, york: 12, together 8; six different words.
    assert found["new", "york"] == pytest.approx((8 - 2) * 6 / (12 * 12))
    npmi = Phrases(min_count=2, threshold=-1.0, scoring="npmi").fit(CORPUS).phrases_
    total = 4 * 10
    expected = np.log((8 / total) / (12 / total) ** 2) / -np.log(8 / total)
    assert npmi["new", "york"] == pytest.approx(expected)


def test_overlaps_are_taken_from_the_left():
    tokens = np.array([0, 1, 2, -1, 0, 1, 0, 1, 2, 2], np.int32)
    words, joined = _join(["a", "b", "c"], tokens, np.array([[0, 1], [1, 2]]), "_")
    assert words[3:] == ["a_b"]
    assert joined.tolist() == [3, 2, -1, 3, 3, 2, 2]


def test_both_ways_of_joining_agree_over_passes():
    rng = np.random.default_rng(0)
    corpus = [[f"w{i}" for i in rng.integers(0, 6, size=9)] for _ in range(200)]
    found = Phrases(min_count=2, threshold=0.0, n_passes=2).fit(corpus)
    assert any("_" in a or "_" in b for a, b in found.phrases_)
    joined = found.transform(corpus)
    encoded = found.encode(corpus, min_count=1)
    spelled = [encoded.words[t] if t >= 0 else None for t in encoded.tokens.tolist()]
    assert [w for w in spelled if w] == [w for sentence in joined for w in sentence]


def test_gensim_finds_the_same_phrases():
    models = pytest.importorskip("gensim.models.phrases")
    rng = np.random.default_rng(1)
    corpus = [[f"w{i}" for i in rng.zipf(1.7, size=12) if i < 40] for _ in range(400)]
    theirs = models.Phrases(corpus, min_count=3, threshold=0.5).export_phrases()
    ours = Phrases(min_count=3, threshold=0.5).fit(corpus).phrases_
    # gensim counts the pairs among the different words; the order stays.
    assert [f"{a}_{b}" for a, b in list(ours)[:5]] == sorted(theirs, key=theirs.get)[::-1][:5]


def test_bad_settings_are_named():
    with pytest.raises(ParameterError, match="scoring"):
        Phrases(scoring="x").fit(CORPUS)
    with pytest.raises(ParameterError, match="threshold"):
        Phrases(threshold=float("nan")).fit(CORPUS)
    with pytest.raises(NotFittedError):
        Phrases().transform([["a"]])
