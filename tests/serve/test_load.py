# SPDX-License-Identifier: Apache-2.0
"""A server over sockets under what the world does to it: slow readers, rubbish, kills, time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time

import numpy as np
import pytest

import vectorloom as vl
from serving import Server

pytest.importorskip("uvicorn")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

C = "/v1/collections/c"
DIM = 32


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def filled(server, n=2000):
    rng = np.random.default_rng(0)
    assert server.ask("PUT", C, {"dim": DIM, "index": ["a"]})[0] == 201
    points = {
        "ids": list(range(n)),
        "vectors": rng.standard_normal((n, DIM)).round(4).tolist(),
        "payloads": [{"a": i % 10} for i in range(n)],
    }
    assert server.ask("POST", C + "/points", points)[0] == 200
    return points


def request(path, body, port):
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


# ---- readers that do not read --------------------------------------------------------------------


@linux
def test_a_hundred_slow_readers_hold_no_one_up(home):
    with Server(home) as server:
        points = filled(server)
        body = json.dumps({"limit": 400, "vectors": True}).encode()  # 100 kB come
        server.ask("POST", C + "/points/scroll", json.loads(body))
        before = server.memory()
        readers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        for reader in readers:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.sendall(request(C + "/points/scroll", body, server.port))
        slowest = 0.0
        for i in range(10):
            began = time.monotonic()
            found = server.ask("POST", C + "/search", {"vector": points["vectors"][i], "k": 3})
            slowest = max(slowest, time.monotonic() - began)
            assert found[0] == 200
            for reader in readers[:10]:
                assert reader.recv(100)
        used = server.memory() - before
        status = [reader.recv(12, socket.MSG_WAITALL)[-3:] for reader in readers[10:]]
        assert set(status) <= {b"200", b"429"}
        for reader in readers:
            reader.close()
        assert slowest < 20.0  # they wait for a worker, not for a reader
        assert used < 300 << 20, used
        assert server.ask("GET", "/readyz")[0] == 200
        until = time.monotonic() + 20
        while "vectorloom_held_bytes 0\n" not in server.metrics():
            assert time.monotonic() < until
            time.sleep(0.05)
        assert not [line for line in server.lines() if line["level"] == "error"]


# ---- rubbish -------------------------------------------------------------------------------------

RUBBISH = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS where none is
    b"GET / HTTP/9.9\r\n\r\n",
    b"\r\n" * 50,
    b"GET /livez HTTP/1.1\r\n\r\n",  # no host
    b"POST /v1/collections/c/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/collections/c/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
    b"POST /v1/collections/c/search HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /v1/collections/c/search HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/collections/%00%ff%2e%2e HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/collections/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/collections HTTP/1.1\r\nHost: localhost\r\nAuthorization: \xff\xfe\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PUT /v1/collections/c HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    b"Content-Type: application/json\r\nContent-Length: 4\r\n\r\nnull",
]


def test_rubbish_gets_a_refusal_and_the_next_one_an_answer(home):
    with Server(home, "--max-body", "1") as server:
        filled(server, 10)
        told = []
        for sent in RUBBISH:
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
                with contextlib.suppress(OSError):
                    raw.sendall(sent)
                    raw.shutdown(socket.SHUT_WR)
                with contextlib.suppress(OSError):
                    told.append(raw.recv(15)[9:12])
        assert not [status for status in told if status.startswith(b"5")], told
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
            body = b" " * (3 << 20)  # told to be small, and sent without an end
            head = request(C + "/search", b"", server.port).replace(
                b"Content-Length: 0", b"Transfer-Encoding: chunked"
            )
            with contextlib.suppress(OSError):
                raw.sendall(head + f"{len(body):x}\r\n".encode() + body)
            assert raw.recv(15)[9:12] == b"413"
        status, _ = server.ask("POST", C + "/points/count", {})
        assert status == 200
        lines = server.lines()
        assert not [line for line in lines if line["level"] == "error"], lines
        assert not [line for line in lines if line.get("status", 200) >= 500]


def test_a_reader_who_takes_nothing_is_given_up(tmp_path):
    from vectorloom.serve import Limits, make_app

    app = make_app(tmp_path, "localhost", None, limits=Limits(body_seconds=0.05))

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        await asyncio.sleep(30)

    scope = {"type": "http", "method": "GET", "path": "/livez", "headers": []}
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(app(scope, receive, send))
    assert app._held == 0
    app.close()


# ---- logs, ends, kills ---------------------------------------------------------------------------


def test_slow_searches_are_logged_with_their_plan(home):
    with Server(home, "--slow-seconds", "0") as server:
        points = filled(server, 50)
        body = {"vector": points["vectors"][0], "k": 3, "where": {"a": 3}}
        server.ask("POST", C + "/search", body)
    slow = [line for line in server.lines() if line["logger"] == "vectorloom.serve.slow"]
    [line] = [line for line in slow if "plan" in line]
    assert (line["collection"], line["k"], line["queries"], line["field"]) == ("c", 3, 1, "vector")
    assert (line["status"], line["where"], line["level"]) == (200, {"a": 3}, "warning")
    assert 0 <= line["waited_ms"] <= line["ms"]
    assert "5 of 50 points match (index on a)" in line["plan"]
    plain = [line for line in server.lines() if line["logger"] == "vectorloom.serve"]
    assert {line["route"] for line in plain} >= {f"POST {C}/search".replace("/c/", "/{name}/")}
    assert not any("plan" in line or "where" in line for line in plain)


def test_a_server_that_is_told_to_end_says_so_first_and_ends_its_work(home):
    with Server(home, "--drain-seconds", "2") as server:
        points = filled(server, 50)
        web = server.connect()
        server.ask("POST", C + "/search", {"vector": points["vectors"][0]}, connection=web)
        server.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + 10
        while server.ask("GET", "/readyz", connection=web)[0] == 200:
            assert time.monotonic() < until
        status, answer = server.ask("GET", "/readyz", connection=web)
        assert (status, answer["error"]["kind"]) == (503, "NotReady")
        assert server.ask("GET", "/livez", connection=web)[0] == 200
        more = {"ids": [777], "vectors": [points["vectors"][0]]}
        assert server.ask("POST", C + "/points", more, connection=web) == (200, {"stored": 1})
        web.close()
        assert server.process.wait(30) in (0, -signal.SIGTERM, 143)
    with vl.collection(home / "c") as c:
        assert len(c) == 51


def test_a_killed_server_knows_its_work_and_its_answers_again(home, tmp_path):
    files = tmp_path / "in"
    files.mkdir()
    n = 1000
    rows = np.random.default_rng(0).standard_normal((n, DIM), dtype=np.float32)
    vl.write(files / "rows.npz", rows, ids=np.arange(n))
    options = ("--import-folder", str(files))
    with Server(home, *options) as server:
        server.ask("PUT", C, {"dim": DIM}, Idempotency_Key="make")
        begun = server.ask("POST", C + "/import", {"file": "rows.npz", "batch": 2})[1]
        waiting = server.ask("POST", C + "/verify")[1]
        until = time.monotonic() + 30
        while server.ask("POST", C + "/points/count", {})[1]["points"] < 10:
            assert time.monotonic() < until
        server.process.kill()
        server.process.wait()
    with Server(home, *options) as server:
        made = server.ask("PUT", C, {"dim": DIM}, Idempotency_Key="make")
        assert made[0] == 201  # 409 if it were done again
        place = f"/v1/operations/{begun['id']}"
        assert server.ask("GET", place)[1]["state"] == "interrupted"
        assert server.ask("POST", place + "/retry")[0] == 202
        until = time.monotonic() + 60
        while server.ask("GET", place)[1]["state"] in ("queued", "running"):
            assert time.monotonic() < until
            time.sleep(0.05)
        done = server.ask("GET", place)[1]
        assert (done["state"], done["attempts"], done["result"]["points"]) == ("done", 2, n)
        assert 0 < done["result"]["stored"] <= n - 10
        verified = server.ask("GET", f"/v1/operations/{waiting['id']}")[1]
        assert (verified["state"], verified["result"]["sound"]) == ("done", True)


# ---- a day in seconds ----------------------------------------------------------------------------


def one_round(server, web, rng, i):
    """What clients do: write, ask, page, remove, take snapshots, send rubbish."""
    rows = rng.standard_normal((20, DIM)).round(4).tolist()
    ids = [int(each) for each in rng.choice(1000, 20, replace=False)]
    points = {"ids": ids, "vectors": rows, "payloads": [{"a": i % 10}] * 20}
    assert server.ask("POST", C + "/points", points, web, Idempotency_Key=f"{i}")[0] == 200
    for row in rows[:5]:
        assert server.ask("POST", C + "/search", {"vector": row, "k": 5}, web)[0] == 200
    where = {"a": i % 10}
    assert server.ask("POST", C + "/search", {"vectors": rows, "where": where}, web)[0] == 200
    assert server.ask("POST", C + "/points/scroll", {"limit": 50, "where": where}, web)[0] == 200
    assert server.ask("POST", C + "/points/delete", {"ids": ids[:5]}, web)[0] == 200
    assert server.ask("POST", C + "/search", {"vector": [1]}, web)[0] == 422
    assert server.ask("GET", f"/v1/collections/none{i}", None, web)[0] == 404
    if i % 20 == 0:
        snapshot = server.ask("POST", C + "/snapshots", {"snapshot": f"s{i}"})[1]
        server.ask("POST", C + "/optimize")
        place = f"/v1/operations/{snapshot['id']}"
        until = time.monotonic() + 60
        while server.ask("GET", place)[1]["state"] in ("queued", "running"):
            assert time.monotonic() < until
            time.sleep(0.02)
        assert server.ask("DELETE", C + f"/snapshots/s{i}")[0] == 200
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(b"GET / nonsense\r\n\r\n")


def soak(home, warm, seconds, most_rounds):
    """Work for a while; return the growth of memory and handles after the warm-up."""
    with Server(home, "--recall-share", "0.2", "--recall-budget", "0.2") as server:
        filled(server, 1000)
        rng = np.random.default_rng(1)
        web = server.connect()
        i = 0
        for i in range(warm):
            one_round(server, web, rng, i)
        time.sleep(0.5)
        memory, handles = server.memory(), server.handles()
        until = time.monotonic() + seconds
        while time.monotonic() < until and i < warm + most_rounds:
            i += 1
            one_round(server, web, rng, i)
        time.sleep(0.5)
        grown = server.memory() - memory, server.handles() - handles
        folder = sum(f.stat().st_size for f in home.rglob("*") if f.is_file())
        web.close()
        assert not [line for line in server.lines() if line["level"] == "error"]
    return grown, folder, (i - warm) * 12


@linux
def test_memory_and_handles_are_flat_over_a_while(home):
    (memory, handles), folder, requests = soak(home, warm=21, seconds=5, most_rounds=200)
    assert requests > 50
    assert memory < 32 << 20, memory
    assert handles <= 8, handles  # readers of the database come and go
    assert folder < 32 << 20, folder


@linux
@pytest.mark.slow
def test_memory_and_handles_are_flat_over_a_day(home):
    """A request a second for a day is 86,400: as many of them as five minutes hold."""
    (memory, handles), folder, requests = soak(home, warm=300, seconds=300, most_rounds=7200)
    print(f"{requests} requests: {memory / 2**20:.1f} MiB, {handles} handles")
    assert memory < 48 << 20, memory
    assert handles <= 8, handles
    assert folder < 64 << 20, folder
    assert os.path.isdir(home)
