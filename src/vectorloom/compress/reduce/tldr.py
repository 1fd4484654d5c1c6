# SPDX-License-Identifier: Apache-2.0
"""TLDR: a linear map under which near neighbours look alike and no two outputs tell the same.

    a, b = x_i, x_j          j one of the k nearest neighbours of i
    h = W (x - m)            the encoder: all that is kept
    u = norm(V norm⁺(U h))   the projector, thrown away: norm is batch normalization, ⁺ a ReLU
    c = mean over the batch of u_a u_bᵀ          (outputs × outputs)

    loss = Σ_i (1 - c_ii)² + λ Σ_{i≠j} c_ij²     (Barlow Twins)

W starts as a partly whitened PCA, W = diag(λ)^(-p) Vᵀ, and is trained by Adam with gradients
by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.descent import Adam, cosine_rate
from vectorloom.compress.products import matmul, moments
from vectorloom.compress.reduce.reduced_geometry import ReducedGeometry, typical_length
from vectorloom.compress.reduce.whitening import whitening_widths
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.progress import progress

_Params = dict[str, NDArray[Any]]
_NORM_EPS = 1e-5  # added to the variance of a unit over the batch
_WHITENING_EPS = 1e-4


class TLDR(ReducedGeometry):
    """Learn a linear map that keeps neighbours together, from the vectors alone.

    For few dimensions of many, where `PCA` spends them on what varies most rather than on what
    tells neighbours apart. Measure it against `Whitening(n, power=0.1, center=False)`, where it
    starts and which holds part of what it gains (see the docs); where exact distances matter, take
    `PCA`.

    Parameters
    ----------
    n_components : int
        At most ``dim``.
    n_neighbors : int, default=5
        Neighbours of each row that count as its twins; 3 to 10 work alike.
    n_hidden : int, default=512
        Width of the projector's hidden layer.
    n_outputs : int, default=512
        Width of its output, where the loss is taken; wider is better and dearer.
    redundancy : float, default=5e-3
        λ.
    power : float, default=0.1
        p of the start: 0 is PCA, 0.5 full whitening.
    center : bool, default=False
        Subtract the mean of the fitted vectors. Leave it where queries have another mean than the
        data, as questions have: centring both on the data's would move them apart.
    n_steps : int, default=250
        Minibatches.
    batch_size : int, default=1024
        Pairs in one; at most as many as there are rows.
    learning_rate : float, default=1e-3
        The first; it falls along half a cosine.
    max_rows : int, default=20_000
        Pairs come from so many rows, drawn at random: the search for neighbours is exact.
    n_jobs : int or None, default=None
    random_state : int, default=0

    Attributes
    ----------
    components_ : ndarray of shape (n_components, dim), float32
        W.
    mean_ : ndarray of shape (dim,), float32, or None
    loss_history_ : ndarray of shape (n_steps,), float64
    length_ : float

    Raises
    ------
    ParameterError
        More components than dimensions, fewer than 3 rows, a parameter out of range.

    Notes
    -----
    Fit: max_rows² dim for the neighbours, and for each step 12 batch_size (dim n_components +
    n_components n_hidden + n_hidden n_outputs) operations. Deterministic at any `n_jobs`.

    Scores are taken between mapped queries and mapped rows: the map stretches, on purpose.

    Differs from [1]_: starts from PCA instead of at random and takes Adam with a few hundred steps
    instead of LARS with a hundred epochs; a projector of 512 units instead of 2,048.

    References
    ----------
    .. [1] Kalantidis, Lassance, Almazán, Larlus. TLDR: twin learning for dimensionality reduction.
       TMLR 2022. arXiv:2110.09455
    .. [2] Zbontar et al. Barlow Twins: self-supervised learning via redundancy reduction. ICML
       2021. arXiv:2103.03230

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
    >>> TLDR(4, n_hidden=32, n_outputs=32, n_steps=10).fit_transform(X).shape
    (300, 4)
    """

    loss_history_: NDArray[np.float64]

    def __init__(
        self,
        n_components: int,
        n_neighbors: int = 5,
        *,
        n_hidden: int = 512,
        n_outputs: int = 512,
        redundancy: float = 5e-3,
        power: float = 0.1,
        center: bool = False,
        n_steps: int = 250,
        batch_size: int = 1024,
        learning_rate: float = 1e-3,
        max_rows: int = 20_000,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.n_hidden = n_hidden
        self.n_outputs = n_outputs
        self.redundancy = redundancy
        self.power = power
        self.center = center
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_rows = max_rows
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        jobs = check_jobs(self.n_jobs)
        self._check_parameters(*X.shape)
        rng = np.random.default_rng(self.random_state)
        self.length_ = typical_length(X)
        mean, products = moments(X, jobs)
        self.mean_ = mean.astype(np.float32) if self.center else None
        moment = products / len(X)
        params = self._start(moment if self.center else moment + np.outer(mean, mean), rng)
        if len(X) > self.max_rows:
            X = X[np.sort(rng.choice(len(X), self.max_rows, replace=False))]
        near = neighbours(X, self.n_neighbors, jobs)
        self.loss_history_ = self._train(X - mean.astype(np.float32), near, params, rng)
        self.components_ = np.ascontiguousarray(params["encoder"].T, np.float32)

    def _check_parameters(self, n: int, dim: int) -> None:
        self._check_components(self.n_components, dim)
        for name in ("n_neighbors", "n_hidden", "n_outputs", "n_steps"):
            check_count(name, getattr(self, name))
        check_count("batch_size", self.batch_size, at_least=2)
        check_count("max_rows", self.max_rows, at_least=3)
        check_count("random_state", self.random_state, at_least=0)
        for name, most in (("redundancy", np.inf), ("power", 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not 0 <= value <= most:
                raise ParameterError(f"{name} must be a number from 0 to {most}; got {value!r}.")
        if n < 3:
            raise ParameterError(
                f"TLDR needs at least 3 rows to learn from neighbours; got n_samples = {n}."
            )

    def _start(self, covariance: NDArray[np.float64], rng: np.random.Generator) -> _Params:
        variances, directions = np.linalg.eigh(covariance)
        variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1]
        k, hidden = self.n_components, self.n_hidden
        widths = whitening_widths(variances, self.power, _WHITENING_EPS)[:k]
        encoder = directions[:, :k] / widths
        # Outputs of mean square one, so that a step of Adam means the same for all data.
        power = float(np.sum(encoder * (covariance @ encoder))) / k
        encoder /= np.sqrt(power) if power > 0 else 1.0
        made = {
            "encoder": encoder,
            "hidden": rng.standard_normal((k, hidden)) * np.sqrt(2 / k),
            "output": rng.standard_normal((hidden, self.n_outputs)) / np.sqrt(hidden),
        }
        return {name: np.ascontiguousarray(value, np.float32) for name, value in made.items()}

    def _train(
        self,
        centred: NDArray[np.float32],  # without their mean, which normalization ignores
        near: NDArray[np.int64],
        params: _Params,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        size = min(self.batch_size, len(centred))
        adam = Adam(self.learning_rate)
        history = np.zeros(self.n_steps)
        with progress("training TLDR", total=self.n_steps, unit="steps") as bar:
            for step in range(self.n_steps):
                rows = rng.choice(len(centred), size, replace=False)
                twins = near[rows, rng.integers(0, near.shape[1], size)]
                history[step], gradients = twin_loss(
                    params, centred[rows], centred[twins], self.redundancy, self.n_jobs
                )
                rate = cosine_rate(step, self.n_steps, first=self.learning_rate)
                adam.step(params, gradients, learning_rate=rate)
                bar.advance(loss=float(history[step]))
        return history


def neighbours(X: NDArray[np.float32], k: int, n_jobs: int | None = None) -> NDArray[np.int64]:
    """Return the nearest other rows of each row by Euclidean distance, exactly.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    k : int
        At most n - 1 are returned.
    n_jobs : int or None, default=None

    Returns
    -------
    ndarray of shape (n, min(k, n - 1)), int64
        Best first.
    """
    view = _core.Rows(X, "float32", None)
    norms = _core.norms(view, n_jobs)
    positions, _ = _core.exact_knn_graph(view, norms, None, "l2", min(k, len(X) - 1), n_jobs)
    return np.asarray(positions)


def barlow(
    first: NDArray[Any], second: NDArray[Any], redundancy: float, n_jobs: int | None = None
) -> tuple[float, NDArray[Any], NDArray[Any]]:
    """Return the Barlow Twins loss of two normalized batches, and its gradients in them.

    Parameters
    ----------
    first, second : ndarray of shape (n, outputs), float
        Columns have mean 0 and variance 1; row i of one is the twin of row i of the other.
    redundancy : float
        λ.
    n_jobs : int or None, default=None

    Returns
    -------
    loss : float
    by_first, by_second : ndarray of shape (n, outputs)
    """
    n = len(first)
    correlation = _times(first.T, second, n_jobs) / n
    alike = np.diag(correlation).copy()
    squares = float(np.einsum("ij,ij->", correlation, correlation)) - float(alike @ alike)
    loss = float(np.square(1 - alike).sum()) + redundancy * squares
    gradient = correlation
    gradient *= 2 * redundancy / n
    np.fill_diagonal(gradient, 2 * (alike - 1) / n)
    return loss, _times(second, gradient.T, n_jobs), _times(first, gradient, n_jobs)


def twin_loss(
    params: Mapping[str, NDArray[Any]],
    first: NDArray[Any],
    second: NDArray[Any],
    redundancy: float,
    n_jobs: int | None = None,
) -> tuple[float, _Params]:
    """Return the loss of a batch of twins through encoder and projector, and all gradients.

    Parameters
    ----------
    params : dict of ndarray
        ``encoder`` (dim, k), ``hidden`` (k, hidden), ``output`` (hidden, outputs).
    first, second : ndarray of shape (n, dim), float32 or float64
    redundancy : float
    n_jobs : int or None, default=None

    Returns
    -------
    loss : float
    gradients : dict of ndarray
        Of the same names and shapes.
    """
    passes = [_forward(params, rows, n_jobs) for rows in (first, second)]
    loss, *by_output = barlow(passes[0]["out"], passes[1]["out"], redundancy, n_jobs)
    gradients = {name: np.zeros_like(value) for name, value in params.items()}
    for rows, seen, gradient in zip((first, second), passes, by_output, strict=True):
        by_out = _through_norm(gradient, seen["out"], seen["out_width"])
        gradients["output"] += _times(seen["active"].T, by_out, n_jobs)
        by_hidden = _times(by_out, params["output"].T, n_jobs)
        by_hidden *= seen["hidden"] > 0
        by_hidden = _through_norm(by_hidden, seen["hidden"], seen["hidden_width"])
        gradients["hidden"] += _times(seen["code"].T, by_hidden, n_jobs)
        by_code = _times(by_hidden, params["hidden"].T, n_jobs)
        gradients["encoder"] += _times(rows.T, by_code, n_jobs)
    return loss, gradients


def _forward(
    params: Mapping[str, NDArray[Any]], rows: NDArray[Any], n_jobs: int | None
) -> dict[str, NDArray[Any]]:
    code = _times(rows, params["encoder"], n_jobs)
    hidden, hidden_width = _norm(_times(code, params["hidden"], n_jobs))
    active = np.maximum(hidden, 0)
    out, out_width = _norm(_times(active, params["output"], n_jobs))
    return {
        "code": code,
        "hidden": hidden,
        "hidden_width": hidden_width,
        "active": active,
        "out": out,
        "out_width": out_width,
    }


def _norm(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return each column at mean 0 and variance 1 over the batch, and its width before."""
    centred = values - values.mean(axis=0)
    squares = np.einsum("ij,ij->j", centred, centred) / len(values)
    width = np.sqrt(squares + values.dtype.type(_NORM_EPS))
    centred /= width
    return centred, width


def _through_norm(
    gradient: NDArray[Any], normed: NDArray[Any], width: NDArray[Any]
) -> NDArray[Any]:
    along = np.einsum("ij,ij->j", gradient, normed) / len(normed)
    return np.asarray((gradient - gradient.mean(axis=0) - normed * along) / width)


def _times(A: NDArray[Any], B: NDArray[Any], n_jobs: int | None) -> NDArray[Any]:
    """Return A B by the core; in float64 by numpy, where gradients are checked."""
    if A.dtype == np.float64:
        return np.asarray(A @ B)
    return matmul(A, B.T, n_jobs)
