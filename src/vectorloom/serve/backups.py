# SPDX-License-Identifier: Apache-2.0
"""Snapshots that a server keeps beside its collections: HOME/.server/snapshots/NAME/SNAPSHOT."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vectorloom.serve.home import UnknownCollectionError, set_aside
from vectorloom.serve.keys import NAME
from vectorloom.serve.refusals import not_found
from vectorloom.serve.state import FOLDER
from vectorloom.store.database import NAME as DATABASE

_PIECE = 1 << 18


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
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return _pieces(files, path, f"{collection}-{snapshot}")


def new_name() -> str:
    """Return a name for a snapshot: its time, and a few letters that no other one has."""
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def _pieces(files: list[Path], folder: Path, name: str) -> Iterator[bytes]:
    for path in files:
        with path.open("rb") as file:
            member = tarfile.TarInfo(f"{name}/{path.relative_to(folder).as_posix()}")
            about = path.stat()
            member.size, member.mtime, member.mode = about.st_size, int(about.st_mtime), 0o600
            yield member.tobuf(tarfile.PAX_FORMAT)
            left = member.size
            while left:
                piece = file.read(min(_PIECE, left))
                if not piece:
                    raise OSError(f"{path}: became shorter while it was sent")
                left -= len(piece)
                yield piece
            yield bytes(-member.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
