# SPDX-License-Identifier: Apache-2.0
"""Tables for people, JSON for diffs and a chart; speed stands only beside the recall it reached."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.ann.chart import draw
from benchmarks.ann.goals import judged
from benchmarks.ann.ladder import Point
from benchmarks.ann.run import AnnRow
from benchmarks.runner import Result, median

DASH = "–"
MIB = 2**20


def save(result: Result, folder: Path) -> list[Path]:
    """Write `<suite>.<level>.json`, `.md` and, where matplotlib is installed, `.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    smoke = ".smoke" if result.suite.smoke else ""
    stem = f"ann-{result.suite.name}.{result.machine['active_level']}{smoke}"
    files = [folder / f"{stem}{suffix}" for suffix in (".json", ".md", ".svg")]
    found = to_dict(result)
    text = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False)
    files[0].write_text(text + "\n", encoding="utf-8")
    if not draw(found, files[2]):
        files.pop()
    chart = files[2].name if len(files) == 3 else ""
    files[1].write_text(render(found, chart), encoding="utf-8")
    return files


def to_markdown(result: Result) -> str:
    return render(to_dict(result))


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
        "targets": [float(target) for target in suite.targets],
        "unit": suite.data.unit,
        "smoke": suite.smoke,
        "repeat": asdict(suite.repeat),
        "data": result.data,
        "machine": result.machine,
        "foreign_cores": round(result.foreign_load, 3),
        "rows": [_row(result, row) for row in result.rows if isinstance(row, AnnRow)],
        "goals": judged(result),
    }


def _row(result: Result, row: AnnRow) -> dict[str, Any]:
    made = {**asdict(row.method), "error": row.error, "skipped": row.skipped}
    if not row.is_alive():
        return made
    targets = {f"{target:g}": row.at(target) for target in result.suite.targets}
    return {
        **made,
        **row.built,
        **row.facts,
        "bytes_a_row": row.built["disk_bytes"] / result.data["rows"],
        "at": {name: _point(point) if point else None for name, point in targets.items()},
        "defaults": _point(row.defaults) if row.defaults else None,
        "curve": [{**_point(point), **_runs(point)} for point in row.points],
        "tried": [
            [p.setting, p.recall_tried, _short(1.0 / max(p.seconds_tried, 1e-9))] for p in row.tried
        ],
    }


def _point(point: Point) -> dict[str, Any]:
    seconds = median(point.seconds())
    return {
        "setting": point.setting,
        "recall": point.recall,
        "recall_tried": point.recall_tried,
        "queries_s": _short(1.0 / seconds),
    }


def _runs(point: Point) -> dict[str, Any]:
    """Microseconds a query in each round: on the clock, and of CPU time."""
    names = {"us": "seconds", "cpu_us": "cpu_s"}
    return {key: [_short(1e6 * run[name]) for run in point.runs] for key, name in names.items()}


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def render(found: dict[str, Any], chart: str = "") -> str:
    """The whole page of one result."""
    repeat, host = found["repeat"], found["machine"]
    lines = [
        f"# {found['title']}",
        "",
        what_was_measured(found),
        f"{_counted(repeat['rounds'], 'round')}, methods in turns; each in its own process, pinned "
        "to as many cores as it has threads. Settings are chosen on one half of the queries; "
        "recall and speed are those of the other half. Queries/s is the median "
        "of the fastest setting that reached the recall there, nothing is interpolated.",
        "",
        f"{host['cpu']}; {host['cores']} cores, {host['cache']}; levels {', '.join(host['levels'])}"
        f"; {host['memory_gib']} GiB; Python {host['python']}; commit {host['commit']}; other "
        f"processes used {found['foreign_cores']:.2f} cores meanwhile.",
        "",
    ]
    if found["smoke"]:
        lines += ["**A smoke run on tiny generated data: its numbers mean nothing.**", ""]
    lines += table(found)
    if chart:
        lines += ["", f"![Recall against queries a second]({chart})"]
    lines += ["", "The settings of these speeds:", "", *_settings(found)]
    lines += [*_promises(found), *_goal_lines(found)]
    versions = {f"{n} {v}" for row in found["rows"] for n, v in row.get("versions", {}).items()}
    return "\n".join([*lines, "", f"Versions: {', '.join(sorted(versions)) or 'none'}.", ""])


def page_section(found: dict[str, Any]) -> str:
    """The part of docs/benchmarks.md that tells of this result."""
    host = found["machine"]
    lines = [
        f"## {found['title']} ({host['active_level']})",
        "",
        f"{what_was_measured(found)} {host['cpu']}, {host['cores']} cores. Median of "
        f"{found['repeat']['rounds']}; other processes used {found['foreign_cores']:.2f} cores "
        f"meanwhile. Commit {host['commit']}.",
        "",
        *table(found),
    ]
    for goal in found["goals"]:
        lines += ["", f"Goal: {_goal_words(goal)}: {_got(goal)}, {goal['verdict']}."]
    return "\n".join([*lines, ""])


def what_was_measured(found: dict[str, Any]) -> str:
    data = found["data"]
    calls = "in one call" if found["calls"] == "batch" else "one a call"
    rows = "unit rows" if found["unit"] else "rows of their own lengths"
    return (
        f"{data['rows']:,} × {data['dim']} float32 ({data['name']}, {rows}, sha256 "
        f"{data['sha256'][:12]}), {data['n_queries']:,} queries, {calls}, {found['metric']}, "
        f"k = {found['k']}."
    )


def table(found: dict[str, Any]) -> list[str]:
    """Cost, speed at each recall, and what a plain call reaches."""
    speeds = [f"queries/s at recall {target:g}" for target in found["targets"]]
    head = ["method", "build s", "MiB on disk", "bytes a row", *speeds]
    head += ["recall by default", "queries/s by default"]
    lines = _head(head)
    for row in found["rows"]:
        if row["error"] or row["skipped"]:
            lines.append(_line([_name(row), _why(row), *[DASH] * (len(head) - 2)]))
            continue
        cells = [f"{row['build_s']:,.1f}", f"{row['disk_bytes'] / MIB:,.1f}"]
        cells.append(f"{row['bytes_a_row']:,.0f}")
        cells += [_speed(row["at"][f"{target:g}"]) for target in found["targets"]]
        plain = row["defaults"]
        cells += [f"{plain['recall']:.4f}" if plain else DASH, _speed(plain)]
        lines.append(_line([_name(row), *cells]))
    return lines


def _settings(found: dict[str, Any]) -> list[str]:
    lines = _head(["method", *[f"at {target:g}" for target in found["targets"]]])
    for row in found["rows"]:
        if not row["error"] and not row["skipped"]:
            points = [row["at"][f"{target:g}"] for target in found["targets"]]
            lines.append(_line([row["name"], *[_reached(point) for point in points]]))
    return lines


def _promises(found: dict[str, Any]) -> list[str]:
    """What a recall that was asked for in place of a setting turned out to be."""
    lines: list[str] = []
    for row in found["rows"]:
        for setting, recall, speed in row.get("tried", []):
            if set(setting) == {"recall"} and setting["recall"] in found["targets"]:
                cells = [row["name"], f"{setting['recall']:g}", f"{recall:.4f}", f"{speed:,.0f}"]
                lines.append(_line(cells))
    if not lines:
        return []
    head = _head(["method", "recall asked for", "found", "queries/s of CPU time"])
    return ["", "Asked for by `recall=` (the half that calibrates, one pass):", "", *head, *lines]


def _goal_lines(found: dict[str, Any]) -> list[str]:
    if not found["goals"]:
        return []
    lines = ["", "| goal | reached | |", "| --- | ---: | --- |"]
    return lines + [_line([_goal_words(g), _got(g), g["verdict"]]) for g in found["goals"]]


def _goal_words(goal: dict[str, Any]) -> str:
    wanted = f"≤ {goal['at_most']:g}" if goal["at_most"] else f"≥ {goal['at_least']:g}"
    if goal["of"] == "default-recall":
        return f"{goal['method']}, recall by default {wanted}"
    what, _, target = goal["of"].partition("@")
    words = {"speed": "times the speed", "build": "times as fast to build", "bytes": "of the bytes"}
    against = goal["against"] or "the best peer"
    return f"{goal['method']} against {against} at recall {target}, {words[what]} {wanted}"


def _got(goal: dict[str, Any]) -> str:
    return DASH if goal["got"] is None else f"{goal['got']:.3g}"


def _name(row: dict[str, Any]) -> str:
    return str(row["name"]) + (f" ({row['note']})" if row["note"] else "")


def _why(row: dict[str, Any]) -> str:
    return f"**ERROR**: {row['error']}" if row["error"] else f"skipped: {row['skipped']}"


def _speed(point: dict[str, Any] | None) -> str:
    return f"{point['queries_s']:,.0f}" if point else DASH


def _reached(point: dict[str, Any] | None) -> str:
    if point is None:
        return DASH
    words = [f"{name} {value:g}" for name, value in point["setting"].items()]
    said = ", ".join(words) or "no setting"
    # 99.96 % must not be shown as 100 %.
    recall = "1" if point["recall"] == 1.0 else f"{min(point['recall'], 0.9999):.4f}"
    return f"{said}: {recall}"


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _head(names: Sequence[str]) -> list[str]:
    return [_line(names), _line(["---", *["---:"] * (len(names) - 1)])]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
