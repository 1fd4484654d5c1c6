# SPDX-License-Identifier: Apache-2.0
"""What the numbers were taken on: CPU, levels, versions, commit, and how quiet it was."""

from __future__ import annotations

import importlib
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def describe() -> dict[str, Any]:
    """The machine and the code, without anything that names the host."""
    core = _core()
    return {
        "cpu": cpu_model(),
        "levels": levels(),
        "active_level": levels()[-1],
        "cores": len(usable_cpus()),
        "cache": caches(),
        "memory_gib": round(_total_memory() / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "compiler": str(getattr(core, "compiler", lambda: "not stated by the build")()),
        "commit": commit(),
    }


def levels() -> list[str]:
    """CPU levels this host can run, weakest first, as vectorloom sees them."""
    core = _core()
    return [str(name) for name in core.simd_levels()] if core else ["unknown"]


def cpu_model() -> str:
    """Model name with family, model and stepping, which tell apart what a cloud name hides."""
    text = _read("/proc/cpuinfo")
    parts = {}
    for key in ("model name", "cpu family", "model", "stepping"):
        found = re.search(rf"^{key}\s*:\s*(.+)$", text, re.MULTILINE)
        parts[key] = found.group(1).strip() if found else "?"
    if parts["model name"] == "?":
        return platform.processor() or platform.machine()
    return "{model name} (family {cpu family}, model {model}, stepping {stepping})".format(**parts)


def caches() -> str:
    """Sizes of the first core's caches."""
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind = _read(index / "level").strip(), _read(index / "type").strip()
        if kind != "Instruction":
            found.append(f"L{level} {_read(index / 'size').strip()}")
    return ", ".join(found)


def usable_cpus() -> list[int]:
    """CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def commit() -> str:
    """The commit of the checkout, with a mark when the working tree differs from it."""
    head = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "core", "src")
    return (head or "unknown") + (" + changes" if changed else "")


def busy_seconds() -> float:
    """CPU seconds all processes have used since the start of the machine, stolen time included."""
    fields = _read("/proc/stat").split("\n", 1)[0].split()[1:]
    if len(fields) < 8:
        return 0.0
    ticks = [int(f) for f in fields]
    user, nice, system, _idle, _iowait, irq, softirq, steal = ticks[:8]
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _core() -> Any:
    try:
        return importlib.import_module("vectorloom._core")
    except ImportError:  # peers can be measured where the package is not built
        return None


def _total_memory() -> int:
    found = re.search(r"MemTotal:\s+(\d+) kB", _read("/proc/meminfo"))
    return int(found.group(1)) * 1024 if found else 0


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _git(*arguments: str) -> str:
    run = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
