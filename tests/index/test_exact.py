# SPDX-License-Identifier: Apache-2.0
"""The exact index: worked cases, ugly sizes, each dtype's rounding, ranges, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vectorloom as vl
from oracle import assert_answers, ranked, scores_of
from vectorloom import _core
from vectorloom.index import Exact
from vectorloom.index.dense.encoding import decode, encode

SIZES = [1, 7, 15, 16, 17, 31, 33, 63, 65, 97]
METRICS = ["cosine", "ip", "l2"]


def whole_numbers(rng, n, dim, high=4):
    x = rng.integers(-high + 1, high, (n, dim)).astype(np.float32)
    x[:, 0] = np.where((x == 0).all(axis=1), 1, x[:, 0])
    return x


# ---- worked by hand ----------------------------------------------------------

WORKED = [
    # score and distance of rows a=(1, 0), b=(0, 2), c=(3, 4) for the query (3, 4), best first
    ("cosine", [("c", 1.0, 0.0), ("b", 0.8, 0.2), ("a", 0.6, 0.4)]),
    ("ip", [("c", 25.0, -25.0), ("b", 8.0, -8.0), ("a", 3.0, -3.0)]),
    ("l2", [("c", 0.0, 0.0), ("b", -13.0, 13.0), ("a", -20.0, 20.0)]),
]


@pytest.mark.parametrize(("metric", "answer"), WORKED)
def test_scores_and_distances_of_a_case_worked_by_hand(metric, answer) -> None:
    index = Exact(metric=metric).fit([[1, 0], [0, 2], [3, 4]], ids=["a", "b", "c"])
    hits = index.search([[3, 4]], k=3)
    assert hits.ids[0].tolist() == [name for name, _, _ in answer]
    np.testing.assert_allclose(hits.scores[0], [score for _, score, _ in answer], rtol=1e-7)
    np.testing.assert_allclose(hits.distances[0], [d for _, _, d in answer], rtol=1e-7, atol=1e-15)


def test_hamming_of_a_case_worked_by_hand() -> None:
    rows = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]], bool)
    hits = Exact(metric="hamming").fit(rows).search([[True, True, False, False]], k=3)
    assert hits.ids.tolist() == [[1, 0, 2]]  # 0 and 2 tie at distance 2
    assert hits.distances.tolist() == [[1, 2, 2]]
    assert hits.scores.tolist() == [[-1, -2, -2]]


# ---- sizes -------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("screen", [None, "int8"])
@pytest.mark.parametrize("n", SIZES)
def test_every_number_of_rows_is_exact(metric, screen, n, rng) -> None:
    x, queries = whole_numbers(rng, n, 20), whole_numbers(rng, 5, 20)
    index = Exact(metric=metric, screen=screen).fit(x)
    for k in (1, 7, n):
        assert_answers(index.search(queries, k), x, range(n), queries, k)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("screen", [None, "int8"])
@pytest.mark.parametrize("dim", [*SIZES, 384, 1000])
def test_every_dimension_is_exact(metric, screen, dim, rng) -> None:
    x, queries = whole_numbers(rng, 80, dim), whole_numbers(rng, 3, dim)
    index = Exact(metric=metric, screen=screen).fit(x)
    assert_answers(index.search(queries, 10), x, range(80), queries, 10)


@pytest.mark.parametrize("dim", [*SIZES, 384, 1000])
def test_every_number_of_bits_is_exact_packed_or_not(dim, rng) -> None:
    x, queries = rng.random((70, dim)) < 0.5, rng.random((6, dim)) < 0.5
    index = Exact(metric="hamming").fit(x)
    assert index.dim_ == dim
    hits = index.search(queries, 10)
    assert_answers(hits, x, range(70), queries, 10)
    packed = index.search(np.packbits(queries, axis=1), 10)
    np.testing.assert_array_equal(packed.ids, hits.ids)
    np.testing.assert_array_equal(index.get(range(70)), x)


@pytest.mark.parametrize("n_queries", SIZES)
def test_every_number_of_queries_is_exact(n_queries, rng) -> None:
    x, queries = whole_numbers(rng, 200, 33), whole_numbers(rng, n_queries, 33)
    assert_answers(Exact(screen="int8").fit(x).search(queries, 5), x, range(200), queries, 5)


@pytest.fixture(params=_core.simd_levels())
def level(request):
    """Each CPU level that this host has, weakest first."""
    before = _core.simd_level()
    _core.set_simd_level(request.param)
    yield request.param
    _core.set_simd_level(before)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8", "uint8"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [17, 97])
def test_every_cpu_level_is_exact(level, metric, dtype, dim, rng) -> None:
    x, queries = np.abs(whole_numbers(rng, 150, dim)), np.abs(whole_numbers(rng, 20, dim))
    stored = x.astype(np.int8) if dtype == "int8" else x
    screens = [None, "int8"] if dtype in ("float32", "float16", "bfloat16") else [None]
    for screen in screens:
        index = Exact(metric, dtype, screen).fit(stored)
        assert_answers(index.search(queries, 12), x, range(150), queries, 12)
        assert_answers(index.search(queries[:1], 12), x, range(150), queries[:1], 12)


def test_every_cpu_level_counts_bits(level, rng) -> None:
    x, queries = rng.random((150, 333)) < 0.5, rng.random((20, 333)) < 0.5
    index = Exact("hamming").fit(x)
    assert_answers(index.search(queries, 12), x, range(150), queries, 12)


# ---- the screen --------------------------------------------------------------


def clustered(rng, n, dim):
    """Near-copies around few centres: scores closer together than any screen can tell."""
    centres = rng.standard_normal((max(2, n // 50), dim))
    return (
        centres[rng.integers(0, len(centres), n)] + 1e-4 * rng.standard_normal((n, dim))
    ).astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("data", ["gauss", "clustered", "copies", "scales"])
def test_answers_do_not_depend_on_the_screen(metric, data, rng) -> None:
    n, dim = 5000, 70
    x = rng.standard_normal((n, dim)).astype(np.float32)
    if data == "clustered":
        x = clustered(rng, n, dim)
    elif data == "copies":
        x[100:] = x[rng.integers(0, 100, n - 100)]
    elif data == "scales":
        x *= np.exp2(rng.integers(-30, 30, (n, 1))).astype(np.float32)
    queries = np.concatenate([x[:20], rng.standard_normal((20, dim)).astype(np.float32)])
    screened, plain = Exact(metric=metric).fit(x), Exact(metric=metric, screen=None).fit(x)
    assert screened.nbytes_ > plain.nbytes_ + n * dim  # there is a screen to be tested
    a, b = screened.search(queries, 25), plain.search(queries, 25)
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(a.scores, b.scores)
    for q, query in enumerate(queries):  # and both are the truth
        truth = np.sort(scores_of(x, query, metric))[::-1][:25]
        np.testing.assert_allclose(a.scores[q], truth, rtol=3e-7, atol=1e-7)
        np.testing.assert_allclose(
            scores_of(x[a.ids[q]], query, metric), truth, rtol=1e-12, atol=1e-12 * abs(truth).max()
        )


def test_a_grown_screen_equals_a_new_one(rng) -> None:
    x, queries = rng.standard_normal((9000, 48)).astype(np.float32), rng.standard_normal((30, 48))
    grown = Exact()
    for part in np.array_split(x, [1, 3000, 4095, 4096, 5001, 8000]):
        grown.add(part)
    grown.remove(range(100, 200))
    whole = Exact().fit(x)
    whole.remove(range(100, 200))
    np.testing.assert_array_equal(grown.search(queries).ids, whole.search(queries).ids)


def test_an_interrupted_addition_leaves_the_index_as_it_was(rng, monkeypatch) -> None:
    x, queries = rng.standard_normal((5000, 16)).astype(np.float32), rng.standard_normal((5, 16))
    index = Exact().fit(x)
    before = index.search(queries)
    real = index._store.screen

    class Interrupted:
        def __len__(self):
            return len(real)

        def append(self, *args):
            raise KeyboardInterrupt

    index._store.screen = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        index.add(x[:100])
    assert len(index) == 5000
    np.testing.assert_array_equal(index.search(queries).ids, before.ids)
    index.add(x[:1])
    assert index.ids_[-1] == 5000


def test_no_memory_while_growing_leaves_the_index_as_it_was(rng, monkeypatch) -> None:
    x = rng.standard_normal((100, 8)).astype(np.float32)
    index = Exact().fit(x)
    with monkeypatch.context() as patch:
        patch.setattr("vectorloom.index.memory.available_memory", lambda: 1000)
        with pytest.raises(
            vl.CapacityError, match=r"needs about .* is available here.*smaller dtype"
        ):
            index.add(x)

    def refuse(*args):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("vectorloom.index.dense.store._grown", refuse)
        with pytest.raises(vl.CapacityError, match="the index is as it was"):
            index.add(x)
    assert len(index) == 100
    np.testing.assert_array_equal(index.get(range(100)), x)
    assert len(index.add(x)) == 200


# ---- dtypes ------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "bound"), [("float16", 2.0**-11), ("bfloat16", 2.0**-8)])
def test_half_floats_are_rounded_to_nearest(dtype, bound, rng) -> None:
    x = (rng.standard_normal((50, 40)) * 10).astype(np.float32)
    kept = Exact(dtype=dtype).fit(x).get(range(50))
    assert kept.dtype == np.float32
    assert (np.abs(kept - x) <= bound * np.abs(x)).all()
    np.testing.assert_array_equal(Exact(dtype=dtype).fit(kept).get(range(50)), kept)


def test_bfloat16_ties_go_to_even_and_its_bits_are_taken_as_they_are() -> None:
    x = np.array([[1 + 2.0**-8, 1 + 3 * 2.0**-8, -1.0, 0.0]], np.float32)  # both lie half way
    assert Exact(dtype="bfloat16", metric="ip").fit(x).get([0]).tolist() == [
        [1, 1 + 2.0**-6, -1, 0]
    ]
    bits = np.array([[0x3F80, 0x4000]], np.uint16)
    assert Exact(dtype="bfloat16").fit(bits).get([0]).tolist() == [[1.0, 2.0]]


def test_int8_quantises_each_row_to_its_own_scale(rng) -> None:
    x = (rng.standard_normal((60, 50)) * np.exp(rng.uniform(-8, 8, (60, 1)))).astype(np.float32)
    kept = Exact(dtype="int8").fit(x).get(range(60))
    step = np.abs(x).max(axis=1, keepdims=True) / 127
    assert (np.abs(kept - x) <= 0.5001 * step).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "uint8"])
def test_search_is_exact_with_respect_to_the_stored_rows(metric, dtype, rng) -> None:
    x = rng.random((400, 37)).astype(np.float32) + 0.01
    if dtype == "uint8":
        x = np.rint(x * 200)
    index = Exact(metric=metric, dtype=dtype).fit(x)
    kept, queries = index.get(range(400)).astype(np.float32), rng.random((6, 37)).astype(np.float32)
    hits = index.search(queries, 20)
    for q, query in enumerate(queries):
        want = [id_ for id_, _ in ranked(kept, range(400), query, metric)[:20]]
        truth = scores_of(kept, query, metric)
        np.testing.assert_allclose(truth[hits.ids[q]], truth[want], rtol=1e-12)


def test_int8_and_uint8_input_are_stored_as_they_are() -> None:
    x = np.array([[-128, 127, 5]], np.int8)
    assert Exact(dtype="int8", metric="ip").fit(x).get([0]).tolist() == [[-128, 127, 5]]
    index = Exact(dtype="uint8", metric="l2").fit([[0, 255, 7]])
    assert index.get([0]).tolist() == [[0, 255, 7]]
    assert index.search([[0, 255, 7]], 1).distances.tolist() == [[0.0]]


def test_an_int8_index_mixes_codes_and_quantised_rows(rng) -> None:
    codes, floats = rng.integers(-127, 128, (20, 9)).astype(np.int8), rng.standard_normal((20, 9))
    index = Exact(metric="l2", dtype="int8").fit(codes).add(floats)
    np.testing.assert_array_equal(index.get(range(20)), codes)
    np.testing.assert_allclose(index.get(range(20, 40)), floats, atol=0.02)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_encoding_never_gives_what_is_not_finite(values) -> None:
    x = np.array([values], np.float32)
    for kind in ("float16", "bfloat16", "int8"):
        limit = {"float16": 65519, "bfloat16": 3.3961e38, "int8": np.inf}[kind]
        if np.abs(x).max() >= limit:
            with pytest.raises(vl.ParameterError, match="beyond"):
                encode(x, kind)
            continue
        rows = encode(x, kind)
        assert np.isfinite(decode(rows.values, rows.scales, kind, x.shape[1])).all()


# ---- ranges ------------------------------------------------------------------


@pytest.mark.parametrize("metric", [*METRICS, "hamming"])
@pytest.mark.parametrize("screen", [None, "auto"])
def test_range_search_returns_all_within_and_nothing_beyond(metric, screen, rng) -> None:
    n = 4500 if screen else 150
    x, queries = whole_numbers(rng, n, 12), whole_numbers(rng, 4, 12)
    if metric == "hamming":
        x, queries = x > 0, queries > 0
    ids = rng.permutation(n)
    index = Exact(metric=metric, screen=screen).fit(x, ids)
    radius = np.float32({"cosine": 0.5, "ip": -20.0, "l2": 60.0, "hamming": 4}[metric])
    lims, distances, found = index.range_search(queries, radius)
    for q, query in enumerate(queries):
        pairs = ranked(x, ids, query, metric)
        one = 1.0 if metric == "cosine" else 0.0
        want = [id_ for id_, score in pairs if np.float32(one - score) <= radius]
        assert want
        assert found[lims[q] : lims[q + 1]].tolist() == want
    assert (distances <= radius).all()


@pytest.mark.parametrize("metric", [*METRICS, "hamming"])
def test_a_distance_taken_from_an_answer_finds_that_answer(metric, rng) -> None:
    x = rng.standard_normal((300, 10)).astype(np.float32)
    if metric == "hamming":
        x = x > 0
    index = Exact(metric=metric).fit(x)
    hits = index.search(x[:20], k=5)
    ranges = index.range_search(x[:20], hits.distances[:, 4])
    assert len(ranges) == 20
    for q in range(20):
        assert ranges[q].ids[:5].tolist() == hits.ids[q].tolist()
        np.testing.assert_array_equal(ranges[q].scores[:5], hits.scores[q])


def test_range_search_takes_filters_and_infinite_radii(rng) -> None:
    x = whole_numbers(rng, 40, 5)
    index = Exact(metric="l2").fit(x)
    assert index.range_search(x[:2], np.inf).counts.tolist() == [40, 40]
    assert index.range_search(x[:2], -np.inf).counts.tolist() == [0, 0]
    assert index.range_search(x[:2], np.inf, where=[3, 5]).counts.tolist() == [2, 2]
    ranges = index.range_search(x[:2], [np.inf, 0.0], where=[None, [1, 2]])
    assert ranges.counts.tolist() == [40, 1]
    assert index.range_search(x[:0], 1.0).lims.tolist() == [0]
    for radius in (np.nan, "near", [1.0, 2.0, 3.0]):
        with pytest.raises((vl.ParameterError, vl.ShapeError), match="radius"):
            index.range_search(x[:2], radius)


# ---- what is refused ---------------------------------------------------------

GOOD = np.eye(3, dtype=np.float32)
REFUSED = {
    "unknown metric": (
        lambda: Exact(metric="dot").fit(GOOD),
        "metric must be one of 'cosine', 'ip', 'l2'",
    ),
    "unknown dtype": (
        lambda: Exact(dtype="f4x").fit(GOOD),
        "dtype must be one of 'float32', 'float16'",
    ),
    "unknown screen": (
        lambda: Exact(screen="pq").fit(GOOD),
        "screen must be 'auto', 'int8' or None",
    ),
    "screen of int8": (lambda: Exact(dtype="int8", screen="int8").fit(GOOD), "is for float rows"),
    "n_jobs 0": (lambda: Exact(n_jobs=0).fit(GOOD), "n_jobs must be None"),
    "bits elsewhere": (lambda: Exact(dtype="bits").fit(GOOD), "goes with metric='hamming'"),
    "int8 hamming": (lambda: Exact("hamming", "int8").fit(GOOD), "compares bits; got dtype='int8'"),
    "float hamming": (lambda: Exact("hamming").fit(GOOD), r"Binarise it first, e.g. X > 0"),
    "zero vector": (lambda: Exact().fit(GOOD * [[1], [0], [1]]), r"1 zero vector \(row 1\)"),
    "zero after rounding": (lambda: Exact(dtype="float16").fit(GOOD * 1e-9), r"3 zero vectors"),
    "zero query": (
        lambda: Exact().fit(GOOD).search(GOOD * 0),
        r"queries has 3 zero vectors \(row 0, 1",
    ),
    "float16 overflow": (lambda: Exact(dtype="float16").fit(GOOD * 1e5), "beyond float16"),
    "uint8 range": (lambda: Exact(dtype="uint8").fit(GOOD * 256), "whole numbers from 0 to 255"),
    "uint8 fraction": (lambda: Exact(dtype="uint8").fit(GOOD * 0.5), "whole numbers from 0 to 255"),
    "duplicate ids": (lambda: Exact().fit(GOOD, [4, 5, 4]), "4 is at 0 and at 2"),
    "mixed ids": (lambda: Exact().fit(GOOD, [1, "a", 2]), "all integers or all str; got int, str"),
    "float ids": (lambda: Exact().fit(GOOD, np.ones(3)), r"Pass ids.astype\(np.int64\)"),
    "id -1": (lambda: Exact().fit(GOOD, [-1, 0, 1]), "-1 marks the empty places"),
    "too few ids": (lambda: Exact().fit(GOOD, [1]), "3 rows came with 1 ids"),
    "str into int": (
        lambda: Exact().fit(GOOD).add(GOOD, ["a", "b", "c"]),
        "ids must be of one type",
    ),
    "made-up str": (
        lambda: Exact().fit(GOOD, list("abc")).add(GOOD),
        "cannot be made up; pass ids",
    ),
    "upsert blind": (lambda: Exact().fit(GOOD).upsert(GOOD, None), "use add"),
    "mask length": (
        lambda: Exact().fit(GOOD).search(GOOD, where=np.ones(4, bool)),
        r"shape \(4,\)",
    ),
    "filter text": (lambda: Exact().fit(GOOD).search(GOOD, where="year > 3"), "is text"),
    "filter type": (
        lambda: Exact().fit(GOOD).search(GOOD, where=["a"]),
        "has str ids and this index has",
    ),
    "filter count": (
        lambda: Exact().fit(GOOD).search(GOOD, where=[[1], [2]]),
        "2 filters and there are 3",
    ),
    "no columns": (lambda: Exact().fit(np.empty((3, 0))), "at least one column"),
    "bits wrong width": (
        lambda: Exact("hamming").fit(np.ones((2, 9), bool)).add(np.ones((2, 1), np.uint8)),
        r"2 packed bytes \(9 bits\)",
    ),
    "bits beyond dim": (
        lambda: Exact("hamming").fit(np.ones((2, 9), bool)).add(np.full((2, 2), 255, np.uint8)),
        "beyond its 9 dimensions",
    ),
    "endless answer": (lambda: Exact().fit(GOOD).search(GOOD, k=10**12), "Ask for fewer hits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_with_what_came_and_what_to_do(name) -> None:
    call, message = REFUSED[name]
    with pytest.raises(vl.VectorloomError, match=message):
        call()


def test_an_index_of_no_rows_is_fine_when_its_dimension_is_known() -> None:
    index = Exact().fit(np.empty((0, 3)))
    assert index.search(GOOD, 2).counts.tolist() == [0, 0, 0]
    assert index.range_search(GOOD, 1.0).counts.tolist() == [0, 0, 0]
    assert len(index.add(GOOD)) == 3


def test_an_index_of_no_rows_takes_ids_of_either_type() -> None:
    index = Exact().fit(np.empty((0, 3)))
    assert index.add(GOOD, list("abc")).ids_.tolist() == ["a", "b", "c"]
    index.remove(list("abc"))
    assert index.search(GOOD, 1).ids.tolist() == [[None]] * 3


def test_parameters_set_after_the_fit_count_from_the_next_one(tmp_path) -> None:
    index = Exact(metric="l2", dtype="float16").fit(GOOD)
    before = index.search(GOOD, 2)
    index.set_params(metric="ip", dtype="int8", screen=None)
    after = index.search(GOOD, 2)
    assert after.metric == "l2"
    np.testing.assert_array_equal(after.distances, before.distances)
    assert index.range_search(GOOD, 0.0).metric == "l2"
    index.save(tmp_path / "a.vl")
    opened = vl.open(tmp_path / "a.vl")
    assert (opened.metric, opened.dtype) == ("l2", "float16")
    np.testing.assert_array_equal(opened.search(GOOD, 2).distances, before.distances)
    assert index.fit(GOOD).search(GOOD, 2).metric == "ip"


def test_ids_at_the_ends_of_int64_work_and_none_is_made_up_beyond() -> None:
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    index = Exact(metric="l2").fit(GOOD, [high, low, 0])
    assert index.search(GOOD[:1] * 0, 3).ids.tolist() == [[low, 0, high]]
    with pytest.raises(vl.ParameterError, match="no int64 ids left"):
        index.add(GOOD)


def test_removed_rows_are_not_in_the_file(tmp_path) -> None:
    secret = np.array([[1.2345678e-20, 7.654321e20, 3.1415927]], np.float32)
    index = Exact(metric="ip").fit(np.concatenate([GOOD, secret]))
    index.save(tmp_path / "with.vl")
    assert secret.tobytes() in (tmp_path / "with.vl").read_bytes()
    index.remove([3])
    index.save(tmp_path / "without.vl")
    assert secret.tobytes() not in (tmp_path / "without.vl").read_bytes()


def test_the_callers_array_is_copied() -> None:
    x = GOOD.copy()
    index = Exact().fit(x)
    x[:] = 7
    np.testing.assert_array_equal(index.get([0, 1, 2]), GOOD)
    index.get([0])[:] = 9
    index.ids_[:] = 9
    assert index.ids_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(index.get([0, 1, 2]), GOOD)


def test_membership_knows_types() -> None:
    ints, texts = Exact().fit(GOOD), Exact().fit(GOOD, list("abc"))
    assert 2 in ints
    assert np.int64(2) in ints
    assert not any(key in ints for key in (3, "2", 2.0, True, None, -1, [2]))
    assert "c" in texts
    assert not any(key in texts for key in ("d", 0, None))
