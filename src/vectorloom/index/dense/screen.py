# SPDX-License-Identifier: Apache-2.0
"""The rotation behind the fast int8 screen of exact search, and how much of it to test first.

Rows are rotated so that their leading dimensions carry most of their length (principal directions
of a sample), because then a product over the head alone already rules most rows out. Inside the
head, and inside the rest, a random rotation spreads the length evenly, so that one int8 step for
each loses little. Any orthonormal matrix gives the same answers: only speed depends on this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

SAMPLE_ROWS = 8192
TRIAL_QUERIES = 256
# A panel whose head survives is completed for the queries it survives for, with less reuse of rows
# than a block of all queries has: about this many times the cost of a dimension in the head.
TAIL_COST = 1.2
STEP = 64  # dimensions; one AMX tile row of int8


def build_screen(
    rows: _core.Rows,
    norms: NDArray[np.float64],
    metric: str,
    n_jobs: int | None = None,
    order: NDArray[np.int64] | None = None,
    head_rows: int | None = None,
) -> _core.Screen:
    """Fit the rotation on a sample of the rows and encode all of them.

    Parameters
    ----------
    rows : Rows
        Stored float vectors (n, dim), n >= 1.
    norms : ndarray of shape (n,), float64
        Their Euclidean norms.
    metric : {"cosine", "ip", "l2"}
    n_jobs : int or None, default=None
    order : ndarray of shape (n_places,), int64, default=None
        The row at each place of the screen, -1 for none; None puts row i at place i.
    head_rows : int, default=None
        The head is chosen for searches that look for ten of so many rows; None takes all rows.

    Returns
    -------
    Screen
        About ``dim`` (rounded up to 64) + 8 bytes a row. Cost: n * dim**2 multiply-adds.
    """
    n, dim = len(rows), rows.dim
    positions = np.unique(np.linspace(0, n - 1, min(n, SAMPLE_ROWS)).astype(np.int64))
    sample = _core.decode(rows, positions).astype(np.float64)
    center = sample.mean(axis=0).astype(np.float32) if metric == "l2" else None
    if center is not None:
        sample -= center
    if metric == "cosine":
        sample /= np.linalg.norm(sample, axis=1, keepdims=True)
    basis = principal_directions(sample)
    rotated = sample @ basis.T
    head = _choose_head(rotated, metric, n if head_rows is None else head_rows)
    mix(basis, min(head, dim))
    rotation = np.zeros((-(-dim // STEP) * STEP, dim), dtype=np.float32)
    rotation[:dim] = basis
    return _core.Screen.build(
        rows,
        norms,
        metric,
        rotation,
        distance_to_orthonormal(rotation[:dim]),
        head,
        center=center,
        n_jobs=n_jobs,
        **({} if order is None else {"order": order}),
    )


def _single_thread_blas() -> Any:
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)  # the same bits whatever the number of threads


def principal_directions(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return orthonormal rows, by falling share of the sample's second moment."""
    scale = max(float(np.abs(sample).max()), np.finfo(np.float64).tiny)
    sample = sample / scale
    with _single_thread_blas():
        _, vectors = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(vectors.T[::-1])


def random_rotation(dim: int) -> NDArray[np.float64]:
    """Return a random orthonormal matrix, always the same one for a dimension."""
    with _single_thread_blas():
        q, r = np.linalg.qr(np.random.default_rng(0).standard_normal((dim, dim)))
    signs: NDArray[np.float64] = np.where(np.diag(r) < 0, -1.0, 1.0)
    return q * signs


def mix(basis: NDArray[np.float64], head: int) -> None:
    """Turn the first `head` rows among themselves, and the others, so that none stands out."""
    basis[:head] = random_rotation(head) @ basis[:head]
    if head < len(basis):
        basis[head:] = random_rotation(len(basis) - head) @ basis[head:]


def distance_to_orthonormal(rotation: FloatArray) -> float:
    """Return a bound of the spectral norm of P - O, O the orthonormal matrix nearest to P.

    With singular values s of P, ||P - O|| = max |s - 1| <= max |s**2 - 1| = ||P P' - 1|| <= its
    Frobenius norm; the last factor covers the rounding of this very computation.
    """
    wide = rotation.astype(np.float64)
    return float(np.linalg.norm(wide @ wide.T - np.eye(len(wide)))) * 1.01 + 1e-12


def trial(
    rotated: NDArray[Any], metric: str, n: int
) -> tuple[NDArray[Any], float, NDArray[Any], NDArray[Any]]:
    """Ask some rows of a sample for their neighbours, to try heads on.

    Parameters
    ----------
    rotated : ndarray of shape (m, dim)
    metric : {"cosine", "ip", "l2"}
    n : int
        Rows that the sample stands for.

    Returns
    -------
    queries : ndarray of shape (n_queries, dim)
    factor : float
    bias : ndarray of shape (m,)
        The value of a row is factor * product + bias.
    threshold : ndarray of shape (n_queries,)
        The value that the tenth of n rows would have.
    """
    m = len(rotated)
    queries = rotated[:: max(1, m // TRIAL_QUERIES)][:TRIAL_QUERIES]
    values = queries @ rotated.T
    bias = -np.einsum("ij,ij->i", rotated, rotated) if metric == "l2" else np.zeros(m)
    factor = 2.0 if metric == "l2" else 1.0
    values = factor * values + bias
    rank = min(m - 1, 1 + max(1, round(10 * m / n)))  # itself, and what the 10th of n is among m
    threshold = -np.partition(-values, rank, axis=1)[:, rank]
    return queries, factor, bias, threshold


def _choose_head(rotated: NDArray[np.float64], metric: str, n: int) -> int:
    """Head size (a multiple of 64) of least expected work on the sample; all if none helps."""
    m, dim = (int(extent) for extent in rotated.shape)
    padded: int = -(-dim // STEP) * STEP
    if m < 1024 or padded <= STEP:
        return padded
    queries, factor, bias, threshold = trial(rotated, metric, n)
    best, best_cost = padded, float(padded)
    for head in range(STEP, padded, STEP):
        tail = np.linalg.norm(rotated[:, head:], axis=1)
        bound = factor * (queries[:, :head] @ rotated[:, :head].T)
        bound += factor * np.outer(np.linalg.norm(queries[:, head:], axis=1), tail) + bias
        alive = bound[:, : m // 16 * 16] >= threshold[:, None]
        share = float(alive.reshape(len(queries), -1, 16).any(axis=2).mean())
        cost = head + TAIL_COST * share * (padded - head)
        if cost < best_cost:
            best, best_cost = head, cost
    return best
