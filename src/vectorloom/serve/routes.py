# SPDX-License-Identifier: Apache-2.0
"""What each path does: plain functions from a checked body to plain data."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from vectorloom.errors import ParameterError
from vectorloom.serve.home import Home
from vectorloom.store import Collection, Points
from vectorloom.vectors import as_ids

MAX_K, MAX_QUERIES, MAX_POINTS = 10_000, 1_000, 10_000
# What a request asks for is bounded by what it makes, not by each number alone.
MAX_HITS = 100_000


class Route(NamedTuple):
    """One thing that can be asked of a server."""

    method: str
    path: str
    writes: bool
    handle: Callable[..., Any]
    about: str
    fields: tuple[str, ...] = ()


def _take(body: Any, allowed: tuple[str, ...], needed: tuple[str, ...] = ()) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise ParameterError("the body must be a JSON object.")
    unknown = sorted(set(body) - set(allowed))
    if unknown:
        raise ParameterError(
            f"unknown fields {', '.join(unknown)}; {', '.join(allowed)} are known here."
        )
    missing = [name for name in needed if name not in body]
    if missing:
        raise ParameterError(f"the body lacks {', '.join(missing)}.")
    return body


def _whole(body: Mapping[str, Any], name: str, usual: int, most: int) -> int:
    value = body.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ParameterError(
            f"{name} must be a whole number from 1 to {most:,}; got {value!r:.40}."
        )
    return value


def _truth(body: Mapping[str, Any], name: str, usual: bool) -> bool:
    value = body.get(name, usual)
    if not isinstance(value, bool):
        raise ParameterError(f"{name} must be true or false; got {value!r:.40}.")
    return value


def _share(body: Mapping[str, Any], name: str) -> float | None:
    value = body.get(name)
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise ParameterError(f"{name} must be a number; got {value!r:.40}.")
    return value


def _word(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise ParameterError(f"{name} must be text; got {value!r:.40}.")
    return value


def _where(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    value = body.get("where")
    if value is not None and not isinstance(value, Mapping):
        raise ParameterError(f"where must be an object; got {value!r:.40}.")
    return value


def _list(body: Mapping[str, Any], name: str, most: int) -> list[Any]:
    value = body[name]
    if not isinstance(value, list):
        raise ParameterError(f"{name} must be a list; got {value!r:.40}.")
    if len(value) > most:
        raise ParameterError(f"{name} has {len(value):,} entries; {most:,} at most are taken.")
    return value


def _matrix(value: Any, dim: int) -> Any:
    """Take rows of numbers, or {"base64": little-endian float32} of them."""
    if isinstance(value, Mapping):
        packed = _take(value, ("base64",), ("base64",))["base64"]
        try:
            raw = base64.b64decode(packed, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise ParameterError("base64 is not base64.") from None
        if len(raw) % (4 * dim):
            raise ParameterError(
                f"base64 holds {len(raw)} bytes; rows of {dim} float32 are {4 * dim} bytes each."
            )
        return np.frombuffer(raw, "<f4").reshape(-1, dim).astype(np.float32)
    if not isinstance(value, list):
        raise ParameterError("vectors must be a list of rows, or {'base64': …} of float32.")
    return value


def _vectors(found: Collection, value: Any) -> Any:
    fields = found.schema.fields
    if isinstance(value, Mapping) and set(value) != {"base64"}:
        named = {field.name: field for field in fields}
        if set(value) != set(named):
            raise ParameterError(f"vectors must have the fields {', '.join(named)}.")
        return {name: _matrix(own, named[name].dim) for name, own in value.items()}
    return _matrix(value, fields[0].dim)


# ---- what can be asked --------------------------------------------------------------------------


def list_collections(home: Home) -> Any:
    """Return the names of all collections."""
    return {"collections": home.names()}


def create(home: Home, name: str, body: Any) -> Any:
    """Create a collection."""
    body = _take(body, ("dim", "metric", "dtype", "fields", "index"))
    _word(body, "metric")
    _word(body, "dtype")
    names = body.get("index")
    if names is not None and not (
        isinstance(names, list) and all(isinstance(each, str) for each in names)
    ):
        raise ParameterError(f"index must be a list of names; got {names!r:.40}.")
    home.create(name, {key: value for key, value in body.items() if value is not None})
    return describe(home, name)


def describe(home: Home, name: str) -> Any:
    """Return what a collection holds; no path of the machine."""
    info = home.get(name).info()
    return {key: value for key, value in info.items() if key not in ("path", "lost")} | {
        "name": name,
        "lost_segments": len(info["lost"]),
    }


def upsert(home: Home, name: str, body: Any) -> Any:
    """Store points; answered when they are on the disk."""
    found = home.get(name)
    body = _take(body, ("ids", "vectors", "payloads", "texts"), ("ids", "vectors"))
    ids = _list(body, "ids", MAX_POINTS)
    vectors = _vectors(found, body["vectors"])
    return {"stored": found.upsert(ids, vectors, body.get("payloads"), body.get("texts"))}


def delete(home: Home, name: str, body: Any) -> Any:
    """Remove points by ids or by a filter that is not empty."""
    body = _take(body, ("ids", "where"))
    where = _where(body)
    if where is not None and not where:
        raise ParameterError("an empty filter would remove all points.")
    ids = _list(body, "ids", MAX_POINTS) if "ids" in body else None
    return {"removed": home.get(name).delete(ids, where=where)}


def get(home: Home, name: str, body: Any) -> Any:
    """Return points by id; ids that are not there are left out."""
    body = _take(body, ("ids", "vectors"), ("ids",))
    ids = _list(body, "ids", MAX_POINTS)
    wanted = _truth(body, "vectors", False)
    return {"points": _rows(home.get(name).get(ids, missing="ignore", vectors=wanted))}


def search(home: Home, name: str, body: Any) -> Any:
    """Return the nearest points of one query, or of several."""
    known = ("vector", "vectors", "k", "where", "field", "recall", "exact", "payloads", "explain")
    body = _take(body, known)
    if ("vector" in body) == ("vectors" in body):
        raise ParameterError("give either vector or vectors.")
    found = home.get(name)
    field = found.schema.fields[found.schema.place(_word(body, "field"))]
    single = "vector" in body
    queries = _matrix([body["vector"]] if single else body["vectors"], field.dim)
    k = _whole(body, "k", 10, MAX_K)
    if len(queries) > MAX_QUERIES or len(queries) * k > MAX_HITS:
        raise ParameterError(
            f"{len(queries):,} queries with k = {k:,} were asked; {MAX_QUERIES:,} queries and "
            f"{MAX_HITS:,} hits at most are given in one answer."
        )
    hits = found.search(
        queries, k, _where(body), field.name,
        recall=_share(body, "recall"), exact=_truth(body, "exact", False),
        payloads=_truth(body, "payloads", True), explain=_truth(body, "explain", False),
    )  # fmt: skip
    rows = [hits[i].to_dict() for i in range(len(hits))]
    answer: dict[str, Any] = {"hits": rows[0]} if single else {"queries": rows}
    if hits.plan is not None:
        answer["plan"] = hits.plan[0]
    return answer | {"metric": hits.metric}


def count(home: Home, name: str, body: Any) -> Any:
    """Return how many points there are, or how many a filter leaves."""
    return {"points": home.get(name).count(_where(_take(body, ("where",))))}


def scroll(home: Home, name: str, body: Any) -> Any:
    """Return a page of points in the order of their ids, and the id that the next one is behind."""
    body = _take(body, ("where", "limit", "vectors", "after"))
    limit = _whole(body, "limit", 100, MAX_POINTS)
    after = body.get("after")
    if after is not None:
        after = as_ids([after]).tolist()[0]
    pages = home.get(name).scroll(
        _where(body), batch=limit, vectors=_truth(body, "vectors", False), after=after
    )
    rows = [row for page in itertools.islice(pages, 1) for row in _rows(page)]
    return {"points": rows, "next": rows[-1]["id"] if len(rows) == limit else None}


def _rows(points: Points) -> list[dict[str, Any]]:
    rows = [{"id": id_, "payload": payload, "text": text} for id_, payload, text in points]
    if isinstance(points.vectors, dict):
        for name, values in points.vectors.items():
            for row, vector in zip(rows, values.tolist(), strict=True):
                row.setdefault("vectors", {})[name] = vector
    elif points.vectors is not None:
        for row, vector in zip(rows, points.vectors.tolist(), strict=True):
            row["vector"] = vector
    return rows


_ONE = "/v1/collections/{name}"
ROUTES = (
    Route("GET", "/v1/collections", False, list_collections, "Names of all collections"),
    Route("GET", _ONE, False, describe, "What a collection holds"),
    Route("PUT", _ONE, True, create, "Create a collection"),
    Route("POST", _ONE + "/points", True, upsert, "Store points"),
    Route("POST", _ONE + "/points/delete", True, delete, "Remove points"),
    Route("POST", _ONE + "/points/get", False, get, "Points by id"),
    Route("POST", _ONE + "/points/scroll", False, scroll, "Points, page by page"),
    Route("POST", _ONE + "/points/count", False, count, "Number of points"),
    Route("POST", _ONE + "/search", False, search, "Nearest points"),
)
