# SPDX-License-Identifier: Apache-2.0
"""The end of the demo: measure the vectors, tune a pipeline for them, build it, search with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vectorloom.demo.result import TunedStep
from vectorloom.tune.plan import said
from vectorloom.tune.search import tune

RECALL = 0.95
PAGE = "tune.html"
INDEX = "index.vl"
_TIME_LIMIT = 30.0
_FEWEST_QUERIES = 50
# Few enough that the whole demo stays within a minute.
_RECIPES = (
    "float32 | scan",
    "int8 | scan",
    "int8 | ivf",
    "float16 | graph:32",
    "rabitq:4 | scan | rerank:int8",
)


def tune_step(
    vectors: NDArray[np.float32],
    asked: NDArray[np.float32],
    questions: NDArray[np.float32],
    ids: Sequence[str],
    folder: Path,
    *,
    n_jobs: int,
    random_state: int,
    quiet: bool | None,
) -> TunedStep:
    """Measure, tune, build, save and search; write ``tune.html`` and ``index.vl``.

    Parameters
    ----------
    vectors : ndarray of shape (n, dim), float32
        Of the passages.
    asked : ndarray of shape (m, dim), float32
        Queries to tune with; where there are fewer than 50, passages serve.
    questions : ndarray of shape (q, dim), float32
        The user's, none of them zero.
    ids : sequence of str
        Of the passages.
    folder : Path
    n_jobs, random_state, quiet
        As in `run_demo`.

    Returns
    -------
    TunedStep
    """
    from vectorloom.measure.card import report

    card = report(vectors, metric="cosine", sample=5000, random_state=random_state, n_jobs=n_jobs)
    plan = tune(
        vectors,
        asked if len(asked) >= _FEWEST_QUERIES else None,
        recall=RECALL,
        recipes=list(_RECIPES),
        n_finalists=2,
        time_limit=_TIME_LIMIT,
        n_jobs=n_jobs,
        random_state=random_state,
        quiet=quiet,
    )
    plan.report(folder / PAGE)
    index = plan.build(vectors, ids=list(ids), n_jobs=n_jobs)
    index.save(folder / INDEX)
    share = 1.0
    if len(questions):
        found = index.search(questions, k=10).ids
        truth = index.search(questions, k=10, exact=True).ids
        share = float(np.mean([np.isin(a, b).mean() for a, b in zip(found, truth, strict=True)]))
    return TunedStep(
        advice=list(card.advice[:3]),
        recipe=str(plan.recipe),
        said=said(plan.point, plan.goals),
        why=plan.why.splitlines(),
        page=str(folder / PAGE),
        index=str(folder / INDEX),
        n_questions=len(questions),
        found_of_exact=share,
    )
