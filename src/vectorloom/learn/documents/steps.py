# SPDX-License-Identifier: Apache-2.0
"""The steps of a training: progress, early stop, checkpoints to go on from."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, ParameterError
from vectorloom.io.container import open_container, write_container
from vectorloom.progress import Progress, progress

_KIND = "learn.steps_checkpoint"
# Between two looks at the clock, at signals and at the progress bar.
_SECONDS_A_CALL = 0.1


@dataclass
class Checkpoint:
    """Where the state of a training is kept.

    Attributes
    ----------
    path : path-like or None
    resume : bool
        Go on from `path`.
    every : float
        Seconds between two checkpoints.
    """

    path: str | os.PathLike[str] | None = None
    resume: bool = False
    every: float = 300.0

    def check(self) -> None:
        """Refuse what makes no sense."""
        if not self.every > 0:
            raise ParameterError(f"checkpoint_every must be positive (s); got {self.every!r}.")
        if self.resume and self.path is None:
            raise ParameterError("resume=True needs checkpoint=, the file to go on from.")


@dataclass
class Steps:
    """A training, from the first step or from a checkpoint on.

    Attributes
    ----------
    trainer : object
        Has ``n_steps`` and ``run(begin, end, n_jobs)``, which returns a sum of losses, perhaps
        more, and last the number of summands; and changes `arrays`.
    arrays : dict of str to ndarray
        All that is trained.
    settings : dict
        Of plain values; a checkpoint of other settings is refused.
    epochs : int
    label : str
        Of the progress bar.
    held_out : callable or None
        Returns the loss of held-out texts, asked after each epoch.
    patience : int or None
        Epochs without a better held-out loss after which to stop; the best epoch's arrays stay.
    """

    trainer: Any
    arrays: dict[str, NDArray[Any]]
    settings: dict[str, Any]
    epochs: int
    label: str
    n_jobs: int | None = None
    held_out: Callable[[], float] | None = None
    patience: int | None = None
    step: int = 0
    losses: list[float] = field(default_factory=list)
    held_out_losses: list[float] = field(default_factory=list)
    _sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _best: dict[str, NDArray[Any]] = field(default_factory=dict)

    def run(self, checkpoint: Checkpoint) -> None:
        """Train to the end, and leave checkpoints on the way.

        Parameters
        ----------
        checkpoint : Checkpoint

        Raises
        ------
        ParameterError
            The checkpoint is of another training.
        FormatError
            It is none.
        """
        checkpoint.check()
        path = None if checkpoint.path is None else Path(os.fspath(checkpoint.path))
        if checkpoint.resume and path is not None:
            self._resume(path)
        total = self.trainer.n_steps
        with progress(self.label, total=total, unit="steps", initial=self.step) as bar:
            self._train(bar, path, checkpoint.every)
        if self._best and self.held_out_losses[-1] > min(self.held_out_losses):
            for name, array in self.arrays.items():
                array[:] = self._best[name]

    def _train(self, bar: Progress, path: Path | None, every: float) -> None:
        total = self.trainer.n_steps
        an_epoch = total // self.epochs
        count, saved = 1, time.monotonic()
        while self.step < total and not self._is_over():
            end = min(self.step + count, (self.step // an_epoch + 1) * an_epoch)
            began = time.monotonic()
            # Ctrl-C leaves half a step behind; the checkpoint on disk is the one to go on from.
            loss, *_, n = self.trainer.run(self.step, end, self.n_jobs)
            self._sums[0] += loss
            self._sums[1] += n
            took = max(time.monotonic() - began, 1e-4)
            count = max(1, int((end - self.step) * min(2.0, _SECONDS_A_CALL / took)))
            bar.advance(end - self.step, loss=loss / max(n, 1))
            self.step = end
            if end % an_epoch == 0:
                self._end_epoch()
            if path is not None and (time.monotonic() - saved > every or self.step == total):
                self._save(path)
                saved = time.monotonic()

    def _end_epoch(self) -> None:
        self.losses.append(self._sums[0] / max(self._sums[1], 1))
        self._sums = [0.0, 0.0]
        if self.held_out is None:
            return
        self.held_out_losses.append(self.held_out())
        if self.patience is not None and self.held_out_losses[-1] == min(self.held_out_losses):
            self._best = {name: array.copy() for name, array in self.arrays.items()}

    def _is_over(self) -> bool:
        if self.patience is None or not self.held_out_losses:
            return False
        best = int(np.argmin(self.held_out_losses))
        return len(self.held_out_losses) - 1 - best >= self.patience

    def _save(self, path: Path) -> None:
        meta = {
            "step": self.step,
            "losses": self.losses,
            "held_out_losses": self.held_out_losses,
            "sums": self._sums,
            "settings": self.settings,
            "best": bool(self._best),
        }
        best = {f"best_{name}": array for name, array in self._best.items()}
        write_container(path, _KIND, meta, {**self.arrays, **best})

    def _resume(self, path: Path) -> None:
        container = open_container(path, verify=True)
        if container.kind != _KIND:
            raise FormatError(f"{path}: holds {container.kind!r}, not the state of a training.")
        theirs = container.meta["settings"]
        other = [name for name, mine in self.settings.items() if mine != theirs.get(name)]
        if other:
            listed = ", ".join(
                f"{name}: {theirs.get(name)!r} != {self.settings[name]!r}" for name in other
            )
            raise ParameterError(
                f"{path}: the checkpoint is of another training ({listed}). Go on with its "
                "settings and texts, or start anew with resume=False."
            )
        for name, array in self.arrays.items():
            array[:] = container.array(name, "<f4", array.shape)
            if container.meta["best"]:
                self._best[name] = container.array(f"best_{name}", "<f4", array.shape).copy()
        self.step = int(container.meta["step"])
        self.losses = list(container.meta["losses"])
        self.held_out_losses = list(container.meta["held_out_losses"])
        self._sums = list(container.meta["sums"])


def held_out_split(
    n: int, share: float, random_state: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions to train with and those held out, both rising.

    Parameters
    ----------
    n : int
    share : float
        Held out, from 0 to below 1; at least one where it is above 0 and n is above 1.
    random_state : int

    Returns
    -------
    train, held_out : ndarray of int64
    """
    if not 0 <= share < 1:
        raise ParameterError(f"validation_share must be from 0 to below 1; got {share!r}.")
    count = min(n - 1, max(1, round(n * share))) if share else 0
    order = np.random.default_rng(random_state).permutation(n).astype(np.int64)
    return np.sort(order[count:]), np.sort(order[:count])
