# SPDX-License-Identifier: Apache-2.0
"""The clients for asyncio: the methods of `vectorloom.clients.http`, their answers awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from vectorloom.clients import requests
from vectorloom.clients.connection import Address, httpx_or_why
from vectorloom.clients.http import Client, RemoteCollection, pauses_of
from vectorloom.clients.operation import Operation
from vectorloom.clients.requests import Where
from vectorloom.clients.wire import Call, answer
from vectorloom.store import Points
from vectorloom.store.schema import Schema

if TYPE_CHECKING:
    from typing import Concatenate

    from typing_extensions import ParamSpec, Self

    _P = ParamSpec("_P")

_T = TypeVar("_T")


def _awaited(
    method: Callable[Concatenate[Any, _P], _T],
) -> Callable[Concatenate[Any, _P], Coroutine[Any, Any, _T]]:
    """Return the same method for a class whose ``_ask`` is awaited: it hands on what that gives."""
    return method  # type: ignore[return-value]


class AsyncClient:
    """`Client` for asyncio: the same methods, to be awaited.

    Parameters
    ----------
    url, key, timeout, retries, transport
        As for `Client`; the transport is an ``httpx.AsyncBaseTransport``.

    Examples
    --------
    With a server there::

        async with AsyncClient("http://localhost:8400") as client:
            films = await client.collection("films")
            hits = await films.search(query, k=10)
            async for page in films.scroll():
                ...
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: int = 3,
        transport: Any = None,
    ) -> None:
        self._address = Address(url, key, timeout, retries)
        self._http = httpx_or_why().AsyncClient(**self._address.settings(transport))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._address.url!r})"

    collections = _awaited(Client.collections)
    remove = _awaited(Client.remove)
    aliases = _awaited(Client.aliases)
    switch_alias = _awaited(Client.switch_alias)
    remove_alias = _awaited(Client.remove_alias)
    models = _awaited(Client.models)
    embed = _awaited(Client.embed)
    operations = _awaited(Client.operations)
    operation = _awaited(Client.operation)
    retry = _awaited(Client.retry)
    cancel = _awaited(Client.cancel)

    async def create(
        self,
        name: str,
        dim: int | None = None,
        metric: str | None = None,
        *,
        dtype: str | None = None,
        fields: Mapping[str, Any] | None = None,
        index: Sequence[str] | None = None,
        encoder: str | Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> AsyncRemoteCollection:
        """See `Client.create`."""
        asked = requests.create(name, dim, metric, dtype, fields, index, encoder, idempotency_key)
        return AsyncRemoteCollection(self, name, await self._ask(asked))

    async def collection(self, name: str) -> AsyncRemoteCollection:
        """See `Client.collection`."""
        return AsyncRemoteCollection(self, name, await self._ask(requests.schema_of(name)))

    async def wait(self, operation: Operation, timeout: float | None = None) -> Mapping[str, Any]:
        """See `Client.wait`."""
        pauses = pauses_of(operation, timeout)
        while not operation.is_over:
            await asyncio.sleep(next(pauses))
            operation = await self.operation(operation.id)
        return operation.outcome()

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, call: Call[_T]) -> _T:
        import httpx

        sent = {"content": call.content(), "headers": call.headers()}
        attempt = 0
        while True:
            found = failure = None
            try:
                found = await self._http.request(call.method, call.path, **sent)
            except httpx.TransportError as error:
                failure = error
            pause = self._address.pause(attempt, call, found, failure)
            if pause is None and found is not None:
                return answer(call, found)
            await asyncio.sleep(pause or 0.0)
            attempt += 1


class AsyncRemoteCollection:
    """`RemoteCollection` for asyncio: the same methods, to be awaited; it has no ``len``.

    Attributes
    ----------
    name : str
    schema : Schema
    """

    def __init__(self, client: AsyncClient, name: str, schema: Schema) -> None:
        self._client = client
        self.name = name
        self.schema = schema

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r} at {self._client._address.url})"

    info = _awaited(RemoteCollection.info)
    upsert = _awaited(RemoteCollection.upsert)
    set_payloads = _awaited(RemoteCollection.set_payloads)
    delete = _awaited(RemoteCollection.delete)
    get = _awaited(RemoteCollection.get)
    search = _awaited(RemoteCollection.search)
    together = _awaited(RemoteCollection.together)
    count = _awaited(RemoteCollection.count)
    optimize = _awaited(RemoteCollection.optimize)
    verify = _awaited(RemoteCollection.verify)
    import_ = _awaited(RemoteCollection.import_)
    snapshot = _awaited(RemoteCollection.snapshot)
    snapshots = _awaited(RemoteCollection.snapshots)
    remove_snapshot = _awaited(RemoteCollection.remove_snapshot)
    restore = _awaited(RemoteCollection.restore)

    async def scroll(
        self,
        where: Where = None,
        *,
        batch: int = 1000,
        vectors: bool = False,
        after: Any = None,
    ) -> AsyncIterator[Points]:
        """See `RemoteCollection.scroll`."""
        while True:
            call = requests.page(self.name, self.schema, where, batch, vectors, after)
            found, after = await self._ask(call)
            if len(found):
                yield found
            if after is None:
                return

    async def _ask(self, call: Call[_T]) -> _T:
        return await self._client._ask(call)
