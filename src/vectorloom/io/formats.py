# SPDX-License-Identifier: Apache-2.0
"""The table of formats: name, suffixes, the module that knows it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from vectorloom.errors import ParameterError

if TYPE_CHECKING:
    from pathlib import Path

    from vectorloom.io.options import Content, ReadOptions
    from vectorloom.io.vectors_file import Vectors


class FormatModule(Protocol):
    """What the module of a format offers."""

    def read(self, path: Path, options: ReadOptions, kind: str) -> Vectors:
        """Read the file."""

    def write(self, path: Path, content: Content, kind: str) -> None:
        """Write the file."""

    def describe(self, path: Path, kind: str) -> dict[str, Any]:
        """Describe the file without loading its vectors."""


@dataclass(frozen=True)
class Format:
    """A format: its module, its suffixes, whether it may stand in gzip, bzip2, xz or zstd."""

    name: str
    module: str
    suffixes: tuple[str, ...]
    wrapped: bool = False
    # The type written when none is asked for: None keeps that of the values.
    dtype: str | None = None

    def load(self) -> FormatModule:
        """Import the module, with what it needs, on first use."""
        return cast("FormatModule", importlib.import_module(f"vectorloom.io.{self.module}"))


FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format("npy", "npy", (".npy",)),
        Format("npz", "npy", (".npz",)),
        Format("parquet", "arrow", (".parquet", ".pq")),
        Format("arrow", "arrow", (".arrow", ".feather", ".ipc")),
        Format("arrow-stream", "arrow", (".arrows",)),
        Format("hdf5", "hdf5", (".hdf5", ".h5")),
        Format("safetensors", "safetensors", (".safetensors",)),
        Format("fvecs", "vecs", (".fvecs",), dtype="float32"),
        Format("bvecs", "vecs", (".bvecs",), dtype="uint8"),
        Format("ivecs", "vecs", (".ivecs",), dtype="int32"),
        Format("fbin", "bins", (".fbin",), dtype="float32"),
        Format("f16bin", "bins", (".f16bin",), dtype="float16"),
        Format("u8bin", "bins", (".u8bin",), dtype="uint8"),
        Format("i8bin", "bins", (".i8bin",), dtype="int8"),
        Format("ibin", "bins", (".ibin",), dtype="int32"),
        Format("word2vec", "word2vec", (".vec", ".w2v"), wrapped=True),
        Format("word2vec-binary", "word2vec", (".bin",), wrapped=True, dtype="float32"),
        Format("glove", "word2vec", (".glove",), wrapped=True),
        Format("csv", "delimited", (".csv",), wrapped=True),
        Format("tsv", "delimited", (".tsv",), wrapped=True),
        Format("jsonl", "jsonlines", (".jsonl", ".ndjson"), wrapped=True),
    )
}
_BY_SUFFIX = {suffix: entry.name for entry in FORMATS.values() for suffix in entry.suffixes}


def by_suffix(suffix: str) -> str | None:
    """Name the format that a suffix stands for."""
    return _BY_SUFFIX.get(suffix)


def require_format(name: str) -> Format:
    """Look a format up, or list those that there are."""
    if name not in FORMATS:
        message = f"format must be one of {', '.join(FORMATS)}; got {name!r}."
        raise ParameterError(message)
    return FORMATS[name]
