# SPDX-License-Identifier: Apache-2.0
"""Sealed vectors: an Arrow IPC file of one batch, written once and never changed.

Columns: ``vector``, ``row``, ``id``, and ``scale`` for int8, ``rank`` for str ids that do not
ascend. A vector is a fixed-size list; a list of such where a row has several; a list of (term,
weight) where it is sparse. Any Arrow reader opens it. All vectors are one run of bytes (terms and
weights one each), mapped and searched where they lie; those of dense fields begin at a multiple of
64. A CRC-32 for each block of about 64 KiB of a run, and one for all that is not vectors, are kept
in the database with the place of each column. Vectors are streamed into the file: memory does not
grow with it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import CapacityError, FormatError, InternalError
from vectorloom.index.multivector.token_vectors import run_offsets
from vectorloom.index.rowids import IntIds, StrIds
from vectorloom.store.schema import FieldSchema
from vectorloom.store.stored import Stored, gathered, lengths_of, run_types, shaped

FOLDER = "segments"
_BLOCK_BYTES = 64 << 10
_ALIGNMENT = 64
_STEP = 4 << 20
_PIECE = 4096
_RUN_NAMES = ("vectors", "weights")  # of a sparse field its terms and weights


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

    held: Stored
    rows: NDArray[np.int64]
    ids: IntIds | StrIds


class Content(NamedTuple):
    """Vectors on their way into a file.

    ``pieces(i)`` yields run i in pieces of any length; ``starts`` and ``scales`` are those of
    `Stored`.
    """

    pieces: Callable[[int], Iterable[NDArray[Any]]]
    scales: NDArray[np.float32] | None
    starts: NDArray[np.int64] | None


def whole(held: Stored) -> Content:
    """Return rows in memory as what a file is made of."""
    return Content(lambda i: [held.runs[i]], held.scales, held.starts)


def moved(
    parts: Sequence[Stored],
    source: NDArray[np.int64],
    positions: NDArray[np.int64],
    before_each: Callable[[], None] | None = None,
) -> Content:
    """Return the rows parts[source[i]][positions[i]] on their way, never all at once.

    `before_each`: called before each piece; what it raises ends the way.
    """
    starts, scales = None, None
    if parts[0].starts is not None:
        starts = run_offsets(lengths_of(parts, source, positions))
    if parts[0].scales is not None:
        alone = [Stored((np.asarray(part.scales),), None, part.starts) for part in parts]
        scales = gathered(alone, source, positions).runs[0]

    def pieces(i: int) -> Iterator[NDArray[Any]]:
        alone = [Stored((part.runs[i],), None, part.starts) for part in parts]
        for at in range(0, len(source), _PIECE):
            if before_each is not None:
                before_each()
            piece = slice(at, at + _PIECE)
            yield gathered(alone, source[piece], positions[piece]).runs[0]

    return Content(pieces, scales, starts)


def write_segment(
    folder: Path,
    schema: FieldSchema,
    field: int,
    rows: NDArray[np.int64],
    ids: NDArray[Any],
    content: Content,
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
    content : Content
        In the order of `rows`.

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
    n, starts = len(rows), content.starts
    block = _block_rows(schema, n if starts is None else int(starts[-1]), n)
    streams = _streams(schema, content, _block_ends(n, block, starts))
    try:
        with temporary.open("xb", buffering=0) as file:
            sink = _Sink(file, streams)
            ascending = _write_arrow(sink, schema, rows, ids, content)
            sink.require_whole()
            os.fsync(file.fileno())
        layout = _layout(temporary, schema, n, block) | {"ascending": ascending}
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
    sums = np.array([crc for each in streams for crc in each.checksums], "<u4").tobytes()
    return SegmentRecord(-1, field, name, n, layout, sums)


def _block_rows(schema: FieldSchema, entries: int, n: int) -> int:
    return max(1, _BLOCK_BYTES * max(n, 1) // (schema.vector_bytes * max(entries, 1)))


def _block_ends(n: int, block: int, starts: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return behind which entry each block ends."""
    ends = np.minimum(np.arange(block, n + block, block), n)
    return ends if starts is None else starts[ends]


