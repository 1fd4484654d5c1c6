# SPDX-License-Identifier: Apache-2.0
"""Subwords: fastText's hash, vectors of unseen words, bits, files."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.learn import Corpus, FastText, UnknownWordError

STEMS = ["walk", "talk", "jump", "sing", "read", "hunt"]
ENDINGS = ["s", "er", "ers", "ing", "ed"]


def buckets_of(word, min_n, max_n, n_buckets):
    """The rule of fastText's dictionary.cc, in Python."""
    chars = list(f"<{word}>")
    found = []
    for i in range(len(chars)):
        for n in range(1, max_n + 1):
            if i + n > len(chars):
                break
            if n < min_n or (n == 1 and (i == 0 or i + n == len(chars))):
                continue
            h = 2166136261
            for byte in "".join(chars[i : i + n]).encode():
                h ^= (byte - 256 if byte > 127 else byte) & 0xFFFFFFFF
                h = h * 16777619 & 0xFFFFFFFF
            found.append(h % n_buckets)
    return found


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(1)
    lines = []
    for _ in range(1200):
        stem, other = rng.choice(STEMS, size=2, replace=False)
        ends = rng.choice(ENDINGS, size=6)
        lines.append([stem + end for end in ends] + [str(other)])
    return Corpus(lines).encode(min_count=1)


@pytest.mark.parametrize("word", ["a", "cat", "straße", "日本語", "été"])
@pytest.mark.parametrize(("low", "high"), [(3, 6), (1, 3), (2, 2)])
def test_ngrams_are_those_of_fasttext(word, low, high):
    offsets, found = _core.word_subwords([word], low, high, 12345)
    assert found.tolist() == buckets_of(word, low, high, 12345)
    assert offsets.tolist() == [0, len(found)]


def test_a_word_is_the_mean_of_its_rows(corpus):
    model = FastText(8, epochs=1, random_state=0).fit(corpus)
    word = "walks"
    places = np.searchsorted(model.buckets_, buckets_of(word, 3, 6, 2_000_000))
    n = len(places)
    own = model[word] * (n + 1) - model.bucket_vectors_[places].sum(axis=0)
    # What is left is the word's own row: of the size of a row, not of a sum of n.
    assert 0 < np.abs(own).max() < 4 * np.abs(model.bucket_vectors_[places]).max() + 0.2
    unseen = model.get_vector("walkingers")
    known = np.isin(buckets_of("walkingers", 3, 6, 2_000_000), model.buckets_)
    rows = np.array(buckets_of("walkingers", 3, 6, 2_000_000))[known]
    expected = model.bucket_vectors_[np.searchsorted(model.buckets_, rows)].mean(axis=0)
    np.testing.assert_allclose(unseen, expected, rtol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"sg": 0, "alpha": 0.1}, {"hs": 1, "negative": 0}])
@pytest.mark.parametrize("random_state", [None, 1])
def test_unseen_forms_lie_near_their_stem(corpus, settings, random_state):
    model = FastText(
        24, sample=0, epochs=8, min_n=3, max_n=5, random_state=random_state, n_jobs=2, **settings
    ).fit(corpus)
    hits = sum(
        model.most_similar(stem + "edly", topn=1)[0][0].startswith(stem)
        for stem in STEMS
        if stem + "edly" not in model
    )
    assert hits >= 5
    assert model.losses_[-1] < model.losses_[0]


def test_a_seed_gives_the_same_bits_at_any_number_of_threads(corpus):
    one = FastText(40, random_state=3, n_jobs=1, epochs=2).fit(corpus)
    two = FastText(40, random_state=3, n_jobs=2, epochs=2).fit(corpus)
    np.testing.assert_array_equal(one.vectors_, two.vectors_)
    np.testing.assert_array_equal(one.bucket_vectors_, two.bucket_vectors_)


def test_without_ngrams_it_knows_what_it_has_seen(corpus):
    model = FastText(8, epochs=1, max_n=0, random_state=0).fit(corpus)
    assert len(model.buckets_) == 0
    with pytest.raises(UnknownWordError):
        model.get_vector("walkingly")


def test_files_bring_unseen_words_back(corpus, tmp_path):
    model = FastText(12, epochs=1, random_state=0).fit(corpus)
    model.save(tmp_path / "w.vl")
    found = vl.open(tmp_path / "w.vl", verify=True)
    assert found.get_params() == model.get_params()
    np.testing.assert_array_equal(found.get_vector("walkedly"), model.get_vector("walkedly"))
    with pytest.raises(UnknownWordError):
        found.get_vector("qqqq")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_n": 4, "max_n": 3}, "min_n <= max_n"),
        ({"bucket": 0}, "bucket"),
        ({"bucket": 1 << 31}, "below"),
        ({"min_n": 0}, "min_n"),
    ],
)
def test_bad_subwords_are_named(corpus, settings, message):
    with pytest.raises(ParameterError, match=message):
        FastText(**settings).fit(corpus)
