# SPDX-License-Identifier: Apache-2.0
"""Training by windows: what skip-gram and CBOW share, with words or subwords."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.io.container import Container
from vectorloom.learn.corpus import EncodedCorpus
from vectorloom.learn.steps import Checkpoint, EarlyStop, Steps, hold_out

# Whether the text that a word is of is an input, as the core numbers it.
NO_TEXTS, TEXTS_BESIDE, TEXTS_ALONE = range(3)


@dataclass
class Windows:
    """The settings of a training by windows; see `Word2Vec` for what they mean."""

    window: int
    negative: int
    hs: bool
    cbow: bool
    cbow_mean: bool
    sample: float
    ns_exponent: float
    alpha: float
    min_alpha: float
    epochs: int
    text: int = NO_TEXTS
    binary: bool = False
    infer_words: int = 0
    infer_ridge: float = 0.0

    def check(self) -> None:
        """Refuse settings that cannot be trained with."""
        check_count("negative", self.negative, at_least=0)
        if self.negative == 0 and not self.hs:
            raise ParameterError(
                "negative=0 and hs=0 leave nothing to learn from; set negative=5, or hs=1."
            )
        check_rates(self)


@dataclass
class Rows:
    """The matrices of a training: rows padded to cache lines."""

    inputs: NDArray[np.float32]
    outputs: NDArray[np.float32]
    bag_offsets: NDArray[np.int64] | None = None
    bag_rows: NDArray[np.int32] | None = None
    texts: NDArray[np.float32] | None = None
    buckets: NDArray[np.int32] | None = None  # of the rows behind those of the words

    def trained(self) -> dict[str, NDArray[np.float32]]:
        """Return the matrices that a training moves."""
        found = {"inputs": self.inputs, "outputs": self.outputs}
        return found if self.texts is None else found | {"texts": self.texts}

    def copy(self) -> Rows:
        """Return the same rows in memory of their own."""
        texts = None if self.texts is None else aligned_copy(self.texts)
        inputs, outputs = aligned_copy(self.inputs), aligned_copy(self.outputs)
        return replace(self, inputs=inputs, outputs=outputs, texts=texts)


def check_rates(settings: Any) -> None:
    """Refuse learning rates, a `sample` or an exponent that cannot be trained with.

    Parameters
    ----------
    settings : Windows, or others with the same names

    Raises
    ------
    ParameterError
    """
    for name in ("alpha", "min_alpha", "sample"):
        value = getattr(settings, name)
        if not (isinstance(value, (int, float)) and 0 <= value < np.inf):
            raise ParameterError(f"{name} must be a number, at least 0; got {value!r}.")
    if not 0 < settings.min_alpha <= settings.alpha:
        raise ParameterError(
            f"0 < min_alpha <= alpha is needed; got min_alpha={settings.min_alpha!r} and "
            f"alpha={settings.alpha!r}."
        )
    if not -1 <= settings.ns_exponent <= 1:
        raise ParameterError(f"ns_exponent must be from -1 to 1; got {settings.ns_exponent!r}.")


@dataclass
class Schedule:
    """What `fit` is told beside the text.

    Attributes
    ----------
    checkpoint : Checkpoint
    early_stop : EarlyStop or None
    """

    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    early_stop: EarlyStop | None = None

    def __post_init__(self) -> None:
        self.checkpoint.check()
        if not (self.early_stop is None or isinstance(self.early_stop, EarlyStop)):
            raise ParameterError(
                f"early_stop must be an EarlyStop; got {type(self.early_stop).__name__}. Pass for "
                "example vectorloom.learn.EarlyStop(validation_share=0.02)."
            )


@dataclass
class WindowTraining:
    """One training of words, or of texts by their words.

    Attributes
    ----------
    corpus : EncodedCorpus
    rows : Rows
    settings : Windows, or others with ``epochs``
    random_state : int or None
        None: threads write without locks. An integer: the same bits at any `n_jobs`.
    n_jobs : int or None
    make : callable or None
        Makes the core's trainer, of another kind of training than by windows too; None:
        `core_trainer`.
    held_in_texts : bool
        What is held out are words of each text, in place of whole texts or sentences.
    seed : int or None
        Of the draws; None: that of `random_state`.
    losses, held_out_losses : list of float
        Of each epoch.
    """

    corpus: EncodedCorpus
    rows: Rows
    settings: Any
    random_state: int | None
    n_jobs: int | None
    make: Callable[..., Any] | None = None
    held_in_texts: bool = False
    seed: int | None = None
    losses: list[float] = field(default_factory=list)
    held_out_losses: list[float] = field(default_factory=list)

    def run(
        self,
        schedule: Schedule,
        model: Any,
        take: Callable[[Rows], Any],
        settle: Callable[[Rows], None] | None = None,
    ) -> None:
        """Train to the end, and hand over the rows, those of an interrupted training too.

        Parameters
        ----------
        schedule : Schedule
        model : object
            Whose `losses_` and `held_out_losses_` are set, and whom a metric is asked about.
        take : callable
            Gives the model the rows, which it may use up.
        settle : callable or None
            Changes the rows in place when the training has ended, and before a metric is asked.
        """

        def finish(rows: Rows) -> None:
            model.losses_, model.held_out_losses_ = self.losses, self.held_out_losses
            take(rows)

        seed = seed_of(self.random_state) if self.seed is None else self.seed
        stop = schedule.early_stop or EarlyStop()
        tokens, held = self.corpus.tokens, None
        if stop.validation_share:
            tokens, held = hold_out(tokens, stop.validation_share, seed, self.held_in_texts)
        trainer = self._trainer(tokens, seed, self.random_state is not None)

        def held_out() -> float:
            if judge is not None:
                loss, pairs = judge.evaluate(check_jobs(self.n_jobs))
                return float(loss / max(pairs, 1))
            assert stop.metric is not None
            rows = self.rows.copy()
            if settle is not None:
                settle(rows)
            finish(rows)
            return -float(stop.metric(model))

        judge = None if held is None else self._trainer(held, seed, False)
        kept = schedule.checkpoint.path is not None
        steps = Steps(
            trainer,
            dict(self.rows.trained()),
            self._fingerprint(tokens, schedule) if kept else {},
            self.settings.epochs,
            "learning words" if self.rows.texts is None else "learning texts",
            n_jobs=check_jobs(self.n_jobs),
            held_out=None if judge is None and stop.metric is None else held_out,
            patience=None if schedule.early_stop is None else stop.patience,
            tol=stop.tol,
            unit="words",
            size=self.corpus.n_tokens * self.settings.epochs,
            usable=True,
            losses=self.losses,
            held_out_losses=self.held_out_losses,
        )
        try:
            steps.run(schedule.checkpoint)
            if settle is not None:
                settle(self.rows)
        except KeyboardInterrupt:
            finish(self.rows)
            raise
        finish(self.rows)

    def _trainer(self, tokens: NDArray[np.int32], seed: int, exact: bool) -> Any:
        make = self.make or core_trainer
        return make(
            tokens, self.corpus.counts, self.rows, self.settings, deterministic=exact, seed=seed
        )

    def _fingerprint(self, tokens: NDArray[np.int32], schedule: Schedule) -> dict[str, Any]:
        given = np.ascontiguousarray(tokens)
        stop = schedule.early_stop
        return {
            **vars(self.settings),
            "random_state": self.random_state,
            "tokens": zlib.crc32(given.view(np.uint8).data),
            "words": zlib.crc32("\n".join(self.corpus.words).encode("utf-8", "surrogatepass")),
            "inputs": list(self.rows.inputs.shape),
            "early_stop": None
            if stop is None
            else [stop.patience, stop.tol, stop.validation_share],
        }


def loss_arrays(model: Any) -> dict[str, NDArray[Any]]:
    """Return the losses of a model as arrays of a file."""
    return {
        "losses": np.asarray(model.losses_, dtype=np.float64),
        "held_out_losses": np.asarray(model.held_out_losses_, dtype=np.float64),
    }


def take_losses(model: Any, container: Container) -> None:
    """Set the losses of a model from a file."""
    for name in ("losses", "held_out_losses"):
        there = name in container.arrays
        found = container.array(name, "<f8", (None,)).tolist() if there else []
        setattr(model, f"{name}_", found)


def core_trainer(
    tokens: NDArray[np.int32],
    counts: NDArray[np.int64],
    rows: Rows,
    settings: Windows,
    *,
    deterministic: bool,
    seed: int,
) -> Any:
    """Make the core's trainer of some tokens.

    Parameters
    ----------
    tokens : ndarray of shape (n,), int32
    counts : ndarray of shape (n_words,), int64
    rows : Rows
    settings : Windows
    deterministic : bool
        Same bits at any number of threads.
    seed : int

    Returns
    -------
    WordTrainer
    """
    texts: dict[str, Any] = {}
    if rows.texts is not None:
        texts = {"texts": rows.texts, "text": settings.text, "binary": settings.binary}
        texts["infer_words"] = settings.infer_words
        texts["infer_ridge"] = float(settings.infer_ridge)
    return _core.WordTrainer(
        tokens,
        counts,
        rows.inputs,
        rows.outputs,
        rows.bag_offsets,
        rows.bag_rows,
        window=settings.window,
        negative=settings.negative,
        tree=settings.hs,
        cbow=settings.cbow,
        cbow_mean=settings.cbow_mean,
        deterministic=deterministic,
        sample=float(settings.sample),
        noise_exponent=float(settings.ns_exponent),
        alpha=float(settings.alpha),
        min_alpha=float(settings.min_alpha),
        epochs=settings.epochs,
        seed=seed,
        **texts,
    )


def seed_of(random_state: int | None) -> int:
    """Return the seed of a random state; None: another one at each call."""
    return secrets.randbits(63) if random_state is None else int(random_state)


def compact(rows: NDArray[np.float32], n: int, dim: int) -> NDArray[np.float32]:
    """Move the first n rows together, in place, and return them with shape (n, dim).

    Parameters
    ----------
    rows : ndarray of shape (>= n, >= dim), float32
        Of no use afterwards.
    n, dim : int

    Returns
    -------
    ndarray of shape (n, dim), float32
    """
    width = rows.shape[1]
    flat = rows.reshape(-1)
    block = max(1, (1 << 20) // width)
    for start in range(0, n if dim < width else 0, block):
        stop = min(n, start + block)
        flat[start * dim : stop * dim] = rows[start:stop, :dim].copy().reshape(-1)
    return flat[: n * dim].reshape(n, dim)


def aligned_copy(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a copy of rows that begin at cache lines, as trainers take them."""
    found: NDArray[np.float32] = _core.row_matrix(*rows.shape)
    found[:] = rows
    return found
