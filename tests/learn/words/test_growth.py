# SPDX-License-Identifier: Apache-2.0
"""Learning further: words that are known keep their place in space, new ones come to theirs."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError
from vectorloom.learn import FastText, Word2Vec

SETTINGS = {"vector_size": 16, "min_count": 2, "sample": 0, "epochs": 12, "random_state": 3}
SEA, LAW = ([f"{topic}{i}" for i in range(12)] for topic in ("sea", "law"))


def lines(topics, n, seed=0):
    rng = np.random.default_rng(seed)
    return [[str(w) for w in rng.choice(topics[rng.integers(len(topics))], 10)] for _ in range(n)]


@pytest.fixture(scope="module", params=[Word2Vec, FastText])
def model(request):
    return request.param(**SETTINGS).fit(lines([SEA, LAW], 600))


def further(model, corpus, **options):
    """A copy of the model that learned further."""
    other = type(model)(**model.get_params())
    other.__dict__ |= {k: v for k, v in model.__dict__.items() if not k.startswith("_")}
    return other.partial_fit(corpus, **options)


def test_new_words_come_to_their_topic(model):
    new = [*lines([[*SEA, "tide", "reef"]], 300, 1), *lines([[*LAW, "jury"]], 300, 2), ["rare"] * 1]
    grown = further(model, new)
    assert len(grown) == len(model) + 3
    assert "rare" not in grown.ids_.tolist()  # once, and min_count is 2
    for word, topic in (("tide", "sea"), ("reef", "sea"), ("jury", "law")):
        assert {near[:3] for near, _ in grown.most_similar(word, topn=8)} <= {topic, "tid", "ree"}
    before = dict(zip(model.ids_.tolist(), model.counts_.tolist(), strict=True))
    after = dict(zip(grown.ids_.tolist(), grown.counts_.tolist(), strict=True))
    words = [word for line in new for word in line]
    for word in SEA + LAW:
        assert after[word] == before[word] + words.count(word)
    assert (np.diff(grown.counts_) <= 0).all()
    assert grown.n_tokens_ == model.n_tokens_ + len(words)


def test_words_begin_where_they_were(model):
    # With a rate near nothing each word has the vector it had, wherever its row went.
    slow = type(model)(**SETTINGS | {"alpha": 1e-12, "min_alpha": 1e-12})
    slow.__dict__ |= {k: v for k, v in model.__dict__.items() if k.endswith("_")}
    slow.partial_fit([["law3", "new"] * 9] * 40)
    for word in SEA + LAW:
        np.testing.assert_allclose(slow[word], model[word], atol=2e-6)
        at, was = slow.key_to_index[word], model.key_to_index[word]
        np.testing.assert_allclose(
            slow.context_vectors_[at], model.context_vectors_[was], atol=1e-6
        )
    assert slow.key_to_index["law3"] < model.key_to_index["law3"] or not slow.key_to_index["law3"]
    if isinstance(model, FastText):
        np.testing.assert_allclose(slow.get_vector("lawsea"), model.get_vector("lawsea"), atol=1e-6)


def test_the_same_bits_at_any_number_of_threads_and_from_a_file(model, tmp_path):
    new = lines([[*SEA, "tide"]], 100, 4)
    model.save(tmp_path / "m.vl")
    one = further(model, new)
    two = vl.open(tmp_path / "m.vl").set_params(n_jobs=2).partial_fit(new)
    np.testing.assert_array_equal(one.ids_, two.ids_)
    np.testing.assert_array_equal(one.vectors_, two.vectors_)


def test_old_words_alone_and_epochs(model):
    grown = further(model, lines([SEA], 50, 5), epochs=2)
    assert sorted(grown.ids_) == sorted(model.ids_)
    assert len(grown.losses_) == 2


def test_max_vocab_keeps_what_is_known():
    small = Word2Vec(8, min_count=1, max_vocab=4, random_state=0).fit([["a", "b", "c"]] * 9)
    small.partial_fit([["d", "e", "a", "d"]] * 9)
    assert small.ids_.tolist() == ["a", "d", "b", "c"]
    small.partial_fit([["f", "a", "b", "f"]] * 9)
    assert "f" not in small.ids_.tolist()


def test_the_first_time_is_a_fit_and_trees_do_not_grow():
    first = Word2Vec(**SETTINGS).partial_fit(lines([SEA], 100))
    np.testing.assert_array_equal(
        first.vectors_, Word2Vec(**SETTINGS).fit(lines([SEA], 100)).vectors_
    )
    tree = Word2Vec(hs=1, **SETTINGS).fit(lines([SEA], 100))
    with pytest.raises(ParameterError, match="hs=1"):
        tree.partial_fit(lines([SEA], 10))
    before = first.vectors_.copy()
    with pytest.raises(ParameterError, match="no two words"):
        first.partial_fit([["x"], ["y"]])
    np.testing.assert_array_equal(first.vectors_, before)
