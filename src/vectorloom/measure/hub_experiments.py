# SPDX-License-Identifier: Apache-2.0
"""Which reduction of hubs helps here: each is tried on a sample, and what it did is told.

Hubness (skewness of k-occurrence and the share of rows that are nobody's neighbour) before and
after, and as quality where something is known: nDCG of judged queries, or the error of a neighbour
classifier where there are labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.hub_reduction import CSLS, HubReduction, LocalScaling, MutualProximity
from vectorloom.measure.hub_vectors import Centring, FNorm
from vectorloom.measure.hubs import Hubness, hubness_of, k_occurrence
from vectorloom.measure.result import Result
from vectorloom.measure.rows import sampled, unit_rows
from vectorloom.progress import progress
from vectorloom.select.neighbours import nearest_rows
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]
Positions = NDArray[np.int64]

#: Names of what can be tried; " + " joins a change of vectors and one of distances.
TRIALS = (
    "Centring",
    "FNorm",
    "LocalScaling",
    "CSLS",
    "MutualProximity",
    "Centring + LocalScaling",
    "FNorm + MutualProximity",
)
VECTORS: dict[str, Any] = {"Centring": Centring, "FNorm": FNorm}
DISTANCES: dict[str, Any] = {
    "LocalScaling": LocalScaling,
    "CSLS": CSLS,
    "MutualProximity": MutualProximity,
}
_FEWEST = 20


@dataclass(frozen=True, eq=False)
class HubTrial(Result):
    """One reduction, tried.

    Attributes
    ----------
    name : str
        ``"none"`` for the vectors as they are.
    hubness : Hubness
    error : float
        Share of rows that most of their k nearest label wrongly; NaN without labels.
    any_index : bool
        Whether the changed vectors can be searched by any index; False where answers are re-ranked.
    """

    name: str
    hubness: Hubness
    error: float
    any_index: bool


@dataclass(frozen=True, eq=False)
class HubTrials(Result):
    """What each reduction did to hubs, on one sample; ``print`` it.

    Attributes
    ----------
    trials : tuple of HubTrial
        The first is ``"none"``.
    k, n_rows, n_measured : int
    """

    trials: tuple[HubTrial, ...]
    k: int
    n_rows: int
    n_measured: int

    @property
    def none(self) -> HubTrial:
        """The vectors as they are."""
        return self.trials[0]

    def best(self, *, any_index: bool = False) -> HubTrial:
        """Return the trial with the fewest errors, or without labels the least skewness.

        Parameters
        ----------
        any_index : bool, default=False
            Whether only those count whose vectors any index can search.

        Returns
        -------
        HubTrial
            ``"none"`` where nothing is better.
        """
        among = [t for t in self.trials if t is self.none or t.any_index or not any_index]
        return min(
            among, key=lambda t: t.hubness.skewness if np.isnan(self.none.error) else t.error
        )

    def __str__(self) -> str:
        labelled = not np.isnan(self.none.error)
        width = max(len(trial.name) for trial in self.trials)
        lines = [f"{'':<{width}}  skewness  nobody's  in hubs" + ("  error" if labelled else "")]
        for trial in self.trials:
            hubs = trial.hubness
            error = f"  {trial.error:.3f}" if labelled else ""
            lines.append(
                f"{trial.name:<{width}}  {hubs.skewness:8.3f}  {hubs.antihub_share:8.1%}  "
                f"{hubs.hub_occupancy:7.1%}{error}"
            )
        return "\n".join([*lines, f"k={self.k}, among {self.n_measured:,} rows"])

    def plot(self) -> Chart:
        """Draw the skewness of each.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        return bar_chart(
            "Hubness after each reduction",
            [
                Bar(t.name, t.hubness.skewness, t.hubness.low, t.hubness.high, 4 * (t is self.none))
                for t in self.trials
            ],
            x_label=f"skewness of {self.k}-occurrence among {self.n_measured:,} rows",
        )


