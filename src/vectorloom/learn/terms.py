# SPDX-License-Identifier: Apache-2.0
"""From text to terms: words and identifiers, cut so that code and prose meet.

``read_csv``, ``readCsv`` and "reading CSV" share the terms ``read`` and ``csv``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]{2,}")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Terms:
    """Callable that cuts a text into terms.

    Parameters
    ----------
    stop_words : iterable of str, optional
        Lower-case words to leave out.
    stem : bool, default=True
        Take off English plural, -ing, -ed and final -e, by the few rules of `stem`.
    ngram_range : tuple of (int, int), default=(1, 1)
        Shortest and longest run of neighbouring terms; a run is joined by one blank.

    Examples
    --------
    >>> Terms()("KMeans.fit: reading the CSV files")
    ['kmean', 'fit', 'read', 'the', 'csv', 'file']
    """

    def __init__(
        self,
        *,
        stop_words: Iterable[str] | None = None,
        stem: bool = True,
        ngram_range: tuple[int, int] = (1, 1),
    ) -> None:
        self.stop_words = frozenset(stop_words or ())
        self.stem = stem
        self.ngram_range = ngram_range
        # A word's stem is looked up more than a hundred times as often as it is new.
        self._stems: dict[str, str] = {}

    def __call__(self, text: str) -> list[str]:
        """Return the terms of a text, in its order."""
        words = [
            word
            for word in _WORD.findall(_CAMEL.sub(" ", text).lower())
            if word not in self.stop_words
        ]
        if self.stem:
            stems = self._stems
            for place, word in enumerate(words):
                found = stems.get(word)
                if found is None:
                    found = stems[word] = stem(word)
                words[place] = found
        low, high = self.ngram_range
        if (low, high) == (1, 1):
            return words
        return [
            " ".join(words[start : start + size])
            for size in range(low, high + 1)
            for start in range(len(words) - size + 1)
        ]


def stem(word: str) -> str:
    """Take the commonest English endings off a lower-case word.

    Far fewer rules than Porter's: at least four letters stay, and irregular forms are left alone.

    Examples
    --------
    >>> [stem(word) for word in ["queries", "classes", "sorting", "sorted", "axes", "axis"]]
    ['query', 'class', 'sort', 'sort', 'axe', 'axis']
    """
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 5 and word.endswith("sses"):
        word = word[:-2]
    elif len(word) > 3 and word[-1] == "s" and word[-2] not in "usi":
        word = word[:-1]
    for ending in ("ing", "ed", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word
