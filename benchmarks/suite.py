# SPDX-License-Identifier: Apache-2.0
"""A suite is a small TOML file: data, methods, grid, quality floor, repetition.

Unknown keys are refused: a misspelt floor must not pass for no floor.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import importlib
import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vectorloom.errors import DependencyError, ParameterError

SUITES = Path(__file__).parent / "suites"
# "ann" is recall against speed; the last three are of codes: search them, encode rows, fit.
TASKS = ("search", "knn-graph", "gauge", "ann", "code-recall", "encode", "fit")
CODE_TASKS = ("code-recall", "encode", "fit")
FLOORS = ("identical", "tied", "recall", "kept", "of_baseline")


@dataclass(frozen=True)
class DataSpec:
    """Where base and queries come from; see `benchmarks.data`."""

    set: str = "sentences"
    rows: int = 0
    queries: int = 1000
    dim: int = 384
    seed: int = 0
    unit: bool = True  # rows are made unit; false keeps their lengths, for ip and l2


@dataclass(frozen=True)
class Repeat:
    """How often each method runs; methods take turns within a round."""

    warmup: int = 1
    rounds: int = 5
    limit_s: float = 600.0
    pause_s: float = 0.1


@dataclass(frozen=True)
class Goal:
    """A ratio the project aims at: ``method`` at least ``at_least`` times as fast as ``against``.

    ``of = "bandwidth"`` compares with the bandwidth row instead, ``of = "recall"`` the best recall
    of the rows that ``method`` matches with the best of those that ``against`` does (``*`` is
    allowed in both); ``level`` limits the goal to CPUs whose active level is that one. A missed
    goal is printed, it is not an error. Goals of "ann" are those of `benchmarks.ann.goals`.
    """

    method: str
    at_least: float = 0.0
    against: str = ""
    at_most: float = 0.0
    of: str = "speed"
    level: str = ""


@dataclass(frozen=True)
class Method:
    """One row of the table, after the grid is multiplied out."""

    name: str
    adapter: str
    params: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    floor: Mapping[str, float] = field(default_factory=dict)
    at_most: float = 0.0
    max_rounds: int = 0  # a method that takes minutes may stop after fewer rounds; 0: all of them
    note: str = ""


@dataclass(frozen=True)
class Suite:
    """All that a run needs to know."""

    name: str
    title: str
    task: str
    methods: Sequence[Method]
    metric: str = "cosine"
    k: int = 10
    calls: str = "batch"
    baseline: str = ""
    bandwidth: str = ""
    sample: int = 1000
    train: int = 0  # rows that codes are fitted on, the same for every method; 0: all
    bits: float = 0.0  # bytes a row must fit into, in bits a dimension; 0: as the method says
    targets: Sequence[float] = (0.90, 0.95, 0.99)  # recalls at which "ann" states the speed
    data: DataSpec = field(default_factory=DataSpec)
    also: Sequence[DataSpec] = ()  # further data sets that the whole suite is run on
    repeat: Repeat = field(default_factory=Repeat)
    goals: Sequence[Goal] = ()
    smoke: bool = False

    def only(self, patterns: Sequence[str]) -> Suite:
        """Keep the methods whose name matches one of the patterns (``*`` is allowed)."""
        kept = [m for m in self.methods if any(fnmatch.fnmatch(m.name, p) for p in patterns)]
        if not kept:
            names = ", ".join(m.name for m in self.methods)
            raise ParameterError(
                f"--only {' '.join(patterns)} matches no method of {self.name}; expected one of: "
                f"{names}."
            )
        return dataclasses.replace(self, methods=kept)

    def on_each_set(self) -> list[Suite]:
        """One suite a data set, named after it where there are several."""
        if not self.also:
            return [self]
        return [
            dataclasses.replace(
                self,
                data=data,
                also=(),
                name=f"{self.name}.{data.set}",
                title=f"{self.title}, {data.set}",
            )
            for data in [self.data, *self.also]
        ]

    def smoked(self) -> Suite:
        """The same suite on generated vectors, small enough for the test-suite."""
        data = DataSpec("clusters", rows=5000, queries=20, dim=64, unit=self.data.unit)
        if self.data.set == "splade-like":
            data = DataSpec("splade-like", rows=3000, queries=40, unit=False)
        repeat = Repeat(warmup=0, rounds=1, limit_s=60.0, pause_s=0.0)
        methods = [dataclasses.replace(m, at_most=0.0) for m in self.methods]
        return dataclasses.replace(
            self,
            methods=methods,
            data=data,
            also=(),
            repeat=repeat,
            sample=100,
            train=min(self.train or 2000, 2000),
            k=min(self.k, 10),
            goals=(),
            smoke=True,
        )


def read_suite(path: str | Path) -> Suite:
    """Read and check a suite; its path is taken as given or from `benchmarks/`."""
    file = find_suite(path)
    try:
        raw = _toml().loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ParameterError(f"{file}: expected a TOML file; {error}. Mend that line.") from error
    suite = dict(raw)
    top = {f.name for f in dataclasses.fields(Suite)} - {"name", "methods", "goals", "smoke"}
    also = [_make(file, "also", DataSpec, entry) for entry in suite.pop("also", [])]
    _refuse_unknown(file, "", suite, top | {"threads", "floor", "method", "goal"})
    task = suite.get("task", "search")
    if task not in TASKS:
        raise ParameterError(f"{file}: task is {task!r}; expected one of {', '.join(TASKS)}.")
    metrics = ("cosine", "ip", "l2") if task == "ann" else ("cosine", "ip")
    if suite.get("metric", "cosine") not in metrics:
        known = " or ".join(repr(metric) for metric in metrics)
        raise ParameterError(f"{file}: metric is {suite['metric']!r}; expected {known}.")
    if suite.get("calls", "batch") not in ("batch", "single"):
        raise ParameterError(f"{file}: calls is {suite['calls']!r}; expected 'batch' or 'single'.")
    threads = int(suite.pop("threads", 1))
    floor = _floor(file, suite.pop("floor", {}))
    methods = [
        method
        for entry in suite.pop("method", [])
        for method in _methods(file, entry, threads, floor)
    ]
    names = [m.name for m in methods]
    if not methods or len(set(names)) < len(names):
        raise ParameterError(f"{file}: expected methods with distinct names; got {names}.")
    _needs_floor(file, task, methods)
    goals = [_make(file, "goal", Goal, entry) for entry in suite.pop("goal", [])]
    for wanted in [suite.get("baseline", ""), *[g.method for g in goals]]:
        if wanted and not fnmatch.filter(names, wanted):
            raise ParameterError(f"{file}: {wanted!r} is not a method; expected one of {names}.")
    suite["data"] = _make(file, "data", DataSpec, suite.get("data", {}))
    suite["repeat"] = _make(file, "repeat", Repeat, suite.get("repeat", {}))
    return Suite(
        **{"title": file.stem, "task": task, **suite},
        name=file.stem,
        methods=methods,
        goals=goals,
        also=also,
    )


def find_suite(path: str | Path) -> Path:
    """The suite's file, looked for as given and under `benchmarks/`."""
    tried = [Path(path), SUITES.parent / path, SUITES / path]
    for candidate in tried:
        if candidate.is_file():
            return candidate
    raise ParameterError(
        f"no suite at {path}; expected a TOML file such as {', '.join(known_suites())}. "
        "`python -m benchmarks list` shows all."
    )