def _streams(schema: FieldSchema, content: Content, ends: NDArray[np.int64]) -> list[_Stream]:
    return [
        _Stream(content.pieces(i), ends * (kind.itemsize * width))
        for i, (kind, width) in enumerate(run_types(schema))
    ]


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

    def column(name: str, dtype: str, count: int) -> NDArray[Any]:
        return np.frombuffer(mapped, dtype, count, layout[name])

    entries = layout.get("entries", n)
    types = run_types(schema)
    places = [layout[name] for name in _RUN_NAMES[: len(types)]]
    ends = [
        at + entries * width * kind.itemsize
        for at, (kind, width) in zip(places, types, strict=True)
    ]
    if _rest_crc(mapped, places, ends) != layout["rest_crc"]:
        raise FormatError(f"{path}: its ids or row numbers are damaged.")
    starts = None if schema.kind == "dense" else column("starts", "<i8", n + 1)
    runs = [
        column(name, kind.str, entries * width)
        for name, (kind, width) in zip(_RUN_NAMES, types, strict=False)
    ]
    scales = column("scales", "<f4", entries) if schema.dtype == "int8" else None
    held = Stored(shaped(schema, runs), scales, starts)
    return SegmentArrays(held, column("rows", "<i8", n), _ids_of(layout, column, id_type, path, n))


def _ids_of(
    layout: Mapping[str, Any], column: Any, id_type: str, path: Path, n: int
) -> IntIds | StrIds:
    if id_type == "int64":
        return IntIds(column("ids", "<i8", n), layout["ascending"])
    packed = column("text", "|u1", layout["text_size"]), column("ids", "<i8", n + 1)
    ranks = None if layout["ascending"] else column("ranks", "<i8", n)
    return StrIds(None, layout["ascending"], packed, ranks, str(path))


def _rest_crc(mapped: mmap.mmap, places: Sequence[int], ends: Sequence[int]) -> int:
    """Return the checksum of all that is not in a run."""
    everything = memoryview(mapped)
    crc, at = 0, 0
    for start, end in zip(places, ends, strict=True):
        crc = zlib.crc32(everything[at:start], crc)
        at = end
    return zlib.crc32(everything[at:], crc)


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
    content: Content,
) -> bool:
    import pyarrow as pa

    n = len(rows)
    # Zeros that are never looked at: the sink puts the vectors in their place.
    rooms = [pa.py_buffer(mmap.mmap(-1, max(1, each.total))) for each in sink.streams]
    rooms = [room.slice(0, each.total) for room, each in zip(rooms, sink.streams, strict=True)]
    sink.rooms = {room.address: i for i, room in enumerate(rooms)}
    vectors = _arrow_vectors(schema, n, rooms, content.starts)
    columns = {"vector": vectors, "row": pa.array(rows)}
    text = ids.dtype == object
    columns["id"] = pa.array(ids, pa.large_string()) if text else pa.array(ids)
    ranks = _ranks(columns["id"]) if text else None
    order = ids if ranks is None else ranks
    ascending = bool((order[1:] > order[:-1]).all())
    if content.scales is not None:
        scales = pa.array(np.ascontiguousarray(content.scales))
        if content.starts is not None:
            scales = pa.LargeListArray.from_arrays(pa.array(content.starts), scales)
        columns["scale"] = scales
    if ranks is not None and not ascending:
        columns["rank"] = pa.array(ranks)
    batch = pa.RecordBatch.from_pydict(columns)
    about = {"vectorloom": "segment", "metric": schema.metric}
    if schema.kind == "dense":
        about = _aligning(batch.schema, schema.metric)
    batch = batch.replace_schema_metadata(about)
    with pa.PythonFile(sink, mode="w") as out, pa.ipc.new_file(out, batch.schema) as writer:
        writer.write_batch(batch)
    return ascending


def _ranks(ids: Any) -> NDArray[np.int64]:
    """Return the place of each text among all, by code points, which are in the order of bytes."""
    import pyarrow.compute as pc  # goes on while other threads do; Python's sort does not

    ranks = np.empty(len(ids), np.int64)
    ranks[pc.sort_indices(ids).to_numpy()] = np.arange(len(ids))
    return ranks


