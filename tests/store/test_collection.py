# SPDX-License-Identifier: Apache-2.0
"""Collections: what goes in comes out, after any order of writes, seals, merges and reopenings."""

from __future__ import annotations

import datetime as dt
import os
import threading

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

import vectorloom as vl
from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.store import Encoder, LockedError, restore, switch_alias, upkeep, verify

DIM = 8


def vectors(n, seed=0, dim=DIM):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "things"


def exact_ids(held, query, k, metric="cosine"):
    """The k best of {id: vector} by float64 arithmetic, ties by id."""
    ids = sorted(held)
    matrix = np.array([held[i] for i in ids], np.float64)
    query = query.astype(np.float64)
    if metric == "cosine":
        scores = matrix @ query / np.linalg.norm(matrix, axis=1) / np.linalg.norm(query)
    elif metric == "ip":
        scores = matrix @ query
    else:
        scores = -((matrix - query) ** 2).sum(axis=1)
    return [ids[i] for i in np.argsort(-scores, kind="stable")[:k]]


# ---- the law: a collection is a dict that can be searched ----------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
@pytest.mark.parametrize("text_ids", [False, True])
def test_any_order_of_changes_leaves_what_a_dict_would_hold(folder, metric, text_ids):
    rng = np.random.default_rng(7)
    name = (lambda i: f"k{i * 7 % 100:02d}") if text_ids else int
    held, years = {}, {}
    c = vl.collection(folder, DIM, metric, index=["year"])
    for step in range(60):
        action = rng.choice(["upsert", "upsert", "delete", "seal", "compact", "reopen", "filter"])
        if action == "upsert":
            ids = [name(int(i)) for i in rng.choice(100, rng.integers(1, 12), replace=False)]
            own = vectors(len(ids), step)
            given = [{"year": int(rng.integers(1990, 2000))} for _ in ids]
            c.upsert(ids, own, payloads=given)
            held |= dict(zip(ids, own, strict=True))
            years |= {i: p["year"] for i, p in zip(ids, given, strict=True)}
        elif action == "delete":
            ids = [name(int(i)) for i in rng.choice(100, 6, replace=False)]
            assert c.delete(ids) == sum(i in held for i in ids)
            for i in ids:
                held.pop(i, None)
        elif action == "seal":
            upkeep.seal(c._engine)
        elif action == "compact":
            upkeep.compact(c._engine, fully=bool(rng.integers(2)))
        elif action == "reopen":
            c.close()
            c = vl.collection(folder)
        if not held:
            continue
        query = vectors(1, 1000 + step)[0]
        assert len(c) == len(held)
        hits = c.search(query, k=5)
        assert hits[0].ids.tolist() == exact_ids(held, query, 5, metric)
        assert [p["year"] for p in hits.payloads[0]] == [years[i] for i in hits[0].ids.tolist()]
        late = {i: v for i, v in held.items() if years[i] >= 1996}
        found = c.search(query, k=5, where={"year": {"$gte": 1996}})
        assert found[0].ids.tolist() == (exact_ids(late, query, 5, metric) if late else [])
        assert c.count({"year": {"$gte": 1996}}) == len(late)
    got = c.get(list(held))
    np.testing.assert_array_equal(got.vectors, np.array(list(held.values())))
    pages = list(c.scroll(batch=7, vectors=True))
    assert [i for page in pages for i in page.ids.tolist()] == sorted(held)
    c.close()
    assert verify(folder).problems == []


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_narrow_storage_is_scored_by_what_it_stores(folder, dtype):
    x = vectors(300)
    with vl.collection(folder, DIM, dtype=dtype) as c:
        c.upsert(range(300), x)
        exact = vl.index.Exact(dtype=dtype).fit(x)
        for sealed in (False, True):
            if sealed:
                c.optimize()
            hits = c.search(x[:5], k=7)
            np.testing.assert_array_equal(hits.ids, exact.search(x[:5], k=7).ids)
            np.testing.assert_array_equal(c.get([3, 9]).vectors, exact.get([3, 9]))
    with vl.collection(folder) as c:
        np.testing.assert_array_equal(c.search(x[:5], k=7).ids, exact.search(x[:5], k=7).ids)


def test_sealed_rows_with_a_graph_are_merged_with_fresh_ones(folder):
    x = vectors(4400, dim=16)
    with vl.collection(folder, 16) as c:
        c.upsert(range(4200), x[:4200])
        c.optimize()
        assert c.info()["segments"][0]["graph"]
        c.upsert(range(4200, 4400), x[4200:])
        c.delete(range(0, 4200, 50))
        hits = c.search(x[[1, 4300]], k=1, explain=True)
        assert hits.ids.ravel().tolist() == [1, 4300]
        assert "walk" in hits.plan[0]
        assert "fresh rows" in hits.plan[0]
        near = c.search(x[:20], k=10)
        true = c.search(x[:20], k=10, exact=True)
        assert not np.isin(near.ids, np.arange(0, 4200, 50)).any()
        share = np.mean(
            [len(set(a) & set(b)) / 10 for a, b in zip(near.ids, true.ids, strict=True)]
        )
        assert share >= 0.9
        c.optimize()
        assert sum(s["rows"] for s in c.info()["segments"]) == 4316
    with vl.collection(folder, read_only=True) as again:
        assert "walk" in again.search(x[1], k=1, explain=True).plan[0]


