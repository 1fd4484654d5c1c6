# SPDX-License-Identifier: Apache-2.0
"""Exact MaxSim by bounds of heads: the answer is that of float64, whatever is left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vectorloom as vl


def scores_of(items: list[np.ndarray], query: np.ndarray, metric: str) -> np.ndarray:
    """MaxSim in float64, written out."""

    def unit(x: np.ndarray) -> np.ndarray:
        x = x.astype(np.float64)
        return x / np.linalg.norm(x, axis=1, keepdims=True) if metric == "cosine" else x

    return np.array([(unit(query) @ unit(item).T).max(axis=1).sum() for item in items])


@given(
    seed=st.integers(0, 2**16),
    longest=st.sampled_from([1, 2, 17, 70]),
    dim=st.sampled_from([5, 64, 200]),
    metric=st.sampled_from(["cosine", "ip"]),
    masked=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_the_best_items_are_those_of_float64(
    seed: int, longest: int, dim: int, metric: str, masked: bool
) -> None:
    rng = np.random.default_rng(seed)
    decay = 0.97 ** np.arange(dim)  # heads are made where few directions hold most of the length
    items = [
        (rng.standard_normal((m, dim)) * decay).astype(np.float32)
        for m in rng.integers(1, longest + 1, 90)
    ]
    queries = [(rng.standard_normal((m, dim)) * decay).astype(np.float32) for m in (1, 4, 14, 30)]
    index = vl.index.MultiVector(metric, encoding=None).fit(items)
    where = np.flatnonzero(rng.random(90) < 0.6) if masked else None
    hits = index.search(queries, k=7, where=where)
    for q, query in enumerate(queries):
        wanted = scores_of(items, query, metric)
        if where is not None:
            wanted[np.setdiff1d(np.arange(90), where)] = -np.inf
        order = np.argsort(-wanted, kind="stable")[:7]
        np.testing.assert_allclose(hits.scores[q], wanted[order], rtol=1e-6, atol=1e-5)
        clear = np.flatnonzero(np.diff(wanted[order]) < -1e-4)
        assert (hits.ids[q][clear] == order[clear]).all()


@pytest.mark.parametrize("k", [1, 10, 60])
def test_one_that_stands_out_on_a_single_vector_is_found(k: int) -> None:
    rng = np.random.default_rng(4)
    items = [rng.standard_normal((25, 128)).astype(np.float32) for _ in range(300)]
    items[211] = np.vstack([items[211], 50 * items[211][:1]])
    query = items[211][:1]
    hits = vl.index.MultiVector("ip", encoding=None).fit(items).search([query], k=k)
    assert hits.ids[0, 0] == 211
    assert hits.counts[0] == k
