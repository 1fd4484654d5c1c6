# SPDX-License-Identifier: Apache-2.0
"""CMOW: a word is a matrix, and a text the product of its words' matrices, so that order counts.

    CMOW      h = vec(W_1 W_2 … W_s)              s: the words of a window, one of them left out
    hybrid    h = [ 1/s sum_i x_i ; vec(W_1 W_2 … W_s) ]
    L = -log s(h . y_w) - sum_n log s(-h . y_n)   w: the word left out, n: false words

A text's vector is the mean of the products of its windows, less the mean over all texts, beside the
mean of its x; both parts are scaled to the same length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.io.container import Container
from vectorloom.learn.documents.encoding import EncodedTexts, text_starts
from vectorloom.learn.documents.trained import TrainedLearner, core_options
from vectorloom.learn.texts import unit_rows
from vectorloom.learn.words.learner import check_learner
from vectorloom.learn.words.windows import Rows, check_rates
from vectorloom.progress import progress

_LINE = 16  # rows are padded to whole cache lines
_BLOCK = 1024  # texts between two looks at the progress bar


@dataclass
class Products:
    """The settings of a training by products; see `CMOW`."""

    matrix_size: int
    mean_size: int
    window: int
    negative: int
    sample: float
    ns_exponent: float
    alpha: float
    min_alpha: float
    epochs: int
    init_std: float


class CMOW(TrainedLearner):
    """Learn words as matrices, whose products tell "dog bites man" from "man bites dog".

    Use it for short texts where the order of words matters: questions about grammar, negation, who
    does what. For topics and retrieval `SIF` and `LatentSemantic` are better and far faster.

    Parameters
    ----------
    matrix_size : int, default=16
        Rows and columns of a word's matrix; multiples of 16 waste nothing.
    vector_size : int, default=100
        Of the mean's part; 0: products only, which is plain CMOW.
    window : int, default=10
        Words that are multiplied with each other; longer texts are taken in windows.
    negative : int, default=5
    min_count : int, default=5
    sample : float, default=1e-3
        Words whose share is larger are told less often; as context they stay.
    epochs : int, default=10
    alpha : float, default=0.025
        Learning rate, falling to `min_alpha` in a straight line.
    min_alpha : float, default=1e-4
    ns_exponent : float, default=0.75
    init_std : float, default=0.1
        Matrices begin at the identity with noise of this deviation.
    max_vocab : int or None, default=None
    n_jobs : int or None, default=None
    random_state : int or None, default=None
        None: threads write into the shared rows without locks. An integer gives the same bits at
        any `n_jobs`.

    Attributes
    ----------
    vectors_ : ndarray of shape (n, vector_size + matrix_size ** 2), float32
        Of the training texts: unit length, zero where a text has no known word.
    ids_ : ndarray of shape (n,), int64 or object
    words_ : ndarray of shape (n_words,), object
    counts_ : ndarray of shape (n_words,), int64
    word_vectors_ : ndarray of shape (n_words, vector_size), float32
    matrices_ : ndarray of shape (n_words, matrix_size, matrix_size), float32
    center_ : ndarray of shape (matrix_size ** 2,), float32
        Mean of the products of the training texts.
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
    Time is O(epochs * tokens * matrix_size ** 3), about nine products a word whatever the window:
    the products from the left and from the right of each place are kept. Memory is 8 bytes for each
    of the numbers of a word.

    Not as the authors' program: every word of a window is left out once, in place of one at random;
    plain gradient steps with a bound on each, in place of Adam; and the centre is subtracted, since
    all products are near the identity's.

    References
    ----------
    .. [1] Mai, Galke, Scherp. CBOW Is Not All You Need: Combining CBOW with the Compositional
           Matrix Space Model. ICLR 2019. arXiv:1902.06423

    Examples
    --------
    >>> texts = ["dog bites man", "man bites dog", "dog sees man"] * 40
    >>> model = CMOW(vector_size=0, min_count=1, sample=0, random_state=0).fit(texts)
    >>> one, other = model.transform(["dog bites man", "man bites dog"])
    >>> bool(one @ other < 0.99)
    True
    """

    _KIND = "learn.cmow"

    def __init__(
        self,
        matrix_size: int = 16,
        *,
        vector_size: int = 100,
        window: int = 10,
        negative: int = 5,
        min_count: int = 5,
        sample: float = 1e-3,
        epochs: int = 10,
        alpha: float = 0.025,
        min_alpha: float = 1e-4,
        ns_exponent: float = 0.75,
        init_std: float = 0.1,
        max_vocab: int | None = None,
        n_jobs: int | None = None,
        random_state: int | None = None,
    ) -> None:
        self.matrix_size = matrix_size
        self.vector_size = vector_size
        self.window = window
        self.negative = negative
        self.min_count = min_count
        self.sample = sample
        self.epochs = epochs
        self.alpha = alpha
        self.min_alpha = min_alpha
        self.ns_exponent = ns_exponent
        self.init_std = init_std
        self.max_vocab = max_vocab
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _check(self) -> None:
        params = self.get_params()
        check_count("vector_size", params.pop("vector_size"), at_least=0)
        check_learner(params)
        check_count("matrix_size", self.matrix_size)
        check_count("window", self.window, at_least=2)
        check_count("negative", self.negative)
        if not 0 <= self.init_std < np.inf:
            raise ParameterError(f"init_std must be at least 0; got {self.init_std!r}.")
        check_rates(self._settings())

    def _settings(self) -> Products:
        return Products(
            matrix_size=self.matrix_size,
            mean_size=self.vector_size,
            window=self.window,
            negative=self.negative,
            sample=self.sample,
            ns_exponent=self.ns_exponent,
            alpha=self.alpha,
            min_alpha=self.min_alpha,
            epochs=self.epochs,
            init_std=self.init_std,
        )

    @property
    def _mean_width(self) -> int:
        return -(-self.vector_size // _LINE) * _LINE

    def _empty_rows(self, n: int) -> NDArray[np.float32]:
        line = -(-self.matrix_size // _LINE) * _LINE
        rows: NDArray[np.float32] = _core.row_matrix(n, self._mean_width + self.matrix_size * line)
        return rows

    def _means(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the part of the mean, a view."""
        return rows[:, : self.vector_size]

    def _products(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the matrices of rows, a view of shape (n, matrix_size, matrix_size)."""
        lines = rows[:, self._mean_width :].reshape(len(rows), self.matrix_size, -1)
        return lines[:, :, : self.matrix_size]

    def _first_rows(self, encoded: EncodedTexts, seed: int) -> Rows:
        rng = np.random.default_rng(seed)
        n = len(encoded.words)
        rows = self._empty_rows(n)
        half = 0.5 / max(self.vector_size, 1)
        self._means(rows)[:] = rng.uniform(-half, half, size=(n, self.vector_size))
        shape = (n, self.matrix_size, self.matrix_size)
        noise = rng.standard_normal(shape, dtype=np.float32)
        self._products(rows)[:] = np.eye(self.matrix_size) + np.float32(self.init_std) * noise
        return Rows(rows, self._empty_rows(n))

    def _trainer(
        self,
        tokens: NDArray[np.int32],
        counts: NDArray[np.int64],
        rows: Rows,
        settings: Any,
        **how: Any,
    ) -> Any:
        return _core.MatrixTrainer(
            tokens,
            counts,
            rows.inputs,
            rows.outputs,
            mean_size=settings.mean_size,
            matrix_size=settings.matrix_size,
            window=settings.window,
            **core_options(settings),
            **how,
        )

    def _take_rows(self, encoded: EncodedTexts, rows: Rows) -> None:
        self._show_rows(rows.inputs)
        found = self._encoded(encoded.tokens, encoded.n_texts)
        products = self._products(found).reshape(encoded.n_texts, -1)
        known = np.diff(text_starts(encoded.tokens)) > 0
        center = products[known].mean(axis=0, dtype=np.float64)
        self.center_ = center.astype(np.float32)
        self.vectors_ = self._joined(found, known)

    def _show_rows(self, rows: NDArray[np.float32]) -> None:
        self._inputs = rows
        self.word_vectors_ = self._means(rows)
        self.matrices_ = self._products(rows)

    def _encoded(self, tokens: NDArray[np.int32], n_texts: int) -> NDArray[np.float32]:
        texts = self._empty_rows(n_texts)
        rows = Rows(self._inputs, self._inputs)  # nothing is trained
        trainer = self._trainer(
            tokens, self.counts_, rows, self._settings(), deterministic=True, seed=0
        )
        jobs = check_jobs(self.n_jobs)
        with progress("multiplying words", total=n_texts, unit="texts") as bar:
            for start in range(0, n_texts, _BLOCK):
                stop = min(n_texts, start + _BLOCK)
                trainer.encode(start, stop, texts, jobs)
                bar.advance(stop - start)
        return texts

    def _joined(self, texts: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
        products = self._products(texts).reshape(len(texts), -1) - self.center_
        parts = [unit_rows(self._means(texts).copy()), unit_rows(products)]
        joined = np.concatenate(parts, axis=1)
        joined[~known] = 0.0
        return unit_rows(joined)

    def _infer(self, tokens: NDArray[np.int32], n_texts: int) -> NDArray[np.float32]:
        known = np.diff(text_starts(tokens)) > 0
        return self._joined(self._encoded(tokens, n_texts), known)

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        return super()._extra_arrays() | {
            "word_vectors": np.ascontiguousarray(self.word_vectors_),
            "matrices": np.ascontiguousarray(self.matrices_),
            "center": self.center_,
        }

    def _take_extra(self, container: Container) -> None:
        n, size = len(self.words_), self.matrix_size
        super()._take_extra(container)
        self.center_ = container.array("center", "<f4", (size**2,))
        rows = self._empty_rows(n)
        self._means(rows)[:] = container.array("word_vectors", "<f4", (n, self.vector_size))
        self._products(rows)[:] = container.array("matrices", "<f4", (n, size, size))
        self._show_rows(rows)


def load_container(container: Container) -> CMOW:
    """Make the learner of a native file; the vectors of its texts stay mapped."""
    found: CMOW = CMOW._load(container)
    return found
