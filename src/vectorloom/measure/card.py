# SPDX-License-Identifier: Apache-2.0
"""What is the matter with these vectors: findings, with advice in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_jobs
from vectorloom.measure.dimension import Dimension, intrinsic_dimension
from vectorloom.measure.hubs import Hubness, hubness
from vectorloom.measure.isotropy_measures import Isotropy, isotropy
from vectorloom.measure.rows import sampled
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]

_BLOCK = 8192
_FEWEST = 20
_HUB_ROWS = 10_000
_DIMENSION_ROWS = 500

# From where on a number is worth a sentence. The hub limits are those of index audits; the others
# are what MiniLM sentences, which need no repair, stay clear of.
_MANY_COPIES = 0.001
_MEAN_SHARE = 0.1
_FEW_DIRECTIONS = 0.5
_HUBS = 2.0
_ANTIHUBS = 0.1
_HARD = 30.0
_LENGTHS_DIFFER = 0.01


@dataclass(frozen=True, eq=False)
class Report:
    """Findings about a set of vectors; ``print`` it.

    Attributes
    ----------
    n_rows, dim : int
    n_zero : int
        Rows that are all 0; left out of everything else.
    copies : float
        Share of rows that are exact copies of an earlier one; copies are left out of what follows.
    constant : ndarray of shape (m,), int64
        Columns that hold one value.
    length : float
        Mean length of the rows.
    length_spread : float
        Standard deviation of the lengths over their mean.
    isotropy : Isotropy
    dimension : Dimension
        By maximum likelihood.
    hubness : Hubness
    metric : {"cosine", "l2"}
        Of dimension and hubness.
    advice : tuple of str
        What follows from the numbers, most urgent first.
    """

    n_rows: int
    dim: int
    n_zero: int
    copies: float
    constant: NDArray[np.int64]
    length: float
    length_spread: float
    isotropy: Isotropy
    dimension: Dimension
    hubness: Hubness
    metric: str
    advice: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.n_rows:,} vectors of {self.dim} dimensions, length {self.length:.3g} "
                f"(± {self.length_spread:.1%})",
                f"{self.n_zero} zero rows, {self.copies:.2%} copies, "
                f"{len(self.constant)} constant dimensions",
                "",
                str(self.isotropy),
                "",
                str(self.dimension),
                "",
                str(self.hubness),
                "",
                *(f"- {line}" for line in self.advice),
            ]
        )


def report(
    X: Any,
    *,
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
    metric : {"cosine", "l2"}, default="cosine"
        What the vectors will be compared by.
    sample : int or None, default=20000
        Rows drawn for isotropy; hubness takes at most 10,000 of them and the dimension is measured
        at 500, among these rows. Zero rows, copies, constant columns and lengths are of all rows.
    exact : bool, default=False
        Takes all rows for everything, at a cost of n**2.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Returns
    -------
    Report

    Raises
    ------
    ShapeError
        Fewer than 20 rows that are neither zero nor copies; one dimension.
    ParameterError
        NaN, or another metric.

    Notes
    -----
    Cost: three passes over the rows, sample * dim**2, and 10,000 * sample * dim. Advice is a rule
    of thumb on numbers; where judgments or queries exist, measure with them before acting on it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 16)) + 2
    >>> X[:, 3] = 7.0
    >>> print(report(X).advice[0])
    1 of 16 dimensions is constant (3): drop it, it costs memory and says nothing.
    """
    check_choice("metric", metric, ("cosine", "l2"))
    rows = as_dense(X)
    n_jobs = check_jobs(n_jobs)
    if rows.shape[1] < 2:
        raise ShapeError("X must have at least two columns for a report; got one.")
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    first = np.unique(_fingerprints(rows), return_index=True)[1]
    kept = np.sort(first[lengths[first] > 0])
    if len(kept) < _FEWEST:
        raise ShapeError(
            f"X has {len(kept)} rows that are neither zero nor copies; a report needs {_FEWEST}."
        )
    at = kept[sampled(len(kept), sample, random_state, exact=exact)]
    part = rows if len(at) == len(rows) else np.ascontiguousarray(rows[at])
    options: dict[str, Any] = {"exact": exact, "random_state": random_state, "n_jobs": n_jobs}
    known = lengths[lengths > 0]
    n_zero = len(lengths) - len(known)
    try:
        dimension = intrinsic_dimension(part, metric=metric, sample=_DIMENSION_ROWS, **options)
    except ParameterError:  # rows in one direction: told by the isotropy
        dimension = Dimension(0.0, 0.0, 0.0, "mle", 0, None, np.empty(0, np.int64), 0)
    found = Report(
        n_rows=len(rows),
        dim=rows.shape[1],
        n_zero=n_zero,
        copies=1.0 - (len(first) / len(rows)),
        constant=np.flatnonzero((rows == rows[0]).all(axis=0)),
        length=float(known.mean()),
        length_spread=float(known.std() / known.mean()),
        isotropy=replace(isotropy(part, sample=None, n_jobs=n_jobs), n_rows=len(rows)),
        dimension=dimension,
        hubness=hubness(part, metric=metric, sample=_HUB_ROWS, **options),
        metric=metric,
        advice=(),
    )
    return replace(found, advice=tuple(advice_on(found)))


