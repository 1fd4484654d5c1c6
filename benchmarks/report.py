# SPDX-License-Identifier: Apache-2.0
"""The table for people and the JSON for diffs; speed never stands without quality and memory."""

from __future__ import annotations

import fnmatch
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.runner import Result, Row, median
from benchmarks.suite import CODE_TASKS, Goal

DASH = "–"


def save(result: Result, folder: Path) -> list[Path]:
    """Write `<suite>.<level>.json` and `.md`; one pair a suite and CPU level."""
    folder.mkdir(parents=True, exist_ok=True)
    smoke = ".smoke" if result.suite.smoke else ""
    stem = f"{result.suite.name}.{result.machine['active_level']}{smoke}"
    files = [folder / f"{stem}.json", folder / f"{stem}.md"]
    text = json.dumps(to_dict(result), indent=1, sort_keys=True, ensure_ascii=False)
    files[0].write_text(text + "\n", encoding="utf-8")
    files[1].write_text(to_markdown(result), encoding="utf-8")
    return files


def to_dict(result: Result) -> dict[str, Any]:
    """Everything, every timing included; rows in the suite's order."""
    suite = result.suite
    return {
        "suite": suite.name,
        "title": suite.title,
        "task": suite.task,
        "metric": suite.metric,
        "k": suite.k,
        "calls": suite.calls,
        "baseline": suite.baseline,
        "smoke": suite.smoke,
        "repeat": asdict(suite.repeat),
        "train": suite.train,
        "bits": suite.bits,
        "data": result.data,
        "machine": result.machine,
        "foreign_cores": round(result.foreign_load, 3),
        "rows": [_row_dict(result, row) for row in result.rows],
        "goals": [
            {**asdict(goal), "got": got, "verdict": verdict} for goal, got, verdict in goals(result)
        ],
    }


def to_markdown(result: Result) -> str:
    """Title, what was measured on what, the table, the goals."""
    suite, host = result.suite, result.machine
    lines = [f"# {suite.title}", ""]
    if result.data:
        calls = "in one batch" if suite.calls == "batch" else "one a call"
        asked = f"{result.data['n_queries']:,} queries {calls}, " if suite.task == "search" else ""
        lines.append(
            f"{result.data['rows']:,} × {result.data['dim']} float32 ({result.data['name']}, "
            f"sha256 {result.data['sha256'][:12]}), {asked}{suite.metric}, k = {suite.k}."
            + _codes_words(result)
        )
    rounds = f"{suite.repeat.rounds} round" + ("s" if suite.repeat.rounds != 1 else "")
    lines += [
        f"{rounds}, methods in turns, {suite.repeat.warmup} to warm up; each in its own process, "
        "pinned to as many cores as it has threads.",
        "",
        f"{host['cpu']}; {host['cores']} cores, {host['cache']}; levels {', '.join(host['levels'])}"
        f"; {host['memory_gib']} GiB; Python {host['python']}; commit {host['commit']}; other "
        f"processes used {result.foreign_load:.2f} cores meanwhile.",
        "",
    ]
    if suite.smoke:
        lines += ["**A smoke run on tiny generated data: its numbers mean nothing.**", ""]
    lines += _table(result)
    lines += _goal_lines(result)
    lines += ["", f"Versions: {versions(result)}.", ""]
    return "\n".join(lines)


def _codes_words(result: Result) -> str:
    """Where codes are measured: how many rows all of them learn from, and what they must fit in."""
    suite, rows = result.suite, int(result.data["rows"])
    if suite.task not in CODE_TASKS:
        return ""
    said = f" Fitted on {min(suite.train or rows, rows):,} rows, the same for all."
    if suite.bits:
        budget = math.ceil(suite.bits * result.data["dim"] / 8)
        said += f" At most {budget} bytes a row: {suite.bits:g} bits a dimension."
    return said


def goals(result: Result) -> list[tuple[Goal, float | None, str]]:
    """Each goal with what was reached: "met", "missed" or why it was not judged."""
    judged: list[tuple[Goal, float | None, str]] = []
    for goal in result.suite.goals:
        row = _find(result, goal.method)
        if goal.of == "recall" and row is None:
            row = next(
                (r for r in result.rows if fnmatch.fnmatch(r.method.name, goal.method) and r.runs),
                None,
            )
        if row is None or not row.runs:
            judged.append((goal, None, "no result"))
        elif goal.level and row.facts.get("level") != goal.level:
            judged.append((goal, _reached(result, goal, row), f"set for {goal.level}, not judged"))
        else:
            got = _reached(result, goal, row)
            enough = got is not None and (
                got <= goal.at_most if goal.at_most else got >= goal.at_least
            )
            verdict = "no result" if got is None else "met" if enough else "missed"
            judged.append((goal, got, verdict))
    return judged


