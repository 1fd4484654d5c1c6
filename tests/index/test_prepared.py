# SPDX-License-Identifier: Apache-2.0
"""One call of the core and the steps in Python answer alike, whatever happened to the index."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.index.dense.prepared import Prepared, plain

N, DIM, K = 3000, 24, 7
INDEXES = {
    "exact": lambda metric: vl.index.Exact(metric=metric),
    "graph": lambda metric: vl.index.Graph(metric=metric, exact_below=100),
    "ivf": lambda metric: vl.index.IVF(metric=metric, n_lists=30),
    "codes": lambda metric: vl.index.IVF(metric=metric, n_lists=30, rerank=False),
}


def rows(n: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, DIM))
    some = centres[rng.integers(0, 20, n)] + 0.4 * rng.standard_normal((n, DIM))
    return some.astype(np.float32)


def step_by_step(index: Any, queries: Any, k: int, **search: Any) -> Any:
    if isinstance(index, vl.index.Exact):
        return index.search(queries.astype(np.float64), k=k)  # float64 is converted first
    return index.search(queries, k=k, explain=True, **search)


def assert_alike(index: Any, queries: Any, k: int = K, **search: Any) -> None:
    one, other = index.search(queries, k=k, **search), step_by_step(index, queries, k, **search)
    for name in ("ids", "scores", "distances", "counts"):
        mine, its = getattr(one, name), getattr(other, name)
        assert mine.dtype == its.dtype, name
        np.testing.assert_array_equal(mine, its, err_msg=name)
    assert one.metric == other.metric


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
@pytest.mark.parametrize("name", INDEXES)
def test_all_metrics_and_efforts_answer_alike(name: str, metric: str) -> None:
    index = INDEXES[name](metric).fit(rows(N, 0))
    queries = rows(12, 1)
    assert_alike(index, queries)
    assert_alike(index, queries[:1], k=1)
    knob = {"graph": "ef", "ivf": "nprobe", "codes": "nprobe"}.get(name)
    if knob is not None:
        for search in ({knob: 3}, {knob: 40}, {"recall": 0.8}, {"recall": 0.99}):
            assert_alike(index, queries, **search)


@pytest.mark.parametrize("name", INDEXES)
def test_changes_are_followed(name: str, tmp_path: Path) -> None:
    ids = np.random.default_rng(2).permutation(10 * N)[:N]  # ties are not in the order of rows
    index = INDEXES[name]("cosine").fit(rows(N, 0), ids=ids)
    queries = rows(5, 1)
    assert_alike(index, queries)
    index.add(rows(4, 3), ids=[-5, -6, -7, -8])
    assert_alike(index, queries)
    found = index.search(rows(4, 3)[:1], k=1).ids[0, 0]
    assert found == -5
    index.upsert(rows(1, 4), ids=[-5])
    assert_alike(index, queries)
    assert index.search(rows(4, 3)[:1], k=1).ids[0, 0] != -5
    index.remove([-6])
    assert_alike(index, queries)
    index.n_jobs = 1
    assert_alike(index, queries)
    for twin in (index.copy(), copy.deepcopy(index), pickle.loads(pickle.dumps(index))):
        assert_alike(twin, queries)
    path = tmp_path / "index.vl"
    index.save(path)
    assert_alike(vl.open(path), queries)
    index.fit(rows(N // 2, 7))
    assert_alike(index, queries)


@pytest.mark.parametrize("name", INDEXES)
def test_text_ids_and_equal_rows(name: str) -> None:
    x = np.repeat(rows(N // 4, 0), 4, axis=0)
    index = INDEXES[name]("l2").fit(x, ids=[f"d{i}" for i in range(len(x))])
    assert_alike(index, rows(5, 1))
    assert isinstance(index.search(x[:1], k=1).ids[0, 0], str)


@pytest.mark.parametrize("name", INDEXES)
def test_bad_queries_get_their_messages(name: str) -> None:
    index = INDEXES[name]("cosine").fit(rows(N, 0))
    bad = rows(3, 1)
    bad[1, 2] = np.nan
    with pytest.raises(ParameterError, match="row 1"):
        index.search(bad, k=K)
    bad[1] = 0.0
    with pytest.raises(ParameterError, match="zero vector"):
        index.search(bad, k=K)
    with pytest.raises(ShapeError, match="columns"):
        index.search(rows(3, 1)[:, :-1].copy(), k=K)
    for k in (0, -1, True):
        with pytest.raises(ParameterError, match="k must"):
            index.search(rows(3, 1), k=k)
    index.n_jobs = 0
    with pytest.raises(ParameterError, match="n_jobs"):
        index.search(rows(3, 1), k=K)


def test_queries_of_other_layouts_are_converted() -> None:
    index = vl.index.Graph(exact_below=100).fit(rows(N, 0))
    queries = rows(6, 1)
    expected = index.search(queries, k=K)
    swapped = queries.astype(queries.dtype.newbyteorder())
    for other in (np.asfortranarray(queries), queries.tolist(), swapped, np.repeat(queries, 2, 1)):
        given = other[:, ::2] if np.shape(other)[1] == 2 * DIM else other
        np.testing.assert_array_equal(index.search(given, k=K).ids, expected.ids)
    masked = np.ma.masked_array(queries, np.zeros_like(queries, bool))
    with pytest.raises(ParameterError, match="masked"):
        index.search(masked, k=K)


def test_fewer_rows_than_hits_pad() -> None:
    index = vl.index.Exact().fit(rows(5, 0))
    hits = index.search(rows(2, 1), k=9)
    assert hits.counts.tolist() == [5, 5]
    assert (hits.ids[:, 5:] == -1).all()


def test_unanswered_is_what_the_core_cannot_be_sure_of() -> None:
    index = vl.index.Exact().fit(rows(50, 0))
    store, queries = index._store, rows(2, 1)
    assert plain(store, queries, 3)
    assert not plain(store, queries.tolist(), 3)
    assert not plain(store, queries, np.int64(3))
    assert not plain(store, queries, 1 << 20)
    assert store.answer(queries[:, ::2], 3, None) is None
    assert store.answer(queries.astype(np.float64), 3, None) is None
    assert store.answer(queries, 51, None) is None
    index.remove([3])
    assert not plain(store, queries, 3)


def test_prepared_is_made_again_only_after_a_change() -> None:
    made: list[int] = []
    prepared, first, other = Prepared(), object(), object()

    def prepare() -> Any:
        made.append(1)
        return len(made)

    assert [prepared.search(r, j, prepare) for r, j in ((first, None), (first, None))] == [1, 1]
    assert prepared.search(other, None, prepare) == 2
    assert prepared.search(other, 2, prepare) == 3
    assert pickle.loads(pickle.dumps(prepared)).search(other, 2, prepare) == 4
