# SPDX-License-Identifier: Apache-2.0
"""Several models side by side: which could stand in for which.

For each pair of models on the same documents and queries: linear CKA of the documents, and of the
answers to the queries the Jaccard index and the agreement of ranks at several k. Models are grouped
by average linkage on 1 - Jaccard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.io.pages import Chart
from vectorloom.measure.kernel_alignment import cka
from vectorloom.measure.neighbourhoods import neighbour_overlap
from vectorloom.measure.result import Result
from vectorloom.progress import progress

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ModelComparison(Result):
    """Agreement of models, pair by pair.

    Attributes
    ----------
    names : tuple of str
    cka : ndarray of shape (m, m), float64
    jaccard, rank : dict of int to ndarray of shape (m, m), float64
        By k.
    groups : ndarray of shape (m - 1, 4), float64
        Linkage, as scipy's: which were joined, at which 1 - Jaccard, how many.
    """

    names: tuple[str, ...]
    cka: Doubles
    jaccard: dict[int, Doubles]
    rank: dict[int, Doubles]
    groups: Doubles

    def nearest(self, name: str) -> str:
        """Return the model whose answers are most alike, at the largest k.

        Parameters
        ----------
        name : str

        Returns
        -------
        str

        Raises
        ------
        ParameterError
            No such model.
        """
        if name not in self.names:
            raise ParameterError(f"{name!r} is none of {', '.join(self.names)}.")
        at = self.names.index(name)
        values = self.jaccard[max(self.jaccard)][at].copy()
        values[at] = -1.0
        return self.names[int(values.argmax())]

    def __str__(self) -> str:
        k = max(self.jaccard)
        width = max(len(name) for name in self.names)
        lines = [f"Jaccard@{k} (above) and CKA (below the diagonal)"]
        for i, name in enumerate(self.names):
            cells = [
                f"{'–' if i == j else f'{(self.jaccard[k] if j > i else self.cka)[i, j]:.3f}':>7}"
                for j in range(len(self.names))
            ]
            lines.append(f"{name:<{width}}{''.join(cells)}")
        return "\n".join(lines)

    def plot(self) -> Chart:
        """Draw the Jaccard index of each pair, at the largest k.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        k = max(self.jaccard)
        bars = [
            Bar(f"{a} – {b}", float(self.jaccard[k][i, j]))
            for i, a in enumerate(self.names)
            for j, b in enumerate(self.names)
            if i < j
        ]
        bars.sort(key=lambda bar: -bar.value)
        return bar_chart("Models with the same answers", bars, x_label=f"Jaccard@{k}", digits=3)


def compare_models(
    models: Mapping[str, tuple[Any, Any]], ks: Sequence[int] = (1, 10, 100)
) -> ModelComparison:
    """Compare embedding models by their vectors and their answers.

    Parameters
    ----------
    models : mapping of str to (documents, queries)
        Array-likes of shapes (n, dim) and (q, dim) by each model; the same documents and queries in
        the same order. Two models at least.
    ks : sequence of int, default=(1, 10, 100)
        At most n.

    Returns
    -------
    ModelComparison

    Raises
    ------
    ShapeError, ParameterError
        One model; other numbers of documents or queries; zero rows; NaN.

    Notes
    -----
    Models of one family are near, and at small k all are far apart [1]_: models with a like CKA may
    answer differently. Cost: pairs * len(ks) * q * n * dim.

    References
    ----------
    .. [1] L. Caspari et al., "Beyond benchmarks: evaluating embedding model similarity for
       retrieval augmented generation systems", 2024, arXiv:2407.08275.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, Q = rng.standard_normal((300, 8)), rng.standard_normal((40, 8))
    >>> noisy = (X + 0.1 * rng.standard_normal(X.shape), Q)
    >>> other = (rng.standard_normal(X.shape), rng.standard_normal(Q.shape))
    >>> compare_models({"a": (X, Q), "b": noisy, "c": other}, ks=[10]).nearest("a")
    'b'
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    names = tuple(models)
    depths = [check_count("ks", k) for k in ks]
    if len(names) < 2 or not depths:
        raise ParameterError(
            f"two models and one k are needed; got {len(names)} and {len(depths)}."
        )
    m = len(names)
    aligned = np.eye(m)
    jaccard, rank = {k: np.eye(m) for k in depths}, {k: np.eye(m) for k in depths}
    with progress("comparing models", total=m * (m - 1) // 2, unit="pairs") as bar:
        for i in range(m):
            for j in range(i + 1, m):
                (docs_a, asked_a), (docs_b, asked_b) = models[names[i]], models[names[j]]
                aligned[i, j] = aligned[j, i] = cka(docs_a, docs_b)
                for k in depths:
                    found = neighbour_overlap(docs_a, docs_b, k, queries=(asked_a, asked_b))
                    jaccard[k][i, j] = jaccard[k][j, i] = found.jaccard
                    rank[k][i, j] = rank[k][j, i] = found.rank
                bar.advance()
    apart = np.clip(1 - jaccard[max(depths)], 0.0, 1.0)
    return ModelComparison(names, aligned, jaccard, rank, linkage(squareform(apart), "average"))
