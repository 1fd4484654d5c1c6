# SPDX-License-Identifier: Apache-2.0
"""Sparse vectors and several vectors a point over HTTP, alone and together."""

from __future__ import annotations

import pyarrow as pa
import pytest

from asgi_client import Client
from vectorloom.serve import make_app
from vectorloom.serve.calls import ARROW

C = "/v1/collections/c"
FIELDS = {
    "meaning": {"dim": 2},
    "terms": {"kind": "sparse", "dim": 100},
    "tokens": {"kind": "multi", "dim": 2},
}
POINTS = {
    "ids": [1, 2],
    "vectors": {
        "meaning": [[1, 0], [0, 1]],
        "terms": [{"indices": [3, 7], "values": [1, 2]}, {"indices": [9], "values": [1.5]}],
        "tokens": [[[1, 0], [0.5, 0.5]], [[0, 1]]],
    },
    "texts": ["red fox", "blue whale"],
}


@pytest.fixture
def ask(tmp_path):
    app = make_app(tmp_path, "localhost", None, recall_share=1.0)
    client = Client(app)
    assert client("PUT", C, {"fields": FIELDS})[0] == 201
    assert client("POST", C + "/points", POINTS) == (200, {"stored": 2})
    yield client
    app.close()


def test_each_field_is_asked_in_its_own_form(ask):
    for field, query, first in (
        ("meaning", [0.1, 1], 2),
        ("terms", {"indices": [7], "values": [1]}, 1),
        ("tokens", [[0, 1], [0, 2]], 2),
    ):
        found = ask("POST", C + "/search", {"field": field, "vector": query, "k": 1})
        assert (found[0], found[1]["hits"][0]["id"]) == (200, first), field
        many = ask("POST", C + "/search", {"field": field, "vectors": [query, query], "k": 1})
        assert [hits[0]["id"] for hits in many[1]["queries"]] == [first, first]


def test_points_come_back_as_they_went_in_and_by_arrow_into_another(ask):
    [point] = ask("POST", C + "/points/get", {"ids": [1], "vectors": True})[1]["points"]
    assert point["vectors"]["terms"] == {"indices": [3, 7], "values": [1, 2]}
    assert point["vectors"]["tokens"] == [[1, 0], [0.5, 0.5]]
    reply = ask.ask("POST", C + "/points/scroll", {"vectors": True}, accept=ARROW)
    other = "/v1/collections/other"
    ask("PUT", other, {"fields": FIELDS})
    assert ask("POST", other + "/points", raw=reply.body, kind=ARROW) == (200, {"stored": 2})
    for path in (C, other):
        found = ask("POST", path + "/points/get", {"ids": [1, 2], "vectors": True})[1]["points"]
        assert [p["vectors"]["tokens"] for p in found] == POINTS["vectors"]["tokens"]
        assert [p["vectors"]["terms"] for p in found] == POINTS["vectors"]["terms"]


def test_several_fields_and_the_words_make_one_ranking(ask):
    queries = {"meaning": [1, 0.1], "terms": {"indices": [9], "values": [1]}, "$text": "whale"}
    status, found = ask("POST", C + "/together", {"queries": queries, "k": 2})
    assert (status, found["metric"]) == (200, "rrf")
    assert [hit["id"] for hit in found["hits"]] == [2, 1]  # 1/62 + 2/61 before 1/61
    best = found["hits"][0]
    assert {name: leg["rank"] for name, leg in best["legs"].items()} == {
        "meaning": 2,
        "terms": 1,
        "$text": 1,
    }
    assert best["legs"]["terms"]["score"] == 1.5
    assert best["score"] == pytest.approx(1 / 62 + 2 / 61)
    body = {
        "queries": queries,
        "fusion": "weighted",
        "weights": {"meaning": 9, "terms": 1, "$text": 0},
    }
    assert ask("POST", C + "/together", body)[1]["hits"][0]["id"] == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search", {"field": "terms", "vector": [1, 2]}),
        ("/search", {"field": "terms", "vector": {"indices": [200], "values": [1]}}),
        ("/search", {"field": "terms", "vector": {"indices": [1]}}),
        ("/search", {"field": "terms", "vectors": {"base64": "AAAA"}}),
        ("/search", {"field": "tokens", "vector": [1, 2]}),
        ("/search", {"field": "tokens", "vector": [[1, 2, 3]]}),
        ("/search", {"field": "tokens", "vector": []}),
        ("/search", {"field": "meaning", "vector": {"indices": [1], "values": [1]}}),
        ("/together", {"queries": {}}),
        ("/together", {"queries": []}),
        ("/together", {"queries": {"none": [1, 2]}}),
        ("/together", {"queries": {"$text": [1]}}),
        ("/together", {"queries": {"meaning": "text"}}),
        ("/together", {"queries": {"meaning": [1, 2]}, "fusion": "best"}),
        ("/together", {"queries": {"meaning": [1, 2]}, "weights": {"meaning": "x"}}),
        ("/together", {"queries": {"meaning": [1, 2]}, "weights": {"other": 1}}),
        ("/together", {"queries": {"meaning": [1, 2]}, "constant": -5}),
        ("/points", {"ids": [3], "vectors": {"meaning": [[1, 2]]}}),
        ("/points", POINTS | {"vectors": POINTS["vectors"] | {"terms": [[1, 2]]}}),
        ("/points", POINTS | {"vectors": POINTS["vectors"] | {"tokens": [[1, 2], [3, 4]]}}),
    ],
)
def test_forms_of_other_fields_are_refused(ask, path, body):
    status, answer = ask("POST", C + path, body)
    assert (status, bool(answer.get("error"))) == (422, True), answer


def column(values, kind):
    return pa.array(values, kind)


PAIRS = pa.list_(pa.struct([("term", pa.int32()), ("weight", pa.float32())]))


@pytest.mark.parametrize(
    "columns",
    [
        {"terms": column([[{"term": 500, "weight": 1.0}]], PAIRS)},
        {"terms": column([[{"term": None, "weight": 1.0}]], PAIRS)},
        {"terms": column([None], PAIRS)},
        {"terms": column([[{"a": 1}]], pa.list_(pa.struct([("a", pa.int32())])))},
        {"tokens": column([[[1.0, 2.0], None]], pa.list_(pa.list_(pa.float32())))},
        {"tokens": column([[[1.0, 2.0], [1.0]]], pa.list_(pa.list_(pa.float32())))},
        {"tokens": column([[["a"]]], pa.list_(pa.list_(pa.string())))},
    ],
)
def test_damaged_columns_of_them_are_refused(ask, columns):
    good = {
        "id": pa.array([9]),
        "meaning": pa.array([[1.0, 2.0]]),
        "terms": column([[{"term": 5, "weight": 1.0}]], PAIRS),
        "tokens": column([[[1.0, 2.0]]], pa.list_(pa.list_(pa.float32()))),
    }

    def sent(table):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return ask("POST", C + "/points", raw=sink.getvalue().to_pybytes(), kind=ARROW)

    assert sent(pa.table(good | columns))[0] == 422
    assert sent(pa.table(good)) == (200, {"stored": 1})
