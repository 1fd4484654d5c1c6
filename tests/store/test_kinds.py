# SPDX-License-Identifier: Apache-2.0
"""Sparse fields and those of several vectors a point live by the same laws as dense ones."""

from __future__ import annotations

import sqlite3

import numpy as np
import pyarrow.parquet
import pytest
from scipy import sparse

import vectorloom as vl
from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.store import repair, segment, upkeep, verify

DIM, TERMS, TOKENS = 4, 12, 3
FIELDS = {
    "dense": DIM,
    "sparse": {"kind": "sparse", "dim": TERMS},
    "multi": {"kind": "multi", "dim": TOKENS},
}


def point(rng):
    """A vector, weights of terms (sometimes none), and one to five vectors."""
    weights = np.where(rng.random(TERMS) < 0.3, rng.random(TERMS), 0).astype(np.float32)
    tokens = rng.standard_normal((rng.integers(1, 6), TOKENS)).astype(np.float32)
    return rng.standard_normal(DIM).astype(np.float32), weights, tokens


def columns(points):
    dense, terms, tokens = zip(*points, strict=True)
    return {
        "dense": np.stack(dense),
        "sparse": sparse.csr_array(np.stack(terms)),
        "multi": list(tokens),
    }


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def scores(held, field, query):
    """Of each id that can be a hit, its score in float64."""
    if field == "dense":
        return {i: float(unit(p[0]) @ unit(query)) for i, p in held.items()}
    if field == "sparse":
        found = {i: float(p[1].astype(np.float64) @ query) for i, p in held.items()}
        return {i: s for i, s in found.items() if s > 0}
    return {i: float((unit(query) @ unit(p[2]).T).max(axis=1).sum()) for i, p in held.items()}


def best(found, k):
    return sorted(found, key=lambda i: (-found[i], i))[:k]


def assert_answers(c, held, rng):
    for place, field in enumerate(FIELDS):
        query = point(rng)[place]
        if field == "sparse":
            query[0] = 1.0  # a term at least
        expected = scores(held, field, query.astype(np.float64))
        order = best(expected, 7)
        hits = c.search(query, 7, field=field, exact=True)
        assert hits[0].ids.tolist() == order
        np.testing.assert_allclose(hits[0].scores, [expected[i] for i in order], rtol=2e-6)
        few = {i: expected[i] for i in expected if i % 3 == 1}
        hits = c.search(query, 7, {"third": 1}, field, exact=True)
        assert hits[0].ids.tolist() == best(few, 7)


def assert_holds(c, held):
    ids = sorted(held)
    found = c.get(ids).vectors
    np.testing.assert_array_equal(found["dense"], [held[i][0] for i in ids])
    np.testing.assert_array_equal(found["sparse"].toarray(), [held[i][1] for i in ids])
    assert len(found["multi"]) == len(ids)
    for i, tokens in zip(ids, found["multi"], strict=True):
        np.testing.assert_array_equal(tokens, held[i][2])


def fill(c, held, rng, ids):
    points = [point(rng) for _ in ids]
    c.upsert(ids, columns(points), [{"third": i % 3} for i in ids])
    held |= dict(zip(ids, points, strict=True))


@pytest.mark.parametrize("seed", [0, 1])
def test_any_order_of_changes_leaves_what_a_dict_would_hold(folder, seed, monkeypatch):
    monkeypatch.setattr(segment, "GRAPH_MIN_ROWS", 30)
    rng = np.random.default_rng(seed)
    held = {}
    c = vl.collection(folder, fields=FIELDS, index=["third"])
    actions = ["upsert", "upsert", "delete", "seal", "compact", "index", "reopen"]
    for _ in range(50):
        action = rng.choice(actions)
        if action == "upsert":
            ids = rng.choice(100, rng.integers(1, 30), replace=False).tolist()
            fill(c, held, rng, ids)
        elif action == "delete":
            ids = rng.choice(100, 8, replace=False).tolist()
            c.delete(ids)
            held = {i: p for i, p in held.items() if i not in ids}
        elif action == "seal":
            upkeep.seal(c._engine)
        elif action == "compact":
            upkeep.compact(c._engine, fully=bool(rng.integers(2)))
        elif action == "index":
            upkeep.build_graphs(c._engine, 1, None)
        else:
            c.close()
            c = vl.collection(folder)
        if held:
            assert len(c) == len(held)
            assert_answers(c, held, rng)
    assert_holds(c, held)
    c.close()
    assert verify(folder).is_sound  # a derived file that was being built may be left
    with vl.collection(folder, read_only=True) as c:
        assert_holds(c, held)
        assert_answers(c, held, rng)


