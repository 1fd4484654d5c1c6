# SPDX-License-Identifier: Apache-2.0
"""scikit-learn `PCA`; with many rows its "covariance_eigh" solver is the fastest, and exact."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.base import Answer, CodePeer, Facts, Floats, load


class Peer(CodePeer):
    """``components`` is a share of the dimension. BLAS threads are limited by the worker."""

    def __init__(
        self,
        *,
        threads: int,
        metric: str,
        components: float = 0.5,
        solver: str = "covariance_eigh",
    ) -> None:
        del threads, metric
        self.kind = load("sklearn.decomposition").PCA
        self.share, self.solver = components, solver

    def fit(self, train: Floats, bits: float) -> None:
        del bits
        self.pca = self.kind(round(self.share * train.shape[1]), svd_solver=self.solver)
        self.pca.fit(train)

    def encode(self, rows: Floats) -> None:
        self.codes = self.pca.transform(rows)

    def decode(self, count: int) -> Floats:
        return np.asarray(self.pca.inverse_transform(self.codes[:count]), np.float32)

    def search(self, queries: Floats, k: int) -> Answer:
        raise NotImplementedError("a reducer is not searched here")

    def facts(self) -> Facts:
        return Facts(["scikit-learn", "numpy"], None, 4 * int(self.pca.n_components_))
