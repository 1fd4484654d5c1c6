# SPDX-License-Identifier: Apache-2.0
"""DocNADE: topics are hidden units that foretell each word of a text from the words before it.

    h_i          = a(c + sum_{k < i} W_{w_k})         a: softmax, or the logistic function of each
    p(w_i | ...) = softmax(b + V h_i)_{w_i}
    L            = -log p(w) = -sum_i log p(w_i | w_1 ... w_{i-1})

over all orders of the words alike: a text is cut at one random place, and all words behind it are
foretold from those before it,

    L ~ n / (n - i) * -sum_{j >= i} log p(w_j | w_1 ... w_{i-1})        i drawn from 0 to n - 1

which in expectation is L (the training of DeepDocNADE). So a step costs one softmax a text.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count
from vectorloom.io.container import Container
from vectorloom.learn.texts import as_texts
from vectorloom.learn.topics.density import unit
from vectorloom.learn.topics.descent import Adam, softmax
from vectorloom.learn.topics.merging import merge_tree
from vectorloom.learn.topics.model import TopicModel
from vectorloom.learn.topics.topic_words import count_words, known_counts
from vectorloom.progress import progress
from vectorloom.vectors import as_ids

Matrix = NDArray[np.float32]

_BATCH = 32  # texts of a step
_BLOCK = 1024  # texts that are read at once
_FIRST = 0.01  # deviation of the weights at the start
# What of a word's place in a topic is how likely it is there (Sievert and Shirley's lambda).
_RELEVANCE = 0.6


class DocNADE(TopicModel):
    """Learn topics as hidden units of a network that foretells the words of texts.

    Use it where texts should get smooth vectors and likelihoods beside topics: how surprising a
    text is, how it continues. For topics to be read, `Top2Vec` finds them faster, tells their
    number, and they hang together better.

    Parameters
    ----------
    n_topics : int, default=20
        Hidden units.
    epochs : int, default=30
        Passes over the texts, each cut at one place anew. More of them learn small sets by heart.
    learning_rate : float, default=0.01
        Adam's, falling to 0 in a straight line.
    activation : {"softmax", "logistic"}, default="softmax"
        "softmax": units compete, so that each stands for a topic. "logistic", the paper's: units
        together encode what a text is about, which foretells words better, and single units mean
        less.
    min_df : int or "auto", default="auto"
        Words in fewer texts are left out. "auto": one text of 500, at least 2.
    stop_words : {"english"}, list of str or None, default="english"
    random_state : int, default=0
        The same bits on the same machine.

    Attributes
    ----------
    shares_ : ndarray of shape (n, n_topics), float32
        h of each text, divided by its sum: rows sum to 1.
    labels_ : ndarray of shape (n,), int64
        The unit that is on most, against its mean over all texts; -1 for texts without known words.
    topic_vectors_ : ndarray of shape (n_topics, n_topics), float32
        Unit vectors along the hidden units, largest topic first: topics and words live in the space
        of the units.
    topic_sizes_ : ndarray of shape (n_topics,), int64
        Texts of each label.
    words_ : ndarray of shape (n_words,), object
    word_vectors_ : ndarray of shape (n_words, n_topics), float32
        V of the words less its mean, at unit length.
    inputs_, outputs_ : ndarray of shape (n_words, n_topics), float32
        W and V.
    hidden_bias_, word_bias_ : ndarray
        c and b.
    hierarchy_ : ndarray of shape (n_topics - 1, 4), float64
        As in `Top2Vec`.
    losses_ : list of float
        Of each epoch: mean of L for each word, an estimate.
    ids_ : ndarray of shape (n,), int64 or object

    Raises
    ------
    ShapeError
        No texts.
    ParameterError
        A parameter out of range; fewer texts with words than topics.

    Notes
    -----
    Time O(epochs * texts * n_words * n_topics) in BLAS, whatever the length of texts; memory 32
    bytes a word and topic. A step is of 32 texts.

    Not as the paper's first part, which foretells words through a tree, in one order: the cut at a
    random place with a full softmax is its deep variant's, here with one hidden layer.

    References
    ----------
    .. [1] Larochelle, Lauly. A Neural Autoregressive Topic Model. NIPS 2012.
    .. [2] Lauly, Zheng, Allauzen, Larochelle. Document Neural Autoregressive Distribution
           Estimation. JMLR 2017. arXiv:1603.05962

    Examples
    --------
    >>> sea = ["ship sea wave sail", "sea wind sail ship", "wave ship sea wind"] * 20
    >>> law = ["court judge trial law", "law trial judge crime", "court law crime judge"] * 20
    >>> model = DocNADE(2, epochs=30).fit(sea + law)
    >>> found = model.transform(["wind and wave", "crime"]).argmax(axis=1)
    >>> bool(found[0] == model.labels_[0] != model.labels_[-1] == found[1])
    True
    """

    _KIND = "learn.doc_nade"

    def __init__(
        self,
        n_topics: int = 20,
        *,
        epochs: int = 30,
        learning_rate: float = 0.01,
        activation: str = "softmax",
        min_df: int | str = "auto",
        stop_words: Any = "english",
        random_state: int = 0,
    ) -> None:
        self.n_topics = n_topics
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.activation = activation
        self.min_df = min_df
        self.stop_words = stop_words
        self.random_state = random_state

    def fit(self, texts: Any, y: Any = None, *, ids: Any = None) -> DocNADE:
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
        counts, words = count_words(found, self.stop_words, self.min_df)
        if len(words) < 2:
            raise ParameterError(
                f"the vocabulary holds one word only, {words[0]!r}; nothing can be learned from "
                "it. Lower min_df, or bring more texts."
            )
        known = np.asarray(counts.sum(axis=1)).ravel() > 0
        if known.sum() < self.n_topics:
            raise ParameterError(
                f"only {known.sum()} texts hold words of the vocabulary, too few for n_topics="
                f"{self.n_topics}. Lower n_topics or min_df, or bring more texts."
            )
        rng = np.random.default_rng(self.random_state)
        network = Network.begin(
            np.asarray(counts.sum(axis=0)).ravel(), self.n_topics, self.activation, rng
        )
        losses = network.train(counts[known].tocsr(), self, rng)
        self._forget()
        self.ids_, self.losses_ = names, losses
        self.words_ = np.array(words, dtype=object)
        self._finish(network, counts, known)
        return self

    def _check(self) -> None:
        for name in ("n_topics", "epochs"):
            check_count(name, getattr(self, name))
        check_count("random_state", self.random_state, at_least=0)
        if not 0 < self.learning_rate < np.inf:
            raise ParameterError(f"learning_rate must be positive; got {self.learning_rate!r}.")
        check_choice("activation", self.activation, ("softmax", "logistic"))

    def _finish(self, network: Network, counts: Any, known: NDArray[np.bool_]) -> None:
        hidden = network.hidden(counts)
        means = hidden[known].mean(axis=0)
        labels = (hidden - means).argmax(axis=1)
        sizes = np.bincount(labels[known], minlength=self.n_topics)
        order = np.argsort(-sizes, kind="stable")
        self.labels_ = np.where(known, np.argsort(order)[labels], -1).astype(np.int64)
        self.topic_sizes_ = sizes[order].astype(np.int64)
        self.inputs_ = np.ascontiguousarray(network.inputs[:, order])
        self.outputs_ = np.ascontiguousarray(network.outputs[:, order])
        self.hidden_bias_, self.word_bias_ = network.hidden_bias[order], network.word_bias
        self.means_ = means[order]
        self.shares_ = _shares(hidden[:, order])
        self.topic_vectors_ = np.eye(self.n_topics, dtype=np.float32)
        self.word_vectors_ = unit(self.outputs_ - self.outputs_.mean(axis=0))
        directions = unit(np.ascontiguousarray(self.outputs_.T))
        self.hierarchy_ = merge_tree(directions, np.maximum(self.topic_sizes_, 1))
        self.sharpness_ = 1.0

    def _network(self) -> Network:
        self._check_fitted("topic_vectors_")
        weights = (self.inputs_, self.outputs_, self.hidden_bias_, self.word_bias_)
        return Network(*weights, self.activation)

    def _word_scores(self, topic: int) -> Matrix:
        if self.activation == "logistic":  # how much likelier a word becomes when the unit is on
            alone: Matrix = self.outputs_[:, topic]
            return alone
        # Relevance: how likely a word is in the topic, and how much likelier than elsewhere.
        shares = softmax((self.outputs_ + self.word_bias_[:, None]).T)
        own = np.log(shares[topic])
        found: Matrix = own - np.float32(1 - _RELEVANCE) * np.log(self.means_ @ shares)
        return found

    def _counts(self, texts: Any) -> Any:
        return known_counts(as_texts(texts), self.words_.tolist(), self.stop_words)

    def transform(self, texts: Any) -> Matrix:
        """Return the hidden units of any texts, which serve as their vectors.

        Parameters
        ----------
        texts : iterable of str

        Returns
        -------
        ndarray of shape (n, n_topics), float32
            From -1 to 1: h less its mean over the texts of the fit. Unknown words are passed over.
        """
        found: Matrix = self._network().hidden(self._counts(texts)) - self.means_
        return found

    def log_likelihood(self, texts: Any) -> NDArray[np.float64]:
        """Return the mean log-probability of the words of each text, each told the others before.

        Parameters
        ----------
        texts : iterable of str

        Returns
        -------
        ndarray of shape (n,), float64
            For each known word; NaN where there is none. ``exp(-mean)`` is the perplexity. Words
            are taken in one random order, the same whenever the text is.
        """
        return self._network().log_likelihood(self._counts(texts), self.random_state)

    def soft_labels(self) -> Matrix:
        """Return the shares of each text of the fit, `shares_`."""
        self._check_fitted("topic_vectors_")
        return self.shares_

    def _arrays(self) -> dict[str, NDArray[Any]]:
        names = ("labels", "shares", "inputs", "outputs", "hidden_bias", "word_bias", "means")
        found = {name: getattr(self, f"{name}_") for name in names}
        return found | {"losses": np.asarray(self.losses_)}

    def _take(self, container: Container, n_texts: int) -> None:
        k, n_words = self.n_topics_, len(self.words_)
        self.labels_ = container.array("labels", "<i8", (n_texts,))
        self.shares_ = container.array("shares", "<f4", (n_texts, k))
        self.inputs_ = container.array("inputs", "<f4", (n_words, k))
        self.outputs_ = container.array("outputs", "<f4", (n_words, k))
        self.hidden_bias_ = container.array("hidden_bias", "<f4", (k,))
        self.word_bias_ = container.array("word_bias", "<f4", (n_words,))
        self.means_ = container.array("means", "<f4", (k,))
        self.losses_ = container.array("losses", "<f8", (None,)).tolist()


def _shares(hidden: Matrix) -> Matrix:
    found: Matrix = hidden / hidden.sum(axis=1, keepdims=True)
    return found


class Network:
    """What DocNADE learns.

    Parameters
    ----------
    inputs, outputs : ndarray of shape (n_words, n_topics), float32
    hidden_bias : ndarray of shape (n_topics,), float32
    word_bias : ndarray of shape (n_words,), float32
    activation : str
    """

    def __init__(
        self,
        inputs: Matrix,
        outputs: Matrix,
        hidden_bias: Matrix,
        word_bias: Matrix,
        activation: str,
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.hidden_bias = hidden_bias
        self.word_bias = word_bias
        self.softmax = activation == "softmax"

    @classmethod
    def begin(
        cls, totals: NDArray[Any], k: int, activation: str, rng: np.random.Generator
    ) -> Network:
        """Return weights near 0 and word biases that foretell how often each word occurs."""
        n = len(totals)
        shares = np.log(totals / totals.sum())
        return cls(
            _FIRST * rng.standard_normal((n, k), dtype=np.float32),
            _FIRST * rng.standard_normal((n, k), dtype=np.float32),
            np.zeros(k, np.float32),
            shares.astype(np.float32),
            activation,
        )

    def activate(self, sums: Matrix) -> Matrix:
        """Return h of the sums over words."""
        if self.softmax:
            return softmax(sums)
        one = np.float32(1)
        return one / (one + np.exp(-np.clip(sums, -30, 30)))

    def hidden(self, counts: Any) -> Matrix:
        """Return h of all words of each text."""
        parts: list[Matrix] = [
            self.activate(counts[start : start + _BLOCK] @ self.inputs + self.hidden_bias)
            for start in range(0, counts.shape[0], _BLOCK)
        ]
        found: Matrix = np.concatenate(parts).astype(np.float32)
        return found

    def gradients(
        self, before: Any, behind: Any, weights: Matrix
    ) -> tuple[float, dict[str, Matrix]]:
        """Return the loss of texts that are cut in two, and its gradients.

        Parameters
        ----------
        before, behind : scipy.sparse.csr_array of shape (n, n_words), float32
            Counts of the words before the cut and behind it.
        weights : ndarray of shape (n,), float32
            n / (n - i) of each text, divided by what the sum is to be.
        """
        hidden = self.activate(before @ self.inputs + self.hidden_bias)
        shares = hidden @ self.outputs.T + self.word_bias
        shares -= shares.max(axis=1, keepdims=True)
        spread = np.log(np.exp(shares).sum(axis=1, dtype=np.float64))
        told = np.asarray(behind.multiply(shares).sum(axis=1)).ravel()
        many = np.asarray(behind.sum(axis=1)).ravel()
        loss = float((weights * (many * spread - told)).sum())
        errors = softmax(shares)
        errors *= (weights * many)[:, None]
        errors -= behind.multiply(weights[:, None]).toarray()
        to_hidden = errors @ self.outputs
        if self.softmax:
            to_hidden -= (hidden * to_hidden).sum(axis=1, keepdims=True)
        to_sums = to_hidden * (hidden if self.softmax else hidden * (1 - hidden))
        return loss, {
            "inputs": before.T @ to_sums,
            "outputs": errors.T @ hidden,
            "hidden_bias": to_sums.sum(axis=0),
            "word_bias": errors.sum(axis=0),
        }

    def train(self, counts: Any, settings: DocNADE, rng: np.random.Generator) -> list[float]:
        """Learn all weights; returns the mean loss of a word of each epoch."""
        counts = counts.astype(np.float32)
        n_texts = counts.shape[0]
        names = ("inputs", "outputs", "hidden_bias", "word_bias")
        adams = {name: Adam(getattr(self, name)) for name in names}
        a_word = counts.sum() / n_texts
        losses = []
        steps = settings.epochs * -(-n_texts // _BATCH)
        done = 0
        with progress("learning topics", total=settings.epochs * n_texts, unit="texts") as bar:
            for _ in range(settings.epochs):
                order, loss = rng.permutation(n_texts), 0.0
                for start in range(0, n_texts, _BATCH):
                    part = counts[order[start : start + _BATCH]]
                    before, behind, weights = cut(part, rng)
                    scaled = (weights / (a_word * part.shape[0])).astype(np.float32)
                    more, found = self.gradients(before, behind, scaled)
                    rate = settings.learning_rate * (1 - done / steps)
                    for name, adam in adams.items():
                        adam.step(found[name], rate)
                    done += 1
                    loss += more * part.shape[0]
                    bar.advance(part.shape[0], loss=more)
                losses.append(loss / n_texts)
        return losses

    def log_likelihood(self, counts: Any, seed: int) -> NDArray[np.float64]:
        """Return the mean log-probability of each text's words; see `DocNADE.log_likelihood`."""
        found = np.full(counts.shape[0], np.nan)
        for place in range(counts.shape[0]):
            row = counts[[place]]
            words = np.repeat(row.indices, row.data.astype(np.int64))
            if len(words):
                rng = np.random.default_rng([seed, zlib.crc32(words.tobytes())])
                found[place] = self._likelihood(rng.permutation(words))
        return found

    def _likelihood(self, words: NDArray[Any]) -> float:
        sums = np.cumsum(self.inputs[words], axis=0) - self.inputs[words]
        total = 0.0
        for start in range(0, len(words), _BLOCK):
            part = slice(start, start + _BLOCK)
            hidden = self.activate(sums[part] + self.hidden_bias)
            scores = hidden @ self.outputs.T + self.word_bias
            scores -= scores.max(axis=1, keepdims=True)
            own = scores[np.arange(len(scores)), words[part]]
            total += float((own - np.log(np.exp(scores).sum(axis=1, dtype=np.float64))).sum())
        return total / len(words)


