# SPDX-License-Identifier: Apache-2.0
"""Idempotency keys: done once, answered again, over a restart, for a time."""

from __future__ import annotations

import json
import subprocess
import threading
import time

import numpy as np
import pytest

import vectorloom as vl
from asgi_client import Client
from vectorloom.serve import add_key, make_app
from vectorloom.serve.calls import Answer
from vectorloom.serve.refusals import Refusal
from vectorloom.serve.replies import Replies, fingerprint_of, scope_of
from vectorloom.serve.state import State

C = "/v1/collections/films"


@pytest.fixture
def ask(tmp_path):
    app = make_app(tmp_path, "localhost", None)
    yield Client(app)
    app.close()


def test_a_write_sent_again_is_answered_again_and_not_done_again(ask):
    first = ask.ask("PUT", C, {"dim": 2}, once="make")
    again = ask.ask("PUT", C, {"dim": 2}, once="make")  # without the key: 409, exists
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert ask("PUT", C, {"dim": 2})[0] == 409

    points = {"ids": [1, 2], "vectors": [[1, 0], [0, 1]]}
    ask("POST", C + "/points", points, once="store")
    gone = ask("POST", C + "/points/delete", {"ids": [1]}, once="gone")
    assert gone == (200, {"removed": 1})
    assert ask("POST", C + "/points", points, once="store") == (200, {"stored": 2})
    assert ask("POST", C + "/points/count")[1] == {"points": 1}  # not stored a second time
    assert ask("POST", C + "/points/delete", {"ids": [1]}, once="gone") == gone


def test_a_key_is_for_one_body_one_path_and_one_owner(tmp_path):
    file = tmp_path / "keys"
    one, two = add_key(file, "write", []), add_key(file, "write", [])
    app = make_app(tmp_path, "localhost", file)
    ask, other = Client(app, one), Client(app, two)
    ask("PUT", C, {"dim": 2})
    assert ask("POST", C + "/points/delete", {"ids": [1]}, once="k")[0] == 200
    status, answer = ask("POST", C + "/points/delete", {"ids": [2]}, once="k")
    assert (status, answer["error"]["kind"]) == (409, "Conflict")
    assert "another body" in answer["error"]["message"]
    points = {"ids": [1], "vectors": [[1, 0]]}
    assert ask("POST", C + "/points", points, once="k") == (200, {"stored": 1})
    assert other("POST", C + "/points/delete", {"ids": [1]}, once="k") == (200, {"removed": 1})
    app.close()


def test_what_was_refused_is_not_kept(ask):
    assert ask("POST", C + "/points/delete", {"ids": [1]}, once="k")[0] == 404
    ask("PUT", C, {"dim": 2})
    assert ask("POST", C + "/points/delete", {"ids": [1]}, once="k") == (200, {"removed": 0})


@pytest.mark.parametrize("key", ["x" * 201, "tab\there", "ümlaut"])
def test_a_key_that_is_none_is_refused(ask, key):
    assert ask("PUT", C, {"dim": 2}, once=key)[0] == 422


def test_long_work_is_begun_once(ask):
    ask("PUT", C, {"dim": 2})
    first = ask("POST", C + "/snapshots", once="s")
    ask.finished(first[1])
    again = ask.ask("POST", C + "/snapshots", once="s")
    assert (again.status, again.json()["id"]) == (202, first[1]["id"])
    assert again.headers["location"].endswith(first[1]["id"])
    assert len(ask("GET", "/v1/operations")[1]["operations"]) == 1


def test_answers_are_kept_over_a_restart(tmp_path):
    app = make_app(tmp_path, "localhost", None)
    first = Client(app).ask("PUT", C, {"dim": 2}, once="make")
    app.close()
    app = make_app(tmp_path, "localhost", None)
    again = Client(app).ask("PUT", C, {"dim": 2}, once="make")
    assert (again.status, again.body) == (201, first.body)
    app.close()


def test_they_hold_for_packed_bodies_too(ask):
    ask("PUT", C, {"dim": 2})
    body = npy(np.eye(2, dtype=np.float32))
    send = {"raw": body, "kind": "application/x-npy", "once": "k"}
    assert ask("POST", C + "/points", args={"first_id": 0}, **send) == (200, {"stored": 2})
    assert ask("POST", C + "/points", args={"first_id": 0}, **send) == (200, {"stored": 2})
    assert ask("POST", C + "/points", args={"first_id": 7}, **send)[0] == 409


def npy(values):
    from vectorloom.serve.answers import npy

    return npy(values).body


