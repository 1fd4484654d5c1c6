# SPDX-License-Identifier: Apache-2.0
"""Skip-gram and CBOW: words are alike that stand beside the same words.

For a word w and a word c of its window, with false words n drawn from count^0.75,

    L = -log s(x_c . y_w) - sum_n log s(-x_c . y_n)          s: the logistic function

is descended along its gradient; CBOW takes the mean of the window's x for x_c. Hierarchical softmax
takes the inner nodes of w's path in a Huffman tree in place of w and n.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count
from vectorloom.io.container import Container
from vectorloom.learn.corpus import EncodedCorpus, as_corpus
from vectorloom.learn.steps import Checkpoint, EarlyStop
from vectorloom.learn.words.growth import grow
from vectorloom.learn.words.learner import WordLearner, check_learner, check_neighbours
from vectorloom.learn.words.windows import (
    Rows,
    Schedule,
    Windows,
    WindowTraining,
    compact,
    loss_arrays,
    seed_of,
    take_losses,
)


class Word2Vec(WordLearner):
    """Learn vectors of words by skip-gram or CBOW.

    Use it when there is a corpus of a million words or more. For rare words, or languages that
    build long ones, prefer `FastText`; for less text, `PMISVD`.

    Parameters
    ----------
    vector_size : int, default=100
    window : int, default=5
        Words to each side, at most: how many is drawn anew for each word from 1 to `window`.
    negative : int, default=5
        False words, drawn once for all pairs of a window. 0: none, then `hs` must be 1.
    min_count : int, default=5
        Rarer words are left out.
    sample : float, default=1e-4
        Words whose share is larger are passed over at random, the more the larger; 0: none are.
    sg : {0, 1}, default=1
        1: skip-gram; 0: CBOW, faster and weaker for rare words.
    hs : {0, 1}, default=0
        1: hierarchical softmax, beside the false words if there are any.
    epochs : int, default=5
    alpha : float or None, default=None
        Learning rate, falling to `min_alpha` in a straight line. None: 0.025 for skip-gram, 0.05
        for CBOW, which moves each row once a window and not once a pair (as word2vec.c has it).
    min_alpha : float, default=1e-4
    ns_exponent : float, default=0.75
        False words are drawn in proportion to count^ns_exponent.
    cbow_mean : {0, 1}, default=1
        CBOW: 1 takes the mean of the context, 0 the sum.
    max_vocab : int or None, default=None
        Keep the most frequent words only.
    n_jobs : int or None, default=None
        Threads; None takes all that are allowed.
    random_state : int or None, default=None
        None: threads write into the shared rows without locks, another result each time. An
        integer gives the same bits at any `n_jobs`, at 0.9 times the speed.

    Attributes
    ----------
    ids_ : ndarray of shape (n_words,), object
        The words, most frequent first.
    counts_ : ndarray of shape (n_words,), int64
    vectors_ : ndarray of shape (n_words, vector_size), float32
    context_vectors_ : ndarray of shape (n_words, vector_size), float32, or None
        The y of the words; None where `negative` is 0.
    losses_ : list of float
        Of each epoch: the mean of L over the pairs of a sample, measured as they were trained.
    held_out_losses_ : list of float
        Of each epoch, with `early_stop`: the loss of what was held out, or the metric with its sign
        turned.
    n_tokens_ : int
        Words of the corpus.

    Raises
    ------
    ParameterError
        A parameter out of range, a corpus of one word or without neighbours.
    ShapeError
        An empty corpus.

    Notes
    -----
    Time is O(epochs * tokens * window * (negative + 1) * vector_size), memory 8 bytes a word and
    dimension beside the vocabulary. With false words shared by a window the products of a window
    are one small matrix product [2]_. Vectors and losses are usable after an interrupt (Ctrl-C);
    with `checkpoint` the training can go on, to the very bits where `random_state` is an integer.

    Of small text (below a million words) little can be learned this way; and a word that is not in
    the vocabulary has no vector.

    References
    ----------
    .. [1] Mikolov, Sutskever, Chen, Corrado, Dean. Distributed Representations of Words and Phrases
           and their Compositionality. NIPS 2013. arXiv:1310.4546
    .. [2] Ji, Satish, Li, Dubey. Parallelizing Word2Vec in Shared and Distributed Memory.
           arXiv:1604.04661
    .. [3] Levy, Goldberg, Dagan. Improving Distributional Similarity with Lessons Learned from Word
           Embeddings. TACL 2015. doi:10.1162/tacl_a_00134

    Examples
    --------
    >>> texts = ["the cat sat on the mat", "the dog sat on the rug"] * 200
    >>> model = Word2Vec(vector_size=16, min_count=1, sample=0, random_state=0).fit(texts)
    >>> model.vectors_.shape, "cat" in model
    ((7, 16), True)
    """

    _KIND = "learn.word2vec"

    def __init__(
        self,
        vector_size: int = 100,
        *,
        window: int = 5,
        negative: int = 5,
        min_count: int = 5,
        sample: float = 1e-4,
        sg: int = 1,
        hs: int = 0,
        epochs: int = 5,
        alpha: float | None = None,
        min_alpha: float = 1e-4,
        ns_exponent: float = 0.75,
        cbow_mean: int = 1,
        max_vocab: int | None = None,
        n_jobs: int | None = None,
        random_state: int | None = None,
    ) -> None:
        self.vector_size = vector_size
        self.window = window
        self.negative = negative
        self.min_count = min_count
        self.sample = sample
        self.sg = sg
        self.hs = hs
        self.epochs = epochs
        self.alpha = alpha
        self.min_alpha = min_alpha
        self.ns_exponent = ns_exponent
        self.cbow_mean = cbow_mean
        self.max_vocab = max_vocab
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self,
        corpus: Any,
        y: Any = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        checkpoint_every: float = 300.0,
        early_stop: EarlyStop | None = None,
    ) -> Word2Vec:
        """Learn the words of a corpus.

        Parameters
        ----------
        corpus : Corpus, path, iterable of str, or iterable of lists of str
            See `Corpus`; what is no `Corpus` is read with its defaults.
        y : ignored
            Pipelines pass it.
        checkpoint : path-like, optional
            File that the state of the training is written to, and again when it is interrupted.
        resume : bool, default=False
            Go on from `checkpoint`; other settings or another corpus are refused.
        checkpoint_every : float, default=300.0
            Seconds.
        early_stop : EarlyStop, optional
            When to stop before the last epoch.

        Returns
        -------
        self
        """
        schedule = Schedule(Checkpoint(checkpoint, resume, checkpoint_every), early_stop)
        self._check()
        encoded = self._encode(corpus, self.min_count, self.max_vocab)
        rows = self._first_rows(encoded, seed_of(self.random_state))
        training = WindowTraining(encoded, rows, self._settings(), self.random_state, self.n_jobs)
        training.run(schedule, self, lambda found: self._take_rows(encoded, found))
        return self

    def partial_fit(
        self,
        corpus: Any,
        y: Any = None,
        *,
        epochs: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        checkpoint_every: float = 300.0,
        early_stop: EarlyStop | None = None,
    ) -> Word2Vec:
        """Learn further from more text; words that it brings are added.

        Words keep their vectors to begin with, and their counts are added up. A new word must occur
        `min_count` times in the new text, and comes where its count puts it: rows of `ids_` move.
        With `max_vocab` all words stay, and new ones fill up what is left. What is not in the new
        text drifts only by being drawn as a false word, so bring some of the old text along when
        the new is of another kind.

        Parameters
        ----------
        corpus : Corpus, path, iterable of str, or iterable of lists of str
        y : ignored
        epochs : int, optional
            Passes over the new text; `epochs` of the learner when omitted. The rate falls from
            `alpha` again.
        checkpoint, resume, checkpoint_every, early_stop
            As in `fit`.

        Returns
        -------
        self

        Raises
        ------
        ParameterError
            ``hs=1``: its tree is that of one vocabulary, and its nodes' rows are not kept.
        """
        if not hasattr(self, "vectors_"):
            return self.fit(
                corpus,
                checkpoint=checkpoint,
                resume=resume,
                checkpoint_every=checkpoint_every,
                early_stop=early_stop,
            )
        schedule = Schedule(Checkpoint(checkpoint, resume, checkpoint_every), early_stop)
        self._check()
        if self.hs:
            raise ParameterError("hs=1 cannot learn further: fit with hs=0, or fit anew.")
        settings = self._settings()
        if epochs is not None:
            settings.epochs = check_count("epochs", epochs)
        more = corpus
        if not isinstance(more, EncodedCorpus):
            more = as_corpus(corpus).encode(min_count=1)
        known = self.ids_.tolist()
        grown, places = grow(more, known, self.counts_, self.min_count, self.max_vocab)
        check_neighbours(grown)
        # Other draws than those of the text before.
        seed = (seed_of(self.random_state) + self.n_tokens_) % (1 << 63)
        rows = self._first_rows(grown, seed)
        self._put_rows(rows, places)
        n_tokens = self.n_tokens_ + grown.n_tokens

        def take(rows: Rows) -> None:
            self._take_rows(grown, rows)
            self.n_tokens_ = n_tokens

        training = WindowTraining(grown, rows, settings, self.random_state, self.n_jobs, seed=seed)
        training.run(schedule, self, take)
        return self

    def _check(self) -> None:
        check_learner(self.get_params())
        self._settings().check()

    def _first_rows(self, encoded: EncodedCorpus, seed: int) -> Rows:
        """Return what a training of these words begins with."""
        n, dim = len(encoded.words), self.vector_size
        return Rows(
            _core.row_matrix(n, dim, self._reach() / dim, seed=seed),
            _core.row_matrix(2 * n - 1 if self.hs else n, dim),
        )

    def _put_rows(self, rows: Rows, places: NDArray[np.int64]) -> None:
        """Put in what was learned before; word i goes to the row ``places[i]``."""
        dim = self.vector_size
        rows.inputs[places, :dim] = self.vectors_
        rows.outputs[places, :dim] = self.context_vectors_

    def _take_rows(self, encoded: EncodedCorpus, rows: Rows) -> None:
        """Make the result of rows, which are used up."""
        self._set_words(encoded)
        n = len(encoded.words)
        self.vectors_ = compact(rows.inputs, n, self.vector_size)
        outputs = rows.outputs if self.negative else None
        self.context_vectors_ = None if outputs is None else compact(outputs, n, self.vector_size)

    def _reach(self) -> float:
        """Return how far from 0 the rows begin, times `vector_size`.

        A mean of rows is shorter than a row, so CBOW leaves the saddle at 0 late: from 0.5 it
        solves 0.161 of the analogies after five epochs of ten million words, from 1 (gensim's
        start) 0.173.
        """
        return 0.5 if self.sg else 1.0

    def _settings(self) -> Windows:
        for name in ("sg", "hs", "cbow_mean"):
            check_choice(name, str(int(getattr(self, name))), ("0", "1"))
        return Windows(
            window=self.window,
            negative=self.negative,
            hs=bool(self.hs),
            cbow=not self.sg,
            cbow_mean=bool(self.cbow_mean),
            sample=self.sample,
            ns_exponent=self.ns_exponent,
            alpha=alpha_of(self.alpha, self.sg),
            min_alpha=self.min_alpha,
            epochs=self.epochs,
        )

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        arrays = loss_arrays(self)
        if self.context_vectors_ is not None:
            arrays["context_vectors"] = self.context_vectors_
        return arrays

    def _take_extra(self, container: Container, n: int) -> None:
        take_losses(self, container)
        self.context_vectors_ = None
        if "context_vectors" in container.arrays:
            shape = self.vectors_.shape
            self.context_vectors_ = container.array("context_vectors", "<f4", shape)


def alpha_of(alpha: float | None, sg: int) -> float:
    """Return the learning rate that `alpha` stands for."""
    if alpha is not None:
        return alpha
    return 0.025 if sg else 0.05


def load_container(container: Container) -> WordLearner:
    """Make the learner of a native file; its vectors stay mapped."""
    return Word2Vec._load(container)
