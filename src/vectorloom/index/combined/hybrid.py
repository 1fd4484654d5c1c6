# SPDX-License-Identifier: Apache-2.0
"""One search over several indexes of the same documents; the formulas are in `fusion`."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import Estimator, check_choice, check_count
from vectorloom.index.combined.fusion import (
    NORMALS,
    Pool,
    normal_scores,
    pooled,
    reciprocal_ranks,
    weighted_sums,
)
from vectorloom.index.hits import Hits, pad_hits
from vectorloom.index.nested import packed, unpacked
from vectorloom.io.container import Container, register_loader, write_container

KIND = "index.hybrid"

_GRID = 20  # steps of a weight between 0 and 1
_DEEPEST = 1000  # hits of a run whose metric has no cut
_TOWARDS = 10  # steps from the best weights to equal ones
_ROUNDS = 3  # of coordinate ascent, where there are more than two legs


@dataclass(frozen=True, eq=False, repr=False)
class HybridHits(Hits):
    """Hits that remember what each leg said.

    Attributes
    ----------
    ids, scores, distances, counts, metric, plan
        As in `Hits`; ``metric`` is the fusion.
    leg_scores : dict of str to ndarray of shape (n_queries, k), float32
        The leg's own score of each hit; NaN where it did not return it.
    leg_ranks : dict of str to ndarray of shape (n_queries, k), int64
        Its place among the leg's hits, from 1; 0 where it did not return it.
    """

    leg_scores: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    leg_ranks: dict[str, NDArray[np.int64]] = field(default_factory=dict)


class Hybrid(Estimator):
    """Several indexes behind one search: dense, sparse, multi-vector, in any number.

    Use it where words and meaning both matter. Where one leg is much the best, or only few
    candidates can be looked at, search with one and score again with the other (`TwoStage`).

    Parameters
    ----------
    legs : dict of str to index
        Fitted indexes of the same documents under the same ids; each has ``search(queries, k,
        where)``. A document may be missing from some. They are not copied.
    fusion : {"rrf", "weighted"}, default="rrf"
        ``"rrf"`` adds reciprocal ranks and needs no tuning. ``"weighted"`` adds scores on one scale
        and is the better one once its weights are fitted (`fit_weights`).
    normalise : {"min-max", "z-score", "theoretical"}, default="min-max"
        How ``"weighted"`` brings scores to one scale; see `vectorloom.index.combined.fusion`.
    weights : dict of str to float, or None, default=None
        One a leg, not negative; None is equal weights. For both fusions.
    constant : float, default=60
        c of rrf: how little the very first ranks stand out.
    depth : int, default=100
        Hits that each leg is asked for, at least k.
    least : dict of str to float, or None, default=None
        The least score of a leg, for ``"theoretical"``; None takes -1 for cosine, and 0 for ip and
        MaxSim.

    Raises
    ------
    ParameterError
        Unknown legs or words, weights that are negative or all 0, ids of two types.
    ShapeError
        Legs that answer different numbers of queries.

    Notes
    -----
    Equal scores are in the order of ids. Cost: the searches of the legs, and about 30 µs a query
    for 100 hits of three legs. Several threads may search at once if the legs allow it.

    References
    ----------
    .. [1] Cormack, Clarke, Büttcher. SIGIR 2009, doi:10.1145/1571941.1572114.
    .. [2] Bruch, Gai, Ingber. ACM TOIS 2023, doi:10.1145/3596512.

    Examples
    --------
    >>> import vectorloom as vl
    >>> x = vl.index.Exact(metric="ip").fit([[3.0, 0.0], [2.0, 1.0], [0.0, 1.0]], ids=list("abc"))
    >>> y = vl.index.Exact(metric="ip").fit([[0.0], [2.0], [1.0]], ids=list("abc"))
    >>> hybrid = vl.index.Hybrid({"x": x, "y": y})
    >>> hits = hybrid.search({"x": [[1.0, 0.0]], "y": [[1.0]]}, k=2)
    >>> hits.ids
    array([['b', 'a']], dtype=object)
    >>> hits.leg_ranks["x"]
    array([[2, 1]])
    """

    def __init__(
        self,
        legs: Any,
        fusion: str = "rrf",
        normalise: str = "min-max",
        weights: Mapping[str, float] | None = None,
        constant: float = 60.0,
        depth: int = 100,
        least: Mapping[str, float] | None = None,
    ) -> None:
        self.legs = legs
        self.fusion = fusion
        self.normalise = normalise
        self.weights = weights
        self.constant = constant
        self.depth = depth
        self.least = least

    def search(self, queries: Mapping[str, Any], k: int = 10, where: Any = None) -> HybridHits:
        """Return the k best documents of each query.

        Parameters
        ----------
        queries : dict of str to queries
            What each leg takes. A leg that is not named is not asked; of a leg's list of queries,
            one that is None is not asked either.
        k : int, default=10
        where : ids, mask, or a list of one filter a query, default=None
            Passed to every leg. A mask is in the order of ``ids_``, so that all legs must hold the
            same documents in the same order; ids have no such need.

        Returns
        -------
        HybridHits
            ``scores`` are fused; ``leg_scores`` and ``leg_ranks`` say what each leg found. Fewer
            than k where the legs found no more.
        """
        k = check_count("k", k)
        weights = self._weights()
        found = self._ask(queries, k, where)
        n = len(next(iter(found.values())))
        pool = pooled(found, n)
        return _ranked(pool, self._fused(pool, found, weights), k, self.fusion)

    def fit_weights(
        self,
        queries: Mapping[str, Any],
        qrels: Mapping[str, Mapping[str, int]],
        query_ids: Sequence[Any] | None = None,
        metric: str = "nDCG@10",
        where: Any = None,
    ) -> Hybrid:
        """Choose the weights that rank judged queries best.

        Parameters
        ----------
        queries : dict of str to queries
            As for `search`.
        qrels : mapping
            ``{query: {document: grade}}``, as `vectorloom.measure.evaluate_retrieval` takes them.
        query_ids : sequence of length n_queries, or None
            Names of the queries in `qrels`; None takes 0, 1, ….
        metric : str, default="nDCG@10"
        where : default=None
            As for `search`.

        Returns
        -------
        self
            ``weights`` sum to 1.

        Notes
        -----
        Legs are searched once. Two legs: all weights in steps of 1/20. More: each weight in turn
        against the others, three rounds. From the best weights it then goes towards equal ones as
        far as the loss on these queries stays within one standard error: few judged queries say
        little, and equal weights are a good guess. Measure what it gained on other queries.
        """
        found = self._ask(queries, 10, where)
        n = len(next(iter(found.values())))
        pool = pooled(found, n)
        judged = _Judged(self, pool, found, qrels, query_ids, metric)
        names = list(found)
        best = {name: 1.0 / len(names) for name in names}
        if len(names) == 2:
            tried = [{names[0]: 1.0 - i / _GRID, names[1]: i / _GRID} for i in range(_GRID + 1)]
            best = judged.best([best, *tried])
        else:
            for _, name in itertools.product(range(_ROUNDS), names):
                best = judged.best([best, *_along(best, name)])
        best = judged.nearest_to_equal(best)
        self.weights = {name: best.get(name, 0.0) for name in self.legs}
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all legs and the fusion to one file, which `vl.open` maps again.

        Parameters
        ----------
        path : path-like
            Its folder must exist, and have room for the legs twice for a while.
        """
        params = self.get_params(deep=False) | {"legs": None}
        params["weights"] = None if self.weights is None else dict(self._weights())
        params["least"] = None if self.least is None else dict(self.least)
        meta: dict[str, Any] = {"params": params, "legs": []}
        arrays: dict[str, NDArray[Any]] = {}
        with ExitStack() as stack:
            for i, (name, leg) in enumerate(self._checked_legs().items()):
                entry, parts = stack.enter_context(packed(leg, f"leg{i}", path))
                meta["legs"].append({"name": name} | entry)
                arrays |= parts
            write_container(path, KIND, meta, arrays)

    @classmethod
    def _from_container(cls, file: Container) -> Hybrid:
        legs = {
            str(entry["name"]): unpacked(file, entry, f"leg{i}")
            for i, entry in enumerate(file.meta["legs"])
        }
        return cls(**(file.meta["params"] | {"legs": legs}))

    # ---- inside --------------------------------------------------------------------------------

    def _checked_legs(self) -> Mapping[str, Any]:
        check_choice("fusion", self.fusion, ("rrf", "weighted"))
        check_choice("normalise", self.normalise, NORMALS)
        if not isinstance(self.legs, Mapping) or not self.legs:
            raise ParameterError(f"legs must be a dict of name to index; got {self.legs!r}.")
        return self.legs

    def _weights(self) -> dict[str, float]:
        legs = self._checked_legs()
        given = dict.fromkeys(legs, 1.0) if self.weights is None else dict(self.weights)
        unknown = given.keys() - legs.keys()
        if unknown or len(given) < len(legs):
            raise ParameterError(
                f"weights must name each leg of {sorted(legs)}; got {sorted(given)}."
            )
        values = np.array([float(given[name]) for name in legs])
        if not np.isfinite(values).all() or (values < 0).any() or not values.any():
            raise ParameterError(
                f"weights must be finite, not negative, and not all 0; got {given}."
            )
        return {name: float(given[name]) for name in legs}

    def _ask(self, queries: Any, k: int, where: Any) -> dict[str, Hits]:
        legs = self._checked_legs()
        if not isinstance(queries, Mapping) or not queries:
            raise ParameterError(
                f"queries must be a dict of what each leg takes, {sorted(legs)}; got "
                f"{type(queries).__name__}."
            )
        unknown = sorted(set(queries) - set(legs))
        if unknown:
            raise ParameterError(f"queries name {unknown}; the legs are {sorted(legs)}.")
        asked = {name: queries[name] for name in legs if not _is_absent(queries.get(name))}
        if not asked:
            raise ParameterError("queries are None for every leg; at least one must be asked.")
        self._check_mask(where, asked)
        depth = max(k, check_count("depth", self.depth))
        found = {name: _answer(legs[name], asked[name], depth, where) for name in asked}
        counts = {name: len(hits) for name, hits in found.items()}
        if len(set(counts.values())) > 1:
            raise ShapeError(f"the legs must be asked the same queries; got {counts} of them.")
        return found

    def _check_mask(self, where: Any, asked: Mapping[str, Any]) -> None:
        if not hasattr(where, "dtype") or np.asarray(where).dtype != np.bool_:
            return
        orders = [self.legs[name].ids_ for name in asked]
        if any(not np.array_equal(orders[0], other) for other in orders[1:]):
            raise ParameterError(
                "where is a mask and the legs hold other documents or another order; pass ids."
            )

    def _fused(
        self, pool: Pool, found: Mapping[str, Hits], weights: Mapping[str, float]
    ) -> NDArray[np.float64]:
        if self.fusion == "rrf":
            if not self.constant >= 0:
                raise ParameterError(f"constant must not be negative; got {self.constant!r}.")
            return reciprocal_ranks(pool, weights, float(self.constant))
        return weighted_sums(self._normal(pool, found), weights)

    def _normal(self, pool: Pool, found: Mapping[str, Hits]) -> dict[str, NDArray[np.float64]]:
        metrics = {name: hits.metric for name, hits in found.items()}
        return normal_scores(pool, self.normalise, metrics, self.least or {})


