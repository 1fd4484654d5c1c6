# SPDX-License-Identifier: Apache-2.0
"""Clients of ``vectorloom serve``: the methods of a collection, over HTTP; needs httpx."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from vectorloom.clients import wire
from vectorloom.clients.connection import Address, httpx_or_why
from vectorloom.clients.wire import Call, Where
from vectorloom.estimator import check_choice, check_count
from vectorloom.store import PointHits, Points
from vectorloom.store.schema import Schema

if TYPE_CHECKING:
    from typing_extensions import Self

_T = TypeVar("_T")


class Client:
    """A connection to ``vectorloom serve``.

    Parameters
    ----------
    url : str
        Such as ``"http://localhost:8400"``.
    key : str, default=None
        Where the server asks for one.
    timeout : float, default=30.0
        Seconds without an answer after which a call is given up.
    retries : int, default=3
        How often a call is repeated that the server had no time for (429, 503), or that never
        reached it; with growing pauses, or as long as the server says.
    transport : httpx.BaseTransport, default=None
        In place of the network.

    Raises
    ------
    DependencyError
        httpx is not installed.

    Notes
    -----
    May be used by several threads. Every call raises `ServerError` for what the server refuses
    (keys, unknown collections), `ParameterError` and `ShapeError` for what cannot be meant, as the
    library does, `CapacityError` when its disk is full, `ConnectionError` and `TimeoutError` when
    there is no answer.

    Examples
    --------
    >>> client = Client("http://localhost:8400", key="vl_key")
    >>> client
    Client('http://localhost:8400')

    What it asks, with a server there::

        films = client.create("films", dim=384, index=["year"])
        films.upsert(["bus"], vectors, payloads=[{"year": 1994}])
        hits = films.search(query, k=10, where={"year": {"$gte": 1990}})
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
        self._http = httpx_or_why().Client(**self._address.settings(transport))

    def __repr__(self) -> str:
        return f"Client({self._address.url!r})"

    def collections(self) -> list[str]:
        """Return the names of the collections that the key covers."""
        return self._ask(wire.list_names())

    def create(
        self,
        name: str,
        dim: int | None = None,
        metric: str | None = None,
        *,
        dtype: str | None = None,
        fields: Mapping[str, Any] | None = None,
        index: Sequence[str] | None = None,
    ) -> RemoteCollection:
        """Create a collection; the parameters are those of `vectorloom.collection`.

        Raises
        ------
        ServerError
            There is one of this name (409), or the key may not write (403).
        """
        schema = self._ask(wire.create(name, dim, metric, dtype, fields, index))
        return RemoteCollection(self, name, schema)

    def collection(self, name: str) -> RemoteCollection:
        """Return a collection that is there.

        Raises
        ------
        ServerError
            There is none (404), or the key does not cover it (403).
        """
        return RemoteCollection(self, name, self._ask(wire.schema_of(name)))

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, call: Call[_T]) -> _T:
        import httpx

        body = wire.content(call)
        attempt = 0
        while True:
            answer = failure = None
            try:
                answer = self._http.request(call.method, call.path, content=body)
            except httpx.TransportError as error:
                failure = error
            pause = self._address.pause(attempt, answer, failure)
            if pause is None and answer is not None:
                return wire.answer(call, answer.status_code, answer.content)
            time.sleep(pause or 0.0)
            attempt += 1


