# SPDX-License-Identifier: Apache-2.0
"""faiss brute force for a neighbour graph: search for a sample of the rows, time scaled up.

All rows would take many minutes on one thread; brute force costs the same for each row, so the
time of a sample times n / sample is that of the job. The result is labelled as extrapolated.
"""

from __future__ import annotations

import numpy as np

from benchmarks.peers.base import Answer, Facts, Floats, GraphPeer, Ids, load


class Peer(GraphPeer):
    """`knn` searches the matrix itself, so no copy of the input is charged to faiss."""

    def __init__(self, *, threads: int, metric: str, sample: int = 10_000) -> None:
        self.faiss = load("faiss")
        self.faiss.omp_set_num_threads(threads)
        self.kind = self.faiss.METRIC_L2 if metric == "l2" else self.faiss.METRIC_INNER_PRODUCT
        self.sample = sample

    def graph(self, base: Floats, k: int) -> Answer:
        rows = np.arange(len(base))
        if 0 < self.sample < len(base):
            rows = np.sort(np.random.default_rng(0).choice(rows, self.sample, replace=False))
        _, found = self.faiss.knn(base[rows], base, k + 1, metric=self.kind)
        return Answer(without_self(found, rows, k), rows=rows, scale=len(base) / len(rows))

    def facts(self) -> Facts:
        return Facts(["faiss-cpu"])


def without_self(found: Ids, rows: Ids, k: int) -> Ids:
    """Drop each row's own id, or its last neighbour where a duplicate pushed the row itself out."""
    keep = found != rows[:, None]
    keep[keep.all(axis=1), -1] = False
    kept: Ids = found[keep].reshape(len(rows), k)
    return kept
