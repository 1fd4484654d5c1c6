# SPDX-License-Identifier: Apache-2.0
"""Pairs of texts, as learners of texts that belong together take them."""

from __future__ import annotations

from typing import Any

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.learn.texts import as_texts


def as_pairs(texts: Any, titles: Any = None) -> tuple[list[str], list[str], bool]:
    """Return heads and bodies of what a learner was given, and whether those are pairs.

    Parameters
    ----------
    texts : iterable of str, or of pairs of str
    titles : iterable of str or None

    Returns
    -------
    heads, bodies : list of str
        Heads are titles, first halves of pairs, or empty.
    are_pairs : bool

    Raises
    ------
    ShapeError
        Another number of titles, titles beside pairs, or what `as_texts` refuses.
    ParameterError
        Neither str nor pairs of str.

    Examples
    --------
    >>> as_pairs([("why?", "because")])
    (['why?'], ['because'], True)
    >>> as_pairs(["a text"], titles=["its title"])
    (['its title'], ['a text'], False)
    """
    if not isinstance(texts, (str, bytes)) and getattr(texts, "ndim", 1) == 1:
        texts = texts if hasattr(texts, "__getitem__") else list(texts)
        if len(texts) and isinstance(texts[0], (tuple, list)):
            return _pairs(list(texts), titles)
    bodies = as_texts(texts)
    if titles is None:
        return [""] * len(bodies), bodies, False
    heads = as_texts(titles, name="titles")
    if len(heads) != len(bodies):
        raise ShapeError(
            f"titles must have one entry a text; got {len(heads)} for {len(bodies)} texts. Pass "
            '"" for texts that have none.'
        )
    return heads, bodies, False


def _pairs(texts: list[Any], titles: Any) -> tuple[list[str], list[str], bool]:
    if titles is not None:
        raise ShapeError("titles are for texts; got them beside pairs. Leave them out.")
    for place, pair in enumerate(texts):
        fits = isinstance(pair, (tuple, list)) and len(pair) == 2
        if not (fits and all(isinstance(side, str) for side in pair)):
            raise ParameterError(
                f"pairs must be (str, str); entry {place} is {pair!r:.60}. Drop such entries."
            )
    return [pair[0] for pair in texts], [pair[1] for pair in texts], True
