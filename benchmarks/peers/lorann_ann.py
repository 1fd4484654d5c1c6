# SPDX-License-Identifier: Apache-2.0
"""LoRANN: clusters with reduced-rank regression, 8-bit codes, re-checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.peers.base import AnnPeer, Facts, Floats, Ids, Setting, UnfitError, load_extra

CLUSTERS = (4, 8, 16, 32, 64, 128)
RECHECKED = (50, 100, 200)
STEP = 32  # its reduced dimensions are multiples of that


class Peer(AnnPeer):
    def __init__(self, *, threads: int, metric: str, rank: int = 32, bits: int = 8) -> None:
        self.module = load_extra("lorann", "lorann")
        self.distance = self.module.L2 if metric == "l2" else self.module.IP
        self.threads, self.rank, self.bits = threads, rank, bits

    def build(self, base: Floats) -> None:
        if base.shape[1] < STEP:
            raise UnfitError(f"it needs at least {STEP} dimensions")
        self.index = self.module.LorannIndex(
            data=np.array(base),
            n_clusters=max(64, int(2 ** round(np.log2(len(base) ** 0.5)))),
            global_dim=min(256, base.shape[1] // STEP * STEP),
            quantization_bits=self.bits,
            rank=self.rank,
            distance=self.distance,
        )
        self.index.build(approximate=True, n_threads=self.threads)

    def ladders(self, k: int) -> Sequence[Sequence[Setting]]:
        depths = sorted({max(2 * k, rows) for rows in RECHECKED})
        return [[{"clusters": c, "rechecked": rows} for c in CLUSTERS] for rows in depths]

    def apply(self, setting: Setting) -> None:
        self.depth = (setting["clusters"], setting["rechecked"])

    def search(self, queries: Floats, k: int) -> Ids:
        found = self.index.search(queries, k, *self.depth, n_threads=self.threads)
        return np.asarray(found, np.int64).reshape(len(queries), -1)

    def save(self, folder: Path) -> None:
        self.index.save(str(folder / "index"))

    def facts(self) -> Facts:
        return Facts(["lorann"])
