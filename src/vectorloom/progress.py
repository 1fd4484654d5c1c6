# SPDX-License-Identifier: Apache-2.0
"""The one way in which vectorloom tells how far a long job is: rate, time left, true metrics.

    with progress("training", total=20, unit="epochs") as bar:
        for _ in range(20):
            loss = one_epoch()
            bar.advance(loss=loss)

What the user sees depends on ``VECTORLOOM_PROGRESS``:

``auto``
    (default) a bar on standard error when that is a terminal, else nothing.
``bar``
    as ``auto``; off-terminal, one plain line every ten seconds.
``json``
    one JSON object a line on standard error: at the start, at most once a second, at the end.
``off``
    nothing.

A job shorter than two seconds draws no bar. Nothing is ever written to standard output, a failing
standard error never fails the job, and every exception (Ctrl-C too) passes through unchanged.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TextIO

from vectorloom.errors import ParameterError
from vectorloom.readable import format_bytes, format_count, format_rate, format_seconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import ProgressColumn, Task, TaskID
    from rich.text import Text
    from typing_extensions import Self

__all__ = ["Progress", "ProgressState", "followed", "progress"]

MODES = ("auto", "bar", "json", "off")

# A bar that flashes up and vanishes is noise: shorter jobs stay silent.
SHOW_AFTER_S = 2.0
CALLBACK_EVERY_S = 0.1
JSON_EVERY_S = 1.0
LINE_EVERY_S = 10.0
# The rate is that of the last samples, not of the whole job, so that the time left follows a
# change of pace; 32 samples of half a second are long enough not to jitter.
SAMPLE_EVERY_S = 0.5
N_SAMPLES = 32

Status = Literal["running", "done", "failed", "interrupted"]
_Sink = Literal["off", "bar", "line", "json"]


@dataclass(frozen=True)
class ProgressState:
    """What is known about a job at one moment; this is what a callback is given.

    Attributes
    ----------
    description : str
    done : int
        Units finished, those of an earlier run (``initial``) included.
    total : int or None
        None when the end is not known.
    unit : str
    elapsed : float
        Seconds since the job started.
    rate : float or None
        Units a second over the recent past, or over the whole job once it has ended; None before
        the first unit.
    eta : float or None
        Seconds left; None when the total or the rate is not known.
    metrics : dict of str to float
        The last value of each metric given to `Progress.advance`.
    status : {"running", "done", "failed", "interrupted"}
    depth : int
        0 for an outermost job, 1 for a job inside it, and so on.
    """

    description: str
    done: int
    total: int | None
    unit: str
    elapsed: float
    rate: float | None
    eta: float | None
    metrics: dict[str, float] = field(default_factory=dict)
    status: Status = "running"
    depth: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return plain data that is always valid JSON (NaN and infinity become None)."""
        return {
            "progress": self.description,
            "status": self.status,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "elapsed_s": _finite(self.elapsed),
            "rate_per_s": _finite(self.rate),
            "eta_s": _finite(self.eta),
            "metrics": {name: _finite(value, 9) for name, value in self.metrics.items()},
            "depth": self.depth,
        }

    def __str__(self) -> str:
        """Return the counts, rate, time and metrics on one line, without the description."""
        amounts = [self.done] if self.total is None else [self.done, self.total]
        count = "/".join(format_count(amount, self.unit) for amount in amounts)
        unit = "" if self.unit == "bytes" else f" {self.unit}"  # a size names its own
        # A step that cannot tell how far it is has only its time to show.
        parts = [count + unit] if self.done or self.total is not None else []
        if self.rate:
            fast = format_bytes(self.rate) if self.unit == "bytes" else format_rate(self.rate)
            slow = f"{format_seconds(1 / self.rate)} each"
            parts.append(slow if self.rate < 1 else f"{fast}{unit}/s")
        if self.status == "running" and self.eta is not None:
            parts.append(f"{format_seconds(self.eta)} left")
        else:
            parts.append(format_seconds(self.elapsed))
        parts += [f"{name} {value:.4g}" for name, value in self.metrics.items()]
        return " · ".join(parts)


Callback = Callable[[ProgressState], None]
_follower: ContextVar[Callback | None] = ContextVar("follower", default=None)


@contextlib.contextmanager
def followed(callback: Callback) -> Iterator[None]:
    """Have every job inside that has no callback of its own call this one.

    Parameters
    ----------
    callback : callable
        As that of `progress`: it may raise to stop the job.

    Examples
    --------
    >>> seen = []
    >>> with followed(lambda state: seen.append(state.status)), progress("counting") as bar:
    ...     bar.advance()
    >>> seen
    ['running', 'done']
    """
    token = _follower.set(callback)
    try:
        yield
    finally:
        _follower.reset(token)


