# SPDX-License-Identifier: Apache-2.0
"""autofaiss: `build_index` with the memory as its budget.

It knows no recall: it takes the index that its table names for the memory, and as much effort as a
time a query allows. Its index is therefore given the least effort that reaches the recall on the
tuning queries, by faiss's own AutoTune, which flatters it.
"""

from __future__ import annotations

import contextlib
import logging

from benchmarks.peers.base import Floats, load, load_extra
from benchmarks.peers.faiss_autotune import explored, size_of
from benchmarks.peers.tuned import Goal, Tuned

NAME = "autofaiss"


def tune(base: Floats, queries: Floats, goal: Goal) -> Tuned:
    build = load_extra("autofaiss", "autofaiss").build_index
    faiss = load("faiss")
    kind = "l2" if goal.metric == "l2" else "ip"
    most = 1e3 * (goal.p95 or 0.01)
    memory = goal.memory or 4 * base.nbytes
    index, facts = build(
        base, save_on_disk=False, max_index_memory_usage=f"{memory / 1e6:.3f}MB", metric_type=kind,
        max_index_query_time_ms=most, verbose=logging.ERROR, nb_cores=1,
        min_nearest_neighbors_to_retrieve=goal.k,
    )  # fmt: skip
    if index is None:
        raise LookupError("autofaiss found no index for this memory")
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlat(base.shape[1], faiss.METRIC_L2 if kind == "l2" else 0)
    flat.add(base)
    own, setting = str(facts["index_param"]), None
    with contextlib.suppress(RuntimeError):  # what AutoTune does not know keeps its effort
        setting = explored(index, queries, flat.search(queries, goal.k)[1], goal)
    if setting is not None:
        own = setting[1]
    if own:
        faiss.ParameterSpace().set_index_parameters(index, own)
    return Tuned(
        f"{facts['index_key']} {own}", lambda q: index.search(q, goal.k)[1], size_of(index), facts
    )
