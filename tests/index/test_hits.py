# SPDX-License-Identifier: Apache-2.0
"""Hits: read by people, by JSON and by evaluators."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.index import Exact


@pytest.fixture
def hits():
    index = Exact(metric="l2").fit([[0.0], [1.0], [3.0]], ids=["a", "b", "c"])
    return index.search([[0.0], [2.9]], k=4, where=[["a", "c"], None])


def test_one_query_is_cut_to_its_hits(hits) -> None:
    assert len(hits) == 2
    first = hits[0]
    assert (first.ids.tolist(), first.scores.tolist()) == (["a", "c"], [0.0, -9.0])
    assert (first.distances.tolist(), first.metric, len(first)) == ([0.0, 9.0], "l2", 2)
    ids, scores = hits[-1]
    assert ids.tolist() == ["c", "b", "a"]
    assert len(scores) == 3
    with pytest.raises(IndexError):
        hits[2]


def test_hits_become_json(hits) -> None:
    answer = json.loads(json.dumps(hits.to_dict()))
    assert answer["metric"] == "l2"
    assert answer["queries"][0] == [
        {"id": "a", "score": 0.0, "distance": 0.0},
        {"id": "c", "score": -9.0, "distance": 9.0},
    ]


def test_hits_become_a_run(hits) -> None:
    assert hits.to_run(["q1", "q2"])["q1"] == {"a": 0.0, "c": -9.0}
    assert list(hits.to_run()["1"]) == ["c", "b", "a"]
    with pytest.raises(vl.ShapeError, match="2 queries came with 1 names"):
        hits.to_run(["q1"])
    with pytest.raises(vl.ParameterError, match="query_ids must be unique"):
        hits.to_run(["q", "q"])


def test_hits_read_well_and_are_frozen(hits) -> None:
    assert repr(hits).splitlines() == [
        "Hits(2 queries, k=4, metric='l2')",
        "  0: a 0.0000 · c -9.0000",
        "  1: c -0.0100 · b -3.6100 · a -8.4100",
    ]
    with pytest.raises(dataclasses.FrozenInstanceError):
        hits.metric = "ip"


def test_distances_beyond_float32_are_infinite_and_still_hits() -> None:
    index = Exact(metric="l2").fit([[3e38], [-3e38], [0.0]])
    hits = index.search([[-3e38]], k=3)
    assert hits.ids.tolist() == [[1, 2, 0]]
    assert hits.counts.tolist() == [3]
    assert hits.distances.tolist() == [[0.0, np.inf, np.inf]]


def test_no_answer_holds_a_negative_zero() -> None:
    for metric in ("cosine", "ip", "l2"):
        hits = Exact(metric=metric).fit([[1.0, 0.0]]).search([[0.0, -1.0], [1.0, 0.0]], k=1)
        for array in (hits.scores, hits.distances):
            assert not np.signbit(array[array == 0]).any()


def test_range_hits_unpack_in_the_order_of_faiss() -> None:
    ranges = Exact(metric="l2").fit([[0.0], [1.0], [3.0]]).range_search([[0.0], [9.0]], 4.0)
    lims, distances, ids = ranges
    assert (lims.tolist(), distances.tolist(), ids.tolist()) == ([0, 2, 2], [0.0, 1.0], [0, 1])
    assert (lims.dtype, distances.dtype, ids.dtype) == (np.int64, np.float32, np.int64)
    assert repr(ranges) == "RangeHits(2 queries, 2 hits, metric='l2')"
    assert ranges.counts.tolist() == [2, 0]
    assert len(ranges[-1]) == 0
