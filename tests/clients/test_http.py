# SPDX-License-Identifier: Apache-2.0
"""The clients answer as the collection itself does, and tell what the server refuses."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import CapacityError, FormatError, ParameterError, ShapeError

httpx = pytest.importorskip("httpx")

from direct_server import URL, Direct, served  # noqa: E402
from vectorloom.clients import (  # noqa: E402
    AsyncClient,
    AsyncRemoteCollection,
    Client,
    Operation,
    RemoteCollection,
    ServerError,
)
from vectorloom.serve import add_key, make_app  # noqa: E402
from vectorloom.store.schema import FieldSchema, Schema  # noqa: E402

DIM = 4
ROWS = np.random.default_rng(0).standard_normal((30, DIM))
PAYLOADS = [{"n": i} if i % 3 else None for i in range(30)]
TEXTS = [f"text {i}" if i % 2 else None for i in range(30)]


def assert_same_hits(own, other):
    if own.counts.any():  # an answer without hits does not tell the type of ids
        assert own.ids.tolist() == other.ids.tolist()
        assert own.ids.dtype == other.ids.dtype
    for name in ("scores", "distances"):
        np.testing.assert_array_equal(getattr(own, name), getattr(other, name))
        assert getattr(own, name).dtype == getattr(other, name).dtype
    assert own.counts.tolist() == other.counts.tolist()
    assert (own.metric, own.plan) == (other.metric, other.plan)
    assert (own.payloads, own.texts) == (other.payloads, other.texts)


def assert_same_points(own, other):
    assert own.ids.tolist() == other.ids.tolist()
    assert (own.payloads, own.texts) == (other.payloads, other.texts)
    np.testing.assert_array_equal(own.vectors, other.vectors)


@pytest.mark.parametrize("ids", [list(range(30)), [f"p{i:02}" for i in range(30)]])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_a_remote_collection_answers_as_the_collection_itself(ids, metric, tmp_path):
    with vl.collection(tmp_path / "own", DIM, metric, index=["n"]) as own, served(tmp_path) as c:
        other = c.create("other", DIM, metric, index=["n"])
        for each in (own, other):
            assert each.upsert(ids, ROWS, PAYLOADS, TEXTS) == 30
        assert len(own) == len(other) == 30
        assert other.schema == own.schema
        for query, k, where in (
            (ROWS[:3], 5, None),
            (ROWS[0], 4, {"n": {"$gte": 20}}),
            (ROWS[:2], 40, {"n": {"$lt": 3}}),
            (ROWS[:2], 3, {"n": -1}),
        ):
            assert_same_hits(
                own.search(query, k, where, explain=True),
                other.search(query, k, where, explain=True),
            )
        assert_same_points(own.get(ids[5:2:-1]), other.get(ids[5:2:-1]))
        assert other.get(ids[:2], vectors=False).vectors is None
        pages = list(other.scroll({"n": {"$gte": 5}}, batch=4, vectors=True))
        assert [len(page) for page in pages] == [4, 4, 4, 4, 1]
        assert_same_points(next(own.scroll({"n": {"$gte": 5}}, batch=4, vectors=True)), pages[0])
        assert other.count({"n": 4}) == own.count({"n": 4}) == 1
        assert other.delete(ids[:3]) == own.delete(ids[:3]) == 3
        assert other.delete(where={"n": {"$gte": 10}}) == own.delete(where={"n": {"$gte": 10}})
        assert (
            other.get(ids, missing="ignore").ids.tolist()
            == own.get(ids, missing="ignore").ids.tolist()
        )
        assert c.collections() == ["other", "own"]
        assert other.info()["points"] == len(own)


def test_several_fields(tmp_path):
    fields = {"a": {"dim": 2, "metric": "ip"}, "b": 3}
    with served(tmp_path) as client:
        both = client.create("c", fields=fields)
        vectors = {"a": np.eye(2), "b": [[1, 0, 0], [0, 1, 0]]}
        both.upsert(["x", "y"], vectors)
        assert both.search([0.0, 2.0], 1, field="a").ids.tolist() == [["y"]]
        assert both.search([1.0, 0.0, 0.0], 1, field="b").ids.tolist() == [["x"]]
        found = both.get(["y"]).vectors
        assert found["a"].tolist() == [[0.0, 1.0]]
        assert found["b"].tolist() == [[0.0, 1.0, 0.0]]


def test_sparse_fields_and_several_vectors_a_point(tmp_path):
    rng = np.random.default_rng(1)
    fields = {
        "s": {"kind": "sparse", "dim": 9},
        "m": {"kind": "multi", "dim": 3, "dtype": "float16"},
    }
    weights = np.where(rng.random((20, 9)) < 0.4, rng.random((20, 9)), 0).astype(np.float32)
    tokens = [rng.standard_normal((m, 3)).astype(np.float32) for m in rng.integers(1, 5, 20)]
    with vl.collection(tmp_path / "own", fields=fields) as own, served(tmp_path) as client:
        other = client.create("other", fields=fields)
        assert other.schema == own.schema
        for each in (own, other):
            each.upsert(list(range(20)), {"s": weights, "m": tokens})
        for query, field in ((weights[3], "s"), (weights[:3], "s"), (tokens[3], "m"),
                             (tokens[:4], "m")):  # fmt: skip
            assert_same_hits(own.search(query, 5, field=field), other.search(query, 5, field=field))
        found, expected = other.get([4, 2]).vectors, own.get([4, 2]).vectors
        np.testing.assert_array_equal(found["s"].toarray(), expected["s"].toarray())
        for a, b in zip(found["m"], expected["m"], strict=True):
            np.testing.assert_array_equal(a, b)
        with pytest.raises(ShapeError, match="give one of each"):
            other.upsert([1], {"s": weights[:1], "m": tokens[:2]})


def test_text_is_looked_for_by_its_words(tmp_path):
    with vl.collection(tmp_path / "own", DIM) as own, served(tmp_path) as client:
        other = client.create("other", DIM)
        texts = ["a heist in Lyon", "letters from Turin", "an atlas of Lyon"]
        for each in (own, other):
            each.upsert(["a", "b", "c"], ROWS[:3], texts=texts)
        for query in ("Lyon", ["Turin", "heist Lyon"]):
            assert_same_hits(own.search(query, 2), other.search(query, 2))
        assert_same_hits(own.search("Lyon", 2, by="words"), other.search("Lyon", 2, by="words"))


def test_the_async_client_answers_as_the_other(tmp_path):
    async def both(app):
        transport = httpx.ASGITransport(app)
        async with AsyncClient(URL, transport=transport) as client:
            own = await client.create("c", DIM)
            await own.upsert(list(range(30)), ROWS, PAYLOADS, TEXTS)
            again = await client.collection("c")
            hits = await asyncio.gather(*(again.search(row, 3) for row in ROWS[:5]))
            pages = [len(page) async for page in again.scroll(batch=20)]
            points = await again.get([3, 1])
            assert await again.count({"n": 4}) == 1
            assert (await again.info())["points"] == 30
            assert await client.collections() == ["c"]
            assert await again.delete([0]) == 1
            assert (await client.wait(await again.verify()))["sound"]
            assert (await again.together({"vector": ROWS[1]}, 2)).ids.tolist()[0][0] == 1
            assert (await client.operations())[0].kind == "verify"
            with pytest.raises(ParameterError, match="1 of 1 ids"):
                await again.get([0])
            return hits, pages, points

    app = make_app(tmp_path, "127.0.0.1", None)
    hits, pages, points = asyncio.run(both(app))
    app.close()
    assert pages == [20, 10]
    with served(tmp_path) as client:
        found = client.collection("c")
        for row, own in zip(ROWS[1:5], hits[1:], strict=True):
            assert_same_hits(found.search(row, 3), own)
        assert_same_points(found.get([3, 1]), points)


def test_keys_and_refusals(tmp_path):
    (tmp_path / "data").mkdir()
    keys = tmp_path / "keys.txt"
    reading, writing = add_key(keys, "read", []), add_key(keys, "write", [])
    with served(tmp_path / "data", writing, keys) as client:
        client.create("c", DIM).upsert([1], ROWS[:1])
        with pytest.raises(ServerError, match="of this name already") as caught:
            client.create("c", DIM)
        assert (caught.value.status, caught.value.kind) == (409, "Conflict")
    with served(tmp_path / "data", reading, keys) as client:
        found = client.collection("c")
        assert found.search(ROWS[0], 1).ids.tolist() == [[1]]
        with pytest.raises(ServerError, match="may read and not write"):
            found.delete([1])
        with pytest.raises(ServerError, match="no collection of this name") as caught:
            client.collection("nowhere")
        assert caught.value.status == 404
    with (
        served(tmp_path / "data", None, keys) as client,
        pytest.raises(ServerError, match="known key"),
    ):
        client.collections()


def test_what_cannot_be_meant_is_refused_here_or_there(tmp_path):
    with served(tmp_path) as client:
        c = client.create("c", DIM)
        with pytest.raises(ShapeError, match="2 ids came with 1 vectors"):
            c.upsert([1, 2], ROWS[:1])
        with pytest.raises(ShapeError, match="4 columns"):
            c.upsert([1], [[1.0, 2.0]])
        with pytest.raises(ParameterError, match="no model"):
            c.upsert([1], texts=["a"])
        with pytest.raises(ParameterError, match="must be given"):
            c.upsert([1])
        with pytest.raises(ParameterError, match="JSON"):
            c.upsert([1], ROWS[:1], [{"a": {1}}])
        with pytest.raises(ParameterError, match="operators are"):
            c.search(ROWS[0], where={"n": {"$near": 3}})
        with pytest.raises(ParameterError, match="k "):
            c.search(ROWS[0], k=0)
        with pytest.raises(ParameterError, match="10,000"):
            c.search(ROWS[0], k=20_000)
        with pytest.raises(ParameterError, match="by must be"):
            c.search(ROWS[0], by="sound")
        with pytest.raises(ParameterError, match="either ids or where"):
            c.delete()
        assert len(c) == 0
    with pytest.raises(ParameterError, match="url"):
        Client("localhost:8400")


def test_fields_and_words_are_asked_together(tmp_path):
    fields = {"dense": 3, "terms": {"kind": "sparse", "dim": 5}}
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((12, 3)).astype(np.float32)
    weights = np.where(rng.random((12, 5)) < 0.6, rng.random((12, 5)), 0).astype(np.float32)
    texts = [f"heist number {i}" if i % 2 else "letters" for i in range(12)]
    with vl.collection(tmp_path / "own", fields=fields) as own, served(tmp_path) as client:
        other = client.create("other", fields=fields)
        for each in (own, other):
            each.upsert(list(range(12)), {"dense": rows, "terms": weights}, PAYLOADS[:12], texts)
        queries = {"dense": rows[4], "terms": weights[7], "$text": "heist"}
        for more in (
            {},
            {"where": {"n": {"$gt": 3}}, "depth": 4},
            {"fusion": "weighted", "weights": {"dense": 0.5, "terms": 0.3, "$text": 0.2}},
            {"payloads": False},
        ):
            a, b = own.together(queries, 6, **more), other.together(queries, 6, **more)
            assert_same_hits(a, b)
            for name in queries:
                np.testing.assert_array_equal(a.leg_ranks[name], b.leg_ranks[name])
                np.testing.assert_array_equal(a.leg_scores[name], b.leg_scores[name])
        with pytest.raises(ParameterError, match="one query is taken for each field"):
            other.together({"terms": weights[:2]})
        with pytest.raises(ParameterError, match="must map fields"):
            other.together([rows[0]])


def test_payloads_arrive_as_they_were_given(tmp_path):
    told = [None, {}, {"deep": {"x": [1, None, "é", 2**60]}, "f": 0.1}]
    with served(tmp_path) as client:
        c = client.create("c", DIM)
        c.upsert([1, 2, 3], ROWS[:3], told)
        assert c.get([1, 2, 3]).payloads == told
        c.set_payloads([1, 2], [{"when": dt.date(2001, 2, 3)}, None])
        assert c.get([1, 2, 3]).payloads == [{"when": "2001-02-03"}, None, told[2]]
        assert c.count({"when": {"$gte": dt.date(2001, 1, 1)}}) == 1
        with pytest.raises(ParameterError, match="cannot be said in JSON"):
            c.count({"n": object()})
        with pytest.raises(ParameterError, match="cannot be said in JSON"):
            c.count({"n": float("nan")})
        with pytest.raises(ParameterError, match="1 of 2 ids"):
            c.set_payloads([1, 99], [None, None])
        with pytest.raises(ShapeError, match=r"pass \[1\]"):
            c.get(1)


def test_long_work_is_begun_and_waited_for(tmp_path):
    with served(tmp_path) as client:
        c = client.create("c", DIM)
        c.upsert(list(range(30)), ROWS)
        assert client.wait(c.optimize()) == {"points": 30, "segments": 1}
        assert client.wait(c.verify())["sound"]
        assert client.wait(c.snapshot("s"), timeout=30) == {"snapshot": "s"}
        assert [each["snapshot"] for each in c.snapshots()] == ["s"]
        with pytest.raises(ServerError, match="of this name already"):
            c.snapshot("s")
        assert client.wait(c.restore("s", "again")) == {"points": 30}
        assert len(client.collection("again")) == 30
        assert [each.kind for each in client.operations()] == [
            "restore", "snapshot", "verify", "optimize",
        ]  # fmt: skip
        one = client.operations()[0]
        assert client.operation(one.id) == one
        assert (one.state, one.collection, one.is_over) == ("done", "again", True)
        with pytest.raises(ServerError, match="is done"):
            client.retry(one.id)
        with pytest.raises(ServerError, match="is done"):
            client.cancel(one.id)
        with pytest.raises(ParameterError, match="imports no files"):
            c.import_("rows.npz")
        c.remove_snapshot("s")
        client.remove("again")
        assert (c.snapshots(), client.collections()) == ([], ["c"])


def test_work_that_fails_says_why():
    told = {"id": "5f", "kind": "import", "collection": "c", "state": "failed"}
    wrong = told | {"error": {"status": 422, "kind": "ParameterError", "message": "no column"}}
    with pytest.raises(ParameterError, match="no column"):
        Operation.from_dict(wrong).outcome()
    with pytest.raises(ServerError, match="retry queues it again"):
        Operation.from_dict(told | {"state": "interrupted"}).outcome()
    running = told | {"state": "running"}
    transport, _ = replies(*[httpx.Response(200, json=running)] * 9)
    with (
        Client(URL, transport=transport) as client,
        pytest.raises(TimeoutError, match=r"cancel\('5f'\)"),
    ):
        client.wait(Operation.from_dict(running), timeout=0.1)


def test_names_lead_to_collections(tmp_path):
    with served(tmp_path) as client:
        client.create("v1", DIM).upsert([1], ROWS[:1])
        client.create("v2", DIM)
        client.switch_alias("live", "v1")
        assert len(client.collection("live")) == 1
        client.switch_alias("live", "v2")
        assert (client.aliases(), len(client.collection("live"))) == ({"live": "v2"}, 0)
        client.remove_alias("live")
        assert client.aliases() == {}
        assert client.models() == []
        with pytest.raises(ServerError, match="no model of this name"):
            client.embed("none", "a text")


def test_a_write_of_one_key_is_done_once(tmp_path):
    with served(tmp_path) as client:
        c = client.create("c", DIM, idempotency_key="make")
        assert client.create("c", DIM, idempotency_key="make").schema == c.schema
        c.upsert([1], ROWS[:1], idempotency_key="k1")
        c.delete([1])
        c.upsert([1], ROWS[:1], idempotency_key="k1")  # answered, and not done
        assert len(c) == 0
        with pytest.raises(ServerError, match="another body"):
            c.upsert([2], ROWS[:1], idempotency_key="k1")
        with pytest.raises(ParameterError, match="printable ASCII"):
            c.upsert([2], ROWS[:1], idempotency_key="k" * 201)


def test_lost_answers_are_asked_for_again_where_nothing_is_done_twice(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    stored, lost = httpx.Response(200, json={"stored": 1}), httpx.ReadError("reset")
    underway = httpx.Response(409, json={"error": {}}, headers={"retry-after": "1"})
    schema = Schema((FieldSchema("vector", DIM, "cosine", "float32"),), ())
    for key, answers, n in (
        ("k", (lost, underway, httpx.ReadTimeout("slow"), stored), 4),
        (None, (lost, stored), 1),
    ):
        transport, asked = replies(*answers)
        with Client(URL, transport=transport) as client:
            c = RemoteCollection(client, "c", schema)
            if key is None:
                with pytest.raises(ConnectionError):
                    c.upsert([1], ROWS[:1])
            else:
                assert c.upsert([1], ROWS[:1], idempotency_key=key) == 1
        assert len(asked) == n
        assert {request.headers.get("idempotency-key") for request in asked} == {key}
    begun = {"id": "5f", "kind": "verify", "collection": "c", "state": "queued"}
    transport, asked = replies(lost, httpx.Response(202, json=begun))
    with Client(URL, transport=transport) as client:
        assert RemoteCollection(client, "c", schema).verify().id == "5f"
    keys = {request.headers["idempotency-key"] for request in asked}
    assert (len(asked), len(keys)) == (2, 1)


def test_the_async_classes_have_every_method_of_the_others():
    for one, other in ((Client, AsyncClient), (RemoteCollection, AsyncRemoteCollection)):
        methods = {name for name in vars(one) if not name.startswith("_")}
        assert methods == {name for name in vars(other) if not name.startswith("_")}
        for name in methods:
            own, later = (inspect.signature(getattr(each, name)) for each in (one, other))
            assert own.parameters == later.parameters, name


def replies(*answers):
    """A transport that gives one answer after the other, and how often it was asked."""
    left = list(answers)
    asked = []

    def handle(request):
        asked.append(request)
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return httpx.MockTransport(handle), asked


def test_a_busy_server_is_asked_again_and_a_write_whose_answer_is_lost_is_not(monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    told = {"error": {"status": 429, "kind": "TooManyRequests", "message": "wait"}}
    busy = httpx.Response(429, json=told, headers={"retry-after": "2"})
    done = httpx.Response(200, json={"collections": ["c"]})
    transport, asked = replies(busy, httpx.ConnectError("refused"), done)
    assert Client(URL, transport=transport).collections() == ["c"]
    assert len(asked) == 3
    assert 2.0 <= slept[0] <= 2.5
    transport, asked = replies(*[busy] * 5)
    with pytest.raises(ServerError, match="wait"):
        Client(URL, transport=transport, retries=1).collections()
    assert len(asked) == 2
    for failure, kind in (
        (httpx.ReadTimeout("slow"), TimeoutError),
        (httpx.ReadError("reset"), ConnectionError),
    ):
        transport, asked = replies(failure, done)
        with pytest.raises(kind, match="localhost"):
            Client(URL, transport=transport).switch_alias("live", "c")
        assert len(asked) == 1
        transport, asked = replies(failure, done)
        assert Client(URL, transport=transport).collections() == ["c"]


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (httpx.Response(200, text="<html>"), FormatError, "not one of a vectorloom server"),
        (httpx.Response(200, json=[1]), FormatError, "not one of a vectorloom server"),
        (httpx.Response(502, text="<html>"), ServerError, "502"),
        (
            httpx.Response(507, json={"error": {"kind": "CapacityError", "message": "no room"}}),
            CapacityError,
            "no room",
        ),
    ],
)
def test_answers_of_something_else_are_told(answer, kind, says):
    transport, _ = replies(answer)
    with pytest.raises(kind, match=says):
        Client(URL, transport=transport).collections()


def test_a_client_is_used_by_several_threads(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    app = make_app(tmp_path, "127.0.0.1", None)
    with Client(URL, transport=Direct(app)) as client, ThreadPoolExecutor(4) as pool:
        c = client.create("c", DIM)
        list(pool.map(lambda i: c.upsert([i], ROWS[i : i + 1]), range(20)))
        assert len(c) == 20
    app.close()
