# SPDX-License-Identifier: Apache-2.0
"""The pictures of measurements: lines, bars and distributions, as SVG.

Colours are CSS variables with a light default, so that a picture looks right by itself and takes
the theme of a page that it stands in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.io.pages import Chart

Doubles = NDArray[np.float64]

WIDTH, HEIGHT = 470.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 50.0, 16.0, 52.0, 44.0
_LETTER = 6.4  # mean width of a letter of the legend
_BAR = 21.0
_BINS = 48

_STYLE = (
    ".vlc text{font:12px system-ui,sans-serif;fill:var(--soft,#5a6773)}"
    ".vlc .title{font-size:14px;font-weight:640;fill:var(--ink,#17212b)}"
    ".vlc .ink{fill:var(--ink,#17212b)}.vlc .end{text-anchor:end}.vlc .mid{text-anchor:middle}"
    ".vlc .grid{stroke:var(--line,#e0e5e9);fill:none}.vlc .paper{fill:var(--card,#fff)}"
    ".vlc .curve{stroke:currentColor;fill:none;stroke-width:2;stroke-linejoin:round}"
    ".vlc .area{fill:currentColor;opacity:.16}.vlc .mark{fill:currentColor}"
    ".vlc .dash{stroke:var(--faint,#8b96a1);stroke-dasharray:4 4;fill:none}"
    ".vlc .whisker{stroke:var(--ink,#17212b);fill:none}"
    ".vlc .s0{color:var(--c0,#0a66b7)}.vlc .s1{color:var(--c1,#d4661a)}"
    ".vlc .s2{color:var(--c2,#12855f)}.vlc .s3{color:var(--c3,#a83a8c)}"
    ".vlc .s4{color:var(--other,#b4bdc5)}"
)


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a picture.

    Parameters
    ----------
    name : str
    x, y : array-like of float
    low, high : array-like of float or None, default=None
        Ends of intervals, drawn as a band.
    """

    name: str
    x: Any
    y: Any
    low: Any = None
    high: Any = None


@dataclass(frozen=True)
class Bar:
    """One bar of a picture.

    Parameters
    ----------
    name : str
    value : float
    low, high : float, default=nan
        Its interval, drawn as a whisker.
    kind : int, default=0
        Its colour.
    """

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan
    kind: int = 0


