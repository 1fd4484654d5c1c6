# SPDX-License-Identifier: Apache-2.0
"""Whether a reduction of hubs makes answers better: nDCG@10 of judged queries, with and without.

Each reduction is fitted to the documents and answers the judged queries; differences are paired by
query, with their bootstrap interval. Fewer hubs are not yet better answers: this is the judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.hub_experiments import DISTANCES, TRIALS, VECTORS, steps_of
from vectorloom.measure.result import Result
from vectorloom.measure.retrieval import Difference, Evaluation, evaluate_retrieval
from vectorloom.measure.rows import unit_rows
from vectorloom.progress import progress
from vectorloom.select.neighbours import nearest_to
from vectorloom.vectors import as_dense, as_ids

Floats = NDArray[np.float32]
Positions = NDArray[np.int64]

_DEPTH = 10
_METRIC = "nDCG@10"
_FEWEST = 20


@dataclass(frozen=True, eq=False)
class JudgedTrial(Result):
    """One reduction, judged.

    Attributes
    ----------
    name : str
    ndcg : float
        nDCG@10 over the judged queries.
    gain : Difference
        From the vectors as they are.
    any_index : bool
        Whether the changed vectors can be searched by any index.
    """

    name: str
    ndcg: float
    gain: Difference
    any_index: bool


@dataclass(frozen=True, eq=False)
class JudgedTrials(Result):
    """What each reduction did to the answers; ``print`` it.

    Attributes
    ----------
    before : float
        nDCG@10 of the vectors as they are.
    trials : tuple of JudgedTrial
    n_queries, n_rows : int
        Judged queries, and documents searched.
    """

    before: float
    trials: tuple[JudgedTrial, ...]
    n_queries: int
    n_rows: int

    def best(self) -> JudgedTrial | None:
        """Return the reduction that surely helps most, or None where none surely does.

        Returns
        -------
        JudgedTrial or None
            Of those whose interval lies above 0.
        """
        sure = [trial for trial in self.trials if trial.gain.low > 0]
        return max(sure, key=lambda trial: trial.gain.mean, default=None)

    def __str__(self) -> str:
        width = max(len(trial.name) for trial in self.trials)
        lines = [f"{_METRIC} {self.before:.4f} as they are, {self.n_queries:,} judged queries"]
        lines += [
            f"{t.name:<{width}}  {t.ndcg:.4f}  {t.gain.mean:+.4f} "
            f"[{t.gain.low:+.4f}, {t.gain.high:+.4f}]"
            for t in self.trials
        ]
        return "\n".join(lines)

    def plot(self) -> Chart:
        """Draw nDCG@10 with and without each.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        bars = [Bar("none", self.before, kind=4)]
        bars += [
            Bar(t.name, t.ndcg, self.before + t.gain.low, self.before + t.gain.high)
            for t in self.trials
        ]
        label = f"{_METRIC} of {self.n_queries:,} judged queries; whiskers: 95 % of the difference"
        return bar_chart("Answers after each reduction", bars, x_label=label, digits=4)


