# SPDX-License-Identifier: Apache-2.0
"""Codes of a graph that were asked for: elements, and what they keep of a row."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.compress import LVQ, PCA, LeanVec
from vectorloom.index import Exact, Graph


def rows_of(seed: int, n: int, dim: int = 130) -> np.ndarray:
    """Rows most of whose variance is in a third of the dimensions."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, dim)) * 0.98 ** np.arange(dim)).astype(np.float32)


X, QUERIES = rows_of(1, 1500), rows_of(2, 60)


@pytest.mark.parametrize(
    ("metric", "params", "bits", "size"),
    [
        ("cosine", {"code": "int8"}, 8, 56),  # one cache line holds 90 % of the variance
        ("l2", {"code": "float32"}, 32, 130),
        ("cosine", {"code": "float32", "reduce": 40}, 32, 40),
        ("ip", {"reduce": 64}, 4, 64),
        ("l2", {"reduce": "pca:65"}, 4, 66),
        # Points of ip have one dimension more, which is kept beside what a reducer keeps.
        ("ip", {"reduce": PCA(100), "code": "int8"}, 8, 101),
        ("cosine", {"reduce": LeanVec(90).fit(X, queries=QUERIES)}, 4, 90),
    ],
)
def test_codes_keep_what_was_asked_for_and_find_neighbours(
    metric: str, params: dict[str, Any], bits: int, size: int, tmp_path: Path
) -> None:
    index = Graph(metric, exact_below=1, degree=24, **params).fit(X)
    assert index._graph is not None
    space = index._graph.space
    assert (space.head_bits, space.head_dim) == (bits, size)
    turned = space.matrix[: space.matrix.shape[1]]
    np.testing.assert_allclose(turned @ turned.T, np.eye(len(turned)), atol=1e-5)
    truth = Exact(metric).fit(X).search(QUERIES, 10)
    found = index.search(QUERIES, 10, ef=200)
    shared = [len(set(a) & set(b)) for a, b in zip(found.ids, truth.ids, strict=True)]
    assert np.mean(shared) >= 9.0
    index.save(tmp_path / "a.vl")
    for again in (vl.open(tmp_path / "a.vl"), pickle.loads(pickle.dumps(index)), index.copy()):
        np.testing.assert_array_equal(again.search(QUERIES, 10, ef=200).ids, found.ids)
        assert repr(again) == repr(index)
    more = vl.open(tmp_path / "a.vl").copy().add(rows_of(3, 900))  # so many: all is built anew
    assert more.search(QUERIES, 10).ids.shape == (60, 10)
    assert more._graph.space.head_bits == bits


def test_the_head_spans_what_the_reducer_keeps() -> None:
    reducer = LeanVec(30, solver="eigensearch").fit(X, queries=rows_of(5, 200)[:, ::-1])
    index = Graph("l2", exact_below=1, reduce=reducer).fit(X)
    assert index._graph is not None
    head = index._graph.space.matrix[:30].astype(np.float64)
    kept = reducer.components_ @ head.T @ head
    np.testing.assert_allclose(kept, reducer.components_, atol=1e-4)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"code": "int5"}, "code must be one of 'int4', 'int8', 'float32'"),
        ({"reduce": 0}, "reduce must be a whole number"),
        ({"reduce": 131}, "reduce must be at most the dimension 130"),
        ({"reduce": LVQ()}, "linear reducer"),
        ({"reduce": "pq:4"}, "linear reducer"),
        ({"reduce": 0.5}, "linear reducer"),
        ({"reduce": PCA(8).fit(X[:, :20])}, "fitted to vectors of 20 dimensions"),
    ],
)
def test_what_is_no_code_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(vl.ParameterError, match=message):
        Graph(exact_below=1, **params).fit(X)
