# SPDX-License-Identifier: Apache-2.0
"""Bodies of vectors: base64, npy, Arrow; what is not one, or is too much, is refused unpacked."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import struct

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings

from asgi_client import Client
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.serve import Limits, make_app
from vectorloom.serve.bodies import unpacked
from vectorloom.serve.calls import ARROW, NPY
from vectorloom.serve.refusals import Refusal

C = "/v1/collections/c"
DIM = 3


@pytest.fixture
def ask(tmp_path):
    app = make_app(tmp_path, "localhost", None, limits=Limits(body_bytes=1 << 20))
    client = Client(app)
    client("PUT", C, {"dim": DIM, "metric": "l2"})
    yield client
    app.close()


def npy(values, **more):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(values), **more)
    return file.getvalue()


def arrow(columns, **options):
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as out:
        out.write_table(table)
    return sink.getvalue().to_pybytes()


def fixed(values):
    flat = pa.array(np.asarray(values, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, np.shape(values)[1])


def store(ask, raw, kind, args=None):
    return ask("POST", C + "/points", raw=raw, kind=kind, args=args)


ROWS = np.float32([[1, 2, 3], [4, 5, 6], [7, 8, 9.5]])


@pytest.mark.parametrize(
    "values",
    [ROWS, np.asfortranarray(ROWS), ROWS.astype(">f4"), ROWS.astype("f8"), ROWS.astype("f2")],
    ids=["float32", "fortran", "big-endian", "float64", "float16"],
)
def test_an_npy_array_is_stored_and_asked(ask, values):
    assert store(ask, npy(values), NPY, {"first_id": 5}) == (200, {"stored": 3})
    found = ask(
        "POST", C + "/search", raw=npy(values[1:2]), kind=NPY, args={"k": 2, "payloads": False}
    )[1]
    assert [hit["id"] for hit in found["queries"][0]] == [6, 5]
    got = ask("POST", C + "/points/get", {"ids": [5, 6, 7], "vectors": True})[1]
    np.testing.assert_array_equal([point["vector"] for point in got["points"]], ROWS)


def test_an_arrow_stream_brings_ids_vectors_payloads_and_texts(ask):
    body = arrow(
        {
            "id": pa.array([3, 1, 2]),
            "vector": fixed(ROWS),
            "payload": pa.array(['{"a": 1}', None, '{"b": [2]}']),
            "text": pa.array(["x", None, "z"]),
            "year": pa.array([1990, 1991, None]),
            "day": pa.array([None, None, 0], pa.date32()),
        }
    )
    assert store(ask, body, ARROW) == (200, {"stored": 3})
    points = ask("POST", C + "/points/scroll", {"vectors": True})[1]["points"]
    assert [(p["id"], p["payload"], p["text"]) for p in points] == [
        (1, {"year": 1991}, None),
        (2, {"b": [2], "day": "1970-01-01"}, "z"),
        (3, {"a": 1, "year": 1990}, "x"),
    ]
    assert points[2]["vector"] == [1, 2, 3]


@pytest.mark.parametrize("make", [pa.list_, pa.large_list], ids=["list", "large list"])
def test_lists_of_one_length_are_vectors(ask, make):
    column = pa.array(ROWS.tolist(), make(pa.float64()))
    assert store(ask, arrow({"id": [1, 2, 3], "vector": column}), ARROW)[0] == 200
    sliced = pa.table({"id": [9, 8, 7], "vector": column}).slice(1, 1)
    assert store(ask, arrow(sliced), ARROW) == (200, {"stored": 1})
    [point] = ask("POST", C + "/points/get", {"ids": [8], "vectors": True})[1]["points"]
    assert point["vector"] == [4, 5, 6]


def test_answers_come_as_arrow_and_npy_when_asked_for(ask):
    body = arrow({"id": [1, 2, 3], "vector": fixed(ROWS), "text": ["a", "b", "c"]})
    store(ask, body, ARROW)
    ask_ = {"raw": arrow({"vector": fixed(ROWS[:2])}), "kind": ARROW, "args": {"k": 5}}
    reply = ask.ask("POST", C + "/search", accept=f"text/html, {ARROW}", **ask_)
    assert (reply.status, reply.kind) == (200, ARROW)
    table = pa.ipc.open_stream(reply.body).read_all()
    assert table.column("query").to_pylist() == [0, 0, 0, 1, 1, 1]
    assert table.column("id").to_pylist() == [1, 2, 3, 2, 1, 3]
    assert table.column("text").to_pylist()[:3] == ["a", "b", "c"]
    assert table.schema.metadata[b"metric"] == b"l2"

    reply = ask.ask("POST", C + "/search", accept=NPY, **ask_)
    hits = np.load(io.BytesIO(reply.body), allow_pickle=False)
    assert hits["id"].tolist() == [[1, 2, 3, -1, -1], [2, 1, 3, -1, -1]]
    assert hits["distance"][0, 0] == 0.0

    reply = ask.ask("POST", C + "/points/scroll", {"vectors": True, "limit": 2}, accept=ARROW)
    page = pa.ipc.open_stream(reply.body).read_all()
    assert json.loads(page.schema.metadata[b"next"]) == 2
    ask("PUT", "/v1/collections/d", {"dim": DIM})
    again = ask("POST", "/v1/collections/d/points", raw=reply.body, kind=ARROW)
    assert again == (200, {"stored": 2})  # what comes out goes in
    reply = ask.ask("POST", C + "/points/get", {"ids": [9]}, accept=ARROW)
    assert pa.ipc.open_stream(reply.body).read_all().num_rows == 0


def test_several_fields_come_by_their_names(ask):
    two = "/v1/collections/two"
    ask("PUT", two, {"fields": {"a": {"dim": 2}, "b": {"dim": 3}}})
    body = arrow({"id": ["x"], "a": fixed([[1, 0]]), "b": fixed([[0, 0, 1]])})
    assert ask("POST", two + "/points", raw=body, kind=ARROW) == (200, {"stored": 1})
    lacking = arrow({"id": ["x"], "a": fixed([[1, 0]])})
    assert ask("POST", two + "/points", raw=lacking, kind=ARROW)[0] == 422
    query = arrow({"b": fixed([[0, 0, 2]])})
    found = ask("POST", two + "/search", raw=query, kind=ARROW, args={"field": "b"})
    assert found[1]["queries"][0][0]["id"] == "x"


def b64(values):
    return {"base64": base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()}


# ---- what is refused ----------------------------------------------------------------------------

HEADER = npy(ROWS)[:128]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"no array", 400),
        (HEADER, 400),  # the numbers are missing
        (npy(ROWS) + b"1", 400),
        (HEADER.replace(b"(3, 3)", b"(9**9,)"), 400),
        (HEADER.replace(b"(3, 3)", b"(-1, 3)"), 400),
        (HEADER.replace(b"'<f4'", b"'|O8'") + b"\x80\x04.", 422),
        (npy(ROWS.astype(complex)), 422),
        (npy(np.array([["a", "b", "c"]])), 422),
        (npy(ROWS[0]), 422),
        (npy(np.ones((2, 4), np.float32)), 422),
        (npy(np.full((1, 3), 1e300)), 422),  # infinite as float32
        (npy(np.full((1, 3), np.nan)), 422),
        (npy(np.ones((10_001, 1), np.int8)), 422),  # more rows than are taken
        (npy(np.ones((6, 50_000), np.int8)), 413),  # 300 kB that unpack to 1.2 MB
        (npy(np.ones((0, 3), np.float32)), 200),
    ],
)
def test_arrays_that_are_none_or_too_much_are_refused(ask, raw, status):
    got, answer = store(ask, raw, NPY, {"first_id": 0})
    assert (got, answer if status == 200 else answer["error"]["status"]) == (
        status,
        {"stored": 0} if status == 200 else status,
    )
    assert ask("POST", C + "/points/count")[1] == {"points": 0}


def repeated():
    """One long text that ten rows of a dictionary mean."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * 10, pa.int32()), pa.array(["x" * 1000]))


