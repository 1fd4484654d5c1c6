# SPDX-License-Identifier: Apache-2.0
"""The rotation behind the codes of inverted lists, and how much of it to test first.

As for the screen of exact search (index/dense/screen.py): principal directions first, and
inside the head, and inside the rest, a random rotation that spreads the length evenly. The head is
as small as pays for the rows that it leaves to the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.index.dense.screen import (
    SAMPLE_ROWS,
    STEP,
    distance_to_orthonormal,
    mix,
    principal_directions,
    trial,
)
from vectorloom.index.dense.store import RowStore

# To complete a pair that the head left costs about as much as so many dimensions of the head.
_PAIR_COST = 1000.0
# Probed lists hold this many times as many rows near the threshold as the whole does.
_NEARER = 15.0
_USUAL_REACH = 0.65


@dataclass(frozen=True, eq=False)
class Rotation:
    """An orthonormal map whose leading dimensions carry most of a row's length.

    Attributes
    ----------
    matrix : ndarray of shape (head + rest, dim), float32
    head : int
        Leading dimensions, a multiple of 64; zeros where dim is less.
    rest_bits : int
        Of the code of the others, 8 or 4.
    center : ndarray of shape (dim,), float32, or None
        Subtracted first; l2 alone.
    final : bool
        Whether codes are all that is kept of a row.
    """

    matrix: NDArray[np.float32]
    head: int
    rest_bits: int
    center: NDArray[np.float32] | None
    final: bool = False

    @cached_property
    def error(self) -> float:
        """Bound of its distance from an orthonormal one."""
        return distance_to_orthonormal(self.matrix[: self.matrix.shape[1]])

    @classmethod
    def fit(cls, store: RowStore, rest_bits: int, final: bool) -> Rotation:
        """Return the rotation for the rows of a store, from a sample of them."""
        n, dim = store.n, store.dim
        positions = np.unique(np.linspace(0, n - 1, min(n, SAMPLE_ROWS)).astype(np.int64))
        sample = store.decoded(positions).astype(np.float64)
        center = sample.mean(axis=0).astype(np.float32) if store.metric == "l2" else None
        if center is not None:
            sample -= center
        if store.metric == "cosine":
            sample /= np.linalg.norm(sample, axis=1, keepdims=True)
        basis = principal_directions(sample)
        head = _choose_head((sample @ basis.T).astype(np.float32), store.metric, n)
        mix(basis, min(head, dim))
        matrix = np.zeros((max(head, dim), dim), np.float32)
        matrix[:dim] = basis
        return cls(matrix, head, rest_bits, center, final)

    def reaches(
        self, queries: NDArray[np.float32], rows: NDArray[np.float32], metric: str
    ) -> NDArray[np.float64]:
        """Return the smallest reaches that keep true neighbours, ascending.

        Parameters
        ----------
        queries : ndarray of shape (m, dim)
        rows : ndarray of shape (m, k, dim)
            Their nearest, best first.
        metric : {"cosine", "ip", "l2"}

        Returns
        -------
        ndarray of shape (2, m * k)
            Where the threshold is the value of the last one, and where it is a row's own.
        """
        if self.head >= queries.shape[1]:
            return np.empty((2, 0))
        q, x = queries, rows
        if self.center is not None:
            q, x = q - self.center, x - self.center
        if metric == "cosine":
            x = x / np.linalg.norm(x, axis=-1, keepdims=True)
        u = _core.matmul(q, self.matrix, 1).astype(np.float64)
        flat = np.ascontiguousarray(x.reshape(-1, x.shape[-1]), np.float32)
        y = _core.matmul(flat, self.matrix, 1).astype(np.float64).reshape(*x.shape[:-1], -1)
        u_rest = np.linalg.norm(u[:, self.head :], axis=1)[:, None]
        y_rest = np.linalg.norm(y[..., self.head :], axis=-1)
        values = np.einsum("id,ikd->ik", u, y)
        heads = np.einsum("id,ikd->ik", u[:, : self.head], y[..., : self.head])
        least = np.finfo(np.float64).tiny
        if metric == "l2":
            squares = np.einsum("ikd,ikd->ik", y, y)
            values = 2.0 * values - squares
            heads = 2.0 * heads - squares + y_rest**2
            room = np.maximum(u_rest, least) ** 2
        else:
            room = np.maximum(u_rest * y_rest, least)
        needs = [values.min(axis=1)[:, None] - heads, values - heads]
        found = np.stack([np.sort(np.clip(need / room, 0.0, 1.0), axis=None) for need in needs])
        return np.sqrt(found) if metric == "l2" else found


def _choose_head(rotated: NDArray[np.float32], metric: str, n: int) -> int:
    """Head size (a multiple of 64) of least expected work on the sample."""
    m, dim = (int(extent) for extent in rotated.shape)
    padded: int = -(-dim // STEP) * STEP
    if m < 1024 or padded <= STEP:
        return padded
    queries, factor, bias, threshold = trial(rotated, metric, n)
    best, best_cost = padded, float(padded)
    for head in range(STEP, padded, STEP):
        tail = np.linalg.norm(rotated[:, head:], axis=1)
        own = np.linalg.norm(queries[:, head:], axis=1)
        bound = factor * (queries[:, :head] @ rotated[:, :head].T) + bias
        if metric == "l2":
            bound += tail**2 + (_USUAL_REACH * own[:, None]) ** 2
        else:
            bound += _USUAL_REACH * np.outer(own, tail)
        share = float((bound >= threshold[:, None]).mean())
        cost = head + _PAIR_COST * min(1.0, _NEARER * share)
        if cost < best_cost:
            best, best_cost = head, cost
    return best
