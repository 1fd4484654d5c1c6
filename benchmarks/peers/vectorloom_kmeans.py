# SPDX-License-Identifier: Apache-2.0
"""vectorloom's `vl.select.KMeans`; an encoded row is its nearest centroid."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.base import Answer, CodePeer, Facts, Floats, load


class Peer(CodePeer):
    """``settings`` go to the class as they are."""

    def __init__(self, *, threads: int, metric: str, k: int, **settings: Any) -> None:
        del metric
        self._core = load("vectorloom._core")
        self.make = load("vectorloom.select").KMeans
        self.settings = {"n_clusters": k, "n_jobs": threads, "random_state": 0, **settings}

    def fit(self, train: Floats, bits: float) -> None:
        del bits
        self.kmeans = self.make(**self.settings).fit(train)

    def encode(self, rows: Floats) -> None:
        self.codes = self.kmeans.predict(rows)

    def decode(self, count: int) -> Floats:
        return np.asarray(self.kmeans.cluster_centers_[self.codes[:count]], np.float32)

    def search(self, queries: Floats, k: int) -> Answer:
        raise NotImplementedError("a clustering is not searched here")

    def facts(self) -> Facts:
        return Facts(["vectorloom"], str(self._core.simd_level()), None)
