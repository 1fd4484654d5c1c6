# SPDX-License-Identifier: Apache-2.0
"""Goals of an "ann" suite: the best of ours beside the best of the peers, at equal recall.

``of = "speed@0.95"``: queries/s; ``"build@0.95"`` and ``"bytes@0.95"``: seconds to build and bytes
on disk, among the methods that reach that recall; ``"default-recall"``: without any setting.
``against`` names the peers, by default all but vectorloom's own.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.ann.run import AnnRow
from benchmarks.runner import Result, median
from benchmarks.suite import Goal

OWN = "vectorloom*"


def judged(result: Result) -> list[dict[str, Any]]:
    """Each goal with what was reached and whether that is enough."""
    found = []
    for goal in result.suite.goals:
        got = _reached(result, goal)
        enough = got is not None and (got <= goal.at_most if goal.at_most else got >= goal.at_least)
        verdict = "no result" if got is None else "met" if enough else "missed"
        found.append(
            {
                "method": goal.method,
                "of": goal.of,
                "against": goal.against,
                "at_least": goal.at_least,
                "at_most": goal.at_most,
                "level": goal.level,
                "got": got,
                "verdict": verdict,
            }
        )
    return found


def _reached(result: Result, goal: Goal) -> float | None:
    rows = [row for row in result.rows if isinstance(row, AnnRow) and row.is_alive()]
    ours = [row for row in rows if fnmatch.fnmatch(row.method.name, goal.method)]
    theirs = [row for row in rows if _is_peer(row, goal.against)]
    if goal.of == "default-recall":
        return max((row.defaults.recall for row in ours if row.defaults), default=None)
    what, _, target = goal.of.partition("@")
    if what == "speed":
        return speed_ratio(ours, theirs, float(target))
    cost = {"build": _build, "bytes": _bytes}[what]
    mine, best = (_least(side, float(target), cost) for side in (ours, theirs))
    if mine is None or best is None:
        return None
    return best / mine if what == "build" else mine / best


def speed_ratio(ours: Sequence[AnnRow], theirs: Sequence[AnnRow], target: float) -> float | None:
    """How many times as fast the best of ours is: the median over rounds, each beside its own."""
    mine, best = (_fastest(side, target) for side in (ours, theirs))
    if mine is None or best is None:
        return None
    pairs = zip(best, mine, strict=False)
    return median([their_time / our_time for their_time, our_time in pairs])


def _fastest(rows: Sequence[AnnRow], target: float) -> list[float] | None:
    times = [point.seconds() for point in (row.at(target) for row in rows) if point]
    return min(times, key=median, default=None)


def _least(rows: Sequence[AnnRow], target: float, cost: Callable[[AnnRow], float]) -> float | None:
    return min((cost(row) for row in rows if row.at(target)), default=None)


def _build(row: AnnRow) -> float:
    return float(row.built["build_s"])


def _bytes(row: AnnRow) -> float:
    return float(row.built["disk_bytes"])


def _is_peer(row: AnnRow, against: str) -> bool:
    name = row.method.name
    return fnmatch.fnmatch(name, against) if against else not fnmatch.fnmatch(name, OWN)
