# SPDX-License-Identifier: Apache-2.0
"""Tuners beside each other: each goal of a suite asked of each of its sets.

``python -m benchmarks.tune_goals [suite.toml] [--peers NAME ...] [--only SET ...] [--out FOLDER]``
splits the queries of a set in two: one half is given to the tuner, the other was seen by nobody and
judges: its recall or what is kept of the nDCG of exact search, and the time of one query a call on
one thread (CPU time, the least of three turns). The CPU seconds of the tuning are stated beside.
Goals about nDCG are asked of sets with judgments and of tuners that know nDCG. Results are appended
as they come, so that a run goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomllib

from benchmarks.data import FILES
from benchmarks.machine import describe
from benchmarks.peers.base import Floats, Ids
from benchmarks.peers.tuned import Goal, Judged

SUITE = Path(__file__).with_suffix(".toml")
PEERS = ("vectorloom_tune", "faiss_autotune", "autofaiss_tune")
_TIMED = 200
_MOST_QUERIES = 2000


@dataclass(frozen=True)
class Data:
    """One set: rows, queries for the tuner, and queries that nobody saw."""

    rows: Floats
    given: Floats
    fresh: Floats
    judged: Judged | None = None
    fresh_ids: list[str] | None = None


def load_set(spec: dict[str, Any], with_qrels: bool = False) -> Data:
    """Read one set, and split its queries."""
    rng = np.random.default_rng(0)
    home = Path(os.environ.get("VECTORLOOM_DATA", "../shared/data"))
    if with_qrels:
        return load_judged(home, spec)
    queries = None
    if "file" in spec:
        folder = Path(os.environ["VECTORLOOM_BENCH_DATA"])
        rows = np.load(folder / "base.npy", mmap_mode="r")[: spec["rows"]]
        queries = np.load(folder / f"{spec.get('queries', 'queries')}.npy")[:_MOST_QUERIES]
    elif spec.get("set", "").startswith("minilm-"):
        with np.load(home / "vectors" / spec["set"] / "vectors.npz") as arrays:
            rows, queries = arrays["corpus"], arrays["queries"][:_MOST_QUERIES]
    else:
        rows = _whole(home, spec)
    rows = np.ascontiguousarray(rows, np.float32)
    if queries is None:
        order = rng.permutation(len(rows))
        n_out = min(_MOST_QUERIES, len(rows) // 3)
        queries, rows = rows[order[:n_out]], rows[np.sort(order[n_out:])]
    queries = np.ascontiguousarray(queries, np.float32)
    if spec["metric"] == "cosine":
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    order = rng.permutation(len(queries))
    half = len(queries) // 2
    return Data(rows, queries[order[:half]], queries[order[half:]])


def load_judged(home: Path, spec: dict[str, Any]) -> Data:
    """Read a set with judgments; queries without any are left out."""
    import vectorloom as vl

    name = spec["set"].removeprefix("minilm-")
    folder = home / "text" / "ir" / name / "qrels"
    qrels: dict[str, dict[str, int]] = {}
    for part in sorted(folder.glob("*.tsv")):
        qrels.update(vl.measure.read_qrels(part))
    with np.load(home / "vectors" / spec["set"] / "vectors.npz") as arrays:
        rows = np.ascontiguousarray(arrays["corpus"], np.float32)
        queries = np.ascontiguousarray(arrays["queries"], np.float32)
        ids, names = arrays["corpus_ids"].tolist(), arrays["query_ids"].tolist()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    known = np.array([i for i, query in enumerate(names) if query in qrels])
    order = np.random.default_rng(0).permutation(known)[:_MOST_QUERIES]
    given, fresh = order[: len(order) // 2], order[len(order) // 2 :]
    judged = Judged(qrels, ids, [names[i] for i in given])
    return Data(rows, queries[given], queries[fresh], judged, [names[i] for i in fresh])


def _whole(home: Path, spec: dict[str, Any]) -> Floats:
    if "array" in spec:
        with np.load(home / spec["array"]) as arrays:
            return np.asarray(arrays["base" if "base" in arrays.files else "X"], np.float32)
    path, array, _ = FILES[spec["set"]]
    if array is None:
        import vectorloom as vl

        return np.asarray(vl.read(home / path).values, np.float32)
    with np.load(home / path) as arrays:
        return np.asarray(arrays[array], np.float32)


def exact(rows: Floats, queries: Floats, k: int, metric: str) -> tuple[Ids, Any]:
    import vectorloom as vl

    hits = vl.index.Exact(metric, n_jobs=1).fit(rows).search(queries, k)
    return hits.ids, hits.scores


def recall_of(found: Ids, rows: Floats, queries: Floats, truth: Any, metric: str) -> float:
    """Share found; a row as near as the last true one counts."""
    ids, scores = truth
    shares = []
    for i, row in enumerate(found):
        row = row[row >= 0]
        known = np.isin(row, ids[i])
        if metric == "l2":
            own = -np.square(rows[row].astype(np.float64) - queries[i]).sum(axis=1)
        else:
            own = rows[row].astype(np.float64) @ queries[i]
        close = own >= scores[i, -1] - 1e-5 * max(abs(float(scores[i, -1])), 1e-9)
        shares.append(min(1.0, float((known | close).sum()) / ids.shape[1]))
    return float(np.mean(shares))


def seconds_of(search: Any, queries: Floats) -> tuple[float, float]:
    """Mean and 95th percentile of CPU seconds a call, each the least of three turns."""
    asked = [queries[i : i + 1] for i in range(min(_TIMED, len(queries)))]
    best = np.full(len(asked), np.inf)
    for _ in range(3):
        for i, query in enumerate(asked):
            start = time.thread_time()
            search(query)
            best[i] = min(best[i], time.thread_time() - start)
    return float(best.mean()), float(np.quantile(best, 0.95))


def ndcg_of(found: Ids, data: Data, k: int) -> float:
    """nDCG of what was found; a document that is the query itself is no answer."""
    import vectorloom as vl

    assert data.judged is not None
    assert data.fresh_ids is not None
    ids = data.judged.ids
    run = {}
    for query, row in zip(data.fresh_ids, found.tolist(), strict=True):
        names = [ids[at] for at in row if at >= 0 and ids[at] != query][:k]
        run[query] = {name: float(-rank) for rank, name in enumerate(names)}
    qrels = {query: data.judged.qrels[query] for query in data.fresh_ids}
    return float(vl.measure.evaluate_retrieval(qrels, run, metrics=[f"nDCG@{k}"])[f"nDCG@{k}"])


def run_one(peer: Any, spec: dict[str, Any], wish: dict[str, Any], k: int) -> dict[str, Any]:
    """Tune, and judge by queries that nobody saw."""
    data = load_set(spec, "ndcg_loss" in wish)
    rows, given, fresh = data.rows, data.given, data.fresh
    memory = None if "share" not in wish else int(wish["share"] * rows.nbytes)
    smallest = "p95" in wish and memory is None
    quality = wish["recall"] if data.judged is None else 1.0 - wish["ndcg_loss"]
    goal = Goal(
        quality, k, spec["metric"], memory, wish.get("p95"), "memory" if smallest else "time",
        data.judged,
    )  # fmt: skip
    row: dict[str, Any] = {"set": spec["name"], "goal": wish["name"], "tuner": peer.NAME}
    row |= {"rows": len(rows), "dim": rows.shape[1], "memory": memory}
    start = time.process_time()
    try:
        tuned = peer.tune(rows, given, goal)
    except Exception as error:
        return row | {"error": f"{type(error).__name__}: {error}"[:300]}
    row["tuning_cpu_s"] = time.process_time() - start
    truth = exact(rows, fresh, k, spec["metric"])
    found = np.concatenate([tuned.search(fresh[i : i + 64]) for i in range(0, len(fresh), 64)])
    if data.judged is None:
        recall = recall_of(found, rows, fresh, truth, spec["metric"])
    else:
        recall = ndcg_of(found, data, k) / ndcg_of(truth[0], data, k)
    seconds, p95 = seconds_of(tuned.search, fresh)
    kept = recall >= goal.recall and (memory is None or tuned.bytes <= memory)
    kept = kept and (goal.p95 is None or p95 <= goal.p95)
    row |= {"recipe": tuned.name, "recall": recall, "bytes": tuned.bytes, "seconds": seconds}
    return row | {"p95": p95, "kept": kept, "asked": goal.recall}


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line a set and goal, the tuners beside each other."""
    names = list(dict.fromkeys(row["tuner"] for row in rows))
    lines = ["# Goals of tuning, judged by queries that nobody saw", ""]
    lines += ["| set | goal | " + " | ".join(names) + " |", "| --- | --- |" + " --- |" * len(names)]
    for key in dict.fromkeys((row["set"], row["goal"]) for row in rows):
        cells = []
        for name in names:
            mine = [r for r in rows if (r["set"], r["goal"], r["tuner"]) == (*key, name)]
            cells.append(_cell(mine[0]) if mine else "–")
        lines.append(f"| {key[0]} | {key[1]} | " + " | ".join(cells) + " |")
    lines += ["", *(_sum(name, rows) for name in names)]
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"*{row['error'].split(':')[0]}*"
    mark = "" if row["kept"] else " ✗"
    recipe = row["recipe"].replace("|", "\\|")
    return (
        f"`{recipe}` {row['recall']:.3f}{mark}, {1e6 * row['seconds']:.0f} µs, "
        f"{row['bytes'] / 2**20:.1f} MiB"
    )


