# SPDX-License-Identifier: Apache-2.0
"""What a search looks at: all rows as of one commit, in parts that never change.

    answer = best k of  union over parts of (walk or scan of the living rows of the part)

Scores are float64 of the stored rows in every part, so that the parts' answers are merged as they
are, ties by id. Dense parts have a graph or are scanned, fresh rows are scanned. Sparse parts are
searched by inverted lists and those of several vectors a row are scanned, both exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.index.answer import FEW, Found, top
from vectorloom.index.dense.graph_walk import Walk
from vectorloom.index.dense.proximity import kept_for
from vectorloom.index.dense.store import RowStore
from vectorloom.index.multivector.store import ItemStore
from vectorloom.index.multivector.token_vectors import TokenVectors
from vectorloom.index.sparse.sparse_rows import SparseRows, SparseStore
from vectorloom.store.rows import Lists, Store
from vectorloom.store.segment import Segment
from vectorloom.store.stored import Stored

#: What one search asks, by the kind of the field.
Queries = NDArray[Any] | SparseRows | TokenVectors


class Effort(NamedTuple):
    """How hard to look."""

    recall: float
    ef: int | None
    exact: bool
    n_jobs: int | None


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of one field.

    Attributes
    ----------
    store : RowStore, SparseStore or ItemStore
    held : Stored
    rows : ndarray of shape (n,), int64
        Row numbers, ascending.
    live : ndarray of shape (n,), uint8, or None
        1 where a position may be answered; None where all may.
    n_live : int
    n_points : int
        Rows that belong to a point, those in damaged blocks too.
    segment : Segment or None
        None for fresh rows.
    lists : Lists or None
        Of a sparse field.
    """

    store: Store
    held: Stored
    rows: NDArray[np.int64]
    live: NDArray[np.uint8] | None
    n_live: int
    n_points: int
    segment: Segment | None
    lists: Lists | None = None

    @property
    def name(self) -> str:
        """What `explain` calls it."""
        return "fresh rows" if self.segment is None else f"segment {self.segment.record.number}"

    def positions_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the positions of those of the ascending `rows` that are here, ascending."""
        n = len(self.rows)
        if n == 0 or len(rows) == 0:
            return np.empty(0, np.int64)
        first, last = int(self.rows[0]), int(self.rows[-1])
        start, end = np.searchsorted(rows, [first, last + 1])
        near = rows[start:end]
        at: NDArray[np.int64]
        if last - first + 1 == n:  # no gaps
            at = near - first
            return at
        at = np.searchsorted(self.rows, near)
        at = at[self.rows[at] == near]
        return at

    def find(
        self,
        queries: Any,
        k: int,
        among: NDArray[np.int64] | None,
        effort: Effort,
        plan: list[str],
    ) -> Found | None:
        """Return the k best of each query; None where no row matches."""
        mask, matches = self.live, self.n_live
        if among is not None:
            if self.live is not None:
                among = among[self.live[among] == 1]
            matches = len(among)
            mask = None
        if matches == 0:
            return None
        width = min(k, matches)
        if among is not None:
            mask = np.zeros(len(self.rows), np.uint8)
            mask[among] = 1
        if isinstance(self.store, SparseStore):
            how = f"lists: {matches:,} rows"
            found = self._sparse(self.store, queries, width, mask, effort)
        elif isinstance(self.store, ItemStore):
            how = f"exact: {matches:,} rows"
            found = self.store.search(queries, width, mask, effort.n_jobs)
        elif among is not None and matches * FEW < len(self.rows):
            how = f"exact: {matches:,} rows match"
            found = _among_few(self.store, queries, width, among, effort)
        else:
            found, how = self._dense(self.store, queries, width, mask, matches, effort)
        plan.append(f"{self.name}: {how}")
        return found

    def _dense(
        self,
        store: RowStore,
        queries: NDArray[Any],
        width: int,
        mask: NDArray[np.uint8] | None,
        matches: int,
        effort: Effort,
    ) -> tuple[Found, str]:
        graph = None if self.segment is None else self.segment.graph
        reach = 0.0
        if graph is not None and effort.ef is None and not effort.exact:
            reached = graph.reaches.find(effort.recall, width)
            reach = 0.0 if reached is None else reached
            graph = None if reached is None else graph
        if graph is None or effort.exact or effort.recall >= 1.0:
            found = top(store, queries, width, mask, effort.n_jobs)
            return found, f"exact: {matches:,} rows"
        own: list[str] = []
        nodes = effort.ef or kept_for(width)
        walk = Walk(graph, store, width, nodes, reach, effort.n_jobs, own)
        return walk.search(queries, mask), own[0]

    def _sparse(
        self,
        store: SparseStore,
        queries: SparseRows,
        width: int,
        mask: NDArray[np.uint8] | None,
        effort: Effort,
    ) -> Found:
        assert self.lists is not None  # a sparse field
        if self.segment is not None:
            store = self.segment.sparse_rows()
        postings = self.lists.ready(store, effort.n_jobs)
        found: Found = postings.search(
            store.core, queries.core, width, mask, store.ids.tie_keys(), n_jobs=effort.n_jobs
        )
        return found


def _among_few(
    store: RowStore, queries: NDArray[Any], k: int, among: NDArray[np.int64], effort: Effort
) -> Found:
    """Return the k best of a few positions, from a copy of just these rows."""
    rows, norms, keys = store.gathered(among)
    at, scores, counts = _core.exact_search(
        rows, norms, None, store.metric, queries, k, None, keys, effort.n_jobs
    )
    return among[at], scores, counts


@dataclass(frozen=True, eq=False)
class View:
    """All fields as of one commit.

    Attributes
    ----------
    version, epoch : int
        Of the commit, and of the list of segments.
    next_row : int
    fields : tuple of tuple of Part
        Of each field its sealed parts, then the fresh rows.
    id_type : {"int64", "str"} or None
        None while no point was ever stored.
    """

    version: int
    epoch: int
    next_row: int
    fields: tuple[tuple[Part, ...], ...]
    id_type: str | None

    @property
    def n_points(self) -> int:
        """Points stored."""
        return sum(part.n_points for part in self.fields[0])


class Answer(NamedTuple):
    """Of each query, best first: ids, rows and float64 scores, padded, and how many there are."""

    ids: NDArray[Any]
    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    counts: NDArray[np.int64]
    plan: str
    is_sound: bool  # False: some answer lies in a block that turned out to be damaged


def search_parts(
    parts: tuple[Part, ...],
    queries: Queries,
    k: int,
    among: NDArray[np.int64] | None,
    effort: Effort,
) -> Answer:
    """Return the k best rows of all parts for each query.

    Parameters
    ----------
    parts : tuple of Part
    queries : ndarray of shape (n_queries, dim), float32, SparseRows or TokenVectors
        Checked, as the kind of the field takes them.
    k : int
    among : ndarray of int64, or None
        Rows that a filter leaves, ascending.
    effort : Effort

    Returns
    -------
    Answer
    """
    plan: list[str] = []
    founds: list[tuple[Part, Found]] = []
    sound = True
    for part in parts:
        if part.n_live == 0:
            continue
        inside = None if among is None else part.positions_of(among)
        if inside is not None and len(inside) == 0:
            continue
        found = part.find(queries, k, inside, effort, plan)
        if found is not None:
            founds.append((part, found))
            if part.segment is not None:
                sound &= part.segment.check_positions(found[0][found[0] >= 0])
    said = "; ".join(plan) or "nothing matches"
    if len(founds) == 1:
        return _one_part(*founds[0], said, sound)
    return _merged(founds, len(queries), k, said, sound)


def _one_part(part: Part, found: Found, plan: str, sound: bool) -> Answer:
    positions, scores, counts = found
    if counts.min() == positions.shape[1]:
        ids = part.store.ids.take(positions.ravel()).reshape(positions.shape)
        return Answer(ids, part.rows[positions], scores, counts, plan, sound)
    held = positions >= 0
    some = part.store.ids.take(positions[held])
    ids = np.full(positions.shape, None if some.dtype == object else -1, some.dtype)
    rows = np.full(positions.shape, -1, np.int64)
    ids[held], rows[held] = some, part.rows[positions[held]]
    return Answer(ids, rows, scores, counts, plan, sound)


def _merged(
    founds: list[tuple[Part, Found]], n_queries: int, k: int, plan: str, sound: bool
) -> Answer:
    single = [_one_part(part, found, "", True) for part, found in founds]
    text = any(each.ids.dtype == object for each in single)
    width = min(k, sum(each.ids.shape[1] for each in single))
    ids = np.full((n_queries, width), None if text else -1, object if text else np.int64)
    rows = np.full((n_queries, width), -1, np.int64)
    scores = np.full((n_queries, width), -np.inf)
    counts = np.zeros(n_queries, np.int64)
    if not single:
        return Answer(ids, rows, scores, counts, plan, sound)
    all_ids = np.concatenate([each.ids for each in single], axis=1)
    all_rows = np.concatenate([each.rows for each in single], axis=1)
    all_scores = np.concatenate([each.scores for each in single], axis=1)
    for i in range(n_queries):
        there = np.flatnonzero(all_rows[i] >= 0)
        own, own_scores = all_ids[i, there], all_scores[i, there]
        if text:
            pairs = list(zip((-own_scores).tolist(), own.tolist(), strict=True))
            order = np.array(sorted(range(len(pairs)), key=pairs.__getitem__), np.int64)
        else:
            order = np.lexsort((own, -own_scores))
        order = order[:k]
        m = counts[i] = len(order)
        ids[i, :m], scores[i, :m] = own[order], own_scores[order]
        rows[i, :m] = all_rows[i, there[order]]
    return Answer(ids, rows, scores, counts, plan, sound)
