# SPDX-License-Identifier: Apache-2.0
"""One writer a collection: a lock that the system drops when its holder dies."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
from pathlib import Path

from vectorloom.errors import DependencyError, VectorloomError

NAME = "writer.lock"


class LockedError(VectorloomError, OSError):
    """Another writer has the collection; the message names it."""


class WriterLock:
    """The lock of a folder, held from construction to `release`.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    LockedError
        Another process, or another object of this one, holds it.
    OSError
        The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / NAME
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(self._handle)
        except OSError:
            holder = _read(self._handle)
            os.close(self._handle)
            raise LockedError(
                f"{folder}: is being written by {holder}; one writer at a time is allowed. Open it "
                "with read_only=True, or close the other writer."
            ) from None
        except BaseException:
            os.close(self._handle)
            raise
        with contextlib.suppress(OSError):  # a full disk must not keep a collection from opening
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, _self_description().encode(), 0)

    def release(self) -> None:
        """Let the next writer in; once is enough."""
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            with contextlib.suppress(OSError):
                os.ftruncate(handle, 0)
            os.close(handle)


def _lock(handle: int) -> None:
    try:
        import fcntl
    except ImportError:
        raise DependencyError(
            "collections need file locks as Linux and macOS have them; open with read_only=True."
        ) from None
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _self_description() -> str:
    command = " ".join([Path(sys.argv[0]).name or "python", *sys.argv[1:]])
    return json.dumps({"pid": os.getpid(), "host": platform.node(), "command": command[:200]})


def _read(handle: int) -> str:
    try:
        data = json.loads(os.pread(handle, 4096, 0))
        return f"process {data['pid']} on {data['host']} ({data['command']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
