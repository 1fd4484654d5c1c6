# SPDX-License-Identifier: Apache-2.0
"""Scans of codes: one call of the core says what the steps do, and ids that count hold nothing."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.index.rowids import CountedIds
from vectorloom.tune.pipeline import Pipeline

N = 700
NAMES = {
    "counted": None,
    "numbers": np.arange(N)[::-1].copy(),
    "text": [f"x{i}" for i in range(N)],
}


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((30, 20))
    drawn = centres[rng.integers(30, size=N + 20)] + 0.4 * rng.standard_normal((N + 20, 20))
    rows = drawn[:N].astype(np.float32)
    rows[10] = rows[20] = rows[30]
    return rows, np.ascontiguousarray(drawn[N:], np.float32)


@pytest.mark.parametrize("code", ["scalar:8", "scalar:6", "scalar:3", "lvq:8", "lvq:4x8"])
@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
@pytest.mark.parametrize("names", NAMES)
def test_one_call_of_the_core_answers_as_the_steps_do(data, code, metric, names) -> None:
    rows, queries = data
    index = Pipeline(f"{code} | scan", metric, n_jobs=1).fit(rows, NAMES[names])
    for asked in (queries[:1], queries[:3], queries, rows[10:11]):
        quick, slow = index.search(asked, 10), index.inner_._stepwise(asked, 10, None)
        np.testing.assert_array_equal(quick.ids, slow.ids)
        np.testing.assert_allclose(quick.scores, slow.scores, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(quick.distances, slow.distances, rtol=1e-6, atol=1e-6)
        assert quick.metric == slow.metric == metric


def test_scores_are_those_of_the_decoded_rows(data) -> None:
    rows, queries = data
    index = Pipeline("scalar:8 | scan", "l2").fit(rows)
    decoded = index.inner_.compressor.inverse_transform(index.inner_.codes)
    want = np.square(queries[:, None, :].astype(np.float64) - decoded[None]).sum(axis=2)
    hits = index.search(queries, 5)
    np.testing.assert_allclose(
        hits.distances, np.take_along_axis(want, hits.ids, axis=1), rtol=1e-3, atol=1e-3
    )
    np.testing.assert_allclose(np.sort(want, axis=1)[:, :5], hits.distances, rtol=1e-3, atol=1e-3)


def test_norms_of_codes_make_l2_quick_and_change_no_answer(data) -> None:
    rows, queries = data
    quick = Pipeline("lvq:8 | scan", "l2").fit(rows)
    small = Pipeline("lvq:8 | scan,screen=False", "l2").fit(rows)
    assert quick.nbytes_ - small.nbytes_ == 4 * N
    a, b = quick.search(queries, 8), small.search(queries, 8)
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_allclose(a.scores, b.scores, rtol=1e-6)


def test_ids_that_count_take_no_bytes_in_memory_or_file(data, tmp_path) -> None:
    rows, queries = data
    counted = Pipeline("scalar:8 | scan", "ip").fit(rows)
    numbered = Pipeline("scalar:8 | scan", "ip").fit(rows, NAMES["numbers"])
    assert numbered.nbytes_ - counted.nbytes_ == 8 * N
    assert counted.nbytes_ < 1.02 * 20 * N  # a byte a dimension, and the calibration
    counted.save(tmp_path / "counted")
    numbered.save(tmp_path / "numbered")
    for name, index in (("counted", counted), ("numbered", numbered)):
        again = vl.open(tmp_path / name)
        np.testing.assert_array_equal(again.search(queries, 4).ids, index.search(queries, 4).ids)
        np.testing.assert_array_equal(again.ids_, index.ids_)
        assert again.nbytes_ == index.nbytes_


def test_what_the_core_leaves_unanswered_the_steps_answer_or_refuse(data) -> None:
    rows, queries = data
    index = Pipeline("scalar:8 | scan").fit(rows)
    wide = index.search(queries[:2].astype(np.float64), 3)
    np.testing.assert_array_equal(wide.ids, index.search(queries[:2], 3).ids)
    assert index.search(queries[:1], N + 5).counts.tolist() == [N]
    only = index.search(queries[:2], 3, where=[5, 6])
    assert set(only.ids.ravel().tolist()) == {5, 6, -1}
    with pytest.raises(ShapeError, match="20 columns"):
        index.search(queries[:, :4], 3)
    with pytest.raises(ParameterError, match="NaN"):
        index.search(np.full((1, 20), np.nan, np.float32), 3)


def test_a_scan_survives_pickle(data) -> None:
    rows, queries = data
    index = Pipeline("scalar:8 | scan", "l2").fit(rows)
    want = index.search(queries, 4).ids
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(index)).search(queries, 4).ids, want)


def test_counted_ids_are_positions() -> None:
    ids = CountedIds(4)
    assert ids.find(np.array([3, 4, -1, 0])).tolist() == [3, -1, -1, 0]
    assert ids.find(np.array(["a"], object)).tolist() == [-1]
    assert ids.take(np.array([2, 0])).tolist() == [2, 0]
    assert (ids.nbytes, ids.tie_keys(), ids.numbers(), ids.to_arrays()) == (0, None, None, {})
