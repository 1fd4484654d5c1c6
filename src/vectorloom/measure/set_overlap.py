# SPDX-License-Identifier: Apache-2.0
"""Two sets of vectors: whether one lies where the other does, and covers it.

With r_k(x) the distance of a reference row to its k-th nearest other reference row, and R = 1.2
times the mean of r_k,

    precision     share of new rows within r_k(x) of some reference row x               [1]_
    recall        the same with both sets exchanged
    P-precision   mean over new y of 1 - prod_x (1 - max(0, 1 - |x - y| / R))           [2]_
    P-recall      the same with both sets exchanged
    coverage      share of reference rows x with a new row within r_k(x)                [3]_
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.result import Result
from vectorloom.measure.rows import Z95, as_lengths, sampled, unit_rows
from vectorloom.select.neighbours import nearest_rows
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_SCALE = 1.2
_BLOCK = 512


@dataclass(frozen=True, eq=False)
class SetOverlap(Result):
    """How two sets of vectors lie to each other.

    Attributes
    ----------
    p_precision, p_recall : float
        By probabilities: hardly moved by single rows.
    precision, recall, coverage : float
        By balls around single rows.
    error : float
        Half a 95 % interval of P-precision, over new rows.
    k, n_reference, n_new : int
    """

    p_precision: float
    p_recall: float
    precision: float
    recall: float
    coverage: float
    error: float
    k: int
    n_reference: int
    n_new: int

    def __str__(self) -> str:
        return (
            f"P-precision {self.p_precision:.3f} ± {self.error:.3f}, P-recall {self.p_recall:.3f}; "
            f"precision {self.precision:.3f}, recall {self.recall:.3f}, coverage "
            f"{self.coverage:.3f}; k={self.k}, {self.n_new:,} against {self.n_reference:,} rows"
        )

    def plot(self) -> Chart:
        """Draw all five.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        names = ("p_precision", "p_recall", "precision", "recall", "coverage")
        bars = [Bar(name.replace("p_", "P-"), getattr(self, name)) for name in names]
        return bar_chart("New rows against the reference", bars, x_label="share")


def precision_recall(
    reference: Any,
    new: Any,
    k: int = 4,
    *,
    metric: str = "l2",
    sample: int | None = 5000,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> SetOverlap:
    """Measure whether new rows lie where reference rows do (precision), and cover them (recall).

    Parameters
    ----------
    reference, new : array-like of shape (n, dim), (m, dim); n, m > k
        Say, vectors of real and of generated texts, or of a whole set and a coreset.
    k : int, default=4
    metric : {"l2", "cosine"}, default="l2"
    sample : int or None, default=5000
        Rows drawn of each.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    SetOverlap

    Raises
    ------
    ShapeError, ParameterError
        k rows or fewer; another dimension; NaN; zero rows under cosine.

    Notes
    -----
    All depend on the number of rows: compare sets of one size. One outlier of the reference makes a
    ball that holds everything, which raises precision but not P-precision. Cost: 3 * sample**2 *
    dim.

    References
    ----------
    .. [1] T. Kynkäänniemi et al., "Improved precision and recall metric for assessing generative
       models", NeurIPS 2019.
    .. [2] D. Park and S. Kim, "Probabilistic precision and recall towards reliable evaluation of
       generative models", ICCV 2023.
    .. [3] M. Naeem et al., "Reliable fidelity and diversity metrics for generative models", ICML
       2020.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.standard_normal((2, 500, 4))
    >>> same, apart = precision_recall(X, Y), precision_recall(X, Y + 9)
    >>> same.precision > 0.8, apart.p_precision < 0.01
    (True, True)
    """
    check_choice("metric", metric, ("l2", "cosine"))
    k, n_jobs = check_count("k", k), check_jobs(n_jobs)
    first = as_dense(reference, name="reference")
    second = as_dense(new, name="new", dim=first.shape[1])
    for name, rows in (("reference", first), ("new", second)):
        if len(rows) <= k:
            raise ShapeError(f"{name} has {len(rows)} rows; more than k={k} are needed.")
    parts = [
        np.ascontiguousarray(rows[sampled(len(rows), sample, random_state)])
        for rows in (first, second)
    ]
    if metric == "cosine":
        parts = [unit_rows(parts[0], "reference"), unit_rows(parts[1], "new")]
    x, y = parts
    reach_x, reach_y = (
        as_lengths(nearest_rows(rows, k, n_jobs=n_jobs)[1])[:, k - 1] for rows in parts
    )
    inside, beside = _held(y, x, reach_x), _held(x, y, reach_y)
    return SetOverlap(
        p_precision=float(inside[1].mean()),
        p_recall=float(beside[1].mean()),
        precision=float(inside[0].mean()),
        recall=float(beside[0].mean()),
        coverage=float(_covered(x, y, reach_x).mean()),
        error=float(Z95 * inside[1].std() / np.sqrt(len(y))),
        k=k,
        n_reference=len(x),
        n_new=len(y),
    )


def _held(rows: Floats, among: Floats, reach: Doubles) -> tuple[NDArray[np.bool_], Doubles]:
    """Tell of each row if it is in a ball of the others, and how likely in their support."""
    radius = _SCALE * float(reach.mean()) or np.finfo(np.float64).tiny
    inside, chance = np.empty(len(rows), bool), np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        gaps = _gaps(rows[start : start + _BLOCK], among)
        inside[start : start + _BLOCK] = (gaps <= reach).any(axis=1)
        missed = np.clip(gaps / radius, 0.0, 1.0).prod(axis=1)
        chance[start : start + _BLOCK] = 1.0 - missed
    return inside, chance


def _covered(x: Floats, y: Floats, reach: Doubles) -> NDArray[np.bool_]:
    found = np.empty(len(x), bool)
    for start in range(0, len(x), _BLOCK):
        part = slice(start, start + _BLOCK)
        found[part] = _gaps(x[part], y).min(axis=1) <= reach[part]
    return found


def _gaps(a: Floats, b: Floats) -> Doubles:
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    squares = (a64**2).sum(axis=1)[:, None] + (b64**2).sum(axis=1) - 2 * a64 @ b64.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))
