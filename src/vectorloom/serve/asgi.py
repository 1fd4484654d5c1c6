# SPDX-License-Identifier: Apache-2.0
"""The HTTP server's application: who asks, how much, what for, and one shape of error.

A request passes, in this order: its host (where there are no keys, against web pages that reach a
local server under another name), its key, its route, its type and size, the queue, the handler.
What is refused early costs nothing: no body is read before the key is known. Answers go out in
pieces, the next one when the last was taken, so that slow readers hold no more than that.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vectorloom.errors import ParameterError
from vectorloom.serve import answers, bodies, logs, replies, routes
from vectorloom.serve.calls import ARROW, JSON, NPY, TAR, Answer, Call, Limits, Route
from vectorloom.serve.keys import Grant, hash_of
from vectorloom.serve.metrics import Metrics, process_gauges
from vectorloom.serve.openapi import document
from vectorloom.serve.refusals import Refusal, busy, fault_of, packed, too_large
from vectorloom.serve.schemas import MAX_POINTS
from vectorloom.serve.service import Service
from vectorloom.serve.taking import take

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Mapping[bytes, bytes]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")
_PIECE = 1 << 18


class App:
    """An ASGI 3 application.

    Parameters
    ----------
    service : Service
    keys : mapping of str to Grant, or None
        By hash. None lets everyone in who reaches the loopback interface.
    limits : Limits
    """

    def __init__(self, service: Service, keys: Mapping[str, Grant] | None, limits: Limits) -> None:
        self.service = service
        self._keys = keys
        self._limits = limits
        self._metrics = Metrics()
        self._pool = ThreadPoolExecutor(limits.workers, "vectorloom-serve")
        self._folder = str(service.home.folder)
        self._inside = 0
        self._held = 0
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            raise ValueError(f"scope {scope['type']!r} is not served")

    def drain(self) -> None:
        """Say from now on that this server is not ready; it still answers."""
        self.draining = True

    def close(self) -> None:
        """Finish what is being worked on and close the collections."""
        self.drain()
        self._pool.shutdown(wait=True)
        self.service.close()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self.close)
                await send({"type": "lifespan.shutdown.complete"})
                return

    # ---- a request -----------------------------------------------------------------------------

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        seen: dict[str, Any] = {"route": "other"}
        try:
            answer = await self._answer(scope, receive, seen)
        except Exception as error:
            answer = self._told(error, scope)
        spent = time.perf_counter() - began
        self._metrics.seen(seen["route"], answer.status, spent)
        self._log(scope, seen, answer.status, spent)
        if isinstance(answer.body, bytes):
            self._held += len(answer.body)
        try:
            await self._send(answer, send)
        finally:
            if isinstance(answer.body, bytes):
                self._held -= len(answer.body)

    def _told(self, error: Exception, scope: Scope) -> Answer:
        fault = fault_of(error, self._folder)
        if fault.is_ours:
            logs.requests.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
        headers = error.headers if isinstance(error, Refusal) else {}
        return Answer(fault.status, packed(fault.to_dict()), JSON, tuple(headers.items()))

    def _log(self, scope: Scope, seen: Mapping[str, Any], status: int, spent: float) -> None:
        told = {"method": scope["method"], **seen, "status": status, "ms": round(spent * 1e3, 3)}
        plan, where = told.pop("plan", None), told.pop("where", None)
        logs.requests.info("request", extra={"told": told})
        if spent > self._limits.slow_seconds:
            told |= {"plan": plan, "where": logs.shortened(where)} if plan else {}
            logs.slow.warning("slow %s", json.dumps(told, default=str), extra={"told": told})

    async def _answer(self, scope: Scope, receive: Receive, seen: dict[str, Any]) -> Answer:
        headers: Headers = {key.lower(): value for key, value in scope["headers"]}
        path, method = scope["path"], scope["method"]
        if path in ("/livez", "/readyz") and method in ("GET", "HEAD"):
            seen["route"] = path
            return self._health(path)
        grant, owner = self._allowed(headers)
        if path in ("/metrics", "/openapi.json") and method == "GET":
            seen["route"] = path
            return await asyncio.to_thread(self._about, path, grant)
        route, places = routes.find(method, path)
        seen["route"] = f"{route.method} {route.path}"
        self._check(route, places.get("name"), grant)
        query = scope.get("query_string", b"")
        kind = self._kind(route, headers, query)
        key = headers.get(b"idempotency-key") if route.writes and not route.uploads else None
        scoped = replies.scope_of(owner, method, path, replies.checked_key(key)) if key else None
        if route.uploads:
            return await self._uploaded(
                route, Call(self.service, grant, places, {}, notes=seen), receive
            )
        body = _Body(self)
        try:
            if kind:
                await self._read(headers, receive, body)
            call = Call(self.service, grant, places, {}, notes=seen)
            call.accept = answers.chosen(headers.get(b"accept", b""), (JSON, *route.accepts))
            return await self._worked(route, call, kind, query, body, scoped)
        finally:
            body.release()

    def _health(self, path: str) -> Answer:
        if path == "/readyz" and (self.draining or not self.service.home.folder.is_dir()):
            raise Refusal(503, "NotReady", "this server is about to end, or has lost its folder.")
        return Answer(200, b'{"status":"ok"}')

    def _about(self, path: str, grant: Grant) -> Answer:
        if path == "/openapi.json":
            return Answer(200, packed(document()))
        operations = self.service.operations.counts()
        gauges: dict[str, tuple[str, dict[str, float]]] = {
            "vectorloom_requests_inside": ("Requests being worked on.", {"": self._inside}),
            "vectorloom_held_bytes": ("Of bodies and answers.", {"": self._held}),
            "vectorloom_operations": (
                "Long operations by state.",
                {f'{{state="{state}"}}': n for state, n in operations.items()},
            ),
        }
        held = self.service.home.sizes()
        gauges["vectorloom_points"] = (
            "Points of the collections that are open.",
            {f'{{collection="{name}"}}': n for name, n in held.items() if grant.covers(name)},
        )
        text = self._metrics.text(gauges | process_gauges())
        text += "\n".join(self.service.recall.lines(grant.covers)) + "\n"
        return Answer(200, text.encode(), "text/plain; version=0.0.4")

    def _allowed(self, headers: Headers) -> tuple[Grant, str]:
        """Return what the one who asks may do, and what stands for him."""
        if self._keys is None:
            host = headers.get(b"host", b"").decode("latin-1")
            bare = host if host.endswith("]") else host.rpartition(":")[0] or host
            if bare not in LOOPBACK:
                raise Refusal(
                    403, "Forbidden",
                    "this server has no API keys and answers only to localhost; start it with "
                    "--api-key-file to be reached under other names.",
                )  # fmt: skip
            # A page from elsewhere may send a request without a body to localhost, unasked.
            origin = headers.get(b"origin", b"").decode("latin-1")
            if origin and origin.partition("://")[2] != host:
                raise Refusal(403, "Forbidden", "this server has no API keys and takes no requests "
                                                "from pages of other origins.")  # fmt: skip
            return Grant(True, None), ""
        given = headers.get(b"authorization", b"").decode("latin-1")
        scheme, _, key = given.partition(" ")
        owner = hash_of(key.strip())
        grant = self._keys.get(owner) if scheme.lower() == "bearer" else None
        if grant is None:
            raise Refusal(
                401, "Unauthorized", "send a known key as 'Authorization: Bearer KEY'.",
                www_authenticate="Bearer",
            )  # fmt: skip
        return grant, owner

    def _check(self, route: Route, name: str | None, grant: Grant) -> None:
        if name is not None and not grant.covers(name):
            raise Refusal(403, "Forbidden", "this key is not for that collection.")
        if route.writes and not grant.may_write:
            raise Refusal(403, "Forbidden", "this key may read and not write.")
        if route.stores and self.service.home.read_only:
            raise Refusal(403, "Forbidden", "this server only reads.")

    # ---- its body ------------------------------------------------------------------------------

    def _kind(self, route: Route, headers: Headers, query: bytes) -> str:
        """Return the media type of the body, "" where none comes."""
        if len(query) > _PIECE:
            raise too_large(_PIECE)
        kind = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0]
        kind = kind.strip().lower()
        length = headers.get(b"content-length", b"")
        none_comes = not kind and length in (b"", b"0") and b"transfer-encoding" not in headers
        takes = route.method in ("POST", "PUT") and not none_comes
        kind = kind if takes else ""
        allowed = (JSON, NPY, ARROW) if route.vectors else (TAR,) if route.uploads else (JSON,)
        if takes and kind not in allowed:
            raise Refusal(
                415, "UnsupportedMediaType",
                f"send {' or '.join(allowed)}, and say so in content-type.",
            )  # fmt: skip
        if query and kind not in (NPY, ARROW):
            raise ParameterError("nothing is taken from the query string here.")
        return kind

    async def _read(self, headers: Headers, receive: Receive, body: _Body) -> None:
        most = self._limits.body_bytes
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > most:
            raise too_large(most)
        try:
            await asyncio.wait_for(body.read(receive), self._limits.body_seconds)
        except asyncio.TimeoutError:
            raise _slow() from None

    async def _uploaded(self, route: Route, call: Call, receive: Receive) -> Answer:
        """Write a body to the disk as it comes, then hand over its file; memory is one piece's."""
        loop, limits = asyncio.get_running_loop(), self._limits
        path, size = self.service.backups.upload(), 0
        try:
            with path.open("xb") as file:
                while True:
                    try:
                        message = await asyncio.wait_for(receive(), limits.body_seconds)
                    except asyncio.TimeoutError:
                        raise _slow() from None
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "BadRequest", "the client went away.")
                    piece = message.get("body", b"")
                    size += len(piece)
                    if size > limits.upload_bytes:
                        raise too_large(limits.upload_bytes)
                    await loop.run_in_executor(self._pool, file.write, piece)
                    if not message.get("more_body", False):
                        break
            call.body = {"file": str(path)}
            given = await loop.run_in_executor(self._pool, route.handle, call)
            return answers.finished(given, route.status)
        finally:
            path.unlink(missing_ok=True)

    def _fields(self, route: Route, kind: str, query: bytes, whole: bytes) -> Mapping[str, Any]:
        """Return the fields of a body, known ones alone."""
        if kind in (NPY, ARROW):
            most = self._limits.body_bytes
            found = bodies.unpacked(kind, whole, query, MAX_POINTS, most)
        else:
            found = bodies.parsed(whole) if whole else {}
        return take(found, route.schema, route.needs)

    # ---- its work ------------------------------------------------------------------------------

    async def _worked(
        self, route: Route, call: Call, kind: str, query: bytes, body: _Body, scope: str | None
    ) -> Answer:
        if self._inside >= self._limits.workers + self._limits.waiting:
            raise busy("too many requests are waiting; try again.")
        self._inside += 1
        came = time.perf_counter()

        def work() -> Answer:
            call.notes["waited_ms"] = round((time.perf_counter() - came) * 1e3, 3)
            whole = body.whole()
            if scope is None:
                call.body = self._fields(route, kind, query, whole)
                return answers.finished(route.handle(call), route.status)
            kept = self.service.replies
            mark = replies.fingerprint_of(kind, query, whole)
            with kept.claimed(scope):
                given = kept.find(scope, mark)
                if given is None:
                    call.body = self._fields(route, kind, query, whole)
                    given = self._done(route, call, scope, mark)
                return given

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._inside -= 1

    def _done(self, route: Route, call: Call, scope: str, mark: str) -> Answer:
        """Do a write once and keep its answer; of long work both are one commit of the journal."""
        kept = self.service.replies
        if route.status == 202:
            with self.service.state.transaction():
                given = answers.finished(route.handle(call), route.status)
                kept.keep(scope, mark, given)
        else:
            given = answers.finished(route.handle(call), route.status)
            kept.keep(scope, mark, given)
        return given

    async def _send(self, answer: Answer, send: Send) -> None:
        pairs = [
            (b"content-type", answer.kind.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
            *[
                (name.encode(), value.encode("latin-1", "replace"))
                for name, value in answer.headers
            ],
        ]
        if isinstance(answer.body, bytes):
            pairs.append((b"content-length", str(len(answer.body)).encode()))
        start = {"type": "http.response.start", "status": answer.status, "headers": pairs}
        await self._put(send, start)
        if isinstance(answer.body, bytes):
            view = memoryview(answer.body)
            for at in range(0, max(1, len(view)), _PIECE):
                more = at + _PIECE < len(view)
                await self._put(send, _piece(bytes(view[at : at + _PIECE]), more))
            return
        loop = asyncio.get_running_loop()
        while True:
            piece = await loop.run_in_executor(self._pool, _next, answer.body)
            await self._put(send, _piece(piece or b"", piece is not None))
            if piece is None:
                return

    async def _put(self, send: Send, message: MutableMapping[str, Any]) -> None:
        """Send a piece; one who takes none for too long is given up."""
        await asyncio.wait_for(send(message), self._limits.body_seconds)


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
                raise too_large(limits.body_bytes)
            if self._app._held > limits.held_bytes:
                raise busy("too much is being sent at once; try again.")
            self._pieces.append(piece)
            if not message.get("more_body", False):
                return

    def whole(self) -> bytes:
        return b"".join(self._pieces)

    def release(self) -> None:
        self._app._held -= self._total
        self._total, self._pieces = 0, []


def _slow() -> Refusal:
    return Refusal(408, "Timeout", "the body took too long to come.")


def _piece(body: bytes, more: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "http.response.body", "body": body}
    return found | {"more_body": True} if more else found


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)