def test_a_large_batch_is_sealed_at_once_and_searched_by_its_lists(folder, monkeypatch):
    monkeypatch.setattr(upkeep, "SEAL_ROWS", 256)
    monkeypatch.setattr(segment, "GRAPH_MIN_ROWS", 256)
    rng = np.random.default_rng(3)
    held = {}
    with vl.collection(folder, fields=FIELDS) as c:
        fill(c, held, rng, list(range(600)))
        assert c.info()["fresh_rows"] == 0
        c.optimize(quiet=True)
        assert [each["graph"] for each in c.info()["segments"]] == [True] * 3
        assert_answers(c, held, rng)
        plan = c.search(held[1][1], field="sparse", explain=True).plan[0]
        assert "lists: 600 rows" in plan
    with vl.collection(folder, read_only=True) as c:  # derived files are opened, not built
        assert all(each["graph"] for each in c.info()["segments"])
        assert_answers(c, held, rng)
        assert_holds(c, held)


def test_derived_files_that_are_damaged_are_built_again(folder, monkeypatch):
    monkeypatch.setattr(segment, "GRAPH_MIN_ROWS", 30)
    rng, held = np.random.default_rng(4), {}
    with vl.collection(folder, fields=FIELDS) as c:
        fill(c, held, rng, list(range(60)))
        c.optimize(quiet=True)
    files = sorted((folder / "derived").iterdir())
    assert len(files) == 3
    for file in files:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    assert verify(folder).is_sound
    with vl.collection(folder) as c:
        assert_answers(c, held, rng)
        c.optimize(quiet=True)
        assert all(each["graph"] for each in c.info()["segments"])
        assert_answers(c, held, rng)
    assert verify(folder).problems == []


def flip(folder, field, name, share):
    """Flip a bit of a column of the segment of a field."""
    import json

    with sqlite3.connect(folder / "collection.db") as db:
        place = list(FIELDS).index(field)
        file, layout = db.execute(
            "SELECT file, layout FROM segments WHERE field = ?", (place,)
        ).fetchone()
    db.close()
    layout = json.loads(layout)
    entries = layout.get("entries", 0)
    size = {"vectors": entries * 4, "weights": entries * 4, "starts": 8 * 600}[name]
    path = folder / "segments" / file
    data = bytearray(path.read_bytes())
    data[layout[name] + int(size * share)] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(("field", "name"), [("sparse", "vectors"), ("sparse", "weights"),
                                             ("multi", "vectors")])  # fmt: skip
