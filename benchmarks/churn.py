# SPDX-License-Identifier: Apache-2.0
"""A hundred rounds of change: `python -m benchmarks.churn --rows 100000 --index graph`.

Each round removes a hundredth of the rows and adds as many that were not there, from
`$VECTORLOOM_BENCH_DATA` (base.npy, queries.npy). Printed every ten rounds, and at the end written
to benchmarks/results/churn-<index>.md: recall@10 at the default effort, and at first and last that
of an index built afresh of the same rows, the bytes of one beside the other, and CPU seconds of
change. One thread.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import vectorloom as vl

RESULTS = Path(__file__).parent / "results"
_EVERY = 10


def recall(index: Any, truth: Any, queries: Any) -> float:
    """Of the ten nearest, at the default effort, one query a call."""
    expected = truth.search(queries, 10).ids
    found = [index.search(queries[i : i + 1], 10).ids[0] for i in range(len(queries))]
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(found, expected, strict=True)]))


def main() -> None:
    """Run all rounds and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.churn", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--index", choices=("graph", "ivf"), default="graph")
    parser.add_argument("--queries", type=int, default=500)
    given = parser.parse_args()
    data = Path(os.environ["VECTORLOOM_BENCH_DATA"])
    base = np.load(data / "base.npy", mmap_mode="r")
    queries = np.array(np.load(data / "queries.npy", mmap_mode="r")[: given.queries])
    kind = {"graph": vl.index.Graph, "ivf": vl.index.IVF}[given.index]
    rng = np.random.default_rng(0)
    n, few = given.rows, given.rows // 100
    held, spare = np.arange(n), np.arange(n, len(base))
    index = kind(n_jobs=1).fit(np.array(base[:n]), ids=held)
    lines = [
        f"# {n:,} rows, {given.index}: rounds of 1 % removed and 1 % added",
        "",
        "| round | recall@10 | of a fresh index | bytes / those of a fresh one | s a round |",
        "| --- | --- | --- | --- | --- |",
    ]
    print("\n".join(lines), flush=True)
    took = 0.0
    for number in range(given.rounds + 1):
        if number:
            gone = rng.choice(n, few, replace=False)
            new = rng.choice(len(spare), few, replace=False)
            start = time.process_time()
            index.remove(held[gone])
            index.add(np.array(base[np.sort(spare[new])]), ids=np.sort(spare[new]))
            index.search(queries[:1], 10)  # which rebuilds what is due
            took += time.process_time() - start
            spare[new], held[gone] = held[gone], np.sort(spare[new])
        if number % _EVERY and number != given.rounds:
            continue
        rows = np.array(base[np.sort(held)])
        truth = vl.index.Exact(n_jobs=1).fit(rows, ids=np.sort(held))
        fresh = " | "
        if number in (0, given.rounds):
            built = kind(n_jobs=1).fit(rows, ids=np.sort(held))
            share = index.nbytes_ / built.nbytes_
            fresh = f"{recall(built, truth, queries):.4f} | {share:.3f}"
        own, each = recall(index, truth, queries), took / max(number, 1)
        line = f"| {number} | {own:.4f} | {fresh} | {each:.3f} |"
        lines.append(line)
        print(line, flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"churn-{given.index}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