@pytest.mark.parametrize(
    ("raw", "status", "message"),
    [
        (b"", 400, "Arrow"),
        (b"ARROW1\0\0", 400, "Arrow"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f", 400, "cut off"),
        (arrow({"id": [1], "vector": fixed(ROWS[:1])})[:-60], 400, "Arrow"),
        (arrow({"id": [1], "vector": fixed(ROWS[:1])}, compression="zstd"), 415, "compressed"),
        (arrow({"id": [1], "vector": fixed(ROWS[:1])}, compression="lz4"), 415, "compressed"),
        (arrow({"id": [1] * 10, "text": repeated()}, compression="zstd"), 415, "compressed"),
        (arrow({"id": list(range(10)), "text": repeated()}), 422, "dictionary"),
        (arrow({"id": pa.nulls(10_001)}), 422, "10,000 at most"),
        (arrow({"id": pa.nulls(1 << 30)}), 422, "10,000 at most"),  # a hundred bytes
        (arrow({"id": [1, 2], "vector": pa.array([[1.0], [1.0, 2.0]])}), 422, "differ in length"),
        (arrow({"id": [1], "vector": pa.array([[1.0, None, 2.0]])}), 422, "nulls in them"),
        (arrow({"id": [1, 2], "vector": pa.array([[1.0, 2, 3], None])}), 422, "null vectors"),
        (arrow({"id": [1], "vector": pa.array([["a"]])}), 422, "lists of string"),
        (arrow({"id": [1.5], "vector": fixed(ROWS[:1])}), 422, "double"),
        (arrow({"id": pa.array([1 << 63], pa.uint64())}), 422, "beyond int64"),
        (arrow({"id": [1], "vector": fixed(ROWS[:1]), "payload": ["[1]"]}), 422, "JSON objects"),
        (arrow({"id": [1], "vector": fixed(ROWS[:1]), "payload": ["{"]}), 400, "JSON"),
        (arrow({"id": [1], "vector": fixed(ROWS[:1]), "s": [{"a": 1}]}), 422, "struct"),
        (arrow({"id": [1], "vector": fixed(ROWS[:1]), "text": [5]}), 422, "text are taken"),
        (arrow({"id": [1], "vector": fixed(np.ones((1, 4)))}), 422, "3 columns"),
        (arrow({"id": [1, 1], "vector": fixed(ROWS[:2])}), 422, "unique"),
        (
            arrow({"id": [1], "vector": fixed(ROWS[:1])} | {f"c{i}": [1] for i in range(250)}),
            422,
            "columns",
        ),
        (arrow({"id": list(range(9)), "vector": fixed(np.ones((9, 40_000)))}), 413, "bytes"),
    ],
)  # fmt: skip
def test_streams_that_are_none_or_too_much_are_refused(ask, raw, status, message):
    got, answer = store(ask, raw, ARROW)
    assert (got, message in answer["error"]["message"]) == (status, True), answer
    assert ask("POST", C + "/points/count")[1] == {"points": 0}


def test_lists_that_share_their_numbers_are_counted_as_many(ask):
    """A list view may mean one stored row a thousand times; plain lists cannot, and are checked."""
    offsets = pa.array([0, 3, 3], pa.int32())
    shared = pa.ListArray.from_arrays(offsets, pa.array([1.0, 2, 3]))
    assert store(ask, arrow({"id": [1, 2], "vector": shared}), ARROW)[0] == 422
    body = bytearray(arrow({"id": [1, 2], "vector": pa.array([[1.0, 2, 3], [4.0, 5, 6]])}))
    at = body.index(struct.pack("<iii", 0, 3, 6))
    body[at : at + 12] = struct.pack("<iii", 0, 6, 3)  # offsets that go back
    assert store(ask, bytes(body), ARROW)[0] == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"ids": [1], "vectors": b64([[1, 2]])}, 422),
        ({"ids": [1], "vectors": {"base64": "no!"}}, 422),
        ({"ids": [1], "vectors": {"base64": 5}}, 422),
        ({"ids": [1], "vectors": b64([[np.inf, 0, 0]])}, 422),
        ({"ids": list(range(10_001)), "vectors": []}, 422),
        ({"ids": [1], "vectors": [[1, 2, 3]] * 10_001}, 422),
        ({"first_id": 1, "vectors": [[1, 2, 3]]}, 422),
        ({"ids": [1], "vectors": b64([[1, 2, 3]])}, 200),
    ],
)
def test_json_vectors_are_held_to_the_same_limits(ask, body, status):
    assert ask("POST", C + "/points", body)[0] == status


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (b"args=%7B%7D&args=%7B%7D", 422),
        (b"k=5", 422),
        (b"args=5", 422),
        (b"args={", 400),
        (b"args=%FF", 400),
        (b"args=" + b"x" * 300_000, 413),
        (b'args={"vectors":[[1]]}', 422),
        (b'args={"were":1}', 422),
        (b'args={"k":0}', 422),
        (b'args={"k":2}', 200),
        (b"", 200),
    ],
)
def test_the_query_string_takes_arguments_alone(ask, query, status):
    got = ask("POST", C + "/search", raw=npy(ROWS[:1]), kind=NPY, query=query)
    assert got[0] == status, got


