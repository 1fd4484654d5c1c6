# SPDX-License-Identifier: Apache-2.0
"""What a tuning found: the recipe, why, and everything that was measured."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.io.container import Container, register_loader, write_container
from vectorloom.readable import format_bytes
from vectorloom.tune.goals import Goals, format_time
from vectorloom.tune.measuring import Point
from vectorloom.tune.pipeline import Pipeline
from vectorloom.tune.recipe import Recipe

KIND = "tune.plan"


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """The answer to "what should I run?".

    Attributes
    ----------
    recipe : Recipe
        The best that meets the goals, with its effort.
    point : Point
        What was measured of it, on held-out queries.
    goals : Goals
    points : tuple of Point
        All that was measured on all rows, and of what was not built the prediction.
    why : str
        Why this recipe, in words.
    warnings : tuple of str
        What may make the measurement mislead.
    facts : dict
        Rows, dimensions, queries, metric, machine, seconds, random state.
    failed : tuple of str
        Recipes that were left, and why.
    """

    recipe: Recipe
    point: Point
    goals: Goals
    points: tuple[Point, ...]
    why: str
    warnings: tuple[str, ...]
    facts: Mapping[str, Any]
    failed: tuple[str, ...] = ()
    _built: list[Any] = field(default_factory=list)

    @property
    def is_met(self) -> bool:
        """Whether the recipe reaches all goals."""
        return self.point.meets(self.goals)

    @property
    def pareto(self) -> tuple[Point, ...]:
        """Points measured on all rows that no other beats in quality, bytes and time at once."""
        measured = [point for point in self.points if not point.is_predicted]
        return tuple(p for p in measured if not any(_beats(q, p) for q in measured))

    def table(self) -> list[dict[str, Any]]:
        """Return one row of plain values a point, those on the Pareto front first.

        Returns
        -------
        list of dict
            With ``recipe``, ``quality``, ``low``, ``high``, ``bytes``, ``seconds``, ``p95``,
            ``build_s``, ``n_queries``, ``pareto``, ``meets_goals``, ``chosen`` and ``predicted``.
            ``pandas.DataFrame(plan.table())`` takes it as it is.
        """
        front = set(map(id, self.pareto))
        rows = []
        for point in self.points:
            row = point.to_dict()
            row["predicted"] = row.pop("is_predicted")
            row["pareto"] = id(point) in front
            row["meets_goals"] = not point.is_predicted and point.meets(self.goals)
            row["chosen"] = point == self.point
            rows.append(row)
        return sorted(rows, key=lambda row: (row["predicted"], not row["pareto"], row["seconds"]))

    def build(
        self, X: Any, ids: Any = None, *, queries: Any = None, n_jobs: Any = None
    ) -> Pipeline:
        """Build the chosen index.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        ids : array-like of shape (n,), int64 or str, default=None
            None gives 0, 1, …, n - 1.
        queries : array-like of shape (m, dim), default=None
            Sample queries, for a recipe whose reducer learns from them.
        n_jobs : int or None, default=None
            Threads.

        Returns
        -------
        Pipeline
            ``search`` looks as far as the recipe says.

        Raises
        ------
        ShapeError
            Vectors of another dimension than those tuned on.

        Notes
        -----
        Where `X` is the array that was tuned on, queries were given and `ids` are not, the index
        that was measured is handed out, once; later calls build anew.
        """
        dim = int(self.facts["dim"])
        shape = np.shape(X)
        if len(shape) == 2 and shape[1] != dim:
            raise ShapeError(
                f"X has {shape[1]} dimensions and the plan was made for {dim}; tune again."
            )
        if self._built and ids is None and self._built[0] is X:
            _, index = self._built
            self._built.clear()
            index.n_jobs = n_jobs
            ready: Pipeline = index
            return ready
        return self.recipe.build(
            X,
            ids,
            metric=str(self.facts["metric"]),
            queries=queries,
            n_jobs=n_jobs,
            random_state=int(self.facts["random_state"]),
        )

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write the interactive page: quality against bytes against time; it needs no network.

        Parameters
        ----------
        path : path-like
        """
        from vectorloom.tune.report import write_page

        write_page(self, path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a file that `vl.open` reads; the index is not in it.

        Parameters
        ----------
        path : path-like
        """
        write_container(path, KIND, self.to_dict(), {})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "recipe": str(self.recipe),
            "point": self.point.to_dict(),
            "goals": self.goals.to_dict(),
            "points": [asdict(point) for point in self.points],
            "why": self.why,
            "warnings": list(self.warnings),
            "facts": dict(self.facts),
            "failed": list(self.failed),
        }

    @classmethod
    def _from_container(cls, file: Container) -> Plan:
        meta = file.meta
        try:
            return cls(
                recipe=Recipe.parse(meta["recipe"]),
                point=Point(**meta["point"]),
                goals=Goals(**meta["goals"]),
                points=tuple(Point(**point) for point in meta["points"]),
                why=str(meta["why"]),
                warnings=tuple(map(str, meta["warnings"])),
                facts=dict(meta["facts"]),
                failed=tuple(map(str, meta["failed"])),
            )
        except (KeyError, TypeError, ValueError, ParameterError) as error:
            raise FormatError(f"{file.path}: the plan does not make sense ({error}).") from error

    def __repr__(self) -> str:
        lines = [f"Plan({str(self.recipe)!r})", "  " + said(self.point, self.goals)]
        lines += [f"  {line}" for line in self.why.splitlines()]
        return "\n".join([*lines, *(f"  ! {text}" for text in self.warnings)])


def said(point: Point, goals: Goals) -> str:
    """Return what was measured of a point in a line.

    Parameters
    ----------
    point : Point
    goals : Goals

    Returns
    -------
    str
    """
    name = f"recall@{goals.k}" if goals.quality == "recall" else f"nDCG@{goals.k} kept"
    spread = "" if point.low == point.high else f" ({point.low:.3f} to {point.high:.3f})"
    call = "a query" if goals.batch == 1 else f"a call of {goals.batch}"
    return (
        f"{name} {point.quality:.3f}{spread}, {format_bytes(point.bytes)}, "
        f"{format_time(point.seconds)} {call}, 95 % within {format_time(point.p95)}, "
        f"built in {format_time(point.build_s)}"
    )


def _beats(a: Point, b: Point) -> bool:
    """Whether `a` is as good in all and better in one."""
    left, right = (a.quality, -a.bytes, -a.seconds), (b.quality, -b.bytes, -b.seconds)
    return left != right and all(x >= y for x, y in zip(left, right, strict=True))


def points_of(measured: Sequence[Point], predicted: Sequence[Point]) -> tuple[Point, ...]:
    """Join what was measured, and what is predicted of recipes that were not."""
    known = {str(Recipe.parse(point.recipe).built) for point in measured}
    rest = [p for p in predicted if str(Recipe.parse(p.recipe).built) not in known]
    return (*measured, *rest)


register_loader(KIND, Plan._from_container)
