# SPDX-License-Identifier: Apache-2.0
"""Drift: whether two batches of vectors come from one distribution, and how much they differ.

With a normal kernel K of the median distance between pooled rows,

    MMD^2 = mean K(a, a') + mean K(b, b') - 2 mean K(a, b),   over different rows.

Its p-value is of the permutation test: rows change batch at random, (1 + hits) / (1 + draws). How
much they differ is told by the witness function w(x) = mean K(x, a) - mean K(x, b), learnt on one
half of each batch: auc = P(w(a) > w(b)) on the other half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.estimator import check_choice, check_count
from vectorloom.io.pages import Chart
from vectorloom.measure.query_distance import above
from vectorloom.measure.result import Result
from vectorloom.measure.rows import Z95, sampled, unit_rows
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_FEWEST = 10
_ALPHA = 0.01


@dataclass(frozen=True, eq=False)
class Drift(Result):
    """Whether two batches differ; ``float(result)`` is the p-value.

    Attributes
    ----------
    p_value : float
        Of the hypothesis that both are of one distribution.
    mmd : float
        Squared maximum mean discrepancy, unbiased: about 0 without drift.
    auc : float
        How well a row's batch can be told: 0.5 by chance only, 1 always.
    low, high : float
        Its 95 % interval.
    mean_shift : float
        Distance of the means over the root of the mean variance of a batch.
    length_ratio : float
        Mean length of B's rows over that of A's.
    dims : ndarray of shape (10,), int64
        Dimensions whose means differ most, in units of their spread; fewer where there are fewer.
    shifts : ndarray of shape (10,), float64
        By how much.
    witness_a, witness_b : ndarray, float64
        The witness function of held-out rows: larger is more like A.
    n_a, n_b, n_measured : int
        Rows given, and taken of both together.
    """

    p_value: float
    mmd: float
    auc: float
    low: float
    high: float
    mean_shift: float
    length_ratio: float
    dims: NDArray[np.int64]
    shifts: Doubles
    witness_a: Doubles
    witness_b: Doubles
    n_a: int
    n_b: int
    n_measured: int

    def __float__(self) -> float:
        return self.p_value

    @property
    def drifted(self) -> bool:
        """Whether chance is ruled out at 1 %."""
        return self.p_value <= _ALPHA

    def __str__(self) -> str:
        return (
            f"{'drift' if self.drifted else 'no drift'}: p = {self.p_value:.3g}; a row's batch can "
            f"be told with auc {self.auc:.3f} [{self.low:.3f}, {self.high:.3f}]; means differ by "
            f"{self.mean_shift:.2f} of the spread; {self.n_measured:,} rows"
        )

    def plot(self) -> Chart:
        """Draw the witness function of both batches.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import distribution_chart

        return distribution_chart(
            "Can the batches be told apart?",
            [("first", self.witness_a), ("second", self.witness_b)],
            x_label="witness: more like the first to the right",
        )