def _reached(result: Result, goal: Goal, row: Row) -> float | None:
    if goal.of == "bandwidth":
        return _bandwidth_share(result, row)
    if goal.of == "seconds":
        return min(row.seconds())
    if goal.of == "peak_mib":
        return float(row.facts["peak_mib"])
    if goal.of == "recall":
        ours, theirs = (_best_recall(result, name) for name in (goal.method, goal.against))
        return ours / theirs if ours is not None and theirs else None
    other = _find(result, goal.against)
    return ratio(row, other) if other is not None else None


def _best_recall(result: Result, pattern: str) -> float | None:
    found = [
        row.quality.recall
        for row in result.rows
        if row.is_alive() and row.quality and fnmatch.fnmatch(row.method.name, pattern)
    ]
    return max((value for value in found if value is not None), default=None)


def ratio(row: Row, other: Row) -> float | None:
    """How many times as fast as ``other``: the median over rounds, each round beside its own."""
    pairs = list(zip(other.seconds(), row.seconds(), strict=False))
    return median([theirs / ours for theirs, ours in pairs if ours > 0]) if pairs else None


def _find(result: Result, name: str) -> Row | None:
    return next((row for row in result.rows if row.method.name == name), None)


def _bandwidth_share(result: Result, row: Row) -> float | None:
    reference = _find(result, result.suite.bandwidth)
    if reference is None or not reference.runs or not row.runs:
        return None
    speed, limit = _gbps(result, row), _gbps(result, reference)
    return speed / limit if speed and limit else None


def _gbps(result: Result, row: Row) -> float | None:
    stored = row.facts.get("row_bytes")
    if not stored or result.suite.calls != "single":
        return None
    return float(stored) * float(result.data["n_queries"]) / min(row.seconds()) / 1e9


def _row_dict(result: Result, row: Row) -> dict[str, Any]:
    made = asdict(row.method)
    base = _find(result, result.suite.baseline)
    if not row.is_alive():
        return {**made, "error": row.error, "skipped": row.skipped, **_quality_dict(row)}
    return {
        **made,
        **row.built,
        **row.facts,
        **_quality_dict(row),
        "best": min(row.seconds(), default=None),
        "median": median(row.seconds()),
        "ratio": ratio(row, base) if base else None,
        "gb_per_s": _gbps(result, row),
        "of_bandwidth": _bandwidth_share(result, row),
        "runs": row.runs,
    }


def _quality_dict(row: Row) -> dict[str, Any]:
    return {"quality": asdict(row.quality) if row.quality else None}


def _table(result: Result) -> list[str]:
    columns = {
        "search": _search_columns,
        "knn-graph": _graph_columns,
        "gauge": _gauge_columns,
        "code-recall": _code_recall_columns,
        "encode": _code_speed_columns,
        "fit": _code_speed_columns,
    }[result.suite.task](result)
    head = ["method", *columns[0]]
    lines = [line(head), line(["---", *["---:"] * (len(head) - 1)])]
    for row, cells in zip(result.rows, columns[1], strict=True):
        name = row.method.name + (f" ({row.method.note})" if row.method.note else "")
        if row.is_alive():
            lines.append(line([name, *cells]))
        else:
            why = f"**ERROR**: {row.error}" if row.error else f"skipped: {row.skipped}"
            lines.append(line([name, why, *[DASH] * (len(head) - 2)]))
    return lines


Columns = tuple[list[str], list[list[str]]]


def _search_columns(result: Result) -> Columns:
    single = result.suite.calls == "single"
    against = result.suite.baseline
    head = ["queries/s best", "median", f"× {against}", "identical ids", "within ties", "recall"]
    head += ["p50 ms", "p99 ms", "GB/s", "of a plain sum"] if single else []
    head += ["level", "threads", "build s", "held MiB", "peak MiB"]
    return head, [_search_cells(result, row, single) for row in result.rows]


def _search_cells(result: Result, row: Row, single: bool) -> list[str]:
    if not row.is_alive():
        return []
    queries, base = result.data["n_queries"], _find(result, result.suite.baseline)
    q = row.quality
    cells = [
        f"{queries / min(row.seconds()):,.0f}",
        f"{queries / median(row.seconds()):,.0f}",
        _number(ratio(row, base) if base else None, ".2f"),
        *([_share(q.identical), _share(q.tied), _share(q.recall)] if q else [DASH] * 3),
    ]
    if single:
        fastest = min(row.runs, key=lambda run: float(run["seconds"]))
        cells += [f"{fastest['p50_ms']:.2f}", f"{fastest['p99_ms']:.2f}"]
        cells += [_number(_gbps(result, row), ".1f"), _percent(_bandwidth_share(result, row))]
    return [*cells, *_cost_cells(row)]


