# SPDX-License-Identifier: Apache-2.0
"""The runner's end of the pipe to one worker process."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.suite import Method

# Every pool a library may bring obeys one of these; the worker sets them a second time by API.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class WorkerError(Exception):
    """The method failed; ``missing`` names the library when that is why.

    ``is_unfit``: the method has no setting for these data.
    """

    def __init__(self, message: str, missing: str = "", is_unfit: bool = False) -> None:
        super().__init__(message)
        self.missing = missing
        self.is_unfit = is_unfit


class WorkerProcess:
    """Start a worker for a method, send it orders, read its answers within a time limit."""

    def __init__(self, method: Method, config: dict[str, Any], limit_s: float) -> None:
        self.limit_s = limit_s
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the worker)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=ROOT,
            env=environment(method),
        )
        self.rest = b""
        try:
            self.ask(**config)
        except BaseException:
            self.close()
            raise

    def ask(self, **order: Any) -> dict[str, Any]:
        """Send one order and wait for its answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None
        answer: dict[str, Any] = json.loads(self._line())
        if not answer.pop("ok"):
            unfit = bool(answer.get("unfit"))
            raise WorkerError(answer["error"], answer.get("missing", ""), unfit)
        return answer

    def _line(self) -> bytes:
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        end = time.monotonic() + self.limit_s
        while b"\n" not in self.rest:
            ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                self.close()
                raise WorkerError(f"took more than {self.limit_s:g} s (repeat.limit_s)")
            chunk = os.read(pipe, 65536)
            if not chunk:
                raise WorkerError(self._last_words())
            self.rest += chunk
        line, self.rest = self.rest.split(b"\n", 1)
        return line

    def _last_words(self) -> str:
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        code = self.process.wait()
        return f"worker ended with code {code}: {lines[-1] if lines else 'it said nothing'}"

    def close(self) -> None:
        """End the worker, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:  # an order that the dead worker never read
                    continue
        self.log.close()


def environment(method: Method) -> dict[str, str]:
    """The caller's environment, threads forced, our own switches only as the suite sets them."""
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("VECTORLOOM_", "OMP_", "KMP_", "GOMP_")) or key == "VECTORLOOM_DATA"
    }
    clean.update(dict.fromkeys(THREAD_VARIABLES, str(method.threads)))
    clean["PYTHONWARNINGS"] = "ignore"
    return {**clean, **method.env}
