# SPDX-License-Identifier: Apache-2.0
"""Dual encoder: a text finds what belongs to it among what belongs to others.

    x = Σ (1 + log tf(g)) E[g]              g: the text's word n-grams, hashed; E: learned rows
    vector = x / |x|^p                      p = 1: cosine; less: longer texts keep some weight
    L = - mean log softmax_j(s u_i · d_j)(i),  and the same over i       of a batch of pairs

u is the query scaled to length 1, d the document's vector, s the `scale`. E begins as latent
semantic analysis has it; pairs are given, or are pieces of texts and the texts they are from, and
texts that are alike come in one batch, so that the false documents are hard to tell from the true.
"""

from __future__ import annotations

import os
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.io.container import Container, write_container
from vectorloom.learn.documents.ngrams import NgramTable, Tokens, check_buckets, encode_texts
from vectorloom.learn.documents.pairs import alike, as_pairs
from vectorloom.learn.documents.stored import (
    id_arrays,
    plain_params,
    stored_ids,
    stored_table,
    table_arrays,
)
from vectorloom.learn.documents.word_ngrams import WordCutter
from vectorloom.learn.steps import Checkpoint, Steps, held_out_split
from vectorloom.vectors import as_ids

_KIND = "learn.dual_encoder"
_SVD_TEXTS = 50_000  # at most so many begin the table
_NEIGHBOURS = 48
_SHORTEST = 6  # tokens of a text from which pieces are taken
_SVD_ITERATIONS = 3