def _sum(name: str, rows: list[dict[str, Any]]) -> str:
    mine = [row for row in rows if row["tuner"] == name]
    done = [row for row in mine if "error" not in row]
    kept = sum(row["kept"] for row in done)
    cost = sum(row["tuning_cpu_s"] for row in done)
    return (
        f"- {name}: promise kept in {kept} of {len(mine)}, {len(mine) - len(done)} refused; "
        f"{cost / max(1, len(done)):.0f} CPU seconds a tuning."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", nargs="?", type=Path, default=SUITE)
    parser.add_argument("--peers", nargs="+", default=PEERS)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--goals", nargs="+", type=int)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    suite = tomllib.loads(given.suite.read_text(encoding="utf-8"))
    path = given.out / f"tune-{given.suite.stem.removeprefix('tune_')}.json"
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": []}
    rows = held["rows"]
    peers = {name: importlib.import_module(f"benchmarks.peers.{name}") for name in given.peers}
    for spec in suite["data"]:
        if given.only and spec["name"] not in given.only:
            continue
        for number, wish in enumerate(suite["goals"]):
            if given.goals and number not in given.goals:
                continue
            if "ndcg_loss" in wish and not spec.get("judged"):
                continue
            for peer in peers.values():
                if "ndcg_loss" in wish and not getattr(peer, "KNOWS_NDCG", False):
                    continue
                key = (spec["name"], wish["name"], peer.NAME)
                if any((r["set"], r["goal"], r["tuner"]) == key for r in rows):
                    continue
                row = run_one(peer, spec, wish, suite["k"])
                rows.append(row)
                print(key, row.get("error") or _cell(row), flush=True)
                document = {"machine": describe(), "rows": rows}
                path.write_text(json.dumps(document, indent=1, default=str), encoding="utf-8")
                path.with_suffix(".md").write_text(table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
