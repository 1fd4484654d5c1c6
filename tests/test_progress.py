# SPDX-License-Identifier: Apache-2.0
"""Laws of the progress protocol: what is told, to whom, and that it never harms the job."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from vectorloom import progress as module
from vectorloom.errors import ParameterError, VectorloomError
from vectorloom.progress import ProgressState, progress
from vectorloom.readable import format_bytes, format_rate, format_seconds


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    return clock


@pytest.fixture(autouse=True)
def _default_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VECTORLOOM_PROGRESS", raising=False)


class Terminal(io.StringIO):
    """Standard error as a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def json_events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# What is told


def test_rate_and_eta_follow_the_work_done(clock: Clock) -> None:
    with progress("encoding", total=100, unit="rows") as bar:
        assert bar.state().rate is None
        assert bar.state().eta is None
        clock.now += 2
        bar.advance(20)
        state = bar.state()
    assert state.rate == pytest.approx(10.0)
    assert state.eta == pytest.approx(8.0)
    assert (state.done, state.total, state.unit) == (20, 100, "rows")


def test_eta_counts_down_between_slow_units(clock: Clock) -> None:
    with progress("training", total=10, unit="epochs") as bar:
        clock.now += 60
        bar.advance()
        clock.now += 50
        state = bar.state()
    assert state.rate == pytest.approx(1 / 60)
    assert state.eta == pytest.approx(9 * 60 - 50)


def test_rate_is_that_of_the_recent_past(clock: Clock) -> None:
    with progress("encoding", total=10_000) as bar:
        for _ in range(100):
            clock.now += 1
            bar.advance(1)
        for _ in range(100):
            clock.now += 1
            bar.advance(50)
        assert bar.state().rate == pytest.approx(50.0)


def test_rate_after_the_end_is_that_of_the_whole_job(clock: Clock) -> None:
    with progress("encoding", total=300) as bar:
        clock.now += 100
        bar.advance(100)
        clock.now += 100
        bar.advance(200)
    clock.now += 1000
    assert bar.state().rate == pytest.approx(1.5)
    assert bar.state().elapsed == pytest.approx(200.0)


def test_work_of_an_earlier_run_does_not_count_for_the_rate(clock: Clock) -> None:
    with progress("training", total=100, initial=90) as bar:
        clock.now += 5
        bar.advance(5)
        state = bar.state()
    assert state.done == 95
    assert state.rate == pytest.approx(1.0)
    assert state.eta == pytest.approx(5.0)


def test_eta_of_an_overdue_unit_is_not_zero(clock: Clock) -> None:
    with progress("training", total=3, unit="epochs") as bar:
        clock.now += 10
        bar.advance()
        clock.now += 1000
        assert bar.state().eta == pytest.approx(10.0)


def test_step_that_cannot_tell_how_far_it_is_shows_its_time_alone() -> None:
    assert str(ProgressState("reading", 0, None, "items", 12.0, None, None)) == "12 s"


def test_slow_units_are_told_in_seconds_each() -> None:
    assert str(ProgressState("x", 1, 3, "epochs", 95.0, 1 / 95, 190.0)) == (
        "1/3 epochs · 1:35 each · 3:10 left"
    )


def test_unknown_total_gives_a_rate_and_no_eta(clock: Clock) -> None:
    with progress("reading") as bar:
        clock.now += 1
        bar.advance(7)
        assert bar.state().rate == pytest.approx(7.0)
        assert bar.state().eta is None
        bar.update(total=70, description="reading again")
        assert bar.state().eta == pytest.approx(9.0)
        assert bar.state().description == "reading again"


def test_more_done_than_promised_leaves_nothing_to_wait_for(clock: Clock) -> None:
    with progress("reading", total=5) as bar:
        clock.now += 1
        bar.advance(9)
        assert bar.state().eta == 0.0


def test_last_value_of_each_metric_is_kept() -> None:
    with progress("training", total=3) as bar:
        bar.advance(loss=0.9, lr=0.1)
        bar.advance(loss=0.5)
    assert bar.state().metrics == {"loss": 0.5, "lr": 0.1}


def test_advance_from_many_threads_loses_nothing() -> None:
    with progress("encoding", total=8000) as bar:
        threads = [
            threading.Thread(target=lambda: [bar.advance() for _ in range(1000)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert bar.state().done == 8000


def test_line_for_people_names_count_rate_time_and_metrics() -> None:
    state = ProgressState("x", 1200, 5000, "rows", 3.0, 400.0, 9.5, {"loss": 0.123456})
    assert str(state) == "1,200/5,000 rows · 400 rows/s · 9.5 s left · loss 0.1235"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1:00"), (3599.7, "1:00:00")],
)
def test_seconds_are_rounded_into_the_next_form(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(0.0417, "0.0417"), (12.345, "12.3"), (99.96, "100"), (12345.6, "12,346")]
)
def test_rates_keep_three_digits(rate: float, text: str) -> None:
    assert format_rate(rate) == text


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (5 * 2**40, "5.0 TiB")],
)
def test_sizes_are_in_binary_units(n: int, text: str) -> None:
    assert format_bytes(n) == text


def test_bytes_are_shown_as_sizes() -> None:
    state = ProgressState("reading", 3 << 20, 6 << 20, "bytes", 1.0, 1.5 * 2**20, 2.0)
    assert str(state) == "3.0 MiB/6.0 MiB · 1.5 MiB/s · 2.0 s left"


# Callbacks


def test_callback_hears_the_start_and_the_end() -> None:
    heard: list[ProgressState] = []
    with progress("encoding", total=2, callback=heard.append) as bar:
        bar.advance(2, loss=1.5)
    assert [state.status for state in heard] == ["running", "done"]
    assert heard[0].done == 0
    assert (heard[-1].done, heard[-1].metrics) == (2, {"loss": 1.5})


