# SPDX-License-Identifier: Apache-2.0
"""What a numpy user writes: a block of the product, `argpartition`, keep the best."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.base import Answer, Facts, Floats, Merger, SearchPeer


class Peer(SearchPeer):
    """Inner product only; ``block`` rows of the base at a time keep the scores in cache."""

    def __init__(self, *, threads: int, metric: str, block: int = 8192) -> None:
        del threads, metric  # BLAS threads are forced by the worker
        self.block = block

    def build(self, base: Floats) -> None:
        self.base = np.array(base, np.float32, order="C")

    def search(self, queries: Floats, k: int) -> Answer:
        merger = Merger(len(queries), k)
        for start in range(0, len(self.base), self.block):
            scores = queries @ self.base[start : start + self.block].T
            top = np.argpartition(scores, -min(k, scores.shape[1]), axis=1)[:, -k:]
            merger.add(np.take_along_axis(scores, top, 1), top + start)
        return Answer(*merger.best())

    def facts(self) -> Facts:
        return Facts(["numpy"], None, self.base.nbytes)