def hub_trials(
    X: Any,
    k: int = 10,
    *,
    labels: Any = None,
    tries: Sequence[str] = TRIALS,
    metric: str = "cosine",
    sample: int | None = 4000,
    exact: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> HubTrials:
    """Try reductions of hubness on a sample of rows.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 20
    k : int, default=10
    labels : array-like of shape (n,) or None, default=None
        A class a row: the error of a k-nearest-neighbour vote is then told too.
    tries : sequence of str, default=TRIALS
        Of ``"Centring"``, ``"FNorm"``, ``"LocalScaling"``, ``"CSLS"``, ``"MutualProximity"``; one
        that changes vectors may be joined with one that changes distances, as ``"FNorm +
        MutualProximity"``. Changed vectors have length 1: under l2 they are another metric.
    metric : {"cosine", "l2"}, default="cosine"
    sample : int or None, default=4000
    exact : bool, default=False
        Takes all rows.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    HubTrials

    Raises
    ------
    ShapeError, ParameterError
        Fewer than 20 rows; NaN; zero rows under cosine; an unknown name; labels of another length.

    Notes
    -----
    Cost: about sample**2 * dim a trial. Fewer hubs are not better answers: on judged queries of
    text, reductions helped where queries are documents and hurt where short queries ask long
    documents. Measure with `evaluate_retrieval` before one is kept.

    References
    ----------
    .. [1] B. Nielsen and L. Hansen, "Hubness reduction improves Sentence-BERT semantic spaces",
       NLDL 2024, arXiv:2311.18364.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((600, 60)) + 0.3
    >>> found = hub_trials(X, tries=["Centring", "LocalScaling"])
    >>> found.best().name, found.best().hubness.skewness < 0.5 * found.none.hubness.skewness
    ('Centring', True)
    """
    check_choice("metric", metric, ("cosine", "l2"))
    rows = as_dense(X)
    n_jobs = check_jobs(n_jobs)
    if len(rows) < _FEWEST:
        raise ShapeError(f"X has {len(rows)} rows; trials need at least {_FEWEST}.")
    steps = [steps_of(name) for name in tries]
    at = sampled(len(rows), sample, random_state, exact=exact)
    k = min(check_count("k", k), len(at) - 1)
    part = np.ascontiguousarray(rows[at])
    part = unit_rows(part) if metric == "cosine" else part
    codes = None if labels is None else _codes(labels, len(rows))[at]
    found = []
    with progress("reductions of hubness", total=len(steps) + 1, unit="trials") as bar:
        for name, (vectors, distances) in zip(["none", *tries], [("", ""), *steps], strict=True):
            near = _neighbours(part, vectors, distances, k, metric, n_jobs)
            found.append(
                HubTrial(
                    name=name,
                    hubness=hubness_of(k_occurrence(near, len(part)), k, at),
                    error=float("nan") if codes is None else vote_error(near, codes),
                    any_index=not distances,
                )
            )
            bar.advance()
    return HubTrials(trials=tuple(found), k=k, n_rows=len(rows), n_measured=len(at))


def vote_error(neighbours: Positions, codes: Positions) -> float:
    """Return the share of rows that most of their neighbours label wrongly.

    Parameters
    ----------
    neighbours : ndarray of shape (n, k), int64
    codes : ndarray of shape (n,), int64
        Classes from 0 on; of equal votes the class of the nearest wins.

    Returns
    -------
    float

    Examples
    --------
    >>> vote_error(np.array([[1, 2], [0, 2], [1, 0]]), np.array([0, 0, 1]))
    0.333...
    """
    votes = codes[neighbours]
    k = votes.shape[1]
    counts = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
    chosen = votes[np.arange(len(votes)), np.argmax(counts * k - np.arange(k), axis=1)]
    return float((chosen != codes).mean())


def steps_of(name: str) -> tuple[str, str]:
    """Return the names of the change of vectors and of distances; empty where there is none.

    Parameters
    ----------
    name : str
        One of `TRIALS`, or another pair of that kind.

    Returns
    -------
    vectors, distances : str

    Raises
    ------
    ParameterError
        Neither.
    """
    parts = [part.strip() for part in name.split("+")]
    vectors = parts.pop(0) if parts[0] in VECTORS else ""
    distances = parts.pop(0) if parts and parts[0] in DISTANCES else ""
    if parts:
        raise ParameterError(
            f"{name!r} is no trial. Choose of {', '.join([*VECTORS, *DISTANCES])}; one of the "
            "first two may be joined with one of the others by ' + '."
        )
    return vectors, distances


def _codes(labels: Any, n: int) -> Positions:
    values = np.asarray(labels)
    if values.shape != (n,):
        raise ShapeError(f"labels must be one a row, {n}; got shape {values.shape}.")
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _neighbours(
    part: Floats, vectors: str, distances: str, k: int, metric: str, n_jobs: int | None
) -> Positions:
    if vectors:
        part = VECTORS[vectors]().fit_transform(part)
        moved = np.asarray(part.any(axis=1))
        if not moved.all():  # a row that is the mean: anywhere, but not refused
            part = np.where(moved[:, None], part, part[moved][:1])
    if not distances:
        return nearest_rows(np.ascontiguousarray(part), k, n_jobs=n_jobs)[0]
    scaling: HubReduction = DISTANCES[distances](metric=metric, n_jobs=n_jobs)
    return np.asarray(scaling.fit(part).kneighbors(k=k)[0])
