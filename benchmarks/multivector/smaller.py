# SPDX-License-Identifier: Apache-2.0
"""What pooling, ordering, pruning and codes of token vectors cost in nDCG@10 of exact MaxSim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import vectorloom as vl
from benchmarks.multivector.muvera import ndcg
from benchmarks.multivector.tokens import Collection, Flat


def measure(collection: Collection) -> dict[str, Any]:
    """Return vectors kept, bytes a vector and nDCG@10 of each way."""
    docs, queries = collection.docs, collection.queries
    dim = docs.tokens[0].shape[1]

    def searched(tokens: Flat) -> float:
        index = vl.index.MultiVector(encoding=None).fit(tokens, docs.ids)
        return ndcg(index.search(queries.tokens, k=10).to_run(queries.ids), collection.qrels)

    def coded(codec: Any, **how: Any) -> tuple[float, int]:
        index = vl.index.TokenCodes(codec, **how).fit(docs.tokens, docs.ids)
        hits = index.search(queries.tokens, k=10)
        return ndcg(hits.to_run(queries.ids), collection.qrels), index.bytes_per_vector_

    rows = [row("float32", len(docs.tokens[0]), 4 * dim, searched(docs.tokens))]
    fewer: dict[str, Callable[[], Flat]] = {
        "pooled, factor 2": lambda: vl.index.pool_tokens(docs.tokens, 2),
        "pooled, factor 3": lambda: vl.index.pool_tokens(docs.tokens, 3),
        "pooled, factor 4": lambda: vl.index.pool_tokens(docs.tokens, 4),
        "ordered, first 16 (nest_tokens)": lambda: vl.index.nest_tokens(docs.tokens, 16),
        "pruned, no importances": lambda: vl.index.prune_tokens(docs.tokens),
    }
    for name, make in fewer.items():
        tokens = make()
        rows.append(row(name, len(tokens[0]), 4 * dim, searched(tokens)))
    codecs = {
        f"PQ, {dim // 8} bytes (32 times)": vl.compress.PQ(n_parts=dim // 8),
        "RaBitQ, 1 bit": vl.compress.RaBitQ(),
        "Sign, queries as they are": vl.compress.Sign(),
        "k-means 256, 1 byte": vl.compress.PQ(n_parts=1),
    }
    for name, codec in codecs.items():
        quality, n_bytes = coded(codec)
        rows.append(row(name, len(docs.tokens[0]), n_bytes, quality))
    quality, n_bytes = coded(vl.compress.Sign(), hamming=True)
    rows.append(row("Sign, Hamming of both sides", len(docs.tokens[0]), n_bytes, quality))
    base, whole = rows[0]["ndcg"], rows[0]["vectors"] * rows[0]["bytes_a_vector"]
    for entry in rows:
        entry["change_percent"] = round(100 * (entry["ndcg"] / base - 1), 2)
        entry["smaller"] = round(whole / (entry["vectors"] * entry["bytes_a_vector"]), 1)
    return {"set": collection.name, "queries": len(queries), "rows": rows}


def row(name: str, vectors: int, n_bytes: int, quality: float) -> dict[str, Any]:
    """Return one line of the table."""
    return {"way": name, "vectors": vectors, "bytes_a_vector": n_bytes, "ndcg": quality}
