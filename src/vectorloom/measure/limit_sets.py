# SPDX-License-Identifier: Apache-2.0
"""Retrieval sets that no vectors of few dimensions can serve: every k-subset is an answer.

n documents are people, each query asks who likes one thing, and the k people who like it are a
subset of their own; all C(n, k) subsets, or as many as are asked for, have their query [1]_. Words
are trivial: what is hard is the number of combinations.

.. [1] O. Weller et al., "On the theoretical limitations of embedding-based retrieval", 2025,
   arXiv:2508.21038.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import comb

import numpy as np

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.measure.capacity import all_subsets
from vectorloom.measure.result import Result

_ONSETS = "b br d dr f g gl k kl l m n p pr r s st t tr v z".split()
_VOWELS = "a e i o u".split()
_NAMES = (
    "Ada Ben Cleo Dan Eva Finn Gia Hugo Ida Jon Kira Leo Mia Nils Olga Paul Qing Rosa Sam Tess Uma "
    "Vic Wanda Xeni Yara Zoe"
).split()


@dataclass(frozen=True, eq=False)
class LimitSet(Result):
    """A retrieval set; as BEIR has them.

    Attributes
    ----------
    corpus : dict of str to str
        Document id to its text.
    queries : dict of str to str
    qrels : dict of str to dict of str to int
    k : int
        Relevant documents of each query.
    """

    corpus: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    k: int


def limit_set(
    n_documents: int = 46,
    k: int = 2,
    *,
    n_queries: int | None = 1000,
    n_filler: int = 0,
    likes: int = 50,
    random_state: int = 0,
) -> LimitSet:
    """Make a LIMIT-style set of people and what they like.

    Parameters
    ----------
    n_documents : int, default=46
        People that queries are about; 46 have 1,035 pairs.
    k : int, default=2
        People who like each thing asked for.
    n_queries : int or None, default=1000
        Subsets that are asked for, drawn at random; None takes all.
    n_filler : int, default=0
        Further people, who like nothing that is asked for.
    likes : int, default=50
        Things that each person likes at least; things that nobody asks for fill the texts.
    random_state : int, default=0

    Returns
    -------
    LimitSet

    Raises
    ------
    ParameterError
        More subsets than 200,000, or fewer than queries asked for.

    Notes
    -----
    Things are made-up words, so that nothing is known of them but who likes them: a search for
    words finds all answers.

    Examples
    --------
    >>> found = limit_set(4, 2, n_queries=None, likes=3)
    >>> len(found.queries), all(len(row) == 2 for row in found.qrels.values())
    (6, True)
    """
    n_filler = check_count("n_filler", n_filler, at_least=0)
    likes = check_count("likes", likes)
    subsets = all_subsets(n_documents, k)
    wanted = len(subsets) if n_queries is None else check_count("n_queries", n_queries)
    if wanted > len(subsets):
        raise ParameterError(
            f"{n_documents} documents have {comb(n_documents, k):,} subsets of {k}, fewer than "
            f"n_queries={wanted:,}. Ask for fewer, or give more documents."
        )
    rng = np.random.default_rng(random_state)
    subsets = subsets[np.sort(rng.permutation(len(subsets))[:wanted])]
    things = _things(wanted + 20 * likes, rng)
    asked, spare = things[:wanted], things[wanted:]
    people = [
        f"{_NAMES[i % len(_NAMES)]} {things[-1 - i // len(_NAMES)].capitalize()}"
        for i in range(n_documents + n_filler)
    ]
    liked: list[list[str]] = [[] for _ in people]
    for thing, row in zip(asked, subsets, strict=True):
        for person in np.flatnonzero(row):
            liked[person].append(thing)
    for own in liked:
        missing = max(0, likes - len(own))
        own += [spare[i] for i in rng.permutation(len(spare))[:missing]]
        rng.shuffle(own)
    ids = [f"d{i}" for i in range(len(people))]
    return LimitSet(
        corpus={
            id_: f"{name} likes {', '.join(own)}."
            for id_, name, own in zip(ids, people, liked, strict=True)
        },
        queries={f"q{i}": f"Who likes {thing}?" for i, thing in enumerate(asked)},
        qrels={f"q{i}": {ids[d]: 1 for d in np.flatnonzero(row)} for i, row in enumerate(subsets)},
        k=k,
    )


def _things(n: int, rng: np.random.Generator) -> list[str]:
    parts = [onset + vowel for onset, vowel in product(_ONSETS, _VOWELS)]
    if n > len(parts) ** 3:
        raise ParameterError(f"{n:,} words were asked for; {len(parts) ** 3:,} can be made.")
    chosen = rng.choice(len(parts) ** 3, n, replace=False)
    size = len(parts)
    return [
        parts[i // size**2] + parts[i // size % size] + parts[i % size] for i in chosen.tolist()
    ]
