# SPDX-License-Identifier: Apache-2.0
"""Smooth inverse frequency: a weighted mean of word vectors without what all texts share.

    SIF     v = 1/|t| sum_w a / (a + p(w)) x_w               then v - u uᵀ v
    uSIF    v = 1/|t| sum_w a / (a/2 + p(w)) x_w             then v - sum_i l_i u_i u_iᵀ v

p(w) is the word's share of all words. u are the strongest directions of the texts' vectors, and
l_i = s_i² / sum_j s_j² of the few that are taken. uSIF finds its a from the corpus: with V words,
texts of m words on average and the share r of words with p(w) > 1 - (1 - 1/V)^m,

    a = (1 - r) / (r V / 2)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.io.container import Container
from vectorloom.learn.documents.encoding import EncodedTexts, TextCoder, text_starts
from vectorloom.learn.documents.learner import DocumentLearner
from vectorloom.learn.documents.sums import text_sums
from vectorloom.learn.texts import unit_rows
from vectorloom.learn.words.keyed_vectors import KeyedVectors
from vectorloom.learn.words.learner import check_learner
from vectorloom.learn.words.pmi_svd import PMISVD
from vectorloom.learn.words.queries import WordQueries
from vectorloom.learn.words.word2vec import Word2Vec

_FEW_WORDS = 1_000_000  # up to here PMISVD makes more of a corpus than Word2Vec
_COMPONENTS = {"sif": 1, "usif": 5}


class SIF(DocumentLearner):
    """Learn vectors of texts as weighted means of word vectors, less their common directions.

    Use it for sentences and short texts that are to be compared by meaning, with no labels and
    little time; it takes word vectors from anywhere. For retrieval by rare terms use
    `LatentSemantic` or BM25; where the order of words matters, none of these.

    Parameters
    ----------
    vectors : KeyedVectors, word learner or None, default=None
        Word vectors as they are, or a learner that is not fitted yet and gets the texts. None:
        `PMISVD` for corpora up to a million words, else `Word2Vec`, of `vector_size` dimensions.
    weighting : {"sif", "usif"}, default="sif"
        With word vectors of a small corpus SIF was the better on eight of ten tasks.
    a : float, default=1e-3
        SIF: words whose share is far below keep the weight 1. uSIF finds its own.
    n_components : int or None, default=None
        Common directions that are taken out: None takes 1 for SIF and 5 for uSIF, 0 none.
    vector_size : int, default=100
        Of the word vectors that are learned here.
    min_count : int, default=5
        Rarer words are left out, where word vectors are learned here.
    max_vocab : int or None, default=None
    n_jobs : int or None, default=None
    random_state : int or None, default=0

    Attributes
    ----------
    vectors_ : ndarray of shape (n, dim), float32
        Of the training texts: unit length, zero where a text has no known word.
    ids_ : ndarray of shape (n,), int64 or object
    words_ : ndarray of shape (n_words,), object
    counts_ : ndarray of shape (n_words,), int64
        In the texts: 0 for words of given vectors that do not occur there.
    word_vectors_ : ndarray of shape (n_words, dim), float32
    word_weights_ : ndarray of shape (n_words,), float32
    components_ : ndarray of shape (n_components, dim), float32
    component_weights_ : ndarray of shape (n_components,), float32
        The l of the formula; 1 for SIF.
    n_tokens_ : int

    Raises
    ------
    ShapeError
        No texts, or no words in them.
    ParameterError
        A parameter out of range; no word of the texts has a vector.

    Notes
    -----
    Time O(tokens * dim) once there are word vectors, one pass. Memory is that of the vectors. The
    same bits at any `n_jobs`, except with a `Word2Vec` without a seed.

    The authors of uSIF also scale each dimension by its length over the words of the text; this is
    left out here, since it makes a text of one word a vector of signs.

    References
    ----------
    .. [1] Arora, Liang, Ma. A Simple but Tough-to-Beat Baseline for Sentence Embeddings. ICLR 2017.
    .. [2] Ethayarajh. Unsupervised Random Walk Sentence Embeddings: A Strong but Simple Baseline.
           RepL4NLP 2018. doi:10.18653/v1/W18-3012

    Examples
    --------
    >>> words = KeyedVectors(["cat", "dog", "law"], [[1.0, 0.1], [0.9, 0.2], [0.0, 1.0]])
    >>> model = SIF(words, n_components=0).fit(["the cat", "a dog", "the law", "dog"])
    >>> scores = model.transform(["dog"]) @ model.vectors_.T
    >>> scores.astype(float).round(2).tolist()
    [[0.99, 1.0, 0.22, 1.0]]
    """

    _KIND = "learn.sif"
    _MIN_WORDS = 1

    def __init__(
        self,
        vectors: Any = None,
        *,
        weighting: str = "sif",
        a: float = 1e-3,
        n_components: int | None = None,
        vector_size: int = 100,
        min_count: int = 5,
        max_vocab: int | None = None,
        n_jobs: int | None = None,
        random_state: int | None = 0,
    ) -> None:
        self.vectors = vectors
        self.weighting = weighting
        self.a = a
        self.n_components = n_components
        self.vector_size = vector_size
        self.min_count = min_count
        self.max_vocab = max_vocab
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _check(self) -> None:
        check_learner(self.get_params(deep=False))
        check_choice("weighting", self.weighting, tuple(_COMPONENTS))
        if isinstance(self.a, bool) or not 0 < self.a < np.inf:
            raise ParameterError(f"a must be a positive number; got {self.a!r}.")
        if self.n_components is not None:
            check_count("n_components", self.n_components, at_least=0)
        if not (self.vectors is None or isinstance(self.vectors, WordQueries)):
            raise ParameterError(
                f"vectors must be KeyedVectors, a word learner or None; got "
                f"{type(self.vectors).__name__}. For a matrix pass KeyedVectors(words, matrix)."
            )

    def _counted_from(self) -> int:
        # Given vectors say themselves which words count.
        return 1 if hasattr(self.vectors, "vectors_") else self.min_count

    def _learn(self, encoded: EncodedTexts) -> None:
        words = self._words(encoded)
        tokens, n_tokens = encoded.tokens, int(encoded.counts.sum())
        self.word_vectors_ = np.ascontiguousarray(words.vectors_, dtype=np.float32)
        if words.ids_.tolist() != encoded.words:
            tokens = self._renumber(words, encoded)
        shares = self.counts_ / n_tokens
        length = max(1.0, n_tokens / encoded.n_texts)
        self.word_weights_ = self._weights(shares, length).astype(np.float32)
        means = self._means(tokens)
        self._set_components(means)
        self.vectors_ = self._without_components(means)

    def _words(self, encoded: EncodedTexts) -> WordQueries:
        """Return word vectors: those that were given, or learned from the texts."""
        given = self.vectors
        if given is not None and hasattr(given, "vectors_"):
            found: WordQueries = given
            return found
        if given is not None:
            learner = type(given)(**given.get_params(deep=False))
        else:
            kind: Any = PMISVD if encoded.n_tokens <= _FEW_WORDS else Word2Vec
            learner = kind(self.vector_size, n_jobs=self.n_jobs, random_state=self.random_state)
        learned: WordQueries = learner.fit(encoded)
        return learned

    def _renumber(self, words: WordQueries, encoded: EncodedTexts) -> NDArray[np.int32]:
        """Take the vocabulary of given vectors in place of the texts'."""
        rows = words.key_to_index
        numbers = np.array([rows.get(word, -1) for word in encoded.words], dtype=np.int32)
        known = numbers >= 0
        if not known.any():
            raise ParameterError(
                f"none of the {len(encoded.words)} words of the texts has a vector among the "
                f"{len(rows)} given ones (the texts have {encoded.words[0]!r}, the vectors "
                f"{words.ids_[0]!r}). Are they of the same language and case?"
            )
        self.words_ = words.ids_
        self.counts_ = np.zeros(len(rows), dtype=np.int64)
        self.counts_[numbers[known]] = encoded.counts[known]
        self._coder = TextCoder(words.ids_.tolist(), self._rules)
        ends = encoded.tokens < 0
        tokens = np.where(ends, -1, numbers[encoded.tokens])
        kept: NDArray[np.int32] = tokens[ends | (tokens >= 0)].astype(np.int32)
        return kept

    def _weights(self, shares: NDArray[np.float64], length: float) -> NDArray[np.float64]:
        if self.weighting == "sif":
            return np.asarray(self.a / (self.a + shares))
        seen = shares[shares > 0]
        frequent = float(np.mean(seen > 1.0 - (1.0 - 1.0 / len(seen)) ** length))
        frequent = min(max(frequent, 1.0 / len(seen)), 1.0 - 1e-9)
        a = (1.0 - frequent) / (frequent * len(seen) / 2.0)
        return np.asarray(a / (a / 2.0 + shares))

    def _means(self, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the weighted mean of each text's word vectors."""
        starts = text_starts(tokens)
        words = tokens[tokens >= 0]
        lengths = np.diff(starts)
        weights = self.word_weights_[words] / np.repeat(np.maximum(lengths, 1), lengths)
        return text_sums(words, starts, weights.astype(np.float32), self.word_vectors_)

    def _set_components(self, means: NDArray[np.float32]) -> None:
        wanted = _COMPONENTS[self.weighting] if self.n_components is None else self.n_components
        dim = means.shape[1]
        squares, directions = np.linalg.eigh(_core.gram(means, None, check_jobs(self.n_jobs)))
        n = min(wanted, dim - 1, int((squares > 1e-10 * max(squares[-1], 1e-300)).sum()) - 1)
        n = max(n, 0)  # the last direction is what tells texts apart
        strongest = squares[::-1][:n]
        self.components_ = np.ascontiguousarray(directions[:, ::-1][:, :n].T, dtype=np.float32)
        weights = (
            np.ones(n) if self.weighting == "sif" else strongest / max(strongest.sum(), 1e-300)
        )
        self.component_weights_ = weights.astype(np.float32)

    def _without_components(self, means: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(self.components_):
            along = np.einsum("ij,kj->ik", means, self.components_) * self.component_weights_
            means -= np.einsum("ik,kj->ij", along, self.components_)
        return unit_rows(means)

    def _infer(self, tokens: NDArray[np.int32], n_texts: int) -> NDArray[np.float32]:
        return self._without_components(self._means(tokens))

    def _params_to_store(self) -> dict[str, Any]:
        return self.get_params(deep=False) | {"vectors": None}

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "word_vectors": self.word_vectors_,
            "word_weights": self.word_weights_,
            "components": self.components_,
            "component_weights": self.component_weights_,
        }

    def _extra_meta(self) -> dict[str, Any]:
        return {"given": hasattr(self.vectors, "vectors_")}

    def _take_extra(self, container: Container) -> None:
        n = len(self.words_)
        dim = self.vectors_.shape[1]
        self.word_vectors_ = container.array("word_vectors", "<f4", (n, dim))
        self.word_weights_ = container.array("word_weights", "<f4", (n,))
        self.component_weights_ = container.array("component_weights", "<f4", (None,))
        shape = (len(self.component_weights_), dim)
        self.components_ = container.array("components", "<f4", shape)
        if container.meta["given"]:
            self.vectors = KeyedVectors(self.words_.tolist(), self.word_vectors_)


def load_container(container: Container) -> SIF:
    """Make the learner of a native file; its vectors stay mapped."""
    found: SIF = SIF._load(container)
    return found