def test_a_request_that_is_still_worked_on_is_not_done_beside_itself(tmp_path):
    state = State(tmp_path)
    replies = Replies(state)
    with (
        replies.claimed("scope"),
        pytest.raises(Refusal, match="still being worked on"),
        replies.claimed("scope"),
    ):
        pass
    with replies.claimed("scope"):
        pass
    state.close()


def test_one_of_many_at_once_does_the_work(ask):
    ask("PUT", C, {"dim": 2})
    ask("POST", C + "/points", {"ids": [1], "vectors": [[1, 0]]})
    results = []

    def send():
        results.append(ask("POST", C + "/points/delete", {"ids": [1]}, once="k"))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in results} <= {200, 409}
    assert all(answer == {"removed": 1} for status, answer in results if status == 200)
    assert any(status == 200 for status, _ in results)


def test_answers_are_forgotten_in_time_and_beyond_a_number(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("vectorloom.serve.replies.time.time", lambda: clock[0])
    monkeypatch.setattr("vectorloom.serve.replies.MOST_KEPT", 3)
    state = State(tmp_path)
    replies = Replies(state, seconds=10.0)
    for i in range(5):
        clock[0] += 1
        replies.keep(f"s{i}", "f", Answer(200, b"{}"))
    assert [replies.find(f"s{i}", "f") is not None for i in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]
    clock[0] += 8.5
    assert [replies.find(f"s{i}", "f") is not None for i in range(5)][2:] == [False, True, True]
    clock[0] += 100
    replies.keep("new", "f", Answer(200, b"{}"))
    with state.transaction() as db:
        assert db.execute("SELECT count(*) FROM replies").fetchone() == (1,)
    state.close()


def test_a_clock_that_jumps_back_forgets_nothing(tmp_path, monkeypatch):
    now = time.time()
    state = State(tmp_path)
    kept = Replies(state)
    kept.keep("a", "mark", Answer(200, b"{}"))
    monkeypatch.setattr(time, "time", lambda: now - 1e6)
    assert kept.find("a", "mark").body == b"{}"
    kept.keep("b", "mark", Answer(200, b"[]"))
    assert kept.find("a", "mark").body == b"{}"
    monkeypatch.setattr(time, "time", lambda: now + 1e6)
    assert kept.find("a", "mark") is None
    state.close()


def test_bodies_and_scopes_differ_where_anything_differs():
    marks = {
        fingerprint_of("a", b"b", b"c"), fingerprint_of("a", b"bc", b""),
        fingerprint_of("ab", b"", b"c"), fingerprint_of("a", b"", b"bc"),
    }  # fmt: skip
    assert len(marks) == 4
    assert scope_of("o", "PUT", "/a", "k") != scope_of("o", "POST", "/a", "k")


def test_a_full_disk_is_told_and_nothing_is_begun(ask, monkeypatch):
    ask("PUT", C, {"dim": 2})

    def full(*args):
        raise vl.CapacityError("the disk is full")

    monkeypatch.setattr(ask.app.service.replies, "keep", full)
    status, answer = ask("POST", C + "/snapshots", once="k")
    assert (status, answer["error"]["status"]) == (507, 507)
    assert ask("GET", "/v1/operations")[1] == {"operations": []}
    assert json.dumps(answer).count("disk") == 0


def test_a_disk_that_fills_up_is_507_and_serves_on(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small file system here")
    app = make_app(disk, "localhost", None)
    try:
        ask = Client(app)
        ask("PUT", C, {"dim": 16})
        rows = np.random.default_rng(0).standard_normal((500, 16)).tolist()
        seen = []
        for i in range(200):
            ids = list(range(500 * i, 500 * i + 500))
            reply = ask.ask("POST", C + "/points", {"ids": ids, "vectors": rows}, once=f"{i}")
            seen.append(reply.status)
            if reply.status != 200:
                break
        assert set(seen[:-1]) == {200}
        assert (seen[-1], reply.json()["error"]["kind"]) == (507, "CapacityError")
        status, answer = ask("POST", C + "/points/count")
        # The last one is there if its answer alone found no room.
        assert (status, answer["points"] // 500) in ((200, len(seen) - 1), (200, len(seen)))
        assert ask("POST", C + "/search", {"vector": rows[0], "k": 1})[0] == 200
        for path in ("/snapshots", "/optimize"):
            status, answer = ask("POST", C + path, once=path)
            assert status in (202, 507), answer
        assert ask("GET", "/readyz")[0] == 200
        assert ask("GET", "/v1/operations")[0] == 200
    finally:
        app.close()
        subprocess.run(["umount", "-l", str(disk)], check=False, capture_output=True)
