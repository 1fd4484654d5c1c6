# SPDX-License-Identifier: Apache-2.0
"""What results of measurements share: they become plain data, and pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from vectorloom.io.pages import Chart

#: Arrays longer than this are told by their length alone, unless all is asked for.
LONGEST = 100


class Result:
    """Base of the frozen dataclasses that measurements return."""

    def to_dict(self, *, arrays: bool = False) -> dict[str, Any]:
        """Return the result as dict, list, str and numbers, for JSON.

        Parameters
        ----------
        arrays : bool, default=False
            Whether arrays of more than 100 values are told too; they are left out else.

        Returns
        -------
        dict
        """
        found = {}
        for one in fields(self):  # type: ignore[arg-type]
            value = getattr(self, one.name)
            if isinstance(value, np.ndarray) and value.size > LONGEST and not arrays:
                continue
            found[one.name] = _plain(value, arrays)
        return found


@dataclass(frozen=True, eq=False)
class Estimate(Result):
    """One number with its interval; ``float(result)`` is the number.

    Attributes
    ----------
    name : str
        What was measured.
    value : float
    low, high : float
        Its 95 % interval; NaN where none is known.
    n : int
        Of how many items.
    parts : dict of str to float
        The same of parts of the items, or numbers beside it.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    parts: dict[str, float] = field(default_factory=dict)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        told = f"{self.name} {self.value:.4g}"
        if math.isfinite(self.low):
            told += f" [{self.low:.4g}, {self.high:.4g}]"
        parts = "".join(f"\n  {name} {value:.4g}" for name, value in self.parts.items())
        return f"{told}, {self.n:,} items{parts}"

    def plot(self) -> Chart:
        """Draw the number and its parts as bars.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        bars = [Bar(name, value, kind=4) for name, value in self.parts.items()]
        all_ = Bar(self.name, self.value, self.low, self.high)
        return bar_chart(self.name, [all_, *bars], x_label=self.name, digits=3)


def _plain(value: Any, arrays: bool) -> Any:
    if isinstance(value, Result):
        return value.to_dict(arrays=arrays)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(inner, arrays) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, arrays) for inner in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name), arrays) for one in fields(value)}
    return value
