# SPDX-License-Identifier: Apache-2.0
"""One approximate index in a process of its own: built once, searched at many settings."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import load
from benchmarks.peers import make_peer
from benchmarks.peers.base import Facts, Floats, Ids
from benchmarks.worker import (
    MIB,
    cpu_seconds,
    force_threads,
    memory,
    reset_peak,
    thread_pools,
    version_of,
)

WARMING = 20  # queries asked before the clock starts, after a change of setting


class AnnWorker:
    """What it may be told: build, ladders, measure, facts."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.limits = force_threads(config["threads"], config["cpus"])
        self.peer = make_peer(
            config["adapter"],
            threads=config["threads"],
            metric=config["metric"],
            **config["params"],
        )
        self.memory_before = 0

    def build(self) -> dict[str, Any]:
        """From the mapped file to an index that answers; then its size on disk."""
        self.base = load(self.config["base"])
        self.queries = load(self.config["queries"])
        if isinstance(self.base, np.ndarray):
            self.base.reshape(-1).view(np.uint8)[::4096].sum()  # every page is in memory now
            self.queries = np.array(self.queries)
        with tempfile.TemporaryDirectory(prefix="vectorloom-ann-") as folder:
            self.peer.prepare(self.base, Path(folder))
            reset_peak()
            self.memory_before = memory("VmRSS")
            held_before = memory("RssAnon")
            cpu, start = cpu_seconds(), time.perf_counter()
            self.peer.build(self.base)
            built = {
                "build_s": time.perf_counter() - start,
                "build_cpu_s": cpu_seconds() - cpu,
                "held_mib": (memory("RssAnon") - held_before) / MIB,
                "peak_mib": max(0, memory("VmHWM") - self.memory_before) / MIB,
            }
        return {**built, "disk_bytes": self._disk_bytes()}

    def _disk_bytes(self) -> int:
        with tempfile.TemporaryDirectory(prefix="vectorloom-ann-") as folder:
            self.peer.save(Path(folder))
            return sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file())

    def ladders(self, k: int) -> dict[str, Any]:
        """The settings to try."""
        ladders = [list(ladder) for ladder in self.peer.ladders(k)]
        return {"ladders": ladders, "has_defaults": self.peer.has_defaults}

    def measure(
        self, setting: dict[str, Any], k: int, calls: str, half: int, at_least_s: float, path: str
    ) -> dict[str, Any]:
        """Search at a setting, as often as fills the time; writes the ids of one pass.

        ``half`` 0 calibrates, 1 reports. One a call, only that half is asked; a batch is always all
        queries in one call.
        """
        used = cpu_seconds()
        self.peer.apply(setting)
        is_batch = calls == "batch"
        asked = self.queries if is_batch else self.queries[half::2]
        if isinstance(asked, np.ndarray):
            asked = np.ascontiguousarray(asked)
        self.peer.search(self.queries[:WARMING], k)
        passes, seconds, cpu = 0, 0.0, cpu_seconds()
        ids = np.empty((0, k), np.int64)
        while passes == 0 or seconds < at_least_s:
            ids, took = self._batch(asked, k) if is_batch else self._one_by_one(asked, k)
            passes, seconds = passes + 1, seconds + took
        np.save(path, np.asarray(ids, np.int64)[half::2] if is_batch else ids)
        return {
            "seconds": seconds / passes / asked.shape[0],  # a query
            "cpu_s": (cpu_seconds() - cpu) / passes / asked.shape[0],
            "wall_s": seconds,
            "passes": passes,
            "used_s": cpu_seconds() - used,
        }

    def _batch(self, asked: Floats, k: int) -> tuple[Ids, float]:
        start = time.perf_counter()
        ids = self.peer.search(asked, k)
        return ids, time.perf_counter() - start

    def _one_by_one(self, asked: Floats, k: int) -> tuple[Ids, float]:
        search = self.peer.search
        queries = [asked[i : i + 1] for i in range(asked.shape[0])]
        found = []
        start = time.perf_counter()
        for query in queries:
            found.append(search(query, k))
        took = time.perf_counter() - start
        return np.concatenate([np.asarray(ids, np.int64) for ids in found]), took

    def facts(self) -> dict[str, Any]:
        """Versions, CPU level, threads of every library that is loaded."""
        facts: Facts = self.peer.facts()
        return {
            "level": facts.level,
            "detail": facts.detail,
            "versions": {name: version_of(name) for name in facts.packages},
            "thread_pools": thread_pools(),
        }
