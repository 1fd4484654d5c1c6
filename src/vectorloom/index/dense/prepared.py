# SPDX-License-Identifier: Apache-2.0
"""Searches as most are asked, in one call of the core: few float32 queries, no filter.

On a small index a walk takes ten microseconds, and to check, search and fill an answer step by
step in Python twice as much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom import _core
from vectorloom.index.hits import Hits

if TYPE_CHECKING:
    from vectorloom.index.dense.store import RowStore
    from vectorloom.index.rowids import IntIds, StrIds

_MOST_HITS = 4096  # for more the steps cost nothing beside the search

#: In the core: (ids or positions, scores, distances, counts) of queries; None where these need
# conversion or a message, or one has fewer than k hits.
Search = _core.GraphSearch | _core.ListsSearch | _core.ExactSearch | _core.CodeSearch


def small(queries: Any, k: Any) -> bool:
    """Whether the core may see to the rest: what it is not sure of it leaves unanswered."""
    return (
        type(queries) is np.ndarray
        and type(k) is int
        and queries.ndim == 2
        and len(queries) * k <= _MOST_HITS
    )


def plain(store: RowStore, queries: Any, k: Any) -> bool:
    """Whether queries are `small`, and all rows live."""
    return small(queries, k) and store.n_live == store.n


def filled(answer: Any, ids: IntIds | StrIds, metric: str) -> Hits | None:
    """Return the answer of one call of the core as hits; None where it had none."""
    if answer is None:
        return None
    found, scores, distances, counts = answer
    if ids.dtype != "int64":
        found = ids.take(found)
    return Hits(found, scores, distances, counts, metric)


class Prepared:
    """A search of the core, prepared for rows and threads as they stood, and anew after a change.

    Copies and pickles of it are empty.
    """

    def __init__(self) -> None:
        self._rows: object = None
        self._n_jobs: Any = None
        self._search: Any = None

    def search(self, rows: object, n_jobs: Any, prepare: Callable[[], Search]) -> Any:
        """Return the search.

        Parameters
        ----------
        rows : object
            Another one after each change of the rows.
        n_jobs : int or None
            As the user set it.
        prepare : callable
        """
        if self._search is None or self._rows is not rows or self._n_jobs is not n_jobs:
            self._search = prepare()
            self._rows, self._n_jobs = rows, n_jobs
        return self._search

    def __reduce__(self) -> tuple[type[Prepared], tuple[()]]:
        return Prepared, ()
