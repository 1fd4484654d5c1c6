# SPDX-License-Identifier: Apache-2.0
"""usearch's brute-force `search(…, exact=True)` over a matrix."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.base import Answer, Facts, Floats, SearchPeer, load


class Peer(SearchPeer):
    """The library's own exact kernel; its distance for ip is 1 - score."""

    def __init__(self, *, threads: int, metric: str) -> None:
        self.module = load("usearch.index")
        self.threads = threads
        self.metric = {"cosine": "ip", "ip": "ip", "l2": "l2sq"}[metric]

    def build(self, base: Floats) -> None:
        self.base = np.array(base, np.float32, order="C")

    def search(self, queries: Floats, k: int) -> Answer:
        found = self.module.search(
            self.base,
            np.ascontiguousarray(queries),
            k,
            self.metric,
            exact=True,
            threads=self.threads,
        )
        keys = np.asarray(found.keys).astype(np.int64).reshape(len(queries), -1)
        distances = np.asarray(found.distances).reshape(len(queries), -1)
        return Answer(keys, 1.0 - distances if self.metric == "ip" else -distances)

    def facts(self) -> Facts:
        return Facts(["usearch"], None, self.base.nbytes)
