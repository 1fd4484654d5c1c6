# SPDX-License-Identifier: Apache-2.0
"""What holds for every learner of texts: rows, files, bits, bad input."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import FormatError, NotFittedError, ParameterError, ShapeError
from vectorloom.learn import CMOW, SIF, Corpus, ParagraphVectors, Sent2Vec

SEEDED = {"min_count": 1, "random_state": 3}
LEARNERS = {
    "dbow": lambda **more: ParagraphVectors(16, sample=0, **SEEDED, **more),
    "dm": lambda **more: ParagraphVectors(
        16, dm=1, sample=0, epochs=30, alpha=0.05, **SEEDED, **more
    ),
    "words": lambda **more: ParagraphVectors(16, dbow_words=1, sample=0, **SEEDED, **more),
    "codes": lambda **more: ParagraphVectors(64, binary=True, sample=0, **SEEDED, **more),
    "sent2vec": lambda **more: Sent2Vec(16, sample=0, epochs=5, **SEEDED, **more),
    "cmow": lambda **more: CMOW(8, vector_size=16, sample=0, epochs=5, **SEEDED, **more),
    "products": lambda **more: CMOW(8, vector_size=0, sample=0, epochs=5, **SEEDED, **more),
    "sif": lambda **more: SIF(vector_size=16, **SEEDED, **more),
}


@pytest.fixture(scope="module", params=list(LEARNERS))
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model(kind, texts):
    return LEARNERS[kind](n_jobs=1).fit(texts[0])


def gap(vectors, topics):
    """Mean cosine within a topic less that between topics."""
    cosines = vectors @ vectors.T
    same = topics[:, None] == topics[None]
    return float(cosines[same].mean() - cosines[~same].mean())


def signed(model, rows):
    """Codes as rows of plus and minus one, unit length."""
    if rows.dtype != np.uint8:
        return rows
    bits = np.unpackbits(rows, axis=1).astype(np.float32) * 2 - 1
    return bits / np.linalg.norm(bits, axis=1, keepdims=True)


def test_texts_of_one_topic_come_together(kind, model, texts, new_texts):
    floor = {"dm": 0.15, "codes": 0.25, "words": 0.4}.get(kind, 0.45)
    assert gap(signed(model, model.vectors_), texts[1]) > floor
    assert gap(signed(model, model.transform(new_texts[0])), new_texts[1]) > floor


def test_rows_are_of_unit_length(model):
    if model.vectors_.dtype == np.float32:
        np.testing.assert_allclose(np.linalg.norm(model.vectors_, axis=1), 1.0, rtol=1e-5)
    assert len(model.vectors_) == len(model.ids_) == 500


def test_a_text_has_one_vector_whatever_is_beside_it(model, new_texts):
    together = model.transform(new_texts[0])
    again = model.transform(new_texts[0][::-1])[::-1]
    np.testing.assert_array_equal(together, again)
    np.testing.assert_array_equal(together[7], model.transform([new_texts[0][7]])[0])


def test_new_texts_lie_where_texts_of_training_do(model, texts):
    found = signed(model, model.transform(texts[0][:100]))
    cosines = (found * signed(model, model.vectors_[:100])).sum(axis=1)
    # 60 random bits differ in half of all places; a vector of its own gets 0.
    assert np.median(cosines) > (0.6 if model.vectors_.dtype == np.uint8 else 0.8)


def test_the_same_bits_at_any_number_of_threads(kind, model, texts, new_texts):
    other = LEARNERS[kind](n_jobs=3).fit(texts[0])
    np.testing.assert_array_equal(model.vectors_, other.vectors_)
    np.testing.assert_array_equal(model.transform(new_texts[0]), other.transform(new_texts[0]))


def test_a_file_gives_the_model_back(model, new_texts, tmp_path):
    model.save(tmp_path / "m.vl")
    found = vl.open(tmp_path / "m.vl", verify=True)
    assert type(found) is type(model)
    assert found.get_params() == model.get_params()
    np.testing.assert_array_equal(found.vectors_, model.vectors_)
    np.testing.assert_array_equal(found.ids_, model.ids_)
    np.testing.assert_array_equal(found.transform(new_texts[0]), model.transform(new_texts[0]))
    found.save(tmp_path / "again.vl")
    assert (tmp_path / "again.vl").read_bytes() == (tmp_path / "m.vl").read_bytes()


def test_a_damaged_file_is_refused(model, tmp_path):
    path = tmp_path / "m.vl"
    model.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError):
        vl.open(path)
    flipped = bytearray(whole)
    flipped[-200] ^= 4
    path.write_bytes(bytes(flipped))
    with pytest.raises(FormatError):
        vl.open(path, verify=True)


def test_texts_without_a_known_word_get_zeros(model):
    found = model.transform(["", "never seen", "sea1 sea2 sea3"])
    assert not found[:2].any()
    assert found[2].any()


def test_empty_texts_of_training_keep_their_rows(kind, texts):
    given = ["", *texts[0][:50], "?!"]
    found = LEARNERS[kind]().fit(given, ids=[f"t{i}" for i in range(52)])
    assert found.vectors_.shape[0] == 52
    assert not found.vectors_[[0, -1]].any()
    assert found.ids_[-1] == "t51"


def test_words_that_are_cut_already_are_the_same_text(model, new_texts):
    cut = [text.split() for text in new_texts[0]]
    np.testing.assert_array_equal(model.transform(cut), model.transform(new_texts[0]))


def test_a_corpus_of_lines_is_the_list_of_its_lines(kind, model, texts, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(texts[0]), encoding="utf-8")
    found = LEARNERS[kind]().fit(Corpus(path))
    np.testing.assert_array_equal(found.vectors_, model.vectors_)


def test_threads_may_transform_at_once(model, new_texts):
    expected = model.transform(new_texts[0])
    found = [None] * 4

    def work(i):
        found[i] = model.transform(new_texts[0])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rows in found:
        np.testing.assert_array_equal(rows, expected)


def test_what_cannot_be_learned_from_is_named(kind):
    learner = LEARNERS[kind]()
    with pytest.raises(NotFittedError, match="fit"):
        learner.transform(["a"])
    with pytest.raises(ShapeError, match="at least one text"):
        learner.fit([])
    with pytest.raises(ShapeError, match="no words"):
        learner.fit(["", "…"])
    with pytest.raises(ShapeError, match="one str"):
        learner.fit("a text")
    with pytest.raises(ParameterError, match=r"one word only|neighbours"):
        learner.fit(["word"])
    with pytest.raises(ParameterError, match="min_count"):
        learner.set_params(min_count=9).fit(["a b c", "a b d"])
    with pytest.raises(ShapeError, match="ids"):
        LEARNERS[kind]().fit(["a b", "b a"] * 20, ids=[1])


def test_a_callable_that_cuts_is_used_but_not_saved(kind, tmp_path):
    corpus = Corpus(["a-b-c", "b-c-d"] * 30, tokenizer=lambda text: text.split("-"))
    model = LEARNERS[kind]().fit(corpus)
    assert set(model.words_) == {"a", "b", "c", "d"}
    with pytest.raises(ParameterError, match="callable"):
        model.save(tmp_path / "m.vl")
