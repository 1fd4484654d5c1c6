# SPDX-License-Identifier: Apache-2.0
"""From the tree of a filter to SQL with parameters: no text of a user ever becomes SQL.

Declared fields are generated columns with an index each; others are taken out of the payload row by
row. SQL's third truth value is folded where it could matter, under ``NOT``: elsewhere unknown
selects nothing, as false does, and a bare comparison is what an index can answer.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vectorloom.store.filter_grammar import ID, TEXT, Every, Node, Not, Some, Test, parse

_LOWER = "vl_lower"
_SIGNS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}

Piece = tuple[str, list[Any]]


@dataclass(frozen=True)
class CompiledFilter:
    """A filter as SQL.

    Attributes
    ----------
    sql : str
        A condition on the table ``points``.
    parameters : tuple
    indexed, scanned : tuple of str
        Fields that have an index, and those that are read out of each payload.
    """

    sql: str
    parameters: tuple[Any, ...]
    indexed: tuple[str, ...]
    scanned: tuple[str, ...]


def compile_filter(where: Mapping[str, Any], columns: Mapping[str, str]) -> CompiledFilter:
    """Return the SQL of a filter.

    Parameters
    ----------
    where : mapping
        See `vectorloom.store.filter_grammar`.
    columns : mapping of str to str
        The column of each declared field.

    Returns
    -------
    CompiledFilter

    Examples
    --------
    >>> compile_filter({"year": {"$gte": 1990}}, {"year": "c0"}).sql
    "(c0 >= ? AND c0 < '')"
    """
    writer = _Writer(columns)
    sql, parameters = writer.node(parse(where))
    return CompiledFilter(
        sql, tuple(parameters), tuple(sorted(writer.indexed)), tuple(sorted(writer.scanned))
    )


def define_functions(db: sqlite3.Connection) -> None:
    """Give a connection what filters call; SQLite itself lowers ASCII alone."""
    db.create_function(
        _LOWER, 1, lambda value: value.lower() if isinstance(value, str) else None,
        deterministic=True,
    )  # fmt: skip


def json_path(path: str) -> str:
    """Return a checked dotted path as SQLite's JSON functions take it."""
    return "$" + "".join(f'."{part}"' for part in path.split("."))


class _Writer:
    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = columns
        self.indexed: set[str] = set()
        self.scanned: set[str] = set()

    def node(self, node: Node) -> Piece:
        if isinstance(node, Test):
            return self._test(node)
        if isinstance(node, Not):
            sql, parameters = self.node(node.part)
            return f"NOT coalesce({sql}, 0)", parameters
        if not node.parts:
            return "1", []
        pieces = [self.node(part) for part in node.parts]
        joint = " AND " if isinstance(node, Every) else " OR "
        sql = "(" + joint.join(sql for sql, _ in pieces) + ")"
        return sql, [value for _, parameters in pieces for value in parameters]

    def _test(self, test: Test) -> Piece:
        if test.operator == "$geo_box":
            return self._geo_box(test)
        if test.operator == "$exists":
            return self._exists(test)
        if test.operator == "$contains":
            return self._contains(test)
        if test.operator == "$icontains":
            return self._contains_folded(test)
        if test.operator == "$size":
            return self._size(test)
        column, own = self._column(test.path)
        if test.operator == "$in":
            return f"{column} IN (SELECT value FROM json_each(?))", [*own, _as_json(test.value)]
        value, bound = _operand(test.value)
        if test.operator == "$eq":
            return f"{column} = {value}", [*own, bound]
        sign = _SIGNS[test.operator]
        compared = f"{column} {sign} {value}"
        # In SQLite's order every number is before every text, and '' is the first text.
        if isinstance(test.value, str) and sign in ("<", "<="):
            return f"({compared} AND {column} >= '')", [*own, bound, *own]
        if not isinstance(test.value, str) and sign in (">", ">="):
            return f"({compared} AND {column} < '')", [*own, bound, *own]
        return compared, [*own, bound]

    def _column(self, path: str) -> Piece:
        if path == TEXT:
            self.scanned.add(path)
            return "text", []
        if path == ID:
            self.indexed.add(path)
            return "id", []
        if path in self._columns:
            self.indexed.add(path)
            return self._columns[path], []
        self.scanned.add(path)
        inside = json_path(path)
        sql = (
            "(CASE WHEN json_type(payload, ?) IN ('array', 'object') THEN NULL "
            "ELSE json_extract(payload, ?) END)"
        )
        return sql, [inside, inside]

    def _exists(self, test: Test) -> Piece:
        if test.path in (TEXT, ID):
            return f"{self._column(test.path)[0]} IS NOT NULL", []
        self.scanned.add(test.path)
        return "coalesce(json_type(payload, ?), 'null') <> 'null'", [json_path(test.path)]

    def _contains(self, test: Test) -> Piece:
        text = isinstance(test.value, str)
        if test.path in (TEXT, ID):
            column, _ = self._column(test.path)
            sql = f"(typeof({column}) = 'text' AND instr({column}, ?) > 0)"
            return (sql, [test.value]) if text else ("0", [])
        self.scanned.add(test.path)
        inside = json_path(test.path)
        value, bound = _operand(test.value)
        member = (
            "(json_type(payload, ?) = 'array' AND EXISTS (SELECT 1 FROM json_each(payload, ?) AS e "
            f"WHERE e.type NOT IN ('array', 'object') AND e.value = {value}))"
        )
        if not text:
            return member, [inside, inside, bound]
        within = "(json_type(payload, ?) = 'text' AND instr(json_extract(payload, ?), ?) > 0)"
        parameters = [inside, inside, test.value, inside, inside, bound]
        return f"({within} OR {member})", parameters

    def _contains_folded(self, test: Test) -> Piece:
        column, own = self._column(test.path)
        sql = f"(typeof({column}) = 'text' AND instr({_LOWER}({column}), ?) > 0)"
        return sql, [*own, *own, test.value.lower()]

    def _size(self, test: Test) -> Piece:
        if test.path in (TEXT, ID):
            return "0", []
        self.scanned.add(test.path)
        inside = json_path(test.path)
        sql = "(json_type(payload, ?) = 'array' AND json_array_length(payload, ?) = ?)"
        return sql, [inside, inside, test.value]

    def _geo_box(self, test: Test) -> Piece:
        south, west, north, east = test.value
        joint = Every if west <= east else Some  # over the date line it is two ranges
        lat, lon = test.path + ".lat", test.path + ".lon"
        tree = Every(
            (
                Test(lat, "$gte", south),
                Test(lat, "$lte", north),
                joint((Test(lon, "$gte", west), Test(lon, "$lte", east))),
            )
        )
        return self.node(tree)


def _operand(value: Any) -> tuple[str, Any]:
    # Decimals of payloads are read by SQLite; read by the same hand, equal ones stay equal.
    if isinstance(value, float):
        return "json_extract(?, '$')", _as_json(value)
    return "?", value


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
