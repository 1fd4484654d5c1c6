# SPDX-License-Identifier: Apache-2.0
"""Heat-geodesic embedding: distances along the manifold from the flow of heat, then scaling.

    H_t = exp(-t L),  L = I - D^-1/2 W D^-1/2                     heat kernel of the graph
    d_t(i, j)² = -4 t log H_t(i, j) - 4 σ t log V_t(i, j)         Varadhan; V the volume correction
    V_t(i, j) = 2 / (H_t(i, i) + H_t(j, j))
    z = argmin Σ (|z_i - z_j| - d_t(i, j))²                       metric scaling by SMACOF

Varadhan's formula holds for short times; the time t, when it is not given, is the shortest after
which heat has arrived everywhere above rounding. (The paper takes the knee of an entropy; on the
swiss roll that stops before heat has crossed the sheet.)
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.compressor import Compressor
from vectorloom.compress.reduce.diffusion import affinities, check_dense, symmetric_walk
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.select.neighbours import nearest_to

_TIMES = np.geomspace(0.5, 500, 31)
_ARRIVED = 1e-12  # of the largest: below it is rounding
_CONNECTED = 1e-9  # eigenvalues of L that stand for whole parts of the graph
_SHARE = 0.999
_FLOOR = 1e-300  # of heat that never arrived


class HeatGeodesic(Compressor):
    """Embed rows so that distances are those along the manifold they lie on.

    For pictures and for data that lie on curved sheets and trees (cells, trajectories). For search,
    use a linear reducer: this one bends the space on purpose.

    Parameters
    ----------
    n_components : int, default=2
    n_neighbors : int, default=10
        Of the graph.
    t : float or "auto", default="auto"
        Diffusion time. Small follows the manifold closely (short geodesics need it), large smooths
        noise away.
    volume_weight : float, default=1.0
        σ of the volume correction, from 0 to 1: 0 is Varadhan alone, 1 like a diffusion potential
        (PHATE).
    max_iter : int, default=100
        Of the scaling.
    random_state : int, default=0
        Kept for the contract; the method is deterministic.
    n_jobs : int or None, default=None
        Of the neighbour search.

    Attributes
    ----------
    embedding_ : ndarray of shape (n, n_components), float32
    t_ : float
    stress_ : float
        Square root of the sum of squared errors of distances over that of distances.
    rows_ : ndarray of shape (n, dim), float32
        The fitted rows: transforming needs them.

    Raises
    ------
    CapacityError
        More than 8,192 rows; fit to a sample and transform the rest.
    ParameterError

    Notes
    -----
    Fit: n³ operations and three n x n matrices. Unseen rows are placed at the average of their
    nearest fitted rows' places, weighted by the same kernel, and places are decoded likewise: right
    between fitted rows, never beyond them. Parts of the graph that no path connects are put at 1.5
    times the largest finite distance.

    References
    ----------
    .. [1] Huguet, Tong, De Brouwer, Zhang, Wolf, Adelstein, Krishnaswamy. A heat diffusion
       perspective on geodesic preserving dimensionality reduction. NeurIPS 2023. arXiv:2305.19043

    Examples
    --------
    >>> X = np.linspace(0, 1, 60, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)
    >>> z = HeatGeodesic(1).fit(X).embedding_[:, 0]
    >>> bool((np.diff(z) > 0).all() or (np.diff(z) < 0).all())
    True
    """

    output: ClassVar[str] = "dense"

    embedding_: NDArray[np.float32]
    rows_: NDArray[np.float32]

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_neighbors: int = 10,
        t: float | str = "auto",
        volume_weight: float = 1.0,
        max_iter: int = 100,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.t = t
        self.volume_weight = volume_weight
        self.max_iter = max_iter
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        k: int = check_count("n_components", self.n_components)
        check_count("n_neighbors", self.n_neighbors)
        check_count("max_iter", self.max_iter)
        if not 0 <= self.volume_weight <= 1:
            raise ParameterError(f"volume_weight lies between 0 and 1; got {self.volume_weight!r}.")
        if len(X) <= k:
            raise ParameterError(
                f"{k} components need more than {k} rows; got n_samples = {len(X)}."
            )
        check_dense(len(X), "HeatGeodesic")
        M, _ = symmetric_walk(affinities(X, self.n_neighbors, check_jobs(self.n_jobs)), 0.0)
        values, vectors = np.linalg.eigh(np.eye(len(X)) - M.toarray())
        values = np.maximum(values, 0)
        self.t_ = _arrival(values, vectors) if self.t == "auto" else self._given_time()
        distances = _geodesics(values, vectors, self.t_, self.volume_weight)
        self.embedding_, self.stress_ = _scaled(distances, k, self.max_iter)
        self.rows_ = X.copy()

    def _given_time(self) -> float:
        if isinstance(self.t, str) or not self.t > 0:
            raise ParameterError(f"t is a time above 0 or 'auto'; got {self.t!r}.")
        return float(self.t)

    def _bytes(self) -> int:
        return 4 * int(self.embedding_.shape[1])

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        return _between(X, self.rows_, self.embedding_, self.n_neighbors, self.n_jobs)

    def _inverse(self, codes: NDArray[np.float32]) -> NDArray[np.float32]:
        return _between(codes, self.embedding_, self.rows_, self.n_neighbors, self.n_jobs)


def _arrival(values: NDArray[np.float64], vectors: NDArray[np.float64]) -> float:
    """Return the shortest time after which heat of every row has reached what it will reach."""
    some = np.linspace(0, len(values) - 1, min(len(values), 128)).astype(int)
    rows = vectors[some]
    reachable = rows[:, values < _CONNECTED] @ vectors[:, values < _CONNECTED].T > _ARRIVED
    for t in _TIMES:
        heat = (rows * np.exp(-t * values)) @ vectors.T
        arrived = heat > _ARRIVED * heat.max()
        if arrived[reachable].mean() > _SHARE:
            return float(t)
    return float(_TIMES[-1])


def _geodesics(
    values: NDArray[np.float64], vectors: NDArray[np.float64], t: float, volume_weight: float
) -> NDArray[np.float64]:
    """Return the matrix of heat-geodesic distances."""
    heat = (vectors * np.exp(-t * values)) @ vectors.T
    own = np.maximum(np.diag(heat), _FLOOR)
    arrived = heat > _ARRIVED * own.max()
    squared = -4 * t * np.log(np.where(arrived, np.maximum(heat, _FLOOR), 1.0))
    if volume_weight > 0:
        volume = 2 / (own[:, None] + own[None, :])
        squared -= 4 * volume_weight * t * np.log(volume)
    squared -= np.minimum(squared[arrived].min(), 0)
    distances = np.sqrt(np.maximum(squared, 0))
    distances[~arrived] = 1.5 * distances[arrived].max() if (~arrived).any() else 0
    np.fill_diagonal(distances, 0)
    return np.asarray((distances + distances.T) / 2)


def _scaled(
    distances: NDArray[np.float64], k: int, max_iter: int
) -> tuple[NDArray[np.float32], float]:
    """Return places whose distances are the given ones as far as k dimensions can, and stress."""
    from sklearn.manifold import smacof

    n = len(distances)
    squared = distances**2
    centred = squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean()
    values, vectors = np.linalg.eigh(-centred / 2)
    start = vectors[:, ::-1][:, :k] * np.sqrt(np.maximum(values[::-1][:k], 0))
    if not (distances > 0).any():
        return np.zeros((n, k), np.float32), 0.0
    places, stress = smacof(
        distances,
        metric=True,
        n_components=k,
        init=start,
        n_init=1,
        max_iter=max_iter,
        normalized_stress=False,
    )
    return places.astype(np.float32), float(np.sqrt(2 * stress / (squared.sum())))


def _between(
    X: NDArray[np.float32],
    keys: NDArray[np.float32],
    places: NDArray[np.float32],
    n_neighbors: int,
    n_jobs: int | None,
) -> NDArray[np.float32]:
    """Average the places of the nearest keys, weighted by a kernel that a hit dominates."""
    k = min(n_neighbors, len(keys))
    positions, scores = nearest_to(np.ascontiguousarray(X, np.float32), keys, k, n_jobs=n_jobs)
    squared = np.maximum(-scores, 0)
    weights = 1 / np.maximum(squared, 1e-12 * np.maximum(squared[:, -1:], 1e-30))
    weights /= weights.sum(axis=1, keepdims=True)
    result: NDArray[np.float32] = np.einsum("ij,ijk->ik", weights, places[positions]).astype(
        np.float32
    )
    return result
