# SPDX-License-Identifier: Apache-2.0
"""What a handler is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from vectorloom.serve.keys import Grant

if TYPE_CHECKING:
    from vectorloom.serve.service import Service
    from vectorloom.store import Collection

JSON = "application/json"
NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"
TAR = "application/x-tar"


@dataclass(frozen=True)
class Limits:
    """What one server takes on.

    Attributes
    ----------
    body_bytes : int
        Of a request, and of the vectors that it unpacks to.
    upload_bytes : int
        Of a snapshot that is uploaded, which goes to the disk and not into memory.
    held_bytes : int
        Of all bodies and answers at once; beyond them requests are answered with 429.
    body_seconds : float
        In which a body must have come, and a piece of an answer must have been taken.
    workers : int
        Requests that are worked on at once.
    waiting : int
        That wait beyond those; more are answered with 429.
    slow_seconds : float
        Requests that take longer are logged as slow, searches with their plan.
    """

    body_bytes: int = 64 << 20
    upload_bytes: int = 64 << 30
    held_bytes: int = 512 << 20
    body_seconds: float = 60.0
    workers: int = 8
    waiting: int = 256
    slow_seconds: float = 1.0


@dataclass
class Call:
    """One request, read and allowed.

    Attributes
    ----------
    service : Service
    grant : Grant
        Of the key that it came with.
    path : dict of str to str
        What stood in the places of the route.
    body : mapping
        Checked to be one; vectors may be arrays already.
    accept : str
        Media type that the answer is wanted in.
    notes : dict
        What the log is told beside the route.
    """

    service: Service
    grant: Grant
    path: Mapping[str, str]
    body: Mapping[str, Any]
    accept: str = JSON
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the collection."""
        return self.path["name"]

    def collection(self) -> Collection:
        """Return the collection that the path names, opened."""
        return self.service.home.get(self.name)


class Answer(NamedTuple):
    """What a handler gives back where plain data and 200 are not enough.

    Attributes
    ----------
    body : bytes or iterator of bytes
        An iterator is asked for its next piece when the one before has been taken.
    """

    status: int
    body: bytes | Iterator[bytes]
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Route(NamedTuple):
    """One thing that can be asked of a server.

    Attributes
    ----------
    method, path : str
        ``{name}`` stands for a collection, other names in braces for something else.
    writes : bool
        Whether the key must allow writing.
    handle : callable
        Of a `Call`, to plain data or an `Answer`.
    about : str
    schema : dict
        JSON Schema of the body's fields; empty where none is taken.
    needs : tuple of str
        Fields that must be there.
    vectors : bool
        Whether npy and Arrow bodies are taken.
    accepts : tuple of str
        Media types that the answer may be asked in, beside JSON.
    status : int
        Of success.
    stores : bool
        Whether it cannot be done where the server only reads.
    uploads : bool
        Whether its body is a tar file; `Call.body` names the file then that it was written to.
    """

    method: str
    path: str
    writes: bool
    handle: Callable[[Call], Any]
    about: str
    schema: Mapping[str, Any] = {}
    needs: tuple[str, ...] = ()
    vectors: bool = False
    accepts: tuple[str, ...] = ()
    status: int = 200
    stores: bool = False
    uploads: bool = False
