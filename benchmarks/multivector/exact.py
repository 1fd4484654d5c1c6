# SPDX-License-Identifier: Apache-2.0
"""Exact MaxSim beside NumPy and torch, in one process and on one thread.

The peers get what suits them: documents sorted by length into blocks that are padded to the longest
of the block (so hardly at all), one product of all query vectors with a block, the maximum over an
axis, and sums by query. Blocks are small enough for the caches and made before the clock starts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vectorloom as vl
from benchmarks.multivector.tokens import Collection, cpu_seconds, overlap

BLOCK_VECTORS = 4096
K = 10
WAYS = ("vectorloom", "numpy float32", "torch float32", "torch bfloat16")


def blocks(collection: Collection) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Return (documents, padded vectors (documents, longest, dim)) by falling length."""
    values, offsets = collection.docs.tokens
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    out = []
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        part = order[start : start + max(1, BLOCK_VECTORS // longest)]
        padded = np.empty((len(part), longest, values.shape[1]), np.float32)
        for row, document in enumerate(part.tolist()):
            own = values[offsets[document] : offsets[document + 1]]
            padded[row, : len(own)] = own
            padded[row, len(own) :] = own[-1]  # a vector twice does not change a maximum
        out.append((part, padded))
        start += len(part)
    return out


def numpy_peer(collection: Collection) -> Callable[[], NDArray[np.int64]]:
    """MaxSim by NumPy's BLAS."""
    ready = [(part, x.reshape(-1, x.shape[2]), x.shape) for part, x in blocks(collection)]
    values, offsets = collection.queries.tokens

    def search() -> NDArray[np.int64]:
        scores = np.empty((len(collection.queries), len(collection.docs)), np.float32)
        for part, flat, shape in ready:
            best = (values @ flat.T).reshape(len(values), *shape[:2]).max(axis=2)
            scores[:, part] = np.add.reduceat(best, offsets[:-1], axis=0)
        return np.argpartition(-scores, K, axis=1)[:, :K]

    return search


def torch_peer(collection: Collection, dtype: str) -> Callable[[], NDArray[np.int64]]:
    """MaxSim by torch, in float32 or bfloat16."""
    import torch

    torch.set_num_threads(1)
    kind = getattr(torch, dtype)
    ready = [
        (torch.from_numpy(part), torch.from_numpy(x.reshape(-1, x.shape[2])).to(kind), x.shape)
        for part, x in blocks(collection)
    ]
    values, offsets = collection.queries.tokens
    query_values = torch.from_numpy(values).to(kind)
    owner = torch.from_numpy(np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)))

    def search() -> NDArray[np.int64]:
        scores = torch.empty((len(collection.queries), len(collection.docs)))
        with torch.inference_mode():
            for part, flat, shape in ready:
                best = (query_values @ flat.T).view(len(values), *shape[:2]).amax(dim=2)
                sums = torch.zeros((len(collection.queries), shape[0]))
                scores[:, part] = sums.index_add_(0, owner, best.float())
            return torch.topk(scores, K, dim=1).indices.numpy()

    return search


def measure(collection: Collection, rounds: int) -> dict[str, Any]:
    """Return queries a second of all, and whether they agree."""
    index = vl.index.MultiVector(encoding=None, n_jobs=1).fit(collection.docs.tokens)
    jobs: dict[str, Callable[[], NDArray[Any]]] = {
        "vectorloom": lambda: index.search(collection.queries.tokens, k=K).ids,
        "numpy float32": numpy_peer(collection),
        "torch float32": torch_peer(collection, "float32"),
        "torch bfloat16": torch_peer(collection, "bfloat16"),
    }
    seconds = dict.fromkeys(jobs, float("inf"))
    found = {}
    for _ in range(rounds):  # in turns, so that a busy machine hits all alike
        for name, job in jobs.items():
            took, found[name] = cpu_seconds(job, 1)
            seconds[name] = min(seconds[name], took)
    n = len(collection.queries)
    truth = found["numpy float32"]
    return {
        "set": collection.name,
        "documents": len(collection.docs),
        "vectors": int(collection.docs.tokens[1][-1]),
        "queries": n,
        "vectors_a_query": round(int(collection.queries.tokens[1][-1]) / n, 1),
        "ms_a_query": {name: round(1e3 * took / n, 2) for name, took in seconds.items()},
        "agree": {name: round(overlap(ids, truth), 4) for name, ids in found.items()},
    }
