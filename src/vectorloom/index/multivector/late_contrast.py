# SPDX-License-Identifier: Apache-2.0
"""A linear map of documents' vectors, learned by ranking them with MaxSim.

With documents d of vectors m_d1, m_d2, … and a map W, the views of a document are

    v_dj = W m_dj / |W m_dj|

and for queries q_1 .. q_B, each of its own document among B, and budgets b of vectors,

    S_b(q, d) = mean over x in q of max over j <= b of <x, v_dj>
    loss = - mean over b, q of log( exp(S_b(q, d_q) / τ) / sum over d of exp(S_b(q, d) / τ) )

(documents that are known to answer q too take no part in its sum). A query vector moves the one
view that is its best:  ∂S_b / ∂v_dj = (1 / |q|) sum of the x whose best is j.  With `both`, queries
are mapped by W as well. Adam's steps start at a given W; a fifth of the queries is held out, and
the W that ranks these best is kept, the one at the start among them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.contrastive import cross_entropy, through_unit_rows, unit_rows
from vectorloom.compress.descent import Adam, cosine_rate
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.index.multivector.token_vectors import TokenVectors, as_float_tokens
from vectorloom.index.multivector.token_vectors import unit_rows as unit_tokens
from vectorloom.progress import progress

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Local = Callable[[int, Floats, Floats, Ints], tuple[float, Floats]]

_HELD_OUT = 5  # of so many queries one is held out
_FEWEST_HELD_OUT = 10  # queries below which none is


@dataclass(frozen=True, eq=False)
class Padded:
    """Documents of up to k vectors each.

    Attributes
    ----------
    means : ndarray of shape (n, k, dim), float32
        Zeros behind the last vector of a document.
    counts : ndarray of shape (n,), int64
        Vectors of each document.
    """

    means: Floats
    counts: Ints

    def part(self, items: Ints) -> Padded:
        """Return these documents."""
        return Padded(self.means[items], self.counts[items])


@dataclass(frozen=True, eq=False)
class Pairs:
    """Queries and which documents answer them, checked.

    Attributes
    ----------
    queries : TokenVectors
        Of unit length.
    pairs : ndarray of shape (p, 2), int64
        Query and document.
    """

    queries: TokenVectors
    pairs: Ints


@dataclass(frozen=True, eq=False)
class Trained:
    """What training found.

    Attributes
    ----------
    weights : ndarray of shape (n_components, dim), float32
        W.
    losses : ndarray of shape (n_epochs,), float64
        Mean over an epoch's batches.
    held_out : ndarray of shape (n_epochs + 1,), float64
        Loss of the held-out queries, before training first; empty where none were.
    """

    weights: Floats
    losses: NDArray[np.float64]
    held_out: NDArray[np.float64]


def padded(items: list[Floats], k: int) -> Padded:
    """Return matrices of at most `k` rows as one array."""
    means = np.zeros((len(items), k, items[0].shape[1]), np.float32)
    for i, item in enumerate(items):
        means[i, : len(item)] = item
    return Padded(means, np.array([len(item) for item in items], np.int64))


def as_pairs(queries: Any, pairs: Any, n_documents: int, dim: int) -> Pairs:
    """Return queries and pairs, or say what is wrong with them."""
    tokens = as_float_tokens(queries, name="queries", dim=dim)
    if pairs is None:
        if len(tokens) != n_documents:
            raise ShapeError(
                f"queries must be one a document, {n_documents}; got {len(tokens)}. Where they are "
                "not, pass pairs= with the query and the document of each pair."
            )
        at = np.repeat(np.arange(n_documents, dtype=np.int64)[:, None], 2, axis=1)
    else:
        at = np.asarray(pairs)
        if at.ndim != 2 or at.shape[1] != 2 or at.dtype.kind not in "iu" or len(at) == 0:
            raise ShapeError(
                "pairs must be whole numbers of shape (n_pairs, 2), query and document; got shape "
                f"{at.shape} of dtype {at.dtype}."
            )
        at = np.unique(at.astype(np.int64), axis=0)
        limits = np.array([len(tokens), n_documents])
        if (at < 0).any() or (at >= limits).any():
            raise ParameterError(
                f"pairs must name queries below {limits[0]} and documents below {limits[1]}; got "
                f"{at.max(axis=0).tolist()} at most and {int(at.min())} at least."
            )
    if len(np.unique(at[:, 1])) < 2:
        raise ParameterError("pairs must name at least two documents: one has nothing to beat.")
    unit = unit_tokens(tokens.values, name="queries")
    return Pairs(TokenVectors(unit, tokens.offsets), at)


def nested_contrast(
    values: Floats,
    offsets: Ints,
    views: Floats,
    counts: Ints,
    budgets: tuple[int, ...],
    temperature: float,
    mask: NDArray[np.bool_] | None = None,
) -> tuple[float, Floats, Floats]:
    """Return the loss of queries against as many documents, and its gradients.

    Parameters
    ----------
    values, offsets : ndarray of shape (n_vectors, dim) and (n + 1,)
        Vectors of the queries.
    views : ndarray of shape (n, k, dim), float32
        Of unit length; document i answers query i.
    counts : ndarray of shape (n,), int64
        Vectors of each document.
    budgets : tuple of int
    temperature : float
    mask : ndarray of shape (n, n), bool, or None
        True where a document takes no part for a query.

    Returns
    -------
    loss : float
    by_views : ndarray of shape (n, k, dim)
    by_values : ndarray of shape (n_vectors, dim)
    """
    n, k, dim = views.shape
    flat = views.reshape(n * k, dim)
    products = (values @ flat.T).reshape(len(values), n, k)
    products[:, np.arange(k) >= counts[:, None]] = -np.inf
    lengths = np.diff(offsets)
    owner = np.repeat(np.arange(n), lengths)
    by_product = np.zeros_like(products)
    targets = np.eye(n, dtype=np.float32)
    loss = 0.0
    for budget in budgets:
        best = products[:, :, :budget].argmax(axis=2)[:, :, None]
        reached = np.take_along_axis(products, best, axis=2)[:, :, 0]
        scores = np.add.reduceat(reached, offsets[:-1], axis=0) / lengths[:, None]
        one, by_score = cross_entropy(scores, targets, temperature, mask)
        loss += one / len(budgets)
        share = (by_score / (lengths[:, None] * len(budgets)))[owner][:, :, None]
        moved = np.take_along_axis(by_product, best, axis=2) + share
        np.put_along_axis(by_product, best, moved.astype(np.float32), axis=2)
    rows = by_product.reshape(len(values), n * k)
    return loss, (rows.T @ values).reshape(n, k, dim), rows @ flat


class MapTrainer:
    """Learns W.

    Parameters
    ----------
    data : Pairs
    budgets : tuple of int
    both : bool
        Whether queries are mapped too.
    temperature, learning_rate : float
    batch_size, n_epochs, random_state : int
    local : callable or None, default=None
        Of the epoch, and of query vectors, views and counts, one a query: a further loss and its
        gradient by views. Held-out queries are ranked without it.
    """

    def __init__(
        self,
        data: Pairs,
        *,
        budgets: tuple[int, ...],
        both: bool,
        temperature: float,
        learning_rate: float,
        batch_size: int,
        n_epochs: int,
        random_state: int,
        local: Local | None = None,
    ) -> None:
        self.local = local
        self.data = data
        self.budgets = budgets
        self.both = both
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.rng = np.random.default_rng(random_state)
        self.known = {(int(q), int(d)) for q, d in data.pairs}

    def train(self, start: Floats, views: Callable[[Floats], Padded]) -> Trained:
        """Descend from `start`.

        Parameters
        ----------
        start : ndarray of shape (n_components, dim), float32
        views : callable
            Of a map, the documents' vectors that are to be mapped by it; asked at the start and
            after each epoch.

        Returns
        -------
        Trained
        """
        weights = np.array(start, np.float32)
        adam = Adam(self.learning_rate)
        taught, held = self._divided()
        documents = views(weights)
        tests = [self._batch(rows) for rows in _chunks(held, self.batch_size)]
        held_out = [self._loss(weights, documents, tests)] if tests else []
        best, kept = (held_out[0] if tests else np.inf), weights.copy()
        steps = max(1, -(-len(taught) // self.batch_size))
        losses = []
        with progress("training", total=self.n_epochs, unit="epochs") as bar:
            for epoch in range(self.n_epochs):
                order = self.rng.permutation(taught)
                seen = []
                for step, rows in enumerate(_chunks(order, self.batch_size)):
                    at = epoch * steps + step
                    rate = cosine_rate(at, self.n_epochs * steps, first=self.learning_rate)
                    loss, gradient = self._gradient(weights, documents, self._batch(rows), epoch)
                    adam.step({"W": weights}, {"W": gradient}, rate)
                    seen.append(loss)
                losses.append(float(np.mean(seen)))
                documents = views(weights)
                if tests:
                    held_out.append(self._loss(weights, documents, tests))
                if not tests or held_out[-1] < best:
                    best, kept = (held_out[-1] if tests else np.inf), weights.copy()
                bar.advance(loss=losses[-1])
        return Trained(kept, np.array(losses), np.array(held_out))

    def _divided(self) -> tuple[Ints, Ints]:
        """Return the pairs to learn from and those of held-out queries."""
        asked = np.unique(self.data.pairs[:, 0])
        rows = np.arange(len(self.data.pairs))
        if len(asked) < _FEWEST_HELD_OUT:
            return rows, rows[:0]
        out = self.rng.permutation(asked)[: len(asked) // _HELD_OUT]
        held = np.isin(self.data.pairs[:, 0], out)
        return rows[~held], self.rng.permutation(rows[held])

    def _batch(self, rows: Ints) -> tuple[TokenVectors, Ints, NDArray[np.bool_]]:
        """Return the queries, documents and mask of pairs; a document comes once."""
        chosen = self.data.pairs[rows]
        chosen = chosen[np.sort(np.unique(chosen[:, 1], return_index=True)[1])]
        documents = chosen[:, 1]
        mask = np.array([[(int(q), int(d)) in self.known for d in documents] for q in chosen[:, 0]])
        np.fill_diagonal(mask, False)
        return self.data.queries.take(chosen[:, 0]), documents, mask

    def _loss(self, weights: Floats, documents: Padded, batches: list[Any]) -> float:
        found = [self._gradient(weights, documents, batch)[0] for batch in batches]
        return float(np.average(found, weights=[len(batch[1]) for batch in batches]))

    def _gradient(
        self, weights: Floats, documents: Padded, batch: Any, epoch: int | None = None
    ) -> tuple[float, Floats]:
        queries, items, mask = batch
        part = documents.part(items)
        flat = part.means.reshape(-1, part.means.shape[2])
        views, lengths = unit_rows(flat @ weights.T)
        values = queries.values
        if self.both:
            values, query_lengths = unit_rows(queries.values @ weights.T)
        shape = (*part.means.shape[:2], len(weights))
        loss, by_views, by_values = nested_contrast(
            values,
            queries.offsets,
            views.reshape(shape),
            part.counts,
            self.budgets,
            self.temperature,
            mask,
        )
        if self.local is not None and epoch is not None:
            more, by_local = self.local(epoch, values, views.reshape(shape), part.counts)
            loss, by_views = loss + more, by_views + by_local
        gradient = through_unit_rows(by_views.reshape(views.shape), views, lengths).T @ flat
        if self.both:
            gradient += through_unit_rows(by_values, values, query_lengths).T @ queries.values
        return loss, gradient.astype(np.float32)


def _chunks(rows: Ints, size: int) -> list[Ints]:
    """Return runs of `size`; a last one of one row alone joins the run before."""
    runs = [rows[i : i + size] for i in range(0, len(rows), size)]
    if len(runs) > 1 and len(runs[-1]) == 1:
        runs[-2:] = [np.concatenate(runs[-2:])]
    return runs
