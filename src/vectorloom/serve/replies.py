# SPDX-License-Identifier: Apache-2.0
"""Idempotency keys: a write that is sent again is answered again and not done again.

    Idempotency-Key: 3f0c…        with any request that writes

The answer of a write that succeeded is kept on the disk for a day under (API key, method and path,
idempotency key), together with a hash of the body. The same request then gets the same answer, with
``Idempotency-Replayed: true``; another body under the same key, or the same one while the first is
still being worked on, gets 409. What was refused was not done and is not kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator

from vectorloom.errors import ParameterError
from vectorloom.serve.calls import Answer
from vectorloom.serve.refusals import Refusal, conflict
from vectorloom.serve.state import State

KEPT_SECONDS = 24 * 3600.0
#: The oldest are forgotten beyond these, and answers that are longer are not kept.
MOST_KEPT, MOST_BYTES = 100_000, 1 << 20


def checked_key(raw: bytes) -> str:
    """Return an idempotency key, or say what one is."""
    key = raw.decode("latin-1").strip()
    if not 1 <= len(key) <= 200 or not key.isascii() or not key.isprintable():
        raise ParameterError("Idempotency-Key must be 1 to 200 printable ASCII characters.")
    return key


def scope_of(owner: str, method: str, path: str, key: str) -> str:
    """Return what an idempotency key is unique in: one API key's use of one path."""
    return hashlib.sha256("\n".join((owner, method, path, key)).encode()).hexdigest()


def fingerprint_of(kind: str, query: bytes, body: bytes) -> str:
    """Return what tells two bodies apart."""
    digest = hashlib.sha256(f"{kind}\n{len(query)}\n".encode())
    digest.update(query)
    digest.update(body)
    return digest.hexdigest()


class Replies:
    """The answers that are kept.

    Parameters
    ----------
    state : State
    seconds : float, default=KEPT_SECONDS
    """

    def __init__(self, state: State, seconds: float = KEPT_SECONDS) -> None:
        self._state = state
        self._seconds = seconds
        self._lock = threading.Lock()
        self._underway: set[str] = set()

    @contextlib.contextmanager
    def claimed(self, scope: str) -> Iterator[None]:
        """Hold a scope while its request is worked on.

        Raises
        ------
        Refusal
            409: it is being worked on.
        """
        with self._lock:
            if scope in self._underway:
                raise Refusal(
                    409, "Conflict", "a request of this Idempotency-Key is still being worked on.",
                    retry_after="1",
                )  # fmt: skip
            self._underway.add(scope)
        try:
            yield
        finally:
            with self._lock:
                self._underway.discard(scope)

    def find(self, scope: str, fingerprint: str) -> Answer | None:
        """Return the answer that was given, None where there was none or it is too old.

        Raises
        ------
        Refusal
            409: the key was used for another body.
        """
        with self._state.transaction() as db:
            row = db.execute(
                "SELECT fingerprint, status, body, kind, headers FROM replies "
                "WHERE scope = ? AND made > ?",
                (scope, time.time() - self._seconds),
            ).fetchone()
        if row is None:
            return None
        if row[0] != fingerprint:
            raise conflict(
                "this Idempotency-Key was used for a request with another body; take a new key for "
                "a new request."
            )
        headers = tuple((name, value) for name, value in json.loads(row[4]))
        return Answer(row[1], row[2], row[3], (*headers, ("idempotency-replayed", "true")))

    def keep(self, scope: str, fingerprint: str, answer: Answer) -> None:
        """Write an answer down; it is on the disk when this returns."""
        if not isinstance(answer.body, bytes) or len(answer.body) > MOST_BYTES:
            return
        now = time.time()
        with self._state.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?)",
                (scope, fingerprint, answer.status, answer.kind, json.dumps(answer.headers),
                 answer.body, now),
            )  # fmt: skip
            db.execute("DELETE FROM replies WHERE made <= ?", (now - self._seconds,))
            n = db.execute("SELECT count(*) FROM replies").fetchone()[0]
            if n > MOST_KEPT:
                db.execute(
                    "DELETE FROM replies WHERE scope IN "
                    "(SELECT scope FROM replies ORDER BY made LIMIT ?)",
                    (n - MOST_KEPT,),
                )
