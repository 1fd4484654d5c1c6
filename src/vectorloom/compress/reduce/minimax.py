# SPDX-License-Identifier: Apache-2.0
"""The representation game: be ready for the worst linear task of a class that is known beforehand.

You choose a linear map R to k dimensions; then an adversary, who has seen it, chooses a task f with
fᵀ S⁻¹ f ≤ 1; then the best linear predictor of the response <f, x> from R x is used. Its excess
error over having x itself is the regret

    regret(R, f) = min_p E(<f, x> - <p, R x>)² = fᵀ (C - C Rᵀ (R C Rᵀ)⁻¹ R C) f       C = cov(x)

With λ₁ ≥ λ₂ ≥ … the eigenvalues of S^½ C S^½ and v_i its eigenvectors (theorems 2 and 3 of [1]):

    pure    R = rows (S^½ v_i)ᵀ, i ≤ k, of any length      worst regret  λ_{k+1}
    mixed   R drawn at random among such rows, row i with chance 1 - ρ/λ_i, i ≤ l
                                                           worst regret  ρ = (l - k) / Σ_{i≤l} 1/λ_i

where l > k is the largest for which the chances are not negative. Randomizing lowers the worst
expected regret because the adversary must choose before the draw.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.products import gram, moments
from vectorloom.compress.reduce.linear import LinearReducer
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.vectors import as_dense

_Self = TypeVar("_Self", bound="Minimax")


class Minimax(LinearReducer):
    """Keep what the worst task of a known class needs.

    For vectors that will serve tasks not chosen yet, of a kind that examples show: sample queries
    (a task is the inner product with a query) or responses of earlier tasks. Without examples all
    directions are alike to the adversary, and the pure strategy spans the space of `PCA`. For the
    average instead of the worst task there is `LeanVec`; its best maps span the same space as the
    pure strategy here, so expect equal ranking: what this adds is the guarantee and the mixture.

    Parameters
    ----------
    n_components : int
        k, at most ``dim``.
    task_prior : ndarray of shape (dim, dim) or None, default=None
        S, symmetric and not negative: its ellipsoid holds the tasks. None learns it from what `fit`
        is given: the second moment of `queries`; else of the least-squares coefficients of the
        responses `y`, one column a task; else the identity.
    ridge : float, default=0.05
        Mixes this share of the identity (at equal trace) into S: the class is then a little larger
        than the examples, which are a sample.
    n_jobs : int or None, default=None

    Attributes
    ----------
    components_ : ndarray of shape (n_components, dim), float32
        R of the pure strategy, or of the last `sample`; scaled so that R x has unit covariance.
    query_components_ : ndarray of shape (n_components, dim), float32
        Predictors: the best p for a task f is ``query_components_ @ f``.
    mean_ : ndarray of shape (dim,), float32
    eigenvalues_ : ndarray of shape (dim,), float64
        λ.
    directions_ : ndarray of shape (dim, dim), float64
        Row i is S^½ v_i at the scale that gives it unit variance, zero where λ_i is.
    regret_ : float
        Worst regret of the pure strategy, λ_{k+1}; 0 where k = dim.
    mixed_regret_ : float
        Worst expected regret of the mixture; never larger.
    pca_regret_ : float
        Worst regret of as many principal components, for comparison; never smaller than `regret_`.
    mixture_ : ndarray of shape (n_strategies, n_components), int64
        Each row is a set of directions; at most l different sets are needed.
    chances_ : ndarray of shape (n_strategies,), float64
        Probability of each.

    Raises
    ------
    ParameterError
        A parameter out of range, S that is no covariance, responses that are not numbers.
    ShapeError
        S or responses of another size.

    Notes
    -----
    Fit: n dim² multiply-adds, and dim³. Closed form, deterministic; `sample` draws with its own
    seed. The regret is in units of S: a task f with fᵀ S⁻¹ f = c has at most c times it.

    Differs from [1]_: the mixture is found by systematic sampling, which meets the chances exactly
    with at most l sets; the iterative algorithm for other losses is not here.

    References
    ----------
    .. [1] Uzan, Weinberger. A representation-learning game for classes of prediction tasks. ICLR
       2024. arXiv:2403.06971

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((2000, 4)).astype(np.float32)
    >>> game = Minimax(2, task_prior=np.diag([1.0, 1.0, 1.0, 0.01])).fit(X)
    >>> round(game.regret_, 1), round(game.mixed_regret_, 1), len(game.chances_)
    (1.0, 0.3, 3)
    """

    _uses_queries: ClassVar[bool] = True

    query_components_: NDArray[np.float32]
    eigenvalues_: NDArray[np.float64]
    directions_: NDArray[np.float64]
    predictors_: NDArray[np.float64]
    regret_: float
    mixed_regret_: float
    pca_regret_: float
    mixture_: NDArray[np.int64]
    chances_: NDArray[np.float64]

    def __init__(
        self,
        n_components: int,
        *,
        task_prior: NDArray[Any] | None = None,
        ridge: float = 0.05,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.task_prior = task_prior
        self.ridge = ridge
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        jobs = check_jobs(self.n_jobs)
        n, dim = X.shape
        k = self._check_components(self.n_components, dim)
        if isinstance(self.ridge, bool) or not 0 <= self.ridge <= 1:
            raise ParameterError(
                f"ridge must be a share from 0 to 1; got {self.ridge!r}. 0 trusts the examples."
            )
        mean, products = moments(X, jobs)
        covariance = products / n
        prior = self._prior(X, y, queries, mean, covariance)
        level = float(np.trace(prior)) / dim
        prior = (1 - self.ridge) * prior + self.ridge * level * np.eye(dim)
        root = _root(prior)
        values, vectors = np.linalg.eigh(root @ covariance @ root)
        values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
        self.eigenvalues_ = values.copy()
        used = values > 1e-12 * max(values[0], 1e-300)
        scale = np.where(used, 1 / np.sqrt(np.where(used, values, 1)), 0)
        self.directions_ = np.ascontiguousarray((root @ vectors * scale).T)
        self.predictors_ = self.directions_ @ covariance
        self.mean_ = mean.astype(np.float32)
        self.regret_ = float(values[k]) if k < dim else 0.0
        principal = np.linalg.eigh(covariance)[1][:, ::-1][:, :k].T
        self.pca_regret_ = worst_regret(principal, covariance, prior)
        self.mixed_regret_, chances = mixed_strategy(values, k)
        self.mixture_, self.chances_ = systematic_sets(chances, k)
        self._choose(np.arange(k))

    def sample(self: _Self, random_state: int = 0) -> _Self:
        """Draw one representation of the optimal mixture and use it from now on.

        Parameters
        ----------
        random_state : int, default=0

        Returns
        -------
        self
            With other `components_`; vectors transformed before are of another representation.

        Raises
        ------
        NotFittedError, ParameterError
        """
        self._check_fitted("chances_")
        seed = check_count("random_state", random_state, at_least=0)
        drawn = np.random.default_rng(seed).choice(len(self.chances_), p=self.chances_)
        self._choose(self.mixture_[drawn])
        self._fingerprint = ""
        return self

    def _choose(self, rows: NDArray[Any]) -> None:
        self.components_ = np.ascontiguousarray(self.directions_[rows], np.float32)
        self.query_components_ = np.ascontiguousarray(self.predictors_[rows], np.float32)

    def _prior(
        self,
        X: NDArray[np.float32],
        y: Any,
        queries: NDArray[np.float32] | None,
        mean: NDArray[np.float64],
        covariance: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        dim = X.shape[1]
        if self.task_prior is not None:
            return _checked_prior(self.task_prior, dim)
        if queries is not None:
            return np.asarray(gram(queries, None, self.n_jobs) / len(queries))
        if y is not None:
            tasks = _coefficients(X, y, mean, covariance)
            return np.asarray(tasks @ tasks.T / tasks.shape[1])
        return np.eye(dim)


def worst_regret(
    R: NDArray[np.float64], covariance: NDArray[np.float64], prior: NDArray[np.float64]
) -> float:
    """Return the largest regret that a task of the class has with the representation R x.

    Parameters
    ----------
    R : ndarray of shape (k, dim), float64
        Of any scale, its rows may depend on each other.
    covariance, prior : ndarray of shape (dim, dim), float64
        C and S.

    Returns
    -------
    float
    """
    seen = R @ covariance
    left = covariance - seen.T @ np.linalg.pinv(seen @ R.T, hermitian=True) @ seen
    root = _root(prior)
    return max(0.0, float(np.linalg.eigvalsh(root @ left @ root)[-1]))


def mixed_strategy(values: NDArray[np.float64], k: int) -> tuple[float, NDArray[np.float64]]:
    """Return the smallest worst expected regret, and the chance of each direction to be kept.

    Parameters
    ----------
    values : ndarray of shape (dim,), float64
        λ, descending, not negative.
    k : int
        Directions kept at a time.

    Returns
    -------
    regret : float
    chances : ndarray of shape (dim,), float64
        From 0 to 1, with sum k.
    """
    chances = np.zeros(len(values))
    chances[:k] = 1
    if k >= len(values) or values[k] <= 1e-12 * values[0]:
        return 0.0, chances  # what is left out has no variance or no task
    sums = np.cumsum(1 / np.maximum(values, 1e-300))
    regret, last = float(values[k]), k
    for size in range(k + 1, len(values) + 1):
        level = (size - k) / sums[size - 1]
        if level > values[size - 1] * (1 + 1e-12):
            break  # this direction is too weak to be worth a share of the draws
        regret, last = float(level), size
    chances[:last] = np.clip(1 - regret / values[:last], 0, 1)
    return regret, chances


def systematic_sets(
    chances: NDArray[np.float64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return sets of k directions and their probabilities that give each its chance.

    Lay the chances end to end on a line of length k and cut at u, u + 1, …, u + k - 1 with u
    uniform in [0, 1): each direction is hit with its chance, none twice, and as u grows the set
    changes only where a boundary is passed.

    Parameters
    ----------
    chances : ndarray of shape (dim,), float64
        From 0 to 1, with sum k.
    k : int

    Returns
    -------
    sets : ndarray of shape (m, k), int64
        Ascending in each row.
    probabilities : ndarray of shape (m,), float64
    """
    ends = np.cumsum(chances)
    ends *= k / ends[-1]
    cuts = np.unique(np.concatenate([[0.0, 1.0], np.round(ends % 1.0, 12)]))
    cuts = cuts[(cuts >= 0) & (cuts <= 1)]
    middles, widths = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
    found: dict[tuple[int, ...], float] = {}
    for middle, width in zip(middles, widths, strict=True):
        hit = np.searchsorted(ends, middle + np.arange(k), side="right")
        key = tuple(np.minimum(hit, len(ends) - 1).tolist())
        found[key] = found.get(key, 0.0) + float(width)
    probabilities = np.array(list(found.values()))
    return np.array(list(found), dtype=np.int64), probabilities / probabilities.sum()


