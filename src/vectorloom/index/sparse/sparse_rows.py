# SPDX-License-Identifier: Apache-2.0
"""Sparse rows: as they come in, and as indexes keep them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import CapacityError, ParameterError, ShapeError
from vectorloom.index.dense.store import RowStore
from vectorloom.index.memory import require_memory
from vectorloom.index.rowids import IntIds, StrIds
from vectorloom.vectors import as_dense

#: Sums of products of larger weights could leave float32.
LARGEST_WEIGHT = 1e15

_GROWTH = 1.25
# Bytes of a value beside the arrays of rows: its posting.
_POSTING_BYTES = 8


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Checked rows: float32 weights above zero at ascending terms.

    Attributes
    ----------
    starts : ndarray of shape (n + 1,), int64
    terms : ndarray of shape (n_values,), int32
    weights : ndarray of shape (n_values,), float32
    n_terms : int
    """

    starts: NDArray[np.int64]
    terms: NDArray[np.int32]
    weights: NDArray[np.float32]
    n_terms: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def core(self) -> _core.SparseRows:
        """What the core searches with."""
        return _core.SparseRows(self.starts, self.terms, self.weights, len(self))


def as_sparse(
    X: Any, *, name: str = "X", n_terms: int | None = None, allow_empty: bool = False
) -> SparseRows:
    """Return `X` as checked sparse rows, or say what is wrong with it.

    Parameters
    ----------
    X : scipy sparse matrix or array, or array-like, of shape (n, n_terms)
        Never changed. Values that are given twice are added, zeros left out.
    name : str, default="X"
        What the caller calls it; used in messages.
    n_terms : int or None, default=None
        The columns it must have.
    allow_empty : bool, default=False
        Whether zero rows are fine.

    Returns
    -------
    SparseRows

    Raises
    ------
    ShapeError
        Not two-dimensional, no rows, no columns, or other columns than `n_terms`.
    ParameterError
        Negative weights, NaN, infinity, weights above 1e15, or not numeric.
    """
    from scipy import sparse

    if not sparse.issparse(X):
        X = as_dense(X, name=name, dim=n_terms, allow_empty=allow_empty)
        X = sparse.csr_array(X)
    if X.ndim == 1:
        raise ShapeError(
            f"{name} must be 2-d (n, n_terms); got shape {X.shape}. For one vector pass "
            f"{name}.reshape(1, -1)."
        )
    _check_shape(X, name, n_terms, allow_empty)
    if X.dtype.kind not in "biuf":
        raise ParameterError(f"{name} has dtype {X.dtype}; real numbers are expected.")
    rows = X.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy() if rows is X else rows
        rows.sum_duplicates()
    weights = rows.data
    if weights.dtype != np.float32:
        with np.errstate(over="ignore"):
            weights = weights.astype(np.float32)
    _check_weights(weights, rows.indptr, name)
    if len(weights) and not weights.all():
        kept = weights != 0
        before = np.concatenate([[0], np.cumsum(kept)])
        starts = before[rows.indptr].astype(np.int64)
        return SparseRows(starts, rows.indices[kept].astype(np.int32), weights[kept], X.shape[1])
    return SparseRows(
        np.ascontiguousarray(rows.indptr, np.int64),
        np.ascontiguousarray(rows.indices, np.int32),
        np.ascontiguousarray(weights),
        int(X.shape[1]),
    )


def _check_shape(X: Any, name: str, n_terms: int | None, allow_empty: bool) -> None:
    n, width = X.shape
    if n == 0 and not allow_empty:
        raise ShapeError(f"{name} has no rows; pass at least one.")
    if width == 0:
        raise ShapeError(f"{name} has no columns; a vector needs at least one term.")
    if width > np.iinfo(np.int32).max:
        raise ShapeError(f"{name} has {width:,} columns; fewer than 2^31 are expected.")
    if n_terms is not None and width != n_terms:
        raise ShapeError(
            f"{name} must have {n_terms} columns, one a term of this index; got {width}. Build "
            "both with the same vocabulary."
        )


def _check_weights(weights: NDArray[np.float32], starts: NDArray[Any], name: str) -> None:
    if not len(weights):
        return
    low, high = weights.min(), weights.max()
    if low >= 0 and high <= LARGEST_WEIGHT:  # not so with a NaN
        return
    for bad, what, remedy in (
        (~np.isfinite(weights), "NaN or infinity", "Drop or repair those rows."),
        (
            weights < 0,
            "negative weights",
            "Lists are skipped by bounds that negative weights would break: clip them at 0, or "
            "use a dense index (vl.index.Exact).",
        ),
        (weights > LARGEST_WEIGHT, f"weights above {LARGEST_WEIGHT:g}", "Scale them down."),
    ):
        if bad.any():
            rows = np.unique(np.searchsorted(starts, np.flatnonzero(bad), side="right") - 1)
            raise ParameterError(
                f"{name} has {what} in {len(rows)} row{'s' if len(rows) > 1 else ''}, first in row "
                f"{rows[0]}. {remedy}"
            )


