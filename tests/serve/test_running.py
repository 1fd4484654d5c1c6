# SPDX-License-Identifier: Apache-2.0
"""A server as it is started: it answers over a socket, and stops when it is told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from typer.testing import CliRunner

from vectorloom.cli.main import app
from vectorloom.serve.running import is_loopback


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("here.local", False), ("", False)],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(host, alone):
    assert is_loopback(host) is alone


def test_the_command_refuses_to_be_open_to_all(tmp_path):
    result = CliRunner().invoke(app, ["serve", str(tmp_path), "--host", "0.0.0.0"])
    assert result.exit_code == 1
    assert "without API keys" in result.output


def test_keys_are_made_and_shown_once(tmp_path):
    result = CliRunner().invoke(app, ["key", str(tmp_path / "keys"), "--role", "write", "--json"])
    made = json.loads(result.stdout)
    assert made["key"].startswith("vl_")
    assert made["key"] not in (tmp_path / "keys").read_text()


def ask(port, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, method=method)
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


def test_a_server_answers_and_stops_when_it_is_told_to(tmp_path):
    pytest.importorskip("uvicorn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vectorloom", "serve", str(tmp_path), "--port", str(port)]
    log = (tmp_path / "server.log").open("w")
    server = subprocess.Popen(command, env=os.environ, stderr=log)
    try:
        for _ in range(300):
            try:
                assert ask(port, "GET", "/readyz") == {"status": "ok"}
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None, (tmp_path / "server.log").read_text()
                time.sleep(0.1)
        ask(port, "PUT", "/v1/collections/c", {"dim": 2})
        ask(port, "POST", "/v1/collections/c/points", {"ids": [1, 2], "vectors": [[1, 0], [0, 1]]})
        found = ask(port, "POST", "/v1/collections/c/search", {"vector": [1, 0.1], "k": 1})
        assert found["hits"][0]["id"] == 1
    finally:
        server.send_signal(signal.SIGINT)
        ended = server.wait(30)
        log.close()
    assert ended in (0, 130, -2)
    import vectorloom as vl

    with vl.collection(tmp_path / "c") as c:  # the lock went with the server
        assert len(c) == 2
