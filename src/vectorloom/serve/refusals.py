# SPDX-License-Identifier: Apache-2.0
"""Answers that are errors: which status a mistake gets, and the one shape that all of them have.

{"error": {"status": 422, "kind": "ParameterError", "message": "what came, what to do"}}

Messages say what came, what was expected and what to do; never where on the machine anything lies.
"""

from __future__ import annotations

import errno
import json
import math
from typing import Any, NamedTuple

from vectorloom.errors import (
    CapacityError,
    FormatError,
    InternalError,
    ParameterError,
    ShapeError,
)
from vectorloom.serve.home import ExistsError, UnknownCollectionError
from vectorloom.store import LockedError

_NO_ROOM = (
    "there is no room for this; nothing of it was stored. Free some space or memory of the server, "
    "then send it again."
)
_LISTED = {
    "alias": "/v1/aliases",
    "model": "/v1/models",
    "operation": "/v1/operations",
    "snapshot": "/v1/collections/{name}/snapshots",
}


class Refusal(Exception):  # noqa: N818
    """An answer that is an error, said by the server itself."""

    def __init__(self, status: int, kind: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Fault(NamedTuple):
    """What is told of an error, and whether it is one to be looked into."""

    status: int
    kind: str
    message: str
    is_ours: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the one shape of errors."""
        told = {"status": self.status, "kind": self.kind, "message": self.message}
        return {"error": told}


def not_found(what: str) -> Refusal:
    """Return the refusal of something that is not there."""
    place = _LISTED.get(what)
    known = f" GET {place} lists what there is." if place else ""
    return Refusal(404, "NotFound", f"there is no {what} of this name.{known}")


def conflict(message: str) -> Refusal:
    """Return the refusal of what would overrun something that is there."""
    return Refusal(409, "Conflict", message)


def too_large(most: int) -> Refusal:
    """Return the refusal of a body, or of what it unpacks to."""
    return Refusal(413, "TooLarge", f"the body has more than {most:,} bytes; send less at once.")


def busy(message: str) -> Refusal:
    """Return the refusal of what may be tried again in a second."""
    return Refusal(429, "TooManyRequests", message, retry_after="1")


def fault_of(error: BaseException, folder: str = "") -> Fault:
    """Return what is told of an error; no path of the machine and none of our own mistakes.

    Parameters
    ----------
    error : BaseException
    folder : str, default=""
        Is cut out of messages.
    """
    kind = type(error).__name__
    if isinstance(error, Refusal):
        return Fault(error.status, error.kind, str(error))
    if isinstance(error, UnknownCollectionError):
        told = "there is no collection of this name. GET /v1/collections lists what there is."
        return Fault(404, "NotFound", told)
    if isinstance(error, ExistsError):
        return Fault(409, "Conflict", "there is a collection of this name already.")
    if isinstance(error, LockedError):
        told = "another process writes to this collection. Close it, or serve with --read-only."
        return Fault(409, "Conflict", told)
    if isinstance(error, ParameterError | ShapeError):
        message = str(error)
        return Fault(422, kind, message.replace(f"{folder}/", "") if folder else message)
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or isinstance(error, CapacityError | MemoryError):
        return Fault(507, "CapacityError", _NO_ROOM, True)
    if isinstance(error, FormatError) and not isinstance(error, InternalError):
        return Fault(500, kind, "something stored is damaged; see the server's log.", True)
    return Fault(500, "InternalError", "this is our mistake; see the server's log.", True)


def packed(data: Any) -> bytes:
    """Return plain data as compact JSON; what is not finite becomes null."""
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(data), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list) else data
