# SPDX-License-Identifier: Apache-2.0
"""Laws of LatentSemantic: what scikit-learn expects, unit vectors, same seed same bits, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

import vectorloom as vl
from vectorloom.errors import FormatError, NotFittedError, ParameterError, ShapeError
from vectorloom.learn import LatentSemantic

# For text input scikit-learn's own suite runs a single check: all others feed it a numeric matrix.
N_SUITE = 1
# So those of its checks that touch no data are called by name.
DATALESS = (
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
)

WORDS = (
    "sort list file read write parquet table matrix solve linear equation socket thread queue "
    "random sample normal mean test cluster point distance index search vector query token"
).split()


def corpus(n: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, 8)) for _ in range(n)]


def test_every_scikit_learn_check_for_text_input_passes_and_none_is_lost() -> None:
    with pytest.warns(UserWarning, match="Can't test estimator"):
        checks = list(estimator_checks.estimator_checks_generator(LatentSemantic()))
    for estimator, check in checks:
        check(estimator)
    assert len(checks) == N_SUITE


@pytest.mark.parametrize("name", DATALESS)
def test_the_checks_that_need_no_data_pass(name: str) -> None:
    getattr(estimator_checks, name)("LatentSemantic", LatentSemantic())


def test_vectors_have_unit_length_and_the_training_texts_transform_to_themselves() -> None:
    texts = corpus(200)
    model = LatentSemantic(n_components=16).fit(texts)
    assert model.vectors_.dtype == np.float32
    assert model.vectors_.shape == (200, 16)
    np.testing.assert_allclose(np.linalg.norm(model.vectors_, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(model.transform(texts), model.vectors_)
    np.testing.assert_array_equal(LatentSemantic(16).fit_transform(texts), model.vectors_)


def test_without_residual_the_vectors_are_those_of_a_plain_svd() -> None:
    """The oracle: NumPy's full SVD of the weights written out by hand."""
    texts = ["red green", "green blue", "blue red red", "yellow"]
    model = LatentSemantic(
        n_components=2, residual_share=0, stem=False, stop_words=None, n_iter=10
    ).fit(texts)
    terms = ["blue", "green", "red", "yellow"]
    tf = np.array([[t.split().count(term) for term in terms] for t in texts], dtype=float)
    idf = np.log(5 / (1 + (tf > 0).sum(axis=0))) + 1
    weights = np.where(tf > 0, 1 + np.log(np.maximum(tf, 1)), 0) * idf
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    _, s, vt = np.linalg.svd(weights)
    np.testing.assert_allclose(model.singular_values_, s[:2], rtol=1e-5)
    np.testing.assert_allclose(np.abs(model.components_ @ vt[:2].T), np.eye(2), atol=1e-5)
    assert model.terms_.tolist() == terms
    np.testing.assert_allclose(model.idf_, idf, rtol=1e-6)


def test_the_residual_is_orthogonal_to_the_directions_of_the_svd() -> None:
    model = LatentSemantic(n_components=20, residual_share=0.5).fit(corpus(300))
    directions, residual = model.components_[:10], model.components_[10:]
    np.testing.assert_allclose(residual @ directions.T, 0, atol=1e-6)


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_an_integer_seed_gives_the_same_bits_at_any_number_of_threads(n_jobs: int) -> None:
    texts = corpus(5000)
    one = LatentSemantic(n_components=12, n_jobs=1).fit(texts)
    other = LatentSemantic(n_components=12, n_jobs=n_jobs).fit(texts)
    np.testing.assert_array_equal(one.vectors_, other.vectors_)
    np.testing.assert_array_equal(one.components_, other.components_)


def test_another_seed_gives_another_projection() -> None:
    texts = corpus(100)
    first = LatentSemantic(n_components=8, random_state=1).fit(texts).vectors_
    assert not np.array_equal(
        first, LatentSemantic(n_components=8, random_state=2).fit_transform(texts)
    )


def test_a_text_with_no_known_term_gets_the_zero_vector() -> None:
    model = LatentSemantic(n_components=4).fit(["alpha beta", "beta gamma", "gamma alpha"])
    assert not model.transform(["omega", "", "the of and"]).any()


def test_texts_that_share_terms_are_closer_than_texts_that_share_none() -> None:
    model = LatentSemantic(n_components=8).fit(["sort a list", "sorting lists", "open a socket"])
    scores = model.vectors_ @ model.vectors_.T
    assert scores[0, 1] > 0.99
    assert abs(scores[0, 2]) < 1e-6


