# SPDX-License-Identifier: Apache-2.0
"""BM25 over texts, exactly.

    score(q, d) = sum over terms t of q, as often as it comes, of idf(t) * part(tf(t, d), |d|)
    lucene:  idf = ln(1 + (n - df + .5) / (df + .5)),  part = tf / (tf + k1 (1 - b + b |d| / mean))

The other methods are listed in `vectorloom.index.sparse.bm25_weights`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import FormatError, ParameterError
from vectorloom.estimator import check_choice, check_jobs
from vectorloom.index.answer import Found
from vectorloom.index.filters import Mask
from vectorloom.index.hits import Hits
from vectorloom.index.id_rules import new_ids, refuse_held
from vectorloom.index.sparse.bm25_weights import METHODS, Weighing
from vectorloom.index.sparse.bm25_words import TermCounter, stemmer_of, stop_words_of
from vectorloom.index.sparse.sparse_index import SparseIndex, read_postings, read_sparse
from vectorloom.index.sparse.sparse_rows import SparseRows
from vectorloom.io.container import Container, register_loader
from vectorloom.io.strings import pack_strings, unpack_strings
from vectorloom.learn.texts import as_texts
from vectorloom.vectors import as_ids

KIND = "index.bm25"


class BM25(SparseIndex):
    r"""Rank texts by the words that they share with a query.

    Use it wherever exact words matter (names, codes, rare terms), as the yardstick of any dense
    retriever, and as one leg of a hybrid. For weights of a learned sparse model use `Inverted`.

    Parameters
    ----------
    k1 : float, default=1.2
        How slowly repeated terms saturate; 0 counts presence alone.
    b : float, default=0.75
        Share of the length normalisation, 0 to 1. Both defaults are Lucene's.
    method : str, default="lucene"
        The formula: "lucene", "robertson", "atire", "okapi", "bm25l", "bm25+" or "tfidf".
    delta : float, default=0.5
        Of bm25l and bm25+ (which its authors use with 1.0).
    stop_words : None, "english" or iterable of str, default=None
        Words to leave out; ``"english"`` are Lucene's 33. With the bounds of this index they cost
        little time; leaving them out hardly changes what is found.
    stemmer : None, "light" or callable, default=None
        From a word to its stem, asked once a word. ``"light"`` takes off common English endings;
        Snowball's is ``Stemmer.Stemmer("english").stemWord`` of PyStemmer.
    analyzer : callable or None, default=None
        From a text to its terms, in place of words, stop words and stemmer.
    n_jobs : int or None, default=None
        Threads of a search; None takes all that are allowed. Texts are cut by one thread.

    Attributes
    ----------
    vocabulary_ : list of str
        Terms by number.

    Notes
    -----
    A word is a longest run of two or more letters, digits and underscores of any script (the
    regular expression ``\b\w\w+\b``), lower-cased. A term that a query has twice counts twice.
    One-letter words are left out; an `analyzer` may keep them.
    Scores are those of bm25s, and for ``okapi`` and ``bm25+`` those of rank-bm25, up to rounding
    (rank-bm25's BM25L has a factor tf that the paper has not). Lucene's old factor k1 + 1, which
    changes no order, is left out as in Lucene 8.
    Only texts that share a term with the query are hits, so that there may be fewer than k.

    Cost: texts are cut at about 100 MB/s and weighed in one pass. Adding or removing
    texts changes n, df and the mean length and so every weight: they are worked out again at the
    next search, about 10 ns a (text, term) pair. Changes before one search cost one such pass.
    Memory: 20 bytes a pair.

    Answers are exact, the same at any number of threads and however the texts came in; equal
    scores are in the order of ids.

    References
    ----------
    S. Robertson, H. Zaragoza. "The Probabilistic Relevance Framework: BM25 and Beyond". 2009,
    doi:10.1561/1500000019. C. Kamphuis, A. de Vries, L. Boytsov, J. Lin. "Which BM25 Do You Mean?"
    ECIR 2020, doi:10.1007/978-3-030-45442-5_4. Y. Lv, C. Zhai. "Lower-bounding term frequency
    normalization". CIKM 2011, doi:10.1145/2063576.2063584.

    Examples
    --------
    >>> import vectorloom as vl
    >>> index = vl.index.BM25().fit(["the red fox", "a blue fox", "red red wine"], list("abc"))
    >>> index.search(["red fox"], k=3)
    Hits(1 query, k=3, metric='ip')
      0: a 0.4065 · c 0.2838 · b 0.2380
    """

    _kind = KIND
    metric = "ip"

    def __init__(
        self,
        k1: float = 1.2,
        b: float = 0.75,
        method: str = "lucene",
        delta: float = 0.5,
        stop_words: Any = None,
        stemmer: Any = None,
        analyzer: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.k1 = k1
        self.b = b
        self.method = method
        self.delta = delta
        self.stop_words = stop_words
        self.stemmer = stemmer
        self.analyzer = analyzer
        self.n_jobs = n_jobs

    # ---- building ------------------------------------------------------------------------------

    def fit(self, X: Any, ids: Any = None) -> BM25:
        """Hold texts, forgetting what was held before.

        Parameters
        ----------
        X : iterable of str
            An empty text is fine: it is never found.
        ids : array-like of shape (n,), int64 or str, default=None
            None gives 0, 1, …, n - 1.

        Returns
        -------
        self

        Raises
        ------
        ShapeError, ParameterError
            No list of str; parameters that are not allowed; ids that do not fit.
        """
        weighing, counter = self._weighing_now(), self._new_counter()
        texts = as_texts(X, name="X")
        wanted = as_ids(ids, len(texts))
        rows, lengths = counter.count(texts, grow=True)
        store = self._new_store(rows.n_terms, wanted)
        store.append(rows, wanted, np.empty(0, np.int64))
        self._weighing, self._counter, self._lengths = weighing, counter, lengths
        self._adopt_rows(store)
        return self

    def add(self, X: Any, ids: Any = None) -> BM25:
        """Add texts; on an index that holds nothing yet, the same as `fit`.

        Parameters
        ----------
        X : iterable of str
        ids : array-like of shape (n,), int64 or str, default=None
            None continues after the largest int64 id ever used. An id that is there already is
            refused; `upsert` replaces it.

        Returns
        -------
        self
        """
        return self._grow(X, ids, "add")

    def upsert(self, X: Any, ids: Any) -> BM25:
        """Add texts, replacing those whose ids are there already.

        Parameters
        ----------
        X : iterable of str
        ids : array-like of shape (n,), int64 or str

        Returns
        -------
        self
        """
        if ids is None:
            raise ParameterError(
                "upsert needs ids: it replaces rows by id. To append rows use add(X)."
            )
        return self._grow(X, ids, "upsert")

    def _grow(self, X: Any, ids: Any, how: str) -> BM25:
        if not hasattr(self, "_store"):
            return self.fit(X, ids)
        store = self._writable()
        texts = as_texts(X, name="X")
        self._check_ids(ids, len(texts), how)
        rows, lengths = self._counted(texts, grow=True)
        store.dim = max(store.dim, rows.n_terms)
        self._put(rows, ids, how)
        self._lengths = np.concatenate([self._lengths, lengths])
        self._changed()
        self._tidy(None)
        return self

    def _check_ids(self, ids: Any, n: int, how: str) -> None:
        """Refuse ids before words of refused texts are taken in."""
        wanted = new_ids(self._store, ids, n)
        if how == "add":
            refuse_held(wanted, self._store.find(wanted) >= 0, "texts")

    def _rows(self, X: Any, n_terms: int | None, grow: bool) -> SparseRows:
        return self._counted(as_texts(X, name="X"), grow)[0]

    def _counted(self, texts: list[str], grow: bool) -> tuple[SparseRows, NDArray[np.int64]]:
        if self._counter is None:
            self._counter = self._new_counter(words=self._saved_words())
        return self._counter.count(texts, grow)

    def _compacted(self, keep: NDArray[np.int64]) -> None:
        self._lengths = self._lengths[keep]
        self._changed()

    def remove(self, ids: Any, missing: str = "raise") -> int:
        """Remove texts by id; weights are as if they had never been there.

        Parameters
        ----------
        ids : array-like of int64 or str
        missing : {"raise", "ignore"}, default="raise"
            What to do about ids that are not there. ``"raise"`` removes nothing then.

        Returns
        -------
        int
            The number of texts removed.
        """
        removed = super().remove(ids, missing)
        if removed:
            self._changed()
        return removed

    # ---- searching -----------------------------------------------------------------------------

    def search(self, texts: Any, k: int = 10, where: Any = None) -> Hits:
        """Return the k best texts of each query.

        Parameters
        ----------
        texts : iterable of str
            Queries. Words that no text has are left out; a query without any other has no hits.
        k : int, default=10
        where : mask, ids, or a list of one filter a query, default=None
            See `vectorloom.index.filters.position_masks`. Weights stay those of all texts.

        Returns
        -------
        Hits
            Of metric ``"ip"``; ``distances`` are minus the scores.

        Raises
        ------
        NotFittedError, ShapeError, ParameterError
        """
        self._fitted()
        n_jobs = check_jobs(self.n_jobs)
        queries = self._queries(texts)
        rows, postings = self._ready()

        def find(part: SparseRows, width: int, mask: Mask, ties: Any) -> Found:
            positions, scores, counts = postings.search(
                rows, part.core, width, mask, ties, n_jobs=n_jobs
            )
            absent = self._weighing.part_of_absent
            if absent:
                scores += absent * _sums(part)[:, None]
            return positions, scores, counts

        return self._found(queries, k, where, find)

    def _queries(self, texts: Any) -> SparseRows:
        if isinstance(texts, str):
            as_texts(texts, name="texts")
        listed = list(texts) if hasattr(texts, "__len__") and len(texts) == 0 else None
        counted, _ = self._counted(as_texts(texts, name="texts") if listed is None else [], False)
        self._ready()
        weights = counted.weights.astype(np.float64) * self._idf[counted.terms]
        if self._weighing.method == "tfidf":
            sums = np.add.reduceat(np.append(weights**2, 0.0), counted.starts[:-1])
            sums[np.diff(counted.starts) == 0] = 1.0
            weights /= np.sqrt(np.repeat(np.maximum(sums, 1e-300), np.diff(counted.starts)))
        kept = weights > 0  # words that no text has any more, or that all have
        starts = np.concatenate([[0], np.cumsum(kept)])[counted.starts].astype(np.int64)
        return SparseRows(
            starts, counted.terms[kept], weights[kept].astype(np.float32), counted.n_terms
        )

    def _ready(self) -> tuple[_core.SparseRows, _core.Postings]:
        store = self._store
        if self._postings is None:
            self._weigh()
            parts = SparseRows(
                store.starts[: store.n + 1], store.terms[: store.n_values], self._parts, store.dim
            )
            self._weighted = parts.core
            self._postings = _core.Postings.build(
                self._weighted, store.dim, check_jobs(self.n_jobs)
            )
        return self._weighted, self._postings

    def _weigh(self) -> None:
        """Work out idf and parts from the texts that are there now."""
        store, weighing = self._store, self._weighing
        starts, terms = store.starts[: store.n + 1], store.terms[: store.n_values]
        live = store.live
        counted = terms
        if live is not None:
            counted = terms[np.repeat(live, np.diff(starts)) != 0]
        df = np.bincount(counted, minlength=store.dim)
        self._idf = weighing.idf(df, store.n_live)
        tf = store.weights[: store.n_values]
        if weighing.method == "tfidf":
            parts = tf.astype(np.float64) * self._idf[terms]
            sums = np.bincount(np.repeat(np.arange(store.n), np.diff(starts)), parts**2, store.n)
            parts /= np.repeat(np.sqrt(np.maximum(sums, 1e-300)), np.diff(starts))
            self._parts = parts.astype(np.float32)
            return
        lengths = self._lengths if live is None else self._lengths[live != 0]
        mean = float(lengths.mean()) if len(lengths) else 0.0
        self._parts = weighing.parts(tf, starts, self._lengths, mean)

    # ---- reading -------------------------------------------------------------------------------

    @property
    def vocabulary_(self) -> list[str]:
        """Terms by number, words where nothing stems them."""
        self._fitted()
        self._counted([""], grow=False)
        counter = self._counter
        assert counter is not None  # just made
        return counter.known_terms()

    @property
    def nbytes_(self) -> int:
        """Bytes held in memory or mapped from a file."""
        store = self._fitted()
        self._ready()
        return int(store.nbytes + self._parts.nbytes + 8 * store.n_values + self._lengths.nbytes)

    # ---- files ---------------------------------------------------------------------------------

    def _saved_params(self) -> dict[str, Any]:
        params = self.get_params()
        for name in ("stemmer", "analyzer"):
            if callable(params[name]):
                params[name] = None
        if params["stop_words"] is not None and not isinstance(params["stop_words"], str):
            params["stop_words"] = sorted(stop_words_of(params["stop_words"]))
        return params

    def _more(self) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]:
        self._counted([""], grow=False)
        assert self._counter is not None  # just made
        self._ready()
        text, offsets = pack_strings(self._counter.known_words())
        functions = [name for name in ("stemmer", "analyzer") if callable(getattr(self, name))]
        weighing = self._weighing
        meta = {
            "functions": functions,
            "weighing": [weighing.method, weighing.k1, weighing.b, weighing.delta],
        }
        arrays: dict[str, NDArray[Any]] = {
            "words.text": text,
            "words.offsets": offsets,
            "lengths": self._lengths,
            "idf": self._idf,
            "parts": self._parts,
        }
        return meta, arrays | self._posting_arrays()

    @classmethod
    def _from_container(cls, file: Container) -> BM25:
        index = cls(**file.meta["params"])
        method, k1, b, delta = file.meta["weighing"]
        index._functions = [str(name) for name in file.meta["functions"]]
        index._weighing = _checked(method, k1, b, delta)
        store = read_sparse(file)
        index._store, index._counter = store, None
        index._lengths = file.array("lengths", "<i8", (store.n,))
        index._idf = file.array("idf", "<f8", (store.dim,))
        index._parts = file.array("parts", "<f4", (store.n_values,))
        index._packed = (
            file.array("words.text", "|u1", (None,)),
            file.array("words.offsets", "<i8", (None,)),
            str(file.path),
        )
        parts = SparseRows(store.starts, store.terms, index._parts, store.dim)
        index._weighted = parts.core
        index._postings = read_postings(file, store, index._weighted)
        return index

    def _saved_words(self) -> list[str]:
        missing = [name for name in self._functions if not callable(getattr(self, name))]
        if missing:
            raise ParameterError(
                f"this index was saved with a function as {missing[0]}, which no file holds. Set "
                f"it again: index.set_params({missing[0]}=...)."
            )
        text, offsets, path = self._packed
        words: list[str] = unpack_strings(text, offsets, where=path).tolist()
        return words

    # ---- inside --------------------------------------------------------------------------------

    _functions: list[str] = []  # noqa: RUF012 - replaced, never changed
    _packed: tuple[NDArray[np.uint8], NDArray[np.int64], str]
    _counter: TermCounter | None
    _weighing: Weighing
    _lengths: NDArray[np.int64]
    _idf: NDArray[np.float64]
    _parts: NDArray[np.float32]
    _weighted: _core.SparseRows

    def _weighing_now(self) -> Weighing:
        return _checked(self.method, self.k1, self.b, self.delta)

    def _new_counter(self, words: list[str] | None = None) -> TermCounter:
        if self.analyzer is not None and not callable(self.analyzer):
            raise ParameterError(
                f"analyzer must be a function from a text to its terms; got {self.analyzer!r}."
            )
        counter = TermCounter(
            stop_words_of(self.stop_words), stemmer_of(self.stemmer), self.analyzer
        )
        if words:
            counter.learn(words)
            if counter.n_terms > self._store.dim:
                raise FormatError("the words of the file stand for more terms than it has.")
        return counter

    def copy(self) -> BM25:
        """Return a writable copy in memory; the way to change an index that `vl.open` opened.

        Returns
        -------
        BM25
        """
        import copy

        self._fitted()
        self._counted([""], grow=False)
        twin = super().copy()
        twin._weighing = self._weighing
        twin._counter = copy.deepcopy(self._counter)
        live = self._store.live
        twin._lengths = np.array(self._lengths if live is None else self._lengths[live != 0])
        return twin

    def __getstate__(self) -> dict[str, Any]:
        if not hasattr(self, "_store"):
            return self.__dict__
        self._counted([""], grow=False)
        live = self._store.live
        lengths = np.array(self._lengths if live is None else self._lengths[live != 0])
        dropped = ("_weighted", "_packed", "_parts", "_idf")
        state = {name: value for name, value in self.__dict__.items() if name not in dropped}
        return state | {"_postings": None, "_lengths": lengths}


def _checked(method: Any, k1: Any, b: Any, delta: Any) -> Weighing:
    check_choice("method", method, METHODS)
    for name, value, most in (("k1", k1, math.inf), ("b", b, 1.0), ("delta", delta, math.inf)):
        is_number = isinstance(value, int | float | np.integer | np.floating)
        if not is_number or isinstance(value, bool) or not 0 <= value <= most or math.isinf(value):
            bound = " and at most 1" if most == 1.0 else ""
            raise ParameterError(f"{name} must be a number, at least 0{bound}; got {value!r}.")
    return Weighing(method, float(k1), float(b), float(delta))


def _sums(rows: SparseRows) -> NDArray[np.float64]:
    row = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
    sums: NDArray[np.float64] = np.bincount(row, rows.weights, len(rows)).astype(np.float64)
    return sums


register_loader(KIND, BM25._from_container)
