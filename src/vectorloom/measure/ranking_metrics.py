# SPDX-License-Identifier: Apache-2.0
"""Metrics of rankings against judgments, as trec_eval defines them, of all queries at once.

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
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.measure.rankings import Rankings
from vectorloom.select.gains import dcg_sums

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A metric with its cutoff; called with `Rankings` it returns a float of each query.

    Attributes
    ----------
    name : str
        As shown: ``nDCG@10``.
    of : callable
        From (rankings, cutoff) to the values.
    cutoff : int or None
    """

    name: str
    of: Callable[[Rankings, int | None], Doubles]
    cutoff: int | None

    def __call__(self, rankings: Rankings) -> Doubles:
        """Return the metric of each query, shape (n_queries,)."""
        return self.of(rankings, self.cutoff)


def _chosen(found: Rankings, k: int | None, which: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the positions of those hits among the first k of their query."""
    at = np.flatnonzero(which)
    return at if k is None else at[found.ranks[at] <= k]


def _share(of: Doubles, whole: NDArray[np.int64] | Doubles) -> Doubles:
    """Divide, 0 where there is nothing to divide by."""
    return np.divide(of, whole, out=np.zeros(len(of)), where=whole > 0)


def _ndcg(found: Rankings, k: int | None) -> Doubles:
    hits = _chosen(found, k, found.gains > 0)
    n = len(found)
    reached = dcg_sums(found.gains[hits], found.ranks[hits], found.queries[hits], n)
    ideal = slice(None) if k is None else found.ideal_ranks <= k
    gains, ranks, queries = found.ideal_gains, found.ideal_ranks, found.ideal_queries
    return _share(reached, dcg_sums(gains[ideal], ranks[ideal], queries[ideal], n))


def _precision(found: Rankings, k: int | None) -> Doubles:
    places = found.n_returned if k is None else np.full(len(found), k)
    return _share(found.sums(_chosen(found, k, found.relevant)), places)


def _recall(found: Rankings, k: int | None) -> Doubles:
    return _share(found.sums(_chosen(found, k, found.relevant)), found.n_relevant)


def _average_precision(found: Rankings, k: int | None) -> Doubles:
    hits = _chosen(found, k, found.relevant)
    counts = found.sums(hits).astype(np.int64)
    nth = np.arange(1, len(hits) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
    return _share(found.sums(hits, nth / found.ranks[hits]), found.n_relevant)


def _reciprocal_rank(found: Rankings, k: int | None) -> Doubles:
    hits = _chosen(found, k, found.relevant)
    first = np.zeros(len(found))
    first[found.queries[hits[::-1]]] = 1.0 / found.ranks[hits[::-1]]  # the last written is first
    return first


def _success(found: Rankings, k: int | None) -> Doubles:
    return (found.sums(_chosen(found, k, found.relevant)) > 0).astype(np.float64)


def _r_precision(found: Rankings, k: int | None) -> Doubles:
    hits = np.flatnonzero(found.relevant)
    hits = hits[found.ranks[hits] <= found.n_relevant[found.queries[hits]]]
    return _share(found.sums(hits), found.n_relevant)


def _bpref(found: Rankings, k: int | None) -> Doubles:
    hits = np.flatnonzero(found.relevant)
    mine = found.queries[hits]
    above = np.concatenate([[0], np.cumsum(~found.relevant)])
    others = above[hits] - above[np.searchsorted(found.queries, mine)]
    scale = np.minimum(found.n_other, found.n_relevant)[mine]
    lost = _share(np.minimum(others, found.n_relevant[mine]).astype(np.float64), scale)
    return _share(found.sums(hits, 1.0 - lost), found.n_relevant)


def _share_judged(found: Rankings, k: int | None) -> Doubles:
    hits = _chosen(found, k, np.ones(len(found.ranks), np.bool_))
    return _share(found.sums(hits), found.n_returned if k is None else np.full(len(found), k))


# Name in lower case -> (name as shown, function, whether a cutoff: "may", "must" or "no").
_METRICS: dict[str, tuple[str, Callable[[Rankings, int | None], Doubles], str]] = {
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
