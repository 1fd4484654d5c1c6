# SPDX-License-Identifier: Apache-2.0
"""Local topology: how the neighbourhood of a vector hangs together.

The k nearest of a vector (with it) are joined by growing balls; groups merge at the edge lengths
e_1 <= … <= e_k of their minimum spanning tree, which is the whole persistence diagram of dimension
0. Told of each vector: total, mean and largest e, their standard deviation and entropy
-sum p log p with p = e / sum e, the distance to the k-th nearest, and the local dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.io.pages import Chart
from vectorloom.measure.intrinsic import local_dimension
from vectorloom.measure.nearby import nearby, nearby_to
from vectorloom.measure.result import Result
from vectorloom.measure.rows import unit_rows
from vectorloom.measure.spanning_tree import tree_edges
from vectorloom.progress import progress
from vectorloom.vectors import as_dense

#: Names of the columns, in their order.
FEATURES = ("total", "mean", "largest", "spread", "entropy", "k-distance", "dimension")
_FEWEST = 3


@dataclass(frozen=True, eq=False)
class LocalTopology(Result):
    """Features of the neighbourhood of each vector.

    Attributes
    ----------
    features : ndarray of shape (n, 7), float32
        Columns as `names` say. Never NaN: a dimension that cannot be told is 0.
    names : tuple of str
    k : int
    """

    features: NDArray[np.float32]
    names: tuple[str, ...]
    k: int

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        check_choice("name", name, self.names)
        return self.features[:, self.names.index(name)]

    def __str__(self) -> str:
        medians = np.median(self.features, axis=0)
        told = ", ".join(f"{n} {v:.3g}" for n, v in zip(self.names, medians, strict=True))
        return f"medians of {len(self.features):,} neighbourhoods of {self.k}: {told}"

    def plot(self) -> Chart:
        """Draw the total persistence.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import distribution_chart

        return distribution_chart(
            "Local topology", [("rows", self["total"])], x_label="total persistence of dimension 0"
        )


def local_topology(
    X: Any,
    datastore: Any = None,
    k: int = 30,
    *,
    metric: str = "cosine",
    n_jobs: int | None = None,
) -> LocalTopology:
    """Describe the neighbourhood of each vector, as features for a tagger or an outlier detector.

    Parameters
    ----------
    X : array-like of shape (n, dim)
    datastore : array-like of shape (m, dim) or None, default=None
        Where neighbours are sought; None: the other rows of X.
    k : int, default=30
        As many as there are where there are fewer; 3 at least.
    metric : {"cosine", "l2"}, default="cosine"
    n_jobs : int or None, default=None

    Returns
    -------
    LocalTopology

    Raises
    ------
    ShapeError, ParameterError
        Fewer than 3 others; another dimension; zero rows under cosine; NaN.

    Notes
    -----
    Cost: n * m * dim, and n * k**2 * dim. The paper also takes holes (dimension 1), for which a
    library of persistent homology is needed.

    References
    ----------
    .. [1] B. Ruppik et al., "Local topology measures of contextual language model latent spaces
       with applications to dialogue term extraction", SIGDIAL 2024.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.standard_normal((100, 4)) * 0.1, [[5.0] * 4]])
    >>> found = local_topology(X, k=10, metric="l2")
    >>> int(found["largest"].argmax())
    100
    """
    check_choice("metric", metric, ("cosine", "l2"))
    rows, n_jobs = as_dense(X), check_jobs(n_jobs)
    store = rows if datastore is None else as_dense(datastore, name="datastore", dim=rows.shape[1])
    others = len(store) - (datastore is None)
    if others < _FEWEST:
        raise ShapeError(f"{others} other rows; a neighbourhood needs at least {_FEWEST}.")
    k = min(check_count("k", k, at_least=_FEWEST), others)
    units = unit_rows(rows) if metric == "cosine" else rows
    where = store if metric == "l2" else unit_rows(store, "datastore")
    if datastore is None:
        found = nearby(rows, np.arange(len(rows)), k, metric=metric, n_jobs=n_jobs)
        positions, lengths = found.positions, found.lengths
    else:
        positions, lengths = nearby_to(units, store, k, metric=metric, n_jobs=n_jobs)
    features = np.zeros((len(rows), len(FEATURES)))
    with progress("neighbourhoods", total=len(rows), unit="rows") as bar:
        for i in range(len(rows)):
            edges = tree_edges(np.concatenate([units[i : i + 1], where[positions[i]]]))
            features[i, :5] = _of_edges(edges)
            bar.advance()
    features[:, 5] = lengths[:, -1]
    dimensions = local_dimension(lengths)
    features[:, 6] = np.where(np.isfinite(dimensions), dimensions, 0.0)
    return LocalTopology(features.astype(np.float32), FEATURES, k)


def _of_edges(edges: NDArray[np.float64]) -> tuple[float, ...]:
    total = float(edges.sum())
    shares = edges[edges > 0] / total if total > 0 else np.ones(1)
    entropy = float(-np.sum(shares * np.log(shares)))
    return total, float(edges.mean()), float(edges.max()), float(edges.std()), entropy
