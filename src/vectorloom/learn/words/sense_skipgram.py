# SPDX-License-Identifier: Apache-2.0
"""Disambiguated skip-gram: several vectors a word, and a rule that says which one a place means.

    r      = mean of r_c over the words c of the window
    z      = softmax_k( (d_wk . r + g_k) / t )          g: Gumbel noise, training only
    h      = sum_k z_k v_wk
    L      = sum_c [ -log s(u_c . h) - sum_n log s(-u_n . h) ]          n: false words

v are the vectors of senses, d say when a sense is meant, r and u are words as context and as what
is foretold. All of it is differentiable, so senses and the rule are learned together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.io.container import Container
from vectorloom.learn.corpus import Corpus, EncodedCorpus
from vectorloom.learn.words.false_words import false_words, noise_of
from vectorloom.learn.words.learner import WordLearner, check_learner
from vectorloom.learn.words.queries import UnknownWordError
from vectorloom.learn.words.sense_contexts import (
    Windows,
    batches,
    cluster_contexts,
    first_contexts,
    thinned,
)
from vectorloom.learn.words.windows import seed_of
from vectorloom.learn.words.word2vec import Word2Vec
from vectorloom.progress import progress

Matrix = NDArray[np.float32]

# Windows whose gradients are computed from the same rows; fewer where words are few.
_BATCH = 512
_LEAST_BATCH = 32
# Gradients of a row that are added up in a step; more of them, from the same rows, would overshoot
# and are scaled to so many.
_MOST_SUMMED = 8
# At the start: the length of selectors, where windows have length 1; and how far senses lie from
# their word, as a share of its length.
_SELECTOR_LENGTH = 8.0
_SENSE_NOISE = 0.1
# Rate of contexts and selectors, as a share of the others': they begin where they do well.
_RULE_RATE = 0.1
# Contexts are told apart by the vectors of one sense a word, which is quickly learned.
_LEAST_EPOCHS = 10


class SenseSkipGram(WordLearner):
    """Learn several vectors a word, one a sense, and which sense a place in a text means.

    Use it to see and to separate the meanings of words in a corpus of millions of words. One vector
    a word (`Word2Vec`) is more than ten times faster to learn and better where meanings do not
    matter.

    Parameters
    ----------
    vector_size : int, default=100
    n_senses : int, default=3
        Senses a word begins with.
    min_share : float, default=0.05
        Senses that fewer of a word's places mean are dropped at the end; the word's most frequent
        one stays.
    window : int, default=5
        Words to each side, at most; drawn from 1 to `window`.
    negative : int, default=5
        False words for each true one, shared by a window.
    min_count : int, default=20
        Rarer words are left out: a sense needs places to be learned from.
    sample : float, default=1e-4
        As in `Word2Vec`.
    epochs : int, default=5
    alpha : float, default=0.05
        Learning rate, falling to 0 in a straight line.
    temperature : float, default=1.0
        t; lower ones choose more sharply while training.
    max_vocab : int or None, default=None
    random_state : int or None, default=0
        An integer gives the same bits.

    Attributes
    ----------
    ids_ : ndarray of shape (n_rows,), object
        Senses: a word's most frequent one by the word itself, others as ``"bank#2"``, ``"bank#3"``.
    vectors_ : ndarray of shape (n_rows, vector_size), float32
    counts_ : ndarray of shape (n_rows,), int64
        Places that mean the sense, estimated.
    selectors_ : ndarray of shape (n_rows, vector_size), float32
        The d of the senses.
    context_vectors_ : ndarray of shape (n_words, vector_size), float32
        The r of the words.
    words_ : ndarray of shape (n_words,), object
    sense_words_ : ndarray of shape (n_rows,), int32
        Place in `words_` of each row's word.
    losses_ : list of float
        Of each epoch: mean of L over the pairs.
    n_tokens_ : int

    Raises
    ------
    ParameterError
        A parameter out of range; a word of the corpus that looks like the name of a sense.

    Notes
    -----
    Trained in NumPy on one thread, minibatches of 512 windows: some 40,000 words a second. Memory:
    16 bytes a word, sense and dimension. It begins with `Word2Vec`'s vectors, each sense a little
    beside its word, and with selectors that are the clusters of the word's contexts (spherical
    k-means, at most 4,096 places a word): from random rows the senses of a word stay alike for many
    epochs. Senses are
    the corpus's: topics it speaks of a word under, more often than a dictionary's senses. The
    authors anneal the temperature and add a cost on the entropy of z; here it is constant, and
    pruning by shares does the rest.

    References
    ----------
    .. [1] Grzegorczyk, Kurdziel. Disambiguated skip-gram model. EMNLP 2018.
           doi:10.18653/v1/D18-1174

    Examples
    --------
    >>> texts = ["bank river water fish", "bank money loan credit"] * 100
    >>> model = SenseSkipGram(8, n_senses=2, min_count=1, sample=0).fit(texts)
    >>> model.disambiguate("bank", "water and fish").shape == (len(model.senses("bank")),)
    True
    """

    _KIND = "learn.sense_skipgram"

    words_: NDArray[Any]
    sense_words_: NDArray[np.int32]
    selectors_: Matrix
    context_vectors_: Matrix

    def __init__(
        self,
        vector_size: int = 100,
        *,
        n_senses: int = 3,
        min_share: float = 0.05,
        window: int = 5,
        negative: int = 5,
        min_count: int = 20,
        sample: float = 1e-4,
        epochs: int = 5,
        alpha: float = 0.05,
        temperature: float = 1.0,
        max_vocab: int | None = None,
        random_state: int | None = 0,
    ) -> None:
        self.vector_size = vector_size
        self.n_senses = n_senses
        self.min_share = min_share
        self.window = window
        self.negative = negative
        self.min_count = min_count
        self.sample = sample
        self.epochs = epochs
        self.alpha = alpha
        self.temperature = temperature
        self.max_vocab = max_vocab
        self.random_state = random_state

    def fit(self, corpus: Any, y: Any = None) -> SenseSkipGram:
        """Learn the senses of the words of a corpus.

        Parameters
        ----------
        corpus : Corpus, path, iterable of str, or iterable of lists of str
        y : ignored

        Returns
        -------
        self
        """
        self._check()
        encoded = self._encode(corpus, self.min_count, self.max_vocab)
        rng = np.random.default_rng(seed_of(self.random_state))
        words = self._one_sense(encoded)
        assert words.context_vectors_ is not None
        contexts = first_contexts(words.vectors_, encoded.counts)
        selectors = _SELECTOR_LENGTH * cluster_contexts(
            encoded, contexts, self.n_senses, self.window, rng
        )
        rows = SenseRows.begin(words.vectors_, words.context_vectors_, contexts, selectors, rng)
        noise = noise_of(encoded.counts)
        batch = int(np.clip(len(encoded.words), _LEAST_BATCH, _BATCH))
        self.losses_ = []
        total = len(encoded.tokens) * self.epochs
        with progress("learning senses", total=total, unit="words") as bar:
            for epoch in range(self.epochs):
                text = thinned(encoded, self.sample, rng)
                share = np.zeros((len(encoded.words), self.n_senses))
                sums = np.zeros(2)
                for done, n, windows in batches(text, self.window, batch, rng):
                    rate = self.alpha * (1 - (epoch + done) / self.epochs)
                    false = false_words(noise, (n, 2 * self.negative), rng)
                    gumbel = rng.gumbel(size=(n, self.n_senses)).astype(np.float32)
                    step = Step(windows, false, gumbel, self)
                    loss, pairs, chosen = rows.move(step, np.float32(rate))
                    sums += loss, pairs
                    np.add.at(share, windows.centre, chosen)
                    bar.advance(round(n * len(encoded.tokens) / max(text.n, 1)), loss=loss / pairs)
                self.losses_.append(float(sums[0] / max(sums[1], 1)))
        self._take(encoded, rows, share)
        return self

    def _check(self) -> None:
        check_learner(self.get_params())
        check_count("n_senses", self.n_senses)
        check_count("negative", self.negative)
        if not 0 <= self.min_share < 1:
            raise ParameterError(f"min_share must be from 0 to below 1; got {self.min_share!r}.")
        for name in ("alpha", "temperature"):
            if not 0 < getattr(self, name) < np.inf:
                raise ParameterError(f"{name} must be positive; got {getattr(self, name)!r}.")
        if not 0 <= self.sample < np.inf:
            raise ParameterError(f"sample must be a number, at least 0; got {self.sample!r}.")

    def _one_sense(self, encoded: EncodedCorpus) -> Word2Vec:
        return Word2Vec(
            self.vector_size,
            window=self.window,
            negative=self.negative,
            min_count=1,
            sample=self.sample,
            epochs=max(self.epochs, _LEAST_EPOCHS),
            random_state=self.random_state,
        ).fit(encoded)

    def _take(self, encoded: EncodedCorpus, rows: SenseRows, share: NDArray[np.float64]) -> None:
        """Keep the senses that are meant often enough, the most frequent first."""
        share /= np.maximum(share.sum(axis=1, keepdims=True), 1)
        order = np.argsort(-share, axis=1, kind="stable")
        ranked = np.take_along_axis(share, order, axis=1)
        kept = ranked >= self.min_share
        kept[:, 0] = True
        word, rank = np.nonzero(kept)
        names = [
            encoded.words[w] if k == 0 else f"{encoded.words[w]}#{k + 1}"
            for w, k in zip(word.tolist(), rank.tolist(), strict=True)
        ]
        if len(set(names)) < len(names):
            taken = next(name for name in encoded.words if "#" in name and names.count(name) > 1)
            raise ParameterError(
                f"the corpus has the word {taken!r}, which is how a sense is named here. Take '#' "
                "out of its words."
            )
        counts = np.rint(ranked[word, rank] * encoded.counts[word]).astype(np.int64)
        self._set_words(EncodedCorpus(names, counts, encoded.tokens, encoded.n_tokens, 0))
        sense = order[word, rank]
        self.words_ = np.array(encoded.words, dtype=object)
        self.sense_words_ = word.astype(np.int32)
        self.vectors_ = np.ascontiguousarray(rows.senses[word, sense])
        self.selectors_ = np.ascontiguousarray(rows.selectors[word, sense])
        self.context_vectors_ = rows.contexts

    def senses(self, word: str, topn: int = 5) -> list[tuple[str, float, list[str]]]:
        """Return the senses of a word.

        Parameters
        ----------
        word : str
        topn : int, default=5

        Returns
        -------
        list of (name, share, words)
            Most frequent first; `words` are the nearest that are no other sense of it.

        Raises
        ------
        UnknownWordError
        """
        own = self._rows_of(word)
        total = max(int(self.counts_[own].sum()), 1)
        found = []
        for row in own:
            near = self.similar_by_vector(self.vectors_[row], topn=topn + len(own))
            others = [name for name, _ in near if name not in set(self.ids_[own])]
            found.append((str(self.ids_[row]), int(self.counts_[row]) / total, others[:topn]))
        return found

    def disambiguate(self, word: str, context: str | list[str]) -> NDArray[np.float32]:
        """Return how likely each sense of a word is beside other words.

        Parameters
        ----------
        word : str
        context : str or list of str
            The words around it; unknown ones, and the word itself, are passed over.

        Returns
        -------
        ndarray of shape (n_senses,), float32
            In the order of `senses`; equal shares where no word of the context is known.
        """
        own = self._rows_of(word)
        if isinstance(context, str):
            context = [found for line in Corpus([context]) for found in line]
        places = self._places()
        known = [places[other] for other in context if other in places and other != word]
        if not known:
            return np.full(len(own), 1 / len(own), np.float32)
        mean = self.context_vectors_[known].mean(axis=0)
        shares: Matrix = _softmax((self.selectors_[own] @ mean)[None])[0]
        return shares

    def _places(self) -> dict[str, int]:
        self._check_fitted("vectors_")
        found: dict[str, int] | None = self.__dict__.get("_word_places")
        if found is None or len(found) != len(self.words_):
            found = {word: place for place, word in enumerate(self.words_.tolist())}
            self.__dict__["_word_places"] = found
        return found

    def _rows_of(self, word: str) -> NDArray[np.int64]:
        place = self._places().get(word)
        if place is None:
            raise UnknownWordError(f"{word!r} is not among the {len(self.words_)} words.")
        first, last = np.searchsorted(self.sense_words_, (place, place + 1))
        return np.arange(first, last)

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "losses": np.asarray(self.losses_),
            "selectors": self.selectors_,
            "contexts": self.context_vectors_,
            "sense_words": self.sense_words_,
        }

    def _take_extra(self, container: Container, n: int) -> None:
        self.losses_ = container.array("losses", "<f8", (None,)).tolist()
        self.selectors_ = container.array("selectors", "<f4", (n, None))
        self.sense_words_ = container.array("sense_words", "<i4", (n,))
        self.context_vectors_ = container.array("contexts", "<f4", (None, None))
        first = np.flatnonzero(np.diff(self.sense_words_, prepend=-1))
        self.words_ = self.ids_[first]


@dataclass
class Step:
    """What one step is computed from."""

    windows: Windows
    false: NDArray[np.int64]
    gumbel: Matrix
    settings: SenseSkipGram


@dataclass
class SenseRows:
    """All that is learned.

    Attributes
    ----------
    senses, selectors : ndarray of shape (n_words, n_senses, dim), float32
    contexts, outputs : ndarray of shape (n_words, dim), float32
    """

    senses: Matrix
    selectors: Matrix
    contexts: Matrix
    outputs: Matrix

    @classmethod
    def begin(
        cls,
        words: Matrix,
        outputs: Matrix,
        contexts: Matrix,
        selectors: Matrix,
        rng: np.random.Generator,
    ) -> SenseRows:
        """Return senses of each word near its one vector.

        Parameters
        ----------
        words, outputs, contexts : ndarray of shape (n_words, dim), float32
        selectors : ndarray of shape (n_words, n_senses, dim), float32
        rng : numpy.random.Generator
        """
        noise = rng.standard_normal(selectors.shape, dtype=np.float32)
        noise *= np.float32(_SENSE_NOISE * np.linalg.norm(words, axis=1).mean())
        noise /= np.float32(np.sqrt(words.shape[1]))
        return cls(words[:, None] + noise, selectors.copy(), contexts.copy(), outputs.copy())

    def gradients(self, step: Step) -> tuple[float, int, Matrix, dict[str, Any]]:
        """Return the loss, its pairs, q of each window, and (rows, gradients) of each array.

        False words count for each true one: a window of m words has m * negative of them, of which
        2 * negative are drawn.
        """
        centre, context = step.windows.centre, step.windows.context
        there = context >= 0
        m = there.sum(axis=1).astype(np.float32)
        words = np.where(there, context, 0)
        weights = there.astype(np.float32)
        mean = np.einsum("bj,bjd->bd", weights / m[:, None], self.contexts[words])
        selectors, senses = self.selectors[centre], self.senses[centre]
        raw = np.einsum("bkd,bd->bk", selectors, mean)
        heat = np.float32(step.settings.temperature)
        z = _softmax((raw + step.gumbel) / heat)
        hidden = np.einsum("bk,bkd->bd", z, senses)
        # True words first, then false ones; a false word that is the window's own word is one too.
        rows = np.concatenate([words, step.false], axis=1)
        labels = np.zeros(rows.shape, np.float32)
        labels[:, : words.shape[1]] = 1
        half = np.broadcast_to(m[:, None] / 2, step.false.shape)
        scale = np.concatenate([weights, half], axis=1).astype(np.float32)
        outputs = self.outputs[rows]
        scores = np.einsum("bjd,bd->bj", outputs, hidden)
        errors = (1 / (1 + np.exp(-np.clip(scores, -30, 30))) - labels) * scale
        signed = np.where(labels > 0, scores, -scores)
        loss = float((np.logaddexp(0, -signed) * scale).sum(dtype=np.float64))
        to_hidden = np.einsum("bj,bjd->bd", errors, outputs)
        to_z = np.einsum("bkd,bd->bk", senses, to_hidden)
        to_raw = z * (to_z - (z * to_z).sum(axis=1, keepdims=True)) / heat
        to_mean = np.einsum("bk,bkd->bd", to_raw, selectors) / m[:, None]
        found = {
            "outputs": (rows.ravel(), errors.ravel(), np.repeat(hidden, rows.shape[1], axis=0)),
            "contexts": (words.ravel(), weights.ravel(), np.repeat(to_mean, words.shape[1], 0)),
            "senses": (centre, None, z[:, :, None] * to_hidden[:, None, :]),
            "selectors": (centre, None, to_raw[:, :, None] * mean[:, None, :]),
        }
        return loss, int(m.sum()), _softmax(raw), found

    def move(self, step: Step, rate: np.float32) -> tuple[float, int, Matrix]:
        """Take one step down; returns the loss, its pairs and q of each window."""
        loss, pairs, chosen, found = self.gradients(step)
        for name, (rows, weights, values) in found.items():
            slow = _RULE_RATE if name in ("contexts", "selectors") else 1
            _descend(getattr(self, name), rows, weights, values, np.float32(slow * rate))
        return loss, pairs, chosen


def _descend(
    target: Matrix, rows: NDArray[Any], weights: Matrix | None, values: Matrix, rate: np.float32
) -> None:
    """Subtract rate times the sum of the weighted values of each row, of many values less."""
    from scipy.sparse import csr_array

    named, at, times = np.unique(rows, return_inverse=True, return_counts=True)
    scale = np.ones(len(rows), np.float32) if weights is None else weights
    sums = csr_array((scale, (at, np.arange(len(rows)))), shape=(len(named), len(rows)))
    moved = sums @ values.reshape(len(rows), -1)
    moved *= np.minimum(1, _MOST_SUMMED / times).astype(np.float32)[:, None]
    target[named] -= rate * moved.reshape(len(named), *target.shape[1:])


def _softmax(scores: Matrix) -> Matrix:
    found: Matrix = np.exp(scores - scores.max(axis=1, keepdims=True))
    found /= found.sum(axis=1, keepdims=True)
    return found


def load_container(container: Container) -> WordLearner:
    """Make the learner of a native file; its vectors stay mapped."""
    return SenseSkipGram._load(container)
