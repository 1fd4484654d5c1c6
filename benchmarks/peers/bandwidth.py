# SPDX-License-Identifier: Apache-2.0
"""A plain sum over the rows: the memory bandwidth that one exact query cannot beat.

The fastest of several ways to read every byte once is the reference, so that a slow sum does
not flatter the searches that are held against it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.base import Answer, Facts, Floats, SearchPeer, load


class Peer(SearchPeer):
    """Each "query" is one pass over all rows; it answers nothing."""

    def __init__(self, *, threads: int, metric: str) -> None:
        del metric
        self.threads = threads

    def build(self, base: Floats) -> None:
        self.base = np.array(base, np.float32, order="C")
        ways = self._ways()
        seconds = {name: min(_timed(way) for _ in range(3)) for name, way in ways.items()}
        self.kernel = min(seconds, key=lambda name: seconds[name])
        self.gbps = {name: round(self.base.nbytes / s / 1e9, 2) for name, s in seconds.items()}
        self.read = ways[self.kernel]

    def _ways(self) -> dict[str, Callable[[], object]]:
        flat = self.base.reshape(-1)
        ones = np.ones(self.base.shape[1], np.float32)
        words = flat.view(np.uint32)
        ways: dict[str, Callable[[], object]] = {
            "numpy sum of float32": flat.sum,
            "numpy or of uint32": lambda: np.bitwise_or.reduce(words),
            "BLAS product with ones": lambda: self.base @ ones,
        }
        try:
            torch: Any = load("torch")
        except ImportError:
            return ways
        torch.set_num_threads(self.threads)
        tensor = torch.from_numpy(flat)
        ways["torch sum of float32"] = tensor.sum
        return ways

    def search(self, queries: Floats, k: int) -> Answer:
        del k
        for _ in range(len(queries)):
            self.read()
        return Answer()

    def facts(self) -> Facts:
        detail = {"kernel": self.kernel, "gb_per_s": self.gbps}
        return Facts(["numpy"], None, self.base.nbytes, detail)


def _timed(way: Callable[[], object]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start
