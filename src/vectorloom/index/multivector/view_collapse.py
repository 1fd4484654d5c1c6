# SPDX-License-Identifier: Apache-2.0
"""Whether the several vectors of an item still differ, or have collapsed to one.

With `within` the mean cosine of two vectors of one item and `between` that of vectors of two items,

    collapse = (within - between) / (1 - between)

is 0 where the vectors of an item differ as those of different items do, and 1 where they are all
the same. Of each item, the entropy of the eigenvalues p_1, p_2, … of its Gram matrix over its
trace gives the number of vectors that it is worth,

    effective = exp(- sum of p_i log p_i),    1 (all the same) to K (orthogonal),

and given queries, the same of the shares of queries that each place wins says how many are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.index.multivector.token_vectors import TokenVectors, as_float_tokens, unit_rows
from vectorloom.measure.result import Result
from vectorloom.vectors import as_dense

_PAIRS = 20_000  # of items, for the cosine between them


@dataclass(frozen=True, eq=False)
class ViewCollapse(Result):
    """How far the vectors of items have collapsed; ``float(result)`` is `collapse`.

    Attributes
    ----------
    collapse : float
        0: as different as vectors of different items; 1: all the same.
    within, between : float
        Mean cosine of two vectors of one item, and of two items.
    effective : float
        Mean over items of the number of vectors that an item is worth.
    effective_of : ndarray of shape (n,), float64
        The same of each item.
    most : int
        The most vectors of an item.
    used : float
        Number of places among an item's vectors that queries use; NaN without queries.
    gain : float
        Mean cosine that queries have with the best vector of their item above that with its mean
        one; NaN without queries.
    """

    collapse: float
    within: float
    between: float
    effective: float
    effective_of: NDArray[np.float64]
    most: int
    used: float
    gain: float

    def __float__(self) -> float:
        return self.collapse

    def __str__(self) -> str:
        lines = [
            f"collapse {self.collapse:.3f}  (cosine {self.within:.3f} within items, "
            f"{self.between:.3f} between)",
            f"an item is worth {self.effective:.2f} of up to {self.most} vectors",
        ]
        if np.isfinite(self.used):
            lines.append(f"queries use {self.used:.2f} places and gain {self.gain:.4f} by choosing")
        return "\n".join(lines)


def view_collapse(
    X: Any, queries: Any = None, pairs: Any = None, random_state: int = 0
) -> ViewCollapse:
    """Measure whether the vectors of items still differ.

    Use it on what `MultiView`, `NestedMultiVector` or a model with several outputs gives. Near 1
    one vector an item does the same for less.

    Parameters
    ----------
    X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
        Items; one at least has two vectors.
    queries : array-like of shape (n_queries, dim) or None, default=None
        One vector each.
    pairs : array-like of shape (n_pairs, 2), int, or None, default=None
        Query and the item that answers it; None takes the i-th query to be of the i-th item.
    random_state : int, default=0
        Of the pairs of items that `between` is measured with.

    Returns
    -------
    ViewCollapse

    Raises
    ------
    ShapeError, ParameterError
        Fewer than two items, or none of several vectors; zero vectors; pairs out of range.

    Notes
    -----
    Deterministic. Cost: m**2 * dim an item.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> one = rng.standard_normal((50, 1, 32)).repeat(3, axis=1)
    >>> float(view_collapse(one).collapse) > 0.999
    True
    >>> abs(float(view_collapse(rng.standard_normal((500, 3, 32))))) < 0.02
    True
    """
    tokens = as_float_tokens(X)
    if len(tokens) < 2 or int(tokens.lengths.max()) < 2:
        raise ShapeError(
            f"X must have two items or more, one of several vectors; got {len(tokens)} of up to "
            f"{int(tokens.lengths.max())}."
        )
    tokens = TokenVectors(unit_rows(tokens.values), tokens.offsets)
    cosines, effective = [], np.ones(len(tokens))
    for i, item in enumerate(tokens.items()):
        m = len(item)
        if m < 2:
            continue
        gram = item.astype(np.float64) @ item.T
        cosines.append((gram.sum() - np.trace(gram)) / (m * (m - 1)))
        effective[i] = _worth(np.linalg.eigvalsh(gram) / np.trace(gram))
    within, between = float(np.mean(cosines)), _between(tokens, random_state)
    used, gain = (np.nan, np.nan) if queries is None else _asked(tokens, queries, pairs)
    return ViewCollapse(
        collapse=(within - between) / max(1 - between, 1e-12),
        within=within,
        between=between,
        effective=float(effective.mean()),
        effective_of=effective,
        most=int(tokens.lengths.max()),
        used=used,
        gain=gain,
    )


def _worth(shares: NDArray[np.float64]) -> float:
    kept = shares[shares > 1e-12]
    return float(np.exp(-(kept * np.log(kept)).sum()))


def _between(tokens: TokenVectors, random_state: int) -> float:
    rng = np.random.default_rng(random_state)
    left = rng.integers(0, len(tokens), _PAIRS)
    right = (left + rng.integers(1, len(tokens), _PAIRS)) % len(tokens)
    rows = [tokens.offsets[at] + rng.integers(0, tokens.lengths[at]) for at in (left, right)]
    products = np.einsum("ij,ij->i", tokens.values[rows[0]], tokens.values[rows[1]])
    return float(products.mean(dtype=np.float64))


def _asked(tokens: TokenVectors, queries: Any, pairs: Any) -> tuple[float, float]:
    rows = unit_rows(as_dense(queries, name="queries", dim=tokens.dim), name="queries")
    if pairs is None:
        if len(rows) != len(tokens):
            raise ShapeError(
                f"queries must be one an item, {len(tokens)}; got {len(rows)}. Where they are not, "
                "pass pairs=."
            )
        pairs = np.repeat(np.arange(len(rows))[:, None], 2, axis=1)
    at = np.asarray(pairs)
    if at.ndim != 2 or at.shape[1] != 2 or at.dtype.kind not in "iu" or len(at) == 0:
        raise ShapeError(f"pairs must be whole numbers of shape (n_pairs, 2); got {at.shape}.")
    if (at < 0).any() or (at >= [len(rows), len(tokens)]).any():
        raise ParameterError(
            f"pairs must name queries below {len(rows)} and items below {len(tokens)}."
        )
    wins = np.zeros(int(tokens.lengths.max()))
    gains = []
    for query, item in at.tolist():
        products = tokens.item(item) @ rows[query]
        wins[int(np.argmax(products))] += 1
        gains.append(float(products.max() - products.mean()))
    return _worth(wins / wins.sum()), float(np.mean(gains))
