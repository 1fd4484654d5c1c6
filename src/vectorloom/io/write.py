# SPDX-License-Identifier: Apache-2.0
"""`write`: vectors to any file, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.io.compression import split_suffix
from vectorloom.io.faults import guarded_write
from vectorloom.io.formats import FORMATS, Format, by_suffix, require_format
from vectorloom.io.options import Content
from vectorloom.io.paths import as_path, replacing
from vectorloom.io.read import check_dtype
from vectorloom.io.rows import as_rows
from vectorloom.io.vectors_file import Vectors

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import ArrayLike, DTypeLike, NDArray


def write(
    path: str | os.PathLike[str],
    values: ArrayLike | Vectors,
    ids: ArrayLike | None = None,
    metadata: pa.Table | Mapping[str, Any] | None = None,
    *,
    format: str | None = None,
    dtype: DTypeLike | None = None,
) -> None:
    """Write vectors, with ids and metadata, in the format that the suffix names.

    The file appears whole or not at all: it is written under a temporary name in the same folder,
    flushed to the disk and renamed. Values larger than memory (maps) are written in blocks.

    Parameters
    ----------
    path : str or path
        ``.npy .npz .parquet .arrow .feather .arrows .hdf5 .h5 .safetensors .fvecs .bvecs .ivecs
        .fbin .f16bin .u8bin .i8bin .ibin .vec .w2v .bin .glove .csv .tsv .jsonl``; the text
        formats and ``.bin`` (word2vec) also with ``.gz .bz2 .xz .zst`` after it.
    values : array-like of shape (n, dim), or Vectors
        A `Vectors` brings its ids and metadata along unless others are given.
    ids : array-like of shape (n,), optional
        int or str. Formats that have no place for ids refuse them.
    metadata : pyarrow.Table, or mapping of names to columns, optional
        Further columns of n entries. Formats that have no place for them refuse them.
    format : str, optional
        Name of the format, to overrule the suffix.
    dtype : dtype, optional
        Type to store; by default that of the values, or the one the format prescribes. A change
        that would alter a value, other than rounding between floating types, is refused.

    Raises
    ------
    ParameterError
        The suffix names no format, or the format cannot hold what was given; the message names
        one that can.
    ShapeError
        Values are not 2-d, or ids or metadata have another length.
    CapacityError
        The disk is full; nothing was written.

    See Also
    --------
    read : the way back.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from vectorloom.io import read, write
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "points.csv"
    >>> write(path, [[0.5, 1.0], [0.25, 2.0]], ids=[10, 20])
    >>> print(path.read_text().replace('"', ""))
    id,v0,v1
    10,0.5,1
    20,0.25,2
    <BLANKLINE>
    """
    target = as_path(path)
    entry, compression = _format_of(target, format)
    if isinstance(values, Vectors):
        ids = values.ids if ids is None else ids
        metadata = values.metadata if metadata is None else metadata
        values = values.values
    rows = as_rows(values)
    content = Content(
        rows,
        _check_ids(ids, len(rows)),
        _check_metadata(metadata, len(rows)),
        _stored_dtype(entry, dtype),
        compression,
    )
    with replacing(target) as temporary, guarded_write(entry.name):
        entry.load().write(temporary, content, entry.name)


def _format_of(path: Path, name: str | None) -> tuple[Format, str | None]:
    suffix, compression = split_suffix(path)
    name = name if name is not None else by_suffix(suffix)
    if name is None:
        shown = f"suffix {suffix!r} names no format" if suffix else "the name has no suffix"
        hint = " (.txt is used for word2vec and for GloVe)" if suffix == ".txt" else ""
        message = f"{path}: {shown}{hint}; give format=, one of {', '.join(FORMATS)}."
        raise ParameterError(message)
    entry = require_format(name)
    if compression is not None and not entry.wrapped:
        message = f"{path}: {name} is not written compressed; drop the {path.suffix!r}."
        raise ParameterError(message)
    return entry, compression


def _stored_dtype(entry: Format, dtype: DTypeLike | None) -> np.dtype[Any] | None:
    fixed = None if entry.dtype is None else np.dtype(entry.dtype)
    if dtype is None:
        return fixed
    wanted = check_dtype(dtype)
    if fixed is not None and wanted != fixed:
        message = f"{entry.name} files hold {fixed}; got dtype={str(wanted)!r}. Leave dtype out."
        raise ParameterError(message)
    return wanted


def _check_ids(ids: ArrayLike | None, n: int) -> NDArray[Any] | None:
    """Bring ids to int64 or to an object array of str. Repeated words are legal in files."""
    if ids is None:
        return None
    found = np.asarray(ids)
    if found.ndim != 1 or len(found) != n:
        message = f"ids must have one entry a row: expected shape ({n},); got {found.shape}."
        raise ShapeError(message)
    given = list(ids) if not isinstance(ids, np.ndarray) else ids  # type: ignore[arg-type]
    if found.dtype.kind == "U" and all(isinstance(one, str) for one in given):
        # From what was given: NumPy's fixed-width text drops a NUL at the end.
        return np.array(given, dtype=object)
    if found.dtype.kind in "iu" and (found.dtype != np.uint64 or found.max(initial=0) < 1 << 63):
        return found.astype(np.int64)
    if found.dtype.kind == "O" and all(isinstance(one, str) for one in found):
        return found
    if found.size == 0:
        return found.astype(np.int64)
    message = f"ids must be all int (below 2**63) or all str; got {found.dtype}."
    raise ParameterError(message)


def _check_metadata(metadata: Any, n: int) -> pa.Table | None:
    if metadata is None:
        return None
    import pyarrow as pa

    if isinstance(metadata, pa.RecordBatch):
        table = pa.Table.from_batches([metadata])
    elif isinstance(metadata, pa.Table):
        table = metadata
    else:
        try:
            named = metadata if hasattr(metadata, "items") else dict(metadata)
            table = pa.table({str(k): pa.array(v) for k, v in named.items()})
        except (pa.ArrowException, TypeError, ValueError) as error:
            message = f"metadata must be a pyarrow.Table or columns by name; got {error}."
            raise ParameterError(message) from error
    if table.num_columns == 0:
        return None
    if table.num_rows != n:
        message = f"metadata must have one entry a row: expected {n}; got {table.num_rows}."
        raise ShapeError(message)
    return table
