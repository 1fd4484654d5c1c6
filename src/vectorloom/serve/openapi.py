# SPDX-License-Identifier: Apache-2.0
"""The description of the HTTP interface, made from the table of routes."""

from __future__ import annotations

from typing import Any

from vectorloom.serve.routes import ROUTES

_ERRORS = {
    "400": "not JSON",
    "401": "no known key",
    "403": "the key does not allow it",
    "404": "no such collection",
    "408": "the body took too long",
    "409": "exists, or is being written elsewhere",
    "413": "the body is too large",
    "415": "not JSON",
    "422": "something in the body cannot be meant",
    "429": "too many requests wait",
    "500": "a mistake of the server, or damage",
    "507": "no room",
}


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document as plain data."""
    error = {"$ref": "#/components/schemas/Error"}
    failures = {
        status: {"description": what, "content": {"application/json": {"schema": error}}}
        for status, what in _ERRORS.items()
    }
    paths: dict[str, Any] = {}
    for route in ROUTES:
        operation: dict[str, Any] = {
            "summary": route.about,
            "operationId": route.handle.__name__,
            "responses": {
                "200": {
                    "description": "done",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                },
                **failures,
            },
        }
        if "{name}" in route.path:
            name = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"}
            operation["parameters"] = [
                {"name": "name", "in": "path", "required": True, "schema": name}
            ]
        if route.method in ("POST", "PUT"):
            operation["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    fields = {"status": {"type": "integer"}, "kind": {"type": "string"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "vectorloom", "version": "1"},
        "paths": paths,
        "security": [{"bearer": []}],
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Error": {
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
            },
        },
    }
