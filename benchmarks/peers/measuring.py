# SPDX-License-Identifier: Apache-2.0
"""CPU seconds of one measurement, by us or by another library, on the same generated data.

Jobs: ``mle`` and ``twonn`` (intrinsic dimension of 4,000 rows of 64 dimensions, at all of them),
``retrieval`` (nDCG@10, AP and recall@100 of 1,000 queries with 100 answers each), ``analogies``
(3CosAdd, 1,000 questions over 10,000 words of 50 dimensions). The value is the least of three runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.base import Facts, GaugePeer

_RUNS = 3
_PACKAGES = {
    "vectorloom": "vectorloom",
    "skdim": "scikit-dimension",
    "pytrec_eval": "pytrec-eval-terrier",
    "ir_measures": "ir-measures",
    "gensim": "gensim",
}


class Peer(GaugePeer):
    """``job`` is what is measured, ``by`` the library that does it."""

    unit = "s"

    def __init__(self, *, threads: int, metric: str, job: str, by: str) -> None:
        del metric
        self.package = _PACKAGES[by]
        self.run = _JOBS[job](by, threads)
        self.last: Any = None

    def measure(self) -> float:
        best = float("inf")
        for _ in range(_RUNS):
            began = time.process_time()
            self.last = self.run()
            best = min(best, time.process_time() - began)
        return best

    def facts(self) -> Facts:
        found = {} if self.last is None else {"result": float(self.last)}
        return Facts([self.package], detail=found)


def _dimension(method: str) -> Callable[[str, int], Callable[[], float]]:
    def job(by: str, threads: int) -> Callable[[], float]:
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((4000, 6)) @ rng.standard_normal((6, 64))
        rows = (rows + 0.01 * rng.standard_normal(rows.shape)).astype(np.float32)
        if by == "vectorloom":
            import vectorloom as vl

            return lambda: float(
                vl.measure.intrinsic_dimension(rows, method, sample=None, n_jobs=threads)
            )
        import skdim.id

        wide = rows.astype(np.float64)
        if method == "twonn":
            return lambda: float(skdim.id.TwoNN().fit(wide).dimension_)
        return lambda: float(skdim.id.MLE().fit(wide, n_neighbors=20, comb="mle").dimension_)

    return job


def _retrieval(by: str, threads: int) -> Callable[[], float]:
    del threads
    rng = np.random.default_rng(0)
    qrels = {
        f"q{i}": {
            f"d{d}": int(g)
            for d, g in zip(rng.choice(500, 30), rng.integers(0, 3, 30), strict=True)
        }
        for i in range(1000)
    }
    run = {
        f"q{i}": {
            f"d{d}": float(s)
            for d, s in zip(rng.choice(500, 100, False), rng.random(100), strict=True)
        }
        for i in range(1000)
    }
    if by == "vectorloom":
        import vectorloom as vl

        names = ["nDCG@10", "MAP", "recall@100"]
        return lambda: vl.measure.evaluate_retrieval(qrels, run, names)["nDCG@10"]
    if by == "pytrec_eval":
        import pytrec_eval

        wanted = {"ndcg_cut.10", "map", "recall.100"}
        return lambda: float(
            np.mean(
                [
                    row["ndcg_cut_10"]
                    for row in pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(run).values()
                ]
            )
        )
    import ir_measures
    from ir_measures import AP, R, nDCG

    return lambda: float(
        ir_measures.calc_aggregate([nDCG @ 10, AP, R @ 100], qrels, run)[nDCG @ 10]
    )


def _analogies(by: str, threads: int) -> Callable[[], float]:
    del threads
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(10_000)]
    rows = rng.standard_normal((len(words), 50)).astype(np.float32)
    asked = [tuple(words[i] for i in rng.choice(10_000, 4, False)) for _ in range(1000)]
    if by == "vectorloom":
        import vectorloom as vl

        return lambda: vl.measure.analogies(words, rows, {"all": asked}).share
    import tempfile

    from gensim.models import KeyedVectors

    table = KeyedVectors(50)
    table.add_vectors(words, rows)
    file = tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False)  # noqa: SIM115
    with file:
        file.write(": all\n" + "\n".join(" ".join(row) for row in asked) + "\n")
    return lambda: float(table.evaluate_word_analogies(file.name, case_insensitive=False)[0])


_JOBS: dict[str, Callable[[str, int], Callable[[], float]]] = {
    "mle": _dimension("mle"),
    "twonn": _dimension("twonn"),
    "retrieval": _retrieval,
    "analogies": _analogies,
}
