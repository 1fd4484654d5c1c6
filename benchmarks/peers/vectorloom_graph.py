# SPDX-License-Identifier: Apache-2.0
"""vectorloom's proximity graph: `vl.index.Graph`, by ``ef`` and by ``recall``."""

from __future__ import annotations

from typing import ClassVar

from benchmarks.peers.base import Setting, efforts
from benchmarks.peers.vectorloom_ivf import Peer as IVFPeer


class Peer(IVFPeer):
    """Further parameters (``degree``, …) are those of the index."""

    name: ClassVar[str] = "Graph"

    def efforts(self, k: int) -> list[Setting]:
        return [{"ef": width} for width in efforts(k)]
