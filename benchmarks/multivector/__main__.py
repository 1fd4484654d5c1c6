# SPDX-License-Identifier: Apache-2.0
"""Tables of late interaction and hybrid retrieval.

``python -m benchmarks.multivector WHAT SET... [--queries N] [--rounds N] [--plaid PYTHON]`` with
WHAT one of exact, muvera, smaller, learned, views, layers, disk and hybrid measures collections
below ``$VECTORLOOM_TOKENS`` (``make_tokens``) and ``$VECTORLOOM_DATA`` on one thread (set
OMP_NUM_THREADS=1). Each set's result replaces that of an earlier run in ``results/multivector-
WHAT.json`` (``--out`` names another folder), and the table beside it is written anew. Times are CPU
time of one thread, the least of some rounds in turns, but for disk, which has those of the clock.
``--plaid`` names the Python of an environment with pylate, which muvera then runs on the same
vectors, or the JSON that ``plaid_worker.py`` wrote for the set before. ``--vectors`` has learned
measure these numbers of vectors a document alone.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.multivector import disk, exact, hybrid, layers, learned, muvera, smaller, views
from benchmarks.multivector.tokens import load

RESULTS = Path(__file__).resolve().parents[1] / "results"
TITLES = {
    "exact": "Exact MaxSim, all documents, best 10",
    "muvera": "MUVERA candidates and exact scores",
    "smaller": "Fewer and smaller token vectors",
    "learned": "Few vectors a document, learned from judged queries",
    "views": "Views of a document, queries of one vector",
    "layers": "Layers of a model as vectors of a document",
    "disk": "Two stages, vectors on disk",
    "hybrid": "Words, one vector, many vectors, and fusions",
}


def main() -> None:
    """Measure what the command line names and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.multivector", description=__doc__)
    parser.add_argument("what", choices=sorted(TITLES))
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--queries", type=int)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--plaid")
    parser.add_argument("--vectors", type=int, nargs="+")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    for name in chosen.sets:
        collection = load(name, chosen.queries)
        if chosen.what == "exact":
            result = exact.measure(collection, chosen.rounds)
        elif chosen.what == "muvera":
            peer = plaid_of(chosen.plaid, name, len(collection.queries)) if chosen.plaid else None
            result = muvera.measure(collection, peer)
        elif chosen.what == "disk":
            result = disk.measure(collection)
        elif chosen.what == "smaller":
            result = smaller.measure(collection)
        elif chosen.what == "views":
            result = views.measure(collection)
        elif chosen.what == "layers":
            result = layers.measure(collection)
        elif chosen.what == "learned":
            result = learned.measure(collection, tuple(chosen.vectors) if chosen.vectors else None)
        else:
            result = hybrid.measure(collection)
        keep(chosen.what, result, chosen.out)


def plaid_of(where: str, name: str, n_queries: int) -> dict[str, Any]:
    """Return PLAID's results, from a file or by running it."""
    if not where.endswith(".json"):
        return run_plaid(where, name, n_queries)
    found: dict[str, Any] = json.loads(Path(where).read_text())
    return found


def run_plaid(python: str, name: str, n_queries: int) -> dict[str, Any]:
    """Return the results of `plaid_worker` under another Python."""
    import os

    folder = Path(os.environ["VECTORLOOM_TOKENS"]) / name
    worker = Path(__file__).with_name("plaid_worker.py")
    with tempfile.TemporaryDirectory() as where:
        out = Path(where) / "plaid.json"
        command = [python, str(worker), str(folder), str(n_queries), str(muvera.K), str(out)]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        subprocess.run(command, check=True, env=environment)
        found: dict[str, Any] = json.loads(out.read_text())
    return found


def keep(what: str, result: dict[str, Any], out: Path = RESULTS) -> None:
    """Add one result to the file of its kind and write the table."""
    path = out / f"multivector-{what}.json"
    held: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"sets": {}}
    held["sets"][result["set"]] = result | {"machine": describe()}
    path.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n")
    lines = [f"# {TITLES[what]}", "", *tables(what, held["sets"]), ""]
    path.with_suffix(".md").write_text("\n".join(lines))


def tables(what: str, sets: dict[str, Any]) -> list[str]:
    """Return the Markdown of all sets."""
    if what == "exact":
        return exact_table(sets)
    if what == "hybrid":
        return hybrid_table(sets)
    if what == "disk":
        return disk_table(sets)
    if what == "layers":
        return layers_table(sets)
    one = {"muvera": muvera_tables, "learned": learned_tables, "views": views_tables}.get(
        what, smaller_tables
    )
    return [line for name in sorted(sets) for line in one(sets[name])]


