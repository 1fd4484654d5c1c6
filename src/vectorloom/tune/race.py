# SPDX-License-Identifier: Apache-2.0
"""Successive halving: families on few rows, then the better ones' recipes; the best on more.

    rungs  n_1 < n_2 < n,     n_1 = n / 32,  n_2 = n / 8,     each at least 4,608 rows

Of each family of recipes the first runs first; the others follow where it is not far behind. After
each rung the laws of `vectorloom.tune.laws` say what a recipe will take among all rows; those
that cannot reach a goal, or that cost most, are dropped. [1]_

.. [1] K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter
   optimization", AISTATS 2016, arXiv:1502.07943.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vectorloom.errors import CapacityError, ParameterError, VectorloomError
from vectorloom.tune import laws
from vectorloom.tune.candidates import FEWEST_LISTED, family, least_bytes
from vectorloom.tune.goals import Goals
from vectorloom.tune.journal import Journal
from vectorloom.tune.measuring import Point, Trial, ladder
from vectorloom.tune.problem import Problem, Sample
from vectorloom.tune.recipe import Recipe

_SHARES = (32, 8)
_FEWEST_TIMES = 4
#: Recipes on the second rung, of one family, and how far behind the best a family may be.
_KEPT, _KEPT_KIN = 4, 2
_SLACK_FAMILY = 2.0
#: Queries of a rung, and calls timed.
_QUERIES, _CALLS = 200, 100
#: Goals that predictions may miss by so much are tried all the same.
_SLACK_TIME, _SLACK_QUALITY = 1.3, 0.01
# Matrices of the space that an index may hold, in float32.
_MATRICES = 2.5


NO_TIME = "no time left"
TOO_LARGE = "more bytes than the goal, by estimate"


class Clock:
    """What is left of a time limit.

    Parameters
    ----------
    limit : float or None
        Seconds.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self._start = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    def allows(self, seconds: float) -> bool:
        """Whether so many seconds are left."""
        return self.limit is None or self.elapsed + seconds <= self.limit


