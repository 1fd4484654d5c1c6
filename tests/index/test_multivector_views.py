# SPDX-License-Identifier: Apache-2.0
"""Views of a document: what they are, how they are learned, whether they have collapsed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import vectorloom as vl
from vectorloom.errors import FormatError, NotFittedError, ParameterError, ShapeError
from vectorloom.index.multivector.multi_view import local_contrast

DIM = 12


def unit(X: NDArray[Any]) -> NDArray[np.float32]:
    return (X / np.linalg.norm(X, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def two_topics() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Documents that say two things, and for each a query about the second."""
    rng = np.random.default_rng(0)
    topics = unit(rng.standard_normal((120, 2, DIM)))
    said = np.repeat(topics, [6, 2], axis=1)
    return unit(said + 0.05 * rng.standard_normal(said.shape)), unit(
        topics[:, 1] + 0.1 * rng.standard_normal((120, DIM))
    )


def first_place(model: Any, documents: Any, queries: Any) -> float:
    index = vl.index.MultiVector(encoding=None).fit(model.encode_documents(documents))
    hits = index.search(model.encode_queries(queries), k=1)
    return float((hits.ids[:, 0] == np.arange(len(queries))).mean())


def test_views_of_a_case_worked_by_hand() -> None:
    item = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    plain = vl.index.MultiView(2, shrink=0.0).fit([item, item])
    np.testing.assert_allclose(plain.encode_documents([item])[0], [[1, 0], [0, 1]], atol=1e-6)
    half = vl.index.MultiView(2, shrink=0.5).fit([item, item])
    mean = np.array([2.0, 1.0]) / np.sqrt(5)
    expected = unit(np.eye(2) + mean)
    np.testing.assert_allclose(half.encode_documents([item])[0], expected, atol=1e-6)


def test_the_best_view_finds_what_the_mean_hides(two_topics) -> None:
    documents, queries = two_topics
    one = first_place(vl.index.MultiView(1).fit(documents), documents, queries)
    two = first_place(vl.index.MultiView(2, shrink=0.0).fit(documents), documents, queries)
    assert two > 0.95
    assert two > one + 0.1


