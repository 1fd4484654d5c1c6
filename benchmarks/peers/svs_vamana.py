# SPDX-License-Identifier: Apache-2.0
"""Intel SVS: a Vamana graph over float32 rows, LVQ or LeanVec codes.

Its LVQ and LeanVec are for Intel CPUs: elsewhere the library ends the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.base import AnnPeer, Facts, Floats, Ids, Setting, UnfitError, efforts, load

LEAST_DIMS = 64  # LeanVec reduces to half the dimensions, not below


class Peer(AnnPeer):
    """``code`` is "float32", "lvq4x8", "lvq8" or "leanvec"."""

    def __init__(
        self,
        *,
        threads: int,
        metric: str,
        code: str,
        degree: int = 64,
        window: int = 128,
        pool: int = 160,
    ) -> None:
        self.svs = load("svs")
        if code != "float32" and not _is_intel():
            raise UnfitError("the library offers LVQ and LeanVec on Intel CPUs alone")
        self.threads, self.code, self.is_l2 = threads, code, metric == "l2"
        self.parameters = self.svs.VamanaBuildParameters(
            graph_max_degree=degree,
            alpha=1.2 if self.is_l2 else 0.95,
            window_size=window,
            max_candidate_pool_size=pool,
        )

    def prepare(self, base: Floats, folder: Path) -> None:
        self.file = str(folder / "rows.fvecs")
        if self.code != "float32":
            self.svs.write_vecs(np.array(base), self.file)

    def build(self, base: Floats) -> None:
        distance = self.svs.DistanceType
        self.index = self.svs.Vamana.build(
            self.parameters,
            self._rows(base),
            distance_type=distance.L2 if self.is_l2 else distance.MIP,
            num_threads=self.threads,
        )

    def _rows(self, base: Floats) -> Any:
        svs, dim = self.svs, base.shape[1]
        if self.code == "float32":
            return np.array(base)
        stored = svs.VectorDataLoader(self.file, svs.DataType.float32, dims=dim)
        if self.code == "leanvec":
            kind = svs.LeanVecKind.lvq8
            dims = min(dim, max(LEAST_DIMS, dim // 2))
            return svs.LeanVecLoader(stored, dims, primary_kind=kind, secondary_kind=kind)
        if self.code == "lvq8":
            return svs.LVQLoader(stored, primary=8, residual=0, padding=32)
        turbo = svs.LVQStrategy.Turbo
        return svs.LVQLoader(stored, primary=4, residual=8, strategy=turbo, padding=32)

    def ladders(self, k: int) -> Sequence[Sequence[Setting]]:
        return [[{"search_window_size": width} for width in efforts(k)]]

    def apply(self, setting: Setting) -> None:
        self.index.search_window_size = setting["search_window_size"]

    def search(self, queries: Floats, k: int) -> Ids:
        return np.asarray(self.index.search(queries, k)[0].astype(np.int64))

    def save(self, folder: Path) -> None:
        parts = [folder / name for name in ("config", "graph", "data")]
        for part in parts:
            part.mkdir()
        self.index.save(*map(str, parts))

    def facts(self) -> Facts:
        return Facts(["scalable-vs"], None, None, {"code": self.code})


def _is_intel() -> bool:
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
