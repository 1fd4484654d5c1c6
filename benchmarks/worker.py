# SPDX-License-Identifier: Apache-2.0
"""One method in a process of its own: told "build", "run", "save" over a pipe, one line each.

A process a method gives three things at once: an environment of its own (VECTORLOOM_SIMD, thread
counts), its own peak memory, and turns: the runner wakes one worker at a time, so that a drifting
machine hits all alike.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import make_peer
from benchmarks.peers.base import Answer, Facts, UnfitError
from benchmarks.suite import CODE_TASKS

MIB = 2**20
DECODED_ROWS = 20_000  # so many of the first rows are decoded, to see what the codes keep


class Worker:
    """State of the method under test and what it may be told to do."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.task: str = config["task"]
        self.limits = force_threads(config["threads"], config["cpus"])
        self.peer = make_peer(
            config["adapter"],
            threads=config["threads"],
            metric=config["metric"],
            **config["params"],
        )
        self.answer = Answer()
        self.memory_before = 0

    def build(self) -> dict[str, Any]:
        """Load the data and, for a search, build the index; memory counts from after the load."""
        if self.task == "gauge":
            return {}
        if self.task in CODE_TASKS:
            return self._build_codes()
        # A graph's input is a plain array in memory; a search maps the file, so that only what
        # the method itself holds is counted as its own.
        mode: Any = "r" if self.task == "search" else None
        self.base = np.load(self.config["base"], mmap_mode=mode)
        self.queries = np.load(self.config["queries"])
        self.base.reshape(-1).view(np.uint8)[::4096].sum()  # every page is in memory now
        reset_peak()
        self.memory_before = memory("VmRSS")
        held_before = memory("RssAnon")
        start = time.perf_counter()
        if self.task == "search":
            self.peer.build(self.base)
        seconds = time.perf_counter() - start
        held = memory("RssAnon") - held_before
        return {"build_s": seconds, "held_mib": held / MIB}

    def _build_codes(self) -> dict[str, Any]:
        """Everything before the timed call: fit for "encode", fit and encode for "code-recall"."""
        self.base = np.load(self.config["base"])
        self.queries = np.load(self.config["queries"])
        wanted = self.config["train"] or len(self.base)
        rng = np.random.default_rng(0)
        order = rng.permutation(len(self.base))[: min(wanted, len(self.base))]
        self.train = np.ascontiguousarray(self.base[np.sort(order)])
        self.is_encoded = False
        reset_peak()
        self.memory_before = memory("VmRSS")
        built = {"held_mib": 0.0, "build_s": 0.0}
        if self.task == "fit":
            return built
        start = time.perf_counter()
        self.peer.fit(self.train, self.config["bits"])
        built["fit_s"] = time.perf_counter() - start
        if self.task == "code-recall":
            start = time.perf_counter()
            self._encode()
            built["encode_s"] = time.perf_counter() - start
        return {**built, "build_s": built["fit_s"] + built.get("encode_s", 0.0)}

    def _encode(self) -> None:
        self.peer.encode(self.base)
        self.is_encoded = True

    def _run_codes(self) -> None:
        if self.task == "fit":
            self.peer.fit(self.train, self.config["bits"])
            self.is_encoded = False
        elif self.task == "encode":
            self._encode()
        else:
            self.answer = self.peer.search(self.queries, self.config["k"])

    def run(self) -> dict[str, Any]:
        """Do the job once."""
        cpu = cpu_seconds()
        start = time.perf_counter()
        extra: dict[str, Any] = {}
        if self.task == "gauge":
            extra["seconds"] = self.peer.measure()
        elif self.task in CODE_TASKS:
            self._run_codes()
        elif self.task == "knn-graph":
            self.answer = self.peer.graph(self.base, self.config["k"])
        elif self.config["calls"] == "batch":
            self.answer = self.peer.search(self.queries, self.config["k"])
        else:
            extra = self._one_by_one()
        wall = time.perf_counter() - start
        took = {
            "seconds": wall * self.answer.scale,
            "wall_s": wall,
            "cpu_s": cpu_seconds() - cpu,
        }
        return {**took, "scale": self.answer.scale, **extra}

    def _one_by_one(self) -> dict[str, Any]:
        search, k = self.peer.search, self.config["k"]
        queries = [self.queries[i : i + 1] for i in range(len(self.queries))]
        answers, times = [], []
        for query in queries:
            start = time.perf_counter()
            answers.append(search(query, k))
            times.append(time.perf_counter() - start)
        if answers[0].ids is not None:
            ids = np.concatenate([np.asarray(a.ids) for a in answers])
            self.answer = Answer(ids, np.concatenate([np.asarray(a.scores) for a in answers]))
        # Gathering the answers is ours, not the method's, so the calls' own time counts.
        p50, p99 = np.percentile(times, [50, 99]) * 1e3
        return {"seconds": float(sum(times)), "p50_ms": float(p50), "p99_ms": float(p99)}

    def save(self, path: str) -> dict[str, Any]:
        """Write the last answer for the runner to judge; a bandwidth reference has none."""
        if self.task in ("encode", "fit"):
            if not self.is_encoded:
                self._encode()
            np.savez(path, decoded=self.peer.decode(min(DECODED_ROWS, len(self.base))))
            return {"answers": True}
        if self.answer.ids is None:
            return {"answers": False}
        kept = {name: getattr(self.answer, name) for name in ("ids", "scores", "rows")}
        np.savez(path, **{name: value for name, value in kept.items() if value is not None})
        return {"answers": True}

    def facts(self) -> dict[str, Any]:
        """Peak memory, versions, CPU level, threads of every library that is loaded."""
        facts: Facts = self.peer.facts()
        return {
            "peak_mib": max(0, memory("VmHWM") - self.memory_before) / MIB,
            "level": facts.level,
            "row_bytes": facts.row_bytes,
            "detail": facts.detail,
            "versions": {name: version_of(name) for name in facts.packages},
            "thread_pools": thread_pools(),
        }


