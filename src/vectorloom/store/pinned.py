# SPDX-License-Identifier: Apache-2.0
"""A question held together with the commit that it was answered at, to be asked again exactly.

Writes go on between an answer and its check. A view never changes, so the exact answer over the
same view is the truth that the first answer is to be held against, whatever was written since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.store.collection import Collection
from vectorloom.store.engine import Engine, MovedOnError, showing
from vectorloom.store.reading import compiled, packed_queries
from vectorloom.store.view import Answer, Effort, Queries, View, search_parts


@dataclass(frozen=True, eq=False)
class Question:
    """One query with its commit.

    Attributes
    ----------
    query : ndarray of shape (1, dim), float32, or as the kind of the field takes it
    k : int
    matches : int
        Points that the filter leaves.
    total : int
    """

    query: Queries
    k: int
    matches: int
    total: int
    _view: View
    _place: int
    _among: NDArray[np.int64] | None

    def exact(self, n_jobs: int = 1) -> Answer:
        """Return the true best of all points, ids and float64 scores."""
        effort = Effort(1.0, None, True, n_jobs)
        parts = self._view.fields[self._place]
        return search_parts(parts, self.query, self.k, self._among, effort)


class Pin:
    """The last commit of a collection, taken before a search.

    Parameters
    ----------
    collection : Collection
    place : int
        Number of the field.
    """

    def __init__(self, collection: Collection, place: int) -> None:
        self._engine: Engine = collection._engine
        self._view = self._engine.current()
        self._place = place

    def question(self, query: Any, k: int, where: Mapping[str, Any] | None) -> Question | None:
        """Return the question, to be called after its search; None if a commit came between."""
        engine, view = self._engine, self._view
        if engine.current().version != view.version:
            return None
        packed = packed_queries(engine.schema.fields[self._place], query)
        wanted = compiled(engine, where)
        among = None
        if wanted is not None:
            try:
                with engine.reader() as db, showing(view, db):
                    among = engine.rows_where(wanted, view, db)
            except MovedOnError:
                return None
        matches = view.n_points if among is None else len(among)
        return Question(packed, k, matches, view.n_points, view, self._place, among)
