# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's `NearestNeighbors(algorithm="brute")`.

Unit rows have the same order under squared Euclidean distance and cosine, and only the former
takes scikit-learn's fast reduction; asking it for cosine would be unfair to it.
"""

from __future__ import annotations

import numpy as np

from benchmarks.peers.base import Answer, Facts, Floats, SearchPeer, load


class Peer(SearchPeer):
    """Threads are forced by the worker (OpenMP and BLAS limits)."""

    def __init__(self, *, threads: int, metric: str) -> None:
        del threads
        self.metric = metric
        neighbors = load("sklearn.neighbors")
        self.model = neighbors.NearestNeighbors(algorithm="brute", metric="sqeuclidean")

    def build(self, base: Floats) -> None:
        self.row_bytes = base.nbytes
        self.model.fit(np.array(base, np.float32, order="C"))

    def search(self, queries: Floats, k: int) -> Answer:
        distances, ids = self.model.kneighbors(queries, k)
        return Answer(ids, -distances if self.metric == "l2" else 1.0 - distances / 2)

    def facts(self) -> Facts:
        return Facts(["scikit-learn"], None, self.row_bytes)
