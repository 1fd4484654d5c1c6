# SPDX-License-Identifier: Apache-2.0
"""Learners of texts whose words are told step by step: schedule, rows, losses."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.io.container import Container
from vectorloom.learn.documents.encoding import EncodedTexts
from vectorloom.learn.documents.learner import DocumentLearner
from vectorloom.learn.steps import Checkpoint, EarlyStop
from vectorloom.learn.words.windows import (
    Rows,
    Schedule,
    WindowTraining,
    core_trainer,
    loss_arrays,
    seed_of,
    take_losses,
)


class TrainedLearner(DocumentLearner):
    """Base of learners that train rows of words, and perhaps of texts, in the core.

    A subclass says what rows begin with in `_first_rows`, how they are trained in `_settings` and
    `_trainer`, and makes its result of them in `_take_rows`.
    """

    # What is held out are words of each text, since texts have rows of their own.
    _HELD_IN_TEXTS = False

    n_jobs: int | None
    random_state: int | None
    losses_: list[float]
    held_out_losses_: list[float]

    def fit(
        self,
        texts: Any,
        ids: Any = None,
        y: Any = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        checkpoint_every: float = 300.0,
        early_stop: EarlyStop | None = None,
    ) -> Any:
        """Learn from `texts`; leaves their vectors in `vectors_`.

        Parameters
        ----------
        texts : Corpus, iterable of str, or iterable of lists of str
            Of a `Corpus` each line of a plain file, each record and each item is a text.
        ids : array-like of shape (n,), optional
            int64 or str, unique; 0, 1, … when omitted.
        y : ignored
            Pipelines pass it.
        checkpoint : path-like, optional
            File that the state of the training is written to, and again when it is interrupted.
        resume : bool, default=False
            Go on from `checkpoint`; other settings or other texts are refused.
        checkpoint_every : float, default=300.0
            Seconds.
        early_stop : EarlyStop, optional
            When to stop before the last epoch.

        Returns
        -------
        self
        """
        self._schedule = Schedule(Checkpoint(checkpoint, resume, checkpoint_every), early_stop)
        try:
            return super().fit(texts, ids)
        finally:
            del self._schedule

    def _learn(self, encoded: EncodedTexts) -> None:
        self._check_texts(encoded)
        seed = seed_of(self.random_state)
        training = WindowTraining(
            encoded,
            self._first_rows(encoded, seed),
            self._settings(),
            self.random_state,
            self.n_jobs,
            self._trainer,
            self._HELD_IN_TEXTS,
            seed,
        )
        training.run(
            self._schedule,
            self,
            lambda rows: self._take_rows(encoded, rows),
            lambda rows: self._settle_rows(encoded, rows),
        )

    def _check_texts(self, encoded: EncodedTexts) -> None:
        """Refuse texts that nothing can be learned from."""
        if not np.any((encoded.tokens[1:] >= 0) & (encoded.tokens[:-1] >= 0)):
            raise ParameterError(
                "no text holds two words of the vocabulary: there is no context to learn from. "
                "Lower min_count, or pass longer texts."
            )

    def _settings(self) -> Any:
        raise NotImplementedError

    def _first_rows(self, encoded: EncodedTexts, seed: int) -> Rows:
        """Return what the training begins with."""
        raise NotImplementedError

    def _trainer(
        self,
        tokens: NDArray[np.int32],
        counts: NDArray[np.int64],
        rows: Rows,
        settings: Any,
        **how: Any,
    ) -> Any:
        """Make the core's trainer; ``how`` are `deterministic` and `seed`."""
        return core_trainer(tokens, counts, rows, settings, **how)

    def _settle_rows(self, encoded: EncodedTexts, rows: Rows) -> None:
        """Change the rows of a training that has ended, in place; nothing by default."""

    def _take_rows(self, encoded: EncodedTexts, rows: Rows) -> None:
        """Make the result of rows, which are used up."""
        raise NotImplementedError

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        return loss_arrays(self)

    def _take_extra(self, container: Container) -> None:
        take_losses(self, container)


def core_options(settings: Any) -> dict[str, Any]:
    """Return what all trainers of words are told alike.

    Parameters
    ----------
    settings : Windows, or others with the same names
    """
    return {
        "negative": settings.negative,
        "sample": float(settings.sample),
        "noise_exponent": float(settings.ns_exponent),
        "alpha": float(settings.alpha),
        "min_alpha": float(settings.min_alpha),
        "epochs": settings.epochs,
    }
