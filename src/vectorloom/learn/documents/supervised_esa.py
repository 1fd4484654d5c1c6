# SPDX-License-Identifier: Apache-2.0
"""Supervised explicit semantic analysis: vectors whose dimensions are concepts with names.

    x_c = Σ (1 + log tf(g)) E[g, c]           g: the text's word n-grams, hashed; c: a concept
    vector = x / |x|
    L = - mean log softmax_j(s u_i · d_j)(i), and the same over i        of a batch of pairs

E begins as explicit semantic analysis has it: E[g, c] = idf(g) times the TF-IDF of g in the text
that describes c, that text scaled to length 1. Pairs of texts that belong together then move E.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.io.container import Container, write_container
from vectorloom.io.strings import pack_strings, unpack_strings
from vectorloom.learn.documents.ngrams import (
    NgramTable,
    Tokens,
    check_buckets,
    encode_texts,
    offsets_of,
)
from vectorloom.learn.documents.stored import (
    id_arrays,
    plain_params,
    stored_ids,
    stored_table,
    table_arrays,
)
from vectorloom.learn.documents.word_ngrams import WordCutter
from vectorloom.learn.steps import Checkpoint, Steps
from vectorloom.vectors import as_ids

_KIND = "learn.supervised_esa"


class SupervisedESA(WordCutter):
    """Learn vectors over named concepts, so that a match can be explained.

    Use it where an answer must be justified: skills of a job and a person, codes of a diagnosis.
    Without the need to explain, `DualEncoder` finds more with the same pairs.

    Parameters
    ----------
    concepts : mapping of str to str, or iterable of str
        Name of each concept and a text about it; names alone describe themselves. At most a few
        thousand, since E has one column each.
    max_ngram : int, default=1
        Words of the longest n-gram.
    n_buckets : int, default=1048576
        Rows that n-grams are hashed to; only those that occur are kept.
    stop_words : {"english"}, list of str or None, default="english"
    stem : bool, default=True
        Take off common English endings.
    epochs : int, default=5
        Over the pairs.
    batch_size : int, default=128
        Pairs, each the false answer of all others.
    learning_rate : float, default=0.1
        Of the first step, falling to 0: about how far a row moves, in mean row lengths.
    scale : float, default=10.0
        Of scores within the softmax.
    n_jobs : int or None, default=None
        Threads; None takes all that are allowed.
    random_state : int, default=0
        The same bits at any `n_jobs`, on the same machine.

    Attributes
    ----------
    vectors_ : ndarray of shape (n, n_concepts), float32
        Of the texts: unit length, or zero where no word of a text says anything of a concept.
    ids_ : ndarray of shape (n,), int64 or object
    concepts_ : ndarray of shape (n_concepts,), object
        Names, in the order of the dimensions.
    table_ : ndarray of shape (n_rows, n_concepts), float32
        E. Negative entries, which only training makes, speak against a concept.
    losses_ : list of float

    Raises
    ------
    ShapeError
        No texts, or one string where a list is meant; pairs of another shape.
    ParameterError
        Concepts that are no names, fewer than two, or without a word; pairs of texts that are not
        there.

    Notes
    -----
    A text without a word of any concept has the zero vector and teaches nothing; a word
    that no concept has learns from the words beside it.

    Time O(epochs * n-grams * n_concepts), memory 4 bytes * n_concepts a row.

    Differs from the paper: n-grams in place of recurrent networks, and all other pairs of the batch
    as false ones in place of given labels.

    References
    ----------
    .. [1] Bogdanova, Yazdani. SESA: Supervised Explicit Semantic Analysis. 2017. arXiv:1708.03246
    .. [2] Gabrilovich, Markovitch. Computing Semantic Relatedness Using Wikipedia-based Explicit
           Semantic Analysis. IJCAI 2007.

    Examples
    --------
    >>> concepts = {"cooking": "bake boil an oven pan", "sailing": "boat sea wind sail"}
    >>> texts = ["a boat on the sea", "bread in the oven", "strong wind", "a hot pan"]
    >>> model = SupervisedESA(concepts).fit(texts)
    >>> model.top_concepts(["the wind at sea"], k=1)
    [[('sailing', 1.0)]]
    """

    _KIND = _KIND

    vectors_: NDArray[np.float32]
    ids_: NDArray[Any]
    concepts_: NDArray[Any]
    table_: NDArray[np.float32]

    def __init__(
        self,
        concepts: Any,
        *,
        max_ngram: int = 1,
        n_buckets: int = 1 << 20,
        stop_words: Any = "english",
        stem: bool = True,
        epochs: int = 5,
        batch_size: int = 128,
        learning_rate: float = 0.1,
        scale: float = 10.0,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.concepts = concepts
        self.max_ngram = max_ngram
        self.n_buckets = n_buckets
        self.stop_words = stop_words
        self.stem = stem
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.scale = scale
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, texts: Any, pairs: Any = None, ids: Any = None) -> SupervisedESA:
        """Learn from texts and, if given, from which of them belong together.

        Parameters
        ----------
        texts : iterable of str
        pairs : array-like of shape (n_pairs, 2), int, optional
            Positions of texts; None is plain explicit semantic analysis.
        ids : array-like of shape (n,), optional
            int64 or str, unique; 0, 1, … when omitted.

        Returns
        -------
        self
        """
        self._check()
        names, descriptions = _concepts(self.concepts)
        described = self._tokens(descriptions)
        for name, length in zip(names, np.diff(described.offsets), strict=True):
            if length == 0:
                raise ParameterError(
                    f"the concept {name!r} has no word in its text; describe it, or drop it."
                )
        tokens = self._cut(texts)
        found_pairs = _pairs(pairs, len(tokens))
        found_ids = as_ids(ids, len(tokens))
        self._table, df = NgramTable.of(
            _together(tokens, described), range(1, self.max_ngram + 1), self.n_buckets, 1
        )
        self.table_ = self._start(described, df, len(tokens) + len(described))
        self.losses_: list[float] = []
        if self.epochs and len(found_pairs):
            self._train(tokens, found_pairs)
        self.concepts_ = np.empty(len(names), dtype=object)
        self.concepts_[:] = names
        self._descriptions = descriptions
        self.vectors_ = self._encode(tokens)
        self.ids_ = found_ids
        return self

    def transform(self, texts: Any) -> NDArray[np.float32]:
        """Return vectors of any texts, unseen ones included.

        Parameters
        ----------
        texts : iterable of str

        Returns
        -------
        ndarray of shape (n, n_concepts), float32
            Unit length; zero where no word of a text says anything of a concept.
        """
        self._check_fitted("vectors_")
        return self._encode(self._cut(texts))

    def top_concepts(self, texts: Any, k: int = 5) -> list[list[tuple[str, float]]]:
        """Return the strongest concepts of each text.

        Parameters
        ----------
        texts : iterable of str
        k : int, default=5

        Returns
        -------
        list of lists of (str, float)
            Name and value, strongest first; values of 0 and below are left out.
        """
        vectors = self.transform(texts)
        return [self._named(vector, check_count("k", k)) for vector in vectors]

    def explain(self, text: str, other: str, k: int = 5) -> list[tuple[str, float]]:
        """Return the concepts that make two texts alike.

        Parameters
        ----------
        text, other : str
        k : int, default=5

        Returns
        -------
        list of (str, float)
            Name and share of the cosine, largest first; over all concepts they add up to it.
        """
        left, right = self.transform([text, other])
        return self._named(left * right, check_count("k", k))

    def _named(self, values: NDArray[np.float32], k: int) -> list[tuple[str, float]]:
        order = np.argsort(-values, kind="stable")[:k]
        return [(self.concepts_[c], float(values[c])) for c in order if values[c] > 0]

    def _check(self) -> None:
        self._check_cutting()
        for name in ("max_ngram", "batch_size"):
            check_count(name, getattr(self, name))
        for name in ("epochs", "random_state"):
            check_count(name, getattr(self, name), at_least=0)
        check_buckets(self.n_buckets)
        check_jobs(self.n_jobs)
        for name in ("learning_rate", "scale"):
            if not 0 < getattr(self, name) < np.inf:
                raise ParameterError(f"{name} must be positive; got {getattr(self, name)!r}.")

    def _start(self, described: Tokens, df: NDArray[np.int64], n: int) -> NDArray[np.float32]:
        """Return the table of explicit semantic analysis."""
        idf = (1 + np.log((1 + n) / (1 + df))).astype(np.float32)
        table = np.zeros((len(self._table), len(described)), dtype=np.float32)
        rows = self._table.rows(described)
        for concept in range(len(described)):
            own = rows[described.offsets[concept] : described.offsets[concept + 1]].ravel()
            places, times = np.unique(own[own >= 0], return_counts=True)
            weights = (1 + np.log(times.astype(np.float32))) * idf[places]
            table[places, concept] = weights / np.linalg.norm(weights)
        table *= idf[:, None]
        return table

    def _train(self, tokens: Tokens, pairs: NDArray[np.int64]) -> None:
        left, right = pairs.T
        joined = _side_by_side(tokens, left, right)
        head_ends = joined.offsets[:-1] + np.diff(tokens.offsets)[left]
        whole = (head_ends > joined.offsets[:-1]) & (joined.offsets[1:] > head_ends)
        items = np.flatnonzero(whole)
        if len(items) < 2:
            raise ParameterError(
                f"{len(items)} of {len(pairs)} pairs have words on both sides; two are the least "
                "that can be learned from."
            )
        squares = np.zeros(len(self.table_), dtype=np.float32)
        sums = np.square(self.table_, dtype=np.float64).sum(axis=1)
        row_length = float(np.sqrt(sums[sums > 0].mean()))
        trainer = _core.DualTrainer(
            self._table.ngrams(joined),
            head_ends,
            items,
            np.empty((len(items), 0), dtype=np.int32),
            self.table_,
            squares,
            batch=self.batch_size,
            group=1,
            epochs=self.epochs,
            rate=float(self.learning_rate) * row_length,
            scale=float(self.scale),
            power=1.0,
            head_share=1.0,
            whole_share=0.0,
            shortest=1,
            longest=1,
            seed=self.random_state,
        )
        arrays = {"table": self.table_, "squares": squares}
        steps = Steps(
            trainer, arrays, {}, self.epochs, "learning concepts", n_jobs=check_jobs(self.n_jobs)
        )
        steps.run(Checkpoint())
        self.losses_ = steps.losses

    def _encode(self, tokens: Tokens) -> NDArray[np.float32]:
        return encode_texts(
            self._table, self.table_, tokens, mean=False, power=1.0, n_jobs=check_jobs(self.n_jobs)
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted learner, its vectors and ids to one file; `vectorloom.open` maps it.

        Parameters
        ----------
        path : path-like
            Replaced in one step if it exists.

        Raises
        ------
        NotFittedError
            Nothing to save yet.
        """
        self._check_fitted("vectors_")
        names, name_offsets = pack_strings(self.concepts_.tolist())
        descriptions, description_offsets = pack_strings(self._descriptions)
        params = self.get_params(deep=False)
        del params["concepts"]
        meta = {
            "params": plain_params(type(self)(None, **params), but=("concepts",)),
            "n": len(self.vectors_),
            "n_concepts": len(self.concepts_),
            "losses": self.losses_,
        }
        arrays = {
            **table_arrays(self._table, self.table_),
            **id_arrays(self.ids_),
            "vectors": self.vectors_,
            "names": names,
            "name_offsets": name_offsets,
            "descriptions": descriptions,
            "description_offsets": description_offsets,
        }
        write_container(path, _KIND, meta, arrays)