class DualEncoder(WordCutter):
    """Learn vectors of texts for retrieval, from pairs or from the texts alone.

    Use it for search in a collection of one's own where no pretrained encoder fits, best as one leg
    of `vectorloom.index.Hybrid` beside `vectorloom.index.BM25`. Vectors are compared by ``"ip"``.
    For clusters and maps, or fewer than a thousand texts, `LatentSemantic` is simpler.

    Parameters
    ----------
    vector_size : int, default=512
        Small collections give fewer, see `LatentSemantic`.
    max_ngram : int, default=1
        Words of the longest n-gram.
    n_buckets : int, default=1048576
        Rows that n-grams are hashed to; only those that occur are kept.
    min_df : int, default=1
        Buckets in fewer texts have no row.
    stop_words : {"english"}, list of str or None, default="english"
    stem : bool, default=True
        Take off common English endings. Set False, with ``stop_words=None``, for other languages.
    epochs : int, default=6
        0 leaves the table as latent semantic analysis has it.
    batch_size : int, default=256
        Pairs, each the false answer of all others.
    group_size : int, default=8
        How many of a batch are alike; 1 mixes all, which is easier to learn and teaches less.
    learning_rate : float, default=0.1
        Of the first step, falling to 0: about how far a row moves, in mean row lengths.
    scale : float, default=10.0
        Of scores within the softmax; larger looks at the hardest false documents only.
    length_power : float, default=0.6
        p, from 0 to 1.
    residual_share : float, default=0.5
    residual_weight : float, default=0.3
        The start of the table, as in `LatentSemantic`.
    head_share : float, default=0.5
        How often a title is the query, where there are titles; otherwise it is a piece of the text.
    whole_share : float, default=0.0
        How often the document keeps the words that the query took from it.
    validation_share : float, default=0.0
        Share of the texts that are held out; their loss is measured after each epoch.
    patience : int or None, default=None
        Stop when so many epochs have not bettered the held-out loss, and keep the best.
    n_jobs : int or None, default=None
        Threads; None takes all that are allowed. The start of the table is made by one.
    random_state : int, default=0
        The same bits at any `n_jobs`, on the same machine.

    Attributes
    ----------
    vectors_ : ndarray of shape (n, dim), float32
        Of the training texts; of pairs, of the second of each.
    ids_ : ndarray of shape (n,), int64 or object
    table_ : ndarray of shape (n_rows, dim), float32
        E.
    buckets_ : ndarray of shape (n_rows,), int32
    losses_ : list of float
        L of each epoch, as it was trained.
    held_out_losses_ : list of float

    Raises
    ------
    ShapeError
        No texts, or one string where a list is meant.
    ParameterError
        Entries that are neither str nor pairs of str, nothing to pair, a parameter out of range.

    Notes
    -----
    Scores are products: index the vectors with ``metric="ip"``. A text without a known n-gram has
    the zero vector.

    Time is O(epochs * n-grams * dim) and O(epochs * n * batch_size * dim) beside that of the SVD;
    memory 4 bytes times dim a row, and as much again for neighbours of the texts.

    Differs from the paper: the table begins as latent semantic analysis and there are no layers
    above the sum, since some thousand texts cannot train them from nothing.

    Measured at the defaults, learned from the collection alone (nDCG@10). "Hybrid" adds min-max
    scores, 0.6 of BM25 and 0.4 of these vectors. The defaults were chosen on these very tasks, so
    expect a little less elsewhere:

    | collection | texts | BM25, same words | epochs=0 | DualEncoder | hybrid |
    | --- | --- | --- | --- | --- | --- |
    | scifact | 5,183 | 0.679 | 0.577 | 0.623 | 0.693 |
    | nfcorpus | 3,633 | 0.328 | 0.327 | 0.329 | 0.342 |
    | npl | 11,429 | 0.426 | 0.364 | 0.404 | 0.444 |
    | cranfield | 1,400 | 0.520 | 0.552 | 0.558 | 0.550 |

    So words that match are still best where the question names what it wants (scifact, npl), and
    the two together are better than either on all but cranfield, where the vectors alone are.

    References
    ----------
    .. [1] Henderson, Al-Rfou, Strope, Sung, Lukacs, Guo, Kumar, Miklos, Kurzweil. Efficient Natural
           Language Response Suggestion for Smart Reply. 2017. arXiv:1705.00652
    .. [2] Lee, Chang, Toutanova. Latent Retrieval for Weakly Supervised Open Domain Question
           Answering. ACL 2019. arXiv:1906.00300

    Examples
    --------
    >>> texts = ["sort a list in place", "sorted returns a new list", "open a file for reading"]
    >>> model = DualEncoder(vector_size=8, epochs=2).fit(texts)
    >>> scores = model.transform(["how do I sort lists?"]) @ model.vectors_.T
    >>> int(scores.argmax())
    0
    """

    _KIND = _KIND

    vectors_: NDArray[np.float32]
    ids_: NDArray[Any]
    table_: NDArray[np.float32]
    buckets_: NDArray[np.int32]

    def __init__(
        self,
        vector_size: int = 512,
        *,
        max_ngram: int = 1,
        n_buckets: int = 1 << 20,
        min_df: int = 1,
        stop_words: Any = "english",
        stem: bool = True,
        epochs: int = 6,
        batch_size: int = 256,
        group_size: int = 8,
        learning_rate: float = 0.1,
        scale: float = 10.0,
        length_power: float = 0.6,
        residual_share: float = 0.5,
        residual_weight: float = 0.3,
        head_share: float = 0.5,
        whole_share: float = 0.0,
        validation_share: float = 0.0,
        patience: int | None = None,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.vector_size = vector_size
        self.max_ngram = max_ngram
        self.n_buckets = n_buckets
        self.min_df = min_df
        self.stop_words = stop_words
        self.stem = stem
        self.epochs = epochs
        self.batch_size = batch_size
        self.group_size = group_size
        self.learning_rate = learning_rate
        self.scale = scale
        self.length_power = length_power
        self.residual_share = residual_share
        self.residual_weight = residual_weight
        self.head_share = head_share
        self.whole_share = whole_share
        self.validation_share = validation_share
        self.patience = patience
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self,
        texts: Any,
        ids: Any = None,
        y: Any = None,
        *,
        titles: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        checkpoint_every: float = 300.0,
    ) -> DualEncoder:
        """Learn from texts, from texts with titles, or from pairs.

        Parameters
        ----------
        texts : iterable of str, or of pairs of str
            Of a pair, the first is to find the second: question and answer, mail and reply.
        ids : array-like of shape (n,), optional
            int64 or str, unique; 0, 1, … when omitted.
        y : ignored
            Pipelines pass it.
        titles : iterable of n str, optional
            Of the texts, where those are str; "" where there is none. A text's vector is that of
            its title and itself.
        checkpoint : path-like, optional
            File that the state of the training is written to.
        resume : bool, default=False
            Go on from `checkpoint`; other settings or other texts are refused.
        checkpoint_every : float, default=300.0
            Seconds.

        Returns
        -------
        self
        """
        self._check()
        Checkpoint(checkpoint, resume, checkpoint_every).check()
        heads, bodies, are_pairs = as_pairs(texts, titles)
        found_ids = as_ids(ids, len(bodies))
        tokens, head_ends = self._joined(heads, bodies)
        own = self._tokens(bodies) if are_pairs else tokens
        items = self._items(tokens, head_ends, are_pairs)
        self._table, df = NgramTable.of(
            tokens, range(1, self.max_ngram + 1), self.n_buckets, self.min_df
        )
        if not len(self._table):
            raise ParameterError(
                f"no n-gram is in at least {self.min_df} of {len(bodies)} texts; lower min_df."
            )
        self.table_ = self._start(own, df)
        self.buckets_ = self._table.buckets
        self.losses_: list[float] = []
        self.held_out_losses_: list[float] = []
        if self.epochs and len(items) > 1:
            state = Checkpoint(checkpoint, resume, checkpoint_every)
            self._train(tokens, head_ends, items, own, are_pairs, state)
        self.vectors_ = self._encode(own)
        self.ids_ = found_ids
        return self

    def fit_transform(self, texts: Any, y: Any = None, **options: Any) -> NDArray[np.float32]:
        """Learn from `texts` and return their vectors; the same as ``fit(texts).vectors_``."""
        return self.fit(texts, **options).vectors_

    def transform(self, texts: Any) -> NDArray[np.float32]:
        """Return vectors of any texts, unseen ones included.

        Parameters
        ----------
        texts : iterable of str

        Returns
        -------
        ndarray of shape (n, dim), float32
            Zero where a text has no known n-gram.
        """
        self._check_fitted("table_")
        return self._encode(self._cut(texts))

    def _check(self) -> None:
        self._check_cutting()
        for name in ("vector_size", "max_ngram", "min_df", "batch_size", "group_size"):
            check_count(name, getattr(self, name))
        check_count("epochs", self.epochs, at_least=0)
        check_count("random_state", self.random_state, at_least=0)
        check_buckets(self.n_buckets)
        check_jobs(self.n_jobs)
        if self.patience is not None:
            check_count("patience", self.patience)
            if not self.validation_share:
                raise ParameterError("patience needs texts held out: set validation_share=0.05.")
        for name in ("length_power", "residual_share", "head_share", "whole_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ParameterError(f"{name} must be from 0 to 1; got {getattr(self, name)!r}.")
        for name in ("learning_rate", "scale", "residual_weight"):
            if not 0 < getattr(self, name) < np.inf:
                raise ParameterError(f"{name} must be positive; got {getattr(self, name)!r}.")
        held_out_split(2, self.validation_share, 0)

    def _joined(self, heads: list[str], bodies: list[str]) -> tuple[Tokens, NDArray[np.int64]]:
        """Cut head and body of each text; return them as one, and where the heads end."""
        cut_heads = self._words(heads)
        cut = [head + body for head, body in zip(cut_heads, self._words(bodies), strict=True)]
        tokens = self._hashed(cut)
        lengths = np.fromiter(map(len, cut_heads), dtype=np.int64, count=len(cut))
        return tokens, tokens.offsets[:-1] + lengths

    def _items(
        self, tokens: Tokens, head_ends: NDArray[np.int64], are_pairs: bool
    ) -> NDArray[np.int64]:
        """Return the texts that can be trained with."""
        if len(tokens.values) == 0:
            raise ParameterError(
                f"no word is left of {len(tokens)} texts. Are they empty or all stop words? Pass "
                "stop_words=None."
            )
        if not are_pairs:
            return np.flatnonzero(np.diff(tokens.offsets) >= _SHORTEST)
        whole = (head_ends > tokens.offsets[:-1]) & (tokens.offsets[1:] > head_ends)
        if not whole.any():
            raise ParameterError("no pair has words on both sides; there is nothing to learn.")
        return np.flatnonzero(whole)

    def _start(self, tokens: Tokens, df: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the table of latent semantic analysis, texts of mean length 1."""
        from scipy.sparse import csr_matrix

        from vectorloom.learn.latent_semantic import semantic_directions

        rows = self._table.rows(tokens)
        lengths = np.diff(tokens.offsets) * rows.shape[1]
        n, n_rows = len(tokens), len(self._table)
        texts = np.repeat(np.arange(n), lengths)[rows.ravel() >= 0]
        columns = rows.ravel()[rows.ravel() >= 0]
        ones = np.ones(len(columns), dtype=np.float32)
        weights = csr_matrix((ones, (texts, columns)), shape=(n, n_rows))
        idf = (1 + np.log((1 + n) / (1 + df))).astype(np.float32)
        weights.data = (1 + np.log(weights.data)) * idf[weights.indices]
        if n > _SVD_TEXTS:
            chosen = np.random.default_rng(self.random_state).choice(n, _SVD_TEXTS, replace=False)
            weights = weights[np.sort(chosen)]
        sizes = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
        weights = weights[sizes > 0]
        weights.data /= np.repeat(sizes[sizes > 0], np.diff(weights.indptr))
        seeds = np.random.SeedSequence(self.random_state).generate_state(2).tolist()
        components, _ = semantic_directions(
            weights.astype(np.float32),
            self.vector_size,
            residual_share=self.residual_share,
            residual_weight=self.residual_weight,
            n_iter=_SVD_ITERATIONS,
            seeds=(seeds[0], seeds[1]),
        )
        table = np.ascontiguousarray(components.T) * idf[:, None]
        vectors = encode_texts(
            self._table, table, tokens, mean=False, power=0.0, n_jobs=self.n_jobs
        )
        mean = float(np.linalg.norm(vectors.astype(np.float64), axis=1).mean())
        table /= np.float32(mean if mean > 0 else 1.0)
        return table

    def _train(
        self,
        tokens: Tokens,
        head_ends: NDArray[np.int64],
        items: NDArray[np.int64],
        own: Tokens,
        are_pairs: bool,
        checkpoint: Checkpoint,
    ) -> None:
        train, held_out = held_out_split(len(items), self.validation_share, self.random_state)
        trained = items[train]
        squares = np.zeros(len(self.table_), dtype=np.float32)
        row_length = float(np.sqrt(np.square(self.table_, dtype=np.float64).sum(axis=1).mean()))
        rows = self._table.rows(tokens)
        trainer = _core.DualTrainer(
            _core.Ngrams(rows, tokens.offsets, self._table.sizes),
            head_ends,
            trained,
            alike(self._encode(own)[trained], _NEIGHBOURS, self.random_state, self.n_jobs),
            self.table_,
            squares,
            batch=self.batch_size,
            group=self.group_size,
            epochs=self.epochs,
            rate=self.learning_rate * row_length,
            scale=float(self.scale),
            power=float(self.length_power),
            head_share=1.0 if are_pairs else min(float(self.head_share), 1 - 1e-9),
            whole_share=0.0 if are_pairs else float(self.whole_share),
            shortest=4,
            longest=16,
            seed=self.random_state,
        )

        def loss() -> float:
            total, n = trainer.evaluate(items[held_out], self.n_jobs)
            return float(total / n)

        settings = plain_params(self, but=("n_jobs",))
        settings["texts"] = zlib.crc32(np.ascontiguousarray(rows).view(np.uint8).data)
        settings["heads"] = zlib.crc32(head_ends.view(np.uint8).data)
        steps = Steps(
            trainer,
            {"table": self.table_, "squares": squares},
            settings,
            self.epochs,
            "learning texts",
            n_jobs=self.n_jobs,
            held_out=loss if len(held_out) else None,
            patience=self.patience,
        )
        steps.run(checkpoint)
        self.losses_, self.held_out_losses_ = steps.losses, steps.held_out_losses

    def _encode(self, tokens: Tokens) -> NDArray[np.float32]:
        return encode_texts(
            self._table,
            self.table_,
            tokens,
            mean=False,
            power=float(self.length_power),
            n_jobs=check_jobs(self.n_jobs),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted encoder, its vectors and ids to one file; `vectorloom.open` maps it.

        Parameters
        ----------
        path : path-like
            Replaced in one step if it exists.

        Raises
        ------
        NotFittedError
            Nothing to save yet.
        """
        self._check_fitted("table_")
        meta = {
            "params": plain_params(self),
            "n": len(self.vectors_),
            "losses": self.losses_,
            "held_out_losses": self.held_out_losses_,
        }
        arrays = {
            **table_arrays(self._table, self.table_),
            **id_arrays(self.ids_),
            "vectors": self.vectors_,
        }
        write_container(path, _KIND, meta, arrays)


def load_container(container: Container) -> DualEncoder:
    """Make the encoder of a native file; its table and vectors stay mapped."""
    model = DualEncoder(**container.meta["params"])
    model._check()
    sizes = range(1, model.max_ngram + 1)
    model._table, model.table_ = stored_table(container, sizes, model.n_buckets)
    model.buckets_ = model._table.buckets
    n = container.meta["n"]
    model.vectors_ = container.array("vectors", "<f4", (n, model.table_.shape[1]))
    model.ids_ = stored_ids(container, n)
    model.losses_ = list(container.meta["losses"])
    model.held_out_losses_ = list(container.meta["held_out_losses"])
    return model
