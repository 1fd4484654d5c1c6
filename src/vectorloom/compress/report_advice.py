# SPDX-License-Identifier: Apache-2.0
"""The report card in words: what the numbers may not be trusted for, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vectorloom.compress.report_chart import CODEBOOKS, family_of
from vectorloom.compress.report_measuring import RECHECK, ReportRow
from vectorloom.compress.report_truth import (
    GIVEN,
    Doubles,
    Floats,
    Truth,
    names_of,
    rounded,
    share_text,
)
from vectorloom.readable import format_seconds

GOOD_RECALL = 0.95
SMALL_NDCG_LOSS = 0.01

_FEW_QUERIES = 200
_PROBED_ROWS = 3000
_PROBED_QUERIES = 200
# Real vectors have a tenth neighbour far nearer than shuffled columns give; measured between 0.4
# and 0.92 times that on sentences, words, images, cells and descriptors; 1 on independent columns.
_RANDOM_ABOVE = 0.97
_NORMS_DIFFER = 0.01
_MANY_DUPLICATES = 0.001
_MOST_DOMINATED = 6
# Fewer rows a codeword than this make k-means fit its sample; the usual rule of thumb.
_ROWS_A_CODEWORD = 39


def warnings_about(truth: Truth, random_state: int, names: Sequence[str] = ()) -> list[str]:
    """Say what in the data makes the figures mean less than they seem to.

    Parameters
    ----------
    truth : Truth
    random_state : int
    names : sequence of str, default=()
        Of the methods that were measured.

    Returns
    -------
    list of str
    """
    rng = np.random.default_rng(random_state)
    found = [
        _looks_random(truth, rng),
        _from_the_corpus(truth),
        _few_queries(truth),
        _lengths(truth),
        _duplicates(truth.base),
        _few_rows(truth, names),
        _sampled(truth),
    ]
    return [text for text in found if text]


def neighbour_contrast(
    rows: Floats, rng: np.random.Generator, metric: str = "l2"
) -> tuple[float, float]:
    """How near the tenth neighbour is, in the vectors and in a copy with shuffled columns.

    Parameters
    ----------
    rows : ndarray of shape (n, dim), float32
        At least 200.
    rng : Generator
    metric : str, default="l2"
        Under ``"cosine"`` rows are made unit length first.

    Returns
    -------
    own, shuffled : float
        Median over rows of (distance to the tenth neighbour) / (median distance). Shuffling each
        column by itself keeps every dimension's values and destroys what they say together.
    """
    n_asked = min(_PROBED_QUERIES, len(rows) // 4)
    chosen = rows[rng.permutation(len(rows))[: _PROBED_ROWS + n_asked]].astype(np.float64)
    if metric == "cosine":
        chosen /= np.linalg.norm(chosen, axis=1, keepdims=True)
    shuffled = np.column_stack([rng.permutation(column) for column in chosen.T])
    contrasts = []
    for values in (chosen, shuffled):
        asked, rest = values[:n_asked], values[n_asked:]
        squares = (asked**2).sum(axis=1)[:, None] + (rest**2).sum(axis=1) - 2 * asked @ rest.T
        distances = np.sqrt(np.maximum(squares, 0.0))
        tenth = np.partition(distances, 9, axis=1)[:, 9]
        middle = np.maximum(np.median(distances, axis=1), 1e-30)
        contrasts.append(float(np.median(tenth / middle)))
    return contrasts[0], contrasts[1]


def advise(rows: Sequence[ReportRow], truth: Truth, exact_ndcg: Doubles) -> list[str]:
    """Say in sentences which methods to take and which never.

    Parameters
    ----------
    rows : sequence of ReportRow
        Smallest first.
    truth : Truth
    exact_ndcg : ndarray of shape (n_queries,), float64

    Returns
    -------
    list of str
    """
    if not rows:
        return ["No method could be measured; the reasons are listed."]
    full = 4 * truth.base.shape[1]
    depth = RECHECK[0] * truth.k
    recheck = f"after re-check of the best {depth} with the exact vectors"
    said = [
        _smallest(rows, full, truth, "recall_4k", recheck),
        _smallest(rows, full, truth, "recall", "from the codes alone"),
    ]
    if truth.judged is not None:
        said.append(_smallest_ndcg(rows, full))
    said += _winners(rows, truth)
    said += _dominated(rows, truth)
    said.append(_speeds(rows))
    return [text for text in said if text]


def _looks_random(truth: Truth, rng: np.random.Generator) -> str:
    if len(truth.base) < 200:
        return ""
    own, shuffled = neighbour_contrast(truth.base, rng, truth.metric)
    if own < _RANDOM_ABOVE * shuffled:
        return ""
    return (
        f"The vectors look random: a tenth neighbour is at {own:.2f} of the median distance, and "
        f"at {shuffled:.2f} in a copy whose columns were shuffled. Without neighbours to keep, "
        "recall here says nothing about real vectors; measure on those."
    )


def _from_the_corpus(truth: Truth) -> str:
    best = truth.exact_scores(truth.ids[:, :1])[:, 0].astype(np.float64)
    if truth.metric == "cosine":
        same = best >= 1 - 1e-6
    elif truth.metric == "l2":
        size = np.einsum("ij,ij->i", truth.queries, truth.queries)
        same = -best <= 1e-10 * np.maximum(size, 1e-30)
    else:
        nearest = truth.base[truth.ids[:, 0]]
        same = (nearest == truth.queries).all(axis=1)
    share = float(same.mean())
    if share < 0.05:
        return ""
    where = (
        "The queries were drawn from the corpus"
        if truth.source == GIVEN
        else "Many held-out rows have an exact copy among the others"
    )
    return (
        f"{where}: {share:.0%} of them equal a row. Each finds itself first, which flatters every "
        "method; use queries as your users ask them."
    )


def _few_queries(truth: Truth) -> str:
    n = len(truth.queries)
    if n >= _FEW_QUERIES:
        return ""
    half = 1.96 * 0.5 / np.sqrt(n)
    return (
        f"Only {n} queries: shares are uncertain by up to ± {half:.2f}, so small differences mean "
        "nothing. A few hundred queries or more tell methods apart."
    )


def _lengths(truth: Truth) -> str:
    if truth.metric != "cosine":
        return ""
    norms = np.sqrt(np.einsum("ij,ij->i", truth.base, truth.base, dtype=np.float64))
    spread = float(norms.std() / norms.mean())
    if spread < _NORMS_DIFFER:
        return ""
    return (
        f"The vectors differ in length (by {spread:.0%}) and the metric is cosine, which ignores "
        "length; codes spend bits on it. Make rows unit length before compressing, or choose "
        "metric='ip' if length has a meaning."
    )


def _duplicates(base: Floats) -> str:
    packed = np.ascontiguousarray(base).view(np.dtype((np.void, base.shape[1] * 4)))
    share = 1 - len(np.unique(packed)) / len(base)
    if share < _MANY_DUPLICATES:
        return ""
    return (
        f"{share:.1%} of the rows are exact copies of others. Any copy counts as found, so nobody "
        "loses by it, but k neighbours may be fewer things than they seem."
    )


def _few_rows(truth: Truth, names: Sequence[str]) -> str:
    n = len(truth.base)
    if n >= _ROWS_A_CODEWORD * 256 or not any(family_of(name) == CODEBOOKS for name in names):
        return ""
    return (
        f"Codebooks of 256 codewords were learned from the same {n:,} rows that they encode, "
        f"{n // 256} a codeword, and so know them partly by heart. Rows added later, and larger "
        "collections, lose more than is shown for pq, opq and rq."
    )


def _sampled(truth: Truth) -> str:
    n = len(truth.base)
    said = []
    if truth.source != GIVEN:
        said.append(
            f"No queries were given: {len(truth.queries):,} rows were held out and serve as "
            "queries. Real queries often lie elsewhere than the rows; give some if you can."
        )
    elif len(truth.queries) < truth.n_queries_given:
        said.append(
            f"A random {len(truth.queries):,} of {truth.n_queries_given:,} queries are asked."
        )
    rest = truth.n_given - (len(truth.queries) if truth.source != GIVEN else 0)
    if n < rest:
        said.append(
            f"A random {n:,} of {rest:,} rows are searched. Among more rows neighbours stand "
            "closer, so expect lower recall from the codes alone."
        )
    return " ".join(said)


def _smallest(rows: Sequence[ReportRow], full: int, truth: Truth, field: str, how: str) -> str:
    good = [row for row in rows if getattr(row, field) >= GOOD_RECALL]
    if not good:
        best = max(rows, key=lambda row: float(getattr(row, field)))
        return (
            f"None keeps recall@{truth.k} ≥ {GOOD_RECALL:g} {how}; the best is {best.name} "
            f"({best.bytes_per_vector} bytes) with {getattr(best, field):.3f}."
        )
    size = min(row.bytes_per_vector for row in good)
    row = max(
        (row for row in good if row.bytes_per_vector == size),
        key=lambda row: float(getattr(row, field)),
    )
    low, high = getattr(row, f"{field}_interval")
    return (
        f"The smallest that keeps recall@{truth.k} ≥ {GOOD_RECALL:g} {how} is {row.name}: "
        f"{size} bytes a vector, {full / size:.1f}× smaller than float32, recall "
        f"{share_text(getattr(row, field))} (95 % interval {low:.3f} to {high:.3f})."
    )


def _smallest_ndcg(rows: Sequence[ReportRow], full: int) -> str:
    good = [row for row in rows if row.ndcg_loss <= SMALL_NDCG_LOSS]
    if not good:
        return f"None loses less than {SMALL_NDCG_LOSS:.0%} of nDCG@10 from the codes alone."
    row = min(good, key=lambda row: (row.bytes_per_vector, row.ndcg_loss))
    low, high = row.ndcg_loss_interval
    return (
        f"The smallest that loses at most {SMALL_NDCG_LOSS:.0%} of nDCG@10 from the codes alone is "
        f"{row.name}: {row.bytes_per_vector} bytes, {full / row.bytes_per_vector:.1f}× smaller, "
        f"loss {row.ndcg_loss:.2%} (95 % interval {low:.2%} to {high:.2%})."
    )


def _winners(rows: Sequence[ReportRow], truth: Truth) -> list[str]:
    """Name the best of each budget, and those that cannot be told from it on these queries."""
    said = []
    for budget in sorted({row.budget for row in rows if row.budget is not None}):
        rivals = [row for row in rows if row.budget == budget]
        best = max(rivals, key=lambda row: row.recall)
        if len(rivals) < 2:
            continue
        equal = [row.name for row in rivals if row is not best and not _beats(best, row, truth)]
        tail = f"; {names_of(equal)} cannot be told from it" if equal else ""
        said.append(
            f"Of {len(rivals)} methods within {budget} bytes, {best.name} finds the most: recall "
            f"{share_text(best.recall)} from the codes alone, {share_text(best.recall_4k)} after "
            f"re-check{tail}."
        )
    return said


def _beats(better: ReportRow, row: ReportRow, truth: Truth) -> bool:
    """Whether the recall of one exceeds the other's beyond chance, query by query."""
    return truth.interval(better.found - row.found)[0] > 0


