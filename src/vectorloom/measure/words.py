# SPDX-License-Identifier: Apache-2.0
"""Words against people: graded similarity of pairs, and analogies.

a is to b as c is to d; of unit vectors, over all words d but a, b and c,

    3CosAdd   argmax cos(d, b) - cos(d, a) + cos(d, c)                    [1]_
    3CosMul   argmax s(d, b) s(d, c) / (s(d, a) + 0.001),  s = (1 + cos) / 2    [2]_
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.estimator import check_choice
from vectorloom.io.pages import Chart
from vectorloom.measure.correlation import correlation
from vectorloom.measure.nearby import share_interval
from vectorloom.measure.result import Estimate, Result
from vectorloom.measure.rows import directions, unit_rows
from vectorloom.vectors import as_dense

METHODS = ("3cosadd", "3cosmul")
_EPSILON = 1e-3
_BLOCK = 128  # questions answered at once
_WORDS = 4


@dataclass(frozen=True, eq=False)
class Analogies(Result):
    """How many analogies were solved; ``float(result)`` is the share.

    Attributes
    ----------
    share : float
        Of the questions whose words are all known.
    low, high : float
        Its 95 % interval (Wilson).
    by_category : dict of str to float
        NaN where no question could be asked.
    n_asked, n_unknown : int
        Questions asked, and left out for a word without a vector.
    method : str
    """

    share: float
    low: float
    high: float
    by_category: dict[str, float]
    n_asked: int
    n_unknown: int
    method: str

    def __float__(self) -> float:
        return self.share

    def __str__(self) -> str:
        lines = [
            f"analogies by {self.method} {self.share:.3f} [{self.low:.3f}, {self.high:.3f}] of "
            f"{self.n_asked:,}; {self.n_unknown:,} have unknown words"
        ]
        return "\n".join(
            [*lines, *(f"  {name} {value:.3f}" for name, value in self.by_category.items())]
        )

    def plot(self) -> Chart:
        """Draw the share of each category.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        bars = [Bar("all", self.share, self.low, self.high)]
        bars += [Bar(name, value, kind=4) for name, value in self.by_category.items()]
        return bar_chart("Analogies solved", bars, x_label="share of the questions")


def word_similarity(
    words: Sequence[str], X: Any, pairs: Iterable[tuple[str, str, float]]
) -> Estimate:
    """Correlate the cosine of word pairs with people's grades.

    Parameters
    ----------
    words : sequence of str
        Word i has row i. Of words that are there twice the first counts.
    X : array-like of shape (n, dim)
    pairs : iterable of (str, str, float)
        Two words and a grade, as `read_word_pairs` reads them.

    Returns
    -------
    Estimate
        Spearman's correlation; ``parts`` hold ``"pearson"`` and the number ``"unknown"`` of pairs
        left out for a word without a vector.

    Raises
    ------
    ShapeError, ParameterError
        Not one word a row; fewer than 3 pairs that are known; NaN.

    Notes
    -----
    Pairs that are left out are not counted as wrong: compare vectors on the pairs that both know.
    Words are looked up as they are, then in lower case.

    Examples
    --------
    >>> found = word_similarity(
    ...     ["a", "b", "c"],
    ...     np.eye(3) + 0.1,
    ...     [("a", "a", 5), ("a", "b", 1), ("a", "z", 3), ("b", "b", 5), ("b", "c", 1)],
    ... )
    >>> found.n, found.parts["unknown"]
    (4, 1.0)
    """
    units, place = _space(words, X)
    asked = [(_find(place, a), _find(place, b), float(grade)) for a, b, grade in pairs]
    known = [(a, b, grade) for a, b, grade in asked if a >= 0 and b >= 0]
    if len(known) < 3:
        raise ParameterError(
            f"{len(known)} of {len(asked)} pairs have vectors for both words; at least 3 are "
            "needed. Look whether words are spelt as the vectors' words are."
        )
    left, right = np.array([k[0] for k in known]), np.array([k[1] for k in known])
    scores = np.einsum("ij,ij->i", units[left], units[right], dtype=np.float64)
    grades = [k[2] for k in known]
    found = correlation(scores, grades)
    return Estimate(
        "spearman",
        found.value,
        found.low,
        found.high,
        found.n,
        {
            "pearson": correlation(scores, grades, "pearson").value,
            "unknown": float(len(asked) - len(known)),
        },
    )


