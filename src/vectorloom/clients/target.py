# SPDX-License-Identifier: Apache-2.0
"""What adapters need of a collection, local or remote, and how they ask it one question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.store import PointHits, Points
from vectorloom.store.points import PointQueryHits
from vectorloom.store.schema import Schema


class PointStore(Protocol):
    """What `vectorloom.Collection` and `vectorloom.clients.RemoteCollection` share."""

    @property
    def schema(self) -> Schema:
        """Fields of vectors."""
        ...

    def __len__(self) -> int: ...

    def upsert(
        self,
        ids: Any,
        vectors: Any = None,
        payloads: Sequence[Mapping[str, Any] | None] | None = None,
        texts: Sequence[str | None] | None = None,
    ) -> int:
        """Store points."""
        ...

    def delete(self, ids: Any = None, *, where: Mapping[str, Any] | None = None) -> int:
        """Remove points."""
        ...

    def get(self, ids: Any, *, missing: str = "raise", vectors: bool = True) -> Points:
        """Return points by id."""
        ...

    def scroll(
        self,
        where: Mapping[str, Any] | None = None,
        *,
        batch: int = 1000,
        vectors: bool = False,
    ) -> Iterator[Points]:
        """Yield all points."""
        ...

    def search(
        self,
        query: Any,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        field: str | None = None,
        *,
        by: str | None = None,
        recall: float | None = None,
        exact: bool = False,
    ) -> PointHits:
        """Return the nearest points."""
        ...


def hits_of_one(
    points: PointStore,
    vector: Any,
    k: int,
    where: Mapping[str, Any] | None,
    field: str | None,
    **effort: Any,
) -> PointQueryHits:
    """Return the hits of one vector.

    Raises
    ------
    ParameterError, ShapeError
    """
    k = check_count("k", k)
    return points.search(np.asarray(vector, np.float32), k, where, field, **effort)[0]


def require_text_ids(ids: NDArray[Any]) -> None:
    """Refuse whole numbers as ids, where the library behind an adapter knows text alone.

    Raises
    ------
    ParameterError
    """
    if ids.dtype == np.int64 and len(ids):
        raise ParameterError(
            "this collection has whole numbers as ids, and documents have text ids. Use a "
            "collection of its own."
        )
