# SPDX-License-Identifier: Apache-2.0
"""Recurrent binarization: a sign for each projected value, then signs of what is left of it.

    z = (W x + c) / s                              W: rotated principal directions, or trained
    b₀ = sign(z)        r₁ = z - b₀
    b_t = sign(r_t)     r_{t+1} = r_t - 2⁻ᵗ b_t    t = 1 … bits_per_dim - 1
    value of the code   v = Σ_t 2⁻ᵗ b_t            so that v ≈ z
    symmetric product   v · v' = Σ_t Σ_u 2⁻ᵗ⁻ᵘ (m - 2 hamming(b_t, b'_u))

The ladder of halves makes v an odd multiple of 2^(1 - bits): two codes are compared in integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.binary.bits import pack_signs, unpack_signs
from vectorloom.compress.binary.itq import principal_directions, procrustes_rotation
from vectorloom.compress.binary.linear_hash import LinearHash, training_rows
from vectorloom.compress.contrastive import (
    contrast,
    cross_contrast,
    neighbour_targets,
    neighbourhood_batch,
)
from vectorloom.compress.descent import Adam, cosine_rate
from vectorloom.compress.products import gram, matmul
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.progress import progress
from vectorloom.vectors import as_dense

_TRAINING_ROWS = 50_000
_ROTATION_ROWS = 10_000
_ROTATION_ROUNDS = 20
_STEPS_PER_EPOCH = 40
# Below this share of the rows, in the ridge that maps a new space onto an old one.
_RIDGE = 1e-3


class BEBR(LinearHash):
    """Binary codes of several bits a dimension, compared in integers, compatible across versions.

    Use it when codes must be compared with codes (`symmetric_scores`), or when a new model's codes
    must be searchable together with an old model's (`fit_compatible`). For float queries on one
    version `RaBitQ` keeps more at the same bytes and dimensions, `MixedBits` at the same bytes. Of
    equal bytes, half of the dimensions with twice the bits keep more than all of them.

    Parameters
    ----------
    bits_per_dim : int, default=2
        Rungs of the ladder, 1 to 8. Bytes of a code are ``bits_per_dim * ceil(n_components / 8)``.
    n_components : int or None, default=None
        Values that are binarized, at most the number of dimensions; None is all.
    n_epochs : int, default=0
        Epochs of contrastive training, 40 batches each, after the closed-form solution. See Notes
        before raising it.
    temperature : float, default=0.05
        Of the softmax over cosines that training keeps.
    learning_rate : float, default=3e-4
    random_state : int, default=0
        The same integer gives the same bits.
    n_jobs : int or None, default=None
        Threads; None takes all that are allowed.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, dim), float32
        W / s.
    offset_ : ndarray of shape (n_components,), float32
        c / s.
    decoder_ : ndarray of shape (n_components, dim), float32
    center_ : ndarray of shape (dim,), float32
        A code of values v decodes to ``center_ + v @ decoder_``.
    losses_ : ndarray of shape (n_epochs,), float64
        Mean contrastive loss of each epoch.
    compatible_with_ : str
        Fingerprint of the old version whose codes are taken too; empty without one.

    Raises
    ------
    ParameterError
        More components than dimensions, or a parameter out of range.

    Notes
    -----
    The layout of a code is plane by plane: the signs b₀ of all components, then b₁, and so on.

    Differs from the paper: its module is a multilayer perceptron trained on pairs; ours is the
    closed form (rotation, one common step s by least error), which contrastive training may move
    further, with the straight-through gradient ∂v/∂z = 1 where |z| <= 2. On 384-dimensional
    sentence vectors training did not improve the recall of neighbours, hence ``n_epochs=0``.

    Fit O(n dim²), transform O(dim n_components) a row.

    References
    ----------
    .. [1] Gan et al. Binary embedding-based retrieval at Tencent. KDD 2023. arXiv:2302.08714

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((500, 32), dtype=np.float32)
    >>> bebr = BEBR(bits_per_dim=2).fit(X)
    >>> codes = bebr.transform(X)
    >>> codes.shape
    (500, 8)
    >>> bool(bebr.symmetric_scores(codes[:1], codes).argmax() == 0)
    True
    """

    def __init__(
        self,
        bits_per_dim: int = 2,
        *,
        n_components: int | None = None,
        n_epochs: int = 0,
        temperature: float = 0.05,
        learning_rate: float = 3e-4,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.bits_per_dim = bits_per_dim
        self.n_components = n_components
        self.n_epochs = n_epochs
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.n_jobs = n_jobs

    losses_: NDArray[np.float64]
    compatible_with_: str
    _old: tuple[BEBR, NDArray[np.float32]] | None = None

    def fit_compatible(self, X: Any, old: BEBR, X_old: Any) -> BEBR:
        """Fit so that new codes and the codes of an old version can be searched together.

        The same items are given in both spaces. The new projections are regressed on the old ones,
        so a new query scores old codes (`scores` takes both kinds), and an index of old codes need
        not be encoded again.

        Parameters
        ----------
        X : array-like of shape (n, dim)
            Items in the new space.
        old : BEBR
            Fitted; its `bits_per_dim` and number of components must be this one's.
        X_old : array-like of shape (n, dim_old)
            The same items, in the same order, in the old space.

        Returns
        -------
        self

        Raises
        ------
        ParameterError
            `old` has another ladder.
        ShapeError
            Not the same number of rows.

        Notes
        -----
        The new codes inherit the old geometry: they cannot be better than what a linear map of the
        new space says about the old one. Encode again when you can.
        """
        old._check_fitted("bytes_per_vector_")
        X_old = as_dense(X_old, name="X_old", dim=old.n_features_in_)
        if len(X_old) != np.shape(X)[0]:
            raise ShapeError(
                f"X_old must hold the same items as X; got {len(X_old)} rows for {np.shape(X)[0]}."
            )
        same = old.bits_per_dim == self.bits_per_dim
        if not same or self.n_components not in (None, len(old.components_)):
            raise ParameterError(
                f"the old version has bits_per_dim={old.bits_per_dim} and "
                f"{len(old.components_)} components; use the same to be compatible."
            )
        self._old = (old, X_old)
        try:
            return self.fit(X)
        finally:
            del self._old

    def symmetric_products(self, a: Any, b: Any) -> NDArray[np.int64]:
        """Return 4 ** (bits_per_dim - 1) times v · v' of the code values: whole numbers.

        Parameters
        ----------
        a : Codes of shape (n_a, bytes_per_vector_)
        b : Codes of shape (n_b, bytes_per_vector_)

        Returns
        -------
        ndarray of shape (n_a, n_b), int64
        """
        left, right = self._integers(a), self._integers(b)
        if left.shape[1] * 4.0**self.bits_per_dim < 2**24:  # then float32 sums are exact
            return matmul(left, right, self.n_jobs).astype(np.int64)
        return (left.astype(np.float64) @ right.T.astype(np.float64)).astype(np.int64)

    def symmetric_scores(self, a: Any, b: Any) -> NDArray[np.float32]:
        """Return the cosine between codes: integer products over the lengths of the codes.

        Parameters
        ----------
        a : Codes of shape (n_a, bytes_per_vector_)
        b : Codes of shape (n_b, bytes_per_vector_)

        Returns
        -------
        ndarray of shape (n_a, n_b), float32
            Of the centred vectors, approximately; larger is closer.
        """
        left, right = (np.linalg.norm(self._integers(codes), axis=1) for codes in (a, b))
        products = self.symmetric_products(a, b)
        return np.asarray(products / (left[:, None] * right), dtype=np.float32)

    def _integers(self, codes: Any) -> NDArray[np.float32]:
        self._check_fitted("bytes_per_vector_")
        return self._unpack(self._check(codes)) * np.float32(2 ** (self.bits_per_dim - 1))

    def _check(self, codes: Any) -> Any:
        if self.compatible_with_ and getattr(codes, "fingerprint", "") == self.compatible_with_:
            codes = np.asarray(codes).view(np.ndarray)
        return super()._check(codes)

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        n_bits = check_count("bits_per_dim", self.bits_per_dim)
        n_epochs = check_count("n_epochs", self.n_epochs, at_least=0)
        check_jobs(self.n_jobs)
        if n_bits > 8:
            raise ParameterError(
                f"bits_per_dim must be from 1 to 8; got {n_bits}. More is finer than float16."
            )
        if not self.temperature > 0 or not self.learning_rate > 0:
            raise ParameterError(
                "temperature and learning_rate must be above 0; got "
                f"{self.temperature!r} and {self.learning_rate!r}."
            )
        sample = training_rows(X, _TRAINING_ROWS)
        old_values = None
        if self._old is None:
            self.compatible_with_ = ""
            self._fit_rotation(sample, n_bits)
        else:
            old, X_old = self._old
            self.compatible_with_ = old.fingerprint_
            old_projected = old._project(training_rows(X_old, _TRAINING_ROWS))
            old_values = old._values(old_projected)
            self._fit_regression(sample, old_projected)
        self.losses_ = self._train(sample, old_values, n_epochs)
        pairs = [(self._values(self._project(sample)), sample)]
        if old_values is not None:  # one decoder for both kinds, so that their scores compare
            pairs.append((old_values, sample))
        self._fit_decoder(*pairs)

    def _fit_rotation(self, X: NDArray[np.float32], n_bits: int) -> None:
        dim = X.shape[1]
        n_components = (
            dim if self.n_components is None else check_count("n_components", self.n_components)
        )
        if n_components > dim:
            raise ParameterError(
                f"n_components must be at most the {dim} dimensions of X; got {n_components}. "
                "Raise bits_per_dim for more bits."
            )
        mean = X.mean(axis=0, dtype=np.float64)
        directions = principal_directions(X, mean, n_components)
        projected = matmul(X - mean.astype(np.float32), directions, self.n_jobs)
        rotation, _ = procrustes_rotation(
            projected[:_ROTATION_ROWS], _ROTATION_ROUNDS, np.random.default_rng(self.random_state)
        )
        step = best_step(projected[:_ROTATION_ROWS] @ rotation, n_bits)
        components = (rotation.T @ directions) / step
        self.components_ = np.ascontiguousarray(components, dtype=np.float32)
        self.offset_ = -(self.components_ @ mean).astype(np.float32)

    def _fit_regression(self, X: NDArray[np.float32], projected: NDArray[np.float32]) -> None:
        """Regress what the old version projects on the new vectors: ridge, with a constant."""
        mean = X.mean(axis=0, dtype=np.float64)
        target_mean = projected.mean(axis=0, dtype=np.float64)
        inputs = np.ascontiguousarray((X - mean.astype(np.float32)).T)
        targets = np.ascontiguousarray((projected - target_mean.astype(np.float32)).T)
        squares = gram(X, mean.astype(np.float32), self.n_jobs)
        squares += np.eye(len(squares)) * (_RIDGE * np.trace(squares) / len(squares) + 1e-12)
        solved = np.linalg.solve(squares, matmul(inputs, targets, self.n_jobs).astype(np.float64))
        # Regression shrinks what it cannot predict; signs of the ladder want the old spread.
        spread = projected.std(axis=0, dtype=np.float64)
        predicted = (X @ solved.astype(np.float32)).std(axis=0, dtype=np.float64)
        solved *= np.where(predicted > 0, spread / np.where(predicted > 0, predicted, 1), 1)
        self.components_ = np.ascontiguousarray(solved.T, dtype=np.float32)
        self.offset_ = (target_mean - mean @ solved).astype(np.float32)

    def _train(
        self, X: NDArray[np.float32], old_values: NDArray[np.float32] | None, n_epochs: int
    ) -> NDArray[np.float64]:
        rng = np.random.default_rng(self.random_state)
        params = {"W": self.components_, "c": self.offset_}
        adam = Adam(self.learning_rate)
        losses = np.zeros(n_epochs)
        n_steps = n_epochs * _STEPS_PER_EPOCH
        with progress("training codes", total=n_epochs, unit="epochs") as bar:
            for epoch in range(n_epochs):
                for i in range(_STEPS_PER_EPOCH):
                    rows = neighbourhood_batch(X, rng)
                    old = None if old_values is None else old_values[rows]
                    loss, grads = compatible_loss(
                        params, X[rows], old, self.bits_per_dim, self.temperature
                    )
                    step = epoch * _STEPS_PER_EPOCH + i
                    # The entries of W are of size 1 / s: rates are relative to that.
                    size = float(np.sqrt(np.mean(np.square(params["W"]))))
                    rate = cosine_rate(step, n_steps, first=self.learning_rate) * size
                    adam.step(params, grads, rate * np.sqrt(X.shape[1]))
                    losses[epoch] += loss / _STEPS_PER_EPOCH
                bar.advance(loss=losses[epoch])
        return losses

    def _values(self, projected: NDArray[np.float32]) -> NDArray[np.float32]:
        return ladder(projected, self.bits_per_dim)

    def _pack(self, projected: NDArray[np.float32]) -> NDArray[np.uint8]:
        planes, rest = [], projected
        for rung in range(self.bits_per_dim):
            planes.append(pack_signs(rest))
            rest = rest - np.where(rest >= 0, np.float32(0.5**rung), -np.float32(0.5**rung))
        return np.concatenate(planes, axis=1)

    def _unpack(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        m = len(self.components_)
        width = -(-m // 8)
        values = np.zeros((len(codes), m), dtype=np.float32)
        for rung in range(self.bits_per_dim):
            plane = np.ascontiguousarray(codes[:, rung * width : (rung + 1) * width])
            values += unpack_signs(plane, m) * np.float32(0.5**rung)
        return values

    def _bytes(self) -> int:
        return self.bits_per_dim * -(-len(self.components_) // 8)


def ladder(projected: NDArray[Any], n_bits: int) -> NDArray[Any]:
    """Return Σ_t 2⁻ᵗ b_t, where b_t is the sign of what the rungs before have left.

    Parameters
    ----------
    projected : ndarray, float
    n_bits : int

    Returns
    -------
    ndarray of the same shape and dtype
        Odd multiples of ``2 ** (1 - n_bits)`` between -2 and 2.

    Examples
    --------
    >>> ladder(np.array([0.2, -0.7, 5.0]), 2)
    array([ 0.5, -0.5,  1.5])
    """
    # In one step: the rungs halve, so the sum is the nearest odd multiple of the last rung, or the
    # outermost one.
    last = projected.dtype.type(0.5 ** (n_bits - 1))
    nearest = (np.floor(projected / (2 * last)) * 2 + 1) * last
    return np.asarray(np.clip(nearest, -(2 - last), 2 - last))


def best_step(projected: NDArray[np.float32], n_bits: int) -> float:
    """Return the step s, of 60 tried, at which s · ladder(z / s) is nearest to z.

    Parameters
    ----------
    projected : ndarray of shape (n, n_components), float32
    n_bits : int

    Returns
    -------
    float
        Above 0.
    """
    sample = projected[:: max(1, len(projected) // 2000)]
    size = float(np.abs(sample).mean(dtype=np.float64)) or 1.0
    tried = size * np.geomspace(0.4, 4, 60)
    errors = [
        float(np.square(s * ladder(sample / np.float32(s), n_bits) - sample).mean()) for s in tried
    ]
    return float(tried[int(np.argmin(errors))])


def compatible_loss(
    params: dict[str, NDArray[Any]],
    X: NDArray[Any],
    old_values: NDArray[Any] | None,
    n_bits: int,
    temperature: float,
) -> tuple[float, dict[str, NDArray[Any]]]:
    """Return the contrastive loss of a batch of codes, with its straight-through gradient.

    Parameters
    ----------
    params : dict
        ``"W"`` of shape (n_components, dim) and ``"c"`` of shape (n_components,).
    X : ndarray of shape (n, dim), float
    old_values : ndarray of shape (n, n_components), float, or None
        Values of the same rows' codes in an old version, to stay near to.
    n_bits : int
        0 leaves the projected values as they are, which tests differentiate.
    temperature : float

    Returns
    -------
    loss : float
    gradients : dict
        Of ``"W"`` and ``"c"``. Signs are passed through as if the value were the projection
        itself, where that is within the ladder's reach.
    """
    projected = X @ params["W"].T + params["c"]
    values = ladder(projected, n_bits) if n_bits else projected
    targets = neighbour_targets(X, temperature)
    loss, gradient = contrast(values, targets, temperature)
    if old_values is not None:
        across, more = cross_contrast(values, old_values, targets, temperature)
        loss, gradient = loss + across, gradient + more
    if n_bits:
        gradient = np.where(np.abs(projected) <= 2, gradient, 0).astype(X.dtype)
    return loss, {"W": gradient.T @ X, "c": gradient.sum(axis=0)}
