# SPDX-License-Identifier: Apache-2.0
"""What a server must remember over a restart: operations and answers, in SQLite beside the data.

    HOME/.server/state.db     operations, replies
    HOME/.server/snapshots/   COLLECTION/SNAPSHOT
    HOME/.server/writer.lock  one server writes to a home

Collections have names that do not begin with a dot, so none can be called so.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from vectorloom.errors import FormatError
from vectorloom.store.database import transaction, translated
from vectorloom.store.lock import WriterLock

FOLDER = ".server"
_VERSION = 1
_TABLES = (
    """CREATE TABLE operations (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    collection TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    created REAL NOT NULL, started REAL, ended REAL, result TEXT, error TEXT)""",
    "CREATE INDEX operations_state ON operations (state)",
    """CREATE TABLE replies (
    scope TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, kind TEXT NOT NULL,
    headers TEXT NOT NULL, body BLOB NOT NULL, made REAL NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX replies_made ON replies (made)",
)


class State:
    """The database of one server.

    Parameters
    ----------
    home : Path or None
        None keeps it in memory, for a server that writes nothing.

    Raises
    ------
    LockedError
        Another server writes to this home.
    FormatError, CapacityError, OSError
    """

    def __init__(self, home: Path | None) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._writer_lock: WriterLock | None = None
        self._path = Path(":memory:")
        self.folder: Path | None = None
        if home is not None:
            self.folder = home / FOLDER
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self._writer_lock = WriterLock(self.folder)
            self._path = self.folder / "state.db"
        try:
            with translated(self._path):
                self._db = self._opened()
        except FormatError as error:
            self._release()
            raise FormatError(
                f"{error} Collections do not need it: without this file the server starts with no "
                "operations and no kept answers."
            ) from error
        except BaseException:
            self._release()
            raise

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do what is inside in one transaction, on the disk when it ends; may be nested."""
        with self._lock, translated(self._path):
            if self._depth:
                yield self._db
                return
            self._depth = 1
            try:
                with transaction(self._db):
                    yield self._db
            finally:
                self._depth = 0

    def close(self) -> None:
        """Let the file and the lock go; a second call does nothing."""
        with self._lock:
            self._db.close()
            self._release()

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA journal_size_limit = 4194304")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            with transaction(db):
                for statement in _TABLES:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            db.close()
            raise FormatError(
                f"{self._path}: has version {version} and this server knows {_VERSION}. Upgrade "
                "vectorloom."
            )
        return db

    def _release(self) -> None:
        if self._writer_lock is not None:
            self._writer_lock.release()
