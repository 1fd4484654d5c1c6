# SPDX-License-Identifier: Apache-2.0
"""Laws that every index obeys, whatever its method, metric and dtype."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vectorloom as vl
from index_registry import CASES, ELSEWHERE, Case
from oracle import assert_answers

every_index = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def same(a: Any, b: Any) -> None:
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(a.scores, b.scores)
    np.testing.assert_array_equal(a.distances, b.distances)
    np.testing.assert_array_equal(a.counts, b.counts)
    assert a.metric == b.metric


def text_ids(n: int) -> list[str]:
    """Unique, and in another order than the rows."""
    return [f"{(37 * i) % n:03d}{'é' if i % 3 else ''}" for i in range(n)]


def test_no_index_is_left_out_of_the_contract() -> None:
    found = set()
    for info in pkgutil.walk_packages(vl.index.__path__, "vectorloom.index."):
        module = importlib.import_module(info.name)
        for _, value in inspect.getmembers(module, inspect.isclass):
            if value.__module__ == module.__name__ and {"fit", "search"} <= set(dir(value)):
                found.add(value)
    assert found
    assert found == {case.make for case in CASES} | ELSEWHERE


@every_index
@pytest.mark.parametrize("ids", [None, "shuffled", "text"])
def test_exhaustive_search_equals_brute_force_with_ties_by_id(case: Case, ids, rng) -> None:
    n = 70
    x, queries = case.vectors(rng, n), case.vectors(rng, 9)
    names = {None: range(n), "shuffled": rng.permutation(n) * 3 - 50, "text": text_ids(n)}[ids]
    index = case.new().fit(x, None if ids is None else names)
    if case.exhaustive:
        for k in (1, 10, n):
            assert_answers(index.search(queries, k), x, names, queries, k)


@every_index
def test_results_are_sorted_and_ids_unique(case: Case, rng) -> None:
    hits = case.new().fit(case.vectors(rng, 120)).search(case.vectors(rng, 20), k=30)
    assert (np.diff(hits.scores, axis=1) <= 0).all()
    assert (np.diff(hits.distances, axis=1) >= 0).all()
    assert all(len(set(row)) == 30 for row in hits.ids.tolist())


@every_index
def test_hits_unpack_as_ids_and_scores(case: Case, rng) -> None:
    hits = case.new().fit(case.vectors(rng, 10)).search(case.vectors(rng, 2), k=3)
    ids, scores = hits
    assert ids is hits.ids
    assert scores is hits.scores
    assert (ids.dtype, scores.dtype) == (np.int64, np.float32)
    assert (hits.distances.dtype, hits.counts.dtype) == (np.float32, np.int64)


@every_index
@pytest.mark.parametrize("share", [0.05, 0.2, 0.9])
def test_filter_returns_a_subset_and_all_that_match(case: Case, share, rng) -> None:
    n = 200
    x, queries = case.vectors(rng, n), case.vectors(rng, 5)
    ids = rng.permutation(n)
    mask = rng.random(n) < share
    index = case.new().fit(x, ids)
    by_mask = index.search(queries, 20, where=mask)
    same(by_mask, index.search(queries, 20, where=ids[mask]))
    same(by_mask, index.search(queries, 20, where=set(ids[mask].tolist())))
    assert (by_mask.counts == min(20, int(mask.sum()))).all()
    assert set(by_mask.ids[by_mask.ids >= 0].tolist()) <= set(ids[mask].tolist())
    if case.exhaustive:
        assert_answers(by_mask, x, ids, queries, 20, mask)


@every_index
def test_full_filter_is_no_filter_and_empty_filter_returns_nothing(case: Case, rng) -> None:
    x, queries = case.vectors(rng, 40), case.vectors(rng, 3)
    index = case.new().fit(x)
    same(index.search(queries, 5, where=np.ones(40, bool)), index.search(queries, 5))
    for nothing in ([], np.zeros(40, bool), [12345]):
        hits = index.search(queries, 5, where=nothing)
        assert hits.counts.tolist() == [0, 0, 0]
        assert (hits.ids == -1).all()


@every_index
def test_a_filter_for_each_query_equals_a_search_for_each(case: Case, rng) -> None:
    x, queries = case.vectors(rng, 50), case.vectors(rng, 4)
    index = case.new().fit(x)
    filters = [None, [3, 4, 5], rng.random(50) < 0.5, []]
    hits = index.search(queries, 6, where=filters)
    for i, where in enumerate(filters):
        one = index.search(queries[i : i + 1], 6, where=where)
        np.testing.assert_array_equal(hits.ids[i], one.ids[0])
        np.testing.assert_array_equal(hits.scores[i], one.scores[0])
    masks = rng.random((4, 50)) < 0.5
    same(index.search(queries, 6, where=masks), index.search(queries, 6, where=list(masks)))


@every_index
@pytest.mark.parametrize("named", [False, True])
def test_save_then_open_gives_equal_answers(case: Case, named, rng, tmp_path: Path) -> None:
    x, queries = case.vectors(rng, 60), case.vectors(rng, 7)
    index = case.new().fit(x, text_ids(60) if named else None)
    index.remove(index.ids_[:5])
    index.upsert(x[:3], index.ids_[10:13])
    index.save(tmp_path / "a.vl")
    opened = vl.open(tmp_path / "a.vl", verify=True)
    assert type(opened) is case.make
    assert opened.get_params() == index.get_params()
    assert len(opened) == len(index)
    same(opened.search(queries, 9), index.search(queries, 9))
    np.testing.assert_array_equal(opened.ids_, index.ids_)
    np.testing.assert_array_equal(opened.get(index.ids_[-4:]), index.get(index.ids_[-4:]))


@every_index
def test_an_opened_index_is_read_only_and_its_copy_is_not(case: Case, rng, tmp_path: Path) -> None:
    x = case.vectors(rng, 20)
    case.new().fit(x).save(tmp_path / "a.vl")
    opened = vl.open(tmp_path / "a.vl")
    for change in (
        lambda: opened.add(x),
        lambda: opened.remove([1]),
        lambda: opened.upsert(x, range(20)),
    ):
        with pytest.raises(vl.ParameterError, match=r"read-only.*copy\(\)"):
            change()
    copy = opened.copy()
    copy.remove([1])
    copy.add(x[:2])
    assert (len(copy), len(opened)) == (21, 20)
    assert copy.ids_[-2:].tolist() == [20, 21]


@every_index
def test_k_beyond_n_gives_all_rows_and_padding(case: Case, rng) -> None:
    x = case.vectors(rng, 4)
    hits = case.new().fit(x).search(x, k=9)
    assert hits.counts.tolist() == [4] * 4
    assert sorted(hits.ids[0, :4].tolist()) == [0, 1, 2, 3]
    assert (hits.ids[:, 4:] == -1).all()
    assert (hits.scores[:, 4:] == -np.inf).all()
    assert (hits.distances[:, 4:] == np.inf).all()


@every_index
def test_one_vector_is_found(case: Case, rng) -> None:
    x = case.vectors(rng, 1)
    hits = case.new().fit(x, ["only"]).search(x, k=2)
    assert hits.ids.tolist() == [["only", None]]
    assert hits.counts.tolist() == [1]


@every_index
def test_an_index_without_living_rows_answers_with_none(case: Case, rng) -> None:
    x = case.vectors(rng, 8)
    index = case.new().fit(x)
    assert index.remove(range(8)) == 8
    hits = index.search(x[:2], k=3)
    assert hits.counts.tolist() == [0, 0]
    assert (len(index), index.ids_.tolist()) == (0, [])
    index.add(x)
    assert index.ids_.tolist() == list(range(8, 16))  # an id never comes back as another row


@every_index
def test_ninety_percent_duplicates_are_told_apart_by_id(case: Case, rng) -> None:
    x = case.vectors(rng, 100)
    x[10:] = x[3]
    ids = rng.permutation(100)
    hits = case.new().fit(x, ids).search(x[3:4], k=95)
    if case.exhaustive and case.metric != "ip":
        assert hits.ids[0, :91].tolist() == sorted([*ids[10:].tolist(), int(ids[3])])
        assert (hits.distances[0, :91] == 0).all()
    if case.exhaustive:
        assert_answers(hits, x, ids, x[3:4], 95)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.metric != "hamming"], ids=lambda case: case.name
)
def test_bad_vectors_are_refused_and_change_nothing(case: Case, rng) -> None:
    x, queries = case.vectors(rng, 30), case.vectors(rng, 3)
    index = case.new().fit(x)
    before = index.search(queries, 5)
    for value in (np.nan, np.inf, -np.inf):
        bad = x[:3].astype(np.float32)
        bad[1, 2] = value
        for call in (
            lambda bad=bad: index.add(bad),
            lambda bad=bad: index.upsert(bad, [0, 1, 2]),
            lambda bad=bad: index.search(bad),
            lambda bad=bad: index.fit(bad),
        ):
            with pytest.raises(vl.ParameterError, match="NaN or infinity in 1 row, first in row 1"):
                call()
    same(index.search(queries, 5), before)
    assert index.ids_.tolist() == list(range(30))


@every_index
def test_any_number_of_threads_gives_the_same_bits(case: Case, rng) -> None:
    x, queries = case.vectors(rng, 300), case.vectors(rng, 40)
    answers = [case.new(n_jobs=n_jobs).fit(x).search(queries, 12) for n_jobs in (1, 2, 8)]
    same(answers[0], answers[1])
    same(answers[0], answers[2])


@every_index
def test_remove_hides_rows_and_keeps_the_others(case: Case, rng) -> None:
    n = 90
    x, queries = case.vectors(rng, n), case.vectors(rng, 5)
    index = case.new().fit(x)
    alive = np.ones(n, bool)
    for part in np.array_split(rng.permutation(n), 9)[:8]:  # passes through rewriting
        assert index.remove(part) == len(part)
        alive[part] = False
        assert index.ids_.tolist() == np.flatnonzero(alive).tolist()
        if case.exhaustive:
            assert_answers(index.search(queries, 20), x, range(n), queries, 20, alive)
        assert int(part[0]) not in index
        assert (index.search(queries, 5, where=part).counts == 0).all()
        with pytest.raises(vl.ParameterError, match="not in this index"):
            index.get(part[:1])
    np.testing.assert_array_equal(index.get(index.ids_), case.new().fit(x).get(index.ids_))


@every_index
def test_add_in_pieces_equals_fit_at_once(case: Case, rng) -> None:
    x, queries = case.vectors(rng, 110), case.vectors(rng, 8)
    whole = case.new().fit(x)
    pieces = case.new()
    for start, end in ((0, 1), (1, 17), (17, 17), (17, 64), (64, 110)):
        pieces.add(x[start:end])
    same(pieces.search(queries, 10), whole.search(queries, 10))
    np.testing.assert_array_equal(pieces.ids_, whole.ids_)


@every_index
def test_upsert_replaces_and_adds(case: Case, rng) -> None:
    x, y, queries = case.vectors(rng, 40), case.vectors(rng, 30), case.vectors(rng, 6)
    index = case.new().fit(x)
    index.upsert(y, range(20, 50))
    final = np.concatenate([x[:20], y])
    assert len(index) == 50
    assert sorted(index.ids_.tolist()) == list(range(50))
    np.testing.assert_array_equal(index.get(range(50)), case.new().fit(final).get(range(50)))
    if case.exhaustive:
        assert_answers(index.search(queries, 15), final, range(50), queries, 15)


@every_index
def test_ids_that_exist_or_are_missing_are_refused_whole(case: Case, rng) -> None:
    x = case.vectors(rng, 10)
    index = case.new().fit(x)
    with pytest.raises(vl.ParameterError, match=r"in the index already, first 9.*upsert"):
        index.add(x[:2], [10, 9])
    with pytest.raises(
        vl.ParameterError, match=r"Nothing was removed; 1 id is not.*missing='ignore'"
    ):
        index.remove([1, 77])
    assert index.ids_.tolist() == list(range(10))
    assert index.remove([1, 77], missing="ignore") == 1


@every_index
def test_fit_again_forgets_and_a_failed_fit_does_not(case: Case, rng) -> None:
    x, y = case.vectors(rng, 10), case.vectors(rng, 5, dim=9)
    index = case.new().fit(x)
    with pytest.raises(vl.ShapeError):
        index.fit(x, ids=[1, 2])
    assert len(index) == 10
    assert index.fit(y).dim_ == 9
    assert index.ids_.tolist() == [0, 1, 2, 3, 4]


@every_index
def test_an_unfitted_index_says_so(case: Case, rng) -> None:
    index, x = case.new(), case.vectors(rng, 2)
    for call in (
        lambda: index.search(x),
        lambda: index.get([1]),
        lambda: index.remove([1]),
        lambda: index.ids_,
        lambda: index.save("nowhere"),
    ):
        with pytest.raises(vl.NotFittedError, match="call fit"):
            call()
    assert (len(index), 1 in index) == (0, False)


@every_index
def test_pickle_and_clone_keep_what_they_should(case: Case, rng) -> None:
    from sklearn.base import clone

    x, queries = case.vectors(rng, 50), case.vectors(rng, 4)
    index = case.new(n_jobs=1).fit(x, text_ids(50))
    index.remove(index.ids_[:3])
    same(pickle.loads(pickle.dumps(index)).search(queries, 5), index.search(queries, 5))
    twin = clone(index)
    assert twin.get_params() == index.get_params()
    assert len(twin) == 0
    assert repr(twin) == repr(index)


@every_index
def test_queries_may_be_none_and_shapes_are_checked(case: Case, rng) -> None:
    x = case.vectors(rng, 10)
    index = case.new().fit(x)
    assert index.search(x[:0], k=4).ids.shape == (0, 4)
    with pytest.raises(vl.ShapeError, match=r"queries\[None, :\]"):
        index.search(x[0])
    with pytest.raises(vl.ShapeError, match="must have 6 columns"):
        index.search(x[:, :4])
    for k in (0, -1, 2.5, "3", True, None):
        with pytest.raises(vl.ParameterError, match="k must be a whole number, at least 1"):
            index.search(x, k=k)
    assert index.search(x, k=np.int32(2)).ids.shape == (10, 2)
