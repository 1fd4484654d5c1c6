# SPDX-License-Identifier: Apache-2.0
"""Robustness of a text vectorizer: how far k replaced words move the vector.

    move(k, n) = |v(text with k of its n words replaced) - v(text)|

Theory bounds it, by sqrt(k) times the diameter of the word vectors where these are concatenated, by
k / n times it where they are averaged [1]_; a bound that is given is tested on every perturbation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count
from vectorloom.io.pages import Chart
from vectorloom.measure.correlation import correlation
from vectorloom.measure.result import Result
from vectorloom.measure.rows import Z95
from vectorloom.vectors import as_dense

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TextRobustness(Result):
    """How far vectors move by the number of replaced words.

    Attributes
    ----------
    replaced : tuple of int
        Numbers of words replaced.
    moves : ndarray of shape (len(replaced),), float64
        Mean move, over the mean length of the vectors.
    error : ndarray of shape (len(replaced),), float64
        Half a 95 % interval over texts.
    with_length : float
        Spearman's correlation of the move of one word with the number of words: below 0 where long
        texts move less.
    violations : int or None
        Perturbations that moved further than the bound; None without one.
    tightness : float
        Largest move over its bound; NaN without one.
    n_texts : int
        Long enough for the most replacements.
    """

    replaced: tuple[int, ...]
    moves: Doubles
    error: Doubles
    with_length: float
    violations: int | None
    tightness: float
    n_texts: int

    def __str__(self) -> str:
        told = ", ".join(
            f"{k}: {m:.3f} ± {e:.3f}"
            for k, m, e in zip(self.replaced, self.moves, self.error, strict=True)
        )
        bound = (
            ""
            if self.violations is None
            else f"; {self.violations} violations of the bound, {self.tightness:.2f} of it used"
        )
        return (
            f"moves by words replaced {told} of the vectors' length; by length of text rho "
            f"{self.with_length:.3f}{bound}; {self.n_texts:,} texts"
        )

    def plot(self) -> Chart:
        """Draw moves over replaced words.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Line, line_chart

        line = Line(
            "move", self.replaced, self.moves, self.moves - self.error, self.moves + self.error
        )
        return line_chart("Moves by replaced words", [line], x_label="words replaced")


def text_robustness(
    vectorize: Callable[[list[str]], Any],
    texts: Sequence[str],
    *,
    replaced: Sequence[int] = (1, 2, 4, 8),
    words: Sequence[str] | None = None,
    bound: Callable[[int, int], float] | None = None,
    sample: int = 200,
    random_state: int = 0,
) -> TextRobustness:
    """Replace words of texts and measure how far their vectors move.

    Parameters
    ----------
    vectorize : callable
        From a list of texts to one vector each.
    texts : sequence of str
        Those with at least as many words as the most replacements are used; 3 at least.
    replaced : sequence of int, default=(1, 2, 4, 8)
    words : sequence of str or None, default=None
        Words that are put in; None: those of all texts.
    bound : callable or None, default=None
        From (words replaced, words of the text) to the furthest a vector may move.
    sample : int, default=200
        Texts that are used.
    random_state : int, default=0

    Returns
    -------
    TextRobustness

    Raises
    ------
    ShapeError, ParameterError
        Fewer than 3 texts long enough; the callable returns another number of vectors, or NaN.

    Notes
    -----
    Words are what blanks part. Cost: (1 + len(replaced)) * sample texts to vectorize.

    References
    ----------
    .. [1] R. Catellier, S. Vaiter and D. Garreau, "On the robustness of text vectorizers", ICML
       2023.

    Examples
    --------
    The mean of word vectors of diameter 1 moves by k / n at most:

    >>> def share_of_a(texts):
    ...     return [[sum(w == "a" for w in t.split()) / len(t.split()), 1.0] for t in texts]
    >>> texts = ["a b " * n for n in range(4, 12)]
    >>> found = text_robustness(share_of_a, texts, bound=lambda k, n: k / n)
    >>> found.violations, found.tightness < 1.001
    (0, True)
    """
    counts = tuple(sorted(check_count("replaced", k) for k in replaced))
    if not counts:
        raise ParameterError("replaced is empty; numbers of words are expected.")
    rng = np.random.default_rng(random_state)
    parts = [text.split() for text in texts]
    known = sorted({word for part in parts for word in part}) if words is None else list(words)
    usable = [part for part in parts if len(part) >= counts[-1]]
    if len(usable) < 3 or len(known) < 2:
        raise ShapeError(
            f"{len(usable)} texts have the {counts[-1]} words that are replaced; 3 at least, and "
            "two different words, are needed."
        )
    order = rng.permutation(len(usable))[: check_count("sample", sample, at_least=3)]
    used = [usable[i] for i in np.sort(order)]
    lengths = np.array([len(part) for part in used])
    before = _vectors(vectorize, used)
    size = float(np.linalg.norm(before, axis=1).mean()) or 1.0
    moves = np.empty((len(counts), len(used)))
    for i, k in enumerate(counts):
        after = _vectors(vectorize, [_replaced(part, k, known, rng) for part in used])
        moves[i] = np.linalg.norm(after - before, axis=1)
    violations, tightness = None, float("nan")
    if bound is not None:
        limits = np.array([[bound(k, int(n)) for n in lengths] for k in counts])
        ratios = moves / np.maximum(limits, np.finfo(np.float64).tiny)
        violations, tightness = int((ratios > 1 + 1e-6).sum()), float(ratios.max())
    return TextRobustness(
        replaced=counts,
        moves=moves.mean(axis=1) / size,
        error=Z95 * moves.std(axis=1) / np.sqrt(len(used)) / size,
        with_length=correlation(moves[0], lengths).value,
        violations=violations,
        tightness=tightness,
        n_texts=len(used),
    )


def _vectors(vectorize: Callable[[list[str]], Any], parts: list[list[str]]) -> Doubles:
    found = as_dense(
        vectorize([" ".join(part) for part in parts]), name="vectors", dtype=np.float64
    )
    if len(found) != len(parts):
        raise ShapeError(f"vectorize returned {len(found)} vectors for {len(parts)} texts.")
    return np.asarray(found, np.float64)


def _replaced(part: list[str], k: int, words: Sequence[str], rng: np.random.Generator) -> list[str]:
    new = list(part)
    for i in rng.permutation(len(part))[:k]:
        choice = words[int(rng.integers(len(words)))]
        while choice == part[i]:
            choice = words[int(rng.integers(len(words)))]
        new[i] = choice
    return new
