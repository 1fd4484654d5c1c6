# SPDX-License-Identifier: Apache-2.0
"""Rankings against judgments: the metrics of trec_eval, query by query, with their uncertainty.

A ranking is the documents of a run by score, largest first; equal scores (in float32, which is what
trec_eval keeps) by document id, largest first: `rankings`. The metrics are in `ranking_metrics`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count
from vectorloom.io.pages import Chart
from vectorloom.measure.ranking_metrics import Metric, parse_metric
from vectorloom.measure.rankings import read_rankings
from vectorloom.measure.result import Result
from vectorloom.measure.significance import bootstrap_interval, randomization_test
from vectorloom.measure.trec_files import read_qrels, read_run

Qrels = dict[str, dict[str, int]]
Run = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Difference(Result):
    """How far one system is from another on the same queries.

    Attributes
    ----------
    metric : str
    mean : float
        Of (this - other) over the queries.
    low, high : float
        Bootstrap interval of the mean.
    level : float
        Its level.
    p_value : float
        Of the paired randomization test, two-sided.
    better, worse, equal : int
        Queries on which this system is better, worse, as good.
    """

    metric: str
    mean: float
    low: float
    high: float
    level: float
    p_value: float
    better: int
    worse: int
    equal: int

    def __str__(self) -> str:
        return (
            f"{self.metric} {self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}], "
            f"p = {self.p_value:.4f}; better on {self.better}, worse on {self.worse}, "
            f"equal on {self.equal} queries"
        )


@dataclass(frozen=True, eq=False)
class Evaluation(Result):
    """Metrics of a run, query by query.

    Attributes
    ----------
    metrics : tuple of str
    query_ids : tuple of str
        The queries that count, sorted.
    values : ndarray of shape (n_queries, n_metrics), float64
    missing : tuple of str
        Judged queries that the run does not answer; `missing_as` says what they count as.
    unjudged : tuple of str
        Queries of the run that nobody judged; left out.
    without_relevant : tuple of str
        Queries that count and have no relevant document: every metric of theirs is 0.
    missing_as : {"zero", "skip"}
    """

    metrics: tuple[str, ...]
    query_ids: tuple[str, ...]
    values: NDArray[np.float64]
    missing: tuple[str, ...]
    unjudged: tuple[str, ...]
    without_relevant: tuple[str, ...]
    missing_as: str

    @property
    def mean(self) -> dict[str, float]:
        """Each metric's mean over the queries that count."""
        return dict(zip(self.metrics, self.values.mean(axis=0).tolist(), strict=True))

    def plot(self) -> Chart:
        """Draw each metric's mean with its bootstrap interval.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        bars = [
            Bar(name, float(values.mean()), *bootstrap_interval(values))
            for name, values in zip(self.metrics, self.values.T, strict=True)
        ]
        return bar_chart(f"Over {len(self.query_ids):,} queries", bars, x_label="mean", digits=3)

    def __getitem__(self, metric: str) -> float:
        return float(self.of(metric).mean())

    def of(self, metric: str) -> NDArray[np.float64]:
        """Return one metric of all queries.

        Parameters
        ----------
        metric : str
            As it was asked for, or as it is shown.

        Returns
        -------
        ndarray of shape (n_queries,), float64

        Raises
        ------
        ParameterError
            It was not asked for.
        """
        name = parse_metric(metric).name
        if name not in self.metrics:
            raise ParameterError(
                f"{metric!r} was not evaluated; {', '.join(self.metrics)} were. Ask for it in "
                "metrics."
            )
        return self.values[:, self.metrics.index(name)]

    def per_query(self) -> dict[str, dict[str, float]]:
        """Return ``{query: {metric: value}}`` of plain Python values.

        Returns
        -------
        dict
        """
        rows = zip(self.query_ids, self.values.tolist(), strict=True)
        return {query: dict(zip(self.metrics, row, strict=True)) for query, row in rows}

    def interval(
        self, metric: str, *, level: float = 0.95, n_resamples: int = 10_000, random_state: int = 0
    ) -> tuple[float, float]:
        """Return the bootstrap interval of a mean: what other queries of the kind might give.

        Parameters
        ----------
        metric : str
        level : float, default=0.95
        n_resamples : int, default=10000
        random_state : int, default=0

        Returns
        -------
        low, high : float
        """
        return bootstrap_interval(
            self.of(metric), level=level, n_resamples=n_resamples, random_state=random_state
        )

    def compare(
        self,
        other: Evaluation,
        metric: str,
        *,
        level: float = 0.95,
        n_resamples: int = 10_000,
        random_state: int = 0,
    ) -> Difference:
        """Compare with another run on the same queries.

        Parameters
        ----------
        other : Evaluation
            Of the same judgments.
        metric : str
        level : float, default=0.95
            Of the interval.
        n_resamples : int, default=10000
        random_state : int, default=0

        Returns
        -------
        Difference

        Raises
        ------
        ParameterError
            The queries that count are not the same, or the metric is missing from one.
        """
        if self.query_ids != other.query_ids:
            apart = sorted(set(self.query_ids) ^ set(other.query_ids))
            raise ParameterError(
                f"the two evaluations count different queries, {len(apart)} in one only, first "
                f"{apart[0]!r}. Evaluate both against the same qrels with missing='zero'."
            )
        off = self.of(metric) - other.of(metric)
        low, high = bootstrap_interval(
            off, level=level, n_resamples=n_resamples, random_state=random_state
        )
        return Difference(
            metric=parse_metric(metric).name,
            mean=float(off.mean()),
            low=low,
            high=high,
            level=level,
            p_value=randomization_test(off, n_resamples=n_resamples, random_state=random_state),
            better=int((off > 0).sum()),
            worse=int((off < 0).sum()),
            equal=int((off == 0).sum()),
        )

    def __str__(self) -> str:
        lines = []
        for name in self.metrics:
            low, high = self.interval(name)
            lines.append(f"{name:<12} {self[name]:.4f}  [{low:.4f}, {high:.4f}]")
        lines.append(f"{len(self.query_ids)} queries; intervals of 95 %")
        if self.missing:
            what = "counted as 0" if self.missing_as == "zero" else "left out"
            lines.append(f"{len(self.missing)} judged queries have no answer: {what}")
        if self.unjudged:
            lines.append(f"{len(self.unjudged)} queries of the run have no judgments: left out")
        if self.without_relevant:
            lines.append(f"{len(self.without_relevant)} queries have nothing relevant: 0")
        return "\n".join(lines)


def evaluate_retrieval(
    qrels: Any,
    run: Any,
    metrics: Sequence[str] = ("nDCG@10", "recall@100", "MAP", "MRR@10"),
    *,
    missing: str = "zero",
    relevance_level: int = 1,
    gains: str | Mapping[int, float] = "linear",
    ignore_identical_ids: bool = False,
) -> Evaluation:
    """Score a run against relevance judgments as trec_eval does.

    Parameters
    ----------
    qrels : mapping, str or path
        ``{query: {document: grade}}``, or a file (TREC or BEIR, see `read_qrels`). Grades are whole
        numbers; 0 is judged and not relevant, below 0 outside the pool.
    run : mapping, Hits, str or path
        ``{query: {document: score}}``, larger is better; `Hits`, whose queries are then named 0, 1,
        … (``hits.to_run(query_ids)`` gives them names); or a file (TREC, see `read_run`).
        Ids that are not str are compared as ``str(id)``.
    metrics : sequence of str, default=("nDCG@10", "recall@100", "MAP", "MRR@10")
        nDCG, P, recall, MAP, MRR (with or without ``@k``), ``success@k``, ``judged@k``, ``Rprec``,
        ``bpref``.
    missing : {"zero", "skip"}, default="zero"
        Judged queries that the run does not answer: ``"zero"`` counts them as 0 (trec_eval -c),
        ``"skip"`` leaves them out of the mean (trec_eval without -c, pytrec_eval, BEIR). Which they
        are is in the result either way.
    relevance_level : int, default=1
        Grades from here on are relevant, for all metrics but nDCG; 0 or more.
    gains : {"linear", "exponential"} or mapping of int to float, default="linear"
        What a grade above 0 is worth to nDCG: the grade itself (trec_eval), 2^grade - 1, or the
        mapping's value (the grade where it has none).
    ignore_identical_ids : bool, default=False
        Whether a document that has the query's id is taken out of its ranking, as BEIR does for
        collections whose queries are documents.

    Returns
    -------
    Evaluation
        ``result["nDCG@10"]``, ``.mean``, ``.per_query()``, ``.interval(metric)``,
        ``.compare(other, metric)``.

    Raises
    ------
    ParameterError
        No query is both judged and answered, a score is NaN, a grade is no whole number, or a
        metric or parameter is unknown.
    FormatError
        A file's line is not what it should be.

    Notes
    -----
    Cost: one pass over the run and one sort of its scores, less than trec_eval's C takes behind
    pytrec_eval; equal scores of judged documents take longer. Ties: equal scores are in descending
    order of document id, compared as text, after rounding scores to float32: so a run whose scores
    differ below float32 is ranked by its ids, here as in trec_eval. P@k divides by k also where
    fewer are returned.
    A query without relevant documents has 0 of everything and counts, as in trec_eval.

    References
    ----------
    .. [1] E. Voorhees and D. Harman (eds.), "TREC: experiment and evaluation in information
       retrieval", MIT Press 2005; the program trec_eval, version 9.
    .. [2] C. Buckley and E. Voorhees, "Retrieval evaluation with incomplete information", SIGIR
       2004 (bpref).

    Examples
    --------
    >>> qrels = {"q1": {"d1": 1, "d2": 0}, "q2": {"d3": 2}}
    >>> run = {"q1": {"d2": 0.9, "d1": 0.8}}
    >>> result = evaluate_retrieval(qrels, run, ["MRR", "P@1", "nDCG@10"])
    >>> result["MRR"], result.missing
    (0.25, ('q2',))
    >>> evaluate_retrieval(qrels, run, ["MRR"], missing="skip")["MRR"]
    0.5
    """
    parsed = _parsed(metrics)
    check_choice("missing", missing, ("zero", "skip"))
    check_count("relevance_level", relevance_level, at_least=0)
    gain = _gain_of(gains)
    judgments, answers = _as_qrels(qrels), _as_run(run)
    common = judgments.keys() & answers.keys()
    if not common:
        raise ParameterError(
            "qrels and run have no query in common: qrels name "
            f"{_some(judgments)} and the run {_some(answers)}. Name them alike, e.g. "
            "hits.to_run(query_ids)."
        )
    counted = sorted(judgments if missing == "zero" else common)
    found = [answers.get(query, {}) for query in counted]
    if ignore_identical_ids:
        found = [
            {document: score for document, score in row.items() if document != query}
            if query in row
            else row
            for query, row in zip(counted, found, strict=True)
        ]
    seen = read_rankings(
        counted, [judgments[query] for query in counted], found, relevance_level, gain
    )
    barren = np.flatnonzero(seen.n_relevant == 0).tolist()
    return Evaluation(
        metrics=tuple(metric.name for metric in parsed),
        query_ids=tuple(counted),
        values=np.stack([metric(seen) for metric in parsed], axis=1),
        missing=tuple(sorted(judgments.keys() - answers.keys())),
        unjudged=tuple(sorted(answers.keys() - judgments.keys())),
        without_relevant=tuple(counted[row] for row in barren),
        missing_as=missing,
    )


def _parsed(metrics: Sequence[str]) -> list[Metric]:
    wanted = [metrics] if isinstance(metrics, str) else list(metrics)
    if not wanted:
        raise ParameterError("metrics must name at least one metric; got none.")
    return list({metric.name: metric for metric in map(parse_metric, wanted)}.values())


def _gain_of(gains: str | Mapping[int, float]) -> Callable[[int], float]:
    if isinstance(gains, Mapping):
        table = {int(grade): float(value) for grade, value in gains.items()}
        if any(not np.isfinite(value) or value < 0 for value in table.values()):
            raise ParameterError(f"gains must be finite and 0 or more; got {dict(gains)}.")
        return lambda grade: table.get(grade, float(grade))
    check_choice("gains", gains, ("linear", "exponential"))
    if gains == "linear":
        return float
    return lambda grade: 2.0**grade - 1.0


def _as_qrels(qrels: Any) -> Qrels:
    if isinstance(qrels, str | os.PathLike):
        return read_qrels(qrels)
    table = _two_deep(qrels, "qrels", "grade")
    if set(map(type, chain.from_iterable(row.values() for row in table.values()))) <= {int}:
        return table
    for query, grades in table.items():
        for document, grade in grades.items():
            if not _is_whole(grade):
                raise ParameterError(
                    f"qrels have the grade {grade!r} for document {document!r} of query {query!r}; "
                    "grades must be whole numbers."
                )
        table[query] = {document: int(grade) for document, grade in grades.items()}
    return table


def _is_whole(grade: Any) -> bool:
    try:
        return not isinstance(grade, bool) and int(grade) == grade
    except (TypeError, ValueError, OverflowError):
        return False


def _as_run(run: Any) -> Run:
    if isinstance(run, str | os.PathLike):
        return read_run(run)
    return _two_deep(run.to_run() if hasattr(run, "to_run") else run, "run", "score")


def _two_deep(table: Any, name: str, what: str) -> dict[str, dict[str, Any]]:
    if not isinstance(table, Mapping) or not all(
        isinstance(row, dict) or isinstance(row, Mapping)  # noqa: SIM101 - the first is quick
        for row in table.values()
    ):
        raise ParameterError(
            f"{name} must map queries to mappings of documents to a {what}; got "
            f"{type(table).__name__}."
        )
    rows = table.values()
    if set(map(type, chain(table, chain.from_iterable(rows)))) <= {str}:
        return {q: row if isinstance(row, dict) else dict(row) for q, row in table.items()}
    result = {
        str(query): {str(d): value for d, value in row.items()} for query, row in table.items()
    }
    if [*map(len, result.values())] != [*map(len, rows)]:
        raise ParameterError(
            f"{name} has ids that are the same as text, such as 1 and '1'. Use one type of id."
        )
    return result


def _some(table: Mapping[str, Any]) -> str:
    return f"{len(table)}, such as {next(iter(table))!r}" if table else "none"
