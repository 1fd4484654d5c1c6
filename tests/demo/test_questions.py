# SPDX-License-Identifier: Apache-2.0
"""The measures worked by hand, and the known-item task."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from vectorloom.demo.passages import Passage
from vectorloom.demo.questions import (
    bootstrap_interval,
    fuse,
    known_items,
    measure,
    ranks,
    without_names,
)


def test_mrr_and_ndcg_are_those_worked_by_hand() -> None:
    """Places 1, 3 and absent: MRR (1 + 1/3 + 0) / 3, nDCG (1 + 1/2 + 0) / 3."""
    found = np.full((3, 10), -1)
    found[0, 0], found[1, 2], found[2, 0] = 7, 8, 5
    targets = np.array([7, 8, 9])
    assert ranks(found, targets).tolist() == [1, 3, 0]
    quality = measure("hand", found, targets)
    assert quality.mrr_at_10 == pytest.approx((1 + 1 / 3) / 3)
    assert quality.ndcg_at_10 == pytest.approx((1 + 1 / log2(4)) / 3)
    assert quality.found_at_10 == pytest.approx(2 / 3)


def test_places_beyond_ten_count_nothing() -> None:
    found = np.arange(100)[None, :]
    assert measure("", found, np.array([9])).mrr_at_10 == pytest.approx(0.1)
    assert measure("", found, np.array([10])).mrr_at_10 == 0


def test_the_interval_holds_the_mean_and_is_the_same_every_time() -> None:
    values = np.random.default_rng(0).random(400)
    low, high = bootstrap_interval(values)
    assert low < values.mean() < high
    # Half the width is near 1.96 standard errors, as for any mean of many values.
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval(np.ones(5)) == (1.0, 1.0)


def test_rank_fusion_is_the_sum_worked_by_hand() -> None:
    """1: 1/61 + 1/62. 2: 1/62 + 1/61, a tie, so by position. 3: 1/63 alone; -1 never."""
    fused = fuse(np.array([[1, 2, 3]]), np.array([[2, 1, -1]]), k=4)
    assert fused.tolist() == [[1, 2, 3, -1]]


def passage(name: str, summary: str, body: str, kind: str = "function") -> Passage:
    return Passage(name, name, name.split(".")[0], kind, summary, body)


BODY = "The rest tells about the gears of {} with a good many words: " + "one two three four " * 5


def test_queries_are_unique_sentences_with_one_long_answer() -> None:
    passages = [
        passage("p.good", "Turn the wheel of a clock.", BODY.format("clocks")),
        passage("p.short", "Stop it.", BODY.format("stops")),
        passage("p.brief", "Turn a wheel of another clock.", "Too short an answer."),
        passage("p.twin1", "Open a door of the house.", BODY.format("doors")),
        passage("p.twin2", "Open a door of the house.", BODY.format("other doors")),
        passage("p.copy1", "Ring a bell of the tower.", BODY.format("bells")),
        passage("p.copy2", "Strike one bell in the tower.", BODY.format("bells")),
        passage("topic x", "Say what a topic is about.", BODY.format("topics"), "topic"),
        passage("p.empty", "Have a sentence and nothing else.", ""),
    ]
    items = known_items(passages)
    assert items.queries == ["Turn the wheel of a clock."]
    assert items.targets.tolist() == [0]
    assert len(items.corpus) == 8  # everything that has a rest


def test_names_are_cut_from_both_sides_as_whole_words_only() -> None:
    p = passage("mod.Clock.wind", "Wind the clock; rewind Clocks.", "clock.wind() winds.")
    assert without_names(p.summary, p).split() == "the ; rewind Clocks.".split()
    assert without_names(p.body, p).split() == ". () winds.".split()


def test_the_draw_of_queries_depends_on_the_seed_alone() -> None:
    passages = [
        passage(
            f"p.f{i}", f"Turn the wheel of clock {'abcdefgh'[i] * 3}.", BODY.format("x" * (i + 1))
        )
        for i in range(8)
    ]
    first = known_items(passages, n_queries=3, random_state=1)
    again = known_items(passages, n_queries=3, random_state=1)
    assert first.queries == again.queries
    assert len(first.queries) == 3
    assert all(passages[t].summary == q for t, q in zip(first.targets, first.queries, strict=True))
