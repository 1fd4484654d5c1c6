# SPDX-License-Identifier: Apache-2.0
"""FDE: the encoding by hand, and the published bound on random and on real sets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import vectorloom as vl
from vectorloom import _core
from vectorloom.errors import CapacityError, ParameterError, ShapeError
from vectorloom.index.multivector.fde import _Maps, _Sketch


def unit(X: NDArray[Any]) -> NDArray[np.float32]:
    return (X / np.linalg.norm(X, axis=-1, keepdims=True)).astype(np.float32)


def plain(fde: vl.index.FDE, vectors: NDArray[Any], *, is_document: bool) -> NDArray[np.float64]:
    """The definition, one cell after the other."""
    maps = _Maps(fde)
    blocks = []
    for r in range(fde.n_repetitions):
        planes = maps.planes[r * fde.n_bits : (r + 1) * fde.n_bits].astype(np.float64)
        bits = vectors @ planes.T > 0
        own = bits @ (1 << np.arange(fde.n_bits)[::-1])
        signs = None if maps.signs is None else np.split(maps.signs, fde.n_repetitions)[r]
        projected = vectors if signs is None else vectors @ signs.T.astype(np.float64)
        for cell in range(1 << fde.n_bits):
            inside = projected[own == cell]
            if len(inside):
                blocks.append(inside.mean(axis=0) if is_document else inside.sum(axis=0))
            elif is_document and fde.fill_empty:
                differing = [bin(int(c) ^ cell).count("1") for c in own]
                blocks.append(projected[int(np.argmin(differing))])
            else:
                blocks.append(np.zeros(projected.shape[1]))
    return np.concatenate(blocks) / np.sqrt(fde.n_repetitions)


def test_a_case_worked_by_hand() -> None:
    # One plane, the first axis: cell 1 holds what has a positive first entry.
    planes = np.array([[1.0], [-1.0], [2.0]], np.float32)  # of three vectors
    values = np.array([[1.0, 1.0], [-1.0, 4.0], [2.0, 3.0]], np.float32)
    offsets = np.array([0, 3], np.int64)
    document = _core.fde_pool(planes, values, offsets, 1, 1, True, True)
    np.testing.assert_array_equal(document, [[-1.0, 4.0, 1.5, 2.0]])
    query = _core.fde_pool(planes, values, offsets, 1, 1, False, True)
    np.testing.assert_array_equal(query, [[-1.0, 4.0, 3.0, 4.0]])
    one = np.array([0, 1], np.int64)
    lonely = _core.fde_pool(planes[:1], values[:1], one, 1, 1, True, True)
    np.testing.assert_array_equal(lonely, [[1.0, 1.0, 1.0, 1.0]])
    empty = _core.fde_pool(planes[:1], values[:1], one, 1, 1, True, False)
    np.testing.assert_array_equal(empty, [[0.0, 0.0, 1.0, 1.0]])


@pytest.mark.parametrize("projection_dim", [None, 5])
@pytest.mark.parametrize("fill_empty", [True, False])
@pytest.mark.parametrize("n_bits", [1, 4])
def test_encodings_follow_the_definition(
    projection_dim: int | None, fill_empty: bool, n_bits: int
) -> None:
    rng = np.random.default_rng(0)
    items = [rng.standard_normal((m, 12)) for m in (1, 2, 9, 40)]
    fde = vl.index.FDE(
        12, n_repetitions=3, n_bits=n_bits, projection_dim=projection_dim, fill_empty=fill_empty
    )
    documents, queries = fde.encode_documents(items), fde.encode_queries(items)
    for i, item in enumerate(items):
        expected = plain(fde, item, is_document=True)
        np.testing.assert_allclose(documents[i], expected, rtol=1e-4, atol=1e-5)
        expected = plain(fde, item, is_document=False)
        np.testing.assert_allclose(queries[i], expected, rtol=1e-4, atol=1e-5)


def test_encodings_are_the_same_bits_at_any_number_of_threads_and_in_any_batch() -> None:
    items = [np.random.default_rng(i).standard_normal((i % 7 + 1, 20)) for i in range(300)]
    whole = vl.index.FDE(20, n_repetitions=4, n_jobs=1).encode_documents(items)
    threads = vl.index.FDE(20, n_repetitions=4, n_jobs=3).encode_documents(items)
    parts = [vl.index.FDE(20, n_repetitions=4).encode_documents([item]) for item in items[:20]]
    np.testing.assert_array_equal(whole, threads)
    np.testing.assert_array_equal(whole[:20], np.concatenate(parts))
    other = vl.index.FDE(20, n_repetitions=4, random_state=1).encode_documents(items)
    assert not np.allclose(whole, other)


# ---- the published bound ----
#
# Theorem 2.1 of the paper: for unit vectors, m of query and document together, and
#   n_bits = O(log(m / delta) / epsilon), projection_dim = O(log(m / (epsilon delta)) / epsilon^2),
# one repetition has |score / |Q| - <F_q, F_d> / |Q|| <= epsilon with probability 1 - delta. Here
# with 1 for the constants that the O() hides.


def bound_holds(
    queries: list[NDArray[np.float32]],
    documents: list[NDArray[np.float32]],
    epsilon: float,
    delta: float,
) -> float:
    """The share of pairs and seeds that stay within epsilon."""
    m = max(len(q) for q in queries) + max(len(d) for d in documents)
    n_bits = int(np.ceil(np.log(m / delta) / epsilon))
    projection = int(np.ceil(np.log(m / (epsilon * delta)) / epsilon**2))
    good = []
    for seed in range(8):
        fde = vl.index.FDE(
            queries[0].shape[1],
            n_repetitions=1,
            n_bits=n_bits,
            projection_dim=projection,
            random_state=seed,
        )
        encoded_q, encoded_d = fde.encode_queries(queries), fde.encode_documents(documents)
        for i, (q, d) in enumerate(zip(queries, documents, strict=True)):
            truth = float((q @ d.T).max(axis=1).sum())
            estimate = float(encoded_q[i].astype(np.float64) @ encoded_d[i])
            good.append(abs(truth - estimate) / len(q) <= epsilon)
    return float(np.mean(good))


def test_the_published_bound_holds_on_random_sets() -> None:
    rng = np.random.default_rng(0)
    queries = [unit(rng.standard_normal((6, 64))) for _ in range(12)]
    near = [unit(np.repeat(q, 3, axis=0) + 0.1 * rng.standard_normal((18, 64))) for q in queries]
    far = [unit(rng.standard_normal((18, 64))) for _ in queries]
    for documents in (near, far):
        assert bound_holds(queries, documents, epsilon=0.5, delta=0.1) >= 0.9


def test_the_published_bound_holds_on_real_sets() -> None:
    path = Path(os.environ.get("VECTORLOOM_DATA", "")) / "vectors/minilm-nfcorpus/vectors.npz"
    if not os.environ.get("VECTORLOOM_DATA") or not path.exists():
        pytest.skip("VECTORLOOM_DATA has no vectors/minilm-nfcorpus")
    with np.load(path) as data:
        corpus, queries = unit(data["corpus"][:400].astype(np.float32)), data["queries"]
        queries = unit(queries[:120].astype(np.float32))
    # Texts of a topic as the vectors of one item: the neighbours of each query.
    near = np.argsort(-(queries @ corpus.T), axis=1)[:, :15]
    groups = [queries[i : i + 6] for i in range(0, 72, 6)]
    documents = [corpus[near[i : i + 6].ravel()[:18]] for i in range(0, 72, 6)]
    assert bound_holds(groups, documents, epsilon=0.5, delta=0.1) >= 0.9


@pytest.mark.parametrize("fill_empty", [True, False])
def test_without_projection_the_estimate_never_exceeds_the_score(fill_empty: bool) -> None:
    rng = np.random.default_rng(1)
    # Nonnegative vectors: an unfilled cell gives 0, which is then no more than the maximum either.
    items = [unit(np.abs(rng.standard_normal((m, 16)))) for m in (1, 3, 8, 30)]
    fde = vl.index.FDE(16, n_repetitions=5, projection_dim=None, fill_empty=fill_empty)
    estimates = fde.encode_queries(items) @ fde.encode_documents(items).T
    truth = np.array([[(q @ d.T).max(axis=1).sum() for d in items] for q in items])
    assert (estimates <= truth * (1 + 1e-5)).all()


def test_more_bits_come_nearer_to_the_score() -> None:
    rng = np.random.default_rng(2)
    documents = [unit(rng.standard_normal((25, 24))) for _ in range(40)]
    queries = [unit(d[:5] + 0.2 * rng.standard_normal((5, 24))) for d in documents]
    truth = np.array([(q @ d.T).max(axis=1).sum() for q, d in zip(queries, documents, strict=True)])
    short = []
    for n_bits in (1, 4, 8):
        fde = vl.index.FDE(24, n_repetitions=4, n_bits=n_bits, projection_dim=None)
        estimates = np.einsum(
            "ij,ij->i", fde.encode_queries(queries), fde.encode_documents(documents)
        )
        short.append(float((truth - estimates).mean()))
    assert short[0] > short[1] > short[2] >= -1e-5


def test_the_last_projection_keeps_inner_products_on_average() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((2, 1, 700)).astype(np.float32)
    products = []
    for seed in range(400):
        sketch = _Sketch(np.random.default_rng(seed), 700, 128)
        products.append(float((sketch(x) @ sketch(y).T).item()))
    error = np.std(products) / np.sqrt(len(products))
    assert abs(np.mean(products) - float((x @ y.T).item())) < 4 * error
    # The variance of one is about (|x|^2 |y|^2 + (x.y)^2) / kept.
    expected = np.sqrt((x @ x.T).item() * (y @ y.T).item() / 128)
    assert 0.8 < np.std(products) / expected < 1.3
    assert vl.index.FDE(32, n_repetitions=5, final_dim=512).output_dim_ == 512


# ---- what is refused ----


def test_bad_numbers_and_shapes_are_refused() -> None:
    for params in (
        {"dim": 0},
        {"dim": 4, "n_bits": 0},
        {"dim": 4, "n_bits": 17},
        {"dim": 4, "n_repetitions": 0},
        {"dim": 4, "projection_dim": 0},
        {"dim": 4, "final_dim": 0},
    ):
        with pytest.raises(ParameterError):
            vl.index.FDE(**params).encode_documents([np.ones((1, params["dim"] or 1))])
    with pytest.raises(ShapeError):
        vl.index.FDE(4).encode_queries([np.ones((1, 3))])
    with pytest.raises(ParameterError, match="NaN"):
        vl.index.FDE(2).encode_queries([[[np.nan, 1.0]]])


def test_sizes_beyond_memory_are_refused_before_they_are_made() -> None:
    fde = vl.index.FDE(384, memory_limit="1MB")
    assert fde.output_dim_ == 40 * 16 * 16
    with pytest.raises(CapacityError, match="100 encodings of 10,240 dimensions"):
        fde.encode_documents(np.ones((100, 1, 384)))
