# SPDX-License-Identifier: Apache-2.0
"""vectorloom's lists for sparse rows: `vl.index.Inverted`, by ``skip`` and by ``recall``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks.peers.base import AnnPeer, Facts, Ids, Setting, load

SKIPS = (0.1, 0.08, 0.065, 0.055, 0.045, 0.035, 0.03, 0.025, 0.02, 0.015, 0.01, 0.007, 0.005, 0.002)
RECALLS = (0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)


class Peer(AnnPeer):
    """Further parameters are those of the index; an empty setting is a plain ``search(q, k)``."""

    has_defaults: ClassVar[bool] = True

    def __init__(self, *, threads: int, metric: str, **params: Any) -> None:
        self._core = load("vectorloom._core")
        self.index = load("vectorloom").index.Inverted(metric=metric, n_jobs=threads, **params)
        self.setting: Setting = {}

    def build(self, base: Any) -> None:
        self.index.fit(base)
        self.index.search(base[:1])  # which measures what each recall takes

    def ladders(self, k: int) -> Sequence[Sequence[Setting]]:
        skips = [{"skip": skip} for skip in SKIPS]
        return [skips, [{"recall": share} for share in RECALLS], [{"exact": True}]]

    def apply(self, setting: Setting) -> None:
        self.setting = setting

    def search(self, queries: Any, k: int) -> Ids:
        return np.asarray(self.index.search(queries, k, **self.setting).ids)

    def save(self, folder: Path) -> None:
        self.index.save(folder / "index")

    def facts(self) -> Facts:
        return Facts(["vectorloom"], str(self._core.simd_level()), None, {})