def cut(counts: Any, rng: np.random.Generator) -> tuple[Any, Any, Matrix]:
    """Cut each text at a random place of a random order of its words.

    Parameters
    ----------
    counts : scipy.sparse.csr_array of shape (n, n_words)
        Each row of at least one word.
    rng : numpy.random.Generator

    Returns
    -------
    before, behind : scipy.sparse.csr_array of shape (n, n_words), float32
    weights : ndarray of shape (n,), float32
        Words of a text, divided by those behind its cut.
    """
    from scipy.sparse import csr_array

    times = counts.data.astype(np.int64)
    words = np.repeat(counts.indices, times)
    text = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    text = np.repeat(text, times)
    lengths = np.bincount(text, minlength=counts.shape[0])
    mixed = np.lexsort((rng.random(len(text)), text))
    rank = np.arange(len(text)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    at = np.floor(rng.random(len(lengths)) * lengths).astype(np.int64)
    words = words[mixed]
    is_before = rank < at[text]

    def half(chosen: NDArray[np.bool_]) -> Any:
        ones = np.ones(int(chosen.sum()), np.float32)
        return csr_array((ones, (text[chosen], words[chosen])), shape=counts.shape)

    weights = lengths / (lengths - at)
    return half(is_before), half(~is_before), weights.astype(np.float32)


def load_container(container: Container) -> Any:
    """Make the model of a native file."""
    return DocNADE._load(container)
