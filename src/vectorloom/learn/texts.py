# SPDX-License-Identifier: Apache-2.0
"""The texts that text learners take, and the rows that they return."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError


def as_texts(texts: Any, *, name: str = "texts") -> list[str]:
    """Return `texts` as a list of str, or say what is wrong with them.

    Parameters
    ----------
    texts : iterable of str
        List, tuple, generator, NumPy array, pandas Series, Arrow column.
    name : str, default="texts"
        What the caller calls them; used in messages.

    Returns
    -------
    list of str

    Raises
    ------
    ShapeError
        One string, nothing, or more than one axis.
    ParameterError
        Some entry is not a str.

    Examples
    --------
    >>> as_texts(("a", "b"))
    ['a', 'b']
    >>> as_texts("a text")
    Traceback (most recent call last):
        ...
    vectorloom.errors.ShapeError: texts must be a list of str; got one str. For one text pass
    [texts].
    """
    if isinstance(texts, (str, bytes)):
        raise ShapeError(
            f"{name} must be a list of str; got one {type(texts).__name__}. For one text pass "
            f"[{name}]."
        )
    if getattr(texts, "ndim", 1) != 1:
        raise ShapeError(
            f"{name} must be one-dimensional, one str each; got shape {texts.shape}. Pass one "
            "column."
        )
    if hasattr(texts, "to_pylist"):
        texts = texts.to_pylist()
    elif hasattr(texts, "tolist"):
        texts = texts.tolist()
    try:
        found = list(texts)
    except TypeError:
        raise ParameterError(
            f"{name} must be a list of str; got {type(texts).__name__}. Pass a list."
        ) from None
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise ParameterError(
                f"{name} must be str; entry {place} is {type(text).__name__} ({str(text)[:40]!r}). "
                "Drop such entries or turn them into str."
            )
    if not found:
        raise ShapeError(f"{name} must hold at least one text; got none. Pass a list of str.")
    return found


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to unit length in place; zero rows stay zero.

    Parameters
    ----------
    vectors : ndarray of shape (n, dim), float32

    Returns
    -------
    ndarray of shape (n, dim), float32
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))[:, None]
    np.divide(vectors, lengths, out=vectors, where=lengths > 0, casting="same_kind")
    return vectors
