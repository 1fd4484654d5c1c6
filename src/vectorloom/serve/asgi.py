# SPDX-License-Identifier: Apache-2.0
"""The HTTP server's application: who asks, how much, what for, and one shape of error.

A request passes, in this order: its host (where there are no keys, against web pages that reach a
local server under another name), its key, its route, its type and size, the queue, the handler.
What is refused early costs nothing: no body is read before the key is known.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from vectorloom.errors import (
    CapacityError,
    FormatError,
    InternalError,
    ParameterError,
    ShapeError,
)
from vectorloom.serve.home import ExistsError, Home, UnknownCollectionError
from vectorloom.serve.keys import Grant, hash_of
from vectorloom.serve.metrics import Metrics
from vectorloom.serve.openapi import document
from vectorloom.serve.routes import ROUTES, Route, list_collections
from vectorloom.store import LockedError

log = logging.getLogger("vectorloom.serve")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")


@dataclass(frozen=True)
class Limits:
    """What one server takes on.

    Attributes
    ----------
    body_bytes : int
        Of a request.
    held_bytes : int
        Of all bodies at once; beyond them requests are answered with 429.
    body_seconds : float
        In which its body must have come.
    workers : int
        Requests that are worked on at once.
    waiting : int
        That wait beyond those; more are answered with 429.
    slow_seconds : float
        Requests that take longer are logged as slow.
    """

    body_bytes: int = 64 << 20
    held_bytes: int = 512 << 20
    body_seconds: float = 60.0
    workers: int = 8
    waiting: int = 256
    slow_seconds: float = 1.0


class Refusal(Exception):  # noqa: N818
    """An answer that is an error, decided before any handler ran."""

    def __init__(self, status: int, kind: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind, headers


class App:
    """An ASGI 3 application.

    Parameters
    ----------
    home : Home
    keys : mapping of str to Grant, or None
        By hash. None lets everyone in who reaches the loopback interface.
    limits : Limits
    """

    def __init__(self, home: Home, keys: Mapping[str, Grant] | None, limits: Limits) -> None:
        self._home = home
        self._keys = keys
        self._limits = limits
        self._metrics = Metrics()
        self._pool = ThreadPoolExecutor(limits.workers, "vectorloom-serve")
        self._inside = 0
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            raise ValueError(f"scope {scope['type']!r} is not served")

    def close(self) -> None:
        """Finish what is being worked on and close the collections."""
        self._pool.shutdown(wait=True)
        self._home.close()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self.close)
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        name = "other"
        headers: dict[str, str] = {}
        try:
            name, status, body, kind = await self._answer(scope, receive)
        except Refusal as refusal:
            status, headers = refusal.status, refusal.headers
            body, kind = _error(status, refusal.kind, str(refusal)), "application/json"
        except Exception as error:
            status, body = _told(error, scope)
            kind = "application/json"
        spent = time.perf_counter() - began
        self._metrics.seen(name, status, spent)
        told = {"method": scope["method"], "route": name, "status": status, "ms": spent * 1e3}
        level = logging.WARNING if spent > self._limits.slow_seconds else logging.INFO
        log.log(level, "%s", json.dumps(told))
        pairs = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
            *[(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()],
        ]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[str, int, bytes, str]:
        headers = {key.lower(): value for key, value in scope["headers"]}
        path, method = scope["path"], scope["method"]
        if path in ("/livez", "/readyz") and method == "GET":
            return path, 200, b'{"status": "ok"}', "application/json"
        grant = self._allowed(headers)
        if path == "/metrics" and method == "GET":
            return path, 200, self._metrics.text().encode(), "text/plain; version=0.0.4"
        if path == "/openapi.json" and method == "GET":
            return path, 200, _packed(document()), "application/json"
        route, name = _routed(method, path)
        self._check(route, name, grant)
        body = _Body(self)
        try:
            if method in ("POST", "PUT"):
                await self._body(headers, receive, body)
            answer = await self._worked(route, name, body)
        finally:
            body.release()
        if route.handle is list_collections:
            answer["collections"] = [each for each in answer["collections"] if grant.covers(each)]
        return f"{route.method} {route.path}", 200, answer_bytes(answer), "application/json"

    def _allowed(self, headers: Mapping[bytes, bytes]) -> Grant:
        if self._keys is None:
            host = headers.get(b"host", b"").decode("latin-1")
            bare = host if host.endswith("]") else host.rpartition(":")[0] or host
            if bare not in LOOPBACK:
                raise Refusal(
                    403, "Forbidden",
                    "this server has no API keys and answers only to localhost; start it with "
                    "--api-key-file to be reached under other names.",
                )  # fmt: skip
            return Grant(True, None)
        given = headers.get(b"authorization", b"").decode("latin-1")
        scheme, _, key = given.partition(" ")
        grant = self._keys.get(hash_of(key.strip())) if scheme.lower() == "bearer" else None
        if grant is None:
            raise Refusal(
                401, "Unauthorized", "send a known key as 'Authorization: Bearer KEY'.",
                www_authenticate="Bearer",
            )  # fmt: skip
        return grant

    def _check(self, route: Route, name: str | None, grant: Grant) -> None:
        if name is not None and not grant.covers(name):
            raise Refusal(403, "Forbidden", "this key is not for that collection.")
        if route.writes and not grant.may_write:
            raise Refusal(403, "Forbidden", "this key may read and not write.")
        if route.writes and self._home.read_only:
            raise Refusal(403, "Forbidden", "this server only reads.")

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive, body: _Body) -> None:
        kind = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip()
        if kind.lower() != "application/json":
            raise Refusal(
                415, "UnsupportedMediaType", "send JSON, with content-type application/json."
            )
        most = self._limits.body_bytes
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > most:
            raise _too_large(most)
        try:
            await asyncio.wait_for(body.read(receive), self._limits.body_seconds)
        except asyncio.TimeoutError:
            raise Refusal(408, "Timeout", "the body took too long to come.") from None

    async def _worked(self, route: Route, name: str | None, body: _Body) -> Any:
        if self._inside >= self._limits.workers + self._limits.waiting:
            raise Refusal(
                429, "TooManyRequests", "too many requests are waiting; try again.", retry_after="1"
            )
        self._inside += 1
        try:
            given: list[Any] = [self._home] if name is None else [self._home, name]

            def work() -> Any:
                if route.method != "GET":
                    given.append(_parsed(body.whole()))
                return route.handle(*given)

            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._inside -= 1


def _routed(method: str, path: str) -> tuple[Route, str | None]:
    parts = path.split("/")
    others = []
    for route in ROUTES:
        wanted = route.path.split("/")
        if len(wanted) != len(parts):
            continue
        if all(w in (p, "{name}") for w, p in zip(wanted, parts, strict=True)):
            if route.method == method:
                return route, parts[3] if len(parts) > 3 else None
            others.append(route.method)
    if others:
        raise Refusal(
            405, "MethodNotAllowed", f"{method} is not for this path; {', '.join(others)} is.",
            allow=", ".join(others),
        )  # fmt: skip
    raise Refusal(404, "NotFound", "there is nothing at this path; see /openapi.json.")


class _Body:
    """The body of one request, counted among those of all."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._pieces: list[bytes] = []
        self._total = 0

    async def read(self, receive: Receive) -> None:
        """Take the body, or refuse what is too much for one or for all together."""
        limits = self._app._limits
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refusal(400, "BadRequest", "the client went away.")
            piece = message.get("body", b"")
            self._total += len(piece)
            self._app._held += len(piece)
            if self._total > limits.body_bytes:
                raise _too_large(limits.body_bytes)
            if self._app._held > limits.held_bytes:
                raise Refusal(
                    429, "TooManyRequests", "too much is being sent at once; try again.",
                    retry_after="1",
                )  # fmt: skip
            self._pieces.append(piece)
            if not message.get("more_body", False):
                return

    def whole(self) -> bytes:
        return b"".join(self._pieces)

    def release(self) -> None:
        self._app._held -= self._total
        self._total, self._pieces = 0, []


