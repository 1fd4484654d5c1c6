# SPDX-License-Identifier: Apache-2.0
"""word2vec text and binary; fastText ``.vec`` is the text form, GloVe the same without a header."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.errors import ParameterError
from vectorloom.io.compression import compression_of, open_sink, open_stream
from vectorloom.io.faults import broken, shorten
from vectorloom.io.lines import count_lines, decode, line_blocks, reading
from vectorloom.io.numerals import format_rows, is_numeric, parse_numbers, parse_token, text_dtype
from vectorloom.io.options import refuse_columns
from vectorloom.io.rows import BLOCK_BYTES, RowSink, row_blocks
from vectorloom.io.vectors_file import Vectors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from vectorloom.io.options import Content, ReadOptions

_MAX_DIM = 1 << 20
_MAX_WORD = 1 << 16
# Lines looked at to find the dim of a file without a header; words may hold spaces.
_GLOVE_SAMPLE = 20
_SAMPLE_BYTES = 1 << 20
_SPACE_TO_NEWLINE = bytes.maketrans(b" ", b"\n")


def read(path: Path, options: ReadOptions, kind: str) -> Vectors:
    """Read words as ids (str) and their vectors."""
    if options.vectors is not None or isinstance(options.ids, str):
        message = f"{path}: {kind} files name nothing but their words; leave vectors=, ids= out."
        raise ParameterError(message)
    found = (
        _read_binary(path, options)
        if kind == "word2vec-binary"
        else _read_text(path, options, kind)
    )
    return Vectors(found.values, None) if options.ids is False else found


def describe(path: Path, kind: str) -> dict[str, Any]:
    """Describe by the header; GloVe, which has none, by counting lines."""
    if kind != "glove":
        with open_stream(path) as stream:
            n, dim = _parse_header(path, stream.readline(128))
        return {"rows": n, "dim": dim, "dtype": "float32", "ids": "str"}
    with open_stream(path) as stream:
        _, lines = next(line_blocks(stream, _SAMPLE_BYTES))
    with open_stream(path) as stream:
        rows = count_lines(stream)
    return {"rows": rows, "dim": glove_dim(lines), "dtype": "float32", "ids": "str"}


def glove_dim(lines: list[bytes]) -> int:
    """Find the dim of headerless lines: what most of the first lines agree on."""
    counts = Counter(len(line.split()) - 1 for line in lines[:_GLOVE_SAMPLE] if line.strip())
    return max(1, counts.most_common(1)[0][0]) if counts else 1


def _parse_header(path: Path, line: bytes) -> tuple[int, int]:
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        expected = "the header 'number of rows, dim'"
        raise broken(path, "line 1", expected, shorten(line.strip()))
    n, dim = int(fields[0]), int(fields[1])
    if not 1 <= dim <= _MAX_DIM:
        raise broken(path, "line 1", f"a dim of 1 to {_MAX_DIM}", str(dim))
    return n, dim


def _read_text(path: Path, options: ReadOptions, kind: str) -> Vectors:
    words: list[str] = []
    header: tuple[int, int] | None = None
    sink: RowSink | None = None
    dtype = text_dtype(options.dtype)
    with open_stream(path) as stream, reading(path) as bar:
        for start, block in line_blocks(stream, bar=bar):
            lines, first = block, start
            if sink is None:
                if kind == "word2vec":
                    header = _parse_header(path, lines[0])
                    lines, first = lines[1:], first + 1
                sink = RowSink(header[1] if header else glove_dim(lines), dtype)
            if options.limit is not None:
                lines = lines[: options.limit - len(sink)]
            found, values = _parse_lines(path, lines, first, sink.dim, dtype, options.errors)
            words += found
            sink.append(values)
            if options.limit is not None and len(sink) >= options.limit:
                break
    if sink is None:
        raise broken(path, "line 1", "words and numbers", "nothing")
    if header is not None:
        _check_count(path, header[0], len(sink), options)
    ids = np.array(words, dtype=object)
    return Vectors(sink.finish(), ids)


def _check_count(path: Path, claimed: int, found: int, options: ReadOptions) -> None:
    if options.limit is not None and found >= min(options.limit, claimed):
        return
    if claimed != found:
        what = "truncated, or a wrong header" if found < claimed else "a wrong header"
        raise broken(path, "line 1", f"{claimed} rows, as the header says", f"{found}: {what}")


def _parse_lines(
    path: Path, lines: list[bytes], first: int, dim: int, dtype: np.dtype[Any], errors: str
) -> tuple[list[str], NDArray[Any]]:
    """Split each line into its word and its numbers; parse the numbers of all lines together."""
    words, cells, places = [], [], []
    for number, raw in enumerate(lines, first):
        line = raw.rstrip(b" \r\t")
        if not line:
            continue
        if line.count(b" ") == dim:
            word, _, rest = line.partition(b" ")
        else:
            word, rest = _split_odd_line(path, line, number, dim)
        try:
            words.append(word.decode())
        except UnicodeDecodeError:
            words.append(decode(path, word, number, errors))
        cells.append(rest)
        places.append(number)
    joined = b"\n".join(cells).translate(_SPACE_TO_NEWLINE)
    numbers = parse_numbers(joined, len(cells) * dim, dtype)
    if numbers is None:
        numbers = _parse_slowly(path, cells, places, dtype)
    return words, numbers.reshape(len(cells), dim)


def _split_odd_line(path: Path, line: bytes, number: int, dim: int) -> tuple[bytes, bytes]:
    """Split a line whose word holds spaces, or whose separators are not single spaces."""
    fields = line.rsplit(None, dim)
    if len(fields) != dim + 1:
        found = f"{len(fields) - 1} in {shorten(line)}"
        raise broken(path, f"line {number}", f"a word and {dim} numbers", found)
    word = fields[0].rstrip()
    if b" " in word and parse_token(word.rsplit(None, 1)[-1]) is not None:
        found = f"{len(line.split()) - 1} fields after {shorten(line.split()[0])}"
        raise broken(path, f"line {number}", f"a word and {dim} numbers", found)
    return word, b" ".join(fields[1:])


def _parse_slowly(
    path: Path, cells: list[bytes], places: list[int], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Name the token that is no number; accept spellings that only Python knows."""
    rows = []
    for cell, number in zip(cells, places, strict=True):
        tokens = cell.split(b" ")
        if not is_numeric(tokens):
            at = next(i for i, token in enumerate(tokens) if parse_token(token) is None)
            raise broken(path, f"line {number}, number {at + 1}", "a number", shorten(tokens[at]))
        rows.append([float(token) for token in tokens])
    return np.array(rows, dtype=dtype).reshape(-1)


