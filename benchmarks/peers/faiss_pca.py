# SPDX-License-Identifier: Apache-2.0
"""faiss `PCAMatrix`: the covariance and its eigenvectors, then one matrix product."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.base import Answer, CodePeer, Facts, Floats, load


class Peer(CodePeer):
    """``components`` is a share of the dimension; its cap on training rows is lifted."""

    def __init__(self, *, threads: int, metric: str, components: float = 0.5) -> None:
        del metric
        self.faiss = load("faiss")
        self.faiss.omp_set_num_threads(threads)
        self.share = components

    def fit(self, train: Floats, bits: float) -> None:
        del bits
        dim = train.shape[1]
        self.pca = self.faiss.PCAMatrix(dim, round(self.share * dim))
        self.pca.max_points_per_d = max(1000, len(train) // dim + 1)
        self.pca.train(train)

    def encode(self, rows: Floats) -> None:
        self.codes = self.pca.apply(rows)

    def decode(self, count: int) -> Floats:
        return np.asarray(self.pca.reverse_transform(self.codes[:count]), np.float32)

    def search(self, queries: Floats, k: int) -> Answer:
        raise NotImplementedError("a reducer is not searched here")

    def facts(self) -> Facts:
        return Facts(["faiss-cpu"], None, 4 * int(self.pca.d_out))
