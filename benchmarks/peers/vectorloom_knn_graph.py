# SPDX-License-Identifier: Apache-2.0
"""vectorloom's exact nearest-neighbour graph: `vl.knn_graph`."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.base import Answer, Facts, Floats, GraphPeer, load


class Peer(GraphPeer):
    """The CSR result is part of the memory that is counted."""

    def __init__(self, *, threads: int, metric: str, memory_limit: str = "1GiB") -> None:
        self._core = load("vectorloom._core")
        self.knn_graph = load("vectorloom").knn_graph
        self.threads = threads
        self.metric = metric
        self.memory_limit = memory_limit

    def graph(self, base: Floats, k: int) -> Answer:
        result = self.knn_graph(
            base, k, metric=self.metric, n_jobs=self.threads, memory_limit=self.memory_limit
        )
        return Answer(np.asarray(result.indices, np.int64).reshape(len(base), k))

    def facts(self) -> Facts:
        return Facts(["vectorloom"], str(self._core.simd_level()))
