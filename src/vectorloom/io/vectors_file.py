# SPDX-License-Identifier: Apache-2.0
"""`Vectors`: what every reader returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import DTypeLike, NDArray


class Source(NamedTuple):
    """Where vectors came from: the file and the format its content showed.

    Attributes
    ----------
    path : Path
    format : str
        A name as in the formats guide.
    """

    path: Path
    format: str


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors of a file, with the ids and the other columns that came with them.

    Parameters
    ----------
    values : ndarray of shape (n, dim)
        The numbers, in the dtype the file stores. Memory-mapped and read-only where the format
        allows it and ``mmap=True`` was asked for.
    ids : ndarray of shape (n,), int64 or object holding str, or None
        One id a row; None when the file has none.
    metadata : pyarrow.Table of n rows, or None
        The other columns of the file; None when there are none.
    source : Source, or None
        ``path`` and ``format`` of the file.

    Examples
    --------
    >>> import numpy as np
    >>> from vectorloom.io import Vectors
    >>> found = Vectors(np.zeros((2, 3), dtype="float32"), ids=np.array([7, 9]))
    >>> len(found), found.dim, np.asarray(found).shape
    (2, 3, (2, 3))
    """

    values: NDArray[Any]
    ids: NDArray[Any] | None = None
    metadata: pa.Table | None = None
    source: Source | None = None

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        import numpy as np

        if copy is None:
            return np.asarray(self.values, dtype=dtype)
        if copy:
            return np.array(self.values, dtype=dtype)
        if dtype is not None and np.dtype(dtype) != self.values.dtype:
            message = f"values are {self.values.dtype}: making {np.dtype(dtype)} needs a copy"
            raise ValueError(message)
        return self.values

    def __repr__(self) -> str:
        n, dim = self.values.shape
        parts = [f"{n} x {dim} {self.values.dtype}"]
        if self.ids is not None:
            parts.append("ids " + ("str" if self.ids.dtype == object else str(self.ids.dtype)))
        if self.metadata is not None:
            parts.append("metadata " + ", ".join(self.metadata.column_names))
        if self.source is not None:
            parts.append(f"{self.source.format} file {self.source.path.name}")
        return f"Vectors({'; '.join(parts)})"

    @property
    def dim(self) -> int:
        """Number of components of a vector."""
        return int(self.values.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the components."""
        return self.values.dtype
