# SPDX-License-Identifier: Apache-2.0
"""`vl.tune`: the recipe that reaches a goal, built."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.base import Floats, load
from benchmarks.peers.tuned import Goal, Tuned

NAME = "vectorloom tune"
KNOWS_NDCG = True


def tune(base: Floats, queries: Floats, goal: Goal) -> Tuned:
    vl: Any = load("vectorloom")
    judged = goal.judged
    wish: dict[str, Any] = {"recall": goal.recall}
    if judged is not None:
        wish = {"ndcg_loss": 1.0 - goal.recall, "qrels": judged.qrels}
        wish |= {"ids": judged.ids, "query_ids": judged.query_ids}
    plan = vl.tune(
        base,
        queries,
        **wish,
        memory=goal.memory,
        p95=goal.p95,
        minimise=goal.minimise,
        k=goal.k,
        metric=goal.metric,
        n_jobs=1,
        quiet=True,
    )
    index = plan.build(base, n_jobs=1)
    return Tuned(
        str(plan.recipe), lambda asked: index.search(asked, goal.k).ids, index.nbytes_, plan
    )
