# SPDX-License-Identifier: Apache-2.0
"""The collections of the multi-vector tables, read from ``$VECTORLOOM_TOKENS``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.io.beir import read_beir

Flat = tuple[NDArray[np.float32], NDArray[np.int64]]
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Side:
    """Documents or queries: token vectors, one mean vector each, ids and texts."""

    tokens: Flat
    dense: NDArray[np.float32]
    ids: list[str]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def first(self, n: int) -> Side:
        """Return the first n items."""
        values, offsets = self.tokens
        kept = offsets[: n + 1]
        return Side((values[: kept[-1]], kept), self.dense[:n], self.ids[:n], self.texts[:n])


@dataclass(frozen=True, eq=False)
class Collection:
    """One collection with its judgments."""

    name: str
    docs: Side
    queries: Side
    qrels: dict[str, dict[str, int]]


def load(name: str, most_queries: int | None = None) -> Collection:
    """Return a collection; its queries are the first `most_queries` judged ones."""
    folder = Path(os.environ.get("VECTORLOOM_TOKENS", ""), name)
    if not os.environ.get("VECTORLOOM_TOKENS") or not folder.is_dir():
        raise SystemExit(
            f"{folder}: no token vectors. Make them with benchmarks/multivector/make_tokens.py and "
            "set VECTORLOOM_TOKENS to their folder."
        )
    docs, queries = (_side(folder, side) for side in ("docs", "queries"))
    if most_queries is not None and most_queries < len(queries):
        queries = queries.first(most_queries)
    judged = read_beir(Path(os.environ["VECTORLOOM_DATA"]) / "text" / "ir" / name).qrels
    qrels = {query: judged[query] for query in queries.ids if query in judged}
    return Collection(name, docs, queries, qrels)


def train_queries(name: str) -> tuple[Side, dict[str, dict[str, int]]] | None:
    """Return training queries and their judgments; None where there are no token vectors of any."""
    folder = Path(os.environ["VECTORLOOM_TOKENS"], name)
    if not (folder / "train_queries.json").exists():
        return None
    data = Path(os.environ["VECTORLOOM_DATA"]) / "text" / "ir" / name
    return _side(folder, "train_queries"), read_beir(data, split="train").qrels


def _side(folder: Path, side: str) -> Side:
    values = np.load(folder / f"{side}_values.npy").astype(np.float32)
    offsets = np.load(folder / f"{side}_offsets.npy").astype(np.int64)
    texts = json.loads((folder / f"{side}.json").read_text())
    return Side((values, offsets), np.load(folder / f"{side}_dense.npy"), **texts)


def cpu_seconds(job: Callable[[], _T], rounds: int = 3) -> tuple[float, _T]:
    """Return the least CPU seconds of this thread over rounds, and what the job returned."""
    best = float("inf")
    for _ in range(rounds):
        start = time.thread_time()
        result = job()
        best = min(best, time.thread_time() - start)
    return best, result


def overlap(found: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the mean share of the true ids that were found."""
    shares = [len(set(a) & set(b)) / len(b) for a, b in zip(found, truth, strict=True)]
    return float(np.mean(shares))
