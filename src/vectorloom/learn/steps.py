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
from vectorloom.estimator import check_count
from vectorloom.io.container import open_container, write_container
from vectorloom.progress import Progress, progress

_KIND = "learn.steps_checkpoint"
# Between two looks at the clock, at signals and at the progress bar.
_SECONDS_A_CALL = 0.1
_RUN = 1000  # words of a sentence that are held out together


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


@dataclass(frozen=True)
class EarlyStop:
    """When a training ends before its last epoch: once epochs no longer bring anything better.

    What is looked at is the training's own loss, the loss of text that was held out, or a number of
    one's own. The rows of the best epoch are kept.

    Parameters
    ----------
    patience : int, default=1
        Epochs in a row without a better one after which to stop.
    tol : float, default=0.001
        Share by which an epoch must better the best one before it to count.
    validation_share : float, default=0.0
        Share of the text that is held out, the same of it whenever `random_state` is the same: its
        loss is measured after each epoch, always against the same false words. 0: none, the loss
        as it was trained is looked at.
    metric : callable, optional
        Asked after each epoch with the learner as it is then; a number, the higher the better.
        Not beside `validation_share`.

    Raises
    ------
    ParameterError
        A parameter out of range, or two things to look at.

    Notes
    -----
    Learning rates fall as if all epochs were to come, so that a training that was stopped ends at a
    higher rate than one of fewer epochs. The best rows are a copy of all that is trained: memory
    doubles. The loss of a training falls with its rate, so that it alone seldom stops one; text
    held out tells when rows only learn their own text by heart.

    Examples
    --------
    >>> from vectorloom.learn import Word2Vec
    >>> texts = ["the cat sat on the mat", "the dog sat on the rug"] * 200
    >>> model = Word2Vec(8, min_count=1, epochs=50, random_state=0)
    >>> len(model.fit(texts, early_stop=EarlyStop(tol=0.05)).losses_) < 50
    True
    """

    patience: int = 1
    tol: float = 1e-3
    validation_share: float = 0.0
    metric: Callable[[Any], float] | None = None

    def __post_init__(self) -> None:
        check_count("patience", self.patience)
        if not 0 <= self.tol < 1:
            raise ParameterError(f"tol must be from 0 to below 1; got {self.tol!r}.")
        if not 0 <= self.validation_share < 1:
            raise ParameterError(
                f"validation_share must be from 0 to below 1; got {self.validation_share!r}."
            )
        if self.metric is not None and not callable(self.metric):
            raise ParameterError(f"metric must be callable; got {type(self.metric).__name__}.")
        if self.metric is not None and self.validation_share:
            raise ParameterError(
                "a metric and text held out cannot both decide; set validation_share=0, or leave "
                "metric out."
            )


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
        Of plain values; a checkpoint of other settings is refused. Not needed without one.
    epochs : int
    label : str
        Of the progress bar.
    held_out : callable or None
        Returns the loss of held-out texts, asked after each epoch.
    patience : int or None
        Epochs without a better held-out loss (without `held_out`: a better loss) after which to
        stop; the best epoch's arrays stay.
    tol : float
        Share by which an epoch must better the best one.
    unit, size : str and int or None
        What the progress bar counts, and how many of it all steps are; None: steps.
    usable : bool
        What an interrupted call leaves may be gone on from: a checkpoint is written then too.
    """

    trainer: Any
    arrays: dict[str, NDArray[Any]]
    settings: dict[str, Any]
    epochs: int
    label: str
    n_jobs: int | None = None
    held_out: Callable[[], float] | None = None
    patience: int | None = None
    tol: float = 0.0
    unit: str = "steps"
    size: int | None = None
    usable: bool = False
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
        size = self.trainer.n_steps if self.size is None else self.size
        with progress(self.label, total=size, unit=self.unit, initial=self._done(size)) as bar:
            self._train(bar, path, checkpoint.every)
        if self._best and self._since_best() > 0:
            for name, array in self.arrays.items():
                array[:] = self._best[name]

    def _done(self, size: int) -> int:
        """Return how much of `size` the steps so far are."""
        return size * self.step // max(int(self.trainer.n_steps), 1)

    def _train(self, bar: Progress, path: Path | None, every: float) -> None:
        total = self.trainer.n_steps
        size = total if self.size is None else self.size
        an_epoch = total // self.epochs
        count, saved = 1, time.monotonic()
        while self.step < total and not self._is_over():
            end = min(self.step + count, (self.step // an_epoch + 1) * an_epoch)
            began, done = time.monotonic(), self._done(size)
            try:
                loss, *_, n = self.trainer.run(self.step, end, self.n_jobs)
            except KeyboardInterrupt:
                # Otherwise half a step is done: the checkpoint on disk is the one to go on from.
                if self.usable and path is not None:
                    self.step = end
                    if end % an_epoch == 0:
                        self._end_epoch()
                    self._save(path)
                raise
            self._sums[0] += loss
            self._sums[1] += n
            took = max(time.monotonic() - began, 1e-4)
            count = max(1, int((end - self.step) * min(2.0, _SECONDS_A_CALL / took)))
            self.step = end
            bar.advance(self._done(size) - done, loss=loss / max(n, 1))
            if end % an_epoch == 0:
                self._end_epoch()
            if path is not None and (time.monotonic() - saved > every or self.step == total):
                self._save(path)
                saved = time.monotonic()

    def _end_epoch(self) -> None:
        self.losses.append(self._sums[0] / max(self._sums[1], 1))
        self._sums[:] = [0.0, 0.0]
        if self.held_out is not None:
            self.held_out_losses.append(float(self.held_out()))
        if self.patience is not None and self._since_best() == 0:
            self._best = {name: array.copy() for name, array in self.arrays.items()}

    def _since_best(self) -> int:
        """Return how many epochs ago the best one was."""
        best, at = np.inf, -1
        seen = self.losses if self.held_out is None else self.held_out_losses
        for epoch, value in enumerate(seen):
            if at < 0 or value < best - self.tol * abs(best):
                best, at = value, epoch
        return len(seen) - 1 - at

    def _is_over(self) -> bool:
        return (
            self.patience is not None and bool(self._best) and self._since_best() >= self.patience
        )

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
        self.losses[:] = container.meta["losses"]
        self.held_out_losses[:] = container.meta["held_out_losses"]
        self._sums[:] = container.meta["sums"]


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


def hold_out(
    tokens: NDArray[np.int32], share: float, seed: int, in_texts: bool
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Part tokens into those to train with and those held out; ends of sentences stay in both.

    Parameters
    ----------
    tokens : ndarray of shape (n,), int32
        With -1 after each sentence.
    share : float
        Held out, from 0 to below 1.
    seed : int
    in_texts : bool
        True: a run of words of each sentence. False: whole sentences, of long ones runs of 1,000
        words.

    Returns
    -------
    train, held_out : ndarray of int32

    Raises
    ------
    ParameterError
        Nothing to train with, or nothing to hold out.

    Examples
    --------
    >>> hold_out(np.array([3, 4, -1, 5, 6, -1], np.int32), 0.5, 0, False)
    (array([-1,  5,  6, -1], dtype=int32), array([ 3,  4, -1, -1], dtype=int32))
    """
    rng = np.random.default_rng(seed)
    ends = np.append(np.flatnonzero(tokens < 0), len(tokens))
    starts = np.append(0, ends[:-1] + 1)
    lengths = ends - starts
    if in_texts:
        held = np.floor(lengths * share + rng.random(len(lengths))).astype(np.int64)
        held = np.minimum(held, np.maximum(lengths - 1, 0))
        first = starts + np.floor(rng.random(len(lengths)) * (lengths - held + 1)).astype(np.int64)
    else:
        counts = -(-lengths // _RUN)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        first = np.repeat(starts, counts) + within * _RUN
        held = np.minimum(np.repeat(ends, counts) - first, _RUN)
        _, chosen = held_out_split(len(first), share, seed)
        first, held = first[chosen], held[chosen]
    change = np.zeros(len(tokens) + 1, dtype=np.int8)
    np.add.at(change, first, 1)
    np.add.at(change, first + held, -1)
    out = np.cumsum(change[:-1], dtype=np.int8).astype(bool)
    stays = tokens < 0
    if not out.any() or (out | stays).all():
        raise ParameterError(
            f"validation_share={share!r} leaves nothing to "
            f"{'train with' if out.any() else 'hold out'} of {int((~stays).sum())} words; choose "
            "another share, or bring more text."
        )
    return tokens[~out], tokens[out | stays]
