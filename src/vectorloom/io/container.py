# SPDX-License-Identifier: Apache-2.0
"""The native file: a checked header and aligned arrays that are mapped, not read.

Layout, all little-endian::

    0   6 bytes   the magic "VLOOM" and a zero byte
    6   uint16    format version
    8   uint64    length of the header in bytes
    16  uint32    CRC-32 of the header
    20  uint32    CRC-32 of bytes 0..20
    24  header    UTF-8 JSON: kind, meta, arrays {name: dtype, shape, offset, crc32}, data_size
    …   zeros     up to a multiple of 64: the data area; array offsets count from here
    …   arrays    each at a multiple of 64, raw and C-contiguous

A file is written under a temporary name in the same folder, synced, and renamed over the old one:
whatever happens, a reader sees the whole old file or the whole new one. Opening checks magic,
version, header checksum and every bound before any memory is taken; the arrays' own checksums are
checked only when asked (`verify=True`), because that reads the whole file.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import mmap
import os
import re
import stat
import struct
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, ParameterError

MAGIC = b"VLOOM\0"
FORMAT_VERSION = 1

_PREFIX = struct.Struct("<6sHQI")  # followed by the CRC-32 of these 20 bytes
_DATA_ALIGNMENT = 64
_MAX_HEADER = 64 << 20  # far above any real header; a length beyond it is damage
_MAX_AXIS = 1 << 48
_CHUNK = 16 << 20
_DTYPES = frozenset(
    ["|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"],
)
_ROOMS = "learn|compress|index|tune|align|measure|explore|select|store"
_KIND = re.compile(rf"({_ROOMS})\.[a-z][a-z0-9_]*")

_loaders: dict[str, Callable[[Container], Any]] = {}


@dataclass(frozen=True, eq=False)
class Container:
    """An opened file.

    Attributes
    ----------
    kind : str
        What it holds, e.g. ``"index.exact"``: the room and the method.
    meta : dict
        Plain values: parameters, counts.
    arrays : dict of str to ndarray
        Read-only and mapped: a page is read when it is touched, and shared by all processes that
        have the file open.
    path : Path
    file_size : int
        Bytes.
    version : int
        Format version the file was written with.
    """

    kind: str
    meta: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    path: Path
    file_size: int
    version: int

    def array(self, name: str, dtype: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
        """Return the array `name`, refusing another dtype or shape than its loader can work with.

        Parameters
        ----------
        name : str
        dtype : str
            As NumPy writes it, e.g. ``"<f4"``.
        shape : tuple of int or None
            None fits any length of that axis.

        Raises
        ------
        FormatError
            Missing, or other than expected.
        """
        array = self.arrays.get(name)
        if array is None:
            raise FormatError(
                f"{self.path}: the array {name!r} is missing from this {self.kind} file."
            )
        fits = array.ndim == len(shape) and all(
            want is None or want == have for want, have in zip(shape, array.shape, strict=True)
        )
        if array.dtype.str != dtype or not fits:
            raise FormatError(
                f"{self.path}: the array {name!r} has dtype {array.dtype.str} and shape "
                f"{array.shape}; {dtype} and {shape} are expected in this {self.kind} file."
            )
        return array


def register_loader(kind: str, loader: Callable[[Container], Any]) -> None:
    """Say how files of `kind` become objects again; call it where the class is defined.

    Parameters
    ----------
    kind : str
        ``"room.method"``; importing ``vectorloom.room`` must register it.
    loader : callable
        Takes a `Container`, returns the object. It must check what it takes from ``meta`` and raise
        `FormatError`.
    """
    if not _KIND.fullmatch(kind):
        raise ParameterError(f"kind must look like 'index.exact'; got {kind!r}.")
    _loaders[kind] = loader


def open_any(path: str | os.PathLike[str], *, verify: bool = False) -> Any:
    """Open a file written by ``save`` and return the object that it holds.

    Parameters
    ----------
    path : path-like
    verify : bool, default=False
        Check the checksum of every array: reads the whole file. Without it, damage inside the
        arrays of a file goes unseen (damage to the header never does).

    Returns
    -------
    object
        Of the class that saved it, memory-mapped and read-only.

    Raises
    ------
    FormatError
        Not such a file, damaged, truncated, or of a newer version.
    OSError
        No such file, or no permission.

    Notes
    -----
    Takes milliseconds at any size: pages are read when they are touched.

    Examples
    --------
    >>> import tempfile
    >>> import vectorloom as vl
    >>> path = Path(tempfile.mkdtemp()) / "small.vl"
    >>> vl.index.Exact(metric="l2").fit([[0.0, 1.0], [2.0, 3.0]]).save(path)
    >>> index = vl.open(path)
    >>> index.search([[0.0, 0.0]], k=1).distances
    array([[1.]], dtype=float32)
    """
    return load(open_container(path, verify=verify))


def load(container: Container) -> Any:
    """Return the object that an opened file, or a part of one, holds.

    Parameters
    ----------
    container : Container

    Returns
    -------
    object

    Raises
    ------
    FormatError
        Of a kind that is not known here, or not as that kind is written.
    """
    kind = container.kind
    if kind not in _loaders and _KIND.fullmatch(kind):
        with contextlib.suppress(ImportError):
            importlib.import_module(f"vectorloom.{kind.partition('.')[0]}")
    if kind not in _loaders:
        raise FormatError(
            f"{container.path}: holds {kind!r}, which this version of vectorloom cannot open; it "
            f"opens {', '.join(sorted(_loaders))}. A newer vectorloom may have written it."
        )
    try:
        return _loaders[kind](container)
    except (KeyError, TypeError, ParameterError) as error:
        raise FormatError(
            f"{container.path}: the header of this {kind} file is not as expected ({error})."
        ) from error


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a file says about itself, without touching its arrays.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict
        ``kind``, ``meta``, ``arrays`` (name: dtype, shape, offset in the file, nbytes, crc32),
        ``version``, ``header_size`` and ``file_size`` in bytes.

    Raises
    ------
    FormatError
        Not such a file, damaged, truncated, or of a newer version.
    """
    path = Path(path)
    with path.open("rb") as file:
        return _read_header(file, path)


