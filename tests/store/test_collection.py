# SPDX-License-Identifier: Apache-2.0
"""Collections: what goes in comes out, after any order of writes, seals, merges and reopenings."""

from __future__ import annotations

import datetime as dt
import os

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.store import LockedError, upkeep, verify

DIM = 8


def vectors(n, seed=0, dim=DIM):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


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
