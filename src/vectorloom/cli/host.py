# SPDX-License-Identifier: Apache-2.0
"""What this machine and this installation offer, as plain data for `vectorloom doctor`.

Nothing here imports an optional package: a broken one must not break the command that finds it.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: The environment variables that vectorloom reads.
SETTINGS = ("VECTORLOOM_SIMD", "VECTORLOOM_PROGRESS", "OMP_NUM_THREADS")

# Extras for working on vectorloom itself; a user has no use for them.
_DEVELOPER_EXTRAS = ("dev", "docs")

# A cgroup v1 without a limit reports a number close to 2**63.
_NO_LIMIT = 1 << 60


def packages() -> list[dict[str, Any]]:
    """List the packages that vectorloom can use: name, version found, extra, and the pip line."""
    import importlib.metadata  # 20 ms that --help need not wait for

    try:
        requirements = importlib.metadata.requires("vectorloom") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found: dict[str, dict[str, Any]] = {}
    for requirement in requirements:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        extra = re.search(r"""extra\s*==\s*["']([^"']+)""", requirement)
        if name in found or (extra and extra[1] in _DEVELOPER_EXTRAS):
            continue
        version = _version_of(name)
        if version is None and "python_version" in requirement:
            continue  # stands in for a part of newer Pythons
        install = f'pip install "vectorloom[{extra[1]}]"' if extra else f"pip install {name}"
        found[name] = {
            "name": name,
            "version": version,
            "extra": extra[1] if extra else None,
            "install": None if version else install,
        }
    return list(found.values())


def _version_of(name: str) -> str | None:
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_model() -> str:
    """Return the name that the CPU gives itself."""
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Return the features that the operating system lists; empty where it does not."""
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def threads() -> dict[str, Any]:
    """Return what bounds the number of threads, each as CPUs or None."""
    affinity = getattr(os, "sched_getaffinity", None)
    quota = cgroup_cpus()
    omp = os.environ.get("OMP_NUM_THREADS", "")
    first = omp.split(",")[0].strip()  # a list names nesting levels, the outermost first
    return {
        "cpus": os.cpu_count(),
        "affinity": len(affinity(0)) if affinity else None,
        "cgroup_quota": quota,
        "omp_num_threads": int(first) if first.isdigit() and int(first) > 0 else None,
    }


def cgroup_cpus(root: Path = Path("/")) -> float | None:
    """Return the CPUs granted by the tightest cgroup quota on this process, or None."""
    limits = []
    for folder in _cgroup_folders(root, "cpu"):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if not quota:
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        # "max" (v2) and -1 (v1) stand for no quota
        if quota.isdigit() and period.isdigit() and int(quota) > 0 and int(period) > 0:
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def memory(root: Path = Path("/")) -> dict[str, int | None]:
    """Return bytes: ``total``, ``available`` and ``cgroup_limit``; None where not known."""
    info: dict[str, int] = {}
    for line in _lines(root / "proc/meminfo"):
        name, _, value = line.partition(":")
        if value.endswith("kB"):
            info[name] = int(value.removesuffix("kB")) * 1024
    total, available = info.get("MemTotal"), info.get("MemAvailable")
    if total is None and "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit, left = _cgroup_memory(root)
    if left is not None:
        available = left if available is None else min(left, available)
    return {"total": total, "available": available, "cgroup_limit": limit}


def _cgroup_memory(root: Path) -> tuple[int | None, int | None]:
    """Return the tightest limit and what is left below it, each in bytes."""
    limits, left = [], []
    for folder in _cgroup_folders(root, "memory"):
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _text(folder / limit_name), _text(folder / used_name)
            if limit.isdigit() and int(limit) < _NO_LIMIT:
                limits.append(int(limit))
                if used.isdigit():
                    left.append(max(0, int(limit) - int(used)))
    return min(limits, default=None), min(left, default=None)


def _cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folder of this process's group and those of its parents, for v2 and v1."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        below = (controller, controllers) if controllers else ("",)
        for mount in (root / "sys/fs/cgroup" / name for name in below):
            # A container may see its own group as the mount itself; a missing folder reads as "".
            inside = Path(group.lstrip("/"))
            for part in (inside, *inside.parents):
                if ".." not in part.parts:
                    yield mount / part


def settings() -> dict[str, str]:
    """Return the environment variables that vectorloom reads, or that look meant for it."""
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if name in SETTINGS or name.startswith("VECTORLOOM_")
    }


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""


def _lines(path: Path) -> list[str]:
    return _text(path).splitlines()
