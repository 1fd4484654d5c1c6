# SPDX-License-Identifier: Apache-2.0
"""The report card to read: a Markdown table, a fragment for notebooks, a page without a network."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from vectorloom.compress.report_chart import (
    FAMILIES,
    HEIGHT,
    WIDTH,
    draw,
    panel_marks,
    panels,
    shown_families,
)
from vectorloom.compress.report_measuring import RECHECK, ReportRow
from vectorloom.compress.report_truth import rounded, share_text
from vectorloom.io.pages import fill, write_text
from vectorloom.readable import format_seconds

if TYPE_CHECKING:
    from vectorloom.compress.report_card import Report

_TEMPLATE = Path(__file__).with_name("report_page.html")
_DASH = "–"

#: Head of a column, and what stands in it.
Column = tuple[str, Callable[[ReportRow], str]]


def columns(report: Report) -> list[Column]:
    """Return the columns of the table, without the name."""
    depth, deep = (n * report.k for n in RECHECK)
    shown: list[Column] = [
        ("bytes", lambda row: f"{row.bytes_per_vector}"),
        (f"recall@{report.k}", lambda row: _with_spread(row.recall, row.recall_interval)),
        (f"re-check {depth}", lambda row: _share(row.recall_4k)),
        (f"re-check {deep}", lambda row: _share(row.recall_10k)),
        ("worst tenth", lambda row: _share(row.worst_decile)),
        (f"worst tenth, re-check {depth}", lambda row: _share(row.worst_decile_4k)),
    ]
    if report.n_judged:
        shown += [
            ("nDCG@10", lambda row: _share(row.ndcg)),
            ("nDCG lost", lambda row: _percent(row.ndcg_loss)),
        ]
    return [
        *shown,
        ("error", lambda row: _error(row.error)),
        ("encode rows/s", lambda row: rounded(row.encode_rows_per_s)),
        ("compare rows/s", lambda row: rounded(row.compare_rows_per_s)),
        ("fit s", lambda row: f"{row.fit_s:.2f}" if row.fit_s < 10 else f"{row.fit_s:.0f}"),
    ]


def markdown(report: Report) -> str:
    """Return the table as Markdown, smallest method first.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str
    """
    shown = columns(report)
    lines = [
        "| " + " | ".join(["method", *(head for head, _ in shown)]) + " |",
        "| --- |" + " ---: |" * len(shown),
    ]
    for row in report.rows:
        cells = [cell(row) for _, cell in shown]
        name = row.name.replace("|", "\\|")
        lines.append("| " + " | ".join([f"`{name}`", *cells]) + " |")
    return "\n".join(lines)


def write_page(report: Report, path: str | os.PathLike[str]) -> None:
    """Write the whole page, or nothing.

    Parameters
    ----------
    report : Report
    path : path-like
    """
    write_text(render(report), path)


def render(report: Report) -> str:
    """Return the page as text."""
    depth, deep = (n * report.k for n in RECHECK)
    parts = {
        "lede": _lede(report),
        "facts": _facts(report),
        "warnings": _warnings(report),
        "advice": "".join(f"<li>{escape(text)}</li>" for text in report.advice),
        "panels": "".join(
            f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(p.title)}">'
            f"{panel_marks(report, p)}</svg>"
            for p in panels(report)
        ),
        "legend": "".join(
            f'<span><i class="f{number}"></i>{FAMILIES[number][0]}</span>'
            for number in shown_families(report)
        ),
        "n_queries": f"{report.n_queries:,}",
        "table": _table(report),
        "k": str(report.k),
        "depth": str(depth),
        "deep": str(deep),
        "ndcg_note": _ndcg_note(report),
        "failed": _failed(report),
        "made": f"in {format_seconds(report.seconds)}, kernels {escape(report.level)}, "
        f"random state {report.random_state}",
    }
    return fill(_TEMPLATE, parts)


def fragment(report: Report) -> str:
    """Return what a notebook shows: warnings, advice, picture and table."""
    said = "".join(f"<li>{escape(text)}</li>" for text in [*report.warnings, *report.advice])
    return f"<ul>{said}</ul>{draw(report).svg}<table>{_table(report)}</table>"


def _lede(report: Report) -> str:
    whence = "" if report.queries_from == "given" else f" ({escape(report.queries_from)})"
    judged = ", all with relevance judgments" if report.n_judged else ""
    if 0 < report.n_judged < report.n_queries:
        judged = f", {report.n_judged:,} of them with relevance judgments"
    return (
        f"{report.n_rows:,} vectors of {report.dim} dimensions ({4 * report.dim:,} bytes each in "
        f"float32) were compressed in {len(report.rows)} ways and searched by "
        f"{report.n_queries:,} queries{whence}{judged}; metric {report.metric}."
    )


def _facts(report: Report) -> str:
    facts = []
    for field, words in (
        ("recall_4k", f"recall ≥ .95, re-check of {RECHECK[0] * report.k}"),
        ("recall", "recall ≥ .95, codes alone"),
    ):
        good = [row for row in report.rows if getattr(row, field) >= 0.95]
        size = min((row.bytes_per_vector for row in good), default=0)
        value = f"{4 * report.dim / size:.1f}× smaller" if size else "none"
        facts.append((value, f"{words}{f' ({size} bytes)' if size else ''}"))
    facts.append((f"{len(report.rows)}", "methods measured"))
    if report.n_judged:
        facts.append((f"{report.exact_ndcg:.3f}", "nDCG@10 of the exact vectors"))
    else:
        facts.append((format_seconds(report.seconds), "to measure them all"))
    return "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in facts)


def _warnings(report: Report) -> str:
    if not report.warnings:
        return ""
    said = "".join(f"<p><b>Mind:</b> {escape(text)}</p>" for text in report.warnings)
    return f'<div class="card warn">{said}</div>'


def _failed(report: Report) -> str:
    if not report.failed:
        return ""
    said = "".join(
        f"<li><code>{escape(name)}</code>: {escape(why)}</li>" for name, why in report.failed
    )
    return f'<section><h2>Not measured</h2><ul class="card said">{said}</ul></section>'


def _ndcg_note(report: Report) -> str:
    if not report.n_judged:
        return ""
    return (
        f" <b>nDCG@10</b> is over {report.n_judged:,} judged queries, from the codes alone; the "
        f"exact vectors reach {report.exact_ndcg:.4f}."
    )


def _table(report: Report) -> str:
    shown = columns(report)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name, _ in [("method", None), *shown])
    body = []
    before: object = ""
    for row in sorted(report.rows, key=lambda row: (row.budget is None, row.bytes_per_vector)):
        if row.budget != before:
            before = row.budget
            label = "beyond the budgets" if row.budget is None else f"within {row.budget} bytes"
            body.append(f'<tr class="budget"><td colspan="{len(shown) + 1}">{label}</td></tr>')
        rivals = [other.recall for other in report.rows if other.budget == row.budget]
        best = len(rivals) > 1 and row.recall == max(rivals)
        cells = "".join(
            f"<td{' class=strong' if best and i == 1 else ''}>{cell(row)}</td>"
            for i, (_, cell) in enumerate(shown)
        )
        body.append(f"<tr><td><code>{escape(row.name)}</code></td>{cells}</tr>")
    return f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"


def _share(value: float) -> str:
    return _DASH if math.isnan(value) else share_text(value)


def _with_spread(value: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{_share(value)} ± {(high - low) / 2:.3f}"


def _percent(value: float) -> str:
    return _DASH if math.isnan(value) else f"{100 * value:.2f} %"


def _error(value: float) -> str:
    if math.isnan(value):
        return _DASH
    return f"{value:.3g}" if value >= 1e-3 or value == 0 else f"{value:.0e}"
