# SPDX-License-Identifier: Apache-2.0
"""Sparse codes whose expected cost of comparison is what is penalised.

    a = relu(E x + e)        z = a / |a|                       the code
    FLOPs = Σ_j p_j²         p_j: share of rows with unit j active, so many multiplications a pair
    relaxed  F = Σ_j (mean over rows of z_j)²
    loss = contrast(z) + λ F,   λ growing as the square of the step over the first half

For a given number of active units F is least when all units are used equally often: p² counts, not
p. That is what an L1 penalty does not see, and why an inverted index scans less here. The contrast
is the cross entropy between softmax(cos(z_i, z_j) / τ) and the same of the vectors.
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
    through_unit_rows,
    unit_rows,
)
from vectorloom.compress.descent import Adam, cosine_rate
from vectorloom.compress.products import matmul
from vectorloom.compress.sparse.linear_sparse import BYTES_AN_ENTRY, LinearSparse
from vectorloom.compress.sparse.topk import rows_as_csr
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.progress import progress

_DECODER_ROWS = 20_000
_RIDGE = 1e-3  # of the decoder, in shares of the mean square of a unit


class FlopsSparse(LinearSparse):
    """Sparse codes from one rectified linear map, trained so that comparing them costs little.

    Use it where an inverted index compares codes and the number of active units may differ from
    row to row. `CSR` gives exactly k units a row and decodes better; choose it unless the cost of
    a scan is what you pay for.

    Parameters
    ----------
    n_hidden : int or None, default=None
        Units; None is four times the number of dimensions.
    flops_weight : float, default=1.0
        λ: larger is sparser. 0 leaves codes about half dense.
    temperature : float, default=0.05
        τ of the contrast.
    n_epochs : int, default=10
    learning_rate : float, default=2e-3
    random_state : int, default=0
        The same integer gives the same bits.
    n_jobs : int or None, default=None
        Threads of encoding and scoring; None takes all that are allowed.

    Attributes
    ----------
    encoder_ : ndarray of shape (n_hidden, dim), float32
    offset_ : ndarray of shape (n_hidden,), float32
    decoder_ : ndarray of shape (n_hidden, dim), float32
    center_ : ndarray of shape (dim,), float32
        A code z decodes to ``center_ + z @ decoder_``, by ridge regression.
    mean_active_ : float
        Active units of a training row, on average: Σ p_j.
    flops_ : float
        Expected multiplications to compare two codes: Σ p_j².
    uniformity_ : float
        ``mean_active_² / (n_hidden flops_)``: 1 where all units are used equally often, the least
        flops for so many active units.
    losses_ : ndarray of shape (n_epochs,), float64
        Mean contrastive loss of each epoch, without the penalty.

    Raises
    ------
    ParameterError
        Fewer than two rows, or a parameter out of range.

    Notes
    -----
    `bytes_per_vector_` is the mean over training rows, 8 bytes an active unit, rounded up: rows
    differ. Fit O(n_epochs n n_hidden (dim + 512)) and O(n_hidden³) once for the decoder.

    Differs from the paper: it trains image features end to end on labels; here vectors are given
    and their neighbourhoods are what is kept.

    References
    ----------
    .. [1] Paria, Yeh, Yen, Xu, Ravikumar, Póczos. Minimizing FLOPs to learn efficient sparse
           representations. ICLR 2020. arXiv:2004.05665

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((300, 16), dtype=np.float32)
    >>> model = FlopsSparse(n_hidden=64, flops_weight=3.0, n_epochs=20).fit(X)
    >>> model.transform(X).shape
    (300, 64)
    >>> bool(model.flops_ < model.mean_active_)
    True
    """

    def __init__(
        self,
        n_hidden: int | None = None,
        flops_weight: float = 1.0,
        *,
        temperature: float = 0.05,
        n_epochs: int = 10,
        learning_rate: float = 2e-3,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_hidden = n_hidden
        self.flops_weight = flops_weight
        self.temperature = temperature
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.n_jobs = n_jobs

    mean_active_: float
    flops_: float
    uniformity_: float
    losses_: NDArray[np.float64]

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        dim = X.shape[1]
        n_hidden = 4 * dim if self.n_hidden is None else check_count("n_hidden", self.n_hidden)
        check_count("n_epochs", self.n_epochs)
        check_jobs(self.n_jobs)
        positive = self.temperature > 0 and self.learning_rate > 0
        if not positive or not self.flops_weight >= 0:
            raise ParameterError(
                "temperature and learning_rate must be above 0 and flops_weight at least 0; got "
                f"{self.temperature!r}, {self.learning_rate!r}, {self.flops_weight!r}."
            )
        if len(X) < 2:
            raise ParameterError(
                "FlopsSparse needs rows to compare; got n_samples = 1. Pass more rows."
            )
        rng = np.random.default_rng(self.random_state)
        mean = X.mean(axis=0, dtype=np.float64)
        units = rng.standard_normal((n_hidden, dim))
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        size = float(np.sqrt(np.square(X - mean, dtype=np.float64).sum(axis=1).mean())) or 1.0
        # Trained on centred rows of length about one, so that the rate fits any scale of input.
        params = {"E": units.astype(np.float32), "e": np.zeros(n_hidden, np.float32)}
        self._train(params, X, (mean.astype(np.float32), np.float32(size)), rng)
        self.encoder_ = np.asarray(params["E"] / size, dtype=np.float32)
        self.offset_ = params["e"] - (self.encoder_ @ mean).astype(np.float32)
        self._fit_decoder(X[:: -(-len(X) // _DECODER_ROWS)])

    def _train(
        self,
        params: dict[str, NDArray[np.float32]],
        X: NDArray[np.float32],
        center_size: tuple[NDArray[np.float32], np.float32],
        rng: np.random.Generator,
    ) -> None:
        mean, size = center_size
        n_batches = max(1, round(len(X) / batch_size(len(X))))
        n_steps = self.n_epochs * n_batches
        adam = Adam(self.learning_rate)
        self.losses_ = np.zeros(self.n_epochs)
        with progress("training sparse codes", total=n_steps, unit="batches") as bar:
            for step in range(n_steps):
                rows = neighbourhood_batch(X, rng)
                # The penalty comes late: units first have to find something to stand for.
                weight = self.flops_weight * min(1.0, 2 * (step + 1) / n_steps) ** 2
                loss, penalty, grads = flops_loss(
                    params,
                    (X[rows] - mean) / size,
                    neighbour_targets(X[rows], self.temperature),
                    self.temperature,
                    weight,
                )
                adam.step(params, grads, cosine_rate(step, n_steps, first=self.learning_rate))
                self.losses_[step // n_batches] += loss / n_batches
                bar.advance(loss=loss, flops=penalty)

    def _fit_decoder(self, X: NDArray[np.float32]) -> None:
        codes = self._transform(np.ascontiguousarray(X)).toarray()
        active = (codes > 0).mean(axis=0)
        self.mean_active_ = float(active.sum())
        self.flops_ = float(np.square(active).sum())
        spread = len(active) * self.flops_
        self.uniformity_ = self.mean_active_**2 / spread if spread else 0.0
        mean_code, mean = codes.mean(axis=0, dtype=np.float64), X.mean(axis=0, dtype=np.float64)
        turned = np.ascontiguousarray((codes - mean_code.astype(np.float32)).T)
        target = np.ascontiguousarray((X - mean.astype(np.float32)).T)
        squares = matmul(turned, turned, self.n_jobs).astype(np.float64)
        squares += np.eye(len(squares)) * (_RIDGE * np.trace(squares) / len(squares) + 1e-12)
        solved = np.linalg.solve(squares, matmul(turned, target, self.n_jobs).astype(np.float64))
        self.decoder_ = solved.astype(np.float32)
        self.center_ = (mean - mean_code @ solved).astype(np.float32)

    def _sparsify(self, activations: NDArray[np.float32]) -> Any:
        z, _ = unit_rows(np.maximum(activations, 0))
        columns = np.broadcast_to(np.arange(z.shape[1]), z.shape)
        return rows_as_csr(columns, z, z.shape[1])

    def _bytes(self) -> int:
        return max(1, int(np.ceil(BYTES_AN_ENTRY * self.mean_active_)))


def flops_loss(
    params: dict[str, NDArray[Any]],
    X: NDArray[Any],
    targets: NDArray[Any],
    temperature: float,
    weight: float,
) -> tuple[float, float, dict[str, NDArray[Any]]]:
    """Return the contrastive loss of a batch, the relaxed FLOPs, and the gradient of the whole.

    Parameters
    ----------
    params : dict
        ``"E"`` of shape (n_hidden, dim) and ``"e"`` of shape (n_hidden,).
    X : ndarray of shape (n, dim), float
    targets : ndarray of shape (n, n), float
        Rows sum to one; the diagonal is zero.
    temperature : float
    weight : float
        λ.

    Returns
    -------
    loss : float
    penalty : float
        F, before it is weighted.
    gradients : dict
        Of loss + weight * penalty.
    """
    before = X @ params["E"].T + params["e"]
    z, lengths = unit_rows(np.maximum(before, 0))
    loss, by_code = contrast(z, targets, temperature)
    means = z.mean(axis=0)
    penalty = float(np.square(means).sum())
    by_code = by_code + (2 * weight / len(X)) * means
    by_before = (through_unit_rows(by_code, z, lengths) * (before > 0)).astype(X.dtype)
    return loss, penalty, {"E": by_before.T @ X, "e": by_before.sum(axis=0)}
