# SPDX-License-Identifier: Apache-2.0
"""`vectorloom doctor`: what this machine offers, what is used, and what to do about it."""

from __future__ import annotations

import os
import platform
import sys
import time
from typing import TYPE_CHECKING, Any

from vectorloom import __version__
from vectorloom.cli import host
from vectorloom.cli.output import (
    DebugOption,
    JsonOption,
    Output,
    bullet,
    facts,
    job,
    note,
)
from vectorloom.errors import VectorloomError
from vectorloom.readable import format_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Large enough to use every kernel of a search, small enough to take well under a second.
N_ROWS, DIM, N_QUERIES, K = 4000, 96, 32, 10

LOW_MEMORY = 1 << 30
MAX_ERROR = 1e-5  # of float32 scores beside float64 ones, relative and absolute


def doctor(as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Check this machine and the installation.

    Shows versions, CPU levels and kernels, thread limits, memory and optional packages, and tests
    that a small exact search equals NumPy. Exit code 1 when something is broken.
    """
    with job(as_json=as_json, debug=debug) as out:
        report = examine()
        out.failed = not report["ok"]
        if as_json:
            out.document(report)
        else:
            _print(out, report)
        if as_json or not sys.stdout.isatty():  # a terminal has just shown them
            for problem in report["problems"]:
                note(f"vectorloom: {problem['message']}")


def examine() -> dict[str, Any]:
    """Collect everything that `doctor` shows, as plain data."""
    problems: list[dict[str, str]] = []
    report: dict[str, Any] = {
        "ok": True,
        "versions": {
            "vectorloom": __version__,
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.release()}",
            "machine": platform.machine(),
        },
        "cpu": _cpu(problems),
        "threads": _threads(problems),
        "memory": host.memory(),
        "packages": host.packages(),
        "settings": host.settings(),
    }
    report["self_test"] = None if problems else _self_test(problems)
    report["warnings"] = _warnings(report)
    report["problems"] = problems
    if problems:
        report["ok"] = False
        report["error"] = problems[0]
    return report


def _cpu(problems: list[dict[str, str]]) -> dict[str, Any]:
    cpu: dict[str, Any] = {
        "model": host.cpu_model(),
        "features": [],
        "levels": [],
        "level": None,
        "forced_by": "VECTORLOOM_SIMD" if os.environ.get("VECTORLOOM_SIMD") else None,
        "kernels": {},
    }
    try:
        from vectorloom import _core
    except ImportError as error:
        problems.append(
            _problem(
                "ImportError",
                f"the compiled core cannot be loaded ({error}). Install vectorloom again: "
                "pip install --force-reinstall vectorloom",
            )
        )
        return cpu
    try:
        cpu["features"] = _core.cpu_features().split()
        cpu["levels"] = list(_core.simd_levels())
        cpu["level"] = _core.simd_level()
        cpu["kernels"] = dict(_core.kernel_levels())
    except VectorloomError as error:  # VECTORLOOM_SIMD names no level, or none of this host
        problems.append(_problem(type(error).__name__, str(error)))
    except AttributeError as error:
        problems.append(
            _problem(
                "ImportError",
                f"the compiled core is older than the Python sources ({error}). Build it again: "
                "pip install .",
            )
        )
    return cpu


def _threads(problems: list[dict[str, str]]) -> dict[str, Any]:
    threads = host.threads()
    try:
        from vectorloom import _core

        threads["allowed"] = _core.allowed_threads()
    except ImportError:
        threads["allowed"] = None  # told by _cpu
    except VectorloomError as error:
        threads["allowed"] = None
        problems.append(_problem(type(error).__name__, str(error)))
    return threads


def _self_test(problems: list[dict[str, str]]) -> dict[str, Any] | None:
    """Search a small set exactly for each metric of dense vectors, and compare with NumPy."""
    import numpy as np

    from vectorloom.index import Exact

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((N_ROWS, DIM)).astype(np.float32)
    queries = rng.standard_normal((N_QUERIES, DIM)).astype(np.float32)
    truths = _truths(rows.astype(np.float64), queries.astype(np.float64))
    wrong = []
    start = time.perf_counter()
    for metric, truth in truths.items():
        try:
            ids, scores = Exact(metric=metric).fit(rows).search(queries, k=K)
        except Exception as error:
            problems.append(_problem(type(error).__name__, f"the self-test failed: {error}"))
            return None
        best = np.argsort(-truth, axis=1, kind="stable")[:, :K]
        if not np.array_equal(ids, best) or not np.allclose(
            scores, np.take_along_axis(truth, best, axis=1), rtol=MAX_ERROR, atol=MAX_ERROR
        ):
            wrong.append(metric)
    seconds = time.perf_counter() - start
    if wrong:
        problems.append(
            _problem(
                "InternalError",
                f"exact search differs from NumPy for {', '.join(wrong)}: answers cannot be "
                "trusted here. Report it with the output of vectorloom doctor --json; "
                "VECTORLOOM_SIMD=scalar avoids the fast kernels.",
            )
        )
    return {
        "passed": not wrong,
        "rows": N_ROWS,
        "dim": DIM,
        "queries": N_QUERIES,
        "metrics": list(truths),
        "seconds": round(seconds, 4),
    }


def _truths(rows: NDArray[np.float64], queries: NDArray[np.float64]) -> dict[str, Any]:
    import numpy as np

    products = queries @ rows.T
    square_rows, square_queries = (rows**2).sum(axis=1), (queries**2).sum(axis=1)[:, None]
    return {
        "cosine": products / np.sqrt(square_queries * square_rows),
        "ip": products,
        "l2": 2 * products - square_rows - square_queries,
    }


def _problem(kind: str, message: str) -> dict[str, str]:
    return {"kind": kind, "message": message}


def _warnings(report: dict[str, Any]) -> list[str]:
    return [
        *_cpu_warnings(report["cpu"], host.cpu_flags()),
        *_thread_warnings(report["threads"]),
        *_other_warnings(report),
    ]


def _cpu_warnings(cpu: dict[str, Any], flags: frozenset[str]) -> list[str]:
    found = []
    levels, level = cpu["levels"], cpu["level"]
    if level is not None and levels and level != levels[-1]:
        remedy = "unset VECTORLOOM_SIMD" if cpu["forced_by"] else "call set_simd_level no more"
        found.append(f"running at {level} although this CPU has {levels[-1]}: {remedy} for speed.")
    if levels == ["scalar"]:
        found.append(
            "no vector level that we have kernels for (AVX2 or better, NEON): searches will be "
            "several times slower here."
        )
    if "amx_tile" in flags and levels and "amx" not in levels:
        found.append(
            "this CPU has AMX tiles, but the system does not grant them: use Linux 5.16 or newer, "
            "or let the container or virtual machine pass them on."
        )
    return found


def _thread_warnings(threads: dict[str, Any]) -> list[str]:
    omp, allowed = threads["omp_num_threads"], threads["allowed"]
    usable = threads["affinity"] or threads["cpus"] or 1
    if omp is not None and allowed is not None and omp == allowed < usable:
        return [f"OMP_NUM_THREADS={omp} keeps {usable - omp} of {usable} CPUs idle: raise it."]
    return []


def _other_warnings(report: dict[str, Any]) -> list[str]:
    found = []
    available = report["memory"]["available"]
    if available is not None and available < LOW_MEMORY:
        found.append(
            f"only {format_bytes(available)} of memory is available: vl.estimate(...) tells what "
            "a job needs."
        )
    for package in report["packages"]:
        if package["extra"] is None and package["version"] is None:
            found.append(f"{package['name']} is required and missing: {package['install']}")
    for name in report["settings"]:
        if name not in host.SETTINGS:
            found.append(
                f"{name} is set, but vectorloom reads only {', '.join(host.SETTINGS)}: is the "
                "name mistyped?"
            )
    return found


def _print(out: Output, report: dict[str, Any]) -> None:
    from rich.text import Text

    versions = report["versions"]
    out.show(
        Text.assemble(
            ("vectorloom ", "bold"),
            (versions["vectorloom"], "bold"),
            (f" · Python {versions['python']} · {versions['platform']} {versions['machine']}"),
        )
    )
    _section(out, "CPU", _cpu_rows(report["cpu"]))
    _section(out, "Threads", _thread_rows(report["threads"]))
    _section(out, "Memory", [("available", _memory_text(report["memory"]))])
    _section(out, "Packages", [(p["name"], _package_text(p)) for p in report["packages"]])
    _section(out, "Settings", [(name, Text(v)) for name, v in report["settings"].items()])
    test = report["self_test"]
    if test is not None:
        verdict = "equals NumPy" if test["passed"] else "differs from NumPy"
        mark, style = ("✓", "green") if test["passed"] else ("✗", "red")
        text = (
            f" exact search of {test['rows']:,} × {test['dim']} vectors {verdict} "
            f"({', '.join(test['metrics'])}; {1000 * test['seconds']:.0f} ms)"
        )
        out.show("", Text.assemble(("Self-test  ", "bold"), (mark, style), text))
    for title, mark, style, messages in (
        ("Warnings", "!", "yellow", report["warnings"]),
        ("Problems", "✗", "red", [problem["message"] for problem in report["problems"]]),
    ):
        if messages:
            out.show("", Text(title, style="bold"))
            for message in messages:
                out.show(bullet(mark, style, message))
    if not report["warnings"] and not report["problems"]:
        out.show("", Text("Everything is in order.", style="green"))


def _section(out: Output, title: str, rows: list[tuple[str, Any]]) -> None:
    from rich.text import Text

    if rows:
        out.show("", Text(title, style="bold"), facts(rows))


def _cpu_rows(cpu: dict[str, Any]) -> list[tuple[str, Any]]:
    from rich.text import Text

    rows: list[tuple[str, Any]] = [("model", Text(cpu["model"]))]
    if cpu["features"]:
        rows.append(("features", Text(" ".join(cpu["features"]))))
    if cpu["levels"]:
        levels = Text()
        for level in cpu["levels"]:
            levels.append(" · " if levels else "")
            levels.append(level, style="bold cyan" if level == cpu["level"] else "")
        rows.append(("levels", levels))
    if cpu["level"] is not None:
        why = f"forced by {cpu['forced_by']}" if cpu["forced_by"] else "the best of this host"
        in_force = Text.assemble((cpu["level"], "bold cyan"), f"  ({why})")
        rows.append(("in force", in_force))
    rows += [(f"{family} kernels", Text(level)) for family, level in cpu["kernels"].items()]
    return rows


def _thread_rows(threads: dict[str, Any]) -> list[tuple[str, Any]]:
    from rich.text import Text

    allowed, quota = threads["allowed"], threads["cgroup_quota"]
    bounds = [f"{threads['cpus']} CPUs"]
    if threads["affinity"] is not None:
        bounds.append(f"affinity {threads['affinity']}")
    bounds.append("no cgroup quota" if quota is None else f"cgroup quota {quota:g}")
    omp = threads["omp_num_threads"]
    bounds.append("OMP_NUM_THREADS not set" if omp is None else f"OMP_NUM_THREADS {omp}")
    shown = "unknown" if allowed is None else str(allowed)
    return [("allowed", Text.assemble((shown, "bold cyan"), f"  ({', '.join(bounds)})"))]


def _memory_text(memory: dict[str, Any]) -> str:
    if memory["available"] is None:
        return "unknown"
    text = format_bytes(memory["available"])
    if memory["total"] is not None:
        text += f" of {format_bytes(memory['total'])}"
    if memory["cgroup_limit"] is not None:
        text += f"  (cgroup limit {format_bytes(memory['cgroup_limit'])})"
    return text


def _package_text(package: dict[str, Any]) -> Any:
    from rich.text import Text

    if package["version"] is not None:
        return Text(package["version"])
    return Text(f"not installed: {package['install']}", style="dim")
