# SPDX-License-Identifier: Apache-2.0
"""What is the matter with these vectors: measured, and said with advice in words."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.contrast import Structure, structure
from vectorloom.measure.dimension import Dimension, dimension_of
from vectorloom.measure.drifting import Drift, drift
from vectorloom.measure.hub_experiments import TRIALS, HubTrials, hub_trials
from vectorloom.measure.hub_judged import JudgedTrials, judged_trials
from vectorloom.measure.hubs import Hubness, hubness
from vectorloom.measure.isotropy_measures import Isotropy, isotropy
from vectorloom.measure.near_duplicates import NearCopies, near_copies_of
from vectorloom.measure.nearby import Nearby, nearby
from vectorloom.measure.outlying import Outliers, outliers_of
from vectorloom.measure.query_distance import QueryShift, query_shift_of
from vectorloom.measure.redundant import Redundancy, redundancy
from vectorloom.measure.result import Result
from vectorloom.measure.rows import sampled
from vectorloom.progress import progress
from vectorloom.vectors import as_dense, as_ids

Floats = NDArray[np.float32]
Positions = NDArray[np.int64]

_BLOCK = 8192
_FEWEST = 20
_HUB_ROWS = 10_000
_NEAR_ROWS = 1000  # whose neighbours are sought among all rows
_TRIAL_ROWS = 3000
_CURVE_ROWS, _CURVE_QUERIES = 5000, 500
_STRUCTURE_ROWS = 5000
_NEIGHBOURS = 20
_K = 10
_SINGLE = tuple(name for name in TRIALS if "+" not in name)
# Changed vectors have length 1: under l2 that would be another metric.
_RESCALING = tuple(name for name in _SINGLE if name not in ("Centring", "FNorm"))
_NEARLY_CONSTANT = 1e-6
_HEAVY = 10.0


@dataclass(frozen=True)
class Finding(Result):
    """One thing worth a sentence.

    Attributes
    ----------
    kind : str
        What was looked at, such as ``"hubs"``.
    level : {"repair", "consider", "fine"}
        How urgent it is; ``"fine"`` where nothing has to be done.
    fact : str
        What was measured.
    advice : str
        What to do about it; empty where nothing.
    """

    kind: str
    level: str
    fact: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.fact}: {self.advice}" if self.advice else f"{self.fact}."


@dataclass(frozen=True, eq=False)
class Columns(Result):
    """What single dimensions hold.

    Attributes
    ----------
    constant : ndarray of shape (a,), int64
        Columns that hold one value in all rows.
    dead : ndarray of shape (b,), int64
        Others whose variance is less than a millionth of the mean variance.
    heavy : ndarray of shape (c,), int64
        Columns with more than 5 %, and ten times their part, of the squared length.
    heavy_share : float
        Of the squared length that these hold together.
    """

    constant: Positions
    dead: Positions
    heavy: Positions
    heavy_share: float


@dataclass(frozen=True, eq=False)
class Report(Result):
    """Findings about a set of vectors; ``print`` it, `save` it as a page.

    Attributes
    ----------
    n_rows, dim : int
    n_zero : int
        Rows that are all 0; left out of everything else.
    copies : float
        Share of rows that are exact copies of an earlier one; copies are left out of what follows.
    columns : Columns
    length : float
        Mean length of the rows.
    length_spread : float
        Standard deviation of the lengths over their mean.
    lengths : ndarray, float64
        Of the sampled rows.
    isotropy : Isotropy
    dimension : Dimension
        By maximum likelihood, at 1,000 rows among all.
    near : NearCopies
    outliers : Outliers
    hubness : Hubness
    trials : HubTrials
        What reductions of hubness did, on a sample.
    judged : JudgedTrials or None
        What they did to the answers of judged queries.
    structure : Structure
    redundancy : Redundancy
    queries : QueryShift or None
    drift : Drift or None
        From the earlier batch to these vectors.
    metric : {"cosine", "l2"}
    seconds : float
    findings : tuple of Finding
        Most urgent first; what is fine comes last.
    """

    n_rows: int
    dim: int
    n_zero: int
    copies: float
    columns: Columns
    length: float
    length_spread: float
    lengths: NDArray[np.float64]
    isotropy: Isotropy
    dimension: Dimension
    near: NearCopies
    outliers: Outliers
    hubness: Hubness
    trials: HubTrials
    judged: JudgedTrials | None
    structure: Structure
    redundancy: Redundancy
    queries: QueryShift | None
    drift: Drift | None
    metric: str
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def advice(self) -> tuple[str, ...]:
        """What follows from the numbers, most urgent first."""
        told = tuple(str(finding) for finding in self.findings if finding.level != "fine")
        return told or (
            "Nothing stands out: no repair is needed before these vectors are indexed.",
        )

    def __str__(self) -> str:
        parts = [self.isotropy, self.dimension, self.near, self.outliers, self.hubness, self.trials]
        parts += [self.structure, self.redundancy]
        others = (self.judged, self.queries, self.drift)
        parts += [part for part in others if part is not None]
        return "\n".join(
            [
                f"{self.n_rows:,} vectors of {self.dim} dimensions, length {self.length:.3g} "
                f"(± {self.length_spread:.1%})",
                f"{self.n_zero} zero rows, {self.copies:.2%} copies, "
                f"{len(self.columns.constant)} constant dimensions",
                "",
                *(f"{part}\n" for part in parts),
                *(f"- {line}" for line in self.advice),
            ]
        )

    def plots(self) -> list[Chart]:
        """Draw what was measured.

        Returns
        -------
        list of Chart
        """
        from vectorloom.measure.card_page import plots

        return plots(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report as a page of HTML that needs no network.

        Parameters
        ----------
        path : path-like
        """
        from vectorloom.measure.card_page import write_page

        write_page(self, path)

    def _repr_html_(self) -> str:
        from vectorloom.measure.card_page import fragment

        return fragment(self)


