# SPDX-License-Identifier: Apache-2.0
"""The description of the HTTP interface, made from the table of routes."""

from __future__ import annotations

import re
from typing import Any

from vectorloom.serve.calls import ARROW, JSON, NPY, TAR, Route
from vectorloom.serve.operations import STATES
from vectorloom.serve.routes import ROUTES
from vectorloom.serve.schemas import NAME

_ERRORS = {
    "400": "not JSON, npy or Arrow",
    "401": "no known key",
    "403": "the key does not allow it",
    "404": "nothing of this name",
    "408": "the body took too long",
    "409": "exists, is being written elsewhere, or an idempotency key was used before",
    "413": "the body, or what it unpacks to, is too large",
    "415": "a media type that is not taken here",
    "422": "something in the body cannot be meant",
    "429": "too many requests wait",
    "500": "a mistake of the server, or damage",
    "507": "no room",
}
_DONE = {200: "done", 201: "made", 202: "written down"}
_PLACE = re.compile(r"\{(\w+)\}")
_BINARY = {"type": "string", "format": "binary"}


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document as plain data."""
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "vectorloom", "version": "1"},
        "paths": paths,
        "security": [{"bearer": []}],
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _error(), "Operation": _journal_entry()},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    error = {"$ref": "#/components/schemas/Error"}
    failures = {
        status: {"description": what, "content": {JSON: {"schema": error}}}
        for status, what in _ERRORS.items()
    }
    found = {"type": "object"}
    if route.status == 202 or route.path == "/v1/operations/{id}":
        found = {"$ref": "#/components/schemas/Operation"}
    content: dict[str, Any] = {kind: {"schema": _BINARY} for kind in route.accepts}
    if TAR not in content:
        content = {JSON: {"schema": found}} | content
    done = {"description": _DONE[route.status], "content": content}
    operation: dict[str, Any] = {
        "summary": route.about,
        "operationId": route.handle.__name__.rstrip("_"),
        "responses": {str(route.status): done, **failures},
    }
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": NAME}
        for name in _PLACE.findall(route.path)
    ]
    if route.writes and not route.uploads:
        key = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"}
        parameters.append(
            {
                "name": "Idempotency-Key", "in": "header", "required": False, "schema": key,
                "description": "the same request is done once and answered again for a day",
            }
        )  # fmt: skip
    if route.vectors:
        fields = {"type": "object", "properties": dict(route.schema)}
        parameters.append(
            {
                "name": "args", "in": "query", "required": False,
                "content": {JSON: {"schema": fields}},
                "description": "the other fields, beside an npy or Arrow body",
            }
        )  # fmt: skip
    if parameters:
        operation["parameters"] = parameters
    if route.schema:
        operation["requestBody"] = _body(route)
    elif route.uploads:
        operation["requestBody"] = {"required": True, "content": {TAR: {"schema": _BINARY}}}
    return operation


def _body(route: Route) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": route.schema,
        "additionalProperties": False,
    }
    if route.needs:
        schema["required"] = list(route.needs)
    content: dict[str, Any] = {JSON: {"schema": schema}}
    if route.vectors:
        content |= {kind: {"schema": _BINARY} for kind in (NPY, ARROW)}
    about = "npy and Arrow bodies take the other fields from ?args={…}" if route.vectors else ""
    return {"required": bool(route.needs), "content": content} | (
        {"description": about} if about else {}
    )


def _error() -> dict[str, Any]:
    fields = {"status": {"type": "integer"}, "kind": {"type": "string"}}
    return {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": fields | {"message": {"type": "string"}},
                "required": ["status", "kind", "message"],
            }
        },
        "required": ["error"],
    }


def _journal_entry() -> dict[str, Any]:
    time = {"type": ["string", "null"], "format": "date-time"}
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "kind": {"type": "string"},
            "collection": {"type": "string"},
            "request": {"type": "object"},
            "state": {"enum": list(STATES)},
            "attempts": {"type": "integer"},
            "created": time,
            "started": time,
            "ended": time,
            "progress": {"type": ["object", "null"]},
            "result": {"type": ["object", "null"]},
            "error": {"type": ["object", "null"]},
        },
        "required": ["id", "kind", "collection", "state"],
    }
