# SPDX-License-Identifier: Apache-2.0
"""Sealed vectors: an Arrow IPC file of one batch, written once and never changed.

Columns: ``vector`` (a fixed-size list), ``row``, ``id``, and ``scale`` for int8, ``rank`` for str
ids that do not ascend. Any Arrow reader opens it. The vectors are one run of bytes that begins at a
multiple of 64, so that they are mapped and searched where they lie; a CRC-32 for each block of
about 64 KiB, and one for all that is not vectors, are kept in the database with the place of each
column. Vectors are streamed into the file: memory does not grow with it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import uuid
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import CapacityError, FormatError, InternalError
from vectorloom.index.encoding import STORED
from vectorloom.index.rowids import IntIds, StrIds
from vectorloom.store.schema import FieldSchema

FOLDER = "segments"
_BLOCK_BYTES = 64 << 10
_ALIGNMENT = 64
_STEP = 4 << 20


class SegmentRecord(NamedTuple):
    """A row of the table ``segments``; its number is given when it is listed, and never again."""

    number: int
    field: int
    file: str
    n: int
    layout: dict[str, Any]
    checksums: bytes

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> SegmentRecord:
        """Return the record of a row as the database has it."""
        number, field, file, n, layout, checksums = row
        return cls(number, field, file, n, json.loads(layout), checksums)

    def to_row(self) -> tuple[Any, ...]:
        """Return the row as the database takes it, but for the number."""
        return (*self[1:4], json.dumps(self.layout), self.checksums)


class SegmentArrays(NamedTuple):
    """The columns of a segment, mapped."""

    values: NDArray[Any]
    scales: NDArray[np.float32] | None
    rows: NDArray[np.int64]
    ids: IntIds | StrIds
    mapped: mmap.mmap


def write_segment(
    folder: Path,
    schema: FieldSchema,
    field: int,
    rows: NDArray[np.int64],
    ids: NDArray[Any],
    scales: NDArray[np.float32] | None,
    vectors: Iterable[NDArray[Any]],
) -> SegmentRecord:
    """Write and sync a file that no one knows of until its record is committed.

    Parameters
    ----------
    folder : Path
        Of the collection.
    schema : FieldSchema
    field : int
        Its number.
    rows : ndarray of shape (n,), int64
        Ascending.
    ids : ndarray of shape (n,), int64 or object
    scales : ndarray of shape (n,), float32, or None
    vectors : iterable of ndarray
        Stored vectors in the order of `rows`, in pieces of any length, n in all.

    Raises
    ------
    CapacityError
        The disk is full; no file is left.
    OSError
    """
    home = folder / FOLDER
    home.mkdir(exist_ok=True)
    name = f"{uuid.uuid4().hex}.arrow"
    temporary, target = home / f".{name}.tmp", home / name
    block = max(1, _BLOCK_BYTES // schema.row_bytes)
    try:
        with temporary.open("xb", buffering=0) as file:
            stream = _VectorStream(vectors, block * schema.row_bytes, len(rows) * schema.row_bytes)
            sink = _Sink(file, stream)
            ascending = _write_arrow(sink, schema, rows, ids, scales)
            os.fsync(file.fileno())
        layout = _layout(temporary, schema, len(rows), block) | {"ascending": ascending}
        layout["rest_crc"] = sink.rest_crc
        temporary.replace(target)
        sync_folder(home)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CapacityError(
                f"{home}: the disk is full; nothing was changed. Free some space and try again."
            ) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    sums = np.array(stream.checksums, "<u4").tobytes()
    return SegmentRecord(-1, field, name, len(rows), layout, sums)


def open_segment(
    folder: Path, schema: FieldSchema, record: SegmentRecord, id_type: str
) -> SegmentArrays:
    """Map a segment and check everything but its vectors.

    Raises
    ------
    FormatError
        Another size than was written, or damaged outside the vectors.
    OSError
        Missing, or no permission.
    """
    path = folder / FOLDER / record.file
    layout, n = record.layout, record.n
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size != layout["size"]:
            raise FormatError(f"{path}: has {size} bytes; {layout['size']} were written.")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start, end = layout["vectors"], layout["vectors"] + n * schema.row_bytes
    whole = memoryview(mapped)
    if zlib.crc32(whole[end:], zlib.crc32(whole[:start])) != layout["rest_crc"]:
        raise FormatError(f"{path}: its ids or row numbers are damaged.")

    def column(name: str, dtype: str, count: int) -> NDArray[Any]:
        return np.frombuffer(mapped, dtype, count, layout[name])

    stored: np.dtype[Any] = STORED[schema.dtype]
    values = column("vectors", stored.newbyteorder("<").str, n * schema.dim)
    scales = column("scales", "<f4", n) if schema.dtype == "int8" else None
    if id_type == "int64":
        ids: IntIds | StrIds = IntIds(column("ids", "<i8", n), layout["ascending"])
    else:
        packed = column("text", "|u1", layout["text_size"]), column("ids", "<i8", n + 1)
        ranks = None if layout["ascending"] else column("ranks", "<i8", n)
        ids = StrIds(None, layout["ascending"], packed, ranks, str(path))
    return SegmentArrays(
        values.reshape(n, schema.dim), scales, column("rows", "<i8", n), ids, mapped
    )


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_arrow(
    sink: _Sink,
    schema: FieldSchema,
    rows: NDArray[np.int64],
    ids: NDArray[Any],
    scales: NDArray[np.float32] | None,
) -> bool:
    import pyarrow as pa

    n = len(rows)
    ascending = bool((ids[1:] > ids[:-1]).all())
    kind = {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8()}[schema.dtype]
    # Zeros that are never looked at: the sink puts the vectors in their place.
    room = pa.py_buffer(mmap.mmap(-1, max(1, n * schema.row_bytes))).slice(0, n * schema.row_bytes)
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.Array.from_buffers(kind, n * schema.dim, [None, room]), schema.dim
    )
    columns = {"vector": vectors, "row": pa.array(rows)}
    text = ids.dtype == object
    columns["id"] = pa.array(ids, pa.large_string()) if text else pa.array(ids)
    if scales is not None:
        columns["scale"] = pa.array(scales)
    if text and not ascending:
        ranks = StrIds(ids, ascending).tie_keys()
        columns["rank"] = pa.array(ranks)
    batch = pa.RecordBatch.from_pydict(columns)
    batch = batch.replace_schema_metadata(_aligning(batch.schema, schema.metric))
    with pa.PythonFile(sink, mode="w") as out, pa.ipc.new_file(out, batch.schema) as writer:
        writer.write_batch(batch)
    if not sink.streamed and n:
        raise InternalError("the vectors of a segment were not written")
    return ascending


def _aligning(schema: Any, metric: str) -> dict[str, str]:
    """Return the file's metadata, padded so that the first buffer is at a multiple of 64."""
    import pyarrow as pa

    zeros = {
        name: [[0] * kind.list_size if pa.types.is_fixed_size_list(kind) else _zero(kind)]
        for name, kind in zip(schema.names, schema.types, strict=True)
    }
    row = pa.RecordBatch.from_pydict(zeros, schema=schema)
    about = {"vectorloom": "segment", "metric": metric}
    for shift in range(0, _ALIGNMENT, 8):
        about["padding"] = " " * shift
        batch = row.replace_schema_metadata(about)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        whole = sink.getvalue()
        first = pa.ipc.open_file(whole).get_batch(0).column(0).values.buffers()[1]
        if (first.address - whole.address) % _ALIGNMENT == 0:
            break
    return about