def _read_binary(path: Path, options: ReadOptions) -> Vectors:
    with open_stream(path) as stream, reading(path) as bar:
        line = stream.readline(128)
        n, dim = _parse_header(path, line)
        _check_binary_size(path, len(line), n, dim)
        sink = RowSink(dim, "<f4")
        words: list[str] = []
        wanted = options.rows(n)
        buffer, position, base = b"", 0, len(line)
        while len(words) < wanted:
            more = stream.read(BLOCK_BYTES)
            if not more:
                found = f"the end of the file in row {len(words)}"
                raise broken(path, f"byte {base + position}", f"{n} rows of dim {dim}", found)
            bar.advance(len(more))
            base += position
            buffer, position = buffer[position:] + more, 0
            rows, position = _split_binary(buffer, dim, wanted - len(words))
            pieces = []
            for begin, space in rows:
                word = buffer[begin:space].lstrip(b"\n")
                words.append(_binary_word(path, word, base + begin, len(words), options.errors))
                pieces.append(buffer[space + 1 : space + 1 + 4 * dim])
            sink.append(np.frombuffer(b"".join(pieces), "<f4").reshape(-1, dim))
            if len(words) < wanted and len(buffer) - position > _MAX_WORD + 4 * dim:
                where = f"byte {base + position} (row {len(words)})"
                raise broken(path, where, "a word and a space", shorten(buffer[position:][:40]))
        if wanted == n:
            rest = (buffer[position:] + stream.read(64)).lstrip(b"\r\n")
            if rest:
                found = f"more bytes after them: {shorten(rest[:40])}"
                raise broken(path, f"byte {base + position}", f"{n} rows of dim {dim}", found)
    return Vectors(sink.finish(), np.array(words, dtype=object))