@dataclass(frozen=True)
class _Axes:
    """Where numbers stand; `log_x` for an axis of which each step is a factor."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    log_x: bool = False
    marks: list[str] = field(default_factory=list)

    def x(self, value: float) -> float:
        low, high, at = self.x_low, self.x_high, value
        if self.log_x:
            low, high, at = math.log(low), math.log(high), math.log(value)
        return _LEFT + (at - low) / ((high - low) or 1.0) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / ((self.y_high - self.y_low) or 1.0)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)

    def path(self, xs: Any, ys: Any) -> str:
        places = (f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        return "M" + "L".join(places)


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    log_x: bool = False,
    y_range: tuple[float, float] | None = None,
    guide: float | None = None,
) -> Chart:
    """Draw lines.

    Parameters
    ----------
    title : str
    lines : sequence of Line
        One at least, with two points at least.
    x_label : str
    log_x : bool, default=False
        Whether each step to the right is a factor; all x above 0 then.
    y_range : tuple of float or None, default=None
        Ends of the upward axis; None takes those of the numbers.
    guide : float or None, default=None
        Height of a dashed line.

    Returns
    -------
    Chart
    """
    xs = np.concatenate([np.asarray(line.x, float) for line in lines])
    ys = np.concatenate([np.asarray(line.y, float) for line in lines])
    low, high = y_range or _rounded_range(float(ys.min()), float(ys.max()))
    axes = _Axes(float(xs.min()), float(xs.max()), low, high, log_x)
    marks = [_frame(axes, x_label)]
    if guide is not None:
        marks.append(f'<path class="dash" d="M{_LEFT:g} {axes.y(guide):.1f}H{WIDTH - _RIGHT:g}"/>')
    for i, line in enumerate(lines):
        band = ""
        if line.low is not None and line.high is not None:
            there = axes.path(line.x, np.clip(line.low, low, high))
            back = axes.path(line.x[::-1], np.clip(line.high, low, high)[::-1])
            band = f'<path class="area" d="{there}L{back[1:]}Z"/>'
        curve = axes.path(line.x, np.clip(line.y, low, high))
        marks.append(
            f'<g class="s{i % 5}">{band}<path class="curve" d="{curve}"/>'
            f"<title>{escape(line.name)}</title></g>"
        )
    return _picture(title, marks, [line.name for line in lines])


def distribution_chart(
    title: str,
    groups: Sequence[tuple[str, Any]],
    *,
    x_label: str,
    guide: tuple[float, str] | None = None,
) -> Chart:
    """Draw how values of groups are distributed, as outlines of equal area.

    Parameters
    ----------
    title : str
    groups : sequence of (str, array-like)
        Name and values; what is not finite is left out.
    x_label : str
    guide : tuple of float and str, or None, default=None
        Where a dashed upright line stands, and what it says.

    Returns
    -------
    Chart
    """
    known = [(name, np.asarray(v, float)[np.isfinite(v)]) for name, v in groups]
    known = [(name, values) for name, values in known if len(values)]
    pooled = np.concatenate([values for _, values in known]) if known else np.zeros(1)
    low, high = (float(v) for v in np.quantile(pooled, [0.001, 0.999]))
    if high <= low:
        low, high = low - 0.5, low + 0.5
    edges = _edges(low, high, whole=bool((pooled == np.floor(pooled)).all()))
    low, high = float(edges[0]), float(edges[-1])
    heights = [np.histogram(np.clip(v, low, high), edges)[0] / len(v) for _, v in known]
    top = max((float(h.max()) for h in heights), default=1.0)
    axes = _Axes(low, high, 0.0, top * 1.05)
    marks = [_frame(axes, x_label, upward=False)]
    for i, (height, (name, _)) in enumerate(zip(heights, known, strict=True)):
        path = axes.path(np.repeat(edges, 2), np.concatenate([[0.0], np.repeat(height, 2), [0.0]]))
        marks.append(
            f'<g class="s{i % 5}"><path class="area" d="{path}Z"/><path class="curve" d="{path}"/>'
            f"<title>{escape(name)}</title></g>"
        )
    if guide is not None and low <= guide[0] <= high:
        x = axes.x(guide[0])
        side, at = ("end", x - 5) if x > WIDTH / 2 else ("", x + 5)
        marks.append(
            f'<path class="dash" d="M{x:.1f} {_TOP:g}V{HEIGHT - _BOTTOM:g}"/>'
            f'<text class="{side}" x="{at:.1f}" y="{_TOP + 11:g}">{escape(guide[1])}</text>'
        )
    return _picture(title, marks, [name for name, _ in known])


def _edges(low: float, high: float, *, whole: bool) -> Doubles:
    """Return edges of bins; of whole numbers each bin holds as many."""
    if not whole:
        return np.linspace(low, high, _BINS + 1)
    step = max(1, math.ceil((high - low + 1) / _BINS))
    return np.arange(low - 0.5, high + step, step)


def bar_chart(title: str, bars: Sequence[Bar], *, x_label: str, digits: int = 2) -> Chart:
    """Draw values as bars to the right, one below the other.

    Parameters
    ----------
    title : str
    bars : sequence of Bar
    x_label : str
    digits : int, default=2
        Of the numbers beside the bars.

    Returns
    -------
    Chart
    """
    names = 8 + _LETTER * max((len(bar.name) for bar in bars), default=0)
    ends = [v for bar in bars for v in (bar.value, bar.high) if math.isfinite(v)]
    top = max([*ends, 1e-9])
    scale = (WIDTH - names - 74) / top
    marks = []
    for i, bar in enumerate(bars):
        y = 34 + i * _BAR
        width = max(bar.value, 0.0) * scale if math.isfinite(bar.value) else 0.0
        text = names + width
        if math.isfinite(bar.low) and math.isfinite(bar.high):
            a, b = names + max(bar.low, 0.0) * scale, names + max(bar.high, 0.0) * scale
            whisker = f'<path class="whisker" d="M{a:.1f} {y + 7:g}H{b:.1f}"/>'
            text = max(text, b)
        else:
            whisker = ""
        marks.append(
            f'<text class="end ink" x="{names - 8:.1f}" y="{y + 11:g}">{escape(bar.name)}</text>'
            f'<g class="s{bar.kind}"><rect class="mark" x="{names:.1f}" y="{y:g}" '
            f'width="{width:.1f}" height="14" rx="2"/></g>{whisker}'
            f'<text x="{text + 6:.1f}" y="{y + 11:g}">{bar.value:.{digits}f}</text>'
        )
    height = 34 + len(bars) * _BAR + 26
    marks.append(f'<text class="mid" x="{WIDTH / 2:g}" y="{height - 8:g}">{escape(x_label)}</text>')
    return _picture(title, marks, (), height)


def _picture(
    title: str, marks: Sequence[str], names: Sequence[str], height: float = HEIGHT
) -> Chart:
    legend, x = [], _LEFT
    for i, name in enumerate(names if len(names) > 1 else ()):
        legend.append(
            f'<g class="s{i % 5}"><rect class="mark" x="{x:.1f}" y="29" width="10" height="10" '
            f'rx="2"/></g><text x="{x + 15:.1f}" y="38">{escape(name)}</text>'
        )
        x += 28 + _LETTER * len(name)
    return Chart(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="vlc" viewBox="0 0 {WIDTH:g} {height:g}" '
        f'width="{WIDTH:g}" height="{height:g}" role="img" aria-label="{escape(title)}">'
        f'<style>{_STYLE}</style><rect class="paper" width="100%" height="100%"/>'
        f'<text class="title" x="{min(_LEFT, 16):g}" y="18">{escape(title)}</text>'
        f"{''.join(legend)}{''.join(marks)}</svg>"
    )


def _frame(axes: _Axes, x_label: str, *, upward: bool = True) -> str:
    marks, bottom = [], HEIGHT - _BOTTOM
    for value in _ticks(axes.y_low, axes.y_high) if upward else ():
        y = axes.y(value)
        marks.append(f'<path class="grid" d="M{_LEFT:g} {y:.1f}H{WIDTH - _RIGHT:g}"/>')
        marks.append(f'<text class="end" x="{_LEFT - 7:g}" y="{y + 4:.1f}">{value:g}</text>')
    if not upward:
        marks.append(f'<path class="grid" d="M{_LEFT:g} {bottom:g}H{WIDTH - _RIGHT:g}"/>')
    ticks = _factors(axes.x_low, axes.x_high) if axes.log_x else _ticks(axes.x_low, axes.x_high)
    for value in ticks:
        x = axes.x(value)
        marks.append(f'<path class="grid" d="M{x:.1f} {_TOP:g}V{bottom:g}"/>')
        marks.append(f'<text class="mid" x="{x:.1f}" y="{bottom + 17:g}">{value:,g}</text>')
    marks.append(
        f'<text class="mid" x="{(_LEFT + WIDTH - _RIGHT) / 2:g}" y="{bottom + 35:g}">'
        f"{escape(x_label)}</text>"
    )
    return "".join(marks)


def _ticks(low: float, high: float) -> list[float]:
    """Return four to eight round numbers between two."""
    span = (high - low) or 1.0
    step = 10.0 ** math.floor(math.log10(span))
    step *= next(factor for factor in (0.2, 0.5, 1.0, 2.0) if span / (step * factor) <= 8)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.6g}") for i in range(first, last + 1)]


def _factors(low: float, high: float) -> list[float]:
    """Return low times 1, 2, 4, …; every other one where there would be more than eight."""
    n = round(math.log2(high / low))
    step = 1 + n // 8
    return [float(low * 2**i) for i in range(0, n + 1, step) if low * 2**i <= high * 1.0001]


def _rounded_range(low: float, high: float) -> tuple[float, float]:
    pad = 0.05 * ((high - low) or abs(high) or 1.0)
    return (0.0 if 0 <= low < 0.3 * high else low - pad), high + pad
