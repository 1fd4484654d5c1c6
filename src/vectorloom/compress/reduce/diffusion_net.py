# SPDX-License-Identifier: Apache-2.0
"""Diffusion nets: an encoder and a decoder that extend a manifold map to new rows, both ways.

    encoder f:  ½ mean |f(x_i) - ψ_i|²  +  ½ η Σ_j mean ((P - λ_j I) f_j)²  +  ½ μ |θ|²
    decoder g:  ½ mean |g(ψ_i) - x_i|²  +  ½ μ |θ|²
    outlier score:  |x - g(f(x))|²

ψ are the diffusion coordinates of the rows (or any map that is given), P the random walk and λ_j
its eigenvalues: the second term asks that each output be an eigenvector, which regularises where
rows are few. Both nets have two hidden layers of tanh; gradients are written out below.
"""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.compressor import Compressor
from vectorloom.compress.descent import Adam, cosine_rate, minibatches
from vectorloom.compress.products import matmul
from vectorloom.compress.reduce.diffusion import affinities, leading_eigenvectors, symmetric_walk
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.progress import progress
from vectorloom.vectors import as_dense

_Layers = dict[str, NDArray[np.float32]]


class DiffusionNet(Compressor):
    """Learn diffusion coordinates as a function, with its inverse.

    Use it to carry a map of a few thousand rows (diffusion maps, t-SNE, UMAP or `HeatGeodesic`,
    given as a matrix `y`) to millions of new ones without keeping the old ones, to decode places of
    a map, or to score outliers. For search, a linear reducer is better and far cheaper.

    Parameters
    ----------
    n_components : int, default=2
        Diffusion coordinates; ignored when a map is given as `y`.
    hidden : int, default=64
        Units of each of the two hidden layers.
    n_neighbors : int, default=16
        Of the graph.
    eigen_weight : float, default=0.1
        η; 0 switches the eigenvector term off. It counts only for diffusion coordinates.
    weight_decay : float, default=1e-5
        μ.
    epochs : int, default=400
        Passes over the rows; each net.
    batch_size : int, default=256
    learning_rate : float, default=3e-3
        Falls to zero along a cosine.
    random_state : int, default=0
    n_jobs : int or None, default=None
        Of the neighbour search.

    Attributes
    ----------
    encoder_, decoder_ : dict of str to ndarray
        Weights ``w0, b0, …`` of three layers each.
    mean_, scale_ : ndarray of shape (dim,), float32
        Rows are standardised by them.
    map_mean_, map_scale_ : ndarray of shape (n_components,), float32
        Places likewise.
    eigenvalues_ : ndarray of shape (n_components,), or None
    loss_ : tuple of (float, float)
        Mean squared error of encoder and decoder on the rows, in units of the variances.

    Raises
    ------
    ParameterError
    ShapeError
        `y` is no map of the rows.

    Notes
    -----
    Fit: a neighbour graph, k eigenvectors of a sparse matrix, then epochs x n x (weights) x 6
    multiply-adds for each net. Transform: n x weights. The same bits for the same `random_state`.

    References
    ----------
    .. [1] Mishne, Shaham, Cloninger, Cohen. Diffusion nets. Applied and Computational Harmonic
       Analysis, 2019. arXiv:1506.07840

    Examples
    --------
    >>> angle = np.linspace(0, 6.2, 200)
    >>> X = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    >>> net = DiffusionNet(2, epochs=60).fit(X)
    >>> far = net.outlier_score(np.array([[4.0, 4.0]], np.float32))
    >>> bool(far[0] > net.outlier_score(X).max())
    True
    """

    output: ClassVar[str] = "dense"

    encoder_: _Layers
    decoder_: _Layers
    eigenvalues_: NDArray[np.float64] | None

    def __init__(
        self,
        n_components: int = 2,
        *,
        hidden: int = 64,
        n_neighbors: int = 16,
        eigen_weight: float = 0.1,
        weight_decay: float = 1e-5,
        epochs: int = 400,
        batch_size: int = 256,
        learning_rate: float = 3e-3,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.hidden = hidden
        self.n_neighbors = n_neighbors
        self.eigen_weight = eigen_weight
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.n_jobs = n_jobs

    def outlier_score(self, X: Any) -> NDArray[np.float32]:
        """Return how far rows lie from what the nets can reproduce.

        Parameters
        ----------
        X : array-like of shape (n, dim)

        Returns
        -------
        ndarray of shape (n,), float32
            Mean squared difference to the decoded row, in units of each column's variance.
        """
        X = as_dense(X, dim=getattr(self, "n_features_in_", None))
        difference = (X - self.inverse_transform(self.transform(X))) / self.scale_
        score: NDArray[np.float32] = (difference**2).mean(axis=1)
        return score

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        for name in ("n_components", "hidden", "n_neighbors", "epochs", "batch_size"):
            check_count(name, getattr(self, name))
        rng = np.random.default_rng(self.random_state)
        is_map = (
            y is not None and np.ndim(y) == 2
        )  # one dimension: labels, which do not matter here
        places, walk = self._given_map(X, y) if is_map else self._diffusion_map(X, rng)
        self.mean_, self.scale_ = _standard(X)
        self.map_mean_, self.map_scale_ = _standard(places)
        inputs = (X - self.mean_) / self.scale_
        targets = ((places - self.map_mean_) / self.map_scale_).astype(np.float32)
        self.encoder_ = _new_net(inputs.shape[1], self.hidden, targets.shape[1], rng)
        self.decoder_ = _new_net(targets.shape[1], self.hidden, inputs.shape[1], rng)
        first = self._train(self.encoder_, inputs, targets, walk, rng, "encoder")
        second = self._train(self.decoder_, targets, inputs, None, rng, "decoder")
        self.loss_ = (first, second)

    def _given_map(self, X: NDArray[np.float32], y: Any) -> tuple[NDArray[Any], None]:
        places = np.asarray(y)
        if len(places) != len(X):
            raise ShapeError(
                f"y is a map of the rows, shape ({len(X)}, k); got {places.shape}. Leave it out "
                "for diffusion coordinates."
            )
        self.eigenvalues_ = None
        return as_dense(places, name="y"), None

    def _diffusion_map(
        self, X: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[Any], Any]:
        k = self.n_components
        if len(X) <= k + 1:
            raise ParameterError(
                f"{k} diffusion coordinates need more than {k + 1} rows; got n_samples = {len(X)}."
            )
        W = affinities(X, self.n_neighbors, check_jobs(self.n_jobs))
        M, degrees = symmetric_walk(W, 1.0)
        values, vectors = leading_eigenvectors(M, k + 1, rng)
        right = vectors / np.sqrt(degrees)[:, None]
        right /= np.sqrt((right**2).mean(axis=0))
        self.eigenvalues_ = values[1:].copy()
        places = right[:, 1:] * values[1:]
        from scipy.sparse import csr_array, diags_array

        root = np.sqrt(degrees)
        walk = csr_array(diags_array(1 / root) @ M @ diags_array(root)).astype(np.float32)
        return places.astype(np.float32), walk

    def _train(
        self,
        net: _Layers,
        inputs: NDArray[np.float32],
        targets: NDArray[np.float32],
        walk: Any,
        rng: np.random.Generator,
        name: str,
    ) -> float:
        adam = Adam(self.learning_rate)
        n = len(inputs)
        steps = self.epochs * -(-n // self.batch_size)
        step = 0
        with progress(f"training the {name}", total=self.epochs, unit="epochs") as bar:
            for _ in range(self.epochs):
                for batch in minibatches(n, self.batch_size, rng):
                    adam.learning_rate = cosine_rate(step, steps, first=self.learning_rate)
                    adam.step(
                        net, _gradients(net, inputs[batch], targets[batch], self.weight_decay)
                    )
                    step += 1
                if walk is not None and self.eigen_weight > 0:
                    adam.step(net, self._eigen_gradients(net, inputs, walk))
                bar.advance(1)
        error = _forward(net, inputs)[-1] - targets
        return float((error**2).mean())

    def _eigen_gradients(self, net: _Layers, inputs: NDArray[np.float32], walk: Any) -> _Layers:
        """Gradient of ½ η Σ_j mean ((P - λ_j) f_j)², once an epoch: it needs all rows."""
        assert self.eigenvalues_ is not None  # set with the walk
        activations = _forward(net, inputs)
        values = self.eigenvalues_.astype(np.float32)
        shift = self.map_mean_ / self.map_scale_  # f in units of the standardised places
        outputs = activations[-1] + shift
        residual = walk @ outputs - outputs * values
        back = walk.T @ residual - residual * values
        return _backward(net, activations, self.eigen_weight * back / len(inputs), 0.0)

    def _bytes(self) -> int:
        return 4 * len(self.map_mean_)

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        return _forward(self.encoder_, (X - self.mean_) / self.scale_)[-1] * self.map_scale_ + (
            self.map_mean_
        )

    def _inverse(self, codes: NDArray[np.float32]) -> NDArray[np.float32]:
        places = (codes - self.map_mean_) / self.map_scale_
        return _forward(self.decoder_, places)[-1] * self.scale_ + self.mean_


def _standard(X: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    scale = X.std(axis=0, dtype=np.float64)
    scale[scale < 1e-12] = 1
    return X.mean(axis=0, dtype=np.float64).astype(np.float32), scale.astype(np.float32)


def _new_net(n_in: int, hidden: int, n_out: int, rng: np.random.Generator) -> _Layers:
    """Return three layers, initialised after Glorot and Bengio."""
    sizes = [n_in, hidden, hidden, n_out]
    net: _Layers = {}
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        limit = np.sqrt(6 / (a + b))
        net[f"w{i}"] = rng.uniform(-limit, limit, (a, b)).astype(np.float32)
        net[f"b{i}"] = np.zeros(b, np.float32)
    return net


def _forward(net: _Layers, X: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the input, both hidden layers and the output."""
    first = np.tanh(matmul(X, net["w0"].T) + net["b0"])
    second = np.tanh(matmul(first, net["w1"].T) + net["b1"])
    return [X, first, second, matmul(second, net["w2"].T) + net["b2"]]


def _backward(
    net: _Layers, activations: list[NDArray[np.float32]], delta: NDArray[np.float32], decay: float
) -> _Layers:
    """Return the gradients of a loss whose gradient by the output is `delta`."""
    gradients: _Layers = {}
    for i in (2, 1, 0):
        gradients[f"w{i}"] = activations[i].T @ delta + np.float32(decay) * net[f"w{i}"]
        gradients[f"b{i}"] = delta.sum(axis=0)
        if i:
            delta = (delta @ net[f"w{i}"].T) * (1 - activations[i] ** 2)
    return gradients


def _gradients(
    net: _Layers, inputs: NDArray[np.float32], targets: NDArray[np.float32], decay: float
) -> _Layers:
    """Gradients of ½ mean |net(x) - target|² + ½ decay |θ|²."""
    activations = _forward(net, inputs)
    return _backward(net, activations, (activations[-1] - targets) / np.float32(len(inputs)), decay)