def test_only_vectors_come_packed(ask):
    for kind in (NPY, ARROW):
        assert ask("POST", C + "/points/count", raw=npy(ROWS), kind=kind)[0] == 415
        assert ask("PUT", "/v1/collections/x", raw=npy(ROWS), kind=kind)[0] == 415
    assert ask("POST", C + "/search", {"vector": [1, 2, 3]}, query=b"k=3")[0] == 422


GOOD = {
    NPY: npy(ROWS),
    ARROW: arrow({"id": [1, 2, 3], "vector": fixed(ROWS), "text": ["a", "b", None]}),
}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from([NPY, ARROW]),
    cuts=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=6)), max_size=4),
    length=st.integers(0, 2000),
)
@example(kind=ARROW, cuts=[(144, b"\x80")], length=2000)  # a column's name that is no UTF-8
def test_no_damaged_body_does_more_than_being_refused(kind, cuts, length):
    body = bytearray(GOOD[kind])
    for at, put in cuts:
        body[at : at + len(put)] = put
    sent = bytes(body[:length]) if length < 1500 else bytes(body)
    with contextlib.suppress(Refusal, ParameterError, ShapeError):
        found = unpacked(kind, sent, b"", 100, 4096)
        assert set(found) <= {"ids", "vectors", "texts", "payloads"}
