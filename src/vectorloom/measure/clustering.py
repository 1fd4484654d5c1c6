# SPDX-License-Identifier: Apache-2.0
"""Clustering against labels: each algorithm with each reduction of dimensions.

V = 2 h c / (h + c), homogeneity h = 1 - H(label | cluster) / H(label), completeness c the other way
round; beside it the adjusted Rand index and the adjusted mutual information, which are 0 by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.estimator import check_choice, check_count
from vectorloom.io.pages import Chart
from vectorloom.measure.probes import class_codes
from vectorloom.measure.result import Result
from vectorloom.measure.rows import Z95, directions, sampled
from vectorloom.progress import progress
from vectorloom.select.kmeans import KMeans
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]

ALGORITHMS = ("kmeans", "agglomerative", "hdbscan")
_MOST = 5000  # rows that agglomeration takes: its work is the square


@dataclass(frozen=True)
class ClusteringScore(Result):
    """One setting.

    Attributes
    ----------
    algorithm : str
    reducer : str
        ``"none"``, or ``"pca:32"`` for 32 dimensions.
    v_measure, ari, ami : float
        Mean over runs.
    error : float
        Half a 95 % interval of the V-measure over runs; NaN for one run.
    n_clusters : int
        Found in the last run.
    """

    algorithm: str
    reducer: str
    v_measure: float
    ari: float
    ami: float
    error: float
    n_clusters: int


@dataclass(frozen=True, eq=False)
class ClusteringGrid(Result):
    """Scores of all settings; ``print`` it.

    Attributes
    ----------
    scores : tuple of ClusteringScore
        Best V-measure first.
    n_rows, n_classes : int
    """

    scores: tuple[ClusteringScore, ...]
    n_rows: int
    n_classes: int

    @property
    def best(self) -> ClusteringScore:
        """The setting with the largest V-measure."""
        return self.scores[0]

    def __str__(self) -> str:
        lines = [f"{'algorithm':<14}{'reducer':<10}{'V':>8}{'ARI':>8}{'AMI':>8}{'clusters':>10}"]
        lines += [
            f"{s.algorithm:<14}{s.reducer:<10}{s.v_measure:8.3f}{s.ari:8.3f}{s.ami:8.3f}"
            f"{s.n_clusters:>10}"
            for s in self.scores
        ]
        return "\n".join([*lines, f"{self.n_rows:,} rows of {self.n_classes} classes"])

    def plot(self) -> Chart:
        """Draw the V-measures.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        bars = [
            Bar(
                f"{s.algorithm}, {s.reducer}",
                s.v_measure,
                s.v_measure - s.error,
                s.v_measure + s.error,
            )
            for s in self.scores
        ]
        return bar_chart("Clusters against labels", bars, x_label="V-measure", digits=3)


