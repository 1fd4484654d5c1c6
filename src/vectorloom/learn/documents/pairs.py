# SPDX-License-Identifier: Apache-2.0
"""Pairs of texts as learners of such take them, and texts that are hard to tell apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.learn.texts import as_texts
from vectorloom.select.neighbours import nearest_rows

_NEAR_TEXTS = 16_384  # neighbours are looked for among so many at a time


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


def alike(x: NDArray[np.float32], most: int, seed: int, n_jobs: int | None) -> NDArray[np.int32]:
    """Return for each row other rows that are like it, for batches of what is hard to tell apart.

    Parameters
    ----------
    x : ndarray of shape (n, dim), float32
    most : int
    seed : int
    n_jobs : int or None

    Returns
    -------
    ndarray of shape (n, most), int32
        The row itself where there are too few others.
    """
    n = len(x)
    found = np.repeat(np.arange(n, dtype=np.int32)[:, None], most, axis=1)
    order = np.random.default_rng(seed).permutation(n)
    for start in range(0, n if x.size else 0, _NEAR_TEXTS):
        part = order[start : start + _NEAR_TEXTS]
        k = min(most, len(part) - 1)
        if k < 1:
            break
        rows = np.ascontiguousarray(x[part])
        near, _ = nearest_rows(rows, k, metric="cosine", n_jobs=n_jobs)
        own = np.arange(len(part))[:, None]
        found[part, :k] = part[np.where(near < 0, own, near)]
    return found
