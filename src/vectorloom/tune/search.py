# SPDX-License-Identifier: Apache-2.0
"""`vl.tune`: from vectors, queries and a goal to a recipe that was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.progress import progress
from vectorloom.tune.candidates import candidates, least_bytes
from vectorloom.tune.finals import BRUTE_FORCE, Finals, run_finals
from vectorloom.tune.goals import Goals, UnmetGoalsError, read_goals, read_seconds
from vectorloom.tune.journal import open_journal
from vectorloom.tune.pipeline_parts import METRICS
from vectorloom.tune.plan import Plan, points_of
from vectorloom.tune.problem import GIVEN, Problem, read_problem
from vectorloom.tune.race import NO_TIME, Clock, Prospect, race, race_left
from vectorloom.tune.recipe import Recipe
from vectorloom.tune.suspects import suspicions
from vectorloom.tune.words import reasons, refusal, relaxations, relaxed_together


def tune(
    X: Any,
    queries: Any = None,
    qrels: Mapping[Any, Mapping[Any, float]] | None = None,
    *,
    recall: float | None = None,
    ndcg_loss: float | None = None,
    k: int = 10,
    memory: int | str | None = None,
    p95: float | str | None = None,
    filters: Any = None,
    metric: str = "cosine",
    minimise: str | None = None,
    batch: int = 1,
    recipes: Any = None,
    n_finalists: int = 3,
    time_limit: float | str | None = None,
    cache: str | os.PathLike[str] | None = None,
    ids: Any = None,
    query_ids: Any = None,
    n_jobs: int | None = None,
    random_state: int = 0,
    quiet: bool | None = None,
) -> Plan:
    """Find, by measurement, the recipe that reaches a goal at the least cost.

    Use it once there are vectors, and real queries if there can be; for a look at single indexes
    use them, each has ``audit``.

    Parameters
    ----------
    X : array-like of shape (n, dim)
        Or more generally what `vectorloom.index.Exact` takes.
    queries : array-like of shape (m, dim), default=None
        As they will come, best some hundred or more. A third chooses, the rest judges. None takes
        rows out of `X` to serve as queries, and says so.
    qrels : mapping of query id to mapping of row id to grade, default=None
        What is relevant; quality is then the nDCG@k that is kept of exact search.
    recall : float, default=None
        Share of the true k nearest rows to find. With neither this nor `ndcg_loss` nor `qrels` it
        is 0.95.
    ndcg_loss : float, default=None
        Share of the nDCG@k of exact search that may be lost; 0.01 where qrels came alone.
    k : int, default=10
        Hits a query.
    memory : int or str, default=None
        Bytes that the index may hold, such as ``"1GiB"``. Building may take more for a while.
    p95 : float or str, default=None
        Seconds, or text such as ``"5ms"``, within which 95 of 100 calls are answered, on one
        thread of this machine.
    filters : mask, ids, or a list of one filter a query, default=None
        As ``where=`` of a search; all measurements are then of filtered searches.
    metric : {"cosine", "ip", "l2"}, default="cosine"
    minimise : {"time", "memory", "build"}, default=None
        What is best among recipes that reach the goals. None takes "memory" where `p95` is given
        and `memory` is not, else "time".
    batch : int, default=1
        Queries a call; calls are what is timed.
    recipes : list of Recipe or str, default=None
        To try these alone; their efforts are found.
    n_finalists : int, default=3
        Recipes built on all rows, beside brute force: the best predicted, then the smallest and the
        fastest of other kinds. More find more of the Pareto set.
    time_limit : float or str, default=None
        Seconds for everything, such as ``"10min"``. At half of it the race on samples ends.
    cache : path-like, default=None
        A folder. What was measured is kept there, and the same call goes on where it was stopped.
    ids, query_ids : array-like, default=None
        As `qrels` and `filters` name rows and queries; None takes positions.
    n_jobs : int or None, default=None
        Threads of building; calls are timed on one.
    random_state : int, default=0
        Of the split, the samples and what is built. What is chosen depends on timings too.
    quiet : bool or None, default=None
        Whether progress is hidden; see `vectorloom.progress`.

    Returns
    -------
    Plan
        ``plan.recipe``, ``plan.why``, ``plan.table()``, ``plan.build(X)``, ``plan.report(path)``.

    Raises
    ------
    UnmetGoalsError
        No recipe reaches all goals: says which to relax, and to what. Its ``plan`` holds what was
        measured.
    ParameterError, ShapeError
        Bad input: NaN, too few rows or queries, all rows equal, unknown ids, a time limit too short
        for one measurement.

    Notes
    -----
    1. Recipes whose bytes surely exceed `memory` are left out before anything is built.
    2. Of each family of others the first is built on a sample of n / 32 rows, then the rest of the
       families that are not far behind; the best four on n / 8. Of each the least
       effort is found that reaches the goal on the choosing queries. What it takes among all rows
       follows from `vectorloom.tune.laws`: scans grow with n, lists about with its root, walks with
       its logarithm.
    3. The best are built on all rows, and judged by the queries that chose nothing: the *lower* end
       of the 95 % interval must reach the goal (Wilson's for recall, the paired bootstrap's for
       nDCG), and the upper end of that of p95. Exact search is always among them.

    Cost: about 25 recipes on n / 32 rows, 4 on n / 8, `n_finalists` on n. A sample has 4,608 rows
    at least; with fewer than twice as many all race, and what was built then is not built again.
    Below 4,608 rows lists are not tried, below 1,024 no graphs.

    References
    ----------
    .. [1] K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter
       optimization", AISTATS 2016, arXiv:1502.07943.
    .. [2] E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
       Journal of the American Statistical Association 22 (1927).

    Examples
    --------
    >>> import numpy as np
    >>> import vectorloom as vl
    >>> rng = np.random.default_rng(0)
    >>> centres = rng.standard_normal((50, 16))
    >>> X = centres[rng.integers(50, size=2000)] + 0.3 * rng.standard_normal((2000, 16))
    >>> plan = vl.tune(X, recall=0.9, recipes=["scan", "int8 | scan"])
    >>> index = plan.build(X)
    >>> index.search(X[:2], k=1).ids.ravel().tolist()
    [0, 1]
    """
    check_choice("metric", metric, METRICS)
    goals = read_goals(
        recall=recall,
        ndcg_loss=ndcg_loss,
        k=k,
        memory=memory,
        p95=p95,
        batch=batch,
        minimise=minimise,
        is_judged=qrels is not None,
    )
    n_finalists = check_count("n_finalists", n_finalists)
    limit = None if time_limit is None else read_seconds(time_limit, "time_limit")
    clock = Clock(limit)
    problem = read_problem(
        X,
        queries,
        qrels if goals.quality == "ndcg" else None,
        filters,
        ids=ids,
        query_ids=query_ids,
        k=goals.k,
        metric=metric,
        n_jobs=check_jobs(n_jobs),
        random_state=check_count("random_state", random_state, at_least=0),
    )
    bytes_count = goals.memory is not None or goals.minimise == "memory"
    tried = candidates(problem, recipes, bytes_count)
    _refuse_memory(tried, problem, goals)
    journal = open_journal(cache, problem, goals)
    steps = 2 * len(tried)
    with progress("tuning", total=steps, unit="recipes", quiet=quiet) as bar:

        def advance(name: str) -> None:
            bar.update(description=f"tuning: {name}")
            bar.advance()

        warnings = suspicions(problem)
        _refuse_limit(problem, clock)
        prospects = race(problem, tried, goals, clock, journal, advance)
        finals = run_finals(problem, prospects, goals, clock, journal, n_finalists, advance)
        if finals.best is None and goals.memory is not None:
            race_left(prospects, problem, goals, journal)
    plan = _plan(problem, prospects, finals, goals, clock, warnings)
    if finals.best is None:
        relax = relaxations(plan.points, goals)
        if relax:
            raise UnmetGoalsError(refusal(relax, goals), relax, plan)
        relax = relaxed_together(plan.points, goals)
        told = refusal(relax, goals, "No single goal is to blame; relax all of these")
        raise UnmetGoalsError(told, relax, plan, together=True)
    if finals.index is not None and problem.source == GIVEN and ids is None:
        plan._built.extend([X, finals.index])
    return plan


def _refuse_memory(tried: list[Recipe], problem: Problem, goals: Goals) -> None:
    if goals.memory is None:
        return
    n, dim = problem.base.shape
    least = min(least_bytes(recipe, n, dim, problem.metric) for recipe in tried)
    if least > goals.memory:
        relax = {"memory": float(least)}
        told = refusal(relax, goals, "Before quality is asked about, the smallest one takes")
        raise UnmetGoalsError(told, relax)


def _refuse_limit(problem: Problem, clock: Clock) -> None:
    """Refuse a time limit that does not allow for an exact search of all rows."""
    n, dim = problem.base.shape
    n_asked = len(problem.tuned) + len(problem.held)
    # Multiply-adds of the truth and of building, at a rate that any machine has.
    need = 1e-10 * n * dim * (n_asked / 50 + 20)
    if not clock.allows(need):
        raise ParameterError(
            f"time_limit={clock.limit:g} s is too short for one measurement of {n:,} rows: reading "
            f"and checking took {clock.elapsed:.2g} s, exact answers take about {need:.2g} s. Give "
            f"at least {1.5 * (clock.elapsed + need):.2g} s, or fewer rows."
        )


def _plan(
    problem: Problem,
    prospects: list[Prospect],
    finals: Finals,
    goals: Goals,
    clock: Clock,
    warnings: list[str],
) -> Plan:
    n = len(problem.base)
    measured = [point for p in prospects for point in p.measured]
    predicted = [p.predicted(n) for p in prospects if p.rungs]
    brute = next((p.measured[0] for p in prospects if str(p.recipe) == BRUTE_FORCE), None)
    best = finals.best
    is_cut = any(NO_TIME in text for text in [*finals.skipped, *(p.failed for p in prospects)])
    if best is None:
        best = max(measured, key=lambda point: (point.low, -point.cost(goals)))
        why = "No recipe that was measured reaches all goals; this one comes nearest in quality."
    else:
        why = reasons(best, measured, brute, goals, _notes(problem, finals, prospects), is_cut)
    failed = [f"{p.recipe}: {p.failed}" for p in prospects if p.failed]
    return Plan(
        recipe=Recipe.parse(best.recipe),
        point=best,
        goals=goals,
        points=points_of(measured, predicted),
        why=why,
        warnings=tuple(warnings),
        facts=_facts(problem, clock, len(prospects)),
        failed=tuple(failed + finals.skipped),
    )


def _notes(problem: Problem, finals: Finals, prospects: list[Prospect]) -> list[str]:
    notes = []
    sizes = sorted({point.n for p in prospects for point in p.rungs})
    n = len(problem.base)
    if sizes == [n]:
        notes.append(
            f"{len(prospects)} recipes raced on all {n:,} rows; {finals.n_built} went on to the "
            "queries that judge."
        )
    elif sizes:
        notes.append(
            f"{len(prospects)} recipes raced on samples of {' and '.join(f'{s:,}' for s in sizes)} "
            f"rows; {finals.n_built} were built on all {n:,}."
        )
    if problem.tuned.filters is not None:
        notes.append(
            f"All searches were filtered; in the middle {100 * problem.tuned.filters.share:.1f} % "
            "of the rows match."
        )
    return notes


def _facts(problem: Problem, clock: Clock, n_recipes: int) -> dict[str, Any]:
    return {
        "n": len(problem.base),
        "n_given": problem.n_given,
        "dim": int(problem.base.shape[1]),
        "metric": problem.metric,
        "queries_from": problem.source,
        "n_tuned": len(problem.tuned),
        "n_held": len(problem.held),
        "n_recipes": n_recipes,
        "random_state": problem.random_state,
        "seconds": clock.elapsed,
        "machine": platform.processor() or platform.machine(),
        "level": _core.simd_level(),
        "threads": _core.resolve_jobs(problem.n_jobs),
    }
