# SPDX-License-Identifier: Apache-2.0
"""What a user wants, checked; and the refusal where no recipe reaches it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count
from vectorloom.index.memory import parse_bytes
from vectorloom.readable import format_bytes

if TYPE_CHECKING:
    from vectorloom.tune.plan import Plan

DEFAULT_RECALL = 0.95
_TIME = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(us|µs|ms|s|min|h)\s*", re.IGNORECASE)
_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


class UnmetGoalsError(ParameterError):
    """No recipe that was measured reaches all goals at once.

    Attributes
    ----------
    plan : Plan or None
        What was measured all the same: its table, and the recipe that comes nearest. None where
        the goals were refused before anything was measured.
    relax : dict of str to float
        Goal -> the value at which some recipe reaches all goals, the others left as they are.
        Where nothing was measured: the least bytes that any recipe takes.
    together : bool
        Whether no single goal helps, and all in `relax` must be relaxed at once.
    """

    plan: Plan | None = None
    relax: dict[str, float]
    together: bool = False

    def __init__(
        self,
        message: str,
        relax: dict[str, float],
        plan: Plan | None = None,
        together: bool = False,
    ) -> None:
        super().__init__(message)
        self.relax = relax
        self.plan = plan
        self.together = together


@dataclass(frozen=True)
class Goals:
    """What is asked for.

    Attributes
    ----------
    quality : {"recall", "ndcg"}
        What `least` is a share of: true neighbours found, or the nDCG of exact search kept.
    least : float
    k : int
    memory : int or None
        Bytes that the index may hold.
    p95 : float or None
        Seconds within which 95 of 100 calls must be answered.
    batch : int
        Queries a call.
    minimise : {"time", "memory", "build"}
        What is best among recipes that reach the goals.
    """

    quality: str
    least: float
    k: int
    memory: int | None
    p95: float | None
    batch: int
    minimise: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @property
    def words(self) -> str:
        """The goals as a person says them."""
        parts = [
            f"recall@{self.k} of at least {self.least:g}"
            if self.quality == "recall"
            else f"nDCG@{self.k} within {100 * (1 - self.least):g} % of exact search"
        ]
        if self.memory is not None:
            parts.append(f"at most {format_bytes(self.memory)}")
        if self.p95 is not None:
            parts.append(f"95 % of calls within {format_time(self.p95)}")
        wish = {"time": "the fastest", "memory": "the smallest", "build": "the quickest to build"}
        return ", ".join(parts) + f"; of these {wish[self.minimise]}"


def read_goals(
    *,
    recall: Any,
    ndcg_loss: Any,
    k: Any,
    memory: Any,
    p95: Any,
    batch: Any,
    minimise: Any,
    is_judged: bool,
) -> Goals:
    """Check what was asked for.

    Parameters
    ----------
    recall, ndcg_loss, k, memory, p95, batch, minimise
        As in `vectorloom.tune`.
    is_judged : bool
        Whether there are qrels.

    Returns
    -------
    Goals

    Raises
    ------
    ParameterError
    """
    if recall is not None and ndcg_loss is not None:
        raise ParameterError(
            "recall and ndcg_loss were both given; pass one: recall compares with exact search, "
            "ndcg_loss with the judgments."
        )
    if ndcg_loss is not None and not is_judged:
        raise ParameterError("ndcg_loss needs qrels (and the queries that they judge); pass them.")
    quality, least = "recall", DEFAULT_RECALL
    if ndcg_loss is not None:
        quality, least = "ndcg", 1.0 - _share("ndcg_loss", ndcg_loss, at_least=0.0)
    elif recall is not None:
        least = _share("recall", recall, above=0.0)
    elif is_judged:
        quality, least = "ndcg", 0.99
    bound = None if memory is None else parse_bytes(memory, name="memory")
    if bound == 0:
        raise ParameterError("memory must be above 0 bytes; an index takes some.")
    limit = None if p95 is None else read_seconds(p95, "p95")
    if minimise is None:
        minimise = "memory" if limit is not None and bound is None else "time"
    check_choice("minimise", minimise, ("time", "memory", "build"))
    return Goals(
        quality, least, check_count("k", k), bound, limit, check_count("batch", batch), minimise
    )


def read_seconds(value: Any, name: str) -> float:
    """Return a duration given in seconds, or as text such as "5ms".

    Parameters
    ----------
    value : float or str
    name : str
        The parameter; used in messages.

    Returns
    -------
    float

    Raises
    ------
    ParameterError

    Examples
    --------
    >>> read_seconds("5 ms", "p95"), read_seconds(0.25, "p95")
    (0.005, 0.25)
    """
    if isinstance(value, str):
        match = _TIME.fullmatch(value)
        if match:
            value = float(match[1]) * _UNITS[match[2].lower()]
    fits = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not fits or not 0 < float(value) < float("inf"):
        raise ParameterError(
            f"{name} must be seconds above 0, or text such as '5ms' or '10min'; got {value!r}."
        )
    return float(value)


def format_time(seconds: float) -> str:
    """Return a short time for people.

    Examples
    --------
    >>> format_time(0.0000834), format_time(0.0021), format_time(3.2), format_time(300)
    ('83 µs', '2.1 ms', '3.2 s', '300 s')
    """
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            value = seconds / size
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return f"{seconds * 1e6:.1f} µs"


def _share(name: str, value: Any, *, above: float = -1.0, at_least: float = -1.0) -> float:
    fits = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    top = 1.0
    if not fits or not float(value) <= top or float(value) <= above or float(value) < at_least:
        raise ParameterError(f"{name} must be a share between 0 and 1; got {value!r}.")
    return float(value)
