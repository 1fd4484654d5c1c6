# SPDX-License-Identifier: Apache-2.0
"""The file of a pipeline: reducer, index or codes, and kept rows, each as it writes itself."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.compressor import Compressor
from vectorloom.errors import FormatError
from vectorloom.estimator import check_choice, check_count
from vectorloom.index.dense.exact import Exact
from vectorloom.index.dense.graph import Graph
from vectorloom.index.dense.ivf import IVF
from vectorloom.index.dense.row_index import RowIndex
from vectorloom.index.dense.stored import read_ids
from vectorloom.index.rowids import CountedIds, IntIds, StrIds
from vectorloom.io.container import Container, open_container, write_container
from vectorloom.tune.code_scan import CodeScan

METRICS = ("cosine", "ip", "l2")
_INDEXES: dict[str, type[RowIndex]] = {"index.exact": Exact, "index.ivf": IVF, "index.graph": Graph}
#: In place of a type of ids: they are 0, 1, … and stand in no array.
_COUNTED = "counted"


class Parts(NamedTuple):
    """What a pipeline is made of.

    Attributes
    ----------
    reducer : Compressor or None
    inner : Exact, IVF, Graph or CodeScan
    rows : Exact or None
    """

    reducer: Compressor | None
    inner: RowIndex | CodeScan
    rows: Exact | None


def write_parts(
    path: str | os.PathLike[str], kind: str, meta: dict[str, Any], parts: Parts
) -> None:
    """Write a pipeline to one file.

    Parameters
    ----------
    path : path-like
    kind : str
        Of the file.
    meta : dict
        What else it says.
    parts : Parts
    """
    meta = {**meta, "parts": {}}
    arrays: dict[str, NDArray[Any]] = {}
    if parts.reducer is not None:
        _put_compressor("reducer", parts.reducer, meta, arrays)
    folder = Path(os.path.realpath(path)).parent
    with tempfile.TemporaryDirectory(prefix=".vectorloom-", dir=folder) as scratch:
        if isinstance(parts.inner, CodeScan):
            _put_codes(parts.inner, meta, arrays)
        else:
            _put_index("inner", parts.inner, scratch, meta, arrays)
        if parts.rows is not None:
            _put_index("rows", parts.rows, scratch, meta, arrays)
        write_container(path, kind, meta, arrays)
        arrays.clear()


def read_parts(file: Container, is_quick: bool) -> Parts:
    """Read what `write_parts` wrote.

    Parameters
    ----------
    file : Container
    is_quick : bool
        Of a `CodeScan`.

    Returns
    -------
    Parts

    Raises
    ------
    FormatError
    """
    held = file.meta["parts"]
    kept = _index_of("rows", file) if "rows" in held else None
    if kept is not None and not isinstance(kept, Exact):
        raise FormatError(f"{file.path}: the kept rows are no exact index.")
    return Parts(
        _compressor_of("reducer", file) if "reducer" in held else None,
        _codes_of(file, is_quick) if "codes" in held else _index_of("inner", file),
        kept,
    )


def _put_compressor(
    name: str, compressor: Compressor, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]
) -> None:
    from vectorloom.compress.storage import flatten

    plain, found = flatten(compressor)
    meta["parts"][name] = {"compressor": plain}
    arrays |= {f"{name}/{key}": array for key, array in found.items()}


def _put_codes(scan: CodeScan, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    _put_compressor("codes", scan.compressor, meta, arrays)
    meta["parts"]["codes"] |= {
        "n": len(scan),
        "metric": scan.metric,
        "ids": _COUNTED if isinstance(scan.ids, CountedIds) else scan.ids.dtype,
        "ascending": scan.ids.ascending,
    }
    arrays["codes/codes"] = np.asarray(scan.codes)
    arrays |= {f"codes/{key}": array for key, array in scan.ids.to_arrays().items()}


def _put_index(
    name: str, index: RowIndex, scratch: str, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]
) -> None:
    path = Path(scratch) / name
    index.save(path)
    part = open_container(path)
    meta["parts"][name] = {"kind": part.kind, "meta": part.meta}
    arrays |= {f"{name}/{key}": array for key, array in part.arrays.items()}


def _part(name: str, file: Container) -> Container:
    entry = file.meta["parts"][name]
    found = {
        key[len(name) + 1 :]: array
        for key, array in file.arrays.items()
        if key.startswith(f"{name}/")
    }
    kind, meta = entry.get("kind", name), entry.get("meta", entry)
    return Container(kind, meta, found, file.path, file.file_size, file.version)


def _index_of(name: str, file: Container) -> RowIndex:
    part = _part(name, file)
    if part.kind not in _INDEXES:
        raise FormatError(f"{file.path}: {part.kind!r} is no index of a recipe.")
    loader: Any = _INDEXES[part.kind]
    index: RowIndex = loader._from_container(part)
    return index


def _compressor_of(name: str, file: Container) -> Compressor:
    from vectorloom.compress.storage import restore

    part = _part(name, file)
    return restore(part.meta["compressor"], part)


def _codes_of(file: Container, is_quick: bool) -> CodeScan:
    from vectorloom.compress.codes import Codes

    part = _part("codes", file)
    compressor = _compressor_of("codes", file)
    n = check_count("n", part.meta["n"], at_least=0)
    codes = part.array("codes", "|u1", (n, compressor.bytes_per_vector_))
    check_choice("metric", part.meta["metric"], METRICS)
    counted = part.meta["ids"] == _COUNTED
    ids: IntIds | StrIds = CountedIds(n) if counted else read_ids(part, n)
    known = Codes(codes, compressor.fingerprint_)
    return CodeScan(compressor, known, ids, part.meta["metric"], is_quick)
