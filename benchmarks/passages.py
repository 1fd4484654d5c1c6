# SPDX-License-Identifier: Apache-2.0
"""Passages of 80 words of English Wikipedia, and sentences of some of them as queries."""

from __future__ import annotations

import lzma
import os
import re
from pathlib import Path

import numpy as np

from vectorloom.errors import ParameterError

_WORDS = 80
_FILES = ("enwiki-core.part1.txt.xz", "enwiki-core.part2.txt.xz")


def passages(rows: int) -> list[str]:
    """Return the first `rows` passages; the last of an article may be half as long."""
    folder = Path(os.environ.get("VECTORLOOM_DATA", "../shared/data")) / "text/corpora"
    found: list[str] = []
    for name in _FILES:
        if not (folder / name).is_file():
            raise ParameterError(
                f"no {folder / name}; point VECTORLOOM_DATA at the folder of data."
            )
        with lzma.open(folder / name, "rt", encoding="utf8") as file:
            for line in file:
                words = line.split()
                starts = range(0, len(words) - _WORDS // 2 + 1, _WORDS)
                found += [" ".join(words[start : start + _WORDS]) for start in starts]
                if len(found) >= rows:
                    return found[:rows]
    raise ParameterError(f"{len(found)} passages are there; {rows} were asked for.")


def sentences(texts: list[str], count: int, seed: int = 0) -> list[str]:
    """Return the second sentence (the first 15 words, where that is short) of `count` texts."""
    chosen = np.random.default_rng(seed).choice(len(texts), count, replace=False)
    found = []
    for text in (texts[i] for i in chosen.tolist()):
        second = [*re.split(r"(?<=[.!?]) ", text), ""][1]
        found.append(second if len(second.split()) > 4 else " ".join(text.split()[:15]))
    return found