def report(
    X: Any,
    queries: Any = None,
    *,
    qrels: Mapping[Any, Mapping[Any, int]] | None = None,
    ids: Any = None,
    query_ids: Any = None,
    before: Any = None,
    metric: str = "cosine",
    sample: int | None = 20_000,
    exact: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Report:
    """Measure a set of vectors and say what to do about it.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 20, dim >= 2
        May be memory-mapped.
    queries : array-like of shape (m, dim) or None, default=None
        Real queries: are they where the rows are?
    qrels : mapping of query id to mapping of row id to grade, or None, default=None
        Judgments: reductions of hubs are then judged by nDCG@10, and the one that helps is advised.
    ids, query_ids : array-like or None, default=None
        Of rows and queries, as qrels name them; None: their positions.
    before : array-like of shape (b, dim), b >= 10, or None, default=None
        An earlier batch: have the vectors drifted since?
    metric : {"cosine", "l2"}, default="cosine"
        What the vectors will be compared by.
    sample : int or None, default=20000
        Rows drawn for isotropy; hubness takes at most 10,000 of them, and what is tried 3,000 to
        5,000. Zero rows, copies, constant columns and lengths are of all rows; near-copies,
        outliers and dimension are measured at 1,000 rows among all.
    exact : bool, default=False
        Takes all rows for everything but what is tried (reductions, fewer dimensions, structure,
        drift), at a cost of n**2.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    Report

    Raises
    ------
    ShapeError
        Fewer than 20 rows that are neither zero nor copies; one dimension; queries or an earlier
        batch of another dimension.
    ParameterError
        NaN, or another metric.

    Notes
    -----
    Cost: four passes over the rows, 1,000 * n * dim, and about as much as 10,000**2 * dim for the
    rest. Every share has its 95 % interval. Advice is a rule of thumb on numbers; where judgments
    exist, measure with them before acting on it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 16)) + 2
    >>> X[:, 3] = 7.0
    >>> print(report(X).advice[0])
    1 of 16 dimensions is constant (3): drop it, it costs memory and says nothing.
    """
    from vectorloom.measure.card_advice import findings_of

    began = time.monotonic()
    check_choice("metric", metric, ("cosine", "l2"))
    rows = as_dense(X)
    n_jobs = check_jobs(n_jobs)
    if qrels is not None and queries is None:
        raise ParameterError("qrels judge queries, and none were given. Pass queries too.")
    if rows.shape[1] < 2:
        raise ShapeError("X must have at least two columns for a report; got one.")
    asked = None if queries is None else as_dense(queries, name="queries", dim=rows.shape[1])
    earlier = None if before is None else _earlier(before, rows.shape[1], metric)
    with progress("lengths and copies", total=len(rows), unit="rows") as bar:
        lengths, marks, constant = _scan(rows, bar)
    first = np.unique(marks, return_index=True)[1]
    kept = np.sort(first[lengths[first] > 0])
    if len(kept) < _FEWEST:
        raise ShapeError(
            f"X has {len(kept)} rows that are neither zero nor copies; a report needs {_FEWEST}."
        )
    at = kept[sampled(len(kept), sample, random_state, exact=exact)]
    part = rows if len(at) == len(rows) else np.ascontiguousarray(rows[at])
    among = None if len(kept) == len(rows) else kept
    near = _near(rows, kept, among, metric, exact, random_state, n_jobs)
    options: dict[str, Any] = {"metric": metric, "random_state": random_state, "n_jobs": n_jobs}
    known = lengths[lengths > 0]
    with progress("hubs, directions and what helps", total=5, unit="steps") as bar:
        shape = isotropy(part, sample=None, n_jobs=n_jobs)
        bar.advance()
        hubs = hubness(part, _K, sample=_HUB_ROWS, exact=exact, **options)
        bar.advance()
        tries = _SINGLE if metric == "cosine" else _RESCALING
        trials = hub_trials(part, _K, tries=tries, sample=_TRIAL_ROWS, **options)
        bar.advance()
        curve = redundancy(part, k=_K, sample=_CURVE_ROWS, n_queries=_CURVE_QUERIES, **options)
        bar.advance()
        contrast = structure(part, _K, sample=_STRUCTURE_ROWS, **options)
    found = Report(
        n_rows=len(rows),
        dim=rows.shape[1],
        n_zero=len(lengths) - len(known),
        copies=1.0 - (len(first) / len(rows)),
        columns=_columns(part, constant),
        length=float(known.mean()),
        length_spread=float(known.std() / known.mean()),
        lengths=lengths[at],
        isotropy=replace(shape, n_rows=len(rows)),
        dimension=_dimension(near),
        near=near_copies_of(near, rows),
        outliers=outliers_of(near, _K),
        hubness=hubs,
        trials=trials,
        judged=None
        if qrels is None or asked is None
        else _judged(rows, asked, qrels, ids, query_ids, tries, lengths, options),
        structure=contrast,
        redundancy=curve,
        queries=None
        if asked is None
        else query_shift_of(
            near, rows, asked, among=among, exact=exact, random_state=random_state, n_jobs=n_jobs
        ),
        drift=None
        if earlier is None
        else drift(earlier, part, metric=metric, random_state=random_state),
        metric=metric,
        seconds=0.0,
        findings=(),
    )
    found = replace(found, findings=tuple(findings_of(found)))
    return replace(found, seconds=time.monotonic() - began)


def _scan(rows: Floats, bar: Any) -> tuple[NDArray[np.float64], NDArray[np.uint64], Positions]:
    """Return lengths, 64 bits of each row, and constant columns, in one pass.

    The bits are the same for copies, and for others by chance of 2^-64 a pair.
    """
    weights = np.random.default_rng(0).integers(0, 2**63, rows.shape[1], dtype=np.uint64) * 2 + 1
    lengths, marks = np.empty(len(rows)), np.empty(len(rows), np.uint64)
    same = np.ones(rows.shape[1], bool)
    for start in range(0, len(rows), _BLOCK):
        at = slice(start, start + _BLOCK)
        block = rows[at] + np.float32(0.0)  # -0 becomes 0
        lengths[at] = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
        same &= (block == rows[0]).all(axis=0)
        bits = block.view(np.uint32).astype(np.uint64)
        bits ^= bits >> np.uint64(15)
        bits *= np.uint64(0x9E3779B97F4A7C15)
        bits ^= bits >> np.uint64(32)
        marks[at] = bits @ weights
        bar.advance(len(block))
    return lengths, marks, np.flatnonzero(same)


def _near(
    rows: Floats,
    kept: Positions,
    among: Positions | None,
    metric: str,
    exact: bool,
    random_state: int,
    n_jobs: int | None,
) -> Nearby:
    at = kept[sampled(len(kept), _NEAR_ROWS, random_state, exact=exact)]
    k = min(_NEIGHBOURS, len(kept) - 1)
    return nearby(rows, at, k, metric=metric, among=among, n_jobs=n_jobs)


def _dimension(near: Nearby) -> Dimension:
    try:
        return dimension_of(near.lengths, near.rows)
    except ParameterError:  # rows in one direction: told by the isotropy
        return Dimension(0.0, 0.0, 0.0, "mle", 0, None, np.empty(0, np.int64), 0)


def _columns(part: Floats, constant: Positions) -> Columns:
    variances = part.var(axis=0, dtype=np.float64)
    quiet = np.flatnonzero(variances < _NEARLY_CONSTANT * variances.mean())
    squares = np.einsum("ij,ij->j", part, part, dtype=np.float64)
    shares = squares / squares.sum()
    heavy = np.flatnonzero(shares > max(0.05, _HEAVY / part.shape[1]))
    return Columns(
        constant=constant,
        dead=np.setdiff1d(quiet, constant),
        heavy=heavy[np.argsort(-shares[heavy], kind="stable")],
        heavy_share=float(shares[heavy].sum()),
    )


def _judged(
    rows: Floats,
    asked: Floats,
    qrels: Mapping[Any, Mapping[Any, int]],
    ids: Any,
    query_ids: Any,
    tries: Sequence[str],
    lengths: NDArray[np.float64],
    options: dict[str, Any],
) -> JudgedTrials:
    names = as_ids(ids, len(rows))
    known = np.flatnonzero(lengths > 0)
    part = rows if len(known) == len(rows) else rows[known]
    return judged_trials(
        part, asked, qrels, ids=names[known], query_ids=query_ids, tries=tries, **options
    )


def _earlier(before: Any, dim: int, metric: str) -> Floats:
    rows = as_dense(before, name="before", dim=dim)
    if metric == "cosine":
        rows = rows[rows.any(axis=1)]
    if len(rows) < _FEWEST // 2:
        raise ShapeError(
            f"before has {len(rows)} rows that are not zero; drift needs {_FEWEST // 2}."
        )
    return rows
