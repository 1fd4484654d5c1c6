# SPDX-License-Identifier: Apache-2.0
"""The picture of quality against bytes, as SVG that needs no library and no network.

Each panel draws bytes per vector (doubling to the right) against one share. The line joins the
methods that no other beats with as few bytes; only those on it are named in place, the others by
pointing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from vectorloom.compress.report_measuring import RECHECK, ReportRow
from vectorloom.io.pages import Chart

if TYPE_CHECKING:
    from vectorloom.compress.report_card import Report

# Word that a recipe's last step begins with → family; the order is that of the legend and colours.
FAMILIES = (
    ("floats", ("float16", "bfloat16", "float8", "Float", "BFloat")),
    ("levels", ("scalar", "lvq", "nonuniform", "mixed", "Scalar", "LVQ", "NonUniform", "Mixed")),
    ("bits with estimates", ("rabitq", "RaBitQ")),
    ("codebooks", ("pq", "opq", "rq", "PQ", "OPQ", "Residual")),
    ("binary", ("sign", "itq", "bebr", "Sign", "ITQ", "BEBR", "SDC", "ContrastiveHash")),
    ("fewer dimensions", ()),
)
_OTHER = len(FAMILIES) - 1
CODEBOOKS = 3

WIDTH, HEIGHT = 470.0, 390.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 16.0, 34.0, 44.0
_LABEL = 11.5
_LETTER = 6.1  # mean width of a letter at that size, for keeping labels apart


@dataclass(frozen=True)
class Panel:
    """One picture: what is drawn upwards, and how it is called."""

    title: str
    value: Callable[[ReportRow], float]
    interval: Callable[[ReportRow], tuple[float, float]] | None = None


def draw(report: Report) -> Chart:
    """Draw all panels of a report beside each other, in colours of their own.

    Parameters
    ----------
    report : Report

    Returns
    -------
    Chart
    """
    shown = panels(report)
    parts = [
        f'<g transform="translate({i * WIDTH:g} 0)">{panel_marks(report, panel)}</g>'
        for i, panel in enumerate(shown)
    ]
    width = WIDTH * len(shown)
    return Chart(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {HEIGHT + 30:g}" '
        f'width="{width:g}" height="{HEIGHT + 30:g}"><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" class="paper"/>{"".join(parts)}'
        f'<g transform="translate(0 {HEIGHT + 12:g})">{_legend(report)}</g></svg>'
    )


def panels(report: Report) -> list[Panel]:
    """Recall before and after re-check, and nDCG where it was judged."""
    depth = RECHECK[0] * report.k
    shown = [
        Panel(
            f"Recall@{report.k} from the codes alone",
            lambda row: row.recall,
            lambda row: row.recall_interval,
        ),
        Panel(
            f"Recall@{report.k} after re-check of {depth}",
            lambda row: row.recall_4k,
            lambda row: row.recall_4k_interval,
        ),
    ]
    if report.n_judged:
        shown += [
            Panel(
                "nDCG@10 kept, codes alone (1 = exact float32)",
                lambda row: 1 - row.ndcg_loss,
                lambda row: (1 - row.ndcg_loss_interval[1], 1 - row.ndcg_loss_interval[0]),
            ),
            Panel("Recall of the worst tenth of queries, codes alone", lambda r: r.worst_decile),
        ]
    return shown


def family_of(name: str) -> int:
    """Return the number of the family that the last step of a recipe belongs to."""
    before, _, last = name.rpartition("|")
    for number, (_, words) in enumerate(FAMILIES):
        if last.strip().startswith(words):
            # Fewer dimensions in narrow floats are fewer dimensions above all.
            return _OTHER if number == 0 and before else number
    return _OTHER


def frontier(rows: Sequence[ReportRow], value: Callable[[ReportRow], float]) -> list[ReportRow]:
    """Rows that no other beats with as few bytes, smallest first."""
    best, kept = -math.inf, []
    for row in sorted(rows, key=lambda row: (row.bytes_per_vector, -value(row))):
        if value(row) > best:
            best = value(row)
            kept.append(row)
    return kept


class _Axes:
    """From bytes and shares to places in the panel."""

    def __init__(
        self, sizes: Sequence[int], values: Sequence[float], best: Sequence[float]
    ) -> None:
        self.low = math.log2(min(sizes)) - 0.25
        self.high = math.log2(max(sizes)) + 0.25
        # An axis down to the worst would squeeze what matters: it ends below the frontier and
        # most of the others, and what is beneath is drawn hollow on its edge.
        least = min([*best, sorted(values)[len(values) // 4]])
        self.bottom = max(0.0, math.floor((least - 0.02) * 10) / 10)
        self.top = max(1.0, max(values))

    def x(self, size: float) -> float:
        share = (math.log2(size) - self.low) / (self.high - self.low)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = max(0.0, (value - self.bottom) / (self.top - self.bottom))
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)

    def size_ticks(self) -> list[int]:
        """Powers of two inside the axis."""
        first, last = math.ceil(self.low), math.floor(self.high)
        return [2**power for power in range(first, last + 1) if power >= 0]

    def value_ticks(self) -> list[float]:
        span = self.top - self.bottom
        step = 0.02 if span <= 0.12 else 0.05 if span <= 0.3 else 0.1 if span <= 0.65 else 0.2
        first, last = math.ceil(self.bottom / step - 1e-9), math.floor(self.top / step + 1e-9)
        return [round(i * step, 4) for i in range(first, last + 1)]


def panel_marks(report: Report, panel: Panel) -> str:
    """Return one panel: grid, frontier, points and labels; colours come from the page's style."""
    rows = [row for row in report.rows if math.isfinite(panel.value(row))]
    title = f'<text class="title" x="{_LEFT:g}" y="16">{escape(panel.title)}</text>'
    if not rows:
        return title
    line, value = frontier(rows, panel.value), panel.value
    sizes = [row.bytes_per_vector for row in rows]
    axes = _Axes(sizes, [value(row) for row in rows], [value(row) for row in line])
    # Frontier points are drawn last, so that nothing covers them.
    order = [row for row in rows if row not in line] + line
    marks = "".join(_point(row, panel, axes, row in line) for row in order)
    return (
        title + _grid(axes) + _line(line, panel, axes) + marks + _labels(line, order, panel, axes)
    )


