# SPDX-License-Identifier: Apache-2.0
"""Expansion encoder: sparse vectors of texts, of the terms that they have and of those that suit.

    h = Σ (1 + log tf_i) E_i,   x = h / |h|^p           i: the terms of a text; E, O, b: learned
    w_j = log(1 + relu(x · O_j + b_j + e^{a_j} - 1))    a_j = e^{g_j} tf_j / (tf_j + K), as BM25
    score = Σ_j idf_j tf_j(query) w_j(text)
    L = contrast of pairs (or margins of a teacher) + λ Σ_j (mean over texts of w_j)²

Without E, O, b and g (all zero) the score is exactly that of BM25; training begins with E, O and b
of latent semantic analysis. λ says how many terms a text may have.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError
from vectorloom.estimator import check_count
from vectorloom.io.container import Container, write_container
from vectorloom.io.strings import pack_strings, unpack_strings
from vectorloom.learn.documents.expansion_batches import (
    SHORTEST,
    Batches,
    Judged,
    Pieces,
    as_asked,
    counts_of,
    fingerprint,
)
from vectorloom.learn.documents.expansion_head import Head, OwnWeights, weigh
from vectorloom.learn.documents.expansion_start import (
    Vocabulary,
    check_settings,
    first_head,
    learn_vocabulary,
    open_queries,
)
from vectorloom.learn.documents.expansion_training import ExpansionTrainer, Schedule
from vectorloom.learn.documents.ngrams import Tokens
from vectorloom.learn.documents.pairs import alike, as_pairs
from vectorloom.learn.documents.stored import id_arrays, plain_params, stored_ids
from vectorloom.learn.documents.word_ngrams import WordCutter
from vectorloom.learn.steps import Checkpoint, Steps, held_out_split
from vectorloom.learn.texts import as_texts
from vectorloom.vectors import as_ids

_KIND = "learn.expansion_encoder"
_NEIGHBOURS = 24  # texts that a batch may hold beside one
_LOOKED_AT = 256  # queries from which their bias is set


class ExpansionEncoder(WordCutter):
    """Learn sparse vectors of texts over their vocabulary, expanded by terms that suit them.

    Use it in place of `vectorloom.index.BM25` where questions and texts name things differently and
    no pretrained encoder fits: the vectors go into `vectorloom.index.Inverted`, alone or as a leg
    of `vectorloom.index.Hybrid`. It differs from `vectorloom.index.expand`, which moves dense
    queries. Weights of a pretrained SPLADE model go into `Inverted` as they are.

    Parameters
    ----------
    vector_size : int, default=256
        Dimensions of x. Small collections give fewer.
    n_expansions : int, default=1000
        Learned terms that a text weighs before training, in the mean. The penalty of the training
        takes most of them away again; 0 begins as BM25.
    strength : float, default=0.4
        What the strongest expansions weigh before training: the logit, less the bias, of the
        hundredth strongest term of a text. A term that a text has weighs at most 1.
    min_df : int, default=1
        Terms in fewer texts match themselves only. 2 halves time and memory and finds a little
        less.
    max_learned : int, default=50_000
        So many of the most frequent terms are expanded and expanded to, the rest as those.
    stop_words : {"english"}, list of str or None, default="english"
    stem : bool, default=True
        Take off common English endings. Set False, with ``stop_words=None``, for other languages.
    k1 : float, default=1.2
    b : float, default=0.75
        Of own weights, as in BM25.
    length_power : float, default=0.7
        p, from 0 to 1.
    epochs : int, default=3
        Over the texts or the pairs; 0 leaves all as latent semantic analysis has it.
    batch_size : int, default=128
        Texts, each the false answer of all others.
    group_size : int, default=8
        How many of a batch are alike, where pairs are made; 1 mixes all.
    learning_rate : float, default=0.05
        Of the first step, falling to 0: about how far a row moves, in mean row lengths. With few
        pairs, more of it learns their texts by heart and forgets the others.
    temperature : float, default=5.0
        T, in units of BM25 scores.
    flops : float, default=0.03
        λ. More makes vectors sparser; 0 leaves them as dense as they like. A teacher's scores want
        a tenth of it.
    head_share : float, default=0.3
        How often a title is the query, where there are titles; otherwise it is a piece of the text.
    expand_queries : bool, default=False
        False: queries are their own words times idf, so that asking costs nothing (document-only
        mode). True: queries are expanded by the same E and O, with a bias of their own.
    query_expansions : int, default=20
        Terms that a query is expanded by before training, where it is.
    validation_share : float, default=0.0
        Share of texts, pairs or judged queries held out; their loss is measured after each epoch.
    patience : int or None, default=None
        Stop when so many epochs have not bettered the held-out loss, and keep the best.
    n_jobs : int or None, default=None
        Threads that weigh texts; None takes all that are allowed. Training runs on one.
    random_state : int, default=0
        The same bits at any `n_jobs`, on the same machine.

    Attributes
    ----------
    vectors_ : csr_matrix of shape (n, n_terms), float32
        Of the training texts.
    ids_ : ndarray of shape (n,), int64 or object
    terms_ : ndarray of shape (n_terms,), object
        Names of the columns, the most frequent first.
    idf_ : ndarray of shape (n_terms,), float32
    n_learned_ : int
        So many of the columns are expanded to.
    losses_ : list of float
        Of ranking, without the penalty, for each epoch as it was trained.
    held_out_losses_ : list of float

    Raises
    ------
    ShapeError
        No texts, or one string where a list is meant; pairs or scores of another shape.
    ParameterError
        Entries that are no str, no word left, pairs of what is not there, scores that are NaN, a
        parameter out of range.

    Notes
    -----
    A text without a known term has an empty row and is never found.

    Time to weigh a text is O(n_learned * vector_size), about 80 µs for 5,500 terms on one core;
    a step of training O(batch_size * columns * vector_size) for the columns that the queries of the
    batch have and 1,000 others. Memory: 8 bytes times vector_size a learned term.

    Measured at the defaults, learned from the collection alone (nDCG@10). Defaults were chosen on
    the test queries of the first four, but not on those of the last two:

    | collection | texts | BM25, same words | ExpansionEncoder | terms a text |
    | --- | --- | --- | --- | --- |
    | scifact | 5,183 | 0.679 | 0.717 | 811 |
    | nfcorpus | 3,633 | 0.328 | 0.358 | 769 |
    | npl | 11,429 | 0.426 | 0.450 | 716 |
    | cranfield | 1,400 | 0.520 | 0.557 | 398 |
    | med | 1,033 | 0.690 | 0.716 | 657 |
    | cisi | 1,460 | 0.422 | 0.434 | 532 |

    Differs from the papers: no transformer reads the text. x is a sum over its terms, so that order
    is lost, and the maximum over positions with it; own weights bypass it and begin as BM25's.

    References
    ----------
    .. [1] Formal, Piwowarski, Clinchant. SPLADE: Sparse Lexical and Expansion Model for First Stage
           Ranking. SIGIR 2021. arXiv:2107.05720
    .. [2] Formal, Lassance, Piwowarski, Clinchant. SPLADE v2. 2021. arXiv:2109.10086
    .. [3] Paria, Yeh, Yen, Xu, Ravikumar, Póczos. Minimizing FLOPs to Learn Efficient Sparse
           Representations. ICLR 2020. arXiv:2004.05665
    .. [4] Hofstätter, Althammer, Schröder, Sertkan, Hanbury. Improving Efficient Neural Ranking
           Models with Cross-Architecture Knowledge Distillation. 2020. arXiv:2010.02666

    Examples
    --------
    >>> import vectorloom as vl
    >>> texts = ["a boat on the sea", "the ship left for the sea", "a ship and a boat", "an oven"]
    >>> model = vl.learn.ExpansionEncoder(2, n_expansions=3).fit(texts, ids=list("abcd"))
    >>> index = vl.index.Inverted().fit(model.vectors_, model.ids_)
    >>> index.search(model.transform_queries(["boat"]), k=3).ids.tolist()
    [['a', 'c', 'b']]
    """

    _KIND = _KIND

    vectors_: Any
    ids_: NDArray[Any]
    terms_: NDArray[Any]
    idf_: NDArray[np.float32]
    n_learned_: int

    def __init__(
        self,
        vector_size: int = 256,
        *,
        n_expansions: int = 1000,
        strength: float = 0.4,
        min_df: int = 1,
        max_learned: int = 50_000,
        stop_words: Any = "english",
        stem: bool = True,
        k1: float = 1.2,
        b: float = 0.75,
        length_power: float = 0.7,
        epochs: int = 3,
        batch_size: int = 128,
        group_size: int = 8,
        learning_rate: float = 0.05,
        temperature: float = 5.0,
        flops: float = 0.03,
        head_share: float = 0.3,
        expand_queries: bool = False,
        query_expansions: int = 20,
        validation_share: float = 0.0,
        patience: int | None = None,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.vector_size = vector_size
        self.n_expansions = n_expansions
        self.strength = strength
        self.min_df = min_df
        self.max_learned = max_learned
        self.stop_words = stop_words
        self.stem = stem
        self.k1 = k1
        self.b = b
        self.length_power = length_power
        self.epochs = epochs
        self.batch_size = batch_size
        self.group_size = group_size
        self.learning_rate = learning_rate
        self.temperature = temperature
        self.flops = flops
        self.head_share = head_share
        self.expand_queries = expand_queries
        self.query_expansions = query_expansions
        self.validation_share = validation_share
        self.patience = patience
        self.n_jobs = n_jobs
        self.random_state = random_state

    # ---- learning ------------------------------------------------------------------------------

    def fit(
        self,
        texts: Any,
        ids: Any = None,
        y: Any = None,
        *,
        titles: Any = None,
        queries: Any = None,
        pairs: Any = None,
        scores: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        checkpoint_every: float = 300.0,
    ) -> ExpansionEncoder:
        """Learn from texts alone, from pairs, or from the scores of a teacher.

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
        queries : iterable of str, optional
            With `pairs`: questions that are to find some of the texts.
        pairs : array-like of shape (n_pairs, 2), int, optional
            Position of a query and of a text. Without `scores`, of texts that answer.
        scores : array-like of shape (n_pairs,), optional
            How well the text of a pair suits its query, by any scorer (another index, a cross
            encoder, people): the differences between the texts of a query are learned. They may
            have any unit; they are scaled to begin at the size of our own.
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
        self._check_cutting()
        check_settings(self)
        Checkpoint(checkpoint, resume, checkpoint_every).check()
        heads, bodies, are_pairs = as_pairs(texts, titles)
        found_ids = as_ids(ids, len(bodies))
        asked = as_asked(heads if are_pairs else None, queries, pairs, scores, len(bodies))
        cut_heads = [[]] * len(bodies) if are_pairs else self._words(heads)
        words = [h + b for h, b in zip(cut_heads, self._words(bodies), strict=True)]
        self._vocabulary, df = learn_vocabulary(words)
        tokens = self._vocabulary.numbers(words)
        counts = counts_of(tokens, len(self._vocabulary))
        self._take_start(counts, df)
        ends = tokens.offsets[:-1] + np.array([len(head) for head in cut_heads], dtype=np.int64)
        batches: Batches = self._pieces(tokens, ends)
        if asked is not None:
            batches = asked.batches(self._tokens_of(asked.queries), tokens)
        self._open_queries(batches, counts)
        self.losses_: list[float] = []
        self.held_out_losses_: list[float] = []
        if self.epochs and batches.n >= (1 if isinstance(batches, Judged) else 2):
            state = Checkpoint(checkpoint, resume, checkpoint_every)
            self._train(batches, state, fingerprint(tokens, ends, asked))
        self.vectors_ = self._weigh(counts)
        self.ids_ = found_ids
        return self

    def fit_transform(self, texts: Any, y: Any = None, **options: Any) -> Any:
        """Learn from `texts` and return their vectors; the same as ``fit(texts).vectors_``."""
        return self.fit(texts, **options).vectors_

    # ---- weighing ------------------------------------------------------------------------------

    def transform(self, texts: Any) -> Any:
        """Return vectors of any texts, unseen ones included.

        Parameters
        ----------
        texts : iterable of str

        Returns
        -------
        csr_matrix of shape (n, n_terms), float32
            Not negative; an empty row where a text has no known term.
        """
        self._check_fitted("vectors_")
        return self._weigh(self._counts(as_texts(texts)))

    def transform_queries(self, texts: Any) -> Any:
        """Return vectors of queries, whose products with those of texts are the scores.

        Parameters
        ----------
        texts : iterable of str

        Returns
        -------
        csr_matrix of shape (n, n_terms), float32
        """
        self._check_fitted("vectors_")
        counts = self._counts(as_texts(texts, name="queries"))
        if self.expand_queries:
            counts = weigh(self._head, counts, counts, query=True, n_jobs=self.n_jobs)
        counts.data *= self.idf_[counts.indices]
        return counts

    def top_terms(self, texts: Any, k: int | None = 10) -> list[list[tuple[str, float]]]:
        """Return the strongest terms of each text: what it is found by.

        Parameters
        ----------
        texts : iterable of str
        k : int or None, default=10
            None: all, so that ``dict`` of each is a row as `vectorloom.index.Inverted` takes it.

        Returns
        -------
        list of lists of (str, float)
            Strongest first.
        """
        limit = None if k is None else check_count("k", k)
        rows = self.transform(texts)
        found = []
        for start, end in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
            order = np.argsort(-rows.data[start:end], kind="stable")[:limit] + start
            names = self.terms_[rows.indices[order]].tolist()
            found.append(list(zip(names, rows.data[order].tolist(), strict=True)))
        return found

    def _counts(self, texts: list[str]) -> Any:
        return counts_of(self._tokens_of(texts), len(self._vocabulary))

    def _tokens_of(self, texts: list[str]) -> Tokens:
        return self._vocabulary.numbers(self._words(texts))

    def _weigh(self, counts: Any) -> Any:
        own = self._own.of_texts(counts)
        return weigh(self._head, counts, own, query=False, n_jobs=self.n_jobs)

    # ---- what a fit begins with ----------------------------------------------------------------

    def _take_start(self, counts: Any, df: NDArray[np.int64]) -> None:
        """Set the vocabulary and the head that latent semantic analysis gives."""
        n = counts.shape[0]
        self.terms_ = np.empty(len(df), dtype=object)
        self.terms_[:] = self._vocabulary.names
        self.idf_ = np.log1p((n - df + 0.5) / (df + 0.5)).astype(np.float32)
        learned = min(int((df >= self.min_df).sum()), self.max_learned)
        self.n_learned_ = learned if self.n_expansions else 0
        self._own = OwnWeights(float(self.k1), float(self.b), float(counts.sum() / n))
        self._head = first_head(
            counts,
            df,
            self.n_learned_,
            dim=self.vector_size,
            power=float(self.length_power),
            strength=float(self.strength),
            n_expansions=self.n_expansions,
            seed=self.random_state,
        )

    def _open_queries(self, batches: Batches, counts: Any) -> None:
        """Set the bias of queries, by those that there will be."""
        if not self.expand_queries:
            return
        asked = counts
        if batches.n:
            rng = np.random.default_rng(self.random_state)
            chosen = np.sort(rng.choice(batches.n, min(batches.n, _LOOKED_AT), replace=False))
            asked = counts_of(batches.draw(chosen, rng).queries, counts.shape[1])
        open_queries(self._head, asked[:_LOOKED_AT], self.query_expansions)

    # ---- training ------------------------------------------------------------------------------

    def _pieces(self, tokens: Tokens, head_ends: NDArray[np.int64]) -> Pieces:
        items = np.flatnonzero(np.diff(tokens.offsets) >= 2 * SHORTEST)
        near = np.empty((len(items), 0), np.int32)
        if self.epochs and self.group_size > 1:
            rows = counts_of(tokens, len(self._vocabulary))[items]
            near = alike(self._head.read(rows).x, _NEIGHBOURS, self.random_state, self.n_jobs)
        return Pieces(tokens, head_ends, items, near, self.group_size, float(self.head_share))

    def _train(self, batches: Batches, checkpoint: Checkpoint, texts: int) -> None:
        train, held_out = held_out_split(batches.n, self.validation_share, self.random_state)
        schedule = Schedule(
            batch=self.batch_size,
            epochs=self.epochs,
            rate=float(self.learning_rate),
            strength=float(self.strength),
            temperature=float(self.temperature),
            flops=float(self.flops),
            expand_queries=bool(self.expand_queries),
            seed=self.random_state,
        )
        trainer = ExpansionTrainer(self._head, self._own, self.idf_, batches, train, schedule)
        if isinstance(batches, Judged):
            trainer.match(batches)
        steps = Steps(
            trainer,
            trainer.arrays(),
            plain_params(self, but=("n_jobs",)) | {"texts": texts},
            self.epochs,
            "learning expansions",
            n_jobs=self.n_jobs,
            held_out=(lambda: trainer.evaluate(held_out)) if len(held_out) else None,
            patience=self.patience,
        )
        steps.run(checkpoint)
        self.losses_, self.held_out_losses_ = steps.losses, steps.held_out_losses

    # ---- files ---------------------------------------------------------------------------------

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
        self._check_fitted("vectors_")
        meta = {
            "params": plain_params(self),
            "n": self.vectors_.shape[0],
            "mean_length": float(self._own.mean_length),
            "losses": self.losses_,
            "held_out_losses": self.held_out_losses_,
        }
        terms, term_offsets = pack_strings(self.terms_.tolist())
        arrays = {
            **self._head.arrays(),
            **id_arrays(self.ids_),
            "idf": self.idf_,
            "terms": terms,
            "term_offsets": term_offsets,
            "starts": self.vectors_.indptr.astype(np.int64),
            "columns": self.vectors_.indices.astype(np.int32),
            "weights": self.vectors_.data,
        }
        write_container(path, _KIND, meta, arrays)


