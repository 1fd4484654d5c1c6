# SPDX-License-Identifier: Apache-2.0
"""Vectors on disk: two stages from a mapped file whose vectors are not in memory.

Before each query the file leaves the page cache (posix_fadvise), the index is opened anew and its
first stage is asked once, so that the encodings are in memory and the vectors are not. Times are
those of the clock: waiting for the disk is what is measured. Medians over queries.
"""

from __future__ import annotations

import gc
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import vectorloom as vl
from benchmarks.multivector.muvera import K
from benchmarks.multivector.tokens import Collection
from vectorloom.index.multivector.token_vectors import TokenVectors

CANDIDATES = 100


def measure(collection: Collection) -> dict[str, Any]:
    """Return milliseconds a query from memory and from disk, with prefetching and without."""
    docs, queries = collection.docs, collection.queries
    with tempfile.TemporaryDirectory(dir=os.environ.get("VECTORLOOM_BENCH_SCRATCH")) as folder:
        path = Path(folder) / "items.vl"
        made = vl.index.MultiVector(n_jobs=1, dtype="float16").fit(docs.tokens, docs.ids)
        stage_bytes, bytes_ = int(made._stage.index.nbytes_), int(made.nbytes_)
        made.save(path)
        del made
        asked = TokenVectors(*queries.tokens)
        seconds: dict[str, list[float]] = {"memory": [], "disk": [], "disk, prefetched": []}
        for q in range(len(queries)):
            query = asked.part(q, q + 1)
            answers = []
            for prefetch in (False, True):
                evict(path)
                index = vl.open(path).set_params(n_jobs=1, prefetch=prefetch)
                index._stage.find(index._store, query, CANDIDATES, None)
                took, hits = timed(index, query)
                seconds["disk, prefetched" if prefetch else "disk"].append(took)
                answers.append(hits.ids)
                if not prefetch:
                    seconds["memory"].append(timed(index, query)[0])
                del index
            assert (answers[0] == answers[1]).all()
        together = batch(path, asked)
    return {
        "set": collection.name,
        "queries": len(queries),
        "candidates": CANDIDATES,
        "mib_first_stage": round(stage_bytes / 2**20),
        "mib": round(bytes_ / 2**20),
        "ms_a_query": {
            name: round(1e3 * statistics.median(each), 1) for name, each in seconds.items()
        }
        | {f"{name}, one batch": round(each, 1) for name, each in together.items()},
    }


def batch(path: Path, asked: TokenVectors, rounds: int = 3) -> dict[str, float]:
    """Return milliseconds a query of all queries in one call, whose candidates are most items.

    Medians over rounds in turns.
    """
    names = {False: "disk", True: "disk, prefetched"}
    seconds: dict[str, list[float]] = {name: [] for name in names.values()}
    for _ in range(rounds):
        for prefetch, name in names.items():
            evict(path)
            index = vl.open(path).set_params(n_jobs=1, prefetch=prefetch)
            index._stage.find(index._store, asked.part(0, 1), CANDIDATES, None)
            seconds[name].append(timed(index, asked)[0])
            del index
    return {name: 1e3 * statistics.median(each) / len(asked) for name, each in seconds.items()}


def timed(index: Any, queries: TokenVectors) -> tuple[float, Any]:
    """Return the seconds of the clock that a query takes, and its hits."""
    start = time.perf_counter()
    hits = index.search((queries.values, queries.offsets), k=K, n_candidates=CANDIDATES)
    return time.perf_counter() - start, hits


def evict(path: Path) -> None:
    """Let the pages of a file that nothing maps leave memory."""
    gc.collect()
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
