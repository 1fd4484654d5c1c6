# SPDX-License-Identifier: Apache-2.0
"""Seismic (pyseismic-lsr), by its raw index: integer terms, no strings on the way."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.base import AnnPeer, Facts, Ids, Setting, load_extra

CUTS = (1, 2, 3, 4, 5, 6, 8, 10, 14)
FACTORS = (0.7, 0.8, 0.9, 1.0)


class Peer(AnnPeer):
    """Further parameters are those of ``SeismicIndexRaw.build``."""

    def __init__(self, *, threads: int, metric: str, **params: Any) -> None:
        os.environ["RAYON_NUM_THREADS"] = str(threads)
        self.library = load_extra("seismic", "pyseismic-lsr")
        self.params = params
        self.setting: Setting = {}

    def prepare(self, base: Any, folder: Path) -> None:
        self.path = folder / "documents.bin"
        with self.path.open("wb") as file:
            file.write(struct.pack("<I", base.shape[0]))
            for first, last in zip(base.indptr, base.indptr[1:], strict=False):
                file.write(struct.pack("<I", last - first))
                file.write(base.indices[first:last].astype("<u4").tobytes())
                file.write(base.data[first:last].astype("<f4").tobytes())

    def build(self, base: Any) -> None:
        self.index = self.library.SeismicIndexRaw.build(str(self.path), **self.params)

    def ladders(self, k: int) -> Sequence[Sequence[Setting]]:
        return [[{"cut": cut, "factor": factor} for cut in CUTS] for factor in FACTORS]

    def apply(self, setting: Setting) -> None:
        self.setting = setting

    def search(self, queries: Any, k: int) -> Ids:
        cut, factor = self.setting["cut"], self.setting["factor"]
        found = np.full((queries.shape[0], k), -1, np.int64)
        for i, (first, last) in enumerate(zip(queries.indptr, queries.indptr[1:], strict=False)):
            hits = self.index.search(
                queries.indices[first:last], queries.data[first:last], k, cut, factor, 0, True
            )
            found[i, : len(hits)] = [row for _, row in hits]
        return found

    def save(self, folder: Path) -> None:
        self.index.save(str(folder / "index"))

    def facts(self) -> Facts:
        return Facts(["pyseismic-lsr"], None, None, dict(self.params))
