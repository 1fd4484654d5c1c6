# SPDX-License-Identifier: Apache-2.0
"""Collections as wholes: aliases, removal, payloads, models that do not fit."""

from __future__ import annotations

import pytest

import vectorloom as vl
from asgi_client import Client
from vectorloom.serve import add_key, make_app

V1, V2 = "/v1/collections/v1", "/v1/collections/v2"


@pytest.fixture
def ask(tmp_path):
    app = make_app(tmp_path, "localhost", None)
    client = Client(app)
    for name, n in (("v1", 1), ("v2", 2)):
        client("PUT", f"/v1/collections/{name}", {"dim": 2})
        points = {"ids": list(range(n)), "vectors": [[1, i] for i in range(n)]}
        client("POST", f"/v1/collections/{name}/points", points)
    yield client
    app.close()


def test_an_alias_leads_to_a_collection_and_is_switched_while_both_are_open(ask):
    live = "/v1/collections/live/points/count"
    assert ask("POST", live)[0] == 404
    assert ask("PUT", "/v1/aliases/live", {"collection": "v1"})[0] == 200
    assert ask("POST", live)[1] == {"points": 1}
    assert ask("PUT", "/v1/aliases/live", {"collection": "v2"})[0] == 200
    assert ask("POST", live)[1] == {"points": 2}
    body = {"ids": [7], "vectors": [[1, 1]]}
    assert ask("POST", "/v1/collections/live/points", body)[0] == 200  # one writer, two names
    assert ask("POST", V2 + "/points/count")[1] == {"points": 3}
    assert ask("GET", "/v1/aliases")[1] == {"aliases": {"live": "v2"}}
    assert ask("GET", "/v1/collections")[1] == {"collections": ["v1", "v2"]}
    assert ask("DELETE", "/v1/aliases/live")[0] == 200
    assert ask("DELETE", "/v1/aliases/live")[0] == 404
    assert ask("POST", live)[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/v1/aliases/live", {"collection": "nothing"}, 404),
        ("PUT", "/v1/aliases/live", {"collection": "../v1"}, 422),
        ("PUT", "/v1/aliases/live", {}, 422),
        ("PUT", "/v1/aliases/v2", {"collection": "v1"}, 409),
        ("PUT", "/v1/aliases/..", {"collection": "v1"}, 422),
        ("DELETE", "/v1/aliases/v1", None, 404),
        ("DELETE", "/v1/collections/nothing", None, 404),
        ("DELETE", "/v1/collections/..", None, 404),
        ("DELETE", "/v1/collections/.server", None, 404),
    ],
)
def test_what_an_alias_cannot_be_is_refused(ask, method, path, body, status):
    assert ask(method, path, body)[0] == status


def test_a_key_reaches_nothing_through_an_alias_that_it_may_not_reach(ask, tmp_path):
    ask.app.close()
    mine = add_key(tmp_path / "keys", "write", ["live"])
    app = make_app(tmp_path, "localhost", tmp_path / "keys")
    client = Client(app, mine)
    assert client("PUT", "/v1/aliases/live", {"collection": "v1"})[0] == 403
    assert client("PUT", "/v1/aliases/other", {"collection": "live"})[0] == 403
    app.close()


def test_a_collection_is_removed_whole_and_can_be_made_again(ask, tmp_path):
    ask("PUT", "/v1/aliases/live", {"collection": "v1"})
    status, answer = ask("DELETE", V1)
    assert (status, "live" in answer["error"]["message"]) == (422, True)
    assert ask("DELETE", "/v1/collections/live")[0] == 422
    ask("DELETE", "/v1/aliases/live")
    assert ask("DELETE", V1) == (200, {"removed": "v1"})
    assert ask("GET", V1)[0] == 404
    assert sorted(p.name for p in tmp_path.iterdir()) == [".server", "v2"]
    assert ask("PUT", V1, {"dim": 3})[0] == 201


def test_what_a_killed_removal_left_is_removed_at_the_next_start(ask, tmp_path):
    ask.app.close()
    (tmp_path / "v1").rename(tmp_path / ".v1.0123abcd.gone")
    make_app(tmp_path, "localhost", None).close()
    assert not (tmp_path / ".v1.0123abcd.gone").exists()


def test_payloads_are_replaced_and_vectors_stay(ask):
    assert ask("POST", V2 + "/points/payloads", {"ids": [1], "payloads": [{"a": 1}]})[0] == 200
    [point] = ask("POST", V2 + "/points/get", {"ids": [1], "vectors": True})[1]["points"]
    assert (point["payload"], point["vector"]) == ({"a": 1}, [1, 1])
    for body in (
        {"ids": [9], "payloads": [{}]},
        {"ids": [1], "payloads": []},
        {"ids": [1], "payloads": {}},
        {"ids": [1]},
    ):
        assert ask("POST", V2 + "/points/payloads", body)[0] == 422


def test_a_model_that_does_not_fit_makes_no_collection(tmp_path):
    class Two:
        def encode(self, texts):
            return [[len(text), 1.0] for text in texts]

    app = make_app(tmp_path, "localhost", None, models={"two": Two()})
    ask = Client(app)
    new = "/v1/collections/new"
    assert ask("PUT", new, {"dim": 3, "encoder": "two"})[0] == 422
    assert ask("PUT", new, {"dim": 2, "encoder": "three"})[0] == 404
    assert ask("PUT", new, {"dim": 2, "encoder": 5})[0] == 422
    assert ask("GET", new)[0] == 404
    status, made = ask("PUT", new, {"encoder": "two"})  # the model knows its dimensions
    assert (status, made["fields"][0]["dim"]) == (201, 2)
    assert "canaries" not in made["fields"][0]["encoder"]
    fields = {"a": {"dim": 2}, "b": {"dim": 5}}
    status, made = ask("PUT", "/v1/collections/b", {"fields": fields, "encoder": {"a": "two"}})
    assert (status, made["fields"][0]["encoder"]["name"]) == (201, "two")
    app.close()
    with vl.collection(tmp_path / "new", read_only=True) as c:
        assert c.schema.fields[0].encoder.name == "two"


def test_heads_are_asked_of_health(ask):
    assert ask("HEAD", "/livez")[0] == 200
    ask.app.drain()
    assert ask("GET", "/readyz")[0] == 503
    assert ask("GET", "/livez")[0] == 200
