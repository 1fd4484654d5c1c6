# SPDX-License-Identifier: Apache-2.0
"""`read`: vectors from any file."""

from __future__ import annotations

import codecs
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vectorloom.errors import FormatError, ParameterError
from vectorloom.io.compression import compression_of
from vectorloom.io.detect import detect
from vectorloom.io.faults import guarded
from vectorloom.io.formats import require_format
from vectorloom.io.options import ReadOptions
from vectorloom.io.paths import as_path, require_file
from vectorloom.io.rows import cast_rows
from vectorloom.io.vectors_file import Source, Vectors

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import DTypeLike


def read(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    vectors: str | Sequence[str] | None = None,
    ids: str | Literal[False] | None = None,
    dtype: DTypeLike | None = None,
    mmap: bool = True,
    limit: int | None = None,
    errors: str = "strict",
) -> Vectors:
    """Read vectors, with their ids and metadata, from a file of any known format.

    The format is found from the content, whatever the name: npy, npz, Parquet, Arrow IPC,
    Feather, HDF5, safetensors, fvecs/bvecs/ivecs, fbin and its kin, word2vec text and binary,
    fastText ``.vec``, GloVe, CSV, TSV and JSON lines. Text formats and word2vec binary may be
    compressed with gzip, bzip2, xz or zstd.

    Parameters
    ----------
    path : str or path
    format : str, optional
        Name of the format, to overrule the detection.
    vectors : str or list of str, optional
        Which column or array holds the vectors, where the file has several; a list of names for
        columns that hold one component each.
    ids : str or False, optional
        Which column or array holds the ids. By default one with a usual name (``id``, ``ids``,
        ``word``, …) is taken; False takes none.
    dtype : dtype, optional
        Type of the values; by default as stored (float32 for text). A change that would alter a
        value, other than rounding between floating types, is refused.
    mmap : bool, default=True
        Map the file instead of reading it where the format allows: npy, Arrow IPC, fvecs and
        fbin kin, safetensors, contiguous HDF5. Mapped values are read-only; with False the
        values are in memory and writable.
    limit : int, optional
        Read the first rows only.
    errors : str, default="strict"
        What to do with words that are not UTF-8: "strict", "replace" or "ignore".

    Returns
    -------
    Vectors
        ``values`` (n, dim), ``ids``, ``metadata``, ``source``.

    Raises
    ------
    FileNotFoundError
        There is no such file; near names are given.
    FormatError
        The file is damaged, truncated or of no known format. The message names the byte or the
        line, what was expected there and what was found.
    ParameterError
        Several columns could be meant (the message lists them), or an argument is not allowed.
    DependencyError
        HDF5 without h5py; the message gives the pip line.

    See Also
    --------
    write : the way back.
    describe : rows, dim and columns without loading the vectors.

    Notes
    -----
    NaN and infinity are read as they are; indexes refuse them. Nothing is unpickled.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from vectorloom.io import read, write
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "words.parquet"
    >>> write(path, np.eye(2, 3, dtype="float32"), ids=["cat", "dog"], metadata={"year": [1, 2]})
    >>> found = read(path)
    >>> found.ids.tolist(), found.values.shape, found.metadata.column_names
    (['cat', 'dog'], (2, 3), ['year'])
    """
    file = as_path(path)
    options = _check_options(vectors, ids, dtype, mmap, limit, errors)
    if format is None:
        name = detect(file).format
    else:
        entry = require_format(format)
        require_file(file)
        _check_wrapper(file, entry.name, entry.wrapped)
        name = entry.name
    with guarded(file, name):
        found = require_format(name).load().read(file, options, name)
    return _finish(found, options, Source(file, name))


def _check_options(
    vectors: str | Sequence[str] | None,
    ids: str | bool | None,
    dtype: DTypeLike | None,
    mmap: bool,
    limit: object,
    errors: str,
) -> ReadOptions:
    if vectors is not None and not isinstance(vectors, str):
        vectors = list(vectors)
        if not all(isinstance(name, str) for name in vectors):
            message = f"vectors must be a name or a list of names; got {vectors!r}."
            raise ParameterError(message)
    if ids is not None and ids is not False and not isinstance(ids, str):
        message = f"ids must be the name of a column, False or None; got {ids!r}."
        raise ParameterError(message)
    rows = _check_limit(limit)
    try:
        codecs.lookup_error(errors)
    except LookupError:
        message = f"errors must be 'strict', 'replace' or 'ignore'; got {errors!r}."
        raise ParameterError(message) from None
    wanted = None if dtype is None else check_dtype(dtype)
    return ReadOptions(vectors, ids, wanted, mmap, rows, errors)


def _check_limit(limit: object) -> int | None:
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 0:
        message = f"limit must be a number of rows, 0 or more, or None; got {limit!r}."
        raise ParameterError(message)
    return int(limit)


def check_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Accept the real types of numpy, refuse the rest by name."""
    try:
        wanted = np.dtype(dtype)
    except TypeError as error:
        message = f"dtype must be a numpy type such as 'float32'; got {dtype!r}."
        raise ParameterError(message) from error
    if wanted.kind not in "fiu":
        message = f"dtype must be a type of real numbers such as 'float32'; got {dtype!r}."
        raise ParameterError(message)
    return wanted


def _check_wrapper(path: Path, name: str, wrapped: bool) -> None:
    with path.open("rb") as file:
        compression = compression_of(file.read(6))
    if compression is not None and not wrapped:
        message = f"{path}: {name} inside {compression} cannot be read; decompress it first."
        raise FormatError(message)


def _finish(found: Vectors, options: ReadOptions, source: Source) -> Vectors:
    """Apply what is the same for all formats: limit, ids=False, dtype, writable memory."""
    values, ids, metadata = found.values, found.ids, found.metadata
    if options.limit is not None and len(values) > options.limit:
        values = values[: options.limit]
    n = len(values)
    if ids is not None:
        ids = None if options.ids is False else ids[:n]
    if metadata is not None and metadata.num_rows > n:
        metadata = metadata.slice(0, n)
    if options.dtype is not None:
        values = cast_rows(values, options.dtype)
    if not options.mmap and (isinstance(values, np.memmap) or not values.flags.writeable):
        values = np.array(values, order="C")
    return replace(found, values=values, ids=ids, metadata=metadata, source=source)
