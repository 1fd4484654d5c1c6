# SPDX-License-Identifier: Apache-2.0
"""The report to read: a page without a network, and a fragment for notebooks."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from vectorloom.io.pages import Chart, fill, write_text
from vectorloom.measure.chart import distribution_chart
from vectorloom.readable import format_seconds

if TYPE_CHECKING:
    from vectorloom.measure.card import Finding, Report

_TEMPLATE = Path(__file__).with_name("card_page.html")
_WORDS = {"repair": "Repair", "consider": "Consider", "fine": "Fine"}

#: Name, value, interval, and of what it is.
Figure = tuple[str, str, str, str]


def write_page(report: Report, path: str | os.PathLike[str]) -> None:
    """Write the whole page, or nothing.

    Parameters
    ----------
    report : Report
    path : path-like
    """
    write_text(render(report), path)


def render(report: Report) -> str:
    """Return the page as text.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str
    """
    told = [finding for finding in report.findings if finding.level != "fine"]
    fine = [finding for finding in report.findings if finding.level == "fine"]
    parts = {
        "headline": _headline(told),
        "lede": _lede(report),
        "facts": _facts(report),
        "findings": _items(told),
        "fine": _items(fine),
        "panels": "".join(
            f'<figure class="card">{chart.svg}<figcaption>{said}</figcaption></figure>'
            for chart, said in _panels(report)
        ),
        "table": _table(report),
        "made": format_seconds(report.seconds),
    }
    return fill(_TEMPLATE, parts)


def fragment(report: Report) -> str:
    """Return what a notebook shows: the advice and the pictures.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str
    """
    said = "".join(f"<li>{escape(text)}</li>" for text in report.advice)
    return f"<ul>{said}</ul>{''.join(chart.svg for chart in plots(report))}"


def plots(report: Report) -> list[Chart]:
    """Return the pictures of a report.

    Parameters
    ----------
    report : Report

    Returns
    -------
    list of Chart
    """
    return [chart for chart, _ in _panels(report)]


def _headline(told: Sequence[Finding]) -> str:
    repairs = sum(finding.level == "repair" for finding in told)
    if not told:
        return "These vectors need no repair"
    if repairs:
        return f"{_counted(repairs, 'thing')} to repair before these vectors are used"
    return f"{_counted(len(told), 'thing')} to consider, nothing to repair"


def _counted(n: int, word: str) -> str:
    names = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
    return f"{names[n] if n < len(names) else n} {word}{'' if n == 1 else 's'}"


def _lede(report: Report) -> str:
    extra = "" if report.queries is None else f", {report.queries.n_queries:,} queries"
    extra += "" if report.drift is None else f", an earlier batch of {report.drift.n_a:,}"
    return (
        f"{report.n_rows:,} vectors of {report.dim} dimensions{extra}; metric {report.metric}. "
        f"Copies, lengths and constant dimensions are of all rows; neighbours were sought among "
        f"all of them for {report.near.n_measured:,}; hubs are among {len(report.hubness.rows):,}."
    )


def _facts(report: Report) -> str:
    hubs, near = report.hubness, report.near
    facts = [
        (f"{report.dimension.value:.0f}", f"intrinsic dimension, of {report.dim}"),
        (f"{report.isotropy.dimensions_used:.0f}", "dimensions evenly in use"),
        (f"{hubs.antihub_share:.1%}", f"never among anyone's {hubs.k} nearest"),
        (f"{report.copies + (1 - report.copies) * near.share:.1%}", "copies and near-copies"),
    ]
    return "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in facts)


def _items(findings: Sequence[Finding]) -> str:
    items = []
    for finding in findings:
        advice = ""
        if finding.advice:
            text = finding.advice
            if not text.startswith("vl."):  # the name of a function keeps its case
                text = text[0].upper() + text[1:]
            advice = f"<p>{escape(text)}</p>"
        items.append(
            f'<li class="card {finding.level}"><i>{_WORDS[finding.level]}</i>'
            f"<div><b>{escape(finding.fact)}.</b>{advice}</div></li>"
        )
    return "".join(items) or '<li class="card fine"><i>Fine</i><div>Nothing stands out.</div></li>'


def _panels(report: Report) -> list[tuple[Chart, str]]:
    hubs, near = report.hubness, report.near
    side = "Right" if near.metric == "cosine" else "Left"
    found = [
        (
            near.plot(),
            f"{near.n_measured:,} rows among all. {side} of the line both say the same; a heap "
            "there is boilerplate or copies with small changes.",
        ),
        (
            hubs.plot(),
            f"{len(hubs.rows):,} rows among themselves. A heap at 0 is never found; a long tail "
            "crowds the answers.",
        ),
        (
            report.trials.plot(),
            f"Tried on {report.trials.n_measured:,} rows. Fewer hubs are not yet better answers: "
            "judge with queries.",
        ),
        (
            report.redundancy.plot(),
            f"Share of the {report.hubness.k} nearest kept, {report.redundancy.n_measured:,} rows "
            "among 5,000 or fewer. Reduced: principal directions. The dashed line is the floor.",
        ),
        (
            report.isotropy.plot(),
            "A line that bends early: few directions hold most of the variance, and fewer "
            "dimensions would do.",
        ),
        (
            report.structure.plot(),
            "Where both coincide, neighbours are chance: the vectors look random.",
        ),
    ]
    if report.dimension.local is not None:
        found.append(
            (
                report.dimension.plot(),
                "Rows to the right are in regions of many directions: harder to search and to "
                "compress.",
            )
        )
    if report.length_spread > 0.001:
        chart = distribution_chart("Lengths", [("rows", report.lengths)], x_label="length")
        found.append((chart, "Where lengths differ, cosine and ip rank differently."))
    if report.judged is not None:
        found.append(
            (report.judged.plot(), "The judge of what is tried: whiskers that reach None help not.")
        )
    if report.queries is not None:
        found.append(
            (report.queries.plot(), "Queries to the right of rows are unlike anything indexed.")
        )
    if report.drift is not None:
        found.append(
            (report.drift.plot(), "Held-out rows of both batches; apart where the data changed.")
        )
    return found


def _table(report: Report) -> str:
    head = "<thead><tr><th>measure</th><th>value</th><th>interval</th><th>of</th></tr></thead>"
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>"
        for line in figures(report)
    )
    return f"{head}<tbody>{body}</tbody>"


def figures(report: Report) -> list[Figure]:
    """Return the numbers of a report as lines of a table.

    Parameters
    ----------
    report : Report

    Returns
    -------
    list of tuple of str
        Name, value, interval (empty where it is exact), and of which rows.
    """
    shape, hubs, near, far = report.isotropy, report.hubness, report.near, report.outliers
    everything, some = f"all {report.n_rows:,} rows", f"{shape.n_sampled:,} rows"
    among = f"{near.n_measured:,} rows among {near.n_rows:,}"
    crowd = f"{len(hubs.rows):,} rows among themselves"
    contrast, curve = report.structure, report.redundancy
    found: list[Figure] = [
        ("zero rows", f"{report.n_zero:,}", "", everything),
        ("copies", f"{report.copies:.2%}", "", everything),
        ("near-copies", f"{near.share:.2%}", _span(near.low, near.high, "%"), among),
        ("outliers", f"{far.share:.2%}", _span(far.low, far.high, "%"), among),
        ("constant dimensions", f"{len(report.columns.constant)}", "", everything),
        ("dead dimensions", f"{len(report.columns.dead)}", "", some),
        ("mean length", f"{report.length:.4g}", f"± {report.length_spread:.1%}", everything),
        (
            "IsoScore",
            f"{shape.isoscore:.4f}",
            _span(shape.isoscore_low, shape.isoscore_high),
            some,
        ),
        ("effective rank", f"{shape.effective_rank:.1f}", "", some),
        ("average cosine", f"{shape.average_cosine:.4f}", "", some),
        ("directions with 90 % of the variance", f"{shape.directions_90}", "", some),
        (
            "intrinsic dimension",
            f"{report.dimension.value:.1f}",
            _span(report.dimension.low, report.dimension.high),
            among,
        ),
        ("skewness of k-occurrence", f"{hubs.skewness:.3f}", _span(hubs.low, hubs.high), crowd),
        ("never a neighbour", f"{hubs.antihub_share:.2%}", "", crowd),
        ("places held by hubs", f"{hubs.hub_occupancy:.1%}", "", crowd),
        (
            "contrast with normal rows",
            f"{contrast.contrast:.3f}",
            _span(contrast.low, contrast.high),
            f"{contrast.n_measured:,} rows among themselves",
        ),
        (
            "neighbours kept by the first quarter",
            f"{curve.at(0.25):.1%}",
            "",
            f"{curve.n_measured:,} rows",
        ),
        (
            "neighbours kept by a quarter, reduced",
            f"{curve.at(0.25, 'reduced'):.1%}",
            "",
            f"{curve.n_measured:,} rows",
        ),
    ]
    if report.queries is not None:
        asked = report.queries
        of = f"{len(asked.distances):,} queries"
        found += [
            ("query shift, auc", f"{asked.auc:.3f}", _span(asked.low, asked.high), of),
            (
                "queries beyond 99 % of the rows",
                f"{asked.beyond:.1%}",
                _span(asked.beyond_low, asked.beyond_high, "%"),
                of,
            ),
            ("queries that are rows", f"{asked.in_rows:.1%}", "", of),
        ]
    if report.drift is not None:
        moved = report.drift
        of = f"{moved.n_measured:,} rows of both"
        found += [
            ("drift, p-value", f"{moved.p_value:.3g}", "", of),
            ("drift, auc", f"{moved.auc:.3f}", _span(moved.low, moved.high), of),
        ]
    return found


def _span(low: float, high: float, unit: str = "") -> str:
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"{low:.2%} to {high:.2%}" if unit else f"{low:.3g} to {high:.3g}"
