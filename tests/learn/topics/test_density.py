# SPDX-License-Identifier: Apache-2.0
"""Clusters by density: the graph by hand, parts that are not joined, copies, one cluster."""

from __future__ import annotations

import numpy as np
import pytest

from vectorloom.learn.topics.density import (
    density_clusters,
    diffusion_rows,
    means,
    neighbour_graph,
    unit,
)

SETTINGS = {"n_neighbors": 10, "n_components": 5, "min_samples": 3, "seed": 0, "n_jobs": 1}


def blobs(n, k, dim=50, spread=0.15, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((k, dim))
    labels = rng.integers(k, size=n)
    return unit(centres[labels] + spread * np.sqrt(dim) * rng.standard_normal((n, dim))), labels


def test_weights_of_a_row_sum_to_the_logarithm_of_its_neighbours():
    rows, _ = blobs(60, 3)
    graph = neighbour_graph(rows, 8, 1)
    np.testing.assert_allclose(graph.toarray(), graph.toarray().T, atol=1e-12)
    assert graph.data.min() > 0
    assert graph.data.max() <= 1 + 1e-12
    # a + b - ab >= a: each row keeps at least what it gave itself, log2 8, and its nearest is sure.
    assert np.asarray(graph.sum(axis=1)).min() >= 3 - 1e-6
    np.testing.assert_allclose(graph.max(axis=1).toarray(), 1)


def test_a_graph_of_two_parts_falls_into_two_points():
    from scipy.sparse import block_array, csr_array

    clique = csr_array(np.ones((6, 6)) - np.eye(6))
    rows = diffusion_rows(block_array([[clique, None], [None, clique]]).tocsr(), 1, 0)
    scores = rows @ rows.T
    np.testing.assert_allclose(scores[:6, :6], 1, atol=1e-5)
    np.testing.assert_allclose(scores[:6, 6:], -1, atol=1e-5)


def test_blobs_in_many_dimensions_are_found_with_their_number():
    rows, truth = blobs(600, 5)
    labels, dense, strength = density_clusters(rows, min_size=15, **SETTINGS)
    assert labels.max() == 4
    for k in range(5):
        assert np.bincount(truth[labels == k]).max() >= 0.99 * (labels == k).sum()
    assert (labels[dense >= 0] == dense[dense >= 0]).all()
    assert ((strength > 0) == (dense >= 0)).all()


def test_copies_make_no_cluster_of_their_own():
    rows, _ = blobs(300, 3)
    alone, *_ = density_clusters(rows, min_size=10, **SETTINGS)
    many, *_ = density_clusters(
        np.concatenate([rows, np.tile(rows[:1], (200, 1))]), min_size=10, **SETTINGS
    )
    np.testing.assert_array_equal(many[:300], alone)
    assert (many[300:] == alone[0]).all()


@pytest.mark.parametrize("n", [1, 5, 12, 40])
def test_few_rows_or_equal_rows_are_one_cluster(n):
    rows = np.tile(unit(np.ones((1, 4))), (n, 1))
    labels, dense, strength = density_clusters(rows, min_size=5, **SETTINGS)
    assert not labels.any()
    assert not dense.any()
    assert strength.all()


def test_means_by_hand():
    rows = np.array([[1.0], [3.0], [5.0], [9.0]], np.float32)
    found = means(rows, np.array([0, 0, 1, -1]), 2)
    assert found.tolist() == [[2.0], [5.0]]
