# SPDX-License-Identifier: Apache-2.0
"""What indexes of sparse rows do alike: rows in and out, ids, answers, files."""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import FormatError, ParameterError, VectorloomError
from vectorloom.estimator import check_count
from vectorloom.index.answer import Found, for_each_mask
from vectorloom.index.dense.row_index import RowIndex
from vectorloom.index.dense.stored import read_ids
from vectorloom.index.filters import Mask, position_masks
from vectorloom.index.hits import Hits, pad_hits
from vectorloom.index.id_rules import new_ids, refuse_held
from vectorloom.index.rowids import no_ids_like
from vectorloom.index.sparse.sparse_rows import SparseRows, SparseStore
from vectorloom.io.container import Container, write_container
from vectorloom.vectors import as_ids

_Self = TypeVar("_Self", bound="SparseIndex")


class SparseIndex(RowIndex):
    """Base of the indexes of sparse rows."""

    _store: SparseStore
    _postings: _core.Postings | None

    @abstractmethod
    def _rows(self, X: Any, n_terms: int | None, grow: bool) -> SparseRows:
        """Return what is to be added, checked."""

    @abstractmethod
    def _ready(self) -> tuple[_core.SparseRows, _core.Postings]:
        """Return weighted rows and postings that answer for all positions."""

    def _new_store(self, dim: int, ids: NDArray[Any]) -> SparseStore:
        return SparseStore(dim, no_ids_like(ids))

    def _stored_kind(self) -> str:
        return "float32"

    def _put(self, rows: SparseRows, ids: Any, how: str) -> None:
        """Append rows to the store, replacing those whose ids are there where `how` is upsert."""
        store = self._store
        wanted = new_ids(store, ids, len(rows))
        old = store.find(wanted)
        if how == "add":
            refuse_held(wanted, old >= 0, "rows")
        store.append(rows, wanted, old[old >= 0])

    def fit(self: _Self, X: Any, ids: Any = None) -> _Self:
        """Hold `X`, forgetting what was held before; see `add`."""
        rows = self._rows(X, None, True)
        wanted = as_ids(ids, len(rows))
        store = self._new_store(rows.n_terms, wanted)
        store.append(rows, wanted, np.empty(0, np.int64))
        self._adopt_rows(store)
        return self

    def _adopt_rows(self, store: SparseStore) -> None:
        self._store = store
        self._changed()

    def add(self: _Self, X: Any, ids: Any = None) -> _Self:
        """Add rows; on an index that holds nothing yet, the same as `fit`."""
        if not hasattr(self, "_store"):
            return self.fit(X, ids)
        store = self._writable()
        self._put(self._rows(X, store.dim, True), ids, "add")
        self._changed()
        return self

    def upsert(self: _Self, X: Any, ids: Any) -> _Self:
        """Add rows, replacing those whose ids are there already."""
        if ids is None:
            raise ParameterError(
                "upsert needs ids: it replaces rows by id. To append rows use add(X)."
            )
        if not hasattr(self, "_store"):
            return self.fit(X, ids)
        store = self._writable()
        self._put(self._rows(X, store.dim, True), ids, "upsert")
        self._changed()
        self._tidy(None)
        return self

    def _changed(self) -> None:
        """Forget what no longer fits the rows."""
        self._postings = None

    def _compacted(self, keep: NDArray[np.int64]) -> None:
        self._changed()

    # ---- searching -----------------------------------------------------------------------------

    def _found(
        self,
        queries: SparseRows,
        k: int,
        where: Any,
        find: Any,
    ) -> Hits:
        """Return the hits that `find(part of the queries, width, mask, ties)` has."""
        store = self._store
        k = check_count("k", k)
        masks = position_masks(where, store.ids, store.live, len(queries))
        width = min(k, store.n_live)
        ties = store.ids.tie_keys()

        def one(part: slice, mask: Mask) -> Found:
            found: Found = find(_part(queries, part), width, mask, ties)
            return found

        positions, scores, counts = for_each_mask(one, len(queries), width, masks)
        ids = store.ids.take(positions[positions >= 0])
        return pad_hits(ids, positions, scores, counts, k, "ip")

    def range_search(self, queries: Any, radius: Any, *args: Any, **kwargs: Any) -> Any:
        """Refused: a sparse index answers the k best."""
        raise ParameterError(
            "range_search is for dense indexes. Search with a large k and keep the scores that "
            "suffice."
        )

    def audit(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: `search(..., exact=True)` is the truth to compare with."""
        raise ParameterError(
            "audit is for dense indexes. Compare search(...) with search(..., exact=True)."
        )

    # ---- saving --------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to one file, which `vl.open` maps again.

        Parameters
        ----------
        path : path-like
            Its folder must exist. An older file there is replaced in one step, at the very end.

        Raises
        ------
        OSError
            No such folder, no permission, disk full: an older file is as it was.
        """
        store = self._fitted()
        if not store.read_only:
            self._tidy(None, fully=True)
        n = store.n
        values = store.n_values
        meta = {
            "params": self._saved_params(),
            "n": n,
            "n_terms": store.dim,
            "ids": store.ids.dtype,
            "ascending": store.ids.ascending,
            "next_id": store.next_id,
        }
        arrays: dict[str, NDArray[Any]] = {
            "starts": store.starts[: n + 1],
            "terms": store.terms[:values],
            "weights": store.weights[:values],
        }
        arrays |= store.ids.to_arrays()
        more_meta, more_arrays = self._more()
        write_container(path, self._kind, meta | dict(more_meta), arrays | dict(more_arrays))

    def _saved_params(self) -> dict[str, Any]:
        return self.get_params()

    def _posting_arrays(self) -> dict[str, NDArray[Any]]:
        postings = self._postings
        if postings is None:
            return {}
        return {"postings." + name: array for name, array in postings.arrays().items()}

    def copy(self: _Self) -> _Self:
        """Return a writable copy in memory; the way to change an index that `vl.open` opened."""
        twin = super().copy()
        twin._changed()
        return twin

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_postings": None}

    def _fitted(self) -> SparseStore:
        self._check_fitted("_store")
        return self._store

    def _writable(self) -> SparseStore:
        super()._writable()
        return self._store


def read_sparse(file: Container) -> SparseStore:
    """Return the mapped, read-only store of a file."""
    meta = file.meta
    n = check_count("n", meta["n"], at_least=0)
    store = SparseStore(check_count("n_terms", meta["n_terms"]), read_ids(file, n))
    store.starts = file.array("starts", "<i8", (n + 1,))
    if store.starts[0] != 0 or (np.diff(store.starts) < 0).any():
        raise FormatError(f"{file.path}: the rows do not begin where they should.")
    values = int(store.starts[-1])
    store.terms = file.array("terms", "<i4", (values,))
    store.weights = file.array("weights", "<f4", (values,))
    store.live_flags = np.ones(n, np.uint8)
    store.n = store.n_live = n
    store.next_id = check_count("next_id", meta["next_id"], at_least=0)
    store.read_only = True
    return store


def read_postings(
    file: Container, store: SparseStore, rows: _core.SparseRows, prefix: str = "postings."
) -> _core.Postings:
    """Return the mapped postings of a file.

    Raises
    ------
    FormatError
        They cannot be used.
    """
    parts = {
        name[len(prefix) :]: array for name, array in file.arrays.items() if name.startswith(prefix)
    }
    try:
        if not rows.fits(store.dim):
            raise FormatError("terms do not ascend")
        return _core.Postings.open(parts, store.n, store.dim)
    except (VectorloomError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{file.path}: the postings cannot be used ({error}).") from error


def _part(queries: SparseRows, part: slice) -> SparseRows:
    if part.start == 0 and part.stop == len(queries):
        return queries
    starts = queries.starts[part.start : part.stop + 1]
    values = slice(int(starts[0]), int(starts[-1]))
    return SparseRows(
        starts - starts[0], queries.terms[values], queries.weights[values], queries.n_terms
    )