def is_container(path: str | os.PathLike[str]) -> bool:
    """Whether the file begins with the magic of this format.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    bool
    """
    with Path(path).open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def open_container(path: str | os.PathLike[str], *, verify: bool = False) -> Container:
    """Check a file and map its arrays.

    Parameters
    ----------
    path : path-like
    verify : bool, default=False
        Check the checksum of every array: reads the whole file.

    Returns
    -------
    Container

    Raises
    ------
    FormatError
        Not such a file, damaged, truncated, or of a newer version.
    """
    path = Path(path)
    with path.open("rb") as file:
        header = _read_header(file, path)
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    arrays: dict[str, NDArray[Any]] = {}
    for name, entry in header["arrays"].items():
        dtype, count = np.dtype(entry["dtype"]), int(np.prod(entry["shape"], dtype=np.int64))
        flat = np.frombuffer(mapped, dtype, count, entry["offset"]) if count else np.empty(0, dtype)
        flat.flags.writeable = False
        arrays[name] = flat.reshape(entry["shape"])
        if verify:
            _check_array(path, name, entry, arrays[name])
    if verify:
        _check_padding(path, mapped, header)
    return Container(
        header["kind"], header["meta"], arrays, path, header["file_size"], header["version"]
    )


def write_container(
    path: str | os.PathLike[str],
    kind: str,
    meta: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Write a file so that a reader only ever sees the old one or the new one, whole.

    Parameters
    ----------
    path : path-like
        Its folder must exist. A link is followed.
    kind : str
        ``"room.method"``.
    meta : mapping
        Plain values that JSON can hold.
    arrays : mapping of str to ndarray
        Of integers or floats; not contiguous ones are copied.

    Raises
    ------
    OSError
        No such folder, no permission, disk full: the message has the path, and an old file is
        intact.

    Notes
    -----
    Reads the arrays twice (checksum, then write) and takes no memory beside them.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(21, "is a folder; give the name of a file", str(path))
    if target.exists() and not target.is_file():  # a rename would put a file in a device's place
        raise OSError(22, "is not a regular file; give the name of a file", str(path))
    ready = {name: _storable(name, array) for name, array in arrays.items()}
    prefix, padding = _encode_header(kind, meta, ready)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        _write_synced(temporary, target, _pieces(prefix, padding, ready))
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise type(error)(
            error.errno,
            f"{error.strerror or error}; nothing was written, an older file there is as it was",
            str(path),
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _storable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    array = np.ascontiguousarray(array)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if array.dtype.str not in _DTYPES:
        raise ParameterError(f"the array {name!r} has dtype {array.dtype}; numbers are expected.")
    return array


def _align(offset: int) -> int:
    return -(-offset // _DATA_ALIGNMENT) * _DATA_ALIGNMENT


def _crc32(array: NDArray[Any]) -> int:
    # In chunks, so that Ctrl-C is heard between them on files of many GB.
    raw = array.reshape(-1).view(np.uint8)
    crc = 0
    for start in range(0, len(raw), _CHUNK):
        crc = zlib.crc32(raw[start : start + _CHUNK], crc)
    return crc


def _encode_header(
    kind: str, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> tuple[bytes, int]:
    offset, entries = 0, {}
    for name, array in arrays.items():
        entries[name] = {
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "offset": offset,
            "crc32": _crc32(array),
        }
        offset = _align(offset + array.nbytes)
    header = {"kind": kind, "meta": dict(meta), "arrays": entries, "data_size": offset}
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    start = _PREFIX.pack(MAGIC, FORMAT_VERSION, len(text), zlib.crc32(text))
    prefix = start + struct.pack("<I", zlib.crc32(start)) + text
    return prefix, _align(len(prefix)) - len(prefix)


def _pieces(
    prefix: bytes, padding: int, arrays: Mapping[str, NDArray[Any]]
) -> Iterator[bytes | memoryview]:
    yield prefix + bytes(padding)
    for array in arrays.values():
        raw = array.reshape(-1).view(np.uint8)
        for start in range(0, len(raw), _CHUNK):
            yield memoryview(raw[start : start + _CHUNK])
        yield bytes(_align(len(raw)) - len(raw))


def _write_synced(temporary: Path, target: Path, pieces: Iterator[bytes | memoryview]) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(temporary, flags, 0o666), "wb", buffering=0) as file:
        with contextlib.suppress(OSError):  # a rewritten file keeps its permissions
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        for piece in pieces:
            rest = memoryview(piece)
            while len(rest):
                rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # Makes the rename itself durable; not every system can open a folder, and then it has no need
    # to.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _read_header(file: BinaryIO, path: Path) -> dict[str, Any]:
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(_PREFIX.size + 4)
    if prefix[: len(MAGIC)] != MAGIC[: len(prefix)] or not prefix:
        raise FormatError(
            f"{path}: not a vectorloom file (it begins with {prefix[:8]!r}, not {MAGIC!r}). To "
            "read vectors of other formats use vl.read(path)."
        )
    if len(prefix) < _PREFIX.size + 4:
        raise _truncated(path, size, _PREFIX.size + 4)
    _, version, length, crc = _PREFIX.unpack_from(prefix)
    if zlib.crc32(prefix[: _PREFIX.size]) != struct.unpack_from("<I", prefix, _PREFIX.size)[0]:
        raise FormatError(f"{path}: the first 24 bytes are damaged. Restore the file from a copy.")
    if version != FORMAT_VERSION:
        raise FormatError(
            f"{path}: has format version {version}; this vectorloom reads version "
            f"{FORMAT_VERSION}. Upgrade vectorloom to open it."
        )
    if length > min(size - len(prefix), _MAX_HEADER):
        raise _truncated(path, size, len(prefix) + length)
    text = file.read(length)
    if zlib.crc32(text) != crc:
        raise FormatError(
            f"{path}: the header (byte 24 on) is damaged. Restore the file from a copy."
        )
    try:
        header: dict[str, Any] = json.loads(text)
        start = _align(len(prefix) + length)
        _check_header(header, start, size, path)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: the header is not as expected ({error!r}).") from error
    header["version"], header["file_size"] = version, size
    header["header_size"] = len(prefix) + length
    return header


def _check_header(header: dict[str, Any], start: int, size: int, path: Path) -> None:
    if not isinstance(header["kind"], str) or not isinstance(header["meta"], dict):
        raise TypeError("kind or meta")
    expected = start + header.pop("data_size")
    if size < expected:
        raise _truncated(path, size, expected)
    if size > expected:
        raise FormatError(f"{path}: has {size} bytes; {expected} are expected. It was appended to.")
    for name, entry in header["arrays"].items():
        shape, offset = entry["shape"], entry["offset"]
        if entry["dtype"] not in _DTYPES:
            raise TypeError(f"dtype of {name}")
        if len(shape) > 8 or not all(type(a) is int and 0 <= a <= _MAX_AXIS for a in shape):
            raise TypeError(f"shape of {name}")
        nbytes = np.dtype(entry["dtype"]).itemsize
        for axis in shape:
            nbytes *= axis  # Python integers: no overflow
        if type(offset) is not int or offset < 0 or offset % _DATA_ALIGNMENT:
            raise TypeError(f"offset of {name}")
        if start + offset + nbytes > size:
            raise _truncated(path, size, start + offset + nbytes)
        entry["shape"] = tuple(shape)
        entry["offset"] = start + offset
        entry["nbytes"] = nbytes


def _check_array(path: Path, name: str, entry: dict[str, Any], array: NDArray[Any]) -> None:
    if _crc32(array) != entry["crc32"]:
        end = entry["offset"] + entry["nbytes"]
        raise FormatError(
            f"{path}: the array {name!r} is damaged (bytes {entry['offset']} to {end} do not match "
            "their checksum). Restore the file from a copy."
        )


def _check_padding(path: Path, mapped: mmap.mmap, header: dict[str, Any]) -> None:
    # Padding carries nothing, but a changed byte there says that the medium is failing.
    end = header["header_size"]
    for entry in sorted(header["arrays"].values(), key=lambda entry: int(entry["offset"])):
        if any(mapped[end : entry["offset"]]):
            raise FormatError(f"{path}: the padding before byte {entry['offset']} is damaged.")
        end = entry["offset"] + entry["nbytes"]
    if any(mapped[end:]):
        raise FormatError(f"{path}: the padding at the end is damaged.")


def _truncated(path: Path, size: int, expected: int) -> FormatError:
    return FormatError(
        f"{path}: is truncated: it has {size} bytes and at least {expected} are expected. Copy it "
        "again."
    )
