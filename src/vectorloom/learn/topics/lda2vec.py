# SPDX-License-Identifier: Apache-2.0
"""lda2vec: word vectors, topics among them, and each text a mixture of few topics.

    p_j   = softmax(a_j),      d_j = sum_k p_jk t_k          text j
    L     = sum over pairs (w, c) of a window of text j
              -log s((x_w + d_j) . y_c) - sum_n log s(-(x_w + d_j) . y_n)
            + strength * sum_jk (1 - alpha) log p_jk                      Dirichlet prior, alpha < 1

A word foretells its neighbours together with what its text is about; what all texts share stays in
the words, what some texts share becomes a topic. alpha below 1 makes mixtures sparse.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.io.container import Container
from vectorloom.learn.corpus import EncodedCorpus
from vectorloom.learn.terms import Terms
from vectorloom.learn.texts import as_texts
from vectorloom.learn.topics.density import unit
from vectorloom.learn.topics.descent import Adam, softmax
from vectorloom.learn.topics.fold_in import Fixed, fold_in
from vectorloom.learn.topics.merging import merge_tree
from vectorloom.learn.topics.model import TopicModel
from vectorloom.learn.topics.topic_words import count_words
from vectorloom.learn.words.false_words import false_words, noise_of
from vectorloom.learn.words.word2vec import Word2Vec
from vectorloom.progress import progress
from vectorloom.select import KMeans
from vectorloom.vectors import as_ids

Matrix = NDArray[np.float32]

_BATCH = 4096
# How surely a text begins in the cluster of its mean vector.
_FIRST_LOGIT = 2.0


class Lda2Vec(TopicModel):
    """Learn words, topics and each text's mixture of topics together.

    Use it for texts that are each about several things, when the number of topics is given. For
    one topic a text, or an unknown number, `Top2Vec` is faster and its topics hang together better.

    Parameters
    ----------
    n_topics : int, default=20
    vector_size : int, default=100
    window : int, default=5
        Words to each side.
    negative : int, default=5
    epochs : int, default=5
        Passes over the pairs of the windows, after five passes for the words alone.
    learning_rate : float, default=0.02
        Adam's for the topics, and the plain one of the mixtures; falls with the epochs.
    alpha : float or None, default=None
        Of the Dirichlet prior; None is 1 / n_topics. Below 1 mixtures become sparse, 1 is no prior.
    strength : float, default=1.0
        Pairs that the prior of one text counts as.
    min_df : int or "auto", default="auto"
        Words in fewer texts are left out. "auto": one text of 500, at least 2.
    stop_words : {"english"}, list of str or None, default="english"
    random_state : int, default=0
        The same bits at any `n_jobs`.
    n_jobs : int or None, default=None
        Threads that learn the words; the topics are learned on one.

    Attributes
    ----------
    shares_ : ndarray of shape (n, n_topics), float32
        The mixture of each text; rows sum to 1.
    labels_ : ndarray of shape (n,), int64
        The largest share; -1 for texts without words of the vocabulary.
    topic_vectors_ : ndarray of shape (n_topics, vector_size), float32
        The t, largest topic first.
    topic_sizes_ : ndarray of shape (n_topics,), int64
        Texts whose largest share it is.
    words_ : ndarray of shape (n_words,), object
    word_vectors_ : ndarray of shape (n_words, vector_size), float32
        The y of the words, at unit length: what topics foretell.
    input_vectors_, output_vectors_ : ndarray of shape (n_words, vector_size), float32
        The x and y of the words.
    counts_ : ndarray of shape (n_words,), int64
    hierarchy_ : ndarray of shape (n_topics - 1, 4), float64
        As in `Top2Vec`.
    losses_ : list of float
        Of each epoch: mean of L over the pairs, the prior left out.
    ids_ : ndarray of shape (n,), int64 or object

    Raises
    ------
    ShapeError
        No texts.
    ParameterError
        A parameter out of range; fewer texts with words than topics.

    Notes
    -----
    The y of the words are learned first, by `Word2Vec`, and kept; topics begin at the centroids of
    `KMeans` of the texts' mean y, mixtures near the nearest one, and the x of words at 0, so that
    topics take what a text has in common before the words do. All three are learned together.
    Random topics, as in the paper, mostly end up alike. Time is O(epochs * tokens * window *
    (negative + 1) * vector_size) in NumPy, some 300,000 pairs a second.

    References
    ----------
    .. [1] Moody. Mixing Dirichlet Topic Models and Word Embeddings to Make lda2vec. 2016.
           arXiv:1605.02019

    Examples
    --------
    >>> sea = ["ship sea wave sail", "sea wind sail ship", "wave ship sea wind"] * 20
    >>> law = ["court judge trial law", "law trial judge crime", "court law crime judge"] * 20
    >>> model = Lda2Vec(2, vector_size=8, epochs=2).fit(sea + law)
    >>> model.shares_.shape, len(set(model.labels_[:60])), model.labels_[0] == model.labels_[-1]
    ((120, 2), 1, np.False_)
    """

    _KIND = "learn.lda2vec"

    def __init__(
        self,
        n_topics: int = 20,
        *,
        vector_size: int = 100,
        window: int = 5,
        negative: int = 5,
        epochs: int = 5,
        learning_rate: float = 0.02,
        alpha: float | None = None,
        strength: float = 1.0,
        min_df: int | str = "auto",
        stop_words: Any = "english",
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_topics = n_topics
        self.vector_size = vector_size
        self.window = window
        self.negative = negative
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.alpha = alpha
        self.strength = strength
        self.min_df = min_df
        self.stop_words = stop_words
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, texts: Any, y: Any = None, *, ids: Any = None) -> Lda2Vec:
        """Learn the topics of texts.

        Parameters
        ----------
        texts : iterable of str
        y : ignored
        ids : array-like of shape (n,), optional
            int64 or str, unique; 0, 1, … when omitted.

        Returns
        -------
        self
        """
        self._check()
        found = as_texts(texts)
        names = as_ids(ids, len(found))
        corpus, text_of = _encoded(found, self.stop_words, self.min_df)
        known = np.unique(text_of)
        if len(known) < self.n_topics:
            raise ParameterError(
                f"only {len(known)} texts hold words of the vocabulary, too few for n_topics="
                f"{self.n_topics}. Lower n_topics or min_df, or bring more texts."
            )
        words = self._words(corpus)
        mixture = Mixture.begin(corpus, text_of, words, self, len(found))
        self.losses_ = mixture.train(self)
        self._forget()
        self.ids_ = names
        self._finish(corpus, mixture, np.isin(np.arange(len(found)), known))
        return self

    def _check(self) -> None:
        check_jobs(self.n_jobs)
        for name in ("n_topics", "vector_size", "window", "negative", "epochs"):
            check_count(name, getattr(self, name))
        check_count("random_state", self.random_state, at_least=0)
        if self.alpha is not None and not 0 < self.alpha <= 1:
            raise ParameterError(f"alpha must be above 0 and at most 1; got {self.alpha!r}.")
        if not 0 < self.learning_rate < np.inf:
            raise ParameterError(f"learning_rate must be positive; got {self.learning_rate!r}.")
        if not 0 <= self.strength < np.inf:
            raise ParameterError(f"strength must be at least 0; got {self.strength!r}.")

    def _words(self, corpus: EncodedCorpus) -> Word2Vec:
        model = Word2Vec(
            self.vector_size,
            window=self.window,
            negative=self.negative,
            min_count=1,
            sample=1e-3,
            epochs=5,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )
        return model.fit(corpus)

    def _finish(self, corpus: EncodedCorpus, mixture: Mixture, known: NDArray[np.bool_]) -> None:
        shares = softmax(mixture.logits)
        labels = shares.argmax(axis=1)
        sizes = np.bincount(labels[known], minlength=self.n_topics)
        order = np.argsort(-sizes, kind="stable")
        rank = np.argsort(order)
        self.shares_ = np.ascontiguousarray(shares[:, order])
        self.shares_[~known] = 1 / self.n_topics
        self.labels_ = np.where(known, rank[labels], -1).astype(np.int64)
        self.topic_sizes_ = sizes[order].astype(np.int64)
        self.topic_vectors_ = np.ascontiguousarray(mixture.topics[order])
        self.hierarchy_ = merge_tree(unit(self.topic_vectors_), np.maximum(self.topic_sizes_, 1))
        self.words_ = np.array(corpus.words, dtype=object)
        self.word_vectors_ = unit(mixture.outputs)
        self.input_vectors_, self.output_vectors_ = mixture.inputs, mixture.outputs
        self.counts_ = corpus.counts
        self.sharpness_ = 1.0

    def _word_scores(self, topic: int) -> Matrix:
        scores: Matrix = self.word_vectors_ @ unit(self.topic_vectors_[topic][None])[0]
        return scores

    def soft_labels(self) -> Matrix:
        """Return the mixture of each text of the fit, `shares_`."""
        self._check_fitted("topic_vectors_")
        return self.shares_

    def transform(self, texts: Any) -> Matrix:
        """Return the mixtures of any texts, topics and words as they are.

        Parameters
        ----------
        texts : iterable of str

        Returns
        -------
        ndarray of shape (n, n_topics), float32
            Rows sum to 1; equal shares where no word is known. A text has one mixture, whatever is
            beside it.
        """
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        self._check_fitted("topic_vectors_")
        given = as_texts(texts)
        listed = ENGLISH_STOP_WORDS if self.stop_words == "english" else self.stop_words
        split = Terms(stop_words=listed, stem=False)
        number = {word: place for place, word in enumerate(self.words_.tolist())}
        fixed = self._fixed()
        rarity = np.log(1 + self.counts_.sum() / self.counts_)
        directions = unit(self.topic_vectors_)
        shares = np.full((len(given), self.n_topics_), 1 / self.n_topics_, np.float32)
        with progress("reading texts", total=len(given), unit="texts") as bar:
            for place, text in enumerate(given):
                words = np.array([number[word] for word in split(text) if word in number], np.int64)
                if len(words):
                    mean = rarity[words] @ self.word_vectors_[words]
                    first = np.zeros(self.n_topics_, np.float32)
                    first[(directions @ mean).argmax()] = _FIRST_LOGIT
                    shares[place] = fold_in(words, first, fixed)
                bar.advance(1)
        return shares

    def _fixed(self) -> Fixed:
        return Fixed(
            self.input_vectors_,
            self.output_vectors_,
            self.topic_vectors_,
            noise_of(self.counts_),
            self.window,
            self.negative,
            self.epochs,
            self.learning_rate,
            1 / self.n_topics if self.alpha is None else self.alpha,
            self.strength,
            self.random_state,
        )

    def documents(self, topic: int, n: int = 10) -> list[tuple[Any, float]]:
        """Return the texts with the largest share of a topic.

        Parameters
        ----------
        topic : int
        n : int, default=10

        Returns
        -------
        list of (id, share)
        """
        scores = self.shares_[:, self._topic(topic)]
        best = np.argsort(-scores, kind="stable")[: check_count("n", n)]
        return list(zip(self.ids_[best].tolist(), scores[best].tolist(), strict=True))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "labels": self.labels_,
            "shares": self.shares_,
            "inputs": self.input_vectors_,
            "outputs": self.output_vectors_,
            "counts": self.counts_,
            "losses": np.asarray(self.losses_),
        }

    def _take(self, container: Container, n_texts: int) -> None:
        self.labels_ = container.array("labels", "<i8", (n_texts,))
        self.shares_ = container.array("shares", "<f4", (n_texts, self.n_topics_))
        self.losses_ = container.array("losses", "<f8", (None,)).tolist()
        shape = self.word_vectors_.shape
        self.input_vectors_ = container.array("inputs", "<f4", shape)
        self.output_vectors_ = container.array("outputs", "<f4", shape)
        self.counts_ = container.array("counts", "<i8", shape[:1])


def _encoded(
    texts: list[str], stop_words: Any, min_df: int | str
) -> tuple[EncodedCorpus, NDArray[np.int64]]:
    """Return the texts in numbers, one sentence each, and the text of each token (-1: an end)."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    counts, words = count_words(texts, stop_words, min_df)
    totals = np.asarray(counts.sum(axis=0)).ravel().astype(np.int64)
    order = np.argsort(-totals, kind="stable")
    number = {words[place]: rank for rank, place in enumerate(order.tolist())}
    listed = ENGLISH_STOP_WORDS if stop_words == "english" else stop_words
    cut = Terms(stop_words=listed, stem=False)
    tokens: list[int] = []
    text_of: list[int] = []
    for place, text in enumerate(texts):
        kept = [number[word] for word in cut(text) if word in number]
        tokens += [*kept, -1]
        text_of += [place] * len(kept) + [-1]
    corpus = EncodedCorpus(
        [words[place] for place in order],
        totals[order],
        np.array(tokens, dtype=np.int32),
        int(totals.sum()),
        0,
    )
    return corpus, np.array(text_of, dtype=np.int64)


