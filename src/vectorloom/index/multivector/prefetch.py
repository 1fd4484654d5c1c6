# SPDX-License-Identifier: Apache-2.0
"""Candidates and exact scores, the disk reading while the first stage looks on.

    find(1), ask(1), find(2), ask(2), score(1), find(3), ask(3), score(2), …

`ask` tells the system which vectors will be scored, and returns: it reads them, many at a time,
while the first stage finds the candidates of the next queries. Without it each vector that is not
in memory stops the scoring for as long as the disk takes.

Shrestha, Reddy, Li. "ESPN: Memory-Efficient Multi-Vector Information Retrieval", ISMM 2024,
arXiv:2312.05417. It asks for the vectors of one query's early candidates before its first stage has
ended. Here a query's candidates are all known at once, so that the first stage of the *next*
queries is what the reading overlaps with, and nothing is read that is not needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.index.answer import Found
from vectorloom.index.filters import per_query
from vectorloom.index.multivector.candidates import CandidateStage
from vectorloom.index.multivector.store import ItemStore
from vectorloom.index.multivector.token_vectors import TokenVectors

#: Queries whose candidates are read at once: so many that the disk has enough to do, so few that
#: what is read is still there when it is scored.
_BLOCK = 8


def two_stages(
    stage: CandidateStage,
    store: ItemStore,
    queries: TokenVectors,
    depth: int,
    k: int,
    where: Any,
    n_jobs: int | None,
    *,
    prefetch: bool,
) -> Found:
    """Return positions, scores and counts of the k best among `depth` candidates.

    Parameters
    ----------
    stage : CandidateStage
    store : ItemStore
    queries : TokenVectors
    depth : int
        Candidates a query.
    k : int
    where
        One filter for all queries, or a list of one a query.
    n_jobs : int or None
    prefetch : bool
        Whether to go block by block and to ask for vectors ahead.
    """
    if not prefetch:
        candidates, limits = stage.find(store, queries, depth, where)
        return store.rerank(queries, candidates, limits, k, n_jobs)
    filters = per_query(where)
    found: list[Found] = []
    waiting: tuple[TokenVectors, NDArray[np.int64], NDArray[np.int64]] | None = None

    def scored(part: TokenVectors, candidates: NDArray[np.int64], limits: Any) -> Found:
        return store.rerank(part, candidates, limits, k, n_jobs)

    for first in range(0, len(queries), _BLOCK):
        last = min(first + _BLOCK, len(queries))
        part = queries.part(first, last)
        some = where if filters is None else filters[first:last]
        candidates, limits = stage.find(store, part, depth, some)
        store.will_need(candidates)
        if waiting is not None:
            found.append(scored(*waiting))
        waiting = part, candidates, limits
    if waiting is not None:
        found.append(scored(*waiting))
    if not found:
        return scored(queries, np.empty(0, np.int64), np.zeros(1, np.int64))
    positions, scores, counts = zip(*found, strict=True)
    return np.concatenate(positions), np.concatenate(scores), np.concatenate(counts)
