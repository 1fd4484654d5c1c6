# SPDX-License-Identifier: Apache-2.0
"""Exact search against the obvious NumPy program, in one process, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.demo.result import Speed

_BATCH_QUERIES = 500
_SINGLE_QUERIES = 50
_REPEATS = 5
_PATIENCE_S = 1.0  # no further run of one setting after this many seconds
_NUMPY_BLOCK = 256  # rows of scores that stay in the cache; one product of all is slower

Ids = NDArray[np.int64]
Search = Callable[[NDArray[np.float32]], Ids]


def measure_speed(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], *, k: int = 10, threads: int
) -> tuple[list[Speed], float]:
    """Time exact search and a NumPy scan on one thread and, where allowed, on all.

    Parameters
    ----------
    vectors : ndarray of shape (n, dim), float32, unit rows
    queries : ndarray of shape (q, dim), float32, unit rows
        The first 500 make the batch, the first 50 are also given one by one.
    k : int, default=10
    threads : int
        Threads of the second setting; 1 leaves it out.

    Returns
    -------
    rows : list of Speed
    same : float
        Share of the batch's queries with the same ids from both, in any order of equal scores.
    """
    from threadpoolctl import threadpool_limits

    from vectorloom.index import Exact

    batch = np.ascontiguousarray(queries[:_BATCH_QUERIES])
    singles = [batch[i : i + 1] for i in range(min(_SINGLE_QUERIES, len(batch)))]
    k = min(k, len(vectors))
    rows: list[Speed] = []
    found: dict[str, Ids] = {}
    for count in sorted({1, threads}):
        index: Any = Exact(metric="cosine", n_jobs=count).fit(vectors)
        methods: dict[str, Search] = {
            "vectorloom Exact": lambda q, index=index: index.search(q, k=k).ids,  # type: ignore[misc]
            "NumPy matmul + argpartition": lambda q: numpy_scan(vectors, q, k),
        }
        with threadpool_limits(limits=count):
            for method, search in methods.items():
                found[method] = search(batch)  # warm: pages touched, threads started
                per_batch = _best_seconds(lambda run=search: run(batch))  # type: ignore[misc]
                per_single = _best_seconds(
                    lambda run=search: [run(query) for query in singles]  # type: ignore[misc]
                )
                for mode, rate in (
                    (f"batch of {len(batch):,}", len(batch) / per_batch),
                    ("one at a time", len(singles) / per_single),
                ):
                    rows.append(Speed(method, mode, count, rate, len(vectors), vectors.shape[1], k))
    rows.sort(key=lambda row: (row.mode == "one at a time", row.threads))
    return rows, _share_same(*found.values())


def numpy_scan(vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> Ids:
    """Positions of the k largest inner products of each query, best first."""
    out = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), _NUMPY_BLOCK):
        scores = queries[start : start + _NUMPY_BLOCK] @ vectors.T
        if k < scores.shape[1]:
            best = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, -k:]
        else:
            best = np.broadcast_to(np.arange(k), scores.shape)
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        out[start : start + len(scores)] = np.take_along_axis(best, order, axis=1)
    return out


def _best_seconds(job: Callable[[], Any]) -> float:
    """Shortest of a few runs: what else the machine does can only lengthen one."""
    times: list[float] = []
    while len(times) < _REPEATS and sum(times) < _PATIENCE_S:
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return max(min(times), 1e-9)


def _share_same(first: Ids, second: Ids) -> float:
    return float((np.sort(first, axis=1) == np.sort(second, axis=1)).all(axis=1).mean())
