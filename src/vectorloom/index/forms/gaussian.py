# SPDX-License-Identifier: Apache-2.0
"""Items and queries that are Gaussians, in any index for inner products.

For Q = N(p, diag s) and D = N(m, diag v) the score is -KL(Q || D), in nats:

    -KL = -1/2 sum_i [ log(v_i / s_i) + (s_i + (p_i - m_i)^2) / v_i - 1 ]
        = <( 1, (s + p^2), p ), ( -1/2 sum_i (log v_i + m_i^2 / v_i), -1 / 2v, m / v )> + c(Q),

where c(Q) = 1/2 sum_i (log s_i + 1) is the same for all items. A point is a query of no variance;
its score is the log density log D(p), the same product with s = 0 and c = -dim/2 log 2 pi.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count
from vectorloom.index.hits import Hits, pad_hits
from vectorloom.vectors import as_dense

if TYPE_CHECKING:
    from vectorloom.index.dense.row_index import RowIndex

#: Nats that rounding rows to float32 may change a score by; more could change what is found.
MOST_ROUNDING = 0.1
#: Hits beyond k that are scored again, for what rounding may have put in another order.
SPARE = 10


def gaussian_rows(means: Any, variances: Any) -> NDArray[np.float32]:
    """Return items that are Gaussians as vectors for an index with ``metric="ip"``.

    Parameters
    ----------
    means : array-like of shape (n, dim)
    variances : array-like of shape (n, dim), (dim,), or a number
        Above 0: the diagonals of the covariances.

    Returns
    -------
    ndarray of shape (n, 2 * dim + 1), float32
        For `fit`, `add` and `upsert`.

    Raises
    ------
    ShapeError, ParameterError
        Not finite, of other shapes, variances that are not above 0; means so far from 0, or
        variances so small, that float32 could not hold the scores to 0.1 nats.

    Notes
    -----
    KL does not change when rows and queries are shifted alike, or dimensions scaled alike
    (variances by the square): subtract the mean of the means, and divide by the root of the mean
    variance, where rounding is refused. Cost: 3 * n * dim logarithms and divisions, once.

    References
    ----------
    .. [1] H. Zamani and M. Bendersky, "Multivariate representation learning for information
       retrieval", SIGIR 2023, doi:10.1145/3539618.3591740.

    Examples
    --------
    >>> gaussian_rows([[2.0]], [[1.0]])
    array([[-2. , -0.5,  2. ]], dtype=float32)
    """
    m, v = _checked(means, variances)
    precision = 1.0 / v
    terms = np.log(v) + m * m * precision
    size = np.abs(terms).sum(axis=1) + (m * m * precision + 1.0).sum(axis=1)
    rounding = float(size.max()) * 2.0**-24 if len(m) else 0.0
    if rounding > MOST_ROUNDING:
        raise ParameterError(
            f"rounding to float32 could change scores by {rounding:.2g} nats, first in row "
            f"{int(size.argmax())}: means are far from 0 for variances so small. Subtract the mean "
            "of the means from rows and queries, which changes no score."
        )
    head = -0.5 * terms.sum(axis=1, keepdims=True)
    rows = np.concatenate([head, -0.5 * precision, m * precision], axis=1)
    return as_dense(rows, name="the rows", allow_empty=True)


def gaussian_queries(means: Any, variances: Any = None) -> NDArray[np.float32]:
    """Return queries that are Gaussians, or points, as vectors for such an index.

    Parameters
    ----------
    means : array-like of shape (n_queries, dim)
    variances : array-like of shape (n_queries, dim), (dim,), or a number, default=None
        Above 0; None makes the queries points.

    Returns
    -------
    ndarray of shape (n_queries, 2 * dim + 1), float32
        For `search`, whose scores then lack the part c(Q) of each query; `search_gaussian` adds it.

    Raises
    ------
    ShapeError, ParameterError
        As for `gaussian_rows`.

    Examples
    --------
    >>> gaussian_queries([[2.0]], [[1.0]])
    array([[1., 5., 2.]], dtype=float32)
    """
    p, s = _checked_queries(means, variances)
    second = p * p if s is None else s + p * p
    queries = np.concatenate([np.ones((len(p), 1)), second, p], axis=1)
    return as_dense(queries, name="the queries", allow_empty=True)


def search_gaussian(
    index: RowIndex,
    means: Any,
    variances: Any = None,
    k: int = 10,
    where: Any = None,
    **search: Any,
) -> Hits:
    """Return the k Gaussian items nearest to Gaussian queries by KL, or likeliest for points.

    Use it where vectors come with an uncertainty of each dimension. Where all have one variance it
    is a search with metric l2 in half of the dimensions.

    Parameters
    ----------
    index : RowIndex
        With ``metric="ip"``, of `gaussian_rows`.
    means : array-like of shape (n_queries, dim)
    variances : array-like of shape (n_queries, dim), (dim,), or a number, default=None
        None: queries are points.
    k : int, default=10
    where : mask, ids, or a list of one filter a query, default=None
        As for `search`.
    **search
        Other options of the index's `search`, such as ``recall=0.99``.

    Returns
    -------
    Hits
        Best first, ties by id. Scores are -KL(query || item) in nats, 0 at best, or for points the
        log density; ``distances`` is minus that.

    Raises
    ------
    ShapeError, ParameterError
        As for `gaussian_rows`; an index of another metric or of other vectors.

    Notes
    -----
    Items are found by inner products and 10 more than k are scored again by the first formula, in
    float64, from the rows: no large numbers are subtracted there. An approximate index may miss
    items as with any vectors; in IVF lists are of augmented vectors, so check recall by `audit`.

    Cost: a search in 2 * dim + 1 dimensions. Deterministic.

    References
    ----------
    .. [1] H. Zamani and M. Bendersky, "Multivariate representation learning for information
       retrieval", SIGIR 2023, doi:10.1145/3539618.3591740.

    Examples
    --------
    A broad item is likelier for a far point than a narrow one that is nearer:

    >>> import vectorloom as vl
    >>> index = vl.index.Exact(metric="ip").fit(gaussian_rows([[2.0], [0.0]], [[0.1], [9.0]]))
    >>> search_gaussian(index, [[5.0]], k=1).ids
    array([[1]])
    """
    k = check_count("k", k)
    p, s = _checked_queries(means, variances)
    dim = p.shape[1]
    if index.metric != "ip" or index.dim_ != 2 * dim + 1:
        raise ParameterError(
            f"Gaussians of {dim} dimensions need an index with metric='ip' of {2 * dim + 1} "
            f"dimensions; this one has metric={index.metric!r} and {index.dim_}. Fit it on "
            "gaussian_rows(means, variances)."
        )
    find: Any = index  # search's options differ from class to class
    hits = find.search(gaussian_queries(p, s), k + SPARE, where=where, **search)
    positions = np.full((len(p), k), -1, np.int64)
    scores = np.full((len(p), k), -np.inf)
    ids = []
    for i in range(len(p)):
        found = hits[i].ids
        if len(found) == 0:
            continue
        exact = _scores(index.get(found), p[i], None if s is None else s[i])
        order = np.array(sorted(range(len(found)), key=lambda j: (-exact[j], found[j])))[:k]
        positions[i, : len(order)] = 0  # a place that holds a hit
        scores[i, : len(order)] = exact[order]
        ids.append(found[order])
    kept = np.concatenate(ids) if ids else hits.ids[:0, 0]
    return pad_hits(kept, positions, scores, np.minimum(hits.counts, k), k, "ip")


def _scores(
    rows: NDArray[np.float32], p: NDArray[np.float64], s: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return -KL, or the log density, by the formula that subtracts no large numbers."""
    dim = len(p)
    precision = -2.0 * rows[:, 1 : dim + 1].astype(np.float64)
    if (precision <= 0).any():
        raise ParameterError(
            "the index holds rows that are no Gaussians. Fit it on gaussian_rows(means, variances)."
        )
    off = p - rows[:, dim + 1 :] / precision
    if s is None:
        each = np.log(2.0 * np.pi / precision) + off * off * precision
    else:
        ratio = s * precision
        each = ratio - 1.0 - np.log(ratio) + off * off * precision
    total: NDArray[np.float64] = -0.5 * each.sum(axis=1)
    return total


def _checked_queries(
    means: Any, variances: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    if variances is None:
        return as_dense(means, name="means", dtype=np.float64, allow_empty=True), None
    return _checked(means, variances)


def _checked(means: Any, variances: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    m = as_dense(means, name="means", dtype=np.float64, allow_empty=True)
    try:
        v = np.broadcast_to(np.asarray(variances, dtype=np.float64), m.shape)
    except (TypeError, ValueError):
        raise ShapeError(
            f"variances must be of the shape of the means, {m.shape}, of shape ({m.shape[1]},), or "
            f"a number; got shape {np.shape(variances)}."
        ) from None
    if not (np.isfinite(v) & (v > 0)).all():
        row, column = np.argwhere(~(np.isfinite(v) & (v > 0)))[0]
        raise ParameterError(
            f"variances must be finite and above 0; got {v[row, column]} in row {row}, dimension "
            f"{column}. Add a small number, drop dimensions that are constant, or pass None for "
            "queries that are points."
        )
    return m, v
