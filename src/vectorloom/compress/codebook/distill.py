# SPDX-License-Identifier: Apache-2.0
"""Distill-VQ: codebooks that keep the ranking of the full vectors, learned from queries alone.

    t = softmax(q · x / τ)          the teacher: full vectors, over a set of candidate rows
    s = softmax(q · x̂ / τ)          the student: x̂ = a A⁻¹ C[code(A x)], a: see `OPQ`
    loss = - Σ t log s + γ |x - x̂|²                                              (ListNet)
    ∂loss/∂x̂ = Σ_q (s - t) q / τ + 2 γ (x̂ - x), carried to A x̂, summed by codeword

A reconstruction error counts all rows and directions alike. The ranking of near rows is lost by
errors along the queries, so these are what the codewords are moved to avoid.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.codebook.bottleneck import check_positive, look_up, sum_by_codeword
from vectorloom.compress.codebook.opq import OPQ
from vectorloom.compress.codebook.pq import seed_of
from vectorloom.compress.codebook.ranking import (
    CodedSpace,
    candidates,
    dimension_units,
    part_labels,
    score_spread,
    split,
    top_rows,
)
from vectorloom.compress.contrastive import cross_entropy, softmax_rows
from vectorloom.compress.descent import Adam, cosine_rate, minibatches
from vectorloom.compress.products import matmul
from vectorloom.errors import ShapeError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.progress import progress


class DistillVQ(OPQ):
    """Product codes trained to rank as the full vectors do, from unlabelled queries.

    Use it where sample queries exist and codes are small (2 bits a dimension and less); it starts
    from `OPQ` and costs the same bytes. Without queries use `OPQ`; where distances and not inner
    products rank, too, because the teacher is the inner product (the cosine, for unit vectors).

    Parameters
    ----------
    n_parts : int or None, default=None
        Parts of the rotated vector, a divisor of dim; None takes about eight dimensions a part.
    bits : int, default=8
        Of one code, 1 to 8.
    n_epochs : int, default=3
        Passes over the queries; the best of all epochs, the start included, is kept.
    batch_size : int, default=64
        Queries.
    n_nearest : int, default=100
        Rows of each query that are ranked against each other.
    n_sampled : int, default=1000
        Rows at random that join them in a batch.
    temperature : float, default=0.5
        τ as a multiple of the standard deviation of the teacher's scores. Smaller looks at the
        first ranks only.
    learning_rate : float, default=0.02
        Of Adam, as a multiple of the root mean square of each coded dimension.
    reconstruction : float, default=0.0
        Weight γ of the reconstruction error, for errors relative to the mean squared length of X.
        Raise it when there are few queries, or when X has regions that no query visits.
    n_row_queries : int, default=5000
        Rows of X, at random, that are asked as further queries: helps where there are few. They
        never judge. Set 0 where queries are unlike the rows.
    n_lists : int or None, default=None
        Also learn so many coarse centroids (the lists of an inverted file) in the same way.
    emphasis : float, default=0.5
    keep_norms : bool, default=True
        As for `OPQ`.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Attributes
    ----------
    rotation_, inverse_ : ndarray of shape (dim, dim), float32
        Those of `OPQ`.
    codebooks_ : ndarray of shape (n_parts, 2**bits, dim / n_parts), float32
    centroids_ : ndarray of shape (n_lists, dim), float32, or None
    losses_ : ndarray of shape (n_epochs,), float64
        Cross entropy of the epochs.
    held_out_ : ndarray of shape (n_epochs + 1,), float64
        Cross entropy over 15 % of the queries that are not learned from, before and after each
        epoch; the codebooks are those of its smallest entry.

    Raises
    ------
    ShapeError
        Fewer than eight queries, or `n_parts` does not divide dim.
    ParameterError
        No queries, or a number out of range.

    Notes
    -----
    Fitting adds to `OPQ` O(n_epochs * m * (n_nearest + n_sampled / batch_size) * batch_size * dim)
    for m queries, and one encoding of X an epoch. Encoding, bytes and scores are those of `OPQ`.
    Codes are the nearest codewords, so after training the reconstruction error is a little larger
    than that of `OPQ`. An integer `random_state` gives the same bits at any `n_jobs`.

    References
    ----------
    .. [1] Xiao, Liu, Han, Zhang, Lian, Gong, Chen, Yang, Sun, Shao, Deng, Zhang, Xie. Distill-VQ:
           learning retrieval oriented vector quantization by distilling knowledge from dense
           embeddings. SIGIR 2022. doi:10.1145/3477495.3531799

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((600, 16)).astype(np.float32)
    >>> vq = DistillVQ(n_parts=4, bits=4, keep_norms=False).fit(X, queries=X[:100] + 0.1)
    >>> vq.bytes_per_vector_, bool(vq.held_out_.min() < vq.held_out_[0])
    (2, True)
    """

    _uses_queries: ClassVar[bool] = True
    _needs_queries: ClassVar[bool] = True

    def __init__(
        self,
        n_parts: int | None = None,
        bits: int = 8,
        *,
        n_epochs: int = 3,
        batch_size: int = 64,
        n_nearest: int = 100,
        n_sampled: int = 1000,
        temperature: float = 0.5,
        learning_rate: float = 0.02,
        reconstruction: float = 0.0,
        n_row_queries: int = 5000,
        n_lists: int | None = None,
        emphasis: float = 0.5,
        keep_norms: bool = True,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_parts = n_parts
        self.bits = bits
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.n_nearest = n_nearest
        self.n_sampled = n_sampled
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.reconstruction = reconstruction
        self.n_row_queries = n_row_queries
        self.n_lists = n_lists
        self.emphasis = emphasis
        self.keep_norms = keep_norms
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        assert queries is not None
        self._check_training(X)
        rng = np.random.default_rng(seed_of(self.random_state))
        judging, learning = split(len(queries), rng)
        judge, learn = queries[judging], self._with_rows(queries[learning], X, rng)
        start = OPQ(
            self.n_parts,
            self.bits,
            emphasis=self.emphasis,
            keep_norms=self.keep_norms,
            random_state=self.random_state,
            n_jobs=self.n_jobs,
        ).fit(X)
        self.rotation_, self.inverse_ = start.rotation_, start.inverse_
        self.length_, self.length_unit_ = start.length_, start.length_unit_
        space = CodedSpace(X, self.rotation_, self.inverse_, self.keep_norms, self.n_jobs)
        self.codebooks_, self.losses_, self.held_out_ = self._distill(
            space, space.ask(learn), space.ask(judge), start.codebooks_, rng
        )
        self.centroids_ = None
        if self.n_lists is not None:
            seed = seed_of(self.random_state)
            first = np.array(_core.kmeans(X, self.n_lists, seed=seed, n_jobs=self.n_jobs)[0])
            plain = CodedSpace(X, None, None, False, self.n_jobs)
            self.centroids_ = self._distill(plain, learn, judge, first[None], rng)[0][0]

    def _with_rows(
        self, queries: NDArray[np.float32], X: NDArray[np.float32], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the queries and, behind them, rows of X that are asked as if they were some."""
        rows = np.sort(rng.permutation(len(X))[: self.n_row_queries])
        return np.concatenate([queries, X[rows]])

    def lists(self, X: Any) -> NDArray[np.int32]:
        """Return the nearest coarse centroid of each row.

        Parameters
        ----------
        X : array-like of shape (n, dim)

        Returns
        -------
        ndarray of shape (n,), int32
        """
        self._check_fitted("bytes_per_vector_")
        if self.centroids_ is None:
            raise ShapeError("this DistillVQ has no lists; fit it with n_lists=256, for example.")
        rows = self._dense(X, self.n_features_in_, "X")
        return part_labels(rows, self.centroids_[None], self.n_jobs)[:, 0]

    def _check_training(self, X: NDArray[np.float32]) -> None:
        check_jobs(self.n_jobs)
        for name in ("n_epochs", "batch_size", "n_nearest"):
            check_count(name, getattr(self, name))
        check_count("n_sampled", self.n_sampled, at_least=0)
        check_count("n_row_queries", self.n_row_queries, at_least=0)
        for name in ("temperature", "learning_rate"):
            check_positive(name, getattr(self, name))
        check_positive("reconstruction", self.reconstruction, zero=True)
        if self.n_lists is not None and check_count("n_lists", self.n_lists) > len(X):
            raise ShapeError(
                f"X has {len(X)} rows; n_lists={self.n_lists} needs at least as many. Choose fewer."
            )

    def _distill(
        self,
        space: CodedSpace,
        learn: NDArray[np.float32],
        judge: NDArray[np.float32],
        codebooks: NDArray[np.float32],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
        """Return trained codebooks, the losses of the epochs and those of the judges."""
        rows, jobs = space.rows, self.n_jobs
        near = min(self.n_nearest, len(rows))
        top = top_rows(learn, rows, near, jobs)
        judging = candidates(top_rows(judge, rows, near, jobs), len(rows), self.n_sampled, rng)
        temperature = self.temperature * score_spread(judge, rows, rng, jobs)
        length = float(np.mean(np.einsum("ij,ij->i", rows, rows), dtype=np.float64))
        pull = self.reconstruction / length if length > 0 else 0.0
        # Steps are relative to the spread of each dimension, because OPQ's may differ much.
        unit = dimension_units(rows, codebooks.shape)
        params = {"codebooks": codebooks / unit}
        best, adam = codebooks, Adam(self.learning_rate)
        held_out = [_judge(space, judge, judging, codebooks, temperature)]
        losses = np.zeros(self.n_epochs)
        count = sum(1 for _ in minibatches(len(top), self.batch_size, np.random.default_rng(0)))
        step, n_steps = 0, self.n_epochs * count
        with progress("training DistillVQ", total=self.n_epochs, unit="epochs") as bar:
            for epoch in range(self.n_epochs):
                now = params["codebooks"] * unit
                labels = part_labels(rows, now, jobs)
                factors = space.factors(labels, now)
                for batch in minibatches(len(top), self.batch_size, rng):
                    chosen = candidates(top[batch], len(rows), self.n_sampled, rng)
                    loss, by_codeword = ranking_loss(
                        learn[batch],
                        rows[chosen],
                        labels[chosen],
                        params["codebooks"] * unit,
                        temperature,
                        pull,
                        factors[chosen],
                    )
                    rate = cosine_rate(step, n_steps, first=self.learning_rate)
                    adam.step(params, {"codebooks": by_codeword * unit}, rate)
                    losses[epoch] += loss * len(batch) / len(top)
                    step += 1
                now = params["codebooks"] * unit
                held_out.append(_judge(space, judge, judging, now, temperature))
                best = now if held_out[-1] == min(held_out) else best
                bar.advance(loss=float(losses[epoch]), held_out=held_out[-1])
        return np.ascontiguousarray(best, np.float32), losses, np.array(held_out)


def ranking_loss(
    queries: NDArray[Any],
    rows: NDArray[Any],
    labels: NDArray[Any],
    codebooks: NDArray[Any],
    temperature: float,
    reconstruction: float,
    factors: NDArray[Any],
) -> tuple[float, NDArray[Any]]:
    """Return the cross entropy of teacher and student, and its gradient in the codebooks.

    Parameters
    ----------
    queries : ndarray of shape (m, dim)
    rows : ndarray of shape (n, dim)
    labels : ndarray of shape (n, n_parts), integer
        Codes of the rows; held fixed.
    codebooks : ndarray of shape (n_parts, n_codewords, width)
    temperature : float
    reconstruction : float
        Weight of the mean squared distance of the rows from what their codes stand for.
    factors : ndarray of shape (n,)
        What scores of each row are multiplied by, for its length; held fixed.

    Returns
    -------
    loss : float
    gradient : ndarray of shape (n_parts, n_codewords, width)
    """
    decoded = look_up(labels, codebooks)
    targets = softmax_rows((queries @ rows.T) / rows.dtype.type(temperature))
    loss, by_score = cross_entropy(queries @ decoded.T * factors, targets, temperature)
    by_row = (by_score * factors).T @ queries
    if reconstruction:
        gap = decoded - rows
        loss += reconstruction * float(np.einsum("ij,ij->", gap, gap)) / len(rows)
        by_row += gap * rows.dtype.type(2 * reconstruction / len(rows))
    return loss, sum_by_codeword(labels, by_row, codebooks.shape[1])


def _judge(
    space: CodedSpace,
    judges: NDArray[np.float32],
    judging: NDArray[np.intp],
    codebooks: NDArray[np.float32],
    temperature: float,
) -> float:
    rows = space.rows[judging]
    labels = part_labels(rows, codebooks, space.n_jobs)
    targets = softmax_rows(matmul(judges, rows) / np.float32(temperature))
    scores = matmul(judges, look_up(labels, codebooks)) * space.factors(labels, codebooks, judging)
    return cross_entropy(scores, targets, temperature)[0]
