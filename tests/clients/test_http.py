# SPDX-License-Identifier: Apache-2.0
"""The clients answer as the collection itself does, and tell what the server refuses."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import CapacityError, FormatError, ParameterError, ShapeError

httpx = pytest.importorskip("httpx")

from direct_server import URL, Direct, served  # noqa: E402
from vectorloom.clients import AsyncClient, Client, ServerError  # noqa: E402
from vectorloom.serve import add_key, make_app  # noqa: E402

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


def test_a_busy_server_is_asked_again_and_a_lost_answer_is_not(monkeypatch):
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
            Client(URL, transport=transport).collections()
        assert len(asked) == 1


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
