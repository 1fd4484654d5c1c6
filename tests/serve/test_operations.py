# SPDX-License-Identifier: Apache-2.0
"""Long work: written down before it is answered, done once, kept over a restart."""

from __future__ import annotations

import io
import sqlite3
import tarfile
import threading
import time

import numpy as np
import pytest

import vectorloom as vl
from asgi_client import Client
from vectorloom.progress import progress
from vectorloom.serve import Limits, add_key, make_app
from vectorloom.serve.operations import Operations
from vectorloom.serve.refusals import Refusal
from vectorloom.serve.state import State
from vectorloom.store import LockedError

C = "/v1/collections/films"


@pytest.fixture
def ask(tmp_path):
    app = make_app(tmp_path / "home", "127.0.0.1", None, import_folder=tmp_path / "in")
    client = Client(app)
    client("PUT", C, {"dim": 2, "index": ["year"]})
    client("POST", C + "/points", {"ids": [1, 2, 3], "vectors": [[1, 0], [0.3, 0.7], [1, 1]]})
    yield client
    app.close()


@pytest.fixture(autouse=True)
def folders(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "in").mkdir()


def test_a_snapshot_is_taken_listed_loaded_restored_and_removed(ask, tmp_path):
    reply = ask.ask("POST", C + "/snapshots", {"snapshot": "first"})
    assert (reply.status, reply.json()["kind"]) == (202, "snapshot")
    assert reply.headers["location"] == f"/v1/operations/{reply.json()['id']}"
    done = ask.finished(reply.json())
    assert (done["state"], done["result"], done["attempts"]) == (
        "done",
        {"snapshot": "first"},
        1,
    )
    assert done["created"] <= done["started"] <= done["ended"]
    ask("POST", C + "/points/delete", {"ids": [1, 2]})
    [listed] = ask("GET", C + "/snapshots")[1]["snapshots"]
    assert listed["snapshot"] == "first"
    back = ask("POST", "/v1/collections/again/restore", {"from": "films", "snapshot": "first"})
    assert ask.finished(back[1])["result"] == {"points": 3}
    assert ask("POST", "/v1/collections/again/points/count")[1] == {"points": 3}
    assert ask("POST", C + "/points/count")[1] == {"points": 1}

    loaded = ask.ask("GET", C + "/snapshots/first")
    assert loaded.kind == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(loaded.body)) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    with vl.collection(tmp_path / "out" / "snapshot", read_only=True) as copy:
        assert len(copy) == 3
    assert ask("DELETE", C + "/snapshots/first")[0] == 200
    assert ask("DELETE", C + "/snapshots/first")[0] == 404
    assert ask("GET", C + "/snapshots")[1] == {"snapshots": []}


def test_optimize_and_verify_run_as_operations(ask):
    done = ask.finished(ask("POST", C + "/optimize")[1])
    assert (done["state"], done["result"]) == ("done", {"points": 3, "segments": 1})
    done = ask.finished(ask("POST", C + "/verify", {})[1])
    assert (done["state"], done["result"]["sound"], done["result"]["points"]) == ("done", True, 3)


def test_verify_names_the_damage_and_no_path_of_the_machine(ask, tmp_path):
    ask.finished(ask("POST", C + "/optimize")[1])
    [segment] = (tmp_path / "home" / "films" / "segments").iterdir()
    at = segment.read_bytes().index(np.float32([0.3, 0.7]).tobytes())
    with segment.open("r+b") as file:  # in place: it is mapped
        file.seek(at)
        file.write(b"\1")
    done = ask.finished(ask("POST", C + "/verify")[1])
    assert done["state"] == "done"
    [problem] = done["result"]["problems"]
    assert (problem["kind"], problem["ids"], problem["n_ids"]) == ("block", [1, 2, 3], 3)
    assert str(tmp_path) not in str(done)


