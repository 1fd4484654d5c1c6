# SPDX-License-Identifier: Apache-2.0
"""The layers of a model as the vectors of a document.

Of layers S, with v_l the vector of layer l of unit length and weights w_l that sum to 1:

    multi    the document is {v_l : l in S}, and a query of one vector takes the best of them
    mean     u / |u|,  u = sum over l in S of w_l v_l         (scalar mix; equal weights: the mean)
    concat   the sqrt(w_l) v_l one behind the other; of queries too, so that the inner product is
             sum over l in S of w_l <q_l, v_l>

Xie, Lukasiewicz. "Investigating multi-layer representations for dense passage retrieval", 2025,
arXiv:2509.23861. There the model is trained with them, and its pooling too; here layers are taken
as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice
from vectorloom.index.dense.exact import Exact
from vectorloom.index.multivector.multi_vector import MultiVector
from vectorloom.index.multivector.token_vectors import unit_rows
from vectorloom.measure.result import Result
from vectorloom.measure.retrieval import evaluate_retrieval
from vectorloom.progress import progress
from vectorloom.vectors import as_array, as_dense

Floats = NDArray[np.float32]

_DEPTH = 100  # hits that a metric may look at
STRATEGIES = ("multi", "mean", "concat")


def pool_layers(
    layer_vectors: Any,
    strategy: str = "multi",
    layers: Sequence[int] | None = None,
    weights: Any = None,
) -> Any:
    """Make the vectors of a model's layers into what an index takes.

    Use `layer_report` first: it says which layers are worth taking, if any but the last.

    Parameters
    ----------
    layer_vectors : array-like of shape (n, n_layers, dim)
        One vector of each layer of each item: the mean of its tokens, or that of its first.
    strategy : {"multi", "mean", "concat"}, default="multi"
        ``"multi"``: all of them, for `MultiVector`; ``"mean"``: one vector of the same length;
        ``"concat"``: one of them all, for documents and queries alike.
    layers : sequence of int or None, default=None
        Which; negative ones count from the last. None takes all.
    weights : array-like of shape (n chosen,) or None, default=None
        At least 0, one above; they are divided by their sum. None takes equal ones. Not for
        ``"multi"``.

    Returns
    -------
    tuple (values, offsets), or ndarray of shape (n, dim) or (n, n chosen * dim), float32
        Of unit length.

    Raises
    ------
    ShapeError, ParameterError
        Other shapes, NaN, zero vectors, layers that are not there or named twice.

    Notes
    -----
    Deterministic. Cost: a pass over the vectors.

    References
    ----------
    .. [1] Xie, Lukasiewicz. 2025, arXiv:2509.23861.

    Examples
    --------
    >>> layers = np.array([[[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [4.0, 0.0]]])
    >>> pool_layers(layers, "mean").round(3)
    array([[0.707, 0.707],
           [1.   , 0.   ]], dtype=float32)
    >>> values, offsets = pool_layers(layers, "multi", layers=[-1])
    >>> values.tolist(), offsets.tolist()
    ([[0.0, 1.0], [1.0, 0.0]], [0, 1, 2])
    """
    check_choice("strategy", strategy, STRATEGIES)
    unit = _layers(layer_vectors, "layer_vectors")
    chosen = _chosen(layers, unit.shape[1])
    if weights is not None and strategy == "multi":
        raise ParameterError("weights are for strategy='mean' and 'concat'; 'multi' has a maximum.")
    return _pooled(unit[:, chosen], strategy, _weights(weights, len(chosen)))


@dataclass(frozen=True)
class LayerQuality:
    """How well some layers answer.

    Attributes
    ----------
    layers : tuple of int
    strategy : str
    quality : float
        The metric, mean over queries.
    vectors, dim : int
        What an item then takes.
    """

    layers: tuple[int, ...]
    strategy: str
    quality: float
    vectors: int
    dim: int


@dataclass(frozen=True, eq=False)
class LayerReport(Result):
    """Layers and how well they answer, the best first.

    Attributes
    ----------
    rows : tuple of LayerQuality
    metric : str
    """

    rows: tuple[LayerQuality, ...]
    metric: str

    def __str__(self) -> str:
        lines = [f"{self.metric:<9} strategy  vectors   dim  layers"]
        for row in self.rows:
            told = ", ".join(map(str, row.layers))
            lines.append(
                f"{row.quality:<9.4f} {row.strategy:<8}{row.vectors:>9}{row.dim:>6}  {told}"
            )
        return "\n".join(lines)


def layer_report(
    layer_vectors: Any,
    queries: Any,
    qrels: Mapping[str, Mapping[str, int]],
    ids: Sequence[str],
    query_ids: Sequence[str],
    subsets: Iterable[Sequence[int]] | None = None,
    strategies: Sequence[str] = STRATEGIES,
    metric: str = "nDCG@10",
) -> LayerReport:
    """Search judged queries with subsets of layers.

    Parameters
    ----------
    layer_vectors : array-like of shape (n, n_layers, dim)
        Documents.
    queries : array-like of shape (n_queries, n_layers, dim)
        ``"multi"`` and ``"mean"`` ask with their last layer, ``"concat"`` with the same layers.
    qrels : mapping of str to mapping of str to int
        ``{query: {document: grade}}``.
    ids, query_ids : sequence of str
    subsets : iterable of sequence of int, or None, default=None
        None takes each layer by itself and the last two, three, …, all.
    strategies : sequence of str, default=("multi", "mean", "concat")
    metric : str, default="nDCG@10"
        What `vectorloom.measure.evaluate_retrieval` knows.

    Returns
    -------
    LayerReport

    Raises
    ------
    ShapeError, ParameterError
        What `pool_layers` refuses; ids that do not fit.

    Notes
    -----
    Cost: an exact search of all queries for every subset and strategy. With a hundred queries
    differences below .01 say little. Deterministic.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> last = rng.standard_normal((30, 16))
    >>> documents = np.stack([rng.standard_normal((30, 16)), last], axis=1)
    >>> asked = np.stack([last[:5], last[:5]], axis=1)
    >>> names, queries = [f"d{i}" for i in range(30)], [f"q{i}" for i in range(5)]
    >>> judged = {f"q{i}": {f"d{i}": 1} for i in range(5)}
    >>> report = layer_report(documents, asked, judged, names, queries)
    >>> report.rows[0].quality, report.rows[-1].layers
    (1.0, (0,))
    """
    unit, asked = _layers(layer_vectors, "layer_vectors"), _layers(queries, "queries")
    if unit.shape[1:] != asked.shape[1:]:
        raise ShapeError(
            f"queries must have layers and dimensions {unit.shape[1:]} as layer_vectors has; got "
            f"{asked.shape[1:]}."
        )
    if len(ids) != len(unit) or len(query_ids) != len(asked):
        raise ShapeError(
            f"ids and query_ids must name {len(unit)} documents and {len(asked)} queries; got "
            f"{len(ids)} and {len(query_ids)}."
        )
    for strategy in strategies:
        check_choice("strategies", strategy, STRATEGIES)
    rows = []
    tried = _default_subsets(unit.shape[1]) if subsets is None else list(subsets)
    with progress("layers", total=len(tried) * len(strategies), unit="searches") as bar:
        for subset in tried:
            chosen = _chosen(subset, unit.shape[1])
            for strategy in strategies if len(chosen) > 1 else strategies[:1]:
                hits = _searched(unit, asked, chosen, strategy, ids)
                run = hits.to_run(list(query_ids))
                found = evaluate_retrieval(qrels, run, [metric], ignore_identical_ids=True)
                quality = float(found[metric])
                size = len(chosen) if strategy == "multi" else 1
                width = unit.shape[2] * (len(chosen) if strategy == "concat" else 1)
                rows.append(LayerQuality(tuple(chosen), strategy, quality, size, width))
            bar.advance(len(strategies))
    rows.sort(key=lambda row: (-row.quality, row.vectors * row.dim, row.layers, row.strategy))
    return LayerReport(tuple(rows), metric)


def _searched(
    unit: Floats, asked: Floats, chosen: list[int], strategy: str, ids: Sequence[str]
) -> Any:
    equal = _weights(None, len(chosen))
    pooled = _pooled(unit[:, chosen], strategy, equal)
    if strategy == "multi":
        return MultiVector("ip", encoding=None).fit(pooled, ids).search(asked[:, -1:], k=_DEPTH)
    rows = asked[:, -1]
    if strategy == "concat":
        rows = _pooled(asked[:, chosen], strategy, equal)
    return Exact(metric="ip").fit(pooled, ids).search(np.ascontiguousarray(rows), k=_DEPTH)


def _default_subsets(n: int) -> list[list[int]]:
    return [[layer] for layer in range(n)] + [list(range(first, n)) for first in range(n - 1)]


def _pooled(unit: Floats, strategy: str, weights: Floats) -> Any:
    n, size, dim = unit.shape
    if strategy == "multi":
        offsets = np.arange(n + 1, dtype=np.int64) * size
        return np.ascontiguousarray(unit.reshape(n * size, dim)), offsets
    if strategy == "concat":
        rows = unit * np.sqrt(weights)[None, :, None]
        return np.ascontiguousarray(rows.reshape(n, size * dim))
    return unit_rows(np.einsum("l,nld->nd", weights, unit), name="the mean of layer_vectors")


def _layers(X: Any, name: str) -> Floats:
    array = as_array(X, name=name)
    if array.ndim != 3 or 0 in array.shape:
        raise ShapeError(
            f"{name} must have shape (n, n_layers, dim), one vector of each layer; got "
            f"{array.shape}."
        )
    flat = unit_rows(as_dense(array.reshape(-1, array.shape[2]), name=name), name=name)
    unit: Floats = flat.reshape(array.shape)
    return unit


def _chosen(layers: Any, n: int) -> list[int]:
    if layers is None:
        return list(range(n))
    named = np.asarray(layers)
    if named.ndim != 1 or len(named) == 0 or named.dtype.kind not in "iu":
        raise ParameterError(f"layers must be whole numbers such as [-2, -1]; got {layers!r}.")
    if (named < -n).any() or (named >= n).any():
        raise ParameterError(f"layers must be from {-n} to {n - 1}; got {named.tolist()}.")
    chosen = [int(layer) % n for layer in named.tolist()]
    if len(set(chosen)) < len(chosen):
        raise ParameterError(f"layers names one twice: {named.tolist()} of {n} layers.")
    return chosen


def _weights(weights: Any, n: int) -> Floats:
    if weights is None:
        return np.full(n, 1 / n, np.float32)
    given = np.asarray(weights, np.float64)
    if given.shape != (n,):
        raise ShapeError(f"weights must be one a layer, {n}; got shape {given.shape}.")
    if not np.isfinite(given).all() or (given < 0).any() or given.sum() <= 0:
        raise ParameterError("weights must be at least 0, and one above; got others.")
    shares: Floats = (given / given.sum()).astype(np.float32)
    return shares
