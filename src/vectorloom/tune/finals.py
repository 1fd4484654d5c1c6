# SPDX-License-Identifier: Apache-2.0
"""On all rows: the best of the race are built, tuned on some queries and judged by others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vectorloom.errors import CapacityError, ParameterError
from vectorloom.tune.candidates import family
from vectorloom.tune.goals import Goals
from vectorloom.tune.journal import Journal
from vectorloom.tune.measuring import Point, Trial
from vectorloom.tune.pipeline import Pipeline
from vectorloom.tune.problem import Problem, Sample
from vectorloom.tune.race import NO_TIME, Clock, Prospect
from vectorloom.tune.recipe import Recipe

#: Against these everything is compared.
BRUTE_FORCE = "float32 | scan"
#: Steps of effort beside the chosen one that are measured too: the curve of the report.
_BESIDE = (-4, -2, -1, 1, 2)
#: Steps further up that are tried where held-out queries do not confirm the choice.
_MORE_STEPS = 4
#: Recipes built on all rows where none meets the goals.
_MOST_TRIED = 8
#: Calls timed for a point that only shows the curve.
_FEW_CALLS = 40


@dataclass
class Finals:
    """What was measured on all rows.

    Attributes
    ----------
    best : Point or None
        The best that meets all goals.
    index : Pipeline or None
        That index, built.
    n_built : int
    n_met : int
        Of these, such as meet all goals.
    skipped : list of str
        Recipes that were not built, and why.
    """

    best: Point | None = None
    index: Pipeline | None = None
    n_built: int = 0
    n_met: int = 0
    skipped: list[str] = field(default_factory=list)


def run_finals(
    problem: Problem,
    prospects: list[Prospect],
    goals: Goals,
    clock: Clock,
    journal: Journal,
    n_finalists: int,
    advance: Callable[[str], Any],
) -> Finals:
    """Measure the best prospects on all rows, brute force among them.

    Parameters
    ----------
    problem : Problem
    prospects : list of Prospect
        Best first; points are added to their ``measured``.
    goals : Goals
    clock : Clock
    journal : Journal
    n_finalists : int
        Built at most, beside brute force, once a recipe meets the goals.
    advance : callable

    Returns
    -------
    Finals
    """
    sample, n = problem.whole(), len(problem.base)
    finals = Finals()
    _enter(_brute_force(prospects), sample, problem, goals, journal, finals, advance)
    left = [p for p in prospects if not p.failed and str(p.recipe) != BRUTE_FORCE]
    while left:
        prospect = _next_of(left, prospects, goals, n, finals)
        left.remove(prospect)
        reason = _needless(prospect, goals, n, clock, finals, n_finalists)
        if reason:
            finals.skipped.append(f"{prospect.recipe}: {reason}")
            continue
        _enter(prospect, sample, problem, goals, journal, finals, advance)
    return finals


def _next_of(
    left: list[Prospect], prospects: list[Prospect], goals: Goals, n: int, finals: Finals
) -> Prospect:
    """Return which to build next: the best until one meets the goals, then other kinds.

    That exact search meets them tells nothing of the others.
    """
    if finals.n_met == 0 or not any(p.rungs for p in left):
        return left[0]
    built = {family(p.recipe) for p in prospects if p.measured}
    other = [p for p in left if family(p.recipe) not in built and p.hopeful(goals, n)]
    if not other:
        return left[0]
    by_bytes = finals.n_built % 2 == (goals.minimise != "memory")
    return min(other, key=lambda p: getattr(p.predicted(n), "bytes" if by_bytes else "seconds"))


def _brute_force(prospects: list[Prospect]) -> Prospect:
    for prospect in prospects:
        if str(prospect.recipe) == BRUTE_FORCE:
            return prospect
    prospects.append(Prospect(Recipe.parse(BRUTE_FORCE)))
    return prospects[-1]


def _needless(
    prospect: Prospect, goals: Goals, n: int, clock: Clock, finals: Finals, n_finalists: int
) -> str:
    """Return why a prospect is not built on all rows; nothing where it is."""
    if not prospect.rungs:
        return "its family, or another way to store its rows, was better"
    if not prospect.hopeful(goals, n):
        return "the sample says that it misses a goal"
    point = prospect.predicted(n)
    if not clock.allows(1.2 * point.build_s + 2.0):
        return f"{NO_TIME} for a build of about {point.build_s:.0f} s"
    if finals.n_met == 0 and (finals.best is None or point.cost(goals) < finals.best.cost(goals)):
        return (
            "" if finals.n_built < _MOST_TRIED else "others came nearer to the goals by the sample"
        )
    if finals.n_built >= n_finalists:
        return "others were predicted to be better"
    return ""


def _enter(
    prospect: Prospect,
    sample: Sample,
    problem: Problem,
    goals: Goals,
    journal: Journal,
    finals: Finals,
    advance: Callable[[str], Any],
) -> None:
    key = f"{prospect.recipe} on all"
    known = journal.get(key)
    finals.n_built += str(prospect.recipe) != BRUTE_FORCE
    index: Pipeline | None = None
    if known is not None:
        prospect.measured += [Point(**point) for point in known["points"]]
    else:
        advance(f"{prospect.recipe} on all rows")
        try:
            trial = prospect.trial or Trial(prospect.recipe, sample, problem)
            prospect.trial = None
        except (ParameterError, CapacityError) as error:
            prospect.failed = str(error).split(". ")[0]
            return
        prospect.measured += _measure(trial, problem, goals)
        journal.put(key, {"points": [point.to_dict() for point in prospect.measured]})
        index = trial.pipeline
    # The first is what other queries chose; one beside it may pass by luck.
    chosen = prospect.measured[0]
    if not chosen.meets(goals):
        return
    finals.n_met += str(prospect.recipe) != BRUTE_FORCE
    if finals.best is None or chosen.cost(goals) < finals.best.cost(goals):
        finals.best = chosen
        finals.index = None if index is None else index.searched_by(chosen.recipe)


def _measure(trial: Trial, problem: Problem, goals: Goals) -> list[Point]:
    """Return the chosen step, judged by held-out queries, and some beside it for the curve."""
    last = len(trial.steps) - 1
    step = trial.least_step(problem.tuned, goals, len(problem.held))
    chosen = last if step is None else step
    for more in range(_MORE_STEPS):
        if chosen + more > last:
            break
        if trial.summary(chosen + more, problem.held)[1] >= goals.least:
            chosen += more
            break
    beside = sorted({min(last, max(0, chosen + off)) for off in _BESIDE} - {chosen})
    points = [trial.point(chosen, problem.held, goals.batch)]
    points += [trial.point(at, problem.held, goals.batch, _FEW_CALLS) for at in beside]
    return points
