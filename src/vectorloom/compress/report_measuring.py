# SPDX-License-Identifier: Apache-2.0
"""One method of the report card: fit, encode, compare, and what was found.

Encoding and comparing are timed in CPU seconds of one thread, so that other work on the machine
does not count; fitting in seconds on the clock, with the threads that the caller allows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.report_truth import Doubles, Floats, Positions, Truth
from vectorloom.errors import VectorloomError

T = TypeVar("T")

# How many times k rows are scored again exactly; both are in the result.
RECHECK = (4, 10)
_WORST = 0.1
_SCORE_BYTES = 128 << 20
_SHORT_S = 0.25
_NAN = float("nan")
_NO_INTERVAL = (_NAN, _NAN)


@dataclass(frozen=True)
class ReportRow:
    """One method, measured; shares are between 0 and 1, intervals are 95 % bootstrap over queries.

    Parameters
    ----------
    name : str
        The recipe, as `vectorloom compress --recipe` takes it, or the estimator as printed.
    bytes_per_vector : int
    budget : int or None
        The smallest of the budgets that holds it; methods of one budget compete.
    recall : float
        Mean share of the true k among the best k by code.
    recall_interval : tuple of two floats
    recall_4k, recall_10k : float
        The same after re-check: the best 4 k (10 k) by code, scored again by the exact vectors.
    recall_4k_interval : tuple of two floats
    worst_decile, worst_decile_4k : float
        Mean recall of the tenth of the queries that fare worst, before and after re-check.
    ndcg, ndcg_4k : float
        nDCG@10 before and after re-check; NaN without qrels.
    ndcg_loss, ndcg_loss_4k : float
        The share of the exact vectors' nDCG@10 that is lost; below 0 where the codes do better.
    ndcg_loss_interval : tuple of two floats
    error : float
        Sum of |x - decoded|² over sum of |x - mean|²: the share of the variance that is lost. NaN
        where the method cannot decode.
    encode_rows_per_s, compare_rows_per_s : float
        A CPU second of one thread. Comparing: queries × rows, all queries in one call.
    fit_s : float
        Seconds on the clock.
    found, found_4k : ndarray of shape (n_queries,), float64
        Recall of each query, for paired comparisons.
    """

    name: str
    bytes_per_vector: int
    budget: int | None
    recall: float
    recall_interval: tuple[float, float]
    recall_4k: float
    recall_4k_interval: tuple[float, float]
    recall_10k: float
    worst_decile: float
    worst_decile_4k: float
    ndcg: float
    ndcg_4k: float
    ndcg_loss: float
    ndcg_loss_4k: float
    ndcg_loss_interval: tuple[float, float]
    error: float
    encode_rows_per_s: float
    compare_rows_per_s: float
    fit_s: float
    found: Doubles = field(repr=False, compare=False)
    found_4k: Doubles = field(repr=False, compare=False)


def measure(
    name: str,
    compressor: Any,
    truth: Truth,
    exact_ndcg: Doubles,
    train_queries: Floats | None,
    n_jobs: int | None,
) -> ReportRow:
    """Fit the method on the base, encode it, score the queries and judge.

    Parameters
    ----------
    name : str
    compressor : Compressor
        Fitted anew here; give a clone.
    truth : Truth
    exact_ndcg : ndarray of shape (n_queries,), float64
        nDCG@10 of the exact answer.
    train_queries : ndarray of shape (m, dim), float32, or None
        Other queries than those of `truth`, for methods that learn from some.
    n_jobs : int or None
        Threads of the fit.

    Returns
    -------
    ReportRow
        Its budget is None; `vectorloom.compress.report_methods` knows the budgets.
    """
    set_jobs(compressor, n_jobs)
    start = time.perf_counter()
    compressor.fit(truth.base, queries=train_queries)
    fit_s = time.perf_counter() - start
    set_jobs(compressor, 1)
    with one_thread():
        codes, encode_s = timed(lambda: compressor.transform(truth.base))
        candidates, compare_s = _candidates(compressor, codes, truth)
        error = reconstruction_error(compressor, codes, truth.base)
    exact = truth.exact_scores(candidates)
    found = _recalls(truth, exact, truth.k)
    found_4k = _recalls(truth, exact, RECHECK[0] * truth.k)
    found_10k = _recalls(truth, exact, RECHECK[1] * truth.k)
    by_code = truth.ndcg(candidates)
    again = truth.ndcg(_ranked(candidates, exact, max(11, RECHECK[0] * truth.k)))
    return ReportRow(
        name=name,
        bytes_per_vector=int(compressor.bytes_per_vector_),
        budget=None,
        recall=float(found.mean()),
        recall_interval=truth.interval(found),
        recall_4k=float(found_4k.mean()),
        recall_4k_interval=truth.interval(found_4k),
        recall_10k=float(found_10k.mean()),
        worst_decile=worst(found),
        worst_decile_4k=worst(found_4k),
        ndcg=_mean(by_code),
        ndcg_4k=_mean(again),
        ndcg_loss=_loss(by_code, exact_ndcg),
        ndcg_loss_4k=_loss(again, exact_ndcg),
        ndcg_loss_interval=_loss_interval(truth, by_code, exact_ndcg),
        error=error,
        encode_rows_per_s=len(truth.base) / max(encode_s, 1e-9),
        compare_rows_per_s=len(truth.base) * len(truth.queries) / max(compare_s, 1e-9),
        fit_s=fit_s,
        found=found,
        found_4k=found_4k,
    )


def best_by_score(scores: Floats, count: int) -> Positions:
    """Positions of the largest scores of each row, best first, equal ones by position.

    Parameters
    ----------
    scores : ndarray of shape (n_queries, n), float32
    count : int
        At most n.

    Returns
    -------
    ndarray of shape (n_queries, count), int64
    """
    best = np.empty((len(scores), count), np.int64)
    for i, row in enumerate(scores):
        least = np.partition(row, len(row) - count)[len(row) - count]
        # Codes of few bits tie by the hundred: what is above the last place, then ties in order.
        above, tied = np.flatnonzero(row > least), np.flatnonzero(row == least)
        near = np.concatenate([above, tied[: count - len(above)]])
        best[i] = near[np.argsort(-row[near], kind="stable")]
    return best


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Run it, short work twice; the answer and the least CPU seconds."""
    start = time.process_time()
    answer = work()
    took = time.process_time() - start
    if took < _SHORT_S:
        start = time.process_time()
        answer = work()
        took = min(took, time.process_time() - start)
    return answer, took


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep BLAS to one thread, as the core is kept by n_jobs."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


