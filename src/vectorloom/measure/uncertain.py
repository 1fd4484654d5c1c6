# SPDX-License-Identifier: Apache-2.0
"""Uncertainty of vectors: whether a number beside each row tells when its nearest is wrong.

A row is right when its nearest other row has its label. With u the uncertainty of each row,

    r_auroc = P(u of a wrong row > u of a right row),      ties by half                    [1]_
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.measure.nearby import nearby, share_interval
from vectorloom.measure.probes import class_codes
from vectorloom.measure.query_distance import above
from vectorloom.measure.result import Estimate
from vectorloom.measure.rows import Z95
from vectorloom.vectors import as_dense

Doubles = NDArray[np.float64]

#: What can be read off the vectors themselves.
BASELINES = ("norm", "density", "entropy")


def uncertainty(
    X: Any,
    labels: Any,
    u: Any = None,
    *,
    k: int = 10,
    metric: str = "cosine",
    n_jobs: int | None = None,
) -> Estimate:
    """Measure how well an uncertainty tells which rows have a wrong nearest row.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 3
        Of classes that the encoder was not trained on.
    labels : array-like of shape (n,)
        Two classes at least.
    u : array-like of shape (n,) or None, default=None
        Larger is less sure. None: the best of the baselines is the value.
    k : int, default=10
        Neighbours of the baselines.
    metric : {"cosine", "l2"}, default="cosine"
    n_jobs : int or None, default=None

    Returns
    -------
    Estimate
        r_auroc: 0.5 is chance. ``parts`` hold it for each baseline (``"norm"``: minus the length;
        ``"density"``: distance to the k-th nearest; ``"entropy"``: that of neighbours' labels given
        themselves apart) and ``"recall@1"`` with its interval.

    Raises
    ------
    ShapeError, ParameterError
        Not one label or u a row; one class; all right, or all wrong; NaN.

    Notes
    -----
    The entropy baseline needs labels of the neighbours, which a search may not have. Without `u`
    the best baseline was chosen by what it is reported by. Cost: n**2 * dim.

    References
    ----------
    .. [1] M. Kirchhof et al., "URL: a representation learning benchmark for transferable
       uncertainty estimates", NeurIPS 2023.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 400)
    >>> blur = rng.uniform(0.1, 3.0, 400)
    >>> X = np.where(y == 0, 1.0, -1.0)[:, None] + blur[:, None] * rng.standard_normal((400, 2))
    >>> uncertainty(X, y, blur, metric="l2").value > 0.6
    True
    """
    check_choice("metric", metric, ("cosine", "l2"))
    rows = as_dense(X)
    codes = class_codes(labels, len(rows))[0]
    if len(rows) < 3:
        raise ShapeError(f"X has {len(rows)} rows; 3 at least are needed.")
    k = min(check_count("k", k), len(rows) - 1)
    found = nearby(rows, np.arange(len(rows)), k, metric=metric, n_jobs=check_jobs(n_jobs))
    near = codes[found.positions]
    right = near[:, 0] == codes
    if right.all() or not right.any():
        raise ParameterError(
            f"the nearest of {int(right.sum())} of {len(rows)} rows is right: there is nothing to "
            "tell apart."
        )
    baselines = {
        "norm": -np.linalg.norm(rows.astype(np.float64), axis=1),
        "density": found.lengths[:, -1],
        "entropy": _entropy(near),
    }
    values = {name: above(score[~right], score[right])[0] for name, score in baselines.items()}
    best = max(values, key=lambda name: values[name])
    given = baselines[best] if u is None else np.asarray(u, np.float64)
    if given.shape != (len(rows),) or not np.isfinite(given).all():
        raise ShapeError(f"u must be one finite number a row, {len(rows)}; got {given.shape}.")
    value, error = above(given[~right], given[right])
    low, high = share_interval(int(right.sum()), len(right))
    return Estimate(
        f"r_auroc of {best if u is None else 'u'}",
        value,
        max(0.0, value - Z95 * error),
        min(1.0, value + Z95 * error),
        len(rows),
        values | {"recall@1": float(right.mean()), "recall@1 low": low, "recall@1 high": high},
    )


def _entropy(near: NDArray[np.int64]) -> Doubles:
    counts = (near[:, :, None] == near[:, None, :]).sum(axis=2)  # of each neighbour's own class
    return np.asarray(-np.log(counts / near.shape[1]).mean(axis=1), np.float64)