def test_answers_are_short_only_where_matches_are(folder):
    with vl.collection(folder, DIM) as c:
        assert c.search(vectors(1)[0], k=3).ids.tolist() == [[-1, -1, -1]]
        c.upsert(["a", "b"], vectors(2))
        hits = c.search(vectors(2), k=4)
        assert hits.counts.tolist() == [2, 2]
        assert hits.ids[0, 2] is None
        assert len(hits[0].payloads) == 2
        assert c.search(vectors(1)[0], k=2, where={"x": 1}).counts.tolist() == [0]


def test_equal_scores_come_in_the_order_of_ids_across_parts(folder):
    same = np.ones((1, DIM), np.float32)
    with vl.collection(folder, DIM) as c:
        for id_ in ("d", "b"):
            c.upsert([id_], same)
            upkeep.seal(c._engine)
        c.upsert(["a", "c"], np.repeat(same, 2, axis=0))
        assert c.search(same[0], k=3).ids.tolist() == [["a", "b", "c"]]


def test_bulk_upserts_are_sealed_at_once_and_replace_like_others(folder, monkeypatch):
    monkeypatch.setattr(upkeep, "SEAL_ROWS", 256)
    x = vectors(600)
    with vl.collection(folder, DIM) as c:
        c.upsert(range(10), x[:10])
        c.upsert(range(5, 405), x[:400])
        c.upsert(range(0, 600, 2), x[::2])
        assert len(c) == 502
        info = c.info()
        assert sum(s["rows"] for s in info["segments"]) >= 700
        held = dict(enumerate(x[:5])) | {i + 5: x[i] for i in range(400)}
        held |= {i: x[i] for i in range(0, 600, 2)}
        query = vectors(1, 5)[0]
        assert c.search(query, k=9, exact=True)[0].ids.tolist() == exact_ids(held, query, 9)
        c.optimize()
        assert c.search(query, k=9, exact=True)[0].ids.tolist() == exact_ids(held, query, 9)
    assert verify(folder).problems == []


def test_several_fields_are_searched_each_on_its_own(folder):
    fields = {"title": {"dim": 4}, "body": {"dim": 6, "metric": "l2", "dtype": "float16"}}
    titles, bodies = vectors(40, 1, 4), vectors(40, 2, 6)
    with vl.collection(folder, fields=fields) as c:
        c.upsert(range(40), {"title": titles, "body": bodies})
        c.delete([3])
        c.upsert([4], {"title": titles[:1], "body": bodies[:1]})
        for _ in range(2):
            assert c.search(titles[7], k=1, field="title").ids.tolist() == [[7]]
            assert c.search(bodies[9], k=1, field="body").metric == "l2"
            assert c.search(bodies[9], k=1, field="body").ids.tolist() == [[9]]
            assert set(c.get([4]).vectors) == {"title", "body"}
            c.optimize()
        with pytest.raises(ParameterError, match="no vector field 'x'"):
            c.search(titles[0], field="x")
        with pytest.raises(ParameterError, match="needs all of them"):
            c.upsert([1], {"title": titles[:1]})
    assert verify(folder).problems == []


# ---- what is refused, and leaves all as it was ---------------------------------------------------


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (dict(ids=[1, 1], vectors=vectors(2)), ParameterError, "unique"),
        (dict(ids=["a", "b"], vectors=vectors(2)), ParameterError, "int64 ids"),
        (dict(ids=[1, 2], vectors=vectors(2, dim=9)), ShapeError, "columns"),
        (dict(ids=[1], vectors=vectors(2)), ShapeError, "one entry"),
        (dict(ids=[1], vectors=[[np.nan] * DIM]), ParameterError, "NaN"),
        (dict(ids=[1], vectors=[[0.0] * DIM]), ParameterError, "zero vector"),
        (dict(ids=[1], vectors=vectors(1), payloads=[{"a": {1, 2}}]), ParameterError, "JSON"),
        (dict(ids=[1], vectors=vectors(1), payloads=[{"a": np.nan}]), ParameterError, "JSON"),
        (dict(ids=[1], vectors=vectors(1), payloads=["x"]), ParameterError, "mapping"),
        (dict(ids=[1], vectors=vectors(1), payloads={"a": 1}), ShapeError, "list"),
        (dict(ids=[1], vectors=vectors(1), payloads=[{"a": "\0"}]), ParameterError, "NUL"),
        (dict(ids=[1], vectors=vectors(1), texts=[3]), ParameterError, "text"),
        (dict(ids=[1], vectors=vectors(1), texts=["a", "b"]), ShapeError, "one entry"),
        (dict(ids=[1]), ParameterError, "vectors must be given"),
        (dict(ids=None, vectors=vectors(1)), ParameterError, "ids must be given"),
    ],
)
def test_bad_batches_are_refused_whole(folder, change, kind, message):
    with vl.collection(folder, DIM) as c:
        c.upsert([0], vectors(1), payloads=[{"kept": True}])
        with pytest.raises(kind, match=message):
            c.upsert(**change)
        assert len(c) == 1
        assert c.get([0]).payloads == [{"kept": True}]