def judged_trials(
    X: Any,
    queries: Any,
    qrels: Mapping[Any, Mapping[Any, int]],
    *,
    ids: Any = None,
    query_ids: Any = None,
    tries: Sequence[str] = TRIALS,
    metric: str = "cosine",
    sample: int | None = 20_000,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> JudgedTrials:
    """Try reductions of hubness on judged queries.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 20
        Documents.
    queries : array-like of shape (m, dim)
    qrels : mapping of query id to mapping of document id to grade
    ids, query_ids : array-like or None, default=None
        Of documents and queries, as qrels name them; None: their positions.
    tries : sequence of str
        As `hub_trials`.
    metric : {"cosine", "l2"}, default="cosine"
    sample : int or None, default=20000
        Documents searched: all that were judged, and others drawn at random.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    JudgedTrials

    Raises
    ------
    ShapeError, ParameterError
        No judged query or document among those given; fewer than 20 documents; NaN; zero rows under
        cosine.

    Notes
    -----
    A document that has a query's own id is left out of its answers where ids are str. Absolute
    numbers on a sample are too good, as there is less to confuse; differences are meant. Cost: a
    search of all judged queries, and a fit of about sample**2 * dim for each that re-ranks.

    References
    ----------
    .. [1] B. Nielsen and L. Hansen, "Hubness reduction improves Sentence-BERT semantic spaces",
       NLDL 2024, arXiv:2311.18364.

    Examples
    --------
    Taking the mean off removes hubs, and helps these queries no more than chance would:

    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((400, 12)) + 2
    >>> queries = X[:100] + 0.8 * rng.standard_normal((100, 12))
    >>> found = judged_trials(X, queries, {i: {i: 1} for i in range(100)}, tries=["Centring"])
    >>> found.best() is None
    True
    """
    check_choice("metric", metric, ("cosine", "l2"))
    rows, n_jobs = as_dense(X), check_jobs(n_jobs)
    asked = as_dense(queries, name="queries", dim=rows.shape[1])
    names = [str(name) for name in as_ids(ids, len(rows)).tolist()]
    asked_names = as_ids(query_ids, len(asked), name="query_ids").tolist()
    skip_own = bool(asked_names) and isinstance(asked_names[0], str)
    wanted = _judgments(qrels, [str(name) for name in asked_names], set(names))
    chosen = [i for i, name in enumerate(asked_names) if str(name) in wanted]
    at = _documents(names, wanted, sample, random_state)
    if len(at) < _FEWEST:
        raise ParameterError(f"{len(at)} documents; judged trials need at least {_FEWEST}.")
    base = np.ascontiguousarray(rows[at])
    part = np.ascontiguousarray(asked[chosen])
    if metric == "cosine":
        base, part = unit_rows(base), unit_rows(part, "queries")
    labels = [names[i] for i in at]
    marks = [str(asked_names[i]) for i in chosen]

    def judged(found: Positions) -> Evaluation:
        run = {
            mark: {
                labels[p]: float(-rank)
                for rank, p in enumerate(row.tolist())
                if not (skip_own and labels[p] == mark)
            }
            for mark, row in zip(marks, found, strict=True)
        }
        return evaluate_retrieval(wanted, run, [_METRIC])

    with progress("reductions on judged queries", total=len(tries) + 1, unit="trials") as bar:
        before = judged(_answers(base, part, "", "", metric, n_jobs))
        bar.advance()
        trials = []
        for name in tries:
            vectors, distances = steps_of(name)
            after = judged(_answers(base, part, vectors, distances, metric, n_jobs))
            gain = after.compare(before, _METRIC, random_state=random_state)
            trials.append(JudgedTrial(name, after[_METRIC], gain, not distances))
            bar.advance()
    return JudgedTrials(before[_METRIC], tuple(trials), len(chosen), len(at))


def _judgments(
    qrels: Mapping[Any, Mapping[Any, int]], queries: list[str], documents: set[str]
) -> dict[str, dict[str, int]]:
    asked = set(queries)
    known = {
        str(query): {str(d): int(g) for d, g in row.items() if str(d) in documents}
        for query, row in qrels.items()
        if str(query) in asked
    }
    found = {query: row for query, row in known.items() if any(g > 0 for g in row.values())}
    if not found:
        raise ParameterError(
            f"qrels judge none of the {len(queries)} queries with a document that is given: their "
            f"first query is {next(iter(qrels), None)!r}, the first given is {queries[0]!r}. Pass "
            "ids and query_ids as qrels name them."
        )
    return found


def _documents(
    names: list[str], wanted: dict[str, dict[str, int]], sample: int | None, random_state: int
) -> Positions:
    n = len(names)
    if sample is None or n <= sample:
        return np.arange(n)
    judged = {d for row in wanted.values() for d in row}
    order = np.random.default_rng(random_state).permutation(n)
    needed = np.array([names[i] in judged for i in order])
    return np.sort(np.concatenate([order[needed], order[~needed]])[:sample])


def _answers(
    base: Floats, asked: Floats, vectors: str, distances: str, metric: str, n_jobs: int | None
) -> Positions:
    k = min(_DEPTH + 1, len(base))  # one more, for a document that is the query itself
    if vectors:
        model = VECTORS[vectors]().fit(base)
        base, asked = model.transform(base), model.transform(asked)
    if not distances:
        return nearest_to(asked, np.ascontiguousarray(base), k, n_jobs=n_jobs)[0]
    scaling = DISTANCES[distances](metric=metric, n_jobs=n_jobs)
    return np.asarray(scaling.fit(base).kneighbors(asked, k=k)[0])
