# SPDX-License-Identifier: Apache-2.0
"""vectorloom's proximity graph: `vl.index.Graph`, by ``ef`` and by ``recall``."""

from __future__ import annotations

from typing import Any, ClassVar

from benchmarks.peers.base import Setting, UnfitError, efforts, load
from benchmarks.peers.vectorloom_ivf import Peer as IVFPeer


class Peer(IVFPeer):
    """Further parameters (``degree``, …) are those of the index."""

    name: ClassVar[str] = "Graph"

    def __init__(self, *, threads: int, metric: str, **params: Any) -> None:
        if not hasattr(load("vectorloom").index, self.name):
            raise UnfitError("this build has no vl.index.Graph")
        super().__init__(threads=threads, metric=metric, **params)

    def efforts(self, k: int) -> list[Setting]:
        return [{"ef": width} for width in efforts(k)]