class SparseStore(RowStore):
    """Sparse rows and their ids by position, growable, with tombstones.

    Parameters
    ----------
    n_terms : int
    ids : IntIds or StrIds
        Of zero rows, to fix their type.
    """

    def __init__(self, n_terms: int, ids: IntIds | StrIds) -> None:
        super().__init__("float32", "ip", n_terms, ids, None)
        self.starts: NDArray[np.int64] = np.zeros(1, np.int64)
        self.terms: NDArray[np.int32] = np.empty(0, np.int32)
        self.weights: NDArray[np.float32] = np.empty(0, np.float32)

    @property
    def n_values(self) -> int:
        """Values of all positions."""
        return int(self.starts[self.n])

    @property
    def core(self) -> _core.SparseRows:
        """The view of all positions that the core works on."""
        return _core.SparseRows(self.starts, self.terms, self.weights, self.n)

    def append(
        self, rows: SparseRows, ids: NDArray[Any], replaced: NDArray[np.int64], name: str = "X"
    ) -> None:
        """Append rows whose ids were checked, and let the positions `replaced` die with it."""
        start, end = self.n, self.n + len(rows)
        if start == end:
            return
        values, last = self.n_values, self.n_values + len(rows.terms)
        require_memory(
            len(rows.terms) * (8 + _POSTING_BYTES),
            f"holding {end:,} sparse rows of {last:,} values",
            "Prune small weights, or add fewer rows.",
        )
        try:
            starts = _grown(self.starts, start + 1, end + 1)
            terms = _grown(self.terms, values, last)
            weights = _grown(self.weights, values, last)
            live_flags = _grown(self.live_flags, start, end)
            all_ids = self.ids.grown(len(live_flags))
        except MemoryError as error:
            raise CapacityError(
                f"no memory for {end:,} sparse rows of {last:,} values; the index is as it was."
            ) from error
        starts[start + 1 : end + 1] = rows.starts[1:] + values
        terms[values:last] = rows.terms
        weights[values:last] = rows.weights
        live_flags[start:end] = 1
        all_ids[start:end] = ids
        ascending = self.ids.stays_ascending(all_ids, end)
        next_id = int(ids.max()) + 1 if self.ids.dtype == "int64" else 0
        # Commit: nothing below fails.
        live_flags[replaced] = 0
        self.starts, self.terms, self.weights, self.live_flags = starts, terms, weights, live_flags
        self.ids.commit(all_ids, end, ascending)
        self.n, self.n_live = end, self.n_live + end - start - len(replaced)
        self.next_id = max(self.next_id, next_id)

    def taken(self, positions: NDArray[np.int64]) -> SparseRows:
        """Return a copy of the rows at these positions."""
        lengths = np.diff(self.starts[: self.n + 1])[positions]
        starts = np.zeros(len(positions) + 1, np.int64)
        np.cumsum(lengths, out=starts[1:])
        at = np.arange(starts[-1]) + np.repeat(self.starts[positions] - starts[:-1], lengths)
        return SparseRows(starts, self.terms[at], self.weights[at], self.dim)

    def decoded(self, positions: NDArray[np.int64]) -> Any:
        """Return the rows at these positions as a csr matrix."""
        from scipy import sparse

        rows = self.taken(positions)
        return sparse.csr_matrix((rows.weights, rows.terms, rows.starts), (len(rows), self.dim))

    @property
    def nbytes(self) -> int:
        """Bytes held, spare room included, postings not."""
        arrays = (self.starts, self.terms, self.weights, self.live_flags)
        return int(sum(array.nbytes for array in arrays) + self.ids.nbytes)

    def tidy(self, n_jobs: int | None, *, most_dead: float) -> NDArray[np.int64] | None:
        """Rewrite the rows without the dead ones where these are more than a share of all."""
        if self.n - self.n_live <= most_dead * self.n:
            return None
        keep = self.live_positions
        try:
            state = self.__getstate__()
        except MemoryError:
            return None
        self.__dict__.update(state)
        return keep

    def copy(self) -> SparseStore:
        """Return a writable store of the living rows, in memory of its own."""
        twin = SparseStore.__new__(SparseStore)
        twin.__setstate__(self.__getstate__())
        return twin

    def __getstate__(self) -> dict[str, Any]:
        keep = self.live_positions
        rows = self.taken(keep)
        return self.__dict__ | {
            "starts": rows.starts,
            "terms": rows.terms,
            "weights": rows.weights,
            "live_flags": np.ones(len(keep), np.uint8),
            "ids": self.ids.compacted(keep),
            "n": len(keep),
            "n_live": len(keep),
            "read_only": False,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _grown(array: NDArray[Any], n: int, wanted: int) -> NDArray[Any]:
    if wanted <= len(array):
        return array
    bigger = np.empty(max(wanted, int(n * _GROWTH)) if n > 1 else wanted, array.dtype)
    bigger[:n] = array[:n]
    return bigger
