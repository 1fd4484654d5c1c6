# SPDX-License-Identifier: Apache-2.0
"""`where`: from what a user means to a mask over positions, one for the batch or one a query."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.index.rowids import IntIds, StrIds
from vectorloom.vectors import as_ids

Mask = NDArray[np.uint8] | None


class QueryMasks:
    """One mask a query, each made when it is asked for: all at once could be n_queries * n bytes.

    Parameters
    ----------
    filters : list
        None, a boolean mask or ids, one a query.
    ids : IntIds or StrIds
    live : ndarray of shape (n_positions,), uint8, or None
    """

    def __init__(self, filters: list[Any], ids: IntIds | StrIds, live: Mask) -> None:
        self._filters = filters
        self._ids = ids
        self._live = live

    def __len__(self) -> int:
        return len(self._filters)

    def __getitem__(self, query: int) -> Mask:
        where = self._filters[query]
        return self._live if where is None else _one_mask(where, self._ids, self._live)


def position_masks(
    where: Any,
    ids: IntIds | StrIds,
    live: Mask,
    n_queries: int,
) -> Mask | QueryMasks:
    """Return the rows that may be returned.

    Parameters
    ----------
    where : None, mask, ids, or one of these a query
        A boolean array of shape (n_rows,) in the order of ``ids_``; a list, set or array of ids;
        or a boolean array of shape (n_queries, n_rows); or a list of n_queries filters.
        Ids that are not there match nothing.
    ids : IntIds or StrIds
        Of all positions.
    live : ndarray of shape (n_positions,), uint8, or None
        None: all positions live.
    n_queries : int

    Returns
    -------
    ndarray of shape (n_positions,), uint8, or None, or QueryMasks
        None stands for all.

    Raises
    ------
    ShapeError
        A mask of another length, or not one filter a query.
    ParameterError
        Neither mask nor ids, or ids of the other type.
    """
    if where is None:
        return live
    if isinstance(where, str):
        raise ParameterError(
            f"where={where!r} is text; a boolean mask or ids are expected. For one id pass "
            f"[{where!r}]."
        )
    filters = per_query(where)
    if filters is None:
        return _one_mask(where, ids, live)
    if len(filters) != n_queries:
        raise ShapeError(
            f"where has {len(filters)} filters and there are {n_queries} queries; give one filter "
            "a query, or one mask or list of ids for all."
        )
    return QueryMasks(filters, ids, live)


def per_query(where: Any) -> list[Any] | None:
    """Return one filter a query as a list; None where there is one for all."""
    if getattr(where, "ndim", 1) == 2:
        return list(where)
    if isinstance(where, list | tuple) and any(
        each is None or (hasattr(each, "__len__") and not isinstance(each, str)) for each in where
    ):
        return list(where)
    return None


def _one_mask(where: Any, ids: IntIds | StrIds, live: Mask) -> NDArray[np.uint8]:
    array = np.asarray(where) if hasattr(where, "__array__") else None
    if array is None and isinstance(where, list | tuple) and where and isinstance(where[0], bool):
        array = np.asarray(where)
    if array is not None and array.dtype == np.bool_:
        return _from_mask(array, ids.n, live)
    wanted = as_ids(where, name="where", unique=False)
    if len(wanted) and (wanted.dtype == np.int64) != (ids.dtype == "int64"):
        got = "int64" if wanted.dtype == np.int64 else "str"
        raise ParameterError(
            f"where has {got} ids and this index has {ids.dtype} ids; pass ids of that type."
        )
    positions = ids.find(wanted)
    mask = np.zeros(ids.n, dtype=np.uint8)
    mask[positions[positions >= 0]] = 1
    if live is not None:
        mask &= live
    return mask


def _from_mask(array: NDArray[np.bool_], n: int, live: Mask) -> NDArray[np.uint8]:
    n_rows = n if live is None else int(np.count_nonzero(live))
    if array.shape != (n_rows,):
        raise ShapeError(
            f"where is a mask of shape {array.shape}; ({n_rows},) is expected, one entry a row in "
            "the order of ids_."
        )
    if live is None:
        return np.ascontiguousarray(array).view(np.uint8)
    mask = np.zeros(n, dtype=np.uint8)
    mask[np.flatnonzero(live)] = array
    return mask
