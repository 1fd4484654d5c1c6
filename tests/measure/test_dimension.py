# SPDX-License-Identifier: Apache-2.0
"""Intrinsic dimension: by hand, on manifolds of known dimension, and beside scikit-dimension."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.select.neighbours import nearest_others

dimension = vl.measure.intrinsic_dimension
METHODS = ["mle", "mom", "mada", "lpca", "twonn", "knn"]


def ball(rng, dim: int, n: int = 1500, wide: int = 12) -> np.ndarray:
    """Evenly in a ball of `dim` dimensions, turned into a wider space."""
    x = rng.standard_normal((n, dim))
    x *= rng.random((n, 1)) ** (1 / dim) / np.linalg.norm(x, axis=1, keepdims=True)
    return x @ np.linalg.qr(rng.standard_normal((wide, dim)))[0].T


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dim", [2, 5])
def test_a_ball_has_its_dimension_in_any_wider_space(method, dim, rng) -> None:
    found = dimension(ball(rng, dim), method)
    assert found.value == pytest.approx(dim, rel=0.2), str(found)


@pytest.mark.parametrize("method", METHODS)
def test_a_curved_sheet_has_two_dimensions(method, rng) -> None:
    t, h = 1 + 2 * rng.random(3000), rng.random(3000) * 10
    roll = np.column_stack([t * 5 * np.cos(3 * t), h, t * 5 * np.sin(3 * t)])
    assert dimension(roll, method, k=20 if method == "lpca" else None).value == pytest.approx(
        2, abs=0.35
    )


def test_distances_give_the_values_of_the_formulas_by_hand() -> None:
    # From 0 the others lie at 1, 2, 4, 8.
    x = [[0.0], [1.0], [-2.0], [4.0], [8.0]]
    at = {m: float(dimension(x, m, k=4, exact=True).local[0]) for m in ("mle", "mom", "mada")}
    assert at["mle"] == pytest.approx(3 / np.log(8 * 4 * 2))
    assert at["mom"] == pytest.approx(3.75 / (8 - 3.75))
    assert at["mada"] == pytest.approx(np.log(2) / np.log(8 / 2))


@pytest.mark.parametrize("method", ["mle", "mada", "mom", "twonn"])
def test_it_does_not_change_with_scale_or_rotation(method, rng) -> None:
    x = ball(rng, 4, n=400)
    q = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    assert dimension(100 * x @ q, method).value == pytest.approx(
        dimension(x, method).value, rel=1e-3
    )


def test_cosine_measures_directions(rng) -> None:
    x = ball(rng, 3, n=1500) + np.r_[np.full(12, 3.0)]
    found = dimension(x * rng.uniform(0.5, 2, (1500, 1)), metric="cosine")
    assert found.value == pytest.approx(3, rel=0.2)


def test_a_sample_estimates_what_all_rows_say(rng) -> None:
    x = ball(rng, 5, n=2000)
    part, whole = dimension(x, sample=500), dimension(x, exact=True)
    assert (len(part.rows), len(whole.rows)) == (500, 2000)
    assert part.low <= whole.value <= part.high
    np.testing.assert_array_equal(part.local, whole.local[part.rows])
    assert dimension(x, sample=500, n_jobs=1).value == dimension(x, sample=500, n_jobs=2).value


def test_local_dimension_tells_a_line_from_a_ball(rng) -> None:
    line = np.column_stack([rng.random(700), np.zeros((700, 5))]) + 10
    found = dimension(np.concatenate([ball(rng, 6, n=700, wide=6), line]), exact=True)
    assert np.median(found.local[:700]) > 4
    assert np.median(found.local[700:]) < 1.5


# ---- parity ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def skdim():
    return pytest.importorskip("skdim.id")


def test_twonn_mle_mada_and_mom_equal_those_of_scikit_dimension(skdim, rng) -> None:
    x = ball(rng, 4, n=300).astype(np.float32).astype(np.float64)
    twonn = skdim.TwoNN().fit(x).dimension_
    assert dimension(x, "twonn").value == pytest.approx(twonn, rel=1e-6)
    for name, method, options in (("MLE", "mle", {"comb": "mle"}), ("MADA", "mada", {})):
        theirs = getattr(skdim, name)().fit(x, n_neighbors=20, **options)
        ours = dimension(x, method, k=20)
        np.testing.assert_allclose(ours.local, theirs.dimension_pw_, rtol=1e-6)
        assert ours.value == pytest.approx(theirs.dimension_, rel=1e-6), method
    theirs = skdim.MOM().fit(x, n_neighbors=20).dimension_pw_
    np.testing.assert_allclose(dimension(x, "mom", k=20).local, theirs, rtol=1e-6)


def test_lpca_equals_that_of_scikit_dimension_on_the_same_neighbourhoods(skdim, rng) -> None:
    x = (ball(rng, 4, n=300) + 0.02 * rng.standard_normal((300, 12))).astype(np.float32)
    near = nearest_others(x, np.arange(300), 30)[0]
    theirs = [skdim.lPCA(ver="FO").fit(x[rows].astype(float)).dimension_ for rows in near[:60]]
    assert dimension(x, "lpca", k=30).local[:60].tolist() == theirs


def test_on_its_benchmark_manifolds_we_say_what_scikit_dimension_says(skdim) -> None:
    pytest.importorskip("pandas")  # its table of manifolds
    datasets = pytest.importorskip("skdim.datasets")
    made = datasets.BenchmarkManifolds(random_state=0).generate(n=300)
    assert len(made) > 15
    for name, points in made.items():
        x = points.astype(np.float32)
        wide = x.astype(np.float64)
        assert dimension(x, "twonn").value == pytest.approx(
            skdim.TwoNN().fit(wide).dimension_, rel=1e-4
        ), name
        theirs = skdim.MLE().fit(wide, n_neighbors=20, comb="mle")
        assert dimension(x, "mle", k=20).value == pytest.approx(theirs.dimension_, rel=1e-4), name


# ---- bad input ---------------------------------------------------------------------------------


def test_copies_are_left_out_and_counted(rng) -> None:
    x = ball(rng, 3, n=500)
    found = dimension(np.concatenate([x, x]), "mle", exact=True)
    assert found.n_copies == 1000
    assert found.value == pytest.approx(3, rel=0.3)
    assert "1000 have copies" in str(found)


@pytest.mark.parametrize("method", METHODS)
def test_rows_that_are_all_equal_have_no_dimension(method) -> None:
    with pytest.raises(ParameterError, match="copies"):
        dimension(np.ones((50, 4)), method, k=5)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"method": "pca"}, ParameterError, "'mle'"),
        ({"metric": "ip"}, ParameterError, "'l2', 'cosine'"),
        ({"k": 1}, ParameterError, "at least 2"),
        ({"sample": 1}, ParameterError, "at least 2"),
    ],
)
def test_options_that_do_not_exist_are_refused(options, error, said, rng) -> None:
    with pytest.raises(error, match=said):
        dimension(ball(rng, 2, n=30), **options)


def test_three_rows_are_too_few() -> None:
    with pytest.raises(ShapeError, match="at least 4"):
        dimension(np.eye(3))
