# SPDX-License-Identifier: Apache-2.0
"""Upkeep beside writers and searches: who waits for whom, and what is left when it is cut off."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import CapacityError
from vectorloom.store import reading, segment, upkeep, verify
from vectorloom.store.rows import _TextOrder

DIM = 8


def vectors(n, seed=0, dim=DIM):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


@pytest.fixture
def still(monkeypatch):
    """No background: the test does its steps itself."""
    monkeypatch.setattr("vectorloom.store.keeping.Keeper.start", lambda self: None)
    monkeypatch.setattr("vectorloom.store.keeping.Keeper.stop", lambda self: None)


def build(one):
    one.build_graph(1, None)


# ---- one commit ----------------------------------------------------------------------------------


def test_a_search_is_of_the_commit_it_began_with_and_is_not_done_again(folder, monkeypatch):
    x = vectors(20)
    with vl.collection(folder, DIM, index=["turn"]) as c:
        c.upsert(range(20), x, [{"turn": 0}] * 20, ["before"] * 20)
        real, asked = reading.search_parts, []

        def meanwhile(*given):
            asked.append(1)
            found = real(*given)
            turn = len(asked)
            c.upsert(range(20), x[::-1], [{"turn": turn}] * 20, ["after"] * 20)
            c.set_payloads([3], [{"turn": -1}])
            return found

        monkeypatch.setattr(reading, "search_parts", meanwhile)
        hits = c.search(x[3], k=20, where={"turn": 0})
        assert len(asked) == 1
        assert hits.ids[0, 0] == 3
        assert {p["turn"] for p in hits.payloads[0]} == {0}
        assert set(hits.texts[0]) == {"before"}
        found = c.search(x[3], k=1, payloads=False)
        assert (len(asked), found.ids.tolist(), found.payloads) == (2, [[16]], [])


# ---- text ids ------------------------------------------------------------------------------------


def test_the_order_of_text_ids_is_kept_as_they_come():
    rng = random.Random(3)
    order, all_ = _TextOrder(), []
    for n in (3, 0, 1, 7, 20):
        more = ["".join(rng.choice("abé\U0001f600Z") for _ in range(4)) for _ in range(n)]
        order.append(np.array(more, object))
        all_ += more
        ids = np.array(all_, object)
        keys = order.holder(ids).tie_keys()
        keys = np.arange(len(ids)) if keys is None else keys
        assert [all_[i] for i in np.argsort(keys)] == sorted(all_)
    growing = _TextOrder()
    for more in (["a", "b"], ["c"], ["d", "e"]):
        growing.append(np.array(more, object))
    assert growing.holder(np.array(list("abcde"), object)).tie_keys() is None


@pytest.mark.parametrize("sealed", [False, True])
def test_ties_of_text_ids_go_by_the_id(folder, still, sealed):
    ids = ["é", "z", "a", "\U0001f600", "B", "b"]
    with vl.collection(folder, DIM) as c:
        for id_ in ids:
            c.upsert([id_], np.ones((1, DIM)))
        if sealed:
            upkeep.seal(c._engine)
        assert c.search(np.ones(DIM), k=6).ids[0].tolist() == sorted(ids)
    with vl.collection(folder) as c:
        assert c.search(np.ones(DIM), k=6).ids[0].tolist() == sorted(ids)


# ---- while rows stream in ------------------------------------------------------------------------


def test_segments_that_stream_in_get_one_graph_before_it_is_listed(folder, still, monkeypatch):
    monkeypatch.setattr(segment, "GRAPH_MIN_ROWS", 200)
    x = vectors(900)
    with vl.collection(folder, DIM) as c:
        engine, plans = c._engine, []

        def slowly(one):
            plans.append(c.search(x[1], k=3, explain=True).plan[0])
            build(one)
            c.upsert([5], x[1:2])  # a commit meanwhile is not lost
            upkeep.seal(engine)

        c.upsert(range(300), x[:300])
        upkeep.seal(engine)
        assert upkeep.index_streaming(engine, build)  # one: in its place
        assert not upkeep.index_streaming(engine, build)
        for first in (300, 600):
            c.upsert(range(first, first + 300), x[first : first + 300])
            upkeep.seal(engine)
        assert upkeep.index_streaming(engine, slowly)  # two: merged
        assert plans[0].count("walk") == 1
        told = [(each["rows"], each["graph"]) for each in c.info()["segments"]]
        assert told == [(300, True), (600, True), (1, False)]
        plan = c.search(x[1], k=3, explain=True).plan[0]
        assert "walk" in plan
        assert c.search(x[1], k=2).ids[0].tolist() == [1, 5]
        assert len(c) == 900
    assert verify(folder).problems == []
    with vl.collection(folder) as c:
        assert "walk" in c.search(x[1], k=1, explain=True).plan[0]


def test_many_walks_become_one(folder, still, monkeypatch):
    monkeypatch.setattr(segment, "GRAPH_MIN_ROWS", 64)
    x = vectors(8 * 64)
    with vl.collection(folder, DIM) as c:
        for first in range(0, len(x), 64):
            c.upsert(range(first, first + 64), x[first : first + 64])
            upkeep.seal(c._engine)
            while upkeep.index_streaming(c._engine, build):
                pass
        assert [each["rows"] for each in c.info()["segments"]] == [512]
        assert c.search(x[77], k=1).ids.tolist() == [[77]]
    assert verify(folder).problems == []


def test_the_log_stays_small_and_free_pages_go_back_to_the_disk(folder, still):
    x = vectors(2000, dim=256)
    with vl.collection(folder, 256) as c:
        for turn in range(6):
            c.upsert(range(turn * 2000, turn * 2000 + 2000), x)
            upkeep.seal(c._engine)
        log, database = folder / "collection.db-wal", folder / "collection.db"
        assert log.stat().st_size < 3 * x.nbytes
        c._engine.checkpoint(thorough=True)
        assert log.stat().st_size == 0
        assert database.stat().st_size < x.nbytes
        assert len(c) == 12_000


def test_what_could_not_be_listed_leaves_no_file(folder, still, monkeypatch):
    monkeypatch.setattr(segment, "GRAPH_MIN_ROWS", 200)
    with vl.collection(folder, DIM) as c:
        c.upsert(range(300), vectors(300))

        def full(*_):
            raise CapacityError("no room")

        with monkeypatch.context() as patch:
            patch.setattr(upkeep, "list_segments", full)
            with pytest.raises(CapacityError):
                upkeep.seal(c._engine)
        assert list((folder / "segments").iterdir()) == []
        assert c.search(vectors(300)[7], k=1).ids.tolist() == [[7]]
        assert upkeep.seal(c._engine)
        c.upsert(range(300, 600), vectors(300, 1))
        upkeep.seal(c._engine)
        with pytest.raises(CapacityError):
            upkeep.compact(c._engine, full)
    assert verify(folder).problems == []


# ---- cut off -------------------------------------------------------------------------------------


def test_closing_ends_a_graph_that_is_being_built(folder, monkeypatch):
    began = threading.Event()
    real = segment.Segment.build_graph

    def noted(self, *given):
        began.set()
        real(self, *given)

    monkeypatch.setattr(segment.Segment, "build_graph", noted)
    x = vectors(40_000, dim=96)
    c = vl.collection(folder, 96, n_jobs=1)
    for first in (0, 20_000):
        c.upsert(range(first, first + 20_000), x[first : first + 20_000])
    assert began.wait(30)
    c.close()
    assert not [each for each in threading.enumerate() if "vectorloom-" in each.name]
    assert verify(folder).problems == []
    with vl.collection(folder, read_only=True) as again:
        assert not any(each["graph"] for each in again.info()["segments"])
        assert len(again) == 40_000


def test_a_program_may_end_while_a_graph_is_being_built(folder):
    script = (
        "import sys, time, numpy as np, vectorloom as vl\n"
        "c = vl.collection(sys.argv[1], 96, n_jobs=1)\n"
        "x = np.random.default_rng(0).standard_normal((20_000, 96)).astype(np.float32)\n"
        "c.upsert(range(20_000), x)\n"
        "time.sleep(1.6)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False,
        timeout=120, env=os.environ | {"VECTORLOOM_PROGRESS": "off"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert verify(folder).is_sound


# ---- clocks --------------------------------------------------------------------------------------


def test_jumps_of_the_clock_change_nothing(folder, monkeypatch):
    rng = random.Random(1)
    monkeypatch.setattr(time, "time", lambda: rng.uniform(-1e9, 1e11))
    monkeypatch.setattr(time, "time_ns", lambda: rng.randrange(10**20))
    x = vectors(600)
    with vl.collection(folder, DIM) as c:
        for first in range(0, 600, 100):
            c.upsert(range(first, first + 100), x[first : first + 100])
            c.delete([first])
            c.optimize()
            assert c.search(x[first + 7], k=1).ids.tolist() == [[first + 7]]
        c.snapshot(folder.parent / "saved")
        assert len(c) == 594
    assert verify(folder).problems == verify(folder.parent / "saved").problems == []