def _dominated(rows: Sequence[ReportRow], truth: Truth) -> list[str]:
    """Methods that another beats in recall, before and after re-check, with no more bytes."""
    losers: dict[str, list[str]] = {}
    for row in rows:
        rivals = [
            other
            for other in rows
            if other.bytes_per_vector <= row.bytes_per_vector
            and other.recall_4k >= row.recall_4k
            and _beats(other, row, truth)
        ]
        if rivals:
            best = max(rivals, key=lambda other: other.recall)
            losers.setdefault(best.name, []).append(row.name)
    most = sorted(losers.items(), key=lambda pair: -len(pair[1]))[:_MOST_DOMINATED]
    return [
        f"{winner} dominates {names_of(beaten)}: no more bytes, more found before and after "
        "re-check."
        for winner, beaten in most
    ]


def _speeds(rows: Sequence[ReportRow]) -> str:
    if len(rows) < 2:
        return ""
    fast = max(rows, key=lambda row: row.compare_rows_per_s)
    slow = max(rows, key=lambda row: row.fit_s)
    encode = min(rows, key=lambda row: row.encode_rows_per_s)
    return (
        f"Fastest to compare on one thread: {fast.name}, {rounded(fast.compare_rows_per_s)} "
        f"rows/s. Slowest to fit: {slow.name}, {format_seconds(slow.fit_s)}; slowest to encode: "
        f"{encode.name}, {rounded(encode.encode_rows_per_s)} rows/s."
    )
