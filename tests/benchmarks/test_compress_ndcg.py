# SPDX-License-Identifier: Apache-2.0
"""The measure behind the table of codes in retrieval, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.compress_ndcg import ndcg


def test_ndcg_of_a_case_worked_by_hand() -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.1]], np.float32)
    got = ndcg(scores, ["q"], ["a", "b", "c", "d"], {"q": {"b": 2, "d": 1}})
    gained = 2 / np.log2(3) + 1 / np.log2(5)
    assert got[0] == pytest.approx(gained / (2 + 1 / np.log2(3)))


def test_the_query_itself_is_no_answer() -> None:
    scores = np.array([[0.9, 0.8]], np.float32)
    assert ndcg(scores, ["a"], ["a", "b"], {"a": {"b": 1}})[0] == 1.0
