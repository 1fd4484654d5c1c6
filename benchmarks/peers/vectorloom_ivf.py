# SPDX-License-Identifier: Apache-2.0
"""vectorloom's inverted lists: `vl.index.IVF`, by ``nprobe`` and by ``recall``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks.peers.base import AnnPeer, Facts, Floats, Ids, Setting, load

RECALLS = (0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995)
PROBES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


class Peer(AnnPeer):
    """Further parameters are those of the index; an empty setting is a plain ``search(q, k)``."""

    has_defaults: ClassVar[bool] = True
    name: ClassVar[str] = "IVF"

    def __init__(self, *, threads: int, metric: str, **params: Any) -> None:
        self._core = load("vectorloom._core")
        kind = getattr(load("vectorloom").index, self.name)
        self.index = kind(metric=metric, n_jobs=threads, **params)
        self.setting: Setting = {}

    def build(self, base: Floats) -> None:
        self.index.fit(base)

    def ladders(self, k: int) -> Sequence[Sequence[Setting]]:
        return [self.efforts(k), [{"recall": share} for share in RECALLS]]

    def efforts(self, k: int) -> list[Setting]:
        return [{"nprobe": probes} for probes in PROBES]

    def apply(self, setting: Setting) -> None:
        self.setting = setting

    def search(self, queries: Floats, k: int) -> Ids:
        return np.asarray(self.index.search(queries, k, **self.setting).ids)

    def save(self, folder: Path) -> None:
        self.index.save(folder / "index")

    def facts(self) -> Facts:
        return Facts(["vectorloom"], str(self._core.simd_level()), None, self.detail())

    def detail(self) -> dict[str, Any]:
        return {"nbytes": int(getattr(self.index, "nbytes_", 0))}