def set_jobs(compressor: Any, n_jobs: int | None) -> None:
    """Set n_jobs of an estimator and of those it is made of."""
    for name, value in vars(compressor).items():
        for part in value if isinstance(value, list | tuple) else (value,):
            if hasattr(part, "get_params") and not isinstance(part, type):
                set_jobs(part, n_jobs)
        if name == "n_jobs":
            setattr(compressor, name, n_jobs)


def reconstruction_error(compressor: Any, codes: Any, base: Floats) -> float:
    """Share of the variance that decoding loses; NaN where a method cannot decode.

    Parameters
    ----------
    compressor : Compressor
    codes : what it made of `base`
    base : ndarray of shape (n, dim), float32

    Returns
    -------
    float
    """
    try:
        decoded = np.asarray(compressor.inverse_transform(codes), np.float32)
    except (VectorloomError, NotImplementedError):
        return _NAN
    spread = base - base.mean(axis=0, dtype=np.float64).astype(np.float32)
    total = float(np.einsum("ij,ij->", spread, spread, dtype=np.float64))
    off = base - decoded
    lost = float(np.einsum("ij,ij->", off, off, dtype=np.float64))
    return lost / total if total > 0 else _NAN


def worst(found: Doubles) -> float:
    """Mean of the tenth of the queries that fare worst, at least one of them."""
    count = max(1, round(_WORST * len(found)))
    return float(np.sort(found)[:count].mean())


def _candidates(compressor: Any, codes: Any, truth: Truth) -> tuple[Positions, float]:
    """Return the best 10 k rows by code of each query, and the CPU seconds that scoring took."""
    n = len(truth.base)
    count = min(n, max(RECHECK[1] * truth.k, 11))
    step = max(1, _SCORE_BYTES // (4 * n))
    parts, seconds = [], 0.0
    for start in range(0, len(truth.queries), step):
        asked = truth.queries[start : start + step]

        def score(asked: Floats = asked) -> Any:
            return compressor.scores(asked, codes, metric=truth.metric)

        scores, took = timed(score)
        seconds += took
        parts.append(best_by_score(np.asarray(scores, np.float32), count))
    return np.concatenate(parts), seconds


def _recalls(truth: Truth, exact: Floats, depth: int) -> Doubles:
    """Share of the true k among the first `depth` candidates, a query."""
    reached = (exact[:, :depth] >= truth.least[:, None]).sum(axis=1)
    shares: NDArray[np.float64] = np.minimum(reached, truth.k) / truth.k
    return shares


def _ranked(candidates: Positions, exact: Floats, depth: int) -> Positions:
    order = np.argsort(-exact[:, :depth], axis=1, kind="stable")
    return np.take_along_axis(candidates[:, :depth], order, 1)


def _mean(values: Doubles) -> float:
    counted = values[np.isfinite(values)]
    return float(counted.mean()) if len(counted) else _NAN


def _loss(values: Doubles, exact: Doubles) -> float:
    reference = _mean(exact)
    return (reference - _mean(values)) / reference if reference > 0 else _NAN


def _loss_interval(truth: Truth, values: Doubles, exact: Doubles) -> tuple[float, float]:
    """Interval of the paired difference, as a share of the exact mean."""
    reference = _mean(exact)
    if not reference > 0:
        return _NO_INTERVAL
    low, high = truth.interval(exact - values)
    return low / reference, high / reference
