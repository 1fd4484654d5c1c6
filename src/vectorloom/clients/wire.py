# SPDX-License-Identifier: Apache-2.0
"""What is said to a server and what its answers mean, without sending anything.

Dense vectors go out as base64 of little-endian float32, so that what arrives is what was given;
sparse ones and several a point as JSON, whose decimals give float32 back as well.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import (
    CapacityError,
    FormatError,
    ParameterError,
    ShapeError,
    VectorloomError,
)
from vectorloom.index.multivector.token_vectors import TokenVectors
from vectorloom.index.sparse.sparse_rows import SparseRows
from vectorloom.store import PointHits, Points
from vectorloom.store.points import checked_ids, checked_texts, packed_payloads, plain_rows
from vectorloom.store.reading import packed_queries
from vectorloom.store.schema import FieldSchema, Schema
from vectorloom.store.stored import Stored, decoded, encoded
from vectorloom.vectors import as_dense

_T = TypeVar("_T")
Where = Mapping[str, Any] | None


class ServerError(VectorloomError):
    """A server refused, or could not do, what was asked.

    Attributes
    ----------
    status : int
        Of HTTP.
    kind : str
        In one word, as the server has it: ``"NotFound"``, ``"Forbidden"``, ….
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(f"{message} (HTTP {status}, {kind})")
        self.status, self.kind = status, kind


class Call(NamedTuple, Generic[_T]):
    """One request and what its answer is read as."""

    method: str
    path: str
    body: dict[str, Any] | None
    read: Callable[[Any], _T]


def content(call: Call[Any]) -> bytes | None:
    """Return the body of a request as it is sent; None where there is none."""
    if call.body is None:
        return None
    return json.dumps(call.body, allow_nan=False, separators=(",", ":")).encode()


def answer(call: Call[_T], status: int, body: bytes) -> _T:
    """Return what an answer says, or raise what it tells.

    Raises
    ------
    ParameterError, ShapeError, CapacityError, ServerError
    """
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    if status >= 400:
        raise _raised(status, data)
    try:
        return call.read(data)
    except VectorloomError:
        raise
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise FormatError(
            f"{call.method} {call.path}: the answer is not one of a vectorloom server ({error!r}). "
            "Is this its address?"
        ) from error


def _raised(status: int, data: Any) -> VectorloomError:
    told = data.get("error") if isinstance(data, dict) else None
    if not isinstance(told, dict):
        return ServerError(status, "Unknown", "the server did not say why it refused.")
    kind, message = str(told.get("kind")), str(told.get("message"))
    if status == 422:
        return ShapeError(message) if kind == "ShapeError" else ParameterError(message)
    if status == 507:
        return CapacityError(message)
    return ServerError(status, kind, message)


# ---- what can be asked -------------------------------------------------------------------------


def list_names() -> Call[list[str]]:
    """Ask for the names of all collections that the key covers."""
    return Call("GET", "/v1/collections", None, lambda data: [str(x) for x in data["collections"]])


def create(
    name: str,
    dim: int | None,
    metric: str | None,
    dtype: str | None,
    fields: Mapping[str, Any] | None,
    index: Sequence[str] | None,
) -> Call[Schema]:
    """Create a collection."""
    asked = {
        "dim": dim, "metric": metric, "dtype": dtype,
        "fields": None if fields is None else {key: value for key, value in fields.items()},
        "index": None if index is None else list(index),
    }  # fmt: skip
    body = {key: value for key, value in asked.items() if value is not None}
    return Call("PUT", _path(name), body, _schema)


def describe(name: str) -> Call[dict[str, Any]]:
    """Ask what a collection holds."""
    return Call("GET", _path(name), None, dict)


def schema_of(name: str) -> Call[Schema]:
    """Ask what a collection is made of."""
    return Call("GET", _path(name), None, _schema)


def upsert(
    name: str, schema: Schema, ids: Any, vectors: Any, payloads: Any, texts: Any
) -> Call[int]:
    """Store points."""
    known = checked_ids(ids, None, None)
    n = len(known)
    packed: Any = None
    if vectors is None and texts is not None:
        pass  # the server encodes
    elif isinstance(vectors, Mapping):
        packed = {
            key: _packed_rows(_field(schema, key), rows, f"vectors[{key!r}]", n)
            for key, rows in vectors.items()
        }
    else:
        packed = _packed_rows(schema.fields[0], vectors, "vectors", n)
    body: dict[str, Any] = {"ids": known.tolist()}
    if packed is not None:
        body["vectors"] = packed
    if payloads is not None:
        packed_json = packed_payloads(payloads, n)
        body["payloads"] = [None if text is None else json.loads(text) for text in packed_json]
    if texts is not None:
        body["texts"] = checked_texts(texts, n)
    return Call("POST", _path(name, "points"), body, lambda data: int(data["stored"]))


def delete(name: str, ids: Any, where: Where) -> Call[int]:
    """Remove points."""
    if (ids is None) == (where is None):
        raise ParameterError("give either ids or where to say what is to be deleted.")
    body = {"where": where} if ids is None else {"ids": checked_ids(ids, None, None).tolist()}
    return Call("POST", _path(name, "points", "delete"), body, lambda data: int(data["removed"]))


