# SPDX-License-Identifier: Apache-2.0
"""Sparse vectors for the benchmarks: real SPLADE-v3 queries, and documents generated to suit them.

The queries are the 6,980 of MS MARCO's development set (vocabulary of 30,522 terms, 24 non-zeros a
query). 1,000 of them, drawn by a fixed seed, are searched for; the others are the *topics* that
documents are made of. A document

    draws a topic, and up to five of the 30 topics nearest to it by cosine;
    takes their terms, each with probability .85 (its own topic) or .5 (the others), at the weight
    in the topic times a log-normal factor (sigma .4), the others at half of it;
    is filled up to its length by terms of the whole vocabulary: half of topics that are near, half
    by the document frequencies of the queries raised to .75 (Zipf-like), at low log-normal weights.

Lengths are normal, mean 155 and deviation 35, between 40 and 300: SPLADE models of this family are
stated at 120 to 200 non-zeros a passage. What it cannot have are the true neighbours of real text.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPARSE = "splade-like"  # the name of the set
TERMS = 30_522
QUERIES = 1_000
_SEED = 7
_NEAR = 30
_CHUNK = 20_000


def splade_like(rows: int, seed: int = _SEED) -> tuple[Any, Any]:
    """Return (documents, queries), csr matrices of float32 over 30,522 terms."""
    topics, queries = _real_queries(seed)
    near = _near_topics(topics)
    popularity = np.bincount(topics.indices, minlength=TERMS).astype(np.float64) ** 0.75
    cumulative = np.cumsum(popularity / popularity.sum())
    rng = np.random.default_rng(seed + 1)
    from scipy import sparse

    parts = []
    for start in range(0, rows, _CHUNK):
        parts.append(_chunk(rng, topics, near, cumulative, min(_CHUNK, rows - start)))
    return sparse.vstack(parts, format="csr"), queries


def _real_queries(seed: int) -> tuple[Any, Any]:
    from scipy import sparse

    path = Path(os.environ.get("VECTORLOOM_DATA", ".")) / (
        "structured/vectors/splade_v3_msmarco_dev/splade_v3.npz"
    )
    with np.load(path) as file:
        arrays = (file["weights"].astype(np.float32) / 100, file["indices"], file["indptr"])
        real = sparse.csr_matrix(arrays, shape=(len(file["indptr"]) - 1, TERMS))
    real.sort_indices()
    order = np.random.default_rng(seed).permutation(real.shape[0])
    return real[np.sort(order[QUERIES:])], real[np.sort(order[:QUERIES])]


def _near_topics(topics: Any) -> NDArray[np.int64]:
    norms = np.sqrt(topics.multiply(topics).sum(axis=1)).A1
    unit = topics.multiply(1 / norms[:, None]).tocsr()
    near = np.empty((topics.shape[0], _NEAR), np.int64)
    for start in range(0, topics.shape[0], 500):
        products = (unit[start : start + 500] @ unit.T).toarray()
        near[start : start + 500] = np.argsort(-products, axis=1, kind="stable")[:, 1 : _NEAR + 1]
    return near


def _chunk(
    rng: np.random.Generator,
    topics: Any,
    near: NDArray[np.int64],
    cumulative: NDArray[np.float64],
    rows: int,
) -> Any:
    from scipy import sparse

    own = rng.integers(0, topics.shape[0], rows)
    n_others = rng.integers(1, 6, rows)
    others = near[np.repeat(own, n_others), rng.integers(0, _NEAR, n_others.sum())]
    lengths = np.clip(rng.normal(155, 35, rows), 40, 300).astype(np.int64)
    of_rows = np.arange(rows)
    taken = [
        _taken(rng, topics, own, of_rows, 0.85, 1.0),
        _taken(rng, topics, others, np.repeat(of_rows, n_others), 0.5, 0.5),
        _fill(rng, topics, near, own, lengths // 2),
        _background(rng, cumulative, lengths),
    ]
    row, term, weight = (np.concatenate(each) for each in zip(*taken, strict=True))
    # Of a term that came twice the first stays; then the first terms up to the length.
    key = row * TERMS + term
    _, first = np.unique(key, return_index=True)
    first.sort()
    order = first[np.argsort(row[first], kind="stable")]
    row, term, weight = row[order], term[order], weight[order]
    starts = np.searchsorted(row, of_rows)
    kept = np.arange(len(row)) - starts[row] < lengths[row]
    shape = (rows, TERMS)
    made = sparse.csr_matrix((weight[kept].astype(np.float32), (row[kept], term[kept])), shape)
    made.sort_indices()
    return made


def _taken(
    rng: np.random.Generator,
    topics: Any,
    chosen: NDArray[np.int64],
    rows: NDArray[np.int64],
    share: float,
    scale: float,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    part = topics[chosen]
    row = np.repeat(rows, np.diff(part.indptr))
    weight = part.data * scale * rng.lognormal(0.0, 0.4, part.nnz)
    kept = rng.random(part.nnz) < share
    return row[kept], part.indices[kept].astype(np.int64), weight[kept]


def _fill(
    rng: np.random.Generator,
    topics: Any,
    near: NDArray[np.int64],
    own: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    row = np.repeat(np.arange(len(own)), counts)
    topic = near[own[row], rng.integers(0, _NEAR, len(row))]
    spans = np.diff(topics.indptr)
    at = topics.indptr[topic] + (rng.random(len(row)) * spans[topic]).astype(np.int64)
    return row, topics.indices[at].astype(np.int64), rng.lognormal(-1.6, 0.6, len(row))


def _background(
    rng: np.random.Generator, cumulative: NDArray[np.float64], lengths: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    row = np.repeat(np.arange(len(lengths)), lengths)
    term = np.minimum(np.searchsorted(cumulative, rng.random(len(row))), TERMS - 1)
    return row, term, rng.lognormal(-1.9, 0.6, len(row))
