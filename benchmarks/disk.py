# SPDX-License-Identifier: Apache-2.0
"""More vectors than memory: `python -m benchmarks.disk --rows 10000000`.

Makes 96-dimensional rows (`benchmarks.deep_like`) in a file, builds ``IVF("l2", memory_limit=…)``
from the mapped file in a process of its own, saves it, and searches the saved file in another one
that begins with nothing of it in the page cache. Printed, and written to
benchmarks/results/disk-<rows>.json and .md: seconds and anonymous memory of the build beside
`vl.estimate`, recall@10 of one query a call, pages read a query, and queries a second. One thread.
A row's share of the limit is that of 4 GiB for ten million.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

import vectorloom as vl
from benchmarks.deep_like import DIM, DeepLike

RESULTS = Path(__file__).parent / "results"
_A_ROW = (4 << 30) / 10_000_000
_TRUE = 10  # queries scanned at a time


class Peak:
    """The most anonymous memory of this process while it is entered, beside what it began with."""

    def __enter__(self) -> Peak:
        self._before, self.bytes, self._end = self._now(), 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @staticmethod
    def _now() -> int:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("RssAnon:")[2].split()[0]) * 1024

    def _watch(self) -> None:
        while not self._end.wait(0.02):
            self.bytes = max(self.bytes, self._now() - self._before)


def build(rows: Path, index: Path, limit: int) -> dict[str, Any]:
    """Build and save; the numbers of it."""
    x = np.load(rows, mmap_mode="r")
    vl.index.IVF("l2", n_jobs=1).fit(np.array(x[:5000]))  # what is loaded once
    said = vl.estimate(len(x), DIM, metric="l2", task="ivf", n_jobs=1, memory_limit=limit)
    start, cpu = time.perf_counter(), time.process_time()
    with Peak() as peak:
        made = vl.index.IVF("l2", n_jobs=1, memory_limit=limit).fit(x)
    took = time.perf_counter() - start, time.process_time() - cpu
    assert made._store.on_disk, "the rows fit into memory"
    made.save(index)
    return {
        "rows": len(x),
        "lists": made.n_lists_,
        "limit": limit,
        "peak": peak.bytes,
        "estimated peak": said.peak_bytes,
        "bytes in memory a row": (made.nbytes_ - x.nbytes) / len(x),
        "seconds": took[0],
        "CPU seconds": took[1],
        "estimated seconds": said.seconds,
        "file": index.stat().st_size,
    }


def search(index: Path, queries: int, limit: int) -> dict[str, Any]:
    """Search a file that is not in memory; the numbers of it."""
    handle = os.open(index, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)
    asked = DeepLike().block(-1, queries)
    with Peak() as peak:
        opened = vl.open(index)
        opened.search(asked[:1] + 1.0)  # the first call readies things
    found, before = [], _read()
    start, cpu = time.perf_counter(), time.thread_time()
    for i in range(queries):
        found.append(opened.search(asked[i : i + 1], k=10).ids[0])
    took = time.perf_counter() - start, time.thread_time() - cpu
    read = _read() - before
    truth: list[Any] = []
    for first in range(0, queries, _TRUE):
        truth += list(opened.search(asked[first : first + _TRUE], k=10, exact=True).ids)
    shares = [np.isin(a, b).mean() for a, b in zip(found, truth, strict=True)]
    return {
        "queries": queries,
        "memory": peak.bytes,
        "recall@10": float(np.mean(shares)),
        "standard error": float(np.std(shares) / queries**0.5),
        "pages of 4 KiB read a query": read / 4096 / queries,
        "queries / s": queries / took[0],
        "CPU ms a query": 1000 * took[1] / queries,
    }


def _read() -> int:
    """Bytes that this process made the disk read."""
    return int(
        Path("/proc/self/io").read_text(encoding="ascii").partition("read_bytes:")[2].split()[0]
    )


def _child(part: str, *args: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.disk", "--part", part, *map(str, args)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _page(numbers: dict[str, Any]) -> str:
    lines = [f"# {numbers['rows']:,} x {DIM} from disk", "", "| | |", "| --- | --- |"]
    for name, value in numbers.items():
        if name in ("limit", "peak", "estimated peak", "memory", "file"):
            value = f"{value / (1 << 30):.3f} GiB"
        lines.append(f"| {name} | {value if isinstance(value, str) else f'{value:,.4g}'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the whole, or the part that a process is for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.disk", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("TMPDIR", "/tmp")))
    parser.add_argument("--part", choices=("build", "search"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    rows = given.folder / f"deep-like-{given.rows}.npy"
    index, limit = given.folder / f"deep-like-{given.rows}.vl", int(given.rows * _A_ROW)
    shared = ("--rows", given.rows, "--queries", given.queries, "--folder", given.folder)
    if given.part == "build":
        print(json.dumps(build(rows, index, limit)))
    elif given.part == "search":
        print(json.dumps(search(index, given.queries, limit)))
    else:
        DeepLike().write(rows, given.rows)
        numbers = _child("build", *shared)
        print(_page(numbers), flush=True)
        numbers |= _child("search", *shared)
        print(_page(numbers), flush=True)
        RESULTS.mkdir(exist_ok=True)
        stem = RESULTS / f"disk-{given.rows}"
        stem.with_suffix(".json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
        stem.with_suffix(".md").write_text(_page(numbers), encoding="utf-8")


if __name__ == "__main__":
    main()