class _Judged:
    """Weights measured on judged queries whose legs were searched once."""

    def __init__(
        self,
        hybrid: Hybrid,
        pool: Pool,
        found: Mapping[str, Hits],
        qrels: Mapping[str, Mapping[str, int]],
        query_ids: Sequence[Any] | None,
        metric: str,
    ) -> None:
        self.pool, self.qrels, self.metric = pool, qrels, metric
        self.names = list(range(pool.n_queries)) if query_ids is None else list(query_ids)
        self.parts = (
            hybrid._normal(pool, found)
            if hybrid.fusion == "weighted"
            else {
                name: np.where(ranks > 0, 1.0 / (float(hybrid.constant) + ranks), 0.0)
                for name, ranks in pool.ranks.items()
            }
        )
        # What lies deeper than the metric looks need not be sorted into a run.
        cut = metric.rpartition("@")[2]
        self.depth = int(cut) if cut.isdecimal() and int(cut) > 0 else _DEEPEST
        self.known: dict[tuple[float, ...], NDArray[np.float64]] = {}

    def values(self, weights: Mapping[str, float]) -> NDArray[np.float64]:
        """Return the metric of each judged query."""
        from vectorloom.measure.retrieval import evaluate_retrieval

        key = tuple(round(weights[name], 9) for name in self.parts)
        if key not in self.known:
            hits = _ranked(self.pool, weighted_sums(self.parts, weights), self.depth, "weighted")
            run = hits.to_run(self.names)
            result = evaluate_retrieval(self.qrels, run, [self.metric], missing="skip")
            self.known[key] = np.asarray(result.values[:, 0], np.float64)
        return self.known[key]

    def best(self, candidates: Sequence[dict[str, float]]) -> dict[str, float]:
        equal = 1.0 / len(self.parts)

        def preference(weights: dict[str, float]) -> tuple[float, float]:
            away = sum((weight - equal) ** 2 for weight in weights.values())
            return float(self.values(weights).mean()), -away

        return max(candidates, key=preference)

    def nearest_to_equal(self, best: dict[str, float]) -> dict[str, float]:
        equal = 1.0 / len(self.parts)
        for step in range(_TOWARDS, 0, -1):
            share = step / _TOWARDS
            tried = {name: share * equal + (1 - share) * w for name, w in best.items()}
            lost = self.values(best) - self.values(tried)
            error = float(lost.std(ddof=1)) / np.sqrt(len(lost)) if len(lost) > 1 else np.inf
            if float(lost.mean()) <= error:
                return tried
        return best


