# SPDX-License-Identifier: Apache-2.0
"""How good answers are: the share of true neighbours, or nDCG beside that of exact search.

    recall(q) = |{ found x : score(q, x) >= score of the k-th true one }| / k
    kept      = mean nDCG / mean nDCG of exact search

Recall has Wilson's interval; what is kept of nDCG has that of the bootstrap of paired differences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.index.audit_measuring import interval
from vectorloom.index.dense.exact import Exact
from vectorloom.measure.significance import bootstrap_interval
from vectorloom.select.gains import dcg

if TYPE_CHECKING:
    from vectorloom.tune.problem import Asked, Sample

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Positions = NDArray[np.int64]

#: Scores this close, as a share, are equal: those of the truth were rounded to float32.
_TIE = 1e-6
_RESAMPLES = 2000


@dataclass(frozen=True)
class Judgments:
    """What is relevant to each query, by position.

    Attributes
    ----------
    gains : list of dict of int to float
        Position of a relevant row -> its grade.
    ideal : ndarray of shape (q,), float64
        The best DCG there can be; NaN where the query is not judged.
    own : ndarray of shape (q,), int64
        The row that is the query itself, which is no answer; -1 where there is none.
    k : int
    unknown : tuple
        Ids that are judged relevant and are no row.
    """

    gains: list[dict[int, float]]
    ideal: Doubles
    own: Positions
    k: int
    unknown: tuple[Any, ...] = ()

    @classmethod
    def read(
        cls,
        qrels: Mapping[Any, Mapping[Any, float]],
        ids: NDArray[Any],
        query_ids: NDArray[Any],
        k: int,
    ) -> Judgments:
        """Bring qrels to positions.

        Raises
        ------
        ParameterError
            They judge no query, or name no row; they are no mappings, or a grade is no number.
        """
        _check_qrels(qrels)
        place = {id_: i for i, id_ in enumerate(ids.tolist())}
        gains: list[dict[int, float]] = []
        ideal = np.full(len(query_ids), np.nan)
        own = np.full(len(query_ids), -1, np.int64)
        unknown: dict[Any, None] = {}
        for i, query in enumerate(query_ids.tolist()):
            grades = {row: float(g) for row, g in qrels.get(query, {}).items() if g > 0}
            gains.append({place[row]: g for row, g in grades.items() if row in place})
            unknown |= dict.fromkeys(row for row in grades if row not in place)
            if gains[-1]:
                ideal[i] = dcg(sorted(grades.values(), reverse=True)[:k])
            if isinstance(query, str):
                own[i] = place.get(query, -1)
        if np.isnan(ideal).all():
            known = any(query in qrels for query in query_ids.tolist())
            first = next(iter(qrels), None)
            raise ParameterError(
                "qrels name no row of X as relevant. Pass ids, one a row, as qrels names them."
                if known
                else f"qrels judge none of the {len(query_ids)} queries: the first judged is "
                f"{first!r} and the first query is {query_ids.tolist()[0]!r}. Pass query_ids and "
                "ids as qrels names them."
            )
        return cls(gains, ideal, own, k, tuple(unknown))

    @property
    def is_judged(self) -> NDArray[np.bool_]:
        """Which queries have something relevant."""
        return np.asarray(np.isfinite(self.ideal))

    def of_queries(self, part: Positions) -> Judgments:
        """Return the judgments of some of the queries."""
        gains = [self.gains[i] for i in part.tolist()]
        return Judgments(gains, self.ideal[part], self.own[part], self.k, self.unknown)

    def rows(self) -> Positions:
        """Positions that some query finds relevant, and rows that are queries."""
        found = {row for gains in self.gains for row in gains}
        return np.array(sorted(found | set(self.own[self.own >= 0].tolist())), np.int64)

    def ndcg(self, ids: Positions) -> Doubles:
        """Return nDCG@k of each query, for positions of the base, best first."""
        values = np.zeros(len(ids))
        for i, row in enumerate(ids.tolist()):
            kept = [at for at in row if at != self.own[i]][: self.k]
            values[i] = dcg([self.gains[i].get(at, 0.0) for at in kept])
        return np.asarray(values / self.ideal)


def _check_qrels(qrels: Any) -> None:
    if not isinstance(qrels, Mapping) or not all(isinstance(v, Mapping) for v in qrels.values()):
        raise ParameterError(
            "qrels must map queries to mappings of rows to a grade, such as {'q1': {'d7': 1}}; got "
            f"{type(qrels).__name__}."
        )
    for query, grades in qrels.items():
        for row, grade in grades.items():
            fits = isinstance(grade, int | float | np.number) and np.isfinite(grade)
            if not fits:
                raise ParameterError(
                    f"qrels have the grade {grade!r} for row {row!r} of query {query!r}; grades "
                    "must be finite numbers."
                )


@dataclass(frozen=True, eq=False)
class Answers:
    """The exact answers of some queries among some rows.

    Attributes
    ----------
    ids : ndarray of shape (q, k), int64
        Positions in the sample, -1 where fewer rows match.
    least : ndarray of shape (q,), float64
        Score of the last true one, less what rounding may do.
    counts : ndarray of shape (q,), int64
    ndcg : ndarray of shape (q,), float64, or None
        Of the exact answers.
    """

    sample: Sample
    asked: Asked
    ids: Positions
    least: Doubles
    counts: Positions
    ndcg: Doubles | None

    def quality(self, ids: Positions) -> Doubles:
        """Return recall, or nDCG, of each query for what a search found.

        Parameters
        ----------
        ids : ndarray of shape (q, k), int64
            Positions in the sample; -1 is no hit.
        """
        if self.ndcg is not None and self.asked.judgments is not None:
            return self.asked.judgments.ndcg(_in_base(ids, self.sample.positions))
        true = (ids[:, :, None] == self.ids[:, None, :]).any(axis=2) & (ids >= 0)
        query, place = np.nonzero(~true & (ids >= 0))
        if len(query):
            rows = self.sample.rows[ids[query, place]]
            scores = pair_scores(self.asked.queries[query], rows, self.sample.metric)
            true[query, place] = scores >= self.least[query]
        shares = np.minimum(true.sum(axis=1), self.counts) / np.maximum(self.counts, 1)
        return np.asarray(np.where(self.counts > 0, shares, 1.0), np.float64)

    def summary(self, values: Doubles) -> tuple[float, float, float]:
        """Return what goals are about, with its 95 % interval: the mean, low, high."""
        if self.ndcg is None:
            k = int(self.counts.max(initial=1))
            low, high = interval(values, k)
            if k > 1 and (values == 1.0).all():
                # Of no misses nothing is known about how they gather, and the interval takes the
                # worst. One neighbour more that is missed cannot make the end better.
                low = max(low, interval(np.append(values[1:], 1.0 - 1.0 / k), k)[0])
            return float(values.mean()), low, high
        whole = float(self.ndcg.mean())
        if whole <= 0:
            return 1.0, 1.0, 1.0
        low, high = bootstrap_interval(self.ndcg - values, n_resamples=_RESAMPLES)
        return float(values.mean()) / whole, 1.0 - high / whole, 1.0 - low / whole

    def spread(self, values: Doubles) -> float:
        """Return the standard deviation of what the mean of `summary` is taken of."""
        if self.ndcg is None:
            return float(values.std())
        return float((self.ndcg - values).std()) / max(float(self.ndcg.mean()), 1e-9)


def find_answers(sample: Sample, asked: Asked) -> Answers:
    """Search exactly.

    Parameters
    ----------
    sample : Sample
    asked : Asked

    Returns
    -------
    Answers
    """
    exact = Exact(sample.metric, n_jobs=sample.n_jobs).fit(sample.rows)
    hits = exact.search(asked.queries, sample.k, where=sample.where(asked))
    last = np.maximum(hits.counts - 1, 0)
    least = np.take_along_axis(hits.scores, last[:, None], axis=1)[:, 0].astype(np.float64)
    least[hits.counts == 0] = -np.inf
    ndcg = None
    if asked.judgments is not None:
        ndcg = asked.judgments.ndcg(_in_base(hits.ids, sample.positions))
    least = least - _TIE * np.where(np.isfinite(least), np.abs(least), 0.0)
    return Answers(sample, asked, hits.ids, least, hits.counts, ndcg)


def pair_scores(queries: Floats, rows: Floats, metric: str) -> Doubles:
    """Return the score of each (query, row) pair in float64, larger is closer."""
    q, x = queries.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        return np.asarray(-np.square(q - x).sum(axis=1))
    scores = np.einsum("ij,ij->i", q, x)
    if metric == "cosine":
        scores /= np.linalg.norm(q, axis=1) * np.linalg.norm(x, axis=1)
    return np.asarray(scores)


def _in_base(ids: Positions, positions: Positions | None) -> Positions:
    if positions is None:
        return ids
    return np.where(ids >= 0, positions[np.maximum(ids, 0)], -1)