def load_container(container: Container) -> ExpansionEncoder:
    """Make the encoder of a native file; what was learned and the vectors stay mapped."""
    from scipy.sparse import csr_matrix

    meta, where = container.meta, str(container.path)
    model = ExpansionEncoder(**meta["params"])
    model._check_cutting()
    check_settings(model)
    model.idf_ = container.array("idf", "<f4", (None,))
    n, n_terms = meta["n"], len(model.idf_)
    reading = container.array("reading", "<f4", (None, None))
    m, dim = reading.shape
    model._head = Head(
        reading,
        container.array("writing", "<f4", (m, dim)),
        container.array("bias", "<f4", (m,)),
        container.array("query_bias", "<f4", (m,)),
        container.array("gains", "<f4", (n_terms,)),
        float(model.length_power),
    )
    model.n_learned_ = m
    offsets = container.array("term_offsets", "<i8", (n_terms + 1,))
    model.terms_ = unpack_strings(container.array("terms", "|u1", (None,)), offsets, where=where)
    model._vocabulary = Vocabulary(model.terms_.tolist())
    model._own = OwnWeights(float(model.k1), float(model.b), float(meta["mean_length"]))
    starts = container.array("starts", "<i8", (n + 1,))
    columns = container.array("columns", "<i4", (None,))
    weights = container.array("weights", "<f4", (len(columns),))
    rising = starts[0] == 0 and starts[-1] == len(columns) and bool((np.diff(starts) >= 0).all())
    fits = not len(columns) or (columns.min() >= 0 and columns.max() < n_terms)
    if not (rising and fits and m <= n_terms and len(model._vocabulary) == n_terms):
        raise FormatError(f"{where}: vectors or terms do not fit together; the file is damaged.")
    model.vectors_ = csr_matrix((weights, columns, starts), shape=(n, n_terms))
    model.ids_ = stored_ids(container, n)
    model.losses_ = list(meta["losses"])
    model.held_out_losses_ = list(meta["held_out_losses"])
    return model
