# SPDX-License-Identifier: Apache-2.0
"""Few vectors a document: clusters as they come, and what is learned from judged queries.

Where a collection has training queries (``train_queries_*.npy`` beside the others) these teach, and
all test queries are asked. Elsewhere the judged queries are divided into two halves: each is asked
of what the other has taught, and the table has the mean over all queries. Nothing that is asked has
taught.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import vectorloom as vl
from benchmarks.multivector.muvera import ndcg
from benchmarks.multivector.tokens import Collection, Flat, Side, cpu_seconds, train_queries

BUDGETS = (1, 2, 4, 8, 16)
CENTROIDS = (2, 8)
NARROW = (8,)
Folds = list[tuple[Side, NDArray[np.int64], list[int]]]


def measure(collection: Collection, sizes: tuple[int, ...] | None = None) -> dict[str, Any]:
    """Return nDCG@10 of each way by the number of vectors; of these numbers alone where given."""
    few, centroids = (BUDGETS, CENTROIDS) if sizes is None else (sizes, sizes)
    docs = collection.docs
    folds, taught = folds_of(collection)
    ways: dict[str, dict[int, float]] = {}
    ways["clusters (pool_tokens)"] = {}
    for k in few:
        tokens = vl.index.pool_tokens(docs.tokens, factor=1, most=k)
        ways["clusters (pool_tokens)"][k] = asked(collection, tokens, None)
    seconds, nested = cpu_seconds(lambda: vl.index.nest_tokens(docs.tokens, BUDGETS[-1]), 1)
    ways["prefixes (nest_tokens)"] = {k: asked(collection, nested, k) for k in few}
    ways["prefixes, learned (NestedMultiVector)"] = averaged(
        [nested_fold(collection, fold, few) for fold in folds], folds
    )
    ways["centroids, learned (CRISP)"] = averaged(
        [crisp_fold(collection, fold, centroids) for fold in folds], folds
    )
    if sizes is None:
        ways["128 leading dimensions, centroids"] = averaged(
            [crisp_fold(collection, fold, NARROW, 128, 0) for fold in folds], folds
        )
        ways["128 dimensions, learned (CRISP)"] = averaged(
            [crisp_fold(collection, fold, NARROW, 128) for fold in folds], folds
        )
    return {
        "set": collection.name,
        "queries": len(collection.queries),
        "taught_by": taught,
        "whole": asked(collection, docs.tokens, None),
        "vectors_an_item": round(len(docs.tokens[0]) / len(docs), 1),
        "ms_an_item": {"nest_tokens": round(1e3 * seconds / len(docs), 2)},
        "ways": {way: {str(k): v for k, v in row.items()} for way, row in ways.items()},
    }


def folds_of(collection: Collection) -> tuple[Folds, str]:
    """Return (teaching queries, pairs, places of the queries asked) and what they are."""
    found = train_queries(collection.name)
    place = {doc: i for i, doc in enumerate(collection.docs.ids)}
    everyone = list(range(len(collection.queries)))
    if found is not None:
        side, qrels = found
        return [(side, pairs_of(side, qrels, place), everyone)], f"{len(side)} training queries"
    order = np.random.default_rng(0).permutation(len(everyone))
    halves = [np.sort(order[::2]), np.sort(order[1::2])]
    folds = []
    for taught, rest in (halves, halves[::-1]):
        side = picked(collection.queries, taught)
        folds.append((side, pairs_of(side, collection.qrels, place), rest.tolist()))
    return folds, "the other half of the queries"


def picked(side: Side, places: Any) -> Side:
    """Return some items of a side."""
    values, offsets = side.tokens
    runs = [values[offsets[i] : offsets[i + 1]] for i in places]
    ends = np.cumsum([0] + [len(run) for run in runs]).astype(np.int64)
    names = [[each[i] for i in places] for each in (side.ids, side.texts)]
    return Side((np.concatenate(runs), ends), side.dense[list(places)], *names)


def pairs_of(
    side: Side, qrels: dict[str, dict[str, int]], place: dict[str, int]
) -> NDArray[np.int64]:
    """Return the places of each query and the documents that answer it."""
    pairs = [
        (i, place[doc])
        for i, query in enumerate(side.ids)
        for doc, grade in qrels.get(query, {}).items()
        if grade > 0 and doc in place
    ]
    return np.array(pairs, np.int64)


def asked(
    collection: Collection,
    tokens: Flat,
    budget: int | None,
    queries: Flat | None = None,
    places: list[int] | None = None,
) -> float:
    """Return nDCG@10 of MaxSim over these vectors, of all queries or of some."""
    side = collection.queries if places is None else picked(collection.queries, places)
    index = vl.index.MultiVector(encoding=None, n_jobs=1).fit(tokens, collection.docs.ids)
    hits = index.search(side.tokens if queries is None else queries, k=10, budget=budget)
    qrels = {query: collection.qrels[query] for query in side.ids if query in collection.qrels}
    return ndcg(hits.to_run(side.ids), qrels)


def nested_fold(
    collection: Collection, fold: Any, sizes: tuple[int, ...] = BUDGETS
) -> dict[int, float]:
    """Return nDCG@10 by budget of what a fold has taught."""
    side, pairs, places = fold
    model = vl.index.NestedMultiVector(BUDGETS).fit(collection.docs.tokens, side.tokens, pairs)
    tokens = model.encode_documents(collection.docs.tokens)
    return {k: asked(collection, tokens, k, places=places) for k in sizes}


def crisp_fold(
    collection: Collection,
    fold: Any,
    sizes: tuple[int, ...],
    n_components: int | None = None,
    n_epochs: int = 20,
) -> dict[int, float]:
    """Return nDCG@10 by centroids of what a fold has taught."""
    side, pairs, places = fold
    out = {}
    for k in sizes:
        model = vl.index.CRISP(k, n_components, n_epochs=n_epochs)
        model.fit(collection.docs.tokens, side.tokens, pairs)
        tokens = model.encode_documents(collection.docs.tokens)
        queries = model.encode_queries(picked(collection.queries, places).tokens)
        out[k] = asked(collection, tokens, None, queries, places)
    return out


def averaged(found: list[dict[int, float]], folds: Folds) -> dict[int, float]:
    """Return the mean over the queries of all folds."""
    sizes = [len(fold[2]) for fold in folds]
    return {
        k: round(float(np.average([one[k] for one in found], weights=sizes)), 4) for k in found[0]
    }
