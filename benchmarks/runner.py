# SPDX-License-Identifier: Apache-2.0
"""Run a suite: build every method, let them take turns, hold each to its floor."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data as bench_data
from benchmarks import machine
from benchmarks.peers.base import Answer, Floats
from benchmarks.process import WorkerError, WorkerProcess
from benchmarks.suite import CODE_TASKS, Method, Suite
from benchmarks.truth import Quality, Truth

Say = Callable[[str], None]


@dataclass
class Row:
    """One method's result. With ``error`` or ``skipped`` set there is no number at all."""

    method: Method
    error: str = ""
    skipped: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)
    built: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    quality: Quality | None = None
    worker: WorkerProcess | None = None

    def is_alive(self) -> bool:
        return not self.error and not self.skipped

    def seconds(self) -> list[float]:
        """Seconds of the whole job in each timed round (or the gauge's value)."""
        return [float(run["seconds"]) for run in self.runs]

    def fail(self, reason: str) -> None:
        """Turn the row into an error and forget its numbers."""
        self.error, self.runs, self.built = reason, [], {}

    def stop(self, error: WorkerError) -> None:
        """A library that is absent is no fault of the run, unless it is ours; all else is."""
        if error.is_unfit:
            self.skipped = str(error)
        elif error.missing and not error.missing.startswith("vectorloom"):
            self.skipped = (
                f"{error.missing} is not installed; run `pip install 'vectorloom[bench]'`"
            )
        else:
            self.fail(str(error))


@dataclass
class Result:
    """All that is printed and saved."""

    suite: Suite
    machine: dict[str, Any]
    data: dict[str, Any]
    rows: list[Row]
    foreign_load: float

    @property
    def ok(self) -> bool:
        return not any(row.error for row in self.rows)


def run_suite(suite: Suite, say: Say = lambda _: None) -> Result:
    """Run all methods of the suite and judge them."""
    rows = [Row(method) for method in suite.methods]
    with tempfile.TemporaryDirectory(prefix="vectorloom-bench-") as folder, ExitStack() as stack:
        home = Path(folder)
        data, judge = None, None
        if suite.task != "gauge":
            data = bench_data.gather(suite.data, home)
            say(f"{data.name}: {data.rows:,} x {data.dim}, {data.n_queries:,} queries; finding")
            judge = Judge(suite, data, home)
        for row in rows:
            start_row(suite, row, data, stack, say)
        foreign = _take_turns(suite, rows, judge, say)
        for row in rows:
            _finish(row, judge)
        _hold_codes(suite, rows, data)
    facts = asdict(data) if data else {}
    stated = {key: value for key, value in facts.items() if key not in ("base", "queries")}
    return Result(suite, machine.describe(), stated, rows, foreign)


class Judge:
    """Holds the truth for the suite and says what is wrong with a row's last answer."""

    def __init__(self, suite: Suite, data: bench_data.Data, home: Path) -> None:
        base = np.load(data.base, mmap_mode="r")
        self.home = home
        self.rows: Any = None
        queries = np.load(data.queries)
        if suite.task == "knn-graph":
            rng = np.random.default_rng(1)
            self.rows = np.sort(rng.choice(len(base), min(suite.sample, len(base)), False))
            queries = base[self.rows]
        self.base, self.queries, self.k = base, np.asarray(queries), suite.k
        if suite.task not in ("encode", "fit"):
            self.truth = Truth(base, self.queries, suite.k, self.rows)

    def look(self, row: Row) -> None:
        """Judge the answer that the worker gave last; a missed floor fails the row."""
        if row.worker is None or not row.is_alive():
            return
        path = self.home / "answer.npz"
        if not row.worker.ask(do="save", path=str(path))["answers"]:
            return
        with np.load(path) as saved:
            if "decoded" in saved.files:  # its floor is held against the baseline's, at the end
                row.quality = Quality(kept=self._kept(saved["decoded"]))
                return
            answer = Answer(**{name: saved[name] for name in saved.files})
        row.quality = self._quality(answer)
        missed = row.quality.missed(dict(row.method.floor))
        if missed:
            row.fail(missed)

    def _kept(self, decoded: Floats) -> float:
        """Share of the variance of the first rows that decoding keeps, in float64."""
        rows = np.asarray(self.base[: len(decoded)], np.float64)
        lost = ((rows - decoded) ** 2).sum()
        return float(1 - lost / ((rows - rows.mean(axis=0)) ** 2).sum())

    def _quality(self, answer: Answer) -> Quality:
        if answer.ids is None or self.rows is None:
            return self.truth.judge(answer)
        if answer.rows is None:
            return self.truth.judge(Answer(answer.ids[self.rows]))
        # A graph of other rows than the judged sample: the first of them are judged instead.
        rows = answer.rows[: len(self.rows)]
        truth = Truth(self.base, self.base[rows], self.k, rows)
        return truth.judge(Answer(answer.ids[: len(rows)]))


