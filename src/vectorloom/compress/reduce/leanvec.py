# SPDX-License-Identifier: Apache-2.0
"""LeanVec: one map for queries and one for data, so that inner products of the two survive.

    f(A, B) = mean over q, x of (<A q, B x> - <q, x>)²
            = tr(K_q (AᵀB - I) K_x (AᵀB - I)ᵀ)      K_q = mean(q qᵀ),  K_x = mean(x xᵀ)

A and B are k × dim. Queries and data enter through their second moments only, so f and its
gradients are exact at dim³ however many vectors there are:

    ∂f/∂A = 2 B K_x (BᵀA - I) K_q            ∂f/∂B = 2 A K_q (AᵀB - I) K_x

    pca           A = B = top eigenvectors of K_x: queries as the data           (LeanVec-ID)
    eigensearch   A = B = top eigenvectors of (1 - β) K_q + β K_x, the best β    (LeanVec-ES)
    frank-wolfe   A, B in the hull of orthonormal frames, in turns               (LeanVec-OOD)
    sphering      B = P W, A = P W⁻¹ with W = K_q^½, P the top eigenvectors of W K_x W:
                  no A and B of this size have a smaller f (the best rank-k approximation of
                  K_q^½ K_x^½, Eckart and Young)
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.products import gram
from vectorloom.compress.reduce.linear import LinearReducer
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count, check_jobs

SOLVERS = ("auto", "pca", "eigensearch", "frank-wolfe", "sphering")
_GRID = 9  # values of β looked at before the search closes in
_GOLDEN = (5**0.5 - 1) / 2
_GOLDEN_STEPS = 12
_RIDGE = 1e-6  # smallest eigenvalue of K_q that is inverted, relative to the largest


class LeanVec(LinearReducer):
    """Reduce queries and data by maps learned from both.

    Where queries come from another distribution than the data (questions against passages, text
    against images), the directions in which the data vary are not those that the answers depend
    on; some hundred sample queries tell. Where queries look like the data this is `PCA`.

    Parameters
    ----------
    n_components : int
        At most ``dim``.
    solver : {"auto", "pca", "eigensearch", "frank-wolfe", "sphering"}, default="auto"
        ``"auto"``: ``"sphering"`` if `fit` is given queries, else ``"pca"``. ``"eigensearch"`` and
        ``"frank-wolfe"`` are the published algorithms; their maps do not stretch (much), which
        matters only for quantizers that want equal scales.
    shrinkage : float, default=0.2
        Mixes this share of K_x (at equal trace) into K_q. A sample of queries does not show all
        that will come: with 500 to 2,000 sample queries 0.2 had the smallest loss on others, and
        hurts queries that look like the data less.
    max_iter : int, default=100
        Rounds of ``"frank-wolfe"``.
    tol : float, default=1e-4
        It stops when a round lowers f by less than this share.
    n_jobs : int or None, default=None

    Attributes
    ----------
    components_ : ndarray of shape (n_components, dim), float32
        B, for data.
    query_components_ : ndarray of shape (n_components, dim), float32
        A, for queries, and the decoder of the data: <A q, z> = <q, Aᵀ z>.
    mean_ : None
        Inner products are kept, so nothing is subtracted.
    loss_ : float
        f over mean <q, x>²: the share of the inner products' energy that is lost, between the
        fitted data and the fitted queries as shrunk.
    beta_ : float
        β found by ``"eigensearch"``; NaN otherwise.
    n_iter_ : int
        Rounds done by ``"frank-wolfe"``; 0 otherwise.

    Raises
    ------
    ParameterError
        More components than dimensions, a parameter out of range, or a solver that needs queries
        without them.

    Notes
    -----
    Fit: (n + m) dim² multiply-adds for the moments, then a few eigenproblems, dim³ each
    (frank-wolfe: two products dim² k and a singular value decomposition dim k² a round).
    Deterministic at any `n_jobs`.

    Differs from [1]_: ``"sphering"`` drops the constraint to orthonormal frames, and is then solved
    in closed form, as in [2]_; frank-wolfe steps are exact line searches, so f never rises.
    Scores of ``"l2"`` and ``"cosine"`` decode the rows with A.

    References
    ----------
    .. [1] Tepper, Bhati, Aguerrebere, Hildebrand, Willke. LeanVec: searching vectors faster by
       making them fit. TMLR 2024. arXiv:2312.16335
    .. [2] Tepper, Bhati, Aguerrebere, Willke. GleanVec: accelerating vector search with minimalist
       nonlinear dimensionality reduction. 2024. arXiv:2410.22347

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = (rng.standard_normal((500, 4)) * [9, 1, 1, 1]).astype(np.float32)
    >>> Q = (rng.standard_normal((100, 4)) * [0.01, 1, 1, 1]).astype(np.float32)
    >>> lean = LeanVec(3, shrinkage=0).fit(X, queries=Q)  # queries ignore the loud direction
    >>> bool(lean.loss_ < 0.01 < LeanVec(3, solver="pca").fit(X, queries=Q).loss_)
    True
    """

    _uses_queries: ClassVar[bool] = True

    query_components_: NDArray[np.float32]
    loss_: float
    beta_: float
    n_iter_: int

    def __init__(
        self,
        n_components: int,
        solver: str = "auto",
        *,
        shrinkage: float = 0.2,
        max_iter: int = 100,
        tol: float = 1e-4,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.solver = solver
        self.shrinkage = shrinkage
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        jobs = check_jobs(self.n_jobs)
        k = self._check_components(self.n_components, X.shape[1])
        solver = self._checked(queries is not None)
        data = _moment(X, jobs)
        asked = data if queries is None else _moment(queries, jobs)
        asked = (1 - self.shrinkage) * asked + self.shrinkage * data
        self.beta_, self.n_iter_ = float("nan"), 0
        if solver == "pca":
            A = B = _top(data, k)
        elif solver == "sphering":
            A, B = sphering(asked, data, k)
        else:
            self.beta_, frame = eigensearch(asked, data, k)
            A = B = frame
            if solver == "frank-wolfe":
                A, B, self.n_iter_ = frank_wolfe(asked, data, frame, self.max_iter, self.tol)
        self.loss_ = loss(A, B, asked, data) / max(float(np.sum(asked * data)), 1e-300)
        self.components_ = np.ascontiguousarray(B, np.float32)
        self.query_components_ = np.ascontiguousarray(A, np.float32)
        self.mean_ = None

    def _checked(self, has_queries: bool) -> str:
        check_choice("solver", self.solver, SOLVERS)
        check_count("max_iter", self.max_iter)
        if isinstance(self.shrinkage, bool) or not 0 <= self.shrinkage <= 1:
            raise ParameterError(
                f"shrinkage must be a share from 0 to 1; got {self.shrinkage!r}. 0 trusts the "
                "sample queries, 1 ignores them."
            )
        if not 0 <= self.tol < 1:
            raise ParameterError(f"tol must be from 0 to below 1; got {self.tol!r}.")
        if self.solver == "auto":
            return "sphering" if has_queries else "pca"
        if self.solver != "pca" and not has_queries:
            raise ParameterError(
                f"solver={self.solver!r} learns from queries; call fit(X, queries=Q) with some "
                "hundred sample queries, or use solver='pca'."
            )
        return self.solver


def loss(
    A: NDArray[np.float64],
    B: NDArray[np.float64],
    asked: NDArray[np.float64],
    data: NDArray[np.float64],
) -> float:
    """Return f: the mean squared error of inner products.

    Parameters
    ----------
    A, B : ndarray of shape (k, dim), float64
        Maps of queries and of data.
    asked, data : ndarray of shape (dim, dim), float64
        Second moments of queries and of data.

    Returns
    -------
    float
    """
    off = A.T @ B
    off[np.diag_indices_from(off)] -= 1
    return max(0.0, float(np.sum((asked @ off) * (off @ data))))


def sphering(
    asked: NDArray[np.float64], data: NDArray[np.float64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the maps (A, B) with the smallest loss of all.

    Parameters
    ----------
    asked, data : ndarray of shape (dim, dim), float64
    k : int

    Returns
    -------
    A, B : ndarray of shape (k, dim), float64
        Scaled so that both are equally long.
    """
    values, vectors = np.linalg.eigh(asked)
    # Where no query points, any map will do: the ridge keeps the inverse small there.
    widths = np.sqrt(np.maximum(values, max(_RIDGE * values[-1], 1e-300)))
    root, inverse = (vectors * widths) @ vectors.T, (vectors / widths) @ vectors.T
    frame = _top(root @ data @ root, k)
    A, B = frame @ inverse, frame @ root
    balance = np.sqrt(np.linalg.norm(A) / np.linalg.norm(B))
    return A / balance, B * balance


