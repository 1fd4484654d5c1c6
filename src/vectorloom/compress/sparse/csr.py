# SPDX-License-Identifier: Apache-2.0
"""Contrastive sparse representation: a top-k sparse autoencoder of given vectors.

    a = E (x - b) + e          z_k = the k largest entries of relu(a), the rest zero
    x̂_k = D z_k + b            rows of D (a unit's direction) kept at length one
    loss = |x̂_k - x|² + ⅛ |x̂_4k - x|²                     multi-TopK: also good at more units
         + β |D z_dead - (x - x̂_k)|²                        units unused for a while learn the rest
         + γ · contrast(z_k)                                 non-negative contrastive loss
squared errors relative to the variance of the batch; β = 1/32.

The contrast is the cross entropy between softmax(cos(z_i, z_j) / τ) and the same of the vectors;
with labels, equal shares of the rows with the same label instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.contrastive import (
    batch_size,
    contrast,
    neighbour_targets,
    neighbourhood_batch,
)
from vectorloom.compress.descent import Adam, cosine_rate
from vectorloom.compress.sparse.linear_sparse import BYTES_AN_ENTRY, LinearSparse
from vectorloom.compress.sparse.topk import keep_top_k, rows_as_csr, top_k
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.progress import progress

_AUXILIARY_WEIGHT = 1 / 32  # β of the paper
_MANY_WEIGHT = 1 / 8  # of the reconstruction from 4 k units
_DEAD_AFTER = 30  # batches without being active
_LEAST_BATCHES = 40  # of an epoch: passes over a few thousand rows alone leave units half learned
_STARTING_SCALE = 0.5  # of the encoder against the decoder: units overlap and add up too much


class CSR(LinearSparse):
    """Sparse codes: k active units of many, learned as a sparse autoencoder.

    Use it where an inverted index or a sparse product compares the codes, or where one set of
    vectors serves several budgets: fewer units can be kept of a code. At equal bytes, `PQ`,
    `RaBitQ` and their kind keep more: an active unit costs 8 bytes.

    Parameters
    ----------
    n_hidden : int or None, default=None
        Units; None is four times the number of dimensions, as in the paper.
    k : int, default=32
        Active units of a code at most, fewer where fewer are positive. Bytes of a code are
        ``8 * k``: an int32 column and a float32 value each.
    contrastive_weight : float, default=0.1
        γ; 0 leaves the plain autoencoder, which is faster to fit.
    temperature : float, default=0.05
        τ of the contrast.
    n_epochs : int, default=8
        Passes over the rows, or 40 batches each where a pass has fewer.
    learning_rate : float, default=2e-3
    random_state : int, default=0
        The same integer gives the same bits.
    n_jobs : int or None, default=None
        Threads of encoding and scoring; None takes all that are allowed.

    Attributes
    ----------
    encoder_ : ndarray of shape (n_hidden, dim), float32
    offset_ : ndarray of shape (n_hidden,), float32
        ``e - E b``.
    decoder_ : ndarray of shape (n_hidden, dim), float32
    center_ : ndarray of shape (dim,), float32
        A code z decodes to ``center_ + z @ decoder_``.
    losses_ : ndarray of shape (n_epochs,), float64
        Mean loss of each epoch.
    reconstruction_ : ndarray of shape (n_epochs,), float64
        Its first term: the share of the variance that k units leave out.
    dead_share_ : float
        Share of units that were not active in the last 30 batches.

    Raises
    ------
    ParameterError
        k above n_hidden, fewer than two rows, or a parameter out of range.

    Notes
    -----
    Fit takes O(n_epochs n n_hidden dim) time, about 25 s on one core for 20,000 vectors of 384
    dimensions; transform O(n_hidden dim) a row. ``fit(X, y)`` with labels makes the contrast
    supervised. Differs from the paper: cosines in the contrast and neighbourhoods as its targets;
    units start at training rows.

    References
    ----------
    .. [1] Wen et al. Beyond Matryoshka: revisiting sparse coding for adaptive representation.
           ICML 2025. arXiv:2503.01776
    .. [2] Gao et al. Scaling and evaluating sparse autoencoders. 2024. arXiv:2406.04093

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((300, 16), dtype=np.float32)
    >>> csr = CSR(n_hidden=64, k=4, n_epochs=2).fit(X)
    >>> codes = csr.transform(X)
    >>> codes.shape, int(np.diff(codes.indptr).max()) <= 4
    ((300, 64), True)
    >>> csr.bytes_per_vector_
    32
    """

    def __init__(
        self,
        n_hidden: int | None = None,
        k: int = 32,
        *,
        contrastive_weight: float = 0.1,
        temperature: float = 0.05,
        n_epochs: int = 8,
        learning_rate: float = 2e-3,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_hidden = n_hidden
        self.k = k
        self.contrastive_weight = contrastive_weight
        self.temperature = temperature
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.n_jobs = n_jobs

    losses_: NDArray[np.float64]
    reconstruction_: NDArray[np.float64]
    dead_share_: float

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        dim = X.shape[1]
        n_hidden = 4 * dim if self.n_hidden is None else check_count("n_hidden", self.n_hidden)
        check_count("n_epochs", self.n_epochs)
        check_jobs(self.n_jobs)
        if check_count("k", self.k) > n_hidden:
            raise ParameterError(f"k must be at most n_hidden={n_hidden}; got {self.k}.")
        positive = self.temperature > 0 and self.learning_rate > 0
        if not positive or not self.contrastive_weight >= 0:
            raise ParameterError(
                "temperature and learning_rate must be above 0 and contrastive_weight at least 0; "
                f"got {self.temperature!r}, {self.learning_rate!r}, {self.contrastive_weight!r}."
            )
        if len(X) < 2:
            raise ParameterError("CSR needs rows to learn from; got n_samples = 1. Pass more rows.")
        labels = None if y is None else np.unique(np.asarray(y), return_inverse=True)[1].ravel()
        if labels is not None and len(labels) != len(X):
            raise ShapeError(f"y must have one label a row; got {len(labels)} for {len(X)} rows.")
        rng = np.random.default_rng(self.random_state)
        params = starting_params(X, n_hidden, rng)
        self._train(params, X, labels, rng)
        self.encoder_, self.decoder_, self.center_ = params["E"], params["D"], params["b"]
        self.offset_ = params["e"] - params["E"] @ params["b"]

    def _train(
        self,
        params: dict[str, NDArray[np.float32]],
        X: NDArray[np.float32],
        labels: NDArray[Any] | None,
        rng: np.random.Generator,
    ) -> None:
        n_batches = max(_LEAST_BATCHES, round(len(X) / batch_size(len(X))))
        n_steps = self.n_epochs * n_batches
        adam = Adam(self.learning_rate)
        idle = np.zeros(len(params["e"]), dtype=np.int64)
        self.losses_, self.reconstruction_ = np.zeros((2, self.n_epochs))
        with progress("training sparse codes", total=n_steps, unit="batches") as bar:
            for step in range(n_steps):
                rows = self._batch(X, labels, rng)
                targets = self._targets(X[rows], None if labels is None else labels[rows])
                loss, squared, active, grads = autoencoder_loss(
                    params,
                    X[rows],
                    self.k,
                    idle > _DEAD_AFTER,
                    (targets, self.contrastive_weight, self.temperature),
                )
                adam.step(params, grads, cosine_rate(step, n_steps, first=self.learning_rate))
                lengths = np.sqrt(np.einsum("ij,ij->i", params["D"], params["D"]))
                params["D"] /= np.maximum(lengths, 1e-12)[:, None]
                idle = np.where(active, 0, idle + 1)
                self.losses_[step // n_batches] += loss / n_batches
                self.reconstruction_[step // n_batches] += squared / n_batches
                bar.advance(loss=loss)
        self.dead_share_ = float(np.mean(idle > _DEAD_AFTER))

    def _batch(
        self, X: NDArray[np.float32], labels: NDArray[Any] | None, rng: np.random.Generator
    ) -> NDArray[np.intp]:
        if self.contrastive_weight and labels is None:
            return neighbourhood_batch(X, rng)
        return rng.choice(len(X), batch_size(len(X)), replace=False)

    def _targets(
        self, X: NDArray[np.float32], labels: NDArray[Any] | None
    ) -> NDArray[np.float32] | None:
        if not self.contrastive_weight or len(X) < 2:
            return None
        nearest = neighbour_targets(X, self.temperature)
        if labels is None:
            return nearest
        same = (labels[:, None] == labels) & ~np.eye(len(X), dtype=bool)
        counts = same.sum(axis=1, keepdims=True)
        # A row without a friend in the batch keeps its neighbourhood.
        return np.where(counts > 0, same / np.maximum(1, counts), nearest).astype(np.float32)

    def _sparsify(self, activations: NDArray[np.float32]) -> Any:
        columns = top_k(activations, self.k)
        values = np.maximum(np.take_along_axis(activations, columns, axis=1), 0)
        return rows_as_csr(columns, values, activations.shape[1])

    def _bytes(self) -> int:
        return BYTES_AN_ENTRY * self.k


def starting_params(
    X: NDArray[np.float32], n_hidden: int, rng: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Return weights that start at training rows: each unit looks towards one of them.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    n_hidden : int
    rng : numpy.random.Generator

    Returns
    -------
    dict
        ``"E"``, ``"D"`` of shape (n_hidden, dim), ``"e"`` of (n_hidden,) and ``"b"`` of (dim,).
    """
    mean = X.mean(axis=0, dtype=np.float64)
    chosen = rng.choice(len(X), n_hidden, replace=n_hidden > len(X))
    units = X[chosen] - mean
    # A little noise tells apart units that start at the same row, or at the mean.
    size = float(np.sqrt(np.square(units).mean())) or 1.0
    units = units + 0.1 * size * rng.standard_normal(units.shape)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return {
        "E": (_STARTING_SCALE * units).astype(np.float32),
        "e": np.zeros(n_hidden, np.float32),
        "D": units.astype(np.float32),
        "b": mean.astype(np.float32),
    }


