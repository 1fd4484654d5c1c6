# SPDX-License-Identifier: Apache-2.0
"""Retrieve with one index, score what it found with another: s(d) = s2(d) for d in top_n(s1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import Estimator, check_count
from vectorloom.index.hits import Hits


class TwoStage(Estimator):
    """A cheap index finds candidates, a dear one ranks them: BM25, then MaxSim, for instance.

    Use it where the second index is the better judge and too slow to ask about every document.
    Where both know something that the other does not, `Hybrid` keeps both opinions.

    Parameters
    ----------
    first : index
        Fitted; finds `n_candidates` documents a query.
    second : index
        Fitted, of the same documents under the same ids; ranks them, by ``rerank(queries, hits,
        k)`` where it has that and by a search among these ids where not. May be a `Hybrid` or
        another `TwoStage` as well.
    n_candidates : int, default=100

    Raises
    ------
    ParameterError, ShapeError
        Queries that do not name both stages, or not the same number for both.

    Notes
    -----
    Candidates that the second index does not hold are lost. Cost: a search of each.

    Examples
    --------
    >>> import vectorloom as vl
    >>> first = vl.index.Exact(metric="ip").fit([[3.0], [2.0], [1.0]])
    >>> second = vl.index.Exact(metric="ip").fit([[1.0], [2.0], [9.0]])
    >>> stages = TwoStage(first, second, n_candidates=2)
    >>> stages.search({"first": [[1.0]], "second": [[1.0]]}, k=2).ids
    array([[1, 0]])
    """

    def __init__(self, first: Any, second: Any, n_candidates: int = 100) -> None:
        self.first = first
        self.second = second
        self.n_candidates = n_candidates

    def search(self, queries: Any, k: int = 10, where: Any = None) -> Hits:
        """Return the k best candidates of each query, by the second index.

        Parameters
        ----------
        queries : dict with "first" and "second"
            What each index takes.
        k : int, default=10
        where : default=None
            Passed to the first index.

        Returns
        -------
        Hits
            Of the second index.
        """
        k = check_count("k", k)
        if not isinstance(queries, Mapping) or set(queries) != {"first", "second"}:
            raise ParameterError(
                "queries must be a dict with 'first' and 'second', what each index takes."
            )
        depth = max(k, check_count("n_candidates", self.n_candidates))
        found = self.first.search(queries["first"], k=depth, where=where)
        second = queries["second"]
        if hasattr(self.second, "rerank"):
            hits: Hits = self.second.rerank(second, found, k=k)
        else:
            among = [np.asarray(found[i].ids) for i in range(len(found))]
            hits = self.second.search(second, k=k, where=among)
        if len(hits) != len(found):
            raise ShapeError(
                f"both stages must be asked the same queries; got {len(found)} and {len(hits)}."
            )
        return hits
