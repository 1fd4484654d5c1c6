# SPDX-License-Identifier: Apache-2.0
"""Copy the saved results into docs/benchmarks.md, so that no number there is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.ann.report import page_section
from vectorloom.errors import FormatError

START, END = "<!-- results: made by `python -m benchmarks page` -->", "<!-- end of results -->"


def write_page(page: Path, results: Path) -> int:
    """Replace what stands between the markers; returns how many results there were."""
    text = page.read_text(encoding="utf-8")
    if text.count(START) != 1 or text.count(END) != 1:
        raise FormatError(
            f"{page}: expected one line {START!r} and one {END!r}; put both where tables belong."
        )
    head, rest = text.split(START)
    sections = _sections(results, page)
    tables = "\n".join(sections) or "No results yet.\n"
    page.write_text(f"{head}{START}\n\n{tables}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    return len(sections)


def _sections(results: Path, page: Path) -> list[str]:
    """What the runner saved; then the tables of scripts of their own, one level further down."""
    suites, found = {page}, []
    for path in sorted(results.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if "task" in result:
            suites.add(path.with_suffix(".md"))
            found += [] if result["smoke"] else [section(result)]
    for path in sorted(set(results.rglob("*.md")) - suites):
        lines = path.read_text(encoding="utf-8").splitlines()
        if not lines or not lines[0].startswith("# "):
            raise FormatError(f"{path}: expected a heading in its first line.")
        deeper = [f"#{line}" if line.startswith("#") else line for line in lines]
        found.append("\n".join([*deeper, ""]))
    return found


def section(result: dict[str, Any]) -> str:
    """One suite on one CPU: what was measured, a table, the goals."""
    if result["task"] == "ann":
        return page_section(result)
    host, data = result["machine"], result["data"]
    what = (
        f"{data['rows']:,} × {data['dim']} float32 ({data['name']}), {result['metric']}, "
        f"k = {result['k']}. "
        if data
        else ""
    )
    lines = [
        f"## {result['title']} ({host['active_level']})",
        "",
        f"{what}{host['cpu']}, {host['cores']} cores. Median of "
        f"{result['repeat']['rounds']}; other processes used {result['foreign_cores']:.2f} cores "
        f"meanwhile. Commit {host['commit']}.",
        "",
    ]
    head = _columns(result)
    lines += ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(_cells(result, row, len(head))) + " |" for row in result["rows"]]
    for goal in result["goals"]:
        wanted = f"≤ {goal['at_most']:g}" if goal["at_most"] else f"≥ {goal['at_least']:g}"
        got = "–" if goal["got"] is None else f"{goal['got']:.3g}"
        against = goal["against"] or {"bandwidth": "a plain sum"}.get(goal["of"], goal["of"])
        lines += ["", f"Goal: {goal['method']} / {against} {wanted}: {got}, {goal['verdict']}."]
    return "\n".join([*lines, ""])


def _columns(result: dict[str, Any]) -> list[str]:
    if result["task"] == "gauge":
        return ["", "median", "limit"]
    if result["task"] == "code-recall":
        return ["method", "bytes a row", f"recall@{result['k']}", "fit s", "encode rows/s"]
    if result["task"] in ("encode", "fit"):
        speed = "seconds" if result["task"] == "fit" else "rows/s"
        return ["method", speed, f"× {result['baseline']}", "variance kept", "bytes a row"]
    speed = "queries/s" if result["task"] == "search" else "seconds"
    quality = ["identical ids", "within ties", "recall"]
    band = ["of a plain sum"] if result["calls"] == "single" else []
    return ["method", "threads", speed, f"× {result['baseline']}", *band, *quality, "MiB"]


def _cells(result: dict[str, Any], row: dict[str, Any], width: int) -> list[str]:
    name = row["name"] + (f" ({row['note']})" if row["note"] else "")
    if "median" not in row:
        why = f"error: {row['error']}" if row["error"] else f"skipped: {row['skipped']}"
        return [name, why, *["–"] * (width - 2)]
    if result["task"] == "gauge":
        return [name, f"{row['median']:.3f}", f"{row['at_most']:g}" if row["at_most"] else "–"]
    if result["task"] in ("code-recall", "encode", "fit"):
        return [name, *_code_cells(result, row)]
    search = result["task"] == "search"
    speed = result["data"]["n_queries"] / row["median"] if search else row["median"]
    extrapolated = " (extrapolated)" if row["runs"][0]["scale"] > 1 else ""
    quality = row["quality"] or {}
    cells = [name, str(row["threads"]), f"{speed:,.0f}{extrapolated}"]
    cells.append("–" if row["ratio"] is None else f"{row['ratio']:.2f}")
    if result["calls"] == "single":
        share = row["of_bandwidth"]
        cells.append("–" if share is None else f"{100 * share:.0f} %")
    cells += [_share(quality.get(key)) for key in ("identical", "tied", "recall")]
    return [*cells, f"{row['held_mib' if search else 'peak_mib']:,.0f}"]


def _code_cells(result: dict[str, Any], row: dict[str, Any]) -> list[str]:
    quality, rows = row["quality"] or {}, result["data"]["rows"]
    size = f"{row['row_bytes'] or '–'}"
    if result["task"] == "code-recall":
        encoded = f"{rows / row['encode_s']:,.0f}"
        return [size, f"{quality['recall']:.4f}", f"{row['fit_s']:,.1f}", encoded]
    seconds = row["median"]
    speed = f"{seconds:,.2f}" if result["task"] == "fit" else f"{rows / seconds:,.0f}"
    ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f}"
    return [speed, ratio, f"{quality['kept']:.4f}" if quality else "–", size]


def _share(value: float | None) -> str:
    if value is None:
        return "–"
    return "1" if value == 1.0 else f"{min(value, 0.9999):.4f}"
