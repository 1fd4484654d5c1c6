# SPDX-License-Identifier: Apache-2.0
"""Whether the cosine of factors means anything: rescale what the model leaves free, and look.

A model that scores by A B^T scores the same with A D and B D^{-1} for any diagonal D. Its training
may or may not tie D down; where it does not, the cosine of rows of B is that of an arbitrary D
[1]_. D is drawn log-normal with spread s, and the neighbours of items by cosine before and after
are compared. The closed forms of [1]_ for a matrix X = U diag(sigma) V^T:

    product    min |X - X A B^T|^2 + r |A B^T|^2
               A B^T = V diag(1 / (1 + r / sigma^2)) V^T
    separate   min |X - X A B^T|^2 + r (|X A|^2 + |B|^2)
               A = V diag(sqrt((1 - r / sigma)+ / sigma)), B = V diag(sqrt(sigma (1 - r / sigma)+))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count
from vectorloom.io.pages import Chart
from vectorloom.measure.neighbourhoods import agreement_of
from vectorloom.measure.result import Result
from vectorloom.measure.rows import Z95, sampled, unit_rows
from vectorloom.select.neighbours import nearest_others
from vectorloom.vectors import as_dense

Doubles = NDArray[np.float64]

_SPREADS = (0.1, 0.3, 1.0)
_STABLE = 0.9


@dataclass(frozen=True, eq=False)
class CosineAudit(Result):
    """How much the cosine of items depends on what the model leaves free.

    Attributes
    ----------
    spreads : tuple of float
        Standard deviation of log D.
    overlap : ndarray of shape (len(spreads),), float64
        Mean share of the k nearest by cosine that stay, over draws.
    error : ndarray of shape (len(spreads),), float64
        Half a 95 % interval over items and draws.
    score_change : float
        Largest relative change of A B^T over all draws: rounding only.
    advice : str
    k, n_items : int
    """

    spreads: tuple[float, ...]
    overlap: Doubles
    error: Doubles
    score_change: float
    advice: str
    k: int
    n_items: int

    @property
    def is_stable(self) -> bool:
        """Whether even the widest rescaling keeps nine in ten neighbours."""
        return bool(self.overlap[-1] >= _STABLE)

    def __str__(self) -> str:
        told = ", ".join(
            f"spread {s:g}: {o:.3f} ± {e:.3f}"
            for s, o, e in zip(self.spreads, self.overlap, self.error, strict=True)
        )
        return f"neighbours by cosine kept@{self.k} with the same scores: {told}\n{self.advice}"

    def plot(self) -> Chart:
        """Draw the share of neighbours kept.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        bars = [
            Bar(f"spread {s:g}", o, max(0.0, o - e), min(1.0, o + e))
            for s, o, e in zip(self.spreads, self.overlap, self.error, strict=True)
        ]
        return bar_chart("Neighbours kept, scores the same", bars, x_label=f"overlap@{self.k}")


