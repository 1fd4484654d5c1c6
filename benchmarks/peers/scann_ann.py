# SPDX-License-Identifier: Apache-2.0
"""ScaNN: a tree of lists, 4-bit codes by anisotropic training, re-checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.peers.base import AnnPeer, Facts, Floats, Ids, Setting, load_extra

LEAVES = (5, 10, 20, 40, 80, 160, 320)
RECHECKED = (40, 100)
TRAINED_ON = 100_000


class Peer(AnnPeer):
    def __init__(self, *, threads: int, metric: str, threshold: float = 0.2) -> None:
        self.module = load_extra("scann.scann_ops.py.scann_ops_pybind", "scann")
        self.distance = "squared_l2" if metric == "l2" else "dot_product"
        self.threads, self.threshold = threads, threshold

    def build(self, base: Floats) -> None:
        coarse = self.module.builder(np.array(base), 10, self.distance).tree(
            num_leaves=max(1, int(2 * len(base) ** 0.5)),
            num_leaves_to_search=20,
            training_sample_size=min(len(base), TRAINED_ON),
        )
        coded = coarse.score_ah(2, anisotropic_quantization_threshold=self.threshold)
        self.index = coded.reorder(RECHECKED[-1]).build()

    def ladders(self, k: int) -> Sequence[Sequence[Setting]]:
        depths = sorted({max(2 * k, rows) for rows in RECHECKED})
        return [[{"leaves": leaves, "rechecked": rows} for leaves in LEAVES] for rows in depths]

    def apply(self, setting: Setting) -> None:
        self.setting = setting

    def search(self, queries: Floats, k: int) -> Ids:
        ids, _ = self.index.search_batched(
            queries,
            final_num_neighbors=k,
            leaves_to_search=self.setting["leaves"],
            pre_reorder_num_neighbors=self.setting["rechecked"],
        )
        return np.asarray(ids, np.int64)

    def save(self, folder: Path) -> None:
        self.index.serialize(str(folder))

    def facts(self) -> Facts:
        return Facts(["scann"])
