# SPDX-License-Identifier: Apache-2.0
"""Vectors of one field in the form in which they are kept, whatever their kind.

    dense    runs (values (n, dim),)                 scales (n,) of int8
    multi    runs (values (m, dim),)   starts (n+1,) scales (m,) of int8
    sparse   runs (terms (m,) int32, weights (m,) float32)   starts (n+1,)

Row i has the entries ``starts[i]:starts[i + 1]`` of every run; without starts it has entry i. All
that moves vectors (commits, segments, merges, repairs) moves runs and knows no kinds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.index.dense.encoding import STORED, decode, encode
from vectorloom.index.dense.store import refuse_zero
from vectorloom.index.multivector.token_vectors import as_token_vectors, rows_of_runs, run_offsets
from vectorloom.index.sparse.sparse_rows import SparseRows, as_sparse
from vectorloom.store.schema import FieldSchema

_START = np.dtype("<i8")


@dataclass(frozen=True, eq=False)
class Stored:
    """Rows in stored form.

    Attributes
    ----------
    runs : tuple of ndarray
    scales : ndarray of float32, or None
        One an entry of the run.
    starts : ndarray of shape (n + 1,), int64, or None
    """

    runs: tuple[NDArray[Any], ...]
    scales: NDArray[np.float32] | None = None
    starts: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.runs[0]) if self.starts is None else len(self.starts) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of the runs."""
        return sum(run.nbytes for run in self.runs)

    def entries(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the entries of rows, row by row."""
        return positions if self.starts is None else rows_of_runs(self.starts, positions)

    def take(self, positions: NDArray[np.int64]) -> Stored:
        """Return a copy of the rows at these positions."""
        at = self.entries(positions)
        starts = None if self.starts is None else run_offsets(np.diff(self.starts)[positions])
        scales = None if self.scales is None else self.scales[at]
        return Stored(tuple(run[at] for run in self.runs), scales, starts)

    def blobs(self) -> tuple[bytes, bytes | None]:
        """Return the bytes that a commit holds: starts and runs, and scales."""
        runs = b"".join(np.ascontiguousarray(run).tobytes() for run in self.runs)
        starts = b"" if self.starts is None else self.starts.astype(_START).tobytes()
        return starts + runs, None if self.scales is None else self.scales.tobytes()


def run_types(field: FieldSchema) -> list[tuple[np.dtype[Any], int]]:
    """Return of each run of a field the type and the numbers of an entry."""
    if field.kind == "sparse":
        return [(np.dtype("<i4"), 1), (np.dtype("<f4"), 1)]
    stored: np.dtype[Any] = STORED[field.dtype]
    return [(stored.newbyteorder("<"), field.dim)]


def shaped(field: FieldSchema, runs: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], ...]:
    """Return flat runs in the shape in which they are used."""
    if field.kind == "sparse":
        return tuple(runs)
    return tuple(run.reshape(-1, field.dim) for run in runs)


def of_blobs(field: FieldSchema, n: int, vectors: bytes, scales: bytes | None) -> Stored:
    """Return the rows of a commit.

    Raises
    ------
    FormatError
        So many bytes are no such rows.
    """
    starts = None
    m, at = n, 0
    if field.kind != "dense":
        at = (n + 1) * _START.itemsize
        if len(vectors) < at:
            raise FormatError(f"{len(vectors)} bytes do not hold the starts of {n} rows")
        starts = np.frombuffer(vectors, _START, n + 1)
        m = int(starts[-1])
        if starts[0] != 0 or (np.diff(starts) < 0).any():
            raise FormatError("rows do not begin where they should")
    runs = []
    expected = at + sum(m * width * kind.itemsize for kind, width in run_types(field))
    if len(vectors) != expected:
        raise FormatError(f"{len(vectors)} bytes of vectors; {expected} are expected")
    for kind, width in run_types(field):
        runs.append(np.frombuffer(vectors, kind, m * width, at))
        at += runs[-1].nbytes
    factors = None if scales is None else np.frombuffer(scales, "<f4")
    return Stored(shaped(field, runs), factors, starts)


def gathered(
    parts: Sequence[Stored], source: NDArray[np.int64], positions: NDArray[np.int64]
) -> Stored:
    """Return the rows parts[source[i]][positions[i]] for each i."""
    if len(parts) == 1:
        return parts[0].take(positions)
    ragged = parts[0].starts is not None
    starts = run_offsets(lengths_of(parts, source, positions))
    m = int(starts[-1])
    runs = [np.empty((m, *run.shape[1:]), run.dtype) for run in parts[0].runs]
    scales = None if parts[0].scales is None else np.empty(m, np.float32)
    for i in np.unique(source):
        here = np.flatnonzero(source == i)
        there = rows_of_runs(starts, here)
        at = parts[i].entries(positions[here])
        for run, own in zip(runs, parts[i].runs, strict=True):
            run[there] = own[at]
        own_scales = parts[i].scales
        if scales is not None and own_scales is not None:
            scales[there] = own_scales[at]
    return Stored(tuple(runs), scales, starts if ragged else None)


def lengths_of(
    parts: Sequence[Stored], source: NDArray[np.int64], positions: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return how many entries the row parts[source[i]][positions[i]] has, for each i."""
    lengths = np.ones(len(source), np.int64)
    for i, part in enumerate(parts):
        if part.starts is not None:
            here = source == i
            lengths[here] = np.diff(part.starts)[positions[here]]
    return lengths


# ---- from users and to them ---------------------------------------------------------------------


def encoded(field: FieldSchema, vectors: Any, name: str) -> Stored:
    """Return vectors of users in stored form, or say what is wrong with them.

    Parameters
    ----------
    field : FieldSchema
    vectors : Any
        dense: array-like of shape (n, dim). sparse: scipy matrix or array-like of shape (n, dim),
        or a list of ``{"indices": …, "values": …}``. multi: what
        `vectorloom.index.multivector.token_vectors.as_token_vectors` takes.
    name : str
        What the caller calls them.

    Raises
    ------
    ShapeError, ParameterError
    """
    if field.kind == "sparse":
        rows = sparse_rows(vectors, field.dim, name)
        return Stored((rows.terms, rows.weights), None, rows.starts)
    starts = None
    if field.kind == "multi":
        tokens = as_token_vectors(_matrices(vectors), name=name, dim=field.dim, allow_empty=True)
        vectors, starts = tokens.values, tokens.offsets
        if len(tokens) == 0:
            vectors = np.empty((0, field.dim), np.float32)
    made = encode(vectors, field.dtype, name=name, dim=field.dim)
    found = Stored((made.values,), made.scales, starts)
    if field.metric == "cosine":
        refuse_zero(norms_of(field, found), name)
    return found


def decoded(field: FieldSchema, held: Stored) -> Any:
    """Return rows as users have them: an array, a csr matrix, or a list of matrices."""
    if field.kind == "sparse":
        from scipy import sparse

        terms, weights = held.runs
        return sparse.csr_matrix((weights, terms, held.starts), (len(held), field.dim))
    values = decode(held.runs[0], held.scales, field.dtype, field.dim)
    if held.starts is None:
        return values
    return [values[a:b] for a, b in zip(held.starts[:-1], held.starts[1:], strict=True)]


def sparse_rows(vectors: Any, n_terms: int, name: str) -> SparseRows:
    """Return sparse rows of users, checked.

    Raises
    ------
    ShapeError, ParameterError
    """
    if isinstance(vectors, Mapping):
        vectors = [vectors]
    if isinstance(vectors, list | tuple) and vectors and isinstance(vectors[0], Mapping):
        vectors = _csr(vectors, n_terms, name)
    elif isinstance(vectors, list) and not vectors:
        vectors = np.empty((0, n_terms), np.float32)
    return as_sparse(vectors, name=name, n_terms=n_terms, allow_empty=True)


def _csr(rows: Sequence[Any], n_terms: int, name: str) -> Any:
    from scipy import sparse

    lengths, terms, weights = [], [], []
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping) or set(row) != {"indices", "values"}:
            raise ParameterError(
                f"{name} has {row!r:.60} at {i}; {{'indices': […], 'values': […]}} is expected."
            )
        try:
            own = np.asarray(row["indices"] if len(row["indices"]) else np.empty(0, np.int64))
            values = np.asarray(row["values"], np.float64)
        except (TypeError, ValueError) as error:
            raise ParameterError(f"{name} cannot be read at {i}: {error}.") from None
        if own.ndim != 1 or own.shape != values.shape or own.dtype.kind not in "iu":
            raise ShapeError(
                f"{name} has, at {i}, indices of shape {own.shape} ({own.dtype}) and values of "
                f"shape {values.shape}; as many whole numbers as values are expected."
            )
        if len(own) and not 0 <= own.min() <= own.max() < n_terms:
            raise ParameterError(
                f"{name} has an index outside 0 … {n_terms - 1} at {i}; this field has "
                f"{n_terms:,} terms."
            )
        lengths.append(len(own))
        terms.append(own.astype(np.int64))
        weights.append(values)
    flat = np.concatenate(weights), np.concatenate(terms), run_offsets(np.array(lengths, np.int64))
    made = sparse.csr_matrix(flat, (len(rows), n_terms))
    made.sum_duplicates()
    return made


def _matrices(vectors: Any) -> Any:
    """Return lists of numbers, as JSON has them, as a list of matrices."""
    if isinstance(vectors, list) and vectors and isinstance(vectors[0], list):
        try:
            return [np.asarray(matrix, np.float32) for matrix in vectors]
        except (TypeError, ValueError) as error:
            raise ShapeError(f"an item is no matrix of numbers: {error}.") from None
    return vectors


def norms_of(field: FieldSchema, held: Stored) -> NDArray[np.float64]:
    """Return the float64 norm of each stored vector; of sparse rows none are needed."""
    from vectorloom import _core

    if field.kind == "sparse" or len(held.runs[0]) == 0:
        return np.empty(0, np.float64)
    rows = _core.Rows(held.runs[0], field.dtype, held.scales)
    norms: NDArray[np.float64] = _core.norms(rows, 1)
    return norms
