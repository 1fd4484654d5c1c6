# SPDX-License-Identifier: Apache-2.0
"""From checked queries and masks to positions and scores: which kernel answers what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.index.dense.encoding import encode_queries
from vectorloom.index.dense.store import RowStore, refuse_zero
from vectorloom.index.filters import Mask, QueryMasks
from vectorloom.index.hits import distances_from_scores

#: A filter that leaves fewer than one row in so many is answered from a copy of just those rows: to
# gather rows one by one costs about this many times what it costs to stream them.
FEW = 16
_NONE = np.empty(0, np.int64)

#: positions (n_queries, k) padded with -1, scores (n_queries, k) padded with -inf, counts
Found = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]
#: lims (n_queries + 1,), positions (n_hits,), scores (n_hits,)
Ranged = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
#: from queries, least scores (n_queries,) and a mask
FindWithin = Callable[[NDArray[Any], NDArray[np.float64], Mask], Ranged]


def checked_queries(queries: Any, store: RowStore) -> NDArray[Any]:
    """Return queries as the core takes them, refusing zero ones under cosine.

    Parameters
    ----------
    queries : array-like of shape (n_queries, dim)
    store : RowStore

    Returns
    -------
    ndarray of shape (n_queries, dim), float32, or (n_queries, dim / 8), uint8
    """
    packed = encode_queries(queries, store.kind, store.dim)
    if store.metric == "cosine" and len(packed) and _core.any_zero_row(packed):
        refuse_zero(_core.norms(_core.Rows(packed, "float32"), 1), "queries")
    return packed


def top(
    store: RowStore,
    queries: NDArray[Any],
    k: int,
    masks: Mask | QueryMasks,
    n_jobs: int | None,
) -> Found:
    """Return the k best positions of each query, best first.

    Parameters
    ----------
    store : RowStore
    queries : ndarray
        From `checked_queries`.
    k : int
        At most the number of living rows; 0 is fine.
    masks : mask, None, or QueryMasks
        From `vectorloom.index.filters.position_masks`.
    n_jobs : int or None

    Returns
    -------
    positions, scores, counts
    """

    def one(part: slice, mask: Mask) -> Found:
        return _top(store, queries[part], k, mask, n_jobs)

    return for_each_mask(one, len(queries), k, masks)


def for_each_mask(
    find: Callable[[slice, Mask], Found], n_queries: int, k: int, masks: Mask | QueryMasks
) -> Found:
    """Return what `find` has for all queries under one mask, or for each under its own.

    Parameters
    ----------
    find : callable
        From the part of the queries, and their mask, to positions, scores and counts.
    n_queries, k : int
    masks : mask, None, or QueryMasks
    """
    if not isinstance(masks, QueryMasks):
        return find(slice(0, n_queries), masks)
    positions, scores, counts = _nothing(n_queries, k)
    for i in range(len(masks)):
        part = slice(i, i + 1)
        positions[part], scores[part], counts[part] = find(part, masks[i])
    return positions, scores, counts


def within(
    store: RowStore,
    queries: NDArray[Any],
    radii: NDArray[np.float64],
    masks: Mask | QueryMasks,
    find: FindWithin,
) -> Ranged:
    """Return the positions whose float32 distance is at most the radius of their query.

    Parameters
    ----------
    store, queries, masks
        As for `top`.
    radii : ndarray of shape (n_queries,), float64
        Distances.
    find : callable
        From queries, least scores and a mask to what is found, best first.

    Returns
    -------
    lims : ndarray of shape (n_queries + 1,), int64
    positions : ndarray of shape (n_hits,), int64
    scores : ndarray of shape (n_hits,), float64
    """
    # Asked a little wider than meant, then cut where the rounded distance that the user sees is
    # beyond the radius: a distance taken from an answer finds that answer again.
    slack = np.where(np.isfinite(radii), np.abs(radii) * 2.0**-22 + 1e-12, 0.0)
    thresholds = (1.0 if store.metric == "cosine" else 0.0) - (radii + slack)
    if isinstance(masks, QueryMasks):
        parts = [
            find(queries[i : i + 1], thresholds[i : i + 1], masks[i]) for i in range(len(masks))
        ]
        lims, positions, scores = one_after_another(parts)
    else:
        lims, positions, scores = find(queries, thresholds, masks)
    query = np.repeat(np.arange(len(queries)), np.diff(lims))
    keep = distances_from_scores(scores, store.metric) <= radii[query]
    counts = np.bincount(query[keep], minlength=len(queries))
    cut = np.zeros(len(queries) + 1, np.int64)
    np.cumsum(counts, out=cut[1:])
    return cut, positions[keep], scores[keep]


def _top(store: RowStore, queries: NDArray[Any], k: int, mask: Mask, n_jobs: int | None) -> Found:
    if k == 0 or len(queries) == 0:
        return _nothing(len(queries), k)
    few = few_positions(store, mask)
    if few is None:
        screen = store.ensure_screen(n_jobs)
        keys = store.ids.tie_keys()
        return _core.exact_search(
            store.rows, store.row_norms, screen, store.metric, queries, k, mask, keys, n_jobs
        )
    positions, scores, counts = _nothing(len(queries), k)
    width = min(k, len(few))
    if width:
        rows, norms, keys = store.gathered(few)
        at, scores[:, :width], counts[:] = _core.exact_search(
            rows, norms, None, store.metric, queries, width, None, keys, n_jobs
        )
        positions[:, :width] = few[at]
    return positions, scores, counts


def one_after_another(parts: Sequence[Ranged]) -> Ranged:
    """Return the answers of parts of the queries as one."""
    counts = [np.diff(lims) for lims, _, _ in parts]
    lims = np.zeros(1 + sum(map(len, counts)), np.int64)
    np.cumsum(np.concatenate([np.empty(0, np.int64), *counts]), out=lims[1:])
    positions = np.concatenate([np.empty(0, np.int64)] + [part[1] for part in parts])
    scores = np.concatenate([np.empty(0, np.float64)] + [part[2] for part in parts])
    return lims, positions, scores


def joined(store: RowStore, one: Ranged, other: Ranged) -> Ranged:
    """Return two answers to the same queries as one, best first, ties by id."""
    counts = np.diff(one[0]), np.diff(other[0])
    query = np.concatenate([np.repeat(np.arange(len(each)), each) for each in counts])
    positions = np.concatenate([one[1], other[1]])
    scores = np.concatenate([one[2], other[2]])
    keys = store.ids.tie_keys()
    order = np.lexsort((positions if keys is None else keys[positions], -scores, query))
    return one[0] + other[0], positions[order], scores[order]


def all_within(
    store: RowStore,
    queries: NDArray[Any],
    thresholds: NDArray[np.float64],
    mask: Mask,
    n_jobs: int | None,
) -> Ranged:
    """Return all positions whose score is at least the threshold of their query, best first."""
    few = few_positions(store, mask)
    if store.n_live == 0 or len(queries) == 0 or (few is not None and len(few) == 0):
        return np.zeros(len(queries) + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.float64)
    if few is not None:
        rows, norms, keys = store.gathered(few)
        lims, at, scores = _core.exact_range(
            rows, norms, None, store.metric, queries, thresholds, None, keys, n_jobs
        )
        return lims, few[at], scores
    screen = store.ensure_screen(n_jobs)
    keys = store.ids.tie_keys()
    return _core.exact_range(
        store.rows, store.row_norms, screen, store.metric, queries, thresholds, mask, keys, n_jobs
    )


def best_first(
    store: RowStore, positions: NDArray[np.int64], scores: NDArray[np.float64], k: int
) -> Found:
    """Return the k best of what was found, best first, ties by id; -1 and -inf where none are.

    Parameters
    ----------
    store : RowStore
    positions : ndarray of shape (n_queries, m)
        -1 where there is none.
    scores : ndarray of shape (n_queries, m)
        -inf there.
    k : int
    """
    keys = store.ids.tie_keys()
    ties = positions if keys is None else keys[positions]
    order = np.lexsort((ties, -scores), axis=-1)[:, :k]
    best, values, _ = _nothing(len(positions), k)
    best[:, : order.shape[1]] = np.take_along_axis(positions, order, axis=1)
    values[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    return best, values, (best >= 0).sum(axis=1)


def short_answers(counts: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Return the queries with fewer hits than `least`."""
    # Among a handful of numbers Python finds the smallest before NumPy has begun.
    if min(counts.tolist(), default=least) >= least:
        return _NONE
    return np.flatnonzero(counts < least)


def few_positions(store: RowStore, mask: Mask) -> NDArray[np.int64] | None:
    """Return the positions a mask leaves where they are few; None where streaming is better."""
    if mask is None or np.count_nonzero(mask) * FEW > store.n:
        return None
    return np.flatnonzero(mask)


def _nothing(n_queries: int, k: int) -> Found:
    return (
        np.full((n_queries, k), -1, np.int64),
        np.full((n_queries, k), -np.inf, np.float64),
        np.zeros(n_queries, np.int64),
    )
