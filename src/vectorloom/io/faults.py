# SPDX-License-Identifier: Apache-2.0
"""How a broken file is reported: file, place, what was expected, what was found."""

from __future__ import annotations

import lzma
import struct
import sys
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vectorloom.errors import (
    CapacityError,
    DependencyError,
    FormatError,
    ParameterError,
    VectorloomError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What the libraries below us raise for damaged bytes. The readers check first and give better
# messages; this list is the net under them, so that no foreign exception reaches the user.
_FOREIGN = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)


def broken(path: Path, where: str, expected: str, found: str, remedy: str = "") -> FormatError:
    """Build the error for a damaged or foreign file; the caller raises it."""
    message = f"{path}: {where}: expected {expected}; found {found}."
    return FormatError(f"{message} {remedy}".rstrip())


def missing_package(package: str, extra: str, why: str) -> DependencyError:
    """Build the error for an optional package that is not installed."""
    return DependencyError(f'{why} needs {package}: pip install "vectorloom[{extra}]"')


def shorten(text: object, length: int = 40) -> str:
    """Show a piece of the file in an error without flooding the terminal."""
    shown = repr(text)
    return shown if len(shown) <= length else shown[: length - 1] + "…"


@contextmanager
def guarded_write(format_name: str) -> Iterator[None]:
    """Turn pyarrow's refusal of a column into an error that says what to do."""
    try:
        yield
    except Exception as error:
        arrow = sys.modules.get("pyarrow")
        kinds = () if arrow is None else (arrow.ArrowInvalid, arrow.ArrowNotImplementedError)
        if not isinstance(error, (*kinds, UnicodeEncodeError)):
            raise
        detail = " ".join(str(error).split()).rstrip(".")
        message = (
            f"{format_name} files cannot hold what was given: {detail}. "
            "Write parquet, or convert that column."
        )
        raise ParameterError(message) from error


@contextmanager
def guarded(path: Path, format_name: str) -> Iterator[None]:
    """Turn whatever a library raises while reading `path` into an error that names the file."""
    try:
        yield
    except (VectorloomError, FileNotFoundError, PermissionError):
        raise
    except MemoryError as error:
        message = (
            f"{path}: its vectors do not fit in memory ({error}). "
            "Read part of it with limit=, or convert it to npy and read it with mmap=True."
        )
        raise CapacityError(message) from error
    except Exception as error:
        arrow = sys.modules.get("pyarrow")
        if not isinstance(error, _FOREIGN) and not (
            arrow is not None and isinstance(error, arrow.ArrowException)
        ):
            raise
        detail = " ".join(str(error).split()).rstrip(".") or "no detail"
        message = (
            f"{path}: cannot be read as {format_name}: {type(error).__name__}: {detail}. "
            "The file is damaged, truncated or of another format; format= forces another reader."
        )
        raise FormatError(message) from error