def test_files_of_the_import_folder_are_imported_and_no_others(ask, tmp_path):
    vectors = np.arange(20, dtype=np.float32).reshape(10, 2) + 1
    vl.write(tmp_path / "in" / "more.npz", vectors, ids=np.arange(100, 110))
    (tmp_path / "secret.npz").write_bytes((tmp_path / "in" / "more.npz").read_bytes())
    (tmp_path / "in" / "link.npz").symlink_to(tmp_path / "secret.npz")
    done = ask.finished(ask("POST", C + "/import", {"file": "more.npz", "batch": 4})[1])
    assert (done["state"], done["result"]) == ("done", {"stored": 10, "points": 13})
    for name in ("../secret.npz", "link.npz", "nothing.npz", "/etc/passwd", "", ".", "a//b"):
        assert ask("POST", C + "/import", {"file": name})[0] == 404, name
    (tmp_path / "in" / "bad.npz").write_bytes(b"no zip")
    done = ask.finished(ask("POST", C + "/import", {"file": "bad.npz"})[1])
    assert (done["state"], done["error"]["status"]) == ("failed", 422)
    assert "bad.npz" in done["error"]["message"]
    assert str(tmp_path) not in done["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/collections/nothing/optimize", None, 404),
        ("POST", "/v1/collections/nothing/snapshots", None, 404),
        ("POST", C + "/restore", {"from": "films", "snapshot": "x"}, 409),
        ("POST", "/v1/collections/new/restore", {"from": "films", "snapshot": "x"}, 404),
        ("POST", "/v1/collections/new/restore", {"from": "..", "snapshot": "x"}, 422),
        ("POST", C + "/snapshots", {"snapshot": "../up"}, 422),
        ("POST", C + "/snapshots", {"snapshot": ".."}, 422),
        ("GET", C + "/snapshots/..", None, 404),
        ("GET", "/v1/operations/unknown", None, 404),
        ("POST", "/v1/operations/unknown/retry", None, 404),
        ("POST", C + "/optimize", {"fully": True}, 422),
        ("POST", C + "/import", {}, 422),
    ],
)
def test_what_cannot_be_begun_is_refused_at_once(ask, method, path, body, status):
    assert ask(method, path, body)[0] == status


def test_a_server_without_an_import_folder_imports_nothing(tmp_path):
    app = make_app(tmp_path / "home", "localhost", None)
    ask = Client(app)
    ask("PUT", C, {"dim": 2})
    status, answer = ask("POST", C + "/import", {"file": "a.npz"})
    assert (status, "--import-folder" in answer["error"]["message"]) == (422, True)
    app.close()


def test_keys_see_and_begin_operations_of_their_collections_alone(ask, tmp_path):
    file = tmp_path / "keys"
    mine, other = add_key(file, "write", ["mine"]), add_key(file, "write", ["films", "copy"])
    reader = add_key(file, "read", [])
    ask.finished(ask("POST", C + "/snapshots", {"snapshot": "s"})[1])
    ask.app.close()
    app = make_app(tmp_path / "home", "0.0.0.0", file)
    [record] = Client(app, other)("GET", "/v1/operations")[1]["operations"]
    assert Client(app, mine)("GET", "/v1/operations")[1] == {"operations": []}
    assert Client(app, mine)("GET", f"/v1/operations/{record['id']}")[0] == 404
    assert Client(app, mine)("POST", f"/v1/operations/{record['id']}/retry")[0] == 404
    wanted = {"from": "films", "snapshot": "s"}
    assert Client(app, mine)("POST", "/v1/collections/mine/restore", wanted)[0] == 403
    assert Client(app, reader)("POST", C + "/snapshots")[0] == 403
    copied = Client(app, other)("POST", "/v1/collections/copy/restore", wanted)[1]
    assert Client(app, other).finished(copied)["state"] == "done"
    app.close()


