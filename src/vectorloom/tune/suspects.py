# SPDX-License-Identifier: Apache-2.0
"""What makes a measurement mislead: random vectors, queries that are rows, queries of another kind.

    nearer = median d_1(X) / median d_1(noise of X's mean and covariance)

is 1 for rows that are noise, and well below where they gather, as vectors of real things do. Noise
needs far more effort for the same recall than anything that was embedded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.compressor import unit
from vectorloom.select.neighbours import nearest_others, nearest_to
from vectorloom.tune.problem import HELD_OUT, Problem

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_ROWS, _PROBES = 8192, 400
_NOISE = 0.93
_FEWEST_DIMS = 4
_SAME, _COPIES = 1e-5, 0.05
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
    rng = np.random.default_rng(problem.random_state)
    rows = problem.base[np.sort(rng.permutation(len(problem.base))[:_ROWS])]
    if problem.metric == "cosine":
        rows = unit(rows)
    own = _among_rows(rows, problem)
    if _looks_random(rows, own, rng, problem.n_jobs):
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
        found += _about_queries(problem, rows, own)
    if len(problem.held) < _FEW:
        found.append(
            f"Only {len(problem.held)} queries judge: intervals are wide, and a cheap recipe may "
            "be passed over because so few cannot prove it. Pass more queries."
        )
    return found


def _about_queries(problem: Problem, rows: Floats, own: Doubles) -> list[str]:
    asked = problem.tuned.queries[:_PROBES]
    if problem.metric == "cosine":
        asked = unit(asked)
    copies = _share_of_copies(problem, asked)
    found = []
    if copies > _COPIES:
        found.append(
            f"{100 * copies:.0f} % of the queries are rows of X: a search finds them at once. New "
            "queries will do worse than is said here; tune with queries that are not in X."
        )
    lengths = np.sqrt(np.maximum(-nearest_to(asked, rows, 1, n_jobs=problem.n_jobs)[1][:, 0], 0))
    # The chance that a query lies further from the rows than a row does from the others.
    ranks = np.searchsorted(np.sort(own), lengths)
    further = float(ranks.mean()) / max(1, len(own))
    if further > _SHIFT:
        found.append(
            f"Queries lie further from the rows than rows from each other ({100 * further:.0f} % "
            "of the pairs): what an index measures on its own rows does not hold for them. The "
            "efforts here were measured on the queries; tune again when the queries change."
        )
    return found


def _share_of_copies(problem: Problem, asked: Floats) -> float:
    base = unit(problem.base) if problem.metric == "cosine" else problem.base
    scores = nearest_to(asked, base, 1, n_jobs=problem.n_jobs)[1][:, 0]
    size = float(np.einsum("ij,ij->i", asked, asked, dtype=np.float64).mean())
    return float((-scores <= _SAME * max(size, 1e-12)).mean())


def _among_rows(rows: Floats, problem: Problem) -> Doubles:
    probes = np.arange(min(_PROBES, len(rows)), dtype=np.int64)
    scores = nearest_others(rows, probes, 1, n_jobs=problem.n_jobs)[1][:, 0]
    return np.asarray(np.sqrt(np.maximum(-scores, 0.0)))


def _looks_random(rows: Floats, own: Doubles, rng: np.random.Generator, n_jobs: int | None) -> bool:
    n, dim = rows.shape
    if dim < _FEWEST_DIMS or n < 4 * dim:
        return False
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean
    values, vectors = np.linalg.eigh(centred.T.astype(np.float64) @ centred / n)
    noise = rng.standard_normal((n, dim)) * np.sqrt(np.maximum(values, 0.0))
    made = np.ascontiguousarray(noise @ vectors.T + mean, np.float32)
    if np.allclose(np.einsum("ij,ij->i", rows, rows), 1.0, atol=1e-3):
        made = unit(made)
    probes = np.arange(len(own), dtype=np.int64)
    lengths = np.sqrt(np.maximum(-nearest_others(made, probes, 1, n_jobs=n_jobs)[1][:, 0], 0.0))
    return float(np.median(own)) >= _NOISE * float(np.median(lengths))
