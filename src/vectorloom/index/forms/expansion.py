# SPDX-License-Identifier: Apache-2.0
"""Query expansion: move a query towards vectors that are (taken to be) relevant.

    q' = (alpha q + beta mean_{d in F} d - gamma mean_{d in N} d) / (alpha + beta - gamma)

F are the first hits (pseudo-relevance feedback), rows known to be relevant (Rocchio), or vectors
that a callback makes, such as those of hypothetical documents (HyDE); N are rows known not to be.
Under cosine q and d count by direction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count
from vectorloom.vectors import as_dense

if TYPE_CHECKING:
    from vectorloom.index.dense.row_index import RowIndex


def expand(
    index: RowIndex,
    queries: Any,
    feedback: Any = 3,
    alpha: float = 1.0,
    beta: float | None = None,
    gamma: float = 0.0,
    nonrelevant: Any = None,
    callback: Callable[[int, NDArray[np.float32]], Any] | None = None,
    where: Any = None,
    **search: Any,
) -> NDArray[np.float32]:
    """Return expanded queries, to be searched with in place of the given ones.

    Use it where a query has many relevant rows and a longer list of them matters. Where it has one
    or two, the first hits are mostly wrong and the queries are better left alone: measured, on the
    page of this function.

    Parameters
    ----------
    index : RowIndex
        Of any metric but hamming.
    queries : array-like of shape (n_queries, dim)
    feedback : int, or list of n_queries lists of ids, default=3
        How many first hits are taken to be relevant; or the rows that are known to be, for each
        query, empty lists allowed.
    alpha : float, default=1.0
        Weight of the query, 0 or more.
    beta : float, default=None
        Weight of the mean of what is relevant, 0 or more. None is 0.3; with `callback`, `alpha`
        times the number of its vectors, which makes q' the mean of the query and these (HyDE).
    gamma : float, default=0.0
        Weight of the mean of `nonrelevant`, less than alpha + beta.
    nonrelevant : list of n_queries lists of ids, default=None
        Rows known not to be relevant; needed with `gamma`.
    callback : callable, default=None
        ``callback(i, q) -> vectors of shape (m, dim) or (dim,)`` makes what is relevant to query i,
        whose vector is q; no search is made then. m may be 0.
    where : mask, ids, or a list of one filter a query, default=None
        What the first hits may be; as for `search`.
    **search
        Other options of the index's `search`.

    Returns
    -------
    ndarray of shape (n_queries, dim), float32
        Under cosine of unit length. Where a query has no relevant or no nonrelevant vectors, their
        term and weight are left out.

    Raises
    ------
    ShapeError, ParameterError
        Bad queries, ids that are not there, weights out of range, vectors of a callback that are of
        another dimension or not finite, an expansion that cancels out under cosine.

    Notes
    -----
    The division makes q' follow a shift of all vectors (for l2) and does not change the order of
    hits under ip and cosine. Cost: one search of k = feedback, n_queries * feedback * dim.
    Deterministic, unless the callback is not. An exception of the callback passes through.

    References
    ----------
    .. [1] J. Rocchio, "Relevance feedback in information retrieval", in The SMART Retrieval System,
       1971.
    .. [2] H. Li et al., "Pseudo relevance feedback with deep language models and dense retrievers",
       ACM TOIS 41 (2023), doi:10.1145/3570724.
    .. [3] L. Gao et al., "Precise zero-shot dense retrieval without relevance labels", ACL 2023,
       doi:10.18653/v1/2023.acl-long.99.

    Examples
    --------
    >>> import vectorloom as vl
    >>> index = vl.index.Exact(metric="l2").fit([[1.0, 0.0], [1.0, 2.0], [9.0, 9.0]])
    >>> expand(index, [[0.0, 1.0]], feedback=2, alpha=1.0, beta=1.0)
    array([[0.5, 1. ]], dtype=float32)
    """
    if index.metric == "hamming":
        raise ParameterError(
            "bits have no mean, so queries of metric='hamming' cannot be expanded. Expand before "
            "vectors are binarized."
        )
    unit = index.metric == "cosine"
    asked = as_dense(queries, name="queries", dim=index.dim_, allow_empty=True)
    q = _directions(asked, unit, "queries")
    n = len(q)
    weights = _weights(alpha, beta, gamma)
    good: list[NDArray[Any]]
    if callback is not None:
        good = [_called(callback, i, asked[i]) for i in range(n)]
    elif isinstance(feedback, list | tuple):
        good = _rows_of(index, feedback, n, "feedback")
    else:
        find: Any = index  # search's options differ from class to class
        hits = find.search(asked, check_count("feedback", feedback), where=where, **search)
        good = [index.get(hits[i].ids) for i in range(n)]
    if nonrelevant is None and gamma != 0:
        raise ParameterError(
            "gamma is the weight of nonrelevant rows; pass nonrelevant=[ids of each query]."
        )
    bad = [np.empty((0, index.dim_))] * n
    if nonrelevant is not None:
        bad = _rows_of(index, nonrelevant, n, "nonrelevant")
    expanded = np.empty(q.shape)
    for i in range(n):
        near = _directions(good[i], unit, f"the relevant vectors of query {i}")
        away = _directions(bad[i], unit, f"the nonrelevant rows of query {i}")
        a, b, c = weights
        if b is None:
            b = a * len(near) if callback is not None else _DEFAULT_BETA
        expanded[i] = _combined(q[i], near, away, (a, b, c), i)
    return _directions(expanded, unit, "the expanded queries").astype(np.float32)


_DEFAULT_BETA = 0.3


def _combined(
    q: NDArray[np.float64],
    near: NDArray[np.float64],
    away: NDArray[np.float64],
    weights: tuple[float, float, float],
    i: int,
) -> NDArray[np.float64]:
    alpha = weights[0]
    beta = weights[1] if len(near) else 0.0
    gamma = weights[2] if len(away) else 0.0
    total = alpha + beta - gamma
    if total <= 0:
        raise ParameterError(
            f"alpha + beta - gamma must be above 0; for query {i}, with {len(near)} relevant and "
            f"{len(away)} nonrelevant vectors, it is {total:g}."
        )
    moved = alpha * q
    if beta:
        moved = moved + beta * near.mean(axis=0)
    if gamma:
        moved = moved - gamma * away.mean(axis=0)
    return moved / total


def _directions(rows: NDArray[Any], unit: bool, what: str) -> NDArray[np.float64]:
    """Return float64 rows, of unit length where only directions count."""
    wide = rows.astype(np.float64)
    if not unit or len(wide) == 0:
        return wide
    lengths = np.linalg.norm(wide, axis=1)
    if (lengths < 1e-12).any():
        raise ParameterError(
            f"{what} have {int((lengths < 1e-12).sum())} zero vectors (row "
            f"{int(np.argmin(lengths))}), which have no direction."
        )
    return np.asarray(wide / lengths[:, None])


def _called(
    callback: Callable[[int, NDArray[np.float32]], Any], i: int, query: NDArray[np.float32]
) -> NDArray[np.float32]:
    made = np.asarray(callback(i, query.copy()))
    if made.ndim == 1 and made.size:
        made = made[None, :]
    if made.size == 0:
        return np.empty((0, len(query)), np.float32)
    return as_dense(made, name=f"callback({i}, q)", dim=len(query))


def _rows_of(index: RowIndex, lists: Any, n: int, name: str) -> list[NDArray[Any]]:
    if len(lists) != n or any(isinstance(ids, str) or not hasattr(ids, "__len__") for ids in lists):
        raise ShapeError(
            f"{name} must be one list of ids a query: there are {n} queries and {name} has "
            f"{len(lists)} entries."
        )
    return [index.get(ids) if len(ids) else np.empty((0, index.dim_)) for ids in lists]


def _weights(alpha: Any, beta: Any, gamma: Any) -> tuple[float, float | None, float]:
    for name, value in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
        if name == "beta" and value is None:
            continue
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number or not 0.0 <= float(value) < float("inf"):
            raise ParameterError(f"{name} must be a number, 0 or more; got {value!r}.")
    return float(alpha), None if beta is None else float(beta), float(gamma)
