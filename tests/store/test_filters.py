# SPDX-License-Identifier: Apache-2.0
"""Filters: the SQL says what the grammar says, for indexed fields and others, and nothing else."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from vectorloom.errors import ParameterError
from vectorloom.store.filter_grammar import MAX_DEPTH, parse
from vectorloom.store.filter_sql import compile_filter, define_functions, json_path

NAMES = ("a", "b", "c.d", "c.e")


# ---- the grammar once more, in plain Python, as the documentation tells it -----------------------


def value_at(payload, path):
    for part in path.split("."):
        if not isinstance(payload, dict) or part not in payload:
            return None
        payload = payload[part]
    return payload


def is_number(value):
    return isinstance(value, int | float)  # bool is one: true is 1


def comparable(a, b):
    return (is_number(a) and is_number(b)) or (isinstance(a, str) and isinstance(b, str))


def holds(payload, where):
    return all(entry(payload, key, value) for key, value in where.items())


def entry(payload, key, value):
    if key == "$and":
        return all(holds(payload, part) for part in value)
    if key == "$or":
        return any(holds(payload, part) for part in value)
    if key == "$not":
        return not holds(payload, value)
    tests = value if isinstance(value, dict) else {"$eq": value}
    return all(test(payload, key, op, operand) for op, operand in tests.items())


def inside(have, op, operand):
    if op == "$size":
        return isinstance(have, list) and len(have) == operand
    if op == "$icontains":
        return isinstance(have, str) and operand.lower() in have.lower()
    if isinstance(have, list):
        return any(comparable(each, operand) and each == operand for each in have)
    return isinstance(have, str) and isinstance(operand, str) and operand in have


def test(payload, path, op, operand):
    have = value_at(payload, path)
    scalar = None if isinstance(have, list | dict) else have
    if op == "$not":
        return not all(test(payload, path, each, value) for each, value in operand.items())
    if op == "$exists":
        return (have is not None) == operand
    if op in ("$contains", "$icontains", "$size"):
        return inside(have, op, operand)
    if op in ("$ne", "$nin"):
        return not test(payload, path, {"$ne": "$eq", "$nin": "$in"}[op], operand)
    if op == "$in":
        return any(test(payload, path, "$eq", each) for each in operand)
    if op == "$geo_box":
        lat, lon = value_at(payload, path + ".lat"), value_at(payload, path + ".lon")
        if not (is_number(lat) and is_number(lon)):
            return False
        west, east = operand["west"], operand["east"]
        between = west <= lon <= east if west <= east else lon >= west or lon <= east
        return operand["south"] <= lat <= operand["north"] and between
    if scalar is None or not comparable(scalar, operand):
        return False
    return {
        "$eq": scalar == operand,
        "$gt": scalar > operand,
        "$gte": scalar >= operand,
        "$lt": scalar < operand,
        "$lte": scalar <= operand,
    }[op]


test.__test__ = False

# ---- payloads and filters of few values, so that they meet --------------------------------------

numbers = st.one_of(
    st.integers(-2, 2),
    st.sampled_from([0.1, 0.5, 1.0, 1e-3, 2.5, -0.7, 1e300, 2**53 + 1, 2**63 - 1, -(2**63)]),
)
words = st.text(alphabet="abA'\"%_\\éÉ漢😀;-", max_size=3)
scalars = st.one_of(numbers, words, st.booleans())
inner = st.one_of(scalars, st.none(), st.lists(scalars, max_size=3))
degrees = st.one_of(st.integers(-3, 3), st.sampled_from([0.25, "1", None]))
place = st.fixed_dictionaries({}, optional={"lat": degrees, "lon": degrees})
payloads = st.fixed_dictionaries(
    {},
    optional={
        "a": inner,
        "b": inner,
        "c": st.one_of(inner, st.fixed_dictionaries({}, optional={"d": inner, "e": inner})),
        "p": place,
    },
)
ordered = st.one_of(numbers, words)
boxes = st.tuples(*[st.integers(-3, 3)] * 4).map(
    lambda v: {"south": min(v[:2]), "north": max(v[:2]), "west": v[2], "east": v[3]}
)


def one(op, values):
    return values.map(lambda value: {op: value})


tests = st.recursive(
    st.one_of(
        *(one(op, scalars) for op in ("$eq", "$ne", "$contains")),
        *(one(op, ordered) for op in ("$gt", "$gte", "$lt", "$lte")),
        *(one(op, st.lists(scalars, max_size=3)) for op in ("$in", "$nin")),
        one("$exists", st.booleans()),
        one("$icontains", words),
        one("$size", st.integers(0, 3)),
    ),
    lambda more: st.one_of(
        one("$not", more), st.tuples(more, more).map(lambda t: {**t[0], **t[1]})
    ),
    max_leaves=3,
)
leaves = st.one_of(
    st.dictionaries(st.sampled_from(NAMES), st.one_of(scalars, tests), max_size=2),
    boxes.map(lambda box: {"p": {"$geo_box": box}}),
)
filters = st.recursive(
    leaves,
    lambda more: st.one_of(
        st.lists(more, min_size=1, max_size=3).map(lambda parts: {"$and": parts}),
        st.lists(more, min_size=1, max_size=3).map(lambda parts: {"$or": parts}),
        more.map(lambda part: {"$not": part}),
    ),
    max_leaves=5,
)


def table(rows, columns):
    db = sqlite3.connect(":memory:")
    define_functions(db)
    db.execute("CREATE TABLE points (row INTEGER PRIMARY KEY, id NOT NULL UNIQUE, payload, text)")
    for path, column in columns.items():
        inside = "'" + json_path(path) + "'"
        db.execute(
            f"ALTER TABLE points ADD COLUMN {column} GENERATED ALWAYS AS (CASE WHEN "
            f"json_type(payload, {inside}) IN ('array', 'object') THEN NULL ELSE "
            f"json_extract(payload, {inside}) END) VIRTUAL"
        )
        db.execute(f"CREATE INDEX points_{column} ON points ({column})")
    packed = [(i, f"id{i}", json.dumps(row, ensure_ascii=False)) for i, row in enumerate(rows)]
    db.executemany("INSERT INTO points (row, id, payload) VALUES (?, ?, ?)", packed)
    return db


def matching(db, where, columns):
    found = compile_filter(where, columns)
    return [
        row for (row,) in db.execute(f"SELECT row FROM points WHERE {found.sql} ORDER BY row",
                                     found.parameters)
    ]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(payloads, min_size=1, max_size=6), where=filters)
def test_sql_and_plain_python_agree_with_and_without_indexes(rows, where):
    expected = [i for i, row in enumerate(rows) if holds(row, where)]
    for columns in ({}, {"a": "c0", "c.d": "c1", "p.lat": "c2", "p.lon": "c3"}):
        db = table(rows, columns)
        assert matching(db, where, columns) == expected
        db.close()


def test_a_range_of_an_indexed_field_uses_its_index():
    db = table([{"a": i} for i in range(50)], {"a": "c0"})
    found = compile_filter({"a": {"$gte": 10, "$lt": 20}}, {"a": "c0"})
    plan = db.execute(
        f"EXPLAIN QUERY PLAN SELECT row FROM points WHERE {found.sql}", found.parameters
    ).fetchall()
    assert "INDEX points_c0 (c0>? AND c0<?)" in plan[0][3]
    assert found.indexed == ("a",)
    assert found.scanned == ()


@pytest.mark.parametrize(
    "name", ["a' OR 1=1 --", 'a"b', "a\\b", "", ".a", "a.", "a..b", "$where", "a[0]", "a\0", 7]
)
def test_names_that_could_leave_their_quotes_are_refused(name):
    db = table([{"a": 1}], {})
    if isinstance(name, str) and name == "a' OR 1=1 --":  # harmless: a path is a parameter
        assert matching(db, {name: 1}, {}) == []
        return
    with pytest.raises(ParameterError):
        compile_filter({name: 1}, {})


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ([], "must be a mapping"),
        ({"a": {"$regex": "x"}}, "operators are"),
        ({"a": None}, "$exists"),
        ({"a": {}}, "is empty"),
        ({"a": float("nan")}, "finite"),
        ({"a": 2**63}, "int64"),
        ({"a": {"$gt": True}}, "no order"),
        ({"a": {"$in": "abc"}}, "list of values"),
        ({"a": {"$exists": 1}}, "true or false"),
        ({"$or": []}, "one filter or more"),
        ({"$and": {"a": 1}}, "one filter or more"),
        ({"a": {"$geo_box": {"south": 1}}}, "'south', 'west', 'north', 'east'"),
        ({"a": {"$geo_box": dict(south=2, west=0, north=1, east=1)}}, "south <= north"),
        ({"a": {"$eq": [1]}}, "takes a number"),
        ({"a": {"$icontains": 1}}, "takes text"),
        ({"a": {"$size": -1}}, "whole number"),
        ({"a": {"$size": True}}, "whole number"),
        ({"a": {"$size": "1"}}, "whole number"),
        ({"a": "x\0"}, "characters"),
        ({"a": "\ud800"}, "characters"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(where, message):
    with pytest.raises(ParameterError) as caught:
        parse(where)
    assert message in str(caught.value)


def test_depth_and_size_are_bounded():
    deep = {"a": 1}
    for _ in range(MAX_DEPTH + 1):
        deep = {"$not": deep}
    with pytest.raises(ParameterError, match="nested"):
        parse(deep)
    with pytest.raises(ParameterError, match="tests"):
        parse({"$or": [{"a": i} for i in range(500)]})


def test_times_become_text_that_sorts_as_time_does():
    early = dt.datetime(2020, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert parse({"t": {"$gte": early}}).value == "2020-01-01T10:00:00+00:00"
    assert parse({"t": dt.date(2020, 1, 1)}).value == "2020-01-01"


junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=4),
        st.binary(max_size=3),
    ),
    lambda more: st.one_of(
        st.lists(more, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(
                    ["$and", "$or", "$not", "$in", "$eq", "$gt", "$geo_box", "$size", "a"]
                ),
                st.text(max_size=3),
                st.integers(),
            ),
            more,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(where=junk)
def test_whatever_is_passed_is_a_filter_that_runs_or_an_error_in_words(where):
    db = table([{"a": 1}], {"a": "c0"})
    try:
        matching(db, where, {"a": "c0"})
    except ParameterError as error:
        assert str(error)  # noqa: PT017
    db.close()
