# SPDX-License-Identifier: Apache-2.0
"""Subwords: a word's vector is the mean of its own row and those of its character n-grams.

    x_w = (u_w + sum_g z_g) / (1 + number of g),      g: the n-grams of "<w>", hashed into buckets

in place of the input vector of skip-gram or CBOW; each row moves as the mean should. So a word that
was never seen has a vector too, made of its n-grams.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.io.container import Container
from vectorloom.learn.corpus import EncodedCorpus
from vectorloom.learn.words.learner import WordLearner
from vectorloom.learn.words.windows import Rows, compact
from vectorloom.learn.words.word2vec import Word2Vec

_MAX_BUCKETS = 1 << 31
_BLOCK = 4096  # words whose n-grams are summed at once


class FastText(Word2Vec):
    """Learn vectors of words and of their character n-grams.

    Use it where words have many forms, are rare, or will be asked for that the corpus lacks
    (misspelt ones too). Where none of this holds `Word2Vec` is faster and a little better at
    analogies of meaning.

    Parameters
    ----------
    vector_size : int, default=100
    window : int, default=5
    negative : int, default=5
    min_count : int, default=5
    sample : float, default=1e-4
    sg : {0, 1}, default=1
    hs : {0, 1}, default=0
    epochs : int, default=5
    alpha : float or None, default=None
    min_alpha : float, default=1e-4
    ns_exponent : float, default=0.75
    cbow_mean : {0, 1}, default=1
    min_n, max_n : int, default=3 and 6
        Characters of the n-grams, the marks of the word's begin and end included; ``max_n=0``:
        none.
    bucket : int, default=2_000_000
        Buckets that n-grams are hashed into. Only those that the vocabulary uses take memory.
    max_vocab : int or None, default=None
    n_jobs : int or None, default=None
    random_state : int or None, default=None
        All as in `Word2Vec`.

    Attributes
    ----------
    ids_ : ndarray of shape (n_words,), object
    counts_ : ndarray of shape (n_words,), int64
    vectors_ : ndarray of shape (n_words, vector_size), float32
        With the n-grams in them.
    buckets_ : ndarray of shape (n_used,), int32
        The buckets that some n-gram of the vocabulary falls into, rising.
    bucket_vectors_ : ndarray of shape (n_used, vector_size), float32
    context_vectors_ : ndarray of shape (n_words, vector_size), float32, or None
    losses_, held_out_losses_ : list of float
    n_tokens_ : int

    Notes
    -----
    The hash is fastText's. A word outside the vocabulary gets the mean of those of its n-grams that
    the vocabulary shares; one that shares none has no vector. CBOW takes the mean of the means of
    the context's words (fastText: of all their rows). The rows of a word are summed once for each
    place it stands at, and moved once, not at each of its windows: that is where the speed comes
    from.

    Time is that of `Word2Vec` and one pass over the n-grams' rows (about 25 for an English word)
    for each word; memory 4 bytes a dimension for each bucket in use beside the words'.

    References
    ----------
    .. [1] Bojanowski, Grave, Joulin, Mikolov. Enriching Word Vectors with Subword Information.
           TACL 2017. doi:10.1162/tacl_a_00051

    Examples
    --------
    >>> texts = ["reading readers read", "writing writers write"] * 100
    >>> model = FastText(vector_size=16, min_count=1, sample=0, random_state=0).fit(texts)
    >>> "rereading" in model, model.get_vector("rereading").shape
    (False, (16,))
    """

    _KIND = "learn.fasttext"

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
        min_n: int = 3,
        max_n: int = 6,
        bucket: int = 2_000_000,
        max_vocab: int | None = None,
        n_jobs: int | None = None,
        random_state: int | None = None,
    ) -> None:
        super().__init__(
            vector_size,
            window=window,
            negative=negative,
            min_count=min_count,
            sample=sample,
            sg=sg,
            hs=hs,
            epochs=epochs,
            alpha=alpha,
            min_alpha=min_alpha,
            ns_exponent=ns_exponent,
            cbow_mean=cbow_mean,
            max_vocab=max_vocab,
            n_jobs=n_jobs,
            random_state=random_state,
        )
        self.min_n = min_n
        self.max_n = max_n
        self.bucket = bucket

    def _first_rows(self, encoded: EncodedCorpus, seed: int) -> Rows:
        n, dim = len(encoded.words), self.vector_size
        offsets, buckets, used = self._bags(encoded.words)
        return Rows(
            _core.row_matrix(n + len(used), dim, 1.0 / dim, seed=seed),
            _core.row_matrix(2 * n - 1 if self.hs else n, dim),
            offsets,
            buckets,
            buckets=used,
        )

    def _put_rows(self, rows: Rows, places: NDArray[np.int64]) -> None:
        super()._put_rows(rows, places)
        assert rows.buckets is not None
        assert rows.bag_offsets is not None
        dim, n = self.vector_size, len(rows.bag_offsets) - 1
        there = np.searchsorted(rows.buckets, self.buckets_)
        rows.inputs[n + there, :dim] = self.bucket_vectors_
        # A word's own row is what its vector, a mean, holds beside its n-grams.
        offsets, of_bags, _ = self._bags(self.ids_.tolist())
        for start in range(0, len(self.ids_), _BLOCK):
            stop = min(len(self.ids_), start + _BLOCK)
            part = of_bags[offsets[start] : offsets[stop]]
            grams = self.bucket_vectors_[np.maximum(part - len(self.ids_), 0)]
            grams[part < len(self.ids_)] = 0.0
            sums = np.add.reduceat(grams, offsets[start:stop] - offsets[start], axis=0)
            sizes = np.diff(offsets[start : stop + 1])[:, None].astype(np.float32)
            rows.inputs[places[start:stop], :dim] = self.vectors_[start:stop] * sizes - sums

    def _check(self) -> None:
        super()._check()
        self._check_subwords()

    def _check_subwords(self) -> None:
        check_count("max_n", self.max_n, at_least=0)
        check_count("min_n", self.min_n)
        if check_count("bucket", self.bucket) >= _MAX_BUCKETS:
            raise ParameterError(f"bucket must be below 2**31; got {self.bucket}.")
        if 0 < self.max_n < self.min_n:
            raise ParameterError(
                f"min_n <= max_n is needed, or max_n=0 for no n-grams; got {self.min_n} and "
                f"{self.max_n}."
            )

    def _bags(
        self, words: list[str]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
        """Return the rows of each word, its own first, and the buckets of the others."""
        offsets, buckets = _core.word_subwords(words, self.min_n, self.max_n, self.bucket)
        used, places = np.unique(buckets, return_inverse=True)
        n = len(words)
        # Each word's own row goes before its n-grams'.
        rows = np.insert(n + places, offsets[:-1], np.arange(n)).astype(np.int32)
        return offsets + np.arange(n + 1), rows, used.astype(np.int32)

    def _take_rows(self, encoded: EncodedCorpus, rows: Rows) -> None:
        n, used = len(encoded.words), rows.buckets
        offsets, bag_rows = rows.bag_offsets, rows.bag_rows
        assert used is not None
        assert offsets is not None
        assert bag_rows is not None
        inputs = compact(rows.inputs, n + len(used), self.vector_size)
        words = np.empty((n, self.vector_size), dtype=np.float32)
        for start in range(0, n, _BLOCK):
            stop = min(n, start + _BLOCK)
            part = bag_rows[offsets[start] : offsets[stop]]
            sums = np.add.reduceat(inputs[part], offsets[start:stop] - offsets[start], axis=0)
            words[start:stop] = sums / np.diff(offsets[start : stop + 1])[:, None]
        self._set_words(encoded)
        self.vectors_ = words
        self.buckets_ = used
        self.bucket_vectors_ = inputs[n:].copy()
        outputs = rows.outputs if self.negative else None
        self.context_vectors_ = None if outputs is None else compact(outputs, n, self.vector_size)

    def _make_vector(self, word: str) -> NDArray[np.float32] | None:
        _, buckets = _core.word_subwords([word], self.min_n, self.max_n, self.bucket)
        places = np.searchsorted(self.buckets_, buckets)
        places = np.minimum(places, len(self.buckets_) - 1)
        known = places[self.buckets_[places] == buckets] if len(self.buckets_) else places
        if len(known) == 0:
            return None
        made: NDArray[np.float32] = self.bucket_vectors_[known].mean(axis=0)
        return made

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        more = {"buckets": self.buckets_, "bucket_vectors": self.bucket_vectors_}
        return super()._extra_arrays() | more

    def _take_extra(self, container: Container, n: int) -> None:
        super()._take_extra(container, n)
        self.buckets_ = container.array("buckets", "<i4", (None,))
        shape = (len(self.buckets_), self.vectors_.shape[1])
        self.bucket_vectors_ = container.array("bucket_vectors", "<f4", shape)


def load_container(container: Container) -> WordLearner:
    """Make the learner of a native file; its vectors stay mapped."""
    return FastText._load(container)