def _along(weights: Mapping[str, float], name: str) -> list[dict[str, float]]:
    """Return weights with that of one leg from 0 to 1 and the others in their proportions."""
    others = {other: weight for other, weight in weights.items() if other != name}
    total = sum(others.values())
    tried = []
    for i in range(_GRID + 1):
        left = 1.0 - i / _GRID
        rest = {
            other: left * (weight / total if total > 0 else 1.0 / len(others))
            for other, weight in others.items()
        }
        tried.append({leg: i / _GRID if leg == name else rest[leg] for leg in weights})
    return tried


def _is_absent(queries: Any) -> bool:
    return queries is None or (
        isinstance(queries, list) and bool(queries) and all(query is None for query in queries)
    )


def _answer(leg: Any, queries: Any, depth: int, where: Any) -> Hits:
    """Return the hits of a leg; queries that are None have none."""
    if not hasattr(leg, "search"):
        raise ParameterError(f"a leg must be an index; got {type(leg).__name__}.")
    absent = [query is None for query in queries] if isinstance(queries, list) else []
    if not any(absent):
        return _searched(leg, queries, depth, where)
    present = [i for i, gone in enumerate(absent) if not gone]
    chosen = where
    if isinstance(where, list | tuple) and len(where) == len(absent) and _is_per_query(where):
        chosen = [where[i] for i in present]
    some = _searched(leg, [queries[i] for i in present], depth, chosen)
    shape = (len(absent), some.ids.shape[1])
    ids = np.full(shape, None if some.ids.dtype == object else -1, some.ids.dtype)
    scores = np.full(shape, -np.inf, np.float32)
    counts = np.zeros(len(absent), np.int64)
    ids[present], scores[present], counts[present] = some.ids, some.scores, some.counts
    return Hits(ids, scores, -scores, counts, some.metric)


