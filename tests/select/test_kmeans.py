# SPDX-License-Identifier: Apache-2.0
"""Laws of k-means: labels are nearest, inertia falls, same seed same bits everywhere, files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans as Reference
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import vectorloom as vl
from vectorloom import _core
from vectorloom.errors import FormatError, NotFittedError, ParameterError, ShapeError
from vectorloom.select import KMeans

Array = np.ndarray[Any, Any]

# As scikit-learn's own KMeans: the draw of the first centroids depends on the order of the rows.
XFAIL = {
    "check_sample_weight_equivalence_on_dense_data": "seeding draws from rows in their order",
}
CHECKS = parametrize_with_checks([KMeans()], expected_failed_checks=lambda _: XFAIL)
N_CHECKS = 58


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@CHECKS  # type: ignore[untyped-decorator]
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def test_no_check_of_scikit_learn_is_lost() -> None:
    assert len(list(CHECKS.args[1])) == N_CHECKS


def squared_distances(X: Array, centers: Array) -> Array:
    """The definition, in float64."""
    difference = X[:, None].astype(np.float64) - centers[None].astype(np.float64)
    return np.asarray((difference**2).sum(axis=2))


def blobs(n: int, dim: int, k: int, spread: float = 1.0, seed: int = 3) -> Array:
    X, _ = make_blobs(n, dim, centers=k, cluster_std=spread, random_state=seed)
    return np.asarray(X, np.float32)


def lloyd(X: Array, centers: Array, max_iter: int) -> tuple[Array, Array]:
    """A plain Lloyd in float64; centers are rounded to float32 as the core keeps them."""
    for _ in range(max_iter):
        labels = squared_distances(X, centers).argmin(axis=1)
        rows = X.astype(np.float64)
        means = [rows[labels == j].mean(axis=0) for j in range(len(centers))]
        centers = np.stack(means).astype(np.float32)
    return centers, squared_distances(X, centers).argmin(axis=1)


def test_four_points_worked_by_hand() -> None:
    """{0, 1, 9, 11} from (0, 1): {0} {1, 9, 11} -> {0, 1} {9, 11} -> means 0.5 and 10."""
    km = KMeans(2, init=[[0.0], [1.0]], tol=0, relaxation=1).fit([[0.0], [1.0], [9.0], [11.0]])
    np.testing.assert_array_equal(km.labels_, [0, 0, 1, 1])
    np.testing.assert_array_equal(km.cluster_centers_, [[0.5], [10.0]])
    assert km.inertia_ == 0.25 + 0.25 + 1 + 1
    assert km.n_iter_ == 2


def test_a_row_between_two_centroids_goes_to_the_lower_number() -> None:
    centers = np.array([[3, 0], [0, 1], [1, 0], [5, 5], [6, 6], [0, 1]], np.float32)
    labels, squared = _core.assign(np.zeros((40, 2), np.float32), centers)
    assert set(labels.tolist()) == {1}
    assert set(squared.tolist()) == {1.0}


@pytest.mark.parametrize(("n", "dim", "k"), [(900, 2, 7), (700, 5, 40), (500, 70, 35)])
def test_iterations_are_those_of_a_plain_lloyd(n: int, dim: int, k: int) -> None:
    X = blobs(n, dim, 3, spread=9.0)
    start = X[:: n // k][:k].copy()
    centers, labels, *_ = _core.kmeans(X, k, start, 4, relaxation=1.0)
    expected_centers, expected_labels = lloyd(X, start, 4)
    np.testing.assert_array_equal(labels, expected_labels)
    np.testing.assert_allclose(centers, expected_centers, rtol=1e-6, atol=1e-6)


SHAPES = [
    (3000, 1, 9),
    (2500, 3, 300),
    (4000, 8, 64),
    (2000, 16, 50),
    (1500, 33, 90),
    (1000, 200, 40),
]


@pytest.mark.parametrize(("n", "dim", "k"), SHAPES)
def test_labels_are_nearest_and_inertia_is_true_and_never_rises(
    n: int, dim: int, k: int, rng: np.random.Generator
) -> None:
    X = rng.standard_normal((n, dim)).astype(np.float32) + 50
    centers, labels, inertia, _, n_used, history = _core.kmeans(X, k)
    truth = squared_distances(X, centers)
    np.testing.assert_array_equal(labels, truth.argmin(axis=1))
    np.testing.assert_allclose(inertia, truth.min(axis=1).sum(), rtol=1e-12)
    assert n_used == k
    assert np.all(np.diff(history) <= 1e-9 * history[0])
    assert inertia <= history[-1]
    start = X[:k].astype(np.float64)
    np.testing.assert_allclose(
        _core.kmeans(X, k, X[:k].copy(), 1)[5], [squared_distances(X, start).min(axis=1).sum()]
    )


def test_steps_past_the_mean_end_lower_than_as_many_steps_to_it() -> None:
    X = np.random.default_rng(5).standard_normal((6000, 6)).astype(np.float32)
    to, past = (_core.kmeans(X, 100, "random", 15, relaxation=r)[2] for r in (1.0, 1.9))
    assert past < 0.998 * to


@pytest.mark.parametrize(("n", "dim", "k"), SHAPES)
def test_assign_gives_the_exact_nearest(n: int, dim: int, k: int, rng: np.random.Generator) -> None:
    X = rng.standard_normal((n, dim)).astype(np.float32)
    centers = X[rng.choice(n, k, replace=False)]
    labels, squared = _core.assign(X, centers)
    truth = squared_distances(X, centers)
    np.testing.assert_array_equal(labels, truth.argmin(axis=1))
    np.testing.assert_allclose(squared, truth.min(axis=1), rtol=1e-6)


@pytest.fixture
def levels() -> Iterator[list[str]]:
    active = _core.simd_level()
    yield list(_core.simd_levels())
    _core.set_simd_level(active)


@pytest.mark.parametrize("dim", [2, 8, 40, 130])
def test_the_same_bits_at_any_thread_count_and_cpu_level(dim: int, levels: list[str]) -> None:
    X = blobs(2100, dim, 20, spread=4.0)
    expected = _core.kmeans(X, 70, "k-means++", 8, 0.0, 5, n_jobs=1)
    runs = [_core.kmeans(X, 70, "k-means++", 8, 0.0, 5, n_jobs=n) for n in (2, 3)]
    for level in levels:
        _core.set_simd_level(level)
        runs.append(_core.kmeans(X, 70, "k-means++", 8, 0.0, 5, n_jobs=2))
    for run in runs:
        np.testing.assert_array_equal(run[0], expected[0])
        np.testing.assert_array_equal(run[1], expected[1])
        assert run[2:] == expected[2:]


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_inertia_is_within_one_percent_of_scikit_learn(init: str) -> None:
    digits = load_digits().data.astype(np.float32)
    # From random rows the best of a few runs on blobs is a matter of luck, for both.
    sets = [(digits, 30)] + [(blobs(2000, 5, 12), 12)] * (init == "k-means++")
    for X, k in sets:
        ours = KMeans(k, init=init, n_init=3, max_iter=60, tol=0).fit(X).inertia_
        theirs = Reference(k, init=init, n_init=3, max_iter=60, random_state=0).fit(X).inertia_
        assert ours <= 1.01 * theirs


def test_many_clusters_are_seeded_far_apart_in_batches() -> None:
    X = blobs(30_000, 6, 400, spread=0.01)
    random = KMeans(400, init="random", max_iter=1, tol=0).fit(X)
    careful = KMeans(400, max_iter=1, tol=0).fit(X)
    assert careful.inertia_ < 0.2 * random.inertia_


@pytest.mark.parametrize(("balanced", "ratio"), [(True, 1.1), (1.0, 1.0), (1.5, 1.5)])
def test_balanced_sizes_obey_the_bound(balanced: bool | float, ratio: float) -> None:
    X = np.concatenate([blobs(900, 4, 1, 0.1), blobs(300, 4, 5, 3.0, seed=9)])
    for sample in (None, 40):
        km = KMeans(15, balanced=balanced, max_points_per_centroid=sample).fit(X)
        sizes = np.bincount(km.labels_, minlength=15)
        assert sizes.max() <= np.ceil(ratio * len(X) / 15)
        own = squared_distances(X, km.cluster_centers_)[np.arange(len(X)), km.labels_]
        np.testing.assert_allclose(km.inertia_, own.sum(), rtol=1e-9)


def test_equal_rows_are_balanced_too() -> None:
    km = KMeans(4, balanced=1.0).fit(np.ones((40, 3)))
    np.testing.assert_array_equal(np.bincount(km.labels_), [10] * 4)


def test_cosine_clusters_directions_not_lengths(rng: np.random.Generator) -> None:
    directions = np.eye(6, dtype=np.float32)[rng.integers(0, 6, 600)]
    X = (directions + 0.01 * rng.standard_normal((600, 6))) * rng.uniform(0.1, 100, (600, 1))
    km = KMeans(6, metric="cosine", n_init=5).fit(X)
    np.testing.assert_allclose(np.linalg.norm(km.cluster_centers_, axis=1), 1, atol=1e-6)
    pairs = zip(km.labels_.tolist(), directions.argmax(axis=1).tolist(), strict=True)
    assert len(set(pairs)) == 6
    np.testing.assert_array_equal(km.predict(X * 7), km.labels_)


def test_weights_count_as_repetitions() -> None:
    X = blobs(300, 3, 4, spread=3.0)
    weights = np.arange(300) % 3
    start = X[1:60:12]
    weighted = KMeans(5, init=start, tol=0).fit(X, sample_weight=weights)
    repeated = KMeans(5, init=start, tol=0).fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_, atol=1e-5)
    np.testing.assert_allclose(weighted.inertia_, repeated.inertia_, rtol=1e-6)
    score = weighted.score(X, sample_weight=weights)
    np.testing.assert_allclose(score, -weighted.inertia_, rtol=1e-5)


def test_an_empty_cluster_takes_the_farthest_row() -> None:
    X = np.array([[0.0], [1.0], [2.0], [10.0]], np.float32)
    km = KMeans(2, init=[[1.0], [1000.0]], tol=0).fit(X)
    np.testing.assert_array_equal(km.labels_, [0, 0, 0, 1])


def test_fewer_distinct_rows_than_clusters_warns_and_keeps_the_distinct_ones() -> None:
    X = np.repeat(np.arange(3, dtype=np.float32)[:, None], 20, axis=0)
    with pytest.warns(ConvergenceWarning, match="only 3 of 5"):
        km = KMeans(5).fit(X)
    assert km.inertia_ == 0
    assert len(set(km.labels_.tolist())) == 3


@pytest.mark.parametrize("dim", [6, 20])
@pytest.mark.parametrize("exponent", [-60, -16, 16, 60])
def test_the_scale_of_the_data_does_not_matter(dim: int, exponent: int) -> None:
    X = blobs(800, dim, 9, spread=2.0)
    factor = np.float32(2.0**exponent)
    plain = _core.kmeans(X, 30)
    scaled = _core.kmeans(X * factor, 30)
    np.testing.assert_array_equal(plain[1], scaled[1])
    np.testing.assert_allclose(scaled[0] / factor, plain[0], rtol=1e-6)


@pytest.mark.parametrize("dim", [6, 20])
def test_one_huge_row_leaves_the_others_right(dim: int) -> None:
    X = blobs(600, dim, 9, spread=2.0)
    X[17] = 1e30
    centers, labels, *_ = _core.kmeans(X, 25)
    np.testing.assert_array_equal(labels, squared_distances(X, centers).argmin(axis=1))


def test_a_sample_trains_and_all_rows_get_labels() -> None:
    X = blobs(20_000, 6, 8)
    km = KMeans(8, max_points_per_centroid=100, n_init=3).fit(X)
    whole = KMeans(8, n_init=3).fit(X)
    assert km.labels_.shape == (20_000,)
    np.testing.assert_array_equal(km.labels_, km.predict(X))
    assert km.inertia_ <= 1.02 * whole.inertia_


def test_transform_gives_distances() -> None:
    X = blobs(200, 4, 3)
    km = KMeans(3).fit(X)
    expected = np.sqrt(squared_distances(X, km.cluster_centers_))
    np.testing.assert_allclose(km.transform(X), expected, rtol=1e-5, atol=1e-5)
    assert km.get_feature_names_out().tolist() == ["kmeans0", "kmeans1", "kmeans2"]


def test_a_saved_model_opens_as_it_was(tmp_path: Path) -> None:
    X = blobs(300, 4, 3)
    for model in (KMeans(3), KMeans(3, init=X[:3], balanced=1.2, metric="cosine")):
        model.fit(X).save(tmp_path / "model.vl")
        opened = vl.open(tmp_path / "model.vl")
        np.testing.assert_array_equal(opened.predict(X), model.predict(X))
        np.testing.assert_array_equal(opened.labels_, model.labels_)
        assert opened.inertia_ == model.inertia_
        assert repr(opened) == repr(model)
        clone(opened).fit(X)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.vl"
    KMeans(3).fit(blobs(300, 4, 3)).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FormatError):
        vl.open(path)


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"n_clusters": 0}, "n_clusters"),
        ({"n_clusters": 65_537}, "cluster first into parts"),
        ({"n_clusters": 50}, "n_samples=20 should be >= n_clusters=50"),
        ({"init": "best"}, "k-means\\+\\+"),
        ({"metric": "ip"}, "metric"),
        ({"max_iter": 0}, "max_iter"),
        ({"n_init": 0}, "n_init"),
        ({"tol": -1.0}, "tol"),
        ({"relaxation": 2.0}, "relaxation"),
        ({"balanced": 0.9}, "balanced"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"max_points_per_centroid": 0}, "max_points_per_centroid"),
    ],
)
def test_bad_parameters_are_refused_with_their_name(params: dict[str, Any], word: str) -> None:
    with pytest.raises(ParameterError, match=word):
        KMeans(**params).fit(blobs(20, 3, 2))


def test_bad_data_is_refused() -> None:
    X = blobs(20, 3, 2)
    bad = X.copy()
    bad[4, 1] = np.nan
    with pytest.raises(ParameterError, match="NaN"):
        KMeans(2).fit(bad)
    with pytest.raises(ShapeError):
        KMeans(2).fit(np.empty((0, 3)))
    with pytest.raises(ShapeError, match="init"):
        KMeans(2, init=X[:3]).fit(X)
    with pytest.raises(ParameterError, match="sample_weight"):
        KMeans(2).fit(X, sample_weight=-np.ones(20))
    with pytest.raises(ShapeError, match="sample_weight"):
        KMeans(2).fit(X, sample_weight=np.ones(19))
    with pytest.raises(NotFittedError):
        KMeans(2).predict(X)
    with pytest.raises(ParameterError, match="random_state"):
        KMeans(2, random_state=np.random.RandomState(0)).fit(X).save("never.vl")
