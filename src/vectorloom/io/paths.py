# SPDX-License-Identifier: Apache-2.0
"""Finding the file to read, and replacing the file to write in one step."""

from __future__ import annotations

import difflib
import errno
import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vectorloom.errors import CapacityError, FormatError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator


def as_path(path: object) -> Path:
    """Accept str and PathLike, refuse everything else by name."""
    if not isinstance(path, (str, os.PathLike)):
        message = f"path must be a str or a path; got {type(path).__name__}."
        raise ParameterError(message)
    if not os.fspath(path):
        message = "path is empty; give the name of a file."
        raise ParameterError(message)
    return Path(os.fsdecode(path)).expanduser()


def require_exists(path: Path) -> None:
    """Raise FileNotFoundError, with near names, when there is nothing at `path`."""
    if path.exists():
        return
    parent = path.parent
    if not parent.is_dir():
        message = f"{path}: there is no such file; the folder {parent} does not exist either."
        raise FileNotFoundError(message)
    names = [entry.name for entry in os.scandir(parent)]
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    near += [n for n in sorted(names) if Path(n).stem == path.stem and n not in near][:3]
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    message = f"{path}: there is no such file.{hint}"
    raise FileNotFoundError(message)


def require_file(path: Path) -> int:
    """Return the size of the file in bytes; refuse what is missing, empty or not a file."""
    require_exists(path)
    if path.is_dir():
        files = sorted(p.name for p in path.iterdir() if p.is_file() and p.name[0] != ".")[:5]
        inside = f" It holds {', '.join(files)}." if files else ""
        message = f"{path}: expected a file; found a folder.{inside} Give the path of one file."
        raise FormatError(message)
    if not path.is_file():
        message = f"{path}: expected a regular file; found a device or a pipe. Copy it first."
        raise FormatError(message)
    size = path.stat().st_size
    if size == 0:
        message = f"{path}: expected vectors; found an empty file (0 bytes)."
        raise FormatError(message)
    return size


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; on success it takes the place of `target`.

    The bytes are on the disk before the name changes, so a reader, a crash or a full disk meets
    either the whole old file or the whole new one.
    """
    # The link stays a link: what it points to is replaced.
    target = Path(os.path.realpath(target))
    if target.is_dir():
        message = f"{target}: expected the name of a file to write; found a folder."
        raise ParameterError(message)
    if not target.parent.is_dir():
        message = f"{target}: the folder {target.parent} does not exist; create it first."
        raise FileNotFoundError(message)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise _write_error(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename durable; some systems cannot open a folder, and need not."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)


def _write_error(target: Path, error: OSError) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return CapacityError(
            f"{target}: the disk is full ({error.strerror}); nothing was written. "
            "Free some space or choose another folder."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        message = f"{target}: the folder {target.parent} is not writable; nothing was written."
        return PermissionError(message)
    return error
