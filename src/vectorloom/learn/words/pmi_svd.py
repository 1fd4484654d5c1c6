# SPDX-License-Identifier: Apache-2.0
"""Pointwise mutual information, factorized: counting in place of training.

    M(w, c) = max(0, log( n(w, c) N / (n(w) n_s(c)) ) - log shift)
    M ~ U S Vt                                     truncated SVD
    x_w = U_w S^power

n_s is counts^smoothing, scaled to the sum N; n(w, c) counts how often c stands near w, nearer
places more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.io.container import Container
from vectorloom.learn.corpus import EncodedCorpus
from vectorloom.learn.words.learner import WordLearner, check_learner

WEIGHTS = {"flat": 0, "harmonic": 1, "linear": 2}


class PMISVD(WordLearner):
    """Learn vectors of words by factorizing their mutual information.

    Use it for corpora of up to some ten million words, where it beats `Word2Vec` at similarity at a
    fraction of the time; it has no learning rate and no epochs. Beyond a hundred million words, or
    with vocabularies beyond 200,000, the matrix grows too large: prefer `Word2Vec`.

    Parameters
    ----------
    vector_size : int, default=100
    window : int, default=5
        Words to each side.
    min_count : int, default=5
        Rarer words are left out.
    smoothing : float, default=0.75
        Exponent of the context's counts: below 1, rare contexts count less.
    shift : float, default=1.0
        Pairs whose information is below log(shift) count as 0: the number of false words that
        skip-gram would be trained with.
    power : float, default=0.5
        Exponent of the singular values; 1 is the usual SVD, 0 makes all directions equal.
    n_iter : int, default=3
        Power iterations of the randomized SVD.
    max_vocab : int or None, default=None
        Keep the most frequent words only.
    n_jobs : int or None, default=None
        Threads that count; the SVD runs on one.
    random_state : int or None, default=0
        An integer gives the same bits at any `n_jobs`.

    Attributes
    ----------
    ids_ : ndarray of shape (n_words,), object
    counts_ : ndarray of shape (n_words,), int64
    vectors_ : ndarray of shape (n_words, vector_size), float32
        Fewer columns where the vocabulary is smaller.
    singular_values_ : ndarray of shape (vector_size,), float32
    n_pairs_ : int
        Entries of M that are not 0.
    n_tokens_ : int

    Notes
    -----
    Time O(tokens * window) to count and O(n_iter * pairs * vector_size) to factorize; memory about
    16 bytes a pair that occurs.

    References
    ----------
    .. [1] Levy, Goldberg. Neural Word Embedding as Implicit Matrix Factorization. NIPS 2014.
    .. [2] Levy, Goldberg, Dagan. Improving Distributional Similarity with Lessons Learned from Word
           Embeddings. TACL 2015. doi:10.1162/tacl_a_00134

    Examples
    --------
    >>> texts = ["the cat sat on the mat", "the dog sat on the rug"] * 20
    >>> model = PMISVD(vector_size=4, min_count=1).fit(texts)
    >>> model.most_similar("cat", topn=1)[0][0]
    'dog'
    """

    _KIND = "learn.pmi_svd"

    def __init__(
        self,
        vector_size: int = 100,
        *,
        window: int = 5,
        min_count: int = 5,
        smoothing: float = 0.75,
        shift: float = 1.0,
        power: float = 0.5,
        n_iter: int = 3,
        max_vocab: int | None = None,
        n_jobs: int | None = None,
        random_state: int | None = 0,
    ) -> None:
        self.vector_size = vector_size
        self.window = window
        self.min_count = min_count
        self.smoothing = smoothing
        self.shift = shift
        self.power = power
        self.n_iter = n_iter
        self.max_vocab = max_vocab
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, corpus: Any, y: Any = None) -> PMISVD:
        """Learn the words of a corpus.

        Parameters
        ----------
        corpus : Corpus, path, iterable of str, or iterable of lists of str
            See `Corpus`; what is no `Corpus` is read with its defaults.
        y : ignored
            Pipelines pass it.

        Returns
        -------
        self
        """
        self._check()
        encoded = self._encode(corpus, self.min_count, self.max_vocab)
        pairs = pair_counts(encoded, self.window, "linear", self.n_jobs)
        information(pairs, self.smoothing, self.shift)
        if pairs.nnz == 0:
            raise ParameterError(
                f"no pair of words is more frequent than chance by a factor of {self.shift}: lower "
                "shift, or bring more text."
            )
        left, values = self._factorize(pairs)
        self._set_words(encoded)
        self.vectors_ = np.ascontiguousarray(left * values**self.power, dtype=np.float32)
        self.singular_values_ = values.astype(np.float32)
        self.n_pairs_ = int(pairs.nnz)
        return self

    def _check(self) -> None:
        check_learner(self.get_params())
        check_count("n_iter", self.n_iter, at_least=0)
        for name in ("smoothing", "power"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ParameterError(f"{name} must be a number from 0 to 1; got {value!r}.")
        if not 0 < self.shift < np.inf:
            raise ParameterError(f"shift must be a positive number; got {self.shift!r}.")

    def _factorize(self, pairs: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        from sklearn.utils.extmath import randomized_svd
        from threadpoolctl import threadpool_limits

        rank = min(self.vector_size, pairs.shape[0])
        # The parts of a BLAS sum depend on its number of threads, and so do the last bits.
        with threadpool_limits(limits=1):
            left, values, _ = randomized_svd(
                pairs, rank, n_iter=self.n_iter, random_state=self.random_state
            )
        return left, values

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        return {"singular_values": self.singular_values_, "n_pairs": np.array([self.n_pairs_])}

    def _take_extra(self, container: Container, n: int) -> None:
        self.singular_values_ = container.array("singular_values", "<f4", (None,))
        self.n_pairs_ = int(container.array("n_pairs", "<i8", (1,))[0])


def pair_counts(corpus: EncodedCorpus, window: int, weight: str, n_jobs: int | None) -> Any:
    """Count how often words stand near each other.

    Parameters
    ----------
    corpus : EncodedCorpus
    window : int
    weight : {"flat", "harmonic", "linear"}
        Of a pair d tokens apart: 1, 1 / d, or (window + 1 - d) / window.
    n_jobs : int or None

    Returns
    -------
    scipy.sparse.csr_array of shape (n_words, n_words), float32
        Symmetric, columns rising in each row.
    """
    from scipy.sparse import csr_array

    n = len(corpus.words)
    offsets, columns, values = _core.cooccurrence(
        corpus.tokens, n, window, WEIGHTS[weight], check_jobs(n_jobs)
    )
    return csr_array((values, columns, offsets), shape=(n, n))


def information(pairs: Any, smoothing: float, shift: float) -> None:
    """Replace counts by positive pointwise mutual information, in place.

    Parameters
    ----------
    pairs : scipy.sparse.csr_array
        Symmetric counts; entries that become 0 are taken out.
    smoothing, shift : float
        As in `PMISVD`.
    """
    totals = np.asarray(pairs.sum(axis=1, dtype=np.float64)).ravel()
    smooth = totals**smoothing
    with np.errstate(divide="ignore"):
        of_word = np.log(totals)
        of_context = np.log(smooth / smooth.sum())
    rows = np.repeat(of_word.astype(np.float32), np.diff(pairs.indptr))
    np.log(pairs.data, out=pairs.data)
    pairs.data -= rows
    pairs.data -= of_context.astype(np.float32)[pairs.indices]
    pairs.data -= np.float32(np.log(shift))
    np.maximum(pairs.data, 0, out=pairs.data)
    pairs.eliminate_zeros()


def load_container(container: Container) -> WordLearner:
    """Make the learner of a native file; its vectors stay mapped."""
    return PMISVD._load(container)
