# SPDX-License-Identifier: Apache-2.0
"""Collections beside others: readers, threads, files in and out, snapshots, aliases."""

from __future__ import annotations

import os
import threading

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

import vectorloom as vl
from vectorloom.errors import FormatError, ParameterError
from vectorloom.store import restore, switch_alias, upkeep, verify

DIM = 8


def vectors(n, seed=0, dim=DIM):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


# ---- readers beside the writer -------------------------------------------------------------------


def test_a_reader_follows_the_writer_and_never_sees_half_a_write(folder):
    x = vectors(64)
    writer = vl.collection(folder, DIM, index=["round"])
    writer.upsert(range(64), x, payloads=[{"round": 0}] * 64)
    stop, seen, failures = threading.Event(), [], []

    def read():
        try:
            with vl.collection(folder, read_only=True) as reader:
                while not stop.is_set():
                    hits = reader.search(x[0], k=64)
                    rounds = {p["round"] for p in hits.payloads[0]}
                    if hits.counts[0] != 64 or len(rounds) != 1:
                        failures.append((int(hits.counts[0]), rounds))
                    own = rounds.pop()
                    found = writer.search(x[0], k=64, where={"round": {"$gte": own}})
                    if found.counts[0] != 64:
                        failures.append(("filtered", int(found.counts[0])))
                    seen.append(own)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for turn in range(1, 40):
        writer.upsert(range(64), x, payloads=[{"round": turn}] * 64)
        if turn % 10 == 0:
            writer.optimize()
    stop.set()
    thread.join()
    writer.close()
    assert failures == []
    assert seen == sorted(seen)
    assert len(seen) > 3


def test_many_threads_write_and_search_one_object(folder):
    with vl.collection(folder, DIM, index=["who"]) as c:

        def work(who):
            for turn in range(8):
                ids = [who * 1000 + turn * 10 + i for i in range(10)]
                c.upsert(ids, vectors(10, who * 100 + turn), payloads=[{"who": who}] * 10)
                assert c.search(vectors(1)[0], k=5, where={"who": who}).counts[0] == 5

        threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(c) == 320
        assert all(c.count({"who": who}) == 80 for who in range(4))


def handles():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts handles through /proc")
def test_files_handles_and_bytes_stay_flat_under_churn(folder):
    def size():
        return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())

    x = vectors(300)
    with vl.collection(folder, DIM, index=["turn"]) as c:

        def churn(turns):
            for turn in turns:
                c.upsert(range(300), x, payloads=[{"turn": turn}] * 300)
                thread = threading.Thread(target=c.search, args=(x[0], 3, {"turn": turn}))
                thread.start()
                c.delete(range(0, 300, 7))
                thread.join()
                if turn % 5 == 0:
                    c.optimize()
            c.optimize()

        churn(range(10))
        before = handles(), size()
        churn(range(10, 40))
        after = handles(), size()
    assert after[0] <= before[0] + 3
    assert after[1] <= 1.5 * before[1]


# ---- moving in and out ---------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_an_export_imported_again_is_the_same(folder, suffix):
    x = vectors(50)
    file = folder.parent / f"out{suffix}"
    payloads = [{"n": i, "deep": {"x": [i]}} if i % 3 else None for i in range(50)]
    with vl.collection(folder, DIM) as c:
        c.upsert([f"p{i}" for i in range(50)], x, payloads, [f"text {i}" for i in range(50)])
        assert c.export(file) == 50
        with vl.collection(folder.parent / "twin", DIM) as twin:
            assert twin.import_(file, batch=16) == 50
            ids = [f"p{i}" for i in range(50)]
            a, b = c.get(ids), twin.get(ids)
            np.testing.assert_array_equal(a.vectors, b.vectors)
            assert a.payloads == b.payloads == payloads
            assert a.texts == b.texts
    with pytest.raises(ParameterError, match="closed"):
        c.export(file)