def test_learning_finds_what_queries_ask_for() -> None:
    rng = np.random.default_rng(1)
    topics = rng.standard_normal((150, 2, DIM))
    topics[:, :, DIM // 2 :] = 0
    noise = np.concatenate([np.full(DIM // 2, 0.1), np.full(DIM // 2, 1.0)])
    documents = unit(np.repeat(topics, 4, axis=1) + noise * rng.standard_normal((150, 1, DIM)))
    queries = unit(topics[:, 0] + noise * rng.standard_normal((150, DIM)))
    own = np.repeat(np.arange(100)[:, None], 2, axis=1)
    taught = vl.index.MultiView(2, n_epochs=30, learning_rate=1e-2, local_weight=0.1)
    taught.fit(documents, queries[:100], own)
    plain = vl.index.MultiView(2).fit(documents)

    def found(model: Any) -> float:
        index = vl.index.MultiVector(encoding=None).fit(model.encode_documents(documents))
        hits = index.search(model.encode_queries(queries[100:]), k=10)
        return float((hits.ids == np.arange(100, 150)[:, None]).any(axis=1).mean())

    assert found(taught) > found(plain) + 0.05
    assert taught.held_out_losses_.min() < taught.held_out_losses_[0]


def test_the_local_loss_of_a_case_worked_by_hand() -> None:
    values = np.array([[1.0, 0.0]])
    views = np.array([[[1.0, 0.0], [0.6, 0.8], [9.0, 0.0]]])  # the third is no view
    loss, gradient = local_contrast(values, views, np.array([2]), 0.5)
    share = 1 / (1 + np.exp(-0.8))
    np.testing.assert_allclose(loss, -np.log(share))
    expected = [[[2 * (share - 1), 0.0], [2 * (1 - share), 0.0], [0.0, 0.0]]]
    np.testing.assert_allclose(gradient, expected)


def test_gradients_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(2)
    values, views = unit(rng.standard_normal((4, 5))), unit(rng.standard_normal((4, 3, 5)))
    values, views = values.astype(np.float64), views.astype(np.float64)
    counts = np.array([3, 3, 2, 1])
    _, gradient = local_contrast(values, views, counts, 0.4)
    for at in np.ndindex(views.shape):
        sides = []
        for sign in (1, -1):
            moved = views.copy()
            moved[at] += sign * 1e-6
            sides.append(local_contrast(values, moved, counts, 0.4)[0])
        np.testing.assert_allclose(gradient[at], (sides[0] - sides[1]) / 2e-6, atol=1e-7)


def test_what_was_learned_is_read_again(two_topics, tmp_path: Path) -> None:
    documents, queries = two_topics
    model = vl.index.MultiView(3, n_epochs=2).fit(documents, queries)
    model.save(tmp_path / "views.vl")
    opened = vl.open(tmp_path / "views.vl")
    assert opened.get_params() == model.get_params()
    np.testing.assert_array_equal(
        opened.encode_documents(documents)[0], model.encode_documents(documents)[0]
    )
    whole = (tmp_path / "views.vl").read_bytes()
    (tmp_path / "views.vl").write_bytes(whole[:-5])
    with pytest.raises(FormatError):
        vl.open(tmp_path / "views.vl")


def test_bad_input_is_refused(two_topics) -> None:
    documents, queries = two_topics
    with pytest.raises(NotFittedError):
        vl.index.MultiView().encode_queries(queries)
    for bad in ({"shrink": 1.0}, {"shrink": -0.1}, {"n_views": 0}, {"local_weight": np.inf}):
        with pytest.raises(ParameterError):
            vl.index.MultiView(**bad).fit(documents)
    with pytest.raises(ShapeError, match="one a document"):
        vl.index.MultiView().fit(documents, queries[:3])
    with pytest.raises(ShapeError):
        vl.index.MultiView().fit(documents, documents)  # queries of several vectors


# ---- collapse ----


def test_collapse_is_one_for_copies_and_none_for_strangers() -> None:
    rng = np.random.default_rng(3)
    copies = vl.index.view_collapse(np.repeat(rng.standard_normal((40, 1, DIM)), 4, axis=1))
    assert float(copies) == pytest.approx(1, abs=1e-6)
    assert copies.effective == pytest.approx(1, abs=1e-4)
    strangers = vl.index.view_collapse(rng.standard_normal((4000, 2, DIM)))
    assert float(strangers) == pytest.approx(0, abs=0.02)
    assert strangers.most == 2


def test_collapse_of_a_case_worked_by_hand() -> None:
    views = [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]]
    asked = [[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]]
    found = vl.index.view_collapse(views, asked, [[0, 0], [1, 0], [2, 1], [2, 0]])
    assert found.within == pytest.approx(0.5)
    assert found.between == pytest.approx(0.5, abs=0.02)  # 1 of half of the pairs
    np.testing.assert_allclose(found.effective_of, [2.0, 1.0])
    wins = np.array([0.75, 0.25])
    assert found.used == pytest.approx(np.exp(-(wins * np.log(wins)).sum()))
    assert found.gain == pytest.approx((0.5 + 0.5 + 0.0 + 0.1) / 4)
    assert "worth 1.50" in str(found)
    assert "gain" in str(found)
    assert set(found.to_dict()) >= {"collapse", "effective"}


def test_collapse_does_not_depend_on_lengths_or_order() -> None:
    rng = np.random.default_rng(4)
    items = [rng.standard_normal((m, DIM)) for m in (1, 3, 2, 5)]
    a = vl.index.view_collapse(items)
    b = vl.index.view_collapse([3.0 * item[::-1] for item in items])
    assert a.within == pytest.approx(b.within, abs=1e-6)
    np.testing.assert_allclose(a.effective_of, b.effective_of, rtol=1e-5)
    assert a.effective_of[0] == 1


def test_what_has_no_views_is_refused() -> None:
    with pytest.raises(ShapeError, match="two items"):
        vl.index.view_collapse(np.ones((3, 1, 4)))
    with pytest.raises(ParameterError, match="zero"):
        vl.index.view_collapse(np.zeros((3, 2, 4)))
    views = np.random.default_rng(5).standard_normal((3, 2, 4))
    with pytest.raises(ShapeError, match="pairs"):
        vl.index.view_collapse(views, np.ones((2, 4)))
    with pytest.raises(ParameterError, match="below"):
        vl.index.view_collapse(views, np.ones((2, 4)), [[0, 3]])
    with pytest.raises(ShapeError, match="pairs"):
        vl.index.view_collapse(views, np.ones((2, 4)), [0, 3])
