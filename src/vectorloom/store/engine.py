# SPDX-License-Identifier: Apache-2.0
"""The open collection behind its face: connections, locks, the present view.

Three locks, always taken in this order: `building`, held while graphs are built or segments merged;
`upkeep`, held while the list of segments or their files change or are copied, not while new ones
are prepared; and `lock`, held for a commit and the change of view that follows it. A search takes
none: it works on the view it began with, and reads in a transaction of the same commit.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.store import database
from vectorloom.store.database import connect, read_state, transaction, translated
from vectorloom.store.filter_sql import CompiledFilter
from vectorloom.store.loading import Loader
from vectorloom.store.lock import WriterLock
from vectorloom.store.schema import Schema
from vectorloom.store.view import View

_T = TypeVar("_T")
_TRIES = 20
_CACHED_BYTES = 64 << 20
# Pages of the database that are given back between two commits.
_GIVEN_BACK = 512


class MovedOnError(Exception):
    """A commit came between the view and the question; ask again."""


@contextlib.contextmanager
def showing(view: View, db: sqlite3.Connection) -> Iterator[None]:
    """Hold a reader at the commit of a view.

    Raises
    ------
    MovedOnError
        It shows a later one.
    """
    with transaction(db, "DEFERRED"):
        if db.execute("SELECT version FROM state").fetchone()[0] != view.version:
            raise MovedOnError
        yield


class Engine:
    """See the module.

    Parameters
    ----------
    folder : Path
    read_only : bool

    Raises
    ------
    LockedError, FormatError, OSError
    """

    def __init__(self, folder: Path, read_only: bool) -> None:
        self.folder = folder
        self.read_only = read_only
        self.path = folder / database.NAME
        self.lock = threading.RLock()
        self.building = threading.RLock()
        self.upkeep = threading.RLock()
        self.closed = False
        self._idle: list[sqlite3.Connection] = []
        self._process = os.getpid()
        self.searched = -math.inf  # when it was asked last, on the monotonic clock
        self._cache: OrderedDict[Any, NDArray[np.int64]] = OrderedDict()
        self._cached = 0
        self._tidying = threading.Lock()
        self._tidier: sqlite3.Connection | None = None
        self._tidied = -1  # the version up to which there is nothing left to tidy
        self._writer_lock = None if read_only else WriterLock(folder)
        try:
            self.db = connect(self.path, read_only=read_only)
            with translated(self.path):
                self.schema = Schema.from_json(read_state(self.db).schema)
                self._loader = Loader(folder, self.schema, own=not read_only)
                self._seen = self._data_version()
                self._view = self._loaded()
        except BaseException:
            if self._writer_lock is not None:
                self._writer_lock.release()
            raise

    # ---- views ---------------------------------------------------------------------------------

    @property
    def loader(self) -> Loader:
        """What makes the views; touch it with `lock` held."""
        return self._loader

    def current(self) -> View:
        """Return the view of the last commit."""
        if self.closed:
            raise ParameterError("this collection was closed; open it again with vl.collection.")
        if os.getpid() != self._process:
            raise ParameterError(
                "this collection was opened before the process was forked; open it again in the "
                "child."
            )
        if self.read_only:
            with self.lock, translated(self.path):
                if self._data_version() != self._seen:
                    self._reload()
        return self._view

    def sync(self) -> View:
        """Wait for a commit that is under way and return the view after it."""
        with self.lock, translated(self.path):
            self.current()
            if read_state(self.db).version != self._view.version:
                self._reload()
            return self._view

    def remake(self) -> View:
        """Take graphs that were built and damage that was found into the view."""
        with self.lock:
            self._view = self._loader.remake(self._view)
            return self._view

    def _data_version(self) -> int:
        found: int = self.db.execute("PRAGMA data_version").fetchone()[0]
        return found

    def _reload(self) -> None:
        seen = self._data_version()
        schema = Schema.from_json(read_state(self.db).schema)
        if schema != self.schema:  # columns or encoders were added
            self.schema = schema
        self._view = self._loaded()
        self._seen = seen

    def _loaded(self) -> View:
        epoch = -1
        while True:
            listed = read_state(self.db).epoch
            try:
                with transaction(self.db, "DEFERRED"):
                    return self._loader.load(self.db, lose_missing=listed == epoch)
            except FileNotFoundError:
                epoch = (
                    listed  # of an old list, if a compaction was quicker: then there is a new one
                )

    # ---- writing -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def commit(self) -> Iterator[sqlite3.Connection]:
        """Do what is inside in one transaction, then go over to its view."""
        with self.lock:
            self.require_writable()
            with translated(self.path):
                with transaction(self.db):
                    yield self.db
                self._view = self._loader.load(self.db)

    def checkpoint(self, *, thorough: bool = False) -> None:
        """Move commits from the log into the database; what cannot be done now is left for later.

        Commits and searches go on meanwhile: this has a connection of its own and waits for no one.

        `thorough`: give free pages of the database, and the log, back to the disk too.
        """
        with self._tidying, contextlib.suppress(sqlite3.Error):
            if self.closed or self._view.version == self._tidied:
                return
            if self._tidier is None:
                self._tidier = connect(self.path, read_only=False)
                self._tidier.execute("PRAGMA busy_timeout = 0")
            version = self._view.version
            if thorough:
                self._give_back()
            self._tidier.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            if thorough:
                busy = self._tidier.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                self._tidied = -1 if busy else version

    def _give_back(self) -> None:
        """Return the pages of the database that are free to the disk, some at a time."""
        while True:
            with self.lock:
                if self.closed or not self.db.execute("PRAGMA freelist_count").fetchone()[0]:
                    return
                # A script, for it frees a page a step and `execute` takes one step of what has no
                # columns.
                self.db.executescript(f"PRAGMA incremental_vacuum({_GIVEN_BACK})")

    def require_writable(self) -> None:
        """Refuse what a closed or read-only collection cannot do."""
        self.current()
        if self.read_only:
            raise ParameterError(
                "this collection was opened read-only. Open it with read_only=False to change it."
            )

    # ---- reading -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for reading; as many are kept as were ever lent at once."""
        try:
            db = self._idle.pop()
        except IndexError:
            db = connect(self.path, read_only=True)
        try:
            yield db
        finally:
            if self.closed:
                db.close()
            else:
                self._idle.append(db)

    def at_one_commit(
        self, ask: Callable[[View, sqlite3.Connection], _T], *, reads: bool = True
    ) -> _T:
        """Return what `ask` has for a view and a connection that show the same commit.

        The connection is in a transaction, so that commits meanwhile do not matter, however long
        `ask` takes. `ask` raises `MovedOnError` where the view turns out to be no good.

        `reads`: False where `ask` will not look at the connection; it shows any commit then.
        """
        view = self.current()
        with translated(self.path), self.reader() as db:
            for _ in range(_TRIES):
                try:
                    with showing(view, db) if reads else contextlib.nullcontext():
                        return ask(view, db)
                except MovedOnError:
                    view = self.sync()
            with self.lock:  # commits come too thick: hold the next one up, or ask inside one
                if not self.read_only:
                    return ask(self.sync(), db)
                with transaction(self.db, "DEFERRED"):
                    self._view = self._loader.load(self.db)
                    return ask(self._view, self.db)

    def rows_where(
        self, found: CompiledFilter, view: View, db: sqlite3.Connection
    ) -> NDArray[np.int64]:
        """Return the rows that a filter leaves, ascending; `db` shows the commit of the view."""
        key = (found.sql, found.parameters, view.version)
        known = self._cache.get(key)
        if known is not None:
            return known
        (text,) = db.execute(
            f"SELECT group_concat(row) FROM points WHERE {found.sql}", found.parameters
        ).fetchone()
        rows = np.fromstring(text, np.int64, sep=",") if text else np.empty(0, np.int64)
        rows.sort()
        with self.lock:
            self._cache[key] = rows
            self._cached += rows.nbytes
            while self._cached > _CACHED_BYTES or len(self._cache) > 256:
                self._cached -= self._cache.popitem(last=False)[1].nbytes
        return rows

    def close(self) -> None:
        """Let everything go; a second call does nothing. A graph being built is left unused."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            self._loader = Loader(self.folder, self.schema, own=False)  # lets the files go
            self._view = replace(self._view, fields=((),) * len(self.schema.fields))
            for db in [*self._idle, *([self._tidier] if self._tidier else []), self.db]:
                with contextlib.suppress(sqlite3.Error):
                    db.close()
            if self._writer_lock is not None:
                self._writer_lock.release()
