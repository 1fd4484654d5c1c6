# SPDX-License-Identifier: Apache-2.0
"""What a file holds, judged by its content; the name only breaks ties."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vectorloom.errors import FormatError
from vectorloom.io import beir, bins, vecs
from vectorloom.io.compression import compression_of, open_stream, split_suffix
from vectorloom.io.delimited import sniff
from vectorloom.io.faults import guarded, shorten
from vectorloom.io.formats import FORMATS, by_suffix
from vectorloom.io.numerals import is_numeric, parse_token
from vectorloom.io.paths import as_path, require_exists, require_file
from vectorloom.io.safetensors import MAX_HEADER
from vectorloom.io.word2vec import glove_dim

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

_HEAD = 1 << 20
_LINES = 20
_MAGIC = (
    (b"\x93NUMPY", "npy"),
    (b"PAR1", "parquet"),
    (b"ARROW1\0\0", "arrow"),
    (b"\xff\xff\xff\xff", "arrow-stream"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
)
_HDF5 = b"\x89HDF\r\n\x1a\n"
# An HDF5 file may begin with a block of the user's, of these sizes.
_HDF5_OFFSETS = (512, 1024, 2048, 4096)
# Files that people meet in place of vectors, and what to do about each.
_FOREIGN = (
    (b"VLOOM\0", "a saved vectorloom object. Open it with vl.open(path)"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file. Run 'git lfs pull'"),
    (b"<!DOCTYPE", "a web page, probably in place of a download. Download the file again"),
    (b"<html", "a web page, probably in place of a download. Download the file again"),
    (b"FEA1", "Feather version 1. Rewrite it with pyarrow.feather.write_feather(..., version=2)"),
    (b"\xba\x16\x4f\x2f", "a fastText model. Export its vectors as .vec text"),
    (b"PARE", "an encrypted Parquet file, which is not read"),
    (b"\x80\x04", "a pickle, which is never loaded. Save the array with numpy.save"),
    (b"\x80\x05", "a pickle, which is never loaded. Save the array with numpy.save"),
    (b"\x80\x03", "a pickle, which is never loaded. Save the array with numpy.save"),
    (b"\x80\x02", "a pickle, which is never loaded. Save the array with numpy.save"),
)


@dataclass(frozen=True)
class Detected:
    """The format of a file and the wrapper around it.

    Attributes
    ----------
    format : str
        A name as in the formats guide.
    compression : {"gzip", "bzip2", "xz", "zstd"} or None
    """

    format: str
    compression: str | None


def detect(path: str | os.PathLike[str]) -> Detected:
    r"""Find out what a file holds from its content.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Detected
        ``format`` (a name as in the formats guide) and ``compression`` ("gzip", "bzip2", "xz",
        "zstd" or None).

    Raises
    ------
    FormatError
        The file is empty, a folder, or of no format that is known.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from vectorloom.io import detect
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "words.csv"
    >>> _ = path.write_text("the 0.1 0.2 0.3\nof 0.4 0.5 0.6\n")
    >>> detect(path).format
    'glove'
    """
    path = as_path(path)
    require_exists(path)
    if path.is_dir() and beir.is_beir(path):
        message = (
            f"{path}: expected vectors; found a BEIR folder, which holds texts. "
            "Read it with vl.io.read_beir(path) and encode its texts."
        )
        raise FormatError(message)
    size = require_file(path)
    with path.open("rb") as file:
        compression = compression_of(file.read(6))
    with guarded(path, compression or "a file"), open_stream(path) as stream:
        head = stream.read(_HEAD)
    if not head:
        message = f"{path}: expected vectors; found a {compression} file with nothing in it."
        raise FormatError(message)
    suffix, _ = split_suffix(path)
    found = _binary_format(path, head, size, suffix, compression)
    whole = len(head) < _HEAD
    found = found or _text_format(head, whole, suffix) or by_suffix(suffix)
    if found is None:
        message = (
            f"{path}: its content is of no known format (it begins with {shorten(head[:16])}). "
            f"Known are {', '.join(FORMATS)}; name one with format=."
        )
        raise FormatError(message)
    if compression is not None and not FORMATS[found].wrapped:
        message = (
            f"{path}: {found} inside {compression} cannot be read in place. Decompress it first."
        )
        raise FormatError(message)
    return Detected(found, compression)


def _binary_format(
    path: Path, head: bytes, size: int, suffix: str, compression: str | None
) -> str | None:
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            message = f"{path}: expected vectors; found {what}."
            raise FormatError(message)
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_format(path, head)
    if any(head[at : at + 8] == _HDF5 for at in _HDF5_OFFSETS):
        return "hdf5"
    if len(head) > 9 and head[8:9] == b"{":
        length = int.from_bytes(head[:8], "little")
        if 2 <= length <= min(MAX_HEADER, size - 8):
            return "safetensors"
    if compression is not None:
        return None
    return _headerless(path, head, size, suffix)


def _zip_format(path: Path, head: bytes) -> str:
    # torch.save writes a zip whose first member is a pickle.
    if b"data.pkl" in head[:200]:
        message = (
            f"{path}: expected vectors; found a PyTorch file, which holds a pickle and is never "
            "loaded. Save the tensor with safetensors or numpy.save."
        )
        raise FormatError(message)
    return "npz"


def _headerless(path: Path, head: bytes, size: int, suffix: str) -> str | None:
    """Recognise the formats without a magic by what their first numbers say about the size."""
    if size < 8:
        return None
    hint = by_suffix(suffix)
    n, dim = (int(x) for x in np.frombuffer(head[:8], "<u4"))
    cells = n * dim
    if cells and dim <= vecs.MAX_DIM and (size - 8) % cells == 0:
        names = [
            name
            for name, code in bins.DTYPES.items()
            if np.dtype(code).itemsize == (size - 8) // cells
        ]
        # The header does not tell the width: the name does, and a size that then does not fit
        # is a truncated file rather than one of another width.
        if hint in bins.DTYPES:
            return hint
        if len(names) > 1:
            return _guess_width(path, names, hint)
        if names:
            return names[0]
    return _vecs_format(head, size, hint)


def _guess_width(path: Path, names: list[str], hint: str | None) -> str | None:
    """Tell equal sizes apart: floats are the rule at four bytes; at one byte only the name can."""
    if "fbin" in names:
        return "fbin"
    if hint in ("bvecs", "ivecs", "fvecs"):
        return None
    message = (
        f"{path}: its size fits {' and '.join(names)} alike, and its name does not say which. "
        f"Give format={names[0]!r} or format={names[1]!r}."
    )
    raise FormatError(message)


def _vecs_format(head: bytes, size: int, hint: str | None) -> str | None:
    dim = int.from_bytes(head[:4], "little")
    if not 1 <= dim <= vecs.MAX_DIM:
        return None
    fits = []
    for name, code in vecs.DTYPES.items():
        stride = 4 + dim * np.dtype(code).itemsize
        # One row alone proves little: any file of the right size would do. The name must agree.
        proven = size >= 2 * stride or hint == name
        if proven and size % stride == 0 and _dims_agree(head, stride, dim):
            fits.append(name)
    if fits == ["bvecs"] or not fits:
        return fits[0] if fits else None
    if hint in fits and (len(fits) == 1 or "bvecs" in fits):
        return hint
    stride = 4 + 4 * dim
    rows = np.frombuffer(head[: len(head) // stride * stride], "<u4").reshape(-1, 1 + dim)
    return _float_or_int(rows[:, 1:], hint)


def _dims_agree(head: bytes, stride: int, dim: int) -> bool:
    wanted = dim.to_bytes(4, "little")
    starts = range(0, len(head) - 3, stride)
    return all(head[at : at + 4] == wanted for at in starts)


def _float_or_int(words: NDArray[np.uint32], hint: str | None) -> str:
    """Tell float32 from int32 by the bits: small integers would be denormal floats.

    0, -0.0 and -1 (a NaN) occur in both and prove nothing.
    """
    exponents = (words >> 23) & 0xFF
    telling = (words != 0) & (words != 1 << 31) & (words != 0xFFFFFFFF)
    as_int = bool(((exponents == 0) & telling).any())
    as_float = bool(((exponents > 64) & (exponents < 192) & telling).any())
    if as_int != as_float:
        return "ivecs" if as_int else "fvecs"
    return hint if hint in ("fvecs", "ivecs") else "fvecs"


def _text_format(head: bytes, whole: bool, suffix: str) -> str | None:
    """Recognise the text formats, and word2vec binary, which begins with a line of text."""
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    lines = head.split(b"\n")
    if not whole and len(lines) > 1:
        lines.pop()
    lines = [line.rstrip(b" \r\t") for line in lines[: 2 * _LINES] if line.strip()][:_LINES]
    if not lines:
        return None
    fields = lines[0].split()
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        found = _word2vec_format(head, int(fields[1]), suffix)
        if found is not None:
            return found
    if b"\0" in lines[0]:
        return None
    if lines[0].lstrip()[:1] in (b"{", b"["):
        return _json_format(lines[0], whole, len(lines))
    if _is_glove(lines, suffix):
        return "glove"
    text = b"\n".join(head.split(b"\n")[: None if whole else -1] or [head])
    dialect = sniff(text.decode("utf-8", "replace"))
    kinds = [column.kind for column in dialect.columns] if dialect is not None else []
    # A number a line is no table when the name says that it is the start of something else.
    lone = len(kinds) == 1 and kinds != ["vector"]
    if lone and by_suffix(suffix) not in (None, "csv", "tsv"):
        return None
    if dialect is not None and (set(kinds) & {"int", "float", "mixed", "vector"}):
        return "tsv" if dialect.delimiter == "\t" else "csv"
    return None


def _json_format(line: bytes, whole: bool, lines: int) -> str | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        # A broken or a pretty-printed object: the reader of JSON lines names the character.
        return "jsonl" if line.lstrip().startswith(b"{") else None
    return "jsonl" if isinstance(value, dict) or is_numeric([str(v) for v in value]) else None


def _word2vec_format(head: bytes, dim: int, suffix: str) -> str | None:
    """Tell word2vec text from binary by the row after the header."""
    rest = head.partition(b"\n")[2]
    row = rest.partition(b"\n")[0].split()
    if not rest:
        return "word2vec-binary" if by_suffix(suffix) == "word2vec-binary" else "word2vec"
    if len(row) > dim and is_numeric(row[-dim:]):
        return "word2vec"
    if len(row) == 2 and is_numeric(row):
        return None  # two columns of numbers
    control = any(byte < 9 or 13 < byte < 32 for byte in rest[:4096])
    if control or by_suffix(suffix) == "word2vec-binary":
        return "word2vec-binary"
    try:
        rest[:4096].decode("utf-8")
    except UnicodeDecodeError as error:
        return "word2vec" if error.start > 4090 else "word2vec-binary"
    return "word2vec"


def _is_glove(lines: list[bytes], suffix: str) -> bool:
    """Recognise a word and numbers on each line; numbers alone are a table, not words."""
    rows = [line.split() for line in lines]
    dim = glove_dim(lines)
    if len(rows[0]) < 2 or (dim == 1 and suffix not in (".txt", ".vec", ".glove")):
        return False
    if not is_numeric(rows[0][-dim:]) or b"\t" in lines[0]:
        return False
    words = [row[0] for row in rows]
    if not is_numeric(words):
        return True
    # Node ids of a graph embedding: integers before fractions.
    return all(word.isdigit() for word in words) and all(
        not (parse_token(x) or 0.0).is_integer() or b"." in x for row in rows for x in row[1:]
    )
