# SPDX-License-Identifier: Apache-2.0
"""Laws of supervised explicit semantic analysis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vectorloom as vl
from vectorloom import FormatError, NotFittedError, ParameterError, ShapeError
from vectorloom.learn import SupervisedESA

CONCEPTS = {"cooking": "bake boil oven", "sailing": "boat sea oven", "law": "court judge"}
TEXTS = ["bake at sea", "boat", "court case", "oven oven", "nothing of it"]


def test_vectors_are_those_of_the_formula() -> None:
    model = SupervisedESA(CONCEPTS, stem=False).fit(TEXTS)
    n = len(TEXTS) + len(CONCEPTS)
    documents = [*TEXTS, *CONCEPTS.values()]

    def idf(word: str) -> float:
        return 1 + np.log((1 + n) / (1 + sum(word in text.split() for text in documents)))

    cooking = idf("oven") / np.linalg.norm([idf("bake"), idf("boil"), idf("oven")])
    sailing = idf("oven") / np.linalg.norm([idf("boat"), idf("sea"), idf("oven")])
    wanted = np.array([cooking, sailing, 0.0])
    np.testing.assert_allclose(model.vectors_[3], wanted / np.linalg.norm(wanted), rtol=1e-5)
    assert not model.vectors_[4].any()
    assert model.concepts_.tolist() == list(CONCEPTS)


def test_explanation_adds_up_to_the_cosine() -> None:
    model = SupervisedESA(CONCEPTS).fit(TEXTS)
    parts = model.explain("oven at sea", "bake a boat", k=3)
    left, right = model.transform(["oven at sea", "bake a boat"])
    assert sum(share for _, share in parts) == pytest.approx(float(left @ right), rel=1e-5)
    assert {name for name, _ in parts} == {"cooking", "sailing"}


def test_pairs_teach_words_that_no_concept_has() -> None:
    random = np.random.default_rng(0)
    slang = {"grub": "bake boil", "yacht": "boat sea", "suit": "court judge"}
    texts, pairs = [], []
    for _ in range(20):
        for word, known in slang.items():
            pairs.append((len(texts), len(texts) + 1))
            texts += [f"{word} {random.choice(known.split())}", str(random.choice(known.split()))]
    before = SupervisedESA(CONCEPTS).fit(texts)
    after = SupervisedESA(CONCEPTS, epochs=20, batch_size=12).fit(texts, pairs)
    assert not before.transform(list(slang)).any()
    assert [found[0][0] for found in after.top_concepts(list(slang), k=1)] == list(CONCEPTS)
    assert after.losses_[-1] < after.losses_[0]
    again = SupervisedESA(CONCEPTS, epochs=20, batch_size=12, n_jobs=3).fit(texts, pairs)
    assert again.table_.tobytes() == after.table_.tobytes()


def test_saved_learner_answers_alike(tmp_path: Path) -> None:
    path = tmp_path / "esa.vl"
    model = SupervisedESA(CONCEPTS).fit(TEXTS, [(0, 1), (3, 0)], ids=list("abcde"))
    model.save(path)
    found = vl.open(path)
    assert found.concepts_.tolist() == model.concepts_.tolist()
    assert found.ids_.tolist() == list("abcde")
    assert found.concepts == CONCEPTS
    np.testing.assert_array_equal(found.transform(TEXTS), model.transform(TEXTS))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FormatError):
        vl.open(path)


def test_bad_input_is_refused() -> None:
    for concepts in ("law", None, ["one"], {"a": "x", "b": 3}, {"a": "bread", "b": "the"}):
        with pytest.raises(ParameterError):
            SupervisedESA(concepts).fit(TEXTS)
    with pytest.raises(ShapeError, match="pairs"):
        SupervisedESA(CONCEPTS).fit(TEXTS, [0, 1])
    for pairs in ([(0, 9)], [(0.5, 1.0)], [(4, 4)]):
        with pytest.raises(ParameterError, match="pairs"):
            SupervisedESA(CONCEPTS, stop_words=["nothing", "of", "it"]).fit(TEXTS, pairs)
    with pytest.raises(NotFittedError):
        SupervisedESA(CONCEPTS).transform(TEXTS)
