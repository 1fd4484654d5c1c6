# SPDX-License-Identifier: Apache-2.0
"""What every method of the report card is judged against: the same rows, queries and truth.

Which rows were returned is judged by score and not by id: a row counts as found when its exact
score reaches that of the true k-th, so that duplicates and ties are nobody's loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.select.gains import ndcg
from vectorloom.vectors import as_dense, as_ids

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Positions = NDArray[np.int64]

MAX_QUERIES = 1000
HELD_OUT = "rows held out of the vectors"
GIVEN = "given"

# Scores of float32 vectors are uncertain by about this much of their size.
_TIE = 1e-6
_RESAMPLES = 1000
_N_JUDGED = 10  # nDCG@10, whatever k is
_BLOCK_BYTES = 64 << 20

#: One query's judgments: position in the base → gain, and the gains of all its judged rows.
Judged = tuple[dict[int, float], list[float]]


@dataclass(frozen=True, eq=False)
class Truth:
    """Rows, queries, their exact answers, and the resamples of all intervals.

    Parameters
    ----------
    base : ndarray of shape (n, dim), float32
    queries : ndarray of shape (n_queries, dim), float32
    source : str
        Where the queries come from: `GIVEN` or `HELD_OUT`.
    k : int
    metric : {"cosine", "ip", "l2"}
    ids : ndarray of shape (n_queries, max(k, 11)), int64
        Positions of the true nearest rows, best first.
    least : ndarray of shape (n_queries,), float64
        Exact score of the k-th, less the uncertainty of float32.
    weights : ndarray of shape (1000, n_queries), float64
        Bootstrap resamples of the queries; each row sums to 1.
    judged : list of `Judged`, or None
        One entry a query that has judgments, None for the others.
    own : ndarray of shape (n_queries,), int64
        The base row with the query's own id, which a ranking leaves out; -1 where there is none.
    n_given, n_queries_given : int
        Rows, and queries (judged ones where there are qrels), before the sample was drawn.
    """

    base: Floats
    queries: Floats
    source: str
    k: int
    metric: str
    ids: Positions
    least: Doubles
    weights: Doubles
    judged: list[Judged | None] | None
    own: Positions
    n_given: int
    n_queries_given: int

    @property
    def n_with_judgments(self) -> int:
        """Queries that nDCG is the mean of."""
        return sum(entry is not None for entry in self.judged or ())

    def exact_scores(self, positions: Positions) -> Floats:
        """Score chosen rows of each query as the exact search does, in float32.

        Parameters
        ----------
        positions : ndarray of shape (n_queries, m), int64

        Returns
        -------
        ndarray of shape (n_queries, m), float32
        """
        scores = np.empty(positions.shape, np.float32)
        step = max(1, _BLOCK_BYTES // (4 * positions.shape[1] * self.base.shape[1]))
        for start in range(0, len(positions), step):
            part = slice(start, start + step)
            rows, asked = self.base[positions[part]], self.queries[part]
            if self.metric == "l2":
                rows -= asked[:, None, :]
                scores[part] = -np.einsum("qcd,qcd->qc", rows, rows)
                continue
            scores[part] = np.einsum("qcd,qd->qc", rows, asked)
            if self.metric == "cosine":
                norms = np.sqrt(np.einsum("qcd,qcd->qc", rows, rows))
                lengths = np.sqrt(np.einsum("qd,qd->q", asked, asked))
                scores[part] /= norms * lengths[:, None]
        return scores

    def interval(self, values: Doubles) -> tuple[float, float]:
        """95 % bootstrap interval of the mean over queries.

        Parameters
        ----------
        values : ndarray of shape (n_queries,), float64
            NaN where a query does not count.

        Returns
        -------
        low, high : float
        """
        counts = np.isfinite(values)
        if not counts.any():
            return float("nan"), float("nan")
        weight = self.weights @ counts
        means = (self.weights @ np.where(counts, values, 0.0))[weight > 0] / weight[weight > 0]
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low), float(high)

    def ndcg(self, ranked: Positions) -> Doubles:
        """nDCG@10 of each query; NaN for those without judgments.

        Parameters
        ----------
        ranked : ndarray of shape (n_queries, at least 11), int64
            Positions, best first.

        Returns
        -------
        ndarray of shape (n_queries,), float64
        """
        values = np.full(len(ranked), np.nan)
        for i, entry in enumerate(self.judged or ()):
            if entry is None:
                continue
            gains, all_gains = entry
            kept = [p for p in ranked[i].tolist() if p != self.own[i]]
            got = [gains.get(p, 0.0) for p in kept]
            values[i] = ndcg(got, sorted(all_gains, reverse=True), _N_JUDGED)
        return values


def find_truth(
    X: Any,
    queries: Any,
    qrels: Mapping[Any, Mapping[Any, float]] | None,
    *,
    ids: Any,
    query_ids: Any,
    k: int,
    metric: str,
    sample: int | None,
    random_state: int,
    n_jobs: int | None,
) -> Truth:
    """Draw the sample, hold rows out where no queries came, and search exactly.

    Parameters
    ----------
    X, queries, qrels, ids, query_ids, k, metric, sample, random_state, n_jobs
        As in `vectorloom.compress.report`.

    Returns
    -------
    Truth

    Raises
    ------
    ShapeError, ParameterError
        See `vectorloom.compress.report`.
    """
    rng = np.random.default_rng(random_state)
    rows = as_dense(X)
    row_ids = as_ids(ids, len(rows))
    n_given = len(rows)
    if queries is None:
        if qrels is not None:
            raise ParameterError(
                "qrels judge queries, and no queries were given. Pass queries too, or leave qrels "
                "out."
            )
        asked, keep = _hold_out(rows, k, rng)
        asked_ids, source, n_asked = np.empty(0, np.int64), HELD_OUT, len(asked)
        rows, row_ids = rows[keep], row_ids[keep]
    else:
        asked, source = as_dense(queries, name="queries", dim=rows.shape[1]), GIVEN
        asked_ids = as_ids(query_ids, len(asked), name="query_ids")
        chosen, n_asked = _chosen_queries(asked_ids, qrels, rng)
        asked, asked_ids = asked[chosen], asked_ids[chosen]
    rows, row_ids = _sampled(rows, row_ids, asked_ids, qrels, sample, rng)
    if len(rows) <= max(k, _N_JUDGED) + 1:
        raise ShapeError(
            f"X leaves {len(rows)} rows to search; recall@{k} needs more than "
            f"{max(k, _N_JUDGED) + 1}. Give more vectors."
        )
    if metric == "cosine":
        _refuse_zero(rows, "X")
        _refuse_zero(asked, "queries")
    found, scores = _search(rows, asked, max(k, _N_JUDGED + 1), metric, n_jobs)
    scale = np.abs(scores[:, k - 1]) + (_size(rows) if metric != "cosine" else 1.0)
    resamples = rng.multinomial(len(asked), np.full(len(asked), 1 / len(asked)), _RESAMPLES)
    judged, own = _judgments(row_ids, asked_ids, qrels)
    return Truth(
        base=rows,
        queries=asked,
        source=source,
        k=k,
        metric=metric,
        ids=found,
        least=scores[:, k - 1] - _TIE * scale,
        weights=resamples / len(asked),
        judged=judged,
        own=own if len(own) else np.full(len(asked), -1, np.int64),
        n_given=n_given,
        n_queries_given=n_asked,
    )


def _hold_out(rows: Floats, k: int, rng: np.random.Generator) -> tuple[Floats, Positions]:
    n_out = min(MAX_QUERIES, len(rows) // 10)
    if n_out < 1:
        raise ShapeError(
            f"X has {len(rows)} rows; without queries one in ten is held out to serve as one, so "
            f"at least {max(10, k + 2)} are needed. Give more rows, or queries."
        )
    order = rng.permutation(len(rows))
    return rows[order[:n_out]], np.sort(order[n_out:])


def _chosen_queries(
    ids: NDArray[Any], qrels: Mapping[Any, Mapping[Any, float]] | None, rng: np.random.Generator
) -> tuple[Positions, int]:
    """At most `MAX_QUERIES` of those that have judgments, or of all; and how many there were."""
    order = rng.permutation(len(ids))
    if qrels is not None:
        known = np.array([_plain(ids[i]) in qrels for i in order])
        if not known.any():
            raise ParameterError(
                f"qrels judge none of the {len(ids)} queries: its first key is "
                f"{next(iter(qrels), None)!r} and the first query is {_plain(ids[0])!r}. Pass "
                "query_ids and ids as qrels names them."
            )
        order = order[known]
    return np.sort(order[:MAX_QUERIES]), len(order)


def _sampled(
    rows: Floats,
    ids: NDArray[Any],
    query_ids: NDArray[Any],
    qrels: Mapping[Any, Mapping[Any, float]] | None,
    sample: int | None,
    rng: np.random.Generator,
) -> tuple[Floats, NDArray[Any]]:
    """Draw a random part of the rows, judged ones first: without them there is no nDCG."""
    if sample is None or len(rows) <= sample:
        return rows, ids
    order = rng.permutation(len(rows))
    if qrels is not None:
        wanted = {row for q in query_ids.tolist() for row in qrels.get(q, ())}
        needed = np.array([id_ in wanted for id_ in ids.tolist()])
        order = np.concatenate([order[needed[order]], order[~needed[order]]])
    kept = np.sort(order[:sample])
    return rows[kept], ids[kept]


def _judgments(
    ids: NDArray[Any], query_ids: NDArray[Any], qrels: Mapping[Any, Mapping[Any, float]] | None
) -> tuple[list[Judged | None] | None, Positions]:
    if qrels is None:
        return None, np.empty(0, np.int64)
    place = {id_: position for position, id_ in enumerate(ids.tolist())}
    judged: list[Judged | None] = []
    own = np.full(len(query_ids), -1, np.int64)
    for i, query in enumerate(query_ids.tolist()):
        # A query that is a document of the corpus is not its own answer; numbers are positions
        # in two different lists and say nothing of the kind.
        if isinstance(query, str):
            own[i] = place.get(query, -1)
        gains = {row: float(gain) for row, gain in qrels[query].items() if gain > 0}
        found = {place[row]: gain for row, gain in gains.items() if row in place}
        judged.append((found, list(gains.values())) if gains else None)
    if not any(entry and entry[0] for entry in judged):
        raise ParameterError(
            "qrels name no row of X as relevant. Pass ids, one a row, as qrels names them."
        )
    return judged, own


def _search(
    rows: Floats, queries: Floats, k: int, metric: str, n_jobs: int | None
) -> tuple[Positions, Doubles]:
    view = _core.Rows(rows, "float32")
    norms = _core.norms(view, n_jobs)
    found: tuple[Positions, Doubles, Any] = _core.exact_search(
        view, norms, None, metric, queries, min(k, len(rows)), None, None, n_jobs
    )
    return found[0], found[1]


def _size(rows: Floats) -> float:
    """Mean squared length: what differences of float32 scores are measured by."""
    return float(np.einsum("ij,ij->i", rows, rows, dtype=np.float64).mean())


def _refuse_zero(rows: Floats, name: str) -> None:
    zero = ~rows.any(axis=1)
    if zero.any():
        raise ParameterError(
            f"{name} has {int(zero.sum())} zero rows, first {int(np.argmax(zero))}; they have no "
            "cosine. Drop them, or choose metric='ip' or 'l2'."
        )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def names_of(values: Sequence[str]) -> str:
    """Join names as a sentence does: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(values[:-1]), values[-1]] if len(values) > 1 else values)


def share_text(value: float) -> str:
    """Three places; 0.9996 must not be shown as 1."""
    return "1" if value == 1.0 else f"{min(value, 0.999):.3f}"


def rounded(value: float) -> str:
    """Three digits, which is all that a timing is worth: "310 k", "4.1 M"."""
    for size, word in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{word}"
    return f"{value:.3g}"
