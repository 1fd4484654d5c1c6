# SPDX-License-Identifier: Apache-2.0
"""A server in a process of its own, as the command starts it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path


class Server:
    """``vectorloom serve`` on a free port; use as a context manager."""

    def __init__(self, folder, *options, log=None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = Path(log or folder.parent / f"server-{self.port}.log")
        command = [sys.executable, "-m", "vectorloom", "serve", str(folder)]
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), *options], env=os.environ, stderr=out
            )
        until = time.monotonic() + 60
        while True:
            try:
                assert self.ask("GET", "/readyz")[0] == 200
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < until
                time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise

    def connect(self, timeout=30):
        """Return a connection that can be asked more than once."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, connection=None, **headers):
        """Return (status, JSON)."""
        web = connection or self.connect()
        data = None if body is None else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        web.request(method, path, data, {"content-type": "application/json"} | named)
        answer = web.getresponse()
        text = answer.read()
        if connection is None:
            web.close()
        return answer.status, json.loads(text)

    def metrics(self):
        """Return the text of the metrics."""
        web = self.connect()
        web.request("GET", "/metrics")
        text = web.getresponse().read().decode()
        web.close()
        return text

    def lines(self):
        """Return what it logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]

    def handles(self):
        """Return how many files and sockets the process has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self):
        """Return the bytes of the process that are its own (no mapped files)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) << 10
        raise AssertionError("no RssAnon")
