# SPDX-License-Identifier: Apache-2.0
"""What one server has: collections, models, a journal of long work, answers that are kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vectorloom.errors import FormatError, ParameterError
from vectorloom.serve.backups import Backups
from vectorloom.serve.calls import Limits
from vectorloom.serve.home import ExistsError, Home, UnknownCollectionError
from vectorloom.serve.keys import NAME
from vectorloom.serve.models import Models
from vectorloom.serve.operations import Operations
from vectorloom.serve.recall import Recall
from vectorloom.serve.refusals import not_found
from vectorloom.serve.replies import Replies
from vectorloom.serve.state import State
from vectorloom.store import restore, verify

# Time that running work is given to end when the server is told to.
_GRACE_S = 10.0
_MOST_IDS = 1000


@dataclass(frozen=True)
class Settings:
    """How a server is run.

    Attributes
    ----------
    read_only : bool
    n_jobs : int or None
    limits : Limits
    models : mapping of str to object
        Mounted, by name; see `vectorloom.serve.models`.
    import_folder : Path or None
        Where files lie that may be imported; None allows none.
    recall_share, recall_budget : float
        Of the searches that are asked again exactly, and of one core's time that may take.
    """

    read_only: bool = False
    n_jobs: int | None = None
    limits: Limits = Limits()  # noqa: RUF009
    models: Mapping[str, Any] | None = None
    import_folder: Path | None = None
    recall_share: float = 0.01
    recall_budget: float = 0.02


class Service:
    """See the module.

    Parameters
    ----------
    folder : Path
        Its subfolders are the collections.
    settings : Settings
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        for name, value in (
            ("recall_share", settings.recall_share),
            ("recall_budget", settings.recall_budget),
        ):
            if not 0 <= value <= 1:
                raise ParameterError(f"{name} must be from 0 to 1; got {value!r}.")
        if settings.import_folder is not None and not settings.import_folder.is_dir():
            raise ParameterError(f"{settings.import_folder} is no folder to import from.")
        self.settings = settings
        self.models = Models(settings.models or {})
        self.home = Home(folder, settings.read_only, settings.n_jobs, self.models)
        self.state = State(None if settings.read_only else folder)
        if not settings.read_only:
            for left in folder.glob(".*.????????.gone"):  # of a removal that was killed
                shutil.rmtree(left, ignore_errors=True)
        self.backups = Backups(folder)
        if not settings.read_only:
            self.backups.discard_uploads()
        self.replies = Replies(self.state)
        self.recall = Recall(settings.recall_share, settings.recall_budget)
        runners = {
            "optimize": self._optimize,
            "verify": self._verify,
            "snapshot": self._snapshot,
            "restore": self._restore,
            "import": self._import,
        }
        self.operations = Operations(self.state, runners, str(folder))

    def close(self) -> None:
        """End the background work, close the collections, keep the journal."""
        self.recall.stop()
        self.operations.stop(_GRACE_S)
        self.home.close()
        self.state.close()

    def import_path(self, name: str) -> Path:
        """Return a file of the folder of imports.

        Raises
        ------
        ParameterError
            Imports are not allowed here.
        Refusal
            404.
        """
        folder = self.settings.import_folder
        if folder is None:
            raise ParameterError(
                "this server imports no files; it would have to be started with --import-folder."
            )
        if not all(NAME.fullmatch(part) for part in name.split("/")):
            raise not_found("file")
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise not_found("file")
        return path

    # ---- long work -----------------------------------------------------------------------------

    def _optimize(self, name: str, request: Mapping[str, Any], attempt: int) -> dict[str, Any]:
        found = self.home.get(name)
        found.optimize(quiet=True)
        return {"points": len(found), "segments": len(found.info()["segments"])}

    def _verify(self, name: str, request: Mapping[str, Any], attempt: int) -> dict[str, Any]:
        path = self.home.path(name)
        if not path.exists():
            raise UnknownCollectionError(name)
        told = verify(path, quiet=True).to_dict()
        del told["path"]
        for problem in told["problems"]:
            problem["file"] = Path(problem["file"]).name
            problem["what"] = problem["what"].replace(f"{self.home.folder}/", "")
            problem["n_ids"], problem["ids"] = len(problem["ids"]), problem["ids"][:_MOST_IDS]
        return told

    def _snapshot(self, name: str, request: Mapping[str, Any], attempt: int) -> dict[str, Any]:
        target = self.backups.path(name, request["snapshot"])
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (attempt > 1 and target.exists()):  # it appears when it is whole
            self.home.get(name).snapshot(target)
        return {"snapshot": request["snapshot"]}

    def _restore(self, name: str, request: Mapping[str, Any], attempt: int) -> dict[str, Any]:
        source = self.backups.path(request["from"], request["snapshot"])
        if not source.is_dir():
            raise not_found("snapshot")
        if self.home.is_there(name):
            raise ExistsError(name)
        for left in self.home.folder.glob(f".{name}.????????.tmp"):  # of an attempt that was killed
            shutil.rmtree(left, ignore_errors=True)
        restore(source, self.home.path(name))
        return {"points": len(self.home.get(name))}

    def _import(self, name: str, request: Mapping[str, Any], attempt: int) -> dict[str, Any]:
        path = self.import_path(request["file"])
        columns = {key: request[key] for key in ("ids", "vectors", "text") if key in request}
        found = self.home.get(name)
        try:
            stored = found.import_(path, batch=request.get("batch", 16_384), quiet=True, **columns)
        except (FormatError, OSError) as error:
            if str(path) not in str(error):
                raise  # of the collection
            message = str(error).replace(str(path), request["file"])
            raise ParameterError(message) from error
        return {"stored": stored, "points": len(found)}
