# SPDX-License-Identifier: Apache-2.0
"""Counts of pairs by hand and against a plain loop; mutual information; the SVD; bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vectorloom as vl
from vectorloom.errors import ParameterError
from vectorloom.learn import PMISVD, Corpus
from vectorloom.learn.words.pmi_svd import information, pair_counts


def plain_counts(sentences, words, window, weight):
    found = np.zeros((len(words), len(words)))
    for sentence in sentences:
        for i, a in enumerate(sentence):
            for j, b in enumerate(sentence):
                d = abs(i - j)
                if 1 <= d <= window:
                    how = {"flat": 1, "harmonic": 1 / d, "linear": (window + 1 - d) / window}
                    found[words.index(a), words.index(b)] += how[weight]
    return found


@settings(deadline=None)  # the first call imports SciPy
@given(
    st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=12), min_size=1, max_size=8),
    st.integers(1, 6),
    st.sampled_from(["flat", "harmonic", "linear"]),
    st.integers(1, 3),
)
def test_pairs_are_counted_as_a_plain_loop_counts_them(sentences, window, weight, n_jobs):
    encoded = Corpus(sentences).encode(min_count=1)
    found = pair_counts(encoded, window, weight, n_jobs)
    expected = plain_counts(sentences, encoded.words, window, weight)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-5)
    np.testing.assert_allclose(found.toarray(), found.toarray().T, rtol=1e-5)


def test_information_by_hand():
    encoded = Corpus([["a", "b"], ["a", "b"], ["a", "c"]]).encode(min_count=1)
    pairs = pair_counts(encoded, 1, "flat", 1)
    information(pairs, smoothing=1.0, shift=1.0)
    # n(a, b) = 2, n(a) = 3, n(b) = 2, N = 6: log(2 * 6 / (3 * 2)) = log 2
    expected = np.log([[1, 2, 2], [2, 1, 1], [2, 1, 1]])
    np.testing.assert_allclose(pairs.toarray(), expected, atol=1e-6)
    assert pairs.nnz == 4


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(0)
    topics = [[f"{name}{i}" for i in range(20)] for name in ("sea", "sky", "law")]
    lines = [[str(w) for w in rng.choice(topics[rng.integers(3)], size=8)] for _ in range(800)]
    return Corpus(lines).encode(min_count=1)


def test_all_components_rebuild_the_information(corpus):
    n = len(corpus.words)
    model = PMISVD(n, power=1.0, smoothing=1.0, n_iter=6).fit(corpus)
    pairs = pair_counts(corpus, 5, "linear", 1)
    information(pairs, 1.0, 1.0)
    dense = pairs.toarray().astype(np.float64)
    # M is symmetric: U S^2 Ut = M Mt.
    rows = model.vectors_.astype(np.float64)
    np.testing.assert_allclose(rows @ rows.T, dense @ dense.T, atol=2e-3)


def test_neighbours_share_a_topic_and_bits_are_fixed(corpus, tmp_path):
    one = PMISVD(3, n_jobs=1).fit(corpus)
    two = PMISVD(3, n_jobs=2).fit(corpus)
    np.testing.assert_array_equal(one.vectors_, two.vectors_)
    assert all(word.startswith("sea") for word, _ in one.most_similar("sea1", topn=15))
    one.save(tmp_path / "w.vl")
    found = vl.open(tmp_path / "w.vl", verify=True)
    np.testing.assert_array_equal(found.vectors_, one.vectors_)
    assert found.n_pairs_ == one.n_pairs_


def test_bad_settings_are_named(corpus):
    for given_settings, message in (
        ({"shift": 0}, "shift"),
        ({"smoothing": 2}, "smoothing"),
        ({"power": -1}, "power"),
        ({"shift": 1e9}, "no pair of words"),
    ):
        with pytest.raises(ParameterError, match=message):
            PMISVD(**given_settings).fit(corpus)
