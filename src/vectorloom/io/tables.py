# SPDX-License-Identifier: Apache-2.0
"""Between Arrow columns and arrays, without a Python object a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.errors import FormatError, ParameterError
from vectorloom.io.columns import Column
from vectorloom.io.faults import broken
from vectorloom.io.rows import allocate, cast_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from vectorloom.io.options import Content

ID_COLUMN = "id"
VECTOR_COLUMN = "vector"
# Beyond this, a text column needs 64-bit offsets to stay in one chunk.
_TEXT_LIMIT = (1 << 31) - 1


def profile(schema: pa.Schema) -> list[Column]:
    """Say of each column of a schema what its cells are."""
    return [Column(field.name, _kind(field.type), str(field.type)) for field in schema]


def _kind(kind: Any) -> str:
    import pyarrow.types as types

    if isinstance_extension(kind):
        kind = kind.storage_type
    if types.is_dictionary(kind):
        kind = kind.value_type
    if _is_list(kind):
        if types.is_floating(kind.value_type):
            return "vector"
        return "codes" if types.is_integer(kind.value_type) else "other"
    if types.is_floating(kind):
        return "float"
    if types.is_integer(kind):
        return "int"
    return "text" if _is_text(kind) else "other"


def isinstance_extension(kind: Any) -> bool:
    """Say whether an Arrow type wraps another, as fixed-shape tensors do."""
    import pyarrow as pa

    return isinstance(kind, pa.BaseExtensionType)


def _is_list(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_string(kind) or types.is_large_string(kind):
        return True
    return bool(getattr(types, "is_string_view", lambda _: False)(kind))


def matrix_of(path: Path, column: pa.ChunkedArray, name: str) -> NDArray[Any]:
    """Turn a column of lists into (n, dim): a view of one chunk, one copy of several."""
    chunks = [chunk for chunk in column.chunks if len(chunk)]
    first, parts = 0, []
    for chunk in chunks:
        parts.append(chunk_matrix(path, chunk, name, first))
        first += len(chunk)
    if not parts:
        return np.empty((0, max(1, getattr(column.type, "list_size", 1))), _value_dtype(column))
    if len(parts) == 1:
        return parts[0]
    dim = parts[0].shape[1]
    values = allocate(path, (first, dim), parts[0].dtype)
    row = 0
    for part in parts:
        require_dim(path, name, dim, part.shape[1], row)
        values[row : row + len(part)] = part
        row += len(part)
    return values


def _value_dtype(column: Any) -> np.dtype[Any]:
    kind = column.type.storage_type if isinstance_extension(column.type) else column.type
    dtype: np.dtype[Any] = np.dtype(kind.value_type.to_pandas_dtype())
    return dtype


def require_dim(path: Path, name: str, dim: int, found: int, row: int) -> None:
    """Refuse a row of another length than the first."""
    if found != dim:
        raise broken(path, f"column {name!r}, row {row}", f"{dim} numbers", f"{found}")


def chunk_matrix(path: Path, chunk: pa.Array, name: str, first_row: int) -> NDArray[Any]:
    """View the lists of one chunk as a matrix; refuse nulls, ragged rows and other types."""
    import pyarrow as pa
    import pyarrow.types as types

    if isinstance_extension(chunk.type):
        chunk = chunk.storage
    kind = chunk.type
    if not _is_list(kind) or not (
        types.is_floating(kind.value_type) or types.is_integer(kind.value_type)
    ):
        message = f"{path}: column {name!r} must hold lists of numbers; it is {kind}."
        raise ParameterError(message)
    if chunk.null_count:
        row = first_row + int(np.argmax(np.asarray(chunk.is_null())))
        message = (
            f"{path}: column {name!r}, row {row}: expected a vector; found null. "
            "Drop the rows that have no vector."
        )
        raise FormatError(message)
    if isinstance(chunk, pa.FixedSizeListArray):
        dim = kind.list_size
        flat = chunk.values.slice(chunk.offset * dim, len(chunk) * dim)
    else:
        offsets = chunk.offsets.to_numpy()
        lengths = np.diff(offsets)
        dim = int(lengths[0])
        ragged = np.flatnonzero(lengths != dim)
        if len(ragged):
            row = int(ragged[0])
            require_dim(path, name, dim, int(lengths[row]), first_row + row)
        flat = chunk.values.slice(int(offsets[0]), len(chunk) * dim)
    if dim == 0:
        raise broken(path, f"column {name!r}, row {first_row}", "at least one number", "none")
    if len(flat) != len(chunk) * dim:
        found = f"{len(flat)}"
        raise broken(path, f"column {name!r}", f"{len(chunk) * dim} numbers", found)
    if flat.null_count:
        at = int(np.argmax(np.asarray(flat.is_null())))
        where = f"column {name!r}, row {first_row + at // dim}, component {at % dim}"
        raise broken(path, where, "a number", "null", "NaN is accepted, null is not.")
    numbers: NDArray[Any] = flat.to_numpy(zero_copy_only=True)
    return numbers.reshape(len(chunk), dim)


def stack_components(
    path: Path, table: pa.Table | pa.RecordBatch, names: Sequence[str], first_row: int
) -> NDArray[Any]:
    """Put columns of numbers side by side as a matrix."""
    import pyarrow.types as types

    columns = []
    for name in names:
        column = table.column(name)
        if not (types.is_floating(column.type) or types.is_integer(column.type)):
            message = f"{path}: column {name!r} must hold numbers; it is {column.type}."
            raise ParameterError(message)
        if column.null_count:
            row = first_row + int(np.argmax(np.asarray(column.is_null())))
            remedy = "Fill or drop the rows that lack numbers."
            raise broken(path, f"column {name!r}, row {row}", "a number", "nothing", remedy)
        columns.append(
            column.to_numpy(zero_copy_only=False)
            if hasattr(column, "buffers")
            else column.to_numpy()
        )
    return np.column_stack(columns)


def ids_from_column(path: Path, column: Any, name: str, first_row: int = 0) -> NDArray[Any]:
    """Bring a column of ids to int64 or to an object array of str."""
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count:
        row = first_row + int(np.argmax(np.asarray(column.is_null())))
        remedy = "Give each row an id, or ids=False to read none."
        raise broken(path, f"ids {name!r}, row {row}", "an id", "null", remedy)
    if types.is_integer(column.type):
        try:
            found: NDArray[Any] = np.asarray(column.cast(pa.int64()))
        except pa.ArrowInvalid as error:
            message = f"{path}: ids {name!r}: expected ids below 2**63; {error}."
            raise FormatError(message) from error
        return found
    if _is_text(column.type):
        return np.asarray(
            column.cast(pa.large_string()).to_numpy(zero_copy_only=False)
            if isinstance(column, pa.Array)
            else column.to_numpy(),
            dtype=object,
        )
    message = (
        f"{path}: ids {name!r} must be integers or text; the column is {column.type}. "
        "Name another column, or ids=False to read none."
    )
    raise FormatError(message)


def table_blocks(content: Content, rows: int) -> Iterator[pa.Table]:
    """Lay out what is written to Arrow and Parquet: ids, vectors, metadata, `rows` at a time."""
    import pyarrow as pa

    check_names(content, (ID_COLUMN, VECTOR_COLUMN))
    dtype = content.stored_dtype
    n, dim = content.values.shape
    for start in range(0, max(n, 1), rows):
        block = np.ascontiguousarray(cast_rows(content.values[start : start + rows], dtype, start))
        columns: dict[str, Any] = {}
        if content.ids is not None:
            columns[ID_COLUMN] = arrow_ids(content.ids[start : start + rows])
        columns[VECTOR_COLUMN] = pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), dim)
        if content.metadata is not None:
            part = content.metadata.slice(start, rows)
            columns.update({name: one_chunk(part.column(name)) for name in part.column_names})
        yield pa.table(columns)


def check_names(content: Content, reserved: Sequence[str]) -> None:
    """Refuse metadata columns that would shadow the columns of ids and vectors."""
    if content.metadata is None:
        return
    names = content.metadata.column_names
    clash = [n for n in names if n in reserved]
    if clash or len(set(names)) != len(names):
        message = (
            f"metadata columns must be unique and not {' or '.join(map(repr, reserved))}; got "
            f"{names}. Rename them with metadata.rename_columns(...)."
        )
        raise ParameterError(message)


def arrow_ids(ids: NDArray[Any]) -> Any:
    """Turn ids into an Arrow array."""
    import pyarrow as pa

    return pa.array(ids, type=pa.string() if ids.dtype == object else pa.int64())


def one_chunk(column: Any) -> Any:
    """Bring a column into one chunk, so that the batch which holds it can be mapped as one."""
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_string(column.type) and column.nbytes > _TEXT_LIMIT:
        column = column.cast(pa.large_string())
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column