def drift(
    A: Any,
    B: Any,
    *,
    metric: str = "cosine",
    sample: int = 1000,
    n_resamples: int = 500,
    random_state: int = 0,
) -> Drift:
    """Test whether two batches of vectors are of one distribution.

    Parameters
    ----------
    A, B : array-like of shape (n, dim), (m, dim); n, m >= 10
        An earlier and a later batch; rows need not correspond.
    metric : {"cosine", "l2"}, default="cosine"
        ``"cosine"`` compares directions only.
    sample : int, default=1000
        Rows drawn of each batch.
    n_resamples : int, default=500
        Permutations; the p-value is 1 / (1 + n_resamples) at least.
    random_state : int, default=0

    Returns
    -------
    Drift

    Raises
    ------
    ShapeError, ParameterError
        Fewer than 10 rows; another dimension; NaN; zero rows under cosine.

    Notes
    -----
    Cost: (2 * sample)**2 * (dim + n_resamples). With enough rows the smallest difference is
    significant: heed the auc. Rows are taken as independent: chunks of the same documents make
    batches differ that do not.

    References
    ----------
    .. [1] A. Gretton et al., "A kernel two-sample test", JMLR 13 (2012).
    .. [2] D. Lopez-Paz and M. Oquab, "Revisiting classifier two-sample tests", ICLR 2017.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> A, B = rng.standard_normal((2, 400, 16))
    >>> drift(A, B).drifted, drift(A, B + 0.3).drifted
    (False, True)
    """
    check_choice("metric", metric, ("cosine", "l2"))
    sample = check_count("sample", sample, at_least=_FEWEST)
    n_resamples = check_count("n_resamples", n_resamples)
    first = as_dense(A, name="A")
    second = as_dense(B, name="B", dim=first.shape[1])
    for name, rows in (("A", first), ("B", second)):
        if len(rows) < _FEWEST:
            raise ShapeError(f"{name} has {len(rows)} rows; a test needs at least {_FEWEST}.")
    parts = [
        np.ascontiguousarray(rows[sampled(len(rows), sample, random_state + i)])
        for i, rows in enumerate((first, second))
    ]
    lengths = [float(np.linalg.norm(part.astype(np.float64), axis=1).mean()) for part in parts]
    if metric == "cosine":
        parts = [unit_rows(part, name) for part, name in zip(parts, "AB", strict=True)]
    rng = np.random.default_rng(random_state)
    n = len(parts[0])
    kernel = _kernel(np.concatenate(parts))
    mmd, p_value = _test(kernel, n, n_resamples, rng)
    of_a, of_b = _witness(kernel, n, rng)
    auc, error = above(of_a, of_b)
    shift, dims, shifts = _mean_shift(*parts)
    return Drift(
        p_value=p_value,
        mmd=mmd,
        auc=auc,
        low=max(0.0, auc - Z95 * error),
        high=min(1.0, auc + Z95 * error),
        mean_shift=shift,
        length_ratio=lengths[1] / lengths[0] if lengths[0] else float("nan"),
        dims=dims,
        shifts=shifts,
        witness_a=of_a,
        witness_b=of_b,
        n_a=len(first),
        n_b=len(second),
        n_measured=len(kernel),
    )


def _kernel(rows: Floats) -> Doubles:
    off = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    squares = np.einsum("ij,ij->i", off, off)
    gaps = np.maximum(squares[:, None] + squares[None, :] - 2 * off @ off.T, 0.0)
    np.fill_diagonal(gaps, 0.0)
    width = float(np.median(gaps[np.triu_indices(len(gaps), 1)])) or 1.0
    return np.asarray(np.exp(-gaps / width))


def _test(
    kernel: Doubles, n: int, n_resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    total = len(kernel)
    m = total - n
    # One column a permutation: 1/n for rows in A, -1/m for those in B; the first is the truth.
    weights = np.empty((total, n_resamples + 1))
    weights[:n, 0], weights[n:, 0] = 1.0 / n, -1.0 / m
    for i in range(1, n_resamples + 1):
        weights[:, i] = weights[rng.permutation(total), 0]
    biased = np.einsum("ij,ij->j", weights, kernel @ weights)
    hits = int((biased[1:] >= biased[0] * (1 - 1e-12)).sum())
    inside = (kernel[:n, :n].sum() - n) / (n * (n - 1)) + (kernel[n:, n:].sum() - m) / (m * (m - 1))
    mmd = inside - 2 * kernel[:n, n:].mean()
    return float(mmd), (1 + hits) / (1 + n_resamples)


def _witness(kernel: Doubles, n: int, rng: np.random.Generator) -> tuple[Doubles, Doubles]:
    """Learn the witness on half of each batch, and return it of the other halves."""
    a, b = rng.permutation(n), n + rng.permutation(len(kernel) - n)
    known_a, new_a = a[: len(a) // 2], a[len(a) // 2 :]
    known_b, new_b = b[: len(b) // 2], b[len(b) // 2 :]

    def witness(at: NDArray[np.int64]) -> Doubles:
        part = kernel[at]
        return np.asarray(part[:, known_a].mean(axis=1) - part[:, known_b].mean(axis=1))

    return witness(new_a), witness(new_b)


def _mean_shift(a: Floats, b: Floats) -> tuple[float, NDArray[np.int64], Doubles]:
    gap = b.mean(axis=0, dtype=np.float64) - a.mean(axis=0, dtype=np.float64)
    spread = (a.var(axis=0, dtype=np.float64) + b.var(axis=0, dtype=np.float64)) / 2
    each = gap / np.sqrt(np.maximum(spread, np.finfo(np.float64).tiny))
    each = np.where((spread == 0) & (gap == 0), 0.0, each)
    dims = np.argsort(-np.abs(each), kind="stable")[:10]
    total = float(spread.sum())
    size = float(np.sqrt(gap @ gap))
    return size / total**0.5 if total else (np.inf if size else 0.0), dims, each[dims]
