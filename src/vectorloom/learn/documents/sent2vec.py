# SPDX-License-Identifier: Apache-2.0
"""Sent2Vec: word and n-gram vectors whose mean over a text tells each word of it.

For a word w of a text, R its words and n-grams without those that hold w, and false words n,

    h = 1/|R| sum_{r in R} x_r
    L = -log s(h . y_w) - sum_n log s(-h . y_n)             s: the logistic function

is descended along its gradient. A text's vector is the mean of all its x. False words are drawn
from count^0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.io.container import Container
from vectorloom.learn.documents.encoding import EncodedTexts, text_starts
from vectorloom.learn.documents.sums import text_sums
from vectorloom.learn.documents.trained import TrainedLearner, core_options
from vectorloom.learn.texts import unit_rows
from vectorloom.learn.words.learner import check_learner
from vectorloom.learn.words.windows import Rows, check_rates, compact

_MAX_BUCKETS = 1 << 31
_MIX = np.uint64(116049371)  # fastText's, for n-grams of words


@dataclass
class Sentences:
    """The settings of a training by whole texts; see `Sent2Vec`."""

    n_grams: int
    bucket: int
    negative: int
    sample: float
    ns_exponent: float
    alpha: float
    min_alpha: float
    epochs: int


class Sent2Vec(TrainedLearner):
    """Learn vectors of words and word n-grams whose mean is the vector of a text.

    Use it for sentences and short texts when there is a corpus of a million words or more. With
    less text, or word vectors from elsewhere, prefer `SIF`; for long texts `ParagraphVectors`.

    Parameters
    ----------
    vector_size : int, default=100
    n_grams : int, default=2
        Longest run of words that has a row of its own; 1: words only.
    bucket : int, default=2_000_000
        Buckets that n-grams are hashed into. Only those seen `min_count` times take memory.
    negative : int, default=10
        False words, drawn for each word.
    min_count : int, default=5
        Rarer words and n-grams are left out.
    sample : float, default=1e-4
        Words whose share is larger are told less often; as context they stay.
    epochs : int, default=10
    alpha : float, default=0.2
        Learning rate, falling to `min_alpha` in a straight line.
    min_alpha : float, default=1e-4
    ns_exponent : float, default=0.5
        False words are drawn in proportion to count^ns_exponent.
    max_vocab : int or None, default=None
    n_jobs : int or None, default=None
    random_state : int or None, default=None
        None: threads write into the shared rows without locks. An integer gives the same bits at
        any `n_jobs`.

    Attributes
    ----------
    vectors_ : ndarray of shape (n, vector_size), float32
        Of the training texts: unit length, zero where a text has no known word.
    ids_ : ndarray of shape (n,), int64 or object
    words_ : ndarray of shape (n_words,), object
    counts_ : ndarray of shape (n_words,), int64
    row_vectors_ : ndarray of shape (n_words + n_used, vector_size), float32
        Of the words, then of the n-grams' buckets in use.
    buckets_ : ndarray of shape (n_used,), int64
        Rising; the length of the n-gram is in the number: ``(n - 2) * bucket + hash % bucket``.
    losses_ : list of float
        Of each epoch: the mean of L over the words of a sample, measured as they were trained.
    held_out_losses_ : list of float
        As in `ParagraphVectors`, but of whole texts.
    n_tokens_ : int

    Raises
    ------
    ShapeError
        No texts, or no words in them.
    ParameterError
        A parameter out of range, one word only, or none of `min_count`.

    Notes
    -----
    Time is O(epochs * tokens * (negative + n_grams) * vector_size): the sum of a text is formed
    once and not for each word. Memory is 8 bytes a dimension for each word and 4 for each n-gram.
    Texts beyond 1,024 words are trained in parts.

    Not as the authors' program: n-grams are not dropped at random, rare ones are left out instead;
    the gradient of a mean goes to each of its rows in equal shares.

    References
    ----------
    .. [1] Pagliardini, Gupta, Jaggi. Unsupervised Learning of Sentence Embeddings using
           Compositional n-Gram Features. NAACL 2018. arXiv:1703.02507

    Examples
    --------
    >>> texts = ["the ship sails the sea", "a boat on the sea", "judge and court and law"] * 40
    >>> model = Sent2Vec(16, min_count=1, sample=0, random_state=0).fit(texts)
    >>> scores = model.transform(["the boat sails"]) @ model.vectors_[:3].T
    >>> int(scores.argmin())
    2
    """

    _KIND = "learn.sent2vec"

    def __init__(
        self,
        vector_size: int = 100,
        *,
        n_grams: int = 2,
        bucket: int = 2_000_000,
        negative: int = 10,
        min_count: int = 5,
        sample: float = 1e-4,
        epochs: int = 10,
        alpha: float = 0.2,
        min_alpha: float = 1e-4,
        ns_exponent: float = 0.5,
        max_vocab: int | None = None,
        n_jobs: int | None = None,
        random_state: int | None = None,
    ) -> None:
        self.vector_size = vector_size
        self.n_grams = n_grams
        self.bucket = bucket
        self.negative = negative
        self.min_count = min_count
        self.sample = sample
        self.epochs = epochs
        self.alpha = alpha
        self.min_alpha = min_alpha
        self.ns_exponent = ns_exponent
        self.max_vocab = max_vocab
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _check(self) -> None:
        check_learner(self.get_params())
        check_count("negative", self.negative)
        check_count("n_grams", self.n_grams)
        if check_count("bucket", self.bucket) * self.n_grams >= _MAX_BUCKETS:
            raise ParameterError(
                f"bucket * n_grams must be below 2**31; got {self.bucket} * {self.n_grams}."
            )
        check_rates(self._settings())

    def _settings(self) -> Sentences:
        return Sentences(
            n_grams=self.n_grams,
            bucket=self.bucket,
            negative=self.negative,
            sample=self.sample,
            ns_exponent=self.ns_exponent,
            alpha=self.alpha,
            min_alpha=self.min_alpha,
            epochs=self.epochs,
        )

    def _first_rows(self, encoded: EncodedTexts, seed: int) -> Rows:
        n, dim = len(encoded.words), self.vector_size
        buckets = self._buckets(encoded.tokens)
        found, counts = np.unique(buckets[buckets >= 0], return_counts=True)
        self.buckets_ = found[counts >= self.min_count]
        return Rows(
            _core.row_matrix(n + len(self.buckets_), dim, 1.0 / dim, seed),
            _core.row_matrix(n, dim),
        )

    def _trainer(
        self,
        tokens: NDArray[np.int32],
        counts: NDArray[np.int64],
        rows: Rows,
        settings: Any,
        **how: Any,
    ) -> Any:
        return _core.SentenceTrainer(
            tokens,
            counts,
            self._gram_rows(self._buckets(tokens)).reshape(-1),
            rows.inputs,
            rows.outputs,
            n_orders=self.n_grams - 1,
            **core_options(settings),
            **how,
        )

    def _take_rows(self, encoded: EncodedTexts, rows: Rows) -> None:
        self.row_vectors_ = compact(rows.inputs, len(rows.inputs), self.vector_size)
        self.vectors_ = self._infer(encoded.tokens, encoded.n_texts)

    def _buckets(self, tokens: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the bucket of the n-gram of 2, 3, … words that begins at each token, or -1."""
        found = np.full((len(tokens), self.n_grams - 1), -1, dtype=np.int64)
        hashes = tokens.astype(np.uint64)
        whole = tokens >= 0
        for k in range(1, self.n_grams):
            left = max(len(tokens) - k, 0)
            hashes = hashes[:left] * _MIX + tokens[k:].astype(np.uint64)
            whole = whole[:left] & (tokens[k:] >= 0)
            numbers = (hashes % np.uint64(self.bucket)).astype(np.int64) + (k - 1) * self.bucket
            found[:left, k - 1] = np.where(whole, numbers, -1)
        return found

    def _gram_rows(self, buckets: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the rows of buckets, -1 for those that are not in use."""
        if len(self.buckets_) == 0:
            return np.full(buckets.shape, -1, dtype=np.int32)
        places = np.minimum(np.searchsorted(self.buckets_, buckets), len(self.buckets_) - 1)
        known = self.buckets_[places] == buckets
        return np.where(known, len(self.words_) + places, -1).astype(np.int32)

    def _infer(self, tokens: NDArray[np.int32], n_texts: int) -> NDArray[np.float32]:
        grams = self._gram_rows(self._buckets(tokens))
        rows = np.concatenate([tokens[:, None], grams], axis=1)[tokens >= 0]
        known = rows >= 0
        places = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
        starts = places[text_starts(tokens)]
        lengths = np.diff(starts)
        weights = np.repeat(1.0 / np.maximum(lengths, 1), lengths).astype(np.float32)
        return unit_rows(text_sums(rows[known], starts, weights, self.row_vectors_))

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        arrays = super()._extra_arrays()
        arrays["row_vectors"], arrays["buckets"] = self.row_vectors_, self.buckets_
        return arrays

    def _take_extra(self, container: Container) -> None:
        super()._take_extra(container)
        self.buckets_ = container.array("buckets", "<i8", (None,))
        shape = (len(self.words_) + len(self.buckets_), self.vector_size)
        self.row_vectors_ = container.array("row_vectors", "<f4", shape)


def load_container(container: Container) -> Sent2Vec:
    """Make the learner of a native file; its vectors stay mapped."""
    found: Sent2Vec = Sent2Vec._load(container)
    return found
