# SPDX-License-Identifier: Apache-2.0
"""Vectors of new words from a few contexts, from their form, or from both.

    context:  x = A u,   u: the weighted mean of the words around it
              A minimises sum_w log(1 + n_w) |v_w - A u_w|^2 + ridge |A|^2 over the words known
    form:     x = mean of z_g over its character n-grams
              Z minimises sum_w |v_w - mean_g z_g|^2 + ridge |Z|^2
    hybrid:   (contexts * context + form_weight * form) / (contexts + form_weight)

A context word counts a / (a + p) with p its share of all words, a = 0.001.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import NotFittedError, ParameterError
from vectorloom.estimator import Estimator, check_choice, check_count, check_jobs
from vectorloom.learn.corpus import Corpus, EncodedCorpus, as_corpus
from vectorloom.learn.words.keyed_vectors import KeyedVectors
from vectorloom.learn.words.pmi_svd import pair_counts
from vectorloom.learn.words.queries import WordQueries

_BUCKETS = 1 << 21
_RARE = 1e-3
_MODES = ("hybrid", "context", "form")


class FewShot(Estimator):
    """Make vectors for words that a vocabulary lacks, in its own space.

    Use it for new names and terms, without training anew. Where forms are all there is, vectors
    learned with `FastText` have this built in.

    Parameters
    ----------
    window : int, default=5
        Words to each side that are a context.
    ridge : float, default=1.0
        Regularisation of both maps, in units of the mean diagonal of what is inverted, times 0.01.
    min_n, max_n : int, default=3 and 5
        Characters of the n-grams.
    form_weight : float, default=2.0
        So many contexts have the weight of the form, when there are both.
    n_iter : int, default=30
        Steps of conjugate gradients for the n-grams.
    n_jobs : int or None, default=None

    Attributes
    ----------
    context_map_ : ndarray of shape (dim, dim), float64
        A, transposed.
    buckets_ : ndarray of shape (n_used,), int32
    bucket_vectors_ : ndarray of shape (n_used, dim), float32

    Notes
    -----
    Deterministic. Time O(tokens * window) to count and O(n_iter * n-grams * dim) for the forms.
    The paper compares such maps on tasks; it finds that form alone does well wherever the test
    words share stems with known ones, and says little elsewhere.

    References
    ----------
    .. [1] Khodak, Saunshi, Liang, Ma, Stewart, Arora. A La Carte Embedding: Cheap but Effective
           Induction of Semantic Feature Vectors. ACL 2018. doi:10.18653/v1/P18-1002
    .. [2] Van Hautte, Emerson, Rei. Bad Form: Comparing Context-Based and Form-Based Few-Shot
           Learning in Distributional Semantic Models. DeepLo 2019. doi:10.18653/v1/D19-6104

    Examples
    --------
    >>> from vectorloom.learn import PMISVD
    >>> texts = ["the ship sails the sea", "a boat sails the sea", "a court hears a case"] * 20
    >>> words = PMISVD(vector_size=4).fit(texts)
    >>> few = FewShot().fit(words, texts)
    >>> few.induce("yacht", ["the yacht sails the sea"]).shape
    (4,)
    """

    def __init__(
        self,
        *,
        window: int = 5,
        ridge: float = 1.0,
        min_n: int = 3,
        max_n: int = 5,
        form_weight: float = 2.0,
        n_iter: int = 30,
        n_jobs: int | None = None,
    ) -> None:
        self.window = window
        self.ridge = ridge
        self.min_n = min_n
        self.max_n = max_n
        self.form_weight = form_weight
        self.n_iter = n_iter
        self.n_jobs = n_jobs

    def fit(self, vectors: WordQueries, corpus: Any) -> FewShot:
        """Learn how vectors follow from contexts and from forms.

        Parameters
        ----------
        vectors : KeyedVectors or fitted word learner
        corpus : Corpus, path, iterable of str, or iterable of lists of str
            The one they were learned from, or one like it.

        Returns
        -------
        self
        """
        for name in ("window", "min_n", "n_iter"):
            check_count(name, getattr(self, name))
        check_count("max_n", self.max_n, at_least=self.min_n)
        for name in ("ridge", "form_weight"):
            if not 0 < getattr(self, name) < np.inf:
                raise ParameterError(f"{name} must be positive; got {getattr(self, name)!r}.")
        vectors._check_fitted("vectors_")
        source = as_corpus(corpus)
        encoded = _renumbered(source, vectors)
        pairs = pair_counts(encoded, self.window, "flat", check_jobs(self.n_jobs))
        share = encoded.counts / max(1, int(encoded.counts.sum()))
        weights = (_RARE / (_RARE + share)).astype(np.float32)
        context_map = self._fit_contexts(pairs, weights, vectors.vectors_)
        self.buckets_, self.bucket_vectors_ = self._fit_forms(vectors)
        self.context_map_ = context_map
        self.weights_ = weights
        self._words = vectors
        self._source = source
        return self

    def _fit_contexts(
        self, pairs: Any, weights: NDArray[np.float32], vectors: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        sums = pairs @ weights
        seen = sums > 0
        if not seen.any():
            raise ParameterError(
                "no word that has a vector stands beside another in the corpus: bring the corpus "
                "that the vectors were learned from."
            )
        means = (pairs @ (weights[:, None] * vectors))[seen] / sums[seen][:, None]
        often = np.log1p(np.asarray(pairs.sum(axis=1)).ravel()[seen])[:, None]
        left = means.T.astype(np.float64) @ (often * means)
        right = means.T.astype(np.float64) @ (often * vectors[seen])
        left += 0.01 * self.ridge * np.trace(left) / len(left) * np.eye(len(left))
        solved: NDArray[np.float64] = np.linalg.solve(left, right)
        return solved

    def _fit_forms(self, vectors: WordQueries) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        from scipy.sparse import csr_array

        offsets, buckets = _core.word_subwords(
            vectors.index_to_key, self.min_n, self.max_n, _BUCKETS
        )
        used, places = np.unique(buckets, return_inverse=True)
        sizes = np.diff(offsets)
        shares = np.repeat(1.0 / np.maximum(sizes, 1), sizes).astype(np.float32)
        grams = csr_array((shares, places, offsets), shape=(len(sizes), len(used)))
        other = grams.T.tocsr()
        target = vectors.vectors_
        damp = np.float32(0.01 * self.ridge * (shares**2).sum() / max(1, len(used)))
        solution = np.zeros((len(used), target.shape[1]), dtype=np.float32)
        residual = other @ target
        direction = residual.copy()
        size = np.einsum("ij,ij->j", residual, residual)
        for _ in range(self.n_iter):
            product = other @ (grams @ direction) + damp * direction
            along = np.einsum("ij,ij->j", direction, product)
            step = np.divide(size, along, out=np.zeros_like(size), where=along > 0)
            solution += step * direction
            residual -= step * product
            before, size = size, np.einsum("ij,ij->j", residual, residual)
            direction *= np.divide(size, before, out=np.zeros_like(size), where=before > 0)
            direction += residual
        return used.astype(np.int32), solution

    def induce(
        self,
        word: str | None = None,
        contexts: Iterable[str | list[str]] = (),
        *,
        mode: str = "hybrid",
    ) -> NDArray[np.float32]:
        """Return a vector for one new word.

        Parameters
        ----------
        word : str, optional
            Its form; where it stands in a context, the words around it are taken.
        contexts : iterable of str or of lists of str
            Sentences. One without the word is taken whole.
        mode : {"hybrid", "context", "form"}, default="hybrid"
            "hybrid" makes do with what there is.

        Returns
        -------
        ndarray of shape (dim,), float32

        Raises
        ------
        ParameterError
            Nothing known in the contexts, or in the form, that the mode asks for.
        """
        check_choice("mode", mode, _MODES)
        if not hasattr(self, "context_map_"):
            raise NotFittedError("this FewShot has seen no words yet; call fit(vectors, corpus).")
        around = self._from_contexts(word, contexts) if mode != "form" else None
        form = self._from_form(word) if mode != "context" and word is not None else None
        if around is None and form is None:
            raise ParameterError(
                f"nothing is known of {word!r}: no word of its contexts has a vector, and none of "
                f"its n-grams was seen (mode={mode!r}). Give more contexts, or the word itself."
            )
        if around is None:
            return np.asarray(form)
        vector, n = around
        if form is None:
            return vector
        mixed = (n * vector + self.form_weight * form) / (n + self.form_weight)
        return np.asarray(mixed, dtype=np.float32)

    def extend(
        self, words: Mapping[str, Iterable[str | list[str]]], *, mode: str = "hybrid"
    ) -> KeyedVectors:
        """Return the words known and the new ones.

        Parameters
        ----------
        words : mapping of str to contexts
            As `induce` takes them.
        mode : {"hybrid", "context", "form"}, default="hybrid"

        Returns
        -------
        KeyedVectors
        """
        made = [self.induce(word, contexts, mode=mode) for word, contexts in words.items()]
        known = self._words
        return KeyedVectors([*known.index_to_key, *words], np.vstack([known.vectors_, *made]))

    def _from_contexts(
        self, word: str | None, contexts: Iterable[str | list[str]]
    ) -> tuple[NDArray[np.float32], int] | None:
        rows = self._words.key_to_index
        sums, total, n = np.zeros(self._words.vectors_.shape[1]), 0.0, 0
        for sentence in _sentences(contexts, self._source):
            places = [i for i, found in enumerate(sentence) if found == word]
            near = {
                i
                for place in places
                for i in range(max(0, place - self.window), place + self.window + 1)
            }
            chosen = [
                rows[found]
                for i, found in enumerate(sentence)
                if found != word and found in rows and (not places or i in near)
            ]
            n += bool(chosen)
            for row in chosen:
                sums += float(self.weights_[row]) * self._words.vectors_[row]
                total += float(self.weights_[row])
        if n == 0:
            return None
        return (sums / total @ self.context_map_).astype(np.float32), n

    def _from_form(self, word: str) -> NDArray[np.float32] | None:
        _, buckets = _core.word_subwords([word], self.min_n, self.max_n, _BUCKETS)
        known = np.flatnonzero(np.isin(self.buckets_, buckets))
        if len(known) == 0:
            return None
        made: NDArray[np.float32] = self.bucket_vectors_[known].mean(axis=0)
        return made


def _renumbered(source: Corpus, vectors: WordQueries) -> EncodedCorpus:
    """Return a corpus as rows of the vectors; words without one are left out."""
    found = source.encode(min_count=1)
    rows = vectors.key_to_index
    numbers = np.array([rows.get(word, -2) for word in found.words], dtype=np.int32)
    tokens = np.array(found.tokens)
    left, _ = _core.renumber(tokens, numbers, False)
    tokens = tokens[:left]
    counts = np.bincount(tokens[tokens >= 0], minlength=len(rows)).astype(np.int64)
    return EncodedCorpus(vectors.index_to_key, counts, tokens, found.n_tokens, found.n_lost)


def _sentences(contexts: Iterable[str | list[str]], like: Corpus) -> Iterable[list[str]]:
    """Cut contexts as the corpus was cut."""
    settings = {name: getattr(like, name) for name in ("lowercase", "digits", "tokenizer")}
    return Corpus(list(contexts), **settings)
