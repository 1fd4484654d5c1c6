# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.store [STORE …] [--rows N] [--out FOLDER]``: see benchmarks/README.md.

A store whose package is not installed here is looked for in the interpreter that
``VECTORLOOM_STORE_PYTHON`` names, and left out, with a word, where it is not there either.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.store.report import page
from benchmarks.store.stores import STORES, K
from benchmarks.store.worker import TAG, TAGS

HERE = Path(__file__).parent
FLOOR = 0.95


def truths(rows: Any, queries: Any, path: Path) -> None:
    tagged = np.arange(TAG, len(rows), TAGS)
    some = np.asarray(rows[tagged], np.float64)
    wide = queries.astype(np.float64)
    near = np.argsort(-(wide @ some.T), axis=1, kind="stable")[:, :K]
    scores = np.concatenate(
        [
            wide @ np.asarray(rows[i : i + 10_000], np.float64).T
            for i in range(0, len(rows), 10_000)
        ],
        axis=1,
    )
    top = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    np.savez(path, all=top, tag=tagged[near])


def python_of(store: str) -> str | None:
    package = STORES[store].__name__.lower()
    module = {"chroma": "chromadb", "qdrant": "qdrant_client", "milvuslite": "pymilvus"}
    name = "vectorloom" if package.startswith("vectorloom") else module.get(package, package)
    for python in (sys.executable, os.environ.get("VECTORLOOM_STORE_PYTHON")):
        if (
            python
            and not subprocess.run(
                [python, "-c", f"import importlib.util as u; assert u.find_spec({name!r})"],
                capture_output=True,
                check=False,
            ).returncode
        ):
            return python
    return None


def run(python: str, job: dict[str, Any], home: Path) -> dict[str, Any]:
    file = home / "job.json"
    file.write_text(json.dumps(job))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"),
                            str(job["jobs"]))  # fmt: skip
    own = os.environ | threads | {"VECTORLOOM_PROGRESS": "off"}
    own.pop("PYTHONDONTWRITEBYTECODE", None)  # opening is timed with its imports
    if python != sys.executable:
        own.pop("PYTHONPATH", None)  # it is this interpreter's
    done = subprocess.run(
        [python, str(HERE / "worker.py"), str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=job["limit_s"],
        env=own,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1][:300] if done.stderr else "died")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def measured(store: str, python: str, given: dict[str, Any], home: Path) -> dict[str, Any]:
    folder = home / store
    job = given | {"store": store, "folder": str(folder)}
    try:
        filled = run(python, job | {"step": "fill"}, home)
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        asked = run(python, job | {"step": "ask"}, home)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return {"store": store, "failed": str(error)[:300]}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"store": store, "bytes": size, **filled, **asked}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("stores", nargs="*", default=list(STORES), metavar="STORE")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument(
        "--limit", type=float, default=7200.0, help="seconds of a step; slower stores are left out"
    )
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    data = Path(os.environ["VECTORLOOM_BENCH_DATA"])
    rows = np.load(data / "base.npy", mmap_mode="r")[: given.rows]
    results = []
    with tempfile.TemporaryDirectory(prefix="vectorloom-stores-") as name:
        home = Path(name)
        queries = np.load(data / "queries.npy")[: given.queries].astype(np.float32)
        np.save(home / "queries.npy", queries)
        truths(rows, queries, home / "truth.npz")
        job = {"rows": str(data / "base.npy"), "n": len(rows), "dim": rows.shape[1],
               "queries": str(home / "queries.npy"), "truth": str(home / "truth.npz"),
               "floor": FLOOR, "jobs": given.jobs, "limit_s": given.limit}  # fmt: skip
        for store in given.stores:
            python = python_of(store)
            result = {"store": store, "failed": "not installed"}
            if python is not None:
                result = measured(store, python, job, home)
            print(json.dumps(result), flush=True)
            results.append(result)
    whole = {"rows": len(rows), "dim": rows.shape[1], "queries": len(queries), "floor": FLOOR,
             "jobs": given.jobs, "machine": machine.describe(), "results": results}  # fmt: skip
    text = page(whole)
    print(text)
    if given.out:
        (given.out / "store.json").write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
        (given.out / "store.md").write_text(text)
    return int(any("failed" in r and r["failed"] != "not installed" for r in results))


if __name__ == "__main__":
    sys.exit(main())
