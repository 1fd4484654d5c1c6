# SPDX-License-Identifier: Apache-2.0
"""Hashing whose code similarities are calibrated to use the whole range.

    h = tanh(W x + c)              s_ij = h_i · h_j / n_bits          in training; signs afterwards
    f_ij = cosine of the centred vectors i, j;  rank them over all pairs of the batch
    t_ij = 2 F⁻¹((rank(f_ij) + ½) / n_pairs) - 1                      F: Beta(α, α) on [0, 1]
    loss = mean over pairs (s_ij - t_ij)²

A hash that copies the similarities f inherits their narrow range, so that near and far pairs end up
a few bits apart: similarity collapse. Here only the order of f is kept; its distribution is chosen.
Matching quantile by quantile is the one-dimensional Wasserstein distance to that distribution.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.binary.itq import ITQ
from vectorloom.compress.binary.linear_hash import LinearHash, training_rows
from vectorloom.compress.contrastive import batch_size, unit_rows
from vectorloom.compress.descent import Adam, cosine_rate, minibatches
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.progress import progress

_TRAINING_ROWS = 20_000
_BATCH_ROWS = 256  # at most
_RANGE_ROWS = 500  # whose pairs give the range that is reported
_RANGE_QUANTILES = (0.01, 0.99)


class SDC(LinearHash):
    """Unsupervised hashing with similarity distribution calibration.

    Use it where Hamming distances must spread over the whole range, as for a search within a fixed
    radius. To find neighbours or categories `ITQ` is as good or better at the same bits and faster
    to fit (measured in the docs); with labels use `ContrastiveHash`.

    Parameters
    ----------
    n_bits : int, default=64
        Bits of a code, at most the number of dimensions.
    calibration : {"beta", "uniform", "none"}, default="beta"
        Distribution of code similarities to aim at: Beta(`concentration`, `concentration`)
        stretched to [-1, 1]; the same everywhere; or the feature similarities as they are, which
        is what collapses.
    concentration : float, default=5.0
        α of the Beta distribution: smaller spreads more, larger gathers around zero.
    n_epochs : int, default=10
        Passes over at most 20,000 training rows.
    learning_rate : float, default=2e-3
    random_state : int, default=0
        The same integer gives the same bits.
    n_jobs : int or None, default=None
        Threads of encoding and scoring; None takes all that are allowed.

    Attributes
    ----------
    components_ : ndarray of shape (n_bits, dim), float32
    offset_ : ndarray of shape (n_bits,), float32
    code_similarity_range_ : ndarray of shape (2,), float64
        1st and 99th percentile of the similarity (1 - 2 hamming / n_bits) of pairs of training
        codes. A narrow range is the collapse: near and far pairs cannot be told apart.
    feature_similarity_range_ : ndarray of shape (2,), float64
        The same of the centred vectors' cosines.
    losses_ : ndarray of shape (n_epochs,), float64
    decoder_ : ndarray of shape (n_bits, dim), float32
    center_ : ndarray of shape (dim,), float32
        A code b decodes to ``center_ + b @ decoder_``.

    Raises
    ------
    ParameterError
        More bits than dimensions, fewer than two rows, or a parameter out of range.

    Notes
    -----
    Fit starts from `ITQ` and takes O(n_epochs n n_bits (dim + 256)) time. Differs from the paper:
    the hash is one linear map of given vectors, where the paper trains on image features with a
    further quantization term; similarities in training are those of tanh, not of a sign with a
    passed-through gradient, which measured worse here.

    References
    ----------
    .. [1] Ng et al. Unsupervised hashing with similarity distribution calibration. BMVC 2023.
           arXiv:2302.07669

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((300, 32), dtype=np.float32)
    >>> sdc = SDC(n_bits=16, n_epochs=2).fit(X)
    >>> sdc.transform(X).shape
    (300, 2)
    >>> low, high = sdc.code_similarity_range_
    >>> bool(low < 0 < high)
    True
    """

    def __init__(
        self,
        n_bits: int = 64,
        *,
        calibration: str = "beta",
        concentration: float = 5.0,
        n_epochs: int = 10,
        learning_rate: float = 2e-3,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_bits = n_bits
        self.calibration = calibration
        self.concentration = concentration
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.n_jobs = n_jobs

    losses_: NDArray[np.float64]
    code_similarity_range_: NDArray[np.float64]
    feature_similarity_range_: NDArray[np.float64]

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        check_count("n_bits", self.n_bits)
        n_epochs = check_count("n_epochs", self.n_epochs, at_least=0)
        check_choice("calibration", self.calibration, ("beta", "uniform", "none"))
        check_jobs(self.n_jobs)
        if not self.concentration > 0 or not self.learning_rate > 0:
            raise ParameterError(
                "concentration and learning_rate must be above 0; got "
                f"{self.concentration!r} and {self.learning_rate!r}."
            )
        if len(X) < 2:
            raise ParameterError(
                "SDC needs pairs of rows to compare; got n_samples = 1. Pass more rows, or use ITQ."
            )
        sample = training_rows(X, _TRAINING_ROWS)
        start = ITQ(self.n_bits, random_state=self.random_state, n_jobs=self.n_jobs).fit(sample)
        # tanh bends where its argument is of size one.
        size = np.float32(np.abs(start._project(sample)).mean(dtype=np.float64)) or np.float32(1)
        self.components_ = start.components_ / size
        self.offset_ = start.offset_ / size
        self.losses_ = self._train(sample, n_epochs)
        values = self._values(self._project(sample))
        self._fit_decoder((values, sample))
        self._measure_ranges(sample, values)

    def _train(self, X: NDArray[np.float32], n_epochs: int) -> NDArray[np.float64]:
        rng = np.random.default_rng(self.random_state)
        params = {"W": self.components_, "c": self.offset_}
        adam = Adam(self.learning_rate)
        mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        concentration = {"beta": self.concentration, "uniform": 1.0, "none": None}[self.calibration]
        size = min(_BATCH_ROWS, batch_size(len(X)))
        n_steps = n_epochs * max(1, round(len(X) / size))
        losses = np.zeros(n_epochs)
        with progress("calibrating hash codes", total=n_epochs, unit="epochs") as bar:
            for epoch in range(n_epochs):
                for rows in minibatches(len(X), size, rng):
                    targets = calibrated_similarities(X[rows] - mean, concentration)
                    loss, grads = similarity_loss(params, X[rows], targets)
                    rate = cosine_rate(adam.n_steps, n_steps, first=self.learning_rate)
                    adam.step(params, grads, rate)
                    losses[epoch] += loss * len(rows) / len(X)
                bar.advance(loss=losses[epoch])
        return losses

    def _measure_ranges(self, X: NDArray[np.float32], values: NDArray[np.float32]) -> None:
        rng = np.random.default_rng(self.random_state)
        chosen = rng.choice(len(X), min(_RANGE_ROWS, len(X)), replace=False)
        pairs = np.triu_indices(len(chosen), 1)
        codes = values[chosen]
        similar = (codes @ codes.T)[pairs] / codes.shape[1]
        self.code_similarity_range_ = np.quantile(similar, _RANGE_QUANTILES).astype(np.float64)
        unit, _ = unit_rows(X[chosen] - X.mean(axis=0))
        cosines = (unit @ unit.T)[pairs]
        self.feature_similarity_range_ = np.quantile(cosines, _RANGE_QUANTILES).astype(np.float64)


def calibrated_similarities(centered: NDArray[Any], concentration: float | None) -> NDArray[Any]:
    """Return the similarity that the codes of each pair of rows should have.

    Parameters
    ----------
    centered : ndarray of shape (n, dim), float
    concentration : float or None
        α of Beta(α, α) on [-1, 1]; None returns the cosines themselves.

    Returns
    -------
    ndarray of shape (n, n)
        Symmetric, zero on the diagonal. Equal cosines get neighbouring quantiles.
    """
    n = len(centered)
    unit, _ = unit_rows(centered)
    pairs = np.triu_indices(n, 1)
    wanted = (unit @ unit.T)[pairs]
    if concentration is not None:
        order = np.argsort(wanted, kind="stable")
        wanted = np.empty_like(wanted)
        wanted[order] = quantiles(concentration, len(wanted))
    targets = np.zeros((n, n), dtype=centered.dtype)
    targets[pairs] = wanted
    return targets + targets.T


@lru_cache(maxsize=8)  # slow to find, and the same for all batches of one size
def quantiles(concentration: float, n: int) -> NDArray[np.float64]:
    """Return the n quantiles of Beta(concentration, concentration) on [-1, 1], ascending.

    Parameters
    ----------
    concentration : float
    n : int

    Returns
    -------
    ndarray of shape (n,), float64

    Examples
    --------
    >>> quantiles(1.0, 2).tolist()
    [-0.5, 0.5]
    """
    from scipy.special import betaincinv

    found = betaincinv(concentration, concentration, (np.arange(n) + 0.5) / max(1, n))
    return np.asarray(2 * found - 1)


def similarity_loss(
    params: dict[str, NDArray[Any]], X: NDArray[Any], targets: NDArray[Any]
) -> tuple[float, dict[str, NDArray[Any]]]:
    """Return the mean squared error of relaxed code similarities, and its gradient.

    Parameters
    ----------
    params : dict
        ``"W"`` of shape (n_bits, dim) and ``"c"`` of shape (n_bits,).
    X : ndarray of shape (n, dim), float
    targets : ndarray of shape (n, n), float
        Symmetric; the diagonal is not looked at.

    Returns
    -------
    loss : float
    gradients : dict
        Of ``"W"`` and ``"c"``.
    """
    n, n_bits = len(X), len(params["c"])
    soft = np.tanh(X @ params["W"].T + params["c"])
    errors = soft @ soft.T / n_bits - targets
    np.fill_diagonal(errors, 0)
    n_pairs = n * (n - 1)
    loss = float(np.square(errors).sum()) / n_pairs
    by_projected = (4 / (n_bits * n_pairs)) * (errors @ soft) * (1 - np.square(soft))
    by_projected = by_projected.astype(X.dtype)
    return loss, {"W": by_projected.T @ X, "c": by_projected.sum(axis=0)}
