# SPDX-License-Identifier: Apache-2.0
"""Measurements on disk, so that a tuning that was stopped goes on where it was.

One JSON object a line, written as it is measured; the file's name is a hash of all that decides
what a measurement means: vectors, queries, judgments, filters, goals, machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from vectorloom import _core
from vectorloom.tune.goals import Goals
from vectorloom.tune.problem import Problem

# Raised whenever what is measured, or how, is no longer what it was.
_FORMAT = 2


class Journal:
    """What was measured before, and what is measured now.

    Parameters
    ----------
    path : Path or None
        None remembers nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, dict[str, Any]] = {}
        if path is None or not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                self._known[entry["key"]] = entry["value"]
            except (ValueError, KeyError, TypeError):  # the line that a stop cut short
                continue

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return what was measured under this key, or None."""
        return self._known.get(key)

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Remember a measurement."""
        self._known[key] = value
        if self._path is None:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "value": value}) + "\n")


def open_journal(folder: str | os.PathLike[str] | None, problem: Problem, goals: Goals) -> Journal:
    """Open the journal of this problem in a folder, which is made if it is missing.

    Parameters
    ----------
    folder : path-like or None
    problem : Problem
    goals : Goals

    Returns
    -------
    Journal
    """
    if folder is None:
        return Journal(None)
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    return Journal(home / f"tune-{_fingerprint(problem, goals)}.jsonl")


def _fingerprint(problem: Problem, goals: Goals) -> str:
    digest = hashlib.blake2b(digest_size=10)
    for array in (problem.base, problem.tuned.queries, problem.held.queries):
        digest.update(str(array.shape).encode())
        digest.update(memoryview(np.ascontiguousarray(array)).cast("B"))
    for asked in (problem.tuned, problem.held):
        if asked.judgments is not None:
            digest.update(repr(asked.judgments.gains).encode())
        if asked.filters is not None:
            for allowed in asked.filters.allowed:
                digest.update(b"all" if allowed is None else allowed.tobytes())
    meant = (goals.quality, goals.least, goals.k, goals.batch, problem.metric, problem.random_state)
    machine = (platform.node(), platform.processor(), _core.simd_level(), _FORMAT)
    digest.update(repr((meant, machine)).encode())
    return digest.hexdigest()
