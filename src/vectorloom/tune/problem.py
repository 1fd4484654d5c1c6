# SPDX-License-Identifier: Apache-2.0
"""What a tuning is measured on: rows, queries to choose by, and other queries to judge by.

Queries are split at random: a third chooses, the rest is held out and judges. Where there are
none, rows are taken out of the base and serve as queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.tune.filtering import Filters
from vectorloom.tune.quality import Answers, Judgments, find_answers
from vectorloom.vectors import as_dense, as_ids

Floats = NDArray[np.float32]
Positions = NDArray[np.int64]

GIVEN, HELD_OUT = "given", "rows held out"
#: Queries that choose, and that judge, at most.
MOST_TUNED, MOST_HELD = 1000, 2000
#: With fewer queries there is nothing to split.
FEWEST_QUERIES = 4
FEWEST_ROWS = 20
_TUNED_SHARE = 1 / 3


@dataclass(frozen=True, eq=False)
class Asked:
    """Queries of one purpose.

    Attributes
    ----------
    name : {"tuned on", "held out"}
    queries : ndarray of shape (q, dim), float32
    filters : Filters or None
    judgments : Judgments or None
    """

    name: str
    queries: Floats
    filters: Filters | None
    judgments: Judgments | None

    def __len__(self) -> int:
        return len(self.queries)

    def first(self, count: int) -> Asked:
        """Return the first of them; their order is random."""
        part = np.arange(min(count, len(self)))
        return Asked(
            self.name,
            self.queries[part],
            None if self.filters is None else self.filters.of_queries(part),
            None if self.judgments is None else self.judgments.of_queries(part),
        )


@dataclass(eq=False)
class Sample:
    """Some rows of the base, or all, with the exact answers among them.

    Attributes
    ----------
    rows : ndarray of shape (n, dim), float32
    positions : ndarray of shape (n,), int64, or None
        Where they stand in the base; None for all of it.
    k : int
    metric : str
    n_jobs : int or None
    """

    rows: Floats
    positions: Positions | None
    k: int
    metric: str
    n_jobs: int | None
    _answers: dict[tuple[str, int], Answers] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, asked: Asked) -> Any:
        """Return the filter of each query as a search of these rows takes it."""
        return None if asked.filters is None else asked.filters.among(self.positions)

    def answers(self, asked: Asked) -> Answers:
        """Return the exact answers, found once."""
        key = (asked.name, len(asked))
        if key not in self._answers:
            self._answers[key] = find_answers(self, asked)
        return self._answers[key]


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows and queries, checked and split.

    Attributes
    ----------
    base : ndarray of shape (n, dim), float32
    tuned, held : Asked
    metric : str
    k : int
    source : {"given", "rows held out"}
        Of the queries.
    is_whole : bool
        Whether all values are whole numbers from 0 to 255.
    n_given, n_queries_given : int
    n_jobs : int or None
    random_state : int
    """

    base: Floats
    tuned: Asked
    held: Asked
    metric: str
    k: int
    source: str
    is_whole: bool
    n_given: int
    n_queries_given: int
    n_jobs: int | None
    random_state: int
    _drawn: dict[int, Sample] = field(default_factory=dict)

    def whole(self) -> Sample:
        """Return all rows."""
        return self.sample(len(self.base))

    def sample(self, size: int) -> Sample:
        """Return `size` rows drawn at random, judged ones first; larger samples hold smaller.

        The last one stays with the exact answers that were found among it.
        """
        size = min(size, len(self.base))
        if size not in self._drawn:
            self._drawn.clear()
            self._drawn[size] = self._sample(size)
        return self._drawn[size]

    def _sample(self, size: int) -> Sample:
        if size == len(self.base):
            return Sample(self.base, None, self.k, self.metric, self.n_jobs)
        order = np.random.default_rng(self.random_state).permutation(len(self.base))
        judged = [a.judgments.rows() for a in (self.tuned, self.held) if a.judgments is not None]
        if judged:
            is_judged = np.zeros(len(self.base), bool)
            is_judged[np.concatenate(judged)] = True
            order = np.concatenate([order[is_judged[order]], order[~is_judged[order]]])
        at = np.sort(order[:size])
        return Sample(self.base[at], at, self.k, self.metric, self.n_jobs)


