# SPDX-License-Identifier: Apache-2.0
"""Training by windows: what skip-gram and CBOW share, with words or subwords."""

from __future__ import annotations

import os
import secrets
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import FormatError, ParameterError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.io.container import open_container, write_container
from vectorloom.learn.corpus import EncodedCorpus
from vectorloom.progress import progress

_KIND = "learn.word_checkpoint"
# Between two looks at the clock, at signals and at the progress bar.
_SECONDS_A_CALL = 0.1
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

    def trained(self) -> dict[str, NDArray[np.float32]]:
        """Return the matrices that a training moves."""
        found = {"inputs": self.inputs, "outputs": self.outputs}
        return found if self.texts is None else found | {"texts": self.texts}


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


class WindowTraining:
    """One training, from the first step or from a checkpoint on.

    Parameters
    ----------
    corpus : EncodedCorpus
    rows : Rows
    settings : Windows
    random_state : int or None
        None: threads write without locks. An integer: the same bits at any `n_jobs`.
    n_jobs : int or None
    make : callable, default=core_trainer
        Makes the core's trainer, of another kind of training than by windows too.
    """

    def __init__(
        self,
        corpus: EncodedCorpus,
        rows: Rows,
        settings: Any,
        random_state: int | None,
        n_jobs: int | None,
        make: Callable[..., Any] | None = None,
    ) -> None:
        self._corpus = corpus
        self._rows = rows
        self._settings = settings
        self._jobs = check_jobs(n_jobs)
        self._state = random_state
        self._trainer = (make or core_trainer)(
            corpus.tokens,
            corpus.counts,
            rows,
            settings,
            deterministic=random_state is not None,
            seed=seed_of(random_state),
        )
        self.step = 0
        self.losses: list[float] = [0.0] * settings.epochs
        self._pairs = [0] * settings.epochs

    def run(self, checkpoint: Path | None, every: float) -> None:
        """Train to the end; on the way and when interrupted, leave a checkpoint.

        Parameters
        ----------
        checkpoint : Path or None
        every : float
            Seconds between checkpoints.
        """
        n_steps = self._trainer.n_steps
        an_epoch = n_steps // self._settings.epochs
        n_tokens = self._corpus.n_tokens * self._settings.epochs
        done = n_tokens * self.step // n_steps
        count, saved = 1, time.monotonic()
        what = "learning words" if self._rows.texts is None else "learning texts"
        with progress(what, total=n_tokens, unit="words", initial=done) as bar:
            while self.step < n_steps:
                epoch = self.step // an_epoch
                end = min(self.step + count, (epoch + 1) * an_epoch)
                began = time.monotonic()
                try:
                    loss, pairs = self._trainer.run(self.step, end, self._jobs)
                except KeyboardInterrupt:
                    # In the ordered mode the call had come to its end: the checkpoint is exact.
                    self.step = end
                    if checkpoint is not None:
                        self._save(checkpoint)
                    raise
                self._add_loss(epoch, loss, pairs)
                took = max(time.monotonic() - began, 1e-4)
                count = max(1, int((end - self.step) * min(2.0, _SECONDS_A_CALL / took)))
                self.step = end
                now = n_tokens * self.step // n_steps
                bar.advance(now - done, loss=loss / max(pairs, 1))
                done = now
                if checkpoint is not None and time.monotonic() - saved > every:
                    self._save(checkpoint)
                    saved = time.monotonic()

    def _add_loss(self, epoch: int, loss: float, pairs: int) -> None:
        before = self.losses[epoch] * self._pairs[epoch]
        self._pairs[epoch] += pairs
        self.losses[epoch] = (before + loss) / max(self._pairs[epoch], 1)

    def _fingerprint(self) -> dict[str, Any]:
        tokens = np.ascontiguousarray(self._corpus.tokens)
        return {
            **vars(self._settings),
            "random_state": self._state,
            "tokens": zlib.crc32(tokens.view(np.uint8).data),
            "words": zlib.crc32("\n".join(self._corpus.words).encode("utf-8", "surrogatepass")),
            "inputs": list(self._rows.inputs.shape),
        }

    def _save(self, path: Path) -> None:
        meta = {
            "step": self.step,
            "losses": self.losses,
            "pairs": self._pairs,
            "settings": self._fingerprint(),
        }
        write_container(path, _KIND, meta, dict(self._rows.trained()))

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same settings and corpus.

        Raises
        ------
        ParameterError
            Other settings, or another corpus.
        FormatError
            No checkpoint of such a training.
        """
        container = open_container(path, verify=True)
        if container.kind != _KIND:
            raise FormatError(f"{path}: holds {container.kind!r}, not a checkpoint of words.")
        mine, theirs = self._fingerprint(), container.meta["settings"]
        other = [name for name in mine if mine[name] != theirs.get(name)]
        if other:
            listed = ", ".join(f"{name}: {theirs.get(name)!r} != {mine[name]!r}" for name in other)
            raise ParameterError(
                f"{path}: the checkpoint is of another training ({listed}). Go on with its "
                "settings and corpus, or start anew with resume=False."
            )
        for name, target in self._rows.trained().items():
            target[:] = container.array(name, "<f4", target.shape)
        self.step = int(container.meta["step"])
        self.losses = [float(loss) for loss in container.meta["losses"]]
        self._pairs = [int(pairs) for pairs in container.meta["pairs"]]


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


def train(
    training: WindowTraining,
    checkpoint: str | os.PathLike[str] | None,
    resume: bool,
    every: float,
) -> None:
    """Run a training with what `fit` was told about checkpoints."""
    if not every > 0:
        raise ParameterError(f"checkpoint_every must be positive (seconds); got {every!r}.")
    path = None if checkpoint is None else Path(os.fspath(checkpoint))
    if resume:
        if path is None:
            raise ParameterError("resume=True needs checkpoint=, the file to go on from.")
        training.resume(path)
    training.run(path, every)