def _root(moment: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(moment)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def _checked_prior(prior: Any, dim: int) -> NDArray[np.float64]:
    matrix: NDArray[np.float64] = as_dense(prior, name="task_prior", dtype=np.float64)
    if matrix.shape != (dim, dim):
        raise ShapeError(
            f"task_prior must be (dim, dim) = ({dim}, {dim}); got shape {matrix.shape}. Pass the "
            "second moment of example tasks."
        )
    size = np.abs(matrix).max()
    if size == 0 or np.abs(matrix - matrix.T).max() > 1e-6 * size:
        raise ParameterError(
            "task_prior must be symmetric and not zero; pass F.T @ F of example tasks F."
        )
    if np.linalg.eigvalsh(matrix)[0] < -1e-6 * size:
        raise ParameterError(
            "task_prior must have no negative eigenvalues; pass F.T @ F of example tasks F."
        )
    return (matrix + matrix.T) / 2


def _coefficients(
    X: NDArray[np.float32], y: Any, mean: NDArray[np.float64], covariance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return least-squares coefficients of each response, (dim, n_tasks)."""
    responses = np.asarray(y)
    if responses.dtype.kind not in "fiub":
        raise ParameterError(
            f"y holds responses of example tasks and must be numbers; got dtype {responses.dtype}."
        )
    responses = responses.reshape(len(responses), -1).astype(np.float64)
    if len(responses) != len(X):
        raise ShapeError(
            f"y must have one row of responses a vector; got {len(responses)} for {len(X)}."
        )
    centred = responses - responses.mean(axis=0)
    with_x = (X.astype(np.float64) - mean).T @ centred / len(X)
    return np.asarray(np.linalg.pinv(covariance, rcond=1e-9, hermitian=True) @ with_x)
