# SPDX-License-Identifier: Apache-2.0
"""Long work on a server, as its journal has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from vectorloom.clients.wire import ServerError, refusal

_OVER = ("done", "failed", "interrupted")


@dataclass(frozen=True)
class Operation:
    """Work that a server was asked for and does in the background.

    Attributes
    ----------
    id : str
    kind : str
        ``"optimize"``, ``"verify"``, ``"snapshot"``, ``"restore"`` or ``"import"``.
    collection : str
    state : {"queued", "running", "done", "failed", "interrupted"}
    request : mapping
        What was asked for.
    attempts : int
    created, started, ended : str or None
        ISO times.
    progress : mapping or None
        How far the running one is.
    result : mapping or None
        What the work came to.
    error : mapping or None
        Why it failed: ``status``, ``kind``, ``message``.

    Examples
    --------
    >>> one = Operation.from_dict(
    ...     {
    ...         "id": "5f",
    ...         "kind": "verify",
    ...         "collection": "films",
    ...         "state": "done",
    ...         "result": {"sound": True},
    ...     }
    ... )
    >>> one.is_over, one.outcome()
    (True, {'sound': True})
    """

    id: str
    kind: str
    collection: str
    state: str
    request: Mapping[str, Any] | None = None
    attempts: int = 0
    created: str | None = None
    started: str | None = None
    ended: str | None = None
    progress: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Operation:
        """Return the operation that a server tells of; what it says beyond is left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in _OVER

    def outcome(self) -> Mapping[str, Any]:
        """Return what the work came to.

        Raises
        ------
        ParameterError, ShapeError, CapacityError, ServerError
            It failed or was interrupted; the error says why, as the call itself would have.
        """
        if self.state == "failed" or (self.state == "interrupted" and self.error is not None):
            status = (self.error or {}).get("status", 500)
            raise refusal(status, self.error)
        if self.state != "done":
            raise ServerError(
                409, "Interrupted" if self.is_over else "Unfinished",
                f"the {self.kind} of {self.collection!r} is {self.state}; "
                + ("retry queues it again." if self.is_over else "wait for its end."),
            )  # fmt: skip
        return self.result or {}