def _searched(leg: Any, queries: Any, depth: int, where: Any) -> Hits:
    hits: Hits = leg.search(queries, k=depth, where=where)
    return hits


def _is_per_query(where: Sequence[Any]) -> bool:
    return any(each is None or isinstance(each, list | set | tuple | np.ndarray) for each in where)


def _ranked(pool: Pool, fused: NDArray[np.float64], k: int, metric: str) -> HybridHits:
    order = np.lexsort((pool.document, -fused, pool.query))
    query = pool.query[order]
    first = np.searchsorted(query, np.arange(pool.n_queries))
    place = np.arange(len(query)) - first[query]
    kept = place < k
    order, query, place = order[kept], query[kept], place[kept]
    counts = np.bincount(query, minlength=pool.n_queries).astype(np.int64)
    shape = (pool.n_queries, k)
    positions, scores = np.full(shape, -1, np.int64), np.full(shape, -np.inf)
    positions[query, place] = pool.document[order]
    scores[query, place] = fused[order]
    hits = pad_hits(pool.ids[pool.document[order]], positions, scores, counts, k, metric)
    leg_scores, leg_ranks = {}, {}
    for name in pool.scores:
        leg_scores[name] = np.full(shape, np.nan, np.float32)
        leg_scores[name][query, place] = pool.scores[name][order]
        leg_ranks[name] = np.zeros(shape, np.int64)
        leg_ranks[name][query, place] = pool.ranks[name][order]
    return HybridHits(
        hits.ids, hits.scores, hits.distances, counts, metric, None, leg_scores, leg_ranks
    )


register_loader(KIND, Hybrid._from_container)
