# SPDX-License-Identifier: Apache-2.0
"""Candidates and exact scores: recall by candidates, queries a second, nDCG@10 beside PLAID.

Candidates come from MUVERA's encodings and from windows of neighbouring vectors.

The single-vector heuristic that MUVERA is compared with: every query vector asks for its nearest
token vectors, and their documents are candidates in the order of the best place that one of their
vectors has. PLAID runs in an environment of its own (`plaid_worker`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import vectorloom as vl
from benchmarks.multivector.tokens import Collection, cpu_seconds, overlap
from vectorloom.measure import evaluate_retrieval

K = 10
WAYS = ("muvera", "windows")
# What a peer's numbers mean.
SETTING = {
    "fast": "{} probes, {} full scores",
    "stanford": "{} cells, threshold {}, {} documents",
}
CANDIDATES = (25, 50, 100, 200, 400, 800)


def measure(collection: Collection, plaid: dict[str, Any] | None) -> dict[str, Any]:
    """Return curves of recall and time, and PLAID's if its results are given."""
    docs, queries = collection.docs, collection.queries
    indexes = {}
    build = {}
    for way in WAYS:
        empty = vl.index.MultiVector(encoding=way, n_jobs=1, dtype="float16")
        build[way], indexes[way] = cpu_seconds(lambda e=empty: e.fit(docs.tokens, docs.ids), 1)
    n = len(queries)
    index = indexes["muvera"]
    exact_s, truth = cpu_seconds(lambda: index.search(queries.tokens, k=K, exact=True), 2)
    curves = {way: curve_of(collection, indexes[way], truth.ids) for way in WAYS}
    places = np.array([{d: i for i, d in enumerate(docs.ids)}[d] for d in truth.ids.ravel()])
    out = {
        "set": collection.name,
        "documents": len(docs),
        "queries": n,
        "build_s": {way: round(seconds, 1) for way, seconds in build.items()},
        "mib": {way: round(one.nbytes_ / 2**20) for way, one in indexes.items()},
        "exact": {
            "ms_a_query": round(1e3 * exact_s / n, 3),
            "ndcg": ndcg(truth.to_run(queries.ids), collection.qrels),
        },
        "curves": curves,
        "needed": needed(collection, indexes, places.reshape(truth.ids.shape)),
    }
    if plaid is not None:
        out["plaid"] = plaid_table(plaid, collection)
    return out


def curve_of(collection: Collection, index: Any, truth: NDArray[Any]) -> list[dict[str, float]]:
    """Return recall, time and nDCG@10 by candidates."""
    docs, queries = collection.docs, collection.queries
    curve = []
    for candidates in CANDIDATES:
        if candidates > len(docs) // 2:
            break
        seconds, hits = cpu_seconds(
            lambda c=candidates: index.search(queries.tokens, k=K, n_candidates=c), 2
        )
        curve.append(
            {
                "candidates": candidates,
                "recall": round(overlap(hits.ids, truth), 4),
                "ms_a_query": round(1e3 * seconds / len(queries), 3),
                "ndcg": ndcg(hits.to_run(queries.ids), collection.qrels),
            }
        )
    return curve


def ndcg(run: Any, qrels: Any) -> float:
    """Return nDCG@10, without documents that are their own query."""
    result = evaluate_retrieval(qrels, run, ["nDCG@10"], ignore_identical_ids=True)
    return round(float(result["nDCG@10"]), 4)


def needed(
    collection: Collection, indexes: dict[str, Any], truth: NDArray[np.int64]
) -> dict[str, Any]:
    """Return the candidates for recall .90 and .95, by each way and by single vectors."""
    docs, queries = collection.docs, collection.queries
    depth = len(docs)
    from vectorloom.index.multivector.token_vectors import TokenVectors

    found_at: dict[str, list[int]] = {way: [] for way in (*WAYS, "single vectors")}
    values, offsets = docs.tokens
    owner = np.repeat(np.arange(depth), np.diff(offsets))
    tokens = TokenVectors(*queries.tokens)
    for q in range(min(len(queries), 48)):
        for way, index in indexes.items():
            found, _ = index._stage.find(index._store, tokens.part(q, q + 1), depth, None)
            found_at[way] += places_of(found, truth[q])
        best = np.full(depth, len(values))
        for vector in tokens.item(q):
            order = np.argsort(-(values @ vector), kind="stable")
            place = np.empty(len(values), np.int64)
            place[order] = np.arange(len(values))
            np.minimum.at(best, owner, place)
        found_at["single vectors"] += places_of(np.argsort(best, kind="stable"), truth[q])
    return {
        f"{recall:.2f}": {
            way: int(np.quantile(at, recall, method="higher")) + 1 for way, at in found_at.items()
        }
        for recall in (0.90, 0.95)
    }


def places_of(order: NDArray[np.int64], true: NDArray[np.int64]) -> list[int]:
    """Return where each true item stands in an order."""
    at = {int(item): place for place, item in enumerate(order.tolist())}
    return [at.get(int(item), len(order)) for item in true.tolist()]


def plaid_table(plaid: dict[str, Any], collection: Collection) -> dict[str, Any]:
    """Return PLAID's settings with time and nDCG@10."""
    rows = []
    docs, queries = collection.docs, collection.queries
    for result in plaid["results"]:
        run = {
            name: {docs.ids[i]: score for i, score in hits}
            for name, hits in zip(queries.ids, result["hits"], strict=False)
        }
        rows.append(
            {
                "setting": SETTING[plaid["which"]].format(*result["setting"]),
                "ms_a_query": round(1e3 * result["seconds"] / len(run), 3),
                "ndcg": ndcg(run, collection.qrels),
            }
        )
    return {
        "which": plaid["which"],
        "build_s": round(plaid["build_s"], 1),
        "mib": round(plaid["bytes"] / 2**20),
        "settings": rows,
    }
