# SPDX-License-Identifier: Apache-2.0
"""The table of what can be asked of a server."""

from __future__ import annotations

from vectorloom.serve import embeddings, manage, points, schemas
from vectorloom.serve.calls import ARROW, NPY, TAR, Route
from vectorloom.serve.refusals import Refusal

_ALL = "/v1/collections"
_ONE = _ALL + "/{name}"
_POINTS = _ONE + "/points"
_SNAPSHOTS = _ONE + "/snapshots"
_ALIAS = "/v1/aliases/{alias}"
_OPERATION = "/v1/operations/{id}"

ROUTES = (
    Route("GET", _ALL, False, manage.list_collections, "Names of all collections"),
    Route("GET", _ONE, False, manage.describe, "What a collection holds"),
    Route(
        "PUT", _ONE, True, manage.create, "Create a collection", schemas.CREATE, status=201,
        stores=True,
    ),
    Route("DELETE", _ONE, True, manage.remove, "Remove a collection", stores=True),
    Route(
        "POST", _POINTS, True, points.upsert, "Store points", schemas.UPSERT,
        vectors=True, stores=True,
    ),
    Route(
        "POST", _POINTS + "/payloads", True, points.set_payloads, "Replace payloads",
        schemas.SET_PAYLOADS, ("ids", "payloads"), stores=True,
    ),
    Route(
        "POST", _POINTS + "/delete", True, points.delete, "Remove points", schemas.DELETE,
        stores=True,
    ),
    Route(
        "POST", _POINTS + "/get", False, points.get, "Points by id", schemas.GET, ("ids",),
        accepts=(ARROW,),
    ),
    Route(
        "POST", _POINTS + "/scroll", False, points.scroll, "Points, page by page", schemas.SCROLL,
        accepts=(ARROW,),
    ),
    Route("POST", _POINTS + "/count", False, points.count, "Number of points", schemas.COUNT),
    Route(
        "POST", _ONE + "/search", False, points.search, "Nearest points", schemas.SEARCH,
        vectors=True, accepts=(ARROW, NPY),
    ),
    Route(
        "POST", _ONE + "/together", False, points.together, "Nearest points by several fields",
        schemas.TOGETHER, ("queries",),
    ),
    Route(
        "POST", _ONE + "/optimize", True, manage.optimize, "Seal, merge and index", status=202,
        stores=True,
    ),
    Route("POST", _ONE + "/verify", True, manage.verify, "Check every checksum", status=202),
    Route(
        "POST", _ONE + "/import", True, manage.import_, "Store the rows of a file",
        schemas.IMPORT, ("file",), status=202, stores=True,
    ),
    Route("GET", _SNAPSHOTS, False, manage.list_snapshots, "Snapshots of a collection"),
    Route(
        "POST", _SNAPSHOTS, True, manage.take_snapshot, "Take a snapshot", schemas.SNAPSHOT,
        status=202, stores=True,
    ),
    Route(
        "GET", _SNAPSHOTS + "/{snapshot}", False, manage.load_snapshot, "A snapshot as a tar file",
        accepts=(TAR,),
    ),
    Route(
        "PUT", _SNAPSHOTS + "/{snapshot}", True, manage.put_snapshot, "Upload a snapshot",
        status=201, stores=True, uploads=True,
    ),
    Route(
        "DELETE", _SNAPSHOTS + "/{snapshot}", True, manage.remove_snapshot, "Remove a snapshot",
        stores=True,
    ),
    Route(
        "POST", _ONE + "/restore", True, manage.restore, "Make a collection of a snapshot",
        schemas.RESTORE, ("from", "snapshot"), status=202, stores=True,
    ),
    Route("GET", "/v1/aliases", False, manage.list_aliases, "Where aliases lead"),
    Route(
        "PUT", _ALIAS, True, manage.switch, "Let an alias lead to a collection", schemas.ALIAS,
        ("collection",), stores=True,
    ),
    Route("DELETE", _ALIAS, True, manage.forget, "Remove an alias", stores=True),
    Route("GET", "/v1/operations", False, manage.list_operations, "Long operations"),
    Route("GET", _OPERATION, False, manage.operation, "How far an operation is"),
    Route(
        "POST", _OPERATION + "/retry", True, manage.retry, "Queue an operation again", status=202,
    ),
    Route(
        "POST", _OPERATION + "/cancel", True, manage.cancel, "End an operation early", status=202,
    ),
    Route("GET", "/v1/models", False, embeddings.models, "Mounted models"),
    Route(
        "POST", "/v1/embeddings", False, embeddings.embeddings, "Vectors of texts",
        schemas.EMBEDDINGS, ("model", "input"), accepts=(NPY,),
    ),
)  # fmt: skip


def find(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """Return the route of a request and what stands in its places.

    Raises
    ------
    Refusal
        404; 405 where another method would do.
    """
    parts = path.split("/")
    others = []
    for route in ROUTES:
        wanted = route.path.split("/")
        if len(wanted) != len(parts):
            continue
        pairs = list(zip(wanted, parts, strict=True))
        if all(w == p or (w.startswith("{") and p) for w, p in pairs):
            if route.method == method:
                return route, {w[1:-1]: p for w, p in pairs if w.startswith("{")}
            others.append(route.method)
    if others:
        raise Refusal(
            405, "MethodNotAllowed", f"{method} is not for this path; {', '.join(others)} is.",
            allow=", ".join(others),
        )  # fmt: skip
    raise Refusal(404, "NotFound", "there is nothing at this path; see /openapi.json.")
