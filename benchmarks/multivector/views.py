# SPDX-License-Identifier: Apache-2.0
"""Queries of one vector against several views of a document: nDCG@10, and how far views differ.

Judged queries teach as in `learned`; of queries the mean vector asks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import vectorloom as vl
from benchmarks.multivector.learned import folds_of, picked
from benchmarks.multivector.muvera import ndcg
from benchmarks.multivector.tokens import Collection

VIEWS = (1, 2, 4)
WAYS: dict[str, dict[str, Any]] = {
    "groups alone": {"shrink": 0.0, "n_epochs": 0},
    "half way to the mean": {"n_epochs": 0},
    "learned, global loss": {},
    "learned, global and local loss": {"local_weight": 0.01},
}


def measure(collection: Collection) -> dict[str, Any]:
    """Return nDCG@10 and collapse by way and number of views."""
    folds, taught = folds_of(collection)
    rows = []
    for way, params in WAYS.items():
        for k in VIEWS if way != "groups alone" else VIEWS[1:]:
            found = [one_fold(collection, fold, k, params) for fold in folds]
            sizes = [len(fold[2]) for fold in folds]
            quality, collapse = np.average(found, axis=0, weights=sizes).tolist()
            rows.append({"way": way, "views": k, "ndcg": quality, "collapse": collapse})
    return {
        "set": collection.name,
        "queries": len(collection.queries),
        "taught_by": taught,
        "rows": rows,
    }


def one_fold(
    collection: Collection, fold: Any, k: int, params: dict[str, Any]
) -> tuple[float, float]:
    """Return nDCG@10 of a fold's queries, and the collapse of the views that it learned."""
    side, pairs, places = fold
    model = vl.index.MultiView(k, **params).fit(collection.docs.tokens, side.dense, pairs)
    views = model.encode_documents(collection.docs.tokens)
    asked = picked(collection.queries, places)
    index = vl.index.MultiVector(encoding=None, n_jobs=1).fit(views, collection.docs.ids)
    hits = index.search(model.encode_queries(asked.dense), k=10)
    qrels = {q: collection.qrels[q] for q in asked.ids if q in collection.qrels}
    collapse = float(vl.index.view_collapse(views)) if k > 1 else 1.0
    return ndcg(hits.to_run(asked.ids), qrels), collapse
