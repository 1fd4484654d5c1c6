# SPDX-License-Identifier: Apache-2.0
"""Live recall: the interval is Wilson's, the truth that of the commit, the time within a budget."""

from __future__ import annotations

import itertools
import re
import time

import numpy as np
import pytest

import vectorloom as vl
from asgi_client import Client
from vectorloom.serve import add_key, make_app
from vectorloom.serve.recall import Recall, escaped, filter_class, k_class, wilson
from vectorloom.store.pinned import Pin

C = "/v1/collections/c"


def test_the_interval_is_that_of_wilson():
    # 8 of 10 by hand: z² = 3.8416, centre (.8 + .19208) / 1.38416, half
    # 1.96 / 1.38416 · sqrt(.8 · .2 / 10 + 3.8416 / 400).
    found = wilson([1.0] * 8 + [0.0] * 2)
    assert found.mean == pytest.approx(0.8)
    assert (found.low, found.high) == pytest.approx((0.4901, 0.9433), abs=2e-4)
    alone = wilson([1.0])
    assert (alone.low, alone.high) == (pytest.approx(0.2065, abs=1e-4), 1.0)
    assert wilson([1.0] * 1000).low == pytest.approx(1000 / 1003.8416, abs=1e-6)


def test_it_covers_the_true_mean_of_uneven_shares():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        values = rng.choice([1.0, 0.9, 0.5], p=[0.8, 0.15, 0.05], size=60)
        found = wilson(values.tolist())
        held += found.low <= 0.8 + 0.135 + 0.025 <= found.high
    assert held >= 380


def test_classes_are_named():
    question = type("Q", (), {"matches": 5, "total": 1000})
    assert filter_class(None, question) == "none"
    assert filter_class({}, question) == "under 1%"
    question.matches = 50
    assert filter_class({}, question) == "1% to 10%"
    question.matches = 500
    assert filter_class({}, question) == "over 10%"
    assert [k_class(k) for k in (1, 10, 11, 100, 101)] == [
        "1 to 10", "1 to 10", "11 to 100", "11 to 100", "over 100",
    ]  # fmt: skip
    assert escaped('a"b\\c\n') == 'a\\"b\\\\c\\n'


@pytest.fixture
def points(tmp_path):
    rng = np.random.default_rng(1)
    with vl.collection(tmp_path / "c", dim=8, index=["a"]) as c:
        c.upsert(
            np.arange(400),
            rng.standard_normal((400, 8), dtype=np.float32),
            payloads=[{"a": i % 20} for i in range(400)],
        )
        yield c


def test_a_question_keeps_the_commit_it_was_answered_at(points):
    query = np.ones(8, np.float32)
    pin = Pin(points, 0)
    before = points.search(query, 5)
    question = pin.question(query, 5, None)
    assert (question.matches, question.total) == (400, 400)
    points.upsert([1000], [query])  # the nearest of all, and later
    points.delete([int(before.ids[0, 0])])
    truth = question.exact()
    np.testing.assert_array_equal(truth.ids, before.ids)
    assert pin.question(query, 5, None) is None  # a commit came between
    pin = Pin(points, 0)
    where = {"a": 3}
    filtered = points.search(query, 5, where)
    question = pin.question(query, 5, where)
    assert question.matches == 20
    np.testing.assert_array_equal(question.exact().ids, filtered.ids)


def wait_for(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def asked(recall, points, query, k, answered):
    """Hand over a search as the server does, with the answer that is given."""
    recall.begin(points, 0).answered("c", query, k, None, answered, None)


def test_misses_are_counted_against_the_truth(points):
    recall = Recall(1.0, 1.0)
    query = np.ones((1, 8), np.float32)
    hits = points.search(query, 10)
    asked(recall, points, query, 10, hits)
    asked(recall, points, query, 10, points.search(query, 9))  # one of ten is missing
    wait_for(lambda: recall.checked == 2)
    [(series, interval)] = recall.intervals().items()
    assert (series.collection, series.filter, series.target) == ("c", "none", "0.95")
    assert (interval.mean, interval.n) == (pytest.approx(0.95), 2)
    assert recall.cpu_seconds > 0
    recall.forget("c")
    assert recall.intervals() == {}
    recall.stop()


def test_the_checks_stay_within_their_budget(points, monkeypatch):
    ticks = itertools.count()
    recall = Recall(1.0, 0.05)
    # Each check is as if it took 40 ms of processor time.
    monkeypatch.setattr("vectorloom.serve.recall.time.thread_time", lambda: 0.04 * next(ticks))
    query = np.ones((1, 8), np.float32)
    began = time.monotonic()
    while time.monotonic() - began < 2.0:
        asked(recall, points, query, 5, points.search(query, 5))
        time.sleep(0.01)
    spent = time.monotonic() - began
    recall.stop()
    assert 1 <= recall.checked <= 0.05 * spent / 0.04 + 2
    assert recall.dropped > 0  # the rest waited for too long, or were too many


def test_the_server_exports_what_it_finds(tmp_path):
    file = tmp_path / "keys"
    one, other = add_key(file, "write", []), add_key(file, "read", ["d"])
    app = make_app(tmp_path, "localhost", file, recall_share=1.0, recall_budget=1.0)
    ask, stranger = Client(app, one), Client(app, other)
    rng = np.random.default_rng(2)
    ask("PUT", C, {"dim": 8, "index": ["a"]})
    points = {"ids": list(range(300)), "vectors": rng.standard_normal((300, 8)).tolist()}
    points["payloads"] = [{"a": i % 20} for i in range(300)]
    ask("POST", C + "/points", points)
    for i in range(5):
        ask("POST", C + "/search", {"vector": points["vectors"][i], "k": 3})
        ask("POST", C + "/search", {"vectors": points["vectors"][:4], "k": 3, "where": {"a": i}})
    ask("POST", C + "/search", {"vector": points["vectors"][0], "exact": True})
    ask("POST", C + "/search", {"text": "words"})
    wait_for(lambda: app.service.recall.checked + app.service.recall.dropped == 10)
    text = ask("GET", "/metrics")[1]
    labels = r'collection="c",field="vector",filter="([^"]*)",k="1 to 10",target="0.95"'
    assert re.findall(rf"vectorloom_recall\{{{labels}\}} (\S+)", text) == [
        ("1% to 10%", "1"),
        ("none", "1"),
    ]
    low = re.findall(rf"vectorloom_recall_low\{{{labels}\}} (\S+)", text)
    assert all(0.5 < float(value) < 0.6 for _, value in low)  # five queries say little
    assert "vectorloom_recall_checked_total 10" in text
    assert 'collection="c"' not in stranger("GET", "/metrics")[1]
    ask("DELETE", C)
    assert 'collection="c"' not in ask("GET", "/metrics")[1]
    app.close()


def test_no_share_asks_nothing_again(points):
    recall = Recall(0.0, 1.0)
    assert recall.begin(points, 0) is None
    recall.stop()


@pytest.mark.parametrize("name", ["recall_share", "recall_budget"])
def test_shares_are_shares(tmp_path, name):
    with pytest.raises(vl.ParameterError, match=name):
        make_app(tmp_path, "localhost", None, **{name: 1.5})