def tarred(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data, kind in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(data), "/etc/passwd"
            tar.addfile(member, io.BytesIO(data))
    return file.getvalue()


def test_a_snapshot_moves_to_another_server(ask, tmp_path):
    ask.finished(ask("POST", C + "/optimize")[1])
    ask.finished(ask("POST", C + "/snapshots", {"snapshot": "s"})[1])
    tar = ask.ask("GET", C + "/snapshots/s").body
    (tmp_path / "other").mkdir()
    app = make_app(tmp_path / "other", "localhost", None)
    other = Client(app)
    put = {"raw": tar, "kind": "application/x-tar", "chunks": 7}
    status, answer = other("PUT", C + "/snapshots/moved", **put)
    assert (status, answer["snapshot"]) == (201, "moved")
    assert other("PUT", C + "/snapshots/moved", **put)[0] == 409
    back = other("POST", C + "/restore", {"from": "films", "snapshot": "moved"})[1]
    assert other.finished(back)["result"] == {"points": 3}
    assert list((tmp_path / "other" / ".server" / "uploads").iterdir()) == []
    found = other("POST", C + "/search", {"vector": [0.3, 0.7], "k": 1})[1]
    assert found["hits"][0]["id"] == 2
    app.close()


FILE, LINK, PAX = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.XHDTYPE
DATABASE = ("snapshot/collection.db", b"x", FILE)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no tar file" * 100,
        tarred([]),
        tarred([DATABASE])[:600],
        tarred([("snapshot/collection.db", b"x" * 2000, FILE)])[:1200],
        tarred([DATABASE, ("snapshot/../../up", b"x", FILE)]),
        tarred([DATABASE, ("/etc/cron.d/x", b"x", FILE)]),
        tarred([DATABASE, ("snapshot/segments/a.arrow", b"", LINK)]),
        tarred([("snapshot/collection.db", b"", LINK)]),
        tarred([("snapshot/collection.db", b"12 a=bcdefg\n", PAX), DATABASE]),
        tarred([DATABASE, DATABASE]),
        tarred([("snapshot/segments/a.arrow", b"x", FILE)]),
        tarred([DATABASE, ("snapshot/segments/" + "a" * 150 + ".arrow", b"x", FILE)]),
    ],
)
def test_a_tar_file_that_is_no_snapshot_leaves_nothing(ask, tmp_path, raw):
    put = {"raw": raw, "kind": "application/x-tar"}
    status, answer = ask("PUT", C + "/snapshots/s", **put)
    assert (status, answer["error"]["kind"]) == (400, "BadRequest")
    kept = [p for p in (tmp_path / "home" / ".server").rglob("*") if p.is_file()]
    assert {p.name.partition("-")[0] for p in kept} <= {"state.db", "writer.lock"}
    assert ask("GET", C + "/snapshots")[1] == {"snapshots": []}


def test_an_upload_that_is_none_is_refused_when_it_is_restored(ask):
    put = {"raw": tarred([DATABASE]), "kind": "application/x-tar"}
    assert ask("PUT", C + "/snapshots/s", **put)[0] == 201
    record = ask("POST", "/v1/collections/new/restore", {"from": "films", "snapshot": "s"})[1]
    done = ask.finished(record)
    assert (done["state"], done["error"]["kind"]) == ("failed", "FormatError")
    assert ask("GET", "/v1/collections/new")[0] == 404


def test_uploads_are_limited_and_named_for_what_they_are(tmp_path):
    limits = Limits(upload_bytes=5000)
    app = make_app(tmp_path / "home", "localhost", None, limits=limits)
    ask = Client(app)
    put = {"raw": tarred([DATABASE]), "kind": "application/x-tar"}
    assert ask("PUT", C + "/snapshots/s", **put)[0] == 413
    assert ask("PUT", C + "/snapshots/s", **put | {"kind": "application/json"})[0] == 415
    assert ask("PUT", C + "/snapshots/..", **put)[0] in (404, 413)
    app.close()


# ---- the journal --------------------------------------------------------------------------------


def held(state, gate, ran):
    def run(collection, request, attempt):
        ran.append((collection, attempt))
        assert gate.wait(20)
        return {"attempt": attempt}

    return Operations(state, {"work": run}, "")


