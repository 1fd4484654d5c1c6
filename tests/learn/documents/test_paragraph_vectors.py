# SPDX-License-Identifier: Apache-2.0
"""Paragraph vectors: one step by hand, checkpoints, codes, bad settings."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.learn import ParagraphVectors

OPTIONS = {
    "window": 2,
    "negative": 1,
    "tree": False,
    "cbow_mean": True,
    "deterministic": True,
    "sample": 0.0,
    "noise_exponent": 1.0,
    "alpha": 0.1,
    "min_alpha": 0.1,
    "epochs": 1,
    "seed": 0,
}
ALONE, BESIDE = 2, 1


def rows(values):
    values = np.asarray(values, np.float32)
    matrix = _core.row_matrix(len(values), values.shape[1])
    matrix[:, : values.shape[1]] = values
    return matrix


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_text_of_one_word_by_hand():
    # One word of two: the false word can only be the other one.
    words, out = rows([[9.0, 9.0], [9.0, 9.0]]), rows([[0.5, 0.0], [0.0, 0.5]])
    texts = rows([[1.0, 2.0]])
    before_y, d = out[:, :2].astype(float).copy(), np.array([1.0, 2.0])
    trainer = _core.WordTrainer(
        np.array([0, -1], np.int32), np.array([1, 1]), words, out, texts=texts, cbow=False,
        text=ALONE, **OPTIONS,
    )  # fmt: skip
    trainer.run(0, trainer.n_steps, 1)
    g = 0.1 * (np.array([1.0, 0.0]) - sigmoid(before_y @ d))
    np.testing.assert_allclose(texts[0, :2], d + g @ before_y, rtol=1e-5)
    np.testing.assert_allclose(out[:, :2], before_y + g[:, None] * d, rtol=1e-5)
    np.testing.assert_array_equal(words[:, :2], 9.0)


def test_the_mean_of_text_and_neighbour_by_hand():
    # Two words: each is told from the mean of the text and the other; both windows are computed
    # from the rows as they were.
    x, y, d = np.eye(2), np.array([[2.0, 0.4], [-1.0, 1.0]]), np.ones(2)
    words, out, texts = rows(x), rows(y), rows([d])
    trainer = _core.WordTrainer(
        np.array([0, 1, -1], np.int32), np.array([1, 1]), words, out, texts=texts, cbow=True,
        text=BESIDE, **OPTIONS,
    )  # fmt: skip
    trainer.run(0, trainer.n_steps, 1)
    errors = []
    for w, other in ((0, 1), (1, 0)):
        h = (d + x[other]) / 2
        g = 0.1 * (np.array([1.0, 0.0]) - sigmoid(y[[w, other]] @ h))
        errors.append(g @ y[[w, other]])
    # The second window sees outputs that the first one moved, by the square of the rate.
    np.testing.assert_allclose(texts[0, :2], d + sum(errors), atol=0.02)
    np.testing.assert_allclose(words[1, :2], x[1] + errors[0], rtol=1e-5)
    np.testing.assert_allclose(words[0, :2], x[0] + errors[1], atol=0.02)
    assert min(np.abs(error).max() for error in errors) > 0.05


def test_inference_moves_the_text_alone():
    x, y = np.eye(2), np.array([[0.5, 0.0], [0.0, 0.5]])
    words, out, texts = rows(x), rows(y), rows([[0.0, 0.0], [0.0, 0.0]])
    trainer = _core.WordTrainer(
        np.array([0, -1, 0, -1], np.int32), np.array([1, 1]), words, out, texts=texts, cbow=False,
        text=ALONE, **OPTIONS,
    )  # fmt: skip
    trainer.infer(0, 2, 1)
    expected = 0.1 * (0.5 * y[0] - 0.5 * y[1])
    np.testing.assert_allclose(texts[:, :2], [expected, expected], rtol=1e-5)
    np.testing.assert_array_equal(words[:, :2], x)
    np.testing.assert_array_equal(out[:, :2], y)


def test_inference_shrinks_for_each_word_told():
    # The true word and the only false one; the ridge's gradient is of the row as it was.
    y = np.array([[0.5, 0.0], [0.0, 0.5]])
    expected = np.zeros(2)
    options = OPTIONS | {"epochs": 3}
    for _ in range(3):
        errors = np.array([1.0, 0.0]) - sigmoid(y @ expected)
        expected = expected * (1 - 0.1 * 0.25) + 0.1 * errors @ y
    texts = rows([[0.0, 0.0]])
    trainer = _core.WordTrainer(
        np.array([0, -1], np.int32), np.array([1, 1]), rows(np.eye(2)), rows(y), texts=texts,
        cbow=False, text=ALONE, infer_ridge=0.25, **options,
    )  # fmt: skip
    trainer.infer(0, 1, 1)
    np.testing.assert_allclose(texts[0, :2], expected, rtol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"dbow_words": 1}, {"binary": True}])
def test_texts_learned_from_lie_where_transform_puts_them(texts, settings):
    given = [*texts[0][:40], "", "the"]
    model = ParagraphVectors(16, min_count=1, epochs=3, random_state=0, **settings).fit(given)
    np.testing.assert_array_equal(model.vectors_, model.transform(given))


def test_shrinkage_is_of_the_median_spread_of_words(texts):
    model = ParagraphVectors(16, min_count=1, epochs=3, random_state=0).fit(texts[0])
    share = model.counts_**0.75 / (model.counts_**0.75).sum()
    y = model.context_vectors_.astype(float)
    spread = np.median(np.linalg.eigvalsh((y * share[:, None]).T @ y))
    assert model.ridge_ == pytest.approx(spread, rel=0.05)
    free = model.set_params(shrinkage=0).transform(texts[0][:4])
    assert not np.array_equal(free, model.set_params(shrinkage=2).transform(texts[0][:4]))
    for odd in (-1, np.nan, np.inf):
        with pytest.raises(ParameterError, match="shrinkage"):
            ParagraphVectors(shrinkage=odd).fit(texts[0])


@pytest.mark.parametrize("dm", [0, 1])
def test_short_texts_are_gone_through_until_they_come_to_rest(texts, dm):
    # 3,000 words of each text, unless told otherwise: a text of 6 words is gone through 500 times.
    model = ParagraphVectors(16, dm=dm, min_count=1, sample=0, random_state=0).fit(texts[0])
    text = [" ".join(texts[0][0].split()[:6])]
    found = model.transform(text)
    np.testing.assert_array_equal(found, model.set_params(infer_epochs=500).transform(text))
    longer = model.set_params(infer_epochs=2000).transform(text)
    shorter = model.set_params(infer_epochs=20).transform(text)
    assert float(found[0] @ longer[0]) > 0.9 > float(shorter[0] @ longer[0])


def test_codes_follow_the_slope_of_the_logistic_function():
    y = np.array([[0.5, -0.5], [0.25, 0.5]])
    words, out, texts = rows(np.zeros((2, 2))), rows(y), rows([[0.3, -0.7]])
    trainer = _core.WordTrainer(
        np.array([0, -1], np.int32), np.array([1, 1]), words, out, texts=texts, cbow=False,
        text=ALONE, binary=True, **OPTIONS,
    )  # fmt: skip
    trainer.run(0, trainer.n_steps, 1)
    code = np.array([1.0, 0.0])
    g = 0.1 * (np.array([1.0, 0.0]) - sigmoid(y @ code))
    s = sigmoid(np.array([0.3, -0.7]))
    np.testing.assert_allclose(texts[0, :2], [0.3, -0.7] + s * (1 - s) * (g @ y), rtol=1e-5)
    np.testing.assert_allclose(out[:, :2], y + g[:, None] * code, rtol=1e-5)


@pytest.mark.parametrize("dm", [0, 1])
def test_an_interrupted_training_goes_on_to_the_same_bits(texts, tmp_path, monkeypatch, dm):
    path = tmp_path / "c.vl"
    settings = {"dm": dm, "epochs": 3, "min_count": 1, "random_state": 1, "n_jobs": 1}
    whole = ParagraphVectors(16, **settings).fit(texts[0])

    class Stops:
        """Raises in the third call, as Ctrl-C does, when its steps are done."""

        def __init__(self, core):
            self.core, self.calls = core, 0
            self.n_steps = core.n_steps

        def run(self, begin, end, jobs):
            self.calls += 1
            found = self.core.run(begin, end, jobs)
            if self.calls == 3:
                raise KeyboardInterrupt
            return found

    from vectorloom.learn.documents import trained

    make = trained.core_trainer
    with monkeypatch.context() as patch:
        patch.setattr(trained, "core_trainer", lambda *a, **k: Stops(make(*a, **k)))
        stopped = ParagraphVectors(16, **settings)
        with pytest.raises(KeyboardInterrupt):
            stopped.fit(texts[0], checkpoint=path)
    assert stopped.transform(texts[0][:2]).shape == (2, 16)
    again = ParagraphVectors(16, **settings).fit(texts[0], checkpoint=path, resume=True)
    np.testing.assert_array_equal(again.vectors_, whole.vectors_)
    assert again.losses_ == pytest.approx(whole.losses_)
    with pytest.raises(ParameterError, match="another training"):
        ParagraphVectors(16, **settings | {"epochs": 4}).fit(texts[0], checkpoint=path, resume=True)


def test_the_loss_falls(texts):
    for settings in ({}, {"dm": 1}, {"dbow_words": 1}, {"binary": True}):
        model = ParagraphVectors(16, min_count=1, sample=0, epochs=8, **settings).fit(texts[0])
        assert model.losses_[-1] < 0.95 * model.losses_[0], settings


def test_codes_are_searched_by_hamming_distance(texts, new_texts):
    model = ParagraphVectors(64, binary=True, min_count=1, random_state=0).fit(texts[0])
    assert model.vectors_.shape == (500, 8)
    hits = (
        vl.index.Exact(metric="hamming")
        .add(model.vectors_)
        .search(model.transform(new_texts[0]), k=5)
    )
    assert (texts[1][hits.ids] == new_texts[1][:, None]).mean() > 0.9


def test_bad_settings_are_named(texts):
    for given, message in (
        ({"dm": 2}, "dm"),
        ({"binary": True, "dm": 1}, "dm=0"),
        ({"binary": True, "vector_size": 12}, "multiple of 8"),
        ({"infer_epochs": 0}, "infer_epochs"),
        ({"negative": 0}, "negative"),
        ({"alpha": -1}, "alpha"),
        ({"epochs": 0}, "epochs"),
        ({"random_state": -1}, "random_state"),
    ):
        with pytest.raises(ParameterError, match=message):
            ParagraphVectors(**given).fit(texts[0])