def _too_large(most: int) -> Refusal:
    return Refusal(413, "TooLarge", f"the body has more than {most:,} bytes; send less at once.")


def _parsed(body: bytes) -> Any:
    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not JSON")

    try:
        return json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "BadRequest", f"the body is not JSON ({error}).") from None


def _told(error: Exception, scope: Scope) -> tuple[int, bytes]:
    """Return the status and body for what a handler raised; our own mistakes are not shown."""
    kind = type(error).__name__
    if isinstance(error, UnknownCollectionError):
        return 404, _error(404, "NotFound", "there is no collection of this name.")
    if isinstance(error, ExistsError):
        return 409, _error(409, "Conflict", "there is a collection of this name already.")
    if isinstance(error, LockedError):
        return 409, _error(409, "Conflict", "another process writes to this collection.")
    if isinstance(error, ParameterError | ShapeError):
        return 422, _error(422, kind, str(error))
    if isinstance(error, CapacityError | MemoryError):
        return 507, _error(507, "CapacityError", "there is no room for this; see the server's log.")
    log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
    if isinstance(error, FormatError) and not isinstance(error, InternalError):
        return 500, _error(500, kind, "something stored is damaged; see the server's log.")
    return 500, _error(500, "InternalError", "this is our mistake; see the server's log.")


def _error(status: int, kind: str, message: str) -> bytes:
    return _packed({"error": {"status": status, "kind": kind, "message": message}})


def answer_bytes(data: Any) -> bytes:
    """Return an answer as JSON; what is beyond float32 (a distance) becomes null."""
    try:
        return _packed(data)
    except ValueError:
        return _packed(_finite(data))


def _packed(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list) else data