def wait_for(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_what_was_queued_runs_after_a_restart_and_what_ran_is_interrupted(tmp_path):
    gate, ran = threading.Event(), []
    state = State(tmp_path)
    first = held(state, gate, ran)
    running = first.submit("work", "a", {})
    wait_for(lambda: ran)
    queued = first.submit("work", "b", {})
    assert first.submit("work", "b", {})["id"] == queued["id"]  # the same, and still waiting
    assert first.submit("work", "b", {"x": 1})["id"] != queued["id"]
    assert not first.stop(0.05)
    assert first.get(running["id"])["state"] == "interrupted"
    state.close()
    gate.set()

    state = State(tmp_path)
    second = held(state, gate, ran)
    wait_for(lambda: second.counts()["done"] == 2)
    assert second.get(queued["id"])["result"] == {"attempt": 1}
    assert second.get(running["id"])["state"] == "interrupted"
    assert second.retry(running["id"])["state"] in ("queued", "running", "done")
    wait_for(lambda: second.counts()["done"] == 3)
    assert second.get(running["id"])["result"] == {"attempt": 2}
    with pytest.raises(Refusal, match="is done"):
        second.retry(running["id"])
    assert second.stop(5)
    state.close()


def test_a_killed_server_leaves_running_work_as_interrupted(tmp_path):
    gate, ran = threading.Event(), []
    state = State(tmp_path)
    operations = held(state, gate, ran)
    record = operations.submit("work", "a", {})
    wait_for(lambda: ran)
    copy = tmp_path / "after"
    (copy / ".server").mkdir(parents=True)
    with sqlite3.connect(tmp_path / ".server" / "state.db") as live:  # as a kill would leave it
        live.backup(sqlite3.connect(copy / ".server" / "state.db"))
    gate.set()
    operations.stop(5)
    state.close()
    state = State(copy)
    later = Operations(state, {}, "")
    assert later.get(record["id"])["state"] == "interrupted"
    later.stop(5)
    state.close()


def test_an_operation_that_fails_says_why_and_can_be_queued_again(tmp_path):
    tries = []

    def run(collection, request, attempt):
        tries.append(attempt)
        if attempt == 1:
            raise vl.ParameterError(f"{tmp_path}/a: is not so")
        return {}

    state = State(tmp_path)
    operations = Operations(state, {"work": run}, str(tmp_path))
    record = operations.submit("work", "a", {})
    wait_for(lambda: operations.counts()["failed"] == 1)
    found = operations.get(record["id"])
    assert found["error"] == {"status": 422, "kind": "ParameterError", "message": "a: is not so"}
    operations.retry(record["id"])
    wait_for(lambda: operations.counts()["done"] == 1)
    assert (tries, operations.get(record["id"])["error"]) == ([1, 2], None)
    operations.stop(5)
    state.close()


def test_running_work_says_how_far_it_is_and_ends_when_told_to(tmp_path):
    step = threading.Event()

    def run(collection, request, attempt):
        with progress("counting", total=100_000, unit="sheep", quiet=True) as bar:
            for _ in range(100_000):
                bar.advance()
                time.sleep(0.001)
                if step.is_set() and attempt > 1:
                    return {"steps": bar.state().done}
        return {}

    state = State(tmp_path)
    operations = Operations(state, {"work": run}, "")
    record = operations.submit("work", "a", {})
    wait_for(lambda: (operations.get(record["id"])["progress"] or {}).get("done"))
    told = operations.get(record["id"])["progress"]
    assert (told["doing"], told["total"], told["unit"]) == ("counting", 100_000, "sheep")
    waiting = operations.submit("work", "b", {})
    assert operations.cancel(waiting["id"])["state"] == "interrupted"
    operations.cancel(record["id"])
    wait_for(lambda: operations.get(record["id"])["state"] == "interrupted")
    assert operations.get(record["id"])["error"]["kind"] == "Cancelled"
    with pytest.raises(Refusal, match="is interrupted"):
        operations.cancel(record["id"])
    step.set()
    operations.retry(record["id"])
    wait_for(lambda: operations.get(record["id"])["state"] == "done")
    step.clear()
    last = operations.submit("work", "c", {})
    wait_for(lambda: operations.get(last["id"])["progress"])
    assert operations.stop(5)  # it ends at the next step, and says so
    assert operations.get(last["id"])["state"] == "interrupted"
    state.close()


def test_too_much_waiting_work_is_refused(tmp_path):
    gate = threading.Event()
    state = State(tmp_path)
    operations = held(state, gate, [])
    for i in range(100):
        operations.submit("work", f"c{i}", {})
    wait_for(lambda: operations.counts()["running"])
    operations.submit("work", "c100", {})
    with pytest.raises(Refusal, match="are waiting"):
        operations.submit("work", "c101", {})
    gate.set()
    operations.stop(5)
    state.close()


def test_one_server_writes_to_a_home_and_readers_stand_beside(tmp_path):
    first = make_app(tmp_path / "home", "localhost", None)
    with pytest.raises(LockedError, match="being written by process"):
        make_app(tmp_path / "home", "localhost", None)
    beside = make_app(tmp_path / "home", "localhost", None, read_only=True)
    Client(first)("PUT", C, {"dim": 2})
    reader = Client(beside)
    assert reader.finished(reader("POST", C + "/verify")[1])["state"] == "done"
    assert reader("POST", C + "/optimize")[0] == 403
    beside.close()
    first.close()


def test_a_journal_of_a_newer_server_is_refused(tmp_path):
    State(tmp_path).close()
    with sqlite3.connect(tmp_path / ".server" / "state.db") as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(vl.FormatError, match="Upgrade"):
        State(tmp_path)
    (tmp_path / ".server" / "state.db").write_bytes(b"no database" * 1000)
    with pytest.raises(vl.FormatError, match="without this file the server starts"):
        State(tmp_path)
    (tmp_path / ".server" / "state.db").unlink()
    State(tmp_path).close()
