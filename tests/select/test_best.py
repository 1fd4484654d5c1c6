# SPDX-License-Identifier: Apache-2.0
"""The k largest of scores are those of a full sort, whatever the ties, the mask and the threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vectorloom import _core
from vectorloom.errors import ShapeError


def by_sorting(scores: Any, k: int, mask: Any, ties: Any) -> tuple[list[int], list[float]]:
    keys = np.arange(len(scores)) if ties is None else ties
    order = [i for i in np.lexsort((keys, -scores)).tolist() if mask is None or mask[i]]
    return order[:k], scores[order[:k]].tolist()


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(0, 400),
    k=st.integers(0, 40),
    levels=st.integers(1, 300),
    masked=st.booleans(),
    tied=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_best_are_those_of_a_full_sort(
    n: int, k: int, levels: int, masked: bool, tied: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels + 1, (3, n)).astype(np.float32)
    mask = (rng.random(n) < 0.4).astype(np.uint8) if masked else None
    ties = rng.permutation(n).astype(np.int64) if tied else None
    positions, values, counts = _core.best_scores(scores, k, mask, ties, 1)
    for row in range(3):
        at, best = by_sorting(scores[row], k, mask, ties)
        assert counts[row] == len(at)
        assert positions[row].tolist() == at + [-1] * (k - len(at))
        assert values[row].tolist() == best + [-np.inf] * (k - len(at))


def test_many_rows_at_any_number_of_threads() -> None:
    scores = np.random.default_rng(0).standard_normal((100, 5000)).astype(np.float32)
    one, two = (_core.best_scores(scores, 25, None, None, jobs) for jobs in (1, 2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one[0], np.argsort(-scores, axis=1, kind="stable")[:, :25])


def test_infinite_scores_count_and_nan_does_not() -> None:
    scores = np.full((1, 40), -np.inf, np.float32)
    scores[0, [3, 20, 33]] = np.inf, np.nan, 1.0
    positions, values, counts = _core.best_scores(scores, 3)
    assert positions.tolist() == [[3, 33, 0]]
    assert values.tolist() == [[np.inf, 1.0, -np.inf]]
    assert counts.tolist() == [3]
    nothing = _core.best_scores(np.full((1, 20), np.nan, np.float32), 2)
    assert nothing[0].tolist() == [[-1, -1]]
    assert nothing[2].tolist() == [0]


def test_other_shapes_are_refused() -> None:
    scores = np.zeros((2, 5), np.float32)
    for bad in ({"mask": np.ones(4, np.uint8)}, {"ties": np.arange(6)}, {"k": -1}):
        with pytest.raises(ShapeError, match="best_scores"):
            _core.best_scores(scores, **({"k": 1} | bad))