class RemoteCollection:
    """A collection on a server, with the methods of `vectorloom.Collection`.

    Made by `Client.collection` and `Client.create`. One call is one request, of up to 10,000 points
    and 64 MiB, and one commit.

    Attributes
    ----------
    name : str
    schema : Schema
        Fields of vectors, as they were when this was made.
    """

    def __init__(self, client: Client, name: str, schema: Schema) -> None:
        self._client = client
        self.name = name
        self.schema = schema

    def __repr__(self) -> str:
        return f"RemoteCollection({self.name!r} at {self._client._address.url})"

    def __len__(self) -> int:
        return self.count()

    def info(self) -> dict[str, Any]:
        """Return what the collection holds and how far its upkeep is."""
        return self._client._ask(wire.describe(self.name))

    def upsert(
        self,
        ids: Any,
        vectors: Any = None,
        payloads: Sequence[Mapping[str, Any] | None] | None = None,
        texts: Sequence[str | None] | None = None,
    ) -> int:
        """Store points, replacing whole those whose ids are there; durable when it returns.

        Parameters
        ----------
        ids : array-like of shape (n,), int64 or str
        vectors : array-like of shape (n, dim), or dict of field to such, default=None
            In the forms that `vectorloom.Collection.upsert` takes; sent as float32. None lets the
            server's model encode `texts`.
        payloads : list of mapping or None, default=None
        texts : list of str or None, default=None

        Returns
        -------
        int
            Points stored.
        """
        call = wire.upsert(self.name, self.schema, ids, vectors, payloads, texts)
        return self._client._ask(call)

    def delete(self, ids: Any = None, *, where: Where = None) -> int:
        """Remove points by id, or all that a filter leaves; return how many."""
        return self._client._ask(wire.delete(self.name, ids, where))

    def get(self, ids: Any, *, missing: str = "raise", vectors: bool = True) -> Points:
        """Return points by id, in the order asked.

        Parameters
        ----------
        ids : list of int64 or str
        missing : {"raise", "ignore"}, default="raise"
        vectors : bool, default=True

        Returns
        -------
        Points
        """
        check_choice("missing", missing, ("ignore", "raise"))
        return self._client._ask(wire.get(self.name, self.schema, ids, missing, vectors))

    def search(
        self,
        query: Any,
        k: int = 10,
        where: Where = None,
        field: str | None = None,
        *,
        by: str | None = None,
        recall: float | None = None,
        exact: bool = False,
        payloads: bool = True,
        explain: bool = False,
    ) -> PointHits:
        """Return the k nearest points of each query.

        Parameters
        ----------
        query : array-like of shape (dim,) or (n_queries, dim), or str, or list of str
            In the forms that `vectorloom.Collection.search` takes. Text is encoded by the server's
            model, or looked for by its words where there is none.
        k : int, default=10
        where : mapping, default=None
        field : str, default=None
        by : {"vectors", "words"}, default=None
            ``"words"`` ranks stored texts by BM25.
        recall : float, default=None
        exact : bool, default=False
        payloads : bool, default=True
        explain : bool, default=False

        Returns
        -------
        PointHits
        """
        _check_by(by)
        call = wire.search(
            self.name, self.schema, query, check_count("k", k), where, field,
            by=by, recall=recall, exact=exact, payloads=payloads, explain=explain,
        )  # fmt: skip
        return self._client._ask(call)

    def count(self, where: Where = None) -> int:
        """Return how many points there are, or how many a filter leaves."""
        return self._client._ask(wire.count(self.name, where))

    def scroll(
        self,
        where: Where = None,
        *,
        batch: int = 1000,
        vectors: bool = False,
        after: Any = None,
    ) -> Iterator[Points]:
        """Yield all points that a filter leaves in the order of their ids, a request a page."""
        while True:
            call = wire.page(self.name, self.schema, where, batch, vectors, after)
            found, after = self._client._ask(call)
            if len(found):
                yield found
            if after is None:
                return


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
        return f"AsyncClient({self._address.url!r})"

    async def collections(self) -> list[str]:
        """See `Client.collections`."""
        return await self._ask(wire.list_names())

    async def create(
        self,
        name: str,
        dim: int | None = None,
        metric: str | None = None,
        *,
        dtype: str | None = None,
        fields: Mapping[str, Any] | None = None,
        index: Sequence[str] | None = None,
    ) -> AsyncRemoteCollection:
        """See `Client.create`."""
        schema = await self._ask(wire.create(name, dim, metric, dtype, fields, index))
        return AsyncRemoteCollection(self, name, schema)

    async def collection(self, name: str) -> AsyncRemoteCollection:
        """See `Client.collection`."""
        return AsyncRemoteCollection(self, name, await self._ask(wire.schema_of(name)))

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, call: Call[_T]) -> _T:
        import httpx

        body = wire.content(call)
        attempt = 0
        while True:
            answer = failure = None
            try:
                answer = await self._http.request(call.method, call.path, content=body)
            except httpx.TransportError as error:
                failure = error
            pause = self._address.pause(attempt, answer, failure)
            if pause is None and answer is not None:
                return wire.answer(call, answer.status_code, answer.content)
            await asyncio.sleep(pause or 0.0)
            attempt += 1


class AsyncRemoteCollection:
    """`RemoteCollection` for asyncio: the same methods, to be awaited.

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
        return f"AsyncRemoteCollection({self.name!r} at {self._client._address.url})"

    async def info(self) -> dict[str, Any]:
        """See `RemoteCollection.info`."""
        return await self._client._ask(wire.describe(self.name))

    async def upsert(
        self,
        ids: Any,
        vectors: Any = None,
        payloads: Sequence[Mapping[str, Any] | None] | None = None,
        texts: Sequence[str | None] | None = None,
    ) -> int:
        """See `RemoteCollection.upsert`."""
        call = wire.upsert(self.name, self.schema, ids, vectors, payloads, texts)
        return await self._client._ask(call)

    async def delete(self, ids: Any = None, *, where: Where = None) -> int:
        """See `RemoteCollection.delete`."""
        return await self._client._ask(wire.delete(self.name, ids, where))

    async def get(self, ids: Any, *, missing: str = "raise", vectors: bool = True) -> Points:
        """See `RemoteCollection.get`."""
        check_choice("missing", missing, ("ignore", "raise"))
        return await self._client._ask(wire.get(self.name, self.schema, ids, missing, vectors))

    async def search(
        self,
        query: Any,
        k: int = 10,
        where: Where = None,
        field: str | None = None,
        *,
        by: str | None = None,
        recall: float | None = None,
        exact: bool = False,
        payloads: bool = True,
        explain: bool = False,
    ) -> PointHits:
        """See `RemoteCollection.search`."""
        _check_by(by)
        call = wire.search(
            self.name, self.schema, query, check_count("k", k), where, field,
            by=by, recall=recall, exact=exact, payloads=payloads, explain=explain,
        )  # fmt: skip
        return await self._client._ask(call)

    async def count(self, where: Where = None) -> int:
        """See `RemoteCollection.count`."""
        return await self._client._ask(wire.count(self.name, where))

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
            call = wire.page(self.name, self.schema, where, batch, vectors, after)
            found, after = await self._client._ask(call)
            if len(found):
                yield found
            if after is None:
                return


def _check_by(by: str | None) -> None:
    if by is not None:
        check_choice("by", by, ("vectors", "words"))