def _cost_cells(row: Row) -> list[str]:
    level = row.facts.get("level") or DASH
    held, peak = row.built.get("held_mib", 0.0), row.facts.get("peak_mib", 0.0)
    build = row.built.get("build_s", 0.0)
    return [level, str(row.method.threads), f"{build:.2f}", f"{held:,.0f}", f"{peak:,.0f}"]


def _graph_columns(result: Result) -> Columns:
    head = ["seconds", f"× {result.suite.baseline}", "identical ids", "within ties", "recall"]
    head += ["level", "threads", "peak MiB beyond the input"]
    base = _find(result, result.suite.baseline)
    cells: list[list[str]] = []
    for row in result.rows:
        if not row.is_alive():
            cells.append([])
            continue
        scale = float(row.runs[0]["scale"])
        measured = f" (extrapolated: measured {row.runs[0]['wall_s']:.1f} s on 1/{scale:.4g})"
        q = row.quality
        cells.append(
            [
                f"{min(row.seconds()):,.1f}" + (measured if scale > 1 else ""),
                _number(ratio(row, base) if base else None, ".2f"),
                *([_share(q.identical), _share(q.tied), _share(q.recall)] if q else [DASH] * 3),
                row.facts.get("level") or DASH,
                str(row.method.threads),
                f"{row.facts['peak_mib']:,.0f}",
            ]
        )
    return head, cells


def _code_recall_columns(result: Result) -> Columns:
    head = ["bytes a row", f"recall@{result.suite.k}", "fit s", "encode rows/s", "queries/s"]
    cells: list[list[str]] = []
    for row in result.rows:
        if not row.is_alive():
            cells.append([])
            continue
        recall = row.quality.recall if row.quality else None
        cells.append(
            [
                str(row.facts.get("row_bytes") or DASH),
                DASH if recall is None else f"{recall:.4f}",
                f"{row.built['fit_s']:,.1f}",
                f"{result.data['rows'] / row.built['encode_s']:,.0f}",
                f"{result.data['n_queries'] / median(row.seconds()):,.0f}",
            ]
        )
    return [*head, "level", "threads"], [
        [*made, row.facts.get("level") or DASH, str(row.method.threads)] if made else []
        for row, made in zip(result.rows, cells, strict=True)
    ]


def _code_speed_columns(result: Result) -> Columns:
    """Seconds of a fit, or rows a second of an encoding; and what the codes keep."""
    is_fit, base = result.suite.task == "fit", _find(result, result.suite.baseline)
    head = ["seconds best" if is_fit else "rows/s best", "median", f"× {result.suite.baseline}"]
    head += ["variance kept", "bytes a row", "level", "threads"]

    def speed(seconds: float) -> str:
        return f"{seconds:,.2f}" if is_fit else f"{result.data['rows'] / seconds:,.0f}"

    cells = [
        [
            speed(min(row.seconds())),
            speed(median(row.seconds())),
            _number(ratio(row, base) if base else None, ".2f"),
            _number(row.quality.kept if row.quality else None, ".4f"),
            str(row.facts.get("row_bytes") or DASH),
            row.facts.get("level") or DASH,
            str(row.method.threads),
        ]
        if row.is_alive()
        else []
        for row in result.rows
    ]
    return head, cells


def _gauge_columns(result: Result) -> Columns:
    head = ["best", "median", "limit", "threads"]
    cells = []
    for row in result.rows:
        values = row.seconds()
        limit = f"{row.method.at_most:g}" if row.method.at_most else DASH
        cells.append(
            [f"{min(values):.3f}", f"{median(values):.3f}", limit, str(row.method.threads)]
            if row.is_alive()
            else []
        )
    return head, cells


def _goal_lines(result: Result) -> list[str]:
    judged = goals(result)
    if not judged:
        return []
    lines = ["", "| goal | wanted | reached | |", "| --- | ---: | ---: | --- |"]
    for goal, got, verdict in judged:
        wanted = f"≤ {goal.at_most:g}" if goal.at_most else f"≥ {goal.at_least:g}"
        units = {
            "speed": "×",
            "recall": "× recall",
            "bandwidth": " of a plain sum",
            "seconds": " s",
        }
        unit = units.get(goal.of, " MiB")
        what = goal.method + (f" against {goal.against}" if goal.against else "")
        lines.append(line([what, wanted + unit, _number(got, ".3g"), verdict]))
    return lines


def versions(result: Result) -> str:
    found = {
        f"{name} {version}"
        for row in result.rows
        for name, version in row.facts.get("versions", {}).items()
    }
    return ", ".join(sorted(found)) or "none"


def line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, spec: str) -> str:
    return DASH if value is None else format(value, spec)


def _percent(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.0f} %"


def _share(value: float | None) -> str:
    # 99.96 % must not be shown as 100 %.
    if value is None:
        return DASH
    return "1" if value == 1.0 else f"{min(value, 0.9999):.4f}"
