# SPDX-License-Identifier: Apache-2.0
"""Recall against queries a second, one line a method: up and to the right is better."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

SHOWN_FROM = 0.8
OWN = ("#c1121f", "#f15bb5", "#e76f51", "#f4a261", "#e9c46a")
PEERS = ("#264653", "#2a9d8f", "#457b9d", "#8d99ae", "#6a4c93", "#588157", "#7f5539", "#3a86ff")
MARKS = "osv^D<>pX*hd"


def draw(found: dict[str, Any], path: Path) -> bool:
    """Write the chart of one result; False where matplotlib is not installed."""
    try:
        matplotlib = importlib.import_module("matplotlib")
        figures = importlib.import_module("matplotlib.figure")
    except ImportError:
        return False
    # The same result gives the same file: ids are salted by a constant, no date is written.
    settings = {"svg.hashsalt": "vectorloom", "svg.fonttype": "none", "font.size": 9}
    with matplotlib.rc_context(settings):
        figure = figures.Figure(figsize=(8.0, 5.2), layout="constrained")
        axes = figure.add_subplot()
        _lines(axes, found)
        for target in found["targets"]:
            axes.axvline(target, color="#bbbbbb", linewidth=0.6, zorder=0)
        data = found["data"]
        axes.set_yscale("log")
        axes.set_xlim(SHOWN_FROM, 1.002)
        axes.set_xlabel(f"recall@{found['k']}")
        axes.set_ylabel("queries a second")
        axes.set_title(f"{found['title']} ({data['rows']:,} × {data['dim']}, {found['metric']})")
        axes.grid(axis="y", which="both", linewidth=0.3, alpha=0.5)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside right upper", frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})
    return True


def _lines(axes: Any, found: dict[str, Any]) -> None:
    ours = peers = 0
    for number, row in enumerate(found["rows"]):
        line = best_of(row.get("curve") or [])
        if not line:
            continue
        is_ours = str(row["name"]).startswith("vectorloom")
        if is_ours:
            colour, ours = OWN[ours % len(OWN)], ours + 1
        else:
            colour, peers = PEERS[peers % len(PEERS)], peers + 1
        axes.plot(
            [recall for recall, _ in line],
            [speed for _, speed in line],
            label=row["name"],
            color=colour,
            marker=MARKS[number % len(MARKS)],
            markersize=4,
            linewidth=2.2 if is_ours else 1.1,
            zorder=3 if is_ours else 2,
        )


def best_of(curve: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """Points that no other beats in both, by rising recall."""
    kept: list[tuple[float, float]] = []
    points = [(float(point["recall"]), float(point["queries_s"])) for point in curve]
    for recall, speed in sorted(points, key=lambda p: (-p[0], -p[1])):
        if not kept or speed > kept[-1][1]:
            kept.append((recall, speed))
    return kept[::-1]