def rows_of(head: list[str], body: Iterable[list[Any]]) -> list[str]:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]


def exact_table(sets: dict[str, Any]) -> list[str]:
    """Milliseconds a query of each way, and how many times ours."""
    body = []
    for name in sorted(sets):
        result = sets[name]
        ours = result["ms_a_query"]["vectorloom"]
        cells = [
            f"{took} ({took / ours:.1f}×)" if way != "vectorloom" else took
            for way, took in ((way, result["ms_a_query"][way]) for way in exact.WAYS)
        ]
        size = [name, result["documents"], result["vectors"], result["vectors_a_query"]]
        body.append([*size, *cells, result["agree"]["torch bfloat16"]])
    head = ["set", "documents", "vectors", "vectors a query"]
    head += [f"{way}, ms" for way in exact.WAYS]
    return rows_of([*head, "bfloat16 finds of the best 10"], body)


def disk_table(sets: dict[str, Any]) -> list[str]:
    """Milliseconds of the clock from memory and from disk."""
    ways = list(dict.fromkeys(way for r in sets.values() for way in r["ms_a_query"]))
    body = [
        [name, r["queries"], r["candidates"], r["mib_first_stage"], r["mib"]]
        + [r["ms_a_query"].get(way, "") for way in ways]
        for name, r in sorted(sets.items())
    ]
    head = ["set", "queries", "candidates", "MiB of the first stage", "MiB in all"]
    return rows_of([*head, *(f"ms a query, {way}" for way in ways)], body)


def muvera_tables(result: dict[str, Any]) -> list[str]:
    """Recall and time by candidates, candidates needed, and PLAID."""
    lines = [f"## {result['set']}: {result['documents']} documents, {result['queries']} queries"]
    for way in muvera.WAYS:
        built = f"built in {result['build_s'][way]} s, {result['mib'][way]} MiB in all (float16)."
        lines += ["", f"{way}: {built}"]
    lines.append("")
    body: list[list[Any]] = [
        [f"{way}, {r['candidates']} candidates", r["recall"], r["ms_a_query"], r["ndcg"]]
        for way in muvera.WAYS
        for r in result["curves"][way]
    ]
    body.append(["exact", 1.0, result["exact"]["ms_a_query"], result["exact"]["ndcg"]])
    for r in result.get("plaid", {}).get("settings", []):
        body.append([f"PLAID, {r['setting']}", "", r["ms_a_query"], r["ndcg"]])
    lines += rows_of(["way", "of the exact best 10", "ms a query", "nDCG@10"], body)
    if "plaid" in result:
        lines += ["", f"PLAID ({result['plaid']['which']}): built in "]
        lines[-1] += f"{result['plaid']['build_s']} s, {result['plaid']['mib']} MiB on disk."
        lines += ["", *beside_plaid(result)]
    ways = (*muvera.WAYS, "single vectors")
    needed = [[k, *(v[way] for way in ways)] for k, v in result["needed"].items()]
    head = ["share of the best 10", *(f"candidates, {way}" for way in ways)]
    return [*lines, "", *rows_of(head, needed), ""]


def beside_plaid(result: dict[str, Any]) -> list[str]:
    """Say of each of PLAID's settings how much faster we reach its nDCG@10."""
    ours = [(r["ndcg"], r["ms_a_query"]) for way in muvera.WAYS for r in result["curves"][way]]
    ours.append((result["exact"]["ndcg"], result["exact"]["ms_a_query"]))
    lines = []
    for peer in result["plaid"]["settings"]:
        enough = [took for ndcg, took in ours if ndcg >= peer["ndcg"]]
        times = f"{peer['ms_a_query'] / min(enough):.1f}×" if enough else "not reached"
        lines.append(f"- nDCG@10 of {peer['setting']} ({peer['ndcg']:.4f}): {times}")
    return ["Queries a second of the fastest way that reaches PLAID's nDCG@10:", "", *lines]


def smaller_tables(result: dict[str, Any]) -> list[str]:
    """Bytes and nDCG@10 of each way."""
    body = [
        [
            r["way"],
            r["vectors"],
            r["bytes_a_vector"],
            f"{r['smaller']}×",
            r["ndcg"],
            f"{r['change_percent']:+.1f} %",
        ]
        for r in result["rows"]
    ]
    head = ["way", "vectors", "bytes a vector", "smaller", "nDCG@10", "change"]
    return [f"## {result['set']}, {result['queries']} queries", "", *rows_of(head, body), ""]


