# SPDX-License-Identifier: Apache-2.0
"""API keys: who may read or write which collections. Only hashes are kept.

A line of the key file is ``SHA-256 ROLE COLLECTIONS``: the hash in hexadecimal, ``read`` or
``write``, and names joined by commas or ``*``. Keys are 256 random bits, so that a plain hash
cannot be guessed back.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from vectorloom.errors import FormatError, ParameterError
from vectorloom.estimator import check_choice

ROLES = ("read", "write")
#: Names of collections below a server's folder: no dots at the front, no separators.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

NAME_RULE = (
    "names are up to 100 letters, digits, dots, hyphens and underscores, and begin with a letter "
    "or digit."
)


@dataclass(frozen=True)
class Grant:
    """What a key allows.

    Attributes
    ----------
    may_write : bool
    collections : frozenset of str, or None
        None: all.
    """

    may_write: bool
    collections: frozenset[str] | None

    def covers(self, name: str) -> bool:
        """Whether the key is for this collection."""
        return self.collections is None or name in self.collections


def hash_of(key: str) -> str:
    """Return the hash that stands for a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> dict[str, Grant]:
    """Return the grants of a key file by hash.

    Raises
    ------
    FormatError
        A line is not as described, or there is none; no line is skipped silently.
    OSError
    """
    grants: dict[str, Grant] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split()
        if len(parts) != 3 or not re.fullmatch(r"[0-9a-f]{64}", parts[0]) or parts[1] not in ROLES:
            raise FormatError(
                f"{path}, line {number}: 'SHA-256 read|write COLLECTIONS' is expected. Add keys "
                "with `vectorloom key`."
            )
        names = None if parts[2] == "*" else frozenset(parts[2].split(","))
        if names is not None and not all(NAME.fullmatch(name) for name in names):
            raise FormatError(f"{path}, line {number}: a name of a collection is not one.")
        grants[parts[0]] = Grant(parts[1] == "write", names)
    if not grants:
        raise FormatError(f"{path}: holds no key. Add one with `vectorloom key`.")
    return grants


def add_key(path: Path, role: str, collections: list[str]) -> str:
    """Add a new key to a file, readable by its owner alone, and return the key: it is not kept.

    Parameters
    ----------
    path : Path
    role : {"read", "write"}
    collections : list of str
        Names; none for all.
    """
    check_choice("role", role, ROLES)
    for name in collections:
        if not NAME.fullmatch(name):
            raise ParameterError(f"{name!r} cannot be the name of a collection.")
    key = "vl_" + secrets.token_urlsafe(32)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8") as file:
        file.write(f"{hash_of(key)} {role} {','.join(collections) or '*'}\n")
    return key
