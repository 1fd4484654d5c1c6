# SPDX-License-Identifier: Apache-2.0
"""Counts and times of requests, as Prometheus reads them."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

Gauges = Mapping[str, tuple[str, Mapping[str, float]]]
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Requests by route and status, and a histogram of their seconds by route."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, int], int] = defaultdict(int)
        self._buckets: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS_S) + 1))
        self._sums: dict[str, float] = defaultdict(float)

    def seen(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        place = sum(seconds > bound for bound in BOUNDS_S)
        with self._lock:
            self._counts[route, status] += 1
            self._buckets[route][place] += 1
            self._sums[route] += seconds

    def text(self, gauges: Gauges) -> str:
        """Return the exposition format, version 0.0.4.

        Parameters
        ----------
        gauges : mapping of str to (str, mapping of str to float)
            By name: what it is, and its values by labels (``""`` for none).
        """
        with self._lock:
            lines = list(self._lines())
        for name, (about, values) in gauges.items():
            lines += [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
            lines += [f"{name}{labels} {value:.15g}" for labels, value in values.items()]
        return "\n".join(lines) + "\n"

    def _lines(self) -> Iterator[str]:
        yield "# HELP vectorloom_requests_total Requests answered."
        yield "# TYPE vectorloom_requests_total counter"
        for (route, status), count in sorted(self._counts.items()):
            yield f'vectorloom_requests_total{{route="{route}",status="{status}"}} {count}'
        yield "# HELP vectorloom_request_seconds Seconds from the head of a request to its answer."
        yield "# TYPE vectorloom_request_seconds histogram"
        for route, buckets in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip((*BOUNDS_S, "+Inf"), buckets, strict=True):
                total += count
                yield f'vectorloom_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}'
            yield f'vectorloom_request_seconds_sum{{route="{route}"}} {self._sums[route]:.6f}'
            yield f'vectorloom_request_seconds_count{{route="{route}"}} {total}'


def process_gauges() -> dict[str, tuple[str, dict[str, float]]]:
    """Return time, memory and handles of the process under Prometheus' usual names.

    Memory and handles are left out where there is no ``/proc``.
    """
    found: dict[str, tuple[str, dict[str, float]]] = {
        "process_cpu_seconds": ("Processor time so far.", {"": time.process_time()})
    }
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        handles = len(os.listdir("/proc/self/fd"))
    except (OSError, ValueError):
        return found
    memory = pages * os.sysconf("SC_PAGE_SIZE")
    found["process_resident_memory_bytes"] = ("Mapped files included.", {"": memory})
    found["process_open_fds"] = ("Files and sockets.", {"": handles})
    return found