def _concepts(concepts: Any) -> tuple[list[str], list[str]]:
    """Return names and descriptions, or refuse them."""
    if isinstance(concepts, (str, bytes)) or concepts is None:
        raise ParameterError("concepts must be a mapping of names to texts, or a list of names.")
    named = concepts if isinstance(concepts, Mapping) else {name: name for name in concepts}
    names, texts = list(named), list(named.values())
    if not all(isinstance(value, str) for value in (*names, *texts)):
        raise ParameterError("concepts must have names and texts of type str.")
    if len(names) < 2:
        raise ParameterError(f"at least two concepts are needed; got {len(names)}.")
    return names, texts


def _pairs(pairs: Any, n: int) -> NDArray[np.int64]:
    if pairs is None:
        return np.empty((0, 2), dtype=np.int64)
    found = np.asarray(pairs)
    if found.ndim != 2 or found.shape[1] != 2:
        raise ShapeError(f"pairs must have shape (n_pairs, 2); got {found.shape}.")
    if found.dtype.kind not in "iu":
        raise ParameterError(f"pairs must be positions of texts, int; got {found.dtype}.")
    if len(found) and not (found.min() >= 0 and found.max() < n):
        raise ParameterError(
            f"pairs must be positions from 0 to {n - 1}; got {found.min()} to {found.max()}."
        )
    return found.astype(np.int64)


