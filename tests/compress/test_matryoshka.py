# SPDX-License-Identifier: Apache-2.0
"""Nested vectors."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress import Matryoshka, Truncate
from vectorloom.compress.contrastive import neighbour_targets
from vectorloom.compress.reduce import matryoshka

FAST = {"n_steps": 25, "batch_size": 64, "n_neighbors": 3}


def mixed(n: int = 800, dim: int = 24, seed: int = 0) -> np.ndarray:
    """Return clustered vectors whose strong directions are spread over all coordinates."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((40, dim))
    X = (centres[rng.integers(0, 40, n)] + 0.5 * rng.standard_normal((n, dim))) * 0.85 ** np.arange(
        dim
    )
    return (X @ np.linalg.qr(rng.standard_normal((dim, dim)))[0]).astype(np.float32)


@pytest.mark.parametrize("with_queries", [False, True])
def test_the_gradient_agrees_with_differences(with_queries):
    rng = np.random.default_rng(1)
    rows, W = rng.standard_normal((9, 5)), rng.standard_normal((4, 5))
    asked = rng.standard_normal((6, 5)) if with_queries else None
    targets = neighbour_targets(rows, 0.5) if asked is None else neighbour_targets(asked, 0.5, rows)
    lengths = np.array([4, 2])

    def loss(V: np.ndarray) -> float:
        return matryoshka.prefix_loss(V, rows, asked, targets, lengths, 0.5)[0]

    _, gradient = matryoshka.prefix_loss(W, rows, asked, targets, lengths, 0.5)
    for place in ((0, 0), (1, 3), (3, 4)):
        step = np.zeros_like(W)
        step[place] = 1e-6
        rise = (loss(W + step) - loss(W - step)) / 2e-6
        assert gradient[place] == pytest.approx(rise, rel=1e-4)


def test_prefixes_find_what_plain_prefixes_miss():
    X = mixed()
    curve = Matryoshka(lengths=(6, 12, 24), **FAST).fit(X[100:]).quality_curve(X[100:], X[:100])
    assert curve.lengths == (6, 12, 24)
    assert_at_least(curve.recall[0], curve.truncated[0] + 0.2, "recall of 6 dimensions")
    assert_at_least(curve.recall[1], curve.truncated[1] + 0.1, "recall of 12 dimensions")


def test_short_prefixes_gain_over_principal_components_and_the_loss_falls():
    X = mixed()
    fast = {**FAST, "n_steps": 80, "learning_rate": 3e-3, "temperature": 0.1}
    nested = Matryoshka(lengths=(6, 24), **fast).fit(X[100:])
    curve = nested.quality_curve(X[100:], X[:100])
    assert_at_least(curve.recall[0], curve.pca[0] + 0.01, "recall of 6 dimensions")
    history = nested.loss_history_
    assert_at_most(history[-5:].mean(), history[:5].mean() - 0.02, "loss after training")


def test_without_steps_it_is_the_principal_directions_and_nothing_is_lost():
    X = mixed()
    nested = Matryoshka(n_steps=0).fit(X)
    assert np.allclose(nested.components_ @ nested.components_.T, np.eye(24), atol=1e-5)
    assert np.allclose(nested.inverse_transform(nested.transform(X)), X, atol=1e-4)
    curve = nested.quality_curve(X, X[:50])
    assert np.allclose(curve.recall, curve.pca)
    assert curve.recall[-1] >= 0.99


def test_a_rotation_keeps_the_full_length_exactly():
    X = mixed()
    nested = Matryoshka(rotation=True, lengths=(6,), learning_rate=3e-3, n_steps=25).fit(X)
    assert np.allclose(nested.components_ @ nested.components_.T, np.eye(24), atol=1e-5)
    plain = X[:5] @ X.T
    assert np.allclose(nested.scores(X[:5], nested.transform(X)), plain, atol=1e-3)


def test_labels_draw_their_rows_together():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 8, 600)
    X = np.hstack([rng.standard_normal((8, 6))[labels], 2 * rng.standard_normal((600, 10))])
    X = (X @ np.linalg.qr(rng.standard_normal((16, 16)))[0]).astype(np.float32)
    fast = {"n_steps": 80, "learning_rate": 1e-2, "temperature": 0.2, "lengths": (4,)}

    def purity(y: np.ndarray | None) -> float:
        nested = Matryoshka(**fast).fit(X[200:], y)
        Z = Truncate(4).fit_transform(nested.transform(X))
        found = matryoshka.nearest(Z[:200], Z[200:], 10)
        return float((labels[200:][found] == labels[:200, None]).mean())

    assert_at_least(purity(labels[200:]), purity(None) + 0.2, "neighbours of the same label")


def test_queries_are_the_rows_whose_neighbours_count():
    X = mixed()
    rng = np.random.default_rng(4)
    Q = (rng.standard_normal((300, 6)) @ np.eye(24)[rng.choice(24, 6)]).astype(np.float32)
    told = Matryoshka(lengths=(6,), n_steps=60, learning_rate=1e-2).fit(X, queries=Q[100:])
    untold = Matryoshka(lengths=(6,), n_steps=60, learning_rate=1e-2).fit(X)
    gain = told.quality_curve(X, Q[:100]).recall[0] - untold.quality_curve(X, Q[:100]).recall[0]
    assert_at_least(gain, 0.05, "recall gained by sample queries")


def test_lengths_halve_down_to_eight():
    assert Matryoshka(n_steps=0).fit(mixed(dim=70)).lengths_.tolist() == [70, 35, 17, 8]
    assert Matryoshka(5, n_steps=0).fit(mixed()).lengths_.tolist() == [5]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components"),
        ({"n_components": 25}, "at most the dimension 24"),
        ({"n_components": 8, "lengths": (4, 9)}, "up to n_components = 8"),
        ({"lengths": ()}, "one or more"),
        ({"lengths": (0, 4)}, "lengths"),
        ({"lengths": "thirds"}, "'halves'"),
        ({"temperature": 0.0}, "temperature"),
        ({"n_steps": -1}, "n_steps"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(vl.ParameterError, match=message):
        Matryoshka(**parameters).fit(mixed(50))


def test_a_curve_beyond_the_components_and_labels_of_another_size_are_refused():
    X = mixed(60)
    with pytest.raises(vl.ParameterError, match="n_components = 8"):
        Matryoshka(8, n_steps=0).fit(X).quality_curve(X, X[:5], lengths=(4, 9))
    with pytest.raises(vl.ShapeError, match="one label a row"):
        Matryoshka(8, n_steps=0).fit(X, y=np.zeros(7))