def analogies(
    words: Sequence[str],
    X: Any,
    questions: Mapping[str, Sequence[tuple[str, str, str, str]]],
    method: str = "3cosadd",
) -> Analogies:
    """Solve analogies: find the word that c is to as a is to b.

    Parameters
    ----------
    words : sequence of str
        Word i has row i; all of them are possible answers.
    X : array-like of shape (n, dim)
    questions : mapping of str to sequence of (str, str, str, str)
        Category to its questions a, b, c and the answer, as `read_analogies` reads them.
    method : {"3cosadd", "3cosmul"}, default="3cosadd"

    Returns
    -------
    Analogies

    Raises
    ------
    ShapeError, ParameterError
        Not one word a row; zero rows; no question whose words are known; another method.

    Notes
    -----
    The three words of a question are never the answer, as is the custom: without that most answers
    are c itself. Cost: 3 * questions * n * dim.

    References
    ----------
    .. [1] T. Mikolov, W. Yih and G. Zweig, "Linguistic regularities in continuous space word
       representations", NAACL 2013.
    .. [2] O. Levy and Y. Goldberg, "Linguistic regularities in sparse and explicit word
       representations", CoNLL 2014.

    Examples
    --------
    >>> words = ["man", "woman", "king", "queen", "tree"]
    >>> X = [[1, 0, 0.2], [0, 1, 0.2], [1, 0, 1], [0, 1, 1], [-1, -1, 0.5]]
    >>> analogies(words, X, {"sex": [("man", "woman", "king", "queen")]}).share
    1.0
    """
    check_choice("method", method, METHODS)
    units, place = _space(words, X)
    units = unit_rows(units)
    by_category, hits, asked, unknown = {}, 0, 0, 0
    for name, rows in questions.items():
        codes = np.array([[_find(place, word) for word in row] for row in rows], np.int64)
        codes = codes.reshape(-1, _WORDS)
        known = codes[(codes >= 0).all(axis=1)]
        right = sum(
            int(
                (
                    _answers(units, known[i : i + _BLOCK, :3], method) == known[i : i + _BLOCK, 3]
                ).sum()
            )
            for i in range(0, len(known), _BLOCK)
        )
        by_category[name] = right / len(known) if len(known) else float("nan")
        hits, asked, unknown = hits + right, asked + len(known), unknown + len(codes) - len(known)
    if not asked:
        raise ParameterError(
            f"none of {unknown} questions has vectors for all its words. Look whether words are "
            "spelt as the vectors' words are."
        )
    low, high = share_interval(hits, asked)
    return Analogies(hits / asked, low, high, by_category, asked, unknown, method)


def read_word_pairs(path: str | Path) -> list[tuple[str, str, float]]:
    """Read word pairs with grades: two words and a number a line, apart by tabs or blanks.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of (str, str, float)

    Raises
    ------
    FormatError
        A line, but for the first, that is something else.
    """
    pairs = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        cells = line.split("\t") if "\t" in line else line.split()
        if not line.strip() or line.startswith("#"):
            continue
        try:
            pairs.append((cells[0].strip(), cells[1].strip(), float(cells[2])))
        except (ValueError, IndexError):
            if number > 1:
                raise FormatError(
                    f"{path}, line {number}: expected two words and a number; got {line[:60]!r}."
                ) from None
    return pairs


def read_analogies(path: str | Path) -> dict[str, list[tuple[str, str, str, str]]]:
    """Read analogies: lines of four words, and before each category a line ``: name``.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict of str to list of (str, str, str, str)

    Raises
    ------
    FormatError
        A line of other than four words.
    """
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    category = "all"
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith(":"):
            category = line[1:].strip()
            continue
        cells = line.split()
        if not cells:
            continue
        if len(cells) != _WORDS:
            raise FormatError(f"{path}, line {number}: expected four words; got {line[:60]!r}.")
        found.setdefault(category, []).append((cells[0], cells[1], cells[2], cells[3]))
    return found


def _space(words: Sequence[str], X: Any) -> tuple[NDArray[np.float32], dict[str, int]]:
    rows = as_dense(X)
    if len(words) != len(rows):
        raise ShapeError(f"words must be one a row: {len(rows)} rows came with {len(words)} words.")
    place: dict[str, int] = {}
    for i, word in enumerate(words):
        place.setdefault(word, i)
    return directions(rows), place


def _find(place: dict[str, int], word: str) -> int:
    found = place.get(word, -1)
    return found if found >= 0 else place.get(word.lower(), -1)


def _answers(
    units: NDArray[np.float32], asked: NDArray[np.int64], method: str
) -> NDArray[np.int64]:
    a, b, c = (units[asked[:, i]] @ units.T for i in range(3))
    if method == "3cosadd":
        scores = b - a + c
    else:
        a, b, c = ((1 + part) / 2 for part in (a, b, c))
        scores = b * c / (a + np.float32(_EPSILON))
    np.put_along_axis(scores, asked, -np.inf, axis=1)
    return np.asarray(scores.argmax(axis=1))
