# SPDX-License-Identifier: Apache-2.0
"""What makes a tuning mislead: random rows, queries that are rows, queries of another kind.

`vectorloom.measure.structure` tells whether rows gather more than noise of the same covariance, and
`vectorloom.measure.query_shift` where queries lie beside rows; here is what follows for a tuning.
"""

from __future__ import annotations

from vectorloom.measure.contrast import structure
from vectorloom.measure.query_distance import query_shift
from vectorloom.tune.problem import HELD_OUT, Problem

_ROWS, _QUERIES = 4096, 500
_FEWEST_ROWS = 200
_COPIES = 0.05
_SHIFT = 0.8
_FEW = 100


def suspicions(problem: Problem) -> list[str]:
    """Return warnings about rows and queries, in words.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    list of str
    """
    found = []
    if _looks_random(problem):
        found.append(
            "The rows look like random vectors: none lies nearer to its neighbours than noise of "
            "the same covariance does. Random data needs far more effort than embeddings of real "
            "things, so do not tune on it for them."
        )
    if problem.source == HELD_OUT:
        found.append(
            f"There were no queries: {len(problem.tuned) + len(problem.held):,} rows were taken "
            "out and served as queries. Real queries may be harder to answer; pass some."
        )
    else:
        found += _about_queries(problem)
    judgments = problem.held.judgments
    if judgments is not None and judgments.unknown:
        found.append(
            f"{len(judgments.unknown):,} ids that qrels call relevant are no rows of X, first "
            f"{judgments.unknown[0]!r}: no search can find them. Check the ids if they should be."
        )
    if len(problem.held) < _FEW:
        found.append(
            f"Only {len(problem.held)} queries judge: intervals are wide, and a cheap recipe may "
            "be passed over because so few cannot prove it. Pass more queries."
        )
    return found


def _geometry(problem: Problem) -> str:
    """Return the metric in which distances are looked at: inner products have none."""
    return "cosine" if problem.metric == "cosine" else "l2"


def _looks_random(problem: Problem) -> bool:
    n, dim = problem.base.shape
    if n < max(_FEWEST_ROWS, 4 * dim):
        return False
    made = structure(
        problem.base,
        min(10, problem.k),
        metric=_geometry(problem),
        sample=_ROWS,
        random_state=problem.random_state,
        n_jobs=problem.n_jobs,
    )
    return made.is_random


def _about_queries(problem: Problem) -> list[str]:
    shift = query_shift(
        problem.base,
        problem.tuned.queries,
        metric=_geometry(problem),
        sample=_QUERIES,
        random_state=problem.random_state,
        n_jobs=problem.n_jobs,
    )
    found = []
    if shift.in_rows > _COPIES:
        found.append(
            f"{100 * shift.in_rows:.0f} % of the queries are rows of X: a search finds them at "
            "once. New queries will do worse than is said here; tune with queries that are not in "
            "X."
        )
    if shift.auc > _SHIFT:
        found.append(
            f"Queries lie further from the rows than rows from each other ({100 * shift.auc:.0f} % "
            "of the pairs): what an index measures on its own rows does not hold for them. The "
            "efforts here were measured on the queries; tune again when the queries change."
        )
    return found
