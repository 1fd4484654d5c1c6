# SPDX-License-Identifier: Apache-2.0
"""Hash codes learned from labels, by contrasting each row with chosen friends and strangers.

    u = W relu(V x + d) + c        h = tanh(u)              in training; code = sign(u)
    s_ij = cos(h_i, h_j)
    P_i = the n_positives rows of the batch with i's label that are nearest to it now
    N_i = P_i and the rows of other labels
    loss = - mean_i 1/|P_i| Σ_{j in P_i} log( exp(s_ij / τ) / Σ_{l in N_i} exp(s_il / τ) )

Rows of the same label that are far away are neither pulled nor pushed: a label may be several
clusters, and codes need not merge them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.binary.linear_hash import LinearHash, training_rows
from vectorloom.compress.contrastive import (
    batch_size,
    cross_entropy,
    through_unit_rows,
    unit_rows,
)
from vectorloom.compress.descent import Adam, cosine_rate, minibatches
from vectorloom.compress.products import matmul
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.progress import progress

_TRAINING_ROWS = 100_000
_BATCH_ROWS = 256  # at most
_QUERY_BLOCK = 1024


class ContrastiveHash(LinearHash):
    """Supervised hashing: rows of one label get near codes, rows of others far ones.

    Use it when there are labels and what matters is to find rows of the same label, in a few bytes.
    It forgets what the labels do not tell: for nearest neighbours within a label use `ITQ` or
    `RaBitQ`. ``fit(X, y)`` needs one label a row.

    Parameters
    ----------
    n_bits : int, default=32
        Bits of a code.
    n_hidden : int, default=256
        Units of the hidden layer; 0 makes the hash one linear map.
    n_positives : int, default=8
        Nearest rows of the same label that pull; 0 takes all in the batch.
    temperature : float, default=0.2
    n_epochs : int, default=10
        Passes over at most 100,000 training rows.
    learning_rate : float, default=2e-3
    random_state : int, default=0
        The same integer gives the same bits.
    n_jobs : int or None, default=None
        Threads of encoding and scoring; None takes all that are allowed.

    Attributes
    ----------
    hidden_ : ndarray of shape (n_hidden, dim), float32, or None
    hidden_offset_ : ndarray of shape (n_hidden,), float32, or None
        V and d; None where there is no hidden layer.
    components_ : ndarray of shape (n_bits, n_hidden or dim), float32
    offset_ : ndarray of shape (n_bits,), float32
        W and c.
    classes_ : list
        The labels, sorted.
    train_codes_ : ndarray of shape (n_train, bytes_per_vector_), uint8
    train_labels_ : ndarray of shape (n_train,), int64
        Positions in `classes_`: what `predict_labels` votes with.
    losses_ : ndarray of shape (n_epochs,), float64
    decoder_ : ndarray of shape (n_bits, dim), float32
    center_ : ndarray of shape (dim,), float32
        A code b decodes to ``center_ + b @ decoder_``: about the mean of its label.

    Raises
    ------
    ParameterError
        No labels, labels that are neither numbers nor text, or a parameter out of range.

    Notes
    -----
    Fit O(n_epochs n (dim n_hidden + n_hidden n_bits + 256 n_bits)), transform O(dim n_hidden) a
    row. Adapted from [1]_, which learns such codes for the spans of parse trees; its chart parsing
    is left out and the selection of instances is by nearness within the batch. The relaxation by
    tanh and the hidden layer are ours.

    References
    ----------
    .. [1] Wang, Utiyama. To be continuous, or to be discrete, those are bits of questions.
           ACL 2024. arXiv:2406.07812
    .. [2] Khosla et al. Supervised contrastive learning. NeurIPS 2020. arXiv:2004.11362

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(300) % 3
    >>> X = np.eye(3, 16, dtype=np.float32)[y] + 0.1 * rng.standard_normal((300, 16))
    >>> model = ContrastiveHash(n_bits=8).fit(X.astype(np.float32), y)
    >>> model.predict_labels(np.eye(3, 16))
    array([0, 1, 2])
    """

    _needs_y = True

    def __init__(
        self,
        n_bits: int = 32,
        *,
        n_hidden: int = 256,
        n_positives: int = 8,
        temperature: float = 0.2,
        n_epochs: int = 10,
        learning_rate: float = 2e-3,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_bits = n_bits
        self.n_hidden = n_hidden
        self.n_positives = n_positives
        self.temperature = temperature
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.n_jobs = n_jobs

    hidden_: NDArray[np.float32] | None
    hidden_offset_: NDArray[np.float32] | None
    classes_: list[Any]
    train_codes_: NDArray[np.uint8]
    train_labels_: NDArray[np.int64]
    losses_: NDArray[np.float64]

    def predict_labels(self, X: Any, k: int = 10) -> NDArray[Any]:
        """Return the label that most of the k training codes nearest by Hamming distance have.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        k : int, default=10
            At most the number of training rows are asked. Of labels with equal votes the first in
            `classes_` wins; of codes at equal distance the first rows.

        Returns
        -------
        ndarray of shape (n,)
            Of the type of the labels.

        Raises
        ------
        NotFittedError, ShapeError, ParameterError
        """
        self._check_fitted("bytes_per_vector_")
        X = self._dense(X, self.n_features_in_, "X")
        k = min(check_count("k", k), len(self.train_codes_))
        classes = np.asarray(self.classes_)
        codes = self._transform(X)
        winners = np.empty(len(X), dtype=np.int64)
        for start in range(0, len(X), _QUERY_BLOCK):
            distances = self.hamming(codes[start : start + _QUERY_BLOCK], self.train_codes_)
            nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
            votes = np.zeros((len(nearest), len(classes)), dtype=np.int64)
            rows = np.repeat(np.arange(len(nearest)), k)
            np.add.at(votes, (rows, self.train_labels_[nearest].ravel()), 1)
            winners[start : start + _QUERY_BLOCK] = votes.argmax(axis=1)
        return np.asarray(classes[winners])

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        n_bits = check_count("n_bits", self.n_bits)
        n_hidden = check_count("n_hidden", self.n_hidden, at_least=0)
        check_count("n_positives", self.n_positives, at_least=0)
        n_epochs = check_count("n_epochs", self.n_epochs)
        check_jobs(self.n_jobs)
        if not self.temperature > 0 or not self.learning_rate > 0:
            raise ParameterError(
                "temperature and learning_rate must be above 0; got "
                f"{self.temperature!r} and {self.learning_rate!r}."
            )
        if len(X) < 2:
            raise ParameterError(
                "ContrastiveHash needs rows to contrast; got n_samples = 1. Pass more rows."
            )
        self.classes_, labels = encode_labels(y)
        step = -(-len(X) // _TRAINING_ROWS)
        sample, labels = training_rows(X, _TRAINING_ROWS), labels[::step]
        mean = sample.mean(axis=0, dtype=np.float64)
        # One common scale keeps the geometry; the layers are sized for inputs of about one.
        size = float(np.sqrt(np.square(sample - mean, dtype=np.float64).mean())) or 1.0
        params, self.losses_ = self._train(
            ((sample - mean) / size).astype(np.float32), labels, (n_bits, n_hidden), n_epochs
        )
        first, offset = ("V", "d") if n_hidden else ("W", "c")
        params[offset] = (params[offset] - params[first] @ (mean / size)).astype(np.float32)
        params[first] = (params[first] / size).astype(np.float32)
        self.components_, self.offset_ = params["W"], params["c"]
        self.hidden_, self.hidden_offset_ = params.get("V"), params.get("d")
        self._fit_decoder((self._values(self._project(sample)), sample))
        self.train_codes_ = self._transform(sample)
        self.train_labels_ = labels

    def _train(
        self,
        X: NDArray[np.float32],
        labels: NDArray[np.int64],
        sizes: tuple[int, int],
        n_epochs: int,
    ) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float64]]:
        rng = np.random.default_rng(self.random_state)
        params = starting_params(X.shape[1], *sizes, rng)
        adam = Adam(self.learning_rate)
        size = min(_BATCH_ROWS, batch_size(len(X)))
        n_steps = n_epochs * max(1, round(len(X) / size))
        losses = np.zeros(n_epochs)
        with progress("training hash codes", total=n_epochs, unit="epochs") as bar:
            for epoch in range(n_epochs):
                for rows in minibatches(len(X), size, rng):
                    loss, grads = hashing_loss(
                        params, X[rows], labels[rows], self.n_positives, self.temperature
                    )
                    rate = cosine_rate(adam.n_steps, n_steps, first=self.learning_rate)
                    adam.step(params, grads, rate)
                    losses[epoch] += loss * len(rows) / len(X)
                bar.advance(loss=losses[epoch])
        return params, losses

    def _project(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.hidden_ is not None and self.hidden_offset_ is not None:
            X = np.maximum(matmul(X, self.hidden_, self.n_jobs) + self.hidden_offset_, 0)
        return matmul(X, self.components_, self.n_jobs) + self.offset_


def encode_labels(y: Any) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the distinct labels as plain values, sorted, and each label's position among them.

    Parameters
    ----------
    y : array-like of shape (n,)
        Whole numbers, booleans or text.

    Returns
    -------
    classes : list
    positions : ndarray of shape (n,), int64

    Raises
    ------
    ParameterError
        Not one-dimensional, or of another type.
    """
    labels = np.asarray(y)
    if labels.dtype == object and all(isinstance(label, str) for label in labels.ravel()):
        labels = labels.astype(str)
    if labels.dtype.kind == "f" and (labels == np.rint(labels)).all():
        labels = labels.astype(np.int64)
    if labels.ndim != 1 or labels.dtype.kind not in "biuU":
        raise ParameterError(
            "y must be one whole number or text a row, shape (n,); got dtype "
            f"{labels.dtype}, shape {labels.shape}. Encode the labels first."
        )
    classes, positions = np.unique(labels, return_inverse=True)
    return classes.tolist(), positions.astype(np.int64)


