# SPDX-License-Identifier: Apache-2.0
"""Bit-cipher: the codes, a case by hand, places of the window, files, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vectorloom as vl
from vectorloom.errors import ParameterError
from vectorloom.learn import BitCipher, Corpus
from vectorloom.learn.words.bit_cipher import company, word_codes


def test_codes_of_three_bits_by_hand():
    sets = [set(np.flatnonzero(row).tolist()) for row in word_codes(7, 3)]
    assert sets == [{0}, {1}, {2}, {0, 1}, {1, 2}, {2, 0}, {0, 1, 2}]


@given(st.integers(1, 11), st.data())
def test_codes_differ_grow_and_use_bits_evenly(bits, data):
    n = data.draw(st.integers(1, min(300, 2**bits - 1)))
    codes = word_codes(n, bits)
    assert len(np.unique(codes, axis=0)) == n
    np.testing.assert_allclose(codes.sum(axis=1), 1, rtol=1e-6)
    sizes = (codes > 0).sum(axis=1)
    assert (np.diff(sizes) >= 0).all()
    # What is not even is the last circle that was begun.
    assert np.ptp((codes > 0).sum(axis=0)) <= sizes.max()


def test_company_by_hand():
    # Shares 1/2 and 1/2; 3 of the first word's 4 meetings are with bit 0.
    found = company(np.array([[3.0, 1.0], [1.0, 3.0]], np.float32), smoothing=2.0)
    np.testing.assert_allclose(found[0], np.log([(3 + 1) / (6 * 0.5), (1 + 1) / (6 * 0.5)]))


def test_concat_tells_left_from_right():
    # Codes of 2 bits: a=0, b=1, c={0, 1}. b stands right of a alone.
    corpus = Corpus(["a b"] * 10 + ["c", "a", "a", "b"] * 1).encode(min_count=1)
    assert corpus.words[:2] == ["a", "b"]
    model = BitCipher(4, window=1, min_count=1, mode="concat", smoothing=1e-6).fit(corpus)
    left, right = model["a"][:2], model["a"][2:]
    np.testing.assert_allclose(left, 0, atol=1e-6)  # nothing on a's left
    assert right[1] > right[0]
    assert model.vectors_.shape == (3, 4)


def test_words_of_one_topic_come_together_and_files_hold_them(tmp_path):
    rng = np.random.default_rng(0)
    topics = [[f"{name}{i}" for i in range(15)] for name in ("sea", "sky", "law")]
    lines = [[str(w) for w in rng.choice(topics[rng.integers(3)], size=8)] for _ in range(600)]
    model = BitCipher(30, min_count=1).fit(lines)
    near = [word for word, _ in model.most_similar("law3", topn=10)]
    assert sum(word.startswith("law") for word in near) >= 9
    model.save(tmp_path / "b.vl")
    found = vl.open(tmp_path / "b.vl", verify=True)
    np.testing.assert_array_equal(found.vectors_, model.vectors_)
    np.testing.assert_array_equal(found.codes_, model.codes_)
    assert found.get_params() == model.get_params()


def test_bad_settings_are_named():
    texts = ["a b c d e f g h"] * 5
    for given_, message in (
        ({"vector_size": 3}, "7 codes, too few for 8"),
        ({"mode": "mean"}, "sum"),
        ({"mode": "concat", "vector_size": 9}, "2 \\* window"),
        ({"smoothing": 0.0}, "smoothing"),
    ):
        with pytest.raises(ParameterError, match=message):
            BitCipher(**given_).fit(texts)
