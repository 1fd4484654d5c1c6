# SPDX-License-Identifier: Apache-2.0
"""Layers of a model, by themselves and together: nDCG@10 of one vector each of `make_layers`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

import vectorloom as vl
from benchmarks.multivector.tokens import Collection


def measure(collection: Collection) -> dict[str, Any]:
    """Return the rows of the report, the best first."""
    folder = Path(os.environ["VECTORLOOM_TOKENS"], collection.name)
    docs, queries = (
        np.load(folder / f"{side}_layers.npy").astype(np.float32) for side in ("docs", "queries")
    )
    report = vl.index.layer_report(
        docs,
        queries[: len(collection.queries)],
        collection.qrels,
        collection.docs.ids,
        collection.queries.ids,
    )
    rows = [row | {"layers": list(row["layers"])} for row in report.to_dict()["rows"]]
    return {"set": collection.name, "queries": len(collection.queries), "rows": rows}