def starting_params(
    dim: int, n_bits: int, n_hidden: int, rng: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Return weights drawn so that each layer's outputs are of about size one for such inputs.

    Parameters
    ----------
    dim, n_bits, n_hidden : int
    rng : numpy.random.Generator

    Returns
    -------
    dict
        ``"W"``, ``"c"`` and, with a hidden layer, ``"V"``, ``"d"``.
    """
    inputs = n_hidden or dim
    params = {
        "W": (2 / np.sqrt(inputs) * rng.standard_normal((n_bits, inputs))).astype(np.float32),
        "c": np.zeros(n_bits, np.float32),
    }
    if n_hidden:
        params["V"] = (rng.standard_normal((n_hidden, dim)) / np.sqrt(dim)).astype(np.float32)
        params["d"] = np.zeros(n_hidden, np.float32)
    return params


def select_pairs(
    similarities: NDArray[Any], labels: NDArray[np.int64], n_positives: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which pairs pull, and which take no part.

    Parameters
    ----------
    similarities : ndarray of shape (n, n), float
    labels : ndarray of shape (n,), int
    n_positives : int
        Nearest rows of the same label that pull; 0 means all.

    Returns
    -------
    positives : ndarray of shape (n, n), bool
    left_out : ndarray of shape (n, n), bool
        The diagonal, and rows of the same label that were not chosen.
    """
    same = labels[:, None] == labels
    itself = np.eye(len(labels), dtype=bool)
    friends = same & ~itself
    if not n_positives or n_positives >= len(labels):
        return friends, itself
    among = np.where(friends, similarities, -np.inf)
    last = -np.partition(-among, n_positives - 1, axis=1)[:, n_positives - 1 : n_positives]
    positives = friends & (among >= last)
    return positives, same & ~positives


def hashing_loss(
    params: dict[str, NDArray[Any]],
    X: NDArray[Any],
    labels: NDArray[np.int64],
    n_positives: int,
    temperature: float,
) -> tuple[float, dict[str, NDArray[Any]]]:
    """Return the contrastive loss of a batch, and its gradient.

    Parameters
    ----------
    params : dict
        As `starting_params` returns them.
    X : ndarray of shape (n, dim), float
    labels : ndarray of shape (n,), int
    n_positives : int
    temperature : float

    Returns
    -------
    loss : float
        Rows without a friend in the batch count zero.
    gradients : dict
        For each of `params`; which pairs were selected is taken as given.
    """
    before = X @ params["V"].T + params["d"] if "V" in params else X
    inputs = np.maximum(before, 0) if "V" in params else X
    soft = np.tanh(inputs @ params["W"].T + params["c"])
    unit, lengths = unit_rows(soft)
    scores = unit @ unit.T
    positives, left_out = select_pairs(scores, labels, n_positives)
    targets = positives / np.maximum(1, positives.sum(axis=1, keepdims=True))
    loss, by_score = cross_entropy(scores, targets.astype(X.dtype), temperature, left_out)
    by_score[~positives.any(axis=1)] = 0  # no friend: nothing to learn from
    by_soft = through_unit_rows((by_score + by_score.T) @ unit, unit, lengths)
    by_projected = by_soft * (1 - np.square(soft))
    grads = {"W": by_projected.T @ inputs, "c": by_projected.sum(axis=0)}
    if "V" in params:
        by_hidden = (by_projected @ params["W"]) * (before > 0)
        grads |= {"V": by_hidden.T @ X, "d": by_hidden.sum(axis=0)}
    return loss, grads
