# SPDX-License-Identifier: Apache-2.0
"""Fewer vectors and smaller ones: pooling, pruning, codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.index.multivector.token_pooling import ward_groups


def unit(X: NDArray[Any]) -> NDArray[np.float32]:
    return (X / np.linalg.norm(X, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def corpus() -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Items of a few directions each, said several times with noise; queries about them."""
    rng = np.random.default_rng(0)
    items, queries = [], []
    for _ in range(150):
        own = unit(rng.standard_normal((int(rng.integers(2, 6)), 32)))
        said = np.repeat(own, 4, axis=0)
        items.append(unit(said + 0.08 * rng.standard_normal(said.shape)))
        queries.append(unit(own[:2] + 0.1 * rng.standard_normal((2, 32))))
    return items, queries


def first_place(index: Any, queries: Any) -> float:
    hits = index.search(queries, k=1)
    return float(np.mean(hits.ids[:, 0] == np.arange(len(queries))))


# ---- pooling ----


def test_pooling_of_a_case_worked_by_hand() -> None:
    item = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8]])
    # Squared distances over 2: 0-2 .2, 1-2 .4, 1-3 .2 (the same as 0-2), so {0, 2} and {1, 3}.
    values, offsets = vl.index.pool_tokens([item], factor=2)
    expected = unit(np.array([[0.9, 0.3], [-0.3, 0.9]]))
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert offsets.tolist() == [0, 2]
    plain, _ = vl.index.pool_tokens([item], factor=2, normalise=False)
    np.testing.assert_allclose(plain, [[0.9, 0.3], [-0.3, 0.9]], rtol=1e-6)


@pytest.mark.parametrize("factor", [1.0, 1.5, 2.0, 3.0, 100.0])
@pytest.mark.parametrize("keep_first", [0, 1, 3])
def test_an_item_keeps_its_share_of_vectors(factor: float, keep_first: int) -> None:
    rng = np.random.default_rng(1)
    items = [unit(rng.standard_normal((m, 8))) for m in (1, 2, 3, 7, 31)]
    values, offsets = vl.index.pool_tokens(items, factor=factor, keep_first=keep_first)
    lengths = [min(len(i), keep_first) for i in items]
    rest = [int(np.ceil(max(0, len(i) - keep_first) / factor)) for i in items]
    assert np.diff(offsets).tolist() == [a + b for a, b in zip(lengths, rest, strict=True)]
    for i, item in enumerate(items):
        kept = values[offsets[i] : offsets[i + 1]]
        np.testing.assert_array_equal(kept[:keep_first], item[:keep_first])
        np.testing.assert_allclose(np.linalg.norm(kept, axis=1), 1.0, rtol=1e-5)


def test_an_item_keeps_no_more_vectors_than_it_may() -> None:
    rng = np.random.default_rng(2)
    items = [unit(rng.standard_normal((m, 8))) for m in (1, 3, 20, 50)]
    _, offsets = vl.index.pool_tokens(items, factor=1.0, most=4)
    assert np.diff(offsets).tolist() == [1, 3, 4, 4]
    _, offsets = vl.index.pool_tokens(items, factor=10.0, most=4, keep_first=1)
    assert np.diff(offsets).tolist() == [1, 2, 3, 5]
    with pytest.raises(ParameterError):
        vl.index.pool_tokens(items, most=0)


def test_groups_are_wards() -> None:
    X = np.array([[0.0], [10.0], [0.5], [10.4], [5.0]], np.float32)
    assert ward_groups(X, 3).tolist() == [0, 1, 0, 1, 2]


def test_opposite_vectors_do_not_pool_to_nothing() -> None:
    values, _ = vl.index.pool_tokens([[[1.0, 0.0], [-1.0, 0.0]]], factor=2)
    np.testing.assert_array_equal(values, [[1.0, 0.0]])


def test_what_is_said_again_can_be_pooled_without_loss(corpus: Any) -> None:
    items, queries = corpus
    whole = vl.index.MultiVector(encoding=None).fit(items)
    pooled = vl.index.MultiVector(encoding=None).fit(vl.index.pool_tokens(items, factor=4))
    assert pooled.n_vectors_ * 3.9 < whole.n_vectors_
    assert first_place(pooled, queries) >= first_place(whole, queries) - 0.01
    assert first_place(whole, queries) > 0.95


def test_pooling_refuses_what_it_cannot_do() -> None:
    for factor in (0.5, 0.0, np.nan, np.inf):
        with pytest.raises(ParameterError, match="factor"):
            vl.index.pool_tokens([[[1.0, 0.0]]], factor=factor)
    with pytest.raises(ParameterError):
        vl.index.pool_tokens([[[1.0, 0.0]]], keep_first=-1)
    with pytest.raises(ShapeError):
        vl.index.pool_tokens([np.empty((0, 2))])


# ---- pruning ----


def test_pruning_keeps_what_is_above_the_item_s_own_mean() -> None:
    items = [np.eye(4), np.eye(4)[:2]]
    weights = [0.1, 0.2, 0.3, 0.8, 5.0, 5.0]
    values, offsets = vl.index.prune_tokens(items, weights)
    assert offsets.tolist() == [0, 1, 3]
    np.testing.assert_array_equal(values, np.eye(4)[[3, 0, 1]])
    each = [np.array(weights[:4]), np.array(weights[4:])]
    np.testing.assert_array_equal(vl.index.prune_tokens(items, each)[0], values)
    # Mean .35 and deviation .27: from .35 - .27 = .08 on all are kept, above .62 only the last.
    assert vl.index.prune_tokens(items, weights, k=-1.0)[1].tolist() == [0, 4, 6]
    assert vl.index.prune_tokens(items, weights, k=1.0)[1].tolist() == [0, 1, 3]
    assert vl.index.prune_tokens(items, weights, k=50.0)[1].tolist() == [0, 1, 3]


