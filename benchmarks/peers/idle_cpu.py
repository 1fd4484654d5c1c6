# SPDX-License-Identifier: Apache-2.0
"""Load of a process that has searched and now waits: a pool whose threads spin shows up here."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.peers import make_peer
from benchmarks.peers.base import Facts, GaugePeer


class Peer(GaugePeer):
    """``adapter`` names a search peer; the clock runs for ``wait_s`` seconds after a search."""

    unit = "% of a core"

    def __init__(self, *, threads: int, metric: str, adapter: str, wait_s: float = 1.0) -> None:
        self.wait_s = wait_s
        rows = np.random.default_rng(0).standard_normal((20_000, 64)).astype(np.float32)
        self.rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        self.peer = make_peer(adapter, threads=threads, metric=metric)
        self.peer.build(self.rows)

    def measure(self) -> float:
        self.peer.search(self.rows[:256], 10)
        start = time.process_time()
        time.sleep(self.wait_s)
        return 100.0 * (time.process_time() - start) / self.wait_s

    def facts(self) -> Facts:
        facts: Facts = self.peer.facts()
        return facts
