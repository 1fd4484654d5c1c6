# SPDX-License-Identifier: Apache-2.0
"""Text files as numbered lines, a block at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from vectorloom.io.compression import compression_of
from vectorloom.io.faults import broken
from vectorloom.io.rows import BLOCK_BYTES
from vectorloom.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vectorloom.progress import Progress

_BOM = b"\xef\xbb\xbf"


def reading(path: Path) -> Progress:
    """Announce the reading of a file; how much there is in a compressed one is not known."""
    with path.open("rb") as file:
        wrapped = compression_of(file.read(6)) is not None
    total = None if wrapped else path.stat().st_size
    return progress(f"reading {path.name}", total=total, unit="bytes")


def line_blocks(
    stream: BinaryIO, size: int = BLOCK_BYTES, bar: Progress | None = None
) -> Iterator[tuple[int, list[bytes]]]:
    """Yield (number of the first line, lines without their ends), counting from 1."""
    number = 1
    pending: list[bytes] = []
    first = True
    while block := stream.read(size):
        if bar is not None:
            bar.advance(len(block))
        if first:
            block = block.removeprefix(_BOM)
            first = False
        cut = block.rfind(b"\n")
        if cut < 0:
            pending.append(block)
            continue
        lines = b"".join([*pending, block[:cut]]).split(b"\n")
        pending = [block[cut + 1 :]]
        yield number, lines
        number += len(lines)
    rest = b"".join(pending)
    if rest:
        yield number, [rest]


def decode(path: Path, text: bytes, line: int, errors: str = "strict") -> str:
    """Decode UTF-8, or say which line is not."""
    try:
        return text.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        found = f"byte 0x{text[error.start]:02x} in {text[:40]!r}"
        remedy = "Convert the file to UTF-8; for words, errors='replace' marks such bytes."
        raise broken(path, f"line {line}", "UTF-8 text", found, remedy) from None


def count_lines(stream: BinaryIO, quoted: bool = False) -> int:
    """Count the lines that are not blank; with `quoted`, a line end inside quotes is none."""
    count, inside = 0, False
    for _, lines in line_blocks(stream):
        for line in lines:
            count += bool(line.strip()) and not inside
            if quoted and line.count(b'"') % 2:
                inside = not inside
    return count
