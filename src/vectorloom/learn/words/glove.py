# SPDX-License-Identifier: Apache-2.0
"""GloVe: inner products that are the logarithms of how often two words meet.

    minimise  sum_ij f(n_ij) (w_i . c_j + b_i + d_j - log n_ij)^2
    f(n) = min(1, (n / x_max)^power),    x_i = w_i + c_i

by AdaGrad. n_ij counts the places where j stands near i, each by one over their distance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_jobs
from vectorloom.io.container import Container
from vectorloom.learn.words.learner import WordLearner, check_learner
from vectorloom.learn.words.pmi_svd import pair_counts
from vectorloom.learn.words.windows import seed_of
from vectorloom.progress import progress


class GloVe(WordLearner):
    """Learn vectors of words by fitting the logarithms of pair counts.

    Use it to compare with published GloVe vectors. `PMISVD` factorizes the same counts without
    passes over them.

    Parameters
    ----------
    vector_size : int, default=100
    window : int, default=10
        Words to each side.
    min_count : int, default=5
    epochs : int, default=25
        Passes over the pairs.
    x_max : float, default=100.0
        Pairs that meet less often weigh less. Smaller for small corpora, such as 10.
    power : float, default=0.75
    alpha : float, default=0.05
        AdaGrad's first rate.
    max_vocab : int or None, default=None
    n_jobs : int or None, default=None
        Threads, up to 8.
    random_state : int or None, default=0
        An integer gives the same bits at any `n_jobs`, at no cost.

    Attributes
    ----------
    ids_ : ndarray of shape (n_words,), object
    counts_ : ndarray of shape (n_words,), int64
    vectors_ : ndarray of shape (n_words, vector_size), float32
    losses_ : list of float
        Of each epoch: the mean of f times the squared error over all pairs.
    n_tokens_ : int

    Notes
    -----
    Time O(epochs * pairs * vector_size), memory 24 bytes a pair and 16 bytes a word and dimension.
    Pairs are met in one shuffled order, block by block, so that threads never share a row.

    References
    ----------
    .. [1] Pennington, Socher, Manning. GloVe: Global Vectors for Word Representation. EMNLP 2014.
           doi:10.3115/v1/D14-1162

    Examples
    --------
    >>> texts = ["the cat sat on the mat", "the dog sat on the rug"] * 50
    >>> GloVe(vector_size=8, min_count=1, x_max=10.0).fit(texts).vectors_.shape
    (7, 8)
    """

    _KIND = "learn.glove"

    def __init__(
        self,
        vector_size: int = 100,
        *,
        window: int = 10,
        min_count: int = 5,
        epochs: int = 25,
        x_max: float = 100.0,
        power: float = 0.75,
        alpha: float = 0.05,
        max_vocab: int | None = None,
        n_jobs: int | None = None,
        random_state: int | None = 0,
    ) -> None:
        self.vector_size = vector_size
        self.window = window
        self.min_count = min_count
        self.epochs = epochs
        self.x_max = x_max
        self.power = power
        self.alpha = alpha
        self.max_vocab = max_vocab
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, corpus: Any, y: Any = None) -> GloVe:
        """Learn the words of a corpus.

        Parameters
        ----------
        corpus : Corpus, path, iterable of str, or iterable of lists of str
        y : ignored

        Returns
        -------
        self
        """
        check_learner(self.get_params())
        for name in ("x_max", "alpha", "power"):
            if not 0 < getattr(self, name) < np.inf:
                raise ParameterError(f"{name} must be positive; got {getattr(self, name)!r}.")
        encoded = self._encode(corpus, self.min_count, self.max_vocab)
        pairs = pair_counts(encoded, self.window, "harmonic", self.n_jobs)
        trainer = _core.GloveTrainer(
            np.asarray(pairs.indptr, dtype=np.int64),
            np.asarray(pairs.indices, dtype=np.int32),
            pairs.data,
            dim=self.vector_size,
            x_max=float(self.x_max),
            power=float(self.power),
            rate=float(self.alpha),
            seed=seed_of(self.random_state),
        )
        losses = []
        with progress("learning words", total=self.epochs, unit="epochs") as bar:
            for _ in range(self.epochs):
                losses.append(float(trainer.epoch(check_jobs(self.n_jobs))))
                bar.advance(loss=losses[-1])
        vectors = np.empty((len(encoded.words), self.vector_size), dtype=np.float32)
        trainer.vectors(vectors)
        self._set_words(encoded)
        self.vectors_ = vectors
        self.losses_ = losses
        return self

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        return {"losses": np.asarray(self.losses_)}

    def _take_extra(self, container: Container, n: int) -> None:
        self.losses_ = container.array("losses", "<f8", (None,)).tolist()


def load_container(container: Container) -> WordLearner:
    """Make the learner of a native file; its vectors stay mapped."""
    return GloVe._load(container)
