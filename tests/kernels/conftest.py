# SPDX-License-Identifier: Apache-2.0
"""Which CPU levels the kernel tests run at, and the line in the log that names the others."""

from __future__ import annotations

import pytest

from vectorloom import _core

ALL_LEVELS = ("scalar", "neon", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``level`` runs once at each level of this host."""
    if "level" in metafunc.fixturenames:
        metafunc.parametrize("level", _core.simd_levels())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the levels that were not run: a green log must not hide them."""
    here = _core.simd_levels()
    missing = [name for name in ALL_LEVELS if name not in here]
    terminalreporter.write_line(f"CPU levels run: {' '.join(here)}")
    terminalreporter.write_line(f"CPU levels NOT run on this host: {' '.join(missing) or 'none'}")
