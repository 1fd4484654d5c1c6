# SPDX-License-Identifier: Apache-2.0
"""Re-nest vectors: a linear map after which every prefix is a good vector by itself.

    z = W x,    z_m = the first m numbers of z,    for each length m of a list:
    p_i = softmax_j(cos(x_i, x_j) / τ)             what a row is near to, over a batch
    q_i = softmax_j(cos(z_i,m, z_j,m) / τ)         the same, by the prefix
    loss = mean over m and i of the cross entropy of q_i against p_i

W starts as the principal directions of the uncentred vectors, strongest first, which is nested
already: no other prefix loses less squared error. The loss then trades error for neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.compressor import unit
from vectorloom.compress.contrastive import (
    cross_entropy,
    neighbour_targets,
    through_unit_rows,
    unit_rows,
)
from vectorloom.compress.descent import Adam, cosine_rate
from vectorloom.compress.products import gram, matmul
from vectorloom.compress.reduce.reduced_geometry import ReducedGeometry, typical_length
from vectorloom.compress.reduce.tldr import neighbours
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.progress import progress
from vectorloom.vectors import as_dense

_SHORTEST = 8  # the smallest length that "halves" goes down to
_QUERY_BLOCK = 256


@dataclass(frozen=True)
class QualityCurve:
    """Recall of prefixes against the full vectors under cosine.

    Attributes
    ----------
    lengths : tuple of int
    recall : tuple of float
        Share of the true nearest rows that the prefix finds, for each length.
    pca : tuple of float
        The same for as many principal components of the data at hand.
    truncated : tuple of float
        The same for prefixes of the vectors as they came.
    k : int
        Nearest rows looked at.
    """

    lengths: tuple[int, ...]
    recall: tuple[float, ...]
    pca: tuple[float, ...]
    truncated: tuple[float, ...]
    k: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Matryoshka(ReducedGeometry):
    """Turn vectors so that their prefixes of several lengths all work: one index, any size.

    For a model that was not trained for prefixes. Follow it with `Truncate`, or cut the transformed
    rows yourself. For one size only take `PCA` or `LeanVec`; prefixes of `PCA` are nearly as good,
    and better near the full length (see the docs).

    Parameters
    ----------
    n_components : int or None, default=None
        Longest prefix; None keeps all dimensions.
    lengths : tuple of int or "halves", default="halves"
        Prefixes that are trained; ``"halves"``: n_components, half of it, a quarter …, down to 8.
        Lengths in between work too.
    rotation : bool, default=False
        End with the nearest orthonormal map: the full length is then exact and decoding too, at
        about half of the gain of the short prefixes.
    temperature : float, default=0.05
        τ, above 0: lower looks at the nearest rows only.
    n_steps : int, default=80
        Minibatches; 0 leaves the principal directions.
    batch_size : int, default=128
        Rows drawn a step; their `n_neighbors` nearest join them, since a batch without near rows
        has nothing to teach.
    n_neighbors : int, default=4
    learning_rate : float, default=3e-4
    max_rows : int, default=20_000
        Rows trained on, drawn at random.
    n_jobs : int or None, default=None
    random_state : int, default=0

    Attributes
    ----------
    components_ : ndarray of shape (n_components, dim), float32
        W.
    mean_ : None
    lengths_ : ndarray of shape (n_lengths,), int64
    loss_history_ : ndarray of shape (n_steps,), float64
    length_ : float

    Raises
    ------
    ParameterError
        Lengths beyond the components, fewer than 3 rows, a parameter out of range.

    Notes
    -----
    Fit: max_rows² dim for the neighbours; a step costs (batch_size · n_neighbors)² times the sum of
    the lengths. Deterministic at any `n_jobs`. Decoding is by the pseudo-inverse.

    Given `queries`, they are the rows whose neighbours are kept, each among the fitted vectors.
    Given labels `y`, p_i is equal shares of the rows of the batch with the same label: supervised.

    Differs from [2]_: a linear map instead of a network, and neighbourhoods compared as
    distributions instead of similarity by similarity.

    References
    ----------
    .. [1] Kusupati et al. Matryoshka representation learning. NeurIPS 2022. arXiv:2205.13147
    .. [2] Yoon et al. Matryoshka-Adaptor: unsupervised and supervised tuning for smaller embedding
       dimensions. EMNLP 2024. arXiv:2407.20243

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    >>> nested = Matryoshka(n_steps=5).fit(X)
    >>> nested.transform(X)[:, :8].shape, nested.lengths_.tolist()
    ((200, 8), [16, 8])
    """

    _uses_queries: ClassVar[bool] = True

    lengths_: NDArray[np.int64]
    loss_history_: NDArray[np.float64]

    def __init__(
        self,
        n_components: int | None = None,
        lengths: tuple[int, ...] | str = "halves",
        *,
        rotation: bool = False,
        temperature: float = 0.05,
        n_steps: int = 80,
        batch_size: int = 128,
        n_neighbors: int = 4,
        learning_rate: float = 3e-4,
        max_rows: int = 20_000,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.n_components = n_components
        self.lengths = lengths
        self.rotation = rotation
        self.temperature = temperature
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.n_neighbors = n_neighbors
        self.learning_rate = learning_rate
        self.max_rows = max_rows
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        jobs = check_jobs(self.n_jobs)
        k = self._checked(*X.shape)
        labels = None if y is None else _codes_of(y, len(X))
        rng = np.random.default_rng(self.random_state)
        self.length_, self.mean_ = typical_length(X), None
        params = {"map": principal_directions(X, k, jobs)}
        if len(X) > self.max_rows:
            some = np.sort(rng.choice(len(X), self.max_rows, replace=False))
            X, labels = X[some], None if labels is None else labels[some]
        self.loss_history_ = np.zeros(self.n_steps)
        if self.n_steps:
            self._train(X, labels, queries, params, rng)
        W = params["map"]
        if self.rotation:
            left, _, right = np.linalg.svd(W.astype(np.float64), full_matrices=False)
            W = (left @ right).astype(np.float32)
        self.components_ = np.ascontiguousarray(W)

    def _checked(self, n: int, dim: int) -> int:
        k = dim if self.n_components is None else self._check_components(self.n_components, dim)
        if n < 3:
            raise ParameterError(
                f"Matryoshka needs at least 3 rows to see neighbours; got n_samples = {n}."
            )
        for name in ("batch_size", "n_neighbors"):
            check_count(name, getattr(self, name))
        check_count("n_steps", self.n_steps, at_least=0)
        check_count("max_rows", self.max_rows, at_least=3)
        check_count("random_state", self.random_state, at_least=0)
        if isinstance(self.temperature, bool) or not self.temperature > 0:
            raise ParameterError(f"temperature must be above 0; got {self.temperature!r}.")
        self.lengths_ = _resolve(self.lengths, k)
        return k

    def _train(
        self,
        X: NDArray[np.float32],
        labels: NDArray[np.int64] | None,
        queries: NDArray[np.float32] | None,
        params: dict[str, NDArray[np.float32]],
        rng: np.random.Generator,
    ) -> None:
        jobs = self.n_jobs
        anchors = X if queries is None else queries
        if queries is None:
            near = neighbours(X, self.n_neighbors, jobs)
        else:
            near = nearest(queries, X, min(self.n_neighbors, len(X)), jobs)
        adam = Adam(self.learning_rate)
        with progress("nesting", total=self.n_steps, unit="steps") as bar:
            for step in range(self.n_steps):
                drawn = rng.choice(len(anchors), min(self.batch_size, len(anchors)), replace=False)
                rows = near[drawn].ravel()
                if queries is None:
                    rows = np.concatenate([drawn, rows])
                rows = np.unique(rows)
                asked = None if queries is None else queries[drawn]
                targets = self._targets(X[rows], None if labels is None else labels[rows], asked)
                loss, gradient = prefix_loss(
                    params["map"], X[rows], asked, targets, self.lengths_, self.temperature, jobs
                )
                self.loss_history_[step] = loss
                rate = cosine_rate(step, self.n_steps, first=self.learning_rate)
                adam.step(params, {"map": gradient}, learning_rate=rate)
                bar.advance(loss=loss)

    def _targets(
        self,
        rows: NDArray[np.float32],
        labels: NDArray[np.int64] | None,
        asked: NDArray[np.float32] | None,
    ) -> NDArray[Any]:
        if asked is not None:
            return neighbour_targets(asked, self.temperature, rows)
        targets = neighbour_targets(rows, self.temperature)
        if labels is not None:
            alike = (labels[:, None] == labels[None]).astype(np.float32)
            np.fill_diagonal(alike, 0)
            shares = alike.sum(axis=1, keepdims=True)
            # A row alone with its label in the batch keeps its neighbours.
            targets = np.where(shares > 0, alike / np.maximum(shares, 1), targets)
        return targets

    def quality_curve(
        self, X: Any, queries: Any, lengths: tuple[int, ...] | None = None, k: int = 10
    ) -> QualityCurve:
        """Measure how well each prefix finds what the full vectors find.

        Parameters
        ----------
        X : array-like of shape (n, dim)
            Vectors searched, best not those fitted.
        queries : array-like of shape (m, dim)
        lengths : tuple of int or None, default=None
            None takes `lengths_`, ascending.
        k : int, default=10
            Nearest rows looked at.

        Returns
        -------
        QualityCurve
            With the recall of PCA and of plain prefixes beside it.
        """
        self._check_fitted("components_")
        rows = as_dense(X, name="X", dim=self.n_features_in_)
        asked = as_dense(queries, name="queries", dim=self.n_features_in_)
        k = min(check_count("k", k), len(rows))
        chosen = sorted(self.lengths_.tolist() if lengths is None else lengths)
        most = len(self.components_)
        for length in chosen:
            if check_count("lengths", length) > most:
                raise ParameterError(
                    f"lengths go up to n_components = {most}; got {length}. Fit with more."
                )
        truth = nearest(asked, rows, k, self.n_jobs)
        principal = principal_directions(rows, most, self.n_jobs)
        identity = np.eye(most, self.n_features_in_, dtype=np.float32)

        def recall(W: NDArray[np.float32], length: int) -> float:
            q, x = (matmul(both, W[:length], self.n_jobs) for both in (asked, rows))
            found = nearest(q, x, k, self.n_jobs)
            hits = (found[:, :, None] == truth[:, None, :]).any(axis=2)
            return float(hits.mean())

        def curve(W: NDArray[np.float32]) -> tuple[float, ...]:
            return tuple(recall(W, length) for length in chosen)

        return QualityCurve(
            tuple(chosen), curve(self.components_), curve(principal), curve(identity), k
        )


def prefix_loss(
    W: NDArray[Any],
    rows: NDArray[Any],
    asked: NDArray[Any] | None,
    targets: NDArray[Any],
    lengths: NDArray[np.int64],
    temperature: float,
    n_jobs: int | None = None,
) -> tuple[float, NDArray[Any]]:
    """Return the mean loss over the prefixes, and its gradient in W.

    Parameters
    ----------
    W : ndarray of shape (k, dim), float32 or float64
    rows : ndarray of shape (n, dim)
    asked : ndarray of shape (m, dim) or None
        Queries; None compares the rows with each other.
    targets : ndarray of shape (m or n, n)
    lengths : ndarray of int
    temperature : float
    n_jobs : int or None, default=None

    Returns
    -------
    loss : float
    gradient : ndarray of shape (k, dim)
    """
    z = _times(rows, W.T, n_jobs)
    z_asked = z if asked is None else _times(asked, W.T, n_jobs)
    by_z, by_asked = np.zeros_like(z), np.zeros_like(z_asked)
    mask = np.eye(len(rows), dtype=bool) if asked is None else None
    total = 0.0
    for length in lengths.tolist():
        right, right_lengths = unit_rows(z[:, :length])
        left, left_lengths = unit_rows(z_asked[:, :length])
        loss, by_score = cross_entropy(_times(left, right.T, n_jobs), targets, temperature, mask)
        total += loss / len(lengths)
        by_score = by_score / by_score.dtype.type(len(lengths))
        by_left = through_unit_rows(_times(by_score, right, n_jobs), left, left_lengths)
        by_right = through_unit_rows(_times(by_score.T, left, n_jobs), right, right_lengths)
        by_asked[:, :length] += by_left
        by_z[:, :length] += by_right
    if asked is None:
        return total, _times((by_z + by_asked).T, rows, n_jobs)
    return total, _times(by_z.T, rows, n_jobs) + _times(by_asked.T, asked, n_jobs)


def principal_directions(
    X: NDArray[np.float32], k: int, n_jobs: int | None = None
) -> NDArray[np.float32]:
    """Return the strongest directions of the uncentred rows.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    k : int
    n_jobs : int or None, default=None

    Returns
    -------
    ndarray of shape (k, dim), float32
        Orthonormal; the largest entry of each is positive.
    """
    frame = np.linalg.eigh(gram(X, None, n_jobs))[1][:, ::-1][:, :k].T
    largest = np.take_along_axis(frame, np.abs(frame).argmax(axis=1)[:, None], axis=1)
    return np.ascontiguousarray(frame * np.sign(largest), np.float32)


def nearest(
    queries: NDArray[np.float32], rows: NDArray[np.float32], k: int, n_jobs: int | None = None
) -> NDArray[np.int64]:
    """Return the k rows with the largest cosine to each query, in no order.

    Parameters
    ----------
    queries : ndarray of shape (m, dim), float32
    rows : ndarray of shape (n, dim), float32
    k : int
        At most n.
    n_jobs : int or None, default=None

    Returns
    -------
    ndarray of shape (m, k), int64
    """
    units = unit(rows)
    out = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), _QUERY_BLOCK):
        scores = matmul(unit(queries[start : start + _QUERY_BLOCK]), units, n_jobs)
        out[start : start + len(scores)] = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return out


def _resolve(lengths: Any, k: int) -> NDArray[np.int64]:
    if isinstance(lengths, str):
        if lengths != "halves":
            raise ParameterError(f"lengths must be 'halves' or whole numbers; got {lengths!r}.")
        found = [k]
        while found[-1] // 2 >= _SHORTEST:
            found.append(found[-1] // 2)
        return np.array(found, dtype=np.int64)
    numbers = [check_count("lengths", length) for length in lengths]
    if not numbers or max(numbers) > k:
        raise ParameterError(
            f"lengths must be one or more numbers up to n_components = {k}; got {lengths!r}."
        )
    return np.array(sorted(set(numbers), reverse=True), dtype=np.int64)


def _codes_of(y: Any, n: int) -> NDArray[np.int64]:
    labels = np.asarray(y)
    if labels.ndim != 1 or len(labels) != n:
        raise ShapeError(f"y must be one label a row, ({n},); got shape {labels.shape}.")
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _times(A: NDArray[Any], B: NDArray[Any], n_jobs: int | None) -> NDArray[Any]:
    """Return A B by the core; in float64 by numpy, where gradients are checked."""
    if A.dtype == np.float64:
        return np.asarray(A @ B)
    return matmul(A, B.T, n_jobs)
