# SPDX-License-Identifier: Apache-2.0
"""CSR: exactly k units, gradients, a planted dictionary, truncation beaten at equal budget."""

from __future__ import annotations

import numpy as np
import pytest
from tests.gradients import assert_gradients
from tests.laws import assert_at_least, assert_at_most

import vectorloom as vl
from vectorloom.compress.contrastive import neighbour_targets
from vectorloom.compress.sparse.csr import autoencoder_loss, starting_params
from vectorloom.compress.sparse.topk import keep_top_k, top_k


def planted(n: int = 1500, dim: int = 24, units: int = 48, seed: int = 0) -> np.ndarray:
    """Return sums of 3 of 48 directions: what a sparse code should find."""
    rng = np.random.default_rng(seed)
    atoms = np.random.default_rng(99).standard_normal((units, dim))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    X = np.zeros((n, dim))
    for _ in range(3):
        X += rng.uniform(0.5, 1.5, (n, 1)) * atoms[rng.integers(0, units, n)]
    return X.astype(np.float32)


def test_ties_do_not_make_more_than_k():
    assert top_k(np.ones((2, 5)), 3).shape == (2, 3)
    assert (keep_top_k(np.ones((2, 5)), 3) > 0).sum(axis=1).tolist() == [3, 3]


def test_negative_activations_are_not_kept():
    assert keep_top_k(np.array([[-1.0, -2.0, 0.5]]), 2).tolist() == [[0.0, 0.0, 0.5]]


@pytest.mark.parametrize("with_dead", [False, True])
def test_gradient_is_the_numerical_one(with_dead: bool):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((6, 4))
    start = starting_params(X.astype(np.float32), 8, rng)
    params = {name: array.astype(np.float64) for name, array in start.items()}
    dead = np.zeros(8, dtype=bool)
    targets = neighbour_targets(X, 0.5)
    args = (params, X, 2, dead, (targets, 0.3, 0.5))
    loss, squared, active, grads = autoencoder_loss(*args)
    assert_gradients(lambda: autoencoder_loss(*args)[0], params, grads)
    if with_dead:
        # The auxiliary term moves dead units only; the others keep their gradient.
        dead[3] = True
        more, _, _, moved = autoencoder_loss(*args)
        assert more > loss
        others = np.arange(8) != 3
        assert np.array_equal(moved["D"][others], grads["D"][others])
        assert active.shape == (8,)
        assert squared > 0


def test_the_loss_by_its_definition():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((5, 3))
    start = starting_params(X.astype(np.float32), 12, rng)
    params = {name: array.astype(np.float64) for name, array in start.items()}
    a = (X - params["b"]) @ params["E"].T + params["e"]
    variance = np.square(X - X.mean(axis=0)).sum()
    expected = 0.0
    for k, weight in ((2, 1.0), (8, 1 / 8)):
        z = np.zeros_like(a)
        for i, row in enumerate(a):
            best = np.argsort(-row)[:k]
            z[i, best] = np.maximum(row[best], 0)
        expected += weight * np.square(z @ params["D"] + params["b"] - X).sum() / variance
    loss, *_ = autoencoder_loss(params, X, 2, np.zeros(12, dtype=bool), (None, 0.0, 1.0))
    assert loss == pytest.approx(expected)


def test_a_code_has_at_most_k_positive_units_and_says_its_bytes():
    X = planted(300)
    csr = vl.compress.CSR(96, 5, n_epochs=2).fit(X)
    codes = csr.transform(X)
    assert np.diff(codes.indptr).max() <= 5
    assert (codes.data > 0).all()
    assert csr.bytes_per_vector_ == 5 * (codes.indices.itemsize + codes.data.itemsize)


def test_more_units_never_decode_worse():
    X = planted()
    errors = []
    for k in (1, 2, 4, 8):
        csr = vl.compress.CSR(96, k, n_epochs=2, contrastive_weight=0).fit(X)
        errors.append(np.square(csr.inverse_transform(csr.transform(X)) - X).mean())
    assert (np.diff(errors) < 0).all()