def test_a_collection_opens_only_as_what_it_is(folder):
    with pytest.raises(ParameterError, match="dim="):
        vl.collection(folder)
    with pytest.raises(FileNotFoundError):
        vl.collection(folder, read_only=True)
    vl.collection(folder, DIM, "l2").close()
    for wrong in ({"dim": 9}, {"metric": "cosine"}, {"dtype": "int8"}, {"fields": {"a": 3}}):
        with pytest.raises(ParameterError, match=r"created with|has the fields"):
            vl.collection(folder, **wrong)
    with vl.collection(folder, DIM, "l2") as c:
        assert c.schema.fields[0].metric == "l2"
    busy = folder.parent / "busy"
    busy.mkdir()
    (busy / "notes.txt").write_text("mine")
    with pytest.raises(ParameterError, match="not empty"):
        vl.collection(busy, DIM)
    assert [p.name for p in busy.iterdir() if p.name != "writer.lock"] == ["notes.txt"]


def test_a_second_writer_is_refused_and_told_the_holder(folder):
    with vl.collection(folder, DIM) as c:
        c.upsert([1], vectors(1))
        with pytest.raises(LockedError, match=f"process {os.getpid()} on"):
            vl.collection(folder)
        with vl.collection(folder, read_only=True) as reader:
            assert len(reader) == 1
            with pytest.raises(ParameterError, match="read-only"):
                reader.upsert([2], vectors(1))
    vl.collection(folder).close()


def test_a_closed_collection_says_so(folder):
    c = vl.collection(folder, DIM)
    c.close()
    c.close()
    with pytest.raises(ParameterError, match="closed"):
        c.search(vectors(1)[0])
    assert "closed" in repr(c)


def test_deleting_what_is_not_there_is_silent_or_refused_whole(folder):
    with vl.collection(folder, DIM) as c:
        c.upsert([1, 2], vectors(2))
        assert c.delete([2, 3]) == 1
        with pytest.raises(ParameterError, match="nothing was removed"):
            c.delete([1, 3], missing="raise")
        assert 1 in c
        assert 2 not in c
        c.upsert([5], vectors(1), payloads=[{"a": 1}])
        assert c.delete(where={"a": 1}) == 1
        with pytest.raises(ParameterError, match="either ids or where"):
            c.delete()


# ---- payloads, texts, filters --------------------------------------------------------------------


def test_payloads_come_back_as_they_went_in(folder):
    payloads = [
        {"a": 1, "b": [1, "x", None, 0.1], "c": {"d": True}, "é漢😀": "'; DROP TABLE points; --"},
        None,
        {"when": dt.datetime(2020, 5, 1, 12, tzinfo=dt.timezone.utc), "n": np.int64(3)},
    ]
    with vl.collection(folder, DIM) as c:
        c.upsert([1, 2, 3], vectors(3), payloads=payloads, texts=["one", None, "drei 漢"])
        got = c.get([3, 1, 2])
        assert got.payloads[1] == payloads[0]
        assert got.payloads[2] is None
        assert got.payloads[0] == {"when": "2020-05-01T12:00:00+00:00", "n": 3}
        assert got.texts == ["drei 漢", "one", None]
        assert c.count({"when": {"$lt": dt.datetime(2020, 5, 2, tzinfo=dt.timezone.utc)}}) == 1
        assert c.count({"$text": {"$contains": "漢"}}) == 1
        assert c.count({"$id": {"$in": [1, 3, 9]}}) == 2


def test_payloads_are_replaced_and_vectors_stay(folder):
    x = vectors(3)
    with vl.collection(folder, DIM, index=["n"]) as c:
        c.upsert([1, 2, 3], x, payloads=[{"n": 1}, {"n": 2}, None])
        c.optimize()
        c.set_payloads([3, 1], [{"n": 30}, None])
        assert c.get([1, 2, 3]).payloads == [None, {"n": 2}, {"n": 30}]
        assert c.search(x[2], k=1, where={"n": 30}).ids.tolist() == [[3]]
        with pytest.raises(ParameterError, match="nothing was changed"):
            c.set_payloads([2, 9], [{"n": 0}, {"n": 0}])
        assert c.get([2]).payloads == [{"n": 2}]
        np.testing.assert_array_equal(c.get([1, 2, 3]).vectors, x)


