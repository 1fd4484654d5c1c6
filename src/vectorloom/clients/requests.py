# SPDX-License-Identifier: Apache-2.0
"""What can be asked of a server, without sending anything: each function returns a `Call`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from vectorloom.clients.operation import Operation
from vectorloom.clients.wire import (
    ARROW,
    Call,
    packed_points,
    packed_query,
    plain_payloads,
    read_embeddings,
    read_hits,
    read_next,
    read_points,
    read_schema,
    read_together,
)
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count
from vectorloom.store import PointHits, Points
from vectorloom.store.filter_grammar import TEXT
from vectorloom.store.points import FusedHits, checked_ids
from vectorloom.store.schema import Schema

Where = Mapping[str, Any] | None
_ALL = "/v1/collections"


# ---- collections --------------------------------------------------------------------------------


def list_names() -> Call[list[str]]:
    """Ask for the names of all collections that the key covers."""
    return Call("GET", _ALL, lambda data: [str(name) for name in data["collections"]])


def create(
    name: str,
    dim: int | None,
    metric: str | None,
    dtype: str | None,
    fields: Mapping[str, Any] | None,
    index: Sequence[str] | None,
    encoder: str | Mapping[str, str] | None,
    key: str | None,
) -> Call[Schema]:
    """Create a collection."""
    body = {
        "dim": dim, "metric": metric, "dtype": dtype,
        "fields": None if fields is None else dict(fields),
        "index": None if index is None else list(index),
        "encoder": encoder,
    }  # fmt: skip
    return Call("PUT", _path(name), read_schema, _given(body), key=key)


def remove(name: str, key: str | None) -> Call[None]:
    """Remove a collection."""
    return Call("DELETE", _path(name), lambda data: _only(data["removed"]), key=key)


def describe(name: str) -> Call[dict[str, Any]]:
    """Ask what a collection holds."""
    return Call("GET", _path(name), dict)


def schema_of(name: str) -> Call[Schema]:
    """Ask what a collection is made of."""
    return Call("GET", _path(name), read_schema)


def aliases() -> Call[dict[str, str]]:
    """Ask which collection each alias leads to."""
    return Call("GET", "/v1/aliases", lambda data: dict(data["aliases"]))


def switch_alias(alias: str, name: str) -> Call[None]:
    """Let an alias lead to a collection."""
    return Call("PUT", _alias(alias), lambda data: _only(data["alias"]), {"collection": name})


def remove_alias(alias: str) -> Call[None]:
    """Remove an alias."""
    return Call("DELETE", _alias(alias), lambda data: _only(data["removed"]))


def models() -> Call[list[str]]:
    """Ask for the names of the mounted models."""
    return Call("GET", "/v1/models", lambda data: [str(each["id"]) for each in data["data"]])


def embed(
    model: str, texts: str | Sequence[str], dimensions: int | None
) -> Call[NDArray[np.float32]]:
    """Ask for the vectors of texts."""
    given = [texts] if isinstance(texts, str) else list(texts)
    body = {
        "model": model, "input": given, "encoding_format": "base64", "dimensions": dimensions,
    }  # fmt: skip
    return Call("POST", "/v1/embeddings", read_embeddings, _given(body))


# ---- points -------------------------------------------------------------------------------------


def upsert(
    name: str,
    schema: Schema,
    ids: Any,
    vectors: Any,
    payloads: Any,
    texts: Any,
    key: str | None,
) -> Call[int]:
    """Store points."""
    body = packed_points(schema, ids, vectors, payloads, texts)
    return Call("POST", _path(name, "points"), lambda data: int(data["stored"]), body, key=key)


def set_payloads(name: str, ids: Any, payloads: Any, key: str | None) -> Call[None]:
    """Replace payloads."""
    known = checked_ids(ids, None, None)
    body = {"ids": known.tolist(), "payloads": plain_payloads(payloads, len(known))}
    path = _path(name, "points", "payloads")
    return Call("POST", path, lambda data: _only(data["changed"]), body, key=key)


def delete(name: str, ids: Any, where: Where, key: str | None) -> Call[int]:
    """Remove points."""
    if (ids is None) == (where is None):
        raise ParameterError("give either ids or where to say what is to be deleted.")
    body = {"where": where} if ids is None else {"ids": checked_ids(ids, None, None).tolist()}
    path = _path(name, "points", "delete")
    return Call("POST", path, lambda data: int(data["removed"]), body, key=key)


def get(name: str, schema: Schema, ids: Any, missing: str, vectors: bool) -> Call[Points]:
    """Ask for points by id."""
    check_choice("missing", missing, ("ignore", "raise"))
    if isinstance(ids, str | bytes | int) or not hasattr(ids, "__iter__"):
        raise ShapeError(f"ids must be a list; got {ids!r}. For one point pass [{ids!r}].")
    wanted = ids.tolist() if hasattr(ids, "tolist") else ids
    known = checked_ids(list(dict.fromkeys(wanted)), None, None)

    def read(table: Any) -> Points:
        found = read_points(table, schema, vectors)
        if missing == "raise" and len(found) < len(known):
            there = set(found.ids.tolist())
            absent = [id_ for id_ in known.tolist() if id_ not in there]
            raise ParameterError(
                f"{len(absent)} of {len(known)} ids are not in this collection, first "
                f"{absent[0]!r}. Pass missing='ignore' to get the others."
            )
        return found

    body = {"ids": known.tolist(), "vectors": vectors}
    return Call("POST", _path(name, "points", "get"), read, body, ARROW)


def count(name: str, where: Where) -> Call[int]:
    """Ask how many points there are."""
    path = _path(name, "points", "count")
    return Call("POST", path, lambda data: int(data["points"]), _given({"where": where}))


def page(
    name: str, schema: Schema, where: Where, batch: int, vectors: bool, after: Any
) -> Call[tuple[Points, Any]]:
    """Ask for a page of points, and the id that the next page is behind."""
    limit = check_count("batch", batch)
    body = {"where": where, "limit": limit, "vectors": vectors, "after": after}

    def read(table: Any) -> tuple[Points, Any]:
        return read_points(table, schema, vectors), read_next(table)

    return Call("POST", _path(name, "points", "scroll"), read, _given(body), ARROW)


def search(
    name: str,
    schema: Schema,
    query: Any,
    k: int,
    where: Where,
    field: str | None,
    by: str | None,
    payloads: bool,
    **more: Any,
) -> Call[PointHits]:
    """Ask for the nearest points of one query or several, in the forms that a collection takes."""
    k = check_count("k", k)
    if by is not None:
        check_choice("by", by, ("vectors", "words"))
    own = schema.fields[schema.place(field)]
    texts = [query] if isinstance(query, str) else query
    if isinstance(texts, list | tuple) and texts and isinstance(texts[0], str):
        asked: dict[str, Any] = {"texts": list(texts)}
    else:
        asked = {"vectors": packed_query(own, query)}
    asked |= {"k": k, "where": where, "field": field, "by": by, "payloads": payloads, **more}

    def read(data: Any) -> PointHits:
        return read_hits(data["queries"], k, str(data["metric"]), data.get("plan"), payloads)

    return Call("POST", _path(name, "search"), read, _given(asked))


def together(
    name: str,
    schema: Schema,
    queries: Mapping[str, Any],
    k: int,
    where: Where,
    payloads: bool,
    **more: Any,
) -> Call[FusedHits]:
    """Ask for one ranking of several fields."""
    k = check_count("k", k)
    if not hasattr(queries, "items") or not queries:
        raise ParameterError(
            "queries must map fields, or '$text', to what each is asked; got "
            f"{type(queries).__name__}."
        )
    asked = {leg: _leg(schema, leg, query) for leg, query in queries.items()}
    body = {"queries": asked, "k": k, "where": where, "payloads": payloads, **more}
    path = _path(name, "together")
    return Call(
        "POST", path, lambda data: read_together(data, list(asked), k, payloads), _given(body)
    )


def _leg(schema: Schema, name: str, query: Any) -> Any:
    if isinstance(query, list) and len(query) == 1 and isinstance(query[0], str):
        query = query[0]
    if isinstance(query, str):
        return query
    if name == TEXT:
        raise ParameterError(f"{TEXT} takes one text; got {type(query).__name__}.")
    packed = packed_query(schema.fields[schema.place(name)], query)
    if isinstance(packed, Mapping):
        return packed
    if len(packed) != 1:
        raise ParameterError(
            f"one query is taken for each field over HTTP; {name!r} has {len(packed)}."
        )
    return packed[0]


# ---- long work ----------------------------------------------------------------------------------


def begin(name: str, work: str, key: str | None, **request: Any) -> Call[Operation]:
    """Ask for work that outlasts a request: optimize, verify, import, snapshots, restore."""
    body = _given(request) or None
    # Begun once however often it is sent: with its answer lost nobody would know its id.
    return Call(
        "POST", _path(name, work), Operation.from_dict, body, key=key or secrets.token_hex(16)
    )


def snapshots(name: str) -> Call[list[dict[str, Any]]]:
    """Ask for the snapshots of a collection."""
    return Call("GET", _path(name, "snapshots"), lambda data: list(data["snapshots"]))


def remove_snapshot(name: str, snapshot: str) -> Call[None]:
    """Remove a snapshot."""
    path = _path(name, "snapshots", quote(snapshot, safe=""))
    return Call("DELETE", path, lambda data: _only(data["removed"]))


def operations() -> Call[list[Operation]]:
    """Ask for all operations."""

    def read(data: Any) -> list[Operation]:
        return [Operation.from_dict(each) for each in data["operations"]]

    return Call("GET", "/v1/operations", read)


def operation(id_: str, then: str | None = None) -> Call[Operation]:
    """Ask how far an operation is; or for its retry or its cancel."""
    if not id_:
        raise ParameterError("the id of an operation must not be empty.")
    path = f"/v1/operations/{quote(id_, safe='')}"
    if then is None:
        return Call("GET", path, Operation.from_dict)
    return Call("POST", f"{path}/{then}", Operation.from_dict)


# ---- inside -------------------------------------------------------------------------------------


def _path(name: str, *more: str) -> str:
    if not name:
        raise ParameterError("the name of a collection must not be empty.")
    return "/".join([_ALL, quote(name, safe=""), *more])


def _alias(name: str) -> str:
    if not name:
        raise ParameterError("the name of an alias must not be empty.")
    return f"/v1/aliases/{quote(name, safe='')}"


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}


def _only(told: Any) -> None:
    """Take note of an answer that must be there and says nothing new."""
