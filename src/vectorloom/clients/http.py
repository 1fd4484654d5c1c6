# SPDX-License-Identifier: Apache-2.0
"""Clients of ``vectorloom serve``: the methods of a collection, over HTTP; needs httpx.

What is asked and how its answer is read is said once, in `vectorloom.clients.requests` and in the
methods below, which hand on what ``_ask`` gives: `vectorloom.clients.awaited` has the same methods
over a connection whose answers are awaited.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.clients import requests
from vectorloom.clients.connection import Address, httpx_or_why
from vectorloom.clients.operation import Operation
from vectorloom.clients.requests import Where
from vectorloom.clients.wire import Call, answer
from vectorloom.store import PointHits, Points
from vectorloom.store.points import FusedHits
from vectorloom.store.schema import Schema

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, Self

    _P = ParamSpec("_P")

_T = TypeVar("_T")
# Between two questions of `wait`.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0


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
        reached it; with growing pauses, or as long as the server says. One that only reads, begins
        long work or has an `idempotency_key` is repeated too where its answer was lost.
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

    Writes take an `idempotency_key`, up to 200 printable ASCII characters: sent again with the same
    key, also by another process, within a day, a write is not done again but answered as it was.

    Examples
    --------
    >>> client = Client("http://localhost:8400", key="vl_key")
    >>> client
    Client('http://localhost:8400')

    What it asks, with a server there::

        films = client.create("films", dim=384, index=["year"])
        films.upsert(["bus"], vectors, payloads=[{"year": 1994}])
        hits = films.search(query, k=10, where={"year": {"$gte": 1990}})
        client.wait(films.optimize())
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
        return f"{type(self).__name__}({self._address.url!r})"

    def collections(self) -> list[str]:
        """Return the names of the collections that the key covers."""
        return self._ask(requests.list_names())

    def create(
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
    ) -> RemoteCollection:
        """Create a collection; the parameters are those of `vectorloom.collection`.

        But for `encoder`: the name of a model that the server has, or one for each field.

        Raises
        ------
        ServerError
            There is one of this name (409), or the key may not write (403).
        """
        asked = requests.create(name, dim, metric, dtype, fields, index, encoder, idempotency_key)
        return self._ask(asked.then(lambda schema: self._opened(name, schema)))

    def collection(self, name: str) -> RemoteCollection:
        """Return a collection that is there, or that an alias leads to.

        Raises
        ------
        ServerError
            There is none (404), or the key does not cover it (403).
        """
        asked = requests.schema_of(name)
        return self._ask(asked.then(lambda schema: self._opened(name, schema)))

    def remove(self, name: str, *, idempotency_key: str | None = None) -> None:
        """Remove a collection with all that is in it; its snapshots stay."""
        return self._ask(requests.remove(name, idempotency_key))

    # ---- names ---------------------------------------------------------------------------------

    def aliases(self) -> dict[str, str]:
        """Return the collection that each alias leads to."""
        return self._ask(requests.aliases())

    def switch_alias(self, alias: str, name: str) -> None:
        """Let an alias lead to a collection, in one step; see `vectorloom.store.switch_alias`."""
        return self._ask(requests.switch_alias(alias, name))

    def remove_alias(self, alias: str) -> None:
        """Remove an alias; the collection stays."""
        return self._ask(requests.remove_alias(alias))

    # ---- models --------------------------------------------------------------------------------

    def models(self) -> list[str]:
        """Return the names of the models that the server has."""
        return self._ask(requests.models())

    def embed(
        self, model: str, texts: str | Sequence[str], dimensions: int | None = None
    ) -> NDArray[np.float32]:
        """Return the vectors (n, dim) of texts by a model of the server.

        Parameters
        ----------
        model : str
        texts : str or list of str
            Up to 2,048, none empty.
        dimensions : int, default=None
            Only so many, brought to unit length where the whole vectors have it.
        """
        return self._ask(requests.embed(model, texts, dimensions))

    # ---- long work -----------------------------------------------------------------------------

    def operations(self) -> list[Operation]:
        """Return the long work on the collections that the key covers, the newest first."""
        return self._ask(requests.operations())

    def operation(self, id_: str) -> Operation:
        """Return how far an operation is.

        Raises
        ------
        ServerError
            There is none (404).
        """
        return self._ask(requests.operation(id_))

    def retry(self, id_: str) -> Operation:
        """Queue an operation again that failed or was interrupted."""
        return self._ask(requests.operation(id_, "retry"))

    def cancel(self, id_: str) -> Operation:
        """Take an operation from the queue, or ask the running one to end."""
        return self._ask(requests.operation(id_, "cancel"))

    def wait(self, operation: Operation, timeout: float | None = None) -> Mapping[str, Any]:
        """Wait until an operation is over and return what it came to.

        Parameters
        ----------
        operation : Operation
        timeout : float, default=None
            Seconds; None waits for ever.

        Returns
        -------
        mapping
            ``result`` of the operation.

        Raises
        ------
        TimeoutError
            It is not over; it goes on.
        ParameterError, ShapeError, CapacityError, ServerError
            It failed, for this reason, or was interrupted.
        """
        pauses = pauses_of(operation, timeout)
        while not operation.is_over:
            time.sleep(next(pauses))
            operation = self.operation(operation.id)
        return operation.outcome()

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- inside --------------------------------------------------------------------------------

    def _opened(self, name: str, schema: Schema) -> RemoteCollection:
        return RemoteCollection(self, name, schema)

    def _ask(self, call: Call[_T]) -> _T:
        import httpx

        sent = {"content": call.content(), "headers": call.headers()}
        attempt = 0
        while True:
            found = failure = None
            try:
                found = self._http.request(call.method, call.path, **sent)
            except httpx.TransportError as error:
                failure = error
            pause = self._address.pause(attempt, call, found, failure)
            if pause is None and found is not None:
                return answer(call, found)
            time.sleep(pause or 0.0)
            attempt += 1


class RemoteCollection:
    """A collection on a server, with the methods of `vectorloom.Collection`.

    Made by `Client.collection` and `Client.create`. One call is one request, of up to 10,000 points
    and 64 MiB, and one commit. Long work is begun and goes on at the server: see `Client.wait`.

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
        return f"{type(self).__name__}({self.name!r} at {self._client._address.url})"

    def __len__(self) -> int:
        return self.count()

    def info(self) -> dict[str, Any]:
        """Return what the collection holds and how far its upkeep is."""
        return self._ask(requests.describe(self.name))

    # ---- points --------------------------------------------------------------------------------

    def upsert(
        self,
        ids: Any,
        vectors: Any = None,
        payloads: Sequence[Mapping[str, Any] | None] | None = None,
        texts: Sequence[str | None] | None = None,
        *,
        idempotency_key: str | None = None,
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
        idempotency_key : str, default=None
            See `Client`.

        Returns
        -------
        int
            Points stored.
        """
        call = requests.upsert(
            self.name, self.schema, ids, vectors, payloads, texts, idempotency_key
        )
        return self._ask(call)

    def set_payloads(
        self,
        ids: Any,
        payloads: Sequence[Mapping[str, Any] | None],
        *,
        idempotency_key: str | None = None,
    ) -> None:
        """Replace the payloads of points that are there, and leave vectors and texts."""
        return self._ask(requests.set_payloads(self.name, ids, payloads, idempotency_key))

    def delete(
        self, ids: Any = None, *, where: Where = None, idempotency_key: str | None = None
    ) -> int:
        """Remove points by id, or all that a filter leaves; return how many."""
        return self._ask(requests.delete(self.name, ids, where, idempotency_key))

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
        return self._ask(requests.get(self.name, self.schema, ids, missing, vectors))

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
        call = requests.search(
            self.name, self.schema, query, k, where, field, by, payloads,
            recall=recall, exact=exact, explain=explain,
        )  # fmt: skip
        return self._ask(call)

    def together(
        self,
        queries: Mapping[str, Any],
        k: int = 10,
        where: Where = None,
        *,
        fusion: str = "rrf",
        weights: Mapping[str, float] | None = None,
        normalise: str = "min-max",
        constant: float = 60.0,
        depth: int = 100,
        recall: float | None = None,
        exact: bool = False,
        payloads: bool = True,
    ) -> FusedHits:
        """Search several fields at once and make one ranking of what they find.

        Parameters
        ----------
        queries : dict of str to query
            One for each field, or for ``"$text"``; a text is encoded by the server's model.
        k, where, fusion, weights, normalise, constant, depth, recall, exact, payloads
            As for `vectorloom.Collection.together`.

        Returns
        -------
        FusedHits
        """
        call = requests.together(
            self.name, self.schema, queries, k, where, payloads, fusion=fusion, weights=weights,
            normalise=normalise, constant=constant, depth=depth, recall=recall, exact=exact,
        )  # fmt: skip
        return self._ask(call)

    def count(self, where: Where = None) -> int:
        """Return how many points there are, or how many a filter leaves."""
        return self._ask(requests.count(self.name, where))

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
            call = requests.page(self.name, self.schema, where, batch, vectors, after)
            found, after = self._ask(call)
            if len(found):
                yield found
            if after is None:
                return

    # ---- long work -----------------------------------------------------------------------------

    def optimize(self, *, idempotency_key: str | None = None) -> Operation:
        """Begin to seal, merge and index all."""
        return self._ask(requests.begin(self.name, "optimize", idempotency_key))

    def verify(self, *, idempotency_key: str | None = None) -> Operation:
        """Begin to check every checksum; ``sound`` and ``problems`` are in its result."""
        return self._ask(requests.begin(self.name, "verify", idempotency_key))

    def import_(
        self,
        file: str,
        *,
        ids: str | None = None,
        vectors: str | None = None,
        text: str | None = None,
        batch: int = 16_384,
        idempotency_key: str | None = None,
    ) -> Operation:
        """Begin to upsert all rows of a file in the server's folder of imports.

        Parameters
        ----------
        file : str
            Its path below that folder.
        ids, vectors, text, batch
            As for `vectorloom.Collection.import_`.
        idempotency_key : str, default=None
        """
        call = requests.begin(
            self.name, "import", idempotency_key, file=file, ids=ids, vectors=vectors, text=text,
            batch=batch,
        )  # fmt: skip
        return self._ask(call)

    def snapshot(self, name: str | None = None, *, idempotency_key: str | None = None) -> Operation:
        """Begin to take a snapshot, which stays at the server; its name is in the result."""
        return self._ask(requests.begin(self.name, "snapshots", idempotency_key, snapshot=name))

    def snapshots(self) -> list[dict[str, Any]]:
        """Return the snapshots of this collection, the newest first."""
        return self._ask(requests.snapshots(self.name))

    def remove_snapshot(self, name: str) -> None:
        """Remove a snapshot."""
        return self._ask(requests.remove_snapshot(self.name, name))

    def restore(self, snapshot: str, to: str, *, idempotency_key: str | None = None) -> Operation:
        """Begin to make a new collection, `to`, of a snapshot of this one."""
        work = {"from": self.name, "snapshot": snapshot}
        return self._ask(requests.begin(to, "restore", idempotency_key, **work))

    # ---- inside --------------------------------------------------------------------------------

    def _ask(self, call: Call[_T]) -> _T:
        return self._client._ask(call)


def pauses_of(operation: Operation, timeout: float | None) -> Iterator[float]:
    """Yield how long to sleep before asking again how far an operation is.

    Raises
    ------
    TimeoutError
    """
    until = None if timeout is None else time.monotonic() + timeout
    pause = _FIRST_PAUSE_S
    while until is None or time.monotonic() < until:
        left = pause if until is None else min(pause, max(0.0, until - time.monotonic()))
        yield left
        pause = min(2 * pause, _LONGEST_PAUSE_S)
    raise TimeoutError(
        f"the {operation.kind} of {operation.collection!r} is not over within {timeout:g} s; it "
        f"goes on. Wait again, or cancel({operation.id!r})."
    )
