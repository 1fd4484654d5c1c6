# SPDX-License-Identifier: Apache-2.0
"""Words, one vector, many vectors, and their fusions: nDCG@10 with significance.

Weights are fitted on one half of the judged queries and applied to the other, and the other way
round, so that no query is judged with weights that have seen it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import vectorloom as vl
from benchmarks.multivector.tokens import Collection
from vectorloom.measure import evaluate_retrieval

METRIC = "nDCG@10"
LEGS = ("BM25", "dense", "MaxSim")
FUSED = ("BM25", "dense")
# Two stages: what finds the candidates (a leg, or FUSED by rrf), and what ranks them.
STAGES = (("BM25", "dense"), ("BM25", "MaxSim"), ("dense", "MaxSim"), ("rrf", "MaxSim"))
CANDIDATES = 100
Run = dict[str, dict[str, float]]


def measure(collection: Collection) -> dict[str, Any]:
    """Return nDCG@10 of legs, fusions and two stages, and how each fusion compares to the legs."""
    docs, queries = collection.docs, collection.queries
    legs = {
        "BM25": vl.index.BM25(stop_words="english", stemmer="light").fit(docs.texts, docs.ids),
        "dense": vl.index.Exact().fit(docs.dense, docs.ids),
        "MaxSim": vl.index.MultiVector(encoding=None).fit(docs.tokens, docs.ids),
    }
    asked = {
        "BM25": queries.texts,
        "dense": queries.dense,
        "MaxSim": vl_items(queries.tokens),
    }
    runs: dict[str, Run] = {
        name: leg.search(asked[name], k=100).to_run(queries.ids) for name, leg in legs.items()
    }
    # All documents are scored once: fusions and their fits ask the same again and again.
    known = legs | {"MaxSim": Answered(legs["MaxSim"], asked["MaxSim"])}
    for chosen in (FUSED, LEGS):
        label = " + ".join(chosen)
        some = {name: known[name] for name in chosen}
        what = {name: asked[name] for name in chosen}
        rrf = vl.index.Hybrid(some)
        runs[f"rrf {label}"] = rrf.search(what, k=100).to_run(queries.ids)
        equal = vl.index.Hybrid(some, fusion="weighted")
        runs[f"equal {label}"] = equal.search(what, k=100).to_run(queries.ids)
        runs[f"fitted {label}"] = fitted(some, what, queries.ids, collection.qrels)
    for first, second in STAGES:
        one = legs[first] if first in legs else vl.index.Hybrid({n: legs[n] for n in FUSED})
        stages = vl.index.TwoStage(one, legs[second], n_candidates=CANDIDATES)
        both = {
            "first": asked[first] if first in legs else {n: asked[n] for n in FUSED},
            "second": asked[second],
        }
        runs[f"{first} then {second}"] = stages.search(both, k=CANDIDATES).to_run(queries.ids)
    return {"set": collection.name, "queries": len(collection.qrels)} | judged(
        runs, collection.qrels
    )


class Answered:
    """A leg that remembers its 100 best of given queries, which are told apart as objects."""

    def __init__(self, leg: Any, queries: list[Any]) -> None:
        self.hits = leg.search(queries, k=100)
        self.ids_ = leg.ids_
        self.row = {id(query): i for i, query in enumerate(queries)}

    def search(self, queries: list[Any], k: int, where: None = None) -> Any:
        """Return what is remembered of these queries."""
        at = [self.row[id(query)] for query in queries]
        names = ("ids", "scores", "distances")
        kept = {name: getattr(self.hits, name)[at, :k] for name in names}
        return replace(self.hits, counts=self.hits.counts[at].clip(max=k), **kept)


def vl_items(tokens: Any) -> list[Any]:
    """Return the items of (values, offsets) as a list, which can be cut by query."""
    values, offsets = tokens
    return np.split(values, offsets[1:-1])


def fitted(
    legs: Mapping[str, Any],
    asked: Mapping[str, Any],
    ids: Sequence[str],
    qrels: Mapping[str, Mapping[str, int]],
) -> Run:
    """Return the run of weights that were fitted on the other half of the queries."""
    halves = np.random.default_rng(0).permutation(len(ids)) % 2
    run: Run = {}
    for half in (0, 1):
        train, test = np.flatnonzero(halves != half), np.flatnonzero(halves == half)
        hybrid = vl.index.Hybrid(legs, fusion="weighted")
        names = [ids[i] for i in train]
        hybrid.fit_weights(
            part(asked, train), {name: qrels[name] for name in names if name in qrels}, names
        )
        run |= hybrid.search(part(asked, test), k=100).to_run([ids[i] for i in test])
    return run


def part(asked: Mapping[str, Any], rows: Any) -> dict[str, Any]:
    """Return the queries of these rows."""
    return {
        name: what[rows] if hasattr(what, "dtype") else [what[i] for i in rows]
        for name, what in asked.items()
    }


def judged(runs: Mapping[str, Run], qrels: Any) -> dict[str, Any]:
    """Return the means, and each fusion's difference from the best leg."""
    results = {
        name: evaluate_retrieval(qrels, run, [METRIC], ignore_identical_ids=True)
        for name, run in runs.items()
    }
    means = {name: round(float(result[METRIC]), 4) for name, result in results.items()}
    best = max(LEGS, key=lambda name: means[name])
    against = {
        name: str(result.compare(results[best], METRIC))
        for name, result in results.items()
        if name not in LEGS
    }
    return {"ndcg": means, "best_leg": best, "against_best_leg": against}
