# SPDX-License-Identifier: Apache-2.0
"""usearch's graph. ``i8`` holds values of [-1, 1], so ask for it on unit rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.peers.base import AnnPeer, Facts, Floats, Ids, Setting, efforts, load


class Peer(AnnPeer):
    def __init__(
        self,
        *,
        threads: int,
        metric: str,
        dtype: str = "bf16",
        connectivity: int = 16,
        expansion_add: int = 200,
    ) -> None:
        self.module = load("usearch.index")
        self.metric = "l2sq" if metric == "l2" else "ip"
        self.threads, self.dtype = threads, dtype
        self.connectivity, self.expansion_add = connectivity, expansion_add

    def build(self, base: Floats) -> None:
        self.index = self.module.Index(
            ndim=base.shape[1],
            metric=self.metric,
            dtype=self.dtype,
            connectivity=self.connectivity,
            expansion_add=self.expansion_add,
        )
        self.index.add(np.arange(len(base)), base, threads=self.threads)

    def ladders(self, k: int) -> Sequence[Sequence[Setting]]:
        return [[{"expansion_search": width} for width in efforts(k)]]

    def apply(self, setting: Setting) -> None:
        self.index.expansion_search = setting["expansion_search"]

    def search(self, queries: Floats, k: int) -> Ids:
        keys = self.index.search(queries, k, threads=self.threads).keys
        return np.asarray(keys, np.int64).reshape(len(queries), -1)

    def save(self, folder: Path) -> None:
        self.index.save(str(folder / "index"))

    def facts(self) -> Facts:
        return Facts(["usearch"], str(self.index.hardware_acceleration))
