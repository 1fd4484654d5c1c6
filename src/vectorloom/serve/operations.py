# SPDX-License-Identifier: Apache-2.0
"""Work that outlasts a request: a journal on the disk and one thread that works it off.

    queued → running → done | failed
                    ↘ interrupted      the server ended meanwhile

What was answered with 202 is in the journal, so a restart does not lose it: what was queued is done
then. What was running is marked as interrupted and not begun again by itself, for it may be what
ended the server; it is queued again when someone asks for that. Each kind of work leaves nothing
half done and can be done twice.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from vectorloom.progress import ProgressState, followed
from vectorloom.serve.refusals import busy, conflict, fault_of, not_found
from vectorloom.serve.state import State

log = logging.getLogger("vectorloom.serve")

STATES = ("queued", "running", "done", "failed", "interrupted")
#: Runs (collection, request, attempt) and returns what it came to.
Runner = Callable[[str, Mapping[str, Any], int], Mapping[str, Any]]

_CANCELLED = {"status": 409, "kind": "Cancelled", "message": "it was cancelled."}
_MOST_WAITING = 100
_MOST_KEPT = 1000
_COLUMNS = "id, kind, collection, request, state, attempts, created, started, ended, result, error"


class _Stopped(Exception):  # noqa: N818
    """Raised inside work that is to end."""


class Operations:
    """See the module.

    Parameters
    ----------
    state : State
    runners : mapping of str to callable
        By kind.
    folder : str
        Is cut out of messages.
    """

    def __init__(self, state: State, runners: Mapping[str, Runner], folder: str) -> None:
        self._state = state
        self._runners = runners
        self._folder = folder
        self._wake = threading.Event()
        self._stopping = False
        self._running: str | None = None
        self._progress: dict[str, Any] | None = None
        self._cancelled = False
        self._thread = threading.Thread(target=self._work, name="vectorloom-operations")
        self._thread.daemon = True
        with state.transaction() as db:
            db.execute(
                "UPDATE operations SET state = 'interrupted', ended = ? WHERE state = 'running'",
                (time.time(),),
            )
        self._thread.start()

    # ---- what is asked -------------------------------------------------------------------------

    def submit(self, kind: str, collection: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Write work down and return its record; the same work that still waits is not doubled."""
        text = json.dumps(request, sort_keys=True)
        with self._state.transaction() as db:
            waiting = db.execute(
                "SELECT id, kind, collection, request FROM operations WHERE state = 'queued'"
            ).fetchall()
            for id_, *same in waiting:
                if same == [kind, collection, text]:
                    return self.get(id_)
            if len(waiting) >= _MOST_WAITING:
                raise busy(f"{len(waiting)} operations are waiting; try again later.")
            id_ = secrets.token_hex(8)
            db.execute(
                "INSERT INTO operations (id, kind, collection, request, state, attempts, created) "
                "VALUES (?, ?, ?, ?, 'queued', 0, ?)",
                (id_, kind, collection, text, time.time()),
            )
            db.execute(
                "DELETE FROM operations WHERE state NOT IN ('queued', 'running') AND number <= "
                "(SELECT max(number) FROM operations) - ?",
                (_MOST_KEPT,),
            )
            record = self.get(id_)
        self._wake.set()
        return record

    def get(self, id_: str) -> dict[str, Any]:
        """Return the record of an operation.

        Raises
        ------
        Refusal
            404.
        """
        with self._state.transaction() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM operations WHERE id = ?", (id_,)).fetchone()
            if row is None:
                raise not_found("operation")
            return self._told(row)

    def listed(self) -> list[dict[str, Any]]:
        """Return all records that are kept, the newest first."""
        with self._state.transaction() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM operations ORDER BY number DESC").fetchall()
            return [self._told(row) for row in rows]

    def retry(self, id_: str) -> dict[str, Any]:
        """Queue an operation again that failed or was interrupted.

        Raises
        ------
        Refusal
            404; 409 where it is waiting, running or done.
        """
        with self._state.transaction() as db:
            state = self.get(id_)["state"]
            if state not in ("failed", "interrupted"):
                raise conflict(f"this operation is {state}; failed and interrupted ones are taken.")
            db.execute(
                "UPDATE operations SET state = 'queued', started = NULL, ended = NULL, "
                "error = NULL WHERE id = ?",
                (id_,),
            )
            record = self.get(id_)
        self._wake.set()
        return record

    def cancel(self, id_: str) -> dict[str, Any]:
        """Take an operation from the queue, or ask the running one to end; both are interrupted.

        Raises
        ------
        Refusal
            404; 409 where it has ended.
        """
        with self._state.transaction() as db:
            state = self.get(id_)["state"]
            if state == "running":
                self._cancelled = self._running == id_
            elif state == "queued":
                db.execute(
                    "UPDATE operations SET state = 'interrupted', ended = ?, error = ? "
                    "WHERE id = ?",
                    (time.time(), _text(_CANCELLED), id_),
                )
            else:
                raise conflict(f"this operation is {state}; queued and running ones are taken.")
            return self.get(id_)

    def counts(self) -> dict[str, int]:
        """Return how many operations are in each state."""
        with self._state.transaction() as db:
            found = db.execute("SELECT state, count(*) FROM operations GROUP BY state").fetchall()
        return dict.fromkeys(STATES, 0) | dict(found)

    # ---- what is done --------------------------------------------------------------------------

    def stop(self, seconds: float) -> bool:
        """Begin nothing more and wait for what is running; False where it would take longer."""
        self._stopping = True
        self._wake.set()
        self._thread.join(seconds)
        if not self._thread.is_alive():
            return True
        with self._state.transaction() as db:
            db.execute(
                "UPDATE operations SET state = 'interrupted', ended = ? WHERE state = 'running'",
                (time.time(),),
            )
        return False

    def _work(self) -> None:
        while not self._stopping:
            try:
                begun = self._begin()
            except Exception as error:  # a full disk passes; the journal is still there
                log.error("the journal of operations cannot be written", exc_info=error)
                begun = None
                self._wake.clear()
                self._wake.wait(1.0)
                continue
            if begun is None:
                self._wake.wait(60.0)
                self._wake.clear()
            else:
                self._run(begun)

    def _begin(self) -> dict[str, Any] | None:
        with self._state.transaction() as db:
            row = db.execute(
                "SELECT id FROM operations WHERE state = 'queued' ORDER BY number LIMIT 1"
            ).fetchone()
            if row is None or self._stopping:
                return None
            self._running, self._progress, self._cancelled = row[0], None, False
            db.execute(
                "UPDATE operations SET state = 'running', started = ?, attempts = attempts + 1 "
                "WHERE id = ?",
                (time.time(), row[0]),
            )
            return self.get(row[0])

    def _run(self, record: Mapping[str, Any]) -> None:
        state, result, told = "done", None, None
        began = time.monotonic()
        try:
            runner = self._runners[record["kind"]]
            with followed(self._follow):
                result = dict(runner(record["collection"], record["request"], record["attempts"]))
        except _Stopped:
            state, told = "interrupted", _CANCELLED if self._cancelled else None
        except Exception as error:
            fault = fault_of(error, self._folder)
            state, told = "failed", fault.to_dict()["error"]
            if fault.is_ours and not self._stopping:
                log.error("operation %s failed", record["id"], exc_info=error)
        log.info(
            "operation",
            extra={
                "told": {
                    "id": record["id"], "kind": record["kind"], "state": state,
                    "collection": record["collection"], "seconds": time.monotonic() - began,
                }
            },
        )  # fmt: skip
        self._end(record["id"], state, result, told)

    def _follow(self, state: ProgressState) -> None:
        """Keep how far the work is, and end it where it is to end."""
        if state.status != "running":
            return  # what is done stays done
        if self._stopping or self._cancelled:
            raise _Stopped
        self._progress = {
            "doing": state.description, "done": state.done, "total": state.total,
            "unit": state.unit, "seconds_left": None if state.eta is None else round(state.eta, 1),
        }  # fmt: skip

    def _end(self, id_: str, state: str, result: Any, told: Any) -> None:
        """Keep how an operation ended; a full disk is waited out."""
        while True:
            try:
                with self._state.transaction() as db:
                    # `stop` may have given it up meanwhile: that stands.
                    db.execute(
                        "UPDATE operations SET state = ?, ended = ?, result = ?, error = ? "
                        "WHERE id = ? AND state = 'running'",
                        (state, time.time(), _text(result), _text(told), id_),
                    )
                return
            except Exception as error:
                if self._stopping:
                    return  # the next start finds it running, and says interrupted
                log.error("the end of operation %s cannot be kept", id_, exc_info=error)
                time.sleep(1.0)

    def _told(self, row: tuple[Any, ...]) -> dict[str, Any]:
        record = _record(row)
        mine = record["state"] == "running" and record["id"] == self._running
        record["progress"] = self._progress if mine else None
        return record


def _text(data: Any) -> str | None:
    return None if data is None else json.dumps(data)


def _record(row: tuple[Any, ...]) -> dict[str, Any]:
    id_, kind, collection, request, state, attempts, created, started, ended, result, error = row
    return {
        "id": id_,
        "kind": kind,
        "collection": collection,
        "request": json.loads(request),
        "state": state,
        "attempts": attempts,
        "created": _time(created),
        "started": _time(started),
        "ended": _time(ended),
        "result": None if result is None else json.loads(result),
        "error": None if error is None else json.loads(error),
    }


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
