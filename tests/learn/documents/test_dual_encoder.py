# SPDX-License-Identifier: Apache-2.0
"""Laws of the dual encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vectorloom as vl
from vectorloom import FormatError, NotFittedError, ParameterError, ShapeError, _core
from vectorloom.learn import DualEncoder

TOPICS = {
    "boat": ["boat", "sea", "sail", "wind", "harbour", "anchor", "wave", "captain"],
    "bread": ["bread", "oven", "flour", "bake", "dough", "crust", "yeast", "butter"],
    "court": ["judge", "court", "law", "trial", "jury", "verdict", "lawyer", "appeal"],
}


def corpus(n: int = 60) -> list[str]:
    random = np.random.default_rng(0)
    words = list(TOPICS.values())
    return [" ".join(random.choice(words[i % 3], 12)) for i in range(n)]


def step_by_hand(
    table: np.ndarray, queries: list[list[int]], documents: list[list[int]], rate: float
) -> tuple[np.ndarray, float]:
    """One step on pairs of bags without repeats, in float64, gradients by finite differences."""
    scale, power = 10.0, 0.6

    def loss_of(rows: np.ndarray) -> float:
        x = np.array([rows[bag].sum(axis=0) for bag in queries])
        y = np.array([rows[bag].sum(axis=0) for bag in documents])
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        y /= np.linalg.norm(y, axis=1, keepdims=True) ** power
        s = scale * x @ y.T
        by_row = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
        by_column = s - np.log(np.exp(s).sum(axis=0, keepdims=True))
        return float(-(np.diag(by_row) + np.diag(by_column)).sum() / 2)

    rows = table.astype(np.float64)
    gradient = np.zeros_like(rows)
    for place in np.ndindex(*rows.shape):
        for sign in (1, -1):
            moved = rows.copy()
            moved[place] += sign * 1e-5
            gradient[place] += sign * loss_of(moved) / 2e-5
    lengths = np.linalg.norm(gradient, axis=1, keepdims=True)
    return rows - rate * gradient / np.where(lengths > 0, lengths, 1), loss_of(rows)


def test_one_step_is_the_gradient_of_the_formula() -> None:
    random = np.random.default_rng(1)
    table = random.standard_normal((9, 4)).astype(np.float32)
    queries, documents = [[0, 1], [2], [3, 4]], [[5, 6], [7, 1], [8]]
    wanted, loss = step_by_hand(table, queries, documents, 0.1)
    bags = [[*q, *d] for q, d in zip(queries, documents, strict=True)]
    rows = np.array([row for bag in bags for row in bag], np.int32)[:, None]
    offsets = np.cumsum([0, *map(len, bags)]).astype(np.int64)
    heads = offsets[:-1] + [len(query) for query in queries]
    trainer = _core.DualTrainer(
        _core.Ngrams(rows, offsets, np.array([1])),
        heads,
        np.arange(3),
        np.empty((3, 0), np.int32),
        table,
        np.zeros(9, np.float32),
        batch=3,
        group=1,
        epochs=1,
        rate=0.1,
        scale=10.0,
        power=0.6,
        head_share=1.0,
        whole_share=0.0,
        shortest=4,
        longest=16,
        seed=0,
    )
    assert trainer.n_steps == 1
    total, n = trainer.run(0, 1, 1)
    assert n == 3
    assert total == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(table, wanted, atol=2e-4)


def test_training_lowers_the_loss_and_finds_the_topic() -> None:
    texts = corpus()
    model = DualEncoder(vector_size=8, batch_size=20, epochs=8).fit(texts)
    assert model.losses_[-1] < model.losses_[0]
    scores = model.transform(["wave harbour", "yeast", "jury trial"]) @ model.vectors_.T
    assert (scores.argmax(axis=1) % 3).tolist() == [0, 1, 2]


def test_pairs_teach_that_other_words_mean_the_same() -> None:
    random = np.random.default_rng(0)
    asked = {"boat": ["vessel", "ship"], "bread": ["loaf", "toast"], "court": ["legal", "suit"]}
    pairs = [
        (" ".join(random.choice(asked[name], 2)), " ".join(random.choice(TOPICS[name], 6)))
        for name in TOPICS
        for _ in range(30)
    ]
    model = DualEncoder(vector_size=16, batch_size=16, epochs=10).fit(pairs)
    assert model.vectors_.shape[0] == 90
    scores = model.transform(["ship", "toast", "suit"]) @ model.transform(list(TOPICS)).T
    assert scores.shape == (3, 3)
    near = model.transform(["ship", "toast", "suit"]) @ model.vectors_.T
    assert (near.argmax(axis=1) // 30).tolist() == [0, 1, 2]


def test_same_bits_at_any_number_of_threads() -> None:
    texts = corpus()
    one = DualEncoder(vector_size=8, batch_size=16, n_jobs=1, random_state=3).fit(texts)
    two = DualEncoder(vector_size=8, batch_size=16, n_jobs=3, random_state=3).fit(texts)
    assert one.table_.tobytes() == two.table_.tobytes()
    assert one.vectors_.tobytes() == two.vectors_.tobytes()
    assert one.losses_ == two.losses_


def test_vectors_of_training_texts_are_those_of_transform() -> None:
    texts, titles = corpus(30), ["boat", "bread", ""] * 10
    model = DualEncoder(vector_size=8, epochs=1).fit(texts, titles=titles)
    joined = [f"{title} {text}" for title, text in zip(titles, texts, strict=True)]
    assert model.vectors_.tobytes() == model.transform(joined).tobytes()


def test_longer_power_ends_at_unit_length() -> None:
    model = DualEncoder(vector_size=8, epochs=1, length_power=1.0).fit(corpus(30))
    np.testing.assert_allclose(np.linalg.norm(model.vectors_, axis=1), 1, rtol=1e-5)
    assert not model.transform(["unheard of", ""]).any()


def test_a_resumed_training_ends_at_the_same_bits(tmp_path: Path) -> None:
    texts, path = corpus(), tmp_path / "state.vl"
    settings = {"vector_size": 8, "batch_size": 16, "epochs": 4, "validation_share": 0.1}
    whole = DualEncoder(**settings).fit(texts, checkpoint=path, checkpoint_every=1e-9)

    class StopError(Exception):
        pass

    model = DualEncoder(**settings)
    calls = []

    class Stopping:
        def __init__(self, trainer: object) -> None:
            self._trainer = trainer
            self.n_steps = trainer.n_steps
            self.evaluate = trainer.evaluate

        def run(self, begin: int, end: int, n_jobs: int | None) -> object:
            calls.append(begin)
            if begin >= self.n_steps // 2:
                raise StopError
            return self._trainer.run(begin, end, n_jobs)

    made = _core.DualTrainer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_core, "DualTrainer", lambda *a, **k: Stopping(made(*a, **k)))
        with pytest.raises(StopError):
            model.fit(texts, checkpoint=path, checkpoint_every=1e-9)
    model.fit(texts, checkpoint=path, resume=True)
    assert len(calls) > 1
    assert model.table_.tobytes() == whole.table_.tobytes()
    assert model.losses_ == whole.losses_
    assert model.held_out_losses_ == whole.held_out_losses_
    with pytest.raises(ParameterError, match="scale"):
        DualEncoder(**settings, scale=5.0).fit(texts, checkpoint=path, resume=True)
    with pytest.raises(ParameterError, match="texts"):
        DualEncoder(**settings).fit([*texts[1:], "other"], checkpoint=path, resume=True)


def test_patience_keeps_the_best_epoch() -> None:
    model = DualEncoder(
        vector_size=8, batch_size=8, epochs=40, learning_rate=3.0, validation_share=0.3, patience=2
    ).fit(corpus())
    held_out = model.held_out_losses_
    assert len(held_out) < 40
    assert len(held_out) - 1 - int(np.argmin(held_out)) == 2


def test_saved_encoder_answers_alike(tmp_path: Path) -> None:
    path, texts = tmp_path / "dual.vl", corpus(30)
    ids = [f"t{i}" for i in range(30)]
    model = DualEncoder(vector_size=8, epochs=2, max_ngram=2, stop_words=["the"]).fit(texts, ids)
    model.save(path)
    found = vl.open(path)
    assert isinstance(found, DualEncoder)
    assert found.get_params() == model.get_params()
    assert found.ids_.tolist() == ids
    assert found.losses_ == model.losses_
    np.testing.assert_array_equal(found.vectors_, model.vectors_)
    np.testing.assert_array_equal(found.transform(["a boat"]), model.transform(["a boat"]))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError):
        vl.open(path)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"vector_size": 0}, "vector_size"),
        ({"epochs": -1}, "epochs"),
        ({"scale": 0.0}, "scale"),
        ({"length_power": 1.5}, "length_power"),
        ({"validation_share": 1.0}, "validation_share"),
        ({"patience": 2}, "validation_share"),
        ({"stop_words": "klingon"}, "stop_words"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"min_df": 99}, "min_df"),
        ({"learning_rate": float("nan")}, "learning_rate"),
    ],
)
def test_bad_parameters_are_refused(params: dict[str, object], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        DualEncoder(**params).fit(corpus(6))


def test_bad_texts_are_refused() -> None:
    for texts in ("one text", [], [["a", "b"], ["c", "d"]][:0]):
        with pytest.raises(ShapeError):
            DualEncoder().fit(texts)
    for texts in ([1, 2], [("a", "b", "c")], [("a", 1)], ["the", "of"], [("the", "boat")]):
        with pytest.raises(ParameterError):
            DualEncoder().fit(texts)
    with pytest.raises(ShapeError, match="titles"):
        DualEncoder().fit(["a text"], titles=["one", "two"])
    with pytest.raises(ParameterError, match="resume"):
        DualEncoder().fit(corpus(6), resume=True)
    with pytest.raises(NotFittedError):
        DualEncoder().transform(["a text"])


def test_one_text_keeps_the_start() -> None:
    model = DualEncoder(vector_size=4).fit(["a boat on the sea in a storm of wind"])
    assert model.losses_ == []
    assert model.vectors_.any()