def test_a_flipped_bit_is_contained_to_its_block_and_repaired(folder, field, name, monkeypatch):
    monkeypatch.setattr("vectorloom.store.segment_file._BLOCK_BYTES", 2048)
    rng, held = np.random.default_rng(5), {}
    with vl.collection(folder, fields=FIELDS) as c:
        fill(c, held, rng, list(range(600)))
        upkeep.seal(c._engine)
        c.snapshot(folder.with_name("saved"))
    flip(folder, field, name, 0.5)
    report = verify(folder)
    assert not report.is_sound
    lost = {i for problem in report.problems for i in problem.ids}
    assert 0 < len(lost) < 400
    with vl.collection(folder, read_only=True) as c:
        whole = {i: p for i, p in held.items() if i not in lost}
        query = point(rng)
        query = query[list(FIELDS).index(field)]
        if field == "sparse":
            query[:] = 1.0
        expected = best(scores(whole, field, query.astype(np.float64)), 20)
        assert c.search(query, 600, field=field)  # comes upon the damage
        assert c.search(query, 20, field=field)[0].ids.tolist() == expected
        some = next(iter(lost))
        with pytest.raises(FormatError, match="differs from its checksum"):
            c.get([some])
    with pytest.raises(ParameterError, match="are lost"):
        repair(folder)
    assert repair(folder, folder.with_name("saved"))["restored"] == len(lost)
    assert verify(folder).problems == []
    with vl.collection(folder) as c:
        assert_holds(c, held)
        assert_answers(c, held, rng)


@pytest.mark.parametrize("field", ["sparse", "multi"])
def test_damage_outside_the_vectors_loses_the_segment_by_name(folder, field):
    rng, held = np.random.default_rng(6), {}
    with vl.collection(folder, fields=FIELDS) as c:
        fill(c, held, rng, list(range(600)))
        upkeep.seal(c._engine)
    flip(folder, field, "starts", 0.5)
    assert not verify(folder).is_sound
    with vl.collection(folder, read_only=True) as c:
        assert len(c.info()["lost"]) == 1
        assert c.search(held[0][0], 3).ids[0, 0] == 0  # the others serve
        place = list(FIELDS).index(field)
        assert c.search(held[0][place], 3, field=field).counts.tolist() == [0]


# ---- what comes in -------------------------------------------------------------------------------


def test_all_forms_of_vectors_mean_the_same(folder):
    matrix = np.array([[0, 2.5, 0], [1, 0, 0.5], [0, 0, 0]], np.float32)
    pairs = [
        {"indices": np.flatnonzero(row).tolist(), "values": row[row > 0].tolist()} for row in matrix
    ]
    tokens = [[[1.0, 0.0]], [[0.0, 1.0], [1.0, 1.0]], [[0.5, 0.5]]]
    flat = np.concatenate([np.array(t) for t in tokens]), np.array([0, 1, 3, 4])
    fields = {"s": {"kind": "sparse", "dim": 3}, "m": {"kind": "multi", "dim": 2}}
    with vl.collection(folder, fields=fields) as c:
        for way, (s, m) in enumerate(
            [
                (matrix, tokens),
                (sparse.csr_matrix(matrix), [np.array(t) for t in tokens]),
                (pairs, flat),
                (sparse.coo_array(matrix), tokens),
            ]
        ):
            ids = [10 * way + i for i in range(3)]
            c.upsert(ids, {"s": s, "m": m})
            found = c.get(ids).vectors
            np.testing.assert_array_equal(found["s"].toarray(), matrix)
            for own, given in zip(found["m"], tokens, strict=True):
                np.testing.assert_array_equal(own, given)
        one = c.search(matrix[1], 4, field="s")
        for query in (matrix[1:2], pairs[1], [pairs[1]], sparse.csr_matrix(matrix[1:2])):
            np.testing.assert_array_equal(c.search(query, 4, field="s").scores, one.scores)
        assert one.ids.tolist() == [[1, 11, 21, 31]]
        assert one.metric == "ip"
        assert c.search(pairs, 2, field="s").counts.tolist() == [2, 2, 0]
        two = c.search(np.array(tokens[1]), 4, field="m")
        for query in (tokens[1], [np.array(tokens[1])], [tokens[1]]):
            np.testing.assert_array_equal(c.search(query, 4, field="m").scores, two.scores)
        assert two.ids.tolist() == [[1, 11, 21, 31]]
        assert two.metric == "maxsim"
        assert len(c.search(tokens, 2, field="m")) == 3


