# SPDX-License-Identifier: Apache-2.0
"""The health of an index: what it misses, what it holds, and what to change.

An index class may tell more by a method ``_health() -> dict[str, float]``: its names and values are
printed as they are, and advice is given on those in `audit_advice.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.index.audit_advice import advice_for
from vectorloom.index.audit_measuring import (
    as_lengths,
    bytes_a_row,
    dimensions,
    hubs,
    interval,
    moved,
    neighbours,
    rank_correlation,
    recalls,
    search_of,
)
from vectorloom.index.dense.exact import Exact
from vectorloom.measure.intrinsic import FEWEST, NEIGHBOURS, mean_dimension

if TYPE_CHECKING:
    from vectorloom.index.dense.row_index import RowIndex

#: Rows of largest dimension that are named.
NAMED = 10


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """The health of an index; ``print`` it.

    Attributes
    ----------
    index : str
        What was audited.
    metric : str
    n_rows, dim, k, n_queries : int
    queries : {"given", "rows moved", "rows"}
        Where queries came from; see `audit`.
    recall : float
        Mean share of the true k nearest rows that a search finds.
    recall_low, recall_high : float
        Ends of its 95 % interval.
    recall_worst_tenth : float
        Mean over the tenth of the queries that it is lowest for.
    recall_high_dimension : float
        Mean over the tenth of the queries of largest local dimension; NaN where that is not known.
    worst_queries : ndarray of shape (m,), int64
        The positions, among the queries, of the worst tenth, worst first; where queries are rows,
        their ids.
    dead_share : float
        Positions removed but not yet rewritten, of all positions.
    bytes_a_row : dict of str to float
        By part: "rows", "ids", "norms", "screen", "structure" (lists, graph), "spare and marks".
    duplicates : float
        Share of the sampled rows that have a copy in the index.
    dimension : float
        Mean local intrinsic dimension of the sampled rows; NaN below 11 rows.
    dimensions : ndarray of shape (3,), float64
        Its 10 %, 50 % and 90 % quantiles.
    dimension_ids : ndarray of shape (10,), int64 or object
        The sampled rows of largest local dimension, largest first.
    dimension_order : float
        Spearman's rank correlation between local dimension and the order of adding, -1 to 1.
    hubness : float
        Skewness of k-occurrence, k = 10, among at most 4,096 rows.
    antihubs : float
        Share of those rows that are nobody's neighbour.
    structure : dict of str to float
        What the index says of its lists or graph.
    advice : tuple of str
    """

    index: str
    metric: str
    n_rows: int
    dim: int
    k: int
    n_queries: int
    queries: str
    recall: float
    recall_low: float
    recall_high: float
    recall_worst_tenth: float
    recall_high_dimension: float
    worst_queries: NDArray[Any]
    dead_share: float
    bytes_a_row: dict[str, float]
    duplicates: float
    dimension: float
    dimensions: NDArray[np.float64]
    dimension_ids: NDArray[Any]
    dimension_order: float
    hubness: float
    antihubs: float
    structure: dict[str, float] = field(default_factory=dict)
    advice: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"Audit({self.index}, {self.n_rows:,} rows, recall@{self.k}={self.recall:.3f}, "
            f"{len(self.advice)} advice)"
        )

    def __str__(self) -> str:
        low, mid, high = self.dimensions
        told = [
            (
                f"recall@{self.k}",
                f"{self.recall:.3f}, 95 % between {self.recall_low:.3f} and {self.recall_high:.3f}",
            ),
            ("  its queries", f"{self.n_queries:,} {_SOURCES[self.queries]}"),
            ("  worst tenth", f"{self.recall_worst_tenth:.3f}"),
            ("  largest dimension", f"{self.recall_high_dimension:.3f}"),
            ("dead positions", f"{self.dead_share:.1%}"),
            ("bytes a row", f"{sum(self.bytes_a_row.values()):,.0f}: {_parts(self.bytes_a_row)}"),
            ("rows with a copy", f"{self.duplicates:.1%}"),
            (
                "local dimension",
                f"{self.dimension:.1f} (10 % {low:.1f}, median {mid:.1f}, 90 % {high:.1f})",
            ),
            ("  largest at", ", ".join(map(str, self.dimension_ids[:5].tolist()))),
            ("  with order", f"{self.dimension_order:+.2f}"),
            ("hubness", f"{self.hubness:.2f}; {self.antihubs:.1%} of rows are nobody's neighbour"),
            *((name, f"{value:,.6g}") for name, value in self.structure.items()),
        ]
        lines = [f"Audit of {self.index}: {self.n_rows:,} rows of {self.dim}, {self.metric}"]
        lines += [f"  {name:<20} {text}" for name, text in told if "nan" not in text]
        lines += ["Advice", *(f"  - {text}" for text in self.advice or ("Nothing to change.",))]
        return "\n".join(lines)


_SOURCES = {
    "given": "given",
    "rows moved": "rows, moved and themselves left out; queries unlike the rows may do worse",
    "rows": "rows, themselves left out; queries unlike the rows may do worse",
}


def _parts(sizes: Mapping[str, float]) -> str:
    return " + ".join(f"{value:,.0f} {name}" for name, value in sizes.items() if value >= 0.5)


def audit(
    index: RowIndex,
    queries: Any = None,
    k: int = 10,
    sample: int = 1000,
    n_jobs: int | None = None,
    random_state: int = 0,
    **search: Any,
) -> Audit:
    """Return the health of an index: recall against exact search, what it holds, and advice.

    Parameters
    ----------
    index : RowIndex
        Fitted, with at least one row. It is not changed.
    queries : array-like of shape (n_queries, dim), default=None
        Queries as they will come. None takes `sample` of the rows, each moved among its neighbours
        by the distance to the nearest (bits: not moved), and itself left out of the answers.
        Queries unlike the rows may do worse, so pass yours.
    k : int, default=10
        Hits that recall is measured on.
    sample : int, default=1000
        Rows that are drawn: as queries, and for dimension, duplicates and order.
    n_jobs : int or None, default=None
        Threads; None takes those of the index.
    random_state : int, default=0
        Of the rows drawn and how they are moved; the same audit at any `n_jobs`.
    **search
        How to search, such as ``nprobe=8`` or ``recall=0.9``; passed to `search`.

    Returns
    -------
    Audit

    Raises
    ------
    NotFittedError
        Nothing was fitted or added.
    ParameterError, ShapeError
        No rows are left; queries that `search` refuses; a number that is not allowed.

    Notes
    -----
    Recall counts a hit that scores as high as the k-th true one, so that ties are not misses. Its
    interval is Wilson's with the effective number of trials p (1 - p) / Var(recall of a query) *
    n_queries, between n_queries and k * n_queries: hits of one query are not independent. Where
    nothing was missed it is that of n_queries trials.

    Local dimension is of 100 neighbours by true distance; under ip, which is no distance, by
    Euclidean distance. That, duplicates and hubness are of samples; the rest is of all rows.

    Cost: an exact search of 2 * sample queries, a search of `sample`, 4,096**2 * dim for hubness.

    References
    ----------
    .. [1] O. Elliott and J. Clark, "The impacts of data, ordering, and intrinsic dimensionality on
       recall in hierarchical navigable small worlds", ICTIR 2024, doi:10.1145/3664190.3672512.
    .. [2] E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
       JASA 22 (1927), doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> import vectorloom as vl
    >>> x = np.random.default_rng(0).standard_normal((500, 8))
    >>> report = vl.index.Exact().fit(x).audit()
    >>> report.recall, report.dead_share
    (1.0, 0.0)
    """
    k, sample = check_count("k", k), check_count("sample", sample)
    rng = np.random.default_rng(check_count("random_state", random_state, at_least=0))
    store = index._fitted()
    if store.n_live == 0:
        raise ParameterError("the index holds no rows, so there is nothing to audit. Add some.")
    name, index = repr(index), _with_jobs(index, n_jobs)
    places = store.live_positions[
        np.sort(rng.choice(store.n_live, min(sample, store.n_live), replace=False))
    ]
    ids, rows = store.ids.take(places), store.decoded(places)
    near, lengths = neighbours(index, rows, ids)
    local = dimensions(lengths)
    source, own, query_local = "given", None, local
    if queries is not None:
        query_local = _query_dimensions(index, queries)
    elif store.kind == "bits":
        source, own, queries = "rows", ids, rows
    else:
        source, own, queries = "rows moved", ids, moved(index, rows, near, lengths, rng)
    shares = recalls(index, queries, own, k, search)
    if len(shares) == 0:
        raise ShapeError("queries must have at least one row. Pass None to use rows of the index.")
    low, high = interval(shares, k)
    tenth = -(-len(shares) // 10)
    worst = np.argsort(shares, kind="stable")[:tenth]
    hardest = np.argsort(-local, kind="stable")[: NAMED if lengths.shape[1] >= FEWEST else 0]
    known = local[~np.isnan(local)]
    skewness, antihubs = hubs(index, rng)
    health = getattr(index, "_health", dict)
    report = Audit(
        index=name,
        metric=store.metric,
        n_rows=store.n_live,
        dim=store.dim,
        k=k,
        n_queries=len(shares),
        queries=source,
        recall=float(shares.mean()),
        recall_low=low,
        recall_high=high,
        recall_worst_tenth=float(shares[worst].mean()),
        recall_high_dimension=_at_largest(shares, query_local),
        worst_queries=worst.astype(np.int64) if source == "given" else ids[worst],
        dead_share=1.0 - store.n_live / store.n,
        bytes_a_row=bytes_a_row(index),
        duplicates=float((lengths[:, :1] == 0).mean()) if lengths.shape[1] else 0.0,
        dimension=mean_dimension(local),
        dimensions=np.quantile(known, (0.1, 0.5, 0.9)) if len(known) else np.full(3, np.nan),
        dimension_ids=ids[hardest],
        dimension_order=rank_correlation(local),
        hubness=skewness,
        antihubs=antihubs,
        structure=health(),
    )
    return replace(report, advice=advice_for(report, is_exact=type(index) is Exact))


def _with_jobs(index: RowIndex, n_jobs: int | None) -> RowIndex:
    """Return the same index, sharing all it holds, with another number of threads."""
    if check_jobs(n_jobs) is None:
        return index
    twin: RowIndex = object.__new__(type(index))
    twin.__dict__.update(index.__dict__)
    twin.n_jobs = n_jobs
    return twin


def _query_dimensions(index: RowIndex, queries: Any) -> NDArray[np.float64]:
    """Return the local dimension of the rows around each query; NaN where ip tells no distance."""
    if index.metric == "ip" or len(index) < FEWEST:
        return np.full(len(queries), np.nan)
    hits = search_of(index)(queries, min(NEIGHBOURS, len(index)), exact=True)
    return dimensions(as_lengths(hits))


def _at_largest(shares: NDArray[np.float64], local: NDArray[np.float64]) -> float:
    """Return the mean share of the tenth of queries with the largest dimension."""
    known = np.flatnonzero(~np.isnan(local))
    if len(known) == 0:
        return float("nan")
    largest = known[np.argsort(-local[known], kind="stable")[: -(-len(known) // 10)]]
    return float(shares[largest].mean())