def _arrow_vectors(
    schema: FieldSchema, n: int, rooms: Sequence[Any], starts: NDArray[np.int64] | None
) -> Any:
    """Return the column of vectors over these buffers."""
    import pyarrow as pa

    entries = n if starts is None else int(starts[-1])
    if schema.kind == "sparse":
        kinds = {"term": pa.int32(), "weight": pa.float32()}
        made = [
            pa.Array.from_buffers(kind, entries, [None, room])
            for kind, room in zip(kinds.values(), rooms, strict=True)
        ]
        values = pa.StructArray.from_arrays(made, list(kinds))
    else:
        kind = {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8()}[schema.dtype]
        flat = pa.Array.from_buffers(kind, entries * schema.dim, [None, rooms[0]])
        values = pa.FixedSizeListArray.from_arrays(flat, schema.dim)
    if starts is None:
        return values
    return pa.LargeListArray.from_arrays(pa.array(starts), values)


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
            return 0 if buffer is None or not buffer.size else int(buffer.address - start)

        ids = columns["id"].buffers()
        layout = {
            "size": size,
            "block_rows": block,
            "rows": place(columns["row"].buffers()[1]),
            "ids": place(ids[1]),
        }
        vectors = columns["vector"]
        if schema.kind != "dense":
            layout["starts"] = place(vectors.buffers()[1])
            vectors = vectors.values
            layout["entries"] = len(vectors)
        sparse = schema.kind == "sparse"
        runs = [vectors.field(i) for i in range(2)] if sparse else [vectors.values]
        layout |= {
            name: place(run.buffers()[1]) for name, run in zip(_RUN_NAMES, runs, strict=False)
        }
        if len(ids) == 3:
            layout["text"] = place(ids[2])
            layout["text_size"] = int(np.frombuffer(ids[1], "<i8", n + 1)[-1])
        if "scale" in columns:
            scales = columns["scale"]
            layout["scales"] = place(
                (scales if schema.kind == "dense" else scales.values).buffers()[1]
            )
        if "rank" in columns:
            layout["ranks"] = place(columns["rank"].buffers()[1])
    return layout


class _Stream:
    """Yields the bytes of a run, and keeps the checksum of each of its blocks."""

    def __init__(self, pieces: Iterable[NDArray[Any]], ends: NDArray[np.int64]) -> None:
        self._pieces = pieces
        self._ends: list[int] = ends.tolist()
        self.total = self._ends[-1] if self._ends else 0
        self.checksums: list[int] = []
        self.done = False

    def __iter__(self) -> Iterator[memoryview]:
        crc, sent, ends = 0, 0, self._ends
        for piece in self._pieces:
            raw = memoryview(np.ascontiguousarray(piece).reshape(-1).view(np.uint8))
            at = 0
            while at < len(raw) and len(self.checksums) < len(ends):
                end = min(len(raw), at + ends[len(self.checksums)] - sent)
                crc = zlib.crc32(raw[at:end], crc)
                sent += end - at
                at = end
                if sent == ends[len(self.checksums)]:
                    self.checksums.append(crc)
                    crc = 0
            sent += len(raw) - at
            for start in range(0, len(raw), _STEP):
                yield raw[start : start + _STEP]
        # Blocks without a byte at the end: rows of a sparse field without weights.
        self.checksums += [0] * (len(ends) - len(self.checksums))
        if sent != self.total:
            raise InternalError(f"a segment got {sent} bytes of vectors; {self.total} were meant")
        self.done = True


class _Sink:
    """The file that Arrow writes to; where it writes the zeros, the vectors are written."""

    closed = False

    def __init__(self, file: Any, streams: Sequence[_Stream]) -> None:
        self._file = file
        self.streams = streams
        self.rooms: dict[int, int] = {}  # of the address of zeros the stream in their place
        self._at = 0
        self.rest_crc = 0

    def write(self, data: Any) -> int:
        view = memoryview(data)
        place = None if isinstance(data, bytes) or not view.nbytes else self._room_of(view)
        if place is not None:
            for piece in self.streams[place]:
                self._all(piece)
        else:
            self.rest_crc = zlib.crc32(view, self.rest_crc)
            self._all(view)
        self._at += view.nbytes
        return view.nbytes

    def _room_of(self, view: memoryview) -> int | None:
        place = self.rooms.get(np.frombuffer(view, np.uint8).ctypes.data)
        return place if place is not None and self.streams[place].total == view.nbytes else None

    def require_whole(self) -> None:
        """Take note of streams without a byte, and refuse to go on where one was not written."""
        for each in self.streams:
            if each.total == 0:
                for _ in each:
                    pass
            if not each.done:
                raise InternalError("the vectors of a segment were not written")

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
