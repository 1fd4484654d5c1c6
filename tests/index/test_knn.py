# SPDX-License-Identifier: Apache-2.0
"""The neighbour graph is exact, sorted, without self, and keeps its memory limit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.neighbors import kneighbors_graph

import vectorloom as vl
from oracle import ranked


def graph_of(x, k, metric):
    """The neighbours of each row by brute force: ids and distances."""
    one = 1.0 if metric == "cosine" else 0.0
    rows = []
    for i, row in enumerate(x):
        others = [(j, one - score) for j, score in ranked(x, range(len(x)), row, metric) if j != i]
        rows.append(others[:k])
    return rows


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2", "hamming"])
@pytest.mark.parametrize(("n", "k"), [(1, 3), (2, 5), (17, 4), (33, 40), (97, 10)])
def test_graph_equals_brute_force_with_ties_by_position(metric, n, k, rng) -> None:
    x = rng.integers(-2, 3, (n, 5)).astype(np.float32)
    x[:, 0] = 1
    x = x > 0 if metric == "hamming" else x
    graph = vl.knn_graph(x, k, metric=metric)
    assert isinstance(graph, csr_array)
    assert graph.shape == (n, n)
    assert graph.data.dtype == np.float32
    for i, want in enumerate(graph_of(x, k, metric)):
        part = slice(graph.indptr[i], graph.indptr[i + 1])
        assert graph.indices[part].tolist() == [j for j, _ in want]
        np.testing.assert_allclose(graph.data[part], [d for _, d in want], rtol=1e-6, atol=2e-7)


def test_graph_with_a_screen_equals_scikit_learn(rng) -> None:
    x = rng.standard_normal((4500, 24)).astype(np.float32)
    ours = vl.knn_graph(x, 6, metric="l2")
    theirs = kneighbors_graph(x.astype(np.float64), 6, mode="distance")
    np.testing.assert_array_equal(
        np.sort(ours.indices.reshape(-1, 6)), np.sort(theirs.indices.reshape(-1, 6))
    )
    np.testing.assert_allclose(
        np.sqrt(np.sort(ours.data.reshape(-1, 6))), np.sort(theirs.data.reshape(-1, 6)), rtol=1e-5
    )


def test_graph_is_the_same_at_any_thread_count_and_memory_limit(rng) -> None:
    x = rng.standard_normal((4200, 16)).astype(np.float32)
    graphs = [vl.knn_graph(x, 5, n_jobs=n_jobs) for n_jobs in (1, 2, 8)]
    graphs.append(vl.knn_graph(x, 5, memory_limit="600 kB"))  # no room for a screen
    for other in graphs[1:]:
        np.testing.assert_array_equal(graphs[0].indices, other.indices)
        np.testing.assert_array_equal(graphs[0].data, other.data)


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.uint8, np.float64, np.int32])
def test_graph_takes_every_numeric_type(dtype, rng) -> None:
    x = rng.integers(0, 9, (50, 7)).astype(dtype)
    x[:, 0] = 1
    graph = vl.knn_graph(x, 4, metric="l2")
    plain = vl.knn_graph(x.astype(np.float32), 4, metric="l2")
    np.testing.assert_array_equal(graph.indices, plain.indices)
    np.testing.assert_array_equal(graph.data, plain.data)


def test_copies_are_at_distance_zero_and_stored(rng) -> None:
    x = np.repeat(rng.standard_normal((5, 9)), 4, axis=0)
    graph = vl.knn_graph(x, 3)
    assert graph.nnz == 60
    assert (graph.data == 0).all()
    assert vl.knn_graph(x, 3, mode="connectivity").data.tolist() == [1.0] * 60
    np.testing.assert_allclose(vl.knn_graph(x, 3, mode="score").data, 1.0)


def test_bad_input_and_limits_are_refused_before_the_work(rng) -> None:
    x = rng.standard_normal((100, 4)).astype(np.float32)
    with pytest.raises(
        vl.CapacityError, match=r"100 rows with k=50.* 10\.0 KiB is the memory_limit"
    ):
        vl.knn_graph(x, 50, memory_limit="10KiB")
    with pytest.raises(vl.ParameterError, match="memory_limit must be a number of bytes or text"):
        vl.knn_graph(x, memory_limit="much")
    with pytest.raises(vl.ParameterError, match="mode must be one of 'distance', 'score'"):
        vl.knn_graph(x, mode="ranks")
    with pytest.raises(vl.ParameterError, match="zero vector"):
        vl.knn_graph(np.vstack([x, 0 * x[:1]]))
    with pytest.raises(vl.ParameterError, match="k must be a whole number"):
        vl.knn_graph(x, 0)
    x[3, 1] = np.nan
    with pytest.raises(vl.ParameterError, match="row 3"):
        vl.knn_graph(x)
