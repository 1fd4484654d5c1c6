# SPDX-License-Identifier: Apache-2.0
"""The table of a run, and how far ahead of the best other store each figure is."""

from __future__ import annotations

from typing import Any

GOAL = 4.0

#: name, how to read it from a result, whether more is better
FIGURES: tuple[tuple[str, Any, bool], ...] = (
    ("rows/s filled, CPU", lambda r, n: n / r["filled"]["cpu_s"], True),
    ("rows/s filled, wall", lambda r, n: n / r["filled"]["wall_s"], True),
    ("queries/s, CPU", lambda r, n: _reached(r["plain"], "qps_cpu"), True),
    ("queries/s, wall", lambda r, n: _reached(r["plain"], "qps_wall"), True),
    ("queries/s of a 1 % filter, CPU", lambda r, n: _reached(r["tagged"], "qps_cpu"), True),
    ("queries/s of a 1 % filter, wall", lambda r, n: _reached(r["tagged"], "qps_wall"), True),
    ("MiB on disk", lambda r, n: r["bytes"] / 2**20, False),
    ("import, open and answer, CPU ms", lambda r, n: r["open_and_ask"]["cpu_s"] * 1e3, False),
)


def _reached(asked: dict[str, Any], figure: str) -> float | None:
    """Speed counts at the floor alone (half a point is left to the other half of the queries)."""
    return asked[figure] if asked["recall"] >= 0.945 else None


def page(run: dict[str, Any]) -> str:
    machine = run["machine"]
    lines = [
        "# Embedded vector stores",
        "",
        f"{run['rows']:,} × {run['dim']} float32 sentence vectors, cosine, k = 10; added 1,000 a "
        "call with one payload field, then indexed (filled = both). "
        f"{run['queries']} queries, one a call, by the cheapest setting that reached a recall of "
        f"{run['floor']} on one half; speed and recall are those of the other half, best of three "
        "rounds. The filter leaves one row in a hundred. CPU counts the seconds of all threads; "
        f"wall suffers from whatever else ran. {run['jobs']} threads allowed to each. Filling and "
        "searching are separate processes.",
        "",
        f"{machine['cpu']}; {machine['cores']} cores; {machine['memory_gib']} GiB; Python "
        f"{machine['python']}; commit {machine['commit']}.",
        "",
    ]
    good = [r for r in run["results"] if "failed" not in r]
    heads = [name for name, _, _ in FIGURES]
    lines.append("| store | " + " | ".join(heads) + " | recall, with filter | setting |")
    lines.append("| --- |" + " ---: |" * (len(heads) + 1) + " --- |")
    for r in good:
        cells = [_cell(read(r, run["rows"])) for _, read, _ in FIGURES]
        recalls = f"{r['plain']['recall']:.3f}, {r['tagged']['recall']:.3f}"
        lines.append(
            f"| {r['store']} {r['version']} | " + " | ".join(cells) + f" | {recalls} | "
            f"{r['plain']['setting']} |"
        )
    lines += ["", *_ratios(good, run["rows"]), ""]
    lines += [f"- {r['store']}: {r['note']}." for r in good if r["note"]]
    lines += [f"- {r['store']}: {r['failed']}." for r in run["results"] if "failed" in r]
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def _ratios(good: list[dict[str, Any]], n: int) -> list[str]:
    own = next((r for r in good if r["store"] == "vectorloom"), None)
    others = [r for r in good if not r["store"].startswith("vectorloom")]
    if own is None or not others:
        return []
    lines = [f"Beside the best other store (goal: {GOAL:g} times on each):", ""]
    for name, read, more in FIGURES:
        values = [(read(r, n), r["store"]) for r in others]
        known = [pair for pair in values if pair[0] is not None]
        mine = read(own, n)
        if not known or mine is None:
            lines.append(f"- {name}: no comparison.")
            continue
        best, whose = max(known) if more else min(known)
        ratio = mine / best if more else best / mine
        verdict = "met" if ratio >= GOAL else "not met"
        lines.append(f"- {name}: {ratio:.2f} times {whose}, {verdict}.")
    return lines
