# SPDX-License-Identifier: Apache-2.0
"""Files that hold named arrays (npz, HDF5, safetensors): which are vectors, ids and metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.io.columns import ID_NAMES, Column, only_candidate, require_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

# ann-benchmarks: "train" is to be indexed; "test", "neighbors" and "distances" go with it.
_BENCHMARK_KEYS = frozenset({"train", "test"})


@dataclass(frozen=True)
class ArrayInfo:
    """Shape and kind of an array that was not read: kind as in numpy, "T" for other text."""

    shape: tuple[int, ...]
    dtype: str
    kind: str


@dataclass(frozen=True)
class ArrayChoice:
    """Names of the arrays to read."""

    vectors: str
    ids: str | None
    metadata: tuple[str, ...]


def choose_arrays(
    path: Path, arrays: Mapping[str, ArrayInfo], vectors: object, ids: str | bool | None
) -> ArrayChoice:
    """Choose by name when told, else when there is only one sensible choice."""
    columns = {
        name: Column(name, "other", f"{info.shape} {info.dtype}") for name, info in arrays.items()
    }
    if isinstance(vectors, str):
        require_name(path, columns, vectors, "vectors")
        chosen = vectors
    elif vectors is None:
        chosen = _only_matrix(path, arrays, columns)
    else:
        message = f"vectors= must name one array of {path}; got {vectors!r}."
        raise ParameterError(message)
    info = arrays[chosen]
    if len(info.shape) != 2 or info.kind not in "fiub":
        message = (
            f"{path}: {chosen!r} must be a 2-d array (n, dim) of real numbers; found shape "
            f"{info.shape}, dtype {info.dtype}."
        )
        raise ShapeError(message)
    beside = {n: a for n, a in arrays.items() if n != chosen and a.shape == info.shape[:1]}
    if isinstance(ids, str):
        require_name(path, columns, ids, "ids")
        if ids not in beside:
            message = (
                f"{path}: ids={ids!r} must have shape ({info.shape[0]},) like the rows of "
                f"{chosen!r}; found {arrays[ids].shape}."
            )
            raise ShapeError(message)
        ids_name: str | None = ids
    else:
        ids_name = None if ids is False else _ids_of(chosen, beside)
    rest = tuple(n for n, a in beside.items() if n != ids_name and a.kind in "fiubUST")
    return ArrayChoice(chosen, ids_name, rest)


def _only_matrix(path: Path, arrays: Mapping[str, ArrayInfo], columns: dict[str, Column]) -> str:
    if arrays.keys() >= _BENCHMARK_KEYS:
        return "train"
    matrices = [columns[n] for n, a in arrays.items() if len(a.shape) == 2 and a.kind in "fiub"]
    chosen = only_candidate(path, matrices)
    if chosen is None:
        shown = ", ".join(f"{n!r} {a.shape} {a.dtype}" for n, a in list(arrays.items())[:20])
        message = (
            f"{path}: expected a 2-d array (n, dim) of real numbers; found "
            f"{shown or 'no arrays at all'}."
        )
        raise FormatError(message)
    return chosen


def _ids_of(chosen: str, beside: Mapping[str, ArrayInfo]) -> str | None:
    """Find ids by name: "ids" and the like, or "corpus_ids", "query_ids" beside their vectors."""
    usable = [n for n, a in beside.items() if a.kind in "iuUST" or a.dtype == "object"]
    stem = chosen[:-3] + "y" if chosen.endswith("ies") else chosen.removesuffix("s")
    own = [f"{base}_{end}" for base in (chosen, stem) for end in ("ids", "id")]
    return next((name for name in (*own, *ID_NAMES) if name in usable), None)


def ids_from_array(path: Path, name: str, found: NDArray[Any]) -> NDArray[Any]:
    """Bring an array of ids to int64, or to an object array of str."""
    if found.dtype.kind == "u" and found.size and int(found.max()) > np.iinfo(np.int64).max:
        message = f"{path}: ids {name!r}: expected ids below 2**63; found {int(found.max())}."
        raise FormatError(message)
    if found.dtype.kind in "iu":
        return found.astype(np.int64, copy=False)
    if found.dtype.kind == "S":
        found = np.char.decode(found, "utf-8")
    if found.dtype.kind == "U":
        return found.astype(object)
    if found.dtype.kind == "O" and all(isinstance(x, str) for x in found):
        return found
    message = f"{path}: ids {name!r}: expected integers or text; found dtype {found.dtype}."
    raise FormatError(message)
