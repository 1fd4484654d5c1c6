# SPDX-License-Identifier: Apache-2.0
"""A projection of token vectors under which a few centroids an item rank best.

With W learned, an item's vectors are projected, z_t = W x_t / |W x_t|, clustered by k-means, and
each cluster becomes

    v_j = W m_j / |W m_j|,    m_j the mean of the x_t of cluster j;

the loss is the contrast of MaxSim between projected queries and these centroids (`late_contrast`),
clusters are found anew every few epochs: what is learned is to be clustered. (The mean of W x_t
instead of z_t: vectors of a cluster have nearly one length under W, and the gradient is exact.)

Veneroso et al. "CRISP: clustering multi-vector representations for denoising and pruning", 2025,
arXiv:2505.11471. There the whole model is trained; here the vectors are frozen.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.products import gram
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.index.multivector.late_contrast import Padded, padded
from vectorloom.index.multivector.learned_pooling import LearnedPooling
from vectorloom.index.multivector.token_pooling import ward_groups
from vectorloom.index.multivector.token_vectors import TokenVectors
from vectorloom.io.container import register_loader

KIND = "index.crisp"

_ROUNDS = 3  # of k-means after Ward's clusters, or after those of the last epoch
_EVERY = 4  # epochs between two clusterings: the map turns slowly
_SAMPLE = 50_000  # vectors that the leading directions are taken from

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class CRISP(LearnedPooling):
    """Few centroids an item, of vectors projected so that they rank well.

    Use it where queries with answers are at hand, and the number of vectors is fixed; without them
    `pool_tokens` with ``most=`` makes centroids of the vectors as they are. To choose the number at
    search time, take `NestedMultiVector`.

    Parameters
    ----------
    n_vectors : int, default=8
        Centroids of an item; one of fewer vectors keeps these.
    n_components : int or None, default=None
        Dimensions of the projection; it starts at the leading directions of the vectors. None keeps
        all, and starts at the identity.
    n_epochs : int, default=20
        Passes over the pairs.
    batch_size : int, default=48
        Pairs a step, each the others' negatives.
    temperature : float, default=0.03
    learning_rate : float, default=1e-4
    random_state : int, default=0

    Attributes
    ----------
    map_ : ndarray of shape (n_components, dim), float32
        W.
    losses_ : ndarray of shape (n_epochs,), float64
    held_out_losses_ : ndarray of shape (n_epochs + 1,), float64
        Of a fifth of the queries, before training first. The map of the least one is kept; empty
        below ten queries, and the last map is then.

    Raises
    ------
    ParameterError, ShapeError
        More components than dimensions; what `MultiVector` refuses.

    Notes
    -----
    Queries are projected too: search with `encode_queries`. Cost: Ward's clustering and three
    rounds of k-means, 3 ms an item of 180 vectors; every fourth epoch
    clusters the documents of the pairs anew. Deterministic.

    References
    ----------
    .. [1] Veneroso et al. "CRISP", 2025, arXiv:2505.11471.

    Examples
    --------
    >>> import numpy as np
    >>> import vectorloom as vl
    >>> tokens = np.random.default_rng(0).standard_normal((40, 12, 16))
    >>> crisp = CRISP(n_vectors=3, n_components=8, n_epochs=2).fit(tokens, tokens[:, :2])
    >>> index = vl.index.MultiVector(encoding=None).fit(crisp.encode_documents(tokens))
    >>> hits = index.search(crisp.encode_queries(tokens[:2, :2]), k=1)
    >>> index.n_vectors_, index.dim_
    (120, 8)
    """

    _kind = KIND
    _maps_queries = True

    def __init__(
        self,
        n_vectors: int = 8,
        n_components: int | None = None,
        n_epochs: int = 20,
        batch_size: int = 48,
        temperature: float = 0.03,
        learning_rate: float = 1e-4,
        random_state: int = 0,
    ) -> None:
        self.n_vectors = n_vectors
        self.n_components = n_components
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.random_state = random_state

    def encode_queries(self, queries: Any) -> tuple[Floats, Ints]:
        """Return the projected vectors of queries, each of them kept.

        Parameters
        ----------
        queries : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)

        Returns
        -------
        values : ndarray of shape (n_vectors, n_components), float32
            Of unit length.
        offsets : ndarray of shape (n + 1,), int64
        """
        tokens = self._unit(queries, "queries", self._fitted().shape[1])
        return self._mapped(tokens.values), tokens.offsets

    def _check(self) -> None:
        super()._check()
        check_count("n_vectors", self.n_vectors)
        if self.n_components is not None:
            check_count("n_components", self.n_components)

    def _budgets(self) -> tuple[int, ...]:
        return (self.n_vectors,)

    def _start(self, tokens: TokenVectors) -> Floats:
        if self.n_components is None:
            return np.eye(tokens.dim, dtype=np.float32)
        if self.n_components > tokens.dim:
            raise ParameterError(
                f"n_components must be at most the dimensions, {tokens.dim}; got "
                f"{self.n_components}."
            )
        rng = np.random.default_rng(self.random_state)
        most = min(_SAMPLE, len(tokens.values))
        chosen = np.sort(rng.choice(len(tokens.values), most, replace=False))
        _, directions = np.linalg.eigh(gram(tokens.values[chosen], n_jobs=1))
        leading = directions[:, ::-1][:, : self.n_components].T
        return np.ascontiguousarray(leading, np.float32)

    def _means_of(self, item: Floats, weights: Floats) -> Floats:
        k = self.n_vectors
        if len(item) <= k:
            return item
        seen = projected(item, weights)
        return means_of(item, refined(seen, ward_groups(seen, k), k), k)

    def _viewer(self, tokens: TokenVectors) -> Callable[[Floats], Padded]:
        k = self.n_vectors
        items = list(tokens.items())
        groups = [ward_groups(item, k) if len(item) > k else np.arange(len(item)) for item in items]

        epochs = itertools.count()

        def view(weights: Floats) -> Padded:
            if next(epochs) % _EVERY == 0:
                for i, item in enumerate(items):
                    groups[i] = refined(projected(item, weights), groups[i], k)
            pairs = zip(items, groups, strict=True)
            return padded([means_of(item, own, k) for item, own in pairs], k)

        return view


def projected(item: Floats, weights: Floats) -> Floats:
    """Return W x_t of unit length."""
    rows = item @ weights.T
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, np.float32(1))
    return unit.astype(np.float32, copy=False)


def refined(rows: Floats, groups: Ints, k: int) -> Ints:
    """Return the groups after a few rounds of k-means; none is left empty that was not."""
    n = min(k, int(groups.max()) + 1)
    for _ in range(_ROUNDS):
        centres = means_of(rows, groups, k)
        squares = np.einsum("ij,ij->i", centres, centres)
        nearest = np.argmin(squares - 2 * (rows @ centres.T), axis=1)
        if len(np.unique(nearest)) < n or (nearest == groups).all():
            break
        groups = nearest.astype(np.int64)
    return groups


def means_of(rows: Floats, groups: Ints, k: int) -> Floats:
    """Return the mean of each group that has rows."""
    counts = np.bincount(groups, minlength=min(k, int(groups.max()) + 1))
    member = (groups[None, :] == np.arange(len(counts))[:, None]).astype(np.float32)
    means: Floats = (member @ rows) / counts[:, None].astype(np.float32)
    return means


register_loader(KIND, CRISP._from_container)
