# SPDX-License-Identifier: Apache-2.0
"""Small vectors and a writer for each format, shared by the tests of io."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from vectorloom.io import write
from vectorloom.io.formats import FORMATS

if TYPE_CHECKING:
    from pathlib import Path

WRAPPERS = ("", ".gz", ".bz2", ".xz", ".zst")
NO_IDS = ("npy", "fvecs", "bvecs", "ivecs", "fbin", "f16bin", "u8bin", "i8bin", "ibin")
NUMBERS_ONLY_IDS = ("safetensors",)


class Sample(NamedTuple):
    """A file of a format, and what reading it must give."""

    path: Path
    format: str
    values: Any
    ids: list[Any] | None


def values_for(format_name: str, n: int = 7, dim: int = 5) -> Any:
    """Numbers that the format holds exactly."""
    rng = np.random.default_rng(7)
    dtype = FORMATS[format_name].dtype or "float32"
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal((n, dim)).astype(dtype)
    return rng.integers(0, 100, (n, dim)).astype(dtype)


def ids_for(format_name: str, n: int = 7) -> list[Any] | None:
    """Ids that the format holds, or None."""
    if format_name in NO_IDS:
        return None
    if format_name in NUMBERS_ONLY_IDS:
        return [10 * i for i in range(n)]
    return [f"wörd{i}" for i in range(n)]


def make_sample(folder: Path, format_name: str, wrapper: str = "") -> Sample:
    """Write a small file of that format."""
    path = folder / f"sample{FORMATS[format_name].suffixes[0]}{wrapper}"
    values, ids = values_for(format_name), ids_for(format_name)
    write(path, values, ids)
    return Sample(path, format_name, values, ids)


@pytest.fixture(params=list(FORMATS))
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Sample:
    """One small file of each format in turn."""
    return make_sample(tmp_path, request.param)
