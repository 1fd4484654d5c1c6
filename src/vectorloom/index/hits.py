# SPDX-License-Identifier: Apache-2.0
"""What a search answers: ids, scores, distances and counts, with the metric that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.vectors import PAD_ID


def distances_from_scores(scores: NDArray[np.float64], metric: str) -> NDArray[np.float32]:
    """Return the float32 distances of float64 scores; an empty place (-inf) becomes +inf.

    Parameters
    ----------
    scores : ndarray of any shape, float64
        Larger is closer.
    metric : {"cosine", "ip", "l2", "hamming"}

    Returns
    -------
    ndarray of the same shape, float32
        cosine: 1 - score, never below 0, and 0 where it is no more than the rounding of float64.
        ip, l2, hamming: -score. Never -0.
    """
    return _core.distances(np.ascontiguousarray(scores), "cosine" if metric == "cosine" else "ip")


def narrow_scores(scores: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return float64 scores as float32, never -0; beyond its range they are infinite."""
    return _core.narrow_scores(np.ascontiguousarray(scores))


@dataclass(frozen=True, eq=False)
class QueryHits:
    """The hits of one query, best first and without padding; unpacks as ``ids, scores``.

    Attributes
    ----------
    ids : ndarray of shape (m,), int64 or object (str)
    scores : ndarray of shape (m,), float32
        Larger is closer.
    distances : ndarray of shape (m,), float32
        Smaller is closer; ``"l2"`` is squared, ``"hamming"`` counts bits.
    metric : str
    """

    ids: NDArray[Any]
    scores: NDArray[np.float32]
    distances: NDArray[np.float32]
    metric: str

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        yield self.ids
        yield self.scores

    def to_dict(self) -> list[dict[str, Any]]:
        """Return one ``{"id", "score", "distance"}`` a hit, of plain Python values for JSON."""
        rows = zip(self.ids.tolist(), self.scores.tolist(), self.distances.tolist(), strict=True)
        return [{"id": id_, "score": score, "distance": dist} for id_, score, dist in rows]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Hits:
    """The answer to a batch of queries; unpacks as ``ids, scores = hits``.

    Every row holds min(k, matches) hits, best first; equal scores are in the order of their ids.
    Places beyond that are padded: id -1 (int64) or None (str), score -inf, distance +inf.

    Attributes
    ----------
    ids : ndarray of shape (n_queries, k), int64 or object
    scores : ndarray of shape (n_queries, k), float32
        Larger is closer, for every metric. cosine: the cosine. ip: the inner product. l2 and
        hamming: minus the distance.
    distances : ndarray of shape (n_queries, k), float32
        Smaller is closer, for every metric. cosine: 1 - cosine. ip: minus the inner product. l2:
        the *squared* Euclidean distance. hamming: the number of differing bits. A value beyond
        float32 is inf.
    counts : ndarray of shape (n_queries,), int64
        Hits of each query; the rest of its row is padding.
    metric : {"cosine", "ip", "l2", "hamming"}
    plan : tuple of str, or None
        How each query was answered, where the search was asked to ``explain``.

    Notes
    -----
    ``len(hits)`` is the number of queries and ``hits[i]`` is the `QueryHits` of one, without
    padding. Iterating gives the two arrays ``ids`` and ``scores``, so that a hit list unpacks; loop
    over queries with ``for i in range(len(hits))``.

    Examples
    --------
    >>> import vectorloom as vl
    >>> index = vl.index.Exact(metric="ip").fit([[1.0, 0.0], [0.0, 1.0]], ids=["x", "y"])
    >>> hits = index.search([[2.0, 1.0]], k=2)
    >>> hits
    Hits(1 query, k=2, metric='ip')
      0: x 2.0000 · y 1.0000
    >>> ids, scores = hits
    >>> ids[0, 0], float(hits.distances[0, 0])
    ('x', -2.0)
    """

    ids: NDArray[Any]
    scores: NDArray[np.float32]
    distances: NDArray[np.float32]
    counts: NDArray[np.int64]
    metric: str
    plan: tuple[str, ...] | None = None

    def __init__(
        self,
        ids: NDArray[Any],
        scores: NDArray[np.float32],
        distances: NDArray[np.float32],
        counts: NDArray[np.int64],
        metric: str,
        plan: tuple[str, ...] | None = None,
    ) -> None:
        # What a frozen dataclass would write, field by field, takes a tenth of a small search.
        self.__dict__.update(
            ids=ids, scores=scores, distances=distances, counts=counts, metric=metric, plan=plan
        )

    def __len__(self) -> int:
        return len(self.counts)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        yield self.ids
        yield self.scores

    def __getitem__(self, query: int) -> QueryHits:
        count = int(self.counts[query])
        return QueryHits(
            self.ids[query, :count],
            self.scores[query, :count],
            self.distances[query, :count],
            self.metric,
        )

    def __repr__(self) -> str:
        n, k = self.ids.shape
        lines = [f"Hits({n} quer{'y' if n == 1 else 'ies'}, k={k}, metric={self.metric!r})"]
        for query in range(min(n, 4)):
            hits = self[query]
            pairs = [f"{i} {s:.4f}" for i, s in zip(hits.ids[:4], hits.scores[:4], strict=True)]
            more = [f"… {len(hits) - 4} more"] if len(hits) > 4 else []
            lines.append(f"  {query}: " + (" · ".join(pairs + more) or "no hits"))
        if n > 4:
            lines.append(f"  … {n - 4} more queries")
        return "\n".join(lines)

    def explained(self, plan: Sequence[str]) -> Hits:
        """Return the same hits with the `plan` of each query.

        Parameters
        ----------
        plan : sequence of str, of length n_queries

        Returns
        -------
        Hits
        """
        return replace(self, plan=tuple(plan))

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"metric", "queries"}`` of plain Python values for JSON, without padding.

        Returns
        -------
        dict
            ``queries`` is a list with one list of ``{"id", "score", "distance"}`` a query.
        """
        return {
            "metric": self.metric,
            "queries": [self[query].to_dict() for query in range(len(self))],
        }

    def to_run(self, query_ids: Sequence[Any] | None = None) -> dict[str, dict[str, float]]:
        """Return the hits as a BEIR / TREC run.

        Parameters
        ----------
        query_ids : sequence of length n_queries, or None
            Names of the queries; None takes 0, 1, ….

        Returns
        -------
        dict
            ``{query id: {document id: score}}``, ids as str as those formats have them, best first.

        Raises
        ------
        ShapeError
            Not one name a query.
        ParameterError
            A name given twice: its first answer would be lost.
        """
        names = [str(name) for name in (range(len(self)) if query_ids is None else query_ids)]
        if len(names) != len(self):
            raise ShapeError(
                f"query_ids must name each query: {len(self)} queries came with {len(names)} names."
            )
        if len(set(names)) != len(names):
            raise ParameterError("query_ids must be unique; a run holds one answer a name.")
        return {
            name: {
                str(id_): score
                for id_, score in zip(hits.ids.tolist(), hits.scores.tolist(), strict=True)
            }
            for name, hits in zip(names, map(self.__getitem__, range(len(self))), strict=True)
        }


@dataclass(frozen=True, eq=False, repr=False)
class RangeHits:
    """All rows within a radius of each query; unpacks as ``lims, distances, ids`` (faiss's order).

    Attributes
    ----------
    lims : ndarray of shape (n_queries + 1,), int64
        The hits of query i are at ``lims[i]:lims[i + 1]``, best first, ties by id.
    distances : ndarray of shape (n_hits,), float32
    ids : ndarray of shape (n_hits,), int64 or object
    scores : ndarray of shape (n_hits,), float32
    metric : {"cosine", "ip", "l2", "hamming"}
    plan : tuple of str, or None
        How each query was answered, where the search was asked to ``explain``.
    """

    lims: NDArray[np.int64]
    distances: NDArray[np.float32]
    ids: NDArray[Any]
    scores: NDArray[np.float32]
    metric: str
    plan: tuple[str, ...] | None = None

    @property
    def counts(self) -> NDArray[np.int64]:
        """Hits of each query, shape (n_queries,), int64."""
        return np.diff(self.lims)

    def __len__(self) -> int:
        return len(self.lims) - 1

    def __iter__(self) -> Iterator[NDArray[Any]]:
        yield self.lims
        yield self.distances
        yield self.ids

    def __getitem__(self, query: int) -> QueryHits:
        query = range(len(self))[query]
        part = slice(int(self.lims[query]), int(self.lims[query + 1]))
        return QueryHits(self.ids[part], self.scores[part], self.distances[part], self.metric)

    def __repr__(self) -> str:
        n = len(self)
        return (
            f"RangeHits({n} quer{'y' if n == 1 else 'ies'}, {len(self.ids)} hits, "
            f"metric={self.metric!r})"
        )


def pad_hits(
    ids: NDArray[Any],
    positions: NDArray[np.int64],
    scores: NDArray[np.float64],
    counts: NDArray[np.int64],
    k: int,
    metric: str,
) -> Hits:
    """Return a `Hits` of width `k`.

    Parameters
    ----------
    ids : ndarray of shape (n_hits,), int64 or object
        Of the places that hold a hit, row by row.
    positions : ndarray of shape (n_queries, width), int64
        -1 where there is no hit; width <= k.
    scores : ndarray of shape (n_queries, width), float64
        -inf where there is no hit.
    counts : ndarray of shape (n_queries,), int64
    k : int
    metric : str

    Returns
    -------
    Hits
    """
    shape = (len(positions), k)
    if len(ids) == shape[0] * k:
        padded = ids.reshape(shape)
    else:
        empty = None if ids.dtype == object else PAD_ID
        padded = np.full(shape, empty, ids.dtype)
        padded[:, : positions.shape[1]][positions >= 0] = ids
    if scores.shape != shape:
        bare, scores = scores, np.full(shape, -np.inf)
        scores[:, : bare.shape[1]] = bare
    distances = distances_from_scores(scores, metric)
    return Hits(padded, narrow_scores(scores), distances, counts, metric)
