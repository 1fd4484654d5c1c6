# SPDX-License-Identifier: Apache-2.0
"""Choose settings by trying them: climb each ladder, look closer around the targets, keep the best.

Only the calibration half of the queries is seen here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.peers.base import Setting

FULL = 0.9995  # recall above which more effort shows nothing
STALLED = 5e-4  # two steps up that gain less than this each, and cost more, end the ladder
MORE = 1.3  # what counts as costing more
CLOSE = 1.08  # neighbouring numbers are not told apart below this ratio
HALVINGS = 3
KEPT_FROM = 0.5  # recall below which nobody searches
CLEARLY = 0.85  # a setting is dropped when one of no less recall takes this share of its time


@dataclass
class Point:
    """One setting of one method, with what was measured of it."""

    setting: Setting
    recall_tried: float  # on the calibration half
    seconds_tried: float  # of CPU time: what else the machine does must not choose settings
    recall: float = 1.0  # on the reporting half: the least of all rounds
    runs: list[dict[str, Any]] = field(default_factory=list)

    def seconds(self) -> list[float]:
        return [float(run["seconds"]) for run in self.runs]


Try = Callable[[Setting], Point]


def calibrate(
    attempt: Try, ladders: Sequence[Sequence[Setting]], targets: Sequence[float]
) -> list[Point]:
    """All points tried; `frontier` tells which are worth measuring on the other half."""
    tried: list[Point] = []
    for ladder in ladders:
        climbed = climb(attempt, ladder)
        tried += climbed
        for target in targets:
            tried += refine(attempt, climbed, target)
    return tried


def climb(attempt: Try, ladder: Sequence[Setting]) -> list[Point]:
    """Try the settings in their order until the recall is full or stays where it is."""
    points: list[Point] = []
    for setting in ladder:
        points.append(attempt(setting))
        if points[-1].recall_tried >= FULL:
            break
        if _has_stalled(points[-3:]):
            break
    return points


def _has_stalled(last: Sequence[Point]) -> bool:
    """Whether two more steps cost more and gave nothing; free steps may just be too short."""
    if len(last) < 3 or last[0].recall_tried < KEPT_FROM:
        return False
    gains = [b.recall_tried - a.recall_tried for a, b in itertools.pairwise(last)]
    return max(gains) < STALLED and last[-1].seconds_tried > MORE * last[0].seconds_tried


def refine(attempt: Try, climbed: Sequence[Point], target: float) -> list[Point]:
    """Halve the step of the ladder that crosses the target."""
    pairs = itertools.pairwise(climbed)
    step = next((p for p in pairs if p[0].recall_tried < target <= p[1].recall_tried), None)
    made: list[Point] = []
    while step is not None and len(made) < HALVINGS:
        setting = between(step[0].setting, step[1].setting)
        if setting is None:
            break
        made.append(attempt(setting))
        reached = made[-1].recall_tried >= target
        step = (step[0], made[-1]) if reached else (made[-1], step[1])
    return made


def between(low: Setting, high: Setting) -> Setting | None:
    """A setting in the middle, where the two differ in one whole number and not by little."""
    differing = [name for name in high if low.get(name) != high[name]]
    if set(low) != set(high) or len(differing) != 1:
        return None
    a, b = low[differing[0]], high[differing[0]]
    if not (isinstance(a, int) and isinstance(b, int)) or b <= a * CLOSE or b - a < 2:
        return None
    return {**high, differing[0]: min(b - 1, max(a + 1, round(math.sqrt(a * b))))}


def frontier(points: Sequence[Point]) -> list[Point]:
    """Drop what is clearly beaten: times of one pass differ, so near misses stay."""
    kept: dict[str, Point] = {}
    for point in sorted(points, key=lambda p: (p.seconds_tried, -p.recall_tried)):
        beaten = any(
            other.recall_tried >= point.recall_tried
            and other.seconds_tried < CLEARLY * point.seconds_tried
            for other in points
        )
        if point.recall_tried >= KEPT_FROM and not beaten:
            kept.setdefault(repr(sorted(point.setting.items())), point)
    return list(kept.values())
