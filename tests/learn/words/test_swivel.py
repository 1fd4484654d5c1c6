# SPDX-License-Identifier: Apache-2.0
"""Swivel: the loss by hand, its gradient, its fall, bits, files, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array

import vectorloom as vl
from vectorloom.errors import CapacityError, ParameterError
from vectorloom.learn import Corpus, Swivel
from vectorloom.learn.words import swivel
from vectorloom.learn.words.swivel import SwivelCells, block_gradients


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(0)
    topics = [[f"{name}{i}" for i in range(15)] for name in ("sea", "sky", "law")]
    lines = [[str(w) for w in rng.choice(topics[rng.integers(3)], size=8)] for _ in range(600)]
    return Corpus(lines).encode(min_count=1)


def test_the_loss_of_four_cells_by_hand():
    counts = coo_array(np.array([[4.0, 0.0], [0.0, 1.0]], np.float32))
    left = np.array([[1.0], [2.0]], np.float32)
    right = np.array([[0.5], [-1.0]], np.float32)
    row_half = np.array([0.25, -0.5], np.float32)
    column_half = np.array([0.0, 1.0], np.float32)
    loss, *_ = block_gradients(left, right, row_half, column_half, counts)
    # t = w c + row + column: 0.75, 0.25 / 0.5, -1.5
    seen = (0.1 + 0.25 * 2) * (0.75 - np.log(4)) ** 2 / 2 + 0.35 * (-1.5 - 0) ** 2 / 2
    unseen = np.log(1 + np.exp(0.25)) + np.log(1 + np.exp(0.5))
    assert loss == pytest.approx(seen + unseen, rel=1e-5)


def test_gradients_are_those_of_the_loss():
    rng = np.random.default_rng(1)
    dense = np.where(rng.random((300, 5)) < 0.4, rng.integers(1, 9, (300, 5)), 0)
    counts = coo_array(dense.astype(np.float32))
    left, right, rows, columns = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((300, 3), (5, 3), 300, 5)
    )
    _, left_gradient, right_gradient = block_gradients(left, right, rows, columns, counts)

    def loss(a, b):
        t = a @ b.T + rows[:, None].astype(float) + columns
        trust = 0.1 + 0.25 * np.sqrt(dense)
        with np.errstate(divide="ignore"):
            seen = trust * (t - np.where(dense > 0, np.log(dense), 0)) ** 2 / 2
        return np.where(dense > 0, seen, np.log1p(np.exp(t))).sum()

    a, b = left.astype(float), right.astype(float)
    for which, gradient in ((0, left_gradient), (1, right_gradient)):
        for at in ((0, 0), (2, 1), (4, 2)):
            step = np.zeros_like((a, b)[which])
            step[at] = 1e-5
            ahead, behind = ((a + s, b) if which == 0 else (a, b + s) for s in (step, -step))
            assert gradient[at] == pytest.approx(
                (loss(*ahead) - loss(*behind)) / 2e-5, rel=1e-3, abs=1e-3
            )


def test_large_errors_do_not_overflow():
    counts = coo_array((2, 2), dtype=np.float32)
    left = np.array([[100.0], [-100.0]], np.float32)
    right = np.array([[2.0], [2.0]], np.float32)
    zero = np.zeros(2, np.float32)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        loss, gradient, _ = block_gradients(left, right, zero, zero, counts)
    assert np.isfinite(loss)
    np.testing.assert_allclose(gradient[:, 0], [4.0, 0.0], atol=1e-6)


def test_what_is_fitted_is_the_mutual_information():
    # Two blocks of words that meet within themselves alone, evenly: information log 2.
    dense = np.kron(np.eye(2), np.full((6, 6), 50.0)).astype(np.float32)
    cells = SwivelCells(csr_array(dense), 4, 100, 0.2, seed=0)
    for _ in range(120):
        loss = cells.epoch(1)
    information = cells._sides[0] @ cells._sides[1].T
    np.testing.assert_allclose(information[:6, :6], np.log(2), atol=0.05)
    # Apart, a pair is pushed below what one meeting would say.
    assert information[:6, 6:].max() < np.log(dense.sum() / 300.0**2)
    assert loss < 0.5


def test_a_matrix_of_many_blocks_is_fitted_like_one_block(corpus):
    one = Swivel(12, epochs=40).fit(corpus)
    many = Swivel(12, epochs=40, block_size=10).fit(corpus)
    assert many.losses_[-1] < 1.1 * one.losses_[-1] < 0.5 * one.losses_[0]
    for model in (one, many):
        near = [word for word, _ in model.most_similar("law3", topn=10)]
        assert sum(word.startswith("law") for word in near) >= 9


def test_the_number_of_threads_changes_no_bit(corpus, tmp_path):
    one = Swivel(12, n_jobs=1, epochs=3, block_size=10).fit(corpus)
    two = Swivel(12, n_jobs=2, epochs=3, block_size=10).fit(corpus)
    np.testing.assert_array_equal(one.vectors_, two.vectors_)
    assert one.losses_ == two.losses_
    one.save(tmp_path / "s.vl")
    found = vl.open(tmp_path / "s.vl", verify=True)
    np.testing.assert_array_equal(found.vectors_, one.vectors_)
    assert (found.losses_, found.n_pairs_) == (one.losses_, one.n_pairs_)
    assert found.get_params() == one.get_params()


def test_bad_settings_are_named(corpus, monkeypatch):
    for given in ({"block_size": 0}, {"alpha": -1}, {"epochs": 0}):
        with pytest.raises(ParameterError, match=next(iter(given))):
            Swivel(**given).fit(corpus)
    monkeypatch.setattr(swivel, "_MOST_WORDS", 44)
    with pytest.raises(CapacityError, match="max_vocab"):
        Swivel().fit(corpus)
