# SPDX-License-Identifier: Apache-2.0
"""A plugin of pytest under which a test that skips has failed: ``pytest -p no_skips``."""

from __future__ import annotations

from typing import Any

skipped: list[str] = []


def _note(report: Any) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        skipped.append(f"{report.nodeid}: {str(report.longrepr).splitlines()[-1]}")


def pytest_collectreport(report: Any) -> None:
    _note(report)


def pytest_runtest_logreport(report: Any) -> None:
    _note(report)


def pytest_sessionfinish(session: Any) -> None:
    if skipped:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in skipped:
        terminalreporter.write_line(f"skipped, and must not be: {line}", red=True)
