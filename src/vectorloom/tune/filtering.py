# SPDX-License-Identifier: Apache-2.0
"""Filters of queries, kept as positions so that they follow rows into a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.index.filters import QueryMasks, position_masks
from vectorloom.index.rowids import IntIds, StrIds

Positions = NDArray[np.int64]


class Filters:
    """One filter for all queries, or one a query.

    Parameters
    ----------
    allowed : list of ndarray of int64, or None
        Ascending positions that match; None where all rows do. One entry stands for all queries
        where `is_shared`.
    n : int
        Rows.
    is_shared : bool
    """

    def __init__(self, allowed: list[Positions | None], n: int, is_shared: bool) -> None:
        self.allowed = allowed
        self.n = n
        self.is_shared = is_shared

    @classmethod
    def read(cls, where: Any, ids: NDArray[Any], n_queries: int | None) -> Filters:
        """Return what a user means, as for a search.

        Parameters
        ----------
        where : mask, ids, or one of these a query
        ids : ndarray of shape (n,)
        n_queries : int or None
            None takes one filter for all alone.

        Raises
        ------
        ShapeError, ParameterError
            Not filters, or one that no row matches.
        """
        holder = IntIds(ids) if ids.dtype == np.int64 else StrIds(ids)
        try:
            masks = position_masks(where, holder, None, -1 if n_queries is None else n_queries)
        except ShapeError as error:
            if n_queries is None:
                raise ShapeError(
                    "filters must be one mask or list of ids where no queries are given: rows that "
                    "serve as queries have no filters of their own."
                ) from error
            raise
        if isinstance(masks, QueryMasks):
            found = [masks[i] for i in range(len(masks))]
            allowed = [None if mask is None else np.flatnonzero(mask) for mask in found]
        else:
            allowed = [None if masks is None else np.flatnonzero(masks)]
        empty = [i for i, at in enumerate(allowed) if at is not None and len(at) == 0]
        if empty:
            raise ParameterError(
                f"{len(empty)} of {len(allowed)} filters match no row, first {empty[0]}; there is "
                "nothing to find for them. Leave these queries out."
            )
        return cls(allowed, len(ids), not isinstance(masks, QueryMasks))

    @property
    def share(self) -> float:
        """The share of the rows that match, in the middle."""
        sizes = [self.n if at is None else len(at) for at in self.allowed]
        return float(np.median(sizes)) / self.n

    def of_queries(self, part: Positions) -> Filters:
        """Return the filters of some of the queries."""
        if self.is_shared:
            return self
        return Filters([self.allowed[i] for i in part.tolist()], self.n, False)

    def of_rows(self, keep: Positions) -> Filters:
        """Return the filters over these rows alone, whose positions count from 0 on."""
        place = np.full(self.n, -1, np.int64)
        place[keep] = np.arange(len(keep))
        moved = [None if at is None else place[at] for at in self.allowed]
        return Filters(
            [None if at is None else at[at >= 0] for at in moved], len(keep), self.is_shared
        )

    def among(self, positions: Positions | None) -> Any:
        """Return what ``where=`` of a search takes, over these rows of the base (None: all)."""
        found = self if positions is None else self.of_rows(positions)
        if not found.is_shared:
            return list(found.allowed)
        only = found.allowed[0]
        if only is None:
            return None
        mask = np.zeros(found.n, bool)
        mask[only] = True
        return mask
