# SPDX-License-Identifier: Apache-2.0
"""What a reader is asked for and what a writer is given, checked once for all formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vectorloom.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ReadOptions:
    """The arguments of `read`; see there."""

    vectors: str | Sequence[str] | None = None
    ids: str | bool | None = None
    dtype: np.dtype[Any] | None = None
    mmap: bool = True
    limit: int | None = None
    errors: str = "strict"

    def rows(self, n: int) -> int:
        """Return how many of `n` rows are wanted."""
        return n if self.limit is None else min(n, self.limit)


@dataclass(frozen=True)
class Content:
    """What `write` hands to a writer: checked values, ids and metadata of equal length."""

    values: NDArray[Any]
    ids: NDArray[Any] | None = None
    metadata: pa.Table | None = None
    dtype: np.dtype[Any] | None = None
    compression: str | None = None

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """The dtype asked for, else that of the values."""
        return self.values.dtype if self.dtype is None else self.dtype


def refuse_columns(content: Content, format_name: str, ids: bool, remedy: str) -> None:
    """Refuse ids or metadata in a format that has no place for them: never drop them silently."""
    lost = []
    if content.ids is not None and not ids:
        lost.append("ids")
    if content.metadata is not None:
        lost.append("metadata columns")
    if lost:
        message = (
            f"{format_name} files cannot carry {' or '.join(lost)}. {remedy}, or leave "
            f"{'them' if len(lost) > 1 or lost[0] != 'ids' else 'ids'} out."
        )
        raise ParameterError(message)


def refuse_dtype(content: Content, format_name: str, allowed: Sequence[str]) -> None:
    """Refuse a dtype that the format has no code for."""
    if str(content.stored_dtype) not in allowed:
        message = (
            f"{format_name} files hold {', '.join(allowed)}; got {content.stored_dtype}. "
            f"Give dtype={allowed[0]!r}."
        )
        raise ParameterError(message)
