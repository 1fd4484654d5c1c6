# SPDX-License-Identifier: Apache-2.0
"""The files of a corpus, as pieces of text that say where they come from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vectorloom.errors import FormatError, ParameterError
from vectorloom.io.compression import open_stream, split_suffix
from vectorloom.io.faults import broken, guarded, shorten
from vectorloom.io.lines import decode, line_blocks

_BLOCK = 4 << 20
_BOM = b"\xef\xbb\xbf"
# A block without any blank is no text that could be cut elsewhere.
_MOST_PENDING = 64 << 20
_TEXT = frozenset(["", ".txt", ".text", ".md", ".rst", ".tex", ".html", ".xml", ".csv", ".tsv"])
_JSON = frozenset([".jsonl", ".ndjson"])
_PARQUET = frozenset([".parquet", ".pq"])


@dataclass
class Piece:
    """Some text and its origin.

    Attributes
    ----------
    text : bytes or str
    origin : str
        What errors call it.
    offset : int
        Bytes of its file before it, unwrapped.
    ends : bool
        Whether a sentence ends with it, whatever its last character.
    words : list of str or None
        The sentence, where it came cut.
    """

    text: bytes | str
    origin: str
    offset: int = 0
    ends: bool = True
    words: list[str] | None = None

    def broken(self, place: int) -> FormatError:
        """Build the error for what is not text at this byte."""
        raw = self.text if isinstance(self.text, bytes) else self.text.encode()
        what = "a NUL byte, as in binary files" if raw[place] == 0 else f"byte 0x{raw[place]:02x}"
        return FormatError(
            f"{self.origin}: byte {self.offset + place}: expected UTF-8 text; found {what}. "
            "Convert it to UTF-8, leave the file out, or pass over such bytes: Corpus(…, "
            "errors='skip'), --skip-broken."
        )

    def check(self, errors: str) -> None:
        """Refuse what is not text, unless such bytes are to be skipped."""
        if errors == "skip" or isinstance(self.text, str):
            return
        place = self.text.find(b"\0")
        if place >= 0:
            raise self.broken(place)
        try:
            self.text.decode()
        except UnicodeDecodeError as error:
            raise self.broken(error.start) from None


def files_of(source: Any) -> list[Path]:
    """Return the file, or the text files of the folder in the order of their names.

    Raises
    ------
    FileNotFoundError
    ParameterError
        A folder without any text file.
    """
    path = Path(os.fspath(source))
    if path.is_file():
        return [path]
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: there is no such file or folder. A corpus given as a str is a path; for one "
            "text pass [text]."
        )
    known = _TEXT | _JSON | _PARQUET
    found = sorted(
        file
        for file in path.rglob("*")
        if file.is_file()
        and split_suffix(file)[0] in known
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    if not found:
        raise ParameterError(
            f"{path}: no text in this folder; files of {', '.join(sorted(known - {''}))} were "
            "looked for, compressed or not. Name the file itself to read another."
        )
    return found


def file_pieces(path: Path, field: str, *, whole_lines: bool = False) -> Iterator[Piece]:
    """Yield the text of one file; with `whole_lines` a line or text at a time."""
    suffix = split_suffix(path)[0]
    if suffix in _JSON:
        yield from _json_pieces(path, field)
    elif suffix in _PARQUET:
        yield from _parquet_pieces(path, field)
    elif whole_lines:
        with guarded(path, "text"), open_stream(path) as stream:
            for number, lines in line_blocks(stream):
                for at, line in enumerate(lines, number):
                    if line.strip():
                        yield Piece(line, f"{path}: line {at}")
    else:
        yield from _text_pieces(path)


def _text_pieces(path: Path) -> Iterator[Piece]:
    """Yield blocks that end where a word ends."""
    with guarded(path, "text"), open_stream(path) as stream:
        pending, offset = b"", 0
        while True:
            block = stream.read(_BLOCK)
            if offset == 0 and not pending and block.startswith(_BOM):
                block, offset = block[3:], 3
            if not block:
                break
            block = pending + block
            cut = max(block.rfind(b"\n"), block.rfind(b" ")) + 1
            if cut == 0 and len(block) > _MOST_PENDING:
                cut = _char_end(block)
            pending = block[cut:]
            if cut:
                yield Piece(block[:cut], str(path), offset, ends=False)
                offset += cut
        yield Piece(pending, str(path), offset)


def _char_end(block: bytes) -> int:
    """Return where the last whole character of UTF-8 ends."""
    for back in range(1, 5):
        if block[-back] & 0xC0 != 0x80:
            return len(block) - back
    return len(block)


def _json_pieces(path: Path, field: str) -> Iterator[Piece]:
    import json

    with guarded(path, "JSON lines"), open_stream(path) as stream:
        for first, lines in line_blocks(stream):
            for number, line in enumerate(lines, first):
                if not line.strip():
                    continue
                try:
                    entry = json.loads(decode(path, line, number))
                except json.JSONDecodeError as error:
                    where = f"line {number}, character {error.pos}"
                    raise broken(path, where, "JSON on one line", shorten(line)) from None
                text = entry.get(field) if isinstance(entry, dict) else None
                if text is None:
                    names = ", ".join(map(repr, entry)) if isinstance(entry, dict) else "no object"
                    remedy = "Name the field that holds the text with field=."
                    raise broken(path, f"line {number}", f"the field {field!r}", names, remedy)
                yield _of_value(text, path, f"line {number}", field)


def _parquet_pieces(path: Path, field: str) -> Iterator[Piece]:
    import pyarrow.parquet as pq

    with guarded(path, "Parquet"), pq.ParquetFile(path) as file:
        if field not in file.schema_arrow.names:
            names = ", ".join(map(repr, file.schema_arrow.names))
            remedy = "Name the column that holds the text with field=."
            raise broken(path, "columns", f"the column {field!r}", names, remedy)
        row = 0
        for batch in file.iter_batches(columns=[field]):
            for text in batch.column(0).to_pylist():
                if text is not None:
                    yield _of_value(text, path, f"row {row}", field)
                row += 1


def _of_value(value: Any, path: Path, where: str, field: str) -> Piece:
    if isinstance(value, str):
        return Piece(value, f"{path}: {where}")
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return Piece("", f"{path}: {where}", words=value)
    raise broken(path, f"{where}, {field!r}", "text or a list of words", shorten(value))