def get(name: str, schema: Schema, ids: Any, missing: str, vectors: bool) -> Call[Points]:
    """Ask for points by id."""
    known = checked_ids(list(dict.fromkeys(ids)), None, None)

    def read(data: Any) -> Points:
        found = _points(data["points"], schema, vectors)
        if missing == "raise" and len(found) < len(known):
            there = set(found.ids.tolist())
            absent = [id_ for id_ in known.tolist() if id_ not in there]
            raise ParameterError(
                f"{len(absent)} of {len(known)} ids are not in this collection, first "
                f"{absent[0]!r}. Pass missing='ignore' to get the others."
            )
        return found

    body = {"ids": known.tolist(), "vectors": vectors}
    return Call("POST", _path(name, "points", "get"), body, read)


def count(name: str, where: Where) -> Call[int]:
    """Ask how many points there are."""
    body = {} if where is None else {"where": where}
    return Call("POST", _path(name, "points", "count"), body, lambda data: int(data["points"]))


def page(
    name: str, schema: Schema, where: Where, batch: int, vectors: bool, after: Any
) -> Call[tuple[Points, Any]]:
    """Ask for a page of points, and the id that the next page is behind."""
    body = {"where": where, "limit": batch, "vectors": vectors, "after": after}
    body = {key: value for key, value in body.items() if value is not None}
    return Call(
        "POST",
        _path(name, "points", "scroll"),
        body,
        lambda data: (_points(data["points"], schema, vectors), data["next"]),
    )


def search(
    name: str,
    schema: Schema,
    query: Any,
    k: int,
    where: Where,
    field: str | None,
    **more: Any,
) -> Call[PointHits]:
    """Ask for the nearest points of one query or several, in the forms that a collection takes."""
    own = schema.fields[schema.place(field)]
    texts = [query] if isinstance(query, str) else query
    if isinstance(texts, list | tuple) and texts and isinstance(texts[0], str):
        asked: dict[str, Any] = {"texts": list(texts)}
    else:
        asked = {"vectors": _packed_queries(own, query)}
    body = asked | {"k": k, "where": where, "field": field, **more}
    body = {key: value for key, value in body.items() if value is not None}
    return Call(
        "POST",
        _path(name, "search"),
        body,
        lambda data: _hits(data["queries"], k, str(data["metric"]), data.get("plan")),
    )


def _path(name: str, *more: str) -> str:
    if not name:
        raise ParameterError("the name of a collection must not be empty.")
    return "/".join(["/v1/collections", quote(name, safe=""), *more])


def _field(schema: Schema, name: Any) -> FieldSchema:
    return schema.fields[schema.place(name)]


def _packed_rows(field: FieldSchema, rows: Any, name: str, n: int) -> Any:
    if rows is None:
        raise ParameterError(f"{name} must be given, or texts that the server can encode.")
    if field.kind == "dense":
        values = as_dense(rows, name=name, dim=field.dim, allow_empty=True)
        found = len(values)
        packed: Any = _base64(values)
    else:
        plain = replace(field, dtype="float32")  # the server rounds
        held = encoded(plain, rows, name)
        found = len(held)
        packed = plain_rows(decoded(plain, held))
    if found != n:
        raise ShapeError(f"{n} ids came with {found} {name}; give one of each a point.")
    return packed


def _packed_queries(field: FieldSchema, query: Any) -> Any:
    queries = packed_queries(field, query)
    if isinstance(queries, SparseRows):
        held = Stored((queries.terms, queries.weights), None, queries.starts)
        return plain_rows(decoded(field, held))
    if isinstance(queries, TokenVectors):
        return plain_rows(list(queries.items()))
    return _base64(queries)


def _base64(values: NDArray[Any]) -> dict[str, str]:
    return {"base64": base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()}


# ---- what is answered --------------------------------------------------------------------------


def _schema(data: Any) -> Schema:
    return Schema(
        tuple(FieldSchema.from_dict(each) for each in data["fields"]), tuple(data["index"])
    )


def _ids(rows: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
    ids = [row["id"] for row in rows]
    return np.array(ids, object if ids and isinstance(ids[0], str) else np.int64)


def _points(rows: Sequence[Mapping[str, Any]], schema: Schema, vectors: bool) -> Points:
    found: Any = None
    if vectors:
        single = len(schema.fields) == 1
        named = {
            field.name: _vectors(
                field, [row["vector"] if single else row["vectors"][field.name] for row in rows]
            )
            for field in schema.fields
        }
        found = next(iter(named.values())) if single else named
    return Points(
        _ids(rows), [row["payload"] for row in rows], [row["text"] for row in rows], found
    )


def _vectors(field: FieldSchema, rows: list[Any]) -> Any:
    if field.kind == "dense":
        return np.array(rows, np.float32).reshape(len(rows), field.dim)
    plain = replace(field, dtype="float32", metric="ip")
    return decoded(plain, encoded(plain, rows, "vectors"))


def _hits(lists: Sequence[Any], k: int, metric: str, plan: str | None) -> PointHits:
    n = len(lists)
    counts = np.array([len(rows) for rows in lists], np.int64)
    held = np.arange(k) < counts[:, None]
    flat = [row for rows in lists for row in rows]
    some = _ids(flat)
    ids = np.full((n, k), None if some.dtype == object else -1, some.dtype)
    ids[held] = some
    scores = np.full((n, k), -np.inf, np.float32)
    distances = np.full((n, k), np.inf, np.float32)
    # What is beyond float32 comes as null.
    scores[held] = [-np.inf if row["score"] is None else row["score"] for row in flat]
    distances[held] = [np.inf if row["distance"] is None else row["distance"] for row in flat]
    payloads = [[row["payload"] for row in rows] for rows in lists]
    texts = [[row["text"] for row in rows] for rows in lists]
    plans = None if plan is None else (plan,) * n
    return PointHits(ids, scores, distances, counts, metric, plans, payloads, texts)