def _check_binary_size(path: Path, header: int, n: int, dim: int) -> None:
    """Compare the header with the size of a file that is not compressed."""
    with path.open("rb") as file:
        if compression_of(file.read(6)) is not None:
            return
    size, need = path.stat().st_size, header + n * (4 * dim + 1)
    if size < need:
        expected = f"at least {need} bytes for {n} rows of dim {dim}, as the header says"
        raise broken(path, "file size", expected, f"{size} bytes: truncated, or a wrong header")


def _split_binary(buffer: bytes, dim: int, wanted: int) -> tuple[list[tuple[int, int]], int]:
    """Find (start, space) of the rows that are whole in the buffer, and where they end."""
    rows: list[tuple[int, int]] = []
    position, width, end = 0, 4 * dim, len(buffer)
    while len(rows) < wanted:
        space = buffer.find(b" ", position, position + _MAX_WORD)
        if space < 0 or space + 1 + width > end:
            break
        rows.append((position, space))
        position = space + 1 + width
        # word2vec ends a row with a newline, gensim does not.
        position += buffer.startswith(b"\n", position)
    return rows, position


def _binary_word(path: Path, word: bytes, offset: int, row: int, errors: str) -> str:
    if b"\n" in word or b"\0" in word:
        where = f"byte {offset} (row {row})"
        raise broken(path, where, "a word", f"{shorten(word)}: a wrong dim, or damage")
    try:
        return word.decode("utf-8", errors)
    except UnicodeDecodeError:
        remedy = "Pass errors='replace' or 'ignore' to accept such words."
        where = f"byte {offset} (row {row})"
        raise broken(path, where, "a word in UTF-8", shorten(word), remedy) from None


def write(path: Path, content: Content, kind: str) -> None:
    """Write the ids as words; int ids come back as str."""
    words = _words(content, kind)
    n, dim = content.values.shape
    with open_sink(path, content.compression) as file:
        if kind != "glove":
            file.write(b"%d %d\n" % (n, dim))
        row = 0
        dtype: np.dtype[Any] = np.dtype(np.float32)
        if kind != "word2vec-binary" and content.stored_dtype == np.float64:
            dtype = np.dtype(np.float64)
        for block in row_blocks(content.values, dtype):
            part = words[row : row + len(block)]
            row += len(block)
            if kind == "word2vec-binary":
                pieces = [
                    b
                    for word, line in zip(part, block, strict=True)
                    for b in (word, b" ", line.tobytes(), b"\n")
                ]
            else:
                rows = format_rows(block, " ")
                pieces = [
                    b
                    for word, line in zip(part, rows, strict=True)
                    for b in (word, b" ", line, b"\n")
                ]
            file.write(b"".join(pieces))


def _words(content: Content, kind: str) -> list[bytes]:
    refuse_columns(content, kind, ids=True, remedy="Write parquet")
    if content.ids is None:
        message = f"{kind} files name each row; give ids= (words), one a row."
        raise ParameterError(message)
    words = [str(word) for word in content.ids]
    for row, word in enumerate(words):
        if not word or word.split() != [word] or "\0" in word:
            message = (
                f"ids: row {row} is {word!r}; {kind} separates words by spaces, so they cannot be "
                "empty or hold white space. Replace it (as in 'New_York'), or write parquet."
            )
            raise ParameterError(message)
    return [word.encode() for word in words]
