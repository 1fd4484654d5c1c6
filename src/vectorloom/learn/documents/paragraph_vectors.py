# SPDX-License-Identifier: Apache-2.0
"""Paragraph vectors: a text's vector is what best tells its words.

    DBOW      L = -log s(d . y_w) - sum_n log s(-d . y_n)          for each word w of the text d
    DM        the mean of d and the x of the words around w stands for d
    binary    the code [d > 0] stands for d, and gradients reach d times s(d) (1 - s(d))

s is the logistic function, n are false words drawn from count^0.75. For new texts, and in DBOW for
those learned from too, the words' rows then stay as they are and d is descended from zero to

    min_d  L(d) + r |d|^2 / 2 for each word,      r = shrinkage * median eigenvalue of E[y y']
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_jobs
from vectorloom.io.container import Container
from vectorloom.learn.documents.encoding import EncodedTexts, text_starts
from vectorloom.learn.documents.learner import check_texts
from vectorloom.learn.documents.trained import TrainedLearner
from vectorloom.learn.texts import unit_rows
from vectorloom.learn.words.learner import check_learner
from vectorloom.learn.words.windows import (
    TEXTS_ALONE,
    TEXTS_BESIDE,
    Rows,
    Windows,
    compact,
    core_trainer,
)
from vectorloom.progress import progress

_ROWS = 1 << 14  # of words whose products are added up at once
_BLOCK = 512  # texts between two looks at the progress bar
# Words that a text has told when it has come near its place, see the page of the method.
_INFER_WORDS = 3000


class ParagraphVectors(TrainedLearner):
    """Learn vectors of texts, and of words beside them, by predicting the words of each text.

    Use it for texts of some length from one's own field (articles, reports, tickets) that are to
    be compared as a whole: nearest texts, clusters, classes. For short queries against texts
    `LatentSemantic` or BM25 is better, and for single sentences `SIF`.

    Parameters
    ----------
    vector_size : int, default=100
    dm : {0, 1}, default=0
        0: the text alone predicts each of its words (DBOW). 1: together with the words around
        (DM); slower, and weaker in most comparisons.
    dbow_words : {0, 1}, default=0
        DBOW: learn vectors of words too, by skip-gram, in the space of the texts.
    window : int, default=5
        Words to each side, where words are inputs.
    negative : int, default=5
        False words, drawn for each word.
    min_count : int, default=5
    sample : float, default=1e-3
        Words whose share is larger are passed over at random.
    epochs : int, default=20
    infer_epochs : int or None, default=None
        Passes over a new text in `transform`; None: `epochs`, and more for short texts, until 3,000
        words have been told.
    shrinkage : float, default=0.5
        How strongly a text's vector is drawn to zero, against what its words ask of it, in units of
        how far words differ. Search gains by more (1 or 2), likeness of single sentences by less
        (0). Of DBOW without codes only: the others do not gain by it.
    binary : bool, default=False
        Learn codes of `vector_size` bits (a multiple of 8) for Hamming distance; ``dm=0`` only.
    alpha : float, default=0.025
        Learning rate, falling to `min_alpha` in a straight line; of `transform` too.
    min_alpha : float, default=1e-4
    ns_exponent : float, default=0.75
    max_vocab : int or None, default=None
        Keep the most frequent words only.
    n_jobs : int or None, default=None
    random_state : int or None, default=None
        None: threads write into the shared rows without locks, another result each time. An
        integer gives the same bits at any `n_jobs`.

    Attributes
    ----------
    vectors_ : ndarray of shape (n, vector_size), float32, or (n, vector_size // 8), uint8
        Of the training texts: unit length, zero where a text has no known word; codes are packed
        bits.
    ids_ : ndarray of shape (n,), int64 or object
    words_ : ndarray of shape (n_words,), object
    counts_ : ndarray of shape (n_words,), int64
    word_vectors_ : ndarray of shape (n_words, vector_size), float32, or None
        None where only texts are inputs.
    context_vectors_ : ndarray of shape (n_words, vector_size), float32
        The y of the words.
    losses_ : list of float
        Of each epoch: the mean of L over the pairs of a sample, measured as they were trained.
    held_out_losses_ : list of float
        Of each epoch, with `early_stop`: the loss of words of each text that were held out, or the
        metric with its sign turned.
    seed_ : int
        What `transform` draws by.
    ridge_ : float
        The r of above at ``shrinkage=1``.
    n_tokens_ : int

    Raises
    ------
    ShapeError
        No texts, or no words in them.
    ParameterError
        A parameter out of range, one word only, or none of `min_count`.

    Notes
    -----
    `transform` draws by the place of a word in its text: a text has the same vector whatever is
    transformed beside it, in whatever order, at any `n_jobs`, today and from a file. With ``dm=0``
    `vectors_` are what `transform` makes of the training texts; in DM, and after an interrupted
    training, they are as they were trained.

    Time is O(epochs * tokens * (negative + 1) * vector_size), times about `window` with words as
    inputs; memory 4 bytes a dimension for each text and word (twice for words where they are
    inputs). With `checkpoint` an interrupted training can go on.

    References
    ----------
    .. [1] Le, Mikolov. Distributed Representations of Sentences and Documents. ICML 2014.
           arXiv:1405.4053
    .. [2] Lau, Baldwin. An Empirical Evaluation of doc2vec. RepL4NLP 2016. arXiv:1607.05368
    .. [3] Grzegorczyk, Kurdziel. Binary Paragraph Vectors. RepL4NLP 2017. arXiv:1611.01116

    Examples
    --------
    >>> texts = ["the ship sails the sea", "a boat on the sea", "judge and court and law"] * 40
    >>> model = ParagraphVectors(16, min_count=1, sample=0, random_state=0).fit(texts)
    >>> scores = model.transform(["the boat sails"]) @ model.vectors_[:3].T
    >>> int(scores.argmin())
    2
    """

    _KIND = "learn.paragraph_vectors"
    _HELD_IN_TEXTS = True

    def __init__(
        self,
        vector_size: int = 100,
        *,
        dm: int = 0,
        dbow_words: int = 0,
        window: int = 5,
        negative: int = 5,
        min_count: int = 5,
        sample: float = 1e-3,
        epochs: int = 20,
        infer_epochs: int | None = None,
        shrinkage: float = 0.5,
        binary: bool = False,
        alpha: float = 0.025,
        min_alpha: float = 1e-4,
        ns_exponent: float = 0.75,
        max_vocab: int | None = None,
        n_jobs: int | None = None,
        random_state: int | None = None,
    ) -> None:
        self.vector_size = vector_size
        self.dm = dm
        self.dbow_words = dbow_words
        self.window = window
        self.negative = negative
        self.min_count = min_count
        self.sample = sample
        self.epochs = epochs
        self.infer_epochs = infer_epochs
        self.shrinkage = shrinkage
        self.binary = binary
        self.alpha = alpha
        self.min_alpha = min_alpha
        self.ns_exponent = ns_exponent
        self.max_vocab = max_vocab
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _check(self) -> None:
        check_learner(self.get_params())
        if self.infer_epochs is not None:
            check_texts({"infer_epochs": self.infer_epochs})
        if not 0 <= self.shrinkage < np.inf:
            raise ParameterError(
                f"shrinkage must be a number, at least 0; got {self.shrinkage!r}. Leave it at 0.5."
            )
        for name in ("dm", "dbow_words"):
            check_choice(name, str(int(getattr(self, name))), ("0", "1"))
        if self.binary and (self.dm or self.dbow_words):
            raise ParameterError("binary=True is for dm=0 and dbow_words=0 only; set both to 0.")
        if self.binary and self.vector_size % 8:
            raise ParameterError(
                f"binary=True packs eight bits a byte, so vector_size must be a multiple of 8; got "
                f"{self.vector_size}."
            )
        self._settings().check()

    def _settings(self) -> Windows:
        has_words = bool(self.dm or self.dbow_words)
        return Windows(
            window=self.window,
            negative=self.negative,
            hs=False,
            cbow=bool(self.dm),
            cbow_mean=True,
            sample=self.sample,
            ns_exponent=self.ns_exponent,
            alpha=self.alpha,
            min_alpha=self.min_alpha,
            epochs=self.epochs,
            text=TEXTS_BESIDE if has_words else TEXTS_ALONE,
            binary=bool(self.binary),
        )

    def _check_texts(self, encoded: EncodedTexts) -> None:
        """Nothing to refuse: a text stands beside each of its words."""

    def _first_rows(self, encoded: EncodedTexts, seed: int) -> Rows:
        n, dim = len(encoded.words), self.vector_size
        self.seed_ = seed
        scale = 0.5 / dim
        has_words = self._settings().text == TEXTS_BESIDE
        return Rows(
            _core.row_matrix(n if has_words else 0, dim, scale, seed),
            _core.row_matrix(n, dim),
            texts=_core.row_matrix(encoded.n_texts, dim, scale, seed + 1),
        )

    def _take_words(self, rows: Rows) -> None:
        dim = self.vector_size
        self._padded = (rows.inputs, rows.outputs)
        self.word_vectors_ = rows.inputs[:, :dim] if len(rows.inputs) else None
        self.context_vectors_ = rows.outputs[:, :dim]
        self.ridge_ = _ridge(self.context_vectors_, self.counts_, self.ns_exponent)

    def _take_rows(self, encoded: EncodedTexts, rows: Rows) -> None:
        assert rows.texts is not None
        self._take_words(rows)
        # What has no word was never moved from where it began.
        rows.texts[np.diff(text_starts(encoded.tokens)) == 0] = 0.0
        self.vectors_ = self._result(rows.texts)

    def _result(self, texts: NDArray[np.float32]) -> NDArray[Any]:
        """Return unit vectors or packed codes of the rows of texts."""
        if self.binary:
            return np.packbits(texts[:, : self.vector_size] > 0, axis=1)
        return unit_rows(compact(texts, len(texts), self.vector_size))

    def _settle_rows(self, encoded: EncodedTexts, rows: Rows) -> None:
        """Find the rows of the training texts as those of any text, in place."""
        assert rows.texts is not None
        if self.dm:  # costs as much as training
            return
        self._take_words(rows)
        self._descend(encoded.tokens, rows.texts, "reading texts again")

    def _infer(self, tokens: NDArray[np.int32], n_texts: int) -> NDArray[Any]:
        texts = _core.row_matrix(n_texts, self.vector_size)
        self._descend(tokens, texts, "reading texts")
        return self._result(texts)

    def _descend(self, tokens: NDArray[np.int32], texts: NDArray[np.float32], label: str) -> None:
        """Descend rows of texts from zero, in place."""
        settings = self._settings()
        if self.infer_epochs is None:
            settings.infer_words = _INFER_WORDS
        else:
            settings.epochs = self.infer_epochs
        if not self.dm:  # the rows of words do not meet the text's
            settings.text = TEXTS_ALONE
            settings.infer_ridge = self.shrinkage * self.ridge_
        inputs, outputs = self._padded
        trainer = core_trainer(
            tokens,
            self.counts_,
            Rows(inputs, outputs, texts=texts),
            settings,
            deterministic=True,
            seed=self.seed_,
        )
        jobs = check_jobs(self.n_jobs)
        with progress(label, total=len(texts), unit="texts") as bar:
            for start in range(0, len(texts), _BLOCK):
                stop = min(len(texts), start + _BLOCK)
                texts[start:stop] = 0.0
                trainer.infer(start, stop, jobs)
                bar.advance(stop - start)

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        arrays = super()._extra_arrays()
        arrays["context_vectors"] = np.ascontiguousarray(self.context_vectors_)
        if self.word_vectors_ is not None:
            arrays["word_vectors"] = np.ascontiguousarray(self.word_vectors_)
        return arrays

    def _extra_meta(self) -> dict[str, Any]:
        return {"seed": self.seed_, "ridge": self.ridge_}

    def _take_extra(self, container: Container) -> None:
        shape = (len(self.words_), self.vector_size)
        self.seed_, self.ridge_ = int(container.meta["seed"]), float(container.meta["ridge"])
        super()._take_extra(container)
        padded = []
        for name in ("word_vectors", "context_vectors"):
            if name not in container.arrays:
                padded.append(_core.row_matrix(0, self.vector_size))
                continue
            rows = _core.row_matrix(*shape)
            rows[:, : self.vector_size] = container.array(name, "<f4", shape)
            padded.append(rows)
        self._padded = (padded[0], padded[1])
        self.word_vectors_ = padded[0][:, : self.vector_size] if len(padded[0]) else None
        self.context_vectors_ = padded[1][:, : self.vector_size]

    def _vectors_dtype(self) -> str:
        return "|u1" if self.binary else "<f4"


def _ridge(outputs: NDArray[np.float32], counts: NDArray[np.int64], exponent: float) -> float:
    """Return the median eigenvalue of E[y y'] over false words, to two digits.

    No more, so that LAPACKs that round otherwise agree.
    """
    share = counts.astype(np.float64) ** exponent
    share /= share.sum()
    moment = np.zeros((outputs.shape[1],) * 2)
    for start in range(0, len(outputs), _ROWS):
        part = outputs[start : start + _ROWS].astype(np.float64)
        moment += (part * share[start : start + _ROWS, None]).T @ part
    return float(f"{np.median(np.linalg.eigvalsh(moment)):.2g}")


def load_container(container: Container) -> ParagraphVectors:
    """Make the learner of a native file; the vectors of its texts stay mapped."""
    found: ParagraphVectors = ParagraphVectors._load(container)
    return found
