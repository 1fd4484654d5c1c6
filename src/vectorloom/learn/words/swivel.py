# SPDX-License-Identifier: Apache-2.0
"""Swivel: mutual information by least squares, and a bound from above where two words never meet.

    t_ij = w_i . c_j - log( N / (n_i n_j) )              the information that one meeting has
    minimise  sum over n_ij > 0 of  f(n_ij) (t_ij - log n_ij)^2 / 2      f(n) = base + scale n^power
            + sum over n_ij = 0 of  log(1 + exp t_ij)
    x_i = w_i + c_i

by AdaGrad over the blocks of the whole matrix, one dense product a block.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import CapacityError, ParameterError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.io.container import Container
from vectorloom.learn.words.learner import WordLearner, check_learner
from vectorloom.learn.words.pmi_svd import pair_counts
from vectorloom.learn.words.windows import seed_of
from vectorloom.progress import progress

Matrix = NDArray[np.float32]

# The authors' confidence in n meetings: 0.1 + 0.25 sqrt(n).
_BASE, _SCALE, _POWER = 0.1, 0.25, 0.5
# AdaGrad's sums begin here, as the authors' do.
_FIRST_SQUARE = 0.1
# Rows of a block whose scores are worked on at once: 1 MiB of them stays in the cache.
_STRIP = 256
# Words beyond which the cells of the matrix take too long: 10^11 of them an epoch.
_MOST_WORDS = 300_000


class Swivel(WordLearner):
    """Learn vectors of words from all cells of the pair counts, those that are 0 included.

    Use it for vocabularies of up to some 100,000 words where rare words matter: what never meets is
    pushed apart, but not to a number that nobody knows. Its time grows with the square of the
    vocabulary and not with the corpus; `PMISVD` is faster, `Word2Vec` has no such square.

    Parameters
    ----------
    vector_size : int, default=100
    window : int, default=10
        Words to each side; a pair d tokens apart counts 1 / d.
    min_count : int, default=5
    epochs : int, default=10
        Passes over the blocks.
    alpha : float, default=0.1
        AdaGrad's first rate.
    block_size : int, default=1024
        Rows and columns of a block. Each step moves so many words.
    max_vocab : int or None, default=None
        Keep the most frequent words only.
    n_jobs : int or None, default=None
        Threads; blocks that share no word are worked on side by side.
    random_state : int or None, default=0
        An integer gives the same bits at any `n_jobs`, at no cost.

    Attributes
    ----------
    ids_ : ndarray of shape (n_words,), object
    counts_ : ndarray of shape (n_words,), int64
    vectors_ : ndarray of shape (n_words, vector_size), float32
    losses_ : list of float
        Of each epoch: the mean over all cells, measured as they were trained.
    n_pairs_ : int
        Cells that are not 0.
    n_tokens_ : int

    Raises
    ------
    CapacityError
        More than 300,000 words: pass `max_vocab` or raise `min_count`.
    ParameterError
        A parameter out of range, or a corpus of one word or without neighbours.

    Notes
    -----
    Time O(epochs * n_words^2 * vector_size), memory 8 bytes a pair that occurs and 16 bytes a word
    and dimension. Words are dealt to the blocks by turns, so that each block holds frequent and
    rare ones.

    References
    ----------
    .. [1] Shazeer, Doherty, Evans, Waterson. Swivel: Improving Embeddings by Noticing What's
           Missing. 2016. arXiv:1602.02215

    Examples
    --------
    >>> texts = ["the cat sat on the mat", "the dog sat on the rug"] * 50
    >>> Swivel(vector_size=8, min_count=1).fit(texts).vectors_.shape
    (7, 8)
    """

    _KIND = "learn.swivel"

    def __init__(
        self,
        vector_size: int = 100,
        *,
        window: int = 10,
        min_count: int = 5,
        epochs: int = 10,
        alpha: float = 0.1,
        block_size: int = 1024,
        max_vocab: int | None = None,
        n_jobs: int | None = None,
        random_state: int | None = 0,
    ) -> None:
        self.vector_size = vector_size
        self.window = window
        self.min_count = min_count
        self.epochs = epochs
        self.alpha = alpha
        self.block_size = block_size
        self.max_vocab = max_vocab
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, corpus: Any, y: Any = None) -> Swivel:
        """Learn the words of a corpus.

        Parameters
        ----------
        corpus : Corpus, path, iterable of str, or iterable of lists of str
        y : ignored

        Returns
        -------
        self
        """
        check_learner(self.get_params())
        check_count("block_size", self.block_size)
        if not 0 < self.alpha < np.inf:
            raise ParameterError(f"alpha must be positive; got {self.alpha!r}.")
        encoded = self._encode(corpus, self.min_count, self.max_vocab)
        if len(encoded.words) > _MOST_WORDS:
            raise CapacityError(
                f"Swivel looks at every pair of its {len(encoded.words):,} words, which takes too "
                f"long beyond {_MOST_WORDS:,}. Pass max_vocab, raise min_count, or take Word2Vec."
            )
        counts = pair_counts(encoded, self.window, "harmonic", self.n_jobs)
        cells = SwivelCells(
            counts, self.vector_size, self.block_size, self.alpha, seed_of(self.random_state)
        )
        losses = []
        n_jobs = _core.resolve_jobs(check_jobs(self.n_jobs))
        total = cells.n_blocks * self.epochs
        with progress("learning words", total=total, unit="blocks") as bar:
            for _ in range(self.epochs):
                losses.append(cells.epoch(n_jobs, bar.advance))
        vectors = cells.vectors()
        self._set_words(encoded)
        self.vectors_ = vectors
        self.losses_ = losses
        self.n_pairs_ = int(counts.nnz)
        return self

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        return {"losses": np.asarray(self.losses_), "n_pairs": np.array([self.n_pairs_])}

    def _take_extra(self, container: Container, n: int) -> None:
        self.losses_ = container.array("losses", "<f8", (None,)).tolist()
        self.n_pairs_ = int(container.array("n_pairs", "<i8", (1,))[0])


class SwivelCells:
    """The matrix of counts in blocks, and the vectors that are fitted to it.

    Parameters
    ----------
    counts : scipy.sparse.csr_array of shape (n, n), float32
        Symmetric; every row holds something, or its word stays where it began.
    dim, block_size : int
    rate : float
    seed : int
    """

    def __init__(self, counts: Any, dim: int, block_size: int, rate: float, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        n = counts.shape[0]
        self._n_stripes = max(1, -(-n // block_size))
        self._stripes = [np.arange(s, n, self._n_stripes) for s in range(self._n_stripes)]
        totals = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
        # log N - log n_i - log n_j in two halves; a word without neighbours counts as half a one.
        self._half = np.log(np.maximum(totals, 0.5)) - 0.5 * np.log(max(totals.sum(), 1.0))
        shape = (n, dim)
        self._sides = [
            (self._rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(dim)))
            for _ in range(2)
        ]
        self._squares = [np.full(shape, _FIRST_SQUARE, np.float32) for _ in range(2)]
        self._rate = np.float32(rate)
        self._blocks = [
            [rows[:, columns].tocoo() for columns in self._stripes]
            for rows in (counts[stripe] for stripe in self._stripes)
        ]

    @property
    def n_blocks(self) -> int:
        """Blocks of the matrix."""
        return len(self._stripes) ** 2

    def epoch(self, n_jobs: int, advance: Any = None) -> float:
        """Go through all blocks once, and return the mean loss of a cell."""
        from threadpoolctl import threadpool_limits

        n = self._n_stripes
        order = self._rng.permutation(n)
        shifts = self._rng.permutation(n)
        losses = []
        # Sums of a BLAS depend on its number of threads; blocks are what runs side by side here.
        with threadpool_limits(limits=1), ThreadPoolExecutor(n_jobs) as pool:
            for shift in shifts:
                places = [(int(row), int((row + shift) % n)) for row in order]
                for place, loss in zip(places, pool.map(self._step, places), strict=True):
                    losses.append(loss)
                    if advance is not None:
                        cells = len(self._stripes[place[0]]) * len(self._stripes[place[1]])
                        advance(1, loss=loss / cells)
        return float(np.sum(losses)) / len(self._half) ** 2

    def _step(self, place: tuple[int, int]) -> float:
        """Move the words of one block; returns the sum of its losses."""
        rows, columns = (self._stripes[stripe] for stripe in place)
        left, right = self._sides[0][rows], self._sides[1][columns]
        loss, left_gradient, right_gradient = block_gradients(
            left,
            right,
            self._half[rows].astype(np.float32),
            self._half[columns].astype(np.float32),
            self._blocks[place[0]][place[1]],
        )
        for side, words, gradient in ((0, rows, left_gradient), (1, columns, right_gradient)):
            squares = self._squares[side][words] + gradient * gradient
            self._squares[side][words] = squares
            self._sides[side][words] -= self._rate * gradient / np.sqrt(squares)
        return loss

    def vectors(self) -> Matrix:
        """Return w + c of every word."""
        return np.ascontiguousarray(self._sides[0] + self._sides[1])


def block_gradients(
    left: Matrix, right: Matrix, row_half: Matrix, column_half: Matrix, counts: Any
) -> tuple[float, Matrix, Matrix]:
    """Return the loss of a block and its gradients for the vectors of both sides.

    Parameters
    ----------
    left : ndarray of shape (m, dim), float32
        w of the rows.
    right : ndarray of shape (k, dim), float32
        c of the columns.
    row_half, column_half : ndarray of shape (m,) and (k,), float32
        Minus their sum is the mutual information of a pair that met once.
    counts : scipy.sparse.coo_array of shape (m, k), float32
        Cells that are not 0.

    Returns
    -------
    loss : float
        Sum over the cells.
    left_gradient, right_gradient : ndarray, float32
    """
    one = np.float32(1)
    wide_left = np.column_stack((left, row_half, np.ones(len(left), np.float32)))
    wide_right = np.column_stack((right, np.ones(len(right), np.float32), column_half))
    order = np.argsort(counts.row, kind="stable")
    rows, columns, values = counts.row[order], counts.col[order], counts.data[order]
    logs = np.log(values)
    trust = np.float32(_BASE) + np.float32(_SCALE) * values ** np.float32(_POWER)
    loss = 0.0
    left_gradient = np.empty_like(left)
    right_gradient = np.zeros_like(right)
    for start in range(0, len(left), _STRIP):
        stop = min(len(left), start + _STRIP)
        errors = wide_left[start:stop] @ wide_right.T
        begin, end = np.searchsorted(rows, (start, stop))
        at = (rows[begin:end] - start, columns[begin:end])
        seen = errors[at] - logs[begin:end]
        loss += float((trust[begin:end] * seen * seen).sum(dtype=np.float64)) / 2
        # 1 / (1 + exp -t): float32's exp overflows to infinity, and that to the right 0.
        np.negative(errors, out=errors)
        with np.errstate(over="ignore"):
            np.exp(errors, out=errors)
        errors += one
        np.reciprocal(errors, out=errors)
        errors[at] = 0
        loss -= float(np.log1p(-np.minimum(errors, np.float32(1 - 1e-7))).sum(dtype=np.float64))
        errors[at] = trust[begin:end] * seen
        np.matmul(errors, right, out=left_gradient[start:stop])
        right_gradient += errors.T @ left[start:stop]
    return loss, left_gradient, right_gradient


def load_container(container: Container) -> WordLearner:
    """Make the learner of a native file; its vectors stay mapped."""
    return Swivel._load(container)