def test_indexes_can_be_added_to_a_collection_that_is_there(folder):
    with vl.collection(folder, DIM) as c:
        c.upsert(range(9), vectors(9), payloads=[{"a": {"b": i}} for i in range(9)])
        plan = c.search(vectors(1)[0], where={"a.b": 4}, explain=True).plan
        assert "scan of a.b" in plan[0]
    with vl.collection(folder, index=["a.b", "c"]) as c:
        plan = c.search(vectors(1)[0], where={"a.b": 4}, explain=True).plan
        assert "1 of 9 points match (index on a.b)" in plan[0]
    with vl.collection(folder) as c:
        assert c.schema.index == ("a.b", "c")


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


# ---- encoders ------------------------------------------------------------------------------------


class Letters:
    """Counts letters; a model of 26 dimensions."""

    name, revision = "letters", "1"

    def __init__(self, shift=0, scale=1.0):
        self.shift, self.scale = shift, scale

    def encode(self, texts):
        out = np.full((len(texts), 26), 0.01, np.float32)
        for row, text in zip(out, texts, strict=True):
            for letter in text.lower():
                if letter.isascii() and letter.isalpha():
                    row[(ord(letter) - 97 + self.shift) % 26] += self.scale
        return out


def test_text_is_encoded_and_found(folder):
    with vl.collection(folder, 26, encoder=Letters()) as c:
        c.upsert(["a", "b"], texts=["zebra", "quick fox"])
        assert c.search("fox", k=1).ids.tolist() == [["b"]]
        assert c.search(["zebras", "quack"], k=1).ids.tolist() == [["a"], ["b"]]
    with vl.collection(folder) as c:
        for more in ({"by": "vectors"}, {"field": "vector"}):
            with pytest.raises(ParameterError, match="encoder="):
                c.search("fox", **more)
        assert c.search("fox", k=1).ids.tolist() == [["b"]]  # by its words


def test_words_follow_every_change_of_the_texts(folder):
    texts = ["red fox", "blue fox", "red wine", None]
    with vl.collection(folder, DIM, index=["n"]) as c:
        assert c.search("fox", k=2).counts.tolist() == [0]
        c.upsert(list("abcd"), vectors(4), [{"n": i} for i in range(4)], texts)
        hits = c.search("red fox", k=4, explain=True)
        assert hits[0].ids.tolist() == ["a", "b", "c"]
        assert hits.payloads[0][0] == {"n": 0}
        assert hits.texts[0] == ["red fox", "blue fox", "red wine"]
        assert "3 of 4 points have text" in hits.plan[0]
        assert c.search("red fox", where={"n": {"$gte": 1}})[0].ids.tolist() == ["b", "c"]
        assert c.search("red fox", where={"n": 9}).counts.tolist() == [0]
        c.upsert(["a", "e"], vectors(2), texts=["green tea", "fox fox"])
        assert c.search("fox", k=5)[0].ids.tolist() == ["e", "b"]
        assert c.search(["tea", "red"], k=1).ids.tolist() == [["a"], ["c"]]
        c.delete(["e", "b"])
        assert c.search("fox").counts.tolist() == [0]
        c.delete(["a", "c"])
        assert c.search("red").counts.tolist() == [0]
        c.upsert(["z"], vectors(1), texts=["red again"])
        with vl.collection(folder, read_only=True) as reader:
            assert reader.search("red", k=1).ids.tolist() == [["z"]]
        with pytest.raises(ParameterError, match="takes text"):
            c.search(vectors(1)[0], by="words")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Encoder(Letters(), name="digits"), "it is 'digits' at revision '1'"),
        (Encoder(Letters(), revision="2"), "at revision '2'"),
        (Letters(shift=3), "encodes the same texts differently"),
    ],
)
def test_another_encoder_is_refused_and_the_remedy_named(folder, other, message):
    vl.collection(folder, 26, encoder=Letters()).close()
    with pytest.raises(ParameterError, match=message) as caught:
        vl.collection(folder, encoder=other)
    assert "new collection and switch the alias" in str(caught.value)
    vl.collection(folder, encoder=Letters()).close()


def test_an_encoder_needs_a_name_and_the_right_dimension(folder):
    with pytest.raises(ParameterError, match="name"):
        vl.collection(folder, 26, encoder=lambda texts: np.zeros((len(texts), 26)))
    with pytest.raises(ShapeError, match="columns"):
        vl.collection(folder.parent / "other", 7, encoder=Letters())
