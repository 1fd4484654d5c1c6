# SPDX-License-Identifier: Apache-2.0
"""The HTTP application, called as a server would call it: answers, refusals, nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from asgi_client import Client
from vectorloom.errors import FormatError, ParameterError
from vectorloom.serve import App, Limits, add_key, make_app
from vectorloom.serve.keys import read_keys
from vectorloom.serve.routes import ROUTES

DIM = 4


@pytest.fixture
def ask(tmp_path):
    app = make_app(tmp_path, "127.0.0.1", None)
    yield Client(app)
    app.close()


@pytest.fixture
def filled(ask):
    assert ask("PUT", "/v1/collections/films", {"dim": DIM, "index": ["year"]})[0] == 201
    points = {
        "ids": ["a", "b", "c"],
        "vectors": [[1, 0, 0, 0], [0.9, 0.1, 0, 0], [0, 0, 1, 0]],
        "payloads": [{"year": 1990}, {"year": 2000}, None],
        "texts": ["one", None, "three"],
    }
    assert ask("POST", "/v1/collections/films/points", points) == (200, {"stored": 3})
    return ask


def test_points_go_in_and_answers_come_out(filled):
    body = {"vector": [1, 0, 0, 0], "k": 2, "where": {"year": {"$gte": 1995}}, "explain": True}
    status, found = filled("POST", "/v1/collections/films/search", body)
    assert status == 200
    assert [(hit["id"], hit["payload"]) for hit in found["hits"]] == [("b", {"year": 2000})]
    assert "index on year" in found["plan"]
    rows = np.eye(4, dtype="<f4")[:2]
    packed = {"base64": base64.b64encode(rows.tobytes()).decode()}
    _, found = filled("POST", "/v1/collections/films/search", {"vectors": packed, "k": 1})
    assert [hits[0]["id"] for hits in found["queries"]] == ["a", "b"]
    _, got = filled(
        "POST", "/v1/collections/films/points/get", {"ids": ["c", "x"], "vectors": True}
    )
    assert got["points"] == [{"id": "c", "payload": None, "text": "three", "vector": [0, 0, 1, 0]}]
    assert filled("POST", "/v1/collections/films/points/count", {})[1] == {"points": 3}
    _, page = filled("POST", "/v1/collections/films/points/scroll", {"limit": 2})
    assert ([p["id"] for p in page["points"]], page["next"]) == (["a", "b"], "b")
    _, page = filled("POST", "/v1/collections/films/points/scroll", {"limit": 2, "after": "b"})
    assert ([p["id"] for p in page["points"]], page["next"]) == (["c"], None)
    gone = filled("POST", "/v1/collections/films/points/delete", {"where": {"year": 1990}})
    assert gone == (200, {"removed": 1})
    assert filled("GET", "/v1/collections") == (200, {"collections": ["films"]})
    status, about = filled("GET", "/v1/collections/films")
    assert (status, about["points"], about["name"]) == (200, 2, "films")
    assert "path" not in about


def test_an_answer_is_durable_before_it_is_given(tmp_path):
    import vectorloom as vl

    app = make_app(tmp_path, "localhost", None)
    ask = Client(app)
    ask("PUT", "/v1/collections/c", {"dim": 2})
    ask("POST", "/v1/collections/c/points", {"ids": [1], "vectors": [[1, 2]]})
    with vl.collection(tmp_path / "c", read_only=True) as beside:
        assert len(beside) == 1
    app.close()


C = "/v1/collections/films"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/v2", None, 404, "nothing at this path"),
        ("PATCH", C, None, 405, "is not for this path"),
        ("GET", "/v1/collections/nothing", None, 404, "no collection"),
        ("GET", "/v1/collections/..", None, 404, "no collection"),
        ("GET", "/v1/collections/.hidden", None, 404, "no collection"),
        ("POST", "/v1/collections/films/search", {"vector": [[1, 0]]}, 422, "a vector is a list"),
        ("POST", "/v1/collections/films/search", {"vector": "abc"}, 422, "vector"),
        ("POST", "/v1/collections/films/search", {"vectors": ["abc"]}, 422, "goes into text"),
        ("PUT", "/v1/collections/a b", {"dim": 2}, 422, "cannot be a name"),
        ("PUT", "/v1/collections/..", {"dim": 2}, 422, "cannot be a name"),
        ("PUT", C, {"dim": 2}, 409, "already"),
        ("PUT", "/v1/collections/new", {"dim": 2, "shards": 3}, 422, "unknown fields shards"),
        ("PUT", "/v1/collections/new", {"dim": 0}, 422, "dim"),
        ("PUT", "/v1/collections/new", {}, 422, "dim"),
        ("POST", C + "/search", {"vector": [1, 2], "k": 1}, 422, "4 columns"),
        ("POST", C + "/search", {"vector": [1, 2, 3, 4], "k": 0}, 422, "k must be"),
        ("POST", C + "/search", {"vector": [1, 2, 3, 4], "k": 10**6}, 422, "k must be"),
        ("POST", C + "/search", {"vectors": [[1, 2, 3, 4]] * 50, "k": 9000}, 422, "at most"),
        ("POST", C + "/search", {"k": 1}, 422, "one of vector, vectors"),
        ("POST", C + "/search", {"vector": [1, 2, 3, 4], "were": {}}, 422, "unknown fields were"),
        (
            "POST",
            C + "/search",
            {"vector": [1, 2, 3, 4], "where": {"a": {"$x": 1}}},
            422,
            "operator",
        ),
        ("POST", C + "/points", {"ids": [1], "vectors": [[1, 2, 3, 4]]}, 422, "str ids"),
        ("POST", C + "/points", {"ids": ["z"]}, 422, "give vectors"),
        ("POST", C + "/points", [], 422, "JSON object"),
        ("POST", C + "/points/delete", {"where": {}}, 422, "remove all points"),
        ("POST", C + "/points/delete", {}, 422, "either ids or where"),
        ("POST", C + "/points/scroll", {"after": 2**70}, 422, "int64"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_status_and_words(
    filled, method, path, body, status, message
):
    got, answer = filled(method, path, body)
    assert (got, answer["error"]["status"]) == (status, status)
    assert message in answer["error"]["message"]


def test_bodies_are_json_of_bounded_size(tmp_path):
    app = make_app(tmp_path, "::1", None, limits=Limits(body_bytes=1000, held_bytes=1500))
    ask = Client(app)
    target = "/v1/collections/a"
    assert ask("PUT", target, raw=b"{" * 900)[0] == 400
    assert ask("PUT", target, raw=b'{"dim": NaN}')[0] == 400
    assert ask("PUT", target, {"dim": 2}, kind="text/plain")[0] == 415
    assert ask("PUT", target, raw=b" " * 1001)[0] == 413
    assert ask("PUT", target, raw=b" " * 5000, chunks=50)[0] == 413
    assert ask("PUT", target, raw=b'{"a":' * 150 + b"1" + b"}" * 150)[0] == 422
    assert ask("PUT", target, {"dim": 2})[0] == 201
    assert app._held == 0
    app.close()


def test_a_slow_body_is_given_up(tmp_path):
    app = make_app(tmp_path, "localhost", None, limits=Limits(body_seconds=0.05))

    async def slow():
        await asyncio.sleep(10)

    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "PUT", "path": "/v1/collections/a", "headers": headers}
    asyncio.run(app(scope, slow, send))
    assert sent[0]["status"] == 408
    app.close()


# ---- who is let in -------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org", ""])
def test_beyond_loopback_nothing_starts_without_keys(tmp_path, host):
    with pytest.raises(ParameterError, match="API keys"):
        make_app(tmp_path, host, None)
    add_key(tmp_path / "keys", "read", [])
    make_app(tmp_path, host, tmp_path / "keys").close()


def test_without_keys_a_page_under_another_name_is_refused(filled):
    outside = Client(filled.app, host="evil.example:8400")
    for path in ("/v1/collections", "/metrics", "/openapi.json"):
        status, answer = outside("GET", path)
        assert status == 403
        assert "only to localhost" in answer["error"]["message"]


def test_without_keys_a_page_of_another_origin_begins_nothing(filled):
    begin = {"method": "POST", "path": C + "/optimize", "kind": None}
    for origin in ("https://evil.example", "null", "http://localhost:3000", "http://localhost"):
        assert filled(**begin, origin=origin)[0] == 403, origin
    assert filled("GET", "/v1/operations")[1] == {"operations": []}
    assert filled(**begin, origin="http://localhost:8400")[0] == 202
    assert filled(**begin)[0] == 202
    assert filled(**begin | {"kind": "text/plain"})[0] == 415


def test_keys_open_what_they_are_for(tmp_path):
    file = tmp_path / "keys"
    home = tmp_path / "home"
    home.mkdir()
    writer = add_key(file, "write", [])
    reader = add_key(file, "read", ["one"])
    text = file.read_text()
    assert writer not in text
    assert file.stat().st_mode & 0o777 == 0o600
    app = make_app(home, "0.0.0.0", file)
    write, read = Client(app, writer), Client(app, reader)
    for name in ("one", "two"):
        assert write("PUT", f"/v1/collections/{name}", {"dim": 2})[0] == 201
    assert read("GET", "/v1/collections") == (200, {"collections": ["one"]})
    assert read("GET", "/v1/collections/one")[0] == 200
    assert read("GET", "/v1/collections/two")[0] == 403
    points = {"ids": [1], "vectors": [[1, 2]]}
    assert read("POST", "/v1/collections/one/points", points)[0] == 403
    assert read("POST", "/v1/collections/one/points/count", {})[0] == 200
    for stranger in (Client(app), Client(app, "vl_wrong"), Client(app, writer[:-1])):
        assert stranger("GET", "/v1/collections")[0] == 401
        assert stranger("GET", "/metrics")[0] == 401
        assert stranger("GET", "/livez")[0] == 200
    app.close()


@pytest.mark.parametrize("text", ["", "abc read *", "0" * 64 + " admin *", "0" * 64 + " read ../x"])
def test_a_key_file_with_a_line_that_is_none_is_refused(tmp_path, text):
    file = tmp_path / "keys"
    file.write_text(text + "\n")
    with pytest.raises(FormatError):
        read_keys(file)


def test_a_read_only_server_writes_nothing(tmp_path):
    app = make_app(tmp_path, "localhost", None, read_only=True)
    assert Client(app)("PUT", "/v1/collections/a", {"dim": 2})[0] == 403
    assert list(tmp_path.iterdir()) == []
    app.close()


# ---- how it holds up -----------------------------------------------------------------------------


def test_requests_are_counted_and_described(filled):
    filled("POST", C + "/points/count", {})
    filled("GET", "/v1/nothing")
    status, text = filled("GET", "/metrics")
    assert status == 200
    line = (
        'vectorloom_requests_total{route="POST /v1/collections/{name}/points/count",status="200"}'
    )
    assert line in text
    assert 'vectorloom_points{collection="films"} 3\n' in text
    assert "process_cpu_seconds " in text
    for told in text.splitlines():
        assert re.fullmatch(r"#.*|[a-z_]+(\{[^}]*\})? -?[\d.e+-]+", told.replace("{name}", "")), (
            told
        )
    _, described = filled("GET", "/openapi.json")
    assert sum(len(methods) for methods in described["paths"].values()) == len(ROUTES)
    names = [
        each["operationId"] for methods in described["paths"].values() for each in methods.values()
    ]
    assert len(set(names)) == len(names)


def test_a_mistake_of_ours_is_500_and_keeps_its_details(filled, caplog):
    caplog.set_level(logging.CRITICAL, "vectorloom.serve")
    for file in (filled.app.service.home.folder / "films").glob("collection.db*"):
        file.unlink()
    filled.app.service.home.get("films")._engine._idle.clear()
    status, answer = filled("POST", C + "/points/count", {"where": {"a": 1}})
    assert status in (404, 500)
    assert str(filled.app.service.home.folder) not in json.dumps(answer)


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
    ),
    lambda more: st.one_of(
        st.lists(more, max_size=4), st.dictionaries(st.text(max_size=4), more, max_size=3)
    ),
    max_leaves=6,
)
names = st.sampled_from(
    "ids vectors vector payloads texts k where field recall exact explain after limit dim metric "
    "dtype fields index base64".split()
)
vector = st.lists(st.integers(-2, 2), min_size=DIM, max_size=DIM)
bodies = st.one_of(
    values,
    st.dictionaries(names, values, max_size=4),
    st.fixed_dictionaries(
        {"vector": st.one_of(vector, values)},
        optional={name: values for name in ("k", "where", "field", "recall", "exact", "explain")},
    ),
    st.fixed_dictionaries(
        {"ids": st.one_of(st.lists(st.text(max_size=3), max_size=2), values), "vectors": values},
        optional={"payloads": values, "texts": values},
    ),
)


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=bodies, route=st.sampled_from([r for r in ROUTES if r.method in ("POST", "PUT")]))
def test_no_body_makes_the_server_fail(filled, body, route):
    name = "other" if route.method == "PUT" else "films"
    path = route.path.replace("{name}", name).replace("{alias}", "now").replace("{id}", "0")
    status, answer = filled(route.method, path, body)
    assert status < 500, answer
    if status >= 300:
        assert answer["error"]["message"]


def test_the_application_opens_and_closes_with_its_server(tmp_path):
    app = make_app(tmp_path, "localhost", None)
    assert isinstance(app, App)
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message["type"])

    asyncio.run(app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
