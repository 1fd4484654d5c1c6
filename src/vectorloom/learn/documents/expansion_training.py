# SPDX-License-Identifier: Apache-2.0
"""The training of weights of terms, step by step.

    L = L of ranking + λ Σ_j (mean over the batch of w_dj)²          FLOPS penalty, queries likewise

Of a batch only the columns that its queries have are weighed, which is exact for scores, and a
sample of the others, which is enough for the penalty. Rows move by Adagrad, one step size a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import InternalError
from vectorloom.learn.documents.expansion_batches import (
    Batch,
    Batches,
    Floats,
    Judged,
    Places,
    counts_of,
    margins,
)
from vectorloom.learn.documents.expansion_head import (
    Head,
    OwnWeights,
    Weighed,
    expanded_columns,
)

_SAMPLED = 1000  # learned columns that no query of the batch has
_GRAIN = 2.0**24
_BIAS_PACE = 5.0  # biases of texts move faster, since they alone make columns sparse
_QUERY_PENALTY = 10.0  # times λ: each term of a query costs a whole list of postings


@dataclass(frozen=True)
class Schedule:
    """How long and how far is trained."""

    batch: int
    epochs: int
    rate: float
    strength: float
    temperature: float
    flops: float
    expand_queries: bool
    seed: int


@dataclass(frozen=True, eq=False)
class Weighing:
    """A batch, weighed.

    Attributes
    ----------
    queries : Weighed or None
        None where queries are not expanded.
    texts : Weighed
    asked : ndarray of shape (n_queries, n_columns), float32
        Weights of queries times idf.
    shared : ndarray of shape (n_columns,), int64
        Places of the queries' columns among those of the texts.
    stands_for : ndarray of shape (len(texts.columns),), float32
        How many columns each column of the texts stands for.
    """

    queries: Weighed | None
    texts: Weighed
    asked: Floats
    shared: Places
    stands_for: Floats

    def scores(self) -> Floats:
        """Return the score of each text for each query."""
        return np.asarray(self.asked @ self.texts.weights[:, self.shared].T, dtype=np.float32)


class ExpansionTrainer:
    """Moves a head, step by step; each step depends on its number and the state alone.

    Parameters
    ----------
    head : Head
    own : OwnWeights
    idf : ndarray of shape (n_terms,), float32
    batches : Batches
    items : ndarray of int64
        Of `batches`, those to train with.
    schedule : Schedule
    """

    def __init__(
        self,
        head: Head,
        own: OwnWeights,
        idf: Floats,
        batches: Batches,
        items: Places,
        schedule: Schedule,
    ) -> None:
        self._head, self._own, self._idf = head, own, idf
        self._batches, self._items, self._how = batches, items, schedule
        self._most = max(1, schedule.batch // batches.texts_an_item)
        self._a_step = min(self._most, len(items))
        self._an_epoch = max(1, len(items) // self._a_step)
        self.n_steps = self._an_epoch * schedule.epochs
        self._order: tuple[int, Places] = (-1, items)
        self.squares = {
            f"{name}_squares": np.zeros(len(array), dtype=np.float32)
            for name, array in head.arrays().items()
        }
        rows = {name: _row_length(getattr(head, name)) for name in ("reading", "writing")}
        bias = schedule.strength
        sizes = {**rows, "bias": _BIAS_PACE * bias, "query_bias": bias, "gains": 1.0}
        self._rates = {name: schedule.rate * size for name, size in sizes.items()}

    def arrays(self) -> dict[str, Floats]:
        """Return all that a training goes on from."""
        return {**self._head.arrays(), **self.squares}

    def run(self, begin: int, end: int, n_jobs: int | None) -> tuple[float, int]:
        """Take steps; return the sum of ranking losses and the number of queries."""
        from threadpoolctl import threadpool_limits

        total, n = 0.0, 0
        with threadpool_limits(limits=1):
            for step in range(begin, end):
                rng = np.random.default_rng([self._how.seed, 1, step])
                batch = self._batches.draw(self._chosen(step), rng)
                loss = self._step(batch, 1 - step / self.n_steps, rng)
                # Multiples of 2^-24 add up to the same in whatever calls the steps come.
                total += float(np.rint(loss * len(batch.queries) * _GRAIN)) / _GRAIN
                n += len(batch.queries)
        return total, n

    def evaluate(self, items: Places) -> float:
        """Return the mean ranking loss of items, of which nothing is learned."""
        total, n = 0.0, 0
        for start in range(0, len(items), self._most):
            rng = np.random.default_rng([self._how.seed, 2, start])
            batch = self._batches.draw(items[start : start + self._most], rng)
            scores = self._weighed(batch, np.empty(0, np.int64)).scores()
            loss, _ = batch.loss(scores, self._how.temperature)
            total += loss * len(batch.queries)
            n += len(batch.queries)
        return total / max(n, 1)

    def match(self, judged: Judged) -> None:
        """Bring a teacher's margins to the size that ours have before training.

        Parameters
        ----------
        judged : Judged
            The batches of this trainer.
        """
        batch = judged.draw(self._chosen(0), np.random.default_rng([self._how.seed, 3]))
        if batch.wanted is None:
            raise InternalError("a batch of judged texts without scores")
        scores = self._weighed(batch, np.empty(0, np.int64)).scores().astype(np.float64)
        nothing = np.where(np.isfinite(batch.wanted), 0.0, np.nan)
        ours, _ = margins(scores, nothing)
        theirs, _ = margins(np.nan_to_num(batch.wanted.astype(np.float64)), nothing)
        if ours > 0 and theirs > 0:
            judged.rescale(float(np.sqrt(ours / theirs)))

    def _chosen(self, step: int) -> Places:
        epoch, place = divmod(step, self._an_epoch)
        if self._order[0] != epoch:
            rng = np.random.default_rng([self._how.seed, 0, epoch])
            self._order = (epoch, rng.permutation(self._items))
        return self._order[1][place * self._a_step : (place + 1) * self._a_step]

    def _weighed(self, batch: Batch, sampled: Places) -> Weighing:
        """Weigh a batch at the columns of its queries and at sampled ones."""
        n_terms, n_learned = len(self._head.gains), len(self._head.bias)
        counts = counts_of(batch.queries, n_terms)
        columns = np.unique(counts.indices).astype(np.int64)
        queries = None
        if self._how.expand_queries:
            reading = self._head.read(counts)
            columns = np.union1d(columns, expanded_columns(self._head, reading))
            queries = Weighed.of(self._head, reading, counts, columns, query=True)
        asked = counts[:, columns].toarray() if queries is None else queries.weights
        others = np.setdiff1d(sampled, columns)
        every = np.union1d(columns, others)
        told = counts_of(batch.texts, n_terms)
        reading = self._head.read(told)
        texts = Weighed.of(self._head, reading, self._own.of_texts(told), every, query=False)
        stands_for = np.ones(len(every), dtype=np.float32)
        left = n_learned - np.searchsorted(columns, n_learned)
        stands_for[np.isin(every, others)] = left / max(len(others), 1)
        shared = np.searchsorted(every, columns)
        return Weighing(queries, texts, asked * self._idf[columns], shared, stands_for)

    def _step(self, batch: Batch, falling: float, rng: np.random.Generator) -> float:
        how, n_learned = self._how, len(self._head.bias)
        sampled = rng.choice(n_learned, min(_SAMPLED, n_learned), replace=False)
        found = self._weighed(batch, sampled)
        loss, by_scores = batch.loss(found.scores(), how.temperature)
        by_texts = _by_flops(found.texts.weights, how.flops * found.stands_for)
        by_texts[:, found.shared] += by_scores.T @ found.asked
        moves = found.texts.gradients(by_texts)
        if found.queries is not None:
            by_queries = by_scores @ found.texts.weights[:, found.shared]
            by_queries *= self._idf[found.queries.columns]
            by_queries += _by_flops(found.queries.weights, _QUERY_PENALTY * how.flops)
            moves += found.queries.gradients(by_queries)
        for name, rows, gradient in moves:
            self._move(name, rows, gradient, falling)
        return loss

    def _move(self, name: str, rows: NDArray[Any], gradient: Floats, falling: float) -> None:
        """Adagrad, one step size a row."""
        array, squares = getattr(self._head, name), self.squares[f"{name}_squares"]
        sizes = np.square(gradient) if gradient.ndim == 1 else np.square(gradient).sum(axis=1)
        squares[rows] += sizes
        steps = self._rates[name] * falling / (np.sqrt(squares[rows]) + np.float32(1e-12))
        array[rows] -= gradient * (steps if gradient.ndim == 1 else steps[:, None])


def _by_flops(weights: Floats, factors: Any) -> Floats:
    """Return the gradient of Σ_j factor_j (mean_d w_dj)², the same for each text."""
    by_one = (2 * factors * weights.mean(axis=0) / len(weights)).astype(np.float32)
    return np.repeat(by_one[None], len(weights), axis=0)


def _row_length(rows: Floats) -> float:
    if not rows.size:
        return 1.0
    return float(np.sqrt(np.square(rows, dtype=np.float64).sum(axis=1).mean()))
