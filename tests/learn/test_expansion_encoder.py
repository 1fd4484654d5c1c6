# SPDX-License-Identifier: Apache-2.0
"""Laws of the expansion encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import estimator_checks

import vectorloom as vl
from vectorloom import FormatError, NotFittedError, ParameterError, ShapeError
from vectorloom.learn import ExpansionEncoder
from vectorloom.learn.documents import expansion_training
from vectorloom.learn.terms import Terms

TOPICS = {
    "boat": ["boat", "sea", "sail", "wind", "harbour", "anchor", "wave", "captain"],
    "bread": ["bread", "oven", "flour", "bake", "dough", "crust", "yeast", "butter"],
    "court": ["judge", "court", "law", "trial", "jury", "verdict", "lawyer", "appeal"],
}
SMALL: dict[str, Any] = {"vector_size": 4, "n_expansions": 8, "batch_size": 16}

# Those of scikit-learn's checks that touch no data; the others feed a numeric matrix.
DATALESS = (
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_get_params_invariance",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
)


def corpus(n: int = 60, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    words = list(TOPICS.values())
    return [" ".join(random.choice(words[i % 3], 12)) for i in range(n)]


def found_by(model: ExpansionEncoder, queries: list[str], k: int = 10) -> Any:
    index = vl.index.Inverted(mode="exact").fit(model.vectors_, model.ids_)
    return index.search(model.transform_queries(queries), k=k)


@pytest.mark.parametrize("name", DATALESS)
def test_scikit_learns_check_passes(name: str) -> None:
    getattr(estimator_checks, name)("ExpansionEncoder", ExpansionEncoder())


def test_clone_keeps_parameters() -> None:
    model = ExpansionEncoder(8, flops=1.0, stop_words=["the"])
    assert clone(model).get_params() == model.get_params()


def test_weights_are_the_formula_worked_by_hand() -> None:
    texts = ["boat sea sea", "boat harbour", "oven bread", "bread boat"]
    model = ExpansionEncoder(2, n_expansions=2, epochs=0, stem=False).fit(texts)
    head, terms = model._head, model.terms_.tolist()
    counts = np.array([[text.split().count(term) for term in terms] for text in texts], float)
    h = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) @ head.reading
    x = h / np.linalg.norm(h, axis=1, keepdims=True) ** 0.7
    lengths = counts.sum(axis=1, keepdims=True)
    own = counts / (counts + 1.2 * (0.25 + 0.75 * lengths / lengths.mean()))
    logits = x @ head.writing.T + head.bias + np.exp(own) - 1
    wanted = np.log(1 + np.maximum(logits, 0))
    np.testing.assert_allclose(model.vectors_.toarray(), wanted, atol=2e-6)
    df = (counts > 0).sum(axis=0)
    np.testing.assert_allclose(model.idf_, np.log(1 + (4 - df + 0.5) / (df + 0.5)), rtol=1e-6)
    query = model.transform_queries(["sea sea boat sky"]).toarray()[0]
    asked = np.array([{"sea": 2, "boat": 1}.get(term, 0) for term in terms])
    np.testing.assert_allclose(query, asked * model.idf_, rtol=1e-6)


def test_without_expansions_scores_are_those_of_bm25() -> None:
    texts, queries = corpus(), ["boat boat wind", "law butter", "unheard sea"]
    model = ExpansionEncoder(n_expansions=0, epochs=0, k1=0.9, b=0.4).fit(texts)
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = vl.index.BM25(k1=0.9, b=0.4, analyzer=Terms(stop_words=ENGLISH_STOP_WORDS))
    wanted, got = words.fit(texts).search(queries, k=20), found_by(model, queries, 20)
    np.testing.assert_allclose(got.scores, wanted.scores, rtol=1e-5)
    assert model.n_learned_ == 0


def test_without_expansions_only_the_gains_of_own_words_are_learned() -> None:
    plain = ExpansionEncoder(n_expansions=0, epochs=0).fit(corpus())
    model = ExpansionEncoder(n_expansions=0, epochs=2, batch_size=16).fit(corpus())
    assert len(model.losses_) == 2
    assert (model.vectors_.indices == plain.vectors_.indices).all()
    gains = model.vectors_.data / plain.vectors_.data
    of_terms = np.exp(model._head.gains)[model.vectors_.indices]
    np.testing.assert_allclose(gains, of_terms, rtol=1e-4)
    assert gains.std() > 0.01


def test_so_many_terms_are_weighed_as_were_asked_for() -> None:
    for wanted in (10, 16, 20):
        model = ExpansionEncoder(4, n_expansions=wanted, epochs=0).fit(corpus(120))
        assert model.vectors_.nnz / 120 == pytest.approx(wanted, rel=0.15)


def test_texts_are_found_by_words_that_they_have_not() -> None:
    texts = corpus()
    model = ExpansionEncoder(**SMALL).fit(texts)
    hits = found_by(model, ["wave", "yeast", "jury"], 20)
    topics = np.asarray(hits.ids, dtype=np.int64) % 3
    assert (topics == np.arange(3)[:, None]).mean() > 0.95
    lacking = [text for text in texts[::3] if "wave" not in text.split()]
    assert lacking
    weights = model.transform(lacking)[:, model.terms_.tolist().index("wave")]
    assert (weights.toarray() > 0).mean() > 0.5


def test_more_penalty_makes_fewer_terms() -> None:
    sizes = [
        ExpansionEncoder(**SMALL, epochs=6, flops=flops).fit(corpus()).vectors_.nnz
        for flops in (0.0, 0.3, 30.0)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_pairs_teach_that_other_words_mean_the_same() -> None:
    random = np.random.default_rng(0)
    asked = {"boat": ["vessel", "ship"], "bread": ["loaf", "toast"], "court": ["legal", "suit"]}
    texts = corpus(90) + [" ".join(words) for words in asked.values()]
    queries = [" ".join(random.choice(words, 2)) for words in asked.values() for _ in range(30)]
    pairs = [(30 * t + i, 3 * i + t) for t in range(3) for i in range(30)]
    open_to_all = {**SMALL, "n_expansions": 30}  # what is shut at the start stays shut
    before = ExpansionEncoder(**open_to_all, epochs=0).fit(texts)
    model = ExpansionEncoder(**open_to_all, epochs=30, learning_rate=0.2, flops=0.0)
    model.fit(texts, queries=queries, pairs=pairs)
    assert model.losses_[-1] < model.losses_[0]

    def right(encoder: ExpansionEncoder) -> float:
        rows = encoder.transform_queries(["ship", "toast", "suit"]) @ encoder.vectors_[:90].T
        scores = rows.toarray()
        own = np.arange(90) % 3 == np.arange(3)[:, None]
        return float(np.where(own, scores, 0).sum() / scores.sum())

    assert right(model) > max(0.9, right(before))


def test_first_halves_of_pairs_are_queries() -> None:
    texts = corpus(30)
    pairs = [(" ".join(text.split()[:3]), " ".join(text.split()[3:])) for text in texts]
    one = ExpansionEncoder(**SMALL).fit(pairs)
    two = ExpansionEncoder(**SMALL).fit(
        [pair[1] for pair in pairs],
        queries=[pair[0] for pair in pairs],
        pairs=np.column_stack([np.arange(30)] * 2),
    )
    assert (one.vectors_ != two.vectors_).nnz == 0
    assert one.losses_ == two.losses_


def test_a_teacher_in_any_unit_is_followed() -> None:
    texts = corpus()
    queries = [f"{words[0]} {words[1]}" for words in TOPICS.values()] * 8
    random = np.random.default_rng(0)
    pairs = np.array([(q, t) for q in range(24) for t in random.choice(60, 12, replace=False)])
    # The teacher wants long words, whatever the query: nothing that was there before.
    length = np.array([sum(map(len, text.split())) for text in texts])[pairs[:, 1]]
    settings = {**SMALL, "learning_rate": 0.2, "epochs": 40, "flops": 0.0, "batch_size": 64}
    by_unit = []
    for unit in (1.0, 1000.0):
        model = ExpansionEncoder(**settings)
        model.fit(texts, queries=queries, pairs=pairs, scores=length * unit)
        assert model.losses_[-1] < 0.8 * model.losses_[0]
        by_unit.append(model.losses_[0])
    assert by_unit[0] == pytest.approx(by_unit[1], rel=1e-3)


def test_expanded_queries_have_terms_that_nobody_asked_for() -> None:
    model = ExpansionEncoder(**SMALL, expand_queries=True, query_expansions=8).fit(corpus())
    words = ["sail wind boat", "dough oven bake", "verdict law trial"]
    rows = model.transform_queries(words).toarray()
    terms = model.terms_.tolist()
    for row, text, topic in zip(rows, words, TOPICS, strict=True):
        own = [terms.index(word) for word in text.split()]
        assert (row[own] > 0).all()
        others = {terms[column] for column in np.flatnonzero(row)} - set(text.split())
        assert others
        stems = {Terms()(word)[0] for word in TOPICS[topic]}
        assert len(others & stems) >= len(others) / 2
    assert not model.transform_queries(["unheard"]).nnz


def test_rows_are_named_as_an_index_takes_them() -> None:
    texts = corpus(20)
    model = ExpansionEncoder(**SMALL, epochs=1).fit(texts)
    rows = [dict(row) for row in model.top_terms(texts, k=None)]
    named = vl.index.Inverted(mode="exact").fit(rows)
    asked = model.transform_queries(["boat law"])
    query = {model.terms_[c]: float(w) for c, w in zip(asked.indices, asked.data, strict=True)}
    one, two = named.search([query], k=5), found_by(model, ["boat law"], 5)
    np.testing.assert_allclose(one.scores, two.scores, rtol=1e-5)
    top = model.top_terms(texts[:2], k=3)
    assert [len(row) for row in top] == [3, 3]
    assert top[0][0][1] >= top[0][1][1] >= top[0][2][1] > 0


def test_it_is_a_leg_of_a_hybrid() -> None:
    texts = corpus(30)
    model = ExpansionEncoder(**SMALL).fit(texts)
    legs = {
        "words": vl.index.BM25().fit(texts),
        "sparse": vl.index.Inverted().fit(model.vectors_),
    }
    hybrid = vl.index.Hybrid(legs, "weighted", weights={"words": 0.5, "sparse": 0.5})
    hits = hybrid.search({"words": ["sea"], "sparse": model.transform_queries(["sea"])}, k=5)
    assert (np.asarray(hits.ids[0], dtype=np.int64) % 3 == 0).all()


def test_same_bits_at_any_number_of_threads() -> None:
    one = ExpansionEncoder(**SMALL, n_jobs=1, random_state=3).fit(corpus(300))
    two = ExpansionEncoder(**SMALL, n_jobs=3, random_state=3).fit(corpus(300))
    assert one.vectors_.data.tobytes() == two.vectors_.data.tobytes()
    assert one.vectors_.indices.tobytes() == two.vectors_.indices.tobytes()
    assert one.losses_ == two.losses_
    other = ExpansionEncoder(**SMALL, random_state=4).fit(corpus(300))
    assert other.losses_ != one.losses_


def test_vectors_of_training_texts_are_those_of_transform() -> None:
    texts, titles = corpus(30), ["boat", "bread", ""] * 10
    model = ExpansionEncoder(**SMALL).fit(texts, titles=titles)
    joined = [f"{title} {text}" for title, text in zip(titles, texts, strict=True)]
    assert model.vectors_.data.tobytes() == model.transform(joined).data.tobytes()
    assert model.vectors_.dtype == np.float32
    assert model.vectors_.data.min() > 0
    assert model.fit_transform(texts, titles=titles).shape == model.vectors_.shape


def test_what_is_unknown_has_an_empty_row() -> None:
    model = ExpansionEncoder(**SMALL).fit([*corpus(30), "", "the of"])
    assert np.diff(model.vectors_.indptr)[-2:].tolist() == [0, 0]
    assert not model.transform(["unheard of", ""]).nnz
    assert not model.transform_queries(["unheard of", ""]).nnz


def test_rare_terms_match_themselves_only() -> None:
    texts = [*corpus(30), "boat zeppelin"]
    model = ExpansionEncoder(**SMALL, min_df=2).fit(texts)
    column = model.terms_.tolist().index("zeppelin")
    assert column >= model.n_learned_
    assert np.flatnonzero(model.vectors_[:, [column]].toarray()).tolist() == [30]


def test_a_resumed_training_ends_at_the_same_bits(tmp_path: Path) -> None:
    texts, path = corpus(), tmp_path / "state.vl"
    settings = {**SMALL, "epochs": 4, "validation_share": 0.1}
    whole = ExpansionEncoder(**settings).fit(texts)

    class StopError(Exception):
        pass

    run = expansion_training.ExpansionTrainer.run

    def stopping(self: Any, begin: int, end: int, n_jobs: int | None) -> tuple[float, int]:
        if begin >= self.n_steps // 2:
            raise StopError
        return run(self, begin, end, n_jobs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expansion_training.ExpansionTrainer, "run", stopping)
        with pytest.raises(StopError):
            ExpansionEncoder(**settings).fit(texts, checkpoint=path, checkpoint_every=1e-9)
    model = ExpansionEncoder(**settings).fit(texts, checkpoint=path, resume=True)
    assert model.vectors_.data.tobytes() == whole.vectors_.data.tobytes()
    assert model.losses_ == whole.losses_
    assert model.held_out_losses_ == whole.held_out_losses_
    with pytest.raises(ParameterError, match="flops"):
        ExpansionEncoder(**settings, flops=5.0).fit(texts, checkpoint=path, resume=True)
    with pytest.raises(ParameterError, match="texts"):
        ExpansionEncoder(**settings).fit([*texts[1:], "sea"], checkpoint=path, resume=True)


def test_patience_keeps_the_best_epoch() -> None:
    model = ExpansionEncoder(
        **SMALL, epochs=40, learning_rate=3.0, validation_share=0.3, patience=2
    ).fit(corpus())
    held_out = model.held_out_losses_
    assert len(held_out) < 40
    assert len(held_out) - 1 - int(np.argmin(held_out)) == 2


def test_saved_encoder_answers_alike(tmp_path: Path) -> None:
    path, texts = tmp_path / "expansion.vl", corpus(30)
    ids = [f"t{i}" for i in range(30)]
    model = ExpansionEncoder(**SMALL, stop_words=["the"], expand_queries=True).fit(texts, ids)
    model.save(path)
    found = vl.open(path)
    assert isinstance(found, ExpansionEncoder)
    assert found.get_params() == model.get_params()
    assert found.ids_.tolist() == ids
    assert found.losses_ == model.losses_
    assert (found.vectors_ != model.vectors_).nnz == 0
    for name in ("transform", "transform_queries"):
        one, two = (getattr(m, name)(["a boat at sea"]) for m in (found, model))
        assert one.data.tobytes() == two.data.tobytes()
    assert found_by(found, ["boat"]).ids.tolist() == found_by(model, ["boat"]).ids.tolist()
    found.save(tmp_path / "again.vl")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError):
        vl.open(path)


def test_flipped_bits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "expansion.vl"
    ExpansionEncoder(**SMALL, epochs=0).fit(corpus(12)).save(path)
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data), len(data) // 7):
        flipped = bytearray(data)
        flipped[place] ^= 16
        path.write_bytes(flipped)
        try:
            vl.open(path, verify=True)
        except FormatError:
            continue
        assert data[place] == 0, place  # only padding may pass, and that is checked too
        raise AssertionError(place)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"vector_size": 0}, "vector_size"),
        ({"epochs": -1}, "epochs"),
        ({"n_expansions": -1}, "n_expansions"),
        ({"query_expansions": 0}, "query_expansions"),
        ({"temperature": 0.0}, "temperature"),
        ({"strength": float("nan")}, "strength"),
        ({"flops": -0.1}, "flops"),
        ({"flops": float("inf")}, "flops"),
        ({"length_power": 1.5}, "length_power"),
        ({"b": -0.1}, "b must"),
        ({"validation_share": 1.0}, "validation_share"),
        ({"patience": 2}, "validation_share"),
        ({"stop_words": "klingon"}, "stop_words"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_bad_parameters_are_refused(params: dict[str, object], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        ExpansionEncoder(**params).fit(corpus(6))


def test_bad_texts_are_refused() -> None:
    for texts in ("one text", []):
        with pytest.raises(ShapeError):
            ExpansionEncoder().fit(texts)
    for texts in ([1, 2], [("a", "b", "c")], ["the", "of"], [("unheard", "boat")]):
        with pytest.raises(ParameterError):
            ExpansionEncoder(4).fit(texts)
    with pytest.raises(ShapeError, match="titles"):
        ExpansionEncoder().fit(["a text"], titles=["one", "two"])
    with pytest.raises(ParameterError, match="resume"):
        ExpansionEncoder().fit(corpus(6), resume=True)
    for method in ("transform", "transform_queries", "top_terms"):
        with pytest.raises(NotFittedError):
            getattr(ExpansionEncoder(), method)(["a text"])


@pytest.mark.parametrize(
    ("asked", "error", "match"),
    [
        ({"queries": ["boat"]}, ParameterError, "belong together"),
        ({"pairs": [(0, 0)]}, ParameterError, "belong together"),
        ({"queries": ["boat"], "pairs": [(0, 0, 1)]}, ShapeError, "n_pairs, 2"),
        ({"queries": ["boat"], "pairs": np.empty((0, 2), int)}, ShapeError, "n_pairs > 0"),
        ({"queries": ["boat"], "pairs": [(0.0, 1.0)]}, ParameterError, "int"),
        ({"queries": ["boat"], "pairs": [(1, 0)]}, ParameterError, "queries, from 0 to 0"),
        ({"queries": ["boat"], "pairs": [(0, 6)]}, ParameterError, "texts, from 0 to 5"),
        ({"queries": ["boat"], "pairs": [(0, 1)], "scores": [1, 2]}, ShapeError, "scores"),
        ({"queries": ["boat"], "pairs": [(0, 1)], "scores": [np.nan]}, ParameterError, "NaN"),
        ({"queries": ["boat"], "pairs": [(0, 1)], "scores": [1]}, ParameterError, "two texts"),
        ({"queries": ["unheard"], "pairs": [(0, 1)]}, ParameterError, "both sides"),
    ],
)
def test_bad_pairs_are_refused(asked: dict[str, Any], error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        ExpansionEncoder(**SMALL).fit(corpus(6), **asked)


def test_one_text_is_weighed_as_it_is() -> None:
    model = ExpansionEncoder(4).fit(["a boat on the sea in a storm of wind"])
    assert model.losses_ == []
    assert sparse.issparse(model.vectors_)
    assert model.vectors_.nnz == 4
