# SPDX-License-Identifier: Apache-2.0
"""A server without a network: requests of httpx go straight into the application."""

from __future__ import annotations

import asyncio
import contextlib

import httpx

from vectorloom.clients import Client
from vectorloom.serve import make_app

URL = "http://localhost:8400"


class Direct(httpx.BaseTransport):
    """Calls an ASGI application from a thread that has no loop."""

    def __init__(self, app):
        self.inner = httpx.ASGITransport(app)

    def handle_request(self, request):
        async def ask():
            plain = httpx.Request(
                request.method, request.url, headers=request.headers, content=request.read()
            )
            answer = await self.inner.handle_async_request(plain)
            return answer.status_code, answer.headers, await answer.aread()

        status, headers, body = asyncio.run(ask())
        return httpx.Response(status, headers=headers, content=body)


@contextlib.contextmanager
def served(folder, key=None, key_file=None):
    """Give a client of a server of the collections in a folder."""
    app = make_app(folder, "127.0.0.1", key_file)
    try:
        with Client(URL, key, transport=Direct(app)) as client:
            yield client
    finally:
        app.close()
