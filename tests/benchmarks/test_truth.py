# SPDX-License-Identifier: Apache-2.0
"""The judge is judged: answers worked out by hand, and wrong ones that it must not let pass."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.peers.base import Answer
from benchmarks.truth import Quality, Truth

BASE = np.eye(4, dtype=np.float32)
QUERY = np.array([[0.8, 0.5, 0.3, 0.1]], np.float32)


def test_a_case_worked_by_hand() -> None:
    truth = Truth(BASE, QUERY, 3)
    np.testing.assert_array_equal(truth.ids, [[0, 1, 2]])
    norm = np.linalg.norm(QUERY.astype(np.float64))
    np.testing.assert_allclose(truth.scores, QUERY[:, :3].astype(np.float64) / norm)


def test_equal_rows_come_smaller_id_first(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((50, 24)).astype(np.float32)
    base = np.concatenate([rows, rows, rows])
    truth = Truth(base, rows[:9], 3)
    np.testing.assert_array_equal(truth.ids, np.arange(9)[:, None] + [0, 50, 100])


def test_a_graph_row_is_not_its_own_neighbour(rng: np.random.Generator) -> None:
    base = rng.standard_normal((40, 8)).astype(np.float32)
    rows = np.array([3, 7])
    truth = Truth(base, base[rows], 5, rows)
    assert not (truth.ids == rows[:, None]).any()
    own = Answer(np.concatenate([rows[:, None], truth.ids[:, :4]], axis=1))
    assert truth.judge(own).tied == 0.0


@pytest.mark.parametrize(
    ("ids", "identical", "tied", "recall"),
    [
        ([0, 1, 2], 1.0, 1.0, 1.0),
        ([1, 0, 2], 0.0, 0.0, 1.0),  # right rows, wrong order
        ([0, 1, 3], 0.0, 0.0, 2 / 3),
        ([0, 0, 0], 0.0, 0.0, 1 / 3),
        ([0, 1, -1], 0.0, 0.0, 2 / 3),
        ([0, 1, 99], 0.0, 0.0, 2 / 3),
    ],
)
def test_wrong_answers_are_seen(
    ids: list[int], identical: float, tied: float, recall: float
) -> None:
    quality = Truth(BASE, QUERY, 3).judge(Answer(np.array([ids])))
    assert (quality.identical, quality.tied) == (identical, tied)
    assert quality.recall == pytest.approx(recall)


def test_a_tie_may_be_broken_either_way_but_is_not_identical() -> None:
    base = np.array([[1, 0], [1, 1e-4], [1, -1e-4], [0, 1]], np.float32)
    truth = Truth(base, np.array([[1, 0]], np.float32), 3)
    quality = truth.judge(Answer(np.array([[0, 2, 1]])))
    assert (quality.identical, quality.tied) == (0.0, 1.0)


def test_too_few_columns_are_no_answer() -> None:
    assert Truth(BASE, QUERY, 3).judge(Answer(np.array([[0, 1]]))) == Quality(0.0, 0.0, 0.0)


def test_a_missed_floor_is_named_and_a_held_one_is_silent() -> None:
    quality = Quality(identical=0.5, tied=1.0, recall=0.9)
    assert quality.missed({"tied": 1.0, "recall": 0.9}) == ""
    assert "identical 0.500000 is below the floor 1" in quality.missed({"identical": 1.0})
