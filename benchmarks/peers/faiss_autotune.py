# SPDX-License-Identifier: Apache-2.0
"""faiss's AutoTune: `ParameterSpace.explore` over the indexes that its guidelines name.

One query a call (``batchsize = 1``), one thread. Of all operating points the fastest that reaches
the recall on the tuning queries, and whose file fits the memory, is taken.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.peers.base import Floats, load
from benchmarks.peers.tuned import Goal, Tuned

NAME = "faiss AutoTune"


def keys(n: int, dim: int) -> list[str]:
    """Factory strings of faiss's guidelines, for so many rows."""
    lists = max(16, 2 ** round(math.log2(4 * math.sqrt(n))))
    found = ["Flat", "SQ8", "HNSW16", "HNSW32", "HNSW32_SQ8", f"IVF{lists},Flat", f"IVF{lists},SQ8"]
    if dim % 2 == 0:
        found.append(f"IVF{lists},PQ{dim // 2}x4fs,RFlat")
        found.append(f"IVF{lists},PQ{dim // 2}x4fs,Refine(SQ8)")
    return found


def size_of(index: Any) -> int:
    faiss = load("faiss")
    return int(faiss.serialize_index(index).nbytes)


def explored(index: Any, queries: Floats, truth: Any, goal: Goal) -> tuple[float, str] | None:
    """Seconds a query and parameters of the fastest point that reaches the recall."""
    faiss = load("faiss")
    criterion = faiss.IntersectionCriterion(len(queries), goal.k)
    criterion.set_groundtruth(None, truth.astype(np.int64))
    criterion.nnn = goal.k
    space = faiss.ParameterSpace()
    space.verbose = 0
    space.n_experiments = 24
    space.batchsize = 1
    space.thread_over_batches = False
    space.initialize(index)
    points = space.explore(index, queries, criterion)
    optimal = [points.optimal_pts.at(i) for i in range(points.optimal_pts.size())]
    good = [(p.t / len(queries), p.key) for p in optimal if p.perf >= goal.recall]
    return min(good, default=None)


def tune(base: Floats, queries: Floats, goal: Goal) -> Tuned:
    faiss = load("faiss")
    faiss.omp_set_num_threads(1)
    kind = faiss.METRIC_L2 if goal.metric == "l2" else faiss.METRIC_INNER_PRODUCT
    flat = faiss.index_factory(base.shape[1], "Flat", kind)
    flat.add(base)
    truth = flat.search(queries, goal.k)[1]
    best: tuple[float, str, str, Any] | None = None
    for key in keys(*base.shape):
        index = faiss.index_factory(base.shape[1], key, kind)
        index.train(base)
        index.add(base)
        size = size_of(index)
        if goal.memory is not None and size > goal.memory:
            continue
        found = explored(index, queries, truth, goal)
        if found is None or (goal.p95 is not None and found[0] > goal.p95):
            continue
        cost = float(size) if goal.minimise == "memory" else found[0]
        if best is None or cost < best[0]:
            best = (cost, key, found[1], index)
    if best is None:
        raise LookupError("no index reaches the goals")
    _, key, setting, index = best
    if setting:
        faiss.ParameterSpace().set_index_parameters(index, setting)
    return Tuned(f"{key} {setting}", lambda q: index.search(q, goal.k)[1], size_of(index))
