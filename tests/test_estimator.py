# SPDX-License-Identifier: Apache-2.0
"""The parameter contract: what scikit-learn's tools ask of an estimator, an index gives."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid
from sklearn.utils import estimator_checks

import vectorloom as vl
from vectorloom.estimator import Estimator, check_count, check_jobs

# Of scikit-learn's checks these ask only about parameters and cloning, and so apply to an index.
# The others ask for predict, transform or score, which an index does not have, or for
# scikit-learn's tags.
APPLICABLE = [
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_get_params_invariance",
    "check_set_params",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
]


def test_the_checks_that_apply_to_an_index_are_seven() -> None:
    assert len(APPLICABLE) == 7
    assert all(hasattr(estimator_checks, name) for name in APPLICABLE)


@pytest.mark.parametrize("name", APPLICABLE)
def test_scikit_learns_check_passes(name) -> None:
    getattr(estimator_checks, name)("Exact", vl.index.Exact())


def test_clone_keeps_parameters_and_drops_what_was_fitted() -> None:
    index = vl.index.Exact(metric="l2", n_jobs=2).fit(np.eye(3))
    twin = clone(index)
    assert twin.get_params() == {"metric": "l2", "dtype": "float32", "screen": "auto", "n_jobs": 2}
    assert len(twin) == 0
    assert repr(twin) == "Exact(metric='l2', n_jobs=2)"
    assert repr(vl.index.Exact()) == "Exact()"


def test_arguments_are_stored_unchanged_and_checked_in_fit() -> None:
    dtype = np.dtype(np.float16)
    index = vl.index.Exact(metric="nonsense", dtype=dtype)
    assert index.dtype is dtype
    assert index.metric == "nonsense"
    with pytest.raises(vl.ParameterError, match="metric must be one of"):
        index.fit(np.eye(3))
    assert index.set_params(metric="ip").fit(np.eye(3)).get([0]).dtype == np.float32


def test_a_grid_of_parameters_can_be_set() -> None:
    for params in ParameterGrid({"metric": ["ip", "l2"], "dtype": ["float32", "int8"]}):
        assert len(vl.index.Exact().set_params(**params).fit(np.eye(3))) == 3


def test_an_unknown_parameter_is_refused_and_nothing_is_set() -> None:
    index = vl.index.Exact()
    with pytest.raises(vl.ParameterError, match="no parameter 'colour'; it has metric, dtype"):
        index.set_params(metric="l2", colour=3)
    assert index.metric == "cosine"


class Outer(Estimator):
    def __init__(self, *, inner=None, size=1) -> None:
        self.inner = inner
        self.size = size


def test_parameters_of_inner_estimators_are_reached_by_name() -> None:
    outer = Outer(inner=vl.index.Exact())
    assert outer.get_params()["inner__metric"] == "cosine"
    outer.set_params(inner__metric="l2", size=4)
    assert (outer.inner.metric, outer.size) == ("l2", 4)
    assert set(outer.get_params(deep=False)) == {"inner", "size"}


def test_counts_and_jobs_take_whole_numbers_only() -> None:
    assert check_count("k", np.int64(3)) == 3
    assert (check_jobs(None), check_jobs(-1), check_jobs(np.int8(2))) == (None, -1, 2)
    for value in (0, 1.0, "1", True, None):
        with pytest.raises(vl.ParameterError, match="k must be a whole number"):
            check_count("k", value)
    for value in (0, 1.5, "2", False):
        with pytest.raises(vl.ParameterError, match="n_jobs must be None"):
            check_jobs(value)


def test_an_index_is_used_without_importing_scikit_learn_or_scipy() -> None:
    code = (
        "import sys, numpy as np, vectorloom as vl; "
        "vl.index.Exact().fit(np.eye(3)).search(np.eye(3));"
        "print([m for m in ('sklearn', 'scipy', 'pyarrow', 'rich', 'typer') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
