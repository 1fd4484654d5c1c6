# SPDX-License-Identifier: Apache-2.0
"""Every recipe that `vl.tune` may try, built on all rows: what its race is held to."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.base import Floats, load
from benchmarks.peers.tuned import Goal, Tuned

NAME = "exhaustive"


def tune(base: Floats, queries: Floats, goal: Goal) -> Tuned:
    """Build all, choose as the tuner does, hand out the best."""
    search: Any = load("vectorloom.tune.search")
    finals: Any = load("vectorloom.tune.finals")
    race: Any = load("vectorloom.tune.race")
    goals = search.read_goals(
        recall=goal.recall, ndcg_loss=None, k=goal.k, memory=goal.memory, p95=goal.p95, batch=1,
        minimise=goal.minimise, is_judged=False,
    )  # fmt: skip
    problem = search.read_problem(
        base, queries, None, None, ids=None, query_ids=None, k=goal.k, metric=goal.metric,
        n_jobs=1, random_state=0,
    )  # fmt: skip
    counts = goal.memory is not None or goal.minimise == "memory"
    journal = search.open_journal(None, problem, goals)
    found = finals.Finals()
    sample = problem.whole()
    for recipe in search.candidates(problem, None, counts):
        prospect = race.Prospect(recipe)
        finals._enter(prospect, sample, problem, goals, journal, found, lambda name: None)
    if found.best is None:
        raise LookupError("no recipe reaches the goals")
    index = found.index
    return Tuned(found.best.recipe, lambda q: index.search(q, goal.k).ids, index.nbytes_)
