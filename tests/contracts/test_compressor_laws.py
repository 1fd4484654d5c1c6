# SPDX-License-Identifier: Apache-2.0
"""Laws that every compressor obeys; a new one joins by a line in tests/compress_registry.py."""

from __future__ import annotations

import importlib
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks
from tests.compress_registry import CASES, Case, fitted, sample
from tests.laws import assert_at_most

import vectorloom as vl

ids = [case.name for case in CASES]
each = pytest.mark.parametrize("case", CASES, ids=ids)

CHECKED = [case for case in CASES if case.small is not None]

# scikit-learn's checks that speak of what a compressor does; the others ask for regressors,
# classifiers, data frames' column names or results for one sample that no calibration can have.
APPLICABLE = (
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimators_overwrite_params",
    "check_dict_unchanged",
    "check_estimators_fit_returns_self",
    "check_readonly_memmap_input",
    "check_estimators_unfitted",
    "check_fit2d_1feature",
    "check_estimators_nan_inf",
    "check_n_features_in",
    "check_n_features_in_after_fitting",
    "check_fit1d",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_estimators_dtypes",
    "check_complex_data",
)


def same(a: object, b: object) -> bool:
    """Compare dense, packed or sparse output bit for bit."""
    if hasattr(a, "tocsr"):
        return (a.tocsr() != b.tocsr()).nnz == 0
    return np.array_equal(np.asarray(a), np.asarray(b))


def test_every_public_compressor_is_under_the_laws():
    covered = {type(case.make()).__name__ for case in CASES}
    room = importlib.import_module("vectorloom.compress")
    public = {
        name
        for name in room.__all__
        if isinstance(getattr(room, name), type)
        and issubclass(getattr(room, name), room.Compressor)
    }
    assert public - covered - {"Compressor"} == set()


@each
def test_transform_has_the_promised_type_and_size(case: Case):
    X = sample(case)
    compressor = fitted(case, X)
    codes = compressor.transform(X)
    assert codes.shape[0] == len(X)
    if compressor.output == "codes":
        assert isinstance(codes, vl.compress.Codes)
        assert codes.dtype == np.uint8
        assert codes.shape[1] == compressor.bytes_per_vector_
    elif compressor.output == "dense":
        assert codes.dtype == np.float32
        assert 4 * codes.shape[1] == compressor.bytes_per_vector_
    else:
        assert hasattr(codes, "tocsr")


@each
def test_decoding_gives_vectors_of_the_space_within_the_stated_loss(case: Case):
    if not case.decodes:
        pytest.skip("has no decoder, by nature")
    X = sample(case)
    compressor = fitted(case, X)
    decoded = compressor.inverse_transform(compressor.transform(X))
    assert decoded.shape == X.shape
    assert decoded.dtype == np.float32
    loss = float(((X - decoded) ** 2).mean() / X.var(axis=0).mean())
    assert_at_most(loss, case.loss, "relative squared error")


@each
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_scores_have_one_row_a_query_and_favour_the_row_itself(case: Case, metric: str):
    X = sample(case)
    compressor = fitted(case, X)
    scores = compressor.scores(X[:5], compressor.transform(X), metric)
    assert scores.shape == (5, len(X))
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    own = scores[np.arange(5), np.arange(5)]
    assert (own > np.median(scores, axis=1)).all()


@each
def test_a_row_codes_the_same_alone_and_among_others(case: Case):
    X = sample(case)
    compressor = fitted(case, X)
    some = [3, 77, 200]
    assert same(compressor.transform(X)[some], compressor.transform(X[some]))


@each
def test_the_same_input_gives_the_same_bits(case: Case):
    X = sample(case)
    first, second = fitted(case, X), fitted(case, X)
    assert same(first.transform(X), second.transform(X))
    assert first.fingerprint_ == second.fingerprint_


@each
def test_the_number_of_threads_changes_nothing(case: Case):
    X = sample(case)
    one = case.make()
    if "n_jobs" not in one.get_params():
        pytest.skip("has no n_jobs")

    def fit(jobs: int) -> object:
        again = Case(**{**vars(case), "make": lambda: case.make().set_params(n_jobs=jobs)})
        return fitted(again, X)

    assert same(fit(1).transform(X), fit(3).transform(X))


@each
def test_a_saved_compressor_comes_back_whole(case: Case, tmp_path):
    X = sample(case)
    compressor = fitted(case, X)
    codes = compressor.transform(X)
    compressor.save(tmp_path / "c.vloom")
    opened = vl.open(tmp_path / "c.vloom")
    assert type(opened) is type(compressor)
    assert same(opened.transform(X), codes)
    assert opened.fingerprint_ == compressor.fingerprint_
    assert np.array_equal(opened.scores(X[:3], codes), compressor.scores(X[:3], codes))


@each
def test_codes_of_another_calibration_are_refused(case: Case):
    X = sample(case)
    compressor = fitted(case, X)
    if compressor.output != "codes":
        pytest.skip("no packed codes")
    other = fitted(case, sample(case, seed=5) * 3)
    if other.fingerprint_ == compressor.fingerprint_:
        return  # nothing is learned, so all fits mean the same
    with pytest.raises(vl.ParameterError, match="another calibration"):
        other.inverse_transform(compressor.transform(X))


@each
def test_a_refit_with_bad_input_leaves_the_old_calibration(case: Case):
    X = sample(case)
    compressor = fitted(case, X)
    codes = compressor.transform(X)
    bad = X.copy()
    bad[7, 2] = np.nan
    with pytest.raises(vl.ParameterError, match="NaN"):
        compressor.fit(bad)
    assert same(compressor.transform(X), codes)


@each
def test_vectors_of_another_dimension_are_refused(case: Case):
    X = sample(case)
    with pytest.raises(vl.ShapeError):
        fitted(case, X).transform(X[:, :-1])


@each
def test_a_clone_is_unfitted_and_alike(case: Case):
    copy = clone(case.make())
    assert repr(copy) == repr(case.make())
    with pytest.raises(vl.NotFittedError):
        copy.transform(sample(case))


@each
def test_float64_is_narrowed_with_a_notice(case: Case):
    X = sample(case)
    wide = fitted_quietly(case, X.astype(np.float64))
    assert same(wide.transform(X), fitted(case, X).transform(X))


def fitted_quietly(case: Case, X: np.ndarray) -> object:
    with pytest.warns(UserWarning, match="float64"):
        return fitted(case, X)


@each
def test_constant_and_duplicate_dimensions_are_no_trouble(case: Case):
    X = sample(case)
    X[:, 1] = 0.5
    X[:, 2] = X[:, 3]
    compressor = fitted(case, X)
    scores = compressor.scores(X[:4], compressor.transform(X))
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", APPLICABLE)
@pytest.mark.parametrize("case", CHECKED, ids=[case.name for case in CHECKED])
def test_scikit_learn_check(case: Case, name: str):
    assert case.small is not None
    estimator = case.small()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(estimator_checks, name)(type(estimator).__name__, estimator)


def test_every_class_runs_the_checks_or_says_why_not():
    checked = {type(case.make()) for case in CHECKED}
    excused = {type(case.make()) for case in CASES if case.why_not}
    assert {type(case.make()) for case in CASES} == checked | excused


def test_twenty_checks_of_scikit_learn_are_run():
    assert len(APPLICABLE) == 20
    assert all(hasattr(estimator_checks, name) for name in APPLICABLE)