def progress(
    description: str,
    *,
    total: int | None = None,
    unit: str = "items",
    quiet: bool | None = None,
    callback: Callback | None = None,
    initial: int = 0,
) -> Progress:
    """Announce a long job; use it as a context manager and call ``advance`` as work is done.

    Parameters
    ----------
    description : str
        A few words, such as ``"encoding"``.
    total : int or None, default=None
        Units in the whole job; None shows the rate but no time left.
    unit : str, default="items"
        Plural name of what is counted: rows, epochs, passages.
    quiet : bool or None, default=None
        True shows nothing, False asks for ``bar``, None does what ``VECTORLOOM_PROGRESS`` says.
        The callback is called whatever the value.
    callback : callable or None, default=None
        Called with a `ProgressState` at the start, at most ten times a second, and at the end. It
        may raise to stop the job.
    initial : int, default=0
        Units done before, when a job is resumed; they count as done but not for the rate.

    Returns
    -------
    Progress
        Safe to advance from several threads and to nest.

    Raises
    ------
    ParameterError : ``VECTORLOOM_PROGRESS`` is not one of auto, bar, json, off.

    Examples
    --------
    >>> with progress("counting", total=3, unit="sheep") as bar:
    ...     for _ in range(3):
    ...         bar.advance()
    >>> bar.state().done
    3
    """
    return Progress(
        description,
        total=total,
        unit=unit,
        sink=_choose_sink(quiet),
        callback=_follower.get() if callback is None else callback,
        initial=initial,
    )


class Progress:
    """A running job; made by `progress`, which documents it."""

    def __init__(
        self,
        description: str,
        *,
        total: int | None,
        unit: str,
        sink: _Sink,
        callback: Callback | None,
        initial: int,
    ) -> None:
        self.description = description
        self.total = total
        self.unit = unit
        self._sink = sink
        self._callback = callback
        self._done = self._initial = initial
        self._metrics: dict[str, float] = {}
        self._status: Status = "running"
        self._depth = 0
        self._lock = threading.Lock()
        self._start = self._latest = self._next_callback = self._next_write = time.monotonic()
        self._stopped_at: float | None = None
        self._samples: deque[tuple[float, int]] = deque(maxlen=N_SAMPLES)

    def __enter__(self) -> Self:
        """Start the clock."""
        now = time.monotonic()
        self._start = self._latest = now
        self._samples.append((now, self._done))
        self._next_callback = now + CALLBACK_EVERY_S
        self._next_write = now + {"json": JSON_EVERY_S, "line": LINE_EVERY_S}.get(self._sink, 0.0)
        self._depth = _display.enter(self)
        if self._sink == "json":
            self._write_json()
        if self._callback is not None:
            try:
                self._callback(self.state())
            except BaseException:
                _display.leave(self)
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the clock and say how the job ended; the exception, if any, goes on."""
        self._stopped_at = time.monotonic()
        if kind is None:
            self._status = "done"
        else:
            self._status = "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed"
        _display.leave(self)
        if self._sink == "json":
            self._write_json()
        elif self._sink == "line" and self._stopped_at - self._start >= SHOW_AFTER_S:
            self._write_line()
        if self._callback is not None:
            # A callback that fails while the job is failing must not hide the job's own error.
            shield = contextlib.suppress(Exception) if kind else contextlib.nullcontext()
            with shield:
                self._callback(self.state())

    def advance(self, n: int = 1, **metrics: float) -> None:
        """Count `n` more units as done and remember the metrics, e.g. ``loss=0.31``."""
        now = time.monotonic()
        with self._lock:
            self._done += n
            if metrics:
                self._metrics.update({name: float(value) for name, value in metrics.items()})
            self._latest = now
            if now - self._samples[-1][0] >= SAMPLE_EVERY_S:
                self._samples.append((now, self._done))
            call = self._callback is not None and now >= self._next_callback
            if call:
                self._next_callback = now + CALLBACK_EVERY_S
            write = self._sink in ("json", "line") and now >= self._next_write
            if write:
                every = JSON_EVERY_S if self._sink == "json" else LINE_EVERY_S
                self._next_write = now + every
        if write:
            if self._sink == "json":
                self._write_json()
            else:
                self._write_line()
        if call and self._callback is not None:
            self._callback(self.state())

    def update(self, *, description: str | None = None, total: int | None = None) -> None:
        """Change the description, or the total once it is known."""
        with self._lock:
            if description is not None:
                self.description = description
            if total is not None:
                self.total = total

    def state(self) -> ProgressState:
        """Return what is known now."""
        now = self._stopped_at if self._stopped_at is not None else time.monotonic()
        with self._lock:
            rate, eta = self._rate_and_eta(now)
            return ProgressState(
                description=self.description,
                done=self._done,
                total=self.total,
                unit=self.unit,
                elapsed=now - self._start,
                rate=rate,
                eta=eta,
                metrics=dict(self._metrics),
                status=self._status,
                depth=self._depth,
            )

    def _rate_and_eta(self, now: float) -> tuple[float | None, float | None]:
        """Rate up to the last advance, so that slow units do not make the time left swing."""
        if not self._samples:
            return None, None
        if self._status == "running":
            since, before = self._samples[0]
            span, gained = self._latest - since, self._done - before
        else:
            span, gained = now - self._start, self._done - self._initial
        if span <= 0 or gained <= 0:
            return None, None
        rate = gained / span
        if self.total is None:
            return rate, None
        expected = max(0, self.total - self._done) / rate
        # Counts down while a unit is being worked on; one that is overdue must not read as done.
        return rate, max(expected - (now - self._latest), expected / 2)

    def _write_json(self) -> None:
        _write(json.dumps(self.state().to_dict(), ensure_ascii=False))

    def _write_line(self) -> None:
        state = self.state()
        ended = "" if state.status in ("running", "done") else f" {state.status}"
        _write(f"{'  ' * state.depth}{state.description}{ended}: {state}")


class _Display:
    """The bars now on the terminal: one rich display shared by all, since rich allows one only."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._bars: list[Progress] = []
        self._tasks: dict[int, TaskID] = {}
        self._rich: RichProgress | None = None
        self._timer: threading.Timer | None = None

    def enter(self, bar: Progress) -> int:
        """Register a job and return how many others it is inside of."""
        with self._lock:
            depth = len(self._bars)
            self._bars.append(bar)
            if bar._sink == "bar" and self._timer is None:
                self._wait()
            return depth

    def leave(self, bar: Progress) -> None:
        with self._lock:
            # A child process may leave a job that was entered before the fork.
            if bar not in self._bars:
                return
            self._bars.remove(bar)
            task = self._tasks.pop(id(bar), None)
            if self._rich is not None and task is not None:
                self._rich.remove_task(task)
            if not any(other._sink == "bar" for other in self._bars):
                self._close()
            if task is not None and bar._depth == 0:
                self._sum_up(bar)

    def _wait(self) -> None:
        # A timer, not `advance`, shows the bar: one call into a kernel may last a minute.
        self._timer = threading.Timer(SHOW_AFTER_S / 4, self._tick)
        self._timer.daemon = True
        self._timer.start()

    def _tick(self) -> None:
        with self._lock:
            # A cancelled timer may already be waiting for the lock; a newer one has its place.
            if self._timer is not threading.current_thread():
                return
            now = time.monotonic()
            for bar in self._bars:
                ripe = bar._sink == "bar" and now - bar._start >= SHOW_AFTER_S
                if ripe and id(bar) not in self._tasks:
                    with contextlib.suppress(Exception):  # a drawing never fails the job
                        self._show(bar)
            self._wait()

    def _show(self, bar: Progress) -> None:
        if self._rich is None:
            self._rich = _rich_progress()
            self._rich.start()
        label = "  " * bar._depth + bar.description
        self._tasks[id(bar)] = self._rich.add_task(label, total=bar.total, bar=bar)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._rich is not None:
            with contextlib.suppress(Exception):
                self._rich.stop()
            self._rich = None
            self._tasks.clear()

    def _sum_up(self, bar: Progress) -> None:
        """Leave one line behind where the bar was."""
        state = bar.state()
        ended = "" if state.status == "done" else f" {state.status}"
        _write(f"{state.description}{ended}: {state}")