class Pairs(NamedTuple):
    """Words of texts, what they foretell, and false words."""

    text: NDArray[np.int64]
    word: NDArray[np.int32]
    other: NDArray[np.int32]
    false: NDArray[np.int64]


class Mixture:
    """Topics, mixtures and the x of words while they are learned; the y of words stays."""

    def __init__(
        self,
        corpus: EncodedCorpus,
        text_of: NDArray[np.int64],
        inputs: Matrix,
        outputs: Matrix,
        topics: Matrix,
        logits: Matrix,
    ) -> None:
        self.corpus = corpus
        self.text_of = text_of
        self.inputs = inputs
        self.outputs = outputs
        self.topics = topics
        self.logits = logits

    @classmethod
    def begin(
        cls,
        corpus: EncodedCorpus,
        text_of: NDArray[np.int64],
        words: Word2Vec,
        settings: Lda2Vec,
        n_texts: int,
    ) -> Mixture:
        """Return topics at the centroids of the texts' mean y, mixtures near the nearest."""
        from scipy.sparse import csr_array

        assert words.context_vectors_ is not None
        outputs = words.context_vectors_
        inside = text_of >= 0
        at = (text_of[inside], corpus.tokens[inside])
        # Rare words say more about a text than those that all texts share.
        weights = np.log(1 + len(corpus.tokens) / corpus.counts)[corpus.tokens[inside]]
        held = csr_array((weights, at), shape=(n_texts, len(corpus.words)))
        means = unit(held @ unit(outputs))
        known = means.any(axis=1)
        kmeans = KMeans(
            settings.n_topics, random_state=settings.random_state, n_jobs=settings.n_jobs
        ).fit(means[known])
        centres = unit(kmeans.cluster_centers_)
        logits = np.zeros((n_texts, settings.n_topics), np.float32)
        logits[np.arange(n_texts), (means @ centres.T).argmax(axis=1)] = _FIRST_LOGIT
        length = np.float32(np.linalg.norm(outputs, axis=1).mean())
        return cls(corpus, text_of, np.zeros_like(outputs), outputs, length * centres, logits)

    def pairs(self, settings: Lda2Vec, rng: np.random.Generator) -> Iterator[Pairs]:
        """Yield the pairs of all windows once, in a random order of places and distances."""
        tokens, text_of = self.corpus.tokens, self.text_of
        noise = noise_of(self.corpus.counts)
        places = np.flatnonzero(text_of >= 0)
        reach = rng.integers(1, settings.window + 1, size=len(places))
        found = []
        for d in range(1, settings.window + 1):
            for side in (-d, d):
                other = places + side
                inside = (reach >= d) & (other >= 0) & (other < len(tokens))
                kept, near = places[inside], other[inside]
                same = text_of[kept] == text_of[near]
                found.append(np.stack([kept[same], near[same]], axis=1))
        pairs = np.concatenate(found)
        pairs = pairs[rng.permutation(len(pairs))]
        for start in range(0, len(pairs), _BATCH):
            word, other = pairs[start : start + _BATCH].T
            false = false_words(noise, (len(word), settings.negative), rng)
            yield Pairs(text_of[word], tokens[word], tokens[other], false)

    def gradients(self, pairs: Pairs) -> tuple[float, dict[str, tuple[Any, Matrix]]]:
        """Return the loss, and of each array that is learned the rows named and their gradients."""
        from scipy.sparse import csr_array

        texts, at = np.unique(pairs.text, return_inverse=True)
        shares = softmax(self.logits[texts])
        context = self.inputs[pairs.word] + (shares @ self.topics)[at]
        targets = np.concatenate([pairs.other[:, None], pairs.false], axis=1)
        outputs = self.outputs[targets]
        scores = np.einsum("bjd,bd->bj", outputs, context)
        scores[:, 0] *= -1
        loss = float(np.logaddexp(0, scores).sum(dtype=np.float64))
        errors = 1 / (1 + np.exp(-np.clip(scores, -30, 30)))
        errors[:, 0] *= -1
        moved = np.einsum("bj,bjd->bd", errors.astype(np.float32), outputs)
        ones = np.ones(len(at), np.float32)
        of_text = csr_array((ones, (at, np.arange(len(at)))), shape=(len(texts), len(at))) @ moved
        to_shares = of_text @ self.topics.T
        to_logits = shares * (to_shares - (shares * to_shares).sum(axis=1, keepdims=True))
        words, place = np.unique(pairs.word, return_inverse=True)
        to_words = csr_array((ones, (place, np.arange(len(at)))), shape=(len(words), len(at)))
        return loss, {
            "topics": (slice(None), shares.T @ of_text),
            "logits": (texts, to_logits),
            "inputs": (words, to_words @ moved),
        }

    def prior(self, texts: NDArray[np.int64], alpha: float) -> Matrix:
        """Return the gradient of sum_k (1 - alpha) log p_k for the logits of texts."""
        k = self.logits.shape[1]
        found: Matrix = np.float32(1 - alpha) * (1 - k * softmax(self.logits[texts]))
        return found

    def train(self, settings: Lda2Vec) -> list[float]:
        """Learn topics and mixtures; returns the mean loss of each epoch."""
        rng = np.random.default_rng(settings.random_state)
        alpha = 1 / settings.n_topics if settings.alpha is None else settings.alpha
        adam = Adam(self.topics)
        per_text = np.maximum(np.bincount(self.text_of[self.text_of >= 0]), 1) * settings.window
        losses = []
        with progress("learning topics", unit="pairs") as bar:
            for epoch in range(settings.epochs):
                loss, n = 0.0, 0
                for pairs in self.pairs(settings, rng):
                    more, found = self.gradients(pairs)
                    texts, to_logits = found["logits"]
                    named = np.bincount(pairs.text, minlength=len(per_text))[texts]
                    # Each pair brings its part of its text's prior.
                    part = (settings.strength * named / per_text[texts])[:, None]
                    to_logits = to_logits + part.astype(np.float32) * self.prior(texts, alpha)
                    rate = settings.learning_rate * (1 - epoch / settings.epochs)
                    adam.step(found["topics"][1], rate)
                    self.logits[texts] -= np.float32(rate) * to_logits
                    words, to_words = found["inputs"]
                    self.inputs[words] -= np.float32(rate) * to_words
                    loss, n = loss + more, n + len(pairs.word)
                    bar.advance(len(pairs.word), loss=more / len(pairs.word))
                losses.append(loss / max(n, 1))
        return losses


def load_container(container: Container) -> Any:
    """Make the model of a native file."""
    return Lda2Vec._load(container)
