# SPDX-License-Identifier: Apache-2.0
"""IsoScore passes its paper's designed tests, and the measures it was compared with do not."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError

measure = vl.measure


def by_the_steps_of_the_paper(x: np.ndarray) -> float:
    """IsoScore as its algorithm is printed, step by step."""
    n = x.shape[1]
    variances = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    normed = np.sqrt(n) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(normed - 1) / np.sqrt(2 * (n - np.sqrt(n)))
    phi = (n - defect**2 * (n - np.sqrt(n))) ** 2 / n**2
    return (n * phi - 1) / (n - 1)


def gaussian(rng, variances, n=20_000, mean=0.0) -> np.ndarray:
    return mean + rng.standard_normal((n, len(variances))) * np.sqrt(variances)


@pytest.mark.parametrize("dim", [2, 7, 40])
def test_isoscore_equals_the_algorithm_as_printed(dim, rng) -> None:
    x = gaussian(rng, rng.random(dim) * 5, n=500, mean=3.0)
    assert measure.isoscore(x) == pytest.approx(by_the_steps_of_the_paper(x), abs=1e-6)


def test_isoscore_equals_the_authors_program(rng) -> None:
    pytest.importorskip("torch")
    theirs = pytest.importorskip("IsoScore.IsoScore")
    x = gaussian(rng, rng.random(20) * 5, n=300)
    assert measure.isoscore(x) == pytest.approx(float(theirs.IsoScore(x)), abs=1e-6)


# ---- the paper's six properties ----------------------------------------------------------------


def test_it_does_not_change_with_the_mean_while_average_cosine_and_partition_do(rng) -> None:
    x = gaussian(rng, np.ones(5), n=5000)
    near, far = measure.isotropy(x), measure.isotropy(x + 3.0)
    assert near.isoscore == pytest.approx(far.isoscore, abs=1e-5)
    assert near.isoscore > 0.99
    assert near.average_cosine == pytest.approx(0.0, abs=0.01)
    assert far.average_cosine > 0.8
    assert far.partition_ratio < 1e-4 < near.partition_ratio


def test_it_does_not_change_with_scale(rng) -> None:
    x = gaussian(rng, [1, 2, 3, 4], n=2000)
    assert measure.isoscore(7 * x) == pytest.approx(measure.isoscore(x), abs=1e-6)
    assert measure.partition_ratio(0.01 * x) > 0.99 > measure.partition_ratio(x)


def test_it_does_not_change_under_rotation(rng) -> None:
    x = gaussian(rng, [1, 2, 3, 40], n=2000)
    q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    assert measure.isoscore(x @ q) == pytest.approx(measure.isoscore(x), abs=1e-6)


def test_it_falls_when_one_variance_grows_while_average_cosine_stays_zero(rng) -> None:
    scores = [measure.isoscore(gaussian(rng, [1, 1, v])) for v in (1, 5, 20, 75)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.99
    assert scores[-1] < 0.1
    assert measure.average_cosine(gaussian(rng, [1, 1, 75])) == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("used", range(1, 10))
def test_k_of_nine_dimensions_give_k_minus_one_over_eight(used, rng) -> None:
    x = gaussian(rng, [1.0] * used + [0.0] * (9 - used))
    assert measure.isoscore(x) == pytest.approx((used - 1) / 8, abs=5e-3)


def test_it_is_stable_over_global_structure_two_balls_are_not_even(rng) -> None:
    ball = gaussian(rng, np.ones(3), n=4000)
    apart = np.concatenate([ball, ball + np.array([50, 0, 0])])
    assert measure.isoscore(apart) < 0.02


# ---- the others by hand ------------------------------------------------------------------------


def test_average_cosine_is_the_mean_over_all_pairs(rng) -> None:
    x = rng.standard_normal((40, 6)) + 0.5
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    want = (u @ u.T)[~np.eye(40, dtype=bool)].mean()
    assert measure.average_cosine(x) == pytest.approx(want, abs=1e-6)


def test_the_partition_ratio_follows_its_formula(rng) -> None:
    x = rng.standard_normal((50, 3)) + 0.3
    c = np.linalg.eigh(x.T @ x)[1]
    z = np.exp(np.concatenate([x @ c, -x @ c], axis=1)).sum(axis=0)
    assert measure.partition_ratio(x) == pytest.approx(z.min() / z.max(), rel=1e-5)
    assert 0 < measure.partition_ratio(500 * x) < 1e-30  # no overflow


def test_the_effective_rank_counts_equal_directions(rng) -> None:
    corners = np.array([[1, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0.0]])
    assert measure.effective_rank(corners) == pytest.approx(2.0)


def test_the_interval_covers_the_score_of_the_distribution(rng) -> None:
    variances = np.array([1, 2, 4, 8.0])
    want = (variances.sum() ** 2 / (variances**2).sum() - 1) / 3
    inside = 0
    for _ in range(40):
        found = measure.isotropy(gaussian(rng, variances, n=1000))
        inside += found.isoscore_low <= want <= found.isoscore_high
    assert inside >= 34


def test_a_sample_says_nearly_what_all_rows_say(rng) -> None:
    x = gaussian(rng, np.arange(1, 9), n=30_000)
    part, whole = measure.isotropy(x, sample=5000), measure.isotropy(x, sample=5000, exact=True)
    assert (part.n_sampled, whole.n_sampled) == (5000, 30_000)
    assert part.isoscore_low <= whole.isoscore <= part.isoscore_high
    assert measure.isoscore(x, sample=5000) == part.isoscore
    assert "dimensions in use" in str(part)


def test_the_same_bits_at_any_number_of_threads(rng) -> None:
    x = gaussian(rng, np.arange(1, 9), n=3000)
    one, two = (measure.isotropy(x, n_jobs=n).to_dict(arrays=True) for n in (1, 2))
    assert one == two


@pytest.mark.parametrize(
    ("x", "error", "said"),
    [
        (np.ones((5, 3)), ParameterError, "all rows of X are equal"),
        (np.ones((5, 1)), ShapeError, "two columns"),
        ([[1.0, np.nan]], ParameterError, "NaN"),
        ([1.0, 2.0], ShapeError, "2-d"),
    ],
)
def test_what_has_no_isotropy_is_refused(x, error, said) -> None:
    with pytest.raises(error, match=said):
        measure.isoscore(x)


def test_zero_rows_and_single_rows_have_no_average_cosine() -> None:
    with pytest.raises(ParameterError, match="1 zero rows, first 1"):
        measure.average_cosine([[1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ShapeError, match="two rows"):
        measure.average_cosine([[1.0, 0.0]])
    with pytest.raises(ShapeError, match="two rows"):
        measure.isotropy([[1.0, 0.0]])