def _rich_progress() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console: Console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=28, complete_style="cyan", finished_style="cyan", pulse_style="cyan"),
        _state_column(),
        console=console,
        transient=True,
        refresh_per_second=8,
        # rich would send a redirected standard output to the display's stream, standard error.
        redirect_stdout=_is_terminal(sys.stdout),
        redirect_stderr=True,
    )


def _state_column() -> ProgressColumn:
    """Make a column that reads the job itself, so that `advance` need not push to rich."""
    from rich.progress import ProgressColumn
    from rich.text import Text

    class StateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            bar: Progress = task.fields["bar"]
            state = bar.state()
            task.description = "  " * state.depth + state.description
            task.total, task.completed = state.total, state.done
            percent = f"{100 * state.done / state.total:3.0f} %  " if state.total else ""
            return Text(percent + str(state), style="dim")

    return StateColumn()


def _choose_sink(quiet: bool | None) -> _Sink:
    if quiet:
        return "off"
    mode = os.environ.get("VECTORLOOM_PROGRESS", "").strip().lower() or "auto"
    if mode not in MODES:
        raise ParameterError(
            f"VECTORLOOM_PROGRESS is {mode!r}; expected one of {', '.join(MODES)}. "
            "Unset it for the default, a bar on a terminal and nothing elsewhere."
        )
    if quiet is False and mode in ("auto", "off"):
        mode = "bar"
    if mode == "off" or mode == "json":
        return "json" if mode == "json" else "off"
    if _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb" and not _is_worker():
        return "bar"
    return "line" if mode == "bar" else "off"


def _is_worker() -> bool:
    """Tell whether this is a child of multiprocessing: the terminal belongs to the parent."""
    module = sys.modules.get("multiprocessing.process")
    return module is not None and module.parent_process() is not None


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError):  # replaced by something odd, or closed
        return False


def _write(line: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def _finite(value: float | None, digits: int = 3) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(value, digits)


_display = _Display()


def _forget_after_fork() -> None:
    # The child has neither the refresh thread nor the timer; the terminal is the parent's.
    global _display
    _display = _Display()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
