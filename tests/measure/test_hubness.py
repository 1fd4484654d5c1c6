# SPDX-License-Identifier: Apache-2.0
"""Hubs are found where they are planted, and every reduction takes them away by its own formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import norm

import vectorloom as vl
from laws import assert_at_most
from vectorloom.errors import NotFittedError, ParameterError, ShapeError

measure = vl.measure
REDUCTIONS = [
    measure.LocalScaling(),
    measure.LocalScaling(kind="nicdm"),
    measure.CSLS(),
    measure.MutualProximity(),
]
names = [str(reduction) for reduction in REDUCTIONS]


@pytest.fixture
def hubby(rng) -> np.ndarray:
    """Gaussian rows of many dimensions, away from 0: hubs under l2 and cosine."""
    return (rng.standard_normal((1500, 80)) + 0.3).astype(np.float32)


def after(reduction, x: np.ndarray, k: int = 10) -> float:
    near = reduction.fit(x).kneighbors(k=k)[0]
    return measure.hubness_of(measure.k_occurrence(near, len(x)), k).skewness


# ---- measures ----------------------------------------------------------------------------------


def test_measures_of_one_hub_by_hand() -> None:
    # 1 is the nearest of 0 and 2, and 2 that of 1 (a tie with 0 would go to 0).
    found = measure.hubness([[0.0], [2.0], [3.0]], k=1, metric="l2")
    assert found.occurrences.tolist() == [0, 2, 1]
    assert (found.antihub_share, found.largest, found.hub_share) == (1 / 3, 2, 0.0)
    assert found.robin_hood == pytest.approx(1 / 3)
    assert found.gini == pytest.approx(2 * (2 * 1 + 3 * 2) / (3 * 3) - 4 / 3)


def test_everyone_is_a_neighbour_as_often_on_a_circle() -> None:
    angle = 2 * np.pi * np.arange(200) / 200
    found = measure.hubness(np.column_stack([np.cos(angle), np.sin(angle)]), k=2, metric="l2")
    assert found.antihub_share == found.hub_share == found.robin_hood == 0.0
    assert found.gini == pytest.approx(0.0, abs=1e-12)


def test_hubs_grow_with_dimension(rng) -> None:
    found = [
        measure.hubness(rng.standard_normal((1000, dim)), metric="l2").skewness
        for dim in (3, 20, 100)
    ]
    assert found == sorted(found)


def test_queries_are_counted_in_the_rows(rng) -> None:
    x = np.eye(5)
    found = measure.hubness(x, k=1, queries=x[[0, 0, 3]])
    assert found.occurrences.tolist() == [2, 0, 0, 1, 0]


def test_a_sample_is_measured_among_itself(hubby) -> None:
    found = measure.hubness(hubby, sample=300)
    want = measure.hubness(hubby[found.rows], exact=True)
    np.testing.assert_array_equal(found.occurrences, want.occurrences)
    assert found.low < found.skewness < found.high
    assert "among 300 rows" in str(found)


# ---- reductions --------------------------------------------------------------------------------


def brute(kind: str, x: np.ndarray, k: int) -> np.ndarray:
    """All rescaled distances by the printed formulas."""
    d = np.linalg.norm(x[:, None] - x[None], axis=2)
    others = np.sort(d + np.where(np.eye(len(x)), np.inf, 0), axis=1)
    if kind == "ls":
        r = others[:, k - 1]
        return 1 - np.exp(-(d**2) / (r[:, None] * r[None]))
    if kind == "nicdm":
        m = others[:, :k].mean(axis=1)
        return d / np.sqrt(m[:, None] * m[None])
    if kind == "csls":
        s = -(d**2) / 2
        r = -(others[:, :k] ** 2).mean(axis=1) / 2
        return r[:, None] + r[None] - 2 * s
    square = d**2
    rest = [np.delete(square[i], i) for i in range(len(x))]
    mean, std = np.array([r.mean() for r in rest]), np.array([r.std() for r in rest])
    far = norm.sf((square - mean[:, None]) / std[:, None])
    return 1 - far * norm.sf((square - mean[None]) / std[None])


@pytest.mark.parametrize("kind", ["ls", "nicdm", "csls", "mp"])
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_distances_follow_the_formulas_over_all_pairs(kind, metric, rng) -> None:
    x = rng.standard_normal((60, 8)) + 0.5
    options = {"metric": metric, "candidates": None}
    made = {
        "ls": measure.LocalScaling(5, **options),
        "nicdm": measure.LocalScaling(5, kind="nicdm", **options),
        "csls": measure.CSLS(5, **options),
        "mp": measure.MutualProximity(**options),
    }[kind]
    near, distances = made.fit(x).kneighbors(k=59)
    u = x / np.linalg.norm(x, axis=1, keepdims=True) if metric == "cosine" else x
    want = brute(kind, u, 5)
    got = np.take_along_axis(want, near, 1)
    np.testing.assert_allclose(distances, got, rtol=2e-4, atol=2e-5)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert (np.sort(near, axis=1) == [np.delete(np.arange(60), i) for i in range(60)]).all()


def test_csls_is_the_published_score_of_cosines(rng) -> None:
    x = rng.standard_normal((80, 6))
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    cos = u @ u.T - 2 * np.eye(80)
    r = np.sort(cos, axis=1)[:, -10:].mean(axis=1)
    score = 2 * cos - r[:, None] - r[None]
    want = np.argmax(score, axis=1)
    assert (measure.CSLS(candidates=None).fit(x).kneighbors(k=1)[0][:, 0] == want).all()


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=names)
def test_each_reduction_takes_a_third_of_hubness_or_more_away(reduction, hubby) -> None:
    plain = measure.hubness(hubby).skewness
    assert_at_most(after(reduction, hubby), plain * 2 / 3, f"hubness after {reduction}")


@pytest.mark.parametrize("reduction", [measure.Centring(), measure.FNorm()], ids=str)
def test_changed_vectors_have_fewer_hubs(reduction, hubby) -> None:
    before = measure.hubness(hubby, metric="ip").skewness
    changed = reduction.fit_transform(hubby)
    assert_at_most(
        measure.hubness(changed, metric="ip").skewness, before / 2, f"hubness after {reduction}"
    )


def test_queries_are_rescaled_as_rows_are_but_find_themselves(hubby) -> None:
    for reduction in REDUCTIONS:
        near, distances = reduction.fit(hubby).kneighbors(hubby[:20], k=3)
        assert near[:, 0].tolist() == list(range(20)), str(reduction)
        assert (np.diff(distances, axis=1) >= 0).all()


def test_fnorm_gives_each_dimension_the_quantiles_of_a_normal(rng) -> None:
    x = rng.exponential(size=(501, 3)).astype(np.float32)
    made = measure.FNorm().fit(x)
    order = np.argsort(x[:, 0])
    raw = made.transform(x)
    assert raw.shape == (501, 3)
    want = np.empty((501, 3))
    for j in range(3):
        want[np.argsort(x[:, j]), j] = ndtri((np.arange(501) + 0.5) / 501)
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    np.testing.assert_allclose(raw, want, atol=1e-5)
    assert (np.diff(order) != 0).all()


def test_centring_takes_the_mean_off(hubby) -> None:
    plain = measure.Centring(unit=False).fit_transform(hubby)
    np.testing.assert_allclose(plain.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(
        np.linalg.norm(measure.Centring().fit_transform(hubby), axis=1), 1, rtol=1e-5
    )


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=names)
def test_the_same_bits_at_any_number_of_threads(reduction, hubby) -> None:
    one, two = (
        type(reduction)(**(reduction.get_params() | {"n_jobs": jobs})).fit(hubby).kneighbors(k=5)
        for jobs in (1, 2)
    )
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


# ---- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=names)
def test_bad_input_is_refused(reduction) -> None:
    fresh = type(reduction)(**reduction.get_params())
    with pytest.raises(NotFittedError):
        fresh.kneighbors()
    with pytest.raises(ParameterError, match="two rows"):
        fresh.fit([[1.0, 2.0]])
    with pytest.raises(ParameterError, match="zero rows"):
        fresh.fit([[1.0, 2.0], [0.0, 0.0]])
    with pytest.raises(ShapeError, match="2 columns"):
        fresh.fit([[1.0, 2.0], [2.0, 0.0]]).kneighbors([[1.0]])
    with pytest.raises(ParameterError, match="'cosine', 'l2'"):
        type(reduction)(metric="ip").fit(np.eye(3))


def test_copies_do_not_make_distances_nan() -> None:
    x = np.repeat(np.eye(4, dtype=np.float32), 5, axis=0)
    for reduction in REDUCTIONS:
        near, distances = type(reduction)(**reduction.get_params()).fit(x).kneighbors(k=4)
        assert not np.isnan(distances).any(), str(reduction)
        assert (near // 5 == np.arange(20)[:, None] // 5).all(), str(reduction)


def test_hubness_needs_two_rows_and_a_known_metric() -> None:
    with pytest.raises(ShapeError, match="two rows"):
        measure.hubness([[1.0]])
    with pytest.raises(ParameterError, match="'cosine'"):
        measure.hubness(np.eye(3), metric="dot")
    with pytest.raises(ShapeError, match="queries"):
        measure.hubness(np.eye(3), queries=np.eye(2))