def start_row(
    suite: Suite, row: Row, data: bench_data.Data | None, stack: ExitStack, say: Say
) -> None:
    """Start the method's worker and let it build, or say in the row why there is none."""
    method, known = row.method, machine.levels()
    level = method.env.get("VECTORLOOM_SIMD", "")
    if level and level not in known and level != "amx_model":
        row.skipped = f"this CPU has no {level} (it has {', '.join(known)})"
        return
    cpus = machine.usable_cpus()
    if method.threads > len(cpus):
        row.skipped = f"needs {method.threads} CPUs; {len(cpus)} may be used"
        return
    config = {
        "adapter": method.adapter,
        "params": dict(method.params),
        "threads": method.threads,
        "cpus": cpus[-method.threads :],
        "task": suite.task,
        "metric": suite.metric,
        "k": suite.k,
        "calls": suite.calls,
        "base": str(data.base) if data else "",
        "queries": str(data.queries) if data else "",
        "train": suite.train,
        "bits": suite.bits,
    }
    try:
        row.worker = WorkerProcess(method, config, suite.repeat.limit_s)
        stack.callback(row.worker.close)
        row.built = row.worker.ask(do="build")
    except WorkerError as error:
        row.stop(error)
    say(f"  {method.name}: {row.error or row.skipped or 'built'}")


def _take_turns(suite: Suite, rows: Sequence[Row], judge: Judge | None, say: Say) -> float:
    """A B C A B C …; returns how many cores other processes used during the timed runs."""
    wall = foreign = 0.0
    for turn in range(suite.repeat.warmup + suite.repeat.rounds):
        timed = turn >= suite.repeat.warmup
        for row in rows:
            enough = row.method.max_rounds and len(row.runs) >= row.method.max_rounds
            if row.worker is None or not row.is_alive() or enough:
                continue
            time.sleep(suite.repeat.pause_s)  # pools of the last method go to sleep
            before, start = machine.busy_seconds(), time.perf_counter()
            try:
                run = row.worker.ask(do="run")
            except WorkerError as error:
                row.stop(error)
                continue
            took = time.perf_counter() - start
            others = max(0.0, machine.busy_seconds() - before - run["cpu_s"])
            if timed:
                wall, foreign = wall + took, foreign + others
                row.runs.append({**run, "foreign_cores": others / took if took > 0.05 else None})
            elif judge is not None:
                judge.look(row)
        say(f"  round {turn + 1}{'' if timed else ' (warm-up)'} done")
    return foreign / wall if wall else 0.0


def _finish(row: Row, judge: Judge | None) -> None:
    if row.worker is None or not row.is_alive():
        return
    try:
        if judge is not None:
            judge.look(row)
        row.facts = row.worker.ask(do="facts")
    except WorkerError as error:
        row.fail(str(error))
        return
    if row.is_alive() and row.method.at_most and min(row.seconds()) > row.method.at_most:
        row.fail(f"{min(row.seconds()):.3g} is above the limit {row.method.at_most:g}")


def _hold_codes(suite: Suite, rows: Sequence[Row], data: bench_data.Data | None) -> None:
    """Codes must fit into the suite's bytes, and keep as much as the baseline where asked."""
    if suite.task not in CODE_TASKS or data is None:
        return
    if suite.task != "code-recall":
        kept = [r.quality.kept for r in rows if r.quality and r.method.name == suite.baseline]
        best = kept[0] if kept else None
        for row in rows:
            if row.quality is not None and row.quality.kept is not None and row.is_alive():
                share = row.quality.kept / best if best else None
                row.quality = replace(row.quality, of_baseline=share)
                floor = dict(row.method.floor)
                if best is None:  # left out by --only: nothing to hold it against
                    floor.pop("of_baseline", None)
                missed = row.quality.missed(floor)
                if missed:
                    row.fail(missed)
    budget = math.ceil(suite.bits * data.dim / 8)
    for row in rows:
        size = row.facts.get("row_bytes")
        if row.is_alive() and budget and size and size > budget:
            row.fail(f"{size} bytes a row; the suite allows {budget}")


def median(values: Sequence[float]) -> float:
    """The middle value; of none, not a number."""
    return statistics.median(values) if values else float("nan")
