# SPDX-License-Identifier: Apache-2.0
"""One store, measured in a process of its own: ``worker.py JOB.json``; prints one JSON line.

Filling and searching are separate processes, so that what is searched was read from the disk.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from stores import STORES, K, Store, version

TAGS, TAG, ROUNDS = 100, 7, 3
BATCH = 1000


def clocks() -> tuple[float, float]:
    """Wall and CPU seconds, those of ended children included."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), time.process_time() + ended.ru_utime + ended.ru_stime


def spent(began: tuple[float, float]) -> dict[str, float]:
    wall, cpu = clocks()
    return {"wall_s": wall - began[0], "cpu_s": cpu - began[1]}


def fill(store: Any, rows: Any) -> dict[str, Any]:
    began = clocks()
    store.create()
    for start in range(0, len(rows), BATCH):
        ids = range(start, min(len(rows), start + BATCH))
        block = np.asarray(rows[start : start + BATCH], np.float32)
        store.add(list(ids), block, [i % TAGS for i in ids])
    added = spent(began)
    store.finish()
    whole = spent(began)
    store.close()
    return {"added": added, "filled": whole, "peak_mib": peak_mib()}


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def recall(found: list[list[int]], truth: Any) -> float:
    pairs = zip(found, truth.tolist(), strict=True)
    return float(np.mean([len(set(f) & set(t)) / len(t) for f, t in pairs]))


def swept(store: Any, queries: Any, truth: Any, tag: int | None, floor: float) -> dict[str, Any]:
    """Find the cheapest setting that reaches the floor on one half; measure it on the other."""
    ask: Callable[[Any], list[int]] = lambda q: store.query(q, tag)  # noqa: E731
    half = len(queries) // 2
    chosen = store.settings[-1]
    for setting in store.settings:
        store.set(setting)
        if recall([ask(q) for q in queries[:half]], truth[:half]) >= floor:
            chosen = setting
            break
    store.set(chosen)
    found, rounds = [], []
    for _ in range(ROUNDS):
        began = clocks()
        found = [ask(q) for q in queries[half:]]
        rounds.append(spent(began))
    n = len(queries) - half
    return {
        "setting": chosen,
        "recall": recall(found, truth[half:]),
        "qps_cpu": n / min(each["cpu_s"] for each in rounds),
        "qps_wall": n / min(each["wall_s"] for each in rounds),
    }


def ask_all(store: Any, job: dict[str, Any], queries: Any) -> dict[str, Any]:
    truth = np.load(job["truth"])
    began = clocks()
    store.open()
    opened = spent(began)
    store.set(store.settings[-1])
    store.query(queries[0], None)
    first = spent(began)
    plain = swept(store, queries, truth["all"], None, job["floor"])
    tagged = swept(store, queries, truth["tag"], TAG, job["floor"])
    store.close()
    return {"open": opened, "open_and_ask": first, "plain": plain, "tagged": tagged}


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    store: Store = STORES[job["store"]](Path(job["folder"]), job["dim"], job["jobs"])
    with contextlib.redirect_stdout(sys.stderr):
        if job["step"] == "fill":
            rows = np.load(job["rows"], mmap_mode="r")[: job["n"]]
            answer = fill(store, rows)
        else:
            answer = ask_all(store, job, np.load(job["queries"]).astype(np.float32))
    print(json.dumps(answer | {"version": version(job["store"]), "note": store.note, "k": K}))


if __name__ == "__main__":
    main()