@dataclass
class Prospect:
    """A recipe in the race.

    Attributes
    ----------
    recipe : Recipe
        Without effort.
    rungs : list of Point
        At the least effort that reached the goal, or the most there is.
    reached : list of bool
    measured : list of Point
        On all rows.
    failed : str
        Why it left, where it could not be measured.
    fixed_s : float
        What a call takes among no rows.
    fixed_bytes : int
        What may not grow with rows: turns of the space. A sample's bytes hold it too.
    trial : Trial or None
        Its index, where it was built on all rows already.
    """

    recipe: Recipe
    rungs: list[Point] = field(default_factory=list)
    reached: list[bool] = field(default_factory=list)
    measured: list[Point] = field(default_factory=list)
    failed: str = ""
    fixed_s: float = 0.0
    fixed_bytes: int = 0
    trial: Trial | None = None

    def predicted(self, n: int) -> Point:
        """Return what is to be expected among `n` rows at the effort that reaches the goal."""
        sizes = [p.n for p in self.rungs]
        last = self.rungs[-1]
        took = [p.seconds for p in self.rungs]
        seconds = laws.seconds_at(self.recipe.kind, sizes, took, n, self.fixed_s)
        share = seconds / last.seconds
        quality, width = last.quality, last.quality - last.low
        if not ladder(self.recipe)[1:]:  # no effort makes up for what more rows cost
            quality = laws.quality_at(sizes, [p.quality for p in self.rungs], n)
        return Point(
            recipe=last.recipe,
            n=n,
            quality=quality,
            low=max(0.0, quality - width),
            high=min(1.0, quality + last.high - last.quality),
            n_queries=last.n_queries,
            bytes=laws.bytes_at(sizes, [p.bytes for p in self.rungs], n),
            seconds=seconds,
            p95=last.p95 * share,
            p95_high=last.p95_high * share,
            build_s=laws.build_at(sizes, [p.build_s for p in self.rungs], n),
            is_predicted=True,
        )

    def hopeful(self, goals: Goals, n: int) -> bool:
        """Whether it may reach all goals among `n` rows."""
        if self.failed or not self.rungs or not self.reached[-1]:
            return False
        point, last = self.predicted(n), self.rungs[-1]
        held = point.bytes
        if len(self.rungs) == 1 and last.n < n:  # what is fixed looks as if it grew
            held = int((last.bytes - min(self.fixed_bytes, last.bytes // 2)) * n / last.n)
        if goals.memory is not None and held > goals.memory:
            return False
        if goals.p95 is not None and point.p95 > _SLACK_TIME * goals.p95:
            return False
        return point.quality >= goals.least - _SLACK_QUALITY


def rungs_of(n: int) -> list[int]:
    """Return the sizes of the samples for `n` rows.

    All rows where half of them would be too few.

    Examples
    --------
    >>> rungs_of(8000), rungs_of(20_000), rungs_of(1_000_000)
    ([8000], [4608], [31250, 125000])
    """
    first, second = (n // share for share in _SHARES)
    first = max(first, FEWEST_LISTED)
    if 2 * first > n:
        return [n]
    second = max(second, 2 * first)
    return [first, second] if _FEWEST_TIMES * second <= n else [first]


def race(
    problem: Problem,
    recipes: Sequence[Recipe],
    goals: Goals,
    clock: Clock,
    journal: Journal,
    advance: Callable[[str], Any],
) -> list[Prospect]:
    """Measure recipes on samples, and say which are worth measuring on all rows.

    Parameters
    ----------
    problem : Problem
    recipes : sequence of Recipe
    goals : Goals
    clock : Clock
        Rungs end where its time is half spent.
    journal : Journal
    advance : callable
        Called with the recipe that is tried.

    Returns
    -------
    list of Prospect
        All of them; those that were measured on the largest sample and are hopeful come first,
        best first.
    """
    n, dim = problem.base.shape
    fixed_s = _overhead(problem)
    fixed_bytes = int(4 * _MATRICES * dim**2)
    prospects = [Prospect(r, fixed_s=fixed_s, fixed_bytes=fixed_bytes) for r in recipes]
    for prospect in prospects:
        need = least_bytes(prospect.recipe, n, dim, problem.metric)
        if goals.memory is not None and need > goals.memory:
            prospect.failed = TOO_LARGE
    running = [p for p in prospects if not p.failed]
    sizes = rungs_of(n)

    def run(chosen: Sequence[Prospect], size: int) -> None:
        sample = problem.sample(size)
        for prospect in chosen:
            if not clock.allows(0.5 * (clock.limit or 0.0)):
                prospect.failed = prospect.failed or ("" if prospect.rungs else NO_TIME)
                continue
            advance(str(prospect.recipe))
            _run(prospect, sample, problem, goals, journal)

    firsts, others = _by_family(running)
    run(firsts, sizes[0])
    near = _worth_a_look(firsts, others, goals, n)
    # How rows are stored changes time little: it is tried for the best of its family alone.
    run([p for p in near if any(_code_alone(p, q) for q in firsts)], sizes[0])
    heads = [_head_of(family(p.recipe), running, goals, n) for p in firsts]
    run([p for p in near if not p.rungs and any(_shape_alone(p, q) for q in heads)], sizes[0])
    for size in sizes[1:]:
        running = best_first([p for p in running if p.hopeful(goals, n)], goals, n)
        running = _few_of_a_kind(running)[:_KEPT]
        run(running, size)
    running = best_first([p for p in running if p.hopeful(goals, n)], goals, n)
    return running + [p for p in prospects if p not in running]


def _few_of_a_kind(prospects: Sequence[Prospect]) -> list[Prospect]:
    """Return the first two of each family: more relatives differ less than their builds cost."""
    counts: Counter[tuple[object, ...]] = Counter()
    kept = []
    for prospect in prospects:
        counts[family(prospect.recipe)] += 1
        if counts[family(prospect.recipe)] <= _KEPT_KIN:
            kept.append(prospect)
    return kept


def _overhead(problem: Problem) -> float:
    """Return the seconds of a call among hardly any rows."""
    few = problem.sample(min(len(problem.base), 2 * problem.k + 16))
    trial = Trial(Recipe.parse("float32 | scan"), few, problem)
    return float(np.median(trial.timed(0, problem.tuned.first(20), 1)))


def _by_family(prospects: Sequence[Prospect]) -> tuple[list[Prospect], list[Prospect]]:
    """Return the first of each family, and the others."""
    firsts: dict[tuple[object, ...], Prospect] = {}
    for prospect in prospects:
        firsts.setdefault(family(prospect.recipe), prospect)
    return list(firsts.values()), [p for p in prospects if p not in firsts.values()]


def _code_alone(one: Prospect, other: Prospect) -> bool:
    return family(one.recipe) == family(other.recipe) and one.recipe.code == other.recipe.code


def _shape_alone(one: Prospect, other: Prospect) -> bool:
    a, b = one.recipe, other.recipe
    return (a.reduce, a.route, a.rerank) == (b.reduce, b.route, b.rerank)


def _head_of(
    which: tuple[object, ...], prospects: Sequence[Prospect], goals: Goals, n: int
) -> Prospect:
    """Return the best of a family so far."""
    ran = [p for p in prospects if family(p.recipe) == which]
    known = [p for p in ran if p.rungs and p.reached[-1]]
    return best_first(known, goals, n)[0] if known else ran[0]


def _worth_a_look(
    firsts: Sequence[Prospect], others: Sequence[Prospect], goals: Goals, n: int
) -> list[Prospect]:
    """Return the others of families whose first is not far behind the best first.

    Bytes differ within a family as much as between families: they decide nothing here.
    """
    ran = [p for p in firsts if p.rungs and not p.failed and p.reached[-1]]
    if goals.p95 is not None:
        ran = [p for p in ran if p.predicted(n).p95 <= _SLACK_FAMILY * goals.p95]
    if goals.minimise != "memory" and ran:
        fits = [p for p in ran if p.hopeful(goals, n)] or ran
        least = min(p.predicted(n).cost(goals) for p in fits)
        ran = [p for p in ran if p.predicted(n).cost(goals) <= _SLACK_FAMILY * least]
    kept = {family(p.recipe) for p in ran}
    return [p for p in others if family(p.recipe) in kept]


def race_left(
    prospects: Sequence[Prospect], problem: Problem, goals: Goals, journal: Journal
) -> None:
    """Measure some that were left out for their bytes, to find a small one that is good enough.

    This is what tells by how much a memory goal must be relaxed. More bytes are taken to be better,
    so that a bisection will do.
    """
    n, dim = problem.base.shape
    left = [p for p in prospects if p.failed == TOO_LARGE]
    left.sort(key=lambda p: least_bytes(p.recipe, n, dim, problem.metric))
    sample = problem.sample(rungs_of(n)[0])
    low, high = 0, len(left) - 1
    while low <= high:
        middle = (low + high) // 2
        prospect = left[middle]
        prospect.failed = ""
        _run(prospect, sample, problem, goals, journal)
        # Time is no matter here: it may have to be relaxed as well.
        if prospect.reached[-1:] == [True]:
            high = middle - 1
        else:
            low = middle + 1


def best_first(prospects: Sequence[Prospect], goals: Goals, n: int) -> list[Prospect]:
    """Sort by what is predicted to be small among `n` rows."""
    return sorted(prospects, key=lambda p: p.predicted(n).cost(goals))


def _run(
    prospect: Prospect, sample: Sample, problem: Problem, goals: Goals, journal: Journal
) -> None:
    key = f"{prospect.recipe} at {len(sample)}"
    known = journal.get(key)
    if known is not None:
        prospect.rungs.append(Point(**known["point"]))
        prospect.reached.append(bool(known["reached"]))
        return
    asked = problem.tuned.first(_QUERIES)
    try:
        trial = Trial(prospect.recipe, sample, problem)
    except (ParameterError, CapacityError) as error:
        prospect.failed = _short(error)
        return
    step = trial.least_step(asked, goals, len(problem.held))
    at = len(trial.steps) - 1 if step is None else step
    point = trial.point(at, asked, goals.batch, _CALLS)
    prospect.trial = trial if len(sample) == len(problem.base) else None
    prospect.rungs.append(point)
    prospect.reached.append(step is not None)
    journal.put(key, {"point": point.to_dict(), "reached": step is not None})


def _short(error: VectorloomError) -> str:
    return str(error).split(". ")[0]