def advice_on(found: Report) -> list[str]:
    """Say what follows from the numbers of a report, most urgent first.

    Parameters
    ----------
    found : Report

    Returns
    -------
    list of str
    """
    lines = [*_on_rows(found), *_on_directions(found), *_on_neighbours(found)]
    return lines or ["Nothing stands out: no repair is needed before these vectors are indexed."]


def _on_rows(found: Report) -> list[str]:
    lines = []
    if found.n_zero:
        lines.append(
            f"{found.n_zero} rows are zero and have no direction: drop them, or find out what "
            "failed to encode."
        )
    if found.copies > _MANY_COPIES:
        lines.append(
            f"{found.copies:.1%} of the rows are copies of another: drop them and keep their ids "
            "beside the first, or they fill the answers."
        )
    n = len(found.constant)
    if n:
        some = ", ".join(map(str, found.constant[:5])) + (", …" if n > 5 else "")
        lines.append(
            f"{n} of {found.dim} dimensions {'is' if n == 1 else 'are'} constant ({some}): drop "
            f"{'it, it costs' if n == 1 else 'them, they cost'} memory and "
            f"{'says' if n == 1 else 'say'} nothing."
        )
    if found.length_spread > _LENGTHS_DIFFER:
        lines.append(
            f"Lengths differ by {found.length_spread:.0%}: cosine, ip and l2 rank differently. "
            "Take the metric that the model was trained for."
        )
    return lines


def _on_directions(found: Report) -> list[str]:
    lines = []
    shape = found.isotropy
    if shape.mean_share > _MEAN_SHARE and found.metric == "cosine":
        lines.append(
            f"The mean holds {shape.mean_share:.0%} of the squared length, so that any two rows "
            f"have a cosine of about {shape.average_cosine:.2f}: try vl.measure.Centring, for "
            "documents and queries alike."
        )
    if shape.directions_90 < _FEW_DIRECTIONS * found.dim:
        lines.append(
            f"{shape.directions_90} of {found.dim} directions hold 90 % of the variance: "
            f"vl.compress.PCA({shape.directions_90}) is worth a try; vl.compress.report says what "
            "it costs."
        )
    return lines


def _on_neighbours(found: Report) -> list[str]:
    lines = []
    hubs = found.hubness
    if hubs.skewness > _HUBS or hubs.antihub_share > _ANTIHUBS:
        lines.append(
            f"{hubs.antihub_share:.0%} of the rows are never among anyone's {hubs.k} nearest, and "
            f"hubs hold {hubs.hub_occupancy:.0%} of all places: try vl.measure.Centring, then "
            "LocalScaling, and keep them only if judged queries gain."
        )
    if found.dimension.value > _HARD:
        lines.append(
            f"The intrinsic dimension is about {found.dimension.value:.0f}: neighbours are hardly "
            "nearer than others, and approximate indexes need much effort. Measure recall, and "
            "doubt that the order of neighbours means much."
        )
    return lines


def _fingerprints(rows: Floats) -> NDArray[np.uint64]:
    """Return 64 bits of each row: the same for copies, and for others by chance of 2^-64 a pair."""
    weights = np.random.default_rng(0).integers(0, 2**63, rows.shape[1], dtype=np.uint64) * 2 + 1
    marks = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK] + np.float32(0.0)  # -0 becomes 0
        bits = block.view(np.uint32).astype(np.uint64)
        bits ^= bits >> np.uint64(15)
        bits *= np.uint64(0x9E3779B97F4A7C15)
        bits ^= bits >> np.uint64(32)
        marks[start : start + _BLOCK] = (bits * weights).sum(axis=1, dtype=np.uint64)
    return marks
