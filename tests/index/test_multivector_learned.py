# SPDX-License-Identifier: Apache-2.0
"""Few vectors an item: ordered, and learned from queries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import vectorloom as vl
from vectorloom.errors import FormatError, NotFittedError, ParameterError, ShapeError
from vectorloom.index.multivector.crisp import means_of, refined
from vectorloom.index.multivector.late_contrast import nested_contrast

DIM = 12


def unit(X: NDArray[Any]) -> NDArray[np.float32]:
    return (X / np.linalg.norm(X, axis=-1, keepdims=True)).astype(np.float32)


def ragged(seed: int, n: int, least: int = 1, most: int = 20) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return [unit(rng.standard_normal((int(m), DIM))) for m in rng.integers(least, most, n)]


def make(name: str, **more: Any) -> Any:
    if name == "crisp":
        return vl.index.CRISP(3, **more)
    return vl.index.NestedMultiVector([1, 2, 4], **more)


@pytest.fixture(scope="module")
def noisy() -> tuple[Any, Any]:
    """Documents whose meaning is in half of the dimensions, and queries that hold that half.

    The other half is noise, larger than what counts: a map that drops it ranks better.
    """
    rng = np.random.default_rng(1)
    topics = rng.standard_normal((150, 2, DIM))
    topics[:, :, DIM // 2 :] = 0
    noise = np.concatenate([np.full(DIM // 2, 0.2), np.full(DIM // 2, 1.5)])
    documents = unit(np.repeat(topics, 4, axis=1) + noise * rng.standard_normal((150, 8, DIM)))
    queries = unit(topics + noise * rng.standard_normal((150, 2, DIM)))
    return documents, queries


def found(tokens: Any, queries: Any, budget: int | None = None) -> float:
    index = vl.index.MultiVector(encoding=None).fit(tokens)
    hits = index.search(queries, k=10, budget=budget)
    n = len(hits)
    own = np.arange(n)[:, None]
    return float((hits.ids == own).any(axis=1).mean())


# ---- the order ----


def test_the_order_of_a_case_worked_by_hand() -> None:
    item = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    # Nodes: both vectors, the three alike, and the mean of all, (3, 1) / √10: it reaches
    # 3 · 3 / √10 + 1 / √10 = √10 > 3. Then (0, 1) adds 1 - 1 / √10, (1, 0) only 3 (1 - 3 / √10).
    values, offsets = vl.index.nest_tokens([item], most=8)
    expected = [[3 / np.sqrt(10), 1 / np.sqrt(10)], [0.0, 1.0], [1.0, 0.0]]
    np.testing.assert_allclose(values, expected, atol=1e-6)
    assert offsets.tolist() == [0, 3]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_prefixes_are_nested_and_reach_ever_more(seed: int, most: int) -> None:
    items = ragged(seed, 4)
    long = vl.index.nest_tokens(items, most=12)
    short = vl.index.nest_tokens(items, most=most)
    for i, item in enumerate(items):
        whole = long[0][long[1][i] : long[1][i + 1]]
        first = short[0][short[1][i] : short[1][i + 1]]
        np.testing.assert_array_equal(whole[:most], first)
        reached = [(item @ whole[:b].T).max(axis=1).sum() for b in range(1, len(whole) + 1)]
        assert (np.diff(reached) > 0).all()
        assert len(whole) <= 12


def test_all_vectors_are_reached_when_there_is_room_for_all() -> None:
    items = ragged(5, 6, most=8)
    values, offsets = vl.index.nest_tokens(items, most=40)
    for i, item in enumerate(items):
        kept = values[offsets[i] : offsets[i + 1]]
        np.testing.assert_allclose((item @ kept.T).max(axis=1), 1.0, atol=2e-5)


def test_vectors_that_cancel_have_no_mean() -> None:
    values, _ = vl.index.nest_tokens([[[1.0, 0.0], [-1.0, 0.0]]], most=4)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1.0)


# ---- the loss ----


def test_gradients_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    values = unit(rng.standard_normal((9, 5))).astype(np.float64)
    offsets = np.array([0, 2, 6, 9])
    views = unit(rng.standard_normal((3, 4, 5))).astype(np.float64)
    counts = np.array([4, 2, 3])
    mask = np.zeros((3, 3), bool)
    mask[0, 2] = True

    def loss(values: Any, views: Any) -> float:
        return nested_contrast(values, offsets, views, counts, (1, 3, 4), 0.3, mask)[0]

    _, by_views, by_values = nested_contrast(values, offsets, views, counts, (1, 3, 4), 0.3, mask)
    step = 1e-6
    for which, (array, gradient) in enumerate(((views, by_views), (values, by_values))):
        for at in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = array.copy()
                moved[at] += sign * step
                sides.append(loss(values, moved) if which == 0 else loss(moved, views))
            slope = (sides[0] - sides[1]) / (2 * step)
            np.testing.assert_allclose(gradient[at], slope, atol=2e-6)
    assert not by_views[1, 2:].any()  # behind the last vector


def test_the_loss_of_a_case_worked_by_hand() -> None:
    values = np.array([[1.0, 0.0], [0.0, 1.0]])
    views = np.array([[[1.0, 0.0]], [[0.6, 0.8]]])
    one = np.ones(2, np.int64)
    loss, _, _ = nested_contrast(values, np.array([0, 1, 2]), views, one, (1,), 0.5)
    # Scores 1, .6 of the first query and 0, .8 of the second; over τ: 2, 1.2 and 0, 1.6.
    expected = (np.log(1 + np.exp(-0.8)) + np.log(1 + np.exp(-1.6))) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


# ---- learning ----


@pytest.mark.parametrize("name", ["nested", "crisp"])
def test_learning_finds_what_queries_ask_for(noisy, name: str) -> None:
    documents, queries = noisy
    settings_ = {"n_epochs": 30, "learning_rate": 1e-2}
    taught = make(name, **settings_).fit(
        documents, queries[:100], np.repeat(np.arange(100), 2).reshape(-1, 2)
    )
    plain = make(name).fit(documents)

    def rank(model: Any) -> float:
        asked = model.encode_queries(queries[100:]) if name == "crisp" else queries[100:]
        index = vl.index.MultiVector(encoding=None).fit(model.encode_documents(documents))
        hits = index.search(asked, k=10)
        return float((hits.ids == np.arange(100, 150)[:, None]).any(axis=1).mean())

    assert rank(taught) > rank(plain) + 0.05
    assert taught.held_out_losses_.min() < taught.held_out_losses_[0]
    assert len(taught.losses_) == 30


@pytest.mark.parametrize("name", ["nested", "crisp"])
def test_what_helps_no_held_out_query_is_not_kept(name: str) -> None:
    rng = np.random.default_rng(2)
    documents, queries = unit(rng.standard_normal((40, 6, DIM))), ragged(3, 40, least=2)
    model = make(name, n_epochs=3, learning_rate=0.5).fit(documents, queries)
    assert model.held_out_losses_[1:].min() > model.held_out_losses_[0]
    np.testing.assert_array_equal(model.map_, np.eye(DIM))


def test_nothing_to_learn_from_leaves_the_order_as_it_is() -> None:
    items = ragged(4, 10)
    nested = vl.index.NestedMultiVector([1, 4]).fit(items)
    values, offsets = nested.encode_documents(items)
    expected, limits = vl.index.nest_tokens(items, most=4)
    np.testing.assert_allclose(values, expected, atol=1e-6)
    np.testing.assert_array_equal(offsets, limits)


def test_centroids_are_those_of_k_means() -> None:
    rng = np.random.default_rng(6)
    rows = rng.standard_normal((60, 4)).astype(np.float32)
    groups = (np.arange(60) % 5).astype(np.int64)

    def within(groups: Any) -> float:
        return float(((rows - means_of(rows, groups, 5)[groups]) ** 2).sum())

    better = refined(rows, groups, 5)
    assert within(better) < within(groups)
    assert set(better) == set(range(5))


def test_a_projection_starts_at_the_leading_directions() -> None:
    rng = np.random.default_rng(7)
    items = unit(rng.standard_normal((30, 6, DIM)) * np.array([3.0] * 4 + [0.1] * (DIM - 4)))
    crisp = vl.index.CRISP(2, n_components=4).fit(items)
    assert crisp.map_.shape == (4, DIM)
    values, offsets = crisp.encode_documents(items)
    assert values.shape == (60, 4)
    assert offsets[-1] == 60
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.abs(crisp.map_[:, 4:]).max(), 0.0, atol=0.1)


@pytest.mark.parametrize("name", ["nested", "crisp"])
def test_the_same_seed_gives_the_same_bits(noisy, name: str) -> None:
    documents, queries = noisy
    a, b = (make(name, n_epochs=2).fit(documents, queries) for _ in range(2))
    np.testing.assert_array_equal(a.map_, b.map_)


# ---- files and bad input ----


@pytest.mark.parametrize("name", ["nested", "crisp"])
def test_what_was_learned_is_read_again(noisy, name: str, tmp_path: Path) -> None:
    documents, queries = noisy
    model = make(name, n_epochs=2).fit(documents, queries)
    path = tmp_path / "model.vl"
    model.save(path)
    opened = vl.open(path)
    assert type(opened) is type(model)
    assert repr(opened).replace("(", "[") == repr(model).replace("(", "[") or name == "nested"
    np.testing.assert_array_equal(
        opened.encode_documents(documents)[0], model.encode_documents(documents)[0]
    )
    np.testing.assert_array_equal(opened.held_out_losses_, model.held_out_losses_)
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(FormatError):
            vl.open(path)


@pytest.mark.parametrize("name", ["nested", "crisp"])
def test_bad_input_is_refused(name: str) -> None:
    items = ragged(8, 12)
    with pytest.raises(NotFittedError):
        make(name).encode_documents(items)
    with pytest.raises(ShapeError, match="one a document"):
        make(name).fit(items, items[:5])
    with pytest.raises(ShapeError, match="pairs"):
        make(name).fit(items, items[:5], [0, 1, 2])
    with pytest.raises(ParameterError, match="below 5"):
        make(name).fit(items, items[:5], [[5, 0], [0, 1]])
    with pytest.raises(ParameterError, match="two documents"):
        make(name).fit(items, items[:5], [[0, 3], [1, 3]])
    with pytest.raises(ParameterError, match="queries"):
        make(name).fit(items, None, [[0, 0]])
    with pytest.raises(ParameterError, match="zero"):
        make(name).fit([np.zeros((2, DIM)), items[0]])
    with pytest.raises(ParameterError, match="NaN"):
        make(name).fit([np.full((2, DIM), np.nan), items[0]])
    with pytest.raises(ShapeError, match="dimensions"):
        make(name).fit(items).encode_documents([np.ones((2, DIM + 1))])
    for bad in ({"n_epochs": -1}, {"batch_size": 1}, {"temperature": 0}, {"learning_rate": np.nan}):
        with pytest.raises(ParameterError):
            make(name, **bad).fit(items)


@pytest.mark.parametrize("n", [[], [0, 1], [2, 1], [1, 1], "12", 4, [1.5]])
def test_budgets_must_ascend(n: Any) -> None:
    with pytest.raises(ParameterError):
        vl.index.NestedMultiVector(n).fit(ragged(9, 4))


def test_projections_fit_into_the_dimensions() -> None:
    with pytest.raises(ParameterError, match="n_components"):
        vl.index.CRISP(2, n_components=DIM + 1).fit(ragged(9, 4))
