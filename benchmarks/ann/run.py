# SPDX-License-Identifier: Apache-2.0
"""Build every method, choose its settings on one half of the queries, take turns on the other."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data as bench_data
from benchmarks import machine
from benchmarks.ann.ladder import Point, calibrate, frontier
from benchmarks.ann.truth import AnnTruth
from benchmarks.peers.base import Setting
from benchmarks.process import WorkerError
from benchmarks.runner import Result, Row, Say, median, start_row
from benchmarks.suite import Suite

CALIBRATE, REPORT = 0, 1  # even queries, odd queries
TRIED_S, TIMED_S = 0.05, 0.25  # seconds that the passes of one measurement fill at least


@dataclass
class AnnRow(Row):
    """One method: its settings, each with its recall and its times."""

    tried: list[Point] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    defaults: Point | None = None

    def fail(self, reason: str) -> None:
        super().fail(reason)
        self.tried, self.points, self.defaults = [], [], None

    def at(self, target: float) -> Point | None:
        """The fastest setting that reached the recall on the reporting half."""
        enough = [p for p in self.measured() if p.runs and p.recall >= target]
        return min(enough, key=lambda p: median(p.seconds()), default=None)

    def measured(self) -> list[Point]:
        return [*self.points, *([self.defaults] if self.defaults else [])]


class Judge:
    """Asks a worker for one measurement and finds its recall."""

    def __init__(self, suite: Suite, data: bench_data.Data, home: Path) -> None:
        base, queries = bench_data.load(data.base), bench_data.load(data.queries)
        self.asked = {"k": suite.k, "calls": suite.calls}
        self.truth = AnnTruth(base, queries, suite.k, suite.metric)
        self.path = home / "ids.npy"
        self.timed_s = 0.0 if suite.smoke else TIMED_S
        self.tried_s = 0.0 if suite.smoke else TRIED_S

    def ask(self, row: Row, setting: Setting, half: int) -> tuple[float, dict[str, Any]]:
        assert row.worker is not None
        run = row.worker.ask(
            do="measure",
            setting=setting,
            half=half,
            **self.asked,
            at_least_s=self.tried_s if half == CALIBRATE else self.timed_s,
            path=str(self.path),
        )
        return self.truth.recall(np.load(self.path), slice(half, None, 2)), run

    def attempt(self, row: Row, setting: Setting) -> Point:
        recall, run = self.ask(row, setting, CALIBRATE)
        return Point(setting, recall, float(run["cpu_s"]))


def shares_builds(one: Suite, other: Suite) -> bool:
    """Whether the same indexes serve both: k and the way of calling may differ."""
    is_ann = one.task == other.task == "ann"
    same = (one.metric, one.data, list(one.methods)) == (
        other.metric,
        other.data,
        list(other.methods),
    )
    return is_ann and same


def run_ann(suites: Sequence[Suite], say: Say = lambda _: None) -> Iterator[Result]:
    """Build the methods once, then run suite after suite on them; all share data and methods."""
    first = suites[0]
    built = [AnnRow(method) for method in first.methods]
    with tempfile.TemporaryDirectory(prefix="vectorloom-bench-") as folder, ExitStack() as stack:
        data = bench_data.gather(first.data, Path(folder))
        say(f"{data.name}: {data.rows:,} x {data.dim}, {data.n_queries:,} queries")
        for row in built:
            start_row(first, row, data, stack, say)
        for suite in suites:
            say(suite.title)
            judge = Judge(suite, data, Path(folder))
            rows = [
                AnnRow(r.method, r.error, r.skipped, built=dict(r.built), worker=r.worker)
                for r in built
            ]
            for row in rows:
                _choose(suite, row, judge, say)
            foreign = _take_turns(suite, rows, judge, say)
            for row, held in zip(rows, built, strict=True):
                _finish(row)
                held.error, held.skipped = row.error, row.skipped  # a dead worker stays dead
            stated = asdict(data)
            del stated["base"], stated["queries"]
            yield Result(suite, machine.describe(), stated, list(rows), foreign)


def _choose(suite: Suite, row: AnnRow, judge: Judge, say: Say) -> None:
    if row.worker is None or not row.is_alive():
        return
    try:
        offered = row.worker.ask(do="ladders", k=suite.k)
        row.tried = calibrate(
            lambda setting: judge.attempt(row, setting), offered["ladders"], suite.targets
        )
        row.points = frontier(row.tried)
        if offered["has_defaults"]:
            row.defaults = judge.attempt(row, {})
    except WorkerError as error:
        row.stop(error)
    if row.is_alive() and not row.points:
        row.fail("no setting found half of the neighbours")
    said = f"{len(row.points)} of {len(row.tried)} settings kept"
    say(f"  {row.method.name}: {row.error or row.skipped or said}")


def _take_turns(suite: Suite, rows: Sequence[AnnRow], judge: Judge, say: Say) -> float:
    """A B C A B C …, each at all its settings; returns how many cores others used meanwhile."""
    wall = foreign = 0.0
    for turn in range(suite.repeat.warmup + suite.repeat.rounds):
        timed = turn >= suite.repeat.warmup
        for row in rows:
            if row.worker is None or not row.is_alive() or _had_enough(row):
                continue
            time.sleep(suite.repeat.pause_s)  # pools of the last method go to sleep
            busy, own, start = machine.busy_seconds(), time.process_time(), time.perf_counter()
            used = _measure(row, judge, timed)
            if timed:
                wall += time.perf_counter() - start
                own = used + time.process_time() - own
                foreign += max(0.0, machine.busy_seconds() - busy - own)
        say(f"  round {turn + 1}{'' if timed else ' (warm-up)'} done")
    return foreign / wall if wall else 0.0


def _had_enough(row: AnnRow) -> bool:
    most = row.method.max_rounds
    return bool(most and row.points and len(row.points[0].runs) >= most)


def _measure(row: AnnRow, judge: Judge, timed: bool) -> float:
    """One turn of one method; returns the CPU seconds it took."""
    used = 0.0
    try:
        for point in row.measured():
            recall, run = judge.ask(row, point.setting, REPORT)
            used += float(run.pop("used_s"))
            point.recall = min(point.recall, recall)
            if timed:
                point.runs.append(run)
    except WorkerError as error:
        row.stop(error)
    return used


def _finish(row: AnnRow) -> None:
    if row.worker is None or not row.is_alive():
        return
    try:
        row.facts = row.worker.ask(do="facts")
    except WorkerError as error:
        row.fail(str(error))
