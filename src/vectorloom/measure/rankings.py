# SPDX-License-Identifier: Apache-2.0
"""Runs of all queries at once: where trec_eval would rank the judged among what was returned.

    key  = query * 2^32 + (2^32 - 1 - place of the score among all float32 numbers)
    rank = 1 + returned documents of the query with a smaller key, or an equal one and a larger id

Scores are compared in float32, which is what trec_eval keeps. All keys are sorted at once; ids,
which are text, are compared only where a judged document has the key of another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set, Sized
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]

_SIGN = np.uint32(1 << 31)
_LAST = np.uint64(2**64 - 1)


@dataclass(frozen=True, eq=False)
class Rankings:
    """Rankings of queries 0, 1, … n - 1, seen through their judgments.

    A hit is a document that was returned and judged, with a grade of 0 or more: below 0 trec_eval
    takes it for outside the pool. Hits are in the order of queries, then ranks.

    Attributes
    ----------
    n_returned, n_relevant, n_other : ndarray of shape (n,), int64
        Documents of each query that were returned; judged and relevant; judged and not.
    queries, ranks : ndarray of shape (n_hits,), int64
        Whose a hit is, and its rank from 1 among all that was returned.
    relevant : ndarray of shape (n_hits,), bool
    gains : ndarray of shape (n_hits,), float64
    ideal_queries, ideal_ranks, ideal_gains : ndarray of shape (n_worth,)
        The judged documents that have a gain, as the best ranking has them.
    """

    n_returned: Ints
    n_relevant: Ints
    n_other: Ints
    queries: Ints
    ranks: Ints
    relevant: NDArray[np.bool_]
    gains: Doubles
    ideal_queries: Ints
    ideal_ranks: Ints
    ideal_gains: Doubles

    def __len__(self) -> int:
        return len(self.n_returned)

    def sums(self, hits: Ints, values: Doubles | None = None) -> Doubles:
        """Return, for each query, the sum of a value over some of its hits, or their number."""
        return np.bincount(self.queries[hits], values, len(self)).astype(np.float64)


def read_rankings(
    names: Sequence[str],
    judgments: Sequence[dict[str, int]],
    answers: Sequence[dict[str, float]],
    level: int,
    gain: Callable[[int], float],
) -> Rankings:
    """Rank what was returned for each query, and look it up in its judgments.

    Parameters
    ----------
    names : sequence of str
        Of the queries; used in messages.
    judgments : sequence of dict of str to int
        Document to grade, one dict a query.
    answers : sequence of dict of str to float
        Document to score, one dict a query.
    level : int
        Grades from here on are relevant; 0 or more.
    gain : callable
        From a grade to its gain; called for grades above 0 only.

    Returns
    -------
    Rankings

    Raises
    ------
    ParameterError
        A score is NaN or no number, or a grade is beyond 64 bits.
    """
    n = len(names)
    n_returned, n_judged = _lengths(answers), _lengths(judgments)
    judged = _whole(chain.from_iterable(row.values() for row in judgments))
    judged_in = np.repeat(np.arange(n), n_judged)
    kinds = np.unique(judged[judged > 0])
    worth = np.array([gain(int(kind)) for kind in kinds], np.float64)

    both = [row.keys() & found.keys() for row, found in zip(judgments, answers, strict=True)]
    grades = _whole(row[d] for row, some in zip(judgments, both, strict=True) for d in some)
    queries, ranks = _ranked(names, answers, both, n_returned)
    order = np.lexsort((ranks, queries))
    order = order[grades[order] >= 0]
    grades = grades[order]
    gains = np.zeros(len(grades))
    gains[grades > 0] = worth[np.searchsorted(kinds, grades[grades > 0])]
    ideal_queries, ideal_ranks, ideal_gains = _ideal(judged_in, judged, kinds, worth)
    return Rankings(
        n_returned=n_returned,
        n_relevant=np.bincount(judged_in[judged >= level], minlength=n),
        n_other=np.bincount(judged_in[(judged >= 0) & (judged < level)], minlength=n),
        queries=queries[order],
        ranks=ranks[order],
        relevant=grades >= level,
        gains=gains,
        ideal_queries=ideal_queries,
        ideal_ranks=ideal_ranks,
        ideal_gains=ideal_gains,
    )


def _ranked(
    names: Sequence[str],
    answers: Sequence[dict[str, float]],
    wanted: Sequence[Set[str]],
    n_returned: Ints,
) -> tuple[Ints, Ints]:
    """Return query and rank of each wanted document, in the order in which the sets name them."""
    scores = _scores(names, answers, int(n_returned.sum()))
    held = _keys(scores, np.repeat(np.arange(len(names)), n_returned))
    queries = np.repeat(np.arange(len(names)), _lengths(wanted))
    few = [row[document] for row, some in zip(answers, wanted, strict=True) for document in some]
    mine = _keys(_single(np.array(few, np.float64)), queries)
    order = _order(held, n_returned)
    keys = held[order]
    first, beyond = np.searchsorted(keys, mine), np.searchsorted(keys, mine, side="right")
    ranks = first - (np.cumsum(n_returned) - n_returned)[queries] + 1
    tied = np.flatnonzero(beyond - first > 1)
    if len(tied):
        documents = list(chain.from_iterable(answers))
        asked = list(chain.from_iterable(wanted))
        order_of: dict[int, dict[str, int]] = {}
        places = []
        for at, start, stop in zip(
            tied.tolist(), first[tied].tolist(), beyond[tied].tolist(), strict=True
        ):
            if start not in order_of:
                run = sorted([documents[i] for i in order[start:stop].tolist()], reverse=True)
                order_of[start] = {document: place for place, document in enumerate(run)}
            places.append(order_of[start][asked[at]])
        ranks[tied] += places
    return queries, ranks


def _order(keys: NDArray[np.uint64], counts: Ints) -> Ints:
    """Return the order of keys that are in the order of queries already.

    Queries of like length are sorted side by side, which is quicker than all keys in one row.
    """
    order = np.empty(len(keys), np.int64)
    starts = np.cumsum(counts) - counts
    doublings = np.frexp(counts)[1]
    for size in np.unique(doublings[counts > 0]):
        some = np.flatnonzero(doublings == size)
        places = np.arange(counts[some].max())
        held = places < counts[some, None]
        at = np.where(held, starts[some, None] + places, 0)
        ranked = np.argsort(np.where(held, keys[at], _LAST), axis=1)
        order[at[held]] = (starts[some, None] + ranked)[held]
    return order


def _keys(scores: NDArray[np.float32], queries: Ints) -> NDArray[np.uint64]:
    bits = (scores + np.float32(0)).view(np.uint32)  # -0 is 0
    ascending = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return queries.astype(np.uint64) << np.uint64(32) | ~ascending


def _single(scores: Doubles) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return scores.astype(np.float32)


def _scores(
    names: Sequence[str], answers: Sequence[dict[str, float]], count: int
) -> NDArray[np.float32]:
    try:
        every = chain.from_iterable(row.values() for row in answers)
        scores = _single(np.fromiter(every, np.float64, count))
    except (TypeError, ValueError):
        bad = next(name for name, row in zip(names, answers, strict=True) if not _numbers(row))
        raise ParameterError(f"run has scores of query {bad!r} that are no numbers.") from None
    if np.isnan(scores).any():
        at = int(np.argmax(np.isnan(scores)))
        pairs = [(name, d) for name, row in zip(names, answers, strict=True) for d in row]
        raise ParameterError(
            f"run has a NaN score for document {pairs[at][1]!r} of query {pairs[at][0]!r}."
        )
    return scores


def _numbers(row: dict[str, Any]) -> bool:
    try:
        np.fromiter(row.values(), np.float64, len(row))
    except (TypeError, ValueError):
        return False
    return True


def _lengths(parts: Sequence[Sized]) -> Ints:
    return np.fromiter(map(len, parts), np.int64, len(parts))


def _whole(grades: Any) -> Ints:
    try:
        return np.fromiter(grades, np.int64)
    except OverflowError:
        raise ParameterError("qrels have a grade beyond 64 bits; give smaller ones.") from None


def _ideal(queries: Ints, grades: Ints, kinds: Ints, worth: Doubles) -> tuple[Ints, Ints, Doubles]:
    """Return query, rank and gain of what is worth something, the largest gain first."""
    best = np.argsort(-worth)
    place = np.empty(len(best), np.int64)
    place[best] = np.arange(len(best))
    some = grades > 0
    keys = queries[some] * len(best) + place[np.searchsorted(kinds, grades[some])]
    keys.sort()
    owner, which = np.divmod(keys, max(1, len(best)))
    return owner, _ranks(np.bincount(owner)), worth[best][which]


def _ranks(counts: Ints) -> Ints:
    """Return 1, 2, … of each query, one query after the other."""
    starts = np.cumsum(counts) - counts
    return np.arange(1, int(counts.sum()) + 1) - np.repeat(starts, counts)