def test_identifiers_and_prose_meet() -> None:
    model = LatentSemantic(n_components=8).fit(["read_csv", "readCsv", "reading CSV", "socket"])
    np.testing.assert_allclose(model.vectors_[:3] @ model.vectors_[0], 1, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_components_shrink_to_what_a_small_corpus_holds(n: int) -> None:
    texts = corpus(n)
    model = LatentSemantic().fit(texts)
    assert model.n_components_ == len(model.components_) <= len(model.terms_)
    assert len(model.singular_values_) <= n
    np.testing.assert_allclose(np.linalg.norm(model.vectors_, axis=1), 1, atol=1e-5)


def test_copies_lower_the_rank_without_nan() -> None:
    model = LatentSemantic(n_components=64).fit(["same words here"] * 10)
    assert len(model.singular_values_) == 1
    assert np.isfinite(model.vectors_).all()


@pytest.mark.parametrize(
    ("texts", "error", "said"),
    [
        ([], ShapeError, "at least one text; got none"),
        ("one text", ShapeError, r"pass \[texts\]"),
        (["a text", None], ParameterError, "entry 1 is NoneType"),
        (["good", 3.5], ParameterError, r"entry 1 is float \('3.5'\)"),
        ([""], ParameterError, "no term is left of 1 texts"),
        (["the", "of"], ParameterError, "all stop words"),
        (7, ParameterError, "got int"),
        (np.array([["a"]]), ShapeError, r"got shape \(1, 1\)"),
    ],
)
def test_bad_texts_are_refused_in_words(texts: Any, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        LatentSemantic().fit(texts)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"n_components": 0}, "n_components"),
        ({"n_components": 2.5}, "n_components"),
        ({"n_iter": -1}, "n_iter"),
        ({"residual_share": 1.5}, "residual_share must be from 0 to 1"),
        ({"residual_weight": 0}, "residual_weight must be positive"),
        ({"min_df": 0}, "min_df"),
        ({"max_features": 0}, "max_features"),
        ({"ngram_range": (2, 1)}, "ngram_range"),
        ({"stop_words": "klingon"}, "stop_words must be 'english'"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_bad_parameters_are_refused_in_fit_and_not_before(
    parameters: dict[str, Any], said: str
) -> None:
    model = LatentSemantic(**parameters)
    with pytest.raises(ParameterError, match=said):
        model.fit(["some text", "more text"])
    assert not hasattr(model, "vectors_")


def test_ids_are_kept_and_checked() -> None:
    assert LatentSemantic(2).fit(["a1 b1", "b1 c1"], ids=["x", "y"]).ids_.tolist() == ["x", "y"]
    assert LatentSemantic(2).fit(["a1 b1", "b1 c1"]).ids_.tolist() == [0, 1]
    with pytest.raises(ParameterError, match="unique"):
        LatentSemantic(2).fit(["a1 b1", "b1 c1"], ids=["x", "x"])


def test_it_clones_and_works_in_a_pipeline() -> None:
    texts = corpus(40)
    labels = [int("sort" in text) for text in texts]
    assert clone(LatentSemantic(7, stem=False)).get_params()["n_components"] == 7
    pipeline = make_pipeline(LatentSemantic(8), LogisticRegression()).fit(texts, labels)
    assert pipeline.predict(texts).shape == (40,)
    names = pipeline[0].get_feature_names_out()
    assert names[0] == "latentsemantic0"
    assert len(names) == pipeline[0].n_components_


def test_terms_may_be_runs_of_words() -> None:
    model = LatentSemantic(4, ngram_range=(1, 2)).fit(["open file", "close file"])
    assert model.terms_.tolist() == ["clos", "clos file", "file", "open", "open file"]


@pytest.mark.parametrize("ids", [None, ["a", "ß"] * 10])
def test_a_saved_model_opens_equal(tmp_path: Path, ids: Any) -> None:
    texts = corpus(20)
    ids = ids and [f"{name}{i}" for i, name in enumerate(ids)]
    model = LatentSemantic(n_components=8, stop_words=["sort"], ngram_range=(1, 2)).fit(texts, ids)
    model.save(tmp_path / "model.vl")
    opened = vl.open(tmp_path / "model.vl")
    assert isinstance(opened, LatentSemantic)
    assert opened.get_params() == model.get_params()
    assert opened.ids_.tolist() == model.ids_.tolist()
    np.testing.assert_array_equal(opened.vectors_, model.vectors_)
    unseen = ["sort the new vectors of a table", "nothing"]
    np.testing.assert_array_equal(opened.transform(unseen), model.transform(unseen))


def test_a_model_that_holds_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match="call fit"):
        LatentSemantic().transform(["text"])
    with pytest.raises(NotFittedError, match="call fit"):
        LatentSemantic().save(tmp_path / "model.vl")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.vl"
    LatentSemantic(4).fit(corpus(10)).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match=r"model\.vl"):
        vl.open(path)


def test_what_a_file_cannot_hold_is_refused_before_writing(tmp_path: Path) -> None:
    model = LatentSemantic(4, random_state=np.random.RandomState(0)).fit(corpus(10))
    with pytest.raises(ParameterError, match="random_state"):
        model.save(tmp_path / "model.vl")
    assert not list(tmp_path.iterdir())