def make_worker(config: dict[str, Any]) -> Any:
    """The worker of the suite's task."""
    if config["task"] == "ann":
        from benchmarks.ann.worker import AnnWorker

        return AnnWorker(config)
    return Worker(config)


def force_threads(threads: int, cpus: list[int]) -> Any:
    """Pin to as many CPUs as threads are allowed, and limit BLAS and OpenMP pools to that."""
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)
    try:
        import threadpoolctl  # optional: the environment limits threads as well
    except ImportError:
        return None
    return threadpoolctl.threadpool_limits(threads)


def version_of(package: str) -> str:
    """The installed version; sources that are only on the path have none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def thread_pools() -> list[str]:
    """Each native pool that is loaded, with its version and thread count."""
    try:
        import threadpoolctl
    except ImportError:
        return []
    pools = threadpoolctl.threadpool_info()
    return sorted(
        f"{p['internal_api']} {p.get('version') or ''} {p.get('architecture', '')}".strip()
        + f": {p['num_threads']} threads"
        for p in pools
    )


def cpu_seconds() -> float:
    """CPU seconds of this process and of the children it waited for."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def memory(field: str) -> int:
    """Bytes of one line of /proc/self/status; 0 where there is none."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def reset_peak() -> None:
    """Start the peak anew; where the system refuses, the peak of loading counts as well."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def main() -> int:
    # Libraries may print; the pipe is kept for answers and their words go to stderr.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(**fields: Any) -> None:
        print(json.dumps(fields), file=out, flush=True)

    worker: Any = None
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if worker is None:
                worker = make_worker(order)
                reply(ok=True)
            else:
                result = getattr(worker, order.pop("do"))(**order)
                reply(ok=True, **result)
        except UnfitError as error:
            reply(ok=False, unfit=True, error=str(error))
        except ImportError as error:
            reply(ok=False, missing=error.name or str(error), error=str(error))
        except Exception as error:
            traceback.print_exc()
            reply(ok=False, error=f"{type(error).__name__}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
