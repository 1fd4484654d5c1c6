# SPDX-License-Identifier: Apache-2.0
"""What codes cost in retrieval: nDCG@10 of MiniLM vectors of three collections, per recipe.

``python -m benchmarks.compress_ndcg`` reads ``vectors/minilm-<set>/vectors.npz`` and
``text/ir/<set>/qrels/test.tsv`` below ``$VECTORLOOM_DATA``, and prints a table in Markdown: the
change against float32 in percent, and its standard error over queries. The calibration is fitted to
the corpus.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import vectorloom as vl

SETS = ("scifact", "nfcorpus", "arguana")
DEPTH = 10

Qrels = dict[str, dict[str, int]]
RECIPES: dict[str, Callable[[int], vl.compress.Compressor]] = {
    "Float16": lambda dim: vl.compress.Float16(),
    "Float8(e4m3)": lambda dim: vl.compress.Float8(),
    "Float8(e5m2)": lambda dim: vl.compress.Float8("e5m2"),
    "Scalar(8)": lambda dim: vl.compress.Scalar(bits=8),
    "PCA(dim/2)": lambda dim: vl.compress.PCA(dim // 2),
    "PCA(dim/2), Float8": lambda dim: vl.compress.PCA(dim // 2) | vl.compress.Float8(),
    "PCA(dim/2), Scalar(8)": lambda dim: vl.compress.PCA(dim // 2) | vl.compress.Scalar(bits=8),
    "Scalar(4)": lambda dim: vl.compress.Scalar(bits=4),
    "NonUniform(4)": lambda dim: vl.compress.NonUniform(4),
    "MixedBits(4)": lambda dim: vl.compress.MixedBits(4),
    "MixedBits(2)": lambda dim: vl.compress.MixedBits(2),
    "MixedBits(1)": lambda dim: vl.compress.MixedBits(1),
}


def ndcg(
    scores: NDArray[np.float32], query_ids: list[str], corpus_ids: list[str], qrels: Qrels
) -> NDArray[np.float64]:
    """Return nDCG@10 of each query: gain = grade, discount = log2(rank + 1).

    A document with the query's own id is left out, as BEIR does for ArguAna.
    """
    discount = 1 / np.log2(np.arange(DEPTH) + 2)
    values = np.zeros(len(query_ids))
    for i, query in enumerate(query_ids):
        best = np.argsort(-scores[i], kind="stable")[: DEPTH + 1]
        ranked = [corpus_ids[j] for j in best if corpus_ids[j] != query][:DEPTH]
        gains = np.array([qrels[query].get(name, 0) for name in ranked])
        ideal = np.sort(list(qrels[query].values()))[::-1][:DEPTH]
        top = float(ideal @ discount[: len(ideal)])
        values[i] = float(gains @ discount[: len(gains)]) / top if top > 0 else 0.0
    return values


def columns(folder: Path, name: str) -> dict[str, tuple[int, NDArray[np.float64]]]:
    """Return {recipe: (bytes a vector, nDCG of each judged query)} on one collection."""
    with np.load(folder / "vectors" / f"minilm-{name}" / "vectors.npz") as stored:
        corpus = stored["corpus"].astype(np.float32)
        queries = stored["queries"].astype(np.float32)
        corpus_ids, all_ids = stored["corpus_ids"].tolist(), stored["query_ids"].tolist()
    qrels = vl.measure.read_qrels(folder / "text" / "ir" / name / "qrels" / "test.tsv")
    judged = [i for i, query in enumerate(all_ids) if query in qrels]
    queries, ids = queries[judged], [all_ids[i] for i in judged]
    found = {"float32": (4 * corpus.shape[1], ndcg(queries @ corpus.T, ids, corpus_ids, qrels))}
    for recipe, make in RECIPES.items():
        compressor = make(corpus.shape[1]).fit(corpus)
        scores = compressor.scores(queries, compressor.transform(corpus))
        found[recipe] = (compressor.bytes_per_vector_, ndcg(scores, ids, corpus_ids, qrels))
    return found


def table(folder: Path) -> str:
    """Return the Markdown table over all collections."""
    sets = {name: columns(folder, name) for name in SETS}
    lines = [
        "| code | bytes | smaller | " + " | ".join(SETS) + " | mean |",
        "| --- | --- | --- | " + " --- |" * (len(SETS) + 1),
    ]
    plain = {name: found["float32"][1] for name, found in sets.items()}
    lines.append(
        f"| float32 | {sets[SETS[0]]['float32'][0]} | 1 | "
        + " | ".join(f"{plain[name].mean():.4f}" for name in SETS)
        + " | |"
    )
    for recipe in RECIPES:
        size = sets[SETS[0]][recipe][0]
        cells, means = [], []
        for name in SETS:
            change = 100 * (sets[name][recipe][1] - plain[name]) / plain[name].mean()
            error = change.std() / len(change) ** 0.5
            cells.append(f"{change.mean():+.2f} ± {error:.2f} %")
            means.append(change.mean())
        smaller = sets[SETS[0]]["float32"][0] / size
        lines.append(
            f"| {recipe} | {size} | {smaller:.3g} | {' | '.join(cells)} | {np.mean(means):+.2f} % |"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table; 2 when the data is not there."""
    folder = os.environ.get("VECTORLOOM_DATA")
    if not folder:
        print("set VECTORLOOM_DATA to the folder that holds vectors/ and text/", file=sys.stderr)
        return 2
    print(table(Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
