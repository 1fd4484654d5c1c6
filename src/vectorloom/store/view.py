# SPDX-License-Identifier: Apache-2.0
"""What a search looks at: all rows as of one commit, in parts that never change.

    answer = best k of  union over parts of (walk or scan of the living rows of the part)

Scores are float64 of the stored rows in every part, so that the parts' answers are merged as they
are, ties by id. Sealed parts have a graph or are scanned; fresh rows are scanned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.index.answer import FEW, Found, top
from vectorloom.index.graph_walk import Walk
from vectorloom.index.proximity import kept_for
from vectorloom.index.store import RowStore
from vectorloom.store.segment import Segment


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
    store : RowStore
    rows : ndarray of shape (n,), int64
        Row numbers, ascending.
    live : ndarray of shape (n,), uint8, or None
        1 where a position may be answered; None where all may.
    n_live : int
    n_points : int
        Rows that belong to a point, those in damaged blocks too.
    segment : Segment or None
        None for fresh rows.
    """

    store: RowStore
    rows: NDArray[np.int64]
    live: NDArray[np.uint8] | None
    n_live: int
    n_points: int
    segment: Segment | None

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
        queries: NDArray[Any],
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
            if matches * FEW < len(self.rows):
                plan.append(f"{self.name}: exact: {matches:,} rows match")
                return self._among_few(queries, width, among, effort)
            mask = np.zeros(len(self.rows), np.uint8)
            mask[among] = 1
        graph = None if self.segment is None else self.segment.graph
        own: list[str] = []
        reach = 0.0
        if graph is not None and effort.ef is None and not effort.exact:
            reached = graph.reach_for(effort.recall, width)
            reach = 0.0 if reached is None else reached
            graph = None if reached is None else graph
        if graph is None or effort.exact or effort.recall >= 1.0:
            own.append(f"exact: {matches:,} rows")
            found = top(self.store, queries, width, mask, effort.n_jobs)
        else:
            nodes = effort.ef or kept_for(width)
            walk = Walk(graph, self.store, width, nodes, reach, effort.n_jobs, own)
            found = walk.search(queries, mask)
        plan.append(f"{self.name}: {own[0]}")
        return found

    def _among_few(
        self, queries: NDArray[Any], k: int, among: NDArray[np.int64], effort: Effort
    ) -> Found:
        """Return the k best of a few positions, from a copy of just these rows."""
        rows, norms, keys = self.store.gathered(among)
        at, scores, counts = _core.exact_search(
            rows, norms, None, self.store.metric, queries, k, None, keys, effort.n_jobs
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
    queries: NDArray[Any],
    k: int,
    among: NDArray[np.int64] | None,
    effort: Effort,
) -> Answer:
    """Return the k best rows of all parts for each query.

    Parameters
    ----------
    parts : tuple of Part
    queries : ndarray of shape (n_queries, dim), float32
        Checked.
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
