# SPDX-License-Identifier: Apache-2.0
"""Bytes: read them from a user's words, ask the system how many are left, refuse a job in time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from vectorloom.errors import CapacityError, ParameterError
from vectorloom.readable import format_bytes

# Rows of a file that are more than this share of the memory left are read when they are needed.
_SHARE_OF_MEMORY = 0.5
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)


def parse_bytes(size: Any, *, name: str = "memory_limit") -> int:
    """Return a number of bytes given as a number or as text.

    Parameters
    ----------
    size : int, float or str
        ``2 << 30``, ``"2GiB"``, ``"500 MB"``, ``"1.5g"``. KiB, MiB, GiB, TiB count in 1024s and KB,
        MB, GB, TB in 1000s.
    name : str, default="memory_limit"
        The parameter; used in messages.

    Returns
    -------
    int

    Raises
    ------
    ParameterError

    Examples
    --------
    >>> parse_bytes("2GiB"), parse_bytes("500 MB")
    (2147483648, 500000000)
    """
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        if match:
            number, unit, binary = match.groups()
            return int(float(number) * (1024 if binary else 1000) ** _UNITS[unit.lower()])
    elif not isinstance(size, bool) and isinstance(size, int | float) and 0 <= size < 2**63:
        return int(size)
    raise ParameterError(
        f"{name} must be a number of bytes or text such as '2GiB' or '500MB'; got {size!r}."
    )


def available_memory() -> int | None:
    """Return the bytes this process can still take without swapping, or None where unknown.

    Returns
    -------
    int or None
        On Linux the least of what the machine has available and what the control group (a
        container's limit) leaves; elsewhere None.
    """
    return min(
        (room for room in (_machine_room(), _group_room()) if room is not None), default=None
    )


def _machine_room() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _group_room(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int | None:
    # Version 2 has one tree; version 1 has memory in a tree of its own. Every ancestor's limit
    # counts.
    rooms = []
    try:
        lines = own.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        base = root / "memory" if controllers else root
        names = ("limit_in_bytes", "usage_in_bytes") if controllers else ("max", "current")
        folder = base / path.strip("/")
        while True:
            room = _folder_room(folder, *names)
            if room is not None:
                rooms.append(room)
            if folder in (base, folder.parent):
                break
            folder = folder.parent
    return min(rooms, default=None)


def _folder_room(folder: Path, limit_name: str, used_name: str) -> int | None:
    try:
        limit = int((folder / f"memory.{limit_name}").read_text(encoding="ascii"))
        used = int((folder / f"memory.{used_name}").read_text(encoding="ascii"))
        stat = (folder / "memory.stat").read_text(encoding="ascii")
    except (OSError, ValueError):  # no such level, or the word "max"
        return None
    # File pages count as used but are given back on demand; without this a process that has just
    # read a large file would look as if it had no room left.
    cached = sum(
        int(line.split()[1])
        for line in stat.splitlines()
        if line.startswith(("inactive_file ", "active_file "))
    )
    return max(0, limit - used + cached)


def beyond_memory(n_bytes: int, limit: int | None) -> bool:
    """Return whether rows of a file are too many to stay in memory with all else there is.

    Parameters
    ----------
    n_bytes : int
        Of the rows.
    limit : int or None
        The user's own; None takes half of what the system has left.
    """
    if limit is not None and n_bytes > limit:
        return True
    room = available_memory()
    return room is not None and n_bytes > _SHARE_OF_MEMORY * room


def require_memory(n_bytes: int, what: str, remedy: str, *, limit: int | None = None) -> None:
    """Refuse a job that would not fit, before it starts.

    Parameters
    ----------
    n_bytes : int
        What the job will take beyond what is held now.
    what : str
        The job, as the subject of the message.
    remedy : str
        What to do instead.
    limit : int or None, default=None
        The user's own limit in bytes; None asks the system.

    Raises
    ------
    CapacityError
    """
    room = available_memory() if limit is None else limit
    if room is not None and n_bytes > room:
        source = "available here" if limit is None else "the memory_limit"
        raise CapacityError(
            f"{what} needs about {format_bytes(n_bytes)} and {format_bytes(room)} is {source}. "
            f"{remedy}"
        )
