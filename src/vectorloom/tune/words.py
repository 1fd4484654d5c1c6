# SPDX-License-Identifier: Apache-2.0
"""Why a recipe was chosen, and which goal to relax where none can be, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vectorloom.readable import format_bytes
from vectorloom.tune.goals import Goals, format_time
from vectorloom.tune.measuring import Point

#: A brute-force search within so much of the best is preferred in words.
_NEAR = 1.25


def reasons(
    best: Point,
    measured: Sequence[Point],
    brute: Point | None,
    goals: Goals,
    notes: Sequence[str],
    is_cut: bool,
) -> str:
    """Return why, one sentence a line.

    Parameters
    ----------
    best : Point
    measured : sequence of Point
        On all rows.
    brute : Point or None
        Exact search of float32 rows.
    goals : Goals
    notes : sequence of str
        What else to say.
    is_cut : bool
        Whether the time limit ended it.

    Returns
    -------
    str
    """
    wish = {"time": "fastest", "memory": "smallest", "build": "quickest to build"}[goals.minimise]
    lines = [
        f"It is the {wish} of {_recipes(measured)} measured on all {best.n:,} rows that "
        f"reaches the goals: {goals.words.partition(';')[0]}."
    ]
    if best.low < best.high:
        lines.append(
            f"The goal is held by the lower end of the interval, {best.low:.4f} from "
            f"{best.n_queries:,} queries that chose nothing."
        )
    if is_cut:
        lines.append("The time limit ended it before all were measured: more time may find better.")
    if brute is not None and not (is_cut and best.recipe == brute.recipe):
        lines.append(_beside_brute(best, brute, goals))
    second = _second(best, measured, goals)
    if second is not None:
        lines.append(f"Next is {second.recipe}: {_compared(second, best)}.")
    return "\n".join([*lines, *notes])


def _recipes(points: Sequence[Point]) -> str:
    count = len({(p.bytes, p.build_s) for p in points})
    return "one index" if count == 1 else f"{count} indexes"


def _beside_brute(best: Point, brute: Point, goals: Goals) -> str:
    if best.recipe == brute.recipe:
        return (
            f"Brute force wins: an exact search takes {format_time(best.seconds)}, and nothing "
            "measured that gives up exactness is better by the goals."
        )
    is_about_time = goals.minimise == "time"
    if is_about_time and brute.meets(goals) and brute.seconds <= _NEAR * best.seconds:
        return (
            f"An exact search ({brute.recipe}) takes {format_time(brute.seconds)} and misses "
            f"nothing: for {brute.seconds / best.seconds:.2f} times the time it is the simpler "
            "choice."
        )
    return (
        f"Beside exact search ({brute.recipe}: {format_time(brute.seconds)}, "
        f"{format_bytes(brute.bytes)}) it takes {best.seconds / brute.seconds:.2f} of the time and "
        f"{best.bytes / brute.bytes:.2f} of the bytes."
    )


def _second(best: Point, measured: Sequence[Point], goals: Goals) -> Point | None:
    def built(point: Point) -> tuple[int, float]:
        return point.bytes, point.build_s

    good = [p for p in measured if p.meets(goals) and built(p) != built(best)]
    return min(good, key=lambda p: p.cost(goals), default=None)


def _compared(other: Point, best: Point) -> str:
    return (
        f"{other.seconds / best.seconds:.2f} times the time, {other.bytes / best.bytes:.2f} times "
        "the bytes"
    )


def relaxations(points: Sequence[Point], goals: Goals) -> dict[str, float]:
    """Return to what each goal must be relaxed, the others left as they are.

    Parameters
    ----------
    points : sequence of Point
    goals : Goals

    Returns
    -------
    dict of str to float
        "memory" in bytes, "p95" in seconds, and "recall" or "ndcg_loss"; a goal that no relaxing
        of alone helps is missing.
    """
    fits = [p for p in points if goals.memory is None or p.bytes <= goals.memory]
    quick = [p for p in points if goals.p95 is None or p.p95_high <= goals.p95]
    good = [p for p in points if p.quality_met(goals)]
    found: dict[str, float] = {}
    both = [p for p in quick if p in good]
    if goals.memory is not None and both:
        found["memory"] = float(min(p.bytes for p in both))
    both = [p for p in fits if p in good]
    if goals.p95 is not None and both:
        found["p95"] = min(p.p95_high for p in both)
    both = [p for p in fits if p in quick]
    if both:
        found |= _quality_of(max(both, key=lambda p: p.low), goals)
    return found


def relaxed_together(points: Sequence[Point], goals: Goals) -> dict[str, float]:
    """Return to what several goals must be relaxed at once, where no single one helps.

    Parameters
    ----------
    points : sequence of Point
        At least one.
    goals : Goals

    Returns
    -------
    dict of str to float
        As of `relaxations`: what the point takes that misses bytes and time by the least factor.
    """
    memory, p95 = goals.memory or np.inf, goals.p95 or np.inf

    def missed(point: Point) -> float:
        return max(1.0, point.bytes / memory) * max(1.0, point.p95_high / p95)

    good = [p for p in points if p.quality_met(goals)]
    nearest = min(good, key=missed) if good else max(points, key=lambda p: p.low)
    found: dict[str, float] = {}
    if nearest.bytes > memory:
        found["memory"] = float(nearest.bytes)
    if nearest.p95_high > p95:
        found["p95"] = nearest.p95_high
    return found | ({} if good else _quality_of(nearest, goals))


def _quality_of(point: Point, goals: Goals) -> dict[str, float]:
    if goals.quality == "recall":
        return {"recall": point.low}
    return {"ndcg_loss": 1.0 - point.low}


def refusal(relax: dict[str, float], goals: Goals, how: str = "Relax one of") -> str:
    """Return the message where no recipe reaches all goals.

    Parameters
    ----------
    relax : dict of str to float
    goals : Goals
    how : str, default="Relax one of"
        What is to be done with the goals of `relax`.
    """
    asked = goals.words.partition(";")[0]
    ways = []
    if "memory" in relax:
        more = relax["memory"] / (goals.memory or 1)
        ways.append(f"memory={format_bytes(relax['memory'])!r} ({more:.2f} times what was given)")
    if "p95" in relax:
        more = relax["p95"] / (goals.p95 or 1.0)
        ways.append(f"p95={format_time(relax['p95'])!r} ({more:.2f} times)")
    if "recall" in relax:
        less = goals.least - relax["recall"]
        ways.append(f"recall={relax['recall']:.3f} (less by {less:.3f})")
    if "ndcg_loss" in relax:
        ways.append(f"ndcg_loss={relax['ndcg_loss']:.3f}")
    return f"no recipe reaches all of {asked}. {how}: {'; '.join(ways)}."