def clustering_grid(
    X: Any,
    labels: Any,
    *,
    algorithms: Sequence[str] = ("kmeans", "agglomerative"),
    dims: Sequence[int] = (0, 32),
    n_clusters: int | None = None,
    runs: int = 3,
    sample: int | None = 20_000,
    random_state: int = 0,
) -> ClusteringGrid:
    """Cluster in every combination of algorithm and reduction, and score against labels.

    Parameters
    ----------
    X : array-like of shape (n, dim)
    labels : array-like of shape (n,)
        Two classes at least.
    algorithms : sequence of {"kmeans", "agglomerative", "hdbscan"}
        Cosine k-means, average linkage on cosine distances (of 5,000 rows at most), and HDBSCAN,
        which finds the number of clusters itself and counts rows it leaves out as one more.
    dims : sequence of int, default=(0, 32)
        Dimensions that principal components are cut to before; 0 is no reduction.
    n_clusters : int or None, default=None
        None: as many as classes.
    runs : int, default=3
        Of k-means, with other starts.
    sample : int or None, default=20000
    random_state : int, default=0

    Returns
    -------
    ClusteringGrid

    Raises
    ------
    ShapeError, ParameterError
        Not one label a row, one class, fewer rows than clusters, NaN, an unknown algorithm.

    Notes
    -----
    Cost: k-means about 25 * n * dim * k a run. With the best of many settings reported, hold labels
    out before believing it.

    References
    ----------
    .. [1] S. Wehrli, B. Arnrich and C. Irrgang, "German text embedding clustering benchmark",
       KONVENS 2023, arXiv:2401.02709.
    .. [2] A. Rosenberg and J. Hirschberg, "V-measure", EMNLP 2007.

    Examples
    --------
    >>> y = np.repeat([0, 1, 2], 50)
    >>> X = np.random.default_rng(0).standard_normal((150, 8)) + 6 * np.eye(8)[y]
    >>> clustering_grid(X, y, dims=[0]).best.v_measure > 0.95
    True
    """
    rows = as_dense(X)
    for name in algorithms:
        check_choice("algorithms", name, ALGORITHMS)
    codes, classes = class_codes(labels, len(rows))
    k = len(classes) if n_clusters is None else check_count("n_clusters", n_clusters, at_least=2)
    at = sampled(len(rows), sample, random_state)
    rows, codes = rows[at], codes[at]
    if len(rows) <= k:
        raise ShapeError(f"X has {len(rows)} rows for {k} clusters. Give more, or fewer clusters.")
    runs = check_count("runs", runs)
    scores = []
    with progress("clustering", total=len(dims) * len(algorithms), unit="settings") as bar:
        for dim in dims:
            form = _reduced(rows, dim)
            for name in algorithms:
                times = runs if name == "kmeans" else 1
                found = [_clusters(name, form, k, random_state + run) for run in range(times)]
                scores.append(_score(name, dim, found, codes))
                bar.advance()
    ordered = sorted(scores, key=lambda score: -score.v_measure)
    return ClusteringGrid(tuple(ordered), len(rows), len(classes))


def _reduced(rows: Floats, dim: int) -> Floats:
    if dim == 0 or dim >= rows.shape[1]:
        return rows
    off = rows - rows.mean(axis=0)
    axes = np.linalg.eigh(np.asarray(off.T @ off, np.float64))[1][:, ::-1]
    return np.ascontiguousarray(off @ axes[:, : check_count("dims", dim)].astype(np.float32))


def _clusters(name: str, rows: Floats, k: int, seed: int) -> Codes:
    """Return the cluster of each row; -1 where it was not looked at."""
    if name == "kmeans":
        model = KMeans(k, metric="cosine", random_state=seed).fit(rows)
        return np.asarray(model.labels_, np.int64)
    units = directions(rows)
    if name == "hdbscan":
        from sklearn.cluster import HDBSCAN

        found = np.asarray(HDBSCAN(copy=True).fit_predict(units), np.int64)
        return np.where(found < 0, found.max() + 1, found)
    from sklearn.cluster import AgglomerativeClustering

    at = sampled(len(units), _MOST, seed)
    labels = np.full(len(units), -1, np.int64)
    model = AgglomerativeClustering(min(k, len(at)), metric="euclidean", linkage="average")
    labels[at] = model.fit_predict(units[at])
    return labels


def _score(name: str, dim: int, found: list[Codes], codes: Codes) -> ClusteringScore:
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, v_measure_score

    parts = [(codes[labels >= 0], labels[labels >= 0]) for labels in found]
    values = [float(v_measure_score(a, b)) for a, b in parts]
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return ClusteringScore(
        algorithm=name,
        reducer=f"pca:{dim}" if dim else "none",
        v_measure=float(np.mean(values)),
        ari=float(np.mean([adjusted_rand_score(a, b) for a, b in parts])),
        ami=float(np.mean([adjusted_mutual_info_score(a, b) for a, b in parts])),
        error=float(Z95 * spread / np.sqrt(len(values))),
        n_clusters=len(np.unique(parts[-1][1])),
    )
