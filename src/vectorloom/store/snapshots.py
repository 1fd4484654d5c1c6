# SPDX-License-Identifier: Apache-2.0
"""Snapshots: a copy of one commit in a new folder, and the way back; names that can be switched."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
import sqlite3
import uuid
from pathlib import Path

from vectorloom.errors import CapacityError, FormatError, ParameterError
from vectorloom.store import database
from vectorloom.store.database import connect, translated
from vectorloom.store.engine import Engine
from vectorloom.store.segment import DERIVED
from vectorloom.store.segment_file import FOLDER, sync_folder
from vectorloom.store.verification import verify

_TRIES = 5


def take(engine: Engine, target: Path) -> Path:
    """Copy the last commit of an open collection into a new folder; see `Collection.snapshot`."""
    _require_free(target)
    for left in target.parent.glob(f".{glob.escape(target.name)}.????????.tmp"):
        shutil.rmtree(left, ignore_errors=True)  # of a copy that was killed
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        for attempt in range(_TRIES):
            try:
                with engine.upkeep:  # nothing is compacted away meanwhile, if this is the writer
                    engine.current()
                    _copy_all(engine, temporary)
                break
            except FileNotFoundError:  # another process compacted; its new list is copied instead
                shutil.rmtree(temporary, ignore_errors=True)
                if attempt == _TRIES - 1:
                    raise FormatError(
                        f"{engine.folder}: segments are missing, so that there is no whole copy to "
                        "be made. Run `vectorloom verify` on it."
                    ) from None
        temporary.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise _worded(error, target) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def restore(snapshot: str | os.PathLike[str], path: str | os.PathLike[str]) -> Path:
    """Copy a snapshot to where a collection is to be, after checking every checksum in it.

    Parameters
    ----------
    snapshot : path-like
        A folder that `Collection.snapshot` made; it stays as it is.
    path : path-like
        Must not exist. It appears when it is whole.

    Returns
    -------
    Path

    Raises
    ------
    FormatError
        The snapshot is damaged; nothing was copied.
    ParameterError, CapacityError, OSError
        There is something at `path` already; no room; no permission.
    """
    source, target = Path(snapshot), Path(path)
    _require_free(target)
    report = verify(source)
    if not report.is_sound:
        raise FormatError(f"{source}: is damaged and was not restored: {report.problems[0]}")
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir()
        for name in (FOLDER, DERIVED):
            if (source / name).is_dir():
                (temporary / name).mkdir()
                for file in sorted((source / name).iterdir()):
                    _copy(file, temporary / name / file.name)
                sync_folder(temporary / name)
        _copy_database(source / database.NAME, temporary / database.NAME)
        sync_folder(temporary)
        temporary.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise _worded(error, target) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def switch_alias(alias: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Let a name lead to another collection, in one step.

    Parameters
    ----------
    alias : path-like
        A symbolic link, or nothing yet. Whoever opens it from now on opens `target`; who has the
        old collection open goes on with that.
    target : path-like
        The folder of a collection.

    Raises
    ------
    ParameterError
        `alias` is a folder or file of its own, or `target` holds no collection.

    Examples
    --------
    >>> import tempfile
    >>> import vectorloom as vl
    >>> home = Path(tempfile.mkdtemp())
    >>> for name in ("v1", "v2"):
    ...     vl.collection(home / name, dim=2).close()
    >>> vl.store.switch_alias(home / "live", home / "v1")
    >>> vl.store.switch_alias(home / "live", home / "v2")
    >>> (home / "live").resolve().name
    'v2'
    """
    link, folder = Path(alias), Path(target)
    if not (folder / database.NAME).is_file():
        raise ParameterError(f"{folder} holds no collection that {link} could lead to.")
    if link.exists() and not link.is_symlink():
        raise ParameterError(f"{link} is no alias but a folder or file; choose another name.")
    temporary = link.with_name(f".{link.name}.{uuid.uuid4().hex[:8]}.tmp")
    # Beside each other they can be moved together.
    beside = folder.parent.resolve() == link.parent.resolve()
    temporary.symlink_to(folder.name if beside else folder.resolve())
    try:
        temporary.replace(link)
        sync_folder(link.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _require_free(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise ParameterError(f"{target} exists; give the name of a folder that is to be made.")
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(target.parent))


def _copy_all(engine: Engine, temporary: Path) -> None:
    temporary.mkdir()
    _copy_database(engine.path, temporary / database.NAME)
    with contextlib.closing(sqlite3.connect(temporary / database.NAME)) as db:
        listed = [row[0] for row in db.execute("SELECT file FROM segments")]
    for name in (FOLDER, DERIVED):
        (temporary / name).mkdir()
    for file in listed:
        _copy(engine.folder / FOLDER / file, temporary / FOLDER / file)
        graph = f"{Path(file).stem}.graph"
        if (engine.folder / DERIVED / graph).exists():
            _copy(engine.folder / DERIVED / graph, temporary / DERIVED / graph)
    for name in (FOLDER, DERIVED, ""):
        sync_folder(temporary / name)


def _copy_database(source: Path, target: Path) -> None:
    """Copy one commit of a database, its log included."""
    with (
        contextlib.closing(connect(source, read_only=True)) as db,
        translated(target),
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        db.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one whole file
        copy.execute("PRAGMA journal_mode = WAL").fetchall()
    _sync(target)


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    _sync(target)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _worded(error: OSError, target: Path) -> OSError | CapacityError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CapacityError(f"{target}: the disk is full; nothing was left there.")
    return error
