# SPDX-License-Identifier: Apache-2.0
"""Redundancy: how few dimensions give the same neighbours.

Of d dimensions kept, three ways: the first d (prefix), d drawn at random, and the d directions of
most second moment (reduced). Quality is the mean share of the true k nearest that are found, or
whatever a task measures. The safe number of dimensions is the least whose interval reaches the
floor asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.neighbourhoods import agreement_of
from vectorloom.measure.result import Result
from vectorloom.measure.rows import Z95, directions, sampled, unit_rows
from vectorloom.progress import progress
from vectorloom.select.neighbours import nearest_others
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]

#: Ways to keep d dimensions.
WAYS = ("prefix", "random", "reduced")
_FEWEST = 20
_SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0)


@dataclass(frozen=True, eq=False)
class Redundancy(Result):
    """Quality by number of dimensions.

    Attributes
    ----------
    dims : ndarray of shape (d,), int64
        Dimensions kept, ascending; the last is all.
    quality : dict of str to ndarray of shape (d,), float64
        For ``"prefix"``, ``"random"`` and ``"reduced"``.
    error : dict of str to ndarray of shape (d,), float64
        Half a 95 % interval; NaN for a task that gives none.
    safe : dict of str to int
        Least dims whose quality is `floor` of that of all; all of them where none is.
    floor : float
    task : str
        What quality is.
    n_rows, n_measured, dim : int
    """

    dims: NDArray[np.int64]
    quality: dict[str, NDArray[np.float64]]
    error: dict[str, NDArray[np.float64]]
    safe: dict[str, int]
    floor: float
    task: str
    n_rows: int
    n_measured: int
    dim: int

    def at(self, share: float, way: str = "prefix") -> float:
        """Return the quality with a share of the dimensions, between those measured.

        Parameters
        ----------
        share : float in (0, 1]
        way : {"prefix", "random", "reduced"}, default="prefix"

        Returns
        -------
        float
        """
        check_choice("way", way, WAYS)
        return float(np.interp(share * self.dim, self.dims, self.quality[way]))

    def __str__(self) -> str:
        lines = [f"{self.task} with fewer of {self.dim} dimensions, {self.n_measured:,} queries"]
        lines.append("dims      " + "".join(f"{d:>8,}" for d in self.dims))
        for way, values in self.quality.items():
            lines.append(f"{way:<10}" + "".join(f"{v:>8.3f}" for v in values))
        kept = ", ".join(f"{way} {d}" for way, d in self.safe.items())
        return "\n".join([*lines, f"{self.floor:.0%} kept by   {kept}"])

    def plot(self) -> Chart:
        """Draw quality over dimensions.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Line, line_chart

        return line_chart(
            "Neighbours kept with fewer dimensions",
            [
                Line(way, self.dims.tolist(), v.tolist(), *_band(v, self.error[way]))
                for way, v in self.quality.items()
            ],
            x_label="dimensions kept, each step doubles",
            log_x=True,
            y_range=(0.0, 1.0),
            guide=self.floor,
        )