def known_suites() -> list[str]:
    """Paths of the suites, as `run` takes them."""
    return [str(p.relative_to(SUITES.parent)) for p in sorted(SUITES.rglob("*.toml"))]


def _methods(
    file: Path, entry: dict[str, Any], threads: int, floor: dict[str, float]
) -> list[Method]:
    entry = dict(entry)
    grid = entry.pop("grid", {})
    floors = _floor(file, entry.pop("floor", floor))
    for needed in ("name", "adapter"):
        if needed not in entry:
            raise ParameterError(f"{file}: a [[method]] has no {needed!r}; got {entry}.")
    entry["env"] = {key: str(value) for key, value in entry.get("env", {}).items()}
    plain = _make(file, "method", Method, {"threads": threads, "floor": floors, **entry})
    made = []
    for values in itertools.product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        suffix = "".join(f" {key}={value}" for key, value in point.items())
        made.append(
            dataclasses.replace(plain, name=plain.name + suffix, params={**plain.params, **point})
        )
    return made


def _floor(file: Path, floor: dict[str, Any]) -> dict[str, float]:
    _refuse_unknown(file, "floor.", floor, set(FLOORS))
    for name, value in floor.items():
        if not 0.0 < float(value) <= 1.0:
            raise ParameterError(f"{file}: floor {name} = {value}; expected a share in (0, 1].")
    return {name: float(value) for name, value in floor.items()}


def _needs_floor(file: Path, task: str, methods: Sequence[Method]) -> None:
    for method in methods:
        silent = method.adapter == "bandwidth" or task in ("gauge", "ann")
        if not silent and not method.floor:
            raise ParameterError(
                f"{file}: {method.name} has no quality floor; set [floor] or its own floor, "
                f"with one of {', '.join(FLOORS)}."
            )


def _make(file: Path, where: str, kind: Any, entry: dict[str, Any]) -> Any:
    _refuse_unknown(file, f"{where}.", entry, {f.name for f in dataclasses.fields(kind)})
    return kind(**entry)


def _refuse_unknown(file: Path, where: str, entry: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(entry) - known)
    if unknown:
        raise ParameterError(
            f"{file}: unknown key {where}{unknown[0]}; expected one of {', '.join(sorted(known))}."
        )


def _toml() -> Any:
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DependencyError(
            "suites are TOML, which Python reads from 3.11 on; on 3.10 run `pip install tomli`."
        ) from error
