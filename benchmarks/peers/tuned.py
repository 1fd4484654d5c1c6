# SPDX-License-Identifier: Apache-2.0
"""What a tuner is asked for, and what it must hand back; the contract of `tune_goals`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.base import Floats, Ids


@dataclass(frozen=True)
class Judged:
    """What is relevant.

    Parameters
    ----------
    qrels : dict
        Query id -> row id -> grade.
    ids, query_ids : list of str
        Of the rows, and of the queries that the tuner is given.
    """

    qrels: dict[str, dict[str, int]]
    ids: list[str]
    query_ids: list[str]


@dataclass(frozen=True)
class Goal:
    """One wish.

    Parameters
    ----------
    recall : float
        With judgments the share of the nDCG of exact search to keep.
    k : int
    metric : {"cosine", "l2"}
        Rows of a cosine set are unit.
    memory : int or None
        Bytes.
    p95 : float or None
        Seconds.
    minimise : {"time", "memory"}
    judged : Judged or None
    """

    recall: float
    k: int
    metric: str
    memory: int | None
    p95: float | None
    minimise: str
    judged: Judged | None = None


@dataclass(frozen=True)
class Tuned:
    """An index that a tuner chose and built.

    Parameters
    ----------
    name : str
        As the library writes it.
    search : callable
        From queries to ids, with the effort that was chosen.
    bytes : int
        Of the index.
    detail : object
    """

    name: str
    search: Callable[[Floats], Ids]
    bytes: int
    detail: Any = None
