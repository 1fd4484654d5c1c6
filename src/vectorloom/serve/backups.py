# SPDX-License-Identifier: Apache-2.0
"""Snapshots that a server keeps beside its collections: HOME/.server/snapshots/NAME/SNAPSHOT.

They travel as tar files of plain members: no links, no long names, nothing packed, so that a tar
file from elsewhere can take no more room than its own bytes and lead nowhere.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from vectorloom.serve.home import UnknownCollectionError, set_aside
from vectorloom.serve.keys import NAME
from vectorloom.serve.refusals import Refusal, conflict, not_found
from vectorloom.serve.state import FOLDER
from vectorloom.store.database import NAME as DATABASE
from vectorloom.store.segment import DERIVED
from vectorloom.store.segment_file import FOLDER as SEGMENTS
from vectorloom.store.segment_file import sync_folder

_PIECE = 1 << 18
_PREFIX = "snapshot"
_MEMBER = re.compile(
    rf"{_PREFIX}/({DATABASE}|{SEGMENTS}/\w{{1,64}}\.arrow|{DERIVED}/\w{{1,64}}\.graph)"
)


class Backups:
    """The snapshots below a home.

    Parameters
    ----------
    home : Path
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER / "snapshots"

    def path(self, collection: str, snapshot: str) -> Path:
        """Return where a snapshot is or is to be; no name leads elsewhere.

        Raises
        ------
        UnknownCollectionError, Refusal
        """
        if not NAME.fullmatch(collection):
            raise UnknownCollectionError(collection)
        if not NAME.fullmatch(snapshot):
            raise not_found("snapshot")
        return self._folder / collection / snapshot

    def listed(self, collection: str) -> list[dict[str, Any]]:
        """Return the snapshots of a collection, the newest first."""
        if not NAME.fullmatch(collection):
            raise UnknownCollectionError(collection)
        found = []
        folder = self._folder / collection
        for entry in folder.iterdir() if folder.is_dir() else ():
            with contextlib.suppress(OSError):  # removed meanwhile
                if NAME.fullmatch(entry.name) and (entry / DATABASE).is_file():
                    made = (entry / DATABASE).stat().st_mtime
                    size = sum(f.stat().st_size for f in entry.rglob("*") if f.is_file())
                    found.append({"snapshot": entry.name, "bytes": size, "created": _iso(made)})
        return sorted(found, key=lambda each: str(each["created"]), reverse=True)

    def remove(self, collection: str, snapshot: str) -> None:
        """Remove a snapshot.

        Raises
        ------
        Refusal
            404.
        """
        path = self.path(collection, snapshot)
        if not path.is_dir():
            raise not_found("snapshot")
        shutil.rmtree(set_aside(path), ignore_errors=True)

    def packed(self, collection: str, snapshot: str) -> Iterator[bytes]:
        """Return a snapshot as the pieces of a tar file; memory is that of one piece.

        Raises
        ------
        Refusal
            404.
        """
        path = self.path(collection, snapshot)
        if not (path / DATABASE).is_file():
            raise not_found("snapshot")
        files = sorted(file for file in path.rglob("*") if _MEMBER.fullmatch(_named(file, path)))
        return _pieces(files, path)

    def unpack(self, collection: str, snapshot: str, tar: Path) -> int:
        """Make a snapshot of a tar file; return its bytes.

        Raises
        ------
        Refusal
            409 where there is one of this name; 400 where the tar file is none of a snapshot.
        """
        target = self.path(collection, snapshot)
        if target.exists():
            raise conflict("there is a snapshot of this name already.")
        temporary = target.with_name(f".{snapshot}.{secrets.token_hex(4)}.tmp")
        try:
            with tar.open("rb") as file:
                size = _unpacked(file, temporary)
            if not (temporary / DATABASE).is_file():
                raise _no_snapshot(f"it lacks {DATABASE}")
            temporary.rename(target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return size

    def upload(self) -> Path:
        """Return where the bytes of an upload are to be put."""
        folder = self._folder.with_name("uploads")
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{secrets.token_hex(8)}.tar"

    def discard_uploads(self) -> None:
        """Remove what uploads left that were cut off by a kill."""
        shutil.rmtree(self._folder.with_name("uploads"), ignore_errors=True)
        for left in self._folder.glob("*/.*.tmp"):
            shutil.rmtree(left, ignore_errors=True)


def new_name() -> str:
    """Return a name for a snapshot: its time, and a few letters that no other one has."""
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def _named(file: Path, folder: Path) -> str:
    return f"{_PREFIX}/{file.relative_to(folder).as_posix()}"


def _pieces(files: list[Path], folder: Path) -> Iterator[bytes]:
    for path in files:
        with path.open("rb") as file:
            member = tarfile.TarInfo(_named(path, folder))
            about = path.stat()
            member.size, member.mtime, member.mode = about.st_size, int(about.st_mtime), 0o600
            yield member.tobuf(tarfile.GNU_FORMAT)  # one block, whatever the size
            left = member.size
            while left:
                piece = file.read(min(_PIECE, left))
                if not piece:
                    raise OSError(f"{path}: became shorter while it was sent")
                left -= len(piece)
                yield piece
            yield bytes(-member.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _unpacked(file: BinaryIO, folder: Path) -> int:
    """Write the members of a tar file below a new folder; return their bytes."""
    for place in (folder, folder / SEGMENTS, folder / DERIVED):
        place.mkdir(parents=True)
    total = 0
    while True:
        block = file.read(tarfile.BLOCKSIZE)
        if block == bytes(tarfile.BLOCKSIZE):
            break
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeError):
            raise _no_snapshot("a header is damaged or missing") from None
        known = _MEMBER.fullmatch(member.name)
        if known is None or member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise _no_snapshot(f"{member.name!r:.80} is not part of one")
        target = folder / known[1]
        if target.exists() or member.size < 0:
            raise _no_snapshot(f"{member.name!r} comes twice, or is damaged")
        _write(file, target, member.size)
        file.seek(-member.size % tarfile.BLOCKSIZE, 1)
        total += member.size
    for place in (folder / SEGMENTS, folder / DERIVED, folder):
        sync_folder(place)
    return total


def _write(file: BinaryIO, target: Path, size: int) -> None:
    with target.open("xb") as out:
        while size:
            piece = file.read(min(_PIECE, size))
            if not piece:
                raise _no_snapshot("it is cut off")
            out.write(piece)
            size -= len(piece)
        out.flush()
        os.fsync(out.fileno())


def _no_snapshot(why: str) -> Refusal:
    return Refusal(400, "BadRequest", f"the body is no tar file of a snapshot: {why}.")


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
