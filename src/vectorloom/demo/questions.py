# SPDX-License-Identifier: Apache-2.0
"""Known-item retrieval: the first sentence of a docstring is to find the rest of it.

A query is the first sentence, its target the rest of the same docstring; the object's own name and
the one before it (its class or module) are cut from both, so that no name gives the answer away.
The corpus is the rest of every passage. One query has one right answer, so the measures are simple:

    reciprocal rank = 1 / rank              nDCG = 1 / log2(1 + rank)           0 beyond place 10
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.demo.passages import Passage

_WORD = re.compile(r"[^\W\d_]{2,}")
_RUN = re.compile(r"\w+")
_MIN_QUERY_WORDS = 4
_MIN_TARGET_WORDS = 20
_RRF_K = 60  # the constant of Cormack, Clarke and Buettcher (2009)
_N_BOOTSTRAP = 2_000


@dataclass(frozen=True, slots=True)
class KnownItems:
    """A retrieval task with one right answer a query.

    Attributes
    ----------
    queries : list of str
        First sentences, without the object's names.
    targets : ndarray of shape (n_queries,), int64
        Position of each query's answer in `corpus`.
    corpus : list of str
        Rest of each passage, without the object's names.
    """

    queries: list[str]
    targets: NDArray[np.int64]
    corpus: list[str]


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over the queries, each with the bounds of its 95 % bootstrap interval."""

    method: str
    n_queries: int
    mrr_at_10: float
    mrr_interval: tuple[float, float]
    ndcg_at_10: float
    ndcg_interval: tuple[float, float]
    found_at_10: float

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data."""
        return asdict(self)


def known_items(
    passages: Sequence[Passage], *, n_queries: int = 2_000, random_state: int = 0
) -> KnownItems:
    """Draw known-item queries from passages that can have exactly one right answer.

    Left out as queries (never from the corpus): topics, first sentences of fewer than 4 words or
    with a target of fewer than 20, and sentences or targets that occur twice.
    """
    kept = [p for p in passages if p.body]
    corpus = [without_names(p.body, p) for p in kept]
    sentences = [without_names(p.summary, p) for p in kept]
    times_asked = Counter(_words(s) for s in sentences)
    times_told = Counter(corpus)
    candidates = [
        i
        for i, p in enumerate(kept)
        if p.kind != "topic"
        and len(_words(sentences[i])) >= _MIN_QUERY_WORDS
        and len(_words(corpus[i])) >= _MIN_TARGET_WORDS
        and times_asked[_words(sentences[i])] == 1
        and times_told[corpus[i]] == 1
    ]
    draw = np.random.default_rng(random_state).permutation(len(candidates))[:n_queries]
    targets = np.asarray(sorted(candidates[i] for i in draw), dtype=np.int64)
    return KnownItems([sentences[i] for i in targets], targets, corpus)


def without_names(text: str, passage: Passage) -> str:
    """Cut the object's own name, and its class's or module's, wherever they are whole words."""
    lower = text.lower()
    # Most texts hold none of their names, and looking for a substring costs a tenth of a pattern.
    names = {name for name in passage.title.lower().split(".")[-2:] if name in lower}
    if names:
        text = _RUN.sub(lambda run: " " if run.group().lower() in names else run.group(), text)
    return text.strip()


def ranks(found: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place (from 1) of each query's target in its row of positions; 0 where it is absent."""
    hit = found == targets[:, None]
    return np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, 0)


def measure(
    method: str, found: NDArray[np.int64], targets: NDArray[np.int64], *, random_state: int = 0
) -> Quality:
    """Score ranked positions (n_queries, >= 10) against the one right position of each query."""
    place = ranks(found[:, :10], targets).astype(np.float64)
    reciprocal, gain = np.zeros_like(place), np.zeros_like(place)
    np.divide(1.0, place, out=reciprocal, where=place > 0)
    np.divide(1.0, np.log2(1.0 + place), out=gain, where=place > 0)
    return Quality(
        method=method,
        n_queries=len(targets),
        mrr_at_10=float(reciprocal.mean()),
        mrr_interval=bootstrap_interval(reciprocal, random_state=random_state),
        ndcg_at_10=float(gain.mean()),
        ndcg_interval=bootstrap_interval(gain, random_state=random_state),
        found_at_10=float((place > 0).mean()),
    )


def bootstrap_interval(
    values: NDArray[np.float64], *, level: float = 0.95, random_state: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over queries."""
    random = np.random.default_rng(random_state)
    n = len(values)
    means = [values[random.integers(0, n, n)].mean() for _ in range(_N_BOOTSTRAP)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def fuse(*rankings: NDArray[np.int64], k: int = 10) -> NDArray[np.int64]:
    """Reciprocal rank fusion: sum of 1 / (60 + rank) over the rankings; ties by position.

    Rankings are (n_queries, depth) positions, padded with -1.
    """
    fused = np.full((len(rankings[0]), k), -1, dtype=np.int64)
    for row in range(len(fused)):
        score: dict[int, float] = {}
        for ranking in rankings:
            for rank, position in enumerate(ranking[row].tolist(), start=1):
                if position >= 0:
                    score[position] = score.get(position, 0.0) + 1.0 / (_RRF_K + rank)
        best = sorted(score, key=lambda position: (-score[position], position))[:k]
        fused[row, : len(best)] = best
    return fused


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))
