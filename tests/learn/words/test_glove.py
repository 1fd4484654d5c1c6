# SPDX-License-Identifier: Apache-2.0
"""GloVe: the loss by hand, its fall, bits, files, bad input."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.learn import Corpus, GloVe


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(0)
    topics = [[f"{name}{i}" for i in range(15)] for name in ("sea", "sky", "law")]
    lines = [[str(w) for w in rng.choice(topics[rng.integers(3)], size=8)] for _ in range(600)]
    return Corpus(lines).encode(min_count=1)


def test_the_first_loss_is_that_of_one_pair_at_zero():
    # Rows begin within 1 / (2 dim) of 0, so the error is about -log count.
    trainer = _core.GloveTrainer(
        np.array([0, 1, 1]),
        np.array([1], np.int32),
        np.array([16.0], np.float32),
        dim=4,
        x_max=256.0,
        power=0.5,
        rate=0.05,
        seed=0,
    )
    assert trainer.epoch(1) == pytest.approx((16 / 256) ** 0.5 * np.log(16.0) ** 2, rel=0.05)
    # AdaGrad's first steps: both biases fell by rate * weight * error / sqrt(1).
    moved = 2 * 0.05 * 0.25 * np.log(16.0)
    expected = 0.25 * (np.log(16.0) - moved) ** 2
    assert trainer.epoch(1) == pytest.approx(expected, rel=0.05)


def test_counts_are_fitted(corpus):
    model = GloVe(45, x_max=10.0, epochs=200, alpha=0.1).fit(corpus)
    assert model.losses_[-1] < 0.02 * model.losses_[0]


def test_words_of_one_topic_come_together_at_any_number_of_threads(corpus, tmp_path):
    one = GloVe(12, x_max=10.0, n_jobs=1, epochs=40).fit(corpus)
    two = GloVe(12, x_max=10.0, n_jobs=2, epochs=40).fit(corpus)
    np.testing.assert_array_equal(one.vectors_, two.vectors_)
    assert one.losses_ == two.losses_
    near = [word for word, _ in one.most_similar("law3", topn=10)]
    assert sum(word.startswith("law") for word in near) >= 9
    one.save(tmp_path / "g.vl")
    found = vl.open(tmp_path / "g.vl", verify=True)
    np.testing.assert_array_equal(found.vectors_, one.vectors_)
    assert found.losses_ == one.losses_


def test_bad_settings_are_named(corpus):
    for given, message in (
        ({"x_max": 0}, "x_max"),
        ({"alpha": -1}, "alpha"),
        ({"epochs": 0}, "ep"),
    ):
        with pytest.raises(ParameterError, match=message):
            GloVe(**given).fit(corpus)
