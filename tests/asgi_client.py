# SPDX-License-Identifier: Apache-2.0
"""Calls an ASGI application as a server would; no socket."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.parse


class Reply:
    """An answer: status, headers, body; JSON where it is."""

    def __init__(self, start, pieces):
        self.status = start["status"]
        self.headers = {k.decode(): v.decode() for k, v in start["headers"]}
        self.body = b"".join(piece["body"] for piece in pieces)
        self.kind = self.headers["content-type"]
        assert not pieces[-1].get("more_body", False)

    def json(self):
        return json.loads(self.body)


class Client:
    """Calls an application; by default as a browser on this machine would."""

    def __init__(self, app, key=None, host="localhost:8400"):
        self.app, self.key, self.host = app, key, host

    def __call__(self, method, path, body=None, **more):
        reply = self.ask(method, path, body, **more)
        is_json = reply.kind == "application/json"
        return reply.status, reply.json() if is_json else reply.body.decode()

    def ask(
        self,
        method,
        path,
        body=None,
        raw=None,
        kind="application/json",
        chunks=1,
        accept=None,
        args=None,
        query=b"",
        once=None,
        origin=None,
    ):
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        headers = [(b"host", self.host.encode())]
        if kind:
            headers.append((b"content-type", kind.encode()))
        if self.key:
            headers.append((b"authorization", f"Bearer {self.key}".encode()))
        if accept:
            headers.append((b"accept", accept.encode()))
        if origin:
            headers.append((b"origin", origin.encode()))
        if once:
            headers.append((b"idempotency-key", once.encode()))
        if args is not None:
            query = urllib.parse.urlencode({"args": json.dumps(args)}).encode()
        size = max(1, -(-len(data) // chunks))
        pieces = [data[i : i + size] for i in range(0, len(data), size)] or [b""]
        sent = []

        async def receive():
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": headers,
            "query_string": query,
        }
        asyncio.run(self.app(scope, receive, send))
        assert sent[0]["type"] == "http.response.start"
        assert {message["type"] for message in sent[1:]} == {"http.response.body"}
        return Reply(sent[0], sent[1:])

    def finished(self, record, seconds=30):
        """Wait for an operation and return its record."""
        until = time.monotonic() + seconds
        while record["state"] in ("queued", "running"):
            assert time.monotonic() < until, record
            time.sleep(0.01)
            record = self("GET", f"/v1/operations/{record['id']}")[1]
        return record
