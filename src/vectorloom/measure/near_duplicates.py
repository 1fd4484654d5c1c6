# SPDX-License-Identifier: Apache-2.0
"""Near-copies: rows that have another row so near that both say the same.

share = P(nearest other row within the limit), of rows drawn at random; each row's nearest is sought
among all rows, so that the share is unbiased whatever the sample. Under cosine the limit is a
cosine; under l2 it is a share of the median distance between rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.nearby import Nearby, nearby, share_interval, similarity
from vectorloom.measure.result import Result
from vectorloom.measure.rows import sampled
from vectorloom.vectors import as_dense

#: Cosine from which two rows are taken for the same; MiniLM gives it to a change of a word.
LIMIT = 0.98
_PAIRS = 20  # shown at most
_FEWEST = 3


@dataclass(frozen=True, eq=False)
class NearCopies(Result):
    """How many rows have a near-copy; ``float(result)`` is the share.

    Attributes
    ----------
    share : float
    low, high : float
        Its 95 % interval (Wilson) over the draw of rows.
    limit : float
        Cosine, or distance under l2, from which rows count as near-copies.
    pairs : ndarray of shape (p, 2), int64
        Of the measured rows, those with the nearest neighbours, nearest first; 20 at most.
    nearest : ndarray of shape (m,), float64
        Cosine (or distance) of each measured row to its nearest.
    n_rows, n_measured : int
    metric : {"cosine", "l2"}
    """

    share: float
    low: float
    high: float
    limit: float
    pairs: NDArray[np.int64]
    nearest: NDArray[np.float64]
    n_rows: int
    n_measured: int
    metric: str

    def __float__(self) -> float:
        return self.share

    def __str__(self) -> str:
        word = "cosine above" if self.metric == "cosine" else "distance below"
        return (
            f"near-copies {self.share:.2%} [{self.low:.2%}, {self.high:.2%}] of the rows ({word} "
            f"{self.limit:.3g}), measured at {self.n_measured:,} of {self.n_rows:,}"
        )

    def plot(self) -> Chart:
        """Draw how near the nearest rows are.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import distribution_chart

        label = "cosine" if self.metric == "cosine" else "distance"
        return distribution_chart(
            "How near the nearest other row is",
            [("rows", self.nearest)],
            x_label=f"{label} to the nearest",
            guide=(self.limit, "near-copies"),
        )


def near_copies(
    X: Any,
    limit: float | None = None,
    *,
    metric: str = "cosine",
    sample: int | None = 2000,
    exact: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> NearCopies:
    """Estimate the share of rows that have a near-copy.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 3
        Exact copies count too.
    limit : float or None, default=None
        None: a cosine of 0.98, or a tenth of the median distance of pairs under l2.
    metric : {"cosine", "l2"}, default="cosine"
    sample : int or None, default=2000
        Rows whose nearest is sought among all.
    exact : bool, default=False
        Takes all rows.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    NearCopies

    Raises
    ------
    ShapeError, ParameterError
        Fewer than 3 rows; NaN; zero rows under cosine; a limit that is no cosine or distance.

    Notes
    -----
    Cost: sample * n * dim. A share of 0 among 2,000 rows still leaves up to 0.2 %.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((300, 20))
    >>> X[:30] = X[30:60] * 1.5 + 0.001
    >>> near_copies(X).share
    0.2
    """
    check_choice("metric", metric, ("cosine", "l2"))
    rows = as_dense(X)
    if len(rows) < _FEWEST:
        raise ShapeError(f"X has {len(rows)} rows; near-copies need at least {_FEWEST}.")
    at = sampled(len(rows), sample, random_state, exact=exact)
    found = nearby(rows, at, 1, metric=metric, n_jobs=check_jobs(n_jobs))
    return near_copies_of(found, rows, limit)


def near_copies_of(
    found: Nearby, rows: NDArray[np.float32], limit: float | None = None
) -> NearCopies:
    """Return near-copies of neighbours that are known.

    Parameters
    ----------
    found : Nearby
    rows : ndarray of shape (n, dim), float32
    limit : float or None, default=None

    Returns
    -------
    NearCopies
    """
    nearest = found.lengths[:, 0]
    if found.metric == "cosine":
        limit = LIMIT if limit is None else limit
        if not -1.0 <= limit <= 1.0:
            raise ParameterError(f"limit is {limit}; a cosine from -1 to 1 is expected.")
        nearest = similarity(nearest)
        near = nearest >= limit
        order = np.argsort(-nearest, kind="stable")
    else:
        if limit is None:
            part = rows[found.rows].astype(np.float64)
            limit = 0.1 * float(np.median(np.linalg.norm(part - np.roll(part, 1, axis=0), axis=1)))
        if not limit >= 0:
            raise ParameterError(f"limit is {limit}; a distance of 0 or more is expected.")
        near = nearest <= limit
        order = np.argsort(nearest, kind="stable")
    chosen = order[: min(_PAIRS, int(near.sum()))]
    low, high = share_interval(int(near.sum()), len(near))
    return NearCopies(
        share=float(near.mean()),
        low=low,
        high=high,
        limit=limit,
        pairs=np.stack([found.rows[chosen], found.positions[chosen, 0]], axis=1),
        nearest=nearest,
        n_rows=found.n,
        n_measured=len(nearest),
        metric=found.metric,
    )
