# SPDX-License-Identifier: Apache-2.0
"""Top2Vec: topics are dense regions of the space of texts.

    labels   = dense regions of the texts' vectors, as many as there are    (see `density`)
    t_k      = mean of the texts of region k, at unit length
    words    = those nearest to t_k; a word is the mean of the texts it occurs in, by 1 + log tf
    p(k | x) = exp(a t_k . x) / sum_j exp(a t_j . x)

a is the sharpness under which the texts inside of dense regions are most likely to be where they
are.
"""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.io.container import Container
from vectorloom.learn.texts import as_texts
from vectorloom.learn.topics.density import density_clusters, means, unit
from vectorloom.learn.topics.embedding import embed, embedder_bytes, embedder_of
from vectorloom.learn.topics.merging import cut_tree, merge_tree
from vectorloom.learn.topics.model import TopicModel
from vectorloom.learn.topics.topic_words import count_words
from vectorloom.vectors import as_dense, as_ids

# The sharpness is looked for between these.
_SHARPNESS = (1.0, 1e4)
_GOLDEN = (np.sqrt(5) - 1) / 2
_GOLDEN_STEPS = 40


class Top2Vec(TopicModel):
    """Find the topics of texts: how many there are, what they are about, which text has which.

    Use it for hundreds to some 100,000 texts of a sentence to a few pages each, when the number of
    topics is not known. For mixtures within one long text prefer `Lda2Vec`, or cut the text into
    paragraphs first.

    Parameters
    ----------
    learner : object or None, default=None
        Makes the texts' vectors: a learner with ``fit`` and ``transform`` (a copy is fitted), an
        encoder with ``encode``, or None for `LatentSemantic`. Not asked where `fit` gets vectors.
    n_topics : int or None, default=None
        At most so many: topics are merged, the smallest first. None: as many as there are.
    min_topic_size : int or "auto", default="auto"
        Different texts that make a topic. "auto": 0.4 times the root of their number, at least 5.
    n_neighbors : int, default=15
        Neighbours of a text in the graph; more see larger, fewer topics.
    n_components : int, default=20
        Directions of the graph that are clustered in; more tell more topics apart.
    min_samples : int, default=5
        Neighbours that make a place dense; larger leaves more texts between topics.
    outliers : {"assign", "keep"}, default="assign"
        Texts between topics get the nearest one, or the label -1. Either way `strength_` tells.
    min_df : int or "auto", default="auto"
        Words in fewer texts describe no topic. "auto": one text of 500, at least 2.
    stop_words : {"english"}, list of str or None, default="english"
        Words that describe no topic.
    random_state : int, default=0
        The same bits at any `n_jobs`.
    n_jobs : int or None, default=None

    Attributes
    ----------
    labels_ : ndarray of shape (n,), int64
        Topic of each text, -1 for none: texts without a vector, and outliers that are kept.
    strength_ : ndarray of shape (n,), float64
        How far inside a dense region each text is: 1 at its core, 0 between topics.
    topic_vectors_ : ndarray of shape (n_topics_, dim), float32
        Unit length, largest topic first.
    topic_sizes_ : ndarray of shape (n_topics_,), int64
    hierarchy_ : ndarray of shape (n_topics_ - 1, 4), float64
        Steps of `merged`: topic that vanishes, topic it joins, their cosine, texts of both. Step s
        makes topic n_topics_ + s.
    words_ : ndarray of shape (n_words,), object
    word_vectors_ : ndarray of shape (n_words, dim), float32
        Unit length. Both are empty where `fit` got no texts.
    vectors_ : ndarray of shape (n, dim), float32
        Of the texts, unit length.
    ids_ : ndarray of shape (n,), int64 or object
    sharpness_ : float
        The a of p(k | x).

    Raises
    ------
    ShapeError
        No texts, or vectors of another number.
    ParameterError
        A parameter out of range; texts none of which has a vector or a word.

    Notes
    -----
    Copies of a text count once, so they make no topic. Where no two regions can be told apart, or
    texts are few, there is one topic. Time is that of the vectors, of an exact neighbour search,
    O(n^2 dim), and of HDBSCAN in `n_components` dimensions: about 10 s for 11,000 texts on one
    core, four of them for the vectors.

    Differs from the paper: eigenvectors of the neighbour graph stand for UMAP, vectors may be of
    any learner, and a word's vector is the mean of its texts, so any vectors get words.

    References
    ----------
    .. [1] Angelov. Top2Vec: Distributed Representations of Topics. 2020. arXiv:2008.09470
    .. [2] Coifman, Lafon. Diffusion maps. ACHA 2006. doi:10.1016/j.acha.2006.04.006
    .. [3] Campello, Moulavi, Sander. Density-Based Clustering Based on Hierarchical Density
           Estimates. PAKDD 2013. doi:10.1007/978-3-642-37456-2_14

    Examples
    --------
    >>> sky = ["the sun and the moon", "a star near the moon", "sun, moon and stars", "a red sun"]
    >>> tea = ["tea in a cup", "a cup of green tea", "green tea leaves", "sugar, tea and a cup"]
    >>> model = Top2Vec(min_df=1).fit(sky + tea)  # too few for two topics
    >>> model.n_topics_, len(model.topic_words(0, 3))
    (1, 3)
    """

    _KIND = "learn.top2vec"

    def __init__(
        self,
        learner: Any = None,
        *,
        n_topics: int | None = None,
        min_topic_size: int | str = "auto",
        n_neighbors: int = 15,
        n_components: int = 20,
        min_samples: int = 5,
        outliers: str = "assign",
        min_df: int | str = "auto",
        stop_words: Any = "english",
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.learner = learner
        self.n_topics = n_topics
        self.min_topic_size = min_topic_size
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.min_samples = min_samples
        self.outliers = outliers
        self.min_df = min_df
        self.stop_words = stop_words
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, texts: Any = None, y: Any = None, *, vectors: Any = None, ids: Any = None) -> Any:
        """Find the topics of texts, of vectors, or of texts that have vectors already.

        Parameters
        ----------
        texts : iterable of str, optional
            Without them topics have no words.
        y : ignored
        vectors : array-like of shape (n, dim), optional
            Of the texts, from elsewhere; then new texts cannot be transformed, but their vectors.
        ids : array-like of shape (n,), optional
            int64 or str, unique; 0, 1, … when omitted.

        Returns
        -------
        self
        """
        self._check()
        found = None if texts is None else as_texts(texts)
        if found is None and vectors is None:
            raise ShapeError("fit needs texts, or vectors=; got neither.")
        embedder = None
        if vectors is None:
            assert found is not None
            embedder, rows = embed(self.learner, found, self.n_jobs)
        else:
            rows = as_dense(vectors)
        if found is not None and len(found) != len(rows):
            raise ShapeError(
                f"{len(found)} texts and {len(rows)} vectors came; one vector a text was expected."
            )
        names = as_ids(ids, len(rows))
        known: NDArray[np.bool_] = np.any(rows != 0, axis=1)
        if not known.any():
            raise ParameterError(
                f"none of the {len(rows)} texts has a vector other than zero. Are they empty?"
            )
        counted = None if found is None else count_words(found, self.stop_words, self.min_df)
        self._forget()
        self._embedder = embedder
        self.ids_ = names
        self.vectors_ = unit(rows)
        self._find(known)
        self._describe(counted)
        if self.n_topics is not None and self.n_topics < self.n_topics_:
            self._merge(self.n_topics)
        return self

    def _check(self) -> None:
        check_jobs(self.n_jobs)
        check_choice("outliers", self.outliers, ("assign", "keep"))
        check_count("random_state", self.random_state, at_least=0)
        check_count("n_components", self.n_components)
        check_count("min_samples", self.min_samples)
        check_count("n_neighbors", self.n_neighbors, at_least=2)
        if self.n_topics is not None:
            check_count("n_topics", self.n_topics)
        if self.min_topic_size != "auto":
            check_count("min_topic_size", self.min_topic_size, at_least=2)

    def _find(self, known: NDArray[np.bool_]) -> None:
        n = int(known.sum())
        least = self.min_topic_size
        labels, dense, strength = density_clusters(
            self.vectors_[known],
            n_neighbors=self.n_neighbors,
            n_components=self.n_components,
            min_size=max(5, round(0.4 * np.sqrt(n))) if least == "auto" else int(least),
            min_samples=self.min_samples,
            seed=self.random_state,
            n_jobs=self.n_jobs,
        )
        self.labels_ = np.full(len(known), -1, np.int64)
        self.labels_[known] = labels
        self.strength_ = np.zeros(len(known))
        self.strength_[known] = strength
        self._between = np.zeros(len(known), bool)
        self._between[known] = dense < 0
        if self.outliers == "keep":
            self.labels_[self._between] = -1
        self._number(self.labels_)

    def _number(self, labels: NDArray[np.int64]) -> None:
        """Take labels, largest topic first, and what follows from them."""
        sizes = np.bincount(labels[labels >= 0])
        order = np.argsort(-sizes, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        self.labels_ = np.where(labels >= 0, rank[labels], -1)
        self.topic_sizes_ = sizes[order].astype(np.int64)
        self.topic_vectors_ = unit(means(self.vectors_, self.labels_, len(order)))
        self.hierarchy_ = merge_tree(self.topic_vectors_, self.topic_sizes_)
        clear = (self.labels_ >= 0) & ~self._between
        scores = self.vectors_[clear] @ self.topic_vectors_.T
        self.sharpness_ = sharpness_of(scores, self.labels_[clear])

    def _describe(self, counted: tuple[Any, list[str]] | None) -> None:
        if counted is None:
            self.words_ = np.empty(0, dtype=object)
            self.word_vectors_ = np.empty((0, self.vectors_.shape[1]), np.float32)
            return
        counts, words = counted
        weights = counts.copy()
        weights.data = 1 + np.log(weights.data)
        self.words_ = np.array(words, dtype=object)
        self.word_vectors_ = unit(np.asarray(weights.T @ self.vectors_))

    def _merge(self, n: int) -> None:
        groups = cut_tree(self.hierarchy_, n)
        self._number(np.where(self.labels_ >= 0, groups[self.labels_], -1))

    def merged(self, n_topics: int) -> Any:
        """Return a copy with fewer topics: the smallest joins the one it is most like, by turns.

        Parameters
        ----------
        n_topics : int
            From 1 to `n_topics_`.

        Returns
        -------
        Top2Vec
        """
        self._check_fitted("topic_vectors_")
        check_count("n_topics", n_topics)
        if n_topics > self.n_topics_:
            raise ParameterError(
                f"there are {self.n_topics_} topics; merging cannot make {n_topics} of them. Lower "
                "min_topic_size and fit again."
            )
        found = copy.copy(self)
        found._merge(n_topics)
        return found

    def transform(self, texts: Any = None, *, vectors: Any = None) -> NDArray[np.float32]:
        """Return how likely each topic is for each text.

        Parameters
        ----------
        texts : iterable of str, optional
        vectors : array-like of shape (n, dim), optional
            In place of texts.

        Returns
        -------
        ndarray of shape (n, n_topics_), float32
            Rows sum to 1; all equal for a text of which nothing is known.
        """
        self._check_fitted("topic_vectors_")
        if vectors is not None:
            rows = as_dense(vectors)
        elif self._embedder is None:
            raise ParameterError(
                "this Top2Vec was fitted to vectors from elsewhere and cannot make them of texts; "
                "pass vectors=."
            )
        else:
            rows = self._embedder.vectors(as_texts(texts))
        if rows.shape[1] != self.topic_vectors_.shape[1]:
            raise ShapeError(
                f"vectors must have {self.topic_vectors_.shape[1]} dimensions, as in fit; got "
                f"{rows.shape[1]}."
            )
        return shares(unit(rows) @ self.topic_vectors_.T, self.sharpness_)

    def soft_labels(self) -> NDArray[np.float32]:
        """Return how likely each topic is for each text of the fit; see `transform`."""
        return self.transform(vectors=self.vectors_)

    def documents(self, topic: int, n: int = 10) -> list[tuple[Any, float]]:
        """Return the texts that are most about a topic.

        Parameters
        ----------
        topic : int
        n : int, default=10

        Returns
        -------
        list of (id, cosine with the topic)
            Of the topic's texts, nearest first.
        """
        row = self._topic(topic)
        check_count("n", n)
        own = np.flatnonzero(self.labels_ == row)
        scores = self.vectors_[own] @ self.topic_vectors_[row]
        best = np.argsort(-scores, kind="stable")[:n]
        return list(zip(self.ids_[own[best]].tolist(), scores[best].tolist(), strict=True))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        stored: dict[str, NDArray[Any]] = {
            "labels": self.labels_,
            "strength": self.strength_,
            "between": self._between.astype(np.uint8),
            "vectors": self.vectors_,
        }
        if self._embedder is not None:
            stored["embedder"] = embedder_bytes(self._embedder)
        return stored

    def _take(self, container: Container, n_texts: int) -> None:
        self.labels_ = container.array("labels", "<i8", (n_texts,))
        self.strength_ = container.array("strength", "<f8", (n_texts,))
        self._between = container.array("between", "|u1", (n_texts,)).astype(bool)
        self.vectors_ = container.array("vectors", "<f4", (n_texts, None))
        self._embedder = embedder_of(container)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file; `vectorloom.open` reads it.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        ParameterError
            The learner of the vectors cannot be saved; fit with ``vectors=`` then.
        """
        super().save(path)


def shares(scores: NDArray[np.float32], sharpness: float) -> NDArray[np.float32]:
    """Return the softmax of the rows of cosines, times the sharpness."""
    found = np.exp(sharpness * (scores - scores.max(axis=1, keepdims=True)))
    found /= found.sum(axis=1, keepdims=True)
    return np.asarray(found, dtype=np.float32)


def sharpness_of(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the sharpness under which the labels are most likely; golden section on its log."""
    own = scores[np.arange(len(scores)), labels].astype(np.float64)

    def likelihood(log_sharpness: float) -> float:
        a = np.exp(log_sharpness)
        return float((a * own - np.logaddexp.reduce(a * scores.astype(float), axis=1)).sum())

    low, high = np.log(_SHARPNESS)
    if scores.shape[1] < 2:
        return float(np.exp(low))
    for _ in range(_GOLDEN_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if likelihood(left) < likelihood(right):
            low = left
        else:
            high = right
    return float(np.exp((low + high) / 2))


def load_container(container: Container) -> Any:
    """Make the model of a native file; its vectors stay mapped."""
    return Top2Vec._load(container)