def read_problem(
    X: Any,
    queries: Any,
    qrels: Mapping[Any, Mapping[Any, float]] | None,
    filters: Any,
    *,
    ids: Any,
    query_ids: Any,
    k: int,
    metric: str,
    n_jobs: int | None,
    random_state: int,
) -> Problem:
    """Check what came, and split the queries.

    Parameters
    ----------
    X, queries, qrels, filters, ids, query_ids, k, metric, n_jobs, random_state
        As in `vectorloom.tune`.

    Returns
    -------
    Problem

    Raises
    ------
    ShapeError, ParameterError
    """
    rows = as_dense(X)
    names = as_ids(ids, len(rows))
    least = max(FEWEST_ROWS, k + 2)
    if len(rows) < least:
        raise ShapeError(
            f"X has {len(rows)} rows; at least {least} are needed to tune for k={k}. Of so few any "
            "index is as good: use vl.index.Exact."
        )
    _refuse_equal(rows)
    if metric == "cosine":
        refuse_zero(rows, "X")
    rng = np.random.default_rng(random_state)
    if queries is None:
        if qrels is not None or query_ids is not None:
            raise ParameterError("qrels and query_ids are about queries; pass queries too.")
        base, asked, wanted = _held_out(rows, names, filters, k, rng)
        n_asked, judgments = len(asked), None
    else:
        base, n_asked = rows, len(queries)
        asked = as_dense(queries, name="queries", dim=rows.shape[1])
        if metric == "cosine":
            refuse_zero(asked, "queries")
        wanted = None if filters is None else Filters.read(filters, names, len(asked))
        asked_ids = as_ids(query_ids, len(asked), name="query_ids")
        judgments = None if qrels is None else Judgments.read(qrels, names, asked_ids, k)
    order = rng.permutation(len(asked))
    if judgments is not None:
        order = order[judgments.is_judged[order]]
    if len(order) < FEWEST_QUERIES:
        raise ShapeError(
            f"{len(order)} {'judged ' if judgments else ''}queries cannot be split into some to "
            f"choose by and some to judge by; at least {FEWEST_QUERIES} are needed. Pass more, or "
            "none: rows then serve as queries."
        )
    n_tuned = min(MOST_TUNED, max(FEWEST_QUERIES // 2, round(_TUNED_SHARE * len(order))))
    parts = (order[:n_tuned], order[n_tuned : n_tuned + MOST_HELD])
    tuned, held = (
        Asked(
            name,
            asked[part],
            None if wanted is None else wanted.of_queries(part),
            None if judgments is None else judgments.of_queries(part),
        )
        for name, part in zip(("tuned on", "held out"), parts, strict=True)
    )
    return Problem(
        base=base,
        tuned=tuned,
        held=held,
        metric=metric,
        k=k,
        source=GIVEN if queries is not None else HELD_OUT,
        is_whole=_is_whole(rows),
        n_given=len(rows),
        n_queries_given=n_asked,
        n_jobs=n_jobs,
        random_state=random_state,
    )


def _held_out(
    rows: Floats, names: NDArray[Any], filters: Any, k: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Filters | None]:
    n_out = min(MOST_TUNED + MOST_HELD, max(FEWEST_QUERIES, len(rows) // 10))
    order = rng.permutation(len(rows))
    keep = np.sort(order[n_out:])
    wanted = None
    if filters is not None:
        wanted = Filters.read(filters, names, None).of_rows(keep)
    return rows[keep], rows[order[:n_out]], wanted


def _refuse_equal(rows: Floats) -> None:
    step = max(1, len(rows) // 4096)
    if (rows[::step] == rows[0]).all() and (rows == rows[0]).all():
        raise ParameterError(
            f"all {len(rows)} rows of X are equal: every row is as near as any other, and there is "
            "nothing to tune. Check how the vectors were made."
        )


def refuse_zero(rows: Floats, name: str) -> None:
    """Refuse rows of zeros, which have no cosine.

    Raises
    ------
    ParameterError
    """
    zero = ~rows.any(axis=1)
    if zero.any():
        raise ParameterError(
            f"{name} has {int(zero.sum())} zero rows, first {int(np.argmax(zero))}; they have no "
            "cosine. Drop them, or choose metric='ip' or 'l2'."
        )


def _is_whole(rows: Floats) -> bool:
    for start in range(0, len(rows), 16_384):
        part = rows[start : start + 16_384]
        if part.min() < 0 or part.max() > 255 or (part != np.rint(part)).any():
            return False
    return True
