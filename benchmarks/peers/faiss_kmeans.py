# SPDX-License-Identifier: Apache-2.0
"""faiss `Kmeans`: Lloyd iterations from random rows; an encoded row is its nearest centroid."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.base import Answer, CodePeer, Facts, Floats, load


class Peer(CodePeer):
    """All rows are used: its cap of 256 rows a centroid is lifted."""

    def __init__(self, *, threads: int, metric: str, k: int, n_iter: int = 25) -> None:
        del metric
        self.faiss = load("faiss")
        self.faiss.omp_set_num_threads(threads)
        self.k, self.n_iter = k, n_iter

    def fit(self, train: Floats, bits: float) -> None:
        del bits
        self.kmeans = self.faiss.Kmeans(
            train.shape[1],
            self.k,
            niter=self.n_iter,
            seed=0,
            max_points_per_centroid=len(train),
        )
        self.kmeans.train(train)

    def encode(self, rows: Floats) -> None:
        self.codes = self.kmeans.index.search(rows, 1)[1][:, 0]

    def decode(self, count: int) -> Floats:
        return np.asarray(self.kmeans.centroids[self.codes[:count]], np.float32)

    def search(self, queries: Floats, k: int) -> Answer:
        raise NotImplementedError("a clustering is not searched here")

    def facts(self) -> Facts:
        return Facts(["faiss-cpu"], None, None)