def test_a_planted_dictionary_is_found():
    X = planted()
    csr = vl.compress.CSR(96, 4, n_epochs=8, contrastive_weight=0).fit(X)
    error = np.square(csr.inverse_transform(csr.transform(X)) - X).mean() / X.var(axis=0).mean()
    assert_at_most(error, 0.2, "share of the variance that four units leave out")
    # Four principal components of 24 nearly equal ones would leave out about 0.8.


def test_a_few_hundred_rows_are_learned_from_as_well():
    X = planted(300)
    csr = vl.compress.CSR(96, 4, n_epochs=6, contrastive_weight=0).fit(X)
    # Six passes alone, 48 batches, leave out 0.26.
    assert_at_most(csr.reconstruction_[-1], 0.2, "share of the variance left out, 300 rows")


def test_units_beat_leading_dimensions_and_components_at_equal_budget():
    X, queries = planted(), planted(100, seed=1)
    truth = np.argsort(-queries @ X.T, axis=1)[:, :10]

    def recall(scores: np.ndarray) -> float:
        found = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        return float(np.mean([np.isin(f, t).mean() for f, t in zip(found, truth, strict=True)]))

    csr = vl.compress.CSR(96, 4, n_epochs=4).fit(X)
    pca = vl.compress.PCA(4).fit(X)
    sparse = recall(csr.scores(queries, csr.transform(X)))
    assert_at_least(sparse, recall(queries[:, :4] @ X[:, :4].T) + 0.2, "recall, over truncation")
    assert_at_least(sparse, recall(pca.scores(queries, pca.transform(X))) + 0.1, "over PCA")


def test_sparse_scores_are_those_of_the_decoded_rows():
    X = planted(200)
    csr = vl.compress.CSR(48, 6, n_epochs=3).fit(X)
    codes = csr.transform(X)
    expected = X[:5] @ csr.inverse_transform(codes).T
    assert np.abs(csr.scores(X[:5], codes) - expected).max() < 1e-4
    dense = codes.toarray()
    unit = dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)
    assert np.abs(csr.symmetric_scores(codes[:5], codes) - unit[:5] @ unit.T).max() < 1e-5


def test_labels_pull_codes_of_one_label_together():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 600)
    X = rng.standard_normal((600, 12)).astype(np.float32)
    X[:, 0] += 2 * y
    same = y[:, None] == y

    def contrast(labels: np.ndarray | None) -> float:
        csr = vl.compress.CSR(48, 6, n_epochs=5, contrastive_weight=2.0, temperature=0.2)
        scores = csr.fit(X, labels).symmetric_scores(csr.transform(X), csr.transform(X))
        return float(scores[same].mean() - scores[~same].mean())

    assert_at_least(contrast(y), contrast(None) + 0.02, "difference of similarity by label")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_hidden": 4, "k": 5}, "at most n_hidden=4"),
        ({"k": 0}, "at least 1"),
        ({"temperature": -1.0}, "above 0"),
        ({"contrastive_weight": float("nan")}, "contrastive_weight"),
    ],
)
def test_bad_parameters_are_refused(params: dict, message: str):
    with pytest.raises(vl.ParameterError, match=message):
        vl.compress.CSR(**params).fit(planted(50))


def test_codes_that_are_not_its_own_are_refused():
    csr = vl.compress.CSR(48, 4, n_epochs=1).fit(planted(100))
    other = vl.compress.CSR(40, 4, n_epochs=1).fit(planted(100))
    with pytest.raises(vl.ShapeError, match="48 columns"):
        csr.inverse_transform(other.transform(planted(10)))
    with pytest.raises(vl.ShapeError, match="sparse matrix"):
        csr.inverse_transform(np.zeros((3, 48), np.float32))
