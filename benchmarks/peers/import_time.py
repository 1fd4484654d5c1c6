# SPDX-License-Identifier: Apache-2.0
"""Seconds of one `import` in a fresh interpreter, everything that it pulls in included."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

from benchmarks.peers.base import Facts, GaugePeer

CODE = "import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"


class Peer(GaugePeer):
    """``module`` is what is imported, ``package`` the distribution whose version is shown."""

    unit = "s"

    def __init__(self, *, threads: int, metric: str, module: str, package: str) -> None:
        del threads, metric
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        self.code = CODE.format(module=module)
        self.package = package

    def measure(self) -> float:
        run = [sys.executable, "-c", self.code]
        return float(subprocess.run(run, check=True, capture_output=True, text=True).stdout)

    def facts(self) -> Facts:
        return Facts([self.package])
