# SPDX-License-Identifier: Apache-2.0
"""The SQLite file of a collection: its tables, its connections, and its errors in our words.

    state     one row: format, schema, version (of the last commit), epoch (of the list of
              segments), next_row, id_type
    points    row, id, payload (JSON), text, and a generated column for each declared field
    fresh     vectors that are not sealed yet, a blob a batch and field: rows first … first + n - 1
    segments  sealed files with their layout and block checksums
    dead      rows that a segment or a fresh batch still holds and no point has any more
    imports   how far the import of a source has come

A row number is given once and never again, so that row, id and vector belong together for ever; an
upsert makes a new row. The commit of SQLite, in WAL mode with full sync, is the commit.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vectorloom.errors import CapacityError, FormatError, InternalError
from vectorloom.store.filter_sql import define_functions, json_path
from vectorloom.store.schema import FORMAT_VERSIONS, Schema

NAME = "collection.db"

_TABLES = """
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER NOT NULL, schema TEXT NOT NULL,
    version INTEGER NOT NULL, epoch INTEGER NOT NULL, next_row INTEGER NOT NULL, id_type TEXT);
CREATE TABLE points (row INTEGER PRIMARY KEY, id NOT NULL UNIQUE, payload TEXT, text TEXT);
CREATE TABLE fresh (
    field INTEGER NOT NULL, first INTEGER NOT NULL, n INTEGER NOT NULL, vectors BLOB NOT NULL,
    scales BLOB, PRIMARY KEY (field, first)) WITHOUT ROWID;
CREATE TABLE segments (
    number INTEGER PRIMARY KEY AUTOINCREMENT, field INTEGER NOT NULL, file TEXT NOT NULL,
    n INTEGER NOT NULL, layout TEXT NOT NULL, checksums BLOB NOT NULL);
CREATE TABLE dead (row INTEGER PRIMARY KEY, version INTEGER NOT NULL);
CREATE INDEX dead_version ON dead (version);
CREATE TABLE imports (source TEXT PRIMARY KEY, rows INTEGER NOT NULL);
"""


class State(NamedTuple):
    """The one row of the table ``state``."""

    format: int
    schema: str
    version: int
    epoch: int
    next_row: int
    id_type: str | None


def create(path: Path, schema: Schema) -> None:
    """Make the database of an empty collection; it is whole, or not there.

    Raises
    ------
    CapacityError, OSError
    """
    with translated(path):
        db = sqlite3.connect(path, isolation_level=None)
        try:
            db.execute("PRAGMA page_size = 8192")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # compaction gives disk back
            _tune(db)
            with transaction(db):
                for statement in _TABLES.split(";"):
                    db.execute(statement)
                for path_of_field, column in schema.columns.items():
                    _add_column(db, path_of_field, column)
                db.execute(
                    "INSERT INTO state VALUES (1, ?, ?, 0, 0, 0, NULL)",
                    (schema.format_version, schema.to_json()),
                )
        finally:
            db.close()


def add_columns(db: sqlite3.Connection, old: Schema, new: Schema) -> None:
    """Declare payload fields that `new` has beyond `old`, inside a transaction."""
    for path, column in new.columns.items():
        if path not in old.columns:
            _add_column(db, path, column)
    db.execute("UPDATE state SET schema = ?, version = version + 1", (new.to_json(),))


def _add_column(db: sqlite3.Connection, path: str, column: str) -> None:
    # DDL takes no parameters; `check_path` has refused quotes of JSON, and SQL's are doubled.
    inside = "'" + json_path(path).replace("'", "''") + "'"
    db.execute(
        f"ALTER TABLE points ADD COLUMN {column} GENERATED ALWAYS AS "
        f"(CASE WHEN json_type(payload, {inside}) IN ('array', 'object') THEN NULL "
        f"ELSE json_extract(payload, {inside}) END) VIRTUAL"
    )
    db.execute(f"CREATE INDEX points_{column} ON points ({column})")


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Return a connection in autocommit mode that any thread may use, one at a time.

    Raises
    ------
    FormatError
        Not the database of a collection, damaged, or of a newer version.
    OSError
        No such file, no permission; or a read-only folder with commits that are only in the log.
    """
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no collection here", str(path.parent))
    with translated(path):
        db = sqlite3.connect(_uri(path, read_only), uri=True, isolation_level=None,
                             check_same_thread=False, timeout=10.0)  # fmt: skip
        try:
            if not read_only:
                _tune(db)
            db.execute("PRAGMA cache_size = -16000")
            define_functions(db)
            _check_format(db, path)
        except BaseException:
            db.close()
            raise
    return db


def _uri(path: Path, read_only: bool) -> str:
    uri = path.resolve().as_uri()
    if not read_only:
        return uri + "?mode=rw"
    if os.access(path.parent, os.W_OK):
        return uri + "?mode=ro"
    # SQLite shares its log through a file beside it, which cannot be made here. Without a log there
    # is nothing to share.
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size and not path.with_name(path.name + "-shm").exists():
        raise OSError(
            errno.EROFS,
            "has commits in its log and the folder cannot be written; open it once for writing, or "
            "copy it to a folder that can be",
            str(path.parent),
        )
    return uri + ("?mode=ro" if log.exists() else "?immutable=1")


def _tune(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 16000")  # `Engine.checkpoint` is there long before
    db.execute("PRAGMA journal_size_limit = 67108864")


def _check_format(db: sqlite3.Connection, path: Path) -> None:
    try:
        found = read_state(db).format
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):
            raise
        raise FormatError(
            f"{path}: is an SQLite file of something else than a collection."
        ) from None
    if found not in FORMAT_VERSIONS:
        raise FormatError(
            f"{path}: has format version {found}; this vectorloom reads up to "
            f"{FORMAT_VERSIONS[-1]}. Upgrade vectorloom to open it."
        )


def read_state(db: sqlite3.Connection) -> State:
    """Return the state of the last commit, or of the transaction that is open."""
    row = db.execute(
        "SELECT format, schema, version, epoch, next_row, id_type FROM state"
    ).fetchone()
    if row is None:
        raise FormatError("the collection's database has lost its state; restore a snapshot.")
    return State(*row)


@contextlib.contextmanager
def transaction(db: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Commit what is done inside, all of it or nothing."""
    db.execute(f"BEGIN {kind}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            if db.in_transaction:
                db.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise the errors of SQLite as ours, with the path and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _in_our_words(error, path) from error


def _in_our_words(error: sqlite3.Error, path: Path) -> Exception:
    text = str(error)
    if "disk is full" in text or ("disk I/O error" in text and _is_full(path.parent)):
        return CapacityError(
            f"{path}: the disk is full; nothing of this change was stored and what was stored "
            "before is whole. Free some space and try again."
        )
    if "readonly" in text or "read-only" in text:
        return PermissionError(
            errno.EROFS, "cannot be written; open it with read_only=True", str(path)
        )
    if "unable to open" in text or "disk I/O error" in text:
        return OSError(errno.EIO, f"SQLite says: {text}", str(path))
    if "locked" in text or "busy" in text:
        return OSError(errno.EAGAIN, "is locked by another process; try again", str(path))
    if "not a database" in text or "malformed" in text or "corrupt" in text:
        return FormatError(
            f"{path}: is damaged (SQLite says: {text}). Restore a snapshot, or run `vectorloom "
            "repair`."
        )
    return InternalError(f"{path}: {type(error).__name__}: {text}")


def _is_full(folder: Path) -> bool:
    try:
        found = os.statvfs(folder)
    except (OSError, AttributeError):
        return False
    return found.f_bavail * found.f_frsize < 1 << 20
