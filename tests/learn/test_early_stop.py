# SPDX-License-Identifier: Apache-2.0
"""When trainings of words and texts end, what is held out, and that they go on to the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.learn import CMOW, EarlyStop, FastText, ParagraphVectors, Sent2Vec, Word2Vec
from vectorloom.learn.steps import Checkpoint, Steps, hold_out


class Scripted:
    """A trainer whose epochs have the losses it was told; its array holds the epoch."""

    def __init__(self, losses, array):
        self.losses, self.array = losses, array
        self.n_steps = 2 * len(losses)

    def run(self, begin, end, jobs):
        self.array[:] = begin // 2
        return self.losses[begin // 2] * (end - begin), end - begin


@pytest.mark.parametrize(
    ("losses", "patience", "tol", "epochs", "kept"),
    [
        ([5, 4, 3, 2], 1, 0.0, 4, 3),
        ([5, 4, 4.5, 2], 1, 0.0, 3, 1),
        ([5, 4, 4.5, 2], 2, 0.0, 4, 3),
        ([5, 4, 4.5, 4.2, 1], 2, 0.0, 4, 1),
        ([5, 4.9, 4.8, 1], 1, 0.05, 2, 0),  # a step of 2 % does not count
        ([5, 4.9, 4.7, 4.6], 2, 0.05, 4, 2),  # one of 6 % since the best does
        ([-5, -6, -5, -7], 1, 0.0, 3, 1),  # a metric with its sign turned
    ],
)
def test_training_stops_after_its_patience_and_keeps_the_best(losses, patience, tol, epochs, kept):
    array = np.zeros((1, 1), np.float32)
    steps = Steps(
        Scripted(losses, array), {"a": array}, {}, len(losses), "", patience=patience, tol=tol
    )
    steps.run(Checkpoint())
    assert steps.losses == losses[:epochs]
    assert array[0, 0] == kept


def test_held_out_losses_decide_before_those_of_the_training():
    array = np.zeros((1, 1), np.float32)
    values = iter([3.0, 2.0, 2.5, 0.0])
    steps = Steps(
        Scripted([4, 3, 2, 1], array), {"a": array}, {}, 4, "", held_out=lambda: next(values),
        patience=1,
    )  # fmt: skip
    steps.run(Checkpoint())
    assert steps.held_out_losses == [3.0, 2.0, 2.5]
    assert array[0, 0] == 1


sentences = st.lists(st.integers(0, 12), min_size=2, max_size=12)


@given(sentences, st.floats(0.05, 0.9), st.integers(0, 9), st.booleans())
@settings(max_examples=60, deadline=None)
def test_each_token_is_trained_with_or_held_out(lengths, share, seed, in_texts):
    tokens = np.concatenate([np.append(np.arange(n), -1) for n in lengths]).astype(np.int32)
    try:
        train, held = hold_out(tokens, share, seed, in_texts)
    except ParameterError:
        return
    assert (train < 0).sum() == (held < 0).sum() == len(lengths)
    both = zip(np.split(train, np.flatnonzero(train < 0)), np.split(held, np.flatnonzero(held < 0)),
               np.split(tokens, np.flatnonzero(tokens < 0)), strict=True)  # fmt: skip
    for mine, theirs, whole in both:
        words = sorted(np.concatenate([mine[mine >= 0], theirs[theirs >= 0]]).tolist())
        assert words == whole[whole >= 0].tolist()
        if in_texts:
            assert (theirs >= 0).sum() <= max((whole >= 0).sum() - 1, 0)
        else:
            assert (mine >= 0).sum() == 0 or (theirs >= 0).sum() == 0


def test_long_sentences_are_held_out_in_runs():
    tokens = np.append(np.arange(10_000), -1).astype(np.int32)
    train, held = hold_out(tokens, 0.2, 0, False)
    assert len(held) == 2001
    assert set(np.unique(np.diff(held[:-1]))) <= {1, *range(2, 10_000)}
    assert sorted([*train[:-1], *held[:-1]]) == list(range(10_000))


def test_the_loss_held_out_is_that_of_the_rows_as_they_are():
    # Two words, one pair each way, one false word that can only be the word itself: by hand.
    x, y = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32), np.array([[0.5, 1.0], [1.0, -1.0]])
    rows = []
    for values in (x, y):
        rows.append(_core.row_matrix(2, 2))
        rows[-1][:, :2] = values
    before = [row.copy() for row in rows]
    trainer = _core.WordTrainer(
        np.array([0, 1, -1], np.int32), np.array([1, 1]), *rows, window=1, negative=1, tree=False,
        cbow=False, cbow_mean=True, deterministic=True, sample=0.0, noise_exponent=1.0, alpha=0.1,
        min_alpha=0.1, epochs=3, seed=0,
    )  # fmt: skip
    loss, pairs = trainer.evaluate(2)
    scores = [x[1] @ y[0], -(x[1] @ y[1]), x[0] @ y[1], -(x[0] @ y[0])]
    assert pairs == 2
    assert loss == pytest.approx(np.logaddexp(0, -np.array(scores)).sum(), rel=1e-5)
    for row, old in zip(rows, before, strict=True):
        np.testing.assert_array_equal(row, old)


TOPICS = [[f"{topic}{i}" for i in range(12)] for topic in ("sea", "sky", "war", "law")]
LEARNERS = {
    "Word2Vec": (Word2Vec, {"sample": 0}),
    "CBOW": (Word2Vec, {"sg": 0, "sample": 0}),
    "FastText": (FastText, {"sample": 0}),
    "DBOW": (ParagraphVectors, {"sample": 0}),
    "DM": (ParagraphVectors, {"dm": 1, "sample": 0}),
    "Sent2Vec": (Sent2Vec, {"sample": 0}),
    "CMOW": (CMOW, {"vector_size": 8, "matrix_size": 4, "sample": 0}),
}


@pytest.fixture(scope="module")
def lines():
    rng = np.random.default_rng(0)
    return [[str(w) for w in rng.choice(TOPICS[rng.integers(4)], size=10)] for _ in range(400)]


def learner(name, epochs):
    kind, given = LEARNERS[name]
    given = {"vector_size": 8} | given
    return kind(min_count=1, epochs=epochs, random_state=1, **given)


@pytest.mark.parametrize("name", LEARNERS)
def test_held_out_losses_fall_and_do_not_depend_on_threads(lines, name):
    stop = EarlyStop(validation_share=0.1, patience=3)
    models = []
    for n_jobs in (1, 2):
        model = learner(name, 3).set_params(n_jobs=n_jobs)
        models.append(model.fit(lines, early_stop=stop))
    assert models[0].held_out_losses_ == models[1].held_out_losses_
    assert len(models[0].losses_) == len(models[0].held_out_losses_) == 3
    assert models[0].held_out_losses_[-1] < models[0].held_out_losses_[0]
    if not isinstance(models[0], Word2Vec | FastText):  # a row a text
        assert len(models[0].vectors_) == len(lines)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_metric_of_ones_own_decides(lines, name):
    seen = []

    def metric(model):
        seen.append(np.array(model.vectors_))
        return [1.0, 2.0, 1.5, 9.0][len(seen) - 1]

    model = learner(name, 6).fit(lines, early_stop=EarlyStop(metric=metric))
    assert model.held_out_losses_ == [-1.0, -2.0, -1.5]
    np.testing.assert_array_equal(model.vectors_, seen[1])


@pytest.mark.parametrize("name", ["Word2Vec", "DM"])
def test_a_training_with_early_stop_goes_on_to_the_same_bits(lines, tmp_path, monkeypatch, name):
    path = tmp_path / "state.vl"
    stop = EarlyStop(validation_share=0.1, tol=0.02)
    whole = learner(name, 8).fit(lines, early_stop=stop)
    save, calls = Steps._save, []

    def stop_later(self, target):
        save(self, target)
        calls.append(self.step)
        if len(self.losses) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Steps, "_save", stop_later)
        with pytest.raises(KeyboardInterrupt):
            learner(name, 8).fit(lines, checkpoint=path, checkpoint_every=1e-9, early_stop=stop)
    again = learner(name, 8).fit(lines, checkpoint=path, resume=True, early_stop=stop)
    np.testing.assert_array_equal(again.vectors_, whole.vectors_)
    assert again.held_out_losses_ == whole.held_out_losses_
    with pytest.raises(ParameterError, match="early_stop"):
        learner(name, 8).fit(lines, checkpoint=path, resume=True, early_stop=EarlyStop())


def test_losses_come_back_from_files(lines, tmp_path):
    import vectorloom as vl

    model = learner("Sent2Vec", 2).fit(lines, early_stop=EarlyStop(validation_share=0.1))
    model.save(tmp_path / "m.vl")
    assert vl.open(tmp_path / "m.vl").held_out_losses_ == model.held_out_losses_


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"patience": 0}, "patience"),
        ({"tol": 1.0}, "tol"),
        ({"validation_share": 1.0}, "validation_share"),
        ({"metric": 3}, "metric"),
        ({"metric": len, "validation_share": 0.1}, "cannot both"),
    ],
)
def test_bad_settings_are_named(given, message):
    with pytest.raises(ParameterError, match=message):
        EarlyStop(**given)


def test_what_is_no_early_stop_is_refused(lines):
    with pytest.raises(ParameterError, match="must be an EarlyStop; got int"):
        Word2Vec().fit(lines, early_stop=3)
    with pytest.raises(ParameterError, match="leaves nothing to hold out"):
        ParagraphVectors(min_count=1).fit(
            [["a"], ["b"]], early_stop=EarlyStop(validation_share=0.1)
        )