def redundancy(
    X: Any,
    *,
    dims: Any = None,
    task: Callable[[Floats], float] | None = None,
    k: int = 10,
    floor: float = 0.95,
    metric: str = "cosine",
    sample: int | None = 10_000,
    n_queries: int = 1000,
    exact: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Redundancy:
    """Measure quality against the number of dimensions kept.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 20, dim >= 2
    dims : sequence of int or None, default=None
        Dimensions kept. None: from 1/32 to all in eight steps.
    task : callable or None, default=None
        From rows of fewer dimensions, shape (n, d), to a quality where more is better. It is then
        called with all rows, once for each of dims and ways. None: the share of the k nearest
        rows that are the same.
    k : int, default=10
    floor : float in (0, 1], default=0.95
        Share of the quality of all dimensions that is enough.
    metric : {"cosine", "l2", "ip"}, default="cosine"
    sample : int or None, default=10000
        Rows among which neighbours are sought.
    n_queries : int, default=1000
        Of these, how many ask.
    exact : bool, default=False
        Takes all rows, each as a query.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    Redundancy

    Raises
    ------
    ShapeError, ParameterError
        Fewer than 20 rows, one column; NaN; zero rows under cosine; dims beyond the columns.

    Notes
    -----
    Cost: n_queries * sample * sum of 3 * dims. Directions are those of the second moment, not of
    the variance, for cosine and ip: a mean that is taken off would change both. Neighbours are
    harder to keep than tasks: labels and judged queries often bear fewer dimensions.

    References
    ----------
    .. [1] H. Tsukagoshi and R. Sasano, "Redundancy, isotropy, and intrinsic dimensionality of
       prompt-based text embeddings", Findings of ACL 2025, arXiv:2506.01435.

    Examples
    --------
    Only the first four of 16 dimensions hold anything:

    >>> X = np.random.default_rng(0).standard_normal((500, 16))
    >>> X[:, 4:] *= 1e-4
    >>> redundancy(X).safe["prefix"]
    4
    """
    check_choice("metric", metric, ("cosine", "l2", "ip"))
    if not 0 < floor <= 1:
        raise ParameterError(f"floor is {floor}; a share above 0 and up to 1 is expected.")
    rows = as_dense(X)
    n, dim = rows.shape
    if n < _FEWEST or dim < 2:
        raise ShapeError(f"redundancy needs {_FEWEST} rows and two columns; got {rows.shape}.")
    kept = _dims(dims, dim)
    rng = np.random.default_rng(random_state)
    if task is None:
        part = np.ascontiguousarray(rows[sampled(n, sample, random_state, exact=exact)])
        part = unit_rows(part) if metric == "cosine" else part
        at = sampled(len(part), min(n_queries, len(part)), random_state, exact=exact)
        measure = _neighbour_measure(part, at, min(check_count("k", k), len(part) - 1), metric)
        told, jobs = f"overlap@{k}", check_jobs(n_jobs)
    else:
        part, at, told, jobs = rows, np.arange(n), _name_of(task), None
        measure = _task_measure(task)
    forms = {
        "prefix": part,
        "random": np.ascontiguousarray(part[:, rng.permutation(dim)]),
        "reduced": _turned(part, metric),
    }
    quality, error = {}, {}
    with progress("fewer dimensions", total=len(forms) * len(kept), unit="settings") as bar:
        for way, form in forms.items():
            found = []
            for d in kept:
                found.append(measure(np.ascontiguousarray(form[:, :d]), jobs))
                bar.advance()
            quality[way] = np.array([value for value, _ in found])
            error[way] = np.array([half for _, half in found])
    return Redundancy(
        dims=kept,
        quality=quality,
        error=error,
        safe={way: _safe(kept, values, floor) for way, values in quality.items()},
        floor=floor,
        task=told,
        n_rows=n,
        n_measured=len(at),
        dim=dim,
    )


def _name_of(task: Callable[[Floats], float]) -> str:
    name = getattr(task, "__name__", "task")
    return "task" if name == "<lambda>" else name


def _dims(dims: Any, dim: int) -> NDArray[np.int64]:
    if dims is None:
        return np.unique([max(1, round(share * dim)) for share in _SHARES]).astype(np.int64)
    kept = np.unique(np.asarray([check_count("dims", int(d)) for d in dims], np.int64))
    if len(kept) == 0 or kept[-1] > dim:
        raise ParameterError(f"dims are {list(dims)}; from 1 to {dim} are possible.")
    return kept if kept[-1] == dim else np.append(kept, dim)


def _neighbour_measure(
    part: Floats, at: NDArray[np.int64], k: int, metric: str
) -> Callable[[Floats, int | None], tuple[float, float]]:
    core = "l2" if metric == "cosine" else metric
    truth: list[NDArray[np.int64]] = []

    def measure(form: Floats, n_jobs: int | None) -> tuple[float, float]:
        if not truth:
            truth.append(nearest_others(part, at, k, metric=core, n_jobs=n_jobs)[0])
        if metric == "cosine":  # a row that is 0 in the dimensions kept stays 0: far from all
            form = directions(form)
        found = nearest_others(form, at, k, metric=core, n_jobs=n_jobs)[0]
        overlap = agreement_of(found, truth[0])[0] / k
        return float(overlap.mean()), Z95 * float(overlap.std()) / len(at) ** 0.5

    return measure


def _task_measure(
    task: Callable[[Floats], float],
) -> Callable[[Floats, int | None], tuple[float, float]]:
    return lambda form, _: (float(task(form)), float("nan"))


def _turned(part: Floats, metric: str) -> Floats:
    """Turn rows so that the first directions hold the most."""
    off = part - part.mean(axis=0, dtype=np.float64).astype(np.float32) if metric == "l2" else part
    axes = np.linalg.eigh(np.asarray(off.T @ off, np.float64))[1][:, ::-1]
    return np.ascontiguousarray(off @ axes.astype(np.float32))


def _safe(kept: NDArray[np.int64], values: NDArray[np.float64], floor: float) -> int:
    return int(kept[np.argmax(values >= floor * values[-1])])


def _band(values: NDArray[np.float64], error: NDArray[np.float64]) -> tuple[Any, Any]:
    if np.isnan(error).any():
        return None, None
    return (values - error).tolist(), (values + error).tolist()