def _grid(axes: _Axes) -> str:
    marks = []
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for value in axes.value_ticks():
        y = axes.y(value)
        marks.append(f'<path class="grid" d="M{_LEFT:g} {y:.1f}H{right:g}"/>')
        marks.append(f'<text class="tick end" x="{_LEFT - 7:g}" y="{y + 4:.1f}">{value:g}</text>')
    for size in axes.size_ticks():
        x = axes.x(size)
        marks.append(f'<path class="grid" d="M{x:.1f} {_TOP:g}V{bottom:g}"/>')
        marks.append(f'<text class="tick mid" x="{x:.1f}" y="{bottom + 17:g}">{size:,}</text>')
    middle = (_LEFT + right) / 2
    marks.append(
        f'<text class="tick mid" x="{middle:g}" y="{bottom + 35:g}">bytes per vector, each line '
        "doubles</text>"
    )
    return "".join(marks)


def _line(line: Sequence[ReportRow], panel: Panel, axes: _Axes) -> str:
    places = [f"{axes.x(r.bytes_per_vector):.1f} {axes.y(panel.value(r)):.1f}" for r in line]
    return f'<path class="front" d="M{"L".join(places)}"/>' if len(places) > 1 else ""


def _point(row: ReportRow, panel: Panel, axes: _Axes, is_best: bool) -> str:
    x, y = axes.x(row.bytes_per_vector), axes.y(panel.value(row))
    said = f"{row.name}: {row.bytes_per_vector} bytes, {panel.value(row):.3f}"
    whisker = ""
    is_below = panel.value(row) < axes.bottom
    if panel.interval is not None:
        low, high = (min(max(v, axes.bottom), axes.top) for v in panel.interval(row))
        whisker = (
            ""
            if is_below
            else f'<path class="whisker" d="M{x:.1f} {axes.y(low):.1f}V{axes.y(high):.1f}"/>'
        )
        said += f" (95 % interval {low:.3f} to {high:.3f})"
    radius = 5.0 if is_best else 3.6
    kind = "best" if is_best else "below" if is_below else "other"
    return (
        f'<g class="f{family_of(row.name)} {kind}">{whisker}<circle cx="{x:.1f}" cy="{y:.1f}" '
        f'r="{radius:g}"/><title>{escape(said)}</title></g>'
    )