def _zero(kind: Any) -> Any:
    import pyarrow as pa

    return "" if pa.types.is_large_string(kind) else 0


def _layout(path: Path, schema: FieldSchema, n: int, block: int) -> dict[str, Any]:
    """Return where the columns of a written file lie."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        size = source.size()
        start = source.read_buffer(1).address
        source.seek(0)
        batch = pa.ipc.open_file(source).get_batch(0)
        columns = {name: batch.column(name) for name in batch.schema.names}

        def place(buffer: Any) -> int:
            return 0 if buffer is None else int(buffer.address - start)

        ids = columns["id"].buffers()
        layout = {
            "size": size,
            "block_rows": block,
            "vectors": place(columns["vector"].values.buffers()[1]),
            "rows": place(columns["row"].buffers()[1]),
            "ids": place(ids[1]),
        }
        if len(ids) == 3:
            layout["text"] = place(ids[2])
            layout["text_size"] = int(np.frombuffer(ids[1], "<i8", n + 1)[-1])
        if "scale" in columns:
            layout["scales"] = place(columns["scale"].buffers()[1])
        if "rank" in columns:
            layout["ranks"] = place(columns["rank"].buffers()[1])
    return layout


class _VectorStream:
    """Yields pieces of vectors, and keeps the checksum of each block of `block` bytes."""

    def __init__(self, vectors: Iterable[NDArray[Any]], block: int, total: int) -> None:
        self._vectors = vectors
        self._block = block
        self.total = total
        self.checksums: list[int] = []

    def __iter__(self) -> Iterator[memoryview]:
        crc, filled, sent = 0, 0, 0
        for piece in self._vectors:
            raw = memoryview(np.ascontiguousarray(piece).reshape(-1).view(np.uint8))
            at = 0
            while at < len(raw):
                end = min(len(raw), at + self._block - filled)
                crc = zlib.crc32(raw[at:end], crc)
                filled += end - at
                at = end
                if filled == self._block:
                    self.checksums.append(crc)
                    crc, filled = 0, 0
            sent += len(raw)
            for start in range(0, len(raw), _STEP):
                yield raw[start : start + _STEP]
        if filled:
            self.checksums.append(crc)
        if sent != self.total:
            raise InternalError(f"a segment got {sent} bytes of vectors; {self.total} were meant")


class _Sink:
    """The file that Arrow writes to; where it writes the zeros, the vectors are written."""

    closed = False

    def __init__(self, file: Any, stream: _VectorStream) -> None:
        self._file = file
        self._stream = stream
        self._at = 0
        self.rest_crc = 0
        self.streamed = False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if not self.streamed and view.nbytes == self._stream.total and not isinstance(data, bytes):
            self.streamed = True
            for piece in self._stream:
                self._all(piece)
        else:
            self.rest_crc = zlib.crc32(view, self.rest_crc)
            self._all(view)
        self._at += view.nbytes
        return view.nbytes

    def _all(self, view: memoryview) -> None:
        rest = view.cast("B")
        while len(rest):
            rest = rest[self._file.write(rest) :]

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