def views_tables(result: dict[str, Any]) -> list[str]:
    """nDCG@10 and collapse of each way and number of views."""
    body = [
        [r["way"], r["views"], f"{r['ndcg']:.4f}", f"{r['collapse']:.3f}"] for r in result["rows"]
    ]
    said = f"{result['queries']} queries, taught by {result['taught_by']}"
    head = ["way", "views", "nDCG@10", "collapse"]
    return [f"## {result['set']}: {said}", "", *rows_of(head, body), ""]


def layers_table(sets: dict[str, Any]) -> list[str]:
    """nDCG@10 of each subset of layers and strategy, the best of the first set first."""
    names = sorted(sets)
    found = [
        {(str(row["layers"]), row["strategy"]): row["quality"] for row in sets[name]["rows"]}
        for name in names
    ]
    body = [
        [*way, *(f"{each[way]:.4f}" for each in found)]
        for way in sorted(found[0], key=lambda way: -sum(each[way] for each in found))
    ]
    asked = [f"{name}, {sets[name]['queries']} queries" for name in names]
    return rows_of(["layers", "strategy", *asked], body)


def learned_tables(result: dict[str, Any]) -> list[str]:
    """nDCG@10 of each way by vectors a document."""
    sizes = [str(k) for k in learned.BUDGETS]
    body = [[way, *(row.get(k, "") for k in sizes)] for way, row in result["ways"].items()]
    said = f"{result['queries']} queries, taught by {result['taught_by']}; all "
    said += f"{result['vectors_an_item']} vectors a document: {result['whole']}"
    head = ["nDCG@10", *(f"{k} vectors" for k in sizes)]
    return [f"## {result['set']}: {said}", "", *rows_of(head, body), ""]


def hybrid_table(sets: dict[str, Any]) -> list[str]:
    """nDCG@10 of legs and fusions, their means, and what is significant."""
    names = sorted(sets)
    ways = sorted(shared(sets, "ndcg"), key=lambda way: (way not in hybrid.LEGS, way))
    body = []
    for way in ways:
        values = [sets[name]["ndcg"][way] for name in names]
        marked = [
            f"{value:.3f}{mark(sets[name], way)}" for name, value in zip(names, values, strict=True)
        ]
        body.append([way, *marked, f"{sum(values) / len(values):.4f}"])
    lines = rows_of(["nDCG@10", *names, "mean"], body)
    note = "+ and -: better or worse than the set's best leg with p < 0.05 (paired randomization)."
    lines += ["", note, "", *over_all(sets), ""]
    for name in names:
        lines += [f"## {name}: against {sets[name]['best_leg']}", ""]
        lines += rows_of(["way", "difference"], map(list, sets[name]["against_best_leg"].items()))
        lines += [""]
    return lines


def shared(sets: dict[str, Any], what: str) -> set[str]:
    """Return the ways that all sets were measured with."""
    return set.intersection(*(set(result[what]) for result in sets.values()))


def over_all(sets: dict[str, Any]) -> list[str]:
    """The mean over sets of a way's difference from each set's best leg, with its error.

    The error is that of a mean of independent sets, each known from its bootstrap interval.
    """
    body = []
    for way in sorted(shared(sets, "against_best_leg")):
        numbers = [
            [float(x) for x in re.findall(r"[+-]\d\.\d+", result["against_best_leg"][way])[:3]]
            for result in sets.values()
        ]
        mean = sum(each[0] for each in numbers) / len(numbers)
        error = math.sqrt(sum(((high - low) / 3.92) ** 2 for _, low, high in numbers)) / len(
            numbers
        )
        p_value = math.erfc(abs(mean) / error / math.sqrt(2))
        body.append([way, f"{mean:+.4f} ± {1.96 * error:.4f}", f"{p_value:.3f}"])
    head = ["against the best leg of each set", "mean difference, 95 %", "p"]
    return rows_of(head, body)


def mark(result: dict[str, Any], way: str) -> str:
    """Return a sign where a way differs significantly from the best leg."""
    text = result["against_best_leg"].get(way, "")
    if "p = " not in text or float(text.split("p = ")[1].split(";")[0]) >= 0.05:
        return ""
    return " +" if result["ndcg"][way] > result["ndcg"][result["best_leg"]] else " -"


if __name__ == "__main__":
    main()
