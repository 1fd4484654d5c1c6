# SPDX-License-Identifier: Apache-2.0
"""Skip-gram and CBOW: what is learned, bits, checkpoints, files, bad input."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import FormatError, NotFittedError, ParameterError
from vectorloom.learn import Corpus, KeyedVectors, Word2Vec
from vectorloom.learn.steps import Steps

TOPICS = [[f"{topic}{i}" for i in range(12)] for topic in ("sea", "sky", "war", "law")]


@pytest.fixture(scope="module")
def corpus():
    """Sentences that each speak of one of four topics."""
    rng = np.random.default_rng(0)
    lines = [list(rng.choice(TOPICS[rng.integers(4)], size=10)) for _ in range(1500)]
    return Corpus([[str(word) for word in line] for line in lines]).encode(min_count=1)


def topic_gap(model):
    """Mean cosine within a topic less that between topics."""
    rows = np.stack([model.get_vector(word, norm=True) for topic in TOPICS for word in topic])
    same = np.repeat(np.arange(4), 12)
    cosines = rows @ rows.T
    within = same[:, None] == same[None]
    return cosines[within].mean() - cosines[~within].mean()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"sg": 0, "alpha": 0.05},
        {"hs": 1, "negative": 0},
        {"hs": 1, "negative": 0, "sg": 0, "alpha": 0.05},
        {"sg": 0, "cbow_mean": 0, "alpha": 0.2},
        {"hs": 1},
    ],
)
@pytest.mark.parametrize("random_state", [None, 1])
def test_words_of_one_topic_come_together(corpus, settings, random_state):
    model = Word2Vec(
        16, window=4, sample=0, epochs=20, random_state=random_state, n_jobs=2, **settings
    ).fit(corpus)
    # The sum's gradient is shared out, so that it learns more slowly.
    assert topic_gap(model) > (0.35 if settings.get("cbow_mean", 1) else 0.15)
    assert model.losses_[-1] < model.losses_[0]


@pytest.mark.parametrize("settings", [{}, {"sg": 0}, {"hs": 1, "negative": 3}])
def test_a_seed_gives_the_same_bits_at_any_number_of_threads(corpus, settings):
    one = Word2Vec(24, random_state=5, n_jobs=1, epochs=2, **settings).fit(corpus)
    for n_jobs in (2, 3):
        more = Word2Vec(24, random_state=5, n_jobs=n_jobs, epochs=2, **settings).fit(corpus)
        np.testing.assert_array_equal(one.vectors_, more.vectors_)
        np.testing.assert_array_equal(one.context_vectors_, more.context_vectors_)
        assert one.losses_ == more.losses_
    other = Word2Vec(24, random_state=6, epochs=2, **settings).fit(corpus)
    assert not np.array_equal(one.vectors_, other.vectors_)


def test_the_first_loss_is_that_of_no_knowledge(corpus):
    # Outputs begin as zeros: each of the 1 + 5 terms is log 2.
    model = Word2Vec(8, epochs=1, alpha=1e-6, min_alpha=1e-6, random_state=0).fit(corpus)
    assert model.losses_[0] == pytest.approx(6 * np.log(2), rel=1e-3)


def test_a_resumed_training_ends_at_the_same_bits(corpus, tmp_path, monkeypatch):
    settings = {"vector_size": 16, "epochs": 3, "random_state": 7}
    whole = Word2Vec(**settings).fit(corpus)
    path = tmp_path / "training.vl"
    save, calls = Steps._save, []

    def stop_at_second(self, target):
        save(self, target)
        calls.append(self.step)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Steps, "_save", stop_at_second)
    cut = Word2Vec(**settings)
    with pytest.raises(KeyboardInterrupt):
        cut.fit(corpus, checkpoint=path, checkpoint_every=1e-9)
    assert np.isfinite(cut.vectors_).all()
    monkeypatch.undo()
    resumed = Word2Vec(**settings).fit(corpus, checkpoint=path, resume=True)
    np.testing.assert_array_equal(resumed.vectors_, whole.vectors_)
    assert resumed.losses_ == pytest.approx(whole.losses_)

    with pytest.raises(ParameterError, match=r"another training.*epochs: 3 != 4"):
        Word2Vec(**{**settings, "epochs": 4}).fit(corpus, checkpoint=path, resume=True)
    with pytest.raises(ParameterError, match="tokens"):
        Word2Vec(**settings).fit([["a", "b"]] * 99, checkpoint=path, resume=True)
    whole.save(path)
    with pytest.raises(FormatError, match="not the state"):
        Word2Vec(**settings).fit(corpus, checkpoint=path, resume=True)


def test_files_bring_everything_back(corpus, tmp_path):
    model = Word2Vec(20, epochs=1, random_state=0).fit(corpus)
    model.save(tmp_path / "words.vl")
    found = vl.open(tmp_path / "words.vl", verify=True)
    assert found.get_params() == model.get_params()
    np.testing.assert_array_equal(found.vectors_, model.vectors_)
    np.testing.assert_array_equal(found.context_vectors_, model.context_vectors_)
    np.testing.assert_array_equal(found.counts_, model.counts_)
    assert found.most_similar("sea1") == model.most_similar("sea1")
    for name in ("words.vec", "words.w2v", "words.vec.gz", "words.parquet"):
        model.write(tmp_path / name)
        read = KeyedVectors.read(tmp_path / name)
        assert read.index_to_key == model.index_to_key
        np.testing.assert_allclose(read.vectors_, model.vectors_, rtol=1e-6)


def test_damaged_files_are_refused(corpus, tmp_path):
    path = tmp_path / "words.vl"
    Word2Vec(8, epochs=1, random_state=0).fit(corpus).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError):
        vl.open(path)
    path.write_bytes(data[:-200] + bytes([data[-200] ^ 1]) + data[-199:])
    with pytest.raises(FormatError):
        vl.open(path, verify=True)


def test_gensim_reads_our_files_and_agrees(corpus, tmp_path):
    gensim = pytest.importorskip("gensim.models")
    model = Word2Vec(20, epochs=2, random_state=0).fit(corpus)
    model.write(tmp_path / "w.vec")
    model.write(tmp_path / "w.w2v", format="word2vec-binary")
    text = gensim.KeyedVectors.load_word2vec_format(str(tmp_path / "w.vec"))
    binary = gensim.KeyedVectors.load_word2vec_format(str(tmp_path / "w.w2v"), binary=True)
    np.testing.assert_array_equal(binary.vectors, model.vectors_)
    question = {"positive": ["sea1", "sky2"], "negative": ["law3"]}
    for theirs, ours in (
        (text.most_similar(**question), model.most_similar(**question)),
        (text.most_similar_cosmul(**question), model.most_similar_cosmul(**question)),
    ):
        assert [word for word, _ in theirs] == [word for word, _ in ours]
        np.testing.assert_allclose([s for _, s in theirs], [s for _, s in ours], atol=1e-4)
    words = ["sea1", "sea2", "law3"]
    assert text.doesnt_match(words) == model.doesnt_match(words)
    assert text.similarity("sea1", "law1") == pytest.approx(model.similarity("sea1", "law1"), 1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vector_size": 0}, "vector_size"),
        ({"window": 0}, "window"),
        ({"negative": 0}, "leave nothing to learn"),
        ({"negative": -1}, "negative"),
        ({"alpha": 0.0}, "min_alpha <= alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"sg": 2}, "sg"),
        ({"epochs": 0}, "epochs"),
        ({"random_state": -1}, "random_state"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"ns_exponent": 3}, "ns_exponent"),
    ],
)
def test_bad_parameters_are_named(corpus, settings, message):
    model = Word2Vec(**settings)
    with pytest.raises(ParameterError, match=message):
        model.fit(corpus)
    with pytest.raises(NotFittedError):
        len(model)


def test_corpora_that_teach_nothing_are_refused():
    with pytest.raises(ParameterError, match="one word only"):
        Word2Vec().fit([["a"] * 20])
    with pytest.raises(ParameterError, match="no two words"):
        Word2Vec(min_count=1).fit([["a"], ["b"]])


def test_a_vocabulary_of_two_words_trains():
    model = Word2Vec(4, min_count=1, sample=0, random_state=0, epochs=3).fit([["a", "b"]] * 50)
    assert np.isfinite(model.vectors_).all()


def test_clone_and_parameters():
    model = Word2Vec(50, window=3)
    assert Word2Vec(**model.get_params()).get_params() == model.get_params()
    assert repr(model) == "Word2Vec(vector_size=50, window=3)"
