# SPDX-License-Identifier: Apache-2.0
"""Two spaces compared: each measure by its printed formula, and blind to what it should not see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, spearmanr
from sklearn.cross_decomposition import CCA

import vectorloom as vl
from laws import assert_at_least, assert_at_most
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.measure.neighbourhoods import agreement_of

measure = vl.measure
SIMILAR = {
    "cka": lambda x, y: measure.cka(x, y),
    "cka biased": lambda x, y: measure.cka(x, y, unbiased=False),
    "svcca": lambda x, y: float(measure.svcca(x, y, variance=1.0)),
    "pwcca": lambda x, y: float(measure.pwcca(x, y)),
    "rsa": lambda x, y: measure.rsa(x, y, metric="l2"),
    "procrustes": lambda x, y: 1 - measure.procrustes(x, y),
    "overlap": lambda x, y: float(measure.neighbour_overlap(x, y, metric="l2")),
}


def turned(x: np.ndarray, rng) -> np.ndarray:
    """Rotated, scaled and moved."""
    return 3 * x @ np.linalg.qr(rng.standard_normal((x.shape[1],) * 2))[0] + 2


@pytest.fixture
def pair(rng) -> tuple[np.ndarray, np.ndarray]:
    """Two spaces that share 3 directions of 6 and 5."""
    shared = rng.standard_normal((400, 3))
    x = np.column_stack([shared, rng.standard_normal((400, 3))]) @ rng.standard_normal((6, 6))
    y = np.column_stack([shared, rng.standard_normal((400, 2))]) @ rng.standard_normal((5, 5))
    return x, y


# ---- laws of all -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIMILAR)
def test_a_space_is_the_same_as_itself_turned_scaled_and_moved(name, pair, rng) -> None:
    assert SIMILAR[name](pair[0], turned(pair[0], rng)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", SIMILAR)
def test_turning_one_space_changes_nothing(name, pair, rng) -> None:
    x, y = pair
    y = y + rng.standard_normal(y.shape)  # equal correlations have no directions of their own
    want = SIMILAR[name](x, y)
    assert SIMILAR[name](x, turned(y, rng)) == pytest.approx(want, abs=1e-6)
    if name != "pwcca":  # whose weights are of the columns of X
        assert SIMILAR[name](turned(x, rng), y) == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("name", SIMILAR)
def test_shuffled_items_share_little_and_related_spaces_are_between(name, pair, rng) -> None:
    x, y = pair
    apart = SIMILAR[name](x, y[rng.permutation(len(y))])
    assert_at_most(apart, 0.25, f"{name} of shuffled rows")
    assert apart < SIMILAR[name](x, y) < 1


@pytest.mark.parametrize("name", [name for name in SIMILAR if name != "pwcca"])
def test_order_does_not_matter(name, pair) -> None:
    x, y = pair
    assert SIMILAR[name](x, y) == pytest.approx(SIMILAR[name](y, x), abs=1e-9)


@pytest.mark.parametrize("name", SIMILAR)
def test_spaces_of_different_items_are_refused(name, pair) -> None:
    with pytest.raises(ShapeError, match="same items"):
        SIMILAR[name](pair[0], pair[1][:-1])
    with pytest.raises(ParameterError, match="NaN"):
        SIMILAR[name](pair[0], np.full((400, 2), np.nan))


@pytest.mark.parametrize("name", ["cka", "cka biased", "svcca", "pwcca", "rsa", "procrustes"])
def test_a_space_without_variation_is_refused(name, pair) -> None:
    with pytest.raises(ParameterError, match=r"equal"):
        SIMILAR[name](pair[0], np.ones((400, 3)))


# ---- CKA ---------------------------------------------------------------------------------------


def hsic_by_matrices(x: np.ndarray, y: np.ndarray) -> float:
    """HSIC_1 as it is printed, with n x n matrices."""
    n = len(x)
    k, m = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    one = np.ones(n)
    both = np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (both - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


def test_unbiased_cka_is_the_printed_formula_also_in_batches(pair) -> None:
    x, y = pair
    for size in (400, 50, 30):
        starts = range(0, 400 - size + 1, size)
        parts = [(x[s : s + size], y[s : s + size]) for s in starts]
        xy, xx, yy = (
            np.mean([hsic_by_matrices(*pick(p)) for p in parts])
            for pick in (lambda p: p, lambda p: (p[0], p[0]), lambda p: (p[1], p[1]))
        )
        got = measure.cka(x, y, batch_size=size)
        assert got == pytest.approx(xy / np.sqrt(xx * yy), rel=1e-9)


def test_biased_cka_is_the_printed_formula(pair) -> None:
    x, y = (a - a.mean(axis=0) for a in pair)
    k, m = x @ x.T, y @ y.T
    want = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    assert measure.cka(*pair, unbiased=False) == pytest.approx(want, rel=1e-9)


def test_the_biased_form_is_fooled_by_many_dimensions_and_the_unbiased_is_not(rng) -> None:
    x, y = rng.standard_normal((40, 500)), rng.standard_normal((40, 500))
    assert_at_least(measure.cka(x, y, unbiased=False), 0.85, "biased CKA of unrelated spaces")
    assert_at_most(abs(measure.cka(x, y)), 0.1, "unbiased CKA of unrelated spaces")


def test_batches_of_the_biased_form_and_too_few_rows_are_refused(pair) -> None:
    with pytest.raises(ParameterError, match="unbiased"):
        measure.cka(*pair, unbiased=False, batch_size=10)
    with pytest.raises(ParameterError, match="at least 4"):
        measure.cka(*pair, batch_size=3)
    with pytest.raises(ShapeError, match="at least 4"):
        measure.cka(np.eye(3), np.eye(3))


# ---- canonical correlations --------------------------------------------------------------------


def test_correlations_equal_those_of_scikit_learn(pair) -> None:
    x, y = pair
    a, b = CCA(n_components=3, scale=False, max_iter=5000, tol=1e-12).fit_transform(x, y)
    want = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(3)]
    found = measure.svcca(x, y, variance=1.0)
    np.testing.assert_allclose(found.correlations[:3], want, atol=1e-4)
    assert (found.kept_x, found.kept_y) == (6, 5)


def test_canonical_correlations_do_not_change_under_any_invertible_map(pair, rng) -> None:
    x, y = pair
    other = x @ rng.standard_normal((6, 6)) + 1
    want = measure.svcca(x, y, variance=1.0).correlations
    np.testing.assert_allclose(measure.svcca(other, y, variance=1.0).correlations, want, atol=1e-8)
    np.testing.assert_allclose(want[:3], 1.0, atol=1e-8)


def test_svcca_drops_weak_directions_first(rng) -> None:
    strong, noise = rng.standard_normal((1000, 2)), 0.01 * rng.standard_normal((2, 1000, 8))
    x, y = np.column_stack([strong, noise[0]]), np.column_stack([strong, noise[1]])
    found = measure.svcca(x, y)
    assert (found.kept_x, found.kept_y) == (2, 2)
    assert found.value == pytest.approx(1.0)
    assert measure.svcca(x, y, variance=1.0).value < 0.4
    assert_at_least(float(measure.pwcca(x, y)), 0.9, "PWCCA, which weighs them little")


def test_too_few_rows_for_the_directions_are_refused(rng) -> None:
    with pytest.raises(ShapeError, match="too few for 6 and 6"):
        measure.svcca(rng.standard_normal((12, 6)), rng.standard_normal((12, 6)), variance=1.0)
    with pytest.raises(ParameterError, match="variance"):
        measure.svcca(np.eye(3), np.eye(3), variance=0.0)


# ---- distances and shapes ----------------------------------------------------------------------


@pytest.mark.parametrize(("metric", "scipys"), [("l2", "euclidean"), ("cosine", "cosine")])
def test_rsa_correlates_the_distances_of_scipy(metric, scipys, pair) -> None:
    x, y = pair
    far = pdist(x, scipys), pdist(y, scipys)
    assert measure.rsa(x, y, metric=metric) == pytest.approx(spearmanr(*far)[0], abs=1e-9)
    got = measure.rsa(x, y, metric=metric, correlation="pearson")
    assert got == pytest.approx(pearsonr(*far)[0], abs=1e-9)


def test_rsa_of_a_sample_is_near_that_of_all(pair) -> None:
    assert measure.rsa(*pair, sample=200) == pytest.approx(measure.rsa(*pair, exact=True), abs=0.1)


def test_procrustes_equals_the_disparity_of_scipy(pair) -> None:
    x, y = pair[0][:, :5], pair[1]
    assert measure.procrustes(x, y) == pytest.approx(scipy_procrustes(x, y)[2], abs=1e-9)


# ---- neighbours --------------------------------------------------------------------------------


def test_rank_agreement_follows_its_formula_by_hand() -> None:
    shared, rank = agreement_of(np.array([[1, 2, 3], [1, 2, 3]]), np.array([[3, 2, 9], [7, 8, 9]]))
    assert shared.tolist() == [2, 0]
    # 3: ranks 3 and 1; 2: ranks 2 and 2.
    want = (2 / ((1 + 2) * 4) + 2 / ((1 + 0) * 4)) / (1 + 1 / 2)
    np.testing.assert_allclose(rank, [want, 0])


def test_overlap_is_that_of_the_true_neighbours(pair) -> None:
    x, y = pair
    lists = []
    for space in pair:
        far = np.linalg.norm(space[:, None] - space[None], axis=2)
        np.fill_diagonal(far, np.inf)
        lists.append(np.argsort(far, axis=1)[:, :7])
    want = [len(set(a) & set(b)) for a, b in zip(*lists, strict=True)]
    found = measure.neighbour_overlap(x, y, 7, metric="l2")
    np.testing.assert_allclose(found.per_item, np.array(want) / 7)
    assert found.jaccard == pytest.approx(np.mean([w / (14 - w) for w in want]))
    assert found.low < found.overlap < found.high


def test_unrelated_spaces_overlap_by_chance(rng) -> None:
    x, y = rng.standard_normal((1000, 5)), rng.standard_normal((1000, 5))
    found = measure.neighbour_overlap(x, y, 50)
    assert found.overlap == pytest.approx(found.chance, rel=0.1)
    assert found.chance == 50 / 999


def test_answers_to_queries_may_be_compared(pair) -> None:
    x, y = pair
    found = measure.neighbour_overlap(x, y, 5, queries=(x[:20], y[:20]), metric="l2")
    assert len(found.items) == 20
    assert (found.per_item >= 1 / 5).all()  # a row that asks finds itself in both
    with pytest.raises(ShapeError, match="columns"):
        measure.neighbour_overlap(x, y, queries=(y[:3], x[:3]))
    with pytest.raises(ShapeError, match="same in both"):
        measure.neighbour_overlap(x, y, queries=(x[:3], y[:4]))
