# SPDX-License-Identifier: Apache-2.0
"""The report card: how small these vectors can get, and what is lost, method by method."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vectorloom import _core
from vectorloom.compress.report_advice import advise, warnings_about
from vectorloom.compress.report_measuring import RECHECK, ReportRow, measure
from vectorloom.compress.report_methods import budget_of, budgets_for, default_recipes, resolve
from vectorloom.compress.report_truth import find_truth
from vectorloom.errors import ParameterError, VectorloomError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.progress import progress
from vectorloom.vectors import as_dense

if TYPE_CHECKING:
    from vectorloom.compress.compressor import Compressor
    from vectorloom.io.pages import Chart

_METRICS = ("cosine", "ip", "l2")
_ARRAYS = ("found", "found_4k")


@dataclass(frozen=True)
class Report:
    """What `report` found; shown as a page by notebooks, written as one by `save`.

    Parameters
    ----------
    rows : tuple of ReportRow
        Smallest first.
    failed : tuple of (str, str)
        Methods that could not be measured, and why.
    warnings : tuple of str
        What makes the figures mean less than they seem to.
    advice : tuple of str
        Sentences that follow from the figures.
    k : int
    metric : str
    n_rows, dim, n_queries : int
        Of what was searched.
    queries_from : str
        ``"given"``, or that rows were held out.
    n_judged : int
        Queries with judgments; 0 without qrels.
    exact_ndcg : float
        nDCG@10 of the exact float32 vectors; NaN without qrels.
    budgets : tuple of int
        Bytes per vector within which methods compete.
    random_state : int
    seconds : float
        On the clock, all of it.
    level : str
        The CPU level of the kernels.

    Examples
    --------
    >>> import vectorloom as vl
    >>> rng = np.random.default_rng(0)
    >>> centres = rng.standard_normal((20, 16))
    >>> X = centres[rng.integers(20, size=600)] + 0.3 * rng.standard_normal((600, 16))
    >>> card = vl.compress.report(X.astype("float32"), methods=["pca:8", "pca:4"], k=5)
    >>> [row.bytes_per_vector for row in card.rows]
    [16, 32]
    """

    rows: tuple[ReportRow, ...]
    failed: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    advice: tuple[str, ...]
    k: int
    metric: str
    n_rows: int
    dim: int
    n_queries: int
    queries_from: str
    n_judged: int
    exact_ndcg: float
    budgets: tuple[int, ...]
    random_state: int
    seconds: float
    level: str = field(default="")

    def __getitem__(self, name: str) -> ReportRow:
        """Return the row of a method by its name."""
        for row in self.rows:
            if row.name == name:
                return row
        names = ", ".join(row.name for row in self.rows)
        raise ParameterError(f"no method {name!r} was measured; there are {names}.")

    def table(self) -> str:
        """Return the figures as a Markdown table, smallest first."""
        from vectorloom.compress.report_page import markdown

        return markdown(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; NaN where there is no figure."""
        whole = {name: value for name, value in vars(self).items() if name != "rows"}
        rows = [
            {key: value for key, value in asdict(row).items() if key not in _ARRAYS}
            for row in self.rows
        ]
        failed = [{"name": name, "reason": reason} for name, reason in self.failed]
        return {**whole, "failed": failed, "recheck": [n * self.k for n in RECHECK], "rows": rows}

    def plot(self) -> Chart:
        """Return the picture of quality against bytes, an SVG that notebooks show."""
        from vectorloom.compress.report_chart import draw

        return draw(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report as one HTML file that needs no network.

        Parameters
        ----------
        path : path-like
            An older file there is replaced in one step.
        """
        from vectorloom.compress.report_page import write_page

        write_page(self, path)

    def __str__(self) -> str:
        """Return table, warnings and advice as text."""
        parts = [self.table(), *(f"! {text}" for text in self.warnings), *self.advice]
        return "\n".join([*parts, *(f"{name}: {reason}" for name, reason in self.failed)])

    def _repr_html_(self) -> str:
        from vectorloom.compress.report_page import fragment

        return fragment(self)


def report(
    X: Any,
    queries: Any = None,
    qrels: Mapping[Any, Mapping[Any, float]] | None = None,
    methods: Sequence[Any] | None = None,
    bytes: int | Sequence[int] | None = None,
    k: int = 10,
    metric: str = "cosine",
    *,
    ids: Any = None,
    query_ids: Any = None,
    train_queries: Any = None,
    sample: int | None = 20_000,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Report:
    """Measure what each way to compress these vectors costs, at equal bytes per vector.

    Use it before choosing a compressor: which is best depends on the vectors. To tune a whole index
    measure the index; this judges codes by exhaustive comparison.

    Parameters
    ----------
    X : array-like of shape (n, dim)
        The vectors to be compressed.
    queries : array-like of shape (m, dim) or None, default=None
        As they will be asked; at most 1,000 are judged. None holds rows out of `X` (one in ten, at
        most 1,000), which the result says.
    qrels : mapping of query id to mapping of row id to grade, or None, default=None
        Relevance judgments; adds nDCG@10 and its loss. Queries without judgments are left out.
    methods : sequence of Compressor or str, or None, default=None
        Objects (copied), recipes such as ``"pca:192 | float8"`` and class names. None takes those
        that fill the budgets.
    bytes : int, sequence of int, or None, default=None
        Budgets in bytes per vector. None: 16, 8, 4, 2, 1 and 0.5 bits a dimension, plus 8 bytes.
    k : int, default=10
    metric : {"cosine", "ip", "l2"}, default="cosine"
    ids, query_ids : array-like of int64 or str, or None, default=None
        The names that `qrels` uses; None: positions.
    train_queries : array-like of shape (m, dim) or None, default=None
        For methods that learn from queries; others than those judged.
    sample : int or None, default=20,000
        At most so many rows are fitted, encoded and searched, drawn at random (rows that qrels name
        first); None takes all.
    random_state : int, default=0
    n_jobs : int or None, default=None
        Threads for the fits and the exact search. Encoding and comparing always run on one.

    Returns
    -------
    Report
        Frozen: ``rows``, ``advice``, ``warnings``, ``table()``, ``plot()``, ``save("card.html")``.

    Raises
    ------
    ShapeError
        Shapes that do not fit, or too few rows for k.
    ParameterError
        Unknown metric or method, zero vectors under cosine, qrels that name nothing in the data.

    Notes
    -----
    Recall@k is the share of the true k among the best k by code; a row as near as the true k-th
    counts, so ties and duplicates are nobody's loss. After re-check: the best 4 k (and 10 k) by
    code are scored again by the exact vectors. Intervals are 95 % bootstrap over queries. Each
    method costs one fit, one encoding and ``n * m`` comparisons; the default takes some minutes on
    20,000 rows of 384 dimensions. Recall, nDCG and errors are the same for the same `random_state`;
    times are not.

    Examples
    --------
    >>> import vectorloom as vl
    >>> rng = np.random.default_rng(0)
    >>> X = (rng.standard_normal((500, 4)) @ rng.standard_normal((4, 16))).astype(np.float32)
    >>> card = vl.compress.report(X, methods=["pca:4"], k=5, metric="l2")
    >>> card["pca:4"].recall_4k
    1.0
    """
    start = time.perf_counter()
    check_choice("metric", metric, _METRICS)
    k, jobs = check_count("k", k), check_jobs(n_jobs)
    if sample is not None:
        sample = check_count("sample", sample)
    # Unknown methods are refused before anything takes time.
    given = None if methods is None else _resolved(methods, random_state)
    truth = find_truth(
        X,
        queries,
        qrels,
        ids=ids,
        query_ids=query_ids,
        k=k,
        metric=metric,
        sample=sample,
        random_state=random_state,
        n_jobs=jobs,
    )
    dim = truth.base.shape[1]
    budgets = budgets_for(bytes, dim)
    failed: list[tuple[str, str]] = []
    tried = given or _available(default_recipes(dim, budgets), random_state, failed)
    learn_from = None
    if train_queries is not None:
        learn_from = as_dense(train_queries, name="train_queries", dim=dim)
    exact_ndcg = truth.ndcg(truth.ids)
    rows: list[ReportRow] = []
    with progress("measuring", total=len(tried), unit="methods") as bar:
        for name, compressor in tried:
            bar.update(description=f"measuring {name}")
            try:
                row = measure(name, compressor, truth, exact_ndcg, learn_from, jobs)
            except VectorloomError as error:  # of one method; the others go on
                failed.append((name, str(error)))
            else:
                rows.append(replace(row, budget=budget_of(row.bytes_per_vector, budgets)))
            bar.advance()
    rows.sort(key=lambda row: (row.bytes_per_vector, row.recall))
    judged = exact_ndcg[np.isfinite(exact_ndcg)]
    return Report(
        rows=tuple(rows),
        failed=tuple(failed),
        warnings=tuple(warnings_about(truth, random_state, [row.name for row in rows])),
        advice=tuple(advise(rows, truth, exact_ndcg)),
        k=k,
        metric=metric,
        n_rows=len(truth.base),
        dim=dim,
        n_queries=len(truth.queries),
        queries_from=truth.source,
        n_judged=truth.n_with_judgments,
        exact_ndcg=float(judged.mean()) if len(judged) else float("nan"),
        budgets=budgets,
        random_state=random_state,
        seconds=time.perf_counter() - start,
        level=_core.simd_level(),
    )


def _resolved(methods: Sequence[Any], random_state: int) -> list[tuple[str, Compressor]]:
    if isinstance(methods, str) or not len(methods):
        raise ParameterError(
            "methods must be a list of at least one compressor or recipe; got "
            f"{methods!r}. Leave it out for those that fill the budgets."
        )
    return [resolve(method, random_state) for method in methods]


def _available(
    recipes: Sequence[str], random_state: int, failed: list[tuple[str, str]]
) -> list[tuple[str, Compressor]]:
    """Resolve what nobody asked for by name: one that lacks a package is listed, not fatal."""
    found = []
    for recipe in recipes:
        try:
            found.append(resolve(recipe, random_state))
        except ImportError as error:
            failed.append((recipe, str(error)))
    return found
