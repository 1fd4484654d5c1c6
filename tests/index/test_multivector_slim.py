# SPDX-License-Identifier: Apache-2.0
"""SLIM: weights by hand, the bound, and candidates from inverted lists."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import NotFittedError, ParameterError, ShapeError


def test_weights_of_a_case_worked_by_hand() -> None:
    slim = vl.index.SLIM(n_atoms=3, n_active=1)
    slim.atoms_ = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], np.float32)
    item = [[[0.6, 0.8], [2.0, 0.0], [0.8, 0.6]]]
    # .6 .8: atom 1 by .8 - .6; 1 0: atom 0 by 1 - 0; .8 .6: atom 0 by .8 - .6.
    np.testing.assert_allclose(slim.encode_documents(item).toarray(), [[1.0, 0.2, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(slim.encode_queries(item).toarray(), [[1.2, 0.2, 0.0]], rtol=1e-6)


def test_products_are_never_below_late_interaction_of_the_sparse_vectors() -> None:
    rng = np.random.default_rng(0)
    items = [rng.standard_normal((int(m), 12)) for m in rng.integers(1, 9, 30)]
    slim = vl.index.SLIM(n_atoms=20, n_active=5).fit(items)
    products = (slim.encode_queries(items) @ slim.encode_documents(items).T).toarray()
    each = [
        np.vstack([slim.encode_queries([x[None, :]]).toarray() for x in item]) for item in items
    ]
    late = np.array([[(q @ p.T).max(axis=1).sum() for p in each] for q in each])
    assert (products >= late - 1e-5).all()


def test_candidates_come_from_inverted_lists() -> None:
    rng = np.random.default_rng(1)
    topics = rng.standard_normal((60, 24))
    items = [
        topics[rng.integers(0, 60, 8)] + 0.3 * rng.standard_normal((8, 24)) for _ in range(500)
    ]
    queries = [item[:3] + 0.2 * rng.standard_normal((3, 24)) for item in items[:40]]
    slim = vl.index.SLIM(n_atoms=120, n_active=4).fit(items)
    first = vl.index.Inverted().fit(slim.encode_documents(items))
    second = vl.index.MultiVector(encoding=None).fit(items)
    stages = vl.index.TwoStage(first, second, n_candidates=100)
    hits = stages.search({"first": slim.encode_queries(queries), "second": queries}, k=10)
    exact = second.search(queries, k=10)
    same = [len(set(a) & set(b)) / 10 for a, b in zip(hits.ids, exact.ids, strict=True)]
    assert np.mean(same) > 0.8
    again = vl.index.SLIM(n_atoms=120, n_active=4, n_jobs=2).fit(items)
    np.testing.assert_array_equal(
        again.encode_documents(items).toarray(), slim.encode_documents(items).toarray()
    )


def test_bad_input_is_refused() -> None:
    items = np.random.default_rng(0).standard_normal((10, 2, 6))
    for params in ({"n_atoms": 21}, {"n_atoms": 0}, {"n_atoms": 8, "n_active": 8}, {"n_active": 0}):
        with pytest.raises(ParameterError):
            vl.index.SLIM(**params).fit(items)
    with pytest.raises(NotFittedError):
        vl.index.SLIM().encode_documents(items)
    slim = vl.index.SLIM(n_atoms=8, n_active=2).fit(items)
    with pytest.raises(ShapeError):
        slim.encode_queries(np.ones((1, 2, 5)))
    with pytest.raises(ParameterError, match="zero vector"):
        slim.encode_queries(np.zeros((1, 2, 6)))
