# SPDX-License-Identifier: Apache-2.0
"""The collections below a server's folder: found by name, opened at first use, closed together."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vectorloom.errors import ParameterError
from vectorloom.serve.keys import NAME
from vectorloom.store import Collection, collection
from vectorloom.store.database import NAME as DATABASE

_SETTINGS = {"dim", "metric", "dtype", "fields", "index"}


class UnknownCollectionError(LookupError):
    """There is no collection of that name."""


class ExistsError(Exception):
    """There is one already."""


class Home:
    """See the module.

    Parameters
    ----------
    folder : Path
        Exists.
    read_only : bool
        Open all beside writers elsewhere, and write nothing.
    n_jobs : int or None
    """

    def __init__(self, folder: Path, read_only: bool, n_jobs: int | None) -> None:
        if not folder.is_dir():
            raise NotADirectoryError(20, "is no folder to serve collections from", str(folder))
        self.folder = folder
        self.read_only = read_only
        self._n_jobs = n_jobs
        self._open: dict[str, Collection] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Return the names of all collections, sorted."""
        return sorted(
            entry.name
            for entry in self.folder.iterdir()
            if NAME.fullmatch(entry.name) and (entry / DATABASE).is_file()
        )

    def get(self, name: str) -> Collection:
        """Return a collection, opened.

        Raises
        ------
        UnknownCollectionError
        """
        with self._lock:
            found = self._open.get(name)
            if found is None:
                if not (self._path(name) / DATABASE).is_file():
                    raise UnknownCollectionError(name)
                found = collection(self._path(name), read_only=self.read_only, n_jobs=self._n_jobs)
                self._open[name] = found
            return found

    def create(self, name: str, settings: Mapping[str, Any]) -> Collection:
        """Create a collection.

        Raises
        ------
        ExistsError
        ParameterError
            Settings that are not known, or not allowed.
        """
        unknown = sorted(set(settings) - _SETTINGS)
        if unknown:
            raise ParameterError(
                f"unknown settings {', '.join(unknown)}; a collection takes "
                f"{', '.join(sorted(_SETTINGS))}."
            )
        with self._lock:
            if (self._path(name) / DATABASE).exists():
                raise ExistsError(name)
            dim = settings.get("dim")
            made = collection(
                self._path(name), dim, settings.get("metric"), dtype=settings.get("dtype"),
                fields=settings.get("fields"), index=settings.get("index"), n_jobs=self._n_jobs,
            )  # fmt: skip
            self._open[name] = made
            return made

    def close(self) -> None:
        """Close all; what was acknowledged is on the disk already."""
        with self._lock:
            for found in self._open.values():
                found.close()
            self._open.clear()

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):  # so that no name leads out of the folder
            raise UnknownCollectionError(name)
        return self.folder / name
