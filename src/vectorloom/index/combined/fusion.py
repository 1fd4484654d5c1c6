# SPDX-License-Identifier: Apache-2.0
"""One ranking out of several.

    rrf        score(d) = sum over legs of w / (c + rank of d), ranks from 1
    weighted   score(d) = sum over legs of w * normal(s(d))

A leg that does not return d adds nothing (rrf), or what its lowest place would (weighted: 0 for
min-max and theoretical, its lowest value for z-score). Normalisations, over the hits of one query
and leg:

    min-max      (s - lowest) / (highest - lowest); 1 for all where they are equal
    z-score      (s - mean) / standard deviation; 0 for all where that is 0
    theoretical  (s - m) / (highest - m), m the least that the leg's score can be

Cormack, Clarke, Büttcher. "Reciprocal rank fusion outperforms Condorcet and individual rank
learning methods", SIGIR 2009, doi:10.1145/1571941.1572114 (c = 60). Bruch, Gai, Ingber. "An
analysis of fusion functions for hybrid retrieval", ACM TOIS 2023, doi:10.1145/3596512
(theoretical).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.index.hits import Hits

NORMALS = ("min-max", "z-score", "theoretical")
#: The least score of a metric: of cosines -1; of sums of products that cannot be negative 0.
_LEAST = {"cosine": -1.0, "ip": 0.0, "maxsim": 0.0}


@dataclass(frozen=True, eq=False)
class Pool:
    """All that any leg returned, once a query and document.

    Attributes
    ----------
    n_queries : int
    query : ndarray of shape (m,), int64
        Ascending.
    document : ndarray of shape (m,), int64
        Place in `ids`.
    ids : ndarray of shape (n,), int64 or object
        Ascending.
    scores : dict of str to ndarray of shape (m,), float64
        Of a leg; NaN where it did not return the document.
    ranks : dict of str to ndarray of shape (m,), int64
        From 1; 0 where it did not.
    """

    n_queries: int
    query: NDArray[np.int64]
    document: NDArray[np.int64]
    ids: NDArray[np.int64] | NDArray[np.object_]
    scores: dict[str, NDArray[np.float64]]
    ranks: dict[str, NDArray[np.int64]]


def pooled(legs: Mapping[str, Hits], n_queries: int) -> Pool:
    """Bring the hits of all legs together.

    Parameters
    ----------
    legs : mapping of str to Hits
        Each of `n_queries` queries. A document that a leg returns twice counts where it is first.
    n_queries : int

    Returns
    -------
    Pool
    """
    kinds = {
        name: "str" if hits.ids.dtype.kind == "O" else "int64"
        for name, hits in legs.items()
        if hits.counts.any()
    }
    if len(set(kinds.values())) > 1:
        named = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        raise ParameterError(
            f"the legs must have ids of one type, those of the same documents; got {named}."
        )
    queries, ranks, ids, scores, names = [], [], [], [], []
    for name, hits in legs.items():
        kept = np.arange(hits.ids.shape[1]) < hits.counts[:, None]
        query, rank = np.nonzero(kept)
        queries.append(query)
        ranks.append(rank + 1)
        ids.append(hits.ids[kept])
        scores.append(hits.scores[kept].astype(np.float64))
        names.append(name)
    full = [part for part in ids if len(part)]
    all_ids = np.concatenate(full) if full else np.empty(0, np.int64)
    unique, document = np.unique(all_ids, return_inverse=True)
    keys = np.concatenate(queries).astype(np.int64) * max(len(unique), 1) + document
    pairs, place = np.unique(keys, return_inverse=True)
    out_scores = {name: np.full(len(pairs), np.nan) for name in names}
    out_ranks = {name: np.zeros(len(pairs), np.int64) for name in names}
    start = 0
    for i, name in enumerate(names):
        at = place[start : start + len(queries[i])][
            ::-1
        ]  # of repetitions the first is written last
        out_scores[name][at] = scores[i][::-1]
        out_ranks[name][at] = ranks[i][::-1]
        start += len(queries[i])
    step = max(len(unique), 1)
    return Pool(n_queries, pairs // step, pairs % step, unique, out_scores, out_ranks)


def reciprocal_ranks(
    pool: Pool, weights: Mapping[str, float], constant: float
) -> NDArray[np.float64]:
    """Return the rrf score of every pair of the pool."""
    total = np.zeros(len(pool.query))
    for name, ranks in pool.ranks.items():
        total += np.where(ranks > 0, weights[name] / (constant + ranks), 0.0)
    return total


def weighted_sums(
    normal: Mapping[str, NDArray[np.float64]], weights: Mapping[str, float]
) -> NDArray[np.float64]:
    """Return the weighted score of every pair from normal scores."""
    total = sum(weights[name] * values for name, values in normal.items())
    return np.asarray(total, np.float64)


def normal_scores(
    pool: Pool, how: str, metrics: Mapping[str, str], least: Mapping[str, float]
) -> dict[str, NDArray[np.float64]]:
    """Return the scores of each leg on one scale.

    Parameters
    ----------
    pool : Pool
    how : {"min-max", "z-score", "theoretical"}
    metrics : mapping of str to str
        Of each leg's scores.
    least : mapping of str to float
        The least score of legs whose metric does not say it; for ``"theoretical"``.

    Returns
    -------
    dict of str to ndarray of shape (m,), float64
    """
    out = {}
    for name, scores in pool.scores.items():
        seen = ~np.isnan(scores)
        query, values = pool.query[seen], scores[seen]
        highest = _each(np.maximum, query, values, pool.n_queries, -np.inf)
        if how == "z-score":
            normal, floor = _standard(query, values, pool.n_queries)
        else:
            if how == "theoretical":
                lowest = np.full(pool.n_queries, _least_of(name, metrics[name], least))
            else:
                lowest = _each(np.minimum, query, values, pool.n_queries, np.inf)
            width = (highest - lowest)[query]
            with np.errstate(invalid="ignore", divide="ignore"):
                normal = np.where(width > 0, (values - lowest[query]) / width, 1.0)
            floor = np.zeros(pool.n_queries)
        column = floor[pool.query]
        column[seen] = normal
        out[name] = column
    return out


def _standard(
    query: NDArray[np.int64], values: NDArray[np.float64], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    counts = np.maximum(np.bincount(query, minlength=n), 1)
    mean = np.bincount(query, values, n) / counts
    away = values - mean[query]
    deviation = np.sqrt(np.bincount(query, away**2, n) / counts)[query]
    normal = np.divide(away, deviation, out=np.zeros_like(away), where=deviation > 0)
    floor = _each(np.minimum, query, normal, n, np.inf)
    floor[~np.isfinite(floor)] = 0.0  # a query that the leg has no hits for
    return normal, floor


def _each(
    ufunc: np.ufunc, query: NDArray[np.int64], values: NDArray[np.float64], n: int, start: float
) -> NDArray[np.float64]:
    out = np.full(n, start)
    ufunc.at(out, query, values)
    return out


def _least_of(name: str, metric: str, least: Mapping[str, float]) -> float:
    if name in least:
        return float(least[name])
    if metric not in _LEAST:
        raise ParameterError(
            f"normalise='theoretical' needs the least score that leg {name!r} can have, and "
            f"{metric!r} has none; pass least={{{name!r}: …}}, or use 'min-max'."
        )
    return _LEAST[metric]
