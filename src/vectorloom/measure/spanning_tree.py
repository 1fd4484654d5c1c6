# SPDX-License-Identifier: Apache-2.0
"""Length of the minimum spanning tree: collapse in one number.

The tree joins all rows, brought to length 1, with the least total length. It grows as
n^{1 - 1/m} for rows of m dimensions, so collapse shortens it; beside it stands the length for as
many rows drawn evenly from the sphere:

    value = L(rows) / L(even rows):   1 where rows spread evenly, 0 where they are one point.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.measure.result import Estimate
from vectorloom.measure.rows import N_GROUPS, Z95, sampled, unit_rows
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def spanning_tree_length(X: Any, *, sample: int | None = 2000, random_state: int = 0) -> Estimate:
    """Measure spread by the minimum spanning tree, against evenly spread rows.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 2
    sample : int or None, default=2000
        Rows that are joined; None takes all.
    random_state : int, default=0
        Of the sample, and of the even rows.

    Returns
    -------
    Estimate
        The share of the even length; ``parts`` hold both lengths, and the ``"longest"`` edge: a
        gap between groups where it is far above their mean.

    Raises
    ------
    ShapeError, ParameterError
        One row; zero rows; NaN.

    Notes
    -----
    Cost: 2 * sample**2 * dim. The interval is of ten halves of the sample, each against as many
    even rows. Raising this number while training keeps vectors from collapsing [1]_.

    References
    ----------
    .. [1] J. Mordacq et al., "T-REGS: minimum spanning tree regularization for self-supervised
       learning", NeurIPS 2025.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((400, 10))
    >>> flat = X * np.array([1, 1] + [0.01] * 8)
    >>> spanning_tree_length(flat).value < 0.2 < 0.9 < spanning_tree_length(X).value
    True
    """
    rows = as_dense(X)
    if len(rows) < 2:
        raise ShapeError("a tree joins two rows at least; X has one.")
    part = unit_rows(np.ascontiguousarray(rows[sampled(len(rows), sample, random_state)]))
    rng = np.random.default_rng(random_state)
    even = unit_rows(rng.standard_normal(part.shape).astype(np.float32))
    edges, even_edges = tree_edges(part), tree_edges(even)
    value = float(edges.sum() / (even_edges.sum() or 1.0))
    low = high = float("nan")
    if len(part) >= 10 * N_GROUPS:
        half = len(part) // 2
        drawn = [_half_ratio(part, even, half, rng) for _ in range(N_GROUPS)]
        # Halves vary more than the whole, by about the root of 2; and they share rows.
        error = float(np.std(drawn, ddof=1))
        low, high = max(0.0, value - Z95 * error), value + Z95 * error
    return Estimate(
        "spanning tree",
        value,
        low,
        high,
        len(part),
        {
            "length": float(edges.sum()),
            "even length": float(even_edges.sum()),
            "longest": float(edges.max()),
        },
    )


def tree_edges(rows: Floats) -> Doubles:
    """Return the lengths of the edges of the minimum spanning tree, by Prim's algorithm.

    Parameters
    ----------
    rows : ndarray of shape (n, dim), float32

    Returns
    -------
    ndarray of shape (n - 1,), float64
        In the order in which rows are joined.

    Examples
    --------
    >>> tree_edges(np.array([[0.0], [5.0], [1.0]], np.float32)).tolist()
    [1.0, 4.0]
    """
    n = len(rows)
    nearest = np.full(n, np.inf)
    edges = np.empty(n - 1)
    here = 0
    for step in range(n - 1):
        gaps = rows - rows[here]
        nearest = np.minimum(nearest, np.einsum("ij,ij->i", gaps, gaps, dtype=np.float64))
        nearest[here] = np.nan  # joined
        here = int(np.nanargmin(nearest))
        edges[step] = np.sqrt(nearest[here])
    return edges


def _half_ratio(part: Floats, even: Floats, half: int, rng: np.random.Generator) -> float:
    at = rng.permutation(len(part))[:half]
    return float(tree_edges(part[at]).sum() / (tree_edges(even[at]).sum() or 1.0))
