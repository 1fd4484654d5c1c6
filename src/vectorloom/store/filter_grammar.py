# SPDX-License-Identifier: Apache-2.0
"""Filter expressions: what a user writes as plain data becomes a checked tree.

    where  := {path: test | value, …}                  all of them
            | {"$and": [where, …]} | {"$or": [where, …]} | {"$not": where}
    test   := {"$eq" | "$ne" | "$gt" | "$gte" | "$lt" | "$lte": value}
            | {"$in" | "$nin": [value, …]} | {"$exists": bool} | {"$contains": value}
            | {"$icontains": text} | {"$size": count}
            | {"$geo_box": {"south", "west", "north", "east"}} | {"$not": test}

A test is true or false, never unknown: each but ``$ne``, ``$nin``, ``$not`` and ``{"$exists":
False}`` is false where the value is missing, null, a list or an object (``$contains``, ``$exists``
and ``$size``, which counts entries, look at lists). ``$icontains`` looks into text alone and takes
upper and lower case as the same, as `str.lower` does. Numbers compare with numbers and text with
text, by code points; true and false are 1 and 0. The library, the command line and the server read
this grammar alone.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vectorloom.errors import ParameterError

#: The stored text and the id of a point, beside the fields of its payload.
TEXT, ID = "$text", "$id"

_ORDER = ("$gt", "$gte", "$lt", "$lte")
_SCALAR = ("$eq", "$ne", *_ORDER)
_OPERATORS = (*_SCALAR, "$in", "$nin", "$exists", "$contains", "$icontains", "$size",
              "$geo_box", "$not")  # fmt: skip
_SIDES = ("south", "west", "north", "east")

# Beyond any filter a person writes; a request must not make the parser of SQL work for minutes.
MAX_DEPTH, MAX_TESTS, MAX_VALUES = 12, 256, 100_000


@dataclass(frozen=True)
class Test:
    """One comparison, with the operators that are not put together out of others."""

    path: str
    operator: str
    value: Any


@dataclass(frozen=True)
class Every:
    """True where all parts are; with no parts always."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Some:
    """True where one part is."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Not:
    """True where the part is not."""

    part: Node


Node = Test | Every | Some | Not


def parse(where: Mapping[str, Any]) -> Node:
    """Return the tree of a filter, or say what is wrong with it.

    Parameters
    ----------
    where : mapping
        As in the grammar above; plain data, as JSON holds it. Dates and times of `datetime` are
        taken as ISO text (`plain_value`).

    Returns
    -------
    Node

    Raises
    ------
    ParameterError
        The message names the operator or value and what was expected.

    Examples
    --------
    >>> parse({"year": {"$gte": 1990}})
    Test(path='year', operator='$gte', value=1990)
    """
    return _Parser().expression(where, 0)


def check_path(path: Any, what: str = "the name of a field") -> str:
    """Return `path` if it can name a payload field: words joined by dots, no quotes.

    Raises
    ------
    ParameterError
    """
    if not isinstance(path, str) or not path:
        raise ParameterError(f"{what} must be text such as 'year' or 'place.city'; got {path!r}.")
    if path.startswith("$"):
        raise ParameterError(
            f"{what} must not begin with $; got {path!r}. Operators are "
            f"{', '.join(('$and', '$or', '$not'))} beside fields, and {', '.join(_OPERATORS)} "
            "behind one."
        )
    bad = any(c in '"\\[]' or ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in path)
    if bad or len(path) > 256 or not all(path.split(".")):
        raise ParameterError(
            f"{what} is {path!r}; names of fields are joined by single dots and hold no quotes, "
            "backslashes, brackets or control characters."
        )
    return path


def plain_value(value: Any) -> Any:
    """Return a date or time as ISO text that sorts as time does; other values as they are.

    A time with an offset becomes UTC (``…+00:00``); one without stays as it is.
    """
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(dt.timezone.utc)
        return value.isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    return value.item() if hasattr(value, "item") and not isinstance(value, str) else value


class _Parser:
    def __init__(self) -> None:
        self._tests = 0

    def expression(self, where: Any, depth: int) -> Node:
        if not isinstance(where, Mapping):
            raise ParameterError(
                "a filter must be a mapping such as {'year': {'$gte': 1990}} or, for ids, "
                f"{{'$id': {{'$in': […]}}}}; got {where!r:.80}."
            )
        self._check_depth(depth)
        parts = [self._entry(key, value, depth) for key, value in where.items()]
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _entry(self, key: Any, value: Any, depth: int) -> Node:
        if key in ("$and", "$or"):
            if not isinstance(value, list | tuple) or not value:
                raise ParameterError(
                    f"{key} takes a list of one filter or more; got {value!r:.80}."
                )
            parts = tuple(self.expression(part, depth + 1) for part in value)
            return Every(parts) if key == "$and" else Some(parts)
        if key == "$not":
            return Not(self.expression(value, depth + 1))
        path = key if key in (TEXT, ID) else check_path(key)
        return self._tests_of(path, value, depth + 1)

    def _tests_of(self, path: str, tests: Any, depth: int) -> Node:
        self._check_depth(depth)
        if not isinstance(tests, Mapping):
            return self._test(path, "$eq", tests, depth)
        if not tests:
            raise ParameterError(f"the filter of {path!r} is empty; give a value or an operator.")
        parts = [self._test(path, operator, value, depth) for operator, value in tests.items()]
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _test(self, path: str, operator: Any, value: Any, depth: int) -> Node:
        self._tests += 1
        if self._tests > MAX_TESTS:
            raise ParameterError(
                f"the filter has more than {MAX_TESTS} tests. Use $in for lists of values."
            )
        if operator == "$not":
            return Not(self._tests_of(path, value, depth + 1))
        if operator not in _OPERATORS:
            raise ParameterError(
                f"{path!r} has the operator {operator!r}; operators are {', '.join(_OPERATORS)}."
            )
        if operator == "$ne":
            return Not(Test(path, "$eq", _scalar(path, operator, value)))
        if operator in _SCALAR or operator == "$contains":
            return Test(path, operator, _scalar(path, operator, value))
        if operator in ("$in", "$nin"):
            test = Test(path, "$in", _values(path, operator, value))
            return Not(test) if operator == "$nin" else test
        if operator == "$exists":
            if not isinstance(value, bool):
                raise ParameterError(f"$exists of {path!r} takes true or false; got {value!r:.80}.")
            test = Test(path, "$exists", True)
            return test if value else Not(test)
        if operator in ("$icontains", "$size"):
            return Test(path, operator, _checked(path, operator, value))
        return Test(path, "$geo_box", _box(path, value))

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ParameterError(f"the filter is nested more than {MAX_DEPTH} deep; flatten it.")


def _scalar(path: str, operator: str, value: Any) -> Any:
    value = plain_value(value)
    if isinstance(value, bool):
        if operator in _ORDER:
            raise ParameterError(
                f"{operator} of {path!r} takes a number or text; got {value}, which has no order."
            )
        return int(value)
    if isinstance(value, str):
        if "\0" in value or not _encodes(value):
            raise ParameterError(
                f"{operator} of {path!r} got text with characters that no field has."
            )
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ParameterError(f"{operator} of {path!r} got {value}, which is beyond int64.")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ParameterError(f"{operator} of {path!r} got {value}; numbers must be finite.")
        return value
    hint = " For missing values use {'$exists': False}." if value is None else ""
    raise ParameterError(
        f"{operator} of {path!r} takes a number, text, true or false; got {value!r:.80}.{hint}"
    )


def _checked(path: str, operator: str, value: Any) -> Any:
    found = _scalar(path, operator, value)
    text = operator == "$icontains"
    fits = isinstance(found, str) if text else isinstance(found, int) and found >= 0
    if not fits or isinstance(value, bool):
        what = "text" if text else "a whole number, not negative"
        raise ParameterError(f"{operator} of {path!r} takes {what}; got {value!r:.80}.")
    return found


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _values(path: str, operator: str, values: Any) -> tuple[Any, ...]:
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, list | tuple | set | frozenset | range):
        raise ParameterError(f"{operator} of {path!r} takes a list of values; got {values!r:.80}.")
    if len(values) > MAX_VALUES:
        raise ParameterError(
            f"{operator} of {path!r} has {len(values):,} values; {MAX_VALUES:,} at most are taken."
        )
    return tuple(_scalar(path, operator, value) for value in values)


def _box(path: str, value: Any) -> tuple[float, float, float, float]:
    if not isinstance(value, Mapping) or set(value) != set(_SIDES):
        raise ParameterError(
            f"$geo_box of {path!r} takes {{'south', 'west', 'north', 'east'}} in degrees; got "
            f"{value!r:.80}."
        )
    sides = [_scalar(path, "$geo_box", value[side]) for side in _SIDES]
    if not all(isinstance(side, int | float) for side in sides):
        raise ParameterError(f"$geo_box of {path!r} takes degrees as numbers; got {value!r:.80}.")
    south, west, north, east = (float(side) for side in sides)
    if not (-90 <= south <= north <= 90 and -180 <= west <= 180 and -180 <= east <= 180):
        raise ParameterError(
            f"$geo_box of {path!r} needs -90 <= south <= north <= 90 and longitudes within 180; "
            f"got {value!r:.80}. A box over the date line has west > east."
        )
    return south, west, north, east
