# SPDX-License-Identifier: Apache-2.0
"""HeatGeodesic: a rolled sheet is unrolled, distances along it keep their order."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.datasets import make_swiss_roll
from tests.laws import assert_at_least

import vectorloom as vl
from vectorloom.compress import HeatGeodesic
from vectorloom.compress.reduce import heat_geodesic


def pairwise(Z):
    return np.linalg.norm(Z[:, None] - Z[None], axis=2)[np.triu_indices(len(Z), 1)]


@pytest.fixture(scope="module")
def roll():
    X, turn = make_swiss_roll(500, random_state=0)
    length = 0.5 * (turn * np.sqrt(1 + turn**2) + np.arcsinh(turn))  # arc of the spiral r = t
    return X.astype(np.float32), np.stack([length, X[:, 1]], 1)


def test_distances_along_the_swiss_roll_keep_their_order(roll):
    X, sheet = roll
    rank = spearmanr(
        pairwise(HeatGeodesic(2, n_neighbors=6).fit(X).embedding_), pairwise(sheet)
    ).statistic
    straight = spearmanr(pairwise(X), pairwise(sheet)).statistic
    assert_at_least(rank, 0.93, "rank correlation with geodesics")
    assert_at_least(rank - straight, 0.3, "gain over straight lines")


def test_two_nodes_by_hand():
    """L = [[1/2, -1/2], [-1/2, 1/2]] with its own weights: H = (1 ± exp(-t)) / 2."""
    values = np.array([0.0, 1.0])
    vectors = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    t = 0.7
    heat = (1 - np.exp(-t)) / 2
    d = heat_geodesic._geodesics(values, vectors, t, 0.0)
    assert d[0, 1] ** 2 == pytest.approx(-4 * t * np.log(heat), rel=1e-9)
    own = (1 + np.exp(-t)) / 2
    d = heat_geodesic._geodesics(values, vectors, t, 1.0)
    # The diagonal is the smallest entry and is moved to zero with everything else.
    least = min(-4 * t * np.log(own) - 4 * t * np.log(1 / own), 0)
    want = -4 * t * np.log(heat) - 4 * t * np.log(1 / own) - least
    assert d[0, 1] ** 2 == pytest.approx(want, rel=1e-9)


def test_unseen_rows_land_between_their_neighbours(roll):
    X, _ = roll
    model = HeatGeodesic(2, max_iter=20).fit(X)
    np.testing.assert_allclose(model.transform(X), model.embedding_, atol=1e-3)
    z = model.transform(X[:20] + 1e-4)
    np.testing.assert_allclose(z, model.embedding_[:20], atol=0.5)


def test_parts_without_a_path_are_kept_apart():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.random((40, 3)), rng.random((40, 3)) + 100]).astype(np.float32)
    z = HeatGeodesic(2, n_neighbors=5).fit(X).embedding_
    assert np.linalg.norm(z[:40].mean(0) - z[40:].mean(0)) > z[:40].std()


@pytest.mark.parametrize(
    "params",
    [{"t": -1}, {"t": "soon"}, {"volume_weight": 2}, {"n_neighbors": 0}, {"n_components": 0}],
)
def test_parameters_that_make_no_sense_are_refused(params):
    with pytest.raises(vl.ParameterError):
        HeatGeodesic(**params).fit(np.random.default_rng(0).random((30, 4), np.float32))


def test_too_many_rows_are_refused_with_the_remedy():
    with pytest.raises(vl.CapacityError, match="sample"):
        HeatGeodesic().fit(np.zeros((8193, 2), np.float32))