@pytest.mark.parametrize(
    ("vectors", "kind", "says"),
    [
        ({"s": [[0, 1]], "m": [[[1, 1]]]}, ShapeError, "3 columns"),
        ({"s": [[0, -1, 0]], "m": [[[1, 1]]]}, ParameterError, "negative"),
        ({"s": [[0, np.nan, 0]], "m": [[[1, 1]]]}, ParameterError, "NaN"),
        ({"s": [{"indices": [3], "values": [1]}], "m": [[[1, 1]]]}, ParameterError, "outside"),
        ({"s": [{"indices": [0, 1], "values": [1]}], "m": [[[1, 1]]]}, ShapeError, "as many"),
        ({"s": [{"indices": [0.5], "values": [1]}], "m": [[[1, 1]]]}, ShapeError, "whole numbers"),
        ({"s": [{"terms": [1]}], "m": [[[1, 1]]]}, ParameterError, "indices"),
        ({"s": [[0, 1, 0]], "m": [[]]}, ShapeError, "vectors"),
        ({"s": [[0, 1, 0]], "m": [[[1, 1, 1]]]}, ShapeError, "2 dimensions"),
        ({"s": [[0, 1, 0]], "m": [[[1, 1], [0, 0]]]}, ParameterError, "zero"),
        ({"s": [[0, 1, 0]], "m": [[[1, 1], [1]]]}, ShapeError, "matrix"),
        ({"s": [[0, 1, 0]], "m": [[[1, 1]], [[1, 1]]]}, ShapeError, "give one of each"),
        ({"s": [[0, 1, 0]]}, ParameterError, "needs all"),
    ],
)
def test_bad_vectors_are_refused_whole(folder, vectors, kind, says):
    fields = {"s": {"kind": "sparse", "dim": 3}, "m": {"kind": "multi", "dim": 2}}
    with vl.collection(folder, fields=fields) as c:
        with pytest.raises(kind, match=says):
            c.upsert([1], vectors)
        assert len(c) == 0


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"kind": "sparse", "dim": 3, "metric": "cosine"}, "metric"),
        ({"kind": "sparse", "dim": 3, "dtype": "int8"}, "dtype"),
        ({"kind": "multi", "dim": 3, "metric": "l2"}, "metric"),
        ({"kind": "tree", "dim": 3}, "kind"),
        ({"kind": "sparse"}, "dim at least"),
        ({"kind": "sparse", "dim": 2**31}, "at most"),
    ],
)
def test_fields_that_cannot_be_are_refused(folder, spec, says):
    with pytest.raises(ParameterError, match=says):
        vl.collection(folder, fields={"f": spec})


def test_another_kind_and_encoders_are_refused(folder):
    fields = {"d": 2, "s": {"kind": "sparse", "dim": 3}}
    vl.collection(folder, fields=fields).close()
    with pytest.raises(ParameterError, match="Leave fields"):
        vl.collection(folder, fields={"d": 2, "s": 3})
    encoder = vl.store.Encoder(lambda texts: [[1.0, 1.0, 1.0]] * len(texts), name="e")
    with pytest.raises(ParameterError, match="dense fields"):
        vl.collection(folder, encoder={"s": encoder})
    with vl.collection(folder, fields=fields) as c, pytest.raises(ParameterError, match="encoder"):
        c.search("text", field="s")


def test_only_new_kinds_need_the_new_format(tmp_path):
    for name, fields, version in (("old", {"a": 2}, 1), ("new", FIELDS, 2)):
        vl.collection(tmp_path / name, fields=fields).close()
        with sqlite3.connect(tmp_path / name / "collection.db") as db:
            assert db.execute("SELECT format FROM state").fetchone() == (version,)
        db.close()


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_vectors_of_several_are_rounded_as_one_is(folder, dtype):
    rng = np.random.default_rng(8)
    tokens = [rng.standard_normal((m, 8)).astype(np.float32) for m in (3, 1, 5)]
    with vl.collection(folder, fields={"m": {"kind": "multi", "dim": 8, "dtype": dtype}}) as c:
        c.upsert(["a", "b", "c"], tokens)
        fresh = c.get(["a", "b", "c"]).vectors
        upkeep.seal(c._engine)
        for own, again, given in zip(fresh, c.get(["a", "b", "c"]).vectors, tokens, strict=True):
            np.testing.assert_array_equal(own, again)
            np.testing.assert_allclose(own, given, atol=0.05)
        assert c.search(tokens[2], 1).ids.tolist() == [["c"]]


