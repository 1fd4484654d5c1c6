# SPDX-License-Identifier: Apache-2.0
"""One recipe on some rows: built, searched at rising effort until the goal is reached, timed.

Effort rises along a ladder; the least rung that reaches the goal is found by bisection, since
quality rises with effort. A call is timed alone, in CPU time of its one thread where the system
tells it (what other programs take does not count then), as the least of three turns or more.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.index.dense.graph import Graph
from vectorloom.tune.goals import Goals
from vectorloom.tune.pipeline import Pipeline
from vectorloom.tune.problem import Asked, Problem, Sample
from vectorloom.tune.recipe import Recipe

Doubles = NDArray[np.float64]

#: What an index is asked for, rising; then knobs for queries that are unlike the rows.
RECALLS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995,
           0.998, 0.999)  # fmt: skip
#: Walks that keep fewer candidates than for any recall: where queries lie near rows they do.
_SHORT_REACHES = (10, 14)
_REACHES = (64, 128, 400, 800, 1600)
_DEPTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
#: Depth of a re-check and recall of the search before it, rising together.
_PAIRED = ((1, 0.8), (2, 0.8), (2, 0.9), (3, 0.9), (4, 0.9), (4, 0.95), (6, 0.95), (8, 0.97),
           (12, 0.98), (16, 0.99), (32, 0.99))  # fmt: skip
# Turns, as many as fill the time: a burst of other work spoils those that fall into it.
_TURNS, _MOST_TURNS, _TURNING_S = 3, 15, 0.15
_Z = 1.96
# Windows counts CPU time in steps of 16 ms.
_FINE = time.get_clock_info("thread_time").resolution <= 1e-6
_clock = time.thread_time if _FINE else time.perf_counter
#: Calls timed at most, and seconds that they may take.
MOST_TIMED = 200
_TIMING_S = 1.0


@dataclass(frozen=True)
class Point:
    """One recipe, measured.

    Attributes
    ----------
    recipe : str
        With its effort.
    n : int
        Rows that were searched.
    quality, low, high : float
        Recall, or the share of the nDCG of exact search; with its 95 % interval.
    n_queries : int
    bytes : int
        Held by the index.
    seconds : float
        A call, the mean.
    p95, p95_high : float
        Seconds that 95 of 100 calls take at most; with the upper end of its 95 % interval.
    build_s : float
        Seconds on the clock.
    is_predicted : bool
        Whether it stands for all rows and was measured on samples alone.
    """

    recipe: str
    n: int
    quality: float
    low: float
    high: float
    n_queries: int
    bytes: int
    seconds: float
    p95: float
    p95_high: float
    build_s: float
    is_predicted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def quality_met(self, goals: Goals) -> bool:
        """Whether the lower end of the interval reaches the goal."""
        return self.low >= goals.least

    def meets(self, goals: Goals) -> bool:
        """Whether all goals are reached, the unlucky ends of intervals included."""
        fits = goals.memory is None or self.bytes <= goals.memory
        quick = goals.p95 is None or self.p95_high <= goals.p95
        return self.quality_met(goals) and fits and quick

    def cost(self, goals: Goals) -> float:
        """Return what is to be small."""
        return {"time": self.seconds, "memory": float(self.bytes), "build": self.build_s}[
            goals.minimise
        ]


def ladder(recipe: Recipe) -> list[Recipe]:
    """Return the recipe at rising effort; one entry where it has no knob.

    Examples
    --------
    >>> [str(step) for step in ladder(Recipe.parse("float16 | scan"))]
    ['float16 | scan']
    >>> len(ladder(Recipe.parse("graph:48")))
    24
    """
    if recipe.kind == "scan":
        if recipe.rerank is None:
            return [recipe]
        return [recipe.with_effort(depth=depth) for depth in _DEPTHS]
    if recipe.rerank is not None:
        return [recipe.with_effort(depth=depth, recall=recall) for depth, recall in _PAIRED]
    steps = [recipe.with_effort(recall=recall) for recall in RECALLS]
    if recipe.kind == "graph":
        short = [recipe.with_effort(ef=ef) for ef in _SHORT_REACHES]
        steps = short + steps + [recipe.with_effort(ef=ef) for ef in _REACHES]
    return steps


def is_exact(recipe: Recipe, is_whole: bool) -> bool:
    """Whether the answers are those of exact search, whatever the queries."""
    lossless = recipe.code == "float32" or (recipe.code == "uint8" and is_whole)
    return recipe.kind == "scan" and recipe.reduce is None and lossless


def _walked(pipeline: Pipeline, steps: list[Recipe], k: int) -> list[Recipe]:
    """Return the steps of a graph without recalls that no walk reached, which are exact scans."""
    index = pipeline.inner_
    if not isinstance(index, Graph) or steps[0].rerank is not None:
        return steps
    asked = np.ones((1, index.dim_), np.float32)
    left = list(steps)
    for step in reversed(steps):
        recall = step.effort.get("recall")
        if recall is None:
            continue
        plan = index.search(asked, k, recall=recall, explain=True).plan
        if plan is None or not plan[0].startswith("exact: no walk"):
            break
        left.remove(step)
    return left


class Trial:
    """A recipe built on some rows, with what was measured of it so far.

    Parameters
    ----------
    recipe : Recipe
    sample : Sample
    problem : Problem
    """

    def __init__(self, recipe: Recipe, sample: Sample, problem: Problem) -> None:
        self.recipe = recipe.built
        self.sample = sample
        self.problem = problem
        self._found: dict[tuple[str, int, int], Doubles] = {}
        pipeline = Pipeline(
            self.recipe, problem.metric, problem.n_jobs, random_state=problem.random_state
        )
        start = time.perf_counter()
        self.pipeline = pipeline.fit(sample.rows, queries=problem.tuned.queries)
        pipeline.n_jobs = 1
        # Some parts are made by the first search.
        pipeline.search(problem.tuned.queries[:1], min(problem.k, len(sample)))
        self.build_s = time.perf_counter() - start
        self.bytes = pipeline.nbytes_
        self.steps = _walked(pipeline, ladder(self.recipe), min(problem.k, len(sample)))
        self._options = [{"depth": step.depth, **step.effort} for step in self.steps]

    @property
    def is_exact(self) -> bool:
        """Whether answers cannot differ from the exact ones."""
        return is_exact(self.recipe, self.problem.is_whole)

    def values(self, step: int, asked: Asked) -> Doubles:
        """Return the quality of each query at this step of the ladder."""
        key = (asked.name, len(asked), step)
        if key not in self._found:
            answers = self.sample.answers(asked)
            if self.is_exact:
                self._found[key] = answers.quality(answers.ids)
            else:
                hits = self._search(step, asked.queries, self.sample.where(asked))
                self._found[key] = answers.quality(hits)
        return self._found[key]

    def summary(self, step: int, asked: Asked) -> tuple[float, float, float]:
        """Return mean quality and its interval; exact search is certain."""
        answers = self.sample.answers(asked)
        if self.is_exact:
            return 1.0, 1.0, 1.0
        return answers.summary(self.values(step, asked))

    def least_step(self, asked: Asked, goals: Goals, n_judging: int) -> int | None:
        """Return the first step that should reach the goal for so many judging queries.

        The mean must be above the goal by what the interval of the judging queries will take.
        """

        def reaches(step: int) -> bool:
            mean, _, _ = self.summary(step, asked)
            if self.is_exact:
                return True
            spread = self.sample.answers(asked).spread(self.values(step, asked))
            return mean - _Z * spread / float(np.sqrt(max(1, n_judging))) >= goals.least

        low, high = 0, len(self.steps) - 1
        if not reaches(high):
            return None
        while low < high:
            middle = (low + high) // 2
            if reaches(middle):
                high = middle
            else:
                low = middle + 1
        return high

    def timed(self, step: int, asked: Asked, batch: int, n_calls: int = MOST_TIMED) -> Doubles:
        """Return the seconds of each call of `batch` queries."""
        where = self.sample.where(asked)
        count = max(1, min(n_calls, len(asked) // batch))
        parts = [np.arange(i * batch, min((i + 1) * batch, len(asked))) for i in range(count)]
        best = np.full(count, np.inf)
        begun = time.perf_counter()
        for turn in range(_MOST_TURNS):
            if turn >= _TURNS and time.perf_counter() - begun > _TURNING_S:
                break
            for i, part in enumerate(parts):
                queries, mine = asked.queries[part], _part_of(where, part)
                start = _clock()
                self._search(step, queries, mine)
                best[i] = min(best[i], _clock() - start)
                if turn == 0 and i >= 20 and time.perf_counter() - begun > _TIMING_S:
                    parts, best = parts[: i + 1], best[: i + 1]
                    break
        return best

    def point(self, step: int, asked: Asked, batch: int, n_calls: int = MOST_TIMED) -> Point:
        """Measure quality and time at one step."""
        quality, low, high = self.summary(step, asked)
        calls = self.timed(step, asked, batch, n_calls)
        p95, p95_high = upper_quantile(calls)
        return Point(
            recipe=str(self.steps[step]),
            n=len(self.sample),
            quality=quality,
            low=low,
            high=high,
            n_queries=len(asked),
            bytes=self.bytes,
            seconds=float(calls.mean()),
            p95=p95,
            p95_high=p95_high,
            build_s=self.build_s,
        )

    def _search(self, step: int, queries: Any, where: Any) -> Any:
        k = min(self.problem.k, len(self.sample))
        return self.pipeline.search(queries, k, where=where, **self._options[step]).ids


def upper_quantile(seconds: Doubles, share: float = 0.95) -> tuple[float, float]:
    """Return a quantile and the upper end of its 95 % interval, from order statistics.

    The number of values below the true quantile is binomial, so the end is the value whose rank is
    1.96 standard deviations further up, or the largest.

    Examples
    --------
    >>> upper_quantile(np.arange(1.0, 101.0))
    (95.0, 100.0)
    """
    ascending = np.sort(seconds)
    m = len(ascending)
    rank = int(np.ceil(share * m))
    further = int(np.ceil(share * m + _Z * np.sqrt(m * share * (1 - share))))
    return float(ascending[rank - 1]), float(ascending[min(m, further) - 1])


def _part_of(where: Any, part: NDArray[np.int64]) -> Any:
    if isinstance(where, list):
        return [where[i] for i in part.tolist()]
    return where