def autoencoder_loss(
    params: dict[str, NDArray[Any]],
    X: NDArray[Any],
    k: int,
    dead: NDArray[np.bool_],
    contrastive: tuple[NDArray[Any] | None, float, float],
) -> tuple[float, float, NDArray[np.bool_], dict[str, NDArray[Any]]]:
    """Return the loss of a batch and its gradient; which units are active is taken as given.

    Parameters
    ----------
    params : dict
        As `starting_params` returns them.
    X : ndarray of shape (n, dim), float
    k : int
    dead : ndarray of shape (n_hidden,), bool
        Units that are to learn what the others leave out.
    contrastive : tuple of (targets, weight, temperature)
        `targets` of shape (n, n), or None to leave the contrast out.

    Returns
    -------
    loss : float
    squared : float
        Error of the reconstruction from k units, relative to the variance.
    active : ndarray of shape (n_hidden,), bool
        Units that some row of the batch used.
    gradients : dict
    """
    centered = X - params["b"]
    a = centered @ params["E"].T + params["e"]
    scale = 1 / max(float(np.square(X - X.mean(axis=0)).sum()), 1e-12)
    loss = 0.0
    by_a, by_D = np.zeros_like(a), np.zeros_like(params["D"])
    by_b = np.zeros_like(params["b"])
    few = keep_top_k(a, k)
    error = few @ params["D"] - centered
    squared = float(np.square(error).sum()) * scale
    many = keep_top_k(a, min(4 * k, a.shape[1]))
    parts = [(few, error, 1.0), (many, many @ params["D"] - centered, _MANY_WEIGHT)]
    if dead.any():
        among = np.where(dead, a, -np.inf)
        unused = keep_top_k(among, min(int(dead.sum()), max(1, X.shape[1] // 2)))
        # The error is taken as given: the auxiliary term moves dead units only.
        parts.append((unused, unused @ params["D"] + error, _AUXILIARY_WEIGHT))
    for i, (codes, wrong, weight) in enumerate(parts):
        loss += weight * float(np.square(wrong).sum()) * scale
        by_decoded = (2 * weight * scale) * wrong
        by_D += codes.T @ by_decoded
        by_a += (by_decoded @ params["D"].T) * (codes > 0)
        if i < 2:
            by_b += by_decoded.sum(axis=0)
    targets, gamma, temperature = contrastive
    if targets is not None:
        apart, by_codes = contrast(few, targets, temperature)
        loss += gamma * apart
        by_a += gamma * by_codes * (few > 0)
    by_b -= by_a.sum(axis=0) @ params["E"]
    grads = {"E": by_a.T @ centered, "e": by_a.sum(axis=0), "D": by_D, "b": by_b}
    return loss, squared, np.asarray((few > 0).any(axis=0)), grads
