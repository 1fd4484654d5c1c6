# SPDX-License-Identifier: Apache-2.0
"""A search of inverted lists and of the rows behind them that are in none yet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.index.answer import (
    Found,
    Ranged,
    all_within,
    best_first,
    few_positions,
    joined,
    short_answers,
    top,
)
from vectorloom.index.dense.coded_store import CodedStore
from vectorloom.index.dense.lists import InvertedLists, Probing
from vectorloom.index.dense.store import RowStore
from vectorloom.index.filters import Mask


def probed(
    store: RowStore,
    lists: InvertedLists,
    queries: NDArray[Any],
    probing: Probing,
    k: int,
    mask: Mask,
    n_jobs: int | None,
) -> tuple[Found, list[str]]:
    """Search the probed lists and the rows behind them; all rows where these hold too few.

    With the answer comes what was done for each query, "" where lists had it.
    """
    matches = store.n if mask is None else int(np.count_nonzero(mask))
    if few_positions(store, mask) is not None:
        ways = [f"exact: {matches:,} rows match"] * len(queries)
        return top(store, queries, k, mask, n_jobs), ways
    positions, scores, counts = lists.search(store, queries, probing, k, mask, n_jobs)
    if lists.n_listed < store.n:
        positions, scores, counts = _with_tail(
            store, lists.n_listed, queries, (positions, scores, counts), mask, n_jobs
        )
    ways = [""] * len(queries)
    short = short_answers(counts, min(k, matches))
    if len(short):
        positions[short], scores[short], counts[short] = top(store, queries[short], k, mask, n_jobs)
        for i in short.tolist():
            ways[i] = f"exact, after lists that held too few: {matches:,} rows match"
    return (positions, scores, counts), ways


def _with_tail(
    store: RowStore,
    start: int,
    queries: NDArray[Any],
    found: Found,
    mask: Mask,
    n_jobs: int | None,
) -> Found:
    """Merge an answer with the rows from `start` on, which are in no list yet."""
    keys = store.ids.tie_keys()
    norms = store.row_norms
    k = found[0].shape[1]
    at, more, _ = _core.exact_search(
        _tail_rows(store, start),
        None if norms is None else norms[start:],
        None,
        store.metric,
        queries,
        min(k, store.n - start),
        None if mask is None else mask[start:],
        None if keys is None else keys[start : store.n],
        n_jobs,
    )
    positions = np.concatenate([found[0], np.where(at < 0, -1, at + start)], axis=1)
    scores = np.concatenate([found[1], more], axis=1)
    return best_first(store, positions, scores, k)


def _tail_rows(store: RowStore, start: int) -> _core.Rows:
    """Return the view of the positions from `start` on."""
    offset = store.n_coded if isinstance(store, CodedStore) else 0
    part = slice(start - offset, store.n - offset)
    scales = None if store.scales is None else store.scales[part]
    return _core.Rows(store.values[part], store.kind, scales)


def ranged(
    store: RowStore,
    lists: InvertedLists | None,
    queries: NDArray[Any],
    least: NDArray[np.float64],
    recall: float | None,
    mask: Mask,
    n_jobs: int | None,
) -> tuple[Ranged, str]:
    """Return the rows whose score is at least `least` (n_queries,), and how they were found.

    Those of the lists that the recall needs; with None, or where that costs no more, all.
    """
    few = few_positions(store, mask)
    if few is not None:
        return all_within(store, queries, least, mask, n_jobs), f"exact: {len(few):,} rows match"
    if lists is None or len(queries) == 0:
        return all_within(store, queries, least, mask, n_jobs), "exact: no lists"
    found = lists.within(store, queries, least, recall, mask, n_jobs)
    if lists.n_listed < store.n:
        keys, norms, start = store.ids.tie_keys(), store.row_norms, lists.n_listed
        lims, positions, scores = _core.exact_range(
            _tail_rows(store, start),
            None if norms is None else norms[start:],
            None,
            store.metric,
            queries,
            least,
            None if mask is None else mask[start:],
            None if keys is None else keys[start : store.n],
            n_jobs,
        )
        found = joined(store, found, (lims, positions + start, scores))
    if recall is None:
        return found, "exact: all lists"
    if lists.ranging is None:
        return found, "exact: ranges were not measured"
    return found, f"lists for a recall of {recall:g}"
