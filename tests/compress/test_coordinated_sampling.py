# SPDX-License-Identifier: Apache-2.0
"""CoordinatedSampling: unbiased; exact when nothing is left out; beats projections if sparse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array
from tests.laws import assert_at_most

import vectorloom as vl


def sparse(n: int = 40, dim: int = 2000, density: float = 0.02, seed: int = 0) -> csr_array:
    rng = np.random.default_rng(seed)
    values = rng.standard_exponential
    return random_array(
        (n, dim), density=density, rng=rng, data_sampler=lambda size: values(size), format="csr"
    ).astype(np.float32)


def test_a_sketch_is_worked_by_hand():
    # h = (0.5, 0.2, 0.9), a = (1, 2, 3): ranks 0.5, 0.05, 0.1. Two smallest: columns 1, 2; τ = 0.5.
    sampler = vl.compress.CoordinatedSampling(2).fit(np.ones((1, 3), np.float32))
    sampler.uniforms_ = np.array([0.5, 0.2, 0.9])
    a = sampler.sketch(np.array([[1.0, 2.0, 3.0]], np.float32))
    assert a.entries.toarray().tolist() == [[0, 2, 3]]
    assert a.thresholds.tolist() == [0.5]
    # b = (2, 0.5, 0.25): ranks 0.125, 0.8, 14.4; columns 0, 1; τ = 14.4. In common: column 1, with
    # p = min(1, 4 · 0.5, 0.25 · 14.4) = 1.
    b = sampler.sketch(np.array([[2.0, 0.5, 0.25]], np.float32))
    assert b.thresholds[0] == pytest.approx(14.4)
    assert sampler.product(a, b)[0, 0] == pytest.approx(2 * 0.5)
    # c = (0.1, 0.3, 1): ranks 50, 2.22, 0.9; columns 1, 2; τ = 50. Column 1: p = min(1, 2, 4.5) = 1
    # column 2: min(1, 9 · 0.5, 50) = 1. With τ_a = 0.05 column 1 would have p = 0.2.
    c = sampler.sketch(np.array([[0.1, 0.3, 1.0]], np.float32))
    assert sampler.product(a, c)[0, 0] == pytest.approx(2 * 0.3 + 3 * 1)
    a.thresholds[0] = 0.05
    assert sampler.product(a, c)[0, 0] == pytest.approx(2 * 0.3 / 0.2 + 3 / 0.45)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("weights", ["squares", "uniform"])
def test_products_are_unbiased(weights: str, shared: bool):
    A, B = sparse(4, 40, 0.5), sparse(3, 40, 0.5, seed=1)
    truth = (A @ B.T).toarray()
    estimates = []
    for seed in range(500):
        sampler = vl.compress.CoordinatedSampling(8, weights=weights, seed=seed).fit(A)
        estimates.append(sampler.product(sampler.sketch(A, shared), sampler.sketch(B, shared)))
    mean, error = np.mean(estimates, axis=0), np.std(estimates, axis=0) / np.sqrt(500)
    assert np.abs((mean - truth) / np.maximum(error, 1e-6)).max() < 4.5  # standard errors


def test_decoded_rows_are_unbiased():
    A = sparse(4, 40, 0.5)
    A.data = (A.data % 1 + 0.5).astype(np.float32)  # none is so small that it is hardly ever kept
    decoded = [
        (s := vl.compress.CoordinatedSampling(6, seed=seed).fit(A)).inverse_transform(
            s.transform(A)
        )
        for seed in range(600)
    ]
    mean, error = np.mean(decoded, axis=0), np.std(decoded, axis=0) / np.sqrt(600)
    assert np.abs((mean - A.toarray()) / np.maximum(error, 1e-4)).max() < 4.5


@pytest.mark.parametrize("shared", [False, True])
def test_nothing_is_lost_where_all_entries_fit(shared: bool):
    A = sparse(10, 50, 0.2)
    sampler = vl.compress.CoordinatedSampling(50).fit(A)
    sketch = sampler.sketch(A, shared)
    assert np.allclose(sampler.product(sketch, sketch), (A @ A.T).toarray(), atol=1e-4)
    assert np.array_equal(sampler.transform(A).toarray(), A.toarray())


def root_mean_square(estimate: np.ndarray, truth: np.ndarray, sizes: np.ndarray) -> float:
    return float(np.sqrt(np.square((estimate - truth) / sizes).mean()))


def test_sparse_rows_are_estimated_better_than_by_linear_sketches_of_equal_bytes():
    A, B = sparse(), sparse(seed=1)
    truth = (A @ B.T).toarray()
    sizes = np.outer(*(np.sqrt(M.multiply(M).sum(axis=1)) for M in (A, B)))
    errors: dict[str, list[float]] = {"sampling": [], "gaussian": [], "count": []}
    size, dim = 16, 32  # an entry takes 8 bytes, a coordinate 4
    for seed in range(5):
        sampler = vl.compress.CoordinatedSampling(size, seed=seed).fit(A)
        estimate = sampler.product(sampler.sketch(A), sampler.sketch(B))
        errors["sampling"].append(root_mean_square(estimate, truth, sizes))
        rng = np.random.default_rng(seed)
        G = rng.standard_normal((2000, dim)) / np.sqrt(dim)
        errors["gaussian"].append(root_mean_square((A @ G) @ (B @ G).T, truth, sizes))
        S = np.zeros((2000, dim))
        S[np.arange(2000), rng.integers(0, dim, 2000)] = rng.choice([-1, 1], 2000)
        errors["count"].append(root_mean_square((A @ S) @ (B @ S).T, truth, sizes))
    mean = {name: float(np.mean(values)) for name, values in errors.items()}
    assert_at_most(mean["sampling"], mean["gaussian"] / 2, "error, against Johnson-Lindenstrauss")
    assert_at_most(mean["sampling"], mean["count"] / 2, "error, against CountSketch")


def test_sketches_made_apart_agree_on_what_they_keep():
    A = sparse()
    one = vl.compress.CoordinatedSampling(12, seed=3).fit(A)
    other = vl.compress.CoordinatedSampling(12, seed=3).fit(A[:1])
    assert (one.sketch(A).entries != other.sketch(A).entries).nnz == 0
    assert one.fingerprint_ == other.fingerprint_


def test_dense_and_sparse_input_give_the_same_codes():
    A = sparse()
    sampler = vl.compress.CoordinatedSampling(12).fit(A)
    assert (sampler.transform(A) != sampler.transform(A.toarray())).nnz == 0


def test_a_row_keeps_at_most_size_entries_and_a_sketch_tells_its_bytes():
    sketch = (s := vl.compress.CoordinatedSampling(7).fit(sparse())).sketch(sparse())
    assert np.diff(sketch.entries.indptr).max() == 7
    assert s.bytes_per_vector_ == 56
    assert sketch.nbytes <= 40 * (56 + 8)
    assert len(np.unique(s.sketch(sparse(), shared=True).entries.indices)) <= 7


def test_what_cannot_be_compared_is_refused():
    A = sparse()
    sampler = vl.compress.CoordinatedSampling(7).fit(A)
    with pytest.raises(vl.ParameterError, match="same `shared`"):
        sampler.product(sampler.sketch(A), sampler.sketch(A, shared=True))
    with pytest.raises(vl.ShapeError, match="expecting 2000"):
        sampler.transform(A[:, :100])
    other = vl.compress.CoordinatedSampling(7).fit(A[:, :100])
    with pytest.raises(vl.ShapeError, match="2000 columns"):
        sampler.product(sampler.sketch(A), other.sketch(A[:, :100]))
    bad = A.copy()
    bad.data[3] = np.nan
    with pytest.raises(vl.ParameterError, match="NaN or infinity"):
        sampler.transform(bad)
    with pytest.raises(vl.ParameterError, match="at least 1"):
        vl.compress.CoordinatedSampling(0).fit(A)


def test_empty_rows_have_no_entries_and_no_product():
    A = csr_array((3, 20), dtype=np.float32)
    sampler = vl.compress.CoordinatedSampling(4).fit(A)
    for shared in (False, True):
        sketch = sampler.sketch(A, shared)
        assert not sampler.product(sketch, sketch).any()
