# SPDX-License-Identifier: Apache-2.0
"""An index inside the file of another one: its header and arrays under a name of their own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vectorloom.errors import FormatError
from vectorloom.io.container import Container, load, open_container

#: What a nested index adds to the header and to the arrays of the file around it.
Nested = tuple[dict[str, Any], dict[str, NDArray[Any]]]


@contextmanager
def packed(index: Any, prefix: str, beside: str | os.PathLike[str]) -> Iterator[Nested]:
    """Give the header entry and the arrays of an index, as its own `save` writes them.

    Parameters
    ----------
    index : object with ``save(path)``
    prefix : str
        Of the arrays' names.
    beside : path-like
        The file that is to hold it: for a while its folder holds the index as a file of its own,
        which is mapped, so that no memory is taken.
    """
    with tempfile.TemporaryDirectory(dir=Path(os.path.realpath(beside)).parent) as folder:
        path = Path(folder) / "part"
        index.save(path)
        file = open_container(path)
        arrays = {f"{prefix}.{name}": array for name, array in file.arrays.items()}
        yield {"kind": file.kind, "meta": file.meta}, arrays


def unpacked(file: Container, entry: Any, prefix: str) -> Any:
    """Return the index that `packed` gave, mapped from the file around it.

    Parameters
    ----------
    file : Container
    entry : dict
        The header entry.
    prefix : str

    Raises
    ------
    FormatError
    """
    return load(part_of(file, entry, prefix))


def part_of(file: Container, entry: Any, prefix: str) -> Container:
    """Return the part of a file whose arrays have a prefix, as a file of its own."""
    if not isinstance(entry, dict) or not isinstance(entry.get("meta"), dict):
        raise FormatError(f"{file.path}: the header has no entry for {prefix!r}.")
    start = len(prefix) + 1
    arrays = {
        name[start:]: array for name, array in file.arrays.items() if name.startswith(f"{prefix}.")
    }
    return Container(
        str(entry.get("kind", file.kind)),
        entry["meta"],
        arrays,
        file.path,
        file.file_size,
        file.version,
    )