def _together(first: Tokens, second: Tokens) -> Tokens:
    values = np.concatenate([first.values, second.values])
    offsets = np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]])
    return Tokens(values, offsets)


def _side_by_side(tokens: Tokens, left: NDArray[np.int64], right: NDArray[np.int64]) -> Tokens:
    """Return one text a pair: the tokens of its left text, then those of its right one."""
    pieces = [
        tokens.values[tokens.offsets[text] : tokens.offsets[text + 1]]
        for pair in zip(left.tolist(), right.tolist(), strict=True)
        for text in pair
    ]
    lengths = np.diff(tokens.offsets)[left] + np.diff(tokens.offsets)[right]
    return Tokens(np.concatenate(pieces), offsets_of(lengths.tolist(), len(left)))


def load_container(container: Container) -> SupervisedESA:
    """Make the learner of a native file; its table and vectors stay mapped."""
    meta, where = container.meta, str(container.path)
    n_concepts = meta["n_concepts"]
    name_offsets = container.array("name_offsets", "<i8", (n_concepts + 1,))
    names = unpack_strings(container.array("names", "|u1", (None,)), name_offsets, where=where)
    text_offsets = container.array("description_offsets", "<i8", (n_concepts + 1,))
    texts = container.array("descriptions", "|u1", (None,))
    descriptions = unpack_strings(texts, text_offsets, where=where).tolist()
    concepts = dict(zip(names.tolist(), descriptions, strict=True))
    model = SupervisedESA(concepts, **meta["params"])
    model._check()
    sizes = range(1, model.max_ngram + 1)
    model._table, model.table_ = stored_table(container, sizes, model.n_buckets)
    model.vectors_ = container.array("vectors", "<f4", (meta["n"], n_concepts))
    model.ids_ = stored_ids(container, meta["n"])
    model.concepts_ = names
    model._descriptions = descriptions
    model.losses_ = list(meta["losses"])
    return model
