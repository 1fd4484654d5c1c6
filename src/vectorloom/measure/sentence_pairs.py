# SPDX-License-Identifier: Apache-2.0
"""Pairs with a graded similarity (STS): whether the cosine rises with the grade.

rho = Spearman correlation of cos(a_i, b_i) with the grade g_i of pair i.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.measure.correlation import correlation
from vectorloom.measure.result import Estimate
from vectorloom.measure.rows import as_two
from vectorloom.vectors import as_dense

_SIMILARITIES = ("cosine", "ip", "l2", "l1")


def sts(A: Any, B: Any, grades: Any, *, similarity: str = "cosine") -> Estimate:
    """Correlate the similarity of pairs with graded judgments.

    Parameters
    ----------
    A, B : array-like of shape (n, dim), n >= 3
        Row i of both is pair i.
    grades : array-like of shape (n,)
        Larger is more alike.
    similarity : {"cosine", "ip", "l2", "l1"}, default="cosine"
        Distances are turned round. A pair with a zero row has cosine 0.

    Returns
    -------
    Estimate
        Spearman's correlation; ``parts["pearson"]`` is the other.

    Raises
    ------
    ShapeError, ParameterError
        Other numbers of rows, columns or grades; NaN; an unknown similarity.

    Notes
    -----
    Spearman is what benchmarks report [1]_, since only the order is meant. Over several sets, take
    the mean of their correlations, not the correlation of all pairs: grades differ between sets.
    Cost: n * dim.

    References
    ----------
    .. [1] N. Reimers, P. Beyer and I. Gurevych, "Task-oriented intrinsic evaluation of semantic
       textual similarity", COLING 2016.

    Examples
    --------
    >>> A, B = [[1.0, 0.0]] * 4, [[1.0, 0.1], [1.0, 1.0], [0.0, 1.0], [-1.0, 0.0]]
    >>> sts(A, B, [5, 3, 1, 0]).value
    1.0
    """
    if similarity not in _SIMILARITIES:
        raise ParameterError(f"similarity is {similarity!r}; choose of {', '.join(_SIMILARITIES)}.")
    a, b = as_two(A, B)
    as_dense(b, name="B", dim=a.shape[1], dtype=np.float64)
    gold = np.asarray(grades, np.float64)
    if gold.shape != (len(a),):
        raise ShapeError(f"grades must be one a pair, {len(a)}; got shape {gold.shape}.")
    if similarity in ("l2", "l1"):
        order = 2 if similarity == "l2" else 1
        scores = -np.linalg.norm(a - b, ord=order, axis=1)
    else:
        scores = np.einsum("ij,ij->i", a, b)
        if similarity == "cosine":
            scale = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            scores = np.divide(scores, scale, out=np.zeros_like(scores), where=scale > 0)
    found = correlation(scores, gold, "spearman", "spearman")
    pearson = correlation(scores, gold, "pearson").value
    return Estimate("spearman", found.value, found.low, found.high, found.n, {"pearson": pearson})