def test_an_import_goes_on_where_it_was_cut_off(folder, monkeypatch):
    file = folder.parent / "in.parquet"
    table = pa.table({"id": list(range(40)), "vector": list(vectors(40)), "year": [2000] * 40})
    pyarrow.parquet.write_table(table, file)
    from vectorloom.store import moving

    real, calls = moving.store_batch, []

    def twice(*given):
        if len(calls) == 2:
            raise OSError("unplugged")
        calls.append(1)
        real(*given)

    with vl.collection(folder, DIM) as c:
        monkeypatch.setattr(moving, "store_batch", twice)
        with pytest.raises(OSError, match="unplugged"):
            c.import_(file, batch=10)
        monkeypatch.setattr(moving, "store_batch", real)
    with vl.collection(folder) as c:
        assert len(c) == 20
        assert c.import_(file, batch=10) == 20
        assert len(c) == 40
        assert c.count({"year": 2000}) == 40
        assert c.import_(file, batch=10) == 40  # a finished one begins anew


def test_segments_are_arrow_files_that_others_read(folder):
    x = vectors(30)
    with vl.collection(folder, DIM) as c:
        c.upsert([f"p{i}" for i in range(30)], x)
        c.optimize()
    (file,) = (folder / "segments").iterdir()
    table = pyarrow.ipc.open_file(str(file)).read_all()
    assert table["id"].to_pylist() == [f"p{i}" for i in range(30)]
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), x)


# ---- snapshots and aliases -----------------------------------------------------------------------


def test_a_snapshot_is_one_commit_and_restores(folder):
    x = vectors(500)
    home = folder.parent
    with vl.collection(folder, DIM) as c:
        c.upsert(range(300), x[:300])
        c.optimize()
        c.upsert(range(300, 400), x[300:400])
        c.snapshot(home / "saved")
        c.upsert(range(400, 500), x[400:])
        c.delete(range(200))
        with pytest.raises(ParameterError, match="exists"):
            c.snapshot(home / "saved")
    restore(home / "saved", home / "again")
    with vl.collection(home / "again") as c:
        assert len(c) == 400
        np.testing.assert_array_equal(c.get(range(400)).vectors, x[:400])
    for name in ("saved", "again"):
        assert verify(home / name).problems == []
    (segment,) = (home / "saved" / "segments").iterdir()
    segment.write_bytes(segment.read_bytes()[:-1])
    with pytest.raises(FormatError, match="not restored"):
        restore(home / "saved", home / "third")
    assert not (home / "third").exists()


def test_snapshots_taken_while_writing_are_each_of_one_commit(folder):
    home, stop = folder.parent, threading.Event()
    with vl.collection(folder, DIM) as c:
        c.upsert(range(10), vectors(10))

        def write():
            turn = 1
            while not stop.is_set():
                c.upsert(range(turn * 10, turn * 10 + 10), vectors(10, turn))
                if turn % 7 == 0:
                    upkeep.seal(c._engine)
                    upkeep.compact(c._engine)
                turn += 1

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for i in range(4):
                c.snapshot(home / f"saved{i}")
            with vl.collection(folder, read_only=True) as reader:
                reader.snapshot(home / "saved4")
        finally:
            stop.set()
            thread.join()
    for i in range(5):
        assert verify(home / f"saved{i}").problems == []
        with vl.collection(home / f"saved{i}", read_only=True) as saved:
            assert len(saved) % 10 == 0
            last = len(saved) // 10 - 1
            own = saved.get(range(last * 10, last * 10 + 10)).vectors
            np.testing.assert_array_equal(own, vectors(10, last))


def test_a_forked_child_is_told_to_open_it_anew(folder, monkeypatch):
    with vl.collection(folder, DIM) as c:
        c.upsert([1], vectors(1))
        monkeypatch.setattr(os, "getpid", lambda: -5)
        with pytest.raises(ParameterError, match="forked"):
            c.search(vectors(1)[0])
        monkeypatch.undo()
        assert 1 in c


def test_an_alias_switches_while_readers_go_on(folder):
    home = folder.parent
    for i, name in enumerate(("v1", "v2")):
        with vl.collection(home / name, DIM) as c:
            c.upsert([i], vectors(1))
    switch_alias(home / "live", home / "v1")
    with vl.collection(home / "live", read_only=True) as old:
        switch_alias(home / "live", home / "v2")
        assert 0 in old
        with vl.collection(home / "live", read_only=True) as new:
            assert 1 in new
    with pytest.raises(ParameterError, match="no alias"):
        switch_alias(home / "v1", home / "v2")
    with pytest.raises(ParameterError, match="no collection"):
        switch_alias(home / "live", home / "nowhere")
