# SPDX-License-Identifier: Apache-2.0
"""More vectors or finer ones: what to keep of token vectors at a budget of bytes.

For every way to keep fewer vectors (pooling factors) and every codec, on a sample of the items:

    bytes  = vectors kept * bytes of a code
    recall = share of the best k by full MaxSim that MaxSim over the codes returns

and the points that no other point beats in both are the frontier. At equal bytes more vectors at
lower precision are often the better choice, which is what the sweep is there to find out.

After Zhang et al. "More tokens, lower precision: towards the optimal token-precision trade-off in
KV cache compression", 2024, arXiv:2412.12706, which found the same of caches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.index.multivector.multi_vector import MultiVector
from vectorloom.index.multivector.token_codes import TokenCodes
from vectorloom.index.multivector.token_pooling import pool_tokens
from vectorloom.index.multivector.token_vectors import TokenVectors, as_float_tokens, run_offsets
from vectorloom.progress import progress

_QUERY_VECTORS = 32  # of an item that stands for a query


@dataclass(frozen=True)
class BudgetPoint:
    """One way to keep token vectors, measured.

    Attributes
    ----------
    factor : float
        Of `pool_tokens`; 1 keeps all vectors.
    codec : str
        Name of the codec.
    bytes_per_item : float
        Mean over the sample: vectors kept times bytes of a code.
    recall : float
        Share of the true best k.
    best : bool
        Whether no other point has as few bytes and more recall, or fewer bytes and as much.
    """

    factor: float
    codec: str
    bytes_per_item: float
    recall: float
    best: bool


def plan_token_budget(
    X: Any,
    codecs: Mapping[str, Any],
    bytes_per_item: float | None = None,
    factors: Sequence[float] = (1.0, 2.0, 3.0, 4.0),
    queries: Any = None,
    k: int = 10,
    sample: int = 1000,
    random_state: int = 0,
) -> list[BudgetPoint]:
    """Measure pooling factors and codecs together.

    Use it before `TokenCodes`, with a few codecs of very different sizes.

    Parameters
    ----------
    X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
        Items.
    codecs : dict of str to Compressor
        Each is fitted anew for every factor.
    bytes_per_item : float or None, default=None
        The budget: points above it are left out. None keeps all.
    factors : sequence of float, default=(1, 2, 3, 4)
    queries : as X, or None, default=None
        None takes 50 items of the sample, thinned to 32 vectors each, themselves left out of the
        answers.
    k : int, default=10
    sample : int, default=1000
        Items that are measured.
    random_state : int, default=0

    Returns
    -------
    list of BudgetPoint
        By bytes. The last with ``best`` is the one to take.

    Raises
    ------
    ParameterError, ShapeError
        What `MultiVector` refuses; no codecs; a budget that nothing fits.

    Notes
    -----
    Cost: a fit and a search of every codec for every factor, on the sample.

    Examples
    --------
    >>> import numpy as np
    >>> import vectorloom as vl
    >>> tokens = np.random.default_rng(0).standard_normal((60, 8, 16))
    >>> codecs = {"8 bits": vl.compress.Scalar(bits=8), "4 bits": vl.compress.Scalar(bits=4)}
    >>> points = plan_token_budget(tokens, codecs, factors=[1, 2], k=3)
    >>> points[-1].codec, points[-1].factor, points[-1].recall > points[0].recall
    ('8 bits', 1, True)
    """
    if not codecs:
        raise ParameterError("codecs must name at least one compressor; got none.")
    k = check_count("k", k)
    tokens = as_float_tokens(X)
    rng = np.random.default_rng(random_state)
    chosen = np.sort(
        rng.choice(len(tokens), min(check_count("sample", sample), len(tokens)), False)
    )
    part = tokens.take(chosen)
    asked, own = _asked(part, queries, rng)
    truth = _found(MultiVector(encoding=None).fit(part), asked, own, k)
    points = []
    with progress("planning", total=len(factors) * len(codecs), unit="points") as bar:
        for factor in factors:
            pooled = pool_tokens(part, factor) if factor > 1 else (part.values, part.offsets)
            for name, codec in codecs.items():
                fresh = type(codec)(**codec.get_params(deep=False))
                index = TokenCodes(fresh).fit(pooled)
                size = index.bytes_per_vector_ * len(pooled[0]) / len(part)
                recall = _recall(_found(index, asked, own, k), truth)
                points.append((float(size), recall, factor, name))
                bar.advance()
    kept = [p for p in points if bytes_per_item is None or p[0] <= bytes_per_item]
    if not kept:
        least = min(points)[0]
        raise ParameterError(
            f"nothing fits {bytes_per_item} bytes an item; the smallest that was measured takes "
            f"{least:.0f}. Add codecs of fewer bytes, or larger factors."
        )
    return [
        BudgetPoint(factor, name, size, recall, _unbeaten((size, recall), kept))
        for size, recall, factor, name in sorted(kept, key=lambda p: (p[0], p[1], p[2], p[3]))
    ]


def _unbeaten(point: tuple[float, float], others: list[tuple[float, float, float, str]]) -> bool:
    size, recall = point
    return not any(
        (o[0] <= size and o[1] > recall) or (o[0] < size and o[1] >= recall) for o in others
    )


def _asked(
    part: TokenVectors, queries: Any, rng: np.random.Generator
) -> tuple[TokenVectors, NDArray[np.int64] | None]:
    if queries is not None:
        return as_float_tokens(queries, name="queries", dim=part.dim), None
    own = np.sort(rng.choice(len(part), min(50, len(part)), replace=False))
    rows = []
    for i in own.tolist():
        first, last = part.offsets[i], part.offsets[i + 1]
        rows.append(np.unique(np.linspace(first, last - 1, _QUERY_VECTORS).astype(np.int64)))
    lengths = np.array([len(r) for r in rows], np.int64)
    return TokenVectors(part.values[np.concatenate(rows)], run_offsets(lengths)), own


def _found(
    index: Any, asked: TokenVectors, own: NDArray[np.int64] | None, k: int
) -> list[list[int]]:
    hits = index.search(asked, k=k + (own is not None))
    return [
        [i for i in hits[q].ids.tolist() if own is None or i != own[q]][:k]
        for q in range(len(hits))
    ]


def _recall(found: list[list[int]], truth: list[list[int]]) -> float:
    shares = [len(set(f) & set(t)) / max(len(t), 1) for f, t in zip(found, truth, strict=True)]
    return float(np.mean(shares))
