# SPDX-License-Identifier: Apache-2.0
"""The page of a plan: two pictures that are pointed at, the reasons, the figures; no network."""

from __future__ import annotations

import json
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vectorloom.io.pages import fill, write_text
from vectorloom.readable import format_bytes, format_seconds
from vectorloom.tune.goals import format_time
from vectorloom.tune.recipe import Recipe

if TYPE_CHECKING:
    from vectorloom.tune.plan import Plan

_TEMPLATE = Path(__file__).with_name("report_page.html")
KINDS = ("scan of rows", "inverted lists", "graph", "scan of codes", "fewer dimensions")
#: Quality beyond which the axis does not tell apart.
_FLOOR = 2e-4


def write_page(plan: Plan, path: str | os.PathLike[str]) -> None:
    """Write the page, whole or not at all.

    Parameters
    ----------
    plan : Plan
    path : path-like
    """
    page = render(plan)
    write_text(page, path)


def render(plan: Plan) -> str:
    """Return the page as text."""
    goals, facts = plan.goals, plan.facts
    parts = {
        "title": "What to run on these vectors" if plan.is_met else "No recipe reaches these goals",
        "lede": _lede(plan),
        "recipe": escape(str(plan.recipe)),
        "why": "".join(f"<li>{escape(line)}</li>" for line in plan.why.splitlines()),
        "facts": _facts(plan),
        "warnings": _warnings(plan),
        "n": f"{facts['n']:,}",
        "n_held": f"{facts['n_held']:,}",
        "per_call": "one query a call" if goals.batch == 1 else f"{goals.batch} queries a call",
        "table": _table(plan),
        "failed": _failed(plan),
        "made": escape(
            f"in {format_seconds(facts['seconds'])}, kernels {facts['level']}, random state "
            f"{facts['random_state']}"
        ),
        "data": _data(plan),
    }
    return fill(_TEMPLATE, parts)


def kind_of(recipe: Recipe) -> int:
    """Return the number of the kind, in the order of `KINDS`."""
    if recipe.reduce is not None:
        return 4
    if recipe.scans_codes:
        return 3
    return {"scan": 0, "ivf": 1, "graph": 2}[recipe.kind]


def _quality(plan: Plan) -> str:
    goals = plan.goals
    return f"recall@{goals.k}" if goals.quality == "recall" else f"nDCG@{goals.k} kept"


def _lede(plan: Plan) -> str:
    facts = plan.facts
    whence = "" if facts["queries_from"] == "given" else f" ({escape(facts['queries_from'])})"
    return (
        f"Asked: {escape(plan.goals.words)}. {facts['n_recipes']} recipes were tried on "
        f"{facts['n']:,} vectors of {facts['dim']} dimensions, metric {escape(facts['metric'])}; "
        f"{facts['n_tuned']:,} queries{whence} chose and {facts['n_held']:,} others judged."
    )


def _facts(plan: Plan) -> str:
    point = plan.point
    spread = "" if point.low == point.high else f", {point.low:.3f} to {point.high:.3f}"
    shown = [
        (f"{point.quality:.3f}", f"{_quality(plan)}{spread}"),
        (format_time(point.seconds), f"a call; 95 % within {format_time(point.p95)}"),
        (format_bytes(point.bytes), f"{point.bytes / max(1, point.n):,.0f} bytes a row"),
        (format_time(point.build_s), "to build"),
    ]
    return "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in shown)


def _warnings(plan: Plan) -> str:
    if not plan.warnings:
        return ""
    said = "".join(f"<p><b>!</b> {escape(text)}</p>" for text in plan.warnings)
    return f'<div class="card warn">{said}</div>'


def _failed(plan: Plan) -> str:
    if not plan.failed:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in plan.failed)
    return (
        f"<details><summary>Recipes that were left</summary><ul class=failed>{items}</ul></details>"
    )


def _table(plan: Plan) -> str:
    heads = ("recipe", _quality(plan), "95 % interval", "bytes", "a call", "p95", "build", "")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    rows = []
    for row in plan.table():
        spread = "–" if row["low"] == row["high"] else f"{row['low']:.4f} to {row['high']:.4f}"
        mark = "predicted" if row["predicted"] else "●" if row["pareto"] else ""
        cells = (
            f"{row['quality']:.4f}",
            spread,
            format_bytes(row["bytes"]),
            format_time(row["seconds"]),
            format_time(row["p95"]),
            format_time(row["build_s"]),
            mark,
        )
        chosen = ' class="chosen"' if row["chosen"] else ""
        rows.append(
            f'<tr{chosen}><td class="left"><code>{escape(row["recipe"])}</code></td>'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    return f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _data(plan: Plan) -> str:
    """JSON with every ``<`` escaped, so that no text can end the script."""
    points = []
    for row in plan.table():
        recipe = Recipe.parse(row["recipe"])
        points.append(
            {name: row[name] for name in ("recipe", "bytes", "predicted", "chosen")}
            | {
                name: float(f"{row[name]:.6g}")
                for name in ("quality", "low", "high", "seconds", "p95", "build_s")
            }
            | {"built": str(recipe.built), "kind": kind_of(recipe)}
        )
    goals = plan.goals
    data: dict[str, Any] = {
        "points": points,
        "kinds": KINDS,
        "quality": _quality(plan),
        "least": goals.least,
        "memory": goals.memory,
        "p95": goals.p95,
        "floor": _FLOOR,
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
