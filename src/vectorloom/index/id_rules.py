# SPDX-License-Identifier: Apache-2.0
"""Which ids an index takes, and what it says of those that it does not: the same in all indexes."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.index.rowids import IntIds, StrIds, no_ids_like
from vectorloom.vectors import as_ids


class HoldsIds(Protocol):
    """A store, as far as its ids go."""

    ids: IntIds | StrIds
    next_id: int

    @property
    def n(self) -> int:
        """Places, those of removed rows included."""


def new_ids(store: HoldsIds, ids: Any, n: int) -> NDArray[Any]:
    """Return the ids of `n` new rows, made up after the largest ever used where none are given.

    Raises
    ------
    ParameterError
        Ids of another type than those held, or none that could be made up.
    """
    if ids is None:
        if store.ids.dtype == "str":
            raise ParameterError("this index has str ids, which cannot be made up; pass ids.")
        if store.next_id + n > np.iinfo(np.int64).max:
            raise ParameterError("there are no int64 ids left after the largest one; pass ids.")
        return np.arange(store.next_id, store.next_id + n, dtype=np.int64)
    wanted = as_ids(ids, n)
    if store.n == 0 and store.next_id == 0:
        store.ids = no_ids_like(wanted)  # nothing was held yet that could fix their type
    elif len(wanted) and (wanted.dtype == np.int64) != (store.ids.dtype == "int64"):
        got = "int64" if wanted.dtype == np.int64 else "str"
        raise ParameterError(
            f"ids are {got} and this index has {store.ids.dtype} ids; ids must be of one type."
        )
    return wanted


def refuse_held(ids: NDArray[Any], held: NDArray[np.bool_], what: str) -> None:
    """Refuse to add ids that are there already.

    Parameters
    ----------
    ids : ndarray of shape (n,)
    held : ndarray of shape (n,), bool
    what : str
        What the index holds: "rows".

    Raises
    ------
    ParameterError
    """
    if held.any():
        first = ids[held].tolist()[0]
        raise ParameterError(
            f"ids has {int(held.sum())} that are in the index already, first {first!r}; add takes "
            f"new ids. Use upsert(X, ids) to replace {what}."
        )


def name_absent(ids: NDArray[Any], what: str = "") -> str:
    """Return the words about ids that are not there, after those of `what`."""
    shown = ", ".join(map(repr, ids[:5].tolist())) + (", …" if len(ids) > 5 else "")
    plural = "ids are" if len(ids) > 1 else "id is"
    return f"{what}{len(ids)} {plural} not in this index: {shown}."


def refuse_read_only(read_only: bool) -> None:
    """Refuse to change an index that looks at a file.

    Raises
    ------
    ParameterError
    """
    if read_only:
        raise ParameterError(
            "this index was opened from a file and is read-only. Change index.copy(), then save "
            "that; or keep what changes in a collection (vl.collection), which is written in place."
        )