def cosine_audit(
    A: Any,
    B: Any,
    k: int = 10,
    *,
    spreads: tuple[float, ...] = _SPREADS,
    draws: int = 5,
    sample: int | None = 1000,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> CosineAudit:
    """Test whether neighbours of items by cosine survive rescalings that keep all scores.

    Parameters
    ----------
    A : array-like of shape (n_users, dim)
        Factors of users (or queries).
    B : array-like of shape (n_items, dim), n_items > k
        Factors of items.
    k : int, default=10
    spreads : tuple of float, default=(0.1, 0.3, 1.0)
        Standard deviations of log D that are tried.
    draws : int, default=5
        Of D, for each.
    sample : int or None, default=1000
        Items whose neighbours are looked at, among all.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    CosineAudit

    Raises
    ------
    ShapeError, ParameterError
        Other dimensions; k items or fewer; zero rows; NaN.

    Notes
    -----
    It tells how much is at stake, not whether the training tied D down: a penalty on both factors
    does, a penalty on their product or on none does not. Cost: draws * len(spreads) * sample *
    n_items * dim.

    References
    ----------
    .. [1] H. Steck, C. Ekanadham and N. Kallus, "Is cosine-similarity of embeddings really about
       similarity?", WWW Companion 2024, arXiv:2403.05440.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = cosine_audit(rng.standard_normal((50, 8)), rng.standard_normal((200, 8)))
    >>> found.is_stable, found.score_change < 1e-5
    (False, True)
    """
    k, draws = check_count("k", k), check_count("draws", draws)
    items = as_dense(B, name="B")
    users = as_dense(A, name="A", dim=items.shape[1])
    if len(items) <= k:
        raise ShapeError(f"B has {len(items)} items; more than k={k} are needed.")
    if not spreads or min(spreads) < 0:
        raise ParameterError(f"spreads are {spreads}; numbers of 0 or more are expected.")
    rng = np.random.default_rng(random_state)
    at = sampled(len(items), sample, random_state)
    before = nearest_others(unit_rows(items, "B"), at, k, n_jobs=n_jobs)[0]
    few = users[: min(len(users), 100)].astype(np.float64), items[:100].astype(np.float64)
    scores = few[0] @ few[1].T
    size = float(np.abs(scores).max()) or 1.0
    change, overlap, error = 0.0, [], []
    for spread in spreads:
        kept = np.empty((draws, len(at)))
        for draw in range(draws):
            d = np.exp(spread * rng.standard_normal(items.shape[1]))
            scaled = np.ascontiguousarray(items / d.astype(np.float32))
            after = nearest_others(unit_rows(scaled, "B"), at, k, n_jobs=n_jobs)[0]
            kept[draw] = agreement_of(before, after)[0] / k
            new = (few[0] * d) @ (few[1] / d).T
            change = max(change, float(np.abs(new - scores).max()) / size)
        overlap.append(float(kept.mean()))
        drawn = kept.mean(axis=1).var(ddof=1) / draws if draws > 1 else 0.0
        error.append(Z95 * float(np.sqrt(kept.mean(axis=0).var() / len(at) + drawn)))
    values = np.array(overlap)
    return CosineAudit(
        spreads=tuple(spreads),
        overlap=values,
        error=np.array(error),
        score_change=change,
        advice=_advice(float(values[-1])),
        k=k,
        n_items=len(items),
    )


def ridge_factors(
    X: Any, dim: int, penalty: float, kind: str = "product"
) -> tuple[Doubles, Doubles]:
    """Return the closed-form factors of a linear model of a user-item matrix.

    Parameters
    ----------
    X : array-like of shape (n_users, n_items)
    dim : int
        At most the smaller side.
    penalty : float
    kind : {"product", "separate"}, default="product"
        What is penalised: the product of the factors, which leaves D free, or each by itself, which
        does not.

    Returns
    -------
    A, B : ndarray of shape (n_items, dim), float64
        The model scores by ``X @ A @ B.T``. For ``"product"``, D = 1 is chosen.

    Raises
    ------
    ParameterError
        A negative penalty; a `dim` beyond the sides.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((30, 6))
    >>> A, B = ridge_factors(X, 6, 0.0)
    >>> bool(np.allclose(X @ A @ B.T, X))
    True
    """
    check_choice("kind", kind, ("product", "separate"))
    table = as_dense(X, dtype=np.float64)
    dim = check_count("dim", dim)
    if penalty < 0 or dim > min(table.shape):
        raise ParameterError(
            f"penalty {penalty} and dim {dim}: a penalty of 0 or more, and at most "
            f"{min(table.shape)} dimensions, are possible."
        )
    _, sigma, vt = np.linalg.svd(table, full_matrices=False)
    sigma, v = sigma[:dim], vt[:dim].T
    safe = np.maximum(sigma, np.finfo(np.float64).tiny)
    if kind == "product":
        return v * np.where(sigma > 0, 1 / (1 + penalty / safe**2), 0.0), v
    kept = np.maximum(1 - penalty / safe, 0.0)
    return v * np.sqrt(kept / safe), v * np.sqrt(sigma * kept)


def _advice(kept: float) -> str:
    if kept >= _STABLE:
        return "The cosine hardly depends on what the model leaves free: it can be used."
    return (
        f"Rescalings that change no score change {1 - kept:.0%} of the neighbours. Unless training "
        "penalised both factors, take the dot product the model was trained for, or bring rows to "
        "length 1 while training."
    )
