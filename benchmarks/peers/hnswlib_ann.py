# SPDX-License-Identifier: Apache-2.0
"""hnswlib. Cosine is asked as inner product, for rows are unit; that saves it a division."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.peers.base import AnnPeer, Facts, Floats, Ids, Setting, efforts, load


class Peer(AnnPeer):
    def __init__(
        self, *, threads: int, metric: str, degree: int = 16, ef_construction: int = 200
    ) -> None:
        self.module = load("hnswlib")
        self.space = "l2" if metric == "l2" else "ip"
        self.threads, self.degree, self.ef_construction = threads, degree, ef_construction

    def build(self, base: Floats) -> None:
        self.index = self.module.Index(self.space, base.shape[1])
        self.index.init_index(len(base), M=self.degree, ef_construction=self.ef_construction)
        self.index.set_num_threads(self.threads)
        self.index.add_items(base)

    def ladders(self, k: int) -> Sequence[Sequence[Setting]]:
        return [[{"ef": width} for width in efforts(k)]]

    def apply(self, setting: Setting) -> None:
        self.index.set_ef(setting["ef"])

    def search(self, queries: Floats, k: int) -> Ids:
        return np.asarray(self.index.knn_query(queries, k)[0].astype(np.int64))

    def save(self, folder: Path) -> None:
        self.index.save_index(str(folder / "index"))

    def facts(self) -> Facts:
        return Facts(["hnswlib"])