Box = tuple[float, float, float, float]


def _labels(line: Sequence[ReportRow], rows: Sequence[ReportRow], panel: Panel, axes: _Axes) -> str:
    """Names of the frontier, where they cover neither each other nor a point."""
    points = [(axes.x(r.bytes_per_vector), axes.y(panel.value(r))) for r in rows]
    taken: list[Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    marks = []
    for row in line:
        x, y = axes.x(row.bytes_per_vector), axes.y(panel.value(row))
        width = _LETTER * len(row.name)
        for box, anchor, at in _places(x, y, width):
            inside = box[0] >= _LEFT and box[2] <= WIDTH and box[1] >= _TOP - 14
            if inside and box[3] <= HEIGHT - _BOTTOM and not any(_overlap(box, o) for o in taken):
                taken.append(box)
                marks.append(
                    f'<text class="label {anchor}" x="{at:.1f}" y="{box[3] - 3:.1f}">'
                    f"{escape(row.name)}</text>"
                )
                break
    return "".join(marks)


def _places(x: float, y: float, width: float) -> list[tuple[Box, str, float]]:
    """Where a label may stand: left above, left, right below, right, above, below."""
    half, high = width / 2, _LABEL + 2
    return [
        ((x - 8 - width, y - high - 2, x - 8, y - 2), "end", x - 8),
        ((x - 10 - width, y - high / 2, x - 10, y + high / 2), "end", x - 10),
        ((x + 8, y + 2, x + 8 + width, y + high + 2), "start", x + 8),
        ((x + 10, y - high / 2, x + 10 + width, y + high / 2), "start", x + 10),
        ((x - half, y - high - 8, x + half, y - 8), "mid", x),
        ((x - half, y + 8, x + half, y + high + 8), "mid", x),
    ]


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def shown_families(report: Report) -> list[int]:
    """Numbers of the families that occur, in the order of the legend."""
    return sorted({family_of(row.name) for row in report.rows})


def _legend(report: Report) -> str:
    marks, x = [], _LEFT
    for number in shown_families(report):
        name = FAMILIES[number][0]
        marks.append(f'<g class="f{number} best"><circle cx="{x:.1f}" cy="0" r="5"/></g>')
        marks.append(f'<text class="tick" x="{x + 10:.1f}" y="4">{name}</text>')
        x += 34 + 6.4 * len(name)
    return "".join(marks)


_STYLE = """
text{font:12px system-ui,sans-serif;fill:#5a6773}.title{font-size:14px;font-weight:640;fill:#17212b}
.label{font-size:11.5px;fill:#17212b;paint-order:stroke;stroke:#fff;stroke-width:3px}
.end{text-anchor:end}.mid{text-anchor:middle}.grid{stroke:#e0e5e9;fill:none}.paper{fill:#fff}
.front{stroke:#8b96a1;fill:none;stroke-width:1.5}.whisker{stroke:currentColor;stroke-width:1.2}
circle{fill:currentColor}.below circle{fill:#fff;stroke:currentColor}
.other{opacity:.5}.f0{color:#0a66b7}.f1{color:#d4661a}.f2{color:#12855f}
.f3{color:#a83a8c}.f4{color:#b08900}.f5{color:#5b50c9}
""".strip()