def test_without_importances_what_is_said_again_goes_first() -> None:
    twice = unit(np.array([[1.0, 0.0, 0.0], [1.0, 0.01, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    values, _ = vl.index.prune_tokens([twice])
    np.testing.assert_array_equal(values, twice[2:])


def test_pruning_refuses_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match="one number a vector, 3"):
        vl.index.prune_tokens([np.eye(3)], [1.0, 2.0])
    with pytest.raises(ParameterError, match="NaN"):
        vl.index.prune_tokens([np.eye(2)], [1.0, np.nan])
    with pytest.raises(ParameterError):
        vl.index.prune_tokens([np.eye(2)], k=np.inf)


# ---- codes ----


def test_scores_of_codes_are_maxsim_of_what_they_decode_to(corpus: Any) -> None:
    items, queries = corpus
    for codec in (vl.compress.Scalar(bits=8), vl.compress.PQ(n_parts=8)):
        index = vl.index.TokenCodes(codec, metric="ip").fit(items)
        decoded = codec.inverse_transform(codec.transform(np.concatenate(items)))
        flat = (decoded, np.cumsum([0] + [len(item) for item in items]))
        truth = vl.index.MultiVector(metric="ip", encoding=None).fit(flat)
        mine, theirs = index.search(queries, k=5), truth.search(queries, k=5)
        np.testing.assert_allclose(mine.scores, theirs.scores, rtol=1e-3)
        assert (mine.ids[:, 0] == theirs.ids[:, 0]).mean() > 0.97


def test_codes_find_what_vectors_find(corpus: Any) -> None:
    items, queries = corpus
    whole = first_place(vl.index.MultiVector(encoding=None).fit(items), queries)
    coded = vl.index.TokenCodes(vl.compress.PQ(n_parts=8)).fit(items)
    assert coded.bytes_per_vector_ == 8
    assert first_place(coded, queries) >= whole - 0.05


def test_codes_filter_and_open_alike(corpus: Any, tmp_path: Path) -> None:
    items, queries = corpus
    names = [f"d{(11 * i) % 150:03d}" for i in range(150)]
    index = vl.index.TokenCodes(vl.compress.Scalar(bits=4)).fit(items, ids=names)
    some = names[:10]
    hits = index.search(queries, k=20, where=some)
    assert set(hits.ids[:, :10].ravel()) == set(some)
    assert (hits.counts == 10).all()
    each = index.search(queries, k=2, where=[[name] for name in names])
    assert each.ids[:, 0].tolist() == names
    index.save(tmp_path / "codes.vl")
    opened = vl.open(tmp_path / "codes.vl", verify=True)
    assert len(opened) == 150
    np.testing.assert_array_equal(opened.ids_, index.ids_)
    for k in (1, 7):
        np.testing.assert_array_equal(
            opened.search(queries, k=k).ids, index.search(queries, k=k).ids
        )


def test_codes_refuse_what_multivector_refuses() -> None:
    with pytest.raises(ParameterError, match="compressor"):
        vl.index.TokenCodes("pq").fit([np.eye(2)])
    with pytest.raises(ParameterError):
        vl.index.TokenCodes(vl.compress.Scalar(), metric="l2").fit([np.eye(2)])
    with pytest.raises(ShapeError):
        vl.index.TokenCodes(vl.compress.Scalar()).fit([np.empty((0, 3))])
    index = vl.index.TokenCodes(vl.compress.Scalar()).fit([np.eye(4), np.eye(4)])
    with pytest.raises(ShapeError):
        index.search([np.eye(3)])
    with pytest.raises(ParameterError):
        index.search([np.eye(4)], k=0)


# ---- a budget ----


def test_the_frontier_is_what_nothing_beats(corpus: Any) -> None:
    items, queries = corpus
    codecs = {"PQ": vl.compress.PQ(n_parts=4), "8 bits": vl.compress.Scalar(bits=8)}
    points = vl.index.plan_token_budget(items, codecs, factors=[1, 4], queries=queries, k=1)
    assert len(points) == 4
    sizes = [p.bytes_per_item for p in points]
    assert sizes == sorted(sizes)
    for p in points:
        beaten = any(
            o.bytes_per_item <= p.bytes_per_item
            and o.recall >= p.recall
            and (o.bytes_per_item < p.bytes_per_item or o.recall > p.recall)
            for o in points
        )
        assert p.best != beaten
    # Items here say each thing four times, so that a quarter of the vectors says it all.
    pooled = next(p for p in points if p.factor == 4 and p.codec == "8 bits")
    assert pooled.recall > 0.95
    few = vl.index.plan_token_budget(items, codecs, bytes_per_item=sizes[1] + 1, factors=[1, 4])
    assert len(few) == 2


def test_budgets_refuse_what_cannot_be() -> None:
    tokens = np.random.default_rng(0).standard_normal((20, 3, 8))
    with pytest.raises(ParameterError, match="at least one"):
        vl.index.plan_token_budget(tokens, {})
    with pytest.raises(ParameterError, match="nothing fits"):
        vl.index.plan_token_budget(tokens, {"8": vl.compress.Scalar(bits=8)}, bytes_per_item=1)
