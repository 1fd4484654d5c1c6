# SPDX-License-Identifier: Apache-2.0
"""Questions to word vectors, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.learn import KeyedVectors, UnknownWordError

WORDS = ["king", "queen", "man", "woman", "zero"]
VECTORS = [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.1, 1.0, 0.0], [0.1, 0.0, 1.0], [0.0, 0.0, 0.0]]


@pytest.fixture
def words():
    return KeyedVectors(WORDS, VECTORS, counts=[5, 4, 3, 2, 1])


def test_analogies_by_both_methods(words):
    for method in ("add", "mul"):
        best = words.most_similar(["king", "woman"], ["man"], topn=1, method=method)
        assert best[0][0] == "queen"
    assert [w for w, _ in words.most_similar("king", topn=99)] == ["man", "queen", "woman", "zero"]
    assert words.most_similar("queen", topn=1, restrict_vocab=3)[0][0] == "king"
    assert words.most_similar([("king", 1.0), ("man", -0.5)], topn=1)


def test_similarities_are_cosines(words):
    assert words.similarity("king", "queen") == pytest.approx(0.5)
    assert words.distance("king", "king") == pytest.approx(0.0, abs=1e-6)
    assert words.similarity("king", "zero") == 0.0
    assert words.n_similarity(["king"], ["queen"]) == pytest.approx(0.5)
    assert words.doesnt_match(["king", "man", "woman", "unknown"]) == "woman"
    assert words.rank("king", "man") == 1
    assert words.closer_than("king", "queen") == ["man"]
    assert words.similar_by_vector([1.0, 1.0, 0.0], topn=1)[0][0] == "king"


def test_unknown_words_are_key_errors_with_a_message(words):
    for ask in (words.get_vector, words.get_index, words.most_similar, words.__getitem__):
        with pytest.raises(KeyError, match="'emperor' has no vector"):
            ask("emperor")
    with pytest.raises(UnknownWordError):
        words.transform(["king", "emperor"])
    np.testing.assert_array_equal(
        words.transform(["king", "emperor"], oov="zero"), [[1, 1, 0], [0, 0, 0]]
    )
    with pytest.raises(ParameterError, match="needs two words"):
        words.doesnt_match(["king", "emperor"])


def test_rows_and_files(words, tmp_path):
    assert list(words) == WORDS
    assert words.key_to_index["man"] == 2
    np.testing.assert_array_equal(words[["man", "king"]], words.vectors_[[2, 0]])
    words.save(tmp_path / "w.vl")
    found = vl.open(tmp_path / "w.vl")
    assert found.index_to_key == WORDS
    assert found.counts_.tolist() == [5, 4, 3, 2, 1]
    np.testing.assert_array_equal(found.vectors_, words.vectors_)


def test_bad_words_are_refused():
    with pytest.raises(ParameterError, match="'a' is there more than once"):
        KeyedVectors(["a", "a"], np.eye(2))
    with pytest.raises(ShapeError, match="one vector a word"):
        KeyedVectors(["a"], np.eye(2))
    with pytest.raises(ParameterError, match="must be str"):
        KeyedVectors(["a", 3], np.eye(2))
    with pytest.raises(ParameterError):
        KeyedVectors(["a", "b"], [[1.0], [np.nan]])
    with pytest.raises(ParameterError, match="at least one"):
        KeyedVectors(["a"], [[1.0]]).most_similar()
