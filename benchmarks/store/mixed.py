# SPDX-License-Identifier: Apache-2.0
"""Writing and searching at once: ``python -m benchmarks.store.mixed --rows 100000 --seconds 20``.

More rows than the data has (``--rows 1000000``) are made out of it: row i is the data's row i
modulo n, turned away by Gaussian noise of a fixed seed (cosine about .95), so that no two are
equal. One thread upserts batches of 100 at a set pace, each call durable; clients ask one query
after the other, a pause between them. Told are the rows that were written a second, and the
milliseconds of a search and of an upsert at the median and the 99th percentile, of a search also
those of the processor, which say what it does even where other jobs make it wait. With ``--reader``
the clients are in another process, which opened the collection read-only.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

import vectorloom as vl

BATCH, K = 100, 10
PIECE = 20_000
NOISE = 0.33  # length of the noise beside a unit vector
#: Of each search the seconds it took, and those of the processor.
Times = list[tuple[float, float]]


def made(base: Any, first: int, n: int) -> Any:
    """Rows first … first + n - 1, of the data and then beside it."""
    rows = np.asarray(base[np.arange(first, first + n) % len(base)], np.float32)
    if first + n > len(base):
        noise = np.random.default_rng(first).standard_normal(rows.shape, np.float32)
        noise *= NOISE / np.sqrt(rows.shape[1])
        noise[: max(0, len(base) - first)] = 0.0  # these are the data's own
        rows += noise * np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def client(c: Any, queries: Any, end: float, pause: float, times: Times) -> None:
    turn = 0
    while time.perf_counter() < end:
        began, busy = time.perf_counter(), time.thread_time()
        c.search(queries[turn % len(queries)], k=K)
        times.append((time.perf_counter() - began, time.thread_time() - busy))
        turn += 1
        time.sleep(pause)


def clients(c: Any, n: int, queries: Any, seconds: float, pause: float) -> Times:
    times: Times = []
    end = time.perf_counter() + seconds
    threads = [
        threading.Thread(target=client, args=(c, queries[i::n], end, pause, times))
        for i in range(n)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def beside(folder: Path, n: int, queries: Any, seconds: float, pause: float, pipe: Any) -> None:
    with vl.collection(folder, read_only=True, n_jobs=1) as c:
        c.search(queries[0])
        pipe.send("ready")
        pipe.send(clients(c, n, queries, seconds, pause))


def writer(c: Any, rows: Any, first: int, pace: float, seconds: float) -> list[float]:
    times, began = [], time.perf_counter()
    for turn in range(int(seconds * pace / BATCH)):
        wait = began + turn * BATCH / pace - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        if time.perf_counter() - began > seconds:
            break
        ids = range(first + turn * BATCH, first + (turn + 1) * BATCH)
        start = time.perf_counter()
        at = turn * BATCH % (len(rows) - BATCH)
        c.upsert(ids, rows[at : at + BATCH], payloads=[{"turn": turn}] * BATCH)
        times.append(time.perf_counter() - start)
    return times


def percentiles(times: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(np.array(times) * 1e3, [50, 99]).tolist()
    return {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2), "calls": len(times)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store.mixed")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pace", type=float, default=1000.0, help="rows a second")
    parser.add_argument("--pause", type=float, default=0.02, help="seconds between queries")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--reader", action="store_true")
    given = parser.parse_args()
    data = Path(os.environ["VECTORLOOM_BENCH_DATA"])
    base = np.load(data / "base.npy", mmap_mode="r")
    queries = np.load(data / "queries.npy")[:1000].astype(np.float32)
    fresh = np.asarray(base[-20_000:], np.float32)
    with tempfile.TemporaryDirectory(prefix="vectorloom-mixed-") as name:
        folder = Path(name) / "c"
        with vl.collection(folder, base.shape[1], n_jobs=1) as c:
            filling = time.perf_counter()
            for first in range(0, given.rows, PIECE):
                n = min(PIECE, given.rows - first)
                c.upsert(range(first, first + n), made(base, first, n))
            c.optimize()
            filling = time.perf_counter() - filling
            asked: Any = (given.clients, queries, given.seconds, given.pause)
            found: list[Times] = []
            if given.reader:
                here, there = multiprocessing.get_context("spawn").Pipe()
                child = multiprocessing.get_context("spawn").Process(
                    target=beside, args=(folder, *asked, there)
                )
                child.start()
                here.recv()
                thread = threading.Thread(target=lambda: found.append(here.recv()))
            else:
                thread = threading.Thread(target=lambda: found.append(clients(c, *asked)))
            thread.start()
            began = time.perf_counter()
            written = writer(c, fresh, given.rows, given.pace, given.seconds)
            spent = time.perf_counter() - began
            thread.join()
            told = {
                "rows": given.rows,
                "filled_s": round(filling, 1),
                "clients": given.clients,
                "written_rows_per_s": round(len(written) * BATCH / spent),
                "search": percentiles([wall for wall, _ in found[0]]),
                "search_cpu": percentiles([busy for _, busy in found[0]]),
                "upsert": percentiles(written),
                "load": os.getloadavg()[0],
            }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
