# SPDX-License-Identifier: Apache-2.0
"""The collections below a server's folder: found by name, opened at first use, closed together."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vectorloom.errors import ParameterError
from vectorloom.serve.keys import NAME, NAME_RULE
from vectorloom.store import Collection, Encoder, collection, switch_alias
from vectorloom.store.database import NAME as DATABASE
from vectorloom.store.database import connect, read_state
from vectorloom.store.schema import Schema

if TYPE_CHECKING:
    from vectorloom.serve.models import Models

log = logging.getLogger("vectorloom.serve")

SETTINGS = ("dim", "metric", "dtype", "fields", "index", "encoder")


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
    models : Models
        Are handed to the collections whose fields they made.
    """

    def __init__(self, folder: Path, read_only: bool, n_jobs: int | None, models: Models) -> None:
        if not folder.is_dir():
            raise NotADirectoryError(20, "is no folder to serve collections from", str(folder))
        self.folder = folder
        self.read_only = read_only
        self._n_jobs = n_jobs
        self._models = models
        self._open: dict[Path, Collection] = {}  # by resolved path: an alias is no second one
        self._refused: dict[Path, str] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Return the names of all collections, sorted; aliases are not among them."""
        return sorted(name for name, is_alias in self._entries() if not is_alias)

    def aliases(self) -> dict[str, str]:
        """Return the collection that each alias leads to."""
        return {
            name: (self.folder / name).resolve().name
            for name, is_alias in sorted(self._entries())
            if is_alias
        }

    def sizes(self) -> dict[str, int]:
        """Return the points of the collections that are open, by name."""
        with self._lock:
            return {path.name: len(found) for path, found in sorted(self._open.items())}

    def is_there(self, name: str) -> bool:
        """Whether there is anything of this name."""
        return os.path.lexists(self.path(name))

    def get(self, name: str) -> Collection:
        """Return a collection, opened.

        Raises
        ------
        UnknownCollectionError
        """
        path = self.path(name).resolve()
        with self._lock:
            found = self._open.get(path)
            if found is None:
                if not (path / DATABASE).is_file():
                    raise UnknownCollectionError(name)
                found = self._open[path] = self._opened(path)
            return found

    def why_no_encoder(self, name: str) -> str | None:
        """Return why the mounted model of a collection's encoder was not taken, if it was not."""
        return self._refused.get(self.path(name).resolve())

    def create(self, name: str, settings: Mapping[str, Any]) -> Collection:
        """Create a collection.

        Raises
        ------
        ExistsError
        ParameterError
            Settings that are not known, or not allowed.
        """
        check_name(name)
        path = self.path(name)
        encoder = self._encoder_of(settings)
        dim = settings.get("dim")
        if dim is None and isinstance(encoder, Encoder):
            dim = encoder.encode(["a text"]).shape[1]
        with self._lock:
            if os.path.lexists(path):
                raise ExistsError(name)
            try:
                made = collection(
                    path, dim, settings.get("metric"), dtype=settings.get("dtype"),
                    fields=settings.get("fields"), index=settings.get("index"), encoder=encoder,
                    n_jobs=self._n_jobs,
                )  # fmt: skip
            except BaseException:
                if path.exists():  # made, and then its model was found not to fit
                    shutil.rmtree(set_aside(path), ignore_errors=True)
                raise
            self._open[path.resolve()] = made
            return made

    def remove(self, name: str) -> None:
        """Close a collection and remove its folder.

        Raises
        ------
        UnknownCollectionError
        ParameterError
            An alias leads there, or is what was named.
        """
        path = self.path(name)
        if path.is_symlink():
            raise ParameterError(f"{name} is an alias; remove it as one.")
        if not (path / DATABASE).is_file():
            raise UnknownCollectionError(name)
        leading = [alias for alias, target in self.aliases().items() if target == name]
        if leading:
            raise ParameterError(f"{', '.join(leading)} lead to {name}; switch or remove them.")
        with self._lock:
            found = self._open.pop(path.resolve(), None)
            if found is not None:
                found.close()
            gone = set_aside(path)
        shutil.rmtree(gone, ignore_errors=True)

    def switch(self, alias: str, target: str) -> None:
        """Let an alias lead to a collection.

        Raises
        ------
        UnknownCollectionError
            There is no such target.
        ExistsError
            A collection has this name.
        """
        check_name(alias)
        path, folder = self.path(alias), self.path(target)
        if folder.is_symlink() or not (folder / DATABASE).is_file():
            raise UnknownCollectionError(target)
        if path.exists() and not path.is_symlink():
            raise ExistsError(alias)
        switch_alias(path, folder)

    def forget(self, alias: str) -> bool:
        """Remove an alias; False where there is none."""
        path = self.path(alias)
        if not path.is_symlink():
            return False
        path.unlink()
        return True

    def close(self) -> None:
        """Close all; what was acknowledged is on the disk already."""
        with self._lock:
            for found in self._open.values():
                found.close()
            self._open.clear()

    def path(self, name: str) -> Path:
        """Return where a collection of this name is; no name leads out of the folder."""
        if not NAME.fullmatch(name):
            raise UnknownCollectionError(name)
        return self.folder / name

    # ---- inside --------------------------------------------------------------------------------

    def _entries(self) -> list[tuple[str, bool]]:
        return [
            (entry.name, entry.is_symlink())
            for entry in self.folder.iterdir()
            if NAME.fullmatch(entry.name) and (entry / DATABASE).is_file()
        ]

    def _opened(self, path: Path) -> Collection:
        """Open a collection with the models that made its fields, or without those that did not."""
        encoders = self._encoders_of(path)
        if encoders:
            try:
                return collection(
                    path, encoder=encoders, read_only=self.read_only, n_jobs=self._n_jobs
                )
            except ParameterError as error:
                self._refused[path] = str(error)
                log.warning("%s: its mounted model is not taken: %s", path.name, error)
        return collection(path, read_only=self.read_only, n_jobs=self._n_jobs)

    def _encoders_of(self, path: Path) -> dict[str, Encoder]:
        with contextlib.closing(connect(path / DATABASE, read_only=True)) as db:
            schema = Schema.from_json(read_state(db).schema)
        return {
            field.name: self._models.get(field.encoder.name).encoder(field.encoder)
            for field in schema.fields
            if field.encoder is not None and field.encoder.name in self._models
        }

    def _encoder_of(self, settings: Mapping[str, Any]) -> Any:
        """Return the encoder that a new collection is to have: the name of a model, or by field."""
        asked = settings.get("encoder")
        if asked is None:
            return None
        if isinstance(asked, str):
            return self._models.get(asked).encoder()
        if not isinstance(asked, Mapping) or not all(isinstance(n, str) for n in asked.values()):
            raise ParameterError("encoder must be the name of a model, or one for each field.")
        return {field: self._models.get(name).encoder() for field, name in asked.items()}


def check_name(name: str) -> None:
    """Refuse what cannot be the name of something new.

    Raises
    ------
    ParameterError
    """
    if not NAME.fullmatch(name):
        raise ParameterError(f"{name!r:.40} cannot be a name: {NAME_RULE}")


def set_aside(path: Path) -> Path:
    """Take a folder's name from it, in one step, and return where it is to be removed."""
    hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.gone")
    path.rename(hidden)
    return hidden
