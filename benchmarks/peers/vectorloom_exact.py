# SPDX-License-Identifier: Apache-2.0
"""vectorloom's exact index: `vl.index.Exact`."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.base import Answer, Facts, Floats, SearchPeer, load

BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "int8": 1.0}


class Peer(SearchPeer):
    """Parameters are those of `vl.index.Exact`; ``screen = "none"`` scans the rows themselves."""

    def __init__(
        self, *, threads: int, metric: str, dtype: str = "float32", screen: str = "auto"
    ) -> None:
        self._core = load("vectorloom._core")
        self.dtype = dtype
        index = load("vectorloom").index
        self.index = index.Exact(
            metric=metric,
            dtype=dtype,
            n_jobs=threads,
            screen=None if screen == "none" else screen,
        )

    def build(self, base: Floats) -> None:
        self.index.fit(base)
        self.row_bytes = int(base.size * BYTES[self.dtype])

    def search(self, queries: Floats, k: int) -> Answer:
        hits = self.index.search(queries, k=k)
        return Answer(np.asarray(hits.ids, np.int64), hits.scores)

    def facts(self) -> Facts:
        return Facts(["vectorloom"], str(self._core.simd_level()), self.row_bytes)