def eigensearch(
    asked: NDArray[np.float64], data: NDArray[np.float64], k: int
) -> tuple[float, NDArray[np.float64]]:
    """Return the best β and the top eigenvectors of (1 - β) asked + β data.

    Parameters
    ----------
    asked, data : ndarray of shape (dim, dim), float64
    k : int

    Returns
    -------
    beta : float
    frame : ndarray of shape (k, dim), float64
        Orthonormal rows.
    """
    found: dict[float, tuple[float, NDArray[np.float64]]] = {}

    def cost(beta: float) -> float:
        if beta not in found:
            frame = _top((1 - beta) * asked + beta * data, k)
            found[beta] = loss(frame, frame, asked, data), frame
        return found[beta][0]

    # The loss may have more than one valley: a grid picks one, a golden section search descends.
    grid = np.linspace(0, 1, _GRID).tolist()
    best = min(range(_GRID), key=lambda i: cost(grid[i]))
    low, high = grid[max(0, best - 1)], grid[min(_GRID - 1, best + 1)]
    for _ in range(_GOLDEN_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if cost(left) <= cost(right):
            high = right
        else:
            low = left
    beta = min(found, key=lambda b: found[b][0])
    return beta, found[beta][1]


def frank_wolfe(
    asked: NDArray[np.float64],
    data: NDArray[np.float64],
    start: NDArray[np.float64],
    max_iter: int,
    tol: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Improve A and B in turns inside the hull of orthonormal frames.

    Parameters
    ----------
    asked, data : ndarray of shape (dim, dim), float64
    start : ndarray of shape (k, dim), float64
        First A and B.
    max_iter : int
    tol : float

    Returns
    -------
    A, B : ndarray of shape (k, dim), float64
        Singular values at most 1.
    n_iter : int
    """
    A, B = start, start
    before = loss(A, B, asked, data)
    for n_iter in range(1, max_iter + 1):
        A = _step(A, B, asked, data)
        B = _step(B, A, data, asked)
        after = loss(A, B, asked, data)
        if before - after <= tol * before:
            return A, B, n_iter
        before = after
    return A, B, max_iter


def _step(
    A: NDArray[np.float64],
    B: NDArray[np.float64],
    asked: NDArray[np.float64],
    data: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return A after one step: towards the frame with the steepest descent, as far as it pays."""
    seen = B @ data
    inner = seen @ B.T
    gradient = 2 * (inner @ A - seen) @ asked
    left, _, right = np.linalg.svd(gradient, full_matrices=False)
    direction = -(left @ right) - A
    slope = float(np.sum(gradient * direction))
    # f is quadratic in A: along the direction its minimum is known.
    curvature = 2 * float(np.sum((inner @ direction) * (direction @ asked)))
    if slope >= 0:
        return A
    pace = min(1.0, -slope / curvature) if curvature > 0 else 1.0
    return np.asarray(A + pace * direction)


def _moment(X: NDArray[np.float32], jobs: int | None) -> NDArray[np.float64]:
    """Return mean(x xᵀ) scaled to trace 1, so that moments of different lengths can be mixed."""
    products = gram(X, None, jobs)
    trace = float(np.trace(products))
    return products / trace if trace > 0 else np.eye(X.shape[1]) / X.shape[1]


def _top(moment: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Return the strongest k eigenvectors as rows, each with its largest entry positive."""
    frame = np.linalg.eigh(moment)[1][:, ::-1][:, :k].T
    largest = np.take_along_axis(frame, np.abs(frame).argmax(axis=1)[:, None], axis=1)
    return np.asarray(frame * np.sign(largest))
