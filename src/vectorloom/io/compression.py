# SPDX-License-Identifier: Apache-2.0
"""The gzip, bzip2, xz and zstd wrappers around text files: found by their magic bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zstd": "zstd"}


def compression_of(head: bytes) -> str | None:
    """Name the wrapper that these first bytes open, or None."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def split_suffix(path: Path) -> tuple[str, str | None]:
    """Split ``words.vec.gz`` into its inner suffix ``.vec`` and its wrapper ``gzip``."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        inner = path.with_suffix("").suffix.lower()
        return inner, SUFFIXES[suffix]
    return suffix, None


def open_stream(path: Path) -> BinaryIO:
    """Open a file for reading bytes, unwrapped when its content is compressed."""
    with path.open("rb") as file:
        kind = compression_of(file.read(6))
    if kind == "gzip":
        return cast("BinaryIO", gzip.open(path, "rb"))
    if kind == "bzip2":
        return cast("BinaryIO", bz2.open(path, "rb"))
    if kind == "xz":
        return cast("BinaryIO", lzma.open(path, "rb"))
    if kind == "zstd":
        import pyarrow as pa

        # pyarrow's own object has no readline.
        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")


@contextmanager
def open_sink(path: Path, kind: str | None) -> Iterator[BinaryIO]:
    """Open a file for writing bytes through the wrapper of that name."""
    with ExitStack() as stack:
        if kind == "zstd":
            import pyarrow as pa

            yield stack.enter_context(pa.output_stream(str(path), compression="zstd"))
            return
        file = stack.enter_context(path.open("wb"))
        if kind == "gzip":
            # No name and no time in the header: equal content gives equal bytes.
            yield cast("BinaryIO", stack.enter_context(gzip.GzipFile("", "wb", 6, file, mtime=0)))
        elif kind == "bzip2":
            yield cast("BinaryIO", stack.enter_context(bz2.open(file, "wb")))
        elif kind == "xz":
            yield cast("BinaryIO", stack.enter_context(lzma.open(file, "wb", preset=3)))
        else:
            yield file
