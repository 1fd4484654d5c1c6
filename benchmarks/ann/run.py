# SPDX-License-Identifier: Apache-2.0
"""Build every method, choose its settings on one half of the queries, take turns on the other."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data as bench_data
from benchmarks import machine
from benchmarks.ann.ladder import Point, calibrate
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

    points: list[Point] = field(default_factory=list)
    defaults: Point | None = None

    def fail(self, reason: str) -> None:
        super().fail(reason)
        self.points, self.defaults = [], None

    def at(self, target: float) -> Point | None:
        """The fastest setting that reached the recall on the reporting half."""
        enough = [p for p in self.points if p.runs and p.recall >= target]
        return min(enough, key=lambda p: median(p.seconds()), default=None)

    def measured(self) -> list[Point]:
        return [*self.points, *([self.defaults] if self.defaults else [])]


class Judge:
    """Asks a worker for one measurement and finds its recall."""

    def __init__(self, suite: Suite, data: bench_data.Data, home: Path) -> None:
        base, queries = np.load(data.base, mmap_mode="r"), np.load(data.queries)
        self.truth = AnnTruth(np.asarray(base), queries, suite.k, suite.metric)
        self.path = home / "ids.npy"
        self.timed_s = 0.0 if suite.smoke else TIMED_S
        self.tried_s = 0.0 if suite.smoke else TRIED_S

    def ask(self, row: Row, setting: Setting, half: int) -> tuple[float, dict[str, Any]]:
        assert row.worker is not None
        run = row.worker.ask(
            do="measure",
            setting=setting,
            half=half,
            at_least_s=self.tried_s if half == CALIBRATE else self.timed_s,
            path=str(self.path),
        )
        return self.truth.recall(np.load(self.path), slice(half, None, 2)), run

    def attempt(self, row: Row, setting: Setting) -> Point:
        recall, run = self.ask(row, setting, CALIBRATE)
        return Point(setting, recall, float(run["seconds"]))


def run_ann(suite: Suite, say: Say = lambda _: None) -> Result:
    """Run all methods of an "ann" suite."""
    rows = [AnnRow(method) for method in suite.methods]
    with tempfile.TemporaryDirectory(prefix="vectorloom-bench-") as folder, ExitStack() as stack:
        data = bench_data.gather(suite.data, Path(folder))
        say(f"{data.name}: {data.rows:,} x {data.dim}, {data.n_queries:,} queries; finding")
        judge = Judge(suite, data, Path(folder))
        for row in rows:
            start_row(suite, row, data, stack, say)
            _choose(suite, row, judge, say)
        foreign = _take_turns(suite, rows, judge, say)
        for row in rows:
            _finish(row)
    stated = {key: value for key, value in asdict(data).items() if key not in ("base", "queries")}
    return Result(suite, machine.describe(), stated, list(rows), foreign)


def _choose(suite: Suite, row: AnnRow, judge: Judge, say: Say) -> None:
    if row.worker is None or not row.is_alive():
        return
    try:
        offered = row.worker.ask(do="ladders")
        row.points = calibrate(
            lambda setting: judge.attempt(row, setting), offered["ladders"], suite.targets
        )
        if offered["has_defaults"]:
            row.defaults = judge.attempt(row, {})
    except WorkerError as error:
        row.stop(error)
    if row.is_alive() and not row.points:
        row.fail("no setting found half of the neighbours")
    say(f"    {row.error or row.skipped or f'{len(row.points)} settings kept'}")


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