def test_callback_is_called_at_most_ten_times_a_second(clock: Clock) -> None:
    heard: list[ProgressState] = []
    with progress("encoding", total=1000, callback=heard.append) as bar:
        for _ in range(1000):
            clock.now += 0.001
            bar.advance()
    assert 9 <= len(heard) <= 12


def test_quiet_silences_the_screen_and_not_the_callback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VECTORLOOM_PROGRESS", "json")
    heard: list[ProgressState] = []
    with progress("encoding", quiet=True, callback=heard.append):
        pass
    assert len(heard) == 2
    assert capsys.readouterr().err == ""


def test_callback_may_stop_the_job() -> None:
    def stop(state: ProgressState) -> None:
        raise VectorloomError("enough")

    with pytest.raises(VectorloomError, match="enough"), progress("encoding", callback=stop):
        pytest.fail("the body must not run")
    with progress("next") as bar:
        assert bar.state().depth == 0


def test_callback_that_fails_last_does_not_hide_the_error_of_the_job() -> None:
    def fail_at_the_end(state: ProgressState) -> None:
        if state.status != "running":
            raise RuntimeError("callback")

    with pytest.raises(ZeroDivisionError), progress("x", callback=fail_at_the_end):
        _ = 1 / 0
    with pytest.raises(RuntimeError, match="callback"), progress("x", callback=fail_at_the_end):
        pass


# Ends


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")]
)
def test_exceptions_pass_through_and_name_the_end(error: type[BaseException], status: str) -> None:
    heard: list[ProgressState] = []
    with pytest.raises(error), progress("encoding", callback=heard.append) as bar:
        raise error
    assert heard[-1].status == status
    assert bar.state().status == status


def test_nested_jobs_know_their_depth_and_leave_in_any_order() -> None:
    outer, inner = progress("outer"), progress("inner")
    outer.__enter__()
    inner.__enter__()
    assert (outer.state().depth, inner.state().depth) == (0, 1)
    outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)
    with progress("after") as bar:
        assert bar.state().depth == 0


# Modes


def test_silent_when_standard_error_is_no_terminal(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("encoding", total=10) as bar:
        clock.now += 60
        bar.advance(10)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_json_mode_writes_one_object_a_line_to_standard_error(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VECTORLOOM_PROGRESS", "json")
    with progress("training", total=40, unit="steps") as bar:
        for _ in range(40):
            clock.now += 0.1
            bar.advance(loss=float("nan"))
    captured = capsys.readouterr()
    events = json_events(captured.err)
    assert captured.out == ""
    assert 4 <= len(events) <= 6  # the start, one a second, the end
    assert events[0]["done"] == 0
    assert events[-1] == {
        "progress": "training",
        "status": "done",
        "done": 40,
        "total": 40,
        "unit": "steps",
        "elapsed_s": 4.0,
        "rate_per_s": 10.0,
        "eta_s": 0.0,
        "metrics": {"loss": None},
        "depth": 0,
    }


def test_bar_mode_off_terminal_writes_a_plain_line_every_ten_seconds(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VECTORLOOM_PROGRESS", "bar")
    with progress("encoding", total=25, unit="rows") as bar:
        for _ in range(25):
            clock.now += 1
            bar.advance()
    assert capsys.readouterr().err.splitlines() == [
        "encoding: 10/25 rows · 1 rows/s · 15 s left",
        "encoding: 20/25 rows · 1 rows/s · 5.0 s left",
        "encoding: 25/25 rows · 1 rows/s · 25 s",
    ]


def test_unknown_mode_is_refused_with_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTORLOOM_PROGRESS", "loud")
    with pytest.raises(ParameterError, match="'loud'; expected one of auto, bar, json, off"):
        progress("encoding")


@pytest.mark.parametrize("broken", [None, "closed"])
def test_broken_standard_error_never_fails_the_job(
    broken: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream if broken else None)
    for mode in module.MODES:
        monkeypatch.setenv("VECTORLOOM_PROGRESS", mode)
        with progress("encoding", total=1) as bar:
            bar.advance()
        assert bar.state().done == 1


def test_terminal_shows_nothing_before_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with progress("encoding", total=10) as bar:
        bar.advance(10)
    assert screen.getvalue() == ""
    assert module._display._timer is None


def test_terminal_shows_a_bar_without_any_advance_and_leaves_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(module, "SHOW_AFTER_S", 0.1)
    with progress("encoding", total=10, unit="rows") as bar, progress("inside", total=3):
        deadline = threading.Event()
        deadline.wait(1.0)
        bar.advance(4)
        deadline.wait(0.3)
    text = screen.getvalue()
    assert "encoding" in text
    assert "inside" in text
    assert "4/10 rows" in text
    assert text.splitlines()[-1].endswith("s")
    assert module._display._rich is None


def test_rich_is_imported_only_when_a_bar_is_drawn() -> None:
    code = (
        "import sys\nfrom vectorloom.progress import progress\n"
        "with progress('encoding', total=1) as bar: bar.advance()\n"
        "print(sorted({'rich', 'typer', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "rich" not in done.stdout
    assert "typer" not in done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_can_leave_the_job_of_its_parent() -> None:
    code = (
        "import os\nfrom vectorloom.progress import progress\n"
        "with progress('outer') as bar:\n"
        "    child = os.fork()\n"
        "    bar.advance()\n"
        "if child == 0: os._exit(0)\n"
        "print(os.waitpid(child, 0)[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "0"