def test_export_writes_what_arrow_has_for_each(folder, tmp_path):
    rng, held = np.random.default_rng(9), {}
    with vl.collection(folder, fields=FIELDS) as c:
        fill(c, held, rng, [1, 2, 3])
        c.export(tmp_path / "out.parquet", quiet=True)
        with pytest.raises(ParameterError, match="one dense"):
            c.import_(tmp_path / "out.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pydict()
    for i, terms, tokens in zip(table["id"], table["sparse"], table["multi"], strict=True):
        row = np.zeros(TERMS, np.float32)
        row[[pair["term"] for pair in terms]] = [pair["weight"] for pair in terms]
        np.testing.assert_array_equal(row, held[i][1])
        np.testing.assert_array_equal(np.array(tokens, np.float32), held[i][2])


# ---- several fields in one ranking ---------------------------------------------------------------


@pytest.mark.parametrize("fusion", ["rrf", "weighted"])
def test_together_is_what_hybrid_makes_of_the_legs(folder, fusion):
    rng, held = np.random.default_rng(10), {}
    with vl.collection(folder, fields=FIELDS, index=["third"]) as c:
        fill(c, held, rng, list(range(80)))
        queries = dict(zip(FIELDS, point(rng), strict=True))
        queries["sparse"][:] = 1.0
        weights = {"dense": 1.0, "sparse": 0.5, "multi": 2.0}
        hits = c.together(queries, 5, {"third": 2}, fusion=fusion, weights=weights, exact=True)
        ids = sorted(i for i in held if i % 3 == 2)
        own = columns([held[i] for i in ids])
        hybrid = vl.index.Hybrid(
            {
                "dense": vl.index.Exact("cosine").fit(own["dense"], ids),
                "sparse": vl.index.Inverted(mode="exact").fit(own["sparse"], ids),
                "multi": vl.index.MultiVector().fit(own["multi"], ids),
            },
            fusion,
            weights=weights,
        )
        expected = hybrid.search(
            {
                "dense": queries["dense"][None],
                "sparse": queries["sparse"][None],
                "multi": [queries["multi"]],
            },
            5,
        )
        assert hits.ids.tolist() == expected.ids.tolist()
        np.testing.assert_allclose(hits.scores, expected.scores, rtol=1e-5)
        for name in FIELDS:
            np.testing.assert_array_equal(hits.leg_ranks[name], expected.leg_ranks[name])
        assert hits.payloads[0] == [{"third": 2}] * 5
        assert hits.metric == fusion


def test_words_are_a_leg_too_and_unknown_legs_are_refused(folder):
    with vl.collection(folder, 2) as c:
        texts = ["a heist in Lyon", "letters", "a bus"]
        c.upsert(["a", "b", "c"], [[1, 0], [0, 1], [0.9, 0.1]], None, texts)
        hits = c.together({"vector": [1.0, 0.1], "$text": "letters"}, 3)
        assert set(hits[0].ids.tolist()) == {"a", "b", "c"}
        assert hits.leg_ranks["$text"][0, hits.ids[0].tolist().index("b")] == 1
        assert hits.texts[0][hits.ids[0].tolist().index("b")] == "letters"
        with pytest.raises(ParameterError, match="no vector field 'other'"):
            c.together({"other": [1.0, 0.0]})
        with pytest.raises(ParameterError, match="must map"):
            c.together([1.0, 0.0])
        with pytest.raises(ParameterError, match="fusion"):
            c.together({"vector": [1.0, 0.0]}, fusion="best")
