# SPDX-License-Identifier: Apache-2.0
"""Laws of ByteSteady and TextClassifier, and of their compression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vectorloom as vl
from vectorloom import FormatError, NotFittedError, ParameterError, ShapeError, _core
from vectorloom.learn import ByteSteady, TextClassifier
from vectorloom.learn.documents.row_codes import RowCodes, covering_rows

GOOD, BAD = ["fine", "great", "lovely", "warm"], ["dull", "awful", "cold", "flat"]


def reviews(n: int = 120, seed: int = 0) -> tuple[list[str], list[str]]:
    random = np.random.default_rng(seed)
    labels = ["good" if random.random() < 0.5 else "bad" for _ in range(n)]
    texts = [
        " ".join(["the film was", *random.choice(GOOD if label == "good" else BAD, 2), "today"])
        for label in labels
    ]
    return texts, labels


@pytest.fixture(scope="module", params=[TextClassifier, ByteSteady])
def model(request: pytest.FixtureRequest) -> TextClassifier | ByteSteady:
    return request.param(epochs=5).fit(*reviews())


def test_one_step_is_the_gradient_of_the_formula() -> None:
    random = np.random.default_rng(0)
    table = random.standard_normal((5, 3)).astype(np.float32)
    head = random.standard_normal((2, 4)).astype(np.float32)
    bags, labels = [[0, 1, 1], [2, 3]], np.array([1, 0], np.int32)

    def loss_of(values: np.ndarray) -> float:
        rows, weights = values[:15].reshape(5, 3), values[15:].reshape(2, 4)
        x = np.array([rows[bag].mean(axis=0) for bag in bags])
        scores = x @ weights[:, :3].T + weights[:, 3]
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return float(-logs[[0, 1], labels].sum())

    start = np.concatenate([table.ravel(), head.ravel()]).astype(np.float64)
    gradient = np.zeros_like(start)
    for place in range(len(start)):
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * 1e-5
            gradient[place] += sign * loss_of(moved) / 2e-5
    rows, offsets = np.array([[0], [1], [1], [2], [3]], np.int32), np.array([0, 3, 5])
    ngrams = _core.Ngrams(rows, offsets, np.array([1]))
    squares = np.zeros(5, np.float32), np.zeros(2, np.float32)
    trainer = _core.BagClassifier(
        ngrams,
        labels,
        np.arange(2),
        table,
        squares[0],
        head,
        squares[1],
        batch=2,
        epochs=1,
        rate=0.1,
        seed=0,
    )
    total, _, n = trainer.run(0, 1, 1)
    assert n == 2
    assert total == pytest.approx(loss_of(start), rel=1e-5)
    for found, before, slope in (
        (table, start[:15].reshape(5, 3), gradient[:15].reshape(5, 3)),
        (head, start[15:].reshape(2, 4), gradient[15:].reshape(2, 4)),
    ):
        lengths = np.linalg.norm(slope, axis=1, keepdims=True)
        wanted = before - 0.1 * slope / np.where(lengths > 0, lengths, 1)
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_new_items_get_their_class(model: TextClassifier | ByteSteady) -> None:
    texts, labels = reviews(60, seed=1)
    assert model.score(texts, labels) == 1.0
    assert model.losses_[-1] < model.losses_[0]
    assert model.classes_.tolist() == ["bad", "good"]
    shares = model.predict_proba(texts)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    assert [model.classes_[c] for c in shares.argmax(axis=1)] == labels


def test_same_bits_at_any_number_of_threads(model: TextClassifier | ByteSteady) -> None:
    other = type(model)(epochs=5, n_jobs=3).fit(*reviews())
    one = type(model)(epochs=5, n_jobs=1).fit(*reviews())
    assert other.table_.tobytes() == one.table_.tobytes() == model.table_.tobytes()
    assert other.coef_.tobytes() == one.coef_.tobytes()


def test_saved_classifier_answers_alike(model: TextClassifier | ByteSteady, tmp_path: Path) -> None:
    texts, _ = reviews(20, seed=2)
    for found in (model, model.compress(texts, max_rows=40)):
        path = tmp_path / "classifier.vl"
        found.save(path)
        again = vl.open(path)
        assert type(again) is type(model)
        np.testing.assert_array_equal(again.predict_proba(texts), found.predict_proba(texts))
        assert again.predict(texts).tolist() == found.predict(texts).tolist()
        damaged = bytearray(path.read_bytes())
        path.write_bytes(damaged[: len(damaged) * 2 // 3])
        with pytest.raises(FormatError):
            vl.open(path)


def test_compressed_classifier_agrees_and_is_smaller(
    model: TextClassifier | ByteSteady, tmp_path: Path
) -> None:
    texts, labels = reviews(60, seed=3)
    small = model.compress(texts, max_rows=30, part_size=4)
    assert small.score(texts, labels) > 0.95
    with pytest.raises(ParameterError, match="already"):
        small.compress()
    with pytest.raises(ParameterError, match="part_size"):
        model.compress(part_size=3)


def test_codes_of_few_different_rows_are_exact_up_to_near_ties() -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((200, 8)).astype(np.float32)
    codes = RowCodes.of(rows, 2, 0, 1)
    np.testing.assert_allclose(codes.rows(np.arange(200)), rows, atol=2e-3)


def test_kept_rows_cover_every_text_first() -> None:
    table = np.diag([5.0, 4.0, 3.0, 2.0, 1.0]).astype(np.float32)
    rows, offsets = np.array([[3], [4], [4], [-1]], np.int32), np.array([0, 2, 3, 4])
    assert covering_rows(table, rows, offsets, 3).tolist() == [0, 3, 4]
    assert covering_rows(table, rows, offsets, 1).tolist() == [3]


def test_bytes_of_any_kind_and_labels_of_int() -> None:
    items = [bytes([0, 255, i % 7]) for i in range(20)] + [bytes([9, 9, i]) for i in range(20)]
    model = ByteSteady(sizes=(1, 2), epochs=10).fit(items, np.repeat([7, 3], 20))
    assert model.classes_.dtype == np.int64
    assert model.predict([b"\x00\xff\x03", bytearray(b"\x09\x09\x01")]).tolist() == [7, 3]
    assert not model.transform([b""]).any()


def test_a_resumed_training_ends_at_the_same_bits(tmp_path: Path) -> None:
    texts, labels = reviews()
    path = tmp_path / "state.vl"
    whole = TextClassifier(epochs=2).fit(texts, labels, checkpoint=path)
    again = TextClassifier(epochs=2).fit(texts, labels, checkpoint=path, resume=True)
    assert again.coef_.tobytes() == whole.coef_.tobytes()
    assert again.losses_ == whole.losses_
    with pytest.raises(ParameterError, match="labels"):
        TextClassifier(epochs=2).fit(texts, labels[::-1], checkpoint=path, resume=True)


def test_bad_input_is_refused() -> None:
    texts, labels = reviews(10)
    with pytest.raises(ShapeError, match="one label"):
        TextClassifier().fit(texts, labels[1:])
    with pytest.raises(ParameterError, match="two labels"):
        TextClassifier().fit(texts, ["same"] * 10)
    with pytest.raises(ParameterError, match="str or all int"):
        TextClassifier().fit(texts, [0.5] * 10)
    with pytest.raises(ShapeError):
        ByteSteady().fit(b"one item", ["a"])
    with pytest.raises(ParameterError, match="entry 1"):
        ByteSteady().fit([b"a", 3], ["a", "b"])
    for sizes in ((), (0,), (2, 2), "12"):
        with pytest.raises(ParameterError, match="sizes"):
            ByteSteady(sizes=sizes).fit([b"ab", b"cd"], ["a", "b"])
    with pytest.raises(ParameterError, match="no n-gram"):
        TextClassifier().fit(["", "!"], ["a", "b"])
    with pytest.raises(NotFittedError):
        ByteSteady().predict([b"a"])
