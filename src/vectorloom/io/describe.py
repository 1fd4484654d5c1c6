# SPDX-License-Identifier: Apache-2.0
"""`describe`: what a file holds, without loading its vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectorloom.errors import FormatError, ParameterError
from vectorloom.io import beir
from vectorloom.io.arrays import ArrayInfo, choose_arrays
from vectorloom.io.columns import Column, choose_columns
from vectorloom.io.detect import detect
from vectorloom.io.faults import guarded
from vectorloom.io.formats import require_format
from vectorloom.io.paths import as_path

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe a file of vectors without loading them.

    Parameters
    ----------
    path : str or path
        A file, or a BEIR folder.

    Returns
    -------
    dict
        ``path`` and ``format``; ``compression`` ("gzip", …, or None); ``bytes`` on the disk;
        ``rows``, ``dim`` and ``dtype`` (None where several arrays could be meant, see ``note``);
        ``vectors``, the column or array that `read` takes (a list where one column holds one
        component); ``ids``, "int64", "str" or None; ``columns``, names with their types. A BEIR
        folder gives ``splits`` and ``files`` instead. Everything is plain data, ready for JSON.

    Raises
    ------
    FormatError, FileNotFoundError
        As `read` does.

    Notes
    -----
    Costs a read of the header; text formats without one are read once to count their lines.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from vectorloom.io import describe, write
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "points.npz"
    >>> write(path, np.zeros((5, 3), dtype="float16"), ids=range(5))
    >>> found = describe(path)
    >>> found["format"], found["rows"], found["dim"], found["dtype"], found["ids"]
    ('npz', 5, 3, 'float16', 'int64')
    """
    file = as_path(path)
    if file.is_dir() and beir.is_beir(file):
        return _describe_beir(file)
    found = detect(file)
    with guarded(file, found.format):
        facts = require_format(found.format).load().describe(file, found.format)
    common: dict[str, Any] = {
        "path": str(file),
        "format": found.format,
        "compression": found.compression,
        "bytes": file.stat().st_size,
        "rows": None,
        "dim": None,
        "dtype": None,
        "vectors": None,
        "ids": None,
        "columns": {},
    }
    if "arrays" in facts:
        return common | _describe_arrays(file, facts["arrays"])
    if "profile" in facts:
        return common | _describe_table(file, facts)
    return common | facts


def _describe_beir(folder: Path) -> dict[str, Any]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {
        "path": str(folder),
        "format": "beir",
        "bytes": sum(p.stat().st_size for p in files),
        "splits": beir.splits(folder),
        "files": [str(p.relative_to(folder)) for p in files],
    }


def _describe_arrays(path: Path, arrays: Mapping[str, ArrayInfo]) -> dict[str, Any]:
    columns = {name: f"{info.dtype} {list(info.shape)}" for name, info in arrays.items()}
    try:
        choice = choose_arrays(path, arrays, None, None)
    except (ParameterError, FormatError) as error:
        return {"columns": columns, "note": str(error)}
    info = arrays[choice.vectors]
    ids = None if choice.ids is None else arrays[choice.ids].kind
    return {
        "rows": info.shape[0],
        "dim": info.shape[1],
        "dtype": info.dtype,
        "vectors": choice.vectors,
        "ids": None if ids is None else ("int64" if ids in "iu" else "str"),
        "columns": columns,
    }


def _describe_table(path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    profile: list[Column] = facts["profile"]
    kinds = {column.name: column for column in profile}
    base = {
        "rows": facts["rows"],
        "columns": {column.name: column.detail for column in profile},
    }
    try:
        choice = choose_columns(path, profile, None, None)
    except (ParameterError, FormatError) as error:
        return base | {"note": str(error)}
    ids = None if choice.ids is None else kinds[choice.ids].kind
    dtype, dim = _lists(path, facts, choice.vector)
    if dim is None and choice.vector is not None:
        dim = kinds[choice.vector].length
    return base | {
        "dim": len(choice.components) or dim,
        "dtype": dtype,
        "vectors": choice.vector if choice.vector is not None else list(choice.components),
        "ids": None if ids is None else ("int64" if ids == "int" else "str"),
    }


def _lists(path: Path, facts: Mapping[str, Any], vector: str | None) -> tuple[str, int | None]:
    """Find dtype and dim of a column of lists from the first row; text is read as float32."""
    sample = facts.get("sample")
    if sample is None:
        return "float32", None
    from vectorloom.io.tables import matrix_of

    if vector is None:
        return str(sample.schema.types[0]), None
    first = matrix_of(path, sample.column(vector), vector)
    return str(first.dtype), first.shape[1]
