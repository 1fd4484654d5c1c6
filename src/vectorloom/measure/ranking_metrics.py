# SPDX-License-Identifier: Apache-2.0
"""Metrics of one ranking against judgments, as trec_eval defines them.

Let g_i be the gain of the document at rank i, rel_i whether its grade reaches the level of
relevance, R the number of relevant judged documents and n the number returned:

    nDCG@k  = sum_{i<=k} g_i / log2(i + 1)  /  the same sum of all gains, largest first
    P@k     = |relevant in the first k| / k            recall@k = |relevant in the first k| / R
    AP@k    = sum_{i<=k} rel_i P@i / R                 RR@k     = 1 / rank of the first relevant
    success@k = whether one is among the first k       Rprec    = P@R
    bpref   = 1/R sum over relevant returned of
              1 - min(judged non-relevant above it, R) / min(judged non-relevant, R)
    judged@k = |judged in the first k| / k
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.select.gains import ndcg

#: Grade of a returned document that nobody judged.
UNJUDGED = -1


@dataclass(frozen=True, eq=False)
class Judged:
    """One query's ranking, seen through its judgments.

    Attributes
    ----------
    grades : ndarray of shape (n_returned,), int64
        By rank; -1 where unjudged (or judged below 0, which trec_eval takes for outside the pool).
    gains : ndarray of shape (n_returned,), float64
    ideal : ndarray of shape (n_judged,), float64
        Gains of all judged documents, largest first.
    relevant : ndarray of shape (n_returned,), bool
    n_relevant, n_other : int
        Judged documents that are relevant, and that are not.
    """

    grades: NDArray[np.int64]
    gains: NDArray[np.float64]
    ideal: NDArray[np.float64]
    relevant: NDArray[np.bool_]
    n_relevant: int
    n_other: int


@dataclass(frozen=True)
class Metric:
    """A metric with its cutoff; called with a `Judged` it returns a float.

    Attributes
    ----------
    name : str
        As shown: ``nDCG@10``.
    of : callable
        From (judged, cutoff) to the value.
    cutoff : int or None
    """

    name: str
    of: Callable[[Judged, int | None], float]
    cutoff: int | None

    def __call__(self, judged: Judged) -> float:
        """Return the metric of one query."""
        return self.of(judged, self.cutoff)


def judge(
    ranking: list[str],
    grades: Mapping[str, int],
    level: int,
    gain: Callable[[int], float],
) -> Judged:
    """Look a ranking up in the judgments of its query.

    Parameters
    ----------
    ranking : list of str
        Documents, best first.
    grades : mapping of str to int
    level : int
        Grades from here on are relevant.
    gain : callable
        From a grade to its gain; called for grades above 0 only.

    Returns
    -------
    Judged
    """
    found = np.array([grades.get(document, UNJUDGED) for document in ranking], dtype=np.int64)
    found = np.maximum(found, UNJUDGED)
    value = {grade: gain(grade) if grade > 0 else 0.0 for grade in {*grades.values(), UNJUDGED}}
    return Judged(
        grades=found,
        gains=np.array([value[grade] for grade in found.tolist()], dtype=np.float64),
        ideal=np.sort([value[grade] for grade in grades.values()])[::-1],
        relevant=found >= level,
        n_relevant=sum(grade >= level for grade in grades.values()),
        n_other=sum(0 <= grade < level for grade in grades.values()),
    )


def _ndcg(judged: Judged, k: int | None) -> float:
    return ndcg(judged.gains, judged.ideal, k)


def _precision(judged: Judged, k: int | None) -> float:
    places = len(judged.relevant) if k is None else k
    return float(judged.relevant[:k].sum()) / places if places else 0.0


def _recall(judged: Judged, k: int | None) -> float:
    return float(judged.relevant[:k].sum()) / judged.n_relevant if judged.n_relevant else 0.0


def _average_precision(judged: Judged, k: int | None) -> float:
    ranks = np.flatnonzero(judged.relevant[:k]) + 1
    if judged.n_relevant == 0:
        return 0.0
    return float(np.sum(np.arange(1, len(ranks) + 1) / ranks)) / judged.n_relevant


def _reciprocal_rank(judged: Judged, k: int | None) -> float:
    ranks = np.flatnonzero(judged.relevant[:k])
    return 1.0 / (1.0 + float(ranks[0])) if len(ranks) else 0.0


def _success(judged: Judged, k: int | None) -> float:
    return float(judged.relevant[:k].any())


def _r_precision(judged: Judged, k: int | None) -> float:
    return _precision(judged, judged.n_relevant) if judged.n_relevant else 0.0


def _bpref(judged: Judged, k: int | None) -> float:
    if judged.n_relevant == 0:
        return 0.0
    others = np.cumsum((judged.grades >= 0) & ~judged.relevant)[judged.relevant]
    scale = min(judged.n_other, judged.n_relevant)
    lost = np.minimum(others, judged.n_relevant) / scale if scale else np.zeros(len(others))
    return float(np.sum(1.0 - lost)) / judged.n_relevant


def _share_judged(judged: Judged, k: int | None) -> float:
    places = len(judged.grades) if k is None else k
    return float((judged.grades[:k] >= 0).sum()) / places if places else 0.0


# Name in lower case -> (name as shown, function, whether a cutoff: "may", "must" or "no").
_METRICS: dict[str, tuple[str, Callable[[Judged, int | None], float], str]] = {
    "ndcg": ("nDCG", _ndcg, "may"),
    "precision": ("P", _precision, "may"),
    "p": ("P", _precision, "may"),
    "recall": ("recall", _recall, "may"),
    "r": ("recall", _recall, "may"),
    "map": ("MAP", _average_precision, "may"),
    "ap": ("MAP", _average_precision, "may"),
    "mrr": ("MRR", _reciprocal_rank, "may"),
    "rr": ("MRR", _reciprocal_rank, "may"),
    "success": ("success", _success, "must"),
    "hit": ("success", _success, "must"),
    "judged": ("judged", _share_judged, "must"),
    "rprec": ("Rprec", _r_precision, "no"),
    "bpref": ("bpref", _bpref, "no"),
}
_FORM = re.compile(r"([A-Za-z]+)(?:@(\d+))?")


def parse_metric(text: str) -> Metric:
    """Read the name of a metric.

    Parameters
    ----------
    text : str
        ``nDCG@10``, ``recall@100``, ``P@5``, ``MAP``, ``MRR@10``, ``success@1``, ``judged@10``,
        ``Rprec``, ``bpref``; capitals do not matter.

    Returns
    -------
    Metric

    Raises
    ------
    ParameterError
        No such metric, or a cutoff where there is none, of 0, or missing.

    Examples
    --------
    >>> parse_metric("ndcg@10").name
    'nDCG@10'
    """
    match = _FORM.fullmatch(str(text))
    entry = _METRICS.get(match.group(1).lower()) if match else None
    if match is None or entry is None:
        raise ParameterError(
            f"metrics must be among nDCG, P, recall, MAP, MRR, success, judged (each with @k), "
            f"Rprec and bpref; got {text!r}. Write e.g. 'nDCG@10'."
        )
    name, function, cut = entry
    cutoff = None if match.group(2) is None else int(match.group(2))
    if cutoff is None and cut == "must":
        raise ParameterError(f"{text!r} needs a cutoff. Write e.g. '{name}@10'.")
    if cutoff is not None and (cut == "no" or cutoff == 0):
        remedy = f"Write {name!r}." if cut == "no" else "It must be at least 1."
        raise ParameterError(f"{text!r} has a cutoff that it cannot have. {remedy}")
    return Metric(name if cutoff is None else f"{name}@{cutoff}", function, cutoff)
